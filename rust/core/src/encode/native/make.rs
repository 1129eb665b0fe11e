//! The ids of pieces that are new, and where they are remembered.

use super::NativeEncoder;
use super::cache::{Cache, Long, MIDDLE, PART, SHORT, keys_of};
use super::merge::Merger;
use super::waiting::{MOST_SYMBOLS, Waiting};
use super::work::KEEP;

/// A piece on its way through the cache.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) key: u128,
    pub(super) hash: usize,
    pub(super) start: usize,
    pub(super) length: usize,
}

impl Piece {
    /// Its bytes.
    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start..self.start + self.length]
    }

    /// Whether a cut made it, where that makes a difference.
    fn is_part(self) -> bool {
        self.key & PART != 0
    }
}

/// Makes ids of what the cache does not have.
pub(super) struct Maker<'a> {
    encoder: &'a NativeEncoder,
    /// What is too long for the cache.
    long: Long,
    merger: Merger,
    spelled: Vec<u8>,
    pub(super) waiting: Waiting,
}

/// What has become of a new piece.
pub(super) enum Made {
    /// Its ids have been appended.
    Now,
    /// It waits with this number.
    Later(usize),
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.encoder.keep_long(std::mem::take(&mut self.long));
    }
}

impl<'a> Maker<'a> {
    pub(super) fn new(encoder: &'a NativeEncoder) -> Self {
        Self {
            encoder,
            long: encoder.take_long(),
            merger: Merger::default(),
            spelled: Vec::new(),
            waiting: Waiting::new(),
        }
    }

    /// The ids of a piece that is too long for the cache, or has too many of them, if they are known.
    pub(super) fn find_long(&self, text: &[u8], piece: Piece) -> Option<&[u32]> {
        self.long.find(piece.of(text), piece.is_part())
    }

    /// Appends and remembers the ids of a new piece, or has it wait for others.
    pub(super) fn make(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) -> Made {
        if piece.length <= MIDDLE
            && let Some(number) = self.waiting.find(text, piece)
        {
            return Made::Later(number);
        }
        let (model, before) = (&self.encoder.model, ids.len());
        let spelled = self.encoder.spell(piece.of(text), &mut self.spelled);
        if let Some(id) = model.whole(spelled, piece.is_part()) {
            ids.push(id);
        } else {
            let mut source = model.symbols.source(spelled);
            let symbols = self.merger.begin(&mut source);
            if piece.length <= MIDDLE && (2..=MOST_SYMBOLS).contains(&symbols.len()) {
                return Made::Later(self.waiting.add(text, piece, symbols));
            }
            self.merger.merge(model.rules(), source, ids);
            self.merger.shrink_to(KEEP);
            self.spelled.shrink_to(KEEP);
        }
        remember(&self.encoder.cache, &mut self.long, text, piece, &ids[before..]);
        Made::Now
    }

    /// Makes and remembers the ids of all that waits.
    pub(super) fn merge_waiting(&mut self) {
        let model = &self.encoder.model;
        self.waiting.merge(model.rules());
        for (piece, bytes, ids) in self.waiting.all() {
            remember(&self.encoder.cache, &mut self.long, bytes, piece, ids);
        }
    }
}

impl NativeEncoder {
    /// A piece with its spaces made visible, where the model does not read them so.
    fn spell<'p>(&self, piece: &'p [u8], spelled: &'p mut Vec<u8>) -> &'p [u8] {
        let Some(space) = self.spelled_space.filter(|_| piece.contains(&b' ')) else { return piece };
        let mut buffer = [0; 4];
        let length = space.encode_utf8(&mut buffer).len();
        spelled.clear();
        for word in piece.split(|byte| *byte == b' ') {
            spelled.extend_from_slice(word);
            // Four bytes are written faster than as many as there are.
            spelled.extend_from_slice(&buffer);
            spelled.truncate(spelled.len() - buffer.len() + length);
        }
        spelled.truncate(spelled.len() - length);
        spelled
    }
}

/// Remembers the ids of a piece where pieces of its length are looked for.
fn remember(cache: &Cache, long: &mut Long, text: &[u8], piece: Piece, ids: &[u32]) {
    let Piece { key, hash, start, length } = piece;
    let has_room = if length <= SHORT {
        cache.remember_short(key, hash, ids) || cache.remember_middle((key, 0), hash, ids)
    } else if length <= MIDDLE {
        cache.remember_middle((keys_of(&text[start..], length).0, key), hash, ids)
    } else {
        false
    };
    if !has_room {
        long.remember(piece.of(text), piece.is_part(), ids);
    }
}
