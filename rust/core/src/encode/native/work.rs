//! From the pieces of one text to their ids, through the cache.

use super::NativeEncoder;
use super::cache::{Cache, LONG, MANY, MIDDLE, PART, SHORT, hash_of, key_of, keys_of, middle_hash_of};
use super::chars::unpack;
use super::config::Known;
use super::merge::Merger;
use super::path::Splitting;
use super::scan::{Cased, DeepSeek, Gpt2, Llama3, O200k, Plain, Qwen2, Qwen35, Scan, Tekken, Whole};
use super::stages::{BeforeSpace, Listed, ends};
use super::unicode::decode;

/// Pieces that are looked up together, so that their memory arrives together.
const BATCH: usize = 64;
/// Scratch buffers beyond this are given back after a text.
pub(super) const KEEP: usize = 1 << 20;

/// What the pieces of one text go through.
pub(super) struct Work<'a> {
    encoder: &'a NativeEncoder,
    cache: Cache,
    merger: Merger,
    symbols: Vec<u32>,
    fresh: Vec<u32>,
    spelled: Vec<u8>,
    batch: Box<Batch>,
}

struct Batch {
    keys: [u128; BATCH],
    hashes: [usize; BATCH],
    places: [(usize, usize); BATCH],
    count: usize,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.encoder.keep_cache(std::mem::replace(&mut self.cache, Cache::without_tables()));
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(encoder: &'a NativeEncoder) -> Self {
        Self {
            encoder,
            cache: encoder.take_cache(),
            merger: Merger::default(),
            symbols: Vec::new(),
            fresh: Vec::new(),
            spelled: Vec::new(),
            batch: Box::new(Batch {
                keys: [0; BATCH],
                hashes: [0; BATCH],
                places: [(0, 0); BATCH],
                count: 0,
            }),
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

    fn drive<S: Scan>(&mut self, scanner: &mut S, text: &[u8], ids: &mut Vec<u32>) {
        let always_cut = self.encoder.cuts_words;
        let mut at = 0;
        while at < text.len() {
            let end = scanner.next(text, at);
            if end - at == 1 {
                self.push_char(text, at, end, u32::from(text[at]), 0, ids);
            } else if always_cut || end - at > MIDDLE || runs_on(text, at) {
                self.cut(text, at, end, ids);
            } else {
                self.push(text, at, end, 0, ids);
            }
            at = end;
        }
        self.flush(text, ids);
    }

    /// Cuts a piece wherever no merge can cross.
    fn cut(&mut self, text: &[u8], start: usize, end: usize, ids: &mut Vec<u32>) {
        let encoder = self.encoder;
        let part = encoder.part_mark();
        let cutter = encoder.cutter();
        let mut piece = start;
        while piece < end {
            let (first, length) = decode(text, piece);
            let first_end = piece + length;
            let to = cutter.piece_end(text, first, first_end, end);
            let part = if piece == start && to == end { 0 } else { part };
            // A piece that is one character is looked up by that.
            if to == first_end {
                self.push_char(text, piece, to, first, part, ids);
            } else {
                self.push(text, piece, to, part, ids);
            }
            piece = to;
        }
    }

    /// Queues a piece of one character.
    #[inline]
    fn push_char(
        &mut self,
        text: &[u8],
        start: usize,
        end: usize,
        code: u32,
        part: u128,
        ids: &mut Vec<u32>,
    ) {
        let alone = self.encoder.alone(code);
        if alone == 0 {
            self.push(text, start, end, part, ids);
            return;
        }
        if self.batch.count >= BATCH {
            self.flush(text, ids);
        }
        let batch = &mut *self.batch;
        let at = batch.count % BATCH;
        batch.keys[at] = u128::from(alone);
        batch.hashes[at] = 0;
        // An empty place stands for a piece that needs no look-up.
        batch.places[at] = (start, start);
        batch.count += 1;
    }

    /// Queues a piece for look-up; `part` marks its key if it is part of a larger one.
    #[inline]
    fn push(&mut self, text: &[u8], start: usize, end: usize, part: u128, ids: &mut Vec<u32>) {
        if self.batch.count >= BATCH {
            self.flush(text, ids);
        }
        let batch = &mut *self.batch;
        let at = batch.count % BATCH;
        if end - start <= SHORT {
            let key = key_of(text, start, end - start) | part;
            batch.keys[at] = key;
            batch.hashes[at] = hash_of(key);
        } else {
            let keys = keys_of(text, start, (end - start).min(MIDDLE));
            batch.keys[at] = keys.1 | part;
            batch.hashes[at] = middle_hash_of((keys.0, keys.1 | part));
        }
        batch.places[at] = (start, end);
        batch.count += 1;
    }

    fn flush(&mut self, text: &[u8], ids: &mut Vec<u32>) {
        let count = self.batch.count.min(BATCH);
        self.batch.count = 0;
        let mut found = [0u32; BATCH * 8 + 8];
        let mut filled = 0;
        self.touch(count);
        for index in 0..count {
            let (start, end) = self.batch.places[index];
            let (key, hash) = (self.batch.keys[index], self.batch.hashes[index]);
            let place = &mut found[filled..filled + 8];
            let hit = if end == start {
                #[allow(clippy::cast_possible_truncation)] // the packed ids are the lower half
                let alone = key as u64;
                <&mut [u32; 4]>::try_from(&mut place[..4]).map_or(0, |place| unpack(alone, place))
            } else if end - start <= SHORT {
                <&mut [u32; 4]>::try_from(&mut place[..4])
                    .map_or(0, |place| self.cache.lines().find(key, hash, place))
            } else if end - start <= MIDDLE {
                let keys = (keys_of(text, start, end - start).0, key);
                <&mut [u32; 8]>::try_from(place)
                    .map_or(0, |place| self.cache.middle().find(keys, hash, place))
            } else {
                0
            };
            if hit != 0 && hit != MANY as usize {
                filled += hit;
                continue;
            }
            ids.extend_from_slice(&found[..filled]);
            filled = 0;
            let piece = &text[start..end];
            if (hit != 0 || piece.len() > MIDDLE)
                && let Some(known) = self.cache.long(piece, key & PART != 0)
            {
                ids.extend_from_slice(known);
            } else {
                self.miss(piece, key, hash, ids);
            }
        }
        ids.extend_from_slice(&found[..filled]);
    }

    /// Looks at the memory of all pieces of the batch, so that it arrives at the same time.
    #[inline]
    fn touch(&self, count: usize) {
        let (lines, middle) = (self.cache.lines(), self.cache.middle());
        let mut touched = 0;
        for (&hash, &(start, end)) in self.batch.hashes[..count].iter().zip(&self.batch.places) {
            touched ^= if end - start <= SHORT { lines.touch(hash) } else { middle.touch(hash) };
        }
        std::hint::black_box(touched);
    }

    /// A long piece, or one that is not in its table.
    #[cold]
    fn miss(&mut self, piece: &[u8], key: u128, hash: usize, ids: &mut Vec<u32>) {
        let part = key & PART != 0;
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.clear();
        if piece.len() > LONG || !self.by_parts(piece, part, &mut fresh) {
            self.encode(piece, part, &mut fresh);
        }
        ids.extend_from_slice(&fresh);
        let room = if piece.len() <= SHORT {
            self.cache.remember_short(key, hash, &fresh);
            4
        } else if piece.len() <= MIDDLE {
            let keys = (keys_of(piece, 0, piece.len()).0, key);
            self.cache.remember_middle(keys, hash, &fresh);
            7
        } else {
            0
        };
        if fresh.len() > room {
            self.cache.remember_long(piece, part, &fresh);
        }
        fresh.shrink_to(KEEP);
        self.fresh = fresh;
    }

    /// A piece that has not been cut yet, by its parts, which are likely to be known; false if it has
    /// none.
    fn by_parts(&mut self, piece: &[u8], part: bool, ids: &mut Vec<u32>) -> bool {
        let encoder = self.encoder;
        if part || encoder.cuts_words || !piece.iter().any(|&byte| byte >= 0xE0) {
            return false;
        }
        let cutter = encoder.cutter();
        let mut start = 0;
        while start < piece.len() {
            let (first, length) = decode(piece, start);
            let end = cutter.piece_end(piece, first, start + length, piece.len());
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
        let mut four = [0; 4];
        let hit = self.cache.lines().find(key, hash, &mut four);
        if (1..=4).contains(&hit) {
            ids.extend_from_slice(&four[..hit]);
            return;
        }
        let known = ids.len();
        self.encode(&text[start..end], true, ids);
        self.cache.remember_short(key, hash, &ids[known..]);
    }

    /// The ids of a piece from scratch.
    fn encode(&mut self, piece: &[u8], part: bool, ids: &mut Vec<u32>) {
        let spelled = match self.encoder.path.space {
            Some(space) if piece.contains(&b' ') => {
                spell(piece, space, &mut self.spelled);
                &self.spelled
            }
            _ => piece,
        };
        let model = &self.encoder.model;
        model.encode(&mut self.merger, &mut self.symbols, spelled, part, ids);
        self.symbols.shrink_to(KEEP);
        self.spelled.shrink_to(KEEP);
    }
}

/// Whether the piece that begins here is of a script without spaces, Chinese or Japanese, where whole
/// pieces rarely repeat.
#[inline]
fn runs_on(text: &[u8], at: usize) -> bool {
    let is = |byte: u8| matches!(byte, 0xE3..=0xE9 | 0xEF);
    is(text[at]) || text.get(at + 1).is_some_and(|&byte| is(byte))
}

/// A piece with its spaces made visible.
fn spell(piece: &[u8], space: char, spelled: &mut Vec<u8>) {
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
}
