//! From what is on the sheet to ids: cut into pieces, and each looked up in the cache.

use super::NativeEncoder;
use super::bits::{Bits, WORD};
use super::block::BLOCK;
use super::cache::{
    MANY_IDS, MIDDLE, MIDDLE_ROOM, PART, SHORT, Wanted, hash_of, key_of, keys_of, middle_hash_of, sixteen,
};
use super::make::{Made, Maker, Piece};
use super::output::Output;
use super::sheet::{Mark, Sheet, is_end, mark_of};
use crate::memory::make_room;

/// Pieces that are looked up together, so that their memory arrives together.
const BATCH: usize = 128;
/// So many with a second place in one batch, and the second places of all of the next are asked for: fewer cost less than that.
const MANY: usize = BATCH / 8;
/// Bytes of text that go through one station before the next, to stay in the nearest cache.
pub(super) const STRETCH: usize = 4096;
/// Scratch buffers beyond this are given back after a text.
pub(super) const KEEP: usize = 1 << 20;

/// What the sheets of a session go through.
pub(super) struct Work<'a> {
    encoder: &'a NativeEncoder,
    maker: Maker<'a>,
    /// Where what is on the sheet is cut.
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

    /// Encodes what is on the sheet, up to the last place where it can be cut.
    pub(super) fn encode(&mut self, sheet: &mut Sheet, ids: &mut Vec<u32>) {
        let encoder = self.encoder;
        let (text, length) = sheet.lend();
        let begins = sheet.begins();
        self.cuts.copy_from(begins);
        // From the block before the first that has not been looked at.
        let from = (sheet.uncut() / BLOCK).saturating_sub(1);
        let (start, cuts) = (from * BLOCK, &mut self.cuts.words_mut()[from..]);
        if encoder.cuts_words {
            encoder.cutter().words(&text, start, length, cuts);
        } else {
            encoder.cutter().unspaced(&text, start, length, cuts);
        }
        // Where no cut was made besides, every piece is one of the pattern.
        let all_whole = begins.has(0) && self.cuts.words() == begins.words();
        if all_whole || encoder.model.unmerged.is_empty() {
            self.take::<false>(&text, begins, ids);
        } else {
            self.take::<true>(&text, begins, ids);
        }
        sheet.take_back(text, self.cuts.last().unwrap_or(0));
        self.cuts.shrink_to(KEEP);
    }

    /// Encodes the pieces that have been cut. `PARTS`: it makes a difference whether the pattern has a piece begin and end there.
    fn take<const PARTS: bool>(&mut self, text: &[u8], begins: &Bits, ids: &mut Vec<u32>) {
        let mut places = std::mem::take(&mut self.places);
        let mut start = 0;
        let words = self.cuts.words().len();
        for first in (0..words).step_by(STRETCH / WORD) {
            let at = first * WORD;
            let found = self.cuts.places(first..words.min(first + STRETCH / WORD), &mut places);
            for ends in found.chunks(BATCH) {
                self.ask::<PARTS>(text, begins, at, start, ends);
                start = self.find(text, at, start, ends, ids);
            }
        }
        self.places = places;
    }

    /// Asks for the memory of some pieces: the first begins at `start`, each ends at `at` plus one of `ends`.
    #[inline]
    fn ask<const PARTS: bool>(
        &mut self,
        text: &[u8],
        begins: &Bits,
        at: usize,
        mut start: usize,
        ends: &[u32],
    ) {
        let short = self.encoder.cache.short();
        let mut rest = &text[start..];
        self.longer = 0;
        for (index, (wanted, &end)) in self.wanted.iter_mut().zip(ends).enumerate() {
            let end = at + end as usize;
            let length = end - start;
            let whole = !PARTS || begins.has(start) && begins.has(end);
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
        self.make_room(ids);
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

    /// Sees to it that there is room for whatever the cache has of the pieces of a batch.
    #[inline]
    fn make_room(&mut self, ids: &mut Vec<u32>) {
        self.output.make_room(BATCH * self.encoder.cache.most_ids() + MIDDLE_ROOM, ids);
    }

    /// The ids of a short piece that has many of them, stands beside its place, or is new.
    fn find_further(&mut self, text: &[u8], piece: Piece, ids: &mut Vec<u32>) {
        if is_end(text[piece.start]) {
            return self.make(text, piece, ids); // no cache has it
        }
        let Some(room) = self.output.room(ids).first_chunk_mut() else { return self.make(text, piece, ids) };
        match self.encoder.cache.short().find(piece.key, piece.hash, room) {
            0 => self.make(text, piece, ids),
            MANY_IDS => {
                self.many += 1;
                self.find_in_middle(text, piece, (piece.key, 0), ids);
            }
            found => self.output.took(found),
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
            MANY_IDS => self.find_in_long(text, piece, ids),
            found => self.output.took(found),
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
            // So many ids are written where they stay. (Room that grows is copied, and asked for page by page each time.)
            make_room(ids, piece.length / 2);
            self.output.append(ids, |ids| _ = self.maker.make(text, piece, ids));
            self.make_room(ids);
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

    /// What stands between texts. A token is remembered like a piece.
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
        self.ends.clear();
        self.output.begin(ids);
    }

    /// All ids are there.
    pub(super) fn finish(&mut self, ids: &mut Vec<u32>) {
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
