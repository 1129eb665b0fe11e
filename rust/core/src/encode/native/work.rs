//! From the pieces of one text to their ids, through the cache.

use super::NativeEncoder;
use super::bits::{Bits, WORD};
use super::cache::{MANY, MIDDLE, PART, SHORT, Wanted, hash_of, key_of, keys_of, middle_hash_of};
use super::config::Known;
use super::gathered::{Gathered, MOST_IDS};
use super::make::{Maker, Piece};
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
    maker: Maker<'a>,
    /// Where the scanner has pieces begin, and where cuts are made besides.
    pattern: Bits,
    cuts: Bits,
    places: Vec<u32>,
    wanted: [Wanted; BATCH],
    /// Some pieces of the last batch had many ids.
    many: bool,
    gathered: Gathered,
    made: Vec<u32>,
}

impl<'a> Work<'a> {
    pub(super) fn new(encoder: &'a NativeEncoder) -> Self {
        Self {
            encoder,
            maker: Maker::new(encoder),
            pattern: Bits::default(),
            cuts: Bits::default(),
            places: Vec::new(),
            wanted: [Wanted::default(); BATCH],
            many: false,
            gathered: Gathered::new(),
            made: Vec::new(),
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
            // Where no cut was made besides, every piece is one of the pattern.
            let all_whole = begins_piece && self.cuts.words() == self.pattern.words();
            if begins_piece {
                self.pattern.set(0);
            }
            if all_whole || self.encoder.model.unmerged.is_empty() {
                self.take::<false>(text, at, ids);
            } else {
                self.take::<true>(text, at, ids);
            }
            begins_piece = self.pattern.has(last);
            at += last;
            look = STRETCH;
        }
        self.gathered.hand_over(ids);
        if self.places.capacity() > KEEP {
            (self.pattern, self.cuts, self.places) = Default::default();
        }
    }

    /// Encodes the pieces of a stretch that are marked. `PARTS`: it makes a difference whether a cut made a piece.
    fn take<const PARTS: bool>(&mut self, text: &[u8], at: usize, ids: &mut Vec<u32>) {
        let mut places = std::mem::take(&mut self.places);
        let mut start = at;
        let words = self.cuts.words().len();
        for first in (0..words).step_by(STRETCH / WORD) {
            places.clear();
            self.cuts.places(first..words.min(first + STRETCH / WORD), &mut places);
            for ends in places.chunks(BATCH) {
                self.ask::<PARTS>(text, at, start, ends);
                start = self.find(text, at, start, ends, ids);
            }
        }
        self.places = places;
    }

    /// Asks for the memory of some pieces: the first begins at `start`, each ends at `at` plus one of `ends`.
    #[inline]
    fn ask<const PARTS: bool>(&mut self, text: &[u8], at: usize, mut start: usize, ends: &[u32]) {
        let short = self.encoder.cache.short();
        let mut rest = &text[start..];
        for (wanted, &end) in self.wanted.iter_mut().zip(ends) {
            let end = at + end as usize;
            let length = end - start;
            let whole = !PARTS || self.pattern.has(start - at) && self.pattern.has(end - at);
            let part = if whole { 0 } else { PART };
            let (key, hash);
            if length <= SHORT {
                key = key_of(rest, length) | part;
                hash = hash_of(key);
                short.ask_for(hash);
            } else {
                // It is not in the first table, and no memory is to be waited for to see that.
                (key, hash) = (self.encoder.ask_for_long(rest, length, part), 0);
            }
            *wanted = Wanted::new(key, hash);
            rest = &rest[length..];
            start = end;
        }
        if std::mem::take(&mut self.many) {
            let middle = self.encoder.cache.middle();
            self.wanted.iter().take(ends.len()).for_each(|wanted| middle.ask_for(wanted.hash));
        }
    }

    /// Gathers the ids of these pieces, and says where the last of them ends.
    #[inline]
    fn find(&mut self, text: &[u8], at: usize, start: usize, ends: &[u32], ids: &mut Vec<u32>) -> usize {
        self.gathered.make_room(BATCH, ids);
        let short = self.encoder.cache.short();
        let mut done = 0;
        while let Some(wanted) = self.wanted.get(done..ends.len())
            && !wanted.is_empty()
        {
            let (pieces, count) = short.run(wanted, self.gathered.room());
            self.gathered.took(count);
            done += pieces;
            if let (Some(wanted), Some(&end)) = (self.wanted.get(done), ends.get(done)) {
                let start = if done == 0 { start } else { at + ends[done - 1] as usize };
                let length = at + end as usize - start;
                self.find_further(text, Piece { key: wanted.key(), hash: wanted.hash, start, length }, ids);
                done += 1;
            }
        }
        ends.last().map_or(start, |end| at + *end as usize)
    }

    /// The ids of a piece that is longer, has more of them, stands beside its place, or is new.
    fn find_further(&mut self, text: &[u8], mut piece: Piece, ids: &mut Vec<u32>) {
        let Piece { key, start, length, .. } = piece;
        let (mut found, mut many) = (0, false);
        if length <= SHORT {
            if let Some(room) = self.gathered.room().first_chunk_mut() {
                found = self.encoder.cache.short().find(key, piece.hash, room);
            }
            if (1..=4).contains(&found) {
                return self.gathered.took(found);
            }
            many = found == MANY as usize;
            self.many |= many;
        } else {
            piece.hash = middle_hash_of((keys_of(&text[start..], length.min(MIDDLE)).0, key));
        }
        if (many || length > SHORT && length <= MIDDLE)
            && let Some(room) = self.gathered.room().first_chunk_mut()
        {
            let keys = if many { (key, 0) } else { (keys_of(&text[start..], length).0, key) };
            found = self.encoder.cache.middle().find(keys, piece.hash, room);
            if (1..=MOST_IDS).contains(&found) {
                return self.gathered.took(found);
            }
        }
        if (many || found != 0 || length > MIDDLE)
            && let Some(known) = self.maker.find_long(text, piece)
        {
            return self.gathered.take(known, ids);
        }
        self.made.clear();
        self.maker.make(text, piece, &mut self.made);
        self.gathered.take(&self.made, ids);
        self.made.shrink_to(KEEP);
    }
}

impl NativeEncoder {
    /// Asks for the memory of the longer piece with which a text begins, and gives its key. (Not inlined, so that the loop
    /// over short ones has the registers for itself.)
    #[cold]
    #[inline(never)]
    fn ask_for_long(&self, text: &[u8], length: usize, part: u128) -> u128 {
        let keys = keys_of(text, length.min(MIDDLE));
        let key = keys.1 | part;
        self.cache.middle().ask_for(middle_hash_of((keys.0, key)));
        key
    }
}
