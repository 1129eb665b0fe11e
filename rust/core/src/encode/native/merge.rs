//! The merges themselves: the lowest rank first, the leftmost of equals first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pairs::{NONE, Pairs};

/// Up to this many symbols a scan for the lowest rank is faster than a heap.
const FEW: usize = 48;

/// Scratch space for merging, reused from piece to piece.
#[derive(Default)]
pub(super) struct Merger {
    ranks: Vec<u32>,
    previous: Vec<u32>,
    next: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Merger {
    /// Merges `symbols` until no neighbours merge any more.
    pub(super) fn merge(&mut self, pairs: &Pairs, symbols: &mut Vec<u32>) {
        if symbols.len() < 2 {
            return;
        }
        if symbols.len() <= FEW {
            let mut buffer = [0; FEW];
            let length = symbols.len();
            buffer[..length].copy_from_slice(symbols);
            let left = merge_few(pairs, &mut buffer, length);
            symbols.truncate(left);
            symbols.copy_from_slice(&buffer[..left]);
        } else {
            self.merge_many(pairs, symbols);
        }
        self.shrink();
    }

    /// One huge piece must not hold its memory for the rest of the session.
    fn shrink(&mut self) {
        const KEEP: usize = 1 << 16;
        if self.ranks.capacity() > KEEP {
            *self = Self::default();
        }
    }

    /// With a heap and linked neighbours: n log n for n symbols.
    fn merge_many(&mut self, pairs: &Pairs, symbols: &mut Vec<u32>) {
        let ranks = pairs.ranks();
        let length = symbols.len();
        let Ok(count) = u32::try_from(length) else {
            return; // pieces of four billion symbols do not fit memory beside their text
        };
        self.ranks.clear();
        self.ranks.resize(length, NONE);
        self.previous.clear();
        self.previous.extend((0..count).map(|at| at.wrapping_sub(1)));
        self.next.clear();
        self.next.extend(1..=count);
        let mut heap = std::mem::take(&mut self.heap).into_vec();
        heap.clear();
        for at in 0..length - 1 {
            let rank = ranks.rank(symbols[at], symbols[at + 1]);
            self.ranks[at] = rank;
            if rank != NONE {
                heap.push(Reverse((rank, u32::try_from(at).unwrap_or(NONE))));
            }
        }
        // Built at once: linear, where pushing one by one is not.
        self.heap = BinaryHeap::from(heap);
        while let Some(Reverse((rank, position))) = self.heap.pop() {
            let at = position as usize;
            // An entry whose pair has changed since has another rank: the same two places can never
            // have the same rank again, for what stands there only grows.
            if self.ranks[at] != rank {
                continue;
            }
            let right = self.next[at] as usize;
            let after = self.next[right];
            symbols[at] = pairs.result(rank);
            symbols[right] = NONE;
            self.ranks[right] = NONE;
            self.next[at] = after;
            if after < count {
                self.previous[after as usize] = position;
                let rank = ranks.rank(symbols[at], symbols[after as usize]);
                self.ranks[at] = rank;
                if rank != NONE {
                    self.heap.push(Reverse((rank, position)));
                }
            } else {
                self.ranks[at] = NONE;
            }
            let before = self.previous[at];
            if before != NONE {
                let rank = ranks.rank(symbols[before as usize], symbols[at]);
                self.ranks[before as usize] = rank;
                if rank != NONE {
                    self.heap.push(Reverse((rank, before)));
                }
            }
        }
        symbols.retain(|&symbol| symbol != NONE);
    }
}

/// With a scan for the lowest rank after every merge.
fn merge_few(pairs: &Pairs, symbols: &mut [u32; FEW], mut length: usize) -> usize {
    let table = pairs.ranks();
    let mut ranks = [NONE; FEW];
    for at in 0..length - 1 {
        ranks[at] = table.rank(symbols[at], symbols[at + 1]);
    }
    loop {
        let mut lowest = NONE;
        let mut at = 0;
        for (index, &rank) in ranks[..length - 1].iter().enumerate() {
            if rank < lowest {
                lowest = rank;
                at = index;
            }
        }
        if lowest == NONE {
            return length;
        }
        symbols[at] = pairs.result(lowest);
        symbols.copy_within(at + 2..length, at + 1);
        ranks.copy_within(at + 1..length, at);
        length -= 1;
        if length == 1 {
            return 1;
        }
        ranks[at] = if at + 1 < length {
            table.rank(symbols[at], symbols[at + 1])
        } else {
            NONE
        };
        if at > 0 {
            ranks[at - 1] = table.rank(symbols[at - 1], symbols[at]);
        }
    }
}
