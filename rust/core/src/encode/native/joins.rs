//! Where text may be cut without changing a single id.
//!
//! A merge joins two neighbouring symbols into a token that some merge makes. If no such token holds
//! the characters a and b next to each other, no merge can ever span the boundary between them: both
//! sides can be encoded on their own. The table holds the pairs of characters that can join; it is a
//! filter that may say "can join" of a pair that cannot (a cut forgone), never the other way round.

use super::memory::Words;
use super::unicode::decode;

/// A hashed bit for every pair of characters that can join.
pub(super) struct Joins {
    pairs: Words,
    /// Characters of the basic plane of which some token holds a part beside bytes of others.
    touched: Vec<bool>,
    /// Tokens that begin inside one character and end inside the next: the last six bits of the one,
    /// the first byte of the other.
    inside_both: [u64; 64],
    has_both: bool,
    /// Some token begins or ends inside a character of four bytes: those are never cut off.
    four_bytes_join: bool,
}

/// 2^20 bits: 128 KiB, of which real vocabularies set three in a hundred.
const BITS: u32 = 20;

impl Joins {
    pub(super) fn new() -> Self {
        Self {
            pairs: Words::zeroed(1 << (BITS - 6)),
            touched: vec![false; 0x1_0000],
            inside_both: [0; 64],
            has_both: false,
            four_bytes_join: false,
        }
    }

    #[inline]
    fn bit(left: u32, right: u32) -> u32 {
        (left.wrapping_mul(0x9E37_79B1) ^ right.wrapping_mul(0x85EB_CA77).rotate_left(15))
            .wrapping_mul(0xC2B2_AE3D)
            >> (32 - BITS)
    }

    /// These two characters can join.
    pub(super) fn add(&mut self, left: u32, right: u32) {
        let bit = Self::bit(left, right);
        self.pairs.get_mut()[bit as usize / 64] |= 1 << (bit % 64);
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
            match (left_begins, right_ends) {
                (true, true) => self.add(left, right),
                (true, false) => self.add_beginning(Some(left), &token[at..]),
                (false, true) => self.add_ending(&token[start..at], Some(right)),
                (false, false) => {
                    self.add_beginning(None, &token[at..]);
                    self.add_ending(&token[start..at], None);
                    self.has_both = true;
                    self.four_bytes_join = true;
                    let left_end = usize::from(token[at - 1] & 0x3F);
                    self.inside_both[left_end] |= 1 << first_byte_class_of(token[at]);
                }
            }
        }
    }

    /// `left` can join every character that begins with these bytes.
    fn add_beginning(&mut self, left: Option<u32>, beginning: &[u8]) {
        let length = length_of(beginning[0]);
        if length == 4 {
            self.four_bytes_join = true;
            return;
        }
        // What is missing are six bits a byte.
        let mut whole = [0x80; 3];
        whole[..beginning.len()].copy_from_slice(beginning);
        let first = decode(&whole[..length], 0).0;
        for right in first..first + (1 << (6 * (length - beginning.len()))) {
            self.touched[right as usize] = true;
            if let Some(left) = left {
                self.add(left, right);
            }
        }
    }

    /// Every character that ends with these bytes can join `right`.
    fn add_ending(&mut self, ending: &[u8], right: Option<u32>) {
        self.four_bytes_join = true;
        let low = (ending.iter().rev().take(2).rev()).fold(0, |low, &byte| low << 6 | u32::from(byte & 0x3F));
        let step = 1 << (6 * ending.len().min(2));
        let mut left = low;
        while left < 0x1_0000 {
            if left >= 0x80 {
                self.touched[left as usize] = true;
                if let Some(right) = right {
                    self.add(left, right);
                }
            }
            left += step;
        }
    }

    /// Whether some token ends inside the one and begins inside the other.
    #[inline]
    fn both(&self, left: u32, right: u32) -> bool {
        (left >= 0x80)
            & (right >= 0x80)
            & (self.inside_both[left as usize & 0x3F] >> first_byte_class(right) & 1 != 0)
    }

    /// By code point of the basic plane: whether some token holds a part of it beside bytes of others.
    pub(super) fn touched(&self) -> &[bool] {
        &self.touched
    }

    /// The table, ready for look-ups.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View { pairs: self.pairs.get(), joins: self }
    }
}

/// The table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pairs: &'a [u64],
    joins: &'a Joins,
}

impl View<'_> {
    /// Whether a merge might span the boundary between the two characters.
    #[inline]
    pub(super) fn can_join(self, left: u32, right: u32) -> bool {
        let bit = Joins::bit(left, right);
        let pair = self.pairs[bit as usize / 64] >> (bit % 64) & 1 != 0;
        // All asked, without a branch that could not be foreseen.
        let four = self.joins.four_bytes_join & ((left | right) >= 0x1_0000);
        pair | four | (self.joins.has_both && self.joins.both(left, right))
    }
}

/// The first byte of a character of two or three bytes, as one of 64 classes.
#[inline]
fn first_byte_class(code: u32) -> u32 {
    if code < 0x800 { 16 + (code >> 6) } else { code >> 12 & 0xF }
}

/// The same of the byte itself; four bytes are dealt with elsewhere.
fn first_byte_class_of(first: u8) -> u32 {
    let first = u32::from(first);
    if first < 0xE0 { 16 + (first & 0x1F) } else { first & 0x0F }
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
