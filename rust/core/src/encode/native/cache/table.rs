//! Lines of 64 bytes, found by a hash; begins small and grows in place.
//!
//! Memory that was never touched costs more than what is in it: the kernel clears it, and under it a
//! virtual machine may have to find it first. So the address space of the largest table is taken at
//! once, which costs nothing, and used from its beginning.

use super::super::memory::Words;
use super::super::prefetch::ask_for;

/// A line: one entry of eight words or two of four. The second half of an entry holds its ids, and its
/// first word is 0 where there is no entry.
type Line = [u64; 8];

pub(super) struct Table {
    words: Words,
    lines: usize,
    most: usize,
    filled: usize,
}

impl Table {
    /// Numbers of lines, powers of two or 0.
    pub(super) fn new(first: usize, most: usize) -> Self {
        Self { words: Words::zeroed(most * 8), lines: first, most, filled: 0 }
    }

    /// The lines in use, ready for look-ups.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View { words: &self.words.get()[..self.lines * 8] }
    }

    /// Adds an entry of so many words. A full table grows, and one that may not loses the older entry of
    /// the line; `hash_of` is asked about what is already in it.
    pub(super) fn insert<const WIDTH: usize>(
        &mut self,
        hash: usize,
        entry: [u64; WIDTH],
        hash_of: impl Fn(&[u64; WIDTH]) -> usize,
    ) {
        // Beyond three eighths too many find no place in their line or its neighbour.
        if self.filled * WIDTH > self.lines * 3 && self.lines < self.most {
            self.grow(hash_of);
        }
        self.filled += usize::from(put(&mut self.words.get_mut()[..self.lines * 8], hash, entry));
    }

    /// Twice as many lines: the entries whose hash has the new bit move to the new half.
    fn grow<const WIDTH: usize>(&mut self, hash_of: impl Fn(&[u64; WIDTH]) -> usize) {
        let old = self.lines;
        self.lines *= 2;
        let words = &mut self.words.get_mut()[..self.lines * 8];
        for at in (0..old * 8).step_by(WIDTH) {
            let mut entry = [0; WIDTH];
            entry.copy_from_slice(&words[at..at + WIDTH]);
            if entry[WIDTH / 2] == 0 {
                continue;
            }
            let hash = hash_of(&entry);
            if hash & old != 0 {
                words[at..at + WIDTH].fill(0);
                put(words, hash, entry);
            }
        }
    }
}

/// An entry goes to its own line or, if only that has room, to the neighbour; else the older of those in
/// its own line goes. Whether there is one more now.
fn put<const WIDTH: usize>(words: &mut [u64], hash: usize, entry: [u64; WIDTH]) -> bool {
    for near in [hash, hash ^ 1] {
        let Some(line) = line_mut(words, near) else {
            return false;
        };
        for place in line.chunks_exact_mut(WIDTH) {
            if place[WIDTH / 2] == 0 {
                place.copy_from_slice(&entry);
                return true;
            }
        }
    }
    if let Some(line) = line_mut(words, hash) {
        line.copy_within(WIDTH.., 0);
        line[8 - WIDTH..].copy_from_slice(&entry);
    }
    false
}

/// Where the line of a hash begins among so many words, a power of two.
#[inline]
fn place_of(hash: usize, words: usize) -> usize {
    hash << 3 & words.wrapping_sub(1)
}

fn line_mut(words: &mut [u64], hash: usize) -> Option<&mut Line> {
    let at = place_of(hash, words.len());
    words.get_mut(at..at + 8)?.try_into().ok()
}

/// A table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    words: &'a [u64],
}

impl<'a> View<'a> {
    /// Asks for the memory of a line that will be looked at.
    #[inline]
    pub(super) fn ask_for(self, hash: usize) {
        ask_for(self.words, place_of(hash, self.words.len()));
    }

    #[inline]
    pub(super) fn line(self, hash: usize) -> Option<&'a Line> {
        let at = place_of(hash, self.words.len());
        self.words.get(at..at + 8)?.try_into().ok()
    }
}
