//! Several short pieces merged in turns.
//!
//! A merge depends on the one before it, and each asks a table for two pairs that are rarely near: a piece alone is
//! mostly waiting. So each of several pieces does one step, asks for the memory of its next, and lets the others go on
//! meanwhile.

use super::certain::{Certain, id_of};
use super::pairs::{NONE, Pairs, Place, Ranks};

/// The most symbols of a piece that takes part.
pub(super) const FEW: usize = 16;
/// Bits for a place among them.
const PLACE_BITS: u32 = 4;
/// Pieces that take turns.
const PIECES: usize = 8;
/// The order of a pair that does not merge.
const NEVER: i32 = i32::MAX;

/// The pieces at hand.
pub(super) struct Turns {
    lanes: [Lane; PIECES],
    /// How many of the lanes are in use, the first ones.
    busy: usize,
}

/// One piece.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// Whose it is.
    number: usize,
    /// The ids of symbols, each where it begins.
    ids: [u32; FEW],
    /// For the pair that begins at a place its rank and the place, so that the lowest is the one to merge. (Signed,
    /// since that is what processors compare.)
    order: [i32; FEW],
    /// Where the pairs belong whose ranks are asked for.
    places: [Place; FEW],
    /// A bit for every place where a symbol begins, and one behind the last.
    begins: u32,
    /// A bit for every place of which the rank is asked for.
    asked: u32,
    /// The bit behind the last symbol.
    end: u32,
}

impl Default for Turns {
    fn default() -> Self {
        Self { lanes: [Lane::default(); PIECES], busy: 0 }
    }
}

impl Turns {
    /// Whether one more piece can take part.
    pub(super) fn has_room(&self) -> bool {
        self.busy < PIECES
    }

    /// Takes a piece in: 2 to [`FEW`] symbols.
    pub(super) fn begin(&mut self, number: usize, symbols: &[u32], pairs: &Pairs, certain: &Certain) {
        if let Some(lane) = self.lanes.get_mut(self.busy) {
            lane.begin(number, symbols, pairs.ranks(), certain);
            self.busy += 1;
        }
    }

    /// One step of every piece; hands on those that are through, whose number and ids. False if there are none.
    pub(super) fn go_round(&mut self, pairs: &Pairs, mut through: impl FnMut(usize, &[u32])) -> bool {
        let mut at = 0;
        while at < self.busy {
            let lane = &mut self.lanes[at];
            if lane.step(pairs) {
                at += 1;
                continue;
            }
            let (mut ids, mut count) = ([0; FEW], 0);
            let mut begins = lane.begins & !lane.end;
            while begins != 0 {
                ids[count % FEW] = lane.ids[begins.trailing_zeros() as usize % FEW];
                begins &= begins - 1;
                count += 1;
            }
            through(lane.number, &ids[..count.min(FEW)]);
            self.busy -= 1;
            self.lanes.swap(at, self.busy);
        }
        self.busy > 0
    }
}

impl Lane {
    fn begin(&mut self, number: usize, symbols: &[u32], ranks: Ranks, certain: &Certain) {
        let length = symbols.len().min(FEW);
        self.number = number;
        self.order = [NEVER; FEW];
        self.end = 1 << length;
        self.begins = (self.end << 1) - 1;
        self.asked = 0;
        for (id, symbol) in self.ids.iter_mut().zip(symbols) {
            *id = id_of(*symbol);
        }
        for (at, two) in symbols[..length].windows(2).enumerate() {
            if let Some(rank) = certain.rank(two[0], two[1]) {
                self.order[at] = order_of(rank, at);
            } else {
                self.ask(at, at + 1, ranks);
            }
        }
    }

    /// Asks for the rank of the pair at two places.
    #[inline]
    fn ask(&mut self, left: usize, right: usize, ranks: Ranks) {
        self.places[left % FEW] = ranks.ask_for(self.ids[left % FEW], self.ids[right % FEW]);
        self.asked |= 1 << left;
    }

    /// Where the symbol after a place begins, or the end.
    #[inline]
    fn after(&self, at: usize) -> usize {
        at + 1 + (self.begins >> (at + 1)).trailing_zeros() as usize
    }

    /// Makes the next merge; false if there is none.
    #[inline]
    fn step(&mut self, pairs: &Pairs) -> bool {
        let ranks = pairs.ranks();
        while self.asked != 0 {
            let at = self.asked.trailing_zeros() as usize % FEW;
            self.asked &= self.asked - 1;
            let right = self.after(at) % FEW;
            let rank = ranks.rank_at(self.ids[at], self.ids[right], self.places[at]);
            self.order[at] = order_of(rank, at);
        }
        let lowest = self.order.iter().fold(NEVER, |least, order| least.min(*order));
        if lowest == NEVER {
            return false;
        }
        let lowest = lowest.unsigned_abs();
        let at = lowest as usize % FEW;
        let right = self.after(at) % FEW;
        self.ids[at] = pairs.result(lowest >> PLACE_BITS);
        self.begins &= !(1 << right);
        self.order[right] = NEVER;
        let after = self.after(at);
        if 1 << after == self.end {
            self.order[at] = NEVER;
        } else {
            self.ask(at, after, ranks);
        }
        let before = self.begins & ((1 << at) - 1);
        if before != 0 {
            self.ask(before.ilog2() as usize, at, ranks);
        }
        true
    }
}

/// The rank of a pair and its place in one number.
#[inline]
#[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)] // 24 bits and 4
fn order_of(rank: u32, place: usize) -> i32 {
    if rank == NONE { NEVER } else { (rank << PLACE_BITS) as i32 | place as i32 }
}
