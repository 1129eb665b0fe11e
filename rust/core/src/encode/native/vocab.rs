//! The vocabulary: bytes of a token to its id and back.

use crate::memory::ask_for;

/// Token bytes in one buffer, found through an open-addressing table.
pub(super) struct Vocab {
    bytes: Vec<u8>,
    /// Where each entry's bytes begin and how long they are, in the order of insertion, and its id.
    entries: Vec<Entry>,
    /// 0, or the entry's number plus one.
    slots: Vec<u32>,
}

/// Tokens that are looked up at once.
const TOGETHER: usize = 24;

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    length: u32,
    /// So that most slots of other entries are passed without touching their bytes.
    hash: u32,
    id: u32,
}

/// A hash of a few bytes up to many; not for hostile keys that an attacker could make collide at will
/// in tables without a bound on probing.
#[inline]
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a ^ K) * u128::from(b ^ 0xD6E8_FEB8_6659_FD93);
        #[allow(clippy::cast_possible_truncation)] // the halves are what is wanted
        let (low, high) = (wide as u64, (wide >> 64) as u64);
        low ^ high
    };
    let mut state = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        let mut halves = [[0; 8]; 2];
        halves[0].copy_from_slice(&chunk[..8]);
        halves[1].copy_from_slice(&chunk[8..]);
        state = fold(state ^ u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1]));
    }
    let rest = chunks.remainder();
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    let mut halves = [[0; 8]; 2];
    halves[0].copy_from_slice(&last[..8]);
    halves[1].copy_from_slice(&last[8..]);
    fold(state ^ u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1]))
}

impl Vocab {
    pub(super) fn with_capacity(entries: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            entries: Vec::with_capacity(entries),
            slots: vec![0; (entries * 2).next_power_of_two().max(16)],
        }
    }

    #[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
    fn first_slot(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    #[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
    fn slot_of(&self, hash: u64, token: &[u8]) -> (usize, Option<u32>) {
        let mask = self.slots.len() - 1;
        let mut slot = self.first_slot(hash);
        loop {
            let number = self.slots[slot];
            if number == 0 {
                return (slot, None);
            }
            let entry = self.entries[number as usize - 1];
            if entry.hash == hash as u32 && self.bytes_of(entry) == token {
                return (slot, Some(entry.id));
            }
            slot = (slot + 1) & mask;
        }
    }

    fn bytes_of(&self, entry: Entry) -> &[u8] {
        &self.bytes[entry.start as usize..(entry.start + entry.length) as usize]
    }

    /// False if the token is there already, or too much is there.
    #[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
    pub(super) fn insert(&mut self, token: &[u8], id: u32) -> bool {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = hash_bytes(token);
        let (slot, found) = self.slot_of(hash, token);
        let (Ok(start), Ok(length), Ok(number)) = (
            u32::try_from(self.bytes.len()),
            u32::try_from(token.len()),
            u32::try_from(self.entries.len() + 1),
        ) else {
            return false;
        };
        if found.is_some() || start.checked_add(length).is_none() {
            return false;
        }
        self.bytes.extend_from_slice(token);
        self.entries.push(Entry { start, length, hash: hash as u32, id });
        self.slots[slot] = number;
        true
    }

    #[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        self.slots = vec![0; mask + 1];
        for (index, entry) in self.entries.iter().enumerate() {
            let token = &self.bytes[entry.start as usize..(entry.start + entry.length) as usize];
            let mut slot = (hash_bytes(token) >> 32) as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = u32::try_from(index + 1).unwrap_or(u32::MAX);
        }
    }

    #[inline]
    pub(super) fn id(&self, token: &[u8]) -> Option<u32> {
        self.slot_of(hash_bytes(token), token).1
    }

    /// The ids of many tokens, which are written to `ids`. Each takes three looks at memory that is far: here they wait for
    /// some tokens at once.
    pub(super) fn ids(&self, tokens: &[&[u8]], ids: &mut Vec<Option<u32>>) {
        ids.clear();
        for tokens in tokens.chunks(TOGETHER) {
            let mut hashes = [0; TOGETHER];
            for (hash, token) in hashes.iter_mut().zip(tokens) {
                *hash = hash_bytes(token);
                ask_for(&self.slots, self.first_slot(*hash));
            }
            let hashes = &hashes[..tokens.len()];
            let first = |hash: u64| (self.slots[self.first_slot(hash)] as usize).wrapping_sub(1);
            for &hash in hashes {
                ask_for(&self.entries, first(hash));
            }
            for &hash in hashes {
                if let Some(entry) = self.entries.get(first(hash)) {
                    ask_for(&self.bytes, entry.start as usize);
                }
            }
            ids.extend(hashes.iter().zip(tokens).map(|(&hash, token)| self.slot_of(hash, token).1));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All tokens with their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.entries.iter().map(|entry| (self.bytes_of(*entry), entry.id))
    }
}
