//! The merges themselves: the lowest rank first, the leftmost of equals first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::certain::{Certain, id_of};
use super::pairs::{NONE, Pairs};

/// Up to this many symbols a scan for the lowest rank is faster than a heap.
const FEW: usize = 64;
/// Places for which space is kept from piece to piece.
const KEEP: usize = 1 << 16;
/// The places that a scan compares at once. (Scalars: vectors that are read where single places have just been written wait
/// for these.)
const LANES: usize = 4;

/// Beyond the few: symbols in one list, linked to the neighbours that are left, and the places of every
/// rank in a list of their own.
///
/// The lowest rank is taken with all its places, from left to right. That is a sweep over memory where a
/// heap of places would jump, and linear in the symbols as long as the ranks that occur are few beside
/// them, as they are in the runs and repetitions that make long pieces.
///
/// Kept from piece to piece; the lists by rank are empty in between.
#[derive(Default)]
pub(super) struct Merger {
    ranks: Vec<u32>,
    previous: Vec<u32>,
    next: Vec<u32>,
    /// By rank: its list among `places`, plus one.
    list_of: Vec<u32>,
    places: Vec<Vec<u32>>,
    unused: Vec<u32>,
    waiting: BinaryHeap<Reverse<u32>>,
}

impl Merger {
    /// Merges `symbols` until no neighbours merge any more; they become ids.
    pub(super) fn merge(&mut self, pairs: &Pairs, certain: &Certain, symbols: &mut Vec<u32>) {
        match symbols.len() {
            2..=8 => return merge_few::<8>(pairs, certain, symbols),
            9..=16 => return merge_few::<16>(pairs, certain, symbols),
            17..=FEW => return merge_few::<FEW>(pairs, certain, symbols),
            _ => {}
        }
        for symbol in symbols.iter_mut() {
            *symbol = id_of(*symbol);
        }
        if symbols.len() < 2 {
            return;
        }
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

    fn sweep(&mut self, pairs: &Pairs, symbols: &mut Vec<u32>) {
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
        symbols.retain(|&symbol| symbol != NONE);
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

/// The rank of a pair and its place in one number: the lowest is the one to merge.
#[inline]
fn ordered(rank: u32, place: usize) -> u64 {
    u64::from(rank) << 32 | place as u64
}

/// With a scan for the lowest rank after every merge.
#[allow(clippy::cast_possible_truncation)] // places among the few fit a byte
fn merge_few<const MOST: usize>(pairs: &Pairs, certain: &Certain, symbols: &mut Vec<u32>) {
    let ranks = pairs.ranks();
    let length = symbols.len().min(MOST);
    let mut ids = [0u32; MOST];
    let mut order = [u64::MAX; MOST];
    // Neighbours that are left; place 0 has none before it, and `length` ends the chain.
    let mut next = [0u8; MOST];
    let mut previous = [0u8; MOST];
    for at in 0..length {
        ids[at] = id_of(symbols[at]);
        next[at] = at as u8 + 1;
        previous[at] = (at as u8).wrapping_sub(1);
    }
    for at in 0..length - 1 {
        let known = certain.rank(symbols[at], symbols[at + 1]);
        order[at] = ordered(known.unwrap_or_else(|| ranks.rank(ids[at], ids[at + 1])), at);
    }
    let lanes = length.div_ceil(LANES) * LANES;
    loop {
        let mut least = [u64::MAX; LANES];
        for chunk in order[..lanes].chunks_exact(LANES) {
            for (least, &value) in least.iter_mut().zip(chunk) {
                *least = (*least).min(value);
            }
        }
        let lowest = least[0].min(least[1]).min(least[2].min(least[3]));
        let rank = (lowest >> 32) as u32;
        if rank == NONE {
            break;
        }
        let at = lowest as usize % MOST;
        let right = usize::from(next[at]) % MOST;
        let after = usize::from(next[right]);
        ids[at] = pairs.result(rank);
        order[right] = u64::MAX;
        next[at] = after as u8;
        order[at] = if after < length {
            previous[after] = at as u8;
            ordered(ranks.rank(ids[at], ids[after]), at)
        } else {
            u64::MAX
        };
        if at > 0 {
            let before = usize::from(previous[at]) % MOST;
            order[before] = ordered(ranks.rank(ids[before], ids[at]), before);
        }
    }
    symbols.clear();
    let mut at = 0;
    while at < length {
        symbols.push(ids[at]);
        at = usize::from(next[at]);
    }
}
