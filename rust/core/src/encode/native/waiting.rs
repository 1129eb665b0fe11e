//! New pieces that wait to be merged together.

use super::cache::{SHORT, sixteen};
use super::make::Piece;
use super::merge::{Rows, Rules, merge_rows};

/// Pieces that wait at most.
const PIECES: usize = 128;
/// The most symbols of a piece that waits.
pub(super) const MOST_SYMBOLS: usize = 32;
/// By hash, where a piece stands that may be the one that is looked for.
const SEATS: usize = 256;

/// New pieces in the order in which they came, each with a number. What they are told apart by is a copy of their bytes, since
/// they wait for longer than their text stays where it is.
pub(super) struct Waiting {
    pieces: Vec<(Piece, [u8; 32])>,
    /// Their symbols, and once they are merged their ids, in rows of as many as can be: for as many as can wait, from the first on, so
    /// none is cleared before it is written to.
    symbols: Vec<u32>,
    counts: Vec<u8>,
    seats: [u8; SEATS],
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self { pieces: Vec::new(), symbols: Vec::new(), counts: Vec::new(), seats: [0; SEATS] }
    }

    /// The number of a piece that waits already.
    pub(super) fn find(&self, text: &[u8], piece: Piece) -> Option<usize> {
        let number = usize::from(self.seats[seat_of(piece)]);
        let (other, bytes) = self.pieces.get(number)?;
        let same = other.key == piece.key
            && (piece.length <= SHORT || sixteen(bytes) == sixteen(&text[piece.start..]));
        same.then_some(number)
    }

    /// Has a piece of so many symbols wait; its number.
    #[allow(clippy::cast_possible_truncation)] // there are few
    pub(super) fn add(&mut self, text: &[u8], piece: Piece, symbols: &[u32]) -> usize {
        let number = self.pieces.len();
        let mut bytes = [0; 32];
        let text = &text[piece.start..];
        bytes[..16].copy_from_slice(&sixteen(text).to_le_bytes());
        bytes[16..].copy_from_slice(&sixteen(text.get(16..).unwrap_or_default()).to_le_bytes());
        self.pieces.push((Piece { start: 0, ..piece }, bytes));
        if self.symbols.is_empty() {
            self.symbols.resize(PIECES * MOST_SYMBOLS, 0);
        }
        let places = self.symbols[number * MOST_SYMBOLS..][..MOST_SYMBOLS].iter_mut();
        places.zip(symbols).for_each(|(place, symbol)| *place = *symbol);
        self.counts.push(symbols.len() as u8);
        self.seats[seat_of(piece)] = number as u8;
        number
    }

    /// Whether as many wait as can.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() == PIECES
    }

    /// Merges all of them.
    #[allow(clippy::cast_possible_truncation)] // there are few
    pub(super) fn merge(&mut self, rules: Rules<'_>) {
        let starts: [u32; PIECES] = std::array::from_fn(|number| (number * MOST_SYMBOLS) as u32);
        let (symbols, counts) = (&mut self.symbols, &mut self.counts);
        merge_rows(rules, Rows { symbols, starts: &starts, counts, fresh: true });
    }

    /// All pieces with their bytes, and their ids once they are merged.
    pub(super) fn all(&self) -> impl Iterator<Item = (Piece, &[u8], &[u32])> {
        let each = self.pieces.iter().enumerate();
        each.map(|(number, (piece, bytes))| (*piece, &bytes[..], self.ids(number)))
    }

    /// The ids of a piece.
    pub(super) fn ids(&self, number: usize) -> &[u32] {
        &self.symbols[number * MOST_SYMBOLS..][..usize::from(self.counts[number])]
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.counts.clear();
    }
}

/// Bits of the hash that the cache does not use.
fn seat_of(piece: Piece) -> usize {
    (piece.hash >> 32) % SEATS
}

#[cfg(test)]
impl Waiting {
    /// Pieces that have been merged into these.
    pub(super) fn of_ids(all: &[Vec<u32>]) -> Self {
        let mut waiting = Self::new();
        let piece = Piece { key: 0, hash: 0, start: 0, length: 0 };
        for ids in all {
            waiting.add(b"", piece, ids);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::{hash_of, key_of, keys_of, middle_hash_of};
    use super::*;

    /// The piece that is the whole of a text.
    fn piece(text: &[u8]) -> Piece {
        let (key, hash) = if text.len() <= SHORT {
            (key_of(text, text.len()), hash_of(key_of(text, text.len())))
        } else {
            (keys_of(text, text.len()).1, middle_hash_of(keys_of(text, text.len())))
        };
        Piece { key, hash, start: 0, length: text.len() }
    }

    #[test]
    fn what_waits_is_found_by_its_bytes() {
        let texts: [&[u8]; 5] = [
            b"one",
            b"another",
            b"sixteen bytes ..",
            b"sixteen bytes .. and more",
            b"sixteen Bytes .. and more",
        ];
        let mut waiting = Waiting::new();
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(waiting.find(text, piece(text)), None);
            assert_eq!(waiting.add(text, piece(text), &[1, 2]), number);
            assert_eq!(waiting.find(text, piece(text)), Some(number));
        }
        // Where several have one seat, the last is found; what is found is never another.
        for (number, text) in texts.iter().enumerate() {
            assert!([None, Some(number)].contains(&waiting.find(text, piece(text))));
        }
        waiting.clear();
        assert_eq!(waiting.find(texts[0], piece(texts[0])), None);
    }
}
