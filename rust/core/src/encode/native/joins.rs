//! Where text may be cut without changing a single id.
//!
//! A merge joins two neighbouring symbols into a token that some merge makes. If no such token holds
//! the characters a and b next to each other, no merge can ever span the boundary between them: both
//! sides can be encoded on their own. The table holds the pairs of characters that can join; it is a
//! filter that may say "can join" of a pair that cannot (a cut forgone), never the other way round.

use super::unicode::decode;

/// A hashed bit for every pair of characters that can join.
pub(super) struct Joins {
    pairs: Vec<u64>,
    /// Characters (their low 16 bits) after which a token ends inside the next character.
    ends_inside_next: Vec<u64>,
    /// Characters (their low 16 bits) before which a token begins inside the previous character.
    begins_inside_previous: Vec<u64>,
    /// Tokens that do both: the last byte of the one character, the first byte of the other.
    inside_both: [u64; 64],
    has_partial: bool,
}

/// 2^21 bits: 256 KiB.
const BITS: u32 = 21;
/// Stand for "a character that begins with this byte" and "that ends with this byte" in the table of
/// pairs, beyond all code points.
const BEGINS: u32 = 0x20_0000;
const ENDS: u32 = 0x20_0100;

/// The first byte of a character of several bytes, as one of 64 classes.
#[inline]
fn first_byte_class(code: u32) -> u32 {
    match code {
        0..0x800 => 16 + (code >> 6),
        0x800..0x1_0000 => code >> 12,
        _ => 56 + (code >> 18),
    }
}

impl Joins {
    pub(super) fn new() -> Self {
        Self {
            pairs: vec![0; 1 << (BITS - 6)],
            ends_inside_next: vec![0; 1 << 10],
            begins_inside_previous: vec![0; 1 << 10],
            inside_both: [0; 64],
            has_partial: false,
        }
    }

    #[inline]
    fn bit(left: u32, right: u32) -> u32 {
        (left.wrapping_mul(0x9E37_79B1) ^ right.wrapping_mul(0x85EB_CA77).rotate_left(15))
            .wrapping_mul(0xC2B2_AE3D)
            >> (32 - BITS)
    }

    #[inline]
    fn has(&self, left: u32, right: u32) -> bool {
        let bit = Self::bit(left, right);
        self.pairs[bit as usize / 64] >> (bit % 64) & 1 != 0
    }

    /// These two characters can join.
    pub(super) fn add(&mut self, left: u32, right: u32) {
        let bit = Self::bit(left, right);
        self.pairs[bit as usize / 64] |= 1 << (bit % 64);
    }

    /// Notes every boundary between characters inside a token, which may begin and end inside a
    /// character.
    pub(super) fn add_token(&mut self, token: &[u8]) {
        for at in 1..token.len() {
            if is_inside(token[at]) {
                continue;
            }
            // What stands before the boundary: a whole character, or the end of one.
            let mut start = at - 1;
            while start > 0 && is_inside(token[start]) {
                start -= 1;
            }
            let left_begins = !is_inside(token[start]);
            if left_begins && length_of(token[start]) != at - start {
                continue; // no UTF-8: such a token is in no text
            }
            let right_ends = length_of(token[at]) <= token.len() - at;
            let left = decode(&token[..at], start).0;
            let right = decode(token, at).0;
            let right_class = first_byte_class_of(token[at]);
            let left_end = u32::from(token[at - 1] & 0x3F);
            self.has_partial |= !(left_begins && right_ends);
            match (left_begins, right_ends) {
                (true, true) => self.add(left, right),
                (true, false) => {
                    set(&mut self.ends_inside_next, left);
                    self.add(left, BEGINS + right_class);
                }
                (false, true) => {
                    set(&mut self.begins_inside_previous, right);
                    self.add(ENDS + left_end, right);
                }
                (false, false) => self.inside_both[left_end as usize] |= 1 << right_class,
            }
        }
    }

    /// Whether a merge might span the boundary between the two characters.
    #[inline]
    pub(super) fn can_join(&self, left: u32, right: u32) -> bool {
        self.has(left, right) || (self.has_partial && self.can_join_partly(left, right))
    }

    #[inline]
    fn can_join_partly(&self, left: u32, right: u32) -> bool {
        (get(&self.ends_inside_next, left)
            && right >= 0x80
            && self.has(left, BEGINS + first_byte_class(right)))
            || (left >= 0x80
                && ((get(&self.begins_inside_previous, right)
                    && self.has(ENDS + (left & 0x3F), right))
                    || (right >= 0x80
                        && self.inside_both[left as usize & 0x3F] >> first_byte_class(right) & 1
                            != 0)))
    }
}

fn set(bits: &mut [u64], code: u32) {
    bits[code as usize / 64 % 1024] |= 1 << (code % 64);
}

#[inline]
fn get(bits: &[u64], code: u32) -> bool {
    bits[code as usize / 64 % 1024] >> (code % 64) & 1 != 0
}

/// The same as [`first_byte_class`], of the byte itself.
fn first_byte_class_of(first: u8) -> u32 {
    let first = u32::from(first);
    match first {
        0..0xE0 => 16 + (first & 0x1F),
        0xE0..0xF0 => first & 0x0F,
        _ => 56 + (first & 0x07),
    }
}

fn is_inside(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

fn length_of(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    }
}
