//! Which two tokens merge, how early, and into what.

use crate::memory::{Words, ask_for};

/// An id or a rank that is none.
pub(super) const NONE: u32 = u32::MAX;

/// Ids above this do not fit a key of the table.
pub(super) const MAX_ID: u32 = (1 << 20) - 1;
/// Ranks above this do not fit an entry of the table.
pub(super) const MAX_RANK: u32 = (1 << 24) - 2;

/// Ids below this have a table of their own.
const LOW: usize = 512;

/// Where a pair of low ids has its rank.
#[inline]
fn low_place(left: u32, right: u32) -> Option<usize> {
    ((left | right) < 512).then_some((left as usize) << 9 | right as usize)
}

/// Entries hold the rank plus one, so zeroed memory is empty.
const EMPTY: u64 = 0;
/// Bytes of a table that do not fit the second-level caches of today's processors beside all else. Tests, whose
/// vocabularies are small, have both kinds too.
const FAR: usize = if cfg!(test) { 1 << 10 } else { 2 << 20 };
const RANK_BITS: u32 = 24;

/// An open-addressing table of eight-byte entries: both ids and the rank; what the pair merges into
/// stands in a list by rank. Eight bytes instead of sixteen keep the table near the core.
pub(super) struct Pairs {
    entries: Words,
    size: usize,
    /// A bit for every pair, hashed: most pairs that are asked for do not merge, and this says so from
    /// memory that is near.
    filter: Words,
    filter_shift: u32,
    shift: u32,
    results: Vec<u32>,
    /// The result of every rank is the rank plus this, as in vocabularies numbered by their merges.
    offset: Option<u32>,
    /// The ranks of pairs of low ids, most of what merging begins with, plus one; 0
    /// where they do not merge.
    low: Words,
}

/// Pairs of which the memory is asked for before the first of them is added.
const AHEAD: usize = 32;

impl Pairs {
    /// The table of merges (both tokens, and what they become) in the order of their ranks; `None` if an id or a rank is
    /// out of bounds.
    pub(super) fn new(merges: &[[u32; 3]]) -> Option<Self> {
        let mut pairs = Self::with_capacity(merges.len());
        for some in merges.chunks(AHEAD) {
            for [left, right, _] in some {
                let hash = Self::hash(Self::key(*left, *right));
                ask_for(pairs.filter.get(), pairs.filter_place(hash).0);
                ask_for(pairs.entries.get(), pairs.slot(hash));
            }
            for [left, right, result] in some {
                pairs.push(*left, *right, *result).then_some(())?;
            }
        }
        Some(pairs)
    }

    fn with_capacity(pairs: usize) -> Self {
        let size = (pairs + pairs / 3).next_power_of_two().max(16);
        // 8 to 16 bits a pair.
        let bits = (pairs * 8).next_power_of_two().max(64);
        Self {
            entries: Words::zeroed(size),
            size,
            filter: Words::zeroed(bits / 64),
            filter_shift: 64 - bits.trailing_zeros(),
            shift: 64 - size.trailing_zeros(),
            results: Vec::with_capacity(pairs),
            offset: None,
            low: Words::zeroed(LOW * LOW / 2),
        }
    }

    /// One for every pair of tokens.
    #[inline]
    fn key(left: u32, right: u32) -> u64 {
        u64::from(left) << 20 | u64::from(right)
    }

    #[inline]
    fn hash(key: u64) -> u64 {
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash ^ hash >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    /// Where the filter has the bit of a pair.
    #[allow(clippy::cast_possible_truncation)] // fewer bits than a usize has remain
    fn filter_place(&self, hash: u64) -> (usize, u64) {
        let bit = hash >> self.filter_shift;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    /// Where the table has a pair, or after that.
    #[allow(clippy::cast_possible_truncation)] // fewer bits than a usize has remain
    fn slot(&self, hash: u64) -> usize {
        (hash.rotate_left(32) >> self.shift) as usize
    }

    /// Adds the pair of the next rank; a pair that is there already takes the new rank, as in the
    /// reference. False if an id or the rank is out of bounds.
    fn push(&mut self, left: u32, right: u32, result: u32) -> bool {
        let Ok(rank) = u32::try_from(self.results.len()) else {
            return false;
        };
        if left > MAX_ID || right > MAX_ID || rank > MAX_RANK || self.results.len() >= self.size - 1 {
            return false;
        }
        self.offset = match (rank, self.offset) {
            (0, _) => Some(result),
            (_, Some(offset)) if rank + offset == result => Some(offset),
            _ => None,
        };
        self.results.push(result);
        if let Some(place) = low_place(left, right) {
            let low: &mut [u32] = bytemuck::cast_slice_mut(self.low.get_mut());
            low[place] = rank + 1;
        }
        let key = Self::key(left, right);
        let hash = Self::hash(key);
        let (word, bit) = self.filter_place(hash);
        self.filter.get_mut()[word] |= bit;
        let mask = self.size - 1;
        let mut slot = self.slot(hash);
        let entries = self.entries.get_mut();
        while entries[slot] != EMPTY && entries[slot] >> RANK_BITS != key {
            slot = (slot + 1) & mask;
        }
        entries[slot] = key << RANK_BITS | u64::from(rank + 1);
        true
    }

    /// The table, ready for look-ups.
    #[inline]
    pub(super) fn ranks(&self) -> Ranks<'_> {
        Ranks {
            entries: self.entries.get(),
            filter: self.filter.get(),
            low: bytemuck::cast_slice(self.low.get()),
            filter_shift: self.filter_shift,
            shift: self.shift,
        }
    }

    /// Whether the table is too large to stay near the processor, so that whoever asks it mostly waits.
    pub(super) fn is_far(&self) -> bool {
        self.size * 8 > FAR
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
    low: &'a [u32],
    filter_shift: u32,
    shift: u32,
}

impl Ranks<'_> {
    /// The rank at which two tokens merge, or [`NONE`].
    #[inline]
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        self.rank_by_hash(left, right, Pairs::hash(Pairs::key(left, right)))
    }

    /// Asks for the memory of what [`Self::rank_by_hash`] will be asked with the hash that this gives.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // fewer bits than a usize has
    pub(super) fn ask_for(&self, left: u32, right: u32) -> u64 {
        if let Some(place) = low_place(left, right) {
            ask_for(self.low, place);
            return 0;
        }
        let hash = Pairs::hash(Pairs::key(left, right));
        let bit = hash >> self.filter_shift;
        // Most pairs that may be asked for do not merge, and then the table is not looked at; but to know that would
        // be to wait.
        ask_for(self.filter, (bit / 64) as usize);
        ask_for(self.entries, (hash.rotate_left(32) >> self.shift) as usize);
        hash
    }

    /// The rank at which two tokens merge, or [`NONE`]; `hash` is that of their key.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // fewer bits than a usize has, and the rank's 24
    pub(super) fn rank_by_hash(&self, left: u32, right: u32, hash: u64) -> u32 {
        if let Some(place) = low_place(left, right)
            && let Some(&rank) = self.low.get(place)
        {
            return rank.wrapping_sub(1);
        }
        let key = Pairs::key(left, right);
        let bit = hash >> self.filter_shift;
        if self.filter[(bit / 64) as usize] >> (bit % 64) & 1 == 0 {
            return NONE;
        }
        let mask = self.entries.len() - 1;
        let mut slot = (hash.rotate_left(32) >> self.shift) as usize;
        loop {
            let entry = self.entries[slot & mask];
            if entry >> RANK_BITS == key && entry != EMPTY {
                return (entry as u32 & ((1 << RANK_BITS) - 1)) - 1;
            }
            if entry == EMPTY {
                return NONE;
            }
            slot += 1;
        }
    }
}
