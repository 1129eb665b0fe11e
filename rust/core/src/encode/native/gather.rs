//! Texts on their way to the sheet: where the tokenizer's pattern has their pieces begin.

use super::config::Known;
use super::path::{Path, Splitting};
use super::scan::{Cased, DeepSeek, Gpt2, Llama3, Marked, O200k, Plain, Qwen2, Qwen35, Scan, Tekken};
use super::sheet::{Mark, Sheet};
use super::stages::{BeforeSpace, Listed, ends};
use super::unicode::char_end;
use super::work::{KEEP, STRETCH};

/// Gathers texts on the sheet, and has it encoded whenever it is full.
pub(super) struct Gather<'a> {
    path: &'a Path,
    sheet: Sheet,
    /// Where the scanner has pieces of the text at hand begin.
    marked: Marked,
    /// The text at hand behind a space that the scanner has to see.
    prefixed: Vec<u8>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(path: &'a Path) -> Self {
        Self { path, sheet: Sheet::new(), marked: Marked::default(), prefixed: Vec::new() }
    }

    /// Forgets what has not been encoded.
    pub(super) fn begin(&mut self) {
        self.sheet.clear();
    }

    /// Adds a text whose spaces may still have to be read as something else, with one more before it or without.
    pub(super) fn text(&mut self, text: &[u8], prefix: bool, encode: &mut impl FnMut(&mut Sheet)) {
        if !prefix {
            return self.split(text, encode);
        }
        if self.path.splitting == Splitting::Nowhere {
            self.sheet.add(b" ");
            return self.split(text, encode);
        }
        let mut prefixed = std::mem::take(&mut self.prefixed);
        prefixed.push(b' ');
        prefixed.extend_from_slice(text);
        self.split(&prefixed, encode);
        prefixed.clear();
        prefixed.shrink_to(KEEP);
        self.prefixed = prefixed;
    }

    /// Adds a text that no pattern splits stretch by stretch, with where pieces end in it all the same, in order.
    pub(super) fn pieces(
        &mut self,
        text: &[u8],
        ends: impl Iterator<Item = usize>,
        encode: &mut impl FnMut(&mut Sheet),
    ) {
        let (mut at, mut ends) = (0, ends.peekable());
        while at < text.len() {
            let stop = char_end(text, at + STRETCH);
            let begins = &mut self.marked.begins;
            begins.clear(stop - at);
            while let Some(end) = ends.next_if(|end| *end <= stop) {
                begins.set(end - at);
            }
            self.sheet.add_pieces(&text[at..stop], &self.marked.begins);
            at = stop;
            if at == text.len() {
                self.sheet.end_piece(); // before it is encoded: else a long piece would wait for the next text
            }
            self.sheet.make_room(text.len() - at);
            self.encode_if_full(encode);
        }
    }

    /// Adds what stands between texts.
    pub(super) fn mark(&mut self, mark: Mark, encode: &mut impl FnMut(&mut Sheet)) {
        self.sheet.add_mark(mark);
        self.end_piece(encode);
    }

    /// Has all encoded that has been gathered.
    pub(super) fn finish(&mut self, encode: &mut impl FnMut(&mut Sheet)) {
        encode(&mut self.sheet);
    }

    fn split(&mut self, text: &[u8], encode: &mut impl FnMut(&mut Sheet)) {
        match &self.path.splitting {
            Splitting::Nowhere => self.pieces(text, std::iter::empty(), encode),
            Splitting::BeforeSpace => {
                let visible = self.path.space.unwrap_or(' ');
                self.scan(&mut BeforeSpace { visible }, text, encode);
            }
            Splitting::One(known) => match known {
                Known::Gpt2 => self.scan(&mut Plain::<Gpt2>::new(), text, encode),
                Known::Llama3 => self.scan(&mut Plain::<Llama3>::new(), text, encode),
                Known::Qwen2 => self.scan(&mut Plain::<Qwen2>::new(), text, encode),
                Known::Qwen35 => self.scan(&mut Plain::<Qwen35>::new(), text, encode),
                Known::O200k => self.scan(&mut Cased::<O200k>::new(), text, encode),
                Known::Tekken => self.scan(&mut Cased::<Tekken>::new(), text, encode),
                Known::DeepSeek => self.scan(&mut DeepSeek::new(), text, encode),
            },
            Splitting::Several(stages) => {
                let ends = ends(stages, text);
                self.scan(&mut Listed { ends: ends.iter() }, text, encode);
            }
        }
    }

    /// Adds a text stretch by stretch, with where its pieces begin.
    fn scan<S: Scan>(&mut self, scanner: &mut S, text: &[u8], encode: &mut impl FnMut(&mut Sheet)) {
        let mut at = 0;
        while at < text.len() {
            let stop = char_end(text, at + STRETCH);
            let seen = scanner.mark(text, at, stop, &mut self.marked);
            self.sheet.add_pieces(&text[at..seen], &self.marked.begins);
            at = seen;
            self.sheet.make_room(text.len() - at);
            self.end_piece(encode);
        }
        self.marked.begins.shrink_to(KEEP);
    }

    #[inline]
    fn end_piece(&mut self, encode: &mut impl FnMut(&mut Sheet)) {
        self.sheet.end_piece();
        self.encode_if_full(encode);
    }

    #[inline]
    fn encode_if_full(&mut self, encode: &mut impl FnMut(&mut Sheet)) {
        if self.sheet.is_full() {
            encode(&mut self.sheet);
        }
    }
}
