//! The merges of many short pieces at once, in lockstep: in each round the first of every piece.

use super::super::lanes::{InLanes, LANES, Lanes};
use super::super::pairs::{NONE, Pairs};

/// The most symbols of a piece.
pub(in super::super) const MOST: usize = 16;

/// Symbols of a piece, and [`NONE`] behind them.
pub(in super::super) type Row = [u32; MOST];

/// Above all ranks with their places, for which the low bits are free.
const NO_MERGE: u32 = NONE << 4;

/// Merges the rows with these numbers, at most as many as there are lanes.
pub(super) struct MergeRows<'r> {
    pub(super) pairs: &'r Pairs,
    pub(super) rows: &'r mut [Row],
    pub(super) numbers: &'r [u8],
    /// The most symbols that one of them has.
    pub(super) longest: usize,
}

impl InLanes for MergeRows<'_> {
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let Self { pairs, rows, numbers, longest } = self;
        let longest = longest.min(MOST);
        let mut starts = [NONE; LANES];
        for (start, number) in starts.iter_mut().zip(numbers) {
            *start = u32::from(*number) * 16;
        }
        let starts = L::from_array(&starts);
        let none = L::splat(NONE);
        let present = starts.below(none);
        let mut symbols = [none; MOST + 2];
        for (place, symbol) in (0..).zip(&mut symbols[..longest]) {
            let at = starts.add(L::splat(place));
            *symbol = L::select(present, L::gather(rows.as_flattened(), at, present), none);
        }
        merge(pairs, &mut symbols, longest);
        for (place, symbol) in symbols[..longest].iter().enumerate() {
            for (number, id) in numbers.iter().zip(symbol.to_array()) {
                rows[usize::from(*number)][place] = id;
            }
        }
    }
}

/// Merges symbols by place and lane.
#[inline(always)]
fn merge<L: Lanes>(pairs: &Pairs, symbols: &mut [L; MOST + 2], longest: usize) {
    let ranks = pairs.ranks();
    let (none, no_merge) = (L::splat(NONE), L::splat(NO_MERGE));
    // By place, the rank at which a symbol and the next merge, above four free bits.
    let mut order = [no_merge; MOST + 1];
    for place in 1..longest {
        order[place - 1] = ranks.in_lanes(symbols[place - 1], symbols[place]);
    }
    loop {
        let mut least = order[0];
        for place in 1..longest {
            least = least.min(order[place].or(L::splat(place as u32)));
        }
        let merging = least.below(no_merge);
        if !L::any(merging) {
            break;
        }
        // Where nothing merges any more, beyond all places.
        let at = L::select(merging, least.and(L::splat(15)), L::splat(NONE >> 1));
        let made = pairs.results(least.shr::<4>(), merging);
        let (mut before, mut behind) = (none, none);
        for place in 0..longest {
            let here = L::splat(place as u32);
            let (this, next) = (symbols[place], symbols[place + 1]);
            before = L::select(at.equal(L::splat(place as u32 + 1)), this, before);
            behind = L::select(at.equal(here), symbols[place + 2], behind);
            let moves = at.below(here);
            symbols[place] = L::select(at.equal(here), made, L::select(moves, next, this));
            order[place] = L::select(moves, order[place + 1], order[place]);
        }
        let with_before = ranks.in_lanes(before, made);
        let with_behind = ranks.in_lanes(made, behind);
        for place in 0..longest {
            let is_before = at.equal(L::splat(place as u32 + 1));
            let with = L::select(is_before, with_before, order[place]);
            order[place] = L::select(at.equal(L::splat(place as u32)), with_behind, with);
        }
    }
}
