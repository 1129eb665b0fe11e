//! The patterns of [`DeepSeek`](super::DeepSeek) by bits, as [`blocks`](super::blocks) has those of the others.
//!
//! The first two patterns make segments, numbers and Chinese or kana, and the last one sees nothing beyond the
//! segment it is in. So where a segment begins, nothing stands before, and to white space that is an end.

use super::super::bits::Bits;
use super::super::block::{BLOCK, Compare, block_at, following, preceding, second_byte, whole};
use super::super::unicode::{Classes, LETTER, MARK, PUNCTUATION, SYMBOL, previous};
use super::super::vectors::{Look, look};
use super::Marked;
use super::blocks::{Before, Stretch, WORDS, mark_by};
use super::plain::Shape;

/// `[\p{L}\p{M}]+`, and numbers by three.
enum Letters {}

impl Shape for Letters {
    const LETTERS: u16 = LETTER | MARK;
    const DIGITS: usize = 3;
}

/// What a stretch has besides letters, numbers and white space.
struct Segments {
    /// First bytes of segments, but for numbers behind the first of their run.
    edges: [u64; WORDS],
    /// `[\p{P}\p{S}]`, all bytes.
    marks: [u64; WORDS],
    /// Those of ASCII.
    ascii_marks: [u64; WORDS],
    ascii_letters: [u64; WORDS],
}

/// Marks where pieces begin behind `start` and says up to where that is certain, if there is such a place.
pub(super) fn mark(
    classes: &Classes,
    text: &[u8],
    start: usize,
    stop: usize,
    marked: &mut Marked,
) -> Option<usize> {
    mark_by::<Letters>(classes, text, start, stop, marked, |stretch, _, ends| {
        let segments = Segments::of(classes, text, start, stretch);
        rules(stretch, &segments, classes, &text[start..], ends);
        true
    })
}

impl Segments {
    fn of(classes: &Classes, text: &[u8], start: usize, stretch: &Stretch) -> Self {
        let none = [0; WORDS];
        let mut found = Self { edges: none, marks: none, ascii_marks: none, ascii_letters: none };
        let mut before = 0;
        for index in 1..=stretch.blocks {
            let at = start + (index - 1) * BLOCK;
            let mut rest = [0; BLOCK];
            let bytes = look(&InSegments, block_at(text, at, &mut rest));
            let begins = stretch.begins[index];
            found.ascii_letters[index] = bytes.ascii_letters;
            found.ascii_marks[index] = bytes.ascii_marks;
            let mut marks = bytes.ascii_marks;
            let mut chinese = 0;
            let leads = begins & bytes.beyond;
            if bytes.beyond != 0 {
                chinese = leads & (bytes.chinese_or_kana | chinese_or_kana(bytes.unsure, text, at));
                let mut unknown =
                    leads & !(stretch.letters[index] | stretch.numbers[index] | stretch.spaces[index]);
                while unknown != 0 {
                    let place = unknown.trailing_zeros();
                    unknown &= unknown - 1;
                    let flags = classes.beyond_ascii(text, at + place as usize).0;
                    marks |= u64::from(flags & (PUNCTUATION | SYMBOL) != 0) << place;
                }
                marks = whole(marks, found.marks[index - 1], !begins);
                chinese = whole(chinese, before, !begins);
            }
            found.marks[index] = marks;
            let numbers = stretch.numbers[index];
            found.edges[index] = begins
                & (chinese ^ preceding(chinese, before)
                    | numbers ^ preceding(numbers, stretch.numbers[index - 1]));
            before = chinese;
        }
        found
    }
}

fn rules(stretch: &Stretch, segments: &Segments, classes: &Classes, text: &[u8], ends: &mut Bits) {
    let mut before = Before::default();
    let (mut letters_of_mark, mut mark_with_letters) = (0, 0);
    for index in 1..=stretch.blocks {
        let begins = stretch.begins[index];
        let edges = segments.edges[index];
        let (letters, numbers, marks) =
            (stretch.letters[index], stretch.numbers[index], segments.marks[index]);
        let (spaces, breaks) = (stretch.spaces[index], stretch.breaks[index]);
        let others = !(letters | numbers | spaces | marks);
        let inner = begins & !edges;
        let after = |class: &[u64; WORDS]| preceding(class[index], class[index - 1]) & inner;
        let (after_letter, after_mark) = (after(&stretch.letters), after(&segments.marks));
        let (after_space, after_break) = (after(&stretch.spaces), after(&stretch.breaks));
        let after_other = preceding(others, before.others) & inner;
        before.others = others;

        // ` ?[\p{P}\p{S}]+`
        let mark_starts = marks & begins & !after_mark & !after(&stretch.blanks);
        // `[!-/:-@\[-`{-~][A-Za-z]+`, where such a run is of one.
        let ascii_letters = segments.ascii_letters[index];
        let with_letters = mark_starts
            & segments.ascii_marks[index]
            & following(ascii_letters, segments.ascii_letters[index + 1]);
        let first = ascii_letters & (preceding(with_letters, mark_with_letters) | letters_of_mark >> 63);
        let taken = if first == 0 { 0 } else { ascii_letters & !ascii_letters.wrapping_add(first) };
        let behind_taken = preceding(taken, letters_of_mark) & !ascii_letters;

        // `[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`
        let mut letter_starts =
            letters & begins & !after_letter & !(after_space & !after_break) & !after_other;
        letter_starts &= !preceding(with_letters, mark_with_letters);
        letter_starts |= letters & begins & behind_taken;
        (letters_of_mark, mark_with_letters) = (taken, with_letters);

        let mut starts = edges | mark_starts | letter_starts | others & begins & !after_other;
        if numbers != 0 {
            let after_number = preceding(numbers, stretch.numbers[index - 1]);
            starts |= before.every::<Letters>(numbers & begins, after_number);
        }

        // White space: line breaks right behind marks belong to them.
        let absorbed_first = breaks & (after_mark | before.absorbed >> 63);
        let absorbed = if absorbed_first == 0 { 0 } else { breaks & !breaks.wrapping_add(absorbed_first) };
        before.absorbed = absorbed;
        let rest = spaces & !absorbed;
        starts |= rest & begins & !preceding(rest, before.rest);
        before.rest = rest;
        // The last one belongs to what follows, unless a segment begins there.
        let next_space = following(spaces | edges, stretch.spaces[index + 1] | segments.edges[index + 1]);
        let last = rest & !next_space & !breaks;
        starts |= last & begins;
        // `\s*[\r\n]+` ends at the last line break of a run.
        let mut candidates = spaces & !breaks & after_break;
        while candidates != 0 {
            let place = candidates.trailing_zeros();
            candidates &= candidates - 1;
            if Stretch::ends_line(classes, text, (index - 1) * BLOCK + place as usize) {
                starts |= 1 << place;
            }
        }
        ends.words_mut()[index - 1] |= starts;

        // Characters that go with the letters behind them, and white space of several bytes.
        let mut wide = last & !begins;
        while wide != 0 {
            let at = (index - 1) * BLOCK + wide.trailing_zeros() as usize;
            wide &= wide - 1;
            ends.set(previous(text, at + 1));
        }
        let mut prefixed = letters & after_other;
        while prefixed != 0 {
            let at = (index - 1) * BLOCK + prefixed.trailing_zeros() as usize;
            prefixed &= prefixed - 1;
            ends.set(previous(text, at));
        }
    }
}

/// Asks for what the patterns tell apart beside the classes of a stretch.
struct InSegments;

struct FoundInSegments {
    ascii_letters: u64,
    ascii_marks: u64,
    beyond: u64,
    /// First bytes of `[一-龥぀-ゟ゠-ヿ]`, U+4E00 to U+9FA5 and U+3040 to U+30FF.
    chinese_or_kana: u64,
    /// First bytes of others that may be: the last character of a block, and the end of the range, E9 BE A5.
    unsure: u64,
}

impl Look for InSegments {
    type Found = FoundInSegments;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> FoundInSegments {
        let mut found = FoundInSegments {
            ascii_letters: bytes.letters(),
            ascii_marks: bytes.within(b'!', b'/')
                | bytes.within(b':', b'@')
                | bytes.within(b'[', b'`')
                | bytes.within(b'{', b'~'),
            beyond: bytes.high(),
            chinese_or_kana: 0,
            unsure: 0,
        };
        if found.beyond != 0 {
            let (e3, e4, e9) = (bytes.equal(0xE3), bytes.equal(0xE4), bytes.equal(0xE9));
            found.chinese_or_kana = bytes.within(0xE5, 0xE8)
                | e3 & second_byte(bytes, 0x81, 0x83)
                | e4 & second_byte(bytes, 0xB8, 0xBF)
                | e9 & second_byte(bytes, 0x80, 0xBD);
            found.unsure = (e3 | e4 | e9) & 1 << 63 | e9 & second_byte(bytes, 0xBE, 0xBE);
        }
        found
    }
}

/// Which of the places, from `at` on, are Chinese or kana.
fn chinese_or_kana(mut unsure: u64, text: &[u8], at: usize) -> u64 {
    let mut found = 0;
    while unsure != 0 {
        let place = unsure.trailing_zeros();
        unsure &= unsure - 1;
        let is = match text.get(at + place as usize..) {
            Some([0xE3, 0x81..=0x83, ..] | [0xE4, 0xB8..=0xBF, ..] | [0xE9, 0x80..=0xBD, ..]) => true,
            Some([0xE9, 0xBE, third, ..]) => *third <= 0xA5,
            _ => false,
        };
        found |= u64::from(is) << place;
    }
    found
}
