//! What the bytes of a text are, sixty-four at a time: one bit a byte for every class.

use wide::u8x16;

/// Bytes in a block.
pub(super) const BLOCK: usize = 64;

/// The bytes of the block that begins at `at`; beyond the text, zeros.
#[inline]
pub(super) fn block_at<'t>(text: &'t [u8], at: usize, rest: &'t mut [u8; BLOCK]) -> &'t [u8; BLOCK] {
    let some = text.get(at..).unwrap_or_default();
    if let Some(block) = some.first_chunk() {
        return block;
    }
    rest[..some.len()].copy_from_slice(some);
    rest[some.len()..].fill(0);
    rest
}

/// Sixty-four bytes that can be compared at once.
pub(super) trait Compare: Copy {
    /// Which of them are this byte.
    fn equal(self, byte: u8) -> u64;

    /// Which of them are from `low` to `high`.
    fn within(self, low: u8, high: u8) -> u64;

    /// ASCII letters.
    #[inline(always)]
    fn letters(self) -> u64 {
        self.within(b'a', b'z') | self.within(b'A', b'Z')
    }

    /// Bytes of characters beyond ASCII.
    #[inline(always)]
    fn high(self) -> u64 {
        self.within(0x80, 0xFF)
    }
}

/// Compares sixteen at a time, with the vectors that every x86-64 and every aarch64 has.
#[derive(Clone, Copy)]
pub(super) struct Plain<'b>(pub(super) &'b [u8; BLOCK]);

impl Compare for Plain<'_> {
    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        mask(self.0, |bytes| bytes.simd_eq(u8x16::splat(byte)))
    }

    #[inline(always)]
    fn within(self, low: u8, high: u8) -> u64 {
        mask(self.0, |bytes| within(bytes, low, high))
    }

    #[inline(always)]
    fn letters(self) -> u64 {
        mask(self.0, |bytes| within(bytes | u8x16::splat(0x20), b'a', b'z'))
    }

    #[inline(always)]
    fn high(self) -> u64 {
        mask(self.0, |bytes| bytes)
    }
}

/// A bit for every byte of the block that passes the test.
#[inline]
fn mask(block: &[u8; BLOCK], test: impl Fn(u8x16) -> u8x16) -> u64 {
    let mut mask = 0;
    for (index, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
        mask |= u64::from(test(u8x16::new(*sixteen)).to_bitmask()) << (16 * index);
    }
    mask
}

#[inline]
fn within(bytes: u8x16, low: u8, high: u8) -> u8x16 {
    (bytes - u8x16::splat(low)).simd_le(u8x16::splat(high - low))
}

/// Which bytes are among others.
#[inline(always)]
pub(super) fn one_of(bytes: impl Compare, others: &[u8]) -> u64 {
    others.iter().fold(0, |found, other| found | bytes.equal(*other))
}

/// Bytes that do not begin a character.
#[inline(always)]
pub(super) fn inside(bytes: impl Compare) -> u64 {
    bytes.within(0x80, 0xBF)
}

/// Bytes that begin a character beyond ASCII.
#[inline(always)]
pub(super) fn leads(bytes: impl Compare) -> u64 {
    bytes.within(0xC0, 0xFF)
}

/// First bytes of characters of scripts without spaces between words, all of three bytes: Chinese and
/// Japanese (U+3000 to U+9FFF, and full-width forms), Thai and Lao, Burmese and Khmer.
#[inline(always)]
pub(super) fn unspaced(bytes: impl Compare) -> u64 {
    let mut found = bytes.within(0xE3, 0xE9) | bytes.equal(0xEF);
    if bytes.within(0xE0, 0xE1) != 0 {
        found |= bytes.equal(0xE0) & second_byte(bytes, 0xB8, 0xBB)
            | bytes.equal(0xE1) & second_byte(bytes, 0x80, 0x9F);
    }
    found
}

/// First bytes of the letters of Arabic, U+0620 to U+064A, that lie whole in the block.
#[inline(always)]
pub(super) fn arabic_letters(bytes: impl Compare) -> u64 {
    bytes.equal(0xD8) & second_byte(bytes, 0xA0, 0xBF) | bytes.equal(0xD9) & second_byte(bytes, 0x80, 0x8A)
}

/// First bytes of Devanagari characters that lie whole in the block: of U+0900 to U+093F, and of U+0940 to U+097F. (In Hindi
/// they are all but spaces, and what [`third_byte`] says of them is cheaper than a look at each.)
#[inline(always)]
pub(super) fn devanagari(bytes: impl Compare) -> [u64; 2] {
    let whole = bytes.equal(0xE0) & (!0 >> 2);
    if whole == 0 {
        return [0; 2];
    }
    [whole & (bytes.equal(0xA4) >> 1), whole & (bytes.equal(0xA5) >> 1)]
}

/// Bytes of which the next is from `low` to `high`.
#[inline(always)]
pub(super) fn second_byte(bytes: impl Compare, low: u8, high: u8) -> u64 {
    bytes.within(low, high) >> 1
}

/// Bytes of which the second after them is from `low` to `high`.
#[inline(always)]
pub(super) fn third_byte(bytes: impl Compare, low: u8, high: u8) -> u64 {
    bytes.within(low, high) >> 2
}

/// The bits of the ones that follow, the last of them from the next word.
#[inline]
pub(super) fn following(word: u64, next: u64) -> u64 {
    word >> 1 | next << 63
}

/// The bits of the ones before, the first of them from the previous word.
#[inline]
pub(super) fn preceding(word: u64, previous: u64) -> u64 {
    word << 1 | previous >> 63
}

/// All bytes of the characters of which these are the first bytes: those inside follow, up to three of them.
#[inline]
pub(super) fn whole(mut firsts: u64, previous: u64, inside: u64) -> u64 {
    for _ in 0..3 {
        firsts |= preceding(firsts, previous) & inside;
    }
    firsts
}
