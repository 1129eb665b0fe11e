//! **plan**: what is drawn in which order, and which piece goes where, from lengths alone.
//!
//! Pure functions: the same lengths, settings and seed give the same plan for any number of threads.

mod best_fit;
mod draw;
mod portable;

use serde::{Deserialize, Serialize};

pub use draw::{Draws, Limit, Order, Sampler, Share, Target, times};

use crate::error::{Error, Result};

/// How documents share rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// Each piece goes into the fullest row that still holds it, longest first (best-fit decreasing).
    BestFit,
    /// A piece that does not fit the row begun opens the next one (next-fit).
    InOrder,
    /// The same, but every 256 pieces the row begun is closed: as Apollo's original script does.
    #[serde(rename = "groups-of-256")]
    Groups,
    /// Documents run on and are cut at row ends; only the last row is padded.
    Concat,
}

/// Pieces in a group of [`Packing::Groups`].
const GROUP: usize = 256;

/// A piece, or a part of it, in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Which of the pieces that were packed.
    pub piece: u32,
    /// Its first token here.
    pub start: u32,
    /// How many.
    pub length: u32,
}

/// The plan: for each row the pieces that stand in it, one after the other from its first column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The pieces of all rows, by their place in the order in which they came.
    pieces: Vec<u32>,
    /// For each row, the end of its pieces.
    ends: Vec<u32>,
    /// For each row, the token of its first piece with which it begins; empty where that is always 0.
    starts: Vec<u32>,
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many slices all rows have.
    #[must_use]
    pub fn slice_count(&self) -> usize {
        self.pieces.len()
    }

    /// Index of a row's first slice.
    #[must_use]
    pub fn first_slice(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    /// The slices of a row; `length` is that of a piece, `seq_len` that of a row.
    pub fn slices(
        &self,
        row: usize,
        seq_len: u32,
        length: impl Fn(u32) -> u32,
    ) -> impl Iterator<Item = Slice> {
        let mut start = self.starts.get(row).copied().unwrap_or(0);
        let mut free = seq_len;
        self.pieces[self.first_slice(row)..self.ends[row] as usize].iter().map(move |&piece| {
            let slice = Slice { piece, start, length: (length(piece) - start).min(free) };
            free -= slice.length;
            start = 0;
            slice
        })
    }

    fn close_row(&mut self) {
        // `pack` has made sure that there are not more.
        self.ends.push(u32::try_from(self.pieces.len()).unwrap_or(u32::MAX));
    }
}

/// Packs pieces into rows of `seq_len` tokens.
///
/// There are `count` pieces, in order, and `length` gives their lengths: at least 1, and at most `seq_len` unless
/// they run on. Rows, and the pieces in a row, follow the order by their first piece. Takes at most 12 bytes of
/// memory a piece beside the lengths, the result included.
///
/// # Errors
/// When there are more pieces than can be numbered.
pub fn pack(packing: Packing, count: usize, length: impl Fn(u32) -> u32, seq_len: u32) -> Result<Rows> {
    let numbers = u32::try_from(count).ok().filter(|count| *count < u32::MAX);
    let numbers = 0..numbers.ok_or_else(|| too_many(count as u64))?;
    match packing {
        Packing::BestFit => Ok(best_fit::pack(numbers, length, seq_len)),
        Packing::InOrder => Ok(in_order(numbers, length, seq_len, usize::MAX)),
        Packing::Groups => Ok(in_order(numbers, length, seq_len, GROUP)),
        Packing::Concat => concat(numbers, length, seq_len),
    }
}

/// More pieces than there are numbers for.
fn too_many(count: u64) -> Error {
    Error::Config(format!(
        "{count} documents and pieces are more than one file takes (4294967294); build it in parts, or longer rows"
    ))
}

fn in_order(pieces: std::ops::Range<u32>, length: impl Fn(u32) -> u32, seq_len: u32, group: usize) -> Rows {
    let mut rows = Rows { pieces: Vec::with_capacity(pieces.len()), ..Rows::default() };
    let mut free = seq_len;
    for piece in pieces {
        let length = length(piece);
        let new_group = rows.pieces.len().is_multiple_of(group) && !rows.pieces.is_empty();
        if length > free || new_group {
            rows.close_row();
            free = seq_len;
        }
        free -= length;
        rows.pieces.push(piece);
    }
    if !rows.pieces.is_empty() {
        rows.close_row();
    }
    rows
}

fn concat(pieces: std::ops::Range<u32>, length: impl Fn(u32) -> u32, seq_len: u32) -> Result<Rows> {
    let tokens: u64 = pieces.clone().map(|piece| u64::from(length(piece))).sum();
    let slices = pieces.len() as u64 + tokens / u64::from(seq_len);
    if slices >= u64::from(u32::MAX) {
        return Err(too_many(slices));
    }
    let mut rows = Rows { pieces: Vec::with_capacity(pieces.len()), ..Rows::default() };
    let mut free = seq_len;
    for piece in pieces {
        let (mut start, end) = (0, length(piece));
        while start < end {
            if free == seq_len {
                rows.starts.push(start);
            }
            let length = free.min(end - start);
            rows.pieces.push(piece);
            start += length;
            free -= length;
            if free == 0 {
                rows.close_row();
                free = seq_len;
            }
        }
    }
    if free < seq_len {
        rows.close_row();
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_of(rows: &Rows, seq_len: u32, lengths: &[u32]) -> Vec<Vec<Slice>> {
        (0..rows.len()).map(|row| rows.slices(row, seq_len, |i| lengths[i as usize]).collect()).collect()
    }

    /// The textbook: longest first, into the row that it fills most, the earliest opened of equals.
    fn naive_best_fit_row_count(lengths: &[u32], seq_len: u32) -> usize {
        let mut sorted = lengths.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let mut free: Vec<u32> = Vec::new();
        for length in sorted {
            match free.iter_mut().filter(|free| **free >= length).min() {
                Some(row) => *row -= length,
                None => free.push(seq_len - length),
            }
        }
        free.len()
    }

    /// The original's loop.
    fn naive_groups(lengths: &[u32], seq_len: u32) -> Vec<Vec<u32>> {
        let mut rows = Vec::new();
        for (group, lengths) in (0u32..).zip(lengths.chunks(GROUP)) {
            let (mut row, mut filled) = (Vec::new(), 0);
            for (piece, length) in (group * 256..).zip(lengths) {
                if filled + length > seq_len {
                    rows.push(std::mem::take(&mut row));
                    filled = 0;
                }
                row.push(piece);
                filled += length;
            }
            rows.push(row);
        }
        rows
    }

    proptest! {
        #[test]
        fn every_token_is_in_exactly_one_place(lengths in prop::collection::vec(1u32..=64, 0..600)) {
            let seq_len = 64;
            for packing in [Packing::BestFit, Packing::InOrder, Packing::Groups, Packing::Concat] {
                let plan = pack(packing, lengths.len(), |i| lengths[i as usize], seq_len);
                let Ok(plan) = plan else { panic!("refused") };
                let rows = rows_of(&plan, seq_len, &lengths);
                let mut seen = vec![0; lengths.len()];
                for row in &rows {
                    prop_assert!(!row.is_empty());
                    prop_assert!(row.iter().map(|slice| slice.length).sum::<u32>() <= seq_len);
                    prop_assert!(row.is_sorted_by_key(|slice| slice.piece));
                    for slice in row {
                        prop_assert_eq!(slice.start, seen[slice.piece as usize]);
                        seen[slice.piece as usize] += slice.length;
                        if packing != Packing::Concat {
                            prop_assert_eq!(slice.length, lengths[slice.piece as usize]);
                        }
                    }
                }
                prop_assert_eq!(&seen, &lengths);
                prop_assert!(rows.is_sorted_by_key(|row| row[0].piece));
                let flat = |row: &Vec<Slice>| row.iter().map(|slice| slice.piece).collect::<Vec<u32>>();
                match packing {
                    Packing::BestFit => {
                        prop_assert_eq!(rows.len(), naive_best_fit_row_count(&lengths, seq_len));
                    }
                    Packing::Concat => {
                        let total: u32 = lengths.iter().sum();
                        prop_assert_eq!(rows.len(), total.div_ceil(seq_len) as usize);
                    }
                    Packing::InOrder => {
                        prop_assert!(rows.iter().flat_map(flat).eq((0u32..).take(lengths.len())));
                    }
                    Packing::Groups => {
                        let found: Vec<Vec<u32>> = rows.iter().map(flat).collect();
                        prop_assert_eq!(found, naive_groups(&lengths, seq_len));
                    }
                }
            }
        }
    }
}
