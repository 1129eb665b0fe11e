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
use super::pairs::{hash_in_lanes, hash_of};
use super::shares::{WORTH, on_all_threads};
use super::vocab::Vocab;
use crate::memory::Words;

/// The most characters, begun or whole, of a symbol after one round and after two; letters have one each at most. (What stands for
/// unknown characters may have more, but no merge takes it: such merges are refused when they are read.) And the most bytes of a
/// character.
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

/// The tables.
pub(super) struct Neighbours {
    /// Of what the first round leaves.
    pub(super) feared: Feared,
    pub(super) once: Joined,
    /// Of what the second leaves.
    pub(super) twice: Joined,
}

/// What could take one of two symbols before they merge, by hash.
pub(super) struct Feared {
    /// How early something that ends in the left one merges with the right one, and the left one with something that begins with
    /// the right one. Each has half a word, with bits of the hash above it.
    words: Words,
    size: u32,
}

/// Whether symbols can be joined, by hash.
pub(super) struct Joined {
    bits: Words,
    size: u32,
}

/// Tokens of which the symbols are looked up together.
const TOGETHER: usize = 64;

/// A symbol with which a token begins or ends.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    is_short: bool,
}

/// By id, the symbols with which tokens may begin, or end.
struct Parts {
    ends: Vec<u32>,
    all: Vec<Part>,
}

impl Parts {
    /// `texts`: those that may be symbols of a token.
    #[allow(clippy::cast_possible_truncation)] // sixteen a token
    fn new<'t, I: Iterator<Item = &'t [u8]>>(
        vocab: &Vocab,
        tokens: &[&'t [u8]],
        texts: impl Fn(&'t [u8]) -> I + Sync,
    ) -> Self {
        // Looking texts up is waiting for memory: all threads do it, and some at once.
        let shares = on_all_threads(tokens, WORTH, |tokens| {
            let (mut counts, mut all) = (Vec::with_capacity(tokens.len()), Vec::new());
            let (mut some, mut ids) = (Vec::new(), Vec::new());
            for tokens in tokens.chunks(TOGETHER) {
                some.clear();
                let before = |some: &mut Vec<&'t [u8]>, token| {
                    let before = some.len();
                    some.extend(texts(token));
                    some.len() - before
                };
                let asked: Vec<usize> = tokens.iter().map(|token| before(&mut some, token)).collect();
                vocab.ids(&some, &mut ids);
                let mut found = some.iter().zip(&ids);
                for asked in asked {
                    let before = all.len();
                    let found = found.by_ref().take(asked);
                    all.extend(
                        found.filter_map(|(text, id)| Some(Part { id: (*id)?, is_short: is_short(text) })),
                    );
                    counts.push(all.len() - before);
                }
            }
            (counts, all)
        });
        let mut parts = Self { ends: Vec::with_capacity(tokens.len()), all: Vec::new() };
        for (counts, all) in shares {
            let mut end = parts.all.len();
            parts.ends.extend(counts.into_iter().map(|count| {
                end += count;
                end as u32
            }));
            parts.all.extend(all);
        }
        parts
    }

    /// Those of a token.
    fn of(&self, id: u32) -> &[Part] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.all[start as usize..self.ends[id] as usize]
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
    /// its bytes, of which `vocab` has the ids; `is_torn`: tokens may begin and end inside characters.
    pub(super) fn new(
        vocab: &Vocab,
        merges: &[[u32; 3]],
        first_use: &[u32],
        tokens: &[&[u8]],
        is_torn: bool,
    ) -> Self {
        // With a tag a word has all of a hash.
        let least = u32::BITS - 2 * TAG_BITS;
        let size = (merges.len() * 2).next_power_of_two().ilog2().clamp(least, MOST);
        let [mut once, mut twice] = [ONCE, TWICE].map(|more| Joined::new(size + more));
        let mut feared = Feared { words: Words::zeroed(1 << size), size };
        let is_start = |byte: Option<&u8>| is_torn || byte.is_none_or(|byte| byte & 0xC0 != 0x80);
        let near = |text: &&[u8]| characters(text) <= LONG;
        // Of most tokens nothing is made.
        let taken = |side: usize| {
            let mut taken: Vec<&[u8]> = vec![&[]; tokens.len()];
            merges.iter().map(|merge| merge[side] as usize).for_each(|id| taken[id] = tokens[id]);
            taken
        };
        let ends = Parts::new(vocab, &taken(0), |token| {
            let starts = (0..token.len()).rev().take(LONG * CHARACTER);
            let starts = starts.filter(move |start| is_start(token.get(*start)));
            starts.map(|start| &token[start..]).take_while(near)
        });
        let begins = Parts::new(vocab, &taken(1), |token| {
            let ends = (1..=token.len()).take(LONG * CHARACTER);
            let ends = ends.filter(move |end| is_start(token.get(*end)));
            ends.map(|end| &token[..end]).take_while(near)
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for [left, right, _] in merges {
                    for end in ends.of(*left) {
                        begins.of(*right).iter().for_each(|begin| twice.insert(hash_of(end.id, begin.id)));
                    }
                }
            });
            for (rank, &[left, right, made]) in (0..).zip(merges) {
                let [ends, begins] = [ends.of(left), begins.of(right)];
                // What is a symbol itself is the last of those with which it begins or ends.
                let is_short =
                    |parts: &[Part], id| parts.last().is_some_and(|part| part.id == id && part.is_short);
                let (is_left, is_right) = (is_short(ends, left), is_short(begins, right));
                let early = early(rank);
                for end in ends.iter().take_while(|end| end.is_short) {
                    for begin in begins.iter().take_while(|begin| begin.is_short) {
                        once.insert(hash_of(end.id, begin.id));
                    }
                    if is_right {
                        feared.insert(end.id, right, early, 0);
                    }
                }
                if is_left {
                    for begin in begins.iter().take_while(|begin| begin.is_short) {
                        feared.insert(left, begin.id, 0, early);
                    }
                }
                // What they become could merge before they do.
                if is_left && is_right && first_use[made as usize] < rank {
                    feared.insert(left, right, EARLIEST, EARLIEST);
                }
            }
        });
        Self { feared, once, twice }
    }
}

impl Feared {
    #[allow(clippy::cast_possible_truncation)] // halves
    fn insert(&mut self, left: u32, right: u32, before: u32, behind: u32) {
        let hash = hash_of(left, right);
        let word = &mut self.words.get_mut()[(hash >> (u32::BITS - self.size)) as usize];
        let (low, high) = (*word as u32, (*word >> u32::BITS) as u32);
        let tag = low >> RANK_BITS | high >> RANK_BITS << TAG_BITS;
        // Of two that meet in a word, what is feared of either is feared of any.
        let tag = if *word == 0 || tag == hash & ANY { hash & ANY } else { ANY };
        let low = tag << RANK_BITS | before.max(low & EARLIEST);
        let high = tag >> TAG_BITS << RANK_BITS | behind.max(high & EARLIEST);
        *word = u64::from(high) << u32::BITS | u64::from(low);
    }

    /// What is feared of neighbours: how early something that ends in the left takes the right, and the left something that begins
    /// with the right.
    #[inline(always)]
    pub(super) fn two_in_lanes<L: Lanes>(&self, left: L, right: L) -> [L; 2] {
        let hash = hash_in_lanes(left, right);
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
        let bit = hash_in_lanes(left, right).shr_each(L::splat(u32::BITS - self.size));
        let word = L::gather(bytemuck::cast_slice(self.bits.get()), bit.shr::<5>(), bit.equal(bit));
        let joined = word.shr_each(bit.and(L::splat(31))).and(L::splat(1));
        joined.equal(L::splat(0))
    }
}
