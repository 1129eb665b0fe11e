//! Which two tokens merge, how early, and into what.

use super::lanes::Lanes;
use super::merge::PLACE_BITS;
use super::shares::on_all_threads;
use crate::memory::Words;

/// An id or a rank that is none.
pub(super) const NONE: u32 = u32::MAX;

/// Ids above this do not fit a key of the table.
pub(super) const MAX_ID: u32 = (1 << 20) - 1;
/// Ranks above this do not fit an entry of the table.
pub(super) const MAX_RANK: u32 = (1 << 24) - 2;

/// Entries hold the rank plus one, so zeroed memory is empty.
const EMPTY: u64 = 0;
const RANK_BITS: u32 = 24;

/// A hash table of eight-byte entries, both ids and the rank, that has every pair where it is looked for first; what the pair
/// merges into stands in a list by rank.
///
/// Most pairs that are asked for do not merge, which a filter says from memory that is near. Each of its words is for a few
/// pairs, of which it has a bit each, and a seed with which a second hash sends all of them to slots of their own ("hash,
/// displace and compress", Belazzougui, Botelho and Dietzfelbinger, 2009). So a look-up has no loop, and many can be made in
/// lockstep.
///
/// Tokens of neighbouring ids are about as frequent as each other, and often of one script. So pairs are grouped by the
/// greater of their ids, and every group has a part of the table for itself: what one text asks for stands
/// together, and stays near, where a hash alone would spread it between what no text asks for.
pub(super) struct Pairs {
    entries: Words,
    /// Two to a word: [`BITS`] bits, and the seed above them.
    filter: Words,
    /// Where the part of every group begins, in words of the filter, and how many it has.
    groups: Vec<[u32; 2]>,
    results: Vec<u32>,
    /// The result of every rank is the rank plus this, as in vocabularies numbered by their merges.
    offset: Option<u32>,
}

/// Ids in a group: 2^8, so that there are few enough of them to stay in the nearest cache.
const GROUP_BITS: u32 = 8;
/// Groups that a thread places at least.
const GROUPS_WORTH: usize = 64;
/// Bits of a word of the filter that stand for pairs.
const BITS: u32 = 24;
/// Slots for each word of the filter.
const SLOTS: u32 = 2;
/// Pairs for every ten words, on average.
const PAIRS_FOR_TEN_WORDS: u32 = 18;
/// A group in which some pairs are in each other's way with every seed gets more words, but not without end.
const MOST_ATTEMPTS: u32 = 64;

/// Odd numbers without a pattern.
const LEFT: u32 = 0x9E37_79B9;
const RIGHT: u32 = 0x85EB_CA6B;
const MIX: u32 = 0xD6E8_FEB9;
const SECOND_LEFT: u32 = 0xC2B2_AE35;
const SECOND_RIGHT: u32 = 0x27D4_EB2F;
const SECOND_MIX: u32 = 0x85EB_CA6B;
const SEED: u32 = 0x9E37_79B9;

/// One number for two ids (multiply-shift hashing, Dietzfelbinger 1996), of which the high bits are good ones.
#[inline]
pub(super) fn hash_of(left: u32, right: u32) -> u32 {
    left.wrapping_mul(LEFT).wrapping_add(right.wrapping_mul(RIGHT))
}

/// The same in lanes.
#[inline(always)]
pub(super) fn hash_in_lanes<L: Lanes>(left: L, right: L) -> L {
    left.mul(L::splat(LEFT)).add(right.mul(L::splat(RIGHT)))
}

/// Two hashes of a pair.
#[inline]
fn hashes_of(left: u32, right: u32) -> [u32; 2] {
    let hash = hash_of(left, right);
    let second = left.wrapping_mul(SECOND_LEFT).wrapping_add(right.wrapping_mul(SECOND_RIGHT));
    [(hash ^ hash >> 15).wrapping_mul(MIX), second]
}

/// The high half of a product.
#[inline]
#[allow(clippy::cast_possible_truncation)] // half of it
fn high(one: u32, other: u32) -> u32 {
    ((u64::from(one) * u64::from(other)) >> 32) as u32
}

/// The word of a pair among those of its group, and its bit.
#[inline]
fn word_of(hash: u32, words: u32) -> (u32, u32) {
    (high(hash, words), high(hash.wrapping_mul(words), BITS))
}

/// The slot of a pair among those of its group.
#[inline]
fn slot_of(second_hash: u32, seed: u32, words: u32) -> u32 {
    let hash = second_hash ^ seed.wrapping_mul(SEED);
    high((hash ^ hash >> 16).wrapping_mul(SECOND_MIX), words * SLOTS)
}

/// One for every pair of tokens.
#[inline]
fn key_of(left: u32, right: u32) -> u64 {
    u64::from(left) << 20 | u64::from(right)
}

#[inline]
fn group_of(left: u32, right: u32) -> usize {
    (left.max(right) >> GROUP_BITS) as usize
}

/// A merge's pair and its rank.
#[derive(Clone, Copy, Default)]
struct Ranked {
    left: u32,
    right: u32,
    rank: u32,
}

impl Pairs {
    /// The table of merges (both tokens, and what they become) in the order of their ranks; of a pair that is there twice, the
    /// last rank counts, as in the reference. `None` if an id or a rank is out of bounds.
    pub(super) fn new(merges: &[[u32; 3]]) -> Option<Self> {
        let greatest = merges.iter().map(|[left, right, _]| *left.max(right)).max().unwrap_or(0);
        if greatest > MAX_ID || merges.len() > MAX_RANK as usize {
            return None;
        }
        let groups = group_of(greatest, 0) + 1;
        let ranked = (0..).zip(merges).map(|(rank, &[left, right, _])| Ranked { left, right, rank });
        let (ranked, ends) = sorted(ranked, groups, |ranked| group_of(ranked.left, ranked.right));
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let of_groups: Vec<&[Ranked]> = starts.zip(&ends).map(|(start, end)| &ranked[start..*end]).collect();
        let tables = on_all_threads(&of_groups, GROUPS_WORTH, Table::of_groups);
        let tables = tables.into_iter().collect::<Option<Vec<_>>>()?;
        let words = tables.iter().map(|table| table.filter.len()).sum::<usize>();
        let (mut entries, mut filter) =
            (Words::zeroed(words * SLOTS as usize), Words::zeroed(words.div_ceil(2)));
        let (mut groups, mut first) = (Vec::with_capacity(groups), 0);
        for table in tables {
            let (start, count) = (first as usize, table.filter.len());
            bytemuck::cast_slice_mut(filter.get_mut())[start..][..count].copy_from_slice(&table.filter);
            entries.get_mut()[start * SLOTS as usize..][..table.entries.len()]
                .copy_from_slice(&table.entries);
            groups.extend(table.groups.iter().map(|[start, words]| [first + start, *words]));
            first += u32::try_from(count).ok()?;
        }
        let offset = merges.first().map(|[_, _, result]| *result);
        let numbered = |offset: &u32| (*offset..).zip(merges).all(|(result, merge)| result == merge[2]);
        Some(Self {
            entries,
            filter,
            groups,
            results: merges.iter().map(|[_, _, result]| *result).collect(),
            offset: offset.filter(numbered),
        })
    }

    /// The table, ready for look-ups.
    #[inline]
    pub(super) fn ranks(&self) -> Ranks<'_> {
        Ranks {
            entries: self.entries.get(),
            filter: bytemuck::cast_slice(self.filter.get()),
            groups: &self.groups,
        }
    }

    /// How many ranks there are.
    pub(super) fn count(&self) -> usize {
        self.results.len()
    }

    /// What the pair of this rank merges into.
    #[inline]
    pub(super) fn result(&self, rank: u32) -> u32 {
        match self.offset {
            Some(offset) => rank + offset,
            None => self.results[rank as usize],
        }
    }

    /// The same in lanes, where the mask has them.
    #[inline(always)]
    pub(super) fn results<L: Lanes>(&self, ranks: L, wanted: L::Mask) -> L {
        match self.offset {
            Some(offset) => ranks.add(L::splat(offset)),
            None => L::gather(&self.results, ranks, wanted),
        }
    }
}

/// Items in the order of a number that each has below `kinds`, and where those of each number end.
fn sorted<T: Copy + Default>(
    items: impl Iterator<Item = T> + Clone,
    kinds: usize,
    number: impl Fn(&T) -> usize,
) -> (Vec<T>, Vec<usize>) {
    let mut ends = vec![0; kinds];
    items.clone().for_each(|item| ends[number(&item)] += 1);
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut sorted = vec![T::default(); start];
    for item in items {
        let place = &mut ends[number(&item)];
        sorted[*place] = item;
        *place += 1;
    }
    (sorted, ends)
}

/// A part of the table while it is made, of some groups.
#[derive(Default)]
struct Table {
    entries: Vec<u64>,
    filter: Vec<u32>,
    groups: Vec<[u32; 2]>,
}

impl Table {
    /// Of the pairs of each group.
    fn of_groups(groups: &[&[Ranked]]) -> Option<Self> {
        let mut table = Self::default();
        for pairs in groups {
            let group = table.add_group(pairs)?;
            table.groups.push(group);
        }
        Some(table)
    }

    /// Adds the pairs of a group; where it begins and how many words it has.
    fn add_group(&mut self, pairs: &[Ranked]) -> Option<[u32; 2]> {
        let first = u32::try_from(self.filter.len()).ok()?;
        let mut words = u32::try_from(pairs.len()).ok()? * 10 / PAIRS_FOR_TEN_WORDS + 1;
        for _ in 0..MOST_ATTEMPTS {
            self.filter.resize(first as usize + words as usize, 0);
            self.entries.resize((first + words) as usize * SLOTS as usize, EMPTY);
            if self.place(first, words, pairs) {
                return Some([first, words]);
            }
            self.filter.truncate(first as usize);
            self.entries.truncate(first as usize * SLOTS as usize);
            words += words / 8 + 1;
        }
        None
    }

    /// Places the pairs of a group; false if there is no way.
    fn place(&mut self, first: u32, words: u32, pairs: &[Ranked]) -> bool {
        let (pairs, ends) = sorted(pairs.iter().copied(), words as usize, |pair| {
            word_of(hashes_of(pair.left, pair.right)[0], words).0 as usize
        });
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let few = starts.zip(&ends).map(|(start, end)| &pairs[start..*end]);
        // Those of words that have many go first, while there is most room.
        let most = few.clone().map(<[Ranked]>::len).max().unwrap_or(0);
        let (order, _) = sorted((0..).zip(few), most + 1, |(_, few)| most - few.len());
        let filter = &mut self.filter[first as usize..];
        let entries = &mut self.entries[(first * SLOTS) as usize..];
        let mut placed: Vec<usize> = Vec::new();
        order.into_iter().all(|(word, few): (usize, &[Ranked])| {
            let bits = few
                .iter()
                .fold(0, |bits, pair| bits | 1 << word_of(hashes_of(pair.left, pair.right)[0], words).1);
            (0..1 << (u32::BITS - BITS)).any(|seed| {
                placed.clear();
                for pair in few {
                    let slot = slot_of(hashes_of(pair.left, pair.right)[1], seed, words) as usize;
                    let key = key_of(pair.left, pair.right);
                    if entries[slot] != EMPTY && entries[slot] >> RANK_BITS != key {
                        for slot in placed.drain(..) {
                            entries[slot] = EMPTY;
                        }
                        return false;
                    }
                    entries[slot] = key << RANK_BITS | u64::from(pair.rank + 1);
                    placed.push(slot);
                }
                filter[word] = bits | seed << BITS;
                true
            })
        })
    }
}

/// A borrowed table.
#[derive(Clone, Copy)]
pub(super) struct Ranks<'a> {
    entries: &'a [u64],
    filter: &'a [u32],
    groups: &'a [[u32; 2]],
}

/// Two tokens, and what the filter says of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    key: u64,
    slot: usize,
    /// If not, they do not merge.
    may_merge: bool,
}

impl Ranks<'_> {
    /// The rank at which two tokens merge, or [`NONE`].
    #[inline]
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        self.answer(self.ask(left, right))
    }

    /// What the filter says of two tokens. Without a branch, so that of several pairs that are asked for one after the other
    /// none waits for the memory of another.
    #[inline]
    pub(super) fn ask(&self, left: u32, right: u32) -> Asked {
        let [first, words] = self.groups.get(group_of(left, right)).copied().unwrap_or_default();
        let [hash, second] = hashes_of(left, right);
        let (word, bit) = word_of(hash, words);
        let word = self.filter[(first + word) as usize];
        let slot = (first * SLOTS + slot_of(second, word >> BITS, words)) as usize;
        Asked { key: key_of(left, right), slot, may_merge: word >> bit & 1 != 0 && words != 0 }
    }

    /// The rank of two tokens that have been asked for, or [`NONE`].
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the rank's 24 bits
    pub(super) fn answer(&self, asked: Asked) -> u32 {
        if !asked.may_merge {
            return NONE;
        }
        let entry = self.entries[asked.slot];
        if entry >> RANK_BITS == asked.key {
            (entry as u32 & ((1 << RANK_BITS) - 1)).wrapping_sub(1) // of the pair of 0 and 0 an empty slot makes NONE
        } else {
            NONE
        }
    }

    /// The ranks of pairs in lanes, above bits for a place that are zero; [`NONE`] above them for those that do not merge. (An id
    /// that is none merges with nothing.) What is asked of memory is asked for all of them before any is looked at.
    #[inline(always)]
    pub(super) fn in_lanes<L: Lanes, const N: usize>(&self, left: &[L; N], right: &[L; N]) -> [L; N] {
        let (zero, one) = (L::splat(0), L::splat(1));
        let (mut first, mut words) = ([zero; N], [zero; N]);
        for n in 0..N {
            let group = left[n].max(right[n]).shr::<GROUP_BITS>();
            let known = group.below(L::small(self.groups.len()));
            (first[n], words[n]) = L::gather_halves(bytemuck::cast_slice(self.groups), group, known);
        }
        let (mut bit, mut word) = ([zero; N], [zero; N]);
        for n in 0..N {
            let hash = hash_in_lanes(left[n], right[n]);
            let hash = hash.xor(hash.shr::<15>()).mul(L::splat(MIX));
            word[n] = L::gather(self.filter, first[n].add(hash.mul_high(words[n])), zero.below(words[n]));
            bit[n] = hash.mul(words[n]).mul_high(L::splat(BITS));
        }
        let (mut low, mut high) = ([zero; N], [zero; N]);
        for n in 0..N {
            let may_merge = word[n].shr_each(bit[n]).and(one).equal(one);
            let hash = left[n].mul(L::splat(SECOND_LEFT)).add(right[n].mul(L::splat(SECOND_RIGHT)));
            let hash = hash.xor(word[n].shr::<BITS>().mul(L::splat(SEED)));
            let hash = hash.xor(hash.shr::<16>()).mul(L::splat(SECOND_MIX));
            let slots = words[n].mul(L::splat(SLOTS));
            let slot = first[n].mul(L::splat(SLOTS)).add(hash.mul_high(slots));
            (low[n], high[n]) = L::gather_halves(self.entries, slot, may_merge);
        }
        let mut ranks = [zero; N];
        for n in 0..N {
            ranks[n] = entries_in_lanes((low[n], high[n]), left[n], right[n]).1;
        }
        ranks
    }
}

/// In lanes, which entries are those of these pairs; and their ranks above bits for a place, [`NONE`] above them in other entries and in
/// entries that say so.
#[inline(always)]
pub(super) fn entries_in_lanes<L: Lanes>((low, high): (L, L), left: L, right: L) -> (L::Mask, L) {
    // The key is left << 20 | right, and above 24 bits of the rank, which is one more.
    let same_high = high.equal(left.shl::<12>().or(right.shr::<8>()));
    let same_low = low.shr::<RANK_BITS>().equal(right.and(L::splat(0xFF)));
    let same = L::both(same_high, same_low);
    let rank = low.and(L::splat((1 << RANK_BITS) - 1)).add(L::splat(NONE)).shl::<PLACE_BITS>();
    (same, L::select(same, rank, L::splat(NONE << PLACE_BITS)))
}

/// The entry of a pair that merges at this rank above bits for a place, or at none.
#[inline]
pub(super) fn entry_of(left: u32, right: u32, order: u32) -> u64 {
    // What is none has ones in all these bits, and one more makes zeros of them.
    let rank = ((order >> PLACE_BITS) + 1) & ((1 << RANK_BITS) - 1);
    key_of(left, right) << RANK_BITS | u64::from(rank)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use std::collections::HashMap;

    use super::super::lanes::{InLanes, LANES, in_lanes};
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    /// Looks pairs up in lanes.
    struct LookUp<'l> {
        pairs: &'l Pairs,
        asked: &'l [[u32; 2]],
        ranks: &'l mut Vec<u32>,
    }

    impl InLanes for LookUp<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self) {
            for asked in self.asked.chunks_exact(LANES) {
                let of = |side: usize| L::from_array(&std::array::from_fn(|lane| asked[lane][side]));
                let [ranks] = self.pairs.ranks().in_lanes(&[of(0)], &[of(1)]);
                self.ranks.extend(
                    ranks.to_array().map(
                        |rank| {
                            if rank == NONE << PLACE_BITS { NONE } else { rank >> PLACE_BITS }
                        },
                    ),
                );
            }
        }
    }

    #[test]
    fn ranks_are_what_was_put_in_and_nothing_else_merges() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for round in 0..60 {
            // Few ids with nearly all of their pairs, or many; far apart, so that groups are empty; and pairs that are there twice.
            let (ids, apart) = (2 + numbers.below(3 << (round % 10)), [1, 7, 300][round % 3]);
            let count = numbers.below(ids * ids.min(40));
            let mut id = || u32::try_from(numbers.below(ids) * apart).unwrap();
            let merges: Vec<[u32; 3]> = (5..).take(count).map(|made| [id(), id(), made]).collect();
            let mut known = HashMap::new();
            for (rank, [left, right, _]) in (0..).zip(&merges) {
                known.insert([*left, *right], rank);
            }
            let asked: Vec<[u32; 2]> = merges
                .iter()
                .map(|[left, right, _]| [*left, *right])
                .chain(std::iter::repeat_with(|| [id(), id()]).take(500))
                .chain([[0, 0], [MAX_ID, 0], [0, MAX_ID], [NONE, 1], [1, NONE], [NONE, NONE]])
                .chain([[0, 0]; LANES])
                .collect();
            let pairs = Pairs::new(&merges).unwrap();
            let expected = |two: &[u32; 2]| known.get(two).copied().unwrap_or(NONE);
            for two in asked.iter().filter(|two| !two.contains(&NONE)) {
                assert_eq!(pairs.ranks().rank(two[0], two[1]), expected(two), "{two:?}");
            }
            let mut ranks = Vec::new();
            in_lanes(LookUp { pairs: &pairs, asked: &asked, ranks: &mut ranks });
            assert!(ranks.len() + LANES > asked.len());
            for (two, rank) in asked.iter().zip(ranks) {
                assert_eq!(rank, expected(two), "{two:?} in lanes");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_turned_away() {
        assert!(Pairs::new(&[[MAX_ID + 1, 0, 1]]).is_none());
        assert!(Pairs::new(&[[MAX_ID, 0, 1]]).is_some());
        assert_eq!(Pairs::new(&[]).unwrap().ranks().rank(0, 0), NONE);
    }
}
