//! What is known of every character of the basic plane, side by side: what it alone becomes, and what it
//! may join. Chinese text asks this of every character, and a few thousand of them make nearly all of it:
//! their records stay near the core where a hashed table would be spread over memory.

use super::pairs::MAX_ID;

/// The ids of a piece that is one character: up to three of 20 bits, and their number above them.
pub(super) type Alone = u64;

const COUNT_SHIFT: u32 = 60;

/// Packs ids; 0 where they do not fit.
pub(super) fn pack(ids: &[u32]) -> Alone {
    if ids.is_empty() || ids.len() > 3 || ids.iter().any(|&id| id > MAX_ID) {
        return 0;
    }
    let packed = ids
        .iter()
        .rev()
        .fold(0, |packed, &id| packed << 20 | u64::from(id));
    packed | (ids.len() as u64) << COUNT_SHIFT
}

/// Writes the ids and says how many.
#[inline]
#[allow(clippy::cast_possible_truncation)] // 20 bits each
pub(super) fn unpack(alone: Alone, out: &mut [u32; 4]) -> usize {
    let mask = u64::from(MAX_ID);
    *out = [
        (alone & mask) as u32,
        (alone >> 20 & mask) as u32,
        (alone >> 40 & mask) as u32,
        0,
    ];
    (alone >> COUNT_SHIFT) as usize
}

/// One character.
#[derive(Clone, Copy, Default)]
struct Record {
    alone: Alone,
    /// A bit for every hash of a character that can follow it in a token.
    followers: u64,
}

/// The records of the basic plane.
pub(super) struct Chars {
    records: Vec<Record>,
}

/// The bit of a character among the followers of another.
#[inline]
fn follower(code: u32) -> u64 {
    1 << (code.wrapping_mul(0x9E37_79B1) >> 26)
}

impl Chars {
    pub(super) fn new() -> Self {
        Self {
            records: vec![Record::default(); 0x1_0000],
        }
    }

    pub(super) fn set_alone(&mut self, code: u32, alone: Alone) {
        if let Some(record) = self.records.get_mut(code as usize) {
            record.alone = alone;
        }
    }

    /// `right` can follow `left` in a token.
    pub(super) fn add_follower(&mut self, left: u32, right: u32) {
        if let Some(record) = self.records.get_mut(left as usize) {
            record.followers |= follower(right);
        }
    }

    /// What a piece that is this character becomes; 0 if that is not known here.
    #[inline]
    pub(super) fn alone(&self, code: u32) -> Alone {
        self.records
            .get(code as usize)
            .map_or(0, |record| record.alone)
    }

    /// Whether `right` may follow `left` in a token; if not, that is certain.
    #[inline]
    pub(super) fn may_follow(&self, left: u32, right: u32) -> bool {
        self.records
            .get(left as usize)
            .is_none_or(|record| record.followers & follower(right) != 0)
    }
}
