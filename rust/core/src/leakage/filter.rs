//! A filter over short stretches of text that says quickly where a search is not worth it.

use std::ops::Range;

use super::memory::Numbers;
use super::units::Unit;
use crate::error::Result;
use crate::memory::ask_for;

/// Bits of the filter for each entry: about one stretch in two hundred passes that was not put in.
const BITS_AN_ENTRY: usize = 16;

/// How many places are asked for at once.
const AT_ONCE: usize = 32;

/// Looks at stretches of `width` units, at every `step`-th unit of a text.
///
/// A stretch of `width + step - 1` units holds one of those whole, wherever it begins: the next place that is looked at
/// is at most `step - 1` units further on. So all stretches of a benchmark are put in, and few of a text are looked up.
///
/// The filter is a blocked Bloom filter (Putze, Sanders, Singler 2007) of one word an entry.
#[derive(Debug)]
pub(super) struct Filter {
    unit: Unit,
    width: usize,
    step: usize,
    words: Numbers,
}

impl Filter {
    /// For stretches of at least `least` units, with room for `entries`.
    pub(super) fn new(unit: Unit, least: usize, entries: usize) -> Result<Self> {
        let words = (entries * BITS_AN_ENTRY).div_ceil(64).clamp(1, u32::MAX as usize);
        let width = Self::width(least);
        let step = (least + 1).saturating_sub(width).max(width);
        Ok(Self { unit, width, step, words: Numbers::new(words)? })
    }

    /// The units of what is looked at: all of a text, but for one in `least` at most.
    pub(super) fn width(least: usize) -> usize {
        least.div_ceil(2).max(1)
    }

    /// Puts in what begins at each unit of a text, and is wide enough.
    pub(super) fn insert(&mut self, text: &[u8]) {
        let (mut start, mut after) = (0, self.unit.skip(text, 0, self.width));
        while let Some(next) = after {
            let (word, bits) = self.place(hash(&text[start..next - self.unit.gap()]));
            self.words[word] |= bits;
            start = self.unit.skip(text, start, 1).unwrap_or(text.len());
            after = self.unit.skip(text, next, 1);
        }
    }

    /// Hands on each stretch of a text that is looked at, and whether it may have been put in; until `each` says that it
    /// is enough.
    #[inline]
    pub(super) fn scan(&self, text: &[u8], each: impl FnMut(Range<usize>, bool) -> bool) {
        self.scan_every(self.step, text, each);
    }

    /// Whether a text may hold all stretches of one of at least `width + step - 1` units: whether enough pass one after
    /// the other, when four times as many are looked at. That is so of few of the texts in which one passes.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        let step = (self.step / 4).max(1);
        let (wanted, mut in_a_row) = (self.step / step, 0);
        self.scan_every(step, text, |_, passes| {
            in_a_row = if passes { in_a_row + 1 } else { 0 };
            in_a_row < wanted
        });
        in_a_row == wanted
    }

    /// The filter is larger than caches are: many places are asked for at once, so that they are waited for together.
    #[inline]
    fn scan_every(&self, step: usize, text: &[u8], mut each: impl FnMut(Range<usize>, bool) -> bool) {
        let mut places = [(0, 0, 0, 0); AT_ONCE];
        let words: &[u64] = &self.words;
        let mut next = Some(0);
        while next.is_some() {
            let mut count = 0;
            while count < AT_ONCE
                && let Some(at) = next
            {
                let Some(after) = self.unit.skip(text, at, self.width) else {
                    next = None;
                    break;
                };
                let end = after - self.unit.gap();
                let (word, bits) = self.place(hash(&text[at..end]));
                ask_for(words, word);
                places[count] = (at, end, word, bits);
                count += 1;
                next = match step.checked_sub(self.width) {
                    Some(more) => self.unit.skip(text, after, more),
                    None => self.unit.skip(text, at, step),
                };
            }
            let mut passed = 0u64;
            for (i, (_, _, word, bits)) in places[..count].iter().enumerate() {
                passed |= u64::from(words[*word] & bits == *bits) << i;
            }
            for (i, (at, end, ..)) in places[..count].iter().enumerate() {
                if !each(*at..*end, passed >> i & 1 == 1) {
                    return;
                }
            }
        }
    }

    #[inline]
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = ((hash >> 32) * self.words.len() as u64) >> 32;
        let bit = |shift: u32| 1 << (hash >> shift & 63);
        (usize::try_from(word).unwrap_or(0), bit(0) | bit(6) | bit(12) | bit(18))
    }
}

/// Folds sixteen bytes at a time by multiplication to 128 bits, as wyhash does.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const KEYS: [u64; 3] = [0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3];
    let mut state = bytes.len() as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        let [low, high] = halves(*pair);
        state = fold(state ^ low ^ KEYS[0], high ^ KEYS[1]);
    }
    if !rest.is_empty() {
        let mut last = [0; 16];
        last[..rest.len()].copy_from_slice(rest);
        let [low, high] = halves(last);
        state = fold(state ^ low ^ KEYS[1], high ^ KEYS[0]);
    }
    fold(state, KEYS[2])
}

#[inline]
fn halves(pair: [u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(pair);
    [low(both), low(both >> 64)]
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    low(product) ^ low(product >> 64)
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // what is above is taken by who shifts
fn low(both: u128) -> u64 {
    both as u64
}
