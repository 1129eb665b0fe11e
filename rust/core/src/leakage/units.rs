//! What texts are compared by: characters as they are, folded characters, or words.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::encode::nfkc;

/// What lengths are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Unicode characters (code points).
    Characters,
    /// Words: runs of letters, marks and digits, in lower case; an ideograph or kana is a word of its own.
    Words,
}

/// A text made ready for comparison, and where its lines are in it.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) lines: Vec<Range<usize>>,
}

impl Unit {
    /// The name by which users choose it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Characters => "characters",
            Self::Words => "words",
        }
    }

    /// Fewest bytes that so many units come to.
    pub(super) fn least_bytes(self, units: usize) -> usize {
        match self {
            Self::Characters => units,
            Self::Words => (2 * units).saturating_sub(1), // one letter each, and spaces between them
        }
    }

    /// Bytes between the end of a unit and the next.
    pub(super) fn gap(self) -> usize {
        match self {
            Self::Characters => 0,
            Self::Words => 1,
        }
    }

    /// Where the unit begins that is `units` after the one at `at`; after the last one, as if a unit followed. `None`
    /// if there are fewer.
    #[inline]
    pub(super) fn skip(self, text: &[u8], at: usize, units: usize) -> Option<usize> {
        match self {
            Self::Characters => skip_characters(text, at, units),
            Self::Words => {
                let Some(before) = units.checked_sub(1) else { return Some(at) };
                let rest = text.get(at..)?;
                match memchr::memchr_iter(b' ', rest).nth(before) {
                    Some(end) => Some(at + end + 1),
                    None => (self.count(rest) == units).then_some(text.len() + 1),
                }
            }
        }
    }

    /// A number for a unit, to make a hash of.
    #[inline]
    pub(super) fn value(self, unit: &[u8]) -> u64 {
        match self {
            Self::Characters => {
                let value = unit.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                (value + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            }
            Self::Words => super::filter::hash(unit),
        }
    }

    /// Where the unit that begins at `at` ends, and where the next one begins.
    #[inline]
    pub(super) fn ends(self, text: &[u8], at: usize) -> (usize, usize) {
        match self {
            Self::Characters => {
                let end = next_character(text, at + 1);
                (end, end)
            }
            Self::Words => {
                let rest = text.get(at..).unwrap_or_default();
                let end = at + memchr::memchr(b' ', rest).unwrap_or(rest.len());
                (end, end + 1)
            }
        }
    }

    /// Whether a unit begins at `at`.
    #[inline]
    pub(super) fn begins(self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Characters => text.get(at).is_some_and(|byte| byte & 0xC0 != 0x80),
            Self::Words => at == 0 || text.get(at - 1) == Some(&b' '),
        }
    }

    /// Whether a unit ends at `at`, given that a character does.
    #[inline]
    pub(super) fn ends_at(self, text: &[u8], at: usize) -> bool {
        self == Self::Characters || text.get(at).is_none_or(|byte| *byte == b' ')
    }

    /// How many units a text has.
    pub(super) fn count(self, text: &[u8]) -> usize {
        match self {
            Self::Characters => text.iter().filter(|byte| **byte & 0xC0 != 0x80).count(),
            Self::Words if text.is_empty() => 0,
            Self::Words => memchr::memchr_iter(b' ', text).count() + 1,
        }
    }

    /// Makes a text ready. Characters: as they are, or folded (NFKC, lower case, white space as one space). Words:
    /// folded if wanted, without what stands between them.
    pub(super) fn prepare(self, text: &str, fold: bool, with_lines: bool) -> Prepared<'_> {
        let mut lines = Vec::new();
        if self == Self::Characters && !fold {
            if with_lines {
                let mut start = 0;
                for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
                    lines.push(trimmed(text, start..end));
                    start = end + 1;
                }
            }
            return Prepared { text: Cow::Borrowed(text), lines };
        }
        let text = if fold { nfkc(text) } else { Cow::Borrowed(text) };
        let mut prepared = Vec::with_capacity(text.len());
        for line in text.lines() {
            let before = prepared.len();
            match self {
                Self::Characters => push_folded(line, &mut prepared),
                Self::Words => push_words(line, &mut prepared),
            }
            if prepared.len() > before {
                let start = before + usize::from(before > 0); // the space between
                lines.push(start..prepared.len());
            }
        }
        // What is appended are whole characters.
        Prepared { text: Cow::Owned(String::from_utf8(prepared).unwrap_or_default()), lines }
    }
}

fn trimmed(text: &str, line: Range<usize>) -> Range<usize> {
    let content = &text[line.clone()];
    let start = line.start + content.len() - content.trim_start().len();
    start..start + content.trim().len()
}

/// The first byte from `at` on with which a character begins.
#[inline]
fn next_character(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
        at += 1;
    }
    at
}

/// The highest bit of each of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The lowest bit of each of eight bytes where a character begins.
#[inline]
fn begins(eight: [u8; 8]) -> u64 {
    let bytes = u64::from_le_bytes(eight);
    (!(bytes & !(bytes << 1)) & HIGH) >> 7
}

/// See [`Unit::skip`].
#[inline]
fn skip_characters(text: &[u8], mut at: usize, mut units: usize) -> Option<usize> {
    if units == 1 && at < text.len() {
        return Some(next_character(text, at + 1));
    }
    let (eights, rest) = text.get(at..at + units)?.as_chunks::<8>();
    let all = eights.iter().fold(0, |all, eight| all | u64::from_le_bytes(*eight));
    if all & HIGH == 0 && rest.is_ascii() {
        return Some(at + units);
    }
    let sum = |counts: u64| usize::from(counts.wrapping_mul(0x0101_0101_0101_0101).to_le_bytes()[7]);
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<32>) {
        let count = sum(block.as_chunks::<8>().0.iter().map(|eight| begins(*eight)).sum());
        if count > units {
            break;
        }
        units -= count;
        at += 32;
    }
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let mut begins = begins(*eight);
        let count = sum(begins);
        if count > units {
            for _ in 0..units {
                begins &= begins - 1;
            }
            return Some(at + begins.trailing_zeros() as usize / 8);
        }
        units -= count;
        at += 8;
    }
    for byte in text.get(at..)? {
        if byte & 0xC0 != 0x80 {
            if units == 0 {
                return Some(at);
            }
            units -= 1;
        }
        at += 1;
    }
    (units == 0).then_some(at)
}

/// Appends the text in lower case, with white space as one space, also before it.
fn push_folded(text: &str, out: &mut Vec<u8>) {
    let mut space = !out.is_empty();
    each_character(text, |character| {
        let is_space = match character {
            Ok(byte) => byte.is_ascii_whitespace() || byte == 0x0B,
            Err(c) => c.is_whitespace(),
        };
        if is_space {
            space = !out.is_empty();
            return;
        }
        if space {
            out.push(b' ');
            space = false;
        }
        push_lower(character, out);
    });
}

/// Appends the words of a text, in lower case, a space before each.
pub(crate) fn push_words(text: &str, out: &mut Vec<u8>) {
    let mut apart = !out.is_empty();
    each_character(text, |character| {
        let (is_of_word, alone) = match character {
            Ok(byte) => (byte.is_ascii_alphanumeric(), false),
            Err(c) => (is_of_word(c), is_ideograph(c)),
        };
        if !is_of_word {
            apart = !out.is_empty();
            return;
        }
        if (apart || alone) && !out.is_empty() {
            out.push(b' ');
        }
        push_lower(character, out);
        apart = alone;
    });
}

/// Hands on each character: as a byte, where it is ASCII.
#[inline]
fn each_character(text: &str, mut each: impl FnMut(Result<u8, char>)) {
    let mut rest = text.chars();
    while let Some(first) = rest.as_str().as_bytes().first() {
        if first.is_ascii() {
            let bytes = rest.as_str().as_bytes();
            let ascii = bytes.iter().position(|byte| !byte.is_ascii()).unwrap_or(bytes.len());
            bytes[..ascii].iter().for_each(|byte| each(Ok(*byte)));
            rest = rest.as_str()[ascii..].chars();
        } else if let Some(c) = rest.next() {
            each(Err(c));
        }
    }
}

#[inline]
fn push_lower(character: Result<u8, char>, out: &mut Vec<u8>) {
    let mut push = |c: char| {
        let mut bytes = [0; 4];
        let length = c.encode_utf8(&mut bytes).len();
        let [a, b, c, d] = bytes;
        match length {
            1 => out.push(a),
            2 => out.extend_from_slice(&[a, b]),
            3 => out.extend_from_slice(&[a, b, c]),
            _ => out.extend_from_slice(&[a, b, c, d]),
        }
    };
    match character {
        Ok(byte) => out.push(byte.to_ascii_lowercase()),
        Err(c) if has_case(c) => c.to_lowercase().for_each(push),
        Err(c) => push(c),
    }
}

/// False for ASCII, for small letters of Latin-1 and for the scripts that have none; the standard library takes its time
/// to say so.
#[inline]
fn has_case(c: char) -> bool {
    !matches!(c, '\0'..='\u{7F}' | '\u{DF}'..='\u{FF}' | '\u{590}'..='\u{109F}' | '\u{2E80}'..='\u{A63F}' | '\u{AC00}'..='\u{FAFF}')
}

/// Letters and digits, and the marks that stand on letters (which the standard library does not tell by name).
#[inline]
fn is_of_word(c: char) -> bool {
    let code = c as usize;
    match OF_WORDS.get(code / 64) {
        Some(bits) => bits >> (code % 64) & 1 == 1,
        None => is_of_word_slowly(c),
    }
}

/// A bit for each of the first 2^16 characters.
static OF_WORDS: LazyLock<[u64; 1024]> = LazyLock::new(|| {
    let bit = |code: u32| u64::from(char::from_u32(code).is_some_and(is_of_word_slowly)) << (code % 64);
    let mut bits = [0; 1024];
    for (word, first) in bits.iter_mut().zip((0u32..).step_by(64)) {
        *word = (first..first + 64).fold(0, |word, code| word | bit(code));
    }
    bits
});

fn is_of_word_slowly(c: char) -> bool {
    c.is_alphanumeric() || unicode_normalization_alignments::char::is_combining_mark(c)
}

/// Scripts without spaces between words that have a character a syllable or a word.
#[inline]
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_quickly_is_so() {
        for c in '\0'..=char::MAX {
            assert_eq!(is_of_word(c), is_of_word_slowly(c), "{c:?}");
            let lower = |c: char| c.to_lowercase().collect::<String>();
            assert!(has_case(c) || lower(c) == c.to_ascii_lowercase().to_string(), "{c:?}");
            assert!(!c.is_ascii() || c.is_ascii_alphanumeric() == is_of_word(c) && !is_ideograph(c), "{c:?}");
            let space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0B;
            assert!(
                u8::try_from(c).is_err() || !c.is_ascii() || space(c as u8) == c.is_whitespace(),
                "{c:?}"
            );
        }
    }

    #[test]
    fn units_are_skipped() {
        for text in
            ["", "abc", "aé心😀", "心脏是人体最重要的器官之一它把血液输送到全身", "abcdefgh心ijklmnopqrs"]
        {
            let begins: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for (from, at) in begins.iter().enumerate() {
                for units in 0..begins.len() + 2 {
                    let expected = begins.get(from + units).copied();
                    assert_eq!(
                        Unit::Characters.skip(text.as_bytes(), *at, units),
                        expected,
                        "{text} {at} {units}"
                    );
                }
            }
        }
        let words = |at, units| Unit::Words.skip(b"one two three", at, units);
        assert_eq!([words(0, 1), words(0, 2), words(0, 3), words(0, 4)], [Some(4), Some(8), Some(14), None]);
        assert_eq!([words(8, 1), words(8, 2), words(14, 1)], [Some(14), None, None]);
    }
}
