//! What several patterns share: runs of a class, white space, contractions.

use super::super::unicode::{Classes, LETTER, SPACE, previous};

const LOW: u64 = 0x7F7F_7F7F_7F7F_7F7F;
const HIGH: u64 = 0x8080_8080_8080_8080;
const ONES: u64 = 0x0101_0101_0101_0101;

/// The top bit of every byte that is no ASCII letter.
#[inline]
fn no_letter(word: u64) -> u64 {
    let lower = (word | (ONES * 0x20)) & LOW;
    let at_least_a = lower + ONES * u64::from(0x80 - b'a');
    let beyond_z = lower + ONES * u64::from(0x7F - b'z');
    !(at_least_a & !beyond_z & !word) & HIGH
}

/// The end of the run of ASCII letters from `at` on.
#[inline]
fn ascii_letters_end(text: &[u8], mut at: usize) -> usize {
    while let Some(bytes) = text.get(at..at + 8) {
        let mut word = [0; 8];
        word.copy_from_slice(bytes);
        let other = no_letter(u64::from_le_bytes(word));
        if other != 0 {
            return at + other.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(u8::is_ascii_alphabetic) {
        at += 1;
    }
    at
}

/// The end of the run of characters with one of `flags` (letters among them) from `at` on.
#[inline]
pub(super) fn letters_end(classes: &Classes, text: &[u8], mut at: usize, flags: u16) -> usize {
    debug_assert!(flags & LETTER != 0);
    loop {
        at = ascii_letters_end(text, at);
        // Then whatever stands here, as long as it is not ASCII.
        let before = at;
        loop {
            let Some(&byte) = text.get(at) else {
                return at;
            };
            if byte < 0x80 {
                if at > before && byte.is_ascii_alphabetic() {
                    break;
                }
                return at;
            }
            // U+5000 to U+8FFF: all letters.
            if matches!(byte, 0xE5..=0xE8) {
                at += 3;
                continue;
            }
            let (found, length) = classes.at(text, at);
            if found & flags == 0 {
                return at;
            }
            at += length;
        }
    }
}

/// The end of the run of characters from `at` on of whose flags something is true.
#[inline]
fn run_end_where(classes: &Classes, text: &[u8], mut at: usize, goes_on: impl Fn(u16) -> bool) -> usize {
    loop {
        // Mostly they are ASCII, and a loop over those alone is three times as fast.
        while let Some(&byte) = text.get(at)
            && byte.is_ascii()
        {
            if !goes_on(classes.ascii(byte)) {
                return at;
            }
            at += 1;
        }
        let (found, length) = classes.at(text, at);
        if length == 0 || !goes_on(found) {
            return at;
        }
        at += length;
    }
}

/// The end of the run of characters with one of `flags` from `at` on.
#[inline]
pub(super) fn run_end(classes: &Classes, text: &[u8], at: usize, flags: u16) -> usize {
    run_end_where(classes, text, at, |found| found & flags != 0)
}

/// The end of the run of characters with none of `flags` from `at` on.
#[inline]
pub(super) fn run_end_without(classes: &Classes, text: &[u8], at: usize, flags: u16) -> usize {
    run_end_where(classes, text, at, |found| found & flags == 0)
}

/// The end of at most `limit` characters with one of `flags`.
#[inline]
pub(super) fn few_end(classes: &Classes, text: &[u8], mut at: usize, flags: u16, limit: usize) -> usize {
    for _ in 0..limit {
        let (found, length) = classes.at(text, at);
        if found & flags == 0 {
            return at;
        }
        at += length;
    }
    at
}

/// `[\r\n]*`, or `[\r\n/]*`.
#[inline]
pub(super) fn line_breaks_end(text: &[u8], mut at: usize, slash: bool) -> usize {
    while let Some(&byte) = text.get(at) {
        if byte == b'\n' || byte == b'\r' || (slash && byte == b'/') {
            at += 1;
        } else {
            break;
        }
    }
    at
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`, or without the first part, at white space.
#[inline]
pub(super) fn space_end(
    classes: &Classes,
    text: &[u8],
    start: usize,
    length: usize,
    line_breaks: bool,
) -> usize {
    let end = run_end(classes, text, start + length, SPACE);
    if line_breaks {
        // The run is taken whole, then given back up to its last line break.
        if let Some(last) = text[start..end].iter().rposition(|&byte| byte == b'\n' || byte == b'\r') {
            return start + last + 1;
        }
    }
    if end == text.len() || end == start + length {
        return end;
    }
    // The last one belongs to what follows.
    previous(text, end)
}

/// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at `start`, or 0.
///
/// Case-insensitive matching folds U+017F, the long s, to s.
#[inline]
pub(super) fn contraction(text: &[u8], start: usize, any_case: bool) -> usize {
    if text.get(start) != Some(&b'\'') {
        return 0;
    }
    let fold = |byte: u8| {
        if any_case { byte.to_ascii_lowercase() } else { byte }
    };
    let Some(&first) = text.get(start + 1) else {
        return 0;
    };
    let second = text.get(start + 2).copied();
    match (fold(first), second.map(fold)) {
        (b's' | b't' | b'm' | b'd', _) => 2,
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => 3,
        // U+017F is C5 BF.
        (0xC5, _) if any_case && second == Some(0xBF) => 3,
        _ => 0,
    }
}
