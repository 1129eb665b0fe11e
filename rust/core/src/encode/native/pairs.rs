//! Which two tokens merge, how early, and into what.

/// An id or a rank that is none.
pub(super) const NONE: u32 = u32::MAX;

/// Ids above this do not fit a key of the table.
pub(super) const MAX_ID: u32 = (1 << 20) - 1;
/// Ranks above this do not fit an entry of the table.
pub(super) const MAX_RANK: u32 = (1 << 24) - 2;

const EMPTY: u64 = u64::MAX;
const RANK_BITS: u32 = 24;

/// An open-addressing table of eight-byte entries: both ids and the rank; what the pair merges into
/// stands in a list by rank. Eight bytes instead of sixteen keep the table near the core.
pub(super) struct Pairs {
    entries: Vec<u64>,
    shift: u32,
    results: Vec<u32>,
}

impl Pairs {
    pub(super) fn with_capacity(pairs: usize) -> Self {
        let size = (pairs * 2).next_power_of_two().max(16);
        Self {
            entries: vec![EMPTY; size],
            shift: 64 - size.trailing_zeros(),
            results: Vec::with_capacity(pairs),
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // fewer bits than a usize has remain
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    /// Adds the pair of the next rank; a pair that is there already takes the new rank, as in the
    /// reference. False if an id or the rank is out of bounds.
    pub(super) fn push(&mut self, left: u32, right: u32, result: u32) -> bool {
        let Ok(rank) = u32::try_from(self.results.len()) else {
            return false;
        };
        if left > MAX_ID || right > MAX_ID || rank > MAX_RANK {
            return false;
        }
        if self.results.len() * 2 > self.entries.len() {
            return false;
        }
        self.results.push(result);
        let key = u64::from(left) << 20 | u64::from(right);
        let mask = self.entries.len() - 1;
        let mut slot = self.home(key);
        while self.entries[slot] != EMPTY && self.entries[slot] >> RANK_BITS != key {
            slot = (slot + 1) & mask;
        }
        self.entries[slot] = key << RANK_BITS | u64::from(rank);
        true
    }

    /// The rank at which two tokens merge, or [`NONE`].
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the low 24 bits are the rank
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        let key = u64::from(left) << 20 | u64::from(right);
        let mask = self.entries.len() - 1;
        let mut slot = self.home(key);
        loop {
            let entry = self.entries[slot & mask];
            if entry >> RANK_BITS == key {
                return entry as u32 & ((1 << RANK_BITS) - 1);
            }
            if entry == EMPTY {
                return NONE;
            }
            slot += 1;
        }
    }

    /// What the pair of this rank merges into.
    #[inline]
    pub(super) fn result(&self, rank: u32) -> u32 {
        self.results[rank as usize]
    }
}
