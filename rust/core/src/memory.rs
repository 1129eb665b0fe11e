//! Memory for the big tables: in huge pages, shared by threads, asked for before it is needed.
//!
//! Tables of megabytes that are looked up at random spend much of their time in page-table walks, so
//! they ask for huge pages, through an anonymous map. Untouched pages cost nothing.
//!
//! What is large and grows asks for them too ([`make_room`]): to take new memory page by page is dear in a virtual
//! machine, half a nanosecond a byte.
//!
//! This holds three unsafe acts. The encoder's cache of pieces is larger than the processor's, and rows lie all over a
//! file, so much of a look-up or of a batch is waiting, and reading early instead of asking early ([`ask_for`]) blocks the
//! processor until the memory is there. And what threads write to while others read has to be atomic, which no safe
//! interface makes of mapped memory ([`SharedWords`]). And the memory of a vector is its allocator's, who has no such wish
//! ([`prefer_huge_pages`]). All were measured: see `benches/encoder-log.md` and, for batches,
//! `benches/README.md`.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapMut, MmapRaw};

const HUGE: usize = 2 << 20;
/// From this size on a huge page pays.
const WORTH: usize = 128 << 10;
/// What nearly all systems have for a page. Where it is more, the system refuses what does not begin with one.
const PAGE: usize = 4 << 10;
/// From this size on huge pages pay where memory is written from its beginning on.
const WORTH_FOR_ROOM: usize = 2 * HUGE;

/// Zeroed memory with room for so many words from a multiple of the huge page on, and how many words before that; `None`
/// where mapping fails or does not pay.
fn mapped(length: usize) -> Option<(MmapMut, usize)> {
    if length * 8 < WORTH {
        return None;
    }
    let map = MmapMut::map_anon(length * 8 + HUGE).ok()?;
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    let skip = map.as_ptr().align_offset(HUGE) / 8;
    (skip * 8 <= HUGE).then_some((map, skip))
}

/// A vector with room for so many.
pub(crate) fn with_room<T>(count: usize) -> Vec<T> {
    let mut vector = Vec::new();
    grow_to(&mut vector, count);
    vector
}

/// Makes room for so many more in a vector, as [`Vec::reserve`] does.
#[inline]
pub(crate) fn make_room<T>(vector: &mut Vec<T>, more: usize) {
    if vector.capacity() - vector.len() < more {
        grow_to(vector, vector.len().saturating_add(more).max(2 * vector.capacity()));
    }
}

/// Makes room for so many more in a vector and hardly for any besides.
pub(crate) fn make_just_room<T>(vector: &mut Vec<T>, more: usize) {
    grow_to(vector, vector.len().saturating_add(more));
}

/// Makes room for so many in a vector, in huge pages where they are many.
#[cold]
fn grow_to<T>(vector: &mut Vec<T>, count: usize) {
    let bytes = count.saturating_mul(size_of::<T>());
    let is_large = bytes >= WORTH_FOR_ROOM;
    // With what the allocator adds, whole huge pages: where it takes them from Linux, that has them begin where one can.
    let rounded = bytes.saturating_add(PAGE).checked_next_multiple_of(HUGE).map_or(bytes, |end| end - PAGE);
    let count = if is_large { (rounded / size_of::<T>()).max(count) } else { count };
    vector.reserve_exact(count.saturating_sub(vector.len()));
    if is_large {
        prefer_huge_pages(vector);
    }
}

/// Asks for huge pages for the memory of a vector. (All of its pages: memory of one kind can be moved when the vector grows, and
/// remains of that kind.)
#[cfg(target_os = "linux")]
fn prefer_huge_pages<T>(vector: &Vec<T>) {
    let before = vector.as_ptr().addr() % PAGE;
    let start = vector.as_ptr().cast::<u8>().wrapping_sub(before).cast_mut();
    let length = (before + vector.capacity() * size_of::<T>()).next_multiple_of(PAGE);
    // SAFETY: advice on how memory is kept, which changes neither what it holds nor who may use it; these are pages of the
    // vector's allocation, the first and the last perhaps of others besides.
    let _ = unsafe { rustix::mm::madvise(start.cast(), length, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages<T>(_: &Vec<T>) {}

/// Zeroed words, at a multiple of the cache line.
pub(crate) enum Words {
    /// At a multiple of the huge page, `skip` words into the map.
    Mapped { map: MmapMut, skip: usize, length: usize },
    /// Where mapping fails or does not pay.
    Plain { words: Vec<u64>, skip: usize, length: usize },
}

impl Words {
    /// So many words, all zero.
    pub(crate) fn zeroed(length: usize) -> Self {
        if let Some((map, skip)) = mapped(length) {
            return Self::Mapped { map, skip, length };
        }
        let words = vec![0u64; length + 8];
        let skip = words.as_ptr().align_offset(64).min(8);
        Self::Plain { words, skip, length }
    }

    #[inline]
    pub(crate) fn get(&self) -> &[u64] {
        match self {
            Self::Mapped { map, skip, length } => &bytemuck::cast_slice(map)[*skip..*skip + *length],
            Self::Plain { words, skip, length } => &words[*skip..*skip + *length],
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Mapped { map, skip, length } => &mut bytemuck::cast_slice_mut(map)[*skip..*skip + *length],
            Self::Plain { words, skip, length } => &mut words[*skip..*skip + *length],
        }
    }
}

/// Words, zero at first and at a multiple of the cache line, that several threads read and write.
pub(crate) enum SharedWords {
    /// At a multiple of the huge page, `skip` words into the map.
    Mapped { map: MmapRaw, skip: usize, length: usize },
    /// Where mapping fails or does not pay.
    Plain { words: Vec<AtomicU64>, skip: usize, length: usize },
}

impl SharedWords {
    /// So many words, all zero.
    pub(crate) fn zeroed(length: usize) -> Self {
        if let Some((map, skip)) = mapped(length) {
            return Self::Mapped { map: map.into(), skip, length };
        }
        let words: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(length + 8).collect();
        let skip = words.as_ptr().align_offset(64).min(8);
        Self::Plain { words, skip, length }
    }

    /// Takes the memory at once, before it is used: it takes the system a while.
    pub(crate) fn take(&self) {
        let page = if matches!(self, Self::Mapped { .. }) { HUGE } else { usize::MAX };
        self.get().iter().step_by(page / 8).for_each(|word| word.store(0, Ordering::Relaxed));
    }

    #[inline]
    pub(crate) fn get(&self) -> &[AtomicU64] {
        match self {
            Self::Mapped { map, skip, length } => {
                #[allow(clippy::cast_ptr_alignment)] // that is what `skip` is for
                // SAFETY: the map is `length` words longer than `skip` (see `mapped`), is at a multiple of the huge
                // page there, holds zeros or what was stored as these atomics, lives as long as `self`, and is private
                // to it: nobody else makes a reference to its memory.
                unsafe {
                    std::slice::from_raw_parts(map.as_ptr().cast::<AtomicU64>().add(*skip), *length)
                }
            }
            Self::Plain { words, skip, length } => &words[*skip..*skip + *length],
        }
    }
}

/// Asks for the cache line in which `words[at]` lies; does nothing where there is no such word.
#[inline]
pub(crate) fn ask_for<T>(words: &[T], at: usize) {
    let Some(word) = words.get(at) else {
        return;
    };
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that changes nothing and faults on no address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: a hint that changes nothing and faults on no address.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{word}]",
                word = in(reg) std::ptr::from_ref(word),
                options(nostack, readonly, preserves_flags)
            );
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = word;
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)] // few
mod tests {
    use super::*;

    #[test]
    fn shared_words_are_zero_and_each_its_own() {
        for length in [8, 1000, WORTH / 8, HUGE / 8 * 2 + 8] {
            let words = SharedWords::zeroed(length);
            assert_eq!(words.get().len(), length);
            assert_eq!(words.get().as_ptr().align_offset(64), 0);
            std::thread::scope(|scope| {
                for part in 0..2 {
                    let words = &words;
                    scope.spawn(move || {
                        for (at, word) in words.get().iter().enumerate().skip(part).step_by(2) {
                            assert_eq!(word.swap(at as u64 + 1, Ordering::Relaxed), 0);
                        }
                    });
                }
            });
            let sum: u64 = words.get().iter().map(|word| word.load(Ordering::Relaxed)).sum();
            assert_eq!(sum, (length * (length + 1) / 2) as u64);
            ask_for(words.get(), length - 1);
            ask_for(words.get(), length);
        }
    }

    #[test]
    fn what_grows_keeps_what_it_holds_and_has_the_room() {
        // Beyond huge pages, step by step and at once.
        for step in [1000, WORTH_FOR_ROOM / 4 + 1, 3 * WORTH_FOR_ROOM] {
            let mut numbers: Vec<u32> = with_room(step / 2);
            assert!(numbers.capacity() >= step / 2);
            let mut end = 0;
            while end < 2 * WORTH_FOR_ROOM as u32 / 4 {
                make_room(&mut numbers, step);
                let room = numbers.capacity();
                assert!(room - numbers.len() >= step);
                numbers.extend(end..end + step as u32);
                assert_eq!(numbers.capacity(), room);
                end += step as u32;
            }
            make_just_room(&mut numbers, 7);
            assert!(numbers.capacity() - numbers.len() >= 7);
            assert!(numbers.into_iter().eq(0..end));
        }
    }
}
