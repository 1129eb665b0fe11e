//! Best-fit decreasing in linear time: lengths are small integers, so both the sorting and the search
//! for the fullest row that still has room go through tables indexed by length.

use super::{Rows, Slice};

/// Packs fragments (each at most `seq_len` long) into rows.
pub(super) fn pack(order: &[u32], length: impl Fn(u32) -> u32, seq_len: u32) -> Rows {
    let mut row_of = vec![0u32; order.len()];
    let mut open = OpenRows::new(seq_len);
    let mut rows = 0u32;
    for position in longest_first(order, &length, seq_len) {
        let length = length(order[position as usize]);
        let (row, free) = open.take(length).unwrap_or_else(|| {
            rows += 1;
            (rows - 1, seq_len)
        });
        open.put(row, free - length);
        row_of[position as usize] = row;
    }
    in_order_of_first(order, length, &row_of, rows as usize)
}

/// Positions in `order`, by falling length, equal ones in order (a counting sort).
fn longest_first(order: &[u32], length: impl Fn(u32) -> u32, seq_len: u32) -> Vec<u32> {
    let mut starts = vec![0usize; seq_len as usize + 2];
    for &fragment in order {
        starts[(seq_len - length(fragment)) as usize + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    let mut sorted = vec![0u32; order.len()];
    for (position, &fragment) in (0u32..).zip(order) {
        let slot = &mut starts[(seq_len - length(fragment)) as usize];
        sorted[*slot] = position;
        *slot += 1;
    }
    sorted
}

/// Numbers rows by the first fragment they hold, and lists their fragments in order: the rows then
/// follow the corpus, or the shuffle, as far as packing lets them.
fn in_order_of_first(order: &[u32], length: impl Fn(u32) -> u32, row_of: &[u32], rows: usize) -> Rows {
    let mut number = vec![u32::MAX; rows];
    let mut ends: Vec<usize> = Vec::with_capacity(rows);
    for &row in row_of {
        let number = &mut number[row as usize];
        if *number == u32::MAX {
            *number = u32::try_from(ends.len()).unwrap_or(u32::MAX);
            ends.push(0);
        }
        ends[*number as usize] += 1;
    }
    let mut next = Vec::with_capacity(rows);
    let mut sum = 0;
    for end in &mut ends {
        next.push(sum);
        sum += *end;
        *end = sum;
    }
    let mut slices = vec![Slice { fragment: 0, start: 0, length: 0 }; order.len()];
    for (&fragment, &row) in order.iter().zip(row_of) {
        let slot = &mut next[number[row as usize] as usize];
        slices[*slot] = Slice { fragment, start: 0, length: length(fragment) };
        *slot += 1;
    }
    Rows { slices, ends }
}

/// The rows that still have room, by how much.
struct OpenRows {
    by_free: Vec<Vec<u32>>,
    /// A bit for each entry of `by_free` that is not empty.
    any: Vec<u64>,
}

impl OpenRows {
    fn new(seq_len: u32) -> Self {
        let sizes = seq_len as usize + 1;
        Self { by_free: vec![Vec::new(); sizes], any: vec![0; sizes.div_ceil(64)] }
    }

    fn put(&mut self, row: u32, free: u32) {
        if free > 0 {
            self.by_free[free as usize].push(row);
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
        let rows = &mut self.by_free[free];
        let row = rows.pop()?;
        if rows.is_empty() {
            self.any[word] &= !(1 << (free % 64));
        }
        u32::try_from(free).ok().map(|free| (row, free))
    }
}
