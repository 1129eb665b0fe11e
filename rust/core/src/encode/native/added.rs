//! Added tokens: found in the text before everything else, with the reference's flags.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind, StartKind};
use memchr::memchr_iter;

use super::block::{BLOCK, Compare, block_at};
use super::unicode::{CLASSES, WORD, decode, previous};
use super::vectors::{Look, look};

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
    /// The encoder makes it of its own text, if that is a piece, so that it need not be taken out of the text.
    pub(super) is_own_text: bool,
}

/// A part of a text.
#[derive(Debug)]
pub(super) enum Split<'e> {
    /// Where it stands, and where in the text tokens begin and end that are left in it, in order.
    Text(Range<usize>, &'e [usize]),
    Token(u32),
}

/// Places of tokens that are left in the text are handed out when there are so many: all of a text might be such tokens.
const MOST_ENDS: usize = if cfg!(test) { 8 } else { 512 };

/// The bytes that a token may begin with.
enum Firsts {
    One(u8),
    Few(FirstBytes),
    Many,
}

/// Asks for some of them, which may be the same.
struct FirstBytes([u8; FEW]);

/// How many are asked for at most: Gemma has four.
const FEW: usize = 6;

impl Look for FirstBytes {
    type Found = u64;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> u64 {
        self.0.iter().fold(0, |found, first| found | bytes.equal(*first))
    }
}

/// Finds the longest token at the leftmost place, as the reference does.
pub(super) struct Matcher {
    automaton: AhoCorasick,
    tokens: Vec<Token>,
    firsts: Firsts,
    /// A bit for every two bytes: some token begins with them.
    begins: Box<[u64; 1 << 10]>,
    /// By byte, the number of the token that is this byte alone.
    alone: [Option<u32>; 256],
}

/// Where [`Matcher::begins`] has two bytes: its word and the bit in it.
#[inline]
fn place_of(first: u8, second: u8) -> (usize, u64) {
    (usize::from(first) << 2 | usize::from(second) >> 6, 1 << (second & 63))
}

impl Matcher {
    /// `patterns` are what to look for, one for each token: its content, or that normalized.
    pub(super) fn new(patterns: &[String], tokens: Vec<Token>) -> Result<Option<Self>, String> {
        if tokens.is_empty() {
            return Ok(None);
        }
        let mut begins = Box::new([0; 1 << 10]);
        let (mut alone, mut firsts) = ([None; 256], Vec::new());
        for (number, pattern) in (0..).zip(patterns) {
            let first = match *pattern.as_bytes() {
                [] => return Err("an added token that normalizes to nothing".into()),
                [first] => {
                    alone[usize::from(first)] = Some(number);
                    first
                }
                [first, second, ..] => {
                    let (word, bit) = place_of(first, second);
                    begins[word] |= bit;
                    first
                }
            };
            if !firsts.contains(&first) {
                firsts.push(first);
            }
        }
        let firsts = match firsts[..] {
            [first] => Firsts::One(first),
            [first, ..] if firsts.len() <= FEW => {
                firsts.resize(FEW, first);
                Firsts::Few(FirstBytes(firsts[..].try_into().unwrap_or([first; FEW])))
            }
            _ => Firsts::Many,
        };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .start_kind(StartKind::Anchored)
            .build(patterns)
            .map_err(|error| error.to_string())?;
        Ok(Some(Self { automaton, tokens, firsts, begins, alone }))
    }

    /// The number of the special token with this content.
    pub(super) fn special(&self, content: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token.special && token.content == content)
    }

    pub(super) fn tokens_mut(&mut self) -> &mut [Token] {
        &mut self.tokens
    }

    /// The token that begins at a place.
    fn token_at(&self, text: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
        // Behind the last byte anything may stand: no longer token is found there.
        let (word, bit) = place_of(text[at], text.get(at + 1).copied().unwrap_or(0));
        if self.begins[word] & bit == 0 {
            return self.alone[usize::from(text[at])].map(|number| (at..at + 1, number as usize));
        }
        let input = Input::new(text).span(at..text.len()).anchored(Anchored::Yes);
        let found = self.automaton.try_find(input).ok().flatten()?;
        Some((found.range(), found.pattern().as_usize()))
    }

    /// Hands out the tokens that begin from `start` on, one behind the other, and where they stand.
    fn each_match(&self, text: &[u8], start: usize, mut take: impl FnMut(Range<usize>, usize)) {
        let mut free = start;
        let mut look_at = |at: usize| {
            if at >= free
                && let Some((found, number)) = self.token_at(text, at)
            {
                free = found.end;
                take(found, number);
            }
        };
        match &self.firsts {
            Firsts::One(first) => memchr_iter(*first, &text[start..]).for_each(|at| look_at(start + at)),
            Firsts::Few(firsts) => {
                for block in (start..text.len()).step_by(BLOCK) {
                    let mut places = look(firsts, block_at(text, block, &mut [0; BLOCK]));
                    // Beyond the text stand zeros, with which a token may begin.
                    places &= !0 >> (BLOCK - (text.len() - block).min(BLOCK));
                    while places != 0 {
                        look_at(block + places.trailing_zeros() as usize);
                        places &= places - 1;
                    }
                }
            }
            Firsts::Many => (start..text.len()).for_each(look_at),
        }
    }

    /// Splits a text and hands out its parts. `marks` are places with the number of a token that is meant there, or none if
    /// it is a token of the other matcher; around them special tokens are text if `special_as_text`. `ends` is room, empty before
    /// and after.
    pub(super) fn split(
        &self,
        text: &str,
        marks: &[(Range<usize>, Option<usize>)],
        special_as_text: bool,
        ends: &mut Vec<usize>,
        give: impl FnMut(Split<'_>),
    ) {
        let mut state = Splitter { text, give, ends, start: 0, offset: 0, white: 0 };
        // Nothing of a mark is visible to the text beside it, nor the other way round: the text between
        // two marks is searched on its own.
        let mut gap = 0;
        for index in 0..=marks.len() {
            let mark = marks.get(index);
            let gap_end = mark.map_or(text.len(), |(place, _)| place.start);
            self.each_match(&text.as_bytes()[..gap_end], gap, |found, number| {
                let token = &self.tokens[number];
                if !(special_as_text && token.special) {
                    state.token(token, found, gap..gap_end, false);
                }
            });
            if let Some((place, number)) = mark {
                gap = place.end;
                let until = marks.get(index + 1).map_or(text.len(), |(next, _)| next.start);
                let before = if index == 0 { 0 } else { marks[index - 1].0.end };
                if let Some(number) = number {
                    state.token(&self.tokens[*number], place.clone(), before..until, true);
                }
            }
        }
        state.give_text(text.len());
    }
}

struct Splitter<'a, G> {
    text: &'a str,
    give: G,
    /// Of tokens that are left in the text that has not been given out.
    ends: &'a mut Vec<usize>,
    /// Up to where the text has been given out.
    start: usize,
    /// Behind the last token.
    offset: usize,
    /// How far the white space goes behind the last token that took what was behind it.
    white: usize,
}

impl<G: FnMut(Split<'_>)> Splitter<'_, G> {
    /// Takes a match in, or leaves it in the text; `sight` is how far its flags look around.
    fn token(&mut self, token: &Token, found: Range<usize>, sight: Range<usize>, marked: bool) {
        let before = &self.text[sight.start..found.start];
        let after = &self.text[found.end..sight.end];
        if token.single_word && !marked && (ends_with_word(before) || starts_with_word(after)) {
            return;
        }
        // No white space is looked at twice, since tokens may be white space without end.
        let mut start = found.start;
        let mut stop = found.end;
        if token.lstrip {
            let from = self.offset.max(sight.start).min(start);
            start = from + self.text[from..start].trim_end_matches(char::is_whitespace).len();
            // A match before may have taken the white space already.
            start = start.max(self.offset);
        }
        if token.rstrip {
            stop = stop.max(self.white);
            let rest = &self.text[stop..sight.end];
            stop += rest.len() - rest.trim_start_matches(char::is_whitespace).len();
            self.white = stop;
        }
        // (Text that an earlier match has taken is not there any more.)
        if token.is_own_text && self.offset <= start {
            self.ends.extend([start, stop]);
            self.offset = stop;
            if self.ends.len() >= MOST_ENDS {
                self.give_text(stop);
                self.start = stop;
            }
            return;
        }
        self.give_text(start);
        // White space that an earlier match has taken may leave nothing; the reference drops such a one.
        if start < stop {
            (self.give)(Split::Token(token.id));
        }
        (self.start, self.offset) = (stop, stop);
    }

    /// Gives out the text up to here.
    fn give_text(&mut self, end: usize) {
        if self.start < end {
            (self.give)(Split::Text(self.start..end, self.ends));
            self.ends.clear();
        }
    }
}

fn ends_with_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty() && CLASSES.of(decode(bytes, previous(bytes, bytes.len())).0) & WORD != 0
}

fn starts_with_word(text: &str) -> bool {
    CLASSES.at(text.as_bytes(), 0).0 & WORD != 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Part {
        Text(Range<usize>, Vec<usize>),
        Token(u32),
    }

    /// What tokens with these flags, `(content, lstrip, rstrip)`, split a text into; ids count from 0. Those of `own` are their own text.
    fn parts(tokens: &[(&str, bool, bool)], own: &[&str], text: &str) -> Vec<Part> {
        let token = |(id, (content, lstrip, rstrip)): (u32, &(&str, bool, bool))| Token {
            content: (*content).into(),
            id,
            single_word: false,
            lstrip: *lstrip,
            rstrip: *rstrip,
            special: true,
            is_own_text: own.contains(content),
        };
        let contents: Vec<String> = tokens.iter().map(|(content, ..)| (*content).into()).collect();
        let tokens = (0..).zip(tokens).map(token).collect();
        let mut parts = Vec::new();
        Matcher::new(&contents, tokens).unwrap().unwrap().split(text, &[], false, &mut Vec::new(), |split| {
            parts.push(match split {
                Split::Text(place, ends) => Part::Text(place, ends.to_vec()),
                Split::Token(id) => Part::Token(id),
            });
        });
        parts
    }

    #[test]
    fn what_is_its_own_text_stays_in_it_unless_it_has_been_taken() {
        let tokens = [("\n", false, false), ("<x>", false, true), ("\n<", false, false)];
        let text = |place: Range<usize>, ends: &[usize]| Part::Text(place, ends.to_vec());
        // The longer token goes first, and so <x> is text.
        let expected =
            [text(0..3, &[1, 2]), Part::Token(2), Part::Token(2), text(7..13, &[9, 10, 10, 11, 12, 13])];
        assert_eq!(parts(&tokens, &["\n"], "a\nb\n<\n<x>\n\nc\n"), expected);
        // What <x> takes behind it is a token nevertheless, as in the library, and behind that it has taken nothing.
        let expected = [text(0..3, &[1, 2]), Part::Token(1), Part::Token(0), text(7..10, &[7, 8, 9, 10])];
        assert_eq!(parts(&tokens, &["\n"], "a\n <x>\n\nc\n"), expected);
        // Many are handed out while there come more; what follows begins where the last of them ends.
        let expected = [text(0..7, &[1, 2, 2, 3, 5, 6, 6, 7]), text(7..10, &[8, 9])];
        assert_eq!(parts(&tokens, &["\n"], "a\n\nbb\n\nc\nd"), expected);
    }

    /// So long that to look at all white space again at every token would not come to an end.
    #[test]
    fn white_space_that_is_a_token_is_not_looked_at_again() {
        let text = " ".repeat(1 << 19);
        let every = vec![Part::Token(0); text.len()];
        assert_eq!(parts(&[(" ", false, false)], &[], &text), every);
        assert_eq!(parts(&[(" ", true, false)], &[], &text), every);
        // Each takes all behind it, which the next is in nevertheless, as in the library.
        assert_eq!(parts(&[(" ", false, true)], &[], &text), every);
        // One that takes nothing behind it has the next look from there again.
        let text = "\t ".repeat(text.len() / 2);
        let every: Vec<Part> = [0, 1].map(Part::Token).into_iter().cycle().take(text.len()).collect();
        assert_eq!(parts(&[("\t", true, true), (" ", false, false)], &[], &text), every);
    }
}
