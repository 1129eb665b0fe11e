//! o200k and Tekken by bits: the rules of [`blocks`](super::blocks) with marks as letters, and then where words end for the
//! case of their letters.
//!
//! A word ends before a capital behind a small letter, always. Letters without case are capitals and small letters at once, so
//! where a capital stands behind one of them, it may be that a word ends there or not, and the run of letters is looked at from its
//! beginning. (Where none does, all capitals behind the last small letter are before all without case, and these end the word.)
//! Some of what the patterns do with marks behind no letter, and with slashes behind line breaks, is left to going piece by
//! piece.

use super::super::bits::{Bits, WORD};
use super::super::block::{BLOCK, Compare, block_at, following, preceding, whole};
use super::super::unicode::{Classes, LOWER, MARK, UPPER};
use super::super::vectors::{Look, look};
use super::Marked;
use super::blocks::{Stretch, WORDS, certain_letters, devanagari_letters, mark_by};
use super::cased::{Cased, Shape};
use super::runs::contraction;

/// Marks where pieces begin behind `start` and says up to where that is certain, if there is such a place.
pub(super) fn mark<S: Shape>(
    scanner: &Cased<S>,
    classes: &Classes,
    text: &[u8],
    start: usize,
    stop: usize,
    marked: &mut Marked,
) -> Option<usize> {
    mark_by::<S>(classes, text, start, stop, marked, |stretch, certain, ends| {
        let text = &text[start..];
        let Some(mixed) = cases(stretch, classes, text, ends) else { return false };
        stretch.rules::<S>(classes, text, ends);
        (!S::CONTRACTIONS || contractions(stretch, text, ends))
            && words(scanner, stretch, text, certain, &mixed, ends)
    })
}

/// Has words end before capitals behind small letters, and says where a capital stands behind a letter without case. None where
/// the rules of other patterns do not hold for what is no letter.
fn cases(stretch: &Stretch, classes: &Classes, text: &[u8], ends: &mut Bits) -> Option<[u64; WORDS]> {
    let mut mixed = [0; WORDS];
    let (mut uppers_before, mut lowers_before, mut odd) = (0, 0, 0);
    for (index, mixed) in mixed.iter_mut().enumerate().take(stretch.blocks + 1).skip(1) {
        let at = (index - 1) * BLOCK;
        let mut rest = [0; BLOCK];
        let block = block_at(text, at, &mut rest);
        let ascii = look(&InAscii, block);
        let (letters, begins) = (stretch.letters[index], stretch.begins[index]);
        odd |= ascii.slashes & preceding(stretch.breaks[index], stretch.breaks[index - 1]);
        let mut uppers = ascii.uppers;
        let mut lowers = letters & !ascii.uppers & !ascii.beyond;
        if letters & ascii.beyond != 0 {
            let known = look(&BeyondAscii, block);
            let word_starts = letters & begins & !preceding(letters, stretch.letters[index - 1]);
            odd |= known.marks & word_starts;
            uppers |= known.uppers;
            lowers |= known.lowers;
            let mut unknown = letters & begins & ascii.beyond & !known.all;
            while unknown != 0 {
                let place = unknown.trailing_zeros();
                unknown &= unknown - 1;
                let flags = classes.beyond_ascii(text, at + place as usize).0;
                uppers |= u64::from(flags & UPPER != 0) << place;
                lowers |= u64::from(flags & LOWER != 0) << place;
                odd |= u64::from(flags & MARK != 0) << place & word_starts;
            }
            uppers = whole(uppers, uppers_before, !begins);
            lowers = whole(lowers, lowers_before, !begins);
        }
        let uncased_before = stretch.letters[index - 1] & !uppers_before & !lowers_before;
        let uncased = letters & !uppers & !lowers;
        *mixed = uppers & begins & preceding(uncased, uncased_before);
        ends.words_mut()[index - 1] |= uppers & begins & preceding(lowers, lowers_before);
        (uppers_before, lowers_before) = (uppers, lowers);
    }
    (odd == 0).then_some(mixed)
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?` behind a word. False where one stands right behind another, which is no word.
fn contractions(stretch: &Stretch, text: &[u8], ends: &mut Bits) -> bool {
    let mut last = 0;
    for index in 1..=stretch.blocks {
        let mut quotes =
            stretch.quotes[index] & preceding(stretch.letters[index], stretch.letters[index - 1]);
        quotes &= following(stretch.letters[index], stretch.letters[index + 1]);
        while quotes != 0 {
            let at = (index - 1) * BLOCK + quotes.trailing_zeros() as usize;
            quotes &= quotes - 1;
            let length = contraction(text, at, true);
            if length == 0 {
                continue;
            }
            if at == last {
                return false;
            }
            last = at + length;
            (at..last).for_each(|at| ends.unset(at));
            if is_letter(stretch, last) {
                ends.set(last);
            }
        }
    }
    true
}

/// Whether the byte at this place is of a letter.
fn is_letter(stretch: &Stretch, at: usize) -> bool {
    stretch.letters[at / WORD + 1] >> (at % WORD) & 1 != 0
}

/// Looks again at runs of letters in which capitals stand behind letters without case, for more ends. False where one begins
/// behind what may be a contraction.
fn words<S: Shape>(
    scanner: &Cased<S>,
    stretch: &Stretch,
    text: &[u8],
    certain: usize,
    mixed: &[u64; WORDS],
    ends: &mut Bits,
) -> bool {
    let mut done = 0;
    for (index, mixed) in mixed.iter().enumerate() {
        let mut mixed = *mixed;
        while mixed != 0 {
            let at = (index - 1) * BLOCK + mixed.trailing_zeros() as usize;
            mixed &= mixed - 1;
            if at >= certain {
                return true;
            }
            if at < done {
                continue;
            }
            let mut start = at;
            while start > done && is_letter(stretch, start - 1) {
                start -= 1;
            }
            if start > 0 && text[start - 1] == b'\'' {
                return false;
            }
            done = at;
            while done < certain && is_letter(stretch, done) {
                done += 1;
            }
            while start < done {
                start = scanner.word_end(text, start);
                if start < done {
                    ends.set(start);
                }
            }
        }
    }
    true
}

/// Asks for capitals of ASCII in one block, for slashes, and where other bytes are.
struct InAscii;

struct FoundInAscii {
    uppers: u64,
    slashes: u64,
    beyond: u64,
}

impl Look for InAscii {
    type Found = FoundInAscii;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> FoundInAscii {
        FoundInAscii { uppers: bytes.within(b'A', b'Z'), slashes: bytes.equal(b'/'), beyond: bytes.high() }
    }
}

/// Asks for the first bytes of letters and marks beyond ASCII of which bytes alone say what they are.
struct BeyondAscii;

struct FoundBeyond {
    uppers: u64,
    lowers: u64,
    marks: u64,
    /// These, and letters without case.
    all: u64,
}

impl Look for BeyondAscii {
    type Found = FoundBeyond;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> FoundBeyond {
        let letters = certain_letters(bytes);
        let (indic, marks) = devanagari_letters(bytes);
        // U+00C0 to U+00FF, of which the first half are capitals.
        let latin = letters & bytes.equal(0xC3);
        let uppers = latin & bytes.within(0x80, 0x9E) >> 1;
        FoundBeyond { uppers, lowers: latin & !uppers, marks, all: letters | indic | marks }
    }
}
