//! Hand-written scanners for the pre-tokenizer patterns that are known, one regex each.
//!
//! A scanner answers one question: where does the piece that begins here end? It is handed the whole
//! text that the reference would hand to its regex engine, so look-ahead ends where the text ends.

mod blocks;
mod cased;
mod cased_bits;
mod deepseek;
mod deepseek_bits;
mod plain;
mod runs;

use blocks::Stretch;
pub(super) use cased::{Cased, O200k, Tekken};
pub(super) use deepseek::DeepSeek;
pub(super) use plain::{Gpt2, Llama3, Plain, Qwen2, Qwen35};

use super::bits::Bits;
use super::unicode::{CLASSES, Classes};

/// Where pieces begin, and what is needed to find that out, kept from stretch to stretch.
#[derive(Default)]
pub(super) struct Marked {
    pub(super) begins: Bits,
    stretch: Stretch,
}

/// Cuts text into the pieces of one pattern.
pub(super) trait Scan {
    /// Where the piece that begins at `start` ends; `start` is less than the length of `text`, the
    /// answer is greater than `start`.
    fn next(&mut self, text: &[u8], start: usize) -> usize;

    /// Marks the beginnings of pieces in `text[start..]`, places from `start` on, up to about `stop`, and
    /// says how far it looked: where a piece ends, which is marked too.
    fn mark(&mut self, text: &[u8], start: usize, stop: usize, marked: &mut Marked) -> usize {
        mark_each(self, text, start, stop, marked)
    }
}

/// Marks one piece after the other.
fn mark_each<S: Scan + ?Sized>(
    scanner: &mut S,
    text: &[u8],
    start: usize,
    stop: usize,
    marked: &mut Marked,
) -> usize {
    let ends = &mut marked.begins;
    ends.clear(stop - start);
    let mut at = start;
    while at < stop {
        at = scanner.next(text, at);
        ends.set(at - start);
    }
    at
}

/// The flags of every code point, for scanners.
fn classes() -> &'static Classes {
    &CLASSES
}

#[cfg(test)]
mod tests;
