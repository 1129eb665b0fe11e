//! The merge model: the ids of one piece, from scratch.

use std::ops::Range;

use super::certain::{Certain, LETTERS, numbered};
use super::chars::Formed;
use super::joins::Joins;
use super::merge::{Merger, Rules};
use super::neighbours::Neighbours;
use super::pairs::{NONE, Pairs};
use super::unicode::{char_end, decode, previous};
use super::vocab::Vocab;

/// What merging begins with: ids, with numbers where they are letters (see [`Certain`]).
pub(super) enum Symbols {
    /// Bytes (byte-level), each a symbol; and characters, where that makes no difference.
    Bytes(Box<[u32; 256]>, Formed),
    /// Characters (`SentencePiece`), and bytes for those that the vocabulary lacks.
    Chars(Box<Chars>),
}

impl Symbols {
    /// The ids of a text before any merge, in `ids`.
    pub(super) fn of(&self, text: &[u8], ids: &mut Vec<u32>) {
        ids.clear();
        match self {
            Self::Bytes(bytes, _) => ids.extend(text.iter().map(|&byte| bytes[usize::from(byte)])),
            Self::Chars(chars) => chars.append(text, 0..text.len(), ids),
        }
    }

    /// By id, whether the token stands for characters the vocabulary lacks; as far as there are such.
    pub(super) fn stand_ins(&self) -> Vec<bool> {
        let Self::Chars(chars) = self else { return Vec::new() };
        let bytes = chars.bytes.iter().flat_map(|ids| ids.iter().copied().filter(|id| *id != NONE));
        let all: Vec<u32> = bytes.chain(chars.unknown.map(|(id, _)| id)).collect();
        let mut by_id = vec![false; all.iter().max().map_or(0, |id| *id as usize + 1)];
        for id in all {
            by_id[id as usize] = true;
        }
        by_id
    }

    /// The symbols of a text.
    pub(super) fn source<'s>(&'s self, text: &'s [u8]) -> Source<'s> {
        Source { symbols: self, text, at: 0 }
    }

    /// The symbols that a token may begin with.
    pub(super) fn first_of(&self, token: &[u8]) -> impl Iterator<Item = Part> {
        let length = token.iter().skip(1).take_while(|byte| **byte & 0xC0 == 0x80).count() + 1;
        self.parts(token.first(), token.get(..length))
    }

    /// The symbols that a token may end with.
    pub(super) fn last_of(&self, token: &[u8]) -> impl Iterator<Item = Part> {
        let start = token.iter().rposition(|byte| byte & 0xC0 != 0x80);
        self.parts(token.last(), start.map(|start| &token[start..]))
    }

    /// A byte and a character, as far as they are symbols.
    fn parts(&self, byte: Option<&u8>, c: Option<&[u8]>) -> impl Iterator<Item = Part> {
        let byte = match self {
            Self::Bytes(bytes, _) => byte.map(|byte| Part { symbol: bytes[usize::from(*byte)], length: 1 }),
            Self::Chars(_) => None,
        };
        let c = c.and_then(|c| std::str::from_utf8(c).ok()).and_then(|c| c.chars().next());
        let c = c.and_then(|c| Some(Part { symbol: self.of_char(c)?, length: c.len_utf8() }));
        byte.into_iter().chain(c)
    }

    /// The symbol of a character that is not ASCII where bytes are symbols, if it is one.
    pub(super) fn of_char(&self, c: char) -> Option<u32> {
        match self {
            Self::Bytes(_, formed) => formed.symbol(c),
            Self::Chars(chars) => Some(chars.symbol(u32::from(c))).filter(|symbol| *symbol != NONE),
        }
    }

    /// Numbers letters (see [`Certain`]): the ASCII ones, and of the others those that merge first. `first_use` is by id.
    pub(super) fn number_letters(&mut self, first_use: &[u32]) {
        let mut all: Vec<(Letter, u32)> = match self {
            Self::Bytes(bytes, formed) => {
                let bytes = (0..=0xFF).map(|byte: u8| (Letter::Byte(byte), bytes[usize::from(byte)]));
                bytes.chain(formed.whole().map(|(c, id)| (Letter::Char(c), id))).collect()
            }
            Self::Chars(chars) => chars.all().map(|(c, id)| (Letter::Char(c), id)).collect(),
        };
        let used = |id: u32| first_use.get(id as usize).copied().unwrap_or(NONE);
        all.sort_by_key(|(letter, id)| (!letter.is_ascii(), used(*id), *letter));
        for (number, (letter, id)) in (1..).zip(all.into_iter().take(LETTERS - 1)) {
            let symbol = numbered(number, id);
            match (&mut *self, letter) {
                (Self::Bytes(bytes, _), Letter::Byte(byte)) => bytes[usize::from(byte)] = symbol,
                (Self::Bytes(_, formed), Letter::Char(c)) => formed.name(c, symbol),
                (Self::Chars(chars), Letter::Char(c)) => chars.insert(u32::from(c), symbol),
                (Self::Chars(_), Letter::Byte(_)) => {}
            }
        }
        if let Self::Bytes(bytes, formed) = self {
            formed.note_two_bytes(bytes);
        }
    }
}

/// What has a symbol of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Letter {
    Byte(u8),
    Char(char),
}

impl Letter {
    fn is_ascii(self) -> bool {
        match self {
            Self::Byte(byte) => byte.is_ascii(),
            Self::Char(c) => c.is_ascii(),
        }
    }
}

/// What a token begins or ends with.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) symbol: u32,
    /// In bytes.
    pub(super) length: usize,
}

/// ASCII characters that are read at once.
const TOGETHER: usize = 16;

/// The symbols of characters beyond the basic plane, of which most vocabularies have few: emoji, and rare Chinese.
struct Others {
    /// By the high bits of the code point, on which page its symbol stands.
    page_of: Vec<u16>,
    /// The first is of characters that have none.
    pages: Vec<[u32; PAGE]>,
}

/// Code points on a page.
const PAGE: usize = 1 << 8;

impl Others {
    fn new() -> Self {
        Self { page_of: Vec::new(), pages: vec![[NONE; PAGE]] }
    }

    fn insert(&mut self, code: u32, symbol: u32) {
        let (high, low) = (code as usize / PAGE, code as usize % PAGE);
        if self.page_of.len() <= high {
            self.page_of.resize(high + 1, 0);
        }
        let page = &mut self.page_of[high];
        if *page == 0 {
            // There are fewer of all code points than a u16 counts.
            *page = u16::try_from(self.pages.len()).unwrap_or(0);
            self.pages.push([NONE; PAGE]);
        }
        self.pages[usize::from(*page)][low] = symbol;
    }

    #[inline]
    fn symbol(&self, code: u32) -> u32 {
        let page = self.page_of.get(code as usize / PAGE).copied().unwrap_or(0);
        self.pages[usize::from(page)][code as usize % PAGE]
    }
}

/// The symbols of characters.
pub(super) struct Chars {
    /// By code point in the basic plane.
    basic: Vec<u32>,
    others: Others,
    /// The ids of `<0x00>` to `<0xFF>`, if unknown characters become bytes.
    bytes: Option<Box<[u32; 256]>>,
    /// The unknown token, and whether neighbours that are unknown become one.
    unknown: Option<(u32, bool)>,
}

impl Chars {
    pub(super) fn new(bytes: Option<Box<[u32; 256]>>, unknown: Option<(u32, bool)>) -> Self {
        Self { basic: vec![NONE; 0x1_0000], others: Others::new(), bytes, unknown }
    }

    pub(super) fn insert(&mut self, code: u32, symbol: u32) {
        if let Some(place) = self.basic.get_mut(code as usize) {
            *place = symbol;
        } else {
            self.others.insert(code, symbol);
        }
    }

    /// The characters of the basic plane.
    fn all(&self) -> impl Iterator<Item = (char, u32)> {
        let known = (0..).zip(&self.basic).filter(|(_, id)| **id != NONE);
        known.filter_map(|(code, id)| char::from_u32(code).map(|c| (c, *id)))
    }

    /// Whether a character is a token.
    pub(super) fn knows(&self, c: char) -> bool {
        self.symbol(u32::from(c)) != NONE
    }

    #[inline]
    fn knows_ascii(&self, byte: u8) -> bool {
        byte.is_ascii() && self.basic[usize::from(byte)] != NONE
    }

    #[inline]
    fn symbol(&self, code: u32) -> u32 {
        match self.basic.get(code as usize) {
            Some(&symbol) => symbol,
            None => self.others.symbol(code),
        }
    }

    /// Reads a space as another character from now on, if that is a token; says whether it is.
    pub(super) fn read_space_as(&mut self, c: char) -> bool {
        let symbol = self.symbol(u32::from(c));
        if symbol != NONE {
            self.insert(u32::from(' '), symbol);
        }
        symbol != NONE
    }

    /// Neighbours that are both unknown become one token, so no cut may part them.
    #[inline]
    pub(super) fn fuses(&self, left: u32, right: u32) -> bool {
        self.bytes.is_none()
            && matches!(self.unknown, Some((_, true)))
            && self.symbol(left) == NONE
            && self.symbol(right) == NONE
    }

    /// Whether unknown characters might fuse at all.
    pub(super) fn may_fuse(&self) -> bool {
        self.bytes.is_none() && matches!(self.unknown, Some((_, true)))
    }

    /// The first symbols of a text that begins with as much known ASCII.
    #[inline]
    fn ascii(&self, text: &[u8]) -> Option<[u32; TOGETHER]> {
        let bytes = text.first_chunk::<TOGETHER>().filter(|bytes| bytes.is_ascii())?;
        let known = self.basic.first_chunk::<0x80>()?;
        let mut symbols = [NONE; TOGETHER];
        for (symbol, byte) in symbols.iter_mut().zip(bytes) {
            *symbol = known[usize::from(byte & 0x7F)];
        }
        (!symbols.contains(&NONE)).then_some(symbols)
    }

    /// Appends the symbols of the characters in a range of a text.
    fn append(&self, text: &[u8], range: Range<usize>, symbols: &mut Vec<u32>) {
        let mut at = range.start;
        let mut after_unknown =
            self.may_fuse() && at > 0 && self.symbol(decode(text, previous(text, at)).0) == NONE;
        while at < range.end {
            if let Some(some) = self.ascii(&text[at..range.end]) {
                symbols.extend_from_slice(&some);
                at += TOGETHER;
                after_unknown = false;
                continue;
            }
            let ascii = text[at..range.end].iter().take_while(|byte| self.knows_ascii(**byte)).count();
            if ascii > 0 {
                symbols.extend(text[at..at + ascii].iter().map(|byte| self.basic[usize::from(*byte)]));
                at += ascii;
                after_unknown = false;
                continue;
            }
            let (code, length) = decode(text, at);
            let symbol = self.symbol(code);
            if symbol != NONE {
                symbols.push(symbol);
                after_unknown = false;
            } else if let Some(bytes) = &self.bytes {
                let end = (at + length).min(text.len());
                symbols.extend(text[at..end].iter().map(|&byte| bytes[usize::from(byte)]));
            } else if let Some((unknown, fuse)) = self.unknown {
                if !(fuse && after_unknown) {
                    symbols.push(unknown);
                }
                after_unknown = true;
            }
            // Without an unknown token the reference drops the character.
            at += length;
        }
    }
}

/// Where the first byte that is not ASCII stands from a place on, or the end.
#[inline]
fn ascii_end(text: &[u8], at: usize) -> usize {
    if text[at..].is_ascii() {
        return text.len(); // mostly all are, which is said many at once
    }
    text[at..].iter().position(|byte| !byte.is_ascii()).map_or(text.len(), |count| at + count)
}

/// The symbols of a text, made from the front as they are asked for.
pub(super) struct Source<'s> {
    symbols: &'s Symbols,
    text: &'s [u8],
    at: usize,
}

impl Source<'_> {
    /// Appends the symbols of about so many bytes more.
    pub(super) fn append(&mut self, bytes: usize, symbols: &mut Vec<u32>) {
        let (text, mut at) = (self.text, self.at);
        let end = char_end(text, at.saturating_add(bytes));
        self.at = end;
        match self.symbols {
            Symbols::Chars(chars) => chars.append(text, at..end, symbols),
            Symbols::Bytes(bytes, formed) => {
                let ids_of = |text: &[u8], symbols: &mut Vec<u32>| {
                    symbols.extend(text.iter().map(|byte| bytes[usize::from(*byte)]));
                };
                while at < end {
                    if text[at].is_ascii() {
                        let ascii = &text[at..ascii_end(&text[..end], at)];
                        ids_of(ascii, symbols);
                        at += ascii.len();
                        continue;
                    }
                    let (code, length) = decode(text, at);
                    let after_space = at > 0 && text[at - 1] == b' ';
                    let next = end.min(at + length);
                    if !formed.push(code, after_space, symbols) {
                        ids_of(&text[at..next], symbols);
                    }
                    at = next;
                }
            }
        }
    }

    /// Whether there are no more.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.text.len()
    }
}

/// Everything that encodes a piece; shared by all sessions.
pub(super) struct Model {
    pub(super) vocab: Vocab,
    pub(super) pairs: Pairs,
    pub(super) certain: Certain,
    pub(super) neighbours: Neighbours,
    /// By rank, when something takes what the merge makes.
    pub(super) taken: Vec<u32>,
    pub(super) symbols: Symbols,
    pub(super) joins: Joins,
    /// `ignore_merges`: a piece that stands in the vocabulary is that token, and these are the tokens that
    /// merging would make something else of, few if any. A piece that is only a part of what the
    /// pre-tokenizer cut out is not looked up.
    pub(super) unmerged: Vocab,
}

impl Model {
    /// The token that a piece is whatever merging makes of it, if there is one.
    #[inline]
    pub(super) fn whole(&self, piece: &[u8], part: bool) -> Option<u32> {
        if part || self.unmerged.is_empty() { None } else { self.unmerged.id(piece) }
    }

    /// What merging goes by.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules { pairs: &self.pairs, certain: &self.certain, neighbours: &self.neighbours, taken: &self.taken }
    }

    /// Appends what merging alone makes of a text.
    pub(super) fn merge(&self, merger: &mut Merger, text: &[u8], ids: &mut Vec<u32>) {
        let mut source = self.symbols.source(text);
        merger.begin(&mut source);
        merger.merge(self.rules(), source, ids);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::encode::native::tests::random::Numbers;

    #[test]
    fn characters_of_all_planes_have_the_symbols_they_were_given() {
        let (mut chars, mut given) = (Chars::new(None, None), HashMap::new());
        let mut numbers = Numbers(7);
        for symbol in 0..3000 {
            // Side by side, on one page, and anywhere.
            let among = [16, 300, 0x11_0000][numbers.below(3)];
            let code = u32::try_from(0x11_0000 - 1 - numbers.below(among)).unwrap_or(0);
            chars.insert(code, symbol);
            given.insert(code, symbol);
        }
        for code in 0..0x11_0000 {
            assert_eq!(chars.symbol(code), given.get(&code).copied().unwrap_or(NONE), "{code:x}");
        }
    }

    #[test]
    fn symbols_made_in_parts_are_those_made_at_once() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for round in 0..400 {
            // All kinds: unknown characters become bytes, one token each, one together, or nothing.
            let unknown = [None, Some((1, false)), Some((1, true))][round % 3];
            let bytes = (round % 4 == 0)
                .then(|| Box::new(std::array::from_fn(|byte| 1000 + u32::try_from(byte).unwrap_or(0))));
            let mut chars = Chars::new(bytes, unknown);
            (10..).zip("abé中".chars()).for_each(|(id, c)| chars.insert(u32::from(c), id));
            let symbols = Symbols::Chars(Box::new(chars));
            let all: Vec<char> = "abcéèあ中文😀".chars().collect();
            // Some of them mostly of known ASCII, of which many are read at once.
            let most = if numbers.chance(50) { 2 } else { all.len() };
            let mut any = || {
                let most = if numbers.chance(5) { all.len() } else { most };
                all[numbers.below(most)]
            };
            let text: String = (0..90).map(|_| any()).collect();
            let mut at_once = Vec::new();
            symbols.of(text.as_bytes(), &mut at_once);
            let mut source = symbols.source(text.as_bytes());
            let mut in_parts = Vec::new();
            while !source.is_done() {
                source.append(1 + numbers.below(40), &mut in_parts);
            }
            assert_eq!(in_parts, at_once, "{text:?}");
        }
    }
}
