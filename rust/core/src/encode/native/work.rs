//! From the pieces of one text to their ids, through the cache.

use super::NativeEncoder;
use super::bits::{Bits, WORD};
use super::cache::{MIDDLE, PART, SHORT, Wanted, hash_of, key_of, keys_of, middle_hash_of, sixteen};
use super::config::Known;
use super::make::{Made, Maker, Piece};
use super::output::{MOST_IDS, Output};
use super::path::Splitting;
use super::sheet::{Mark, Sheet, mark_of};
use super::scan::{Cased, DeepSeek, Gpt2, Llama3, O200k, Plain, Qwen2, Qwen35, Scan, Tekken, Whole};
use super::stages::{BeforeSpace, Listed, ends};
use super::unicode::char_end;

/// Pieces that are looked up together, so that their memory arrives together.
const BATCH: usize = 128;
/// So many with a second place in one batch, and the second places of all of the next are asked for: fewer cost less than that.
const MANY: usize = BATCH / 8;
/// Bytes of text that go through one station before the next, to stay in the nearest cache.
pub(super) const STRETCH: usize = 4096;
/// Scratch buffers beyond this are given back after a text.
pub(super) const KEEP: usize = 1 << 20;

/// What the pieces of one text go through.
pub(super) struct Work<'a> {
    encoder: &'a NativeEncoder,
    maker: Maker<'a>,
    sheet: Sheet,
    /// A text behind a space that its pattern has to see.
    prefixed: Vec<u8>,
    /// Where the scanner has pieces of the text at hand begin, and where what is on the sheet is cut.
    marked: Bits,
    cuts: Bits,
    places: Vec<u32>,
    wanted: [Wanted; BATCH],
    /// Which of them are longer than the first table's.
    longer: u128,
    /// How many pieces of the last batch had more ids than their first place has room for.
    many: usize,
    output: Output,
    made: Vec<u32>,
    /// How many ids there were where a text ended.
    pub(super) ends: Vec<usize>,
}

impl<'a> Work<'a> {
    pub(super) fn new(encoder: &'a NativeEncoder) -> Self {
        Self {
            encoder,
            maker: Maker::new(encoder),
            sheet: Sheet::new(),
            prefixed: Vec::new(),
            marked: Bits::default(),
            cuts: Bits::default(),
            places: Vec::new(),
            wanted: [Wanted::default(); BATCH],
            longer: 0,
            many: 0,
            output: Output::new(),
            made: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Encodes a text whose spaces may still have to be read as something else, with one more before it or without.
    pub(super) fn text(&mut self, text: &[u8], prefix: bool, ids: &mut Vec<u32>) {
        let encoder = self.encoder;
        if !prefix {
            return self.split(text, ids);
        }
        if encoder.path.splitting == Splitting::Nowhere {
            self.sheet.add_space();
            return self.split(text, ids);
        }
        let mut prefixed = std::mem::take(&mut self.prefixed);
        prefixed.push(b' ');
        prefixed.extend_from_slice(text);
        self.split(&prefixed, ids);
        prefixed.clear();
        prefixed.shrink_to(KEEP);
        self.prefixed = prefixed;
    }

    fn split(&mut self, text: &[u8], ids: &mut Vec<u32>) {
        let encoder = self.encoder;
        match &encoder.path.splitting {
            Splitting::Nowhere => self.gather_whole(text, ids),
            Splitting::BeforeSpace => {
                let visible = encoder.path.space.unwrap_or(' ');
                self.gather(&mut BeforeSpace { visible }, text, ids);
            }
            Splitting::One(known) => match known {
                Known::Gpt2 => self.gather(&mut Plain::<Gpt2>::new(), text, ids),
                Known::Llama3 => self.gather(&mut Plain::<Llama3>::new(), text, ids),
                Known::Qwen2 => self.gather(&mut Plain::<Qwen2>::new(), text, ids),
                Known::Qwen35 => self.gather(&mut Plain::<Qwen35>::new(), text, ids),
                Known::O200k => self.gather(&mut Cased::<O200k>::new(), text, ids),
                Known::Tekken => self.gather(&mut Cased::<Tekken>::new(), text, ids),
                Known::DeepSeek => self.gather(&mut DeepSeek::new(), text, ids),
            },
            Splitting::Several(stages) => {
                let ends = ends(stages, text);
                self.gather(&mut Listed { ends: ends.iter() }, text, ids);
            }
        }
    }

    /// Adds a text to the sheet that no pattern splits.
    fn gather_whole(&mut self, text: &[u8], ids: &mut Vec<u32>) {
        let mut at = 0;
        while text.len() - at > STRETCH {
            let stop = char_end(text, at + STRETCH);
            self.sheet.add(&text[at..stop]);
            at = stop;
            if self.sheet.is_full() {
                self.encode_sheet(ids);
            }
        }
        self.sheet.add(&text[at..]);
        self.end_piece(ids);
    }

    /// Adds a text to the sheet, with where its pieces begin.
    fn gather<S: Scan>(&mut self, scanner: &mut S, text: &[u8], ids: &mut Vec<u32>) {
        let mut at = 0;
        while at < text.len() {
            let stop = char_end(text, at + STRETCH);
            let seen = scanner.mark(text, at, stop, &mut self.marked);
            self.sheet.add_pieces(&text[at..seen], &self.marked);
            at = seen;
            if at < text.len() && self.sheet.is_full() {
                self.encode_sheet(ids);
            }
        }
        self.marked.shrink_to(KEEP);
        self.end_piece(ids);
    }

    #[inline]
    fn end_piece(&mut self, ids: &mut Vec<u32>) {
        self.sheet.end_piece();
        if self.sheet.is_full() {
            self.encode_sheet(ids);
        }
    }

    /// Encodes what has been gathered, up to the last place where it can be cut.
    fn encode_sheet(&mut self, ids: &mut Vec<u32>) {
        let encoder = self.encoder;
        let (text, length) = self.sheet.lend();
        self.cuts.copy_from(self.sheet.begins());
        let (cutter, cuts) = (encoder.cutter(), self.cuts.words_mut());
        if encoder.cuts_words {
            cutter.words(&text, 0, length, cuts);
        } else {
            cutter.unspaced(&text, 0, length, cuts);
        }
        let end = self.cuts.last().unwrap_or(0);
        // Where no cut was made besides, every piece is one of the pattern.
        let all_whole = self.sheet.begins().has(0) && self.cuts.words() == self.sheet.begins().words();
        if all_whole || encoder.model.unmerged.is_empty() {
            self.take::<false>(&text, 0, ids);
        } else {
            self.take::<true>(&text, 0, ids);
        }
        self.cuts.shrink_to(KEEP);
        self.sheet.take_back(text, end);
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
        self.longer = 0;
        for (index, (wanted, &end)) in self.wanted.iter_mut().zip(ends).enumerate() {
            let end = at + end as usize;
            let length = end - start;
            let whole = !PARTS || self.sheet.begins().has(start) && self.sheet.begins().has(end);
            let part = if whole { 0 } else { PART };
            let (key, hash);
            if length <= SHORT {
                key = key_of(rest, length) | part;
                hash = hash_of(key);
                short.ask_for(hash);
            } else {
                (key, hash) = self.encoder.ask_for_longer(rest, length, part);
                self.longer |= 1 << index;
            }
            *wanted = Wanted::new(key, hash);
            rest = &rest[length..];
            start = end;
        }
        if std::mem::take(&mut self.many) >= MANY {
            let middle = self.encoder.cache.middle();
            self.wanted.iter().take(ends.len()).for_each(|wanted| middle.ask_for(wanted.hash));
        }
    }

    /// Gathers the ids of these pieces, and says where the last of them ends.
    #[inline]
    fn find(&mut self, text: &[u8], at: usize, start: usize, ends: &[u32], ids: &mut Vec<u32>) -> usize {
        self.output.make_room(BATCH * MOST_IDS, ids);
        let short = self.encoder.cache.short();
        let mut done = 0;
        while done < ends.len() {
            // Up to the next that is longer.
            let stop = ends.len().min((self.longer >> done).trailing_zeros() as usize + done);
            if let Some(wanted) = self.wanted.get(done..stop) {
                let (pieces, count) = short.run(wanted, self.output.room(ids));
                self.output.took(count);
                done += pieces;
            }
            let (Some(wanted), Some(&end)) = (self.wanted.get(done), ends.get(done)) else { break };
            let start = if done == 0 { start } else { at + ends[done - 1] as usize };
            let length = at + end as usize - start;
            let piece = Piece { key: wanted.key(), hash: wanted.hash, start, length };
            if done == stop {
                self.find_longer(text, piece, ids);
            } else {
                self.find_further(text, piece, ids);
            }
            done += 1;
        }
        ends.last().map_or(start, |end| at + *end as usize)
    }

    /// The ids of a short piece that has many of them, stands beside its place, or is new.
    fn find_further(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) {
        let Some(room) = self.output.room(ids).first_chunk_mut() else { return self.make(text, piece, ids) };
        match self.encoder.cache.short().find(piece.key, piece.hash, room) {
            0 => self.make(text, piece, ids),
            found @ 1..=4 => self.output.took(found),
            _ => {
                self.many += 1;
                self.find_in_middle(text, piece, (piece.key, 0), ids);
            }
        }
    }

    /// The ids of a piece that is too long for the first table.
    fn find_longer(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) {
        if piece.length <= MIDDLE {
            self.find_in_middle(text, piece, (sixteen(&text[piece.start..]), piece.key), ids);
        } else {
            self.find_in_long(text, piece, ids);
        }
    }

    fn find_in_middle(&mut self, text: &[u8], piece: Piece, keys: (u128, u128), ids: &mut Vec<u32>) {
        let Some(room) = self.output.room(ids).first_chunk_mut() else { return self.make(text, piece, ids) };
        match self.encoder.cache.middle().find(keys, piece.hash, room) {
            0 => self.make(text, piece, ids),
            found @ 1..=MOST_IDS => self.output.took(found),
            _ => self.find_in_long(text, piece, ids),
        }
    }

    fn find_in_long(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) {
        match self.maker.find_long(text, piece) {
            Some(known) => self.output.take(known, ids),
            None => self.make(text, piece, ids),
        }
    }

    /// The ids of a new piece. (Not inlined, nor is what follows: the loop over known pieces needs all registers.)
    #[inline(never)]
    fn make(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) {
        if let Some(mark) = mark_of(&text[piece.start..][..piece.length]) {
            return self.mark(mark, piece, ids);
        }
        if piece.length > STRETCH {
            // So many ids are written where they stay.
            self.output.append(ids, |ids| _ = self.maker.make(text, piece, ids));
            self.output.make_room(BATCH * MOST_IDS, ids);
            return;
        }
        self.made.clear();
        match self.maker.make(text, piece, &mut self.made) {
            Made::Now => self.output.take(&self.made, ids),
            Made::Later(number) => {
                self.output.leave_gap(number);
                if self.maker.waiting.is_full() || self.output.is_crowded() {
                    self.fill_gaps(ids);
                }
            }
        }
    }

    fn mark(&mut self, mark: Mark, piece: Piece, ids: &mut Vec<u32>) {
        match mark {
            Mark::End => {
                self.output.end_text();
                if self.output.is_crowded() {
                    self.fill_gaps(ids);
                }
            }
            Mark::Token(id) => {
                self.output.take(&[id], ids);
                self.encoder.cache.remember_short(piece.key, piece.hash, &[id]);
            }
        }
    }

    /// What follows is appended to these ids.
    pub(super) fn begin(&mut self, ids: &[u32]) {
        self.sheet.clear();
        self.output.begin(ids);
    }

    /// A token that stands between texts.
    pub(super) fn token(&mut self, id: u32, ids: &mut Vec<u32>) {
        self.add_mark(Mark::Token(id), ids);
    }

    /// A text ends.
    pub(super) fn end_text(&mut self, ids: &mut Vec<u32>) {
        self.add_mark(Mark::End, ids);
    }

    fn add_mark(&mut self, mark: Mark, ids: &mut Vec<u32>) {
        self.sheet.add_mark(mark);
        if self.sheet.is_full() {
            self.encode_sheet(ids);
        }
    }

    /// All ids are there.
    pub(super) fn finish(&mut self, ids: &mut Vec<u32>) {
        self.encode_sheet(ids);
        self.fill_gaps(ids);
        self.output.finish(ids);
    }

    /// Makes what waits.
    #[inline(never)]
    fn fill_gaps(&mut self, ids: &mut Vec<u32>) {
        self.maker.merge_waiting();
        self.output.fill_gaps(&self.maker.waiting, ids, &mut self.ends);
        self.maker.waiting.clear();
    }
}

impl NativeEncoder {
    /// Asks for the memory of the longer piece with which a text begins, and gives its second key and its hash. (Not inlined,
    /// so that the loop over short ones has the registers for itself.)
    #[cold]
    #[inline(never)]
    fn ask_for_longer(&self, text: &[u8], length: usize, part: u128) -> (u128, usize) {
        let (first, second) = keys_of(text, length.min(MIDDLE));
        let hash = middle_hash_of((first, second | part));
        self.cache.middle().ask_for(hash);
        (second | part, hash)
    }
}
