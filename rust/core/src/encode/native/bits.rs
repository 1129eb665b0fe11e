//! A bit for every byte of a stretch of text: where its pieces begin.

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

    /// Appends the places that are set in some words, counted from the first of them, to `places`; but for the very first place of all.
    ///
    /// Eight at a time are written whether they are there or not: how many a word holds cannot be
    /// guessed, and a wrong guess costs more than the writing (as in simdjson, Langdale and Lemire 2019).
    #[inline]
    pub(super) fn places(&self, words: std::ops::Range<usize>, places: &mut Vec<u32>) {
        let first = words.start;
        for index in words {
            let mut word = self.words[index];
            if index == 0 {
                word &= !1;
            }
            let count = word.count_ones() as usize;
            #[allow(clippy::cast_possible_truncation)] // they are few
            let base = ((index - first) * WORD) as u32;
            let mut written = 0;
            while written < count {
                let mut eight = [0; 8];
                for place in &mut eight {
                    *place = base.wrapping_add(word.trailing_zeros());
                    word &= word.wrapping_sub(1);
                }
                places.extend_from_slice(&eight);
                written += 8;
            }
            places.truncate(places.len() + count - written);
        }
    }
}
