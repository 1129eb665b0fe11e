//! The merges: the lowest rank first, the leftmost of equals first.

mod few;
mod sweep;
mod windows;

use super::pairs::Pairs;
use few::{FEW, merge_few};
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
