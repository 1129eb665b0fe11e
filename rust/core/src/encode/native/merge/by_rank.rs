//! The merges of some hundred symbols, rank by rank: all places of the lowest at once, sixteen symbols side by side.
//!
//! Where few kinds of letters stand at random, as spaces and line breaks may, there are tokens of any that can stand
//! together: nothing has a border, and most of them merge. But then few ranks occur, each in many places, and a pass over what
//! is left for every rank costs little.
//!
//! What a rank makes hardly ever merges at a lower one; then its places do not wait for each other, and only where they
//! overlap does the left one go first. Else one is joined at a time.

use super::super::lanes::{InLanes, LANES, Lanes, in_wide_lanes};
use super::super::pairs::NONE;
use super::Rules;
use super::lockstep::{NO_MERGE, PLACE_BITS};
use super::slab::{ROOM, kept, load, store};
use super::windows::Token;

/// Symbols that stand side by side, kept from time to time; it takes no memory before it is used.
#[derive(Default)]
pub(super) struct ByRank {
    count: usize,
    ids: Vec<u32>,
    /// Where each begins, and behind the last the end.
    starts: Vec<u32>,
    /// The rank at which each and the next merge, above free bits.
    order: Vec<u32>,
}

impl ByRank {
    /// Merges at most [`SLAB`](super::slab::SLAB) symbols of which it is known where they begin, and where the last ends,
    /// until no neighbours merge any more.
    pub(super) fn merge(&mut self, rules: Rules<'_>, ids: &[u32], starts: &[u32]) {
        for row in [&mut self.ids, &mut self.starts, &mut self.order] {
            row.resize(ROOM, 0);
        }
        self.count = ids.len();
        self.ids[..ids.len()].copy_from_slice(ids);
        self.starts[..starts.len()].copy_from_slice(starts);
        self.end();
        in_wide_lanes(Merge { rules, all: self });
        let end = starts.last().copied().unwrap_or(0);
        self.starts[self.count] = end;
    }

    /// The ids that are left.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids[..self.count]
    }

    /// A token that is left.
    pub(super) fn token(&self, at: usize) -> Token {
        let [start, end] = [self.starts[at], self.starts[at + 1]].map(|start| start as usize);
        Token { id: self.ids[at], start, length: end - start }
    }

    /// How many tokens begin up to here.
    pub(super) fn begun(&self, end: usize) -> usize {
        self.starts[..self.count].partition_point(|start| *start as usize <= end)
    }

    /// Behind the last symbol nothing is.
    fn end(&mut self) {
        self.ids[self.count..=self.count + LANES].fill(NONE);
        self.order[self.count..=self.count + LANES].fill(NO_MERGE);
    }

    /// Joins the first place of a rank.
    fn join_first(&mut self, lowest: u32, made: u32) {
        let Self { count, ids, starts, order } = self;
        if let Some(at) = order[..*count].iter().position(|order| *order == lowest) {
            ids[at] = made;
            for row in [ids, starts, order] {
                row.copy_within(at + 2..*count, at + 1);
            }
            *count -= 1;
        }
        self.end();
    }

    /// Joins all places of a rank.
    #[inline(always)]
    fn join_all<L: Lanes>(&mut self, lowest: u32, made: u32) {
        let (lowest, made) = (L::splat(lowest), L::splat(made));
        let (mut count, mut dropped) = (0, 0);
        for at in (0..self.count).step_by(LANES) {
            let order: L = load(&self.order, at);
            let hits = order.equal(lowest);
            let joined = every_other(L::bits(hits) & !dropped);
            if joined | dropped == 0 && count == at {
                count += LANES; // nothing has moved yet
                continue;
            }
            let kept = kept(joined, &mut dropped);
            let ids = L::select(hits, made, load(&self.ids, at));
            store(ids.compress(kept), &mut self.ids, count);
            store(load::<L>(&self.starts, at).compress(kept), &mut self.starts, count);
            store(order.compress(kept), &mut self.order, count);
            count += kept.count_ones() as usize;
        }
        // Lanes behind the last symbol are none.
        self.count = count - (self.count.next_multiple_of(LANES) - self.count);
        self.end();
    }
}

/// Of bits side by side the first, third, ...
fn every_other(bits: u32) -> u32 {
    const EVEN: u32 = 0x5555_5555;
    let first = bits & !(bits << 1);
    // To add the first of a row takes all of the row.
    let from_even = bits & !bits.wrapping_add(first & EVEN);
    from_even & EVEN | bits & !from_even & !EVEN
}

/// Merges what is there.
struct Merge<'m> {
    rules: Rules<'m>,
    all: &'m mut ByRank,
}

impl InLanes for Merge<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rules: Rules { pairs, first_use, .. }, all } = self;
        // All pairs are looked up first, then those of what has been made.
        let mut made = None;
        loop {
            let mut least = L::splat(NO_MERGE);
            for at in (0..all.count).step_by(LANES) {
                let (here, next) = (load::<L>(&all.ids, at), load::<L>(&all.ids, at + 1));
                let is_new = |made| L::any(L::either(here.equal(made), next.equal(made)));
                let mut order: L = load(&all.order, at);
                if made.is_none_or(|made| is_new(L::splat(made))) {
                    [order] = pairs.ranks().in_lanes(&[here], &[next]);
                    store(order, &mut all.order, at);
                }
                least = least.min(order);
            }
            let lowest = least.to_array().into_iter().fold(NO_MERGE, u32::min);
            if lowest == NO_MERGE {
                return;
            }
            let rank = lowest >> PLACE_BITS;
            let id = pairs.result(rank);
            if first_use.get(id as usize).is_some_and(|used| *used < rank) {
                all.join_first(lowest, id);
            } else {
                all.join_all::<L>(lowest, id);
            }
            made = Some(id);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::super::slab::SLAB;
    use super::super::tests::Made;
    use super::super::windows::tests::{one_by_one, random_merges};
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    #[test]
    fn every_other_of_a_row_is_the_first_and_the_third() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for _ in 0..10_000 {
            let bits = u32::try_from(numbers.below(1 << LANES) | numbers.below(1 << LANES)).unwrap();
            let mut expected = 0;
            for bit in 0..LANES {
                expected |= (bits & !(expected << 1)) & 1 << bit;
            }
            assert_eq!(every_other(bits), expected, "{bits:b}");
        }
    }

    #[test]
    fn rank_by_rank_is_what_merging_one_by_one_gives() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        let (mut by_rank, mut overtaken) = (ByRank::default(), 0);
        for round in 0..3000 {
            let letters = 1 + numbers.below(6);
            let merges = random_merges(&mut numbers, letters);
            let made = Made::of(&merges);
            let most = if round % 10 == 0 { SLAB } else { 80 };
            let count = 1 + numbers.below(most);
            let symbols: Vec<u32> =
                (0..count).map(|_| u32::try_from(numbers.below(letters)).unwrap()).collect();
            // Each of some length.
            let mut end = 0;
            let starts: Vec<u32> = (0..=count)
                .map(|_| {
                    let next = end + 1 + u32::try_from(numbers.below(3)).unwrap();
                    std::mem::replace(&mut end, next)
                })
                .collect();
            let expected = one_by_one(&merges, &symbols);
            by_rank.merge(made.rules(), &symbols, &starts);
            assert_eq!(by_rank.ids(), expected, "{merges:?} {symbols:?}");
            let mut at = 0;
            for (number, id) in expected.iter().enumerate() {
                let length = made.length(&[*id]);
                let [start, end] = [at, at + length].map(|at| starts[at] as usize);
                assert_eq!(by_rank.begun(start), number + 1);
                let token = by_rank.token(number);
                assert!((token.id, token.start, token.length) == (*id, start, end - start));
                at += length;
            }
            overtaken += usize::from((0..).zip(&merges).any(|(rank, [_, _, id])| {
                made.rules().first_use.get(*id as usize).is_some_and(|used| *used < rank)
            }));
        }
        assert!(overtaken > 500, "{overtaken}");
    }
}
