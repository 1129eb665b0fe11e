//! What texts are compared by: characters as they are, folded characters, or words.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_normalization_alignments::UnicodeNormalization;

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

    /// Where the unit that begins at `at` ends, and where the next one begins.
    #[inline]
    pub(super) fn ends(self, text: &[u8], at: usize) -> (usize, usize) {
        match self {
            Self::Characters => {
                let end = super::filter::next_character(text, at + 1);
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
    pub(super) fn prepare(self, text: &str, fold: bool) -> Prepared<'_> {
        let mut lines = Vec::new();
        if self == Self::Characters && !fold {
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
                lines.push(trimmed(text, start..end));
                start = end + 1;
            }
            return Prepared { text: Cow::Borrowed(text), lines };
        }
        let mut prepared = String::with_capacity(text.len());
        for line in text.lines() {
            let before = prepared.len();
            match self {
                Self::Characters => push_folded(line, &mut prepared),
                Self::Words if fold => push_words(line.nfkc().map(|(c, _)| c), &mut prepared),
                Self::Words => push_words(line.chars(), &mut prepared),
            }
            if prepared.len() > before {
                let start = before + usize::from(before > 0); // the space between
                lines.push(start..prepared.len());
            }
        }
        Prepared { text: Cow::Owned(prepared), lines }
    }
}

fn trimmed(text: &str, line: Range<usize>) -> Range<usize> {
    let content = &text[line.clone()];
    let start = line.start + content.len() - content.trim_start().len();
    start..start + content.trim().len()
}

fn push_folded(line: &str, out: &mut String) {
    let mut space = !out.is_empty();
    for c in line.nfkc().map(|(c, _)| c) {
        if c.is_whitespace() {
            space = !out.is_empty();
            continue;
        }
        if space {
            out.push(' ');
            space = false;
        }
        out.extend(c.to_lowercase());
    }
}

fn push_words(line: impl Iterator<Item = char>, out: &mut String) {
    let mut apart = !out.is_empty();
    for c in line {
        if !is_of_word(c) {
            apart = !out.is_empty();
            continue;
        }
        let alone = is_ideograph(c);
        if (apart || alone) && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
        apart = alone;
    }
}

/// Letters and digits, and the marks that stand on letters (which the standard library does not tell by name).
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || unicode_normalization_alignments::char::is_combining_mark(c)
}

/// Scripts without spaces between words that have a character a syllable or a word.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}
