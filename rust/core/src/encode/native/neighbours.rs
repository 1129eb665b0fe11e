//! What can become of symbols side by side, once what is certain of their letters has merged.
//!
//! The first certain merges (see [`Certain`](super::certain::Certain)) go by letters. What they leave are symbols of one or two
//! letters, and of those the same can be said again: let a and b merge at rank r, with p before and c behind them. If all merges
//! of something that ends in p with a rank after r, and so do all of b with something that begins with c, then a and b
//! merge. Letters at random mostly are what they become after that.
//!
//! And where no merge takes a token that ends with the one symbol and a token that begins with the other, there is a
//! border: it is one of the tokens in the end, whatever stands around. Of single letters hardly any are apart, but of what two
//! rounds make of them most, since few tokens are made of any five letters.
//!
//! Both are told by hashes, so of some neighbours more is feared than is true, and never less.

use super::certain::{EARLIEST, RANK_BITS, early};
use super::lanes::Lanes;
use super::vocab::Vocab;
use crate::memory::Words;

/// The most characters, begun or whole, of a symbol after one round and after two; letters have one each at most. And the most
/// bytes of a character.
const SHORT: usize = 2;
const LONG: usize = 4;
const CHARACTER: usize = 4;

/// The most words of the table, as a power of two: 2 MiB.
const MOST: u32 = 18;
/// Bits for every word, as a power of two: symbols of one round are joined by fewer merges than those of two.
const ONCE: u32 = 3;
const TWICE: u32 = 4;
/// Bits of a hash that stand above a rank in half a word.
const TAG_BITS: u32 = u32::BITS - RANK_BITS;
/// The hash that counts as any.
const ANY: u32 = (1 << (2 * TAG_BITS)) - 1;

/// Odd numbers without a pattern.
const LEFT: u32 = 0x9E37_79B9;
const RIGHT: u32 = 0x85EB_CA6B;

/// The tables.
pub(super) struct Neighbours {
    /// By hash, two ranks as in [`Certain`](super::certain::Certain): the lowest at which something that ends in the left merges with the right; and at which the left
    /// merges with something that begins with the right. Above each, bits of the hash.
    words: Words,
    size: u32,
    /// Whether they can be joined, after one round, and after two.
    pub(super) once: Joined,
    pub(super) twice: Joined,
}

/// Whether symbols can be joined, by hash.
pub(super) struct Joined {
    bits: Words,
    size: u32,
}

/// A symbol with which a token begins or ends.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    is_short: bool,
}

/// By id, the symbols with which tokens may begin or end, found when they are asked for.
struct Parts<'p> {
    find: &'p dyn Fn(&[u8], &mut Vec<Part>),
    tokens: &'p [&'p [u8]],
    found: Vec<Option<(u32, u32)>>,
    all: Vec<Part>,
}

impl Parts<'_> {
    #[allow(clippy::cast_possible_truncation)] // sixteen a token at most
    fn of(&mut self, id: u32) -> (u32, u32) {
        if let Some(found) = self.found[id as usize] {
            return found;
        }
        let start = self.all.len() as u32;
        (self.find)(self.tokens[id as usize], &mut self.all);
        let range = (start, self.all.len() as u32);
        self.found[id as usize] = Some(range);
        range
    }
}

/// How many characters begin in bytes.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

fn is_short(token: &[u8]) -> bool {
    token.len() <= SHORT * CHARACTER && characters(token) <= SHORT
}

impl Neighbours {
    /// `merges`: both tokens and what they become, by rank; `first_use`: by id, the lowest rank that takes it; `tokens`: by id,
    /// its bytes, of which `vocab` has the ids.
    pub(super) fn new(vocab: &Vocab, merges: &[[u32; 3]], first_use: &[u32], tokens: &[&[u8]]) -> Self {
        let size = (merges.len() * 2).next_power_of_two().ilog2().clamp(10, MOST);
        let (once, twice) = (Joined::new(size + ONCE), Joined::new(size + TWICE));
        let mut neighbours = Self { words: Words::zeroed(1 << size), size, once, twice };
        let part = |text: &[u8]| vocab.id(text).map(|id| Part { id, is_short: is_short(text) });
        let ends = |token: &[u8], parts: &mut Vec<Part>| {
            let suffixes = (0..token.len()).rev().take(LONG * CHARACTER).map(|start| &token[start..]);
            parts.extend(suffixes.take_while(|suffix| characters(suffix) <= LONG).filter_map(part));
        };
        let begins = |token: &[u8], parts: &mut Vec<Part>| {
            let prefixes = (1..=token.len()).take(LONG * CHARACTER).map(|end| &token[..end]);
            parts.extend(prefixes.take_while(|prefix| characters(prefix) <= LONG).filter_map(part));
        };
        let found = vec![None; tokens.len()];
        let mut ends = Parts { find: &ends, tokens, found: found.clone(), all: Vec::new() };
        let mut begins = Parts { find: &begins, tokens, found, all: Vec::new() };
        for (rank, &[left, right, made]) in (0..).zip(merges) {
            let early = early(rank);
            let (of_left, of_right) = (ends.of(left), begins.of(right));
            let ends = &ends.all[of_left.0 as usize..of_left.1 as usize];
            let begins = &begins.all[of_right.0 as usize..of_right.1 as usize];
            for end in ends {
                for begin in begins {
                    let hash = hash_of(end.id, begin.id);
                    neighbours.twice.insert(hash);
                    if end.is_short && begin.is_short {
                        neighbours.once.insert(hash);
                    }
                }
            }
            let [left_is_short, right_is_short] = [left, right].map(|id| is_short(tokens[id as usize]));
            if right_is_short {
                for end in ends.iter().filter(|end| end.is_short) {
                    neighbours.fear(end.id, right, early, 0);
                }
            }
            if left_is_short {
                for begin in begins.iter().filter(|begin| begin.is_short) {
                    neighbours.fear(left, begin.id, 0, early);
                }
            }
            // What they become could merge before they do.
            if left_is_short && right_is_short && first_use[made as usize] < rank {
                neighbours.fear(left, right, EARLIEST, EARLIEST);
            }
        }
        neighbours
    }

    fn fear(&mut self, left: u32, right: u32, before: u32, behind: u32) {
        let hash = hash_of(left, right);
        let halves: &mut [[u32; 2]] = bytemuck::cast_slice_mut(self.words.get_mut());
        let [low, high] = &mut halves[(hash >> (u32::BITS - self.size)) as usize];
        let tag = (*low >> RANK_BITS) | (*high >> RANK_BITS) << TAG_BITS;
        let new = if (*low | *high) == 0 || tag == hash & ANY { hash & ANY } else { ANY };
        let before = before.max(*low & EARLIEST);
        let behind = behind.max(*high & EARLIEST);
        *low = new << RANK_BITS | before;
        *high = new >> TAG_BITS << RANK_BITS | behind;
    }

    /// What is feared of neighbours with these hashes: how early something takes the right one with what ends in the left, and the left one
    /// with what begins with the right.
    #[inline(always)]
    pub(super) fn two_in_lanes<L: Lanes>(&self, left: L, right: L) -> [L; 2] {
        let hash = hashes_of(left, right);
        let slot = hash.shr_each(L::splat(u32::BITS - self.size));
        let (low, high) = L::gather_halves(self.words.get(), slot, slot.equal(slot));
        let (any, some) = (L::splat(ANY), L::splat(EARLIEST));
        let tag = low.shr::<RANK_BITS>().or(high.shr::<RANK_BITS>().shl::<TAG_BITS>());
        let same = L::either(tag.equal(hash.and(any)), tag.equal(any));
        let zero = L::splat(0);
        [L::select(same, low.and(some), zero), L::select(same, high.and(some), zero)]
    }
}

impl Joined {
    /// `size`: the logarithm of how many bits there are.
    fn new(size: u32) -> Self {
        Self { bits: Words::zeroed(1 << (size - 6)), size }
    }

    fn insert(&mut self, hash: u32) {
        let bit = hash >> (u32::BITS - self.size);
        let words: &mut [u32] = bytemuck::cast_slice_mut(self.bits.get_mut());
        words[(bit / 32) as usize] |= 1 << (bit % 32);
    }

    /// Whether nothing joins two symbols.
    #[inline(always)]
    pub(super) fn part_in_lanes<L: Lanes>(&self, left: L, right: L) -> L::Mask {
        let bit = hashes_of(left, right).shr_each(L::splat(u32::BITS - self.size));
        let word = L::gather(bytemuck::cast_slice(self.bits.get()), bit.shr::<5>(), bit.equal(bit));
        let joined = word.shr_each(bit.and(L::splat(31))).and(L::splat(1));
        joined.equal(L::splat(0))
    }
}

/// One for two symbols (multiply-shift hashing, Dietzfelbinger 1996): its high bits are where they are in a table.
fn hash_of(left: u32, right: u32) -> u32 {
    left.wrapping_mul(LEFT).wrapping_add(right.wrapping_mul(RIGHT))
}

/// The same in lanes.
#[inline(always)]
fn hashes_of<L: Lanes>(left: L, right: L) -> L {
    left.mul(L::splat(LEFT)).add(right.mul(L::splat(RIGHT)))
}
