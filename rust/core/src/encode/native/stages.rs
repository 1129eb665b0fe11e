//! Several pre-tokenizers one after the other: rare, so plain rather than fast, but for digits before one of the known patterns,
//! as code models have them.

use memchr::memmem;

use super::config::{Known, Stage};
use super::json::Behavior;
use super::scan::{Cased, DeepSeek, Gpt2, Llama3, Marked, O200k, Plain, Qwen2, Qwen35, Scan, Tekken};
use super::unicode::char_end;
use super::work::STRETCH;

/// Where the pieces of all stages end.
pub(super) fn ends(stages: &[Stage], text: &[u8]) -> Vec<usize> {
    let mut ends = vec![text.len()];
    for stage in stages {
        let mut finer = Vec::with_capacity(ends.len() * 2);
        let mut start = 0;
        for end in ends {
            let piece = &text[start..end];
            match stage {
                Stage::Known(known) => scan_known(*known, piece, start, &mut finer),
                Stage::Digits { alone } => {
                    let behavior = if *alone { Behavior::Isolated } else { Behavior::Contiguous };
                    gather(&numeric(piece), behavior, start, &mut finer);
                }
                Stage::Literal(literal, behavior) => {
                    gather(&found(literal, piece), *behavior, start, &mut finer);
                }
            }
            start = end;
        }
        ends = finer;
    }
    ends
}

fn scan_known(known: Known, piece: &[u8], start: usize, ends: &mut Vec<usize>) {
    match known {
        Known::Gpt2 => scan(&mut Plain::<Gpt2>::new(), piece, start, ends),
        Known::Llama3 => scan(&mut Plain::<Llama3>::new(), piece, start, ends),
        Known::Qwen2 => scan(&mut Plain::<Qwen2>::new(), piece, start, ends),
        Known::Qwen35 => scan(&mut Plain::<Qwen35>::new(), piece, start, ends),
        Known::O200k => scan(&mut Cased::<O200k>::new(), piece, start, ends),
        Known::Tekken => scan(&mut Cased::<Tekken>::new(), piece, start, ends),
        Known::DeepSeek => scan(&mut DeepSeek::new(), piece, start, ends),
    }
}

/// What is shorter is gone through piece by piece: to prepare bits for it takes longer.
const SHORT: usize = 128;

fn scan<S: Scan>(scanner: &mut S, piece: &[u8], start: usize, ends: &mut Vec<usize>) {
    if piece.len() < SHORT {
        let mut at = 0;
        while at < piece.len() {
            at = scanner.next(piece, at);
            ends.push(start + at);
        }
        return;
    }
    let (mut marked, mut places) = (Marked::default(), Vec::new());
    let mut at = 0;
    while at < piece.len() {
        let stop = char_end(piece, at + STRETCH);
        let seen = scanner.mark(piece, at, stop, &mut marked);
        let bits = &marked.begins;
        let places = bits.places(0..bits.words().len(), &mut places);
        ends.extend(places.iter().map(|&place| start + at + place as usize));
        at = seen;
    }
}

/// The ends of what matches and what does not, in order, each with whether it matches.
type Matches = Vec<(usize, bool)>;

fn numeric(piece: &[u8]) -> Matches {
    let text = std::str::from_utf8(piece).unwrap_or_default();
    matches(piece, text.match_indices(char::is_numeric).map(|(at, number)| (at, number.len())))
}

fn found(literal: &str, piece: &[u8]) -> Matches {
    matches(piece, memmem::find_iter(piece, literal).map(|at| (at, literal.len())))
}

/// What is found, each with where it begins and its length, and what is between.
fn matches(piece: &[u8], found: impl Iterator<Item = (usize, usize)>) -> Matches {
    let mut matches = Matches::new();
    let mut rest = 0;
    for (at, length) in found {
        if at > rest {
            matches.push((at, false));
        }
        rest = at + length;
        matches.push((rest, true));
    }
    if rest < piece.len() {
        matches.push((piece.len(), false));
    }
    matches
}

/// Joins matches to pieces as the reference's behaviors do.
fn gather(matches: &Matches, behavior: Behavior, start: usize, ends: &mut Vec<usize>) {
    for (index, &(end, matched)) in matches.iter().enumerate() {
        let next = matches.get(index + 1).map(|next| next.1);
        let joined = match behavior {
            Behavior::Isolated | Behavior::Removed => false,
            Behavior::Contiguous => next == Some(matched),
            // A match joins what stands before, if that is no match itself.
            Behavior::MergedWithPrevious => next == Some(true) && !matched,
            Behavior::MergedWithNext => matched && next == Some(false),
        };
        if !joined {
            ends.push(start + end);
        }
    }
}

/// Hands out ends that are known already.
pub(super) struct Listed<'a> {
    pub(super) ends: std::slice::Iter<'a, usize>,
}

impl Scan for Listed<'_> {
    fn next(&mut self, text: &[u8], _start: usize) -> usize {
        self.ends.next().copied().unwrap_or(text.len())
    }
}

/// Cuts before every visible space, in a text where that or a space may stand.
pub(super) struct BeforeSpace {
    pub(super) visible: char,
}

impl Scan for BeforeSpace {
    fn next(&mut self, text: &[u8], start: usize) -> usize {
        let mut buffer = [0; 4];
        let visible = self.visible.encode_utf8(&mut buffer).as_bytes();
        let mut at = start + 1;
        while at < text.len() {
            if text[at] == b' ' || text[at..].starts_with(visible) {
                return at;
            }
            at += 1;
        }
        text.len()
    }
}
