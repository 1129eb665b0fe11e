//! What each code point is, as the reference's regex engine and normalizer see it.

use std::sync::LazyLock;

use super::unicode_data::RUNS;

/// `\p{L}`.
pub(super) const LETTER: u16 = 1 << 0;
/// `\p{N}`.
pub(super) const NUMBER: u16 = 1 << 1;
/// `\s`.
pub(super) const SPACE: u16 = 1 << 2;
/// `\p{M}`.
pub(super) const MARK: u16 = 1 << 3;
/// `\p{P}`.
pub(super) const PUNCTUATION: u16 = 1 << 4;
/// `\p{S}`.
pub(super) const SYMBOL: u16 = 1 << 5;
/// `[\p{Lu}\p{Lt}]`.
pub(super) const UPPER: u16 = 1 << 6;
/// `\p{Ll}`.
pub(super) const LOWER: u16 = 1 << 7;
/// `\w` of the `regex` crate, which the reference asks about the neighbours of added tokens.
pub(super) const WORD: u16 = 1 << 8;
/// The canonical combining class is not zero.
pub(super) const COMBINING: u16 = 1 << 9;
/// NFC may change it or join it to what stands before.
pub(super) const NFC_UNSURE: u16 = 1 << 10;
/// NFKC may change it or join it to what stands before.
pub(super) const NFKC_UNSURE: u16 = 1 << 11;

/// Code points of the basic plane: of at most three bytes.
const BASIC: usize = 0x1_0000;
const BLOCK: usize = 64;
const BLOCKS: usize = 0x11_0000 / BLOCK;

/// A two-level table: many blocks of code points are alike and share their flags.
pub(super) struct Classes {
    blocks: Box<[u16; BLOCKS]>,
    flags: Box<[u16]>,
    /// Those of the basic plane again, for one look-up instead of two.
    basic: Box<[u16; BASIC]>,
}

/// The one table of the process.
pub(super) static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::new);

impl Classes {
    fn new() -> Self {
        let mut all = vec![0u16; 0x11_0000];
        for (index, &(start, flags)) in RUNS.iter().enumerate() {
            let end = RUNS.get(index + 1).map_or(all.len(), |next| next.0 as usize);
            all[start as usize..end].fill(flags);
        }
        let mut known = std::collections::HashMap::new();
        #[allow(clippy::large_stack_arrays)] // 34 KB, once
        let mut blocks = Box::new([0; BLOCKS]);
        let mut flags: Vec<u16> = Vec::new();
        for (place, block) in blocks.iter_mut().zip(all.chunks_exact(BLOCK)) {
            let next = u16::try_from(flags.len() / BLOCK).unwrap_or(u16::MAX);
            let at: u16 = *known.entry(block).or_insert_with(|| {
                flags.extend_from_slice(block);
                next
            });
            *place = at;
        }
        all.truncate(BASIC);
        let basic = all.into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("as many"));
        Self { blocks, flags: flags.into_boxed_slice(), basic }
    }

    /// The flags of a code point.
    #[inline]
    pub(super) fn of(&self, code: u32) -> u16 {
        if let Some(flags) = self.basic.get(code as usize) {
            return *flags;
        }
        let block = self.blocks[code as usize / BLOCK % BLOCKS];
        self.flags[usize::from(block) * BLOCK + code as usize % BLOCK]
    }

    /// The flags of a byte below 128.
    #[inline]
    pub(super) fn ascii(&self, byte: u8) -> u16 {
        self.basic[usize::from(byte & 0x7F)]
    }

    /// The flags of the character that begins at `at` and its length; (0, 0) at the end.
    #[inline]
    pub(super) fn at(&self, text: &[u8], at: usize) -> (u16, usize) {
        match text.get(at) {
            None => (0, 0),
            Some(&byte) if byte < 0x80 => (self.ascii(byte), 1),
            Some(_) => self.beyond_ascii(text, at),
        }
    }

    /// The flags of a character beyond ASCII and its length.
    #[inline]
    pub(super) fn beyond_ascii(&self, text: &[u8], at: usize) -> (u16, usize) {
        let (code, length) = decode(text, at);
        (self.of(code), length)
    }
}

/// `at`, or where the character around it ends; at most the text's length.
#[inline]
pub(super) fn char_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
        at += 1;
    }
    at.min(text.len())
}

/// The character that begins at `at` in valid UTF-8, and its length.
///
/// Bytes that are no valid UTF-8 give some code point and a length of at least one: never a panic.
#[inline]
pub(super) fn decode(text: &[u8], at: usize) -> (u32, usize) {
    let lead = text.get(at).map_or(0, |&byte| u32::from(byte));
    let more = |behind: usize| text.get(at + behind).map_or(0, |&byte| u32::from(byte & 0x3F));
    if lead < 0x80 {
        (lead, 1)
    } else if lead < 0xE0 {
        ((lead & 0x1F) << 6 | more(1), 2)
    } else if lead < 0xF0 {
        ((lead & 0x0F) << 12 | more(1) << 6 | more(2), 3)
    } else {
        let code = (lead & 0x07) << 18 | more(1) << 12 | more(2) << 6 | more(3);
        (code.min(0x10_FFFF), 4)
    }
}

/// Where the character that ends at `end` begins.
#[inline]
pub(super) fn previous(text: &[u8], end: usize) -> usize {
    let mut start = end.saturating_sub(1);
    while start > 0 && text[start] & 0xC0 == 0x80 {
        start -= 1;
    }
    start
}

#[cfg(test)]
#[allow(clippy::expect_used)] // tests say what went wrong by failing
mod tests {
    use tokenizers::utils::SysRegex;
    use unicode_normalization_alignments::UnicodeNormalization;
    use unicode_normalization_alignments::char::canonical_combining_class;

    use super::*;

    /// The committed table against the reference's own engines, for every code point.
    #[test]
    fn flags_are_those_of_the_reference() {
        let text: String = ('\0'..=char::MAX).collect();
        for (flag, class) in [
            (LETTER, r"\p{L}"),
            (NUMBER, r"\p{N}"),
            (SPACE, r"\s"),
            (MARK, r"\p{M}"),
            (PUNCTUATION, r"\p{P}"),
            (SYMBOL, r"\p{S}"),
            (UPPER, r"[\p{Lu}\p{Lt}]"),
            (LOWER, r"\p{Ll}"),
        ] {
            let regex = SysRegex::new(class).expect("a class");
            let mut matched = vec![false; text.len() + 1];
            for (start, _) in regex.find_iter(&text) {
                matched[start] = true;
            }
            for (at, c) in text.char_indices() {
                let ours = CLASSES.of(u32::from(c)) & flag != 0;
                assert_eq!(ours, matched[at], "{class} and {c:?}");
            }
        }
        let word = regex::Regex::new(r"^\w$").expect("a class");
        let mut buffer = [0; 4];
        for c in '\0'..=char::MAX {
            let ours = CLASSES.of(u32::from(c)) & WORD != 0;
            assert_eq!(ours, word.is_match(c.encode_utf8(&mut buffer)), "{c:?}");
        }
    }

    #[test]
    fn sure_characters_are_stable() {
        for c in '\0'..=char::MAX {
            let flags = CLASSES.of(u32::from(c));
            assert_eq!(flags & COMBINING != 0, canonical_combining_class(c) != 0, "{c:?}");
            let one = c.to_string();
            if flags & NFC_UNSURE == 0 {
                assert!(one.nfc().map(|(c, _)| c).eq([c]), "{c:?}");
            }
            if flags & NFKC_UNSURE == 0 {
                assert!(one.nfkc().map(|(c, _)| c).eq([c]), "{c:?}");
            }
        }
        // What the scans pass without a look.
        let unsure = NFC_UNSURE | COMBINING;
        assert!((0x80..0x300).all(|code| CLASSES.of(code) & unsure == 0));
        let unsure = unsure | NFKC_UNSURE;
        assert!((0x4000..0xA000).all(|code| CLASSES.of(code) & unsure == 0));
        assert!((0x5000..0x9000).all(|code| CLASSES.of(code) & LETTER != 0));
        assert!((0x620..=0x64A).all(|code| CLASSES.of(code) & unsure == 0));
        let is_sure =
            |code: u32| code == 0x93C || (0x94D..0x960).contains(&code) || CLASSES.of(code) & unsure == 0;
        assert!((0x900..0x980).all(is_sure));
    }

    #[test]
    fn decoding_never_leaves_the_code_points() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            assert_eq!(decode(text.as_bytes(), 0), (u32::from(c), c.len_utf8()));
        }
        for byte in 0..=255u8 {
            assert!(decode(&[byte, 0xFF, 0xFF, 0xFF], 0).0 <= 0x10_FFFF);
            assert!(decode(&[byte], 0).1 >= 1);
        }
    }
}
