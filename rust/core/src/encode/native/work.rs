//! From the pieces of one text to their ids, through the cache.

use super::NativeEncoder;
use super::bits::{Bits, WORD};
use super::cache::{
    Cache, LONGEST, Long, MANY, MIDDLE, PART, SHORT, hash_of, key_of, keys_of, middle_hash_of,
};
use super::config::Known;
use super::merge::Merger;
use super::path::Splitting;
use super::scan::{Cased, DeepSeek, Gpt2, Llama3, O200k, Plain, Qwen2, Qwen35, Scan, Tekken, Whole};
use super::stages::{BeforeSpace, Listed, ends};
use super::unicode::char_end;

/// Pieces that are looked up together, so that their memory arrives together.
const BATCH: usize = 32;
/// Bytes of text that go through one station before the next, to stay in the nearest cache.
pub(super) const STRETCH: usize = 4096;
/// Scratch buffers beyond this are given back after a text.
pub(super) const KEEP: usize = 1 << 20;

/// What the pieces of one text go through.
pub(super) struct Work<'a> {
    encoder: &'a NativeEncoder,
    /// What is too long for the cache.
    long: Long,
    merger: Merger,
    symbols: Vec<u32>,
    spelled: Vec<u8>,
    /// Where the scanner has pieces begin, and where cuts are made besides.
    pattern: Bits,
    cuts: Bits,
    places: Vec<u32>,
    /// The last pieces had some of many ids.
    many: bool,
    /// New pieces with bytes from this on are cut further.
    cut_further: u8,
}

/// A piece on its way through the cache.
#[derive(Clone, Copy, Default)]
struct Piece {
    key: u128,
    hash: usize,
    start: usize,
    length: usize,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.encoder.keep_long(std::mem::take(&mut self.long));
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(encoder: &'a NativeEncoder) -> Self {
        Self {
            encoder,
            long: encoder.take_long(),
            merger: Merger::default(),
            symbols: Vec::new(),
            spelled: Vec::new(),
            pattern: Bits::default(),
            cuts: Bits::default(),
            places: Vec::new(),
            many: false,
            cut_further: if encoder.cuts_words { 0x80 } else { 0xE0 },
        }
    }

    /// Encodes a text whose spaces may still have to be read as something else.
    pub(super) fn pieces(&mut self, text: &[u8], ids: &mut Vec<u32>) {
        let encoder = self.encoder;
        match &encoder.path.splitting {
            Splitting::Nowhere => self.drive(&mut Whole, text, ids),
            Splitting::BeforeSpace => {
                let visible = encoder.path.space.unwrap_or(' ');
                self.drive(&mut BeforeSpace { visible }, text, ids);
            }
            Splitting::One(known) => match known {
                Known::Gpt2 => self.drive(&mut Plain::<Gpt2>::new(), text, ids),
                Known::Llama3 => self.drive(&mut Plain::<Llama3>::new(), text, ids),
                Known::Qwen2 => self.drive(&mut Plain::<Qwen2>::new(), text, ids),
                Known::Qwen35 => self.drive(&mut Plain::<Qwen35>::new(), text, ids),
                Known::O200k => self.drive(&mut Cased::<O200k>::new(), text, ids),
                Known::Tekken => self.drive(&mut Cased::<Tekken>::new(), text, ids),
                Known::DeepSeek => self.drive(&mut DeepSeek::new(), text, ids),
            },
            Splitting::Several(stages) => {
                let ends = ends(stages, text);
                self.drive(&mut Listed { ends: ends.iter() }, text, ids);
            }
        }
    }

    /// Marks where pieces begin, stretch by stretch, and takes them.
    fn drive<S: Scan>(&mut self, scanner: &mut S, text: &[u8], ids: &mut Vec<u32>) {
        let (mut at, mut look) = (0, STRETCH);
        let mut begins_piece = true;
        while at < text.len() {
            let stop = char_end(text, at + look);
            let seen = scanner.mark(text, at, stop, &mut self.pattern);
            if seen == text.len() {
                self.pattern.set(seen - at);
            }
            self.cuts.copy_from(&self.pattern);
            let cutter = self.encoder.cutter();
            if self.encoder.cuts_words {
                cutter.words(text, at, seen, &mut self.cuts);
            } else {
                cutter.unspaced(text, at, seen, &mut self.cuts);
            }
            let Some(last) = self.cuts.last() else {
                // Nothing ends within what was looked at.
                look *= 2;
                continue;
            };
            if begins_piece {
                self.pattern.set(0);
            }
            self.take(text, at, ids);
            begins_piece = self.pattern.has(last);
            at += last;
            look = STRETCH;
        }
        if self.places.capacity() > KEEP {
            (self.pattern, self.cuts, self.places) = Default::default();
        }
    }

    /// Encodes the pieces of a stretch that are marked.
    fn take(&mut self, text: &[u8], at: usize, ids: &mut Vec<u32>) {
        let mut places = std::mem::take(&mut self.places);
        let mut start = at;
        let words = self.cuts.words().len();
        for first in (0..words).step_by(STRETCH / WORD) {
            places.clear();
            self.cuts.places(first..words.min(first + STRETCH / WORD), &mut places);
            for ends in places.chunks(BATCH) {
                start = self.batch(text, at, start, ends, ids);
            }
        }
        self.places = places;
    }

    /// Looks up some pieces: the first begins at `start`, each ends at `at` plus one of `ends`.
    #[inline]
    fn batch(&mut self, text: &[u8], at: usize, start: usize, ends: &[u32], ids: &mut Vec<u32>) -> usize {
        let looks_up = !self.encoder.model.unmerged.is_empty();
        let mut pieces = [Piece::default(); BATCH];
        let (short, middle) = (self.encoder.cache.short(), self.encoder.cache.middle());
        let many = std::mem::take(&mut self.many);
        let mut start = start;
        for (piece, &end) in pieces.iter_mut().zip(ends) {
            let end = at + end as usize;
            let length = end - start;
            // A piece that a cut made is marked where that makes a difference.
            let whole = !looks_up || self.pattern.has(start - at) && self.pattern.has(end - at);
            let part = if whole { 0 } else { PART };
            let (key, hash);
            if length <= SHORT {
                key = key_of(text, start, length) | part;
                hash = hash_of(key);
                short.ask_for(hash);
                if many {
                    middle.ask_for(hash);
                }
            } else {
                let keys = keys_of(text, start, length.min(MIDDLE));
                key = keys.1 | part;
                hash = middle_hash_of((keys.0, key));
                middle.ask_for(hash);
            }
            *piece = Piece { key, hash, start, length };
            start = end;
        }
        self.find(text, &pieces[..ends.len().min(BATCH)], ids);
        start
    }

    #[inline]
    fn find(&mut self, text: &[u8], pieces: &[Piece], ids: &mut Vec<u32>) {
        let (short, middle) = (self.encoder.cache.short(), self.encoder.cache.middle());
        let mut found = [0u32; BATCH * 8 + 8];
        let mut filled = 0;
        for &piece in pieces {
            let Piece { key, hash, start, length } = piece;
            let place = &mut found[filled..filled + 8];
            let hit = if length <= SHORT {
                <&mut [u32; 4]>::try_from(&mut place[..4]).map_or(0, |place| short.find(key, hash, place))
            } else if length <= MIDDLE {
                let keys = (keys_of(text, start, length).0, key);
                <&mut [u32; 8]>::try_from(place).map_or(0, |place| middle.find(keys, hash, place))
            } else {
                0
            };
            if hit != 0 && hit != MANY as usize {
                filled += hit;
                continue;
            }
            if hit != 0 && length <= SHORT {
                self.many = true;
                let more = <&mut [u32; 8]>::try_from(&mut found[filled..filled + 8])
                    .map_or(0, |place| middle.find((key, 0), hash, place));
                if more != 0 && more != MANY as usize {
                    filled += more;
                    continue;
                }
            }
            ids.extend_from_slice(&found[..filled]);
            filled = 0;
            let bytes = &text[start..start + length];
            if (hit != 0 || length > MIDDLE)
                && let Some(known) = self.long.find(bytes, key & PART != 0)
            {
                ids.extend_from_slice(known);
            } else {
                self.make(text, piece, ids);
            }
        }
        ids.extend_from_slice(&found[..filled]);
    }

    /// Appends the ids of a short piece of few, if it is known.
    fn known(&self, key: u128, hash: usize, ids: &mut Vec<u32>) -> bool {
        let mut four = [0; 4];
        let hit = self.encoder.cache.short().find(key, hash, &mut four);
        let known = (1..=4).contains(&hit);
        if known {
            ids.extend_from_slice(&four[..hit]);
        }
        known
    }

    /// Makes and remembers the ids of a new piece.
    fn make(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) {
        let (bytes, part) = (&text[piece.start..piece.start + piece.length], piece.key & PART != 0);
        let before = ids.len();
        if piece.length > LONGEST || !self.by_parts(bytes, part, ids) {
            self.encode(bytes, part, ids);
        }
        remember(&self.encoder.cache, &mut self.long, text, piece, &ids[before..]);
    }

    /// A piece by its parts, which are likely to be known; false if it has none.
    fn by_parts(&mut self, piece: &[u8], part: bool, ids: &mut Vec<u32>) -> bool {
        let encoder = self.encoder;
        if part || !piece.iter().any(|&byte| byte >= self.cut_further) {
            return false;
        }
        let cutter = encoder.cutter();
        let mut start = 0;
        while start < piece.len() {
            let end = cutter.next(piece, start);
            if start == 0 && end == piece.len() {
                return false;
            }
            self.part(piece, start, end, ids);
            start = end;
        }
        true
    }

    fn part(&mut self, text: &[u8], start: usize, end: usize, ids: &mut Vec<u32>) {
        if end - start > SHORT {
            self.encode(&text[start..end], true, ids);
            return;
        }
        let key = key_of(text, start, end - start) | self.encoder.part_mark();
        let hash = hash_of(key);
        if self.known(key, hash, ids) {
            return;
        }
        let known = ids.len();
        self.encode(&text[start..end], true, ids);
        self.encoder.cache.remember_short(key, hash, &ids[known..]);
    }

    /// The ids of a piece from scratch.
    fn encode(&mut self, piece: &[u8], part: bool, ids: &mut Vec<u32>) {
        let spelled = self.encoder.spell(piece, &mut self.spelled);
        let model = &self.encoder.model;
        model.encode(&mut self.merger, &mut self.symbols, spelled, part, ids);
        self.symbols.shrink_to(KEEP);
        self.spelled.shrink_to(KEEP);
    }
}

impl NativeEncoder {
    /// A piece with its spaces made visible, where that is wanted.
    fn spell<'p>(&self, piece: &'p [u8], spelled: &'p mut Vec<u8>) -> &'p [u8] {
        let Some(space) = self.path.space.filter(|_| piece.contains(&b' ')) else { return piece };
        let mut buffer = [0; 4];
        let visible = space.encode_utf8(&mut buffer).as_bytes();
        spelled.clear();
        for &byte in piece {
            if byte == b' ' {
                spelled.extend_from_slice(visible);
            } else {
                spelled.push(byte);
            }
        }
        spelled
    }
}

/// Remembers the ids of a piece where pieces of its length are looked for.
fn remember(cache: &Cache, long: &mut Long, text: &[u8], piece: Piece, ids: &[u32]) {
    let Piece { key, hash, start, length } = piece;
    if length <= SHORT {
        cache.remember_short(key, hash, ids);
        if ids.len() > 4 {
            cache.remember_middle((key, 0), hash, ids);
        }
    } else if length <= MIDDLE {
        cache.remember_middle((keys_of(text, start, length).0, key), hash, ids);
    }
    if length > MIDDLE || ids.len() > 8 {
        long.remember(&text[start..start + length], key & PART != 0, ids);
    }
}
