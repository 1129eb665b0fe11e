//! Memory for the big tables.
//!
//! Tables of megabytes that are looked up at random spend much of their time in page-table walks, so
//! they ask for huge pages, which this does without `unsafe` through an anonymous map. Untouched
//! pages cost nothing.

use memmap2::MmapMut;

const HUGE: usize = 2 << 20;
/// From this size on a huge page pays.
const WORTH: usize = 128 << 10;

/// Zeroed words, at a multiple of the cache line.
pub(super) enum Words {
    /// At a multiple of the huge page, `skip` words into the map.
    Mapped { map: MmapMut, skip: usize, length: usize },
    /// Where mapping fails or does not pay.
    Plain { words: Vec<u64>, skip: usize, length: usize },
}

impl Words {
    /// So many words, all zero.
    pub(super) fn zeroed(length: usize) -> Self {
        if length * 8 >= WORTH
            && let Ok(map) = MmapMut::map_anon(length * 8 + HUGE)
        {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            let skip = map.as_ptr().align_offset(HUGE) / 8;
            if skip * 8 <= HUGE {
                return Self::Mapped { map, skip, length };
            }
        }
        let words = vec![0u64; length + 8];
        let skip = words.as_ptr().align_offset(64).min(8);
        Self::Plain { words, skip, length }
    }

    #[inline]
    pub(super) fn get(&self) -> &[u64] {
        match self {
            Self::Mapped { map, skip, length } => &bytemuck::cast_slice(map)[*skip..*skip + *length],
            Self::Plain { words, skip, length } => &words[*skip..*skip + *length],
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Mapped { map, skip, length } => &mut bytemuck::cast_slice_mut(map)[*skip..*skip + *length],
            Self::Plain { words, skip, length } => &mut words[*skip..*skip + *length],
        }
    }
}
