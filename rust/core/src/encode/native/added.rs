//! Added tokens: found in the text before everything else, with the reference's flags.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};

use super::unicode::{CLASSES, WORD, decode, previous};

/// One added token.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // the flags of the format
pub(super) struct Token {
    pub(super) content: String,
    pub(super) id: u32,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) special: bool,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Text(Range<usize>),
    Token(u32),
}

/// The bytes that a token may begin with, if they are few.
enum Few {
    One(u8),
    Two(u8, u8),
    Three(u8, u8, u8),
    Four([u8; 4]),
    Many,
}

/// Finds the longest token at the leftmost place, as the reference does.
pub(super) struct Matcher {
    automaton: AhoCorasick,
    tokens: Vec<Token>,
    /// By first byte: some token begins with it.
    begins: [bool; 256],
    /// The same as bytes to look for, if there are at most four.
    few: Few,
}

impl Matcher {
    /// `patterns` are what to look for, one for each token: its content, or that normalized.
    pub(super) fn new(patterns: &[String], tokens: Vec<Token>) -> Result<Option<Self>, String> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut begins = [false; 256];
        for pattern in patterns {
            match pattern.as_bytes().first() {
                Some(&first) => begins[usize::from(first)] = true,
                None => return Err("an added token that normalizes to nothing".into()),
            }
        }
        let firsts: Vec<u8> = (0..=255u8).filter(|b| begins[usize::from(*b)]).collect();
        let few = match firsts[..] {
            [a] => Few::One(a),
            [a, b] => Few::Two(a, b),
            [a, b, c] => Few::Three(a, b, c),
            [a, b, c, d] => Few::Four([a, b, c, d]),
            _ => Few::Many,
        };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Anchored)
            .build(patterns)
            .map_err(|error| error.to_string())?;
        Ok(Some(Self {
            automaton,
            tokens,
            begins,
            few,
        }))
    }

    /// The number of the special token with this content.
    pub(super) fn special(&self, content: &str) -> Option<usize> {
        self.tokens
            .iter()
            .position(|token| token.special && token.content == content)
    }

    /// The next place from `at` on where a token may begin.
    fn candidate(&self, text: &[u8], mut at: usize) -> Option<usize> {
        let bytes = text.get(at..)?;
        match self.few {
            Few::One(a) => return memchr::memchr(a, bytes).map(|found| at + found),
            Few::Two(a, b) => return memchr::memchr2(a, b, bytes).map(|found| at + found),
            Few::Three(a, b, c) => return memchr::memchr3(a, b, c, bytes).map(|found| at + found),
            Few::Four([a, b, c, d]) => {
                // Blocks without any of the bytes are passed with vector compares.
                while let Some(block) = text.get(at..at + 64) {
                    let any = block.iter().fold(0u8, |any, &x| {
                        let two = u8::from(x == a) | u8::from(x == b);
                        any | two | u8::from(x == c) | u8::from(x == d)
                    });
                    if any != 0 {
                        break;
                    }
                    at += 64;
                }
            }
            Few::Many => {}
        }
        let rest = text.get(at..)?;
        let found = rest
            .iter()
            .position(|&byte| self.begins[usize::from(byte)])?;
        Some(at + found)
    }

    fn next_match(&self, text: &[u8], mut at: usize) -> Option<(Range<usize>, usize)> {
        loop {
            let start = self.candidate(text, at)?;
            let input = Input::new(text)
                .span(start..text.len())
                .anchored(Anchored::Yes);
            if let Ok(Some(found)) = self.automaton.try_find(input) {
                return Some((found.range(), found.pattern().as_usize()));
            }
            at = start + 1;
        }
    }

    /// Whether there is nothing to split out.
    pub(super) fn finds_nothing(&self, text: &str) -> bool {
        self.next_match(text.as_bytes(), 0).is_none()
    }

    /// Splits a text. `marks` are places with the number of a token that is meant there, or none if it is
    /// a token of the other matcher; around them special tokens are text if `special_as_text`.
    pub(super) fn split(
        &self,
        text: &str,
        marks: &[(Range<usize>, Option<usize>)],
        special_as_text: bool,
        splits: &mut Vec<Split>,
    ) {
        let mut state = Splitter {
            text,
            splits,
            offset: 0,
        };
        // Nothing of a mark is visible to the text beside it, nor the other way round: the text between
        // two marks is searched on its own.
        let mut gap = 0;
        for index in 0..=marks.len() {
            let mark = marks.get(index);
            let gap_end = mark.map_or(text.len(), |(place, _)| place.start);
            let mut at = gap;
            while let Some((found, number)) = self.next_match(&text.as_bytes()[..gap_end], at) {
                at = found.end;
                let token = &self.tokens[number];
                if !(special_as_text && token.special) {
                    state.token(token, found, gap..gap_end, false);
                }
            }
            if let Some((place, number)) = mark {
                gap = place.end;
                let until = marks
                    .get(index + 1)
                    .map_or(text.len(), |(next, _)| next.start);
                let before = if index == 0 {
                    0
                } else {
                    marks[index - 1].0.end
                };
                if let Some(number) = number {
                    state.token(&self.tokens[*number], place.clone(), before..until, true);
                }
            }
        }
        if state.offset != text.len() {
            let rest = state.offset..text.len();
            state.splits.push(Split::Text(rest));
        }
    }
}

struct Splitter<'a> {
    text: &'a str,
    splits: &'a mut Vec<Split>,
    /// Up to where the text has been given out.
    offset: usize,
}

impl Splitter<'_> {
    /// Takes a match in, or leaves it in the text; `sight` is how far its flags look around.
    fn token(&mut self, token: &Token, found: Range<usize>, sight: Range<usize>, marked: bool) {
        let before = &self.text[sight.start..found.start];
        let after = &self.text[found.end..sight.end];
        if token.single_word && !marked && (ends_with_word(before) || starts_with_word(after)) {
            return;
        }
        let mut start = found.start;
        let mut stop = found.end;
        if token.lstrip {
            // A match before may have taken the white space already.
            start =
                (sight.start + before.trim_end_matches(char::is_whitespace).len()).max(self.offset);
        }
        if token.rstrip {
            stop += after.len() - after.trim_start_matches(char::is_whitespace).len();
        }
        if self.offset < start {
            self.splits.push(Split::Text(self.offset..start));
        }
        // White space that an earlier match has taken may leave nothing; the reference drops such a one.
        if start < stop {
            self.splits.push(Split::Token(token.id));
        }
        self.offset = stop;
    }
}

fn ends_with_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty() && CLASSES.of(decode(bytes, previous(bytes, bytes.len())).0) & WORD != 0
}

fn starts_with_word(text: &str) -> bool {
    CLASSES.at(text.as_bytes(), 0).0 & WORD != 0
}
