//! What certain merges leave of a slab of symbols, and the borders in it
//! (see [`Neighbours`](super::super::neighbours::Neighbours)). In lanes even where the processor has none: to have borders
//! is worth it (measured: see `benches/encoder-log.md`).

use std::ops::Range;

use super::super::certain::{EARLIEST, early_in_lanes, id_of, made_in_lanes};
use super::super::lanes::{InLanes, LANES, Lanes, in_wide_lanes};
use super::super::neighbours::Joined;
use super::super::pairs::NONE;
use super::Rules;
use super::lockstep::PLACE_BITS;

/// The most symbols: all that is noted of them stays in the second cache, and what is merged again at the end is an eighth.
pub(super) const SLAB: usize = 4096;
/// Room for a slab, and for what is read and written together behind it.
pub(super) const ROOM: usize = SLAB + (AT_ONCE + 1) * LANES;
/// So many times as many pairs as there are lanes are looked up together.
const AT_ONCE: usize = 4;
/// A border depends on as many symbols behind it: two that one round has made of two each, which merge or not in the second by
/// what comes behind, two again, which have merged in the first by what comes behind.
const BEHIND: usize = 7;
/// A second round is worth it where fewer than one symbol in so many has a border behind it.
const FAR: usize = 6;
/// So many slabs are left to one round after one in which the second has neither found enough borders nor merged one symbol in
/// [`LITTLE`], of so many that it is not by chance.
const ONE_ROUND: u32 = 15;
const LITTLE: usize = 8;
const MANY: usize = 64;
/// Bits in a word.
pub(super) const WORD: usize = 64;

/// Symbols that stand side by side, worked on sixteen at a time. It takes no memory before it is filled: most sessions meet no long
/// piece.
#[derive(Default)]
pub(super) struct Slab {
    /// The ids that are left.
    pub(super) ids: Vec<u32>,
    /// Where each begins in symbols, and last of all where the slab ends.
    starts: Vec<u32>,
    count: usize,
    /// A bit for each that is left: nothing joins it to the next.
    ends: Vec<u64>,
    /// By symbol, how early it merges with the next; the earliest at which something takes it with what is before it; and with
    /// what is behind it.
    ranks: Vec<u32>,
    before: Vec<u32>,
    behind: Vec<u32>,
    /// So many slabs have one round only.
    one_round: u32,
}

impl Slab {
    /// Merges in symbols, at most [`SLAB`], what is certain to merge, and finds the borders; says how much of what is left
    /// stands before the last border, or before the end if nothing comes behind them: all as if nothing stood before them.
    pub(super) fn fill(&mut self, rules: Rules<'_>, symbols: &[u32], is_last: bool) -> usize {
        let Self { ids, starts, ends, ranks, before, behind, .. } = self;
        for row in [ids, starts, ranks, before, behind] {
            row.resize(ROOM, 0);
        }
        ends.resize(ROOM / WORD + 2, 0);
        in_wide_lanes(Fill { rules, symbols, slab: self });
        let mut stop = self.count;
        if is_last {
            self.ends[(stop - 1) / WORD] |= 1 << ((stop - 1) % WORD);
            return stop;
        }
        let is_end = |slab: &Self, at: usize| slab.ends[at / WORD] >> (at % WORD) & 1 != 0;
        while stop > 0 && (self.start(stop) + BEHIND > symbols.len() || !is_end(self, stop - 1)) {
            stop -= 1;
        }
        stop
    }

    /// A bit for what is left from here on, [`WORD`] of them: whether a border is behind it.
    pub(super) fn ends(&self, at: usize) -> u64 {
        let (word, bit) = (at / WORD, at % WORD);
        self.ends[word] >> bit | self.ends[word + 1] << 1 << (WORD - 1 - bit)
    }

    /// Behind the first border from here on.
    pub(super) fn end(&self, at: usize) -> usize {
        let mut at = at;
        while self.ends(at) == 0 {
            at += WORD;
        }
        at + self.ends(at).trailing_zeros() as usize + 1
    }

    /// How many are left.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Before which symbol each of some that are left begins, and what is behind them.
    pub(super) fn starts(&self, of: Range<usize>) -> &[u32] {
        &self.starts[of.start..=of.end]
    }

    /// Before which symbol something that is left begins.
    pub(super) fn start(&self, at: usize) -> usize {
        self.starts[at] as usize
    }
}

/// Fills a slab.
struct Fill<'f> {
    rules: Rules<'f>,
    symbols: &'f [u32],
    slab: &'f mut Slab,
}

#[inline(always)]
pub(super) fn load<L: Lanes>(from: &[u32], at: usize) -> L {
    // They are as many, so the other array is never made.
    L::from_array(from[at..at + LANES].first_chunk().unwrap_or(&[0; LANES]))
}

#[inline(always)]
pub(super) fn store<L: Lanes>(lanes: L, to: &mut [u32], at: usize) {
    to[at..at + LANES].copy_from_slice(&lanes.to_array());
}

/// Of lanes of which some merge with the next, bits for those that are left. What follows one that merges is the other half of
/// it, and is dropped; `dropped` says so of the first lane, and then of the one behind these.
#[inline(always)]
fn kept(merges: u32, dropped: &mut u32) -> u32 {
    let all = *dropped | merges << 1;
    *dropped = all >> LANES;
    !all & ((1 << LANES) - 1)
}

impl InLanes for Fill<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { rules, symbols: all, slab } = self;
        let length = all.len().min(SLAB);
        slab.ids[..length].copy_from_slice(&all[..length]);
        slab.ids[length..=length + LANES].fill(NONE);
        for (at, start) in (0..).zip(&mut slab.starts) {
            *start = at;
        }
        slab.count = length;
        for at in (0..=length).step_by(LANES) {
            let (here, next) = (load::<L>(&slab.ids, at), load(&slab.ids, at + 1));
            slab.note(at, rules.certain.two_in_lanes(here, next));
        }
        slab.merge::<L>(rules);
        let are_far = |ends: usize, count: usize| ends * FAR < count;
        if are_far(slab.find_ends::<L>(&rules.neighbours.once), slab.count) {
            if slab.one_round > 0 {
                slab.one_round -= 1;
                return;
            }
            let before = slab.count;
            slab.ids[slab.count..=slab.count + AT_ONCE * LANES].fill(NONE);
            for first in (0..=slab.count).step_by(AT_ONCE * LANES) {
                let (mut here, mut next) = ([L::splat(NONE); AT_ONCE], [L::splat(NONE); AT_ONCE]);
                for n in 0..AT_ONCE {
                    let at = first + n * LANES;
                    (here[n], next[n]) = (load(&slab.ids, at), load(&slab.ids, at + 1));
                }
                let ranks = rules.pairs.ranks().in_lanes(&here, &next);
                for n in 0..AT_ONCE {
                    let early = early_in_lanes(ranks[n].shr::<PLACE_BITS>());
                    let [before, behind] = rules.neighbours.feared.two_in_lanes(here[n], next[n]);
                    // Of some it is known that they are never certain to merge.
                    let early = L::select(before.below(L::splat(EARLIEST)), early, L::splat(0));
                    slab.note(first + n * LANES, [early, before, behind]);
                }
            }
            slab.merge::<L>(rules);
            let ends = slab.find_ends::<L>(&rules.neighbours.twice);
            let merged = before - slab.count;
            if length >= MANY && are_far(ends, slab.count) && merged * LITTLE < before {
                slab.one_round = ONE_ROUND;
            }
        }
    }
}

impl Slab {
    /// Notes what is known of neighbours.
    #[inline(always)]
    fn note<L: Lanes>(&mut self, at: usize, [rank, before, behind]: [L; 3]) {
        store(rank, &mut self.ranks, at);
        store(before, &mut self.before, at + 1);
        store(behind, &mut self.behind, at);
    }

    /// Merges what is certain to.
    #[inline(always)]
    fn merge<L: Lanes>(&mut self, rules: Rules<'_>) {
        let Self { ids, starts, count: length, ranks, before, behind, .. } = self;
        before[0] = 0;
        let end = starts[*length];
        let (mut count, mut dropped) = (0, 0);
        for at in (0..*length).step_by(LANES) {
            let rank: L = load(ranks, at);
            let merges = L::both(load::<L>(before, at).below(rank), load::<L>(behind, at + 1).below(rank));
            let made = made_in_lanes(rules.pairs, rank, merges);
            let kept = kept(L::bits(merges), &mut dropped);
            let (id, start) = (load::<L>(ids, at), load::<L>(starts, at));
            let id = L::select(merges, made, id.and(L::splat(id_of(u32::MAX))));
            store(id.compress(kept), ids, count);
            store(start.compress(kept), starts, count);
            count += kept.count_ones() as usize;
        }
        // Lanes behind the last symbol are none.
        while count > 0 && starts[count - 1] >= end {
            count -= 1;
        }
        ids[count..=count + LANES].fill(NONE);
        starts[count..=count + LANES].fill(end);
        *length = count;
    }

    /// Finds the borders, and says how many there are.
    #[inline(always)]
    fn find_ends<L: Lanes>(&mut self, joined: &Joined) -> usize {
        let Self { ids, ends, count, .. } = self;
        ends.fill(0);
        for at in (0..*count).step_by(LANES) {
            let parts = joined.part_in_lanes::<L>(load(ids, at), load(ids, at + 1));
            ends[at / WORD] |= u64::from(L::bits(parts)) << (at % WORD);
        }
        // Behind the last symbol nothing is.
        let last = *count - 1;
        ends[last / WORD] &= (1 << (last % WORD)) - 1;
        ends[last / WORD + 1] = 0;
        ends.iter().map(|ends| ends.count_ones() as usize).sum()
    }
}
