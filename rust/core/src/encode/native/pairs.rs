//! Which two tokens merge, how early, and into what.

use crate::memory::{Words, ask_for};

/// An id or a rank that is none.
pub(super) const NONE: u32 = u32::MAX;

/// Ids above this do not fit a key of the table.
pub(super) const MAX_ID: u32 = (1 << 20) - 1;
/// Ranks above this do not fit an entry of the table.
pub(super) const MAX_RANK: u32 = (1 << 24) - 2;

/// Entries hold the rank plus one, so zeroed memory is empty.
const EMPTY: u64 = 0;
const RANK_BITS: u32 = 24;

/// An open-addressing table of eight-byte entries: both ids and the rank; what the pair merges into
/// stands in a list by rank. Eight bytes instead of sixteen keep the table near the core.
///
/// Tokens of neighbouring ids are about as frequent as each other, and often of one script. So pairs are grouped by the
/// greater of their ids, and every group has a part of the table for itself: what one text asks for stands
/// together, and stays near, where a hash alone would spread it between what no text asks for.
pub(super) struct Pairs {
    entries: Words,
    /// A bit for each of [`FINER`] steps within every slot: most pairs that are asked for do not merge, and this
    /// says so from memory that is near.
    filter: Words,
    /// Where the part of every group begins, in slots, and how many slots it has.
    groups: Vec<[u32; 2]>,
    results: Vec<u32>,
    /// The result of every rank is the rank plus this, as in vocabularies numbered by their merges.
    offset: Option<u32>,
}

/// Ids in a group: 2^8, so that there are few enough of them to stay in the nearest cache.
const GROUP_BITS: u32 = 8;
/// Steps within a slot that the filter tells apart.
const FINER: u32 = 8;

/// Where the table and the filter have a pair, or after that: its slot, in steps.
#[derive(Clone, Copy)]
struct Place(u32);

impl Place {
    #[inline]
    fn slot(self) -> usize {
        (self.0 / FINER) as usize
    }

    /// The word of the filter and the bit in it.
    #[inline]
    fn filter(self) -> (usize, u64) {
        ((self.0 / 64) as usize, 1 << (self.0 % 64))
    }
}

/// Where a pair belongs.
#[inline]
#[allow(clippy::cast_possible_truncation)] // half of a hash, and a part of the steps of a group
fn place_of(groups: &[[u32; 2]], left: u32, right: u32) -> Place {
    let group = (left.max(right) >> GROUP_BITS) as usize;
    let [first, size] = groups.get(group).copied().unwrap_or_default();
    let hash = key_of(left, right).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32;
    Place(first * FINER + ((hash * u64::from(size * FINER)) >> 32) as u32)
}

/// One for every pair of tokens.
#[inline]
fn key_of(left: u32, right: u32) -> u64 {
    u64::from(left) << 20 | u64::from(right)
}

/// Pairs of which the memory is asked for before the first of them is added.
const AHEAD: usize = 32;

impl Pairs {
    /// The table of merges (both tokens, and what they become) in the order of their ranks; `None` if an id or a rank is
    /// out of bounds.
    pub(super) fn new(merges: &[[u32; 3]]) -> Option<Self> {
        let mut pairs = Self::with_room_for(merges)?;
        for some in merges.chunks(AHEAD) {
            for [left, right, _] in some {
                let place = place_of(&pairs.groups, *left, *right);
                ask_for(pairs.filter.get(), place.filter().0);
                ask_for(pairs.entries.get(), place.slot());
            }
            for [left, right, result] in some {
                pairs.push(*left, *right, *result).then_some(())?;
            }
        }
        Some(pairs)
    }

    fn with_room_for(merges: &[[u32; 3]]) -> Option<Self> {
        let greatest = merges.iter().map(|[left, right, _]| *left.max(right)).max().unwrap_or(0);
        if greatest > MAX_ID || merges.len() > MAX_RANK as usize {
            return None;
        }
        let mut groups = vec![[0; 2]; (greatest >> GROUP_BITS) as usize + 1];
        for [left, right, _] in merges {
            groups[(left.max(right) >> GROUP_BITS) as usize][1] += 1;
        }
        // Two thirds more slots than pairs; and never none that is empty.
        let mut slots = 0;
        for [first, size] in &mut groups {
            *first = slots;
            *size += *size * 2 / 3 + 1;
            slots += *size;
        }
        let slots = slots as usize;
        Some(Self {
            entries: Words::zeroed(slots),
            filter: Words::zeroed(slots * FINER as usize / 64 + 1),
            groups,
            results: Vec::with_capacity(merges.len()),
            offset: None,
        })
    }

    /// Adds the pair of the next rank; a pair that is there already takes the new rank, as in the
    /// reference. False if an id or the rank is out of bounds.
    fn push(&mut self, left: u32, right: u32, result: u32) -> bool {
        let Ok(rank) = u32::try_from(self.results.len()) else {
            return false;
        };
        self.offset = match (rank, self.offset) {
            (0, _) => Some(result),
            (_, Some(offset)) if rank + offset == result => Some(offset),
            _ => None,
        };
        self.results.push(result);
        let key = key_of(left, right);
        let place = place_of(&self.groups, left, right);
        let (word, bit) = place.filter();
        self.filter.get_mut()[word] |= bit;
        let mut slot = place.slot();
        let entries = self.entries.get_mut();
        while entries[slot] != EMPTY && entries[slot] >> RANK_BITS != key {
            slot = after(slot, entries.len());
        }
        entries[slot] = key << RANK_BITS | u64::from(rank + 1);
        true
    }

    /// The table, ready for look-ups.
    #[inline]
    pub(super) fn ranks(&self) -> Ranks<'_> {
        Ranks { entries: self.entries.get(), filter: self.filter.get(), groups: &self.groups }
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
}

/// A borrowed table.
#[derive(Clone, Copy)]
pub(super) struct Ranks<'a> {
    entries: &'a [u64],
    filter: &'a [u64],
    groups: &'a [[u32; 2]],
}

/// The slot that is looked at after another.
#[inline]
fn after(slot: usize, slots: usize) -> usize {
    if slot + 1 == slots { 0 } else { slot + 1 }
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
        let place = place_of(self.groups, left, right);
        let (word, bit) = place.filter();
        Asked { key: key_of(left, right), slot: place.slot(), may_merge: self.filter[word] & bit != 0 }
    }

    /// The rank of two tokens that have been asked for, or [`NONE`].
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the rank's 24 bits
    pub(super) fn answer(&self, asked: Asked) -> u32 {
        let Asked { key, mut slot, may_merge } = asked;
        if !may_merge {
            return NONE;
        }
        loop {
            let entry = self.entries[slot];
            if entry >> RANK_BITS == key && entry != EMPTY {
                return (entry as u32 & ((1 << RANK_BITS) - 1)) - 1;
            }
            if entry == EMPTY {
                return NONE;
            }
            slot = after(slot, self.entries.len());
        }
    }
}
