//! The merges of a long piece, part by part: between borders that no merge crosses.
//!
//! What is certain to merge is merged first, in symbols that stand side by side; among what is left, borders are where
//! nothing can be joined (see [`Borders`](super::super::borders::Borders)). What stands between two borders is merged for
//! itself, some borders further at a time, and many such rows in lockstep.

use super::super::certain::{EARLIEST, PAIRED, id_of};
use super::super::lanes::{InLanes, LANES, Lanes, in_lanes};
use super::super::pairs::NONE;
use super::lockstep::{MOST, Rows};
use super::{Rules, merge_rows};

/// Symbols that are looked at together, so few that all that is noted of them stays near.
const SLAB: usize = 1024;
/// As many of the first slab, which may be for nothing.
const FIRST: usize = 128;
/// So many symbols, and those behind them, a border may depend on.
const BEHIND: usize = 3;
/// The most symbols of a row that ends at a border because a longer one would take longer.
const ROW: usize = 12;
/// Ids that are copied at once.
const TOGETHER: usize = 16;
/// Room for a slab, and for what is read and written together behind it.
const ROOM: usize = SLAB + 2 * LANES;

/// What it needs, kept from slab to slab.
#[derive(Default)]
pub(super) struct Parted {
    left: Left,
    /// Of rows among what is left: where each begins, and how many symbols it has.
    starts: Vec<u32>,
    counts: Vec<u8>,
}

impl Parted {
    /// Merges symbols from the front as far as there are borders, and says how many that are: none if what they begin with
    /// does not become `first`. Appends the ids.
    pub(super) fn merge(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        is_all: bool,
        first: Option<u32>,
        ids: &mut Vec<u32>,
    ) -> usize {
        let before = ids.len();
        let mut at = 0;
        while at < symbols.len() {
            let rest = &symbols[at..];
            let size = rest.len().min(if at == 0 { FIRST } else { SLAB });
            let passed = self.merge_slab(rules, &rest[..size], is_all && size == rest.len(), ids);
            if at == 0 && first.is_some_and(|first| ids.get(before) != Some(&first)) {
                ids.truncate(before);
                return 0;
            }
            if passed == 0 {
                break;
            }
            at += passed;
        }
        at
    }

    /// Merges a slab up to its last border, or its end if it is the last.
    #[allow(clippy::cast_possible_truncation)] // few
    fn merge_slab(&mut self, rules: Rules<'_>, symbols: &[u32], is_last: bool, ids: &mut Vec<u32>) -> usize {
        self.left.clear();
        in_lanes(Part { rules, symbols, left: &mut self.left });
        let stop = self.left.trim(symbols.len(), is_last);
        let mut at = 0;
        while at < stop {
            let ends = self.left.ends(at) & u64::MAX >> (MOST - (stop - at).min(MOST));
            let near = ends & ((1 << ROW) - 1);
            let length = match (near, ends) {
                (0, 0) => break, // none is near enough
                (0, _) => ends.trailing_zeros() as usize + 1,
                _ => (u64::BITS - near.leading_zeros()) as usize,
            };
            self.starts.push(at as u32);
            self.counts.push(length as u8);
            at += length;
        }
        self.merge_rows(rules, ids);
        self.left.starts[at] as usize
    }

    /// Merges the rows and appends their ids.
    fn merge_rows(&mut self, rules: Rules<'_>, ids: &mut Vec<u32>) {
        let Self { left: Left { ids: symbols, .. }, starts, counts } = self;
        merge_rows(rules, Rows { symbols, starts, counts, fresh: false });
        let mut at = ids.len();
        let more: usize = counts.iter().map(|count| usize::from(*count)).sum();
        ids.resize(at + more + TOGETHER, 0);
        for (start, count) in starts.iter().zip(&*counts) {
            let (start, count) = (*start as usize, usize::from(*count));
            // As many as most have at most are copied faster than as many as there are.
            let some = if count > TOGETHER { count } else { TOGETHER };
            ids[at..at + some].copy_from_slice(&symbols[start..start + some]);
            at += count;
        }
        ids.truncate(at);
        starts.clear();
        counts.clear();
    }
}

/// What certain merges leave of a slab.
struct Left {
    ids: Vec<u32>,
    /// Where in the slab they begin, and last of all where it ends.
    starts: Vec<u32>,
    count: usize,
    /// A bit for each: nothing joins it to the next.
    ends: Vec<u64>,
    /// Of all symbols, how early they merge with the next, the earliest before them, and behind.
    ranks: Vec<u32>,
    before: Vec<u32>,
    behind: Vec<u32>,
    symbols: Vec<u32>,
}

impl Default for Left {
    fn default() -> Self {
        let room = vec![0; ROOM];
        Self {
            ids: room.clone(),
            starts: room.clone(),
            count: 0,
            ends: vec![0; ROOM / 64 + 2],
            ranks: room.clone(),
            before: room.clone(),
            behind: room.clone(),
            symbols: room,
        }
    }
}

impl Left {
    fn clear(&mut self) {
        self.count = 0;
        self.ends.fill(0);
    }

    /// Leaves those ends that what stands behind the slab makes no difference to; where the last is.
    fn trim(&mut self, length: usize, is_last: bool) -> usize {
        let mut stop = self.count;
        if is_last {
            self.ends[(stop - 1) / 64] |= 1 << ((stop - 1) % 64);
            return stop;
        }
        while stop > 0 && (self.starts[stop] as usize + BEHIND > length || !self.ends_at(stop - 1)) {
            stop -= 1;
        }
        stop
    }

    fn ends_at(&self, at: usize) -> bool {
        self.ends[at / 64] >> (at % 64) & 1 != 0
    }

    /// The ends from here on.
    fn ends(&self, at: usize) -> u64 {
        let (word, bit) = (at / 64, at % 64);
        self.ends[word] >> bit | self.ends[word + 1] << 1 << (63 - bit)
    }
}

/// Finds what certain merges leave, and the borders.
struct Part<'p> {
    rules: Rules<'p>,
    symbols: &'p [u32],
    left: &'p mut Left,
}

/// The number of every lane.
const NUMBERS: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

#[inline(always)]
fn load<L: Lanes>(from: &[u32], at: usize) -> L {
    from[at..].first_chunk().map_or(L::splat(0), L::from_array)
}

#[inline(always)]
fn store<L: Lanes>(lanes: L, to: &mut [u32], at: usize) {
    to[at..at + LANES].copy_from_slice(&lanes.to_array());
}

impl InLanes for Part<'_> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // few
    fn run<L: Lanes>(self) {
        let Self { rules, symbols, left } = self;
        let Left { ids, starts, count, ends, ranks, before, behind, symbols: here } = left;
        here[..symbols.len()].copy_from_slice(symbols);
        here[symbols.len()..symbols.len() + LANES + 1].fill(NONE);
        for at in (0..=symbols.len()).step_by(LANES) {
            let [rank, earlier, later] = rules.certain.two_in_lanes::<L>(load(here, at), load(here, at + 1));
            store(rank, ranks, at);
            store(earlier, before, at + 1);
            store(later, behind, at);
        }
        before[0] = 0;
        let mut dropped = 0;
        for at in (0..symbols.len()).step_by(LANES) {
            let rank: L = load(ranks, at);
            let merges = L::both(load::<L>(before, at).below(rank), load::<L>(behind, at + 1).below(rank));
            let made = rules.pairs.results(rank.xor(L::splat(EARLIEST)), merges).or(L::splat(PAIRED));
            dropped |= L::bits(merges) << 1;
            let kept = !dropped & ((1 << LANES) - 1);
            store(L::select(merges, made, load(here, at)).compress(kept), ids, *count);
            store(L::small(at).add(L::from_array(&NUMBERS)).compress(kept), starts, *count);
            *count += kept.count_ones() as usize;
            dropped >>= LANES;
        }
        // What is no symbol any more is none.
        while *count > 0 && starts[*count - 1] as usize >= symbols.len() {
            *count -= 1;
        }
        starts[*count] = symbols.len() as u32;
        ids[*count..*count + LANES].fill(NONE);
        for at in (0..*count).step_by(LANES) {
            let this: L = load(ids, at);
            let parts = rules.borders.part_in_lanes(this, load(ids, at + 1));
            ends[at / 64] |= u64::from(L::bits(parts)) << (at % 64);
            store(this.and(L::splat(id_of(u32::MAX))), ids, at);
        }
    }
}
