//! How ids stand in an entry: three bytes each, or two where no token's id needs more, so that nearly twice as many do.
//!
//! The first of the words that hold them is the entry's state. Its top four bits count the ids; what ids leave of the rest is
//! the version, which belongs to the table. Ids lie so that they are taken out with few instructions, since that is done
//! for every word of a text.

use wide::{u16x8, u32x8};

/// The number of ids stands from this bit of a state on.
const COUNT_SHIFT: u32 = 60;
/// Stands for more ids than an entry has room for.
pub(in super::super) const MANY_IDS: usize = 14;
/// Stands for one id that no text has asked for yet.
pub(super) const SEED: usize = 15;

/// Words for ids in an entry of the first table and of the second, and so many places have to be there where its ids are written.
pub(super) const SHORT_WORDS: usize = 2;
pub(super) const SHORT_ROOM: usize = 8;
pub(super) const MIDDLE_WORDS: usize = 4;
pub(in super::super) const MIDDLE_ROOM: usize = 16;

/// Bytes of an id in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Three,
}

impl Width {
    /// What ids up to this one need.
    pub(super) fn of(greatest: u32) -> Self {
        if greatest <= Self::Two.greatest() { Self::Two } else { Self::Three }
    }

    fn greatest(self) -> u32 {
        match self {
            Self::Two => (1 << 16) - 1,
            Self::Three => (1 << 24) - 1,
        }
    }

    /// Whether ids can stand in an entry.
    pub(super) fn fits(self, ids: &[u32]) -> bool {
        !ids.is_empty() && ids.iter().all(|&id| id <= self.greatest())
    }

    /// The twelve bits of a state that neither ids nor their number have.
    pub(super) const fn version(self) -> u64 {
        match self {
            Self::Two => 0x0FFF_0000_0000_0000,
            Self::Three => 0x0F00_0000_FF00_0000,
        }
    }

    /// How many ids there is room for in so many words.
    pub(super) const fn room(self, words: usize) -> usize {
        let room = match self {
            Self::Two => 4 * words - 1,
            Self::Three => 2 * words,
        };
        if room < MANY_IDS { room } else { MANY_IDS - 1 }
    }

    /// Ids that fit, as the words of an entry.
    pub(super) fn packed<const WORDS: usize>(self, ids: &[u32]) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        if ids.len() > self.room(WORDS) {
            words[0] = counted(MANY_IDS);
            return words;
        }
        let (in_state, bits) = match self {
            Self::Two => (3, 16),
            Self::Three => (2, 32),
        };
        for (at, &id) in ids.iter().enumerate() {
            let (word, place) = match at.checked_sub(in_state) {
                None => (0, at),
                Some(behind) => (1 + behind * bits / 64, behind % (64 / bits)),
            };
            words[word] |= u64::from(id) << (place * bits);
        }
        words[0] |= counted(ids.len());
        words
    }
}

/// A state that says how many ids there are, and nothing else.
pub(super) const fn counted(count: usize) -> u64 {
    (count as u64) << COUNT_SHIFT
}

/// How many ids a state says that there are.
#[inline]
#[allow(clippy::cast_possible_truncation)] // four bits
pub(super) fn count_of(state: u64) -> usize {
    (state >> COUNT_SHIFT) as usize
}

/// Writes the ids of an entry, given its words for them, to where they go. What is no id comes behind them.
#[inline]
pub(super) fn unpack<const WORDS: usize, const ROOM: usize>(
    width: Width,
    words: [u64; WORDS],
    out: &mut [u32; ROOM],
) {
    let mut write = |at: usize, ids: &[u32]| out[at..at + ids.len()].copy_from_slice(ids);
    match width {
        Width::Two => {
            for (at, &pair) in words.as_chunks::<2>().0.iter().enumerate() {
                let ids = u32x8::from(bytemuck::must_cast::<_, u16x8>(pair)).to_array();
                // The fourth of a state is none: the next is written over it.
                write((8 * at).saturating_sub(1), &ids[..4]);
                write(8 * at + 3, &ids[4..]);
            }
        }
        Width::Three => {
            let ids = |word: u64| bytemuck::must_cast::<u64, [u32; 2]>(word);
            write(0, &ids(words[0] & 0x00FF_FFFF_00FF_FFFF));
            words[1..].iter().enumerate().for_each(|(at, &word)| write(2 * at + 2, &ids(word)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_as_they_went_in_whatever_the_version() {
        for (width, most) in [(Width::Two, [7, 13]), (Width::Three, [4, 8])] {
            assert_eq!([2, 4].map(|words| width.room(words)), most);
            let ids: Vec<u32> = (0..16).map(|at| width.greatest() - at * 0x1011).collect();
            for count in 1..16 {
                let some = &ids[..count];
                let (short, middle) = (width.packed::<2>(some), width.packed::<4>(some));
                for (words, most) in [(&short[..], most[0]), (&middle[..], most[1])] {
                    let count = if count > most { MANY_IDS } else { count };
                    assert_eq!((count_of(words[0]), words[0] & width.version()), (count, 0));
                }
                let (mut few, mut more) = ([0; SHORT_ROOM], [0; MIDDLE_ROOM]);
                unpack(width, [short[0] | width.version(), short[1]], &mut few);
                unpack(width, [middle[0] | width.version(), middle[1], middle[2], middle[3]], &mut more);
                assert!(count > most[0] || few[..count] == *some);
                assert!(count > most[1] || more[..count] == *some);
            }
        }
    }

    #[test]
    fn ids_that_need_more_are_not_taken() {
        assert_eq!([0, 0xFFFF, 0x1_0000].map(Width::of), [Width::Two, Width::Two, Width::Three]);
        assert!(Width::Two.fits(&[0, 0xFFFF]) && !Width::Two.fits(&[0, 0x1_0000]));
        assert!(
            Width::Three.fits(&[0xFF_FFFF]) && !Width::Three.fits(&[0x100_0000]) && !Width::Two.fits(&[])
        );
    }
}
