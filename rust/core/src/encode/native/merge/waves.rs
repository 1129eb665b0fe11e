//! The merges of some hundred symbols, wave by wave: all at once that cannot be in each other's way, sixteen symbols side by
//! side.
//!
//! Of all pairs that stand side by side and merge, each makes a token that no merge takes before some rank. Let the limit be the lowest
//! of these. Until it is reached no pair appears that merges before it, so all merges below it are of pairs that are there
//! now, the lowest rank first, the leftmost of equals first. One that ranks no higher than both its neighbours takes place
//! whatever else does: nobody takes its symbols before. Of a row of equals it is every other one, from the left, if what stands
//! before the row ranks higher. All those are made at once, and the same is asked of what is left. That they are made before
//! others that rank lower but stand elsewhere makes no difference, since those do not touch them, nor does anything below the
//! limit take what they become.
//!
//! Where some pair makes what is taken at the lowest rank that is there, or below it, nothing is below the limit. Then the
//! pairs of the lowest rank are merged alone, place by place, each token that is made going on at once as long as a neighbour
//! joins it at a lower rank: elsewhere no pair ranks lower. One pass is enough, since what is made is longer than what makes it,
//! so that the rank does not come back. Both always come further, so there are never more waves than symbols; in
//! real vocabularies text of any letters takes about ten (measured: see `benches/encoder-log.md`).

use bytemuck::Zeroable;

use super::super::lanes::{InLanes, LANES, Lanes, NUMBERS, in_wide_lanes};
use super::super::pairs::NONE;
use super::Rules;
use super::lockstep::{NO_MERGE, PLACE_BITS};
use super::recent::Recent;
use super::slab::{SLAB, WORD, load, store};
use super::windows::Token;

/// By rank, the lowest rank that takes what the merge makes, above free bits. `first_use`: by id, the lowest rank that takes it.
pub(in super::super) fn taken(merges: &[[u32; 3]], first_use: &[u32]) -> Vec<u32> {
    let taken = |id: u32| first_use[id as usize].min(NO_MERGE >> PLACE_BITS) << PLACE_BITS;
    merges.iter().map(|[_, _, made]| taken(*made)).collect()
}

/// Symbols of which one step of a wave decides, and how many vectors they are.
const STEP: usize = 64;
const VECTORS: usize = STEP / LANES;
/// Symbols for every time that a pair is new, at least, where there are few pairs.
const SELDOM: usize = 64;
const WORDS: usize = SLAB / WORD + 2;
/// A bit for each symbol.
type Places = [u64; WORDS];
/// Room for a slab, and for what is read and written together behind it.
const ROOM: usize = SLAB + STEP + 2 * LANES;

type Row = [u32; ROOM];

/// Symbols that stand side by side. Where vectors are read and written, lines of memory begin.
#[derive(Zeroable)]
#[repr(C, align(64))]
struct Rows {
    ids: Row,
    /// Where each begins, and behind the last the end.
    starts: Row,
    /// The rank at which each and the next merge, above free bits.
    order: Row,
    /// The lowest rank at which something takes what they become, above free bits.
    taken: Row,
    /// Places of pairs that have changed, and these pairs.
    changed: Row,
    left: Row,
    right: Row,
}

/// What is merged wave by wave, kept from time to time, always by the same rules; it takes no memory before it is used.
#[derive(Default)]
pub(super) struct Waves {
    count: usize,
    /// Of the last merges hardly a pair was new.
    pub(super) has_few_pairs: bool,
    rows: Option<(Box<Rows>, Recent)>,
}

impl Waves {
    /// Merges at most [`SLAB`] symbols of which it is known where they begin, and where the last ends,
    /// until no neighbours merge any more.
    pub(super) fn merge(&mut self, rules: Rules<'_>, symbols: &[u32], starts_of: &[u32]) {
        let (rows, recent) = self.rows.get_or_insert_with(|| (bytemuck::zeroed_box(), Recent::new()));
        self.count = symbols.len();
        rows.ids[..symbols.len()].copy_from_slice(symbols);
        rows.starts[..starts_of.len()].copy_from_slice(starts_of);
        recent.missed = 0;
        in_wide_lanes(Merge { rules, count: &mut self.count, rows, recent });
        self.has_few_pairs = recent.missed * SELDOM < symbols.len();
        rows.starts[self.count] = starts_of.last().copied().unwrap_or(0);
    }

    /// The ids that are left.
    pub(super) fn ids(&self) -> &[u32] {
        self.rows.as_ref().map_or(&[], |(rows, _)| &rows.ids[..self.count])
    }

    /// Where they begin, and behind the last the end.
    fn starts(&self) -> &[u32] {
        self.rows.as_ref().map_or(&[], |(rows, _)| &rows.starts[..=self.count])
    }

    /// A token that is left.
    pub(super) fn token(&self, at: usize) -> Token {
        let starts = self.starts();
        let [start, end] = [starts[at], starts[at + 1]].map(|start| start as usize);
        Token { id: self.ids()[at], start, length: end - start }
    }

    /// How many tokens begin up to here.
    pub(super) fn begun(&self, end: usize) -> usize {
        let starts = &self.starts()[..self.count];
        starts.partition_point(|start| *start as usize <= end)
    }
}

/// The lowest rank that is left, and the limit.
struct Next<L> {
    lowest: L,
    /// The lowest rank at which something takes what a merge might make.
    limit: L,
}

impl<L: Lanes> Next<L> {
    #[inline(always)]
    fn none() -> Self {
        Self { lowest: L::splat(NO_MERGE), limit: L::splat(u32::MAX) }
    }

    #[inline(always)]
    fn note(&mut self, order: L, taken: L) {
        self.lowest = self.lowest.min(order);
        self.limit = self.limit.min(taken);
    }
}

/// Merges what is there.
struct Merge<'m> {
    rules: Rules<'m>,
    count: &'m mut usize,
    rows: &'m mut Rows,
    recent: &'m mut Recent,
}

impl InLanes for Merge<'_> {
    #[inline(always)]
    fn run<L: Lanes>(mut self) {
        self.end();
        let mut next = self.look_at_all::<L>();
        loop {
            let (lowest, limit) = (next.lowest.to_array(), next.limit.to_array());
            let least = |lanes: [u32; LANES]| lanes.into_iter().fold(u32::MAX, u32::min);
            let (lowest, limit) = (least(lowest), least(limit));
            if lowest == NO_MERGE {
                return;
            }
            next = Next::none();
            if limit <= lowest {
                self.merge_lowest(lowest, &mut next);
                continue;
            }
            let made = self.wave(limit.min(NO_MERGE), &mut next);
            let changed = self.changed_by::<L>(&made);
            self.look_at_changed(changed, &mut next);
        }
    }
}

impl Merge<'_> {
    /// Behind the last symbol nothing is.
    #[inline(always)]
    fn end(&mut self) {
        let count = *self.count;
        self.rows.ids[count..=count + STEP].fill(NONE);
        self.rows.order[count.saturating_sub(1)..=count + STEP].fill(NO_MERGE);
        self.rows.taken[count.saturating_sub(1)..=count + STEP].fill(u32::MAX);
    }

    /// Looks pairs up: at which rank they merge, and at which what they become is taken.
    #[inline(always)]
    fn look_up<L: Lanes, const N: usize>(&mut self, left: &[L; N], right: &[L; N]) -> [[L; 2]; N] {
        let Rules { pairs, taken, .. } = self.rules;
        let none = L::splat(u32::MAX);
        let mut found = [[none; 2]; N];
        for (found, order) in found.iter_mut().zip(self.recent.in_lanes(pairs, left, right)) {
            let merges = order.below(L::splat(NO_MERGE));
            *found = [order, L::select(merges, L::gather(taken, order.shr::<PLACE_BITS>(), merges), none)];
        }
        found
    }

    /// Looks all pairs up.
    #[inline(always)]
    fn look_at_all<L: Lanes>(&mut self) -> Next<L> {
        let mut next = Next::none();
        for at in (0..*self.count).step_by(2 * LANES) {
            let here = [load::<L>(&self.rows.ids, at), load(&self.rows.ids, at + LANES)];
            let behind = [load::<L>(&self.rows.ids, at + 1), load(&self.rows.ids, at + LANES + 1)];
            let found = self.look_up(&here, &behind);
            for (at, [order, taken]) in (at..).step_by(LANES).zip(found) {
                store(order, &mut self.rows.order, at);
                store(taken, &mut self.rows.taken, at);
                next.note(order, taken);
            }
        }
        self.end();
        next
    }

    /// Merges all pairs below a limit that nothing is in the way of, and notes what is left of what was known; where the tokens
    /// are that it has made, a bit each.
    #[inline(always)]
    fn wave<L: Lanes>(&mut self, limit: u32, next: &mut Next<L>) -> Places {
        let Self { rules: Rules { pairs, .. }, count: length, rows, .. } = self;
        let Rows { ids, starts, order, taken, .. } = &mut **rows;
        let (ids, starts) = (&mut ids[..], &mut starts[..]);
        let (order, taken) = (&mut order[..], &mut taken[..]);
        let none = L::splat(u32::MAX);
        let limit = L::splat(limit);
        let (mut made, mut count, mut before) = ([0; WORDS], 0, Before::default());
        for at in (0..**length).step_by(STEP) {
            let mut here = [none; VECTORS];
            let (mut below, mut higher, mut lower) = (0, 0, 0);
            for (n, here) in here.iter_mut().enumerate() {
                let at = at + n * LANES;
                *here = load(order, at);
                let behind = load::<L>(order, at + 1);
                below |= u64::from(L::bits(here.below(limit))) << (n * LANES);
                higher |= u64::from(L::bits(behind.below(*here))) << (n * LANES);
                lower |= u64::from(L::bits(here.below(behind))) << (n * LANES);
            }
            let (joined, kept) = before.step(below, !higher, lower);
            if joined == 0 && kept == u64::MAX && count == at {
                // Nothing has moved yet.
                for (n, here) in here.into_iter().enumerate() {
                    next.note(here, load(taken, at + n * LANES));
                }
                count += STEP;
                continue;
            }
            let new = L::squeeze(joined, kept);
            let (word, bit) = (count / WORD, count % WORD);
            made[word] |= new << bit;
            made[word + 1] |= new >> 1 >> (WORD - 1 - bit);
            for (n, here) in here.into_iter().enumerate() {
                let (joins, stays) = (part(joined, n), part(kept, n));
                let at = at + n * LANES;
                let of_taken: L = load(taken, at);
                let known = L::with_bits(part(kept & !joined & !(joined >> 1), n));
                next.note(L::select(known, here, none), L::select(known, of_taken, none));
                let mask = L::with_bits(joins);
                let id = L::select(mask, pairs.results(here.shr::<PLACE_BITS>(), mask), load(ids, at));
                let start: L = load(starts, at);
                store(id.compress(stays), ids, count);
                store(start.compress(stays), starts, count);
                store(here.compress(stays), order, count);
                store(of_taken.compress(stays), taken, count);
                count += stays.count_ones() as usize;
            }
        }
        // Lanes behind the last symbol are none.
        **length = count - (length.next_multiple_of(STEP) - **length);
        self.end();
        made
    }

    /// Lists pairs of which one is new; how many.
    #[inline(always)]
    fn changed_by<L: Lanes>(&mut self, made: &Places) -> usize {
        let (numbers, mut count) = (L::from_array(&NUMBERS), 0);
        let Rows { ids, changed: places, left, right, .. } = &mut *self.rows;
        for index in 0..=*self.count / WORD {
            let (word, behind) = (made[index], made[index + 1]);
            let changed = word | word >> 1 | behind << (WORD - 1);
            if changed == 0 {
                continue;
            }
            for n in 0..VECTORS {
                let (bits, at) = (part(changed, n), index * WORD + n * LANES);
                store(numbers.add(L::small(at)).compress(bits), places, count);
                store(load::<L>(ids, at).compress(bits), left, count);
                store(load::<L>(ids, at + 1).compress(bits), right, count);
                count += bits.count_ones() as usize;
            }
        }
        count
    }

    /// Looks up so many pairs that have changed.
    #[inline(always)]
    fn look_at_changed<L: Lanes>(&mut self, count: usize, next: &mut Next<L>) {
        self.rows.left[count..count + 2 * LANES].fill(NONE);
        self.rows.right[count..count + 2 * LANES].fill(NONE);
        for at in (0..count).step_by(2 * LANES) {
            let two = |row: &Row| [load::<L>(row, at), load(row, at + LANES)];
            let found = self.look_up(&two(&self.rows.left), &two(&self.rows.right));
            for (at, [order, taken]) in (at..).step_by(LANES).zip(found) {
                next.note(order, taken);
                let (order, taken) = (order.to_array(), taken.to_array());
                for (lane, place) in
                    self.rows.changed[at.min(count)..count.min(at + LANES)].iter().enumerate()
                {
                    let place = *place as usize;
                    (self.rows.order[place], self.rows.taken[place]) = (order[lane], taken[lane]);
                }
            }
        }
    }

    /// Merges the lowest rank that is left, place by place from left to right, each with what ranks lower then.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // there are few
    fn merge_lowest<L: Lanes>(&mut self, lowest: u32, next: &mut Next<L>) {
        let Self { rules: Rules { pairs, .. }, count: length, rows, .. } = self;
        let Rows { ids, starts, order, taken, changed, .. } = &mut **rows;
        let ranks = pairs.ranks();
        // What is kept, and of that the places of pairs that have changed.
        let (mut at, mut kept, mut count) = (0, 0, 0);
        while at < **length {
            (ids[kept], starts[kept]) = (ids[at], starts[at]);
            (order[kept], taken[kept]) = (order[at], taken[at]);
            at += 1;
            if order[kept] == lowest {
                ids[kept] = pairs.result(lowest >> PLACE_BITS);
                at += 1;
                // Elsewhere nothing ranks lower.
                loop {
                    let before =
                        kept.checked_sub(1).map_or(NONE, |before| ranks.rank(ids[before], ids[kept]));
                    let behind = if at < **length { ranks.rank(ids[kept], ids[at]) } else { NONE };
                    let rank = before.min(behind);
                    if rank >= lowest >> PLACE_BITS {
                        break;
                    }
                    if before == rank {
                        kept -= 1;
                    } else {
                        at += 1;
                    }
                    ids[kept] = pairs.result(rank);
                }
                while count > 0 && changed[count - 1] as usize >= kept.saturating_sub(1) {
                    count -= 1;
                }
                for place in kept.saturating_sub(1)..=kept {
                    changed[count] = place as u32;
                    count += 1;
                }
            }
            kept += 1;
        }
        **length = kept;
        self.end();
        let Rows { ids, changed, left, right, .. } = &mut *self.rows;
        for (place, (left, right)) in changed[..count].iter().zip(left.iter_mut().zip(right)) {
            (*left, *right) = (ids[*place as usize], ids[*place as usize + 1]);
        }
        self.look_at_changed(count, next);
        for at in (0..*self.count).step_by(LANES) {
            next.note(load(&self.rows.order, at), load(&self.rows.taken, at));
        }
    }
}

/// Of bits for a step those for one of its vectors.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // there is one for each lane
fn part(bits: u64, vector: usize) -> u32 {
    (bits >> (vector * LANES)) as u32 & ((1 << LANES) - 1)
}

/// What is known of the symbol before some, each a bit.
#[derive(Default)]
struct Before {
    /// Its pair ranks no higher than the next; it ranks lower.
    no_higher: u64,
    lower: u64,
    /// It belongs to a row of equals that rank no higher than their neighbours; and nothing is in the way of that row.
    in_row: u64,
    is_free: u64,
    /// It merges with the next.
    joined: u64,
}

impl Before {
    /// Of places that are below the limit, rank no higher than the next, and lower, those that merge: in rows of equals before
    /// which something higher stands every other one. And the places that are left.
    #[inline(always)]
    fn step(&mut self, below: u64, no_higher: u64, lower: u64) -> (u64, u64) {
        const LAST: u32 = u64::BITS - 1;
        let before_no_higher = no_higher << 1 | self.no_higher;
        let before_lower = lower << 1 | self.lower;
        let in_row = below & no_higher & !before_lower;
        let first = in_row & !(in_row << 1 | self.in_row);
        let in_the_way = first & before_no_higher | in_row & self.in_row & !self.is_free;
        // To add the first of a row takes all of the row.
        let free = in_row & in_row.wrapping_add(in_the_way);
        let joined = every_other(free & !self.joined);
        let kept = !(joined << 1 | self.joined);
        *self = Self {
            no_higher: no_higher >> LAST,
            lower: lower >> LAST,
            in_row: in_row >> LAST,
            is_free: free >> LAST,
            joined: joined >> LAST,
        };
        (joined, kept)
    }
}

/// Of bits side by side the first, third, ...
#[inline(always)]
fn every_other(bits: u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let first = bits & !(bits << 1);
    // To add the first of a row takes all of the row.
    let from_even = bits & !bits.wrapping_add(first & EVEN);
    from_even & EVEN | bits & !from_even & !EVEN
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::super::tests::Made;
    use super::super::windows::tests::{one_by_one, random_merges};
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    #[test]
    fn every_other_of_a_row_is_the_first_and_the_third() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for _ in 0..10_000 {
            let bits = (0..4)
                .fold(0, |bits, _| bits << 16 | (numbers.below(1 << 16) | numbers.below(1 << 16)) as u64);
            let mut expected = 0;
            for bit in 0..u64::BITS {
                expected |= (bits & !(expected << 1)) & 1 << bit;
            }
            assert_eq!(every_other(bits), expected, "{bits:b}");
        }
    }

    #[test]
    fn wave_by_wave_is_what_merging_one_by_one_gives() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        let mut overtaken = 0;
        for round in 0..3000 {
            let mut waves = Waves::default();
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
            waves.merge(made.rules(), &symbols, &starts);
            assert_eq!(waves.ids(), expected, "{merges:?} {symbols:?}");
            let mut at = 0;
            for (number, id) in expected.iter().enumerate() {
                let length = made.length(&[*id]);
                let [start, end] = [at, at + length].map(|at| starts[at] as usize);
                assert_eq!(waves.begun(start), number + 1);
                let token = waves.token(number);
                assert!((token.id, token.start, token.length) == (*id, start, end - start));
                at += length;
            }
            overtaken +=
                usize::from((0..).zip(made.rules().taken).any(|(rank, taken)| taken >> PLACE_BITS < rank));
        }
        assert!(overtaken > 500, "{overtaken}");
    }
}
