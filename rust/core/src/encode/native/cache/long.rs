//! Pieces of any length up to [`LONGEST`] in a store of bytes and ids, which starts over when it is full.

use super::super::vocab::hash_bytes;

/// The longest piece that is remembered at all.
const LONGEST: usize = 255;
/// Slots of the table: 512 KiB.
const SLOTS: usize = 1 << 15;
/// Bytes and ids in the store: 2 MiB and 1 MiB.
const BYTES: usize = 1 << 21;
const IDS: usize = 1 << 18;

/// The bytes that it can grow to.
pub(in super::super) const BOUND: usize = SLOTS * size_of::<Slot>() + BYTES + IDS * 4;

#[derive(Default)]
pub(in super::super) struct Long {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    ids: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    bytes_start: u32,
    ids_start: u32,
    /// Length in bytes, 0 for none.
    length: u16,
    count: u16,
}

/// The slot of a piece, and what is compared there. A part is not what the same bytes are as a whole.
#[allow(clippy::cast_possible_truncation)] // any part of a hash is a hash
fn hashes(piece: &[u8], part: bool) -> (usize, u32) {
    let hash = hash_bytes(piece);
    ((hash >> 32) as usize % SLOTS, hash as u32 & !1 | u32::from(part))
}

impl Long {
    pub(in super::super) fn find(&self, piece: &[u8], part: bool) -> Option<&[u32]> {
        if self.slots.is_empty() {
            return None;
        }
        let (place, hash) = hashes(piece, part);
        let slot = self.slots[place];
        let start = slot.bytes_start as usize;
        (slot.hash == hash
            && usize::from(slot.length) == piece.len()
            && self.bytes[start..start + piece.len()] == *piece)
            .then(|| {
                let start = slot.ids_start as usize;
                &self.ids[start..start + usize::from(slot.count)]
            })
    }

    pub(in super::super) fn remember(&mut self, piece: &[u8], part: bool, ids: &[u32]) {
        if piece.is_empty() || piece.len() > LONGEST || ids.len() > 4 * LONGEST {
            return;
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
        }
        if self.bytes.len() + piece.len() > BYTES || self.ids.len() + ids.len() > IDS {
            self.slots.fill(Slot::default());
            self.bytes.clear();
            self.ids.clear();
        }
        let (place, hash) = hashes(piece, part);
        let (Ok(bytes_start), Ok(ids_start), Ok(length), Ok(count)) = (
            u32::try_from(self.bytes.len()),
            u32::try_from(self.ids.len()),
            u16::try_from(piece.len()),
            u16::try_from(ids.len()),
        ) else {
            return;
        };
        reserve_within(&mut self.bytes, piece.len(), BYTES);
        reserve_within(&mut self.ids, ids.len(), IDS);
        self.bytes.extend_from_slice(piece);
        self.ids.extend_from_slice(ids);
        self.slots[place] = Slot { hash, bytes_start, ids_start, length, count };
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
