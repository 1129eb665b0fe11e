//! GPT-2, Llama 3 (and cl100k), Qwen 2/3, Qwen 3.5: letters in runs, whatever their case.

use std::marker::PhantomData;

use super::super::unicode::{Classes, LETTER, MARK, NUMBER, SPACE};
use super::blocks;
use super::runs::{contraction, few_end, letters_end, line_breaks_end, run_end, run_end_without, space_end};
use super::{Marked, Scan, classes, mark_each};

/// How one pattern of the family differs from the others.
pub(in super::super) trait Shape {
    /// The letter class: `\p{L}`, or `[\p{L}\p{M}]`.
    const LETTERS: u16 = LETTER;
    /// A contraction is matched in any case.
    const ANY_CASE: bool = true;
    /// `[^\r\n\p{L}\p{N}]?` before letters; otherwise ` ?`, before numbers too.
    const ANY_PREFIX: bool = true;
    /// How many digits stand together.
    const DIGITS: usize;
    /// `[\r\n]*` after punctuation, and `\s*[\r\n]+`.
    const LINE_BREAKS: bool = true;
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
pub(in super::super) enum Gpt2 {}

impl Shape for Gpt2 {
    const ANY_CASE: bool = false;
    const ANY_PREFIX: bool = false;
    const DIGITS: usize = usize::MAX;
    const LINE_BREAKS: bool = false;
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
pub(in super::super) enum Llama3 {}

impl Shape for Llama3 {
    const DIGITS: usize = 3;
}

/// The same with `\p{N}` alone.
pub(in super::super) enum Qwen2 {}

impl Shape for Qwen2 {
    const DIGITS: usize = 1;
}

/// The same with `[\p{L}\p{M}]+` and `[^\s\p{L}\p{M}\p{N}]+`.
pub(in super::super) enum Qwen35 {}

impl Shape for Qwen35 {
    const LETTERS: u16 = LETTER | MARK;
    const DIGITS: usize = 1;
}

/// The scanner of one pattern of the family.
pub(in super::super) struct Plain<S> {
    classes: &'static Classes,
    shape: PhantomData<S>,
}

impl<S: Shape> Plain<S> {
    pub(in super::super) fn new() -> Self {
        Self { classes: classes(), shape: PhantomData }
    }

    const NO_PUNCTUATION: u16 = SPACE | NUMBER | S::LETTERS;

    /// Everything but a run of letters, which has been looked for.
    #[inline]
    fn others(&self, text: &[u8], start: usize, flags: u16, length: usize) -> usize {
        let classes = self.classes;
        if flags & NUMBER != 0 {
            return few_end(classes, text, start + length, NUMBER, S::DIGITS - 1);
        }
        if flags & SPACE == 0 {
            return self.punctuation(text, start + length);
        }
        if text[start] == b' ' {
            let (next, next_length) = classes.at(text, start + 1);
            if next_length != 0 && next & Self::NO_PUNCTUATION == 0 {
                return self.punctuation(text, start + 1 + next_length);
            }
            if !S::ANY_PREFIX && next & NUMBER != 0 {
                return run_end(classes, text, start + 1 + next_length, NUMBER);
            }
        }
        space_end(classes, text, start, length, S::LINE_BREAKS)
    }

    #[inline]
    fn punctuation(&self, text: &[u8], at: usize) -> usize {
        let end = run_end_without(self.classes, text, at, Self::NO_PUNCTUATION);
        if S::LINE_BREAKS { line_breaks_end(text, end, false) } else { end }
    }
}

impl<S: Shape> Scan for Plain<S> {
    #[inline]
    fn next(&mut self, text: &[u8], start: usize) -> usize {
        let first = text[start];
        // The usual word: a space and letters.
        if first == b' '
            && let Some(&next) = text.get(start + 1)
            && next.is_ascii_alphabetic()
        {
            return letters_end(self.classes, text, start + 2, S::LETTERS);
        }
        if first == b'\'' {
            let length = contraction(text, start, S::ANY_CASE);
            if length != 0 {
                return start + length;
            }
        }
        let (flags, length) = self.classes.at(text, start);
        if flags & S::LETTERS != 0 {
            return letters_end(self.classes, text, start + length, S::LETTERS);
        }
        let prefix = if S::ANY_PREFIX {
            flags & NUMBER == 0 && first != b'\n' && first != b'\r'
        } else {
            first == b' '
        };
        if prefix {
            let (next, next_length) = self.classes.at(text, start + length);
            if next & S::LETTERS != 0 {
                let at = start + length + next_length;
                return letters_end(self.classes, text, at, S::LETTERS);
            }
        }
        self.others(text, start, flags, length)
    }

    fn mark(&mut self, text: &[u8], start: usize, stop: usize, marked: &mut Marked) -> usize {
        blocks::mark::<S>(self.classes, text, start, stop, marked)
            .unwrap_or_else(|| mark_each(self, text, start, stop, marked))
    }
}
