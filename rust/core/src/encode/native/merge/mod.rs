//! The merges: the lowest rank first, the leftmost of equals first.

mod few;
mod lockstep;
mod sweep;
mod windows;

use super::certain::Certain;
use super::lanes::{LANES, in_lanes};
use super::pairs::Pairs;
use few::{FEW, merge_few};
use lockstep::MergeRows;
pub(super) use lockstep::{MOST, PLACE_BITS, Row};
use windows::Windows;

/// Merges symbols, and keeps what it needs for that from piece to piece.
#[derive(Default)]
pub(super) struct Merger {
    /// To be filled with the symbols of a piece.
    pub(super) symbols: Vec<u32>,
    windows: Windows,
}

impl Merger {
    /// Merges the symbols until no neighbours merge any more, and appends the ids that are left.
    pub(super) fn merge(&mut self, pairs: &Pairs, ids: &mut Vec<u32>) {
        if self.symbols.len() <= FEW {
            merge_few(pairs, &self.symbols, |_, id| ids.push(id));
        } else {
            self.windows.merge(pairs, &self.symbols, ids);
        }
    }

    /// One huge piece must not hold its memory for the rest of the session.
    pub(super) fn shrink_to(&mut self, symbols: usize) {
        self.symbols.shrink_to(symbols);
    }
}

/// Rows below which lanes would be empty for the most part.
const WORTH: usize = 4;

/// Merges the symbols of rows, as they stand. `counts`: how many each has, before and after; `order`: the rows that are to be
/// merged, those of most symbols first.
pub(super) fn merge_rows(
    pairs: &Pairs,
    certain: &Certain,
    rows: &mut [Row],
    order: &[u8],
    counts: &mut [u8],
) {
    for numbers in order.chunks(LANES) {
        if numbers.len() >= WORTH && in_lanes(MergeRows { pairs, certain, rows, counts, numbers }) {
            continue;
        }
        for number in numbers {
            let (row, count) = (&mut rows[usize::from(*number)], &mut counts[usize::from(*number)]);
            let mut symbols = *row;
            let symbols = certain.merge(&mut symbols[..usize::from(*count)]);
            *count = 0;
            merge_few(pairs, symbols, |_, id| {
                row[usize::from(*count)] = id;
                *count += 1;
            });
        }
    }
}
