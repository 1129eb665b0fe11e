//! Lines of 64 bytes, found by a hash, which all threads read and write at the same time.
//!
//! A table has its size from the beginning. One that grew with what is in it was never faster: a table that is mostly empty
//! touches about as much memory as a small one that is full, finds more in the first line it looks at, and is never moved.
//! Its memory is taken at once, since the system clears it, and under it a virtual machine may have to find it first.
//!
//! Nobody waits for anybody. The first of the words of an entry that hold its ids is its *state*: who writes an entry
//! takes it by putting [`BUSY`] there, and gives it back with the next version; who reads looks at the state again
//! after the rest, and has found nothing if it is another (a sequence lock for each entry: Boehm, "Can seqlocks get along
//! with programming language memory models?", 2012). A version has 12 bits: a reader would be misled if it stood still
//! between two of its five loads while 4,096 entries came and went in one place, the last of them with as many ids and the same first ones.
//! What is lost, or there twice, because two threads wrote at once, is encoded once more and no harm.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

use super::entry::{SEED, Width, count_of};
use crate::memory::{SharedWords, ask_for};

/// A line: one entry of eight words or two of four. The second half of an entry holds its ids, and its
/// first word is its state.
pub(super) type Line = [AtomicU64; 8];

/// Somebody is writing: one id, none in number.
const BUSY: u64 = 1;

/// So many lines, a power of two.
pub(super) struct Table<const LINES: usize> {
    words: SharedWords,
}

/// The version after that of a state, given the bits that are the version. The rest of a state is 0 where there is no entry.
fn next_version(state: u64, version: u64) -> u64 {
    // The bits between those are set, so that one carries over into the other.
    (state | !version).wrapping_add(1 << version.trailing_zeros()) & version
}

impl<const LINES: usize> Table<LINES> {
    pub(super) fn new() -> Self {
        let words = SharedWords::zeroed(LINES * 8);
        words.take();
        Self { words }
    }

    /// The table, which holds ids of this width alone, ready for look-ups.
    #[inline]
    pub(super) fn view(&self, width: Width) -> View<'_, LINES> {
        let lines = self.words.get().as_chunks().0.first_chunk();
        View { lines: lines.unwrap_or_else(|| unreachable!("a table has its lines")), width }
    }
}

/// A table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a, const LINES: usize> {
    lines: &'a [Line; LINES],
    pub(super) width: Width,
}

impl<'a, const LINES: usize> View<'a, LINES> {
    /// Asks for the memory of a line that will be looked at.
    #[inline]
    pub(super) fn ask_for(self, hash: usize) {
        ask_for(self.lines, hash % LINES);
    }

    #[inline]
    pub(super) fn line(self, hash: usize) -> &'a Line {
        &self.lines[hash % LINES]
    }

    /// Whether a place with this state may be taken.
    #[inline]
    fn is_free(self, state: u64) -> bool {
        state & !self.width.version() == 0 || count_of(state) == SEED
    }

    /// Writes an entry over what has a state, unless another has been quicker.
    fn write<const WORDS: usize>(self, place: &[AtomicU64], state: u64, entry: &[u64; WORDS]) -> bool {
        let version = self.width.version();
        if place[WORDS / 2].compare_exchange(state, BUSY | state & version, Acquire, Relaxed).is_err() {
            return false;
        }
        fence(Release);
        for (at, (stored, word)) in place.iter().zip(entry).enumerate() {
            if at != WORDS / 2 {
                stored.store(*word, Relaxed);
            }
        }
        place[WORDS / 2].store(entry[WORDS / 2] | next_version(state, version), Release);
        true
    }

    /// Whether the last place of a line is free, so that no entry has gone to its neighbour, which is rarely near.
    #[inline]
    pub(super) fn has_room<const WORDS: usize>(self, hash: usize) -> bool {
        self.is_free(self.line(hash)[8 - WORDS / 2].load(Relaxed))
    }

    /// Adds an entry, its version bits 0, to its own line or, if only that has room, to the neighbour; else the older of
    /// those in its own line goes.
    pub(super) fn put<const WORDS: usize>(self, hash: usize, entry: &[u64; WORDS]) {
        for line in [hash, hash ^ 1].map(|near| self.line(near)) {
            for place in line.chunks_exact(WORDS) {
                let state = place[WORDS / 2].load(Relaxed);
                if self.is_free(state) && self.write(place, state, entry) {
                    return;
                }
            }
        }
        let (line, version) = (self.line(hash), self.width.version());
        // Written less often is longer ago: they take turns.
        let age = |place: &&[AtomicU64]| place[WORDS / 2].load(Relaxed) & version;
        if let Some(place) = line.chunks_exact(WORDS).min_by_key(age) {
            let state = place[WORDS / 2].load(Relaxed);
            if state & !version != BUSY {
                self.write(place, state, entry);
            }
        }
    }

    /// Adds an entry, its version bits 0, that is the first to go, if the last place of its line is empty.
    pub(super) fn seed<const WORDS: usize>(self, hash: usize, entry: &[u64; WORDS]) {
        self.write(&self.line(hash)[8 - WORDS..], 0, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry and its state, unless there is none or it is being written.
    fn read<const WORDS: usize>(place: &[AtomicU64], version: u64) -> Option<(u64, [u64; WORDS])> {
        let state = place[WORDS / 2].load(Acquire);
        if matches!(state & !version, 0 | BUSY) {
            return None;
        }
        let mut entry = [0; WORDS];
        entry.iter_mut().zip(place).for_each(|(word, stored)| *word = stored.load(Relaxed));
        fence(Acquire);
        (place[WORDS / 2].load(Relaxed) == state).then_some((state, entry))
    }

    /// An entry of which every word says of which piece it is.
    fn entry(piece: u64) -> [u64; 4] {
        [piece, piece.wrapping_mul(0x9E37_79B9_7F4A_7C15), (1 << 60) + piece % 7, piece << 8]
    }

    fn hash_of(piece: u64) -> usize {
        usize::try_from(piece.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 3).unwrap_or(0)
    }

    #[test]
    fn versions_go_round() {
        for version in [Width::Two, Width::Three].map(Width::version) {
            let (mut state, mut seen) = (5 << 32 | 7, std::collections::HashSet::new());
            while seen.insert(state & version) {
                state = state & !version | next_version(state, version);
                assert_eq!(state & !version, 5 << 32 | 7);
            }
            assert_eq!(seen.len(), 4096);
        }
    }

    #[test]
    fn what_many_threads_read_while_they_write_is_whole() {
        // Few lines and few ids, so that entries come and go and states look alike.
        read_while_written(&Table::<2>::new(), Width::Two);
        read_while_written(&Table::<2>::new(), Width::Three);
        read_while_written(&Table::<64>::new(), Width::Three);
    }

    fn read_while_written<const LINES: usize>(table: &Table<LINES>, width: Width) {
        let version = width.version();
        let found: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4u64)
                .map(|thread| {
                    scope.spawn(move || {
                        let (mut numbers, mut found) = (thread + 1, 0);
                        for _ in 0..200_000 {
                            numbers ^= numbers << 13;
                            numbers ^= numbers >> 7;
                            numbers ^= numbers << 17;
                            let piece = numbers % 97 + 1;
                            let places = table.view(width).line(hash_of(piece)).chunks_exact(4);
                            for (state, known) in places.filter_map(|place| read::<4>(place, version)) {
                                let mut expected = entry(known[0]);
                                expected[2] |= state & version;
                                assert_eq!(known, expected);
                                found += usize::from(known[0] == piece);
                            }
                            table.view(width).put(hash_of(piece), &entry(piece));
                        }
                        found
                    })
                })
                .collect();
            let found = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            found.map(|found| found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).sum()
        });
        assert!(found > 1000, "{found}");
    }
}
