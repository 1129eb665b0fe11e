//! What has been encoded before: piece to ids, bounded, one for all threads.
//!
//! Pieces of at most 15 bytes, nearly all there are, have their key (bytes and length in one `u128`)
//! and up to four ids side by side, two entries to a cache line. Those of at most 31 bytes and eight ids
//! have a line of a second table each. (Seven and thirteen where two bytes are enough for an id, see [`entry`].) What is
//! longer goes to a store that each session has for itself.
//!
//! Words of the vocabulary are there from the start, marked by a count of their own ([`SEED`]), with which the loop over
//! known pieces does not find them. Who finds them otherwise puts them where they are found from then on; until then
//! they give way to whatever is put there. (Kept like all others, they sent frequent words to places where a look-up
//! takes longer: known text was a quarter slower.)

mod entry;
mod long;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::fence;

pub(super) use entry::{MANY_IDS, MIDDLE_ROOM};
use entry::{MIDDLE_WORDS, SEED, SHORT_ROOM, SHORT_WORDS, Width, count_of, counted, unpack};
pub(super) use long::{BOUND as LONG_BOUND, Long};
use table::{Line, Table, View};

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

/// A word of a line.
#[inline]
fn word(line: &Line, at: usize) -> u64 {
    line[at].load(Relaxed)
}

pub(super) struct Cache<const SHORTS: usize = SHORT_LINES, const MIDDLES: usize = MIDDLE_LINES> {
    short: Table<SHORTS>,
    middle: Table<MIDDLES>,
    width: Width,
}

impl<const SHORTS: usize, const MIDDLES: usize> Cache<SHORTS, MIDDLES> {
    pub(super) fn new() -> Self {
        Self { short: Table::new(), middle: Table::new(), width: Width::Three }
    }

    /// The empty cache, for ids up to this one. What has a greater one (an added token may) is not remembered.
    pub(super) fn for_ids_to(self, greatest: u32) -> Self {
        Self { width: Width::of(greatest), ..self }
    }

    /// The first table, ready for look-ups.
    #[inline]
    pub(super) fn short(&self) -> Short<'_, SHORTS> {
        Short(self.short.view(self.width))
    }

    /// The second table, ready for look-ups.
    #[inline]
    pub(super) fn middle(&self) -> Middle<'_, MIDDLES> {
        Middle(self.middle.view(self.width))
    }

    /// The most ids that a table gives for one piece.
    #[inline]
    pub(super) fn most_ids(&self) -> usize {
        self.width.room(MIDDLE_WORDS)
    }

    /// Remembers the ids of a short piece, or that they are in the second table, and says whether an entry has room for as many.
    pub(super) fn remember_short(&self, key: u128, hash: usize, ids: &[u32]) -> bool {
        if self.width.fits(ids) {
            self.short.view(self.width).put(hash, &short_entry(key, self.width.packed(ids)));
        }
        ids.len() <= self.width.room(SHORT_WORDS)
    }

    /// Remembers the one id of a short piece that no text has asked for yet. It is the first to go, as long as none does.
    pub(super) fn seed_short(&self, key: u128, hash: usize, id: u32) {
        if self.width.fits(&[id]) {
            let [state, rest] = self.width.packed(&[id]);
            self.short.view(self.width).seed(hash, &short_entry(key, [state | counted(SEED), rest]));
        }
    }

    /// Remembers the ids of a piece of middle length, or of a short one of many, whose second key is 0, or that they are in the
    /// store, and says whether an entry has room for as many.
    pub(super) fn remember_middle(&self, keys: (u128, u128), hash: usize, ids: &[u32]) -> bool {
        if self.width.fits(ids) {
            let mut entry = [0; 8];
            entry[..2].copy_from_slice(&halves(keys.0));
            entry[2..4].copy_from_slice(&halves(keys.1));
            entry[4..].copy_from_slice(&self.width.packed::<MIDDLE_WORDS>(ids));
            self.middle.view(self.width).put(hash, &entry);
        }
        ids.len() <= self.width.room(MIDDLE_WORDS)
    }
}

/// An entry of the first table.
fn short_entry(key: u128, [state, rest]: [u64; SHORT_WORDS]) -> [u64; 4] {
    let [low, high] = halves(key);
    [low, high, state, rest]
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
        // A loop for each, as constants.
        match self.0.width {
            Width::Two => self.run_of(Width::Two, wanted, out),
            Width::Three => self.run_of(Width::Three, wanted, out),
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // with the width as a constant
    fn run_of(self, width: Width, wanted: &[Wanted], out: &mut [u32]) -> (usize, usize) {
        let mut filled = 0;
        for (index, &Wanted { low, high, hash }) in wanted.iter().enumerate() {
            let Some(room) = out.get_mut(filled..).and_then(<[u32]>::first_chunk_mut::<SHORT_ROOM>) else {
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
            let count = count_of(state);
            if different | meanwhile != 0 || count.wrapping_sub(1) >= width.room(SHORT_WORDS) {
                return (index, filled);
            }
            unpack(width, [state, rest], room);
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
    pub(super) fn find(self, key: u128, hash: usize, out: &mut [u32; SHORT_ROOM]) -> usize {
        match self.find_in(key, hash, out) {
            SEED => {
                // Now it is wanted.
                self.0.put(hash, &short_entry(key, self.0.width.packed(&out[..1])));
                1
            }
            0 if self.0.has_room::<4>(hash) => 0,
            0 => match self.find_in(key, hash ^ 1, out) {
                SEED => 0, // there are none but where they are looked for first
                found => found,
            },
            found => found,
        }
    }

    #[inline]
    #[allow(clippy::needless_bitwise_bool)] // which of them it is cannot be foreseen
    fn find_in(self, key: u128, hash: usize, out: &mut [u32; SHORT_ROOM]) -> usize {
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
        let state = states[0] & first | states[1] & second;
        unpack(self.0.width, [state, rest], out);
        count_of(state)
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
    pub(super) fn find(self, keys: (u128, u128), hash: usize, out: &mut [u32; MIDDLE_ROOM]) -> usize {
        match self.find_in(keys, hash, out) {
            0 if self.0.has_room::<8>(hash) => 0,
            0 => self.find_in(keys, hash ^ 1, out),
            found => found,
        }
    }

    #[inline]
    fn find_in(self, keys: (u128, u128), hash: usize, out: &mut [u32; MIDDLE_ROOM]) -> usize {
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
        let words = [state, word(line, 5), word(line, 6), word(line, 7)];
        fence(Acquire);
        if word(line, 4) != state {
            return 0; // somebody has written here meanwhile
        }
        unpack(self.0.width, words, out);
        count_of(state)
    }
}
