//! A bit for every byte of a stretch of text: where its pieces begin.

use std::ops::Range;

use super::lanes::{self, InLanes, LANES, Lanes, NUMBERS, in_wide_lanes};

/// Bits in a word.
pub(super) const WORD: usize = 64;

/// Grows as it is written to; what was never written is zero.
#[derive(Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Zeros for so many bytes, and for the place behind the last.
    pub(super) fn clear(&mut self, length: usize) {
        self.words.clear();
        self.words.resize(length / WORD + 1, 0);
    }

    #[inline]
    pub(super) fn set(&mut self, at: usize) {
        self.reach(at);
        self.words[at / WORD] |= 1 << (at % WORD);
    }

    /// Sees to it that there are words for so many bytes, and for the place behind the last.
    pub(super) fn reach(&mut self, length: usize) {
        if length / WORD >= self.words.len() {
            self.words.resize(length / WORD + 1, 0);
        }
    }

    #[inline]
    pub(super) fn unset(&mut self, at: usize) {
        if let Some(word) = self.words.get_mut(at / WORD) {
            *word &= !(1 << (at % WORD));
        }
    }

    #[inline]
    pub(super) fn has(&self, at: usize) -> bool {
        self.words.get(at / WORD).is_some_and(|word| word >> (at % WORD) & 1 != 0)
    }

    /// Gives back memory beyond so many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.words.shrink_to(bytes / (WORD / 8));
    }

    /// The words, the first bytes first.
    #[inline]
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    #[inline]
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// The last place that is set, but for the first.
    pub(super) fn last(&self) -> Option<usize> {
        let (index, word) = self.words.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        let at = index * WORD + (WORD - 1 - word.leading_zeros() as usize);
        (at > 0).then_some(at)
    }

    /// Sets the places that are set in `other`, so many bytes later.
    #[inline]
    pub(super) fn add(&mut self, other: &Self, later: usize) {
        let (first, shift) = (later / WORD, later % WORD);
        self.reach((first + other.words.len()) * WORD);
        let mut over = 0;
        for (word, added) in self.words[first..].iter_mut().zip(&other.words) {
            *word |= added << shift | over;
            over = added >> 1 >> (WORD - 1 - shift);
        }
        self.words[first + other.words.len()] |= over;
    }

    /// The same places as `other`.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.words.clone_from(&other.words);
    }

    /// The places that are set in some words, counted from the first of them, but for the very first place of all. They are written
    /// to `room`, which grows to what is needed.
    pub(super) fn places<'r>(&self, words: Range<usize>, room: &'r mut Vec<u32>) -> &'r [u32] {
        let is_first = words.start == 0;
        let words = &self.words[words];
        if room.len() < words.len() * WORD + LANES {
            room.resize(words.len() * WORD + LANES, 0);
        }
        let mut count = 0;
        if lanes::can_compress() {
            in_wide_lanes(ListPlaces { words, room, count: &mut count });
        } else {
            count = list_places(words, room);
        }
        // The very first place of all, if it is set, is the first in the list.
        let first = usize::from(is_first && words.first().is_some_and(|word| word & 1 != 0));
        &room[first..count]
    }
}

/// Lists places of bits, sixteen at a time.
struct ListPlaces<'l> {
    words: &'l [u64],
    room: &'l mut [u32],
    count: &'l mut usize,
}

impl InLanes for ListPlaces<'_> {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // sixteen bits are what is wanted
    fn run<L: Lanes>(self) {
        let mut places = L::from_array(&NUMBERS);
        let mut count = 0;
        for word in self.words {
            for part in 0..WORD / LANES {
                let bits = (word >> (part * LANES)) as u32 & 0xFFFF;
                self.room[count..count + LANES].copy_from_slice(&places.compress(bits).to_array());
                count += bits.count_ones() as usize;
                places = places.add(L::small(LANES));
            }
        }
        *self.count = count;
    }
}

/// The same one by one. Eight at a time are written whether they are there or not: how many a word holds cannot be
/// guessed, and a wrong guess costs more than the writing (as in simdjson, Langdale and Lemire 2019).
#[inline]
fn list_places(words: &[u64], room: &mut [u32]) -> usize {
    let mut count = 0;
    for (base, word) in (0..).step_by(WORD).zip(words) {
        let (mut word, end) = (*word, count + word.count_ones() as usize);
        while count < end {
            for place in &mut room[count..count + 8] {
                *place = u32::wrapping_add(base, word.trailing_zeros());
                word &= word.wrapping_sub(1);
            }
            count += 8;
        }
        count = end;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    #[test]
    fn places_are_those_that_are_set() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        let mut room = Vec::new();
        for round in 0..300 {
            let (mut bits, length) = (Bits::default(), 1 + numbers.below(700));
            bits.clear(length);
            // None, all, and as many as come.
            let set: Vec<usize> = (0..length).filter(|_| numbers.below(round % 4 + 1) == 0).collect();
            let set = if round % 8 == 7 { Vec::new() } else { set };
            for at in &set {
                bits.set(*at);
            }
            let start = numbers.below(bits.words().len());
            let words = start..start + 1 + numbers.below(bits.words().len() - start);
            let within = words.start * WORD..words.end * WORD;
            let expected: Vec<u32> = (set.iter().filter(|at| **at > 0 && within.contains(at)))
                .map(|at| u32::try_from(at - within.start).unwrap_or(u32::MAX))
                .collect();
            assert_eq!(bits.places(words.clone(), &mut room), expected);
            // The other way of those that processors choose from.
            let mut room = vec![0; words.len() * WORD + LANES];
            let count = list_places(&bits.words()[words], &mut room);
            assert_eq!(&room[count - expected.len()..count], expected);
        }
    }
}
