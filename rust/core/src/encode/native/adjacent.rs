//! Characters that stand side by side in some token, as hashed bits: pairs, and threes where a pair is held beside others only.
//!
//! Of a script without spaces (Chinese, Japanese, Thai) nearly every boundary is asked for, and what is held together wrongly is
//! a piece that is new when its parts are known. So a pair has two bits of one word, which hardly any other has both of, and a third
//! if that is all there is to ask: without it every token with the pair has another character of three bytes before it or
//! behind, and unless that stands in the text too, no merge can span the boundary.

use super::block::BLOCK;
use super::vectors::Permutes;
use crate::memory::Words;

/// 256 KiB. (With half as many, or one bit a pair, Chinese has a quarter to a third more new pieces.)
pub(super) const WORD_BITS: u32 = 15;
const WORDS: usize = 1 << WORD_BITS;
/// Bits that say which of a word's bits one is.
const BIT_BITS: u32 = u64::BITS.ilog2();
/// 2^64 divided by the golden ratio (multiply-shift hashing, Dietzfelbinger 1996).
pub(super) const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
/// Another, for the third character.
const OTHER_FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

/// Bytes of a block, with some before them, so that there are eight from each place minus those on.
pub(super) const AROUND: usize = BLOCK + 8;

/// A character as its bytes in UTF-8, the first of them lowest.
pub(super) type Spelling = u32;

/// Two characters; of three bytes each, as they stand in the text.
#[inline]
pub(super) fn pair(left: Spelling, right: Spelling) -> u64 {
    u64::from(left).wrapping_add(u64::from(right) << 24)
}

/// A character of three bytes that stands before two others, or behind them.
#[derive(Clone, Copy)]
pub(super) enum Beside {
    Before(Spelling),
    Behind(Spelling),
}

/// Two characters, and one beside them.
#[inline]
fn three(pair: u64, beside: Beside) -> u64 {
    let other = match beside {
        Beside::Before(spelling) => spelling,
        Beside::Behind(spelling) => spelling | 1 << 31,
    };
    pair.wrapping_add(u64::from(other).wrapping_mul(OTHER_FACTOR))
}

/// Where a pair or three is: a word, two bits there, and the third.
struct Place {
    word: usize,
    two: u64,
    third: u64,
}

impl Place {
    #[inline]
    fn of(characters: u64) -> Self {
        let hash = characters.wrapping_mul(FACTOR);
        #[allow(clippy::cast_possible_truncation)] // few bits remain
        let word = (hash >> (u64::BITS - WORD_BITS)) as usize;
        let bit = |number: u32| 1 << (hash >> bit_shift(number) & 63);
        Self { word, two: bit(1) | bit(2), third: bit(3) }
    }
}

/// Where a hash has the number of its first bit, of the second, of the third.
pub(super) const fn bit_shift(number: u32) -> u32 {
    u64::BITS - WORD_BITS - number * BIT_BITS
}

/// The table.
pub(super) struct Adjacent {
    words: Words,
    permutes: Option<Permutes>,
}

impl Adjacent {
    pub(super) fn new() -> Self {
        Self { words: Words::zeroed(WORDS), permutes: Permutes::detect() }
    }

    /// Some token holds two characters, and if another is given, that one beside them. (One of those beside is enough: a merge
    /// that spans the two makes a token of which all stands in the text.)
    pub(super) fn add(&mut self, pair: u64, beside: Option<Beside>) {
        let words = self.words.get_mut();
        let Place { word, two, third } = Place::of(pair);
        words[word] |= two;
        match beside {
            None => words[word] |= third,
            Some(beside) => {
                let Place { word, two, third } = Place::of(three(pair, beside));
                words[word] |= two | third;
            }
        }
    }

    /// The table, ready for look-ups.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        let words = self.words.get().first_chunk();
        View {
            words: words.unwrap_or_else(|| unreachable!("a table has its words")),
            permutes: self.permutes,
        }
    }
}

/// The table, borrowed.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    words: &'a [u64; WORDS],
    permutes: Option<Permutes>,
}

impl View<'_> {
    /// Whether some token holds these two, perhaps only beside others.
    #[inline]
    pub(super) fn has(self, pair: u64) -> bool {
        let Place { word, two, .. } = Place::of(pair);
        self.words[word] & two == two
    }

    /// Whether some token holds these three.
    #[inline]
    pub(super) fn has_three(self, pair: u64, beside: Beside) -> bool {
        let Place { word, two, third } = Place::of(three(pair, beside));
        self.words[word] & (two | third) == two | third
    }

    /// Of some places of a block, before each of which and at which stand characters of `LENGTH` bytes, 2 or 3: those whose two
    /// some token holds; and of these, those that are held only beside others. `around`: the block, and so many bytes before it.
    #[inline]
    pub(super) fn among<const LENGTH: usize>(self, around: &[u8; AROUND], places: u64) -> [u64; 2] {
        match self.permutes {
            Some(permutes) => permutes.adjacent::<LENGTH>(around, places, self.words),
            None => self.one_by_one::<LENGTH>(around, places),
        }
    }

    #[inline]
    fn one_by_one<const LENGTH: usize>(self, around: &[u8; AROUND], mut places: u64) -> [u64; 2] {
        let place_of = |place: usize| {
            let eight = around[place % BLOCK..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
            Place::of(if LENGTH == 3 {
                eight << 16 >> 16
            } else {
                eight & 0xFFFF | (eight & 0xFFFF_0000) << 8
            })
        };
        let mut held = 0;
        while places != 0 {
            let place = places.trailing_zeros();
            places &= places - 1;
            let Place { word, two, .. } = place_of(place as usize);
            held |= u64::from(self.words[word] & two == two) << place;
        }
        // Asked for those few alone: what is asked of all has to be cheap.
        let (mut beside, mut rest) = (held, held);
        while rest != 0 {
            let place = rest.trailing_zeros();
            rest &= rest - 1;
            let Place { word, third, .. } = place_of(place as usize);
            beside ^= u64::from(self.words[word] & third != 0) << place;
        }
        [held, beside]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::native::joins::spelling;
    use crate::encode::native::tests::random::Numbers;

    /// A character of so many bytes, of few.
    fn character(numbers: &mut Numbers, length: usize) -> Spelling {
        let c = if length == 3 { 0x4E00 + numbers.below(40) } else { 0x620 + numbers.below(40) };
        spelling(u32::try_from(c).ok().and_then(char::from_u32).unwrap_or_default())
    }

    #[test]
    fn what_is_held_is_found_and_little_else() {
        let mut numbers = Numbers(1);
        let mut table = Adjacent::new();
        let (mut pairs, mut threes) = (Vec::new(), Vec::new());
        for round in 0..400 {
            let [left, right, other] = [0; 3].map(|_| character(&mut numbers, 3));
            let beside = match round % 3 {
                0 => None,
                1 => Some(Beside::Before(other)),
                _ => Some(Beside::Behind(other)),
            };
            table.add(pair(left, right), beside);
            pairs.push((left, right, beside.is_none()));
            threes.extend(beside.map(|beside| (pair(left, right), beside)));
        }
        let view = table.view();
        assert!(pairs.iter().all(|(left, right, _)| view.has(pair(*left, *right))));
        assert!(threes.iter().all(|(pair, beside)| view.has_three(*pair, *beside)));
        let wrong = (0..100_000u64).filter(|other| view.has(other << 20 | 0xE4)).count();
        assert!(wrong < 100, "{wrong}");
    }

    #[test]
    fn a_block_at_once_is_its_places_one_by_one() {
        let mut numbers = Numbers(2);
        let mut table = Adjacent::new();
        for length in [2, 3] {
            for _ in 0..500 {
                let [left, right, other] = [0; 3].map(|_| character(&mut numbers, length));
                let beside = (numbers.below(2) == 0).then_some(Beside::Before(other));
                table.add(pair(left, right), beside);
            }
        }
        let mut found = [[0; 2]; 2];
        for _ in 0..2000 {
            for length in [2, 3] {
                let mut around = [b' '; AROUND];
                let (mut at, mut places) = (numbers.below(9), 0u64);
                while at + 2 * length <= AROUND && at < BLOCK {
                    let bytes = character(&mut numbers, length).to_le_bytes();
                    around[at..at + length].copy_from_slice(&bytes[..length]);
                    places |= u64::from(numbers.below(9) > 0) << at;
                    at += length;
                }
                let view = table.view();
                let [expected, once] = if length == 3 {
                    [view.one_by_one::<3>(&around, places), view.among::<3>(&around, places)]
                } else {
                    [view.one_by_one::<2>(&around, places), view.among::<2>(&around, places)]
                };
                assert_eq!(once, expected);
                for (found, more) in found[length - 2].iter_mut().zip(expected) {
                    *found += more.count_ones();
                }
            }
        }
        assert!(found.iter().all(|[held, beside]| *beside > 100 && held - beside > 100), "{found:?}");
    }
}
