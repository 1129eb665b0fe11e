//! `DeepSeek` V3: numbers by three, then Chinese and Japanese runs, then the rest, each split standing on
//! its own for the next pattern.

use super::super::unicode::{Classes, LETTER, MARK, NUMBER, PUNCTUATION, SPACE, SYMBOL, decode};
use super::runs::{few_end, letters_end, line_breaks_end, run_end, space_end};
use super::{Marked, Scan, classes, deepseek_bits, mark_each};

/// `\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+` and the long one of the three, one after the other.
pub(in super::super) struct DeepSeek {
    classes: &'static Classes,
    /// Where the piece of the first two patterns ends that the last one is at work in.
    end: usize,
}

fn chinese_or_kana(code: u32) -> bool {
    matches!(code, 0x4E00..=0x9FA5 | 0x3040..=0x30FF)
}

impl DeepSeek {
    pub(in super::super) fn new() -> Self {
        Self { classes: classes(), end: 0 }
    }

    /// The end of the run of the same kind as the character at `start`: Chinese and kana, or neither
    /// those nor numbers.
    fn block_end(&self, text: &[u8], start: usize) -> usize {
        let (code, length) = decode(text, start);
        let kind = chinese_or_kana(code);
        let mut at = start + length;
        while let Some(&byte) = text.get(at) {
            if byte < 0x80 {
                if kind || byte.is_ascii_digit() {
                    break;
                }
                at += 1;
                continue;
            }
            let (code, length) = decode(text, at);
            if chinese_or_kana(code) != kind || self.classes.of(code) & NUMBER != 0 {
                break;
            }
            at += length;
        }
        at
    }

    /// The end of the match of the last pattern at `start`, if it matches there.
    fn matched(&self, text: &[u8], start: usize) -> Option<usize> {
        let first = text[start];
        if first.is_ascii_punctuation() && text.get(start + 1).is_some_and(u8::is_ascii_alphabetic) {
            let letters = text[start + 1..].iter().take_while(|b| b.is_ascii_alphabetic());
            return Some(start + 1 + letters.count());
        }
        let classes = self.classes;
        let (flags, length) = classes.at(text, start);
        if flags & (LETTER | MARK) != 0 {
            return Some(letters_end(classes, text, start + length, LETTER | MARK));
        }
        if flags & (PUNCTUATION | SYMBOL) == 0 && first != b'\n' && first != b'\r' {
            let (next, next_length) = classes.at(text, start + length);
            if next & (LETTER | MARK) != 0 {
                let at = start + length + next_length;
                return Some(letters_end(classes, text, at, LETTER | MARK));
            }
        }
        let marks = if first == b' ' { start + 1 } else { start };
        let end = run_end(classes, text, marks, PUNCTUATION | SYMBOL);
        if end > marks {
            return Some(line_breaks_end(text, end, false));
        }
        (flags & SPACE != 0).then(|| space_end(classes, text, start, length, true))
    }
}

impl Scan for DeepSeek {
    fn next(&mut self, text: &[u8], start: usize) -> usize {
        if start == 0 || start >= self.end {
            let (flags, length) = self.classes.at(text, start);
            if flags & NUMBER != 0 {
                self.end = start + length;
                return few_end(self.classes, text, start + length, NUMBER, 2);
            }
            self.end = self.block_end(text, start);
        }
        let block = &text[..self.end];
        if let Some(end) = self.matched(block, start) {
            return end;
        }
        // What no match covers is one piece, up to where the next match begins.
        let mut at = start + decode(block, start).1;
        while at < block.len() && self.matched(block, at).is_none() {
            at += decode(block, at).1;
        }
        at.min(block.len())
    }
    fn mark(&mut self, text: &[u8], start: usize, stop: usize, marked: &mut Marked) -> usize {
        deepseek_bits::mark(self.classes, text, start, stop, marked)
            .unwrap_or_else(|| mark_each(self, text, start, stop, marked))
    }
}
