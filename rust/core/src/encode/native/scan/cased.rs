//! o200k and Tekken: a word is capitals, then small letters; letters without case belong to both.

use std::marker::PhantomData;

use super::super::unicode::{Classes, LETTER, LOWER, MARK, NUMBER, SPACE, UPPER};
use super::plain::Shape as Plain;
use super::runs::{contraction, few_end, line_breaks_end, run_end_without, space_end};
use super::{Marked, Scan, cased_bits, classes, mark_each};

/// How the patterns of the family differ, beside what they have in common with others but for case.
pub(in super::super) trait Shape: Plain {
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` after a word.
    const CONTRACTIONS: bool;
}

/// The pattern of GPT-4o.
pub(in super::super) enum O200k {}

impl Plain for O200k {
    const LETTERS: u16 = LETTER | MARK;
    const DIGITS: usize = 3;
}

impl Shape for O200k {
    const CONTRACTIONS: bool = true;
}

/// The pattern of Mistral's Tekken: no contractions, single digits.
pub(in super::super) enum Tekken {}

impl Plain for Tekken {
    const LETTERS: u16 = LETTER | MARK;
    const DIGITS: usize = 1;
}

impl Shape for Tekken {
    const CONTRACTIONS: bool = false;
}

/// The scanner of one pattern of the family.
pub(in super::super) struct Cased<S> {
    classes: &'static Classes,
    shape: PhantomData<S>,
}

/// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
fn capital(flags: u16) -> bool {
    flags & (LETTER | MARK) != 0 && flags & LOWER == 0
}

/// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
fn small(flags: u16) -> bool {
    flags & (LETTER | MARK) != 0 && flags & UPPER == 0
}

impl<S: Shape> Cased<S> {
    pub(in super::super) fn new() -> Self {
        Self { classes: classes(), shape: PhantomData }
    }

    /// `capital* small+` from `at` on, with the regex's giving back; `None` where it does not match.
    fn ends_small(&self, text: &[u8], at: usize) -> Option<usize> {
        let mut end = at;
        // Where the last character of the capitals that is also small ends.
        let mut last_small = None;
        loop {
            let (flags, length) = self.classes.at(text, end);
            if !capital(flags) {
                break;
            }
            end += length;
            if small(flags) {
                last_small = Some(end);
            }
        }
        let capitals_end = end;
        loop {
            let (flags, length) = self.classes.at(text, end);
            if !small(flags) {
                break;
            }
            end += length;
        }
        if end > capitals_end { Some(end) } else { last_small }
    }

    fn capitals_end(&self, text: &[u8], at: usize) -> usize {
        let mut end = at;
        loop {
            let (flags, length) = self.classes.at(text, end);
            if !capital(flags) {
                return end;
            }
            end += length;
        }
    }

    /// Where a word ends that begins with the letter or mark at `at`.
    pub(super) fn word_end(&self, text: &[u8], at: usize) -> usize {
        self.ends_small(text, at).unwrap_or_else(|| self.capitals_end(text, at))
    }

    fn word(&self, text: &[u8], start: usize, flags: u16, length: usize) -> Option<usize> {
        let first = text[start];
        let prefix = flags & (LETTER | NUMBER) == 0 && first != b'\n' && first != b'\r';
        let after = start + length;
        // Each alternative is tried with the prefix first, then without.
        let small =
            (prefix.then(|| self.ends_small(text, after)).flatten()).or_else(|| self.ends_small(text, start));
        if small.is_some() {
            return small;
        }
        // No small letter follows the capitals, or the first alternative had matched.
        if prefix {
            let end = self.capitals_end(text, after);
            if end > after {
                return Some(end);
            }
        }
        let end = self.capitals_end(text, start);
        (end > start).then_some(end)
    }

    fn punctuation(&self, text: &[u8], at: usize) -> usize {
        let end = run_end_without(self.classes, text, at, SPACE | LETTER | NUMBER);
        line_breaks_end(text, end, true)
    }
}

impl<S: Shape> Scan for Cased<S> {
    #[inline]
    fn next(&mut self, text: &[u8], start: usize) -> usize {
        let (flags, length) = self.classes.at(text, start);
        if let Some(end) = self.word(text, start, flags, length) {
            return if S::CONTRACTIONS { end + contraction(text, end, true) } else { end };
        }
        if flags & NUMBER != 0 {
            return few_end(self.classes, text, start + length, NUMBER, S::DIGITS - 1);
        }
        if flags & SPACE == 0 {
            return self.punctuation(text, start + length);
        }
        if text[start] == b' ' {
            let (next, next_length) = self.classes.at(text, start + 1);
            if next_length != 0 && next & (SPACE | LETTER | NUMBER) == 0 {
                return self.punctuation(text, start + 1 + next_length);
            }
        }
        space_end(self.classes, text, start, length, true)
    }
    fn mark(&mut self, text: &[u8], start: usize, stop: usize, marked: &mut Marked) -> usize {
        cased_bits::mark(self, self.classes, text, start, stop, marked)
            .unwrap_or_else(|| mark_each(self, text, start, stop, marked))
    }
}
