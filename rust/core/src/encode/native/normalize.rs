//! Normalization, with quick checks so that text that is normal already is never copied.

use std::borrow::Cow;

use memchr::memmem;
use unicode_normalization_alignments::char::{canonical_combining_class, compose};

use super::block::{BLOCK, Compare, arabic_letters, block_at, devanagari, leads, second_byte, third_byte};
use super::compose::{Composer, decompose};
use super::config::Step;
use super::unicode::{CLASSES, COMBINING, NFC_UNSURE, NFKC_UNSURE, char_end, decode, previous};
use super::vectors::{Look, look};
use crate::memory::with_room;

/// Applies the steps of tokenizers, and keeps what it needs for that from text to text.
#[derive(Default)]
pub(crate) struct Normalizer {
    composer: Option<Composer>,
}

impl Normalizer {
    /// Applies steps one after the other.
    pub(super) fn apply<'t>(&mut self, steps: &[Step], text: &'t str) -> Cow<'t, str> {
        match self.apply_to_bytes(steps, text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => {
                Cow::Owned(simdutf8::basic::from_utf8(&bytes).unwrap_or_default().to_owned())
            }
        }
    }

    /// The same of UTF-8: to make sure that it still is takes another look at all of it.
    pub(super) fn apply_to_bytes<'t>(&mut self, steps: &[Step], text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut text = Cow::Borrowed(text);
        for step in steps {
            let changed = match step {
                Step::Nfc => self.compose_where_needed(&text, NFC_UNSURE),
                Step::Nfkc => self.compose_where_needed(&text, NFKC_UNSURE),
                Step::Replace(from, to) => replace(&text, from.as_bytes(), to.as_bytes()),
                Step::Prepend(prefix) => {
                    (!text.is_empty() && !prefix.is_empty()).then(|| [prefix.as_bytes(), &text].concat())
                }
            };
            if let Some(changed) = changed {
                text = Cow::Owned(changed);
            }
        }
        text
    }

    /// The text in NFC.
    pub(crate) fn nfc<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        self.apply(&[Step::Nfc], text)
    }

    /// What composes in a form.
    fn composer(&mut self, unsure: u16) -> &mut Composer {
        self.composer.take_if(|composer| composer.unsure() != unsure);
        self.composer.get_or_insert_with(|| Composer::new(unsure))
    }

    /// Normalizes the stretches that may need it; `None` if none does.
    ///
    /// A character that is sure (it stays as it is, has combining class zero and never joins what stands
    /// before) begins a stretch of its own: normalization never reaches across the place before it.
    fn compose_where_needed(&mut self, text: &[u8], unsure: u16) -> Option<Vec<u8>> {
        // The text up to the last stretch behind the first that needed it.
        let mut changed: Option<Vec<u8>> = None;
        let (mut copied, mut at) = (0, 0);
        while let Some(doubtful) = next_doubtful(text, at, unsure) {
            let start = if doubtful == 0 { 0 } else { previous(text, doubtful) };
            // As long as there is no copy there may be none to make.
            if changed.is_none()
                && let Some(end) = settled(text, start, doubtful, unsure)
            {
                at = end;
                continue;
            }
            let changed = changed.get_or_insert_with(|| with_room(text.len()));
            changed.extend_from_slice(&text[copied..start]);
            at = start + self.composer(unsure).write(&text[start..], doubtful - start, changed);
            copied = at;
        }
        changed.map(|mut changed| {
            changed.extend_from_slice(&text[copied..]);
            changed
        })
    }
}

/// The text in NFKC.
pub(crate) fn nfkc(text: &str) -> Cow<'_, str> {
    Normalizer::default().apply(&[Step::Nfkc], text)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let finder = memmem::Finder::new(from);
    let first = finder.find(text)?;
    let mut replaced = with_room(text.len() + text.len() / 4);
    let mut copied = 0;
    let mut found = Some(first);
    while let Some(at) = found {
        replaced.extend_from_slice(&text[copied..at]);
        replaced.extend_from_slice(to);
        copied = at + from.len();
        found = finder.find(&text[copied..]).map(|next| copied + next);
    }
    replaced.extend_from_slice(&text[copied..]);
    Some(replaced)
}

/// Where the stretch from `start` on ends, before the next sure character behind a doubtful one, if in it nothing decomposes,
/// nothing is out of order, and nothing may compose with the last character of class 0 before it: then nothing happens. (It may
/// be said of what composition would leave alone that it may compose.)
fn settled(text: &[u8], start: usize, doubtful: usize, unsure: u16) -> Option<usize> {
    let (mut starter, mut last, mut last_class) = (None, 0, 0);
    let mut at = start;
    while at < text.len() {
        let (code, length) = decode(text, at);
        if at > doubtful && CLASSES.of(code) & (unsure | COMBINING) == 0 {
            break;
        }
        at += length;
        if last_class != 0 && last == code {
            continue; // long rows of marks are of one kind mostly
        }
        let c = char::from_u32(code)?;
        let class = canonical_combining_class(c);
        if class != 0 && class < last_class
            || !is_undecomposed(c, unsure)
            || is_jamo(c)
            || starter.is_some_and(|starter| compose(starter, c).is_some())
        {
            return None;
        }
        if class == 0 {
            starter = Some(c);
        }
        (last, last_class) = (code, class);
    }
    Some(at)
}

fn is_undecomposed(c: char, unsure: u16) -> bool {
    let mut same = true;
    decompose(c, unsure, |d| same &= c == d);
    same
}

/// Hangul vowels and final consonants compose by arithmetic.
fn is_jamo(c: char) -> bool {
    matches!(c, '\u{1160}'..='\u{11FF}')
}

/// Passes blocks in which all characters are sure but for single marks that join nothing. Gives where to look from.
fn pass_sure(bytes: &[u8], mut at: usize, unsure: u16) -> usize {
    let classes = &*CLASSES;
    // The last mark, and where it ends.
    let mut mark = at..at;
    let from = |at: usize, mark: std::ops::Range<usize>| {
        let start = char_end(bytes, at);
        if mark.end == start { mark.start } else { start }
    };
    while at < bytes.len() {
        let mut rest = [0; BLOCK];
        let mut leads = look(&Unsure(unsure), block_at(bytes, at, &mut rest));
        while leads != 0 {
            let place = at + leads.trailing_zeros() as usize;
            leads &= leads - 1;
            let (flags, length) = classes.beyond_ascii(bytes, place);
            if flags & (unsure | COMBINING) == 0 {
                continue;
            }
            if flags & unsure != 0 || mark.end == place {
                return from(at, mark);
            }
            mark = place..place + length;
        }
        at += BLOCK;
    }
    from(at, mark)
}

/// Asks for the first bytes of characters that may not be sure in a form.
struct Unsure(u16);

impl Look for Unsure {
    type Found = u64;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> u64 {
        if bytes.high() == 0 {
            return 0;
        }
        // U+4000 to U+9FFF and Hangul from U+B000 to U+CFFF are sure,
        let mut unsure = leads(bytes) & !(bytes.within(0xE4, 0xE9) | bytes.within(0xEB, 0xEC));
        // the letters of Arabic,
        if bytes.within(0xD8, 0xD9) != 0 {
            unsure &= !arabic_letters(bytes);
        }
        // and Devanagari but for the dot below, and but for U+094D to U+095F, marks and letters with the dot.
        let [low, high] = devanagari(bytes);
        if low | high != 0 {
            unsure &= !(low & !third_byte(bytes, 0xBC, 0xBC) | high & !third_byte(bytes, 0x8D, 0x9F));
        }
        if unsure == 0 || self.0 != NFC_UNSURE {
            return unsure;
        }
        // In NFC also U+0080 to U+02FF, Cyrillic up to U+047F,
        unsure &= !(bytes.within(0xC2, 0xCB) | bytes.within(0xD0, 0xD1));
        if unsure != 0 {
            // punctuation from U+2002 to U+203F and from U+3001 to U+3029, kana but for their marks, full-width forms.
            let general = bytes.equal(0xE2) & third_byte(bytes, 0x82, 0xBF);
            let ideographic = bytes.equal(0xE3) & third_byte(bytes, 0x81, 0xA9);
            let kana = bytes.equal(0xE3)
                & second_byte(bytes, 0x81, 0x83)
                & !third_byte(bytes, 0x99, 0x9A)
                & (!0 >> 2);
            let full_width = bytes.equal(0xEF) & second_byte(bytes, 0xBC, 0xBD);
            unsure &= !((general | ideographic) & second_byte(bytes, 0x80, 0x80) | kana | full_width);
        }
        unsure
    }
}

/// So many bytes without a doubtful character promise more of them.
const QUIET: usize = 256;

/// The next character from `at` on that normalization may change, join or move.
fn next_doubtful(bytes: &[u8], mut at: usize, unsure: u16) -> Option<usize> {
    let classes = &*CLASSES;
    let mut look = if at == 0 { 0 } else { at + QUIET };
    // A mark right after a sure character that it does not join stays where it is.
    let mut after_mark = false;
    loop {
        if at >= look && !after_mark {
            at = pass_sure(bytes, at, unsure);
            look = at + QUIET;
        }
        let byte = *bytes.get(at)?;
        if byte < 0x80 {
            // ASCII is sure in every form.
            after_mark = false;
            at += 1;
            while let Some(eight) = bytes.get(at..at + 8) {
                let mut word = [0; 8];
                word.copy_from_slice(eight);
                let high = u64::from_le_bytes(word) & 0x8080_8080_8080_8080;
                if high != 0 {
                    at += high.trailing_zeros() as usize / 8;
                    break;
                }
                at += 8;
            }
            continue;
        }
        // U+4000 to U+9FFF, and for NFC U+0080 to U+02FF: all sure.
        if matches!(byte, 0xE4..=0xE9) {
            after_mark = false;
            at += 3;
            continue;
        }
        if matches!(byte, 0xC2..=0xCB) && unsure == NFC_UNSURE {
            after_mark = false;
            at += 2;
            continue;
        }
        let (flags, length) = classes.beyond_ascii(bytes, at);
        if flags & (unsure | COMBINING) == 0 {
            after_mark = false;
        } else if flags & unsure != 0 || after_mark {
            return Some(if after_mark { previous(bytes, at) } else { at });
        } else {
            after_mark = true;
        }
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization_alignments::UnicodeNormalization;

    use super::*;

    /// Letters, marks that join them and marks that do not, of all lengths in bytes, so that they meet at the edges of
    /// blocks in every way.
    const CHARS: [char; 46] = [
        '\0',
        '\u{300}',
        'a',
        'e',
        ' ',
        'é',
        '\u{301}',
        '\u{302}',
        '\u{323}',
        'क',
        'न',
        'ा',
        '\u{94D}',
        '\u{93C}',
        '\u{951}',
        '\u{958}',
        '\u{929}',
        'م',
        '\u{64E}',
        '\u{651}',
        '中',
        '가',
        '\u{11A8}',
        '\u{1161}',
        '😀',
        '\u{1D165}',
        '\u{327}',
        '\u{9C7}',
        '\u{9BE}',
        '\u{1100}',
        // Made of two marks, of a letter and two, two marks with the same low bits, marks of three bytes.
        '\u{344}',
        'ệ',
        '\u{316}',
        '\u{356}',
        '\u{1DCE}',
        '\u{3099}',
        // Marks in NFKC only, or letters with marks there; a mark in between; letters that join through a mark.
        '\u{FF76}',
        '\u{FF9E}',
        '\u{37A}',
        '\u{FC5E}',
        '\u{F73}',
        '\u{F77}',
        '\u{338}',
        '\u{DD9}',
        '\u{DCF}',
        '\u{DCA}',
    ];

    #[test]
    fn what_blocks_are_passed_for_is_sure() {
        for c in (0x80..=0x10_FFFF).filter_map(char::from_u32) {
            // Whole in the block, and across its end.
            for place in [u32::from(c) as usize % 60, 62, 63] {
                let text: String =
                    std::iter::repeat_n(' ', place).chain([c]).chain(" ".repeat(64).chars()).collect();
                let flags = CLASSES.of(u32::from(c));
                for form in [NFC_UNSURE, NFKC_UNSURE] {
                    let unsure = look(&Unsure(form), block_at(text.as_bytes(), 0, &mut [0; BLOCK]));
                    assert!(unsure & !(1 << place) == 0, "{c:?} at {place}");
                    assert!(unsure != 0 || flags & (form | COMBINING) == 0, "{c:?} at {place}");
                }
            }
        }
    }

    #[test]
    fn marks_without_end_are_ordered() {
        let marks = ['\u{301}', '\u{316}', '\u{327}', '\u{300}', '\u{5B0}'];
        let order = (0..2000usize).map(|place| marks[place * place % 7 * place % marks.len()]);
        for before in ["", "e", "中"] {
            let text: String = before.chars().chain(order.clone()).collect();
            let whole: String = text.nfc().map(|(c, _)| c).collect();
            assert_ne!(text, whole);
            assert_eq!(Normalizer::default().nfc(&text), whole);
            assert_eq!(nfkc(&text), whole);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_what_normalizing_all_of_the_text_gives(
            places in prop::collection::vec((0..CHARS.len(), 0..3usize), 0..600),
            padding in 0..70usize,
            is_quiet in any::<bool>(),
        ) {
            // Quiet text, as texts are; or text that is not, with many marks in a row.
            let of = |(place, noise): &(usize, usize)| match noise {
                1.. if is_quiet => ['क', 'ा', 'a'][place % 3],
                1 => ['\u{301}', '\u{316}', '\u{356}', '\u{1DCE}', '\u{323}'][place % 5],
                _ => CHARS[*place],
            };
            let text: String = std::iter::repeat_n('x', padding).chain(places.iter().map(of)).collect();
            // One for all that is normalized, as sessions have it, in one form and in the other.
            let mut normalizer = Normalizer::default();
            let whole: String = text.nfc().map(|(c, _)| c).collect();
            for _ in 0..2 {
                prop_assert_eq!(normalizer.nfc(&text), &*whole);
            }
            let whole: String = text.nfkc().map(|(c, _)| c).collect();
            for _ in 0..2 {
                prop_assert_eq!(normalizer.apply(&[Step::Nfkc], &text), &*whole);
            }
            prop_assert_eq!(nfkc(&text), whole);
        }
    }
}
