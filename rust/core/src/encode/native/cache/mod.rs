//! What has been encoded before: piece to ids, bounded, one for all threads.
//!
//! Pieces of at most 15 bytes, nearly all there are, have their key (bytes and length in one `u128`)
//! and up to four ids side by side, two entries to a cache line. Those of at most 31 bytes and eight ids
//! have a line of a second table each. What is longer goes to a store that each session has for itself.
//!
//! Words of the vocabulary are there from the start, marked by a count of their own ([`SEED`]), with which the loop over
//! known pieces does not find them. Who finds them otherwise puts them where they are found from then on; until then
//! they give way to whatever is put there. (Kept like all others, they sent frequent words to places where a look-up
//! takes longer: known text was a quarter slower.)

mod long;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;

pub(super) use long::{BOUND as LONG_BOUND, Long};
use table::{Line, Table, VERSION, View};

/// The longest piece whose bytes fit a key.
pub(super) const SHORT: usize = 15;
/// The longest piece whose bytes fit two keys.
pub(super) const MIDDLE: usize = 31;

/// Lines of the first table, 16 MiB, and of the second, 8 MiB. Tests, which encode little, take less.
const SHORT_LINES: usize = if cfg!(test) { 1 << 12 } else { 1 << 18 };
const MIDDLE_LINES: usize = SHORT_LINES / 2;

/// The bytes of the tables.
pub(super) const BOUND: usize = (SHORT_LINES + MIDDLE_LINES) * 64;

/// Marks a piece that is part of a larger one, where that makes a difference.
pub(super) const PART: u128 = 1 << 127;
/// Marks the second of two keys, which is 0 beside the key of a short piece.
const SECOND: u128 = 1 << 126;

static MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut length = 1;
    while length <= SHORT {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

/// The key of the piece of at most [`SHORT`] bytes with which a text begins: its bytes and its length.
#[inline]
pub(super) fn key_of(text: &[u8], length: usize) -> u128 {
    let length = length.min(SHORT);
    sixteen(text) & MASKS[length] | (length as u128) << 120
}

/// The keys of the piece of 16 to [`MIDDLE`] bytes with which a text begins.
#[inline]
pub(super) fn keys_of(text: &[u8], length: usize) -> (u128, u128) {
    let rest = text.get(16..).unwrap_or_default();
    (sixteen(text), key_of(rest, length.saturating_sub(16)) | SECOND)
}

/// The first sixteen bytes of a text, zeros beyond its end.
#[inline]
pub(super) fn sixteen(text: &[u8]) -> u128 {
    if let Some(bytes) = text.first_chunk() { u128::from_le_bytes(*bytes) } else { near_end(text) }
}

#[cold]
#[inline(never)]
fn near_end(text: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let length = text.len().min(16);
    bytes[..length].copy_from_slice(&text[..length]);
    u128::from_le_bytes(bytes)
}

/// The low bits say which line of the first table a key belongs to.
#[inline]
pub(super) fn hash_of(key: u128) -> usize {
    let [low, high] = halves(key);
    folded(low ^ 0x9E37_79B9_7F4A_7C15, high ^ 0xD6E8_FEB8_6659_FD93)
}

/// The low bits say which line of the second table two keys belong to.
#[inline]
pub(super) fn middle_hash_of(keys: (u128, u128)) -> usize {
    let ([low, high], [second_low, second_high]) = (halves(keys.0), halves(keys.1));
    folded(
        low ^ second_low.rotate_left(29) ^ 0x9E37_79B9_7F4A_7C15,
        high ^ second_high ^ 0xD6E8_FEB8_6659_FD93,
    )
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // halves are what is wanted
fn folded(low: u64, high: u64) -> usize {
    let wide = u128::from(low) * u128::from(high);
    (wide as u64 ^ (wide >> 64) as u64) as usize
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // halves are what is wanted
fn halves(key: u128) -> [u64; 2] {
    [key as u64, (key >> 64) as u64]
}

/// The first id of an entry holds the number of ids in its top bits; the others of its top bits, and those of the second
/// id, belong to the table.
const COUNT_SHIFT: u32 = 28;
/// Stands for more ids than an entry has room for.
pub(super) const MANY: u32 = 15;
/// Stands for one id that no text has asked for yet.
const SEED: u32 = 9;
/// The greatest id that leaves those bits alone.
const MAX_ID: u32 = (1 << 24) - 1;
/// What of a state are ids.
const IDS: u64 = (MAX_ID as u64) << 32 | MAX_ID as u64;

/// The ids of an entry that has room for so many; the number of ids stands in the first.
#[allow(clippy::cast_possible_truncation)] // a few
fn packed<const ROOM: usize>(ids: &[u32]) -> [u32; ROOM] {
    let mut packed = [0; ROOM];
    if ids.len() <= ROOM {
        packed[..ids.len()].copy_from_slice(ids);
        packed[0] |= (ids.len() as u32) << COUNT_SHIFT;
    } else {
        packed[0] = MANY << COUNT_SHIFT;
    }
    packed
}

/// The number of ids that stands in the first of them, which becomes the id alone.
#[inline]
fn taken_from(first: &mut u32) -> usize {
    let count = *first >> COUNT_SHIFT;
    *first &= MAX_ID;
    count as usize
}

/// Whether ids can stand in an entry.
fn fit(ids: &[u32]) -> bool {
    !ids.is_empty() && ids.iter().all(|&id| id <= MAX_ID)
}

/// An entry of the first table.
fn short_entry(key: u128, ids: &[u32]) -> [u64; 4] {
    let mut entry = [0; 4];
    entry[..2].copy_from_slice(&halves(key));
    entry[2..].copy_from_slice(bytemuck::cast_slice(&packed::<4>(ids)));
    entry
}

/// A word of a line.
#[inline]
fn word(line: &Line, at: usize) -> u64 {
    line[at].load(Relaxed)
}

pub(super) struct Cache<const SHORTS: usize = SHORT_LINES, const MIDDLES: usize = MIDDLE_LINES> {
    short: Table<SHORTS>,
    middle: Table<MIDDLES>,
}

impl<const SHORTS: usize, const MIDDLES: usize> Cache<SHORTS, MIDDLES> {
    pub(super) fn new() -> Self {
        Self { short: Table::new(), middle: Table::new() }
    }

    /// The first table, ready for look-ups.
    #[inline]
    pub(super) fn short(&self) -> Short<'_, SHORTS> {
        Short(self.short.view())
    }

    /// The second table, ready for look-ups.
    #[inline]
    pub(super) fn middle(&self) -> Middle<'_, MIDDLES> {
        Middle(self.middle.view())
    }

    /// Remembers the ids of a short piece; of more than four only that they are in the second table.
    pub(super) fn remember_short(&self, key: u128, hash: usize, ids: &[u32]) {
        if fit(ids) {
            self.short.view().put(hash, &short_entry(key, ids));
        }
    }

    /// Remembers the one id of a short piece that no text has asked for yet. It is the first to go, as long as none does.
    pub(super) fn seed_short(&self, key: u128, hash: usize, id: u32) {
        if fit(&[id]) {
            let mut entry = short_entry(key, &[id]);
            entry[2] ^= u64::from(1 ^ SEED) << COUNT_SHIFT;
            self.short.view().seed(hash, &entry);
        }
    }

    /// Remembers the ids of a piece of middle length, or of a short one of more than four ids, whose second
    /// key is 0; of more than eight only that they are in the store.
    pub(super) fn remember_middle(&self, keys: (u128, u128), hash: usize, ids: &[u32]) {
        if !fit(ids) {
            return;
        }
        let mut entry = [0; 8];
        entry[..2].copy_from_slice(&halves(keys.0));
        entry[2..4].copy_from_slice(&halves(keys.1));
        entry[4..].copy_from_slice(bytemuck::cast_slice(&packed::<8>(ids)));
        self.middle.view().put(hash, &entry);
    }
}

/// The first table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Short<'a, const LINES: usize = SHORT_LINES>(View<'a, LINES>);

/// A short piece that is looked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    low: u64,
    high: u64,
    pub(super) hash: usize,
}

impl Wanted {
    #[inline]
    pub(super) fn new(key: u128, hash: usize) -> Self {
        let [low, high] = halves(key);
        Self { low, high, hash }
    }

    #[inline]
    pub(super) fn key(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }
}

impl<const LINES: usize> Short<'_, LINES> {
    /// Looks pieces up one after the other, as long as each is where it is looked for first: how many those are, and how
    /// many ids they have, which are written to `out`.
    #[inline]
    pub(super) fn run(self, wanted: &[Wanted], out: &mut [u32]) -> (usize, usize) {
        let mut filled = 0;
        for (index, &Wanted { low, high, hash }) in wanted.iter().enumerate() {
            let Some(room) = out.get_mut(filled..).and_then(<[u32]>::first_chunk_mut::<4>) else {
                return (index, filled);
            };
            let line = self.0.line(hash);
            // Which of the two it is cannot be guessed, so it is computed.
            let entry = usize::from(word(line, 0) != low) * 4;
            let state = line[entry + 2].load(Acquire);
            let different = (word(line, entry) ^ low) | (word(line, entry + 1) ^ high);
            let rest = word(line, entry + 3);
            fence(Acquire);
            let meanwhile = word(line, entry + 2) ^ state;
            let count = (state >> COUNT_SHIFT) as usize & 15;
            if different | meanwhile != 0 || count.wrapping_sub(1) >= 4 {
                return (index, filled);
            }
            *room = bytemuck::cast([state & IDS, rest]);
            filled += count;
        }
        (wanted.len(), filled)
    }

    /// Asks for the memory of a line that will be looked at.
    #[inline]
    pub(super) fn ask_for(self, hash: usize) {
        self.0.ask_for(hash);
    }

    /// Writes the ids of a short piece to the front of `out` and says how many; 0 if it is not there.
    #[inline]
    pub(super) fn find(self, key: u128, hash: usize, out: &mut [u32; 4]) -> usize {
        match self.find_in(key, hash, out) {
            found if found == SEED as usize => {
                self.0.put(hash, &short_entry(key, &out[..1])); // now it is wanted
                1
            }
            0 if self.0.has_room::<4>(hash) => 0,
            0 => self.find_in(key, hash ^ 1, out),
            found => found,
        }
    }

    #[inline]
    #[allow(clippy::needless_bitwise_bool)] // which of them it is cannot be foreseen
    fn find_in(self, key: u128, hash: usize, out: &mut [u32; 4]) -> usize {
        let [low, high] = halves(key);
        let line = self.0.line(hash);
        // Which of the two it is cannot be guessed, so both are asked, without a branch.
        let states = [line[2].load(Acquire), line[6].load(Acquire)];
        let first = ((word(line, 0) ^ low) | (word(line, 1) ^ high)) == 0;
        // Two threads may have put it in both; one of the two is enough, and the other may be half written.
        let second = (((word(line, 4) ^ low) | (word(line, 5) ^ high)) == 0) & !first;
        if !(first | second) {
            return 0;
        }
        let (first, second) = (0u64.wrapping_sub(u64::from(first)), 0u64.wrapping_sub(u64::from(second)));
        let rest = word(line, 3) & first | word(line, 7) & second;
        fence(Acquire);
        if (word(line, 2) ^ states[0]) | (word(line, 6) ^ states[1]) != 0 {
            return 0; // somebody has written here meanwhile
        }
        *out = bytemuck::cast([(states[0] & first | states[1] & second) & !VERSION, rest]);
        taken_from(&mut out[0])
    }
}

/// The second table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Middle<'a, const LINES: usize = MIDDLE_LINES>(View<'a, LINES>);

impl<const LINES: usize> Middle<'_, LINES> {
    /// Asks for the memory of a line that will be looked at.
    #[inline]
    pub(super) fn ask_for(self, hash: usize) {
        self.0.ask_for(hash);
    }

    /// Writes the ids of a piece to the front of `out` and says how many; 0 if it is not there.
    #[inline]
    pub(super) fn find(self, keys: (u128, u128), hash: usize, out: &mut [u32; 8]) -> usize {
        match self.find_in(keys, hash, out) {
            0 if self.0.has_room::<8>(hash) => 0,
            0 => self.find_in(keys, hash ^ 1, out),
            found => found,
        }
    }

    #[inline]
    fn find_in(self, keys: (u128, u128), hash: usize, out: &mut [u32; 8]) -> usize {
        let line = self.0.line(hash);
        let ([low, high], [second_low, second_high]) = (halves(keys.0), halves(keys.1));
        let state = line[4].load(Acquire);
        let different = (word(line, 0) ^ low)
            | (word(line, 1) ^ high)
            | (word(line, 2) ^ second_low)
            | (word(line, 3) ^ second_high);
        if different != 0 {
            return 0;
        }
        let rest = [word(line, 5), word(line, 6), word(line, 7)];
        fence(Acquire);
        if word(line, 4) != state {
            return 0; // somebody has written here meanwhile
        }
        *out = bytemuck::cast([state & !VERSION, rest[0], rest[1], rest[2]]);
        taken_from(&mut out[0])
    }
}
