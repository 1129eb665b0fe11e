//! Where text may be cut without changing a single id.
//!
//! A merge joins two neighbouring symbols into a token that some merge makes. If no such token holds
//! the characters a and b next to each other, no merge can ever span the boundary between them: both
//! sides can be encoded on their own. The table holds the pairs of characters that can join; it is a
//! filter that may say "can join" of a pair that cannot (a cut forgone), never the other way round.

pub(super) use super::adjacent::Spelling;
use super::adjacent::{self, Adjacent, Beside, pair};
use super::unicode::decode;

/// What is known of characters side by side.
pub(super) struct Joins {
    pairs: Adjacent,
    /// It knows all pairs, not only those of characters of three bytes, which is all that is asked for where bytes are symbols.
    all: bool,
    /// Characters of the basic plane of which some token holds a part beside bytes of others.
    touched: Vec<bool>,
    /// Tokens that begin inside one character and end inside the next: the last six bits of the one,
    /// the first byte of the other.
    inside_both: [u64; 64],
    has_both: bool,
    /// First bytes of three that those tokens end with.
    torn_threes: Vec<u8>,
    /// Some token begins or ends inside a character of four bytes: those are never cut off.
    four_bytes_join: bool,
    /// How often characters of three bytes that begin with E0 stand side by side, and letters of Arabic.
    indic: usize,
    arabic: usize,
    /// Of each of [`SPACES`]: some token holds something else before it.
    joined: [bool; 2],
}

/// Scripts with spaces between words of which hardly any token holds two letters side by side: a word is as many tokens as
/// it has letters, so it is not worth to know.
#[derive(Clone, Copy)]
pub(super) struct Apart {
    /// All characters of three bytes that begin with E0: those of India, Thai, Lao.
    pub(super) indic: bool,
    /// U+0600 to U+06FF.
    pub(super) arabic: bool,
}

/// So often is hardly ever: vocabularies have some hundreds of pairs or next to none.
const HARDLY_EVER: usize = 16;

/// What a space may be read as, so that it is worth to know what stands before it.
const SPACES: [char; 2] = [' ', '▁'];

impl Joins {
    /// `all`: all pairs will be asked for, not only those of characters of three bytes. (Of others it says that they do not join.)
    pub(super) fn new(all: bool) -> Self {
        Self {
            pairs: Adjacent::new(),
            all,
            touched: vec![false; 0x1_0000],
            inside_both: [0; 64],
            has_both: false,
            torn_threes: Vec::new(),
            four_bytes_join: false,
            indic: 0,
            arabic: 0,
            joined: [false; 2],
        }
    }

    /// These two characters can join; if another is given, where it stands beside them.
    fn add(&mut self, left: u32, right: u32, beside: Option<Beside>) {
        let (Some(left), Some(right)) = (char::from_u32(left), char::from_u32(right)) else {
            return; // surrogates stand in no text
        };
        for (space, joined) in SPACES.iter().zip(&mut self.joined) {
            *joined |= right == *space && left != *space;
        }
        let both_within = |low, high| usize::from([left, right].iter().all(|c| (low..=high).contains(c)));
        self.indic += both_within('\u{800}', '\u{FFF}');
        self.arabic += both_within('\u{600}', '\u{6FF}');
        if self.all || [left, right].iter().all(|c| c.len_utf8() == 3) {
            self.pairs.add(pair(spelling(left), spelling(right)), beside);
        }
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
                (true, true) => self.add(left, right, beside(token, start, at)),
                (true, false) => self.add_beginning(Some(left), &token[at..]),
                (false, true) => self.add_ending(&token[start..at], Some(right)),
                (false, false) => {
                    self.add_beginning(None, &token[at..]);
                    self.add_ending(&token[start..at], None);
                    self.has_both = true;
                    if matches!(token[at], 0xE0..=0xEF) && !self.torn_threes.contains(&token[at]) {
                        self.torn_threes.push(token[at]);
                    }
                    self.four_bytes_join = true;
                    let left_end = usize::from(token[at - 1] & 0x3F);
                    self.inside_both[left_end] |= 1 << (token[at] & 0x3F);
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
                self.add(left, right, None);
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
                    self.add(left, right, None);
                }
            }
            left += step;
        }
    }

    /// By code point of the basic plane: whether some token holds a part of it beside bytes of others.
    pub(super) fn touched(&self) -> &[bool] {
        &self.touched
    }

    /// Whether no merge ever joins such a space to what stands before it, unless that is one too.
    pub(super) fn begins_words(&self, space: char) -> bool {
        let known = SPACES.iter().position(|known| *known == space);
        known.is_some_and(|known| !self.joined[known]) && !self.touched[space as usize]
    }

    /// The table, ready for look-ups.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View { pairs: self.pairs.view(), joins: self }
    }
}

/// The table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) pairs: adjacent::View<'a>,
    joins: &'a Joins,
}

impl View<'_> {
    /// Whether a merge might span the boundary between the two characters.
    #[inline]
    pub(super) fn can_join(self, left: Spelling, right: Spelling) -> bool {
        // All asked, without a branch that could not be foreseen.
        let four = self.joins.four_bytes_join & (left.max(right) > 0x00FF_FFFF);
        self.pair(left, right) | four | self.inside_both(last_byte(left), right)
    }

    /// First bytes of characters of three bytes in which tokens end that begin inside the character before.
    #[inline]
    pub(super) fn torn_threes(&self) -> &[u8] {
        &self.joins.torn_threes
    }

    /// Which scripts fall into letters.
    #[inline]
    pub(super) fn apart(self) -> Apart {
        Apart { indic: self.joins.indic <= HARDLY_EVER, arabic: self.joins.arabic <= HARDLY_EVER }
    }

    /// Whether some token holds the two characters side by side.
    #[inline]
    pub(super) fn pair(self, left: Spelling, right: Spelling) -> bool {
        self.pairs.has(pair(left, right))
    }

    /// Whether some token ends inside the one and begins inside the other; by the last byte of the one and
    /// the first of the other.
    #[inline]
    #[allow(clippy::needless_bitwise_bool)] // a branch that could not be foreseen costs more than the look-up
    pub(super) fn inside_both(self, last: u32, first: u32) -> bool {
        self.joins.has_both & (self.joins.inside_both[last as usize & 0x3F] >> (first & 0x3F) & 1 != 0)
    }
}

pub(super) fn spelling(c: char) -> Spelling {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes);
    u32::from_le_bytes(bytes)
}

/// The last byte of a character.
#[inline]
pub(super) fn last_byte(spelling: Spelling) -> u32 {
    spelling >> (24 - (spelling.leading_zeros() / 8 * 8).min(24))
}

/// The character that begins at `at`, and its length.
#[inline]
pub(super) fn spelling_at(text: &[u8], at: usize) -> (Spelling, usize) {
    let mut bytes = [0; 4];
    if let Some(four) = text.get(at..at + 4) {
        bytes.copy_from_slice(four);
    } else if let Some(rest) = text.get(at..) {
        bytes[..rest.len()].copy_from_slice(rest);
    }
    let length = length_of(bytes[0]);
    (u32::from_le_bytes(bytes) & (u32::MAX >> (32 - 8 * length)), length)
}

/// What stands in a token beside two characters, of which one begins at `start` and the next at `at`.
fn beside(token: &[u8], start: usize, at: usize) -> Option<Beside> {
    let three = |at: usize| {
        let (spelling, length) = spelling_at(token, at);
        (length == 3 && token.len() >= at + 3 && !is_inside(token[at])).then_some(spelling)
    };
    three(start)?;
    three(at)?;
    let before = start.checked_sub(3).and_then(three).map(Beside::Before);
    before.or_else(|| (at + 3 < token.len()).then(|| three(at + 3)).flatten().map(Beside::Behind))
}

fn is_inside(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The length of a character by its first byte.
#[inline]
fn length_of(first: u8) -> usize {
    1 + usize::from(first >= 0x80) + usize::from(first >= 0xE0) + usize::from(first >= 0xF0)
}
