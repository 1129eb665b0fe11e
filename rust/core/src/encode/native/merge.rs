//! The merges themselves: the lowest rank first, the leftmost of equals first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::pairs::{NONE, Pairs, Ranks};

/// Up to this many symbols a scan for the lowest rank is faster than a heap.
const FEW: usize = 64;
/// Bits for a place among the few.
const PLACE_BITS: u32 = 6;
/// The places that a scan goes over at once.
const LANES: usize = 16;

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
        if symbols.len() <= LANES {
            merge_few::<LANES>(pairs, symbols);
        } else if symbols.len() <= FEW {
            merge_few::<FEW>(pairs, symbols);
        } else {
            self.merge_many(pairs, symbols);
            self.shrink();
        }
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
        self.previous
            .extend((0..count).map(|at| at.wrapping_sub(1)));
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

/// The rank of a pair and its place in one number: the lowest is the one to merge.
#[inline]
fn ordered(ranks: Ranks, left: u32, right: u32, place: usize) -> u32 {
    let rank = ranks.rank(left, right);
    #[allow(clippy::cast_possible_truncation)] // a place among the few
    let place = place as u32;
    // No rank has its top bits set but NONE, which stays the greatest.
    if rank == NONE {
        NONE
    } else {
        rank << PLACE_BITS | place
    }
}

/// With a scan for the lowest rank after every merge.
#[allow(clippy::cast_possible_truncation)] // places among the few fit a byte
fn merge_few<const MOST: usize>(pairs: &Pairs, symbols: &mut Vec<u32>) {
    let ranks = pairs.ranks();
    let length = symbols.len().min(MOST);
    let mut ids = [0u32; MOST];
    let mut order = [NONE; MOST];
    // Neighbours that are left; place 0 has none before it, and `length` ends the chain.
    let mut next = [0u8; MOST];
    let mut previous = [0u8; MOST];
    ids[..length].copy_from_slice(&symbols[..length]);
    for at in 0..length {
        next[at] = at as u8 + 1;
        previous[at] = (at as u8).wrapping_sub(1);
    }
    for at in 0..length - 1 {
        order[at] = ordered(ranks, ids[at], ids[at + 1], at);
    }
    let lanes = length.div_ceil(LANES) * LANES;
    loop {
        let mut least = [NONE; LANES];
        for chunk in order[..lanes].chunks_exact(LANES) {
            for (least, &value) in least.iter_mut().zip(chunk) {
                *least = (*least).min(value);
            }
        }
        let lowest = least.iter().fold(NONE, |a, &b| a.min(b));
        if lowest == NONE {
            break;
        }
        let at = lowest as usize % FEW % MOST;
        let right = usize::from(next[at]) % MOST;
        let after = usize::from(next[right]);
        ids[at] = pairs.result(lowest >> PLACE_BITS);
        order[right] = NONE;
        next[at] = after as u8;
        order[at] = if after < length {
            previous[after] = at as u8;
            ordered(ranks, ids[at], ids[after], at)
        } else {
            NONE
        };
        if at > 0 {
            let before = usize::from(previous[at]) % MOST;
            order[before] = ordered(ranks, ids[before], ids[at], before);
        }
    }
    symbols.clear();
    let mut at = 0;
    while at < length {
        symbols.push(ids[at]);
        at = usize::from(next[at]);
    }
}
