//! The merges: the lowest rank first, the leftmost of equals first.

mod few;
mod lockstep;
mod sweep;
mod windows;

use super::certain::Certain;
use super::lanes::in_lanes;
use super::pairs::{NONE, Pairs};
use few::{FEW, merge_few};
pub(super) use lockstep::{MOST, PLACE_BITS, Row};
use lockstep::{MergeRows, ROWS};
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

/// A row without symbols.
pub(super) const NO_SYMBOLS: Row = [NONE; MOST];
/// Rows below which lanes would be empty for the most part.
const WORTH: usize = 4;

/// Merges the symbols in rows, each followed by [`NONE`], as they stand. `order`: the rows, by how many symbols they have, the
/// most first; `count`: how many that are.
pub(super) fn merge_rows(
    pairs: &Pairs,
    certain: &Certain,
    rows: &mut [Row],
    order: &[u8],
    count: impl Fn(u8) -> usize,
) {
    for numbers in order.chunks(ROWS) {
        let longest = numbers.first().map_or(0, |number| count(*number));
        if numbers.len() >= WORTH && in_lanes(MergeRows { pairs, certain, rows, numbers, longest }) {
            continue;
        }
        for number in numbers {
            let row = &mut rows[usize::from(*number)];
            let mut symbols = *row;
            *row = NO_SYMBOLS;
            let mut places = row.iter_mut();
            let give = |_, id| places.next().into_iter().for_each(|place| *place = id);
            merge_few(pairs, certain.merge(&mut symbols[..count(*number)]), give);
        }
    }
}
