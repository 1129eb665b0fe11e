//! The patterns of [`Plain`](super::Plain) by bits: a stretch of text is classified byte by byte, and
//! where pieces begin follows from the classes of neighbours, sixty-four bytes in a few instructions.
//!
//! All bytes of a character have its class. A rule speaks of the first byte of a character, and of the
//! byte before it, which is of the character before.

use super::super::bits::{Bits, WORD};
use super::super::block::{
    BLOCK, Compare, arabic_letters, block_at, devanagari, following, leads, preceding, second_byte,
    third_byte, whole,
};
use super::super::unicode::{Classes, MARK, NUMBER, SPACE, previous};
use super::super::vectors::{Look, look};
use super::super::work::STRETCH;
use super::Marked;
use super::plain::Shape;
use super::runs::contraction;

/// Bytes that are looked at in one go: a stretch, and what completes its last character.
const MOST: usize = STRETCH + BLOCK;
const BLOCKS: usize = MOST / BLOCK;
/// Words of a stretch: one a block, and one on each side.
pub(super) const WORDS: usize = BLOCKS + 2;

/// The classes of a stretch; words 0 and the one behind the last stand for what is around it, and what is behind that is of other
/// stretches.
pub(in super::super) struct Stretch {
    pub(super) blocks: usize,
    /// First bytes of characters.
    pub(super) begins: [u64; WORDS],
    pub(super) letters: [u64; WORDS],
    pub(super) numbers: [u64; WORDS],
    pub(super) spaces: [u64; WORDS],
    /// `\r` and `\n`.
    pub(super) breaks: [u64; WORDS],
    /// The space itself.
    pub(super) blanks: [u64; WORDS],
    /// `'`.
    pub(super) quotes: [u64; WORDS],
}

/// Marks where pieces begin behind `start` and says up to where that is certain: a place where a piece
/// ends whatever follows. None if there is no such place in the stretch, or it is too long.
pub(super) fn mark<S: Shape>(
    classes: &Classes,
    text: &[u8],
    start: usize,
    stop: usize,
    marked: &mut Marked,
) -> Option<usize> {
    mark_by::<S>(classes, text, start, stop, marked, |stretch, _, ends| {
        let any_quote = stretch.rules::<S>(classes, &text[start..], ends);
        if any_quote {
            stretch.contractions::<S>(classes, &text[start..], ends);
        }
        true
    })
}

/// The same by any rules, which set the bits of a stretch, up to what is certain and maybe more, and say whether it is one
/// that they hold for.
#[inline]
pub(super) fn mark_by<S: Shape>(
    classes: &Classes,
    text: &[u8],
    start: usize,
    stop: usize,
    marked: &mut Marked,
    rules: impl FnOnce(&Stretch, usize, &mut Bits) -> bool,
) -> Option<usize> {
    let length = stop - start;
    if length > MOST {
        return None;
    }
    let Marked { begins: ends, stretch } = marked;
    stretch.fill::<S>(classes, text, start, length, stop == text.len());
    // Runs of letters and of numbers end where the next character is neither, in every pattern, but for contractions.
    let certain = if stop == text.len() { length } else { stretch.last_end(length)? };
    ends.clear(length);
    if !rules(stretch, certain, ends) {
        return None;
    }
    let words = ends.words_mut();
    words[certain / WORD] &= (1 << (certain % WORD)) - 1;
    words[certain / WORD + 1..].fill(0);
    ends.set(certain);
    Some(start + certain)
}

impl Default for Stretch {
    fn default() -> Self {
        // As if there had been another before, which tests would miss otherwise.
        let none = [if cfg!(test) { !0 } else { 0 }; WORDS];
        Self {
            blocks: 0,
            begins: none,
            letters: none,
            numbers: none,
            spaces: none,
            breaks: none,
            blanks: none,
            quotes: none,
        }
    }
}

impl Stretch {
    /// Classifies so many bytes; `is_end`: with them the text ends.
    fn fill<S: Shape>(&mut self, classes: &Classes, text: &[u8], start: usize, length: usize, is_end: bool) {
        let (stretch, blocks) = (self, length.div_ceil(BLOCK));
        stretch.blocks = blocks;
        for class in stretch.all() {
            (class[0], class[blocks + 1]) = (0, 0);
        }
        for index in 1..=blocks {
            let at = start + (index - 1) * BLOCK;
            let mut rest = [0; BLOCK];
            let block = block_at(text, at, &mut rest);
            let ascii = look(&InAscii, block);
            stretch.letters[index] = ascii.letters;
            stretch.numbers[index] = ascii.numbers;
            stretch.blanks[index] = ascii.blanks;
            stretch.spaces[index] = ascii.spaces;
            stretch.breaks[index] = ascii.breaks;
            stretch.quotes[index] = ascii.quotes;
            stretch.begins[index] = !0;
            if ascii.beyond != 0 {
                let known = look(&BeyondAscii, block);
                let inside = ascii.beyond & !known.leads;
                stretch.begins[index] = !inside;
                let beyond = Beyond::of::<S>(classes, text, at, &known);
                for (class, firsts) in [
                    (&mut stretch.letters, beyond.letters),
                    (&mut stretch.numbers, beyond.numbers),
                    (&mut stretch.spaces, beyond.spaces),
                ] {
                    class[index] = whole(class[index] | firsts, class[index - 1], inside);
                }
            }
        }
        if is_end {
            // The end of the text is to white space as more of it.
            let rest = length % BLOCK;
            if rest != 0 {
                stretch.spaces[blocks] |= !0 << rest;
            }
            stretch.spaces[blocks + 1] = !0;
        }
    }

    fn all(&mut self) -> [&mut [u64; WORDS]; 7] {
        let Self { begins, letters, numbers, spaces, breaks, blanks, quotes, .. } = self;
        [begins, letters, numbers, spaces, breaks, blanks, quotes]
    }

    /// The last place before `length` where a run of letters or numbers ends, and no contraction begins.
    pub(super) fn last_end(&self, length: usize) -> Option<usize> {
        for index in (1..=self.blocks).rev() {
            let (letters, numbers) = (self.letters[index], self.numbers[index]);
            let mut ends = self.begins[index]
                & !self.quotes[index]
                & (preceding(letters, self.letters[index - 1]) & !letters
                    | preceding(numbers, self.numbers[index - 1]) & !numbers);
            if index == self.blocks && !length.is_multiple_of(BLOCK) {
                ends &= (1 << (length % BLOCK)) - 1;
            }
            if ends != 0 {
                return Some((index - 1) * BLOCK + (BLOCK - 1 - ends.leading_zeros() as usize));
            }
        }
        None
    }

    /// All rules but contractions; whether a piece may be one.
    #[inline]
    pub(super) fn rules<S: Shape>(&self, classes: &Classes, text: &[u8], ends: &mut Bits) -> bool {
        let mut any_quote = 0;
        let mut before = Before::default();
        for index in 1..=self.blocks {
            let (begins, letters, numbers) = (self.begins[index], self.letters[index], self.numbers[index]);
            let (spaces, breaks, blanks) = (self.spaces[index], self.breaks[index], self.blanks[index]);
            let others = !(letters | numbers | spaces);
            let after_letter = preceding(letters, self.letters[index - 1]);
            let after_number = preceding(numbers, self.numbers[index - 1]);
            let after_space = preceding(spaces, self.spaces[index - 1]);
            let after_break = preceding(breaks, self.breaks[index - 1]);
            let after_blank = preceding(blanks, self.blanks[index - 1]);
            let after_other = preceding(others, before.others);
            before.others = others;

            // `[^\s\p{L}\p{N}]+`, with a space before it.
            let other_starts = others & begins & !after_other & !after_blank;
            let mut starts = other_starts;

            // `\p{L}+`, with what may stand before it.
            let mut letter_starts = letters & begins & !after_letter;
            if S::ANY_PREFIX {
                // One character that is no letter, number, space or line break, when a piece begins with
                // it: all its bytes, so that the letter behind them sees them.
                let prefix = whole(other_starts, before.prefix, others & !begins);
                letter_starts &= !(after_space & !after_break) & !preceding(prefix, before.prefix);
                before.prefix = prefix;
            } else {
                letter_starts &= !after_blank;
            }
            starts |= letter_starts;

            // `\p{N}`, in the lengths that the pattern has.
            let mut number_starts = numbers & begins;
            if S::DIGITS == usize::MAX {
                number_starts &= !after_number & !after_blank;
            } else if S::DIGITS > 1 && number_starts != 0 {
                number_starts = before.every::<S>(number_starts, after_number);
            }
            starts |= number_starts;

            // White space: line breaks right behind punctuation belong to that.
            let mut rest = spaces;
            if S::LINE_BREAKS {
                let first = breaks & (after_other | before.absorbed >> 63);
                let absorbed = breaks & !(breaks.wrapping_add(first));
                rest &= !if first == 0 { 0 } else { absorbed };
                before.absorbed = if first == 0 { 0 } else { absorbed };
            }
            let mut space_starts = rest & begins & !preceding(rest, before.rest);
            before.rest = rest;
            // The last one belongs to what follows.
            let next_space = following(spaces, self.spaces[index + 1]);
            let mut last = rest & !next_space;
            if S::LINE_BREAKS {
                last &= !breaks;
                // `\s*[\r\n]+` ends at the last line break of a run.
                let mut candidates = spaces & !breaks & begins & after_break;
                while candidates != 0 {
                    let place = candidates.trailing_zeros();
                    candidates &= candidates - 1;
                    if Self::ends_line(classes, text, (index - 1) * BLOCK + place as usize) {
                        space_starts |= 1 << place;
                    }
                }
            }
            space_starts |= last & begins;
            starts |= space_starts;
            ends.words_mut()[index - 1] |= starts;
            let mut wide = last & !begins;
            while wide != 0 {
                // The last byte of a character: it begins before.
                let at = (index - 1) * BLOCK + wide.trailing_zeros() as usize;
                wide &= wide - 1;
                ends.set(previous(text, at + 1));
            }
            any_quote |= self.quotes[index] & starts;
        }
        any_quote != 0
    }

    /// Whether no further line break follows in the white space from `at` on.
    #[cold]
    pub(super) fn ends_line(classes: &Classes, text: &[u8], mut at: usize) -> bool {
        loop {
            let is_break = |byte: u8| byte == b'\n' || byte == b'\r';
            let (flags, length) = classes.at(text, at);
            if flags & SPACE == 0 {
                return true;
            }
            if is_break(text[at]) {
                return false;
            }
            at += length;
        }
    }

    /// `'s` and the like, where a piece begins with the quote.
    #[cold]
    fn contractions<S: Shape>(&self, classes: &Classes, text: &[u8], ends: &mut Bits) {
        for index in 1..=self.blocks {
            let mut quotes = self.quotes[index]
                & ends.words()[index - 1]
                & following(self.letters[index], self.letters[index + 1]);
            while quotes != 0 {
                let at = (index - 1) * BLOCK + quotes.trailing_zeros() as usize;
                quotes &= quotes - 1;
                let length = contraction(text, at, S::ANY_CASE);
                if length != 0 {
                    ends.unset(at + 1);
                    if classes.at(text, at + length).0 & S::LETTERS != 0 {
                        ends.set(at + length);
                    }
                }
            }
        }
    }
}

/// What the previous word leaves for the next.
#[derive(Default)]
pub(super) struct Before {
    pub(super) others: u64,
    prefix: u64,
    pub(super) absorbed: u64,
    pub(super) rest: u64,
    /// Digits of the run so far.
    digits: usize,
}

impl Before {
    /// Of the numbers in every run the first, and every one after `S::DIGITS` more.
    pub(super) fn every<S: Shape>(&mut self, mut numbers: u64, after_number: u64) -> u64 {
        let mut starts = 0;
        while numbers != 0 {
            let place = numbers.trailing_zeros();
            numbers &= numbers - 1;
            if after_number >> place & 1 == 0 {
                self.digits = 0;
            }
            if self.digits.is_multiple_of(S::DIGITS) {
                starts |= 1 << place;
            }
            self.digits += 1;
        }
        starts
    }
}

/// Asks for all bytes of ASCII in one block, by class, and where others are.
struct InAscii;

struct FoundInAscii {
    letters: u64,
    numbers: u64,
    blanks: u64,
    spaces: u64,
    breaks: u64,
    quotes: u64,
    beyond: u64,
}

impl Look for InAscii {
    type Found = FoundInAscii;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> FoundInAscii {
        let blanks = bytes.equal(b' ');
        FoundInAscii {
            letters: bytes.letters(),
            numbers: bytes.within(b'0', b'9'),
            blanks,
            spaces: blanks | bytes.within(9, 13),
            breaks: bytes.equal(b'\n') | bytes.equal(b'\r'),
            quotes: bytes.equal(b'\''),
            beyond: bytes.high(),
        }
    }
}

/// Asks for the first bytes of characters beyond ASCII, and which of them bytes alone say what they are.
struct BeyondAscii;

struct FoundBeyond {
    leads: u64,
    letters: u64,
    marks: u64,
}

impl Look for BeyondAscii {
    type Found = FoundBeyond;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> FoundBeyond {
        let (indic, marks) = devanagari_letters(bytes);
        FoundBeyond { leads: leads(bytes), letters: certain_letters(bytes) | indic, marks }
    }
}

/// The first bytes of the characters beyond ASCII in one block, by class.
#[derive(Default)]
struct Beyond {
    letters: u64,
    numbers: u64,
    spaces: u64,
}

impl Beyond {
    #[inline]
    fn of<S: Shape>(classes: &Classes, text: &[u8], at: usize, known: &FoundBeyond) -> Self {
        let mut letters = known.letters;
        let mut unknown = known.leads & !letters & !known.marks;
        if S::LETTERS & MARK != 0 {
            letters |= known.marks;
        }
        let mut beyond = Self { letters, numbers: 0, spaces: 0 };
        while unknown != 0 {
            let place = unknown.trailing_zeros();
            unknown &= unknown - 1;
            let flags = classes.beyond_ascii(text, at + place as usize).0;
            if flags & (S::LETTERS | NUMBER | SPACE) == 0 {
                continue;
            }
            beyond.letters |= u64::from(flags & S::LETTERS != 0) << place;
            beyond.numbers |= u64::from(flags & NUMBER != 0) << place;
            beyond.spaces |= u64::from(flags & SPACE != 0) << place;
        }
        beyond
    }
}

/// Letters without a look: most Chinese characters, U+4E00 to U+9FBF; Latin ones, U+00C0 to U+00FF; and those of Arabic,
/// U+0620 to U+064A.
#[inline(always)]
pub(super) fn certain_letters(bytes: impl Compare) -> u64 {
    let mut found = 0;
    if bytes.within(0xE4, 0xE9) != 0 {
        found |= bytes.within(0xE5, 0xE8)
            | bytes.equal(0xE4) & second_byte(bytes, 0xB8, 0xBF)
            | bytes.equal(0xE9) & second_byte(bytes, 0x80, 0xBE);
    }
    if bytes.within(0xC3, 0xD9) != 0 {
        // Among the Latin ones stand two signs.
        found |= bytes.equal(0xC3)
            & second_byte(bytes, 0x80, 0xBF)
            & !(second_byte(bytes, 0x97, 0x97) | second_byte(bytes, 0xB7, 0xB7))
            | arabic_letters(bytes);
    }
    found
}

/// Devanagari letters, and marks.
#[inline(always)]
pub(super) fn devanagari_letters(bytes: impl Compare) -> (u64, u64) {
    let [low, high] = devanagari(bytes);
    if low | high == 0 {
        return (0, 0);
    }
    let third = |first, last| third_byte(bytes, first, last);
    let letters = low & (third(0x84, 0xB9) | third(0xBD, 0xBD))
        | high & (third(0x90, 0x90) | third(0x98, 0xA1) | third(0xB1, 0xBF));
    // The rest are marks, but for digits and punctuation.
    (letters, (low | high & !third(0xA4, 0xB0)) & !letters)
}

#[cfg(test)]
mod tests {
    use super::super::super::block::Plain;
    use super::super::super::unicode::{CLASSES, LETTER};
    use super::*;

    /// The first block of a text.
    fn block_of(text: &str) -> [u8; BLOCK] {
        *block_at(text.as_bytes(), 0, &mut [0; BLOCK])
    }

    #[test]
    fn letters_without_a_look_are_letters() {
        let known = |code: u32| {
            matches!(code, 0xC0..=0xFF | 0x620..=0x64A | 0x4E00..=0x9FBF) && code != 0xD7 && code != 0xF7
        };
        for code in (0x80..0x800).chain(0x3FC0..0xA040) {
            let text = char::from_u32(code).map_or_else(String::new, String::from);
            for at in [0, 1, 30, BLOCK - text.len(), BLOCK - text.len() + 1, BLOCK - 1] {
                let block = block_of(&format!("{}{text}", "x".repeat(at)));
                let (found, whole) = (certain_letters(Plain(&block)), at + text.len() <= BLOCK);
                assert!(found == 0 || found == 1 << at && CLASSES.of(code) & LETTER != 0, "{code:X} at {at}");
                assert!(!whole || (found != 0) == known(code), "{code:X} at {at}");
            }
        }
    }

    #[test]
    fn devanagari_is_what_the_table_says() {
        for code in 0x8C0..0x9C0 {
            let text = char::from_u32(code).map_or_else(String::new, String::from);
            for at in 0..BLOCK {
                let block = block_of(&format!("{}{text}", "x".repeat(at)));
                let (letters, marks) = devanagari_letters(Plain(&block));
                let flags = CLASSES.of(code);
                let known =
                    (0x900..0x980).contains(&code) && !(0x964..=0x970).contains(&code) && at + 2 < BLOCK;
                assert_eq!(letters, u64::from(known && flags & LETTER != 0) << at, "{code:X} at {at}");
                assert_eq!(marks, u64::from(known && flags & MARK != 0) << at, "{code:X} at {at}");
            }
        }
    }
}
