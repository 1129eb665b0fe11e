//! The merges of many short pieces at once, in lockstep: in each round the first of every piece.

use super::super::certain::Certain;
use super::super::lanes::{InLanes, LANES, Lanes};
use super::super::pairs::{NONE, Pairs};

/// The most symbols of a piece.
pub(in super::super) const MOST: usize = 32;

/// Symbols of a piece.
pub(in super::super) type Row = [u32; MOST];

/// Bits that a place takes.
pub(in super::super) const PLACE_BITS: u32 = MOST.ilog2();
/// Above all ranks with their places, for which the low bits are free.
const NO_MERGE: u32 = NONE << PLACE_BITS;

/// Places of which the pairs are looked up at once; and so many places that what lies behind a place always is one.
const AT_ONCE: usize = 4;
const PLACES: usize = MOST + AT_ONCE;

/// Rows whose look-ups wait for memory together: two to each lane.
pub(super) const ROWS: usize = 2 * LANES;

/// Merges the rows with these numbers, at most [`ROWS`].
pub(super) struct MergeRows<'r> {
    pub(super) pairs: &'r Pairs,
    pub(super) certain: &'r Certain,
    pub(super) rows: &'r mut [Row],
    pub(super) counts: &'r mut [u8],
    /// Those of most symbols first.
    pub(super) numbers: &'r [u8],
}

impl InLanes for MergeRows<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        if self.numbers.len() <= LANES { self.merge::<L, 1>() } else { self.merge::<L, 2>() }
    }
}

impl MergeRows<'_> {
    #[inline(always)]
    fn merge<L: Lanes, const N: usize>(self) {
        let Self { pairs, certain, rows, counts, numbers } = self;
        let longest = numbers.first().map_or(0, |number| usize::from(counts[usize::from(*number)]));
        let longest = longest.min(MOST);
        let none = L::splat(NONE);
        let mut symbols = [[none; N]; PLACES];
        for (n, numbers) in numbers.chunks(LANES).enumerate().take(N) {
            let (mut starts, mut ends) = ([0; LANES], [0; LANES]);
            for (lane, number) in numbers.iter().enumerate() {
                starts[lane] = u32::from(*number) * MOST as u32;
                ends[lane] = u32::from(counts[usize::from(*number)]);
            }
            let (starts, ends) = (L::from_array(&starts), L::from_array(&ends));
            for (place, symbol) in (0..).zip(&mut symbols[..longest]) {
                let place = L::splat(place);
                let present = place.below(ends);
                let here = L::gather(rows.as_flattened(), starts.add(place), present);
                symbol[n] = L::select(present, here, none);
            }
        }
        let left = certain.merge_in_lanes(&mut symbols, longest);
        let left = merge(pairs, &mut symbols, left);
        for number in numbers {
            counts[usize::from(*number)] = 0;
        }
        for ids in &symbols[..left] {
            for (ids, numbers) in ids.iter().zip(numbers.chunks(LANES)) {
                for (number, id) in numbers.iter().zip(ids.to_array()) {
                    let count = &mut counts[usize::from(*number)];
                    rows[usize::from(*number)][usize::from(*count)] = id;
                    *count += u8::from(id != NONE);
                }
            }
        }
    }
}

/// Merges symbols by place and lane; how many there are at most before, and then.
#[inline(always)]
fn merge<L: Lanes, const N: usize>(
    pairs: &Pairs,
    symbols: &mut [[L; N]; PLACES],
    mut longest: usize,
) -> usize {
    let ranks = pairs.ranks();
    let (none, no_merge) = (L::splat(NONE), L::splat(NO_MERGE));
    // By place, the rank at which a symbol and the next merge, above free bits for the place.
    let mut order = [[no_merge; N]; PLACES];
    for place in (0..longest.saturating_sub(1)).step_by(AT_ONCE) {
        let (mut left, mut right) = ([[none; N]; AT_ONCE], [[none; N]; AT_ONCE]);
        left.copy_from_slice(&symbols[place..place + AT_ONCE]);
        right.copy_from_slice(&symbols[place + 1..=place + AT_ONCE]);
        order[place..place + AT_ONCE].copy_from_slice(&ranks.in_lanes(&left, &right));
    }
    loop {
        let mut least = order[0];
        for place in 1..longest {
            for n in 0..N {
                least[n] = least[n].min(order[place][n].or(L::splat(place as u32)));
            }
        }
        let mut at = [none; N];
        let mut made = [none; N];
        let mut any = false;
        for n in 0..N {
            let merging = least[n].below(no_merge);
            any |= L::any(merging);
            // Where nothing merges any more, beyond all places.
            at[n] = L::select(merging, least[n].and(L::splat(MOST as u32 - 1)), L::splat(NONE >> 1));
            made[n] = pairs.results(least[n].shr::<PLACE_BITS>(), merging);
        }
        if !any {
            break;
        }
        let (mut before, mut behind) = ([none; N], [none; N]);
        for place in 0..longest {
            for n in 0..N {
                let here = L::splat(place as u32);
                let (this, next) = (symbols[place][n], symbols[place + 1][n]);
                before[n] = L::select(at[n].equal(L::splat(place as u32 + 1)), this, before[n]);
                behind[n] = L::select(at[n].equal(here), symbols[place + 2][n], behind[n]);
                let moves = at[n].below(here);
                symbols[place][n] = L::select(at[n].equal(here), made[n], L::select(moves, next, this));
                order[place][n] = L::select(moves, order[place + 1][n], order[place][n]);
            }
        }
        let [with_before, with_behind] = ranks.in_lanes(&[before, made], &[made, behind]);
        for place in 0..longest {
            for n in 0..N {
                let is_before = at[n].equal(L::splat(place as u32 + 1));
                let with = L::select(is_before, with_before[n], order[place][n]);
                order[place][n] = L::select(at[n].equal(L::splat(place as u32)), with_behind[n], with);
            }
        }
        let last = symbols[longest - 1];
        longest -= usize::from((0..N).all(|n| !L::any(last[n].below(none))));
    }
    longest
}
