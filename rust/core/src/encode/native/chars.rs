//! Characters whose bytes become what they become whatever stands around them, so that merging can begin
//! with the whole character.
//!
//! As long as it is in parts, nothing that stands around it may merge with the first or the last of them at a lower rank
//! than the one at which two of the parts merge: the lowest rank goes first, so its own bytes make it whole before
//! anything else can take a part of it. And every merge that takes the whole character must
//! rank after the merges that make it: then nothing that stands around it could have merged differently
//! because it was whole too early. Vocabularies hold many a token of a space and the first byte of a character,
//! so there are characters that are formed unless a space stands before them.

use super::pairs::{MAX_ID, NONE, Pairs};

/// What a character becomes: a symbol, or with [`SEVERAL`] where its ids stand; 0 for a character that is not formed.
type Packed = u32;

/// Marks a character that becomes more than one id.
const SEVERAL: Packed = 1 << 30;
/// Marks a character that is not formed behind a space.
const NOT_SPACED: Packed = 1 << 31;
const BASIC: usize = 0x1_0000;
/// Behind the last character of two bytes.
const TWO_BYTES: u32 = 0x800;

/// The characters of the basic plane.
#[derive(Default)]
pub(super) struct Formed {
    packed: Vec<Packed>,
    /// Ids of characters that become two or three; of two the third is [`NONE`].
    several: Vec<[u32; 3]>,
    /// By code point, what characters of at most two bytes begin as, formed or not: one symbol and [`NONE`], or two. Empty until
    /// the symbols have their numbers.
    of_two_bytes: Vec<[u32; 2]>,
}

/// By id, the lowest ranks at which a token that is a part of a character merges with something outside of it.
pub(super) struct Outside {
    /// The first part, with what stands before the character and does not end in a space.
    before: Vec<u32>,
    /// The first part, with what does.
    spaced: Vec<u32>,
    /// The last part, with what stands behind it.
    behind: Vec<u32>,
}

impl Outside {
    /// `merges`: both tokens and what they become, by rank; `tokens`: by id, its bytes.
    pub(super) fn new(merges: &[[u32; 3]], tokens: &[&[u8]]) -> Self {
        let none = vec![NONE; tokens.len()];
        let mut outside = Self { before: none.clone(), spaced: none.clone(), behind: none };
        for (rank, &[left, right, _]) in (0..).zip(merges) {
            let [before, behind] = [left, right].map(|id| tokens[id as usize]);
            let ranks = if before.last() == Some(&b' ') { &mut outside.spaced } else { &mut outside.before };
            ranks[right as usize] = ranks[right as usize].min(rank);
            // What begins inside a character stands behind no other.
            if behind.first().is_some_and(|byte| byte & 0xC0 != 0x80) {
                let lowest = &mut outside.behind[left as usize];
                *lowest = rank.min(*lowest);
            }
        }
        outside
    }

    /// The lowest ranks for a character in parts: without a space before it, and with one.
    fn lowest(&self, parts: &[u32]) -> [u32; 2] {
        let of = |ranks: &[u32], id: Option<&u32>| {
            id.and_then(|id| ranks.get(*id as usize)).copied().unwrap_or(NONE)
        };
        let [first, last] = [parts.first(), parts.last()];
        [of(&self.before, first).min(of(&self.behind, last)), of(&self.spaced, first)]
    }
}

impl Formed {
    /// `bytes`: the id of every byte; `first_use`: by id the lowest rank that takes it; `touched`: characters of which a
    /// token holds a part only.
    pub(super) fn new(
        bytes: &[u32; 256],
        pairs: &Pairs,
        first_use: &[u32],
        outside: &Outside,
        touched: &[bool],
    ) -> Self {
        let mut formed = Self { packed: vec![0; BASIC], several: Vec::new(), of_two_bytes: Vec::new() };
        let mut buffer = [0; 4];
        for (code, packed) in (0..).zip(&mut formed.packed) {
            let Some(c) = char::from_u32(code).filter(|c| !c.is_ascii()) else {
                continue;
            };
            let mut ids: Vec<u32> =
                c.encode_utf8(&mut buffer).bytes().map(|byte| bytes[usize::from(byte)]).collect();
            let Some((highest, spaced)) = form(pairs, outside, &mut ids) else {
                continue;
            };
            if ids.len() > 1 && touched.get(code as usize).is_none_or(|touched| *touched) {
                continue; // what is left of it may still be taken
            }
            let used = |id: u32| first_use.get(id as usize).copied().unwrap_or(NONE);
            let whole_too_early = matches!(ids[..], [id] if used(id) < highest);
            if whole_too_early || ids.iter().any(|&id| id > MAX_ID) {
                continue;
            }
            let what = match ids[..] {
                [id] => id,
                [first, second, ref third @ ..] => {
                    formed.several.push([first, second, third.first().copied().unwrap_or(NONE)]);
                    u32::try_from(formed.several.len() - 1).unwrap_or(0) | SEVERAL
                }
                [] => continue,
            };
            *packed = what | if spaced { 0 } else { NOT_SPACED };
        }
        formed
    }

    /// The characters that are one token each.
    pub(super) fn whole(&self) -> impl Iterator<Item = (char, u32)> {
        let whole = (0..).zip(&self.packed).filter(|(_, packed)| **packed != 0 && **packed & SEVERAL == 0);
        whole.filter_map(|(code, packed)| char::from_u32(code).map(|c| (c, packed & MAX_ID)))
    }

    /// The symbol of a character that is one token.
    pub(super) fn symbol(&self, c: char) -> Option<u32> {
        let packed = self.packed.get(c as usize).copied().unwrap_or(0);
        (packed != 0 && packed & SEVERAL == 0).then_some(packed & !NOT_SPACED)
    }

    /// Has a character that is one token be this symbol.
    pub(super) fn name(&mut self, c: char, symbol: u32) {
        if let Some(packed) = self.packed.get_mut(c as usize) {
            *packed = symbol | *packed & NOT_SPACED;
        }
    }

    /// Notes what characters of at most two bytes begin as, given what bytes do.
    pub(super) fn note_two_bytes(&mut self, bytes: &[u32; 256]) {
        self.of_two_bytes.clear();
        let begin_as = |code| {
            let mut symbols = Vec::new();
            if !self.push(code, false, &mut symbols) {
                let c = char::from_u32(code).unwrap_or_default();
                symbols.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| bytes[usize::from(byte)]));
            }
            symbols.resize(2, NONE);
            [symbols[0], symbols[1]]
        };
        self.of_two_bytes = (0..TWO_BYTES).map(begin_as).collect();
    }

    /// Appends the symbols of a character, all of whose bytes are there; false if its bytes have to stand for it.
    #[inline]
    pub(super) fn push(&self, code: u32, after_space: bool, symbols: &mut Vec<u32>) -> bool {
        let packed = self.packed.get(code as usize).copied().unwrap_or(0);
        if let Some(two) = self.of_two_bytes.get(code as usize)
            && !(after_space && packed & NOT_SPACED != 0)
        {
            // Both are written, since no processor foresees which characters are one.
            let length = symbols.len() + 2 - usize::from(two[1] == NONE);
            symbols.extend_from_slice(two);
            symbols.truncate(length);
            return true;
        }
        if packed == 0 || after_space && packed & NOT_SPACED != 0 {
            return false;
        }
        let what = packed & !NOT_SPACED;
        if what & SEVERAL == 0 {
            symbols.push(what);
            return true;
        }
        if let Some([two @ .., third]) = self.several.get((what & !SEVERAL) as usize) {
            symbols.extend_from_slice(two);
            if *third != NONE {
                symbols.push(*third);
            }
        }
        true
    }
}

/// Merges the bytes of one character: the highest rank that took, and whether a space may stand before it. None if
/// something else might take a part before.
fn form(pairs: &Pairs, outside: &Outside, ids: &mut Vec<u32>) -> Option<(u32, bool)> {
    let ranks = pairs.ranks();
    let (mut highest, mut spaced) = (0, true);
    loop {
        let lowest = (ids.windows(2).enumerate())
            .map(|(at, two)| (ranks.rank(two[0], two[1]), at))
            .min()
            .filter(|lowest| lowest.0 != NONE);
        let Some((rank, at)) = lowest else {
            return Some((highest, spaced));
        };
        let [any, after_space] = outside.lowest(ids);
        if any < rank {
            return None;
        }
        spaced &= rank < after_space;
        ids[at] = pairs.result(rank);
        ids.remove(at + 1);
        highest = highest.max(rank);
    }
}
