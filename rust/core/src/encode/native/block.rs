//! What the bytes of a text are, sixty-four at a time: one bit a byte for every class.
//!
//! Sixteen bytes are compared at once with the vector instructions that every x86-64 and every aarch64
//! has. Wider ones, which some have, do not pay: with all of the encoder compiled for them it was one to three percent
//! faster.

use wide::u8x16;

/// Bytes in a block.
pub(super) const BLOCK: usize = 64;

/// The bytes of the block that begins at `at`, zeros beyond the text.
#[inline]
pub(super) fn block_at(text: &[u8], at: usize) -> [u8; BLOCK] {
    if let Some(Ok(block)) = text.get(at..at + BLOCK).map(<[u8; BLOCK]>::try_from) {
        return block;
    }
    let mut block = [0; BLOCK];
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.len().min(BLOCK);
    block[..length].copy_from_slice(&rest[..length]);
    block
}

/// A bit for every byte of the block that passes the test.
#[inline]
pub(super) fn mask(block: &[u8; BLOCK], test: impl Fn(u8x16) -> u8x16) -> u64 {
    let mut mask = 0;
    for (index, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
        mask |= u64::from(test(u8x16::new(*sixteen)).to_bitmask()) << (16 * index);
    }
    mask
}

/// Bytes from `low` to `high`.
#[inline]
pub(super) fn within(bytes: u8x16, low: u8, high: u8) -> u8x16 {
    (bytes - u8x16::splat(low)).simd_le(u8x16::splat(high - low))
}

/// ASCII letters.
#[inline]
pub(super) fn letters(block: &[u8; BLOCK]) -> u64 {
    mask(block, |bytes| within(bytes | u8x16::splat(0x20), b'a', b'z'))
}

/// Bytes that do not begin a character.
#[inline]
pub(super) fn inside(block: &[u8; BLOCK]) -> u64 {
    mask(block, |bytes| within(bytes, 0x80, 0xBF))
}

/// All bytes of characters beyond ASCII.
#[inline]
pub(super) fn beyond_ascii(block: &[u8; BLOCK]) -> u64 {
    mask(block, |bytes| bytes)
}

/// Bytes that begin a character beyond ASCII.
#[inline]
pub(super) fn leads(block: &[u8; BLOCK]) -> u64 {
    mask(block, |bytes| bytes.simd_ge(u8x16::splat(0xC0)))
}

/// First bytes of characters of scripts without spaces between words, all of three bytes: Chinese and
/// Japanese (U+3000 to U+9FFF, and full-width forms), Thai and Lao, Burmese and Khmer.
#[inline]
pub(super) fn unspaced(block: &[u8; BLOCK]) -> u64 {
    let second = |low, high| mask(block, |bytes| within(bytes, low, high)) >> 1;
    let first = |byte| mask(block, |bytes| bytes.simd_eq(u8x16::splat(byte)));
    let mut found = mask(block, |bytes| within(bytes, 0xE3, 0xE9)) | first(0xEF);
    let others = mask(block, |bytes| within(bytes, 0xE0, 0xE1));
    if others != 0 {
        found |= first(0xE0) & second(0xB8, 0xBB) | first(0xE1) & second(0x80, 0x9F);
    }
    found
}

/// First bytes of the letters of Arabic, U+0620 to U+064A, that lie whole in the block.
#[inline]
pub(super) fn arabic_letters(block: &[u8; BLOCK]) -> u64 {
    let first = |byte| mask(block, |bytes| bytes.simd_eq(u8x16::splat(byte)));
    let second = |low, high| mask(block, |bytes| within(bytes, low, high)) >> 1;
    first(0xD8) & second(0xA0, 0xBF) | first(0xD9) & second(0x80, 0x8A)
}

/// First bytes of Devanagari characters that lie whole in the block: of U+0900 to U+093F, and of U+0940 to U+097F. (In Hindi
/// they are all but spaces, and what [`third_byte`] says of them is cheaper than a look at each.)
#[inline]
pub(super) fn devanagari(block: &[u8; BLOCK]) -> [u64; 2] {
    let whole = mask(block, |bytes| bytes.simd_eq(u8x16::splat(0xE0))) & (!0 >> 2);
    if whole == 0 {
        return [0; 2];
    }
    [0xA4, 0xA5].map(|second| whole & (mask(block, |bytes| bytes.simd_eq(u8x16::splat(second))) >> 1))
}

/// Bytes of which the second after them is from `low` to `high`.
#[inline]
pub(super) fn third_byte(block: &[u8; BLOCK], low: u8, high: u8) -> u64 {
    mask(block, |bytes| within(bytes, low, high)) >> 2
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
