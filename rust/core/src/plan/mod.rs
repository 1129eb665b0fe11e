//! **plan**: which fragment goes where, from lengths alone.
//!
//! A pure function: the same lengths, settings and seed give the same plan for any number of threads.

mod best_fit;
mod order;

use serde::{Deserialize, Serialize};

pub use order::{DocumentOrder, Order};

/// How documents share rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// Each fragment goes into the fullest row that still holds it, longest first (best-fit decreasing).
    BestFit,
    /// A fragment that does not fit the row begun opens the next one (next-fit).
    InOrder,
    /// Documents run on and are cut at row ends; only the last row is padded.
    Concat,
}

/// A fragment, or a part of it, in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Index of the fragment.
    pub fragment: u32,
    /// Its first token here.
    pub start: u32,
    /// How many.
    pub length: u32,
}

/// The plan: for each row its slices, which stand in it one after the other from its first column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The slices of all rows.
    pub slices: Vec<Slice>,
    /// For each row, the end of its slices.
    pub ends: Vec<usize>,
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

    /// Index of a row's first slice.
    #[must_use]
    pub fn first_slice(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// Packs fragments into rows of `seq_len` tokens.
///
/// `order` lists fragments, `length` gives their lengths: at least 1, and at most `seq_len` unless they
/// run on. Rows, and the slices in a row, follow `order` by their first fragment.
pub fn pack(packing: Packing, order: &[u32], length: impl Fn(u32) -> u32, seq_len: u32) -> Rows {
    match packing {
        Packing::BestFit => best_fit::pack(order, length, seq_len),
        Packing::InOrder => in_order(order, length, seq_len),
        Packing::Concat => concat(order, length, seq_len),
    }
}

fn in_order(order: &[u32], length: impl Fn(u32) -> u32, seq_len: u32) -> Rows {
    let mut rows = Rows { slices: Vec::with_capacity(order.len()), ends: Vec::new() };
    let mut free = seq_len;
    for &fragment in order {
        let length = length(fragment);
        if length > free {
            rows.ends.push(rows.slices.len());
            free = seq_len;
        }
        free -= length;
        rows.slices.push(Slice { fragment, start: 0, length });
    }
    if !rows.slices.is_empty() {
        rows.ends.push(rows.slices.len());
    }
    rows
}

fn concat(order: &[u32], length: impl Fn(u32) -> u32, seq_len: u32) -> Rows {
    let mut rows = Rows { slices: Vec::with_capacity(order.len()), ends: Vec::new() };
    let mut free = seq_len;
    for &fragment in order {
        let (mut start, end) = (0, length(fragment));
        while start < end {
            let length = free.min(end - start);
            rows.slices.push(Slice { fragment, start, length });
            start += length;
            free -= length;
            if free == 0 {
                rows.ends.push(rows.slices.len());
                free = seq_len;
            }
        }
    }
    if free < seq_len {
        rows.ends.push(rows.slices.len());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_of(rows: &Rows) -> Vec<Vec<Slice>> {
        (0..rows.len()).map(|row| rows.slices[rows.first_slice(row)..rows.ends[row]].to_vec()).collect()
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

    proptest! {
        #[test]
        fn every_token_is_in_exactly_one_place(
            lengths in prop::collection::vec(1u32..=64, 0..200),
            seed: u64,
        ) {
            let seq_len = 64;
            let mut order: Vec<u32> = (0u32..).take(lengths.len()).collect();
            order.sort_by_key(|i| u64::from(*i).wrapping_mul(seed | 1));
            let position = |fragment: u32| order.iter().position(|f| *f == fragment);
            for packing in [Packing::BestFit, Packing::InOrder, Packing::Concat] {
                let plan = pack(packing, &order, |i| lengths[i as usize], seq_len);
                let rows = rows_of(&plan);
                let mut seen = vec![0; lengths.len()];
                for row in &rows {
                    prop_assert!(!row.is_empty());
                    prop_assert!(row.iter().map(|slice| slice.length).sum::<u32>() <= seq_len);
                    prop_assert!(row.is_sorted_by_key(|slice| position(slice.fragment)));
                    for slice in row {
                        prop_assert_eq!(slice.start, seen[slice.fragment as usize]);
                        seen[slice.fragment as usize] += slice.length;
                        if packing != Packing::Concat {
                            prop_assert_eq!(slice.length, lengths[slice.fragment as usize]);
                        }
                    }
                }
                prop_assert_eq!(&seen, &lengths);
                prop_assert!(rows.is_sorted_by_key(|row| position(row[0].fragment)));
                match packing {
                    Packing::BestFit => {
                        prop_assert_eq!(rows.len(), naive_best_fit_row_count(&lengths, seq_len));
                    }
                    Packing::Concat => {
                        let total: u32 = lengths.iter().sum();
                        prop_assert_eq!(rows.len(), total.div_ceil(seq_len) as usize);
                    }
                    Packing::InOrder => {
                        let flat: Vec<u32> = rows.concat().iter().map(|slice| slice.fragment).collect();
                        prop_assert_eq!(flat, order.clone());
                    }
                }
            }
        }
    }
}
