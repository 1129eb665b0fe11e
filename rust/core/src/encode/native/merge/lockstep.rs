//! The merges of many short pieces at once, in lockstep: in each round the first of every piece.

use super::super::lanes::{InLanes, LANES, Lanes};
use super::super::pairs::{MAX_ID, NONE, Pairs};

/// The most symbols of a piece.
pub(in super::super) const MOST: usize = 64;

/// Bits that a place takes.
pub(in super::super) const PLACE_BITS: u32 = MOST.ilog2();
/// Above all ranks with their places, for which the low bits are free.
pub(super) const NO_MERGE: u32 = NONE << PLACE_BITS;

/// Places of which the pairs are looked up at once; what lies so many places behind a place always is one.
const AT_ONCE: usize = 4;
/// Places for pieces of up to half as many symbols as can be, which take less time to clear; and for all.
pub(super) const HALF: usize = MOST / 2 + AT_ONCE;
pub(super) const ALL: usize = MOST + AT_ONCE;

/// Rows of symbols among others.
pub(in super::super) struct Rows<'r> {
    pub(in super::super) symbols: &'r mut [u32],
    /// Where each begins.
    pub(in super::super) starts: &'r [u32],
    /// How many symbols each has, and ids once it is merged.
    pub(in super::super) counts: &'r mut [u8],
    /// What is certain to merge has not been merged.
    pub(in super::super) fresh: bool,
}

/// Merges the rows with these numbers, at most one for each lane.
pub(super) struct MergeRows<'m, 'r, const PLACES: usize> {
    pub(super) pairs: &'m Pairs,
    pub(super) rows: &'m mut Rows<'r>,
    /// Those of most symbols first.
    pub(super) numbers: &'m [u8],
}

impl<const PLACES: usize> InLanes for MergeRows<'_, '_, PLACES> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // there are few
    fn run<L: Lanes>(self) {
        let Self { pairs, rows, numbers } = self;
        let (mut symbols, longest) = rows.in_lanes::<L, PLACES>(numbers);
        let (left, _) = merge(pairs, &mut symbols, longest);
        // What is left of a row stands at its front.
        let (mut ids, mut kept, none) = ([[0; LANES]; PLACES], L::splat(0), L::splat(NONE));
        for (ids, symbol) in ids.iter_mut().zip(&symbols[..left]) {
            *ids = symbol.to_array();
            kept = kept.add(L::select(symbol.below(none), L::splat(1), L::splat(0)));
        }
        for ((lane, number), kept) in numbers.iter().enumerate().zip(kept.to_array()) {
            let number = usize::from(*number);
            let row = &mut rows.symbols[rows.starts[number] as usize..][..usize::from(rows.counts[number])];
            row.iter_mut().zip(&ids[..left]).for_each(|(place, ids)| *place = ids[lane]);
            rows.counts[number] = kept as u8;
        }
    }
}

impl Rows<'_> {
    /// The ids of rows with these numbers by place and lane, [`NONE`] behind them, and how many there are at most.
    #[inline(always)]
    fn in_lanes<L: Lanes, const PLACES: usize>(&self, numbers: &[u8]) -> ([L; PLACES], usize) {
        let (mut starts, mut ends, mut longest) = ([0; LANES], [0; LANES], 0);
        for ((start, end), number) in starts.iter_mut().zip(&mut ends).zip(numbers) {
            let count = self.counts[usize::from(*number)];
            (*start, *end) = (self.starts[usize::from(*number)], u32::from(count));
            longest = longest.max(usize::from(count));
        }
        let longest = longest.min(PLACES - AT_ONCE);
        let (starts, ends, none) = (L::from_array(&starts), L::from_array(&ends), L::splat(NONE));
        let mut symbols = [none; PLACES];
        for (place, symbol) in (0..).zip(&mut symbols[..longest]) {
            let place = L::splat(place);
            let present = place.below(ends);
            let here = L::gather(self.symbols, starts.add(place), present);
            *symbol = L::select(present, here.and(L::splat(MAX_ID)), none);
        }
        (symbols, longest)
    }
}

/// Finds at which rank the last merge of the rows with these numbers is made, at most one for each lane, where it leaves
/// one id alone; else [`NONE`].
pub(super) struct LastMerges<'m, 'r> {
    pub(super) pairs: &'m Pairs,
    pub(super) rows: &'m Rows<'r>,
    pub(super) numbers: &'m [u8],
    /// By row.
    pub(super) ranks: &'m mut [u32],
}

impl InLanes for LastMerges<'_, '_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (mut symbols, longest) = self.rows.in_lanes::<L, ALL>(self.numbers);
        let (_, last) = merge(self.pairs, &mut symbols, longest);
        let is_alone = symbols[1].equal(L::splat(NONE));
        let last = L::select(is_alone, last, L::splat(NO_MERGE));
        for (number, last) in self.numbers.iter().zip(last.to_array()) {
            self.ranks[usize::from(*number)] = if last < NO_MERGE { last >> PLACE_BITS } else { NONE };
        }
    }
}

/// Merges symbols by place and lane; how many there are at most before, and then; and where there are merges, the rank of the
/// last, above bits for its place.
#[inline(always)]
fn merge<L: Lanes, const PLACES: usize>(
    pairs: &Pairs,
    symbols: &mut [L; PLACES],
    mut longest: usize,
) -> (usize, L) {
    let ranks = pairs.ranks();
    let (none, no_merge) = (L::splat(NONE), L::splat(NO_MERGE));
    // By place, the rank at which a symbol and the next merge, above free bits for the place.
    let mut order = [no_merge; PLACES];
    for place in (0..longest.saturating_sub(1)).step_by(AT_ONCE) {
        let (mut left, mut right) = ([none; AT_ONCE], [none; AT_ONCE]);
        left.copy_from_slice(&symbols[place..place + AT_ONCE]);
        right.copy_from_slice(&symbols[place + 1..=place + AT_ONCE]);
        order[place..place + AT_ONCE].copy_from_slice(&ranks.in_lanes(&left, &right));
    }
    let mut last = no_merge;
    loop {
        let mut least = order[0];
        for (place, order) in order[..longest].iter().enumerate() {
            least = least.min(order.or(L::small(place)));
        }
        let merging = least.below(no_merge);
        if !L::any(merging) {
            return (longest, last);
        }
        last = L::select(merging, least, last);
        // Where nothing merges any more, beyond all places.
        let at = L::select(merging, least.and(L::small(MOST - 1)), L::splat(NONE >> 1));
        let made = pairs.results(least.shr::<PLACE_BITS>(), merging);
        let (mut before, mut behind) = (none, none);
        for place in 0..longest {
            let (here, this) = (at.equal(L::small(place)), symbols[place]);
            before = L::select(at.equal(L::small(place + 1)), this, before);
            behind = L::select(here, symbols[place + 2], behind);
            let moves = at.below(L::small(place));
            symbols[place] = L::select(here, made, L::select(moves, symbols[place + 1], this));
            order[place] = L::select(moves, order[place + 1], order[place]);
        }
        let [with_before, with_behind] = ranks.in_lanes(&[before, made], &[made, behind]);
        for place in 0..longest {
            let order = &mut order[place];
            *order = L::select(at.equal(L::small(place + 1)), with_before, *order);
            *order = L::select(at.equal(L::small(place)), with_behind, *order);
        }
        longest -= usize::from(!L::any(symbols[longest - 1].below(none)));
    }
}
