//! Best-fit decreasing in linear time: lengths are small integers, so both the sorting and the search
//! for the fullest row that still has room go through tables indexed by length.

use std::ops::Range;

use super::Rows;

/// No row.
const NONE: u32 = u32::MAX;

/// Packs pieces (each at most `seq_len` long) into rows. Keeps at most three numbers of 32 bits a piece at a time.
pub(super) fn pack(pieces: Range<u32>, length: impl Fn(u32) -> u32, seq_len: u32) -> Rows {
    let mut row_of = vec![0u32; pieces.len()];
    let mut open = OpenRows::new(seq_len);
    for piece in longest_first(pieces, &length, seq_len) {
        let length = length(piece);
        let (row, free) = open.take(length).unwrap_or_else(|| (open.new_row(), seq_len));
        open.put(row, free - length);
        row_of[piece as usize] = row;
    }
    let rows = open.next.len();
    drop(open);
    in_order_of_first(row_of, rows)
}

/// The pieces by falling length, equal ones in order (a counting sort).
fn longest_first(pieces: Range<u32>, length: impl Fn(u32) -> u32, seq_len: u32) -> Vec<u32> {
    let mut starts = vec![0usize; seq_len as usize + 2];
    for piece in pieces.clone() {
        starts[(seq_len - length(piece)) as usize + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut sorted = vec![0u32; pieces.len()];
    for piece in pieces {
        let slot = &mut starts[(seq_len - length(piece)) as usize];
        sorted[*slot] = piece;
        *slot += 1;
    }
    sorted
}

/// Numbers rows by the first piece they hold, and lists their pieces in order: the rows then follow the corpus, or
/// the shuffle, as far as packing lets them.
fn in_order_of_first(mut row_of: Vec<u32>, rows: usize) -> Rows {
    let mut number = vec![NONE; rows];
    let mut ends: Vec<u32> = Vec::with_capacity(rows);
    for row in &mut row_of {
        let number = &mut number[*row as usize];
        if *number == NONE {
            *number = u32::try_from(ends.len()).unwrap_or(NONE);
            ends.push(0);
        }
        *row = *number;
        ends[*row as usize] += 1;
    }
    drop(number);
    let mut sum = 0;
    for end in &mut ends {
        (sum, *end) = (sum + *end, sum); // where the row begins; filling it moves that to its end
    }
    let mut pieces = vec![0u32; row_of.len()];
    for (piece, row) in (0u32..).zip(row_of) {
        let slot = &mut ends[row as usize];
        pieces[*slot as usize] = piece;
        *slot += 1;
    }
    Rows { pieces, ends, starts: Vec::new() }
}

/// The rows that still have room, by how much: stacks that are linked through the rows.
struct OpenRows {
    /// The last row put where there is so much room.
    top: Vec<u32>,
    /// For each row, the one below it in its stack.
    next: Vec<u32>,
    /// A bit for each entry of `top` that has one.
    any: Vec<u64>,
}

impl OpenRows {
    fn new(seq_len: u32) -> Self {
        let sizes = seq_len as usize + 1;
        Self { top: vec![NONE; sizes], next: Vec::new(), any: vec![0; sizes.div_ceil(64)] }
    }

    fn new_row(&mut self) -> u32 {
        self.next.push(NONE);
        u32::try_from(self.next.len() - 1).unwrap_or(NONE)
    }

    fn put(&mut self, row: u32, free: u32) {
        if free > 0 {
            self.next[row as usize] = std::mem::replace(&mut self.top[free as usize], row);
            self.any[free as usize / 64] |= 1 << (free % 64);
        }
    }

    /// Takes out a row with the least room of at least `length`; also says how much it has.
    fn take(&mut self, length: u32) -> Option<(u32, u32)> {
        let mut word = length as usize / 64;
        let mut bits = self.any[word] & (u64::MAX << (length % 64));
        while bits == 0 {
            word += 1;
            bits = *self.any.get(word)?;
        }
        let free = word * 64 + bits.trailing_zeros() as usize;
        let row = self.top[free];
        self.top[free] = self.next[row as usize];
        if self.top[free] == NONE {
            self.any[word] &= !(1 << (free % 64));
        }
        u32::try_from(free).ok().map(|free| (row, free))
    }
}
