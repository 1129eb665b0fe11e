//! The merges of many symbols at once.
//!
//! The lowest rank is taken with all its places, from left to right. That is a sweep over memory where a heap of places
//! would jump, and linear in the symbols as long as the ranks that occur are few beside them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::pairs::{NONE, Pairs};

/// Places for which space is kept from piece to piece: windows are hardly ever so large.
pub(super) const KEEP: usize = 1 << 16;

/// Symbols in one list, linked to the neighbours that are left, and the places of every rank in a list of their own.
///
/// Kept from piece to piece; the lists by rank are empty in between.
#[derive(Default)]
pub(super) struct Sweep {
    ranks: Vec<u32>,
    previous: Vec<u32>,
    next: Vec<u32>,
    /// By rank: its list among `places`, plus one.
    list_of: Vec<u32>,
    places: Vec<Vec<u32>>,
    unused: Vec<u32>,
    waiting: BinaryHeap<Reverse<u32>>,
}

impl Sweep {
    /// Merges `symbols` until no neighbours merge any more. Each that is left stands where it begins, and [`NONE`] where
    /// others were.
    pub(super) fn merge(&mut self, pairs: &Pairs, symbols: &mut [u32]) {
        if let Ok(count) = u32::try_from(symbols.len()) {
            // More than four billion symbols do not fit memory beside their text.
            self.begin(pairs, count);
            self.sweep(pairs, symbols);
            self.shrink();
        }
    }

    fn begin(&mut self, pairs: &Pairs, count: u32) {
        self.ranks.clear();
        self.ranks.resize(count as usize, NONE);
        self.previous.clear();
        self.previous.extend((0..count).map(|at| at.wrapping_sub(1)));
        self.next.clear();
        self.next.extend(1..=count);
        self.list_of.resize(pairs.count(), 0);
    }

    /// One huge piece must not hold its memory for the rest of the session.
    fn shrink(&mut self) {
        if self.ranks.capacity() > KEEP {
            for vector in [&mut self.ranks, &mut self.previous, &mut self.next] {
                *vector = Vec::new();
            }
            self.places.clear();
            self.unused.clear();
        }
    }

    /// Notes the rank of the pair that begins at a place.
    fn note(&mut self, rank: u32, place: u32) {
        self.ranks[place as usize] = rank;
        if rank == NONE {
            return;
        }
        let mut list = self.list_of[rank as usize];
        if list == 0 {
            list = self.unused.pop().unwrap_or_else(|| {
                self.places.push(Vec::new());
                u32::try_from(self.places.len()).unwrap_or(NONE)
            });
            self.list_of[rank as usize] = list;
            self.waiting.push(Reverse(rank));
        }
        self.places[list as usize - 1].push(place);
    }

    fn sweep(&mut self, pairs: &Pairs, symbols: &mut [u32]) {
        let ranks = pairs.ranks();
        for (place, two) in (0..).zip(symbols.windows(2)) {
            self.note(ranks.rank(two[0], two[1]), place);
        }
        while let Some(Reverse(rank)) = self.waiting.pop() {
            let list = std::mem::take(&mut self.list_of[rank as usize]);
            let mut places = std::mem::take(&mut self.places[list as usize - 1]);
            if !places.is_sorted() {
                places.sort_unstable();
            }
            for (index, &place) in places.iter().enumerate() {
                // A pair that has changed since has another rank: what stands there only grows, so the
                // same rank never comes back.
                if self.ranks[place as usize] == rank && self.join(pairs, symbols, place) < rank {
                    // A lower rank has come up, and goes first.
                    for &place in &places[index + 1..] {
                        if self.ranks[place as usize] == rank {
                            self.note(rank, place);
                        }
                    }
                    break;
                }
            }
            places.clear();
            self.places[list as usize - 1] = places;
            self.unused.push(list);
        }
    }

    /// Merges the pair at a place; the lower rank of the two pairs that come of it.
    fn join(&mut self, pairs: &Pairs, symbols: &mut [u32], place: u32) -> u32 {
        let ranks = pairs.ranks();
        let at = place as usize;
        let right = self.next[at] as usize;
        let after = self.next[right];
        symbols[at] = pairs.result(self.ranks[at]);
        symbols[right] = NONE;
        self.ranks[right] = NONE;
        self.next[at] = after;
        let mut lowest = NONE;
        self.ranks[at] = NONE;
        if let Some(&next) = symbols.get(after as usize) {
            self.previous[after as usize] = place;
            lowest = ranks.rank(symbols[at], next);
            self.note(lowest, place);
        }
        let before = self.previous[at];
        if before != NONE {
            let rank = ranks.rank(symbols[before as usize], symbols[at]);
            lowest = lowest.min(rank);
            self.note(rank, before);
        }
        lowest
    }
}
