//! What has been encoded before: piece to ids, bounded, one per session.
//!
//! Pieces of at most 15 bytes, nearly all there are, have their key (bytes and length in one `u128`)
//! and up to four ids side by side, two entries to a cache line. Those of at most 31 bytes and eight ids
//! have a line of a second table each. What is longer has a third table that points into a store of
//! bytes and ids, which starts over when it is full.

use super::memory::Words;
use super::prefetch::ask_for;
use super::vocab::hash_bytes;

/// The longest piece whose bytes fit a key.
pub(super) const SHORT: usize = 15;
/// The longest piece whose bytes fit two keys.
pub(super) const MIDDLE: usize = 31;
/// The longest piece that is remembered at all.
pub(super) const LONG: usize = 255;

/// Lines of 64 bytes in the first table at its largest: 16 MiB. It begins small and grows as it fills:
/// entries that stand close together share cache lines and pages.
const LINES: usize = 1 << 18;
const FIRST_LINES: usize = 1 << 12;
/// Lines of the second table: 8 MiB.
const MIDDLE_LINES: usize = 1 << 17;
/// Slots of the third table: 512 KiB.
const LONG_SLOTS: usize = 1 << 15;
/// Bytes and ids in the store of the third table: 2 MiB and 1 MiB.
const STORE_BYTES: usize = 1 << 21;
const STORE_IDS: usize = 1 << 18;

/// The bytes that a session's cache can grow to, its fixed tables included.
pub(super) const BOUND: usize =
    LINES * 64 + LINES / 2 * 64 + MIDDLE_LINES * 64 + LONG_SLOTS * 16 + STORE_BYTES + STORE_IDS * 4 + 4096;

/// Marks a piece that is part of a larger one, where that makes a difference.
pub(super) const PART: u128 = 1 << 127;

static MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut length = 1;
    while length <= SHORT {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

/// The key of a piece of at most [`SHORT`] bytes: its bytes and its length.
#[inline]
pub(super) fn key_of(text: &[u8], start: usize, length: usize) -> u128 {
    let length = length.min(SHORT);
    sixteen(text, start) & MASKS[length] | (length as u128) << 120
}

/// The keys of a piece of 16 to [`MIDDLE`] bytes.
#[inline]
pub(super) fn keys_of(text: &[u8], start: usize, length: usize) -> (u128, u128) {
    (sixteen(text, start), key_of(text, start + 16, length.saturating_sub(16)))
}

/// Sixteen bytes of the text, zeros beyond its end.
#[inline]
fn sixteen(text: &[u8], start: usize) -> u128 {
    if let Some(Ok(bytes)) = text.get(start..start + 16).map(<[u8; 16]>::try_from) {
        u128::from_le_bytes(bytes)
    } else {
        near_end(text, start)
    }
}

#[cold]
fn near_end(text: &[u8], start: usize) -> u128 {
    let mut bytes = [0; 16];
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.len().min(16);
    bytes[..length].copy_from_slice(&rest[..length]);
    u128::from_le_bytes(bytes)
}

/// The low bits say which line of the first table a key belongs to.
#[inline]
#[allow(clippy::cast_possible_truncation)] // halves and low bits are what is wanted
pub(super) fn hash_of(key: u128) -> usize {
    let low = key as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let high = (key >> 64) as u64 ^ 0xD6E8_FEB8_6659_FD93;
    let wide = u128::from(low) * u128::from(high);
    (wide as u64 ^ (wide >> 64) as u64) as usize
}

/// The low bits say which line of the second table two keys belong to.
#[inline]
#[allow(clippy::cast_possible_truncation)] // halves are what is wanted
pub(super) fn middle_hash_of(keys: (u128, u128)) -> usize {
    let low = keys.0 as u64 ^ (keys.1 as u64).rotate_left(29) ^ 0x9E37_79B9_7F4A_7C15;
    let high = (keys.0 >> 64) as u64 ^ (keys.1 >> 64) as u64 ^ 0xD6E8_FEB8_6659_FD93;
    let wide = u128::from(low) * u128::from(high);
    (wide as u64 ^ (wide >> 64) as u64) as usize
}

/// A line: two entries of a key and its ids.
type Line = [u64; 8];

pub(super) struct Cache {
    lines: Words,
    /// Entries in the first table, evictions counted in.
    filled: usize,
    middle: Words,
    long: Vec<LongSlot>,
    bytes: Vec<u8>,
    ids: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct LongSlot {
    hash: u32,
    bytes_start: u32,
    ids_start: u32,
    /// Length in bytes, 0 for none.
    length: u16,
    count: u16,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            lines: Words::zeroed(FIRST_LINES * 8),
            filled: 0,
            middle: Words::zeroed(MIDDLE_LINES * 8),
            long: Vec::new(),
            bytes: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Stands in for a cache that is taken away; holds nothing and is not to be used.
    pub(super) fn without_tables() -> Self {
        Self {
            lines: Words::zeroed(0),
            filled: 0,
            middle: Words::zeroed(0),
            long: Vec::new(),
            bytes: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// The first table, ready for look-ups.
    #[inline]
    pub(super) fn lines(&self) -> Lines<'_> {
        Lines { lines: self.lines.get() }
    }

    /// The second table, ready for look-ups.
    #[inline]
    pub(super) fn middle(&self) -> Middle<'_> {
        Middle { lines: self.middle.get() }
    }

    /// Remembers the ids of a piece of middle length, or of a short one of more than four ids; of more than
    /// eight only that they are in the third table.
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    pub(super) fn remember_middle(&mut self, keys: (u128, u128), hash: usize, ids: &[u32]) {
        if ids.is_empty() || ids[0] > ID_MASK {
            return;
        }
        let mut all = [0; 8];
        if ids.len() <= all.len() {
            all[..ids.len()].copy_from_slice(ids);
            all[0] |= (ids.len() as u32) << COUNT_SHIFT;
        } else {
            all[0] = MANY << COUNT_SHIFT;
        }
        let lines = self.middle.get_mut();
        let taken = |lines: &[u64], hash: usize| line_at(lines, hash).is_some_and(|line| line[4] != 0);
        // Its own line, or the neighbour if only that is free.
        let hash = if taken(lines, hash) && !taken(lines, hash ^ 1) { hash ^ 1 } else { hash };
        if let Some(line) = line_at_mut(lines, hash) {
            *line = [
                keys.0 as u64,
                (keys.0 >> 64) as u64,
                keys.1 as u64,
                (keys.1 >> 64) as u64,
                u64::from(all[0]) | u64::from(all[1]) << 32,
                u64::from(all[2]) | u64::from(all[3]) << 32,
                u64::from(all[4]) | u64::from(all[5]) << 32,
                u64::from(all[6]) | u64::from(all[7]) << 32,
            ];
        }
    }

    /// Remembers the ids of a short piece; of more than four only that they are in the
    /// second table.
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    pub(super) fn remember_short(&mut self, key: u128, hash: usize, ids: &[u32]) {
        if ids.is_empty() || ids[0] > ID_MASK {
            return;
        }
        let mut four = [0; 4];
        if ids.len() <= four.len() {
            four[..ids.len()].copy_from_slice(ids);
            four[0] |= (ids.len() as u32) << COUNT_SHIFT;
        } else {
            four[0] = MANY << COUNT_SHIFT;
        }
        if self.filled > self.lines.get().len() / 8 * 3 / 4 && self.lines.get().len() < LINES * 8 {
            self.grow();
        }
        self.filled += 1;
        insert(
            self.lines.get_mut(),
            hash,
            [
                key as u64,
                (key >> 64) as u64,
                u64::from(four[0]) | u64::from(four[1]) << 32,
                u64::from(four[2]) | u64::from(four[3]) << 32,
            ],
        );
    }

    /// Moves to a table of four times the size.
    fn grow(&mut self) {
        let length = (self.lines.get().len() * 4).min(LINES * 8);
        let old = std::mem::replace(&mut self.lines, Words::zeroed(length));
        let lines = self.lines.get_mut();
        for entry in old.get().chunks_exact(4) {
            if entry[1] != 0 {
                let key = u128::from(entry[0]) | u128::from(entry[1]) << 64;
                insert(lines, hash_of(key), [entry[0], entry[1], entry[2], entry[3]]);
            }
        }
    }

    /// The ids of a piece in the second table.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
    pub(super) fn long(&self, piece: &[u8], part: bool) -> Option<&[u32]> {
        if self.long.is_empty() {
            return None;
        }
        let hash = hash_bytes(piece) ^ u64::from(part);
        let slot = self.long[(hash >> 32) as usize % LONG_SLOTS];
        let start = slot.bytes_start as usize;
        (slot.hash == hash as u32
            && usize::from(slot.length) == piece.len()
            && self.bytes[start..start + piece.len()] == *piece)
            .then(|| {
                let start = slot.ids_start as usize;
                &self.ids[start..start + usize::from(slot.count)]
            })
    }

    /// Remembers a piece in the second table.
    #[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
    pub(super) fn remember_long(&mut self, piece: &[u8], part: bool, ids: &[u32]) {
        if piece.is_empty() || piece.len() > LONG || ids.len() > 4 * LONG {
            return;
        }
        if self.long.is_empty() {
            self.long = vec![LongSlot::default(); LONG_SLOTS];
        }
        if self.bytes.len() + piece.len() > STORE_BYTES || self.ids.len() + ids.len() > STORE_IDS {
            self.long.fill(LongSlot::default());
            self.bytes.clear();
            self.ids.clear();
        }
        let hash = hash_bytes(piece) ^ u64::from(part);
        let (Ok(bytes_start), Ok(ids_start), Ok(length), Ok(count)) = (
            u32::try_from(self.bytes.len()),
            u32::try_from(self.ids.len()),
            u16::try_from(piece.len()),
            u16::try_from(ids.len()),
        ) else {
            return;
        };
        reserve_within(&mut self.bytes, piece.len(), STORE_BYTES);
        reserve_within(&mut self.ids, ids.len(), STORE_IDS);
        self.bytes.extend_from_slice(piece);
        self.ids.extend_from_slice(ids);
        self.long[(hash >> 32) as usize % LONG_SLOTS] =
            LongSlot { hash: hash as u32, bytes_start, ids_start, length, count };
    }
}

#[inline]
fn line_at(lines: &[u64], hash: usize) -> Option<&Line> {
    // Tables hold a power of two of words.
    let at = hash << 3 & (lines.len().wrapping_sub(1));
    lines.get(at..at + 8)?.try_into().ok()
}

fn line_at_mut(lines: &mut [u64], hash: usize) -> Option<&mut Line> {
    let at = hash << 3 & (lines.len().wrapping_sub(1));
    lines.get_mut(at..at + 8)?.try_into().ok()
}

/// An entry goes to its own line or, if only that has room, to the neighbour; else the older of the two
/// in its own line goes.
fn insert(lines: &mut [u64], hash: usize, entry: [u64; 4]) {
    for near in [hash, hash ^ 1] {
        let Some(line) = line_at_mut(lines, near) else {
            return;
        };
        for place in [0, 4] {
            if line[place + 1] == 0 {
                line[place..place + 4].copy_from_slice(&entry);
                return;
            }
        }
    }
    if let Some(line) = line_at_mut(lines, hash) {
        line.copy_within(4..8, 0);
        line[4..].copy_from_slice(&entry);
    }
}

/// The first table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    lines: &'a [u64],
}

impl Lines<'_> {
    /// Asks for the memory of a line that will be looked at.
    #[inline]
    pub(super) fn ask_for(self, hash: usize) {
        ask_for(self.lines, hash << 3 & (self.lines.len().wrapping_sub(1)));
    }

    /// Writes the ids of a short piece to the front of `out` and says how many; 0 if it is not there.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    pub(super) fn find(self, key: u128, hash: usize, out: &mut [u32; 4]) -> usize {
        match self.find_in(key, hash, out) {
            0 => self.find_in(key, hash ^ 1, out),
            found => found,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    fn find_in(self, key: u128, hash: usize, out: &mut [u32; 4]) -> usize {
        let (low, high) = (key as u64, (key >> 64) as u64);
        let Some(line) = line_at(self.lines, hash) else {
            return 0;
        };
        // Which of the two it is cannot be guessed, so both are asked, without a branch.
        let first = ((line[0] ^ low) | (line[1] ^ high)) == 0;
        let second = ((line[4] ^ low) | (line[5] ^ high)) == 0;
        if !(first | second) {
            return 0;
        }
        let (first, second) = (0u64.wrapping_sub(u64::from(first)), 0u64.wrapping_sub(u64::from(second)));
        let ids = [line[2] & first | line[6] & second, line[3] & first | line[7] & second];
        *out = [ids[0] as u32 & ID_MASK, (ids[0] >> 32) as u32, ids[1] as u32, (ids[1] >> 32) as u32];
        (ids[0] as u32 >> COUNT_SHIFT) as usize
    }
}

/// The second table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Middle<'a> {
    lines: &'a [u64],
}

impl Middle<'_> {
    /// Asks for the memory of a line that will be looked at.
    #[inline]
    pub(super) fn ask_for(self, hash: usize) {
        ask_for(self.lines, hash << 3 & (self.lines.len().wrapping_sub(1)));
    }

    /// Writes the ids of a piece to the front of `out` and says how many; 0 if it is not there.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    pub(super) fn find(self, keys: (u128, u128), hash: usize, out: &mut [u32; 8]) -> usize {
        match self.find_in(keys, hash, out) {
            0 => self.find_in(keys, hash ^ 1, out),
            found => found,
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    fn find_in(self, keys: (u128, u128), hash: usize, out: &mut [u32; 8]) -> usize {
        let Some(line) = line_at(self.lines, hash) else {
            return 0;
        };
        let same = (line[0] ^ keys.0 as u64)
            | (line[1] ^ (keys.0 >> 64) as u64)
            | (line[2] ^ keys.1 as u64)
            | (line[3] ^ (keys.1 >> 64) as u64);
        if same != 0 {
            return 0;
        }
        *out = [
            line[4] as u32 & ID_MASK,
            (line[4] >> 32) as u32,
            line[5] as u32,
            (line[5] >> 32) as u32,
            line[6] as u32,
            (line[6] >> 32) as u32,
            line[7] as u32,
            (line[7] >> 32) as u32,
        ];
        (line[4] as u32 >> COUNT_SHIFT) as usize
    }
}

/// Doubles the capacity as a vector does, but never beyond the bound.
fn reserve_within<T>(vector: &mut Vec<T>, more: usize, bound: usize) {
    let needed = vector.len() + more;
    if needed > vector.capacity() {
        let wanted = (vector.capacity() * 2).clamp(needed, bound.max(needed));
        vector.reserve_exact(wanted - vector.len());
    }
}

/// The first id of an entry holds the number of ids in its top bits.
const COUNT_SHIFT: u32 = 28;
/// Stands for more ids than an entry has room for: the third table may have them.
pub(super) const MANY: u32 = 15;
const ID_MASK: u32 = (1 << COUNT_SHIFT) - 1;
