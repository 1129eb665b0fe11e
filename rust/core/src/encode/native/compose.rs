//! Canonical order and composition (Unicode Standard Annex 15) of what may need them, in one pass.
//!
//! Marks behind a letter are counted by class until the next letter comes, so each has its place, and they are written once, in
//! order. Of a class only the first can compose with the letter, the next once it has, and so on: the one that does not
//! keeps all behind it from the letter. (By the library's tables, but not by its iterators: for marks without end they
//! take five times as long, and keep four times as much.)

use unicode_normalization_alignments::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};

use super::unicode::{CLASSES, COMBINING, NFC_UNSURE, decode};
use super::work::KEEP;

/// Classes that there can be.
const KINDS: usize = 256;
/// So many characters are known at most to stay as they are.
const SAME: usize = 64;

/// The characters that a character is made of in a form.
pub(super) fn decompose(c: char, unsure: u16, give: impl FnMut(char)) {
    if unsure == NFC_UNSURE {
        decompose_canonical(c, give);
    } else {
        decompose_compatible(c, give);
    }
}

/// Composes stretches, all in one form. Kept from text to text.
pub(super) struct Composer {
    unsure: u16,
    same: Same,
    /// Of class 0, and not written yet.
    letter: Option<char>,
    /// The marks behind it up to the last that was not known, or came of a character that is made of others.
    marks: Vec<u8>,
    /// By class, how many bytes the marks behind the letter have.
    bytes: [usize; KINDS],
    /// The classes of which there are some, in order.
    classes: Vec<u8>,
    /// The last of them was of this class, and whether all are in order.
    last_class: u8,
    are_ordered: bool,
}

/// By their low bits, characters that are made of nothing else, with their classes. At first none but the first of all.
struct Same([(char, u8); SAME]);

impl Same {
    /// A character with its class, if it is known.
    #[inline(always)]
    fn get(&self, code: u32) -> Option<(char, u8)> {
        let known = self.0[code as usize % SAME];
        (u32::from(known.0) == code).then_some(known)
    }

    fn insert(&mut self, c: char, class: u8) {
        self.0[c as usize % SAME] = (c, class);
    }
}

impl Composer {
    pub(super) fn new(unsure: u16) -> Self {
        Self {
            unsure,
            same: Same([('\0', 0); SAME]),
            letter: None,
            marks: Vec::new(),
            bytes: [0; KINDS],
            classes: Vec::new(),
            last_class: 0,
            are_ordered: true,
        }
    }

    /// What says that a character may change in its form.
    pub(super) fn unsure(&self) -> u16 {
        self.unsure
    }

    /// Writes the first `least` bytes of a text, whole characters, composed, and what else stands before the next character that is
    /// sure; says how many bytes of the text that were. Nothing joins what stands before them.
    pub(super) fn write(&mut self, text: &[u8], least: usize, to: &mut Vec<u8>) -> usize {
        let mut at = 0;
        loop {
            let begin = at;
            at += self.count_known(&text[at..]);
            let mut known = &text[begin..at];
            let (code, length) = decode(text, at);
            let is_sure = || CLASSES.of(code) & (self.unsure | COMBINING) == 0;
            if at == text.len() || at >= least && is_sure() {
                self.write_marks(known, to);
                put(self.letter.take(), to);
                return at;
            }
            at += length;
            // Marks have been counted, so what is known is of class 0.
            if let Some((c, _)) = self.same.get(code) {
                self.add_letter(c, known, to);
                continue;
            }
            let c = char::from_u32(code).unwrap_or_default();
            decompose(c, self.unsure, |part| {
                let class = canonical_combining_class(part);
                if part == c {
                    self.same.insert(c, class);
                }
                let known = std::mem::take(&mut known);
                if class == 0 {
                    return self.add_letter(part, known, to);
                }
                self.marks.extend_from_slice(known);
                put(Some(part), &mut self.marks);
                self.count(class, part.len_utf8());
            });
        }
    }

    /// Counts the marks that a text begins with, as far as they are known to stay as they are; says how many bytes they have.
    #[inline]
    fn count_known(&mut self, text: &[u8]) -> usize {
        let mut at = 0;
        while at < text.len() {
            let (code, length) = decode(text, at);
            let Some((_, class @ 1..)) = self.same.get(code) else { break };
            self.count(class, length);
            at += length;
        }
        at
    }

    #[inline(always)]
    fn count(&mut self, class: u8, length: usize) {
        let bytes = &mut self.bytes[usize::from(class)];
        if *bytes == 0 {
            let place = self.classes.partition_point(|other| *other < class);
            self.classes.insert(place, class);
        }
        *bytes += length;
        self.are_ordered &= self.last_class <= class;
        self.last_class = class;
    }

    /// A character of class 0, behind marks that are known.
    #[inline]
    fn add_letter(&mut self, c: char, known: &[u8], to: &mut Vec<u8>) {
        self.write_marks(known, to);
        match self.letter.and_then(|letter| compose(letter, c)) {
            Some(both) => self.letter = Some(both),
            None => put(self.letter.replace(c), to),
        }
    }

    /// Composes the letter with the marks behind it, `known` the last of them. If any are left, nothing more composes, and it and
    /// they are written.
    fn write_marks(&mut self, known: &[u8], to: &mut Vec<u8>) {
        if self.classes.is_empty() {
            return;
        }
        let begin = to.len();
        put(self.letter, to);
        let mut at = to.len();
        let marks = at;
        if self.are_ordered {
            to.extend_from_slice(&self.marks);
            to.extend_from_slice(known);
        } else {
            self.write_in_order([&self.marks, known], to);
        }
        self.marks.clear();
        self.marks.shrink_to(KEEP);
        (self.last_class, self.are_ordered) = (0, true);
        let before = self.letter;
        for class in self.classes.drain(..) {
            let end = at + std::mem::take(&mut self.bytes[usize::from(class)]);
            let mut joined = at;
            while joined < end
                && let (code, length) = decode(to, joined)
                && let Some(both) = self.letter.and_then(|letter| compose(letter, char::from_u32(code)?))
            {
                self.letter = Some(both);
                joined += length;
            }
            to.drain(at..joined);
            at = end - (joined - at);
        }
        if to.len() == marks {
            return to.truncate(begin);
        }
        if let Some(letter) = self.letter.take().filter(|letter| before != Some(*letter)) {
            to.splice(begin..marks, letter.encode_utf8(&mut [0; 4]).bytes());
        }
    }

    /// Writes marks ordered by class, those of one class as they stand.
    fn write_in_order(&self, marks: [&[u8]; 2], to: &mut Vec<u8>) {
        // Where the next of each class goes.
        let (mut places, mut end) = ([0; KINDS], to.len());
        for class in &self.classes {
            places[usize::from(*class)] = end;
            end += self.bytes[usize::from(*class)];
        }
        to.resize(end, 0);
        for marks in marks {
            let mut at = 0;
            while at < marks.len() {
                let (code, length) = decode(marks, at);
                let class = match self.same.get(code) {
                    Some((_, class)) => class,
                    None => char::from_u32(code).map_or(0, canonical_combining_class),
                };
                let place = &mut places[usize::from(class)];
                match length {
                    2 => copy::<2>(&marks[at..], &mut to[*place..]),
                    3 => copy::<3>(&marks[at..], &mut to[*place..]),
                    _ => copy::<4>(&marks[at..], &mut to[*place..]),
                }
                *place += length;
                at += length;
            }
        }
    }
}

/// Appends a character in UTF-8.
#[inline]
fn put(c: Option<char>, to: &mut Vec<u8>) {
    if let Some(c) = c {
        to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Copies so many bytes: a mark, of which none is ASCII.
#[inline]
fn copy<const LENGTH: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<LENGTH>(), to.first_chunk_mut()) {
        *to = *from;
    }
}
