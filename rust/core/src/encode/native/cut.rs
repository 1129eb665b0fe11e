//! Cuts wherever no merge can cross.

use std::ops::RangeInclusive;

use super::adjacent::{self, AROUND, Beside};
use super::block::{BLOCK, Compare, block_at, devanagari, inside, one_of, preceding, unspaced};
use super::joins::{self, Apart, Spelling, last_byte, spelling_at};
use super::model::Chars;
use super::unicode::{decode, previous};
use super::vectors::{Look, look};

/// Decides where pieces may be cut.
#[derive(Clone, Copy)]
pub(super) struct Cutter<'a> {
    pub(super) joins: joins::View<'a>,
    /// What a space is read as.
    pub(super) space: Spelling,
    /// No merge joins a space to what stands before it, unless that is one too.
    pub(super) space_begins_words: bool,
    /// Unknown neighbours become one token.
    pub(super) fusing: Option<&'a Chars>,
    pub(super) ascii: &'a AsciiPairs,
    pub(super) paired: Paired,
}

/// By two ASCII characters: whether a merge might span the boundary between them. What [`Cutter::can_join`] says of them,
/// in memory that is near.
pub(super) struct AsciiPairs(Box<[u128; 128]>);

impl AsciiPairs {
    /// Nothing joins.
    pub(super) fn none() -> Self {
        Self(Box::new([0; 128]))
    }

    /// Asks all pairs.
    pub(super) fn of(cutter: Cutter<'_>) -> Self {
        let mut pairs = Self::none();
        for (left, row) in (0..128u8).zip(pairs.0.iter_mut()) {
            for right in 0..128u8 {
                let (left, right) = (cutter.read(&[left], 0).0, cutter.read(&[right], 0).0);
                *row = *row >> 1 | u128::from(cutter.can_join(left, right)) << 127;
            }
        }
        pairs
    }

    #[inline]
    fn can_join(&self, left: u8, right: u8) -> bool {
        self.0[usize::from(left) % 128] >> (right % 128) & 1 != 0
    }
}

/// Scripts that fall into letters (see [`Apart`]) of which most are one token each: two of them make a piece. Single ones would
/// be twice as many, and there are so few pairs of letters that all are soon known.
#[derive(Clone, Copy, Default)]
pub(super) struct Paired {
    pub(super) devanagari: bool,
    pub(super) arabic: bool,
}

impl Paired {
    /// Those of a model of characters; half of the letters are most, since the others are rare.
    pub(super) fn of(chars: &Chars, apart: Apart) -> Self {
        let known = |letters: RangeInclusive<char>| {
            let (known, all) = (letters.clone().filter(|c| chars.knows(*c)).count(), letters.count());
            known * 2 >= all
        };
        Self {
            devanagari: apart.indic && known('\u{915}'..='\u{939}'),
            arabic: apart.arabic && known('\u{628}'..='\u{64A}'),
        }
    }
}

/// Asks for what says where words end.
struct InWords {
    last_of_space: u8,
    apart: Apart,
    paired: Paired,
}

struct FoundInWords {
    letters: u64,
    beyond: u64,
    /// First bytes of the characters of three bytes that are looked at one by one, and of those of two bytes.
    unspaced: u64,
    arabic: u64,
    /// Of those, the ones of which two make a piece.
    paired_of_three: u64,
    paired_of_two: u64,
    inside: u64,
    spaces: u64,
    /// Spaces, and what may be the end of what they are read as.
    joining: u64,
}

impl Look for InWords {
    type Found = FoundInWords;

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> FoundInWords {
        let (beyond, spaces) = (bytes.high(), bytes.equal(b' '));
        let arabic = if self.apart.arabic { bytes.within(0xD8, 0xDB) } else { 0 };
        FoundInWords {
            letters: bytes.letters(),
            beyond,
            unspaced: match (beyond, self.apart.indic) {
                (0, _) => 0,
                (_, false) => unspaced(bytes),
                (_, true) => unspaced(bytes) | bytes.equal(0xE0),
            },
            arabic,
            paired_of_three: if self.paired.devanagari && beyond != 0 {
                let [first, second] = devanagari(bytes);
                first | second
            } else {
                0
            },
            paired_of_two: if self.paired.arabic { arabic } else { 0 },
            inside: if beyond == 0 { 0 } else { inside(bytes) },
            spaces,
            joining: spaces | bytes.equal(self.last_of_space),
        }
    }
}

/// Asks for the first bytes of characters of scripts without spaces and of the signs from U+2000 to U+2FFF that stand among them
/// (the space that `SentencePiece` reads is one of those, so for words they are asked about one by one), and which bytes are
/// among others.
struct Unspaced<'a> {
    torn: &'a [u8],
}

impl Look for Unspaced<'_> {
    type Found = [u64; 2];

    #[inline(always)]
    fn look(&self, bytes: impl Compare) -> [u64; 2] {
        if bytes.high() == 0 {
            [0; 2]
        } else {
            [unspaced(bytes) | bytes.equal(0xE2), one_of(bytes, self.torn)]
        }
    }
}

impl Cutter<'_> {
    /// The character that begins at `at` as the model sees it, and its length in the text.
    #[inline]
    fn read(self, text: &[u8], at: usize) -> (Spelling, usize) {
        let (spelling, length) = spelling_at(text, at);
        (if spelling == u32::from(b' ') { self.space } else { spelling }, length)
    }

    /// The character that ends at `at`, which is not the text's beginning, as the model sees it.
    #[inline]
    fn read_before(self, text: &[u8], at: usize) -> Spelling {
        let byte = u32::from(text[at - 1]);
        if byte == u32::from(b' ') {
            self.space
        } else if byte < 0x80 {
            byte
        } else {
            spelling_at(text, previous(text, at)).0
        }
    }

    /// Whether a merge might span the boundary between the two characters.
    #[inline]
    fn can_join(self, left: Spelling, right: Spelling) -> bool {
        self.joins.can_join(left, right) || self.fuses(left, right)
    }

    #[inline]
    fn fuses(self, left: Spelling, right: Spelling) -> bool {
        self.fusing.is_some_and(|chars| {
            let code = |spelling: Spelling| decode(&spelling.to_le_bytes(), 0).0;
            chars.fuses(code(left), code(right))
        })
    }

    /// Marks cuts behind `start` in `text[start..stop]`, places from `start` on: between words and what is around them, and
    /// inside what is written without spaces. Words are left whole, since they repeat.
    pub(super) fn words(self, text: &[u8], start: usize, stop: usize, cuts: &mut [u64]) {
        if self.fusing.is_some() {
            self.words_if(text, start, stop, cuts, |left, right| self.can_join(left, right));
        } else {
            // Characters are never taken apart, so a pair is all there is to ask here.
            self.words_if(text, start, stop, cuts, |left, right| self.joins.pair(left, right));
        }
    }

    #[inline]
    fn words_if(
        self,
        text: &[u8],
        start: usize,
        stop: usize,
        cuts: &mut [u64],
        can_join: impl Fn(Spelling, Spelling) -> bool,
    ) {
        // Bytes that belong to words, and first bytes of characters that are looked at one by one, in the block before.
        let (mut words_before, mut unspaced_before, mut arabic_before) = (0, 0, 0);
        let (mut spaces_before, mut joining_before) = (0, 0);
        // What a space is read as may stand in the text too: it ends with this byte.
        let [last_of_space, ..] = last_byte(self.space).to_le_bytes();
        let question = InWords { last_of_space, apart: self.joins.apart(), paired: self.paired };
        let known_spaces = self.space_begins_words && self.fusing.is_none();
        for (at, cuts) in (start..stop).step_by(BLOCK).zip(cuts) {
            let mut rest = [0; BLOCK];
            let found = look(&question, block_at(text, at, &mut rest));
            let within = if stop - at < BLOCK { (1 << (stop - at)) - 1 } else { !0 };
            let (mut words, mut neighbours, mut neighbours_of_two) = (found.letters, 0, 0);
            let (beyond, spaces) = (found.beyond, found.spaces);
            let mut begins = !0;
            if beyond | unspaced_before | arabic_before != 0 {
                let (unspaced, arabic) = (found.unspaced, found.arabic);
                // They have three bytes each, or two, so neighbours are so many places apart. Where unknown ones
                // fuse, more than the pair is to be asked.
                if self.fusing.is_none() {
                    neighbours = unspaced & (unspaced << 3 | unspaced_before >> (BLOCK - 3));
                    neighbours_of_two = arabic & (arabic << 2 | arabic_before >> (BLOCK - 2));
                }
                let bytes = unspaced
                    | unspaced << 1
                    | unspaced << 2
                    | unspaced_before >> (BLOCK - 1)
                    | unspaced_before >> (BLOCK - 2)
                    | arabic
                    | arabic << 1
                    | arabic_before >> (BLOCK - 1);
                (unspaced_before, arabic_before) = (unspaced, arabic);
                words |= beyond & !bytes;
                begins = !found.inside;
            }
            let mut asked = begins
                & !(neighbours | neighbours_of_two)
                & !(words & preceding(words, words_before))
                & within;
            words_before = words;
            if at == start {
                asked &= !1;
            }
            let mut cut = self.between_neighbours(text, at, stop, neighbours & within, 0)
                | self.between_neighbours_of_two(text, at, neighbours_of_two & within);
            let (threes, twos) = (found.paired_of_three, found.paired_of_two);
            if threes | twos != 0 {
                // Two letters stay together, and the first of a word with the space before it.
                cut &= !(every_second::<3>(cut & threes & threes << 3)
                    | every_second::<2>(cut & twos & twos << 2));
                asked &= !((threes | twos) & spaces << 1);
            }
            if known_spaces {
                let begin_words = asked & spaces & !preceding(found.joining, joining_before);
                cut |= begin_words;
                asked &= !(begin_words | words & preceding(spaces, spaces_before));
                (spaces_before, joining_before) = (spaces, found.joining);
            }
            while asked != 0 {
                let place = asked.trailing_zeros();
                asked &= asked - 1;
                let here = at + place as usize;
                let (left, right) = (text[here - 1], text[here]);
                let joins = if (left | right).is_ascii() {
                    self.ascii.can_join(left, right)
                } else {
                    can_join(self.read_before(text, here), self.read(text, here).0)
                };
                cut |= u64::from(!joins) << place;
            }
            *cuts |= cut;
        }
    }

    /// Marks the cuts between neighbours of scripts without spaces and their signs, where what a pattern takes for a word
    /// rarely repeats.
    pub(super) fn unspaced(self, text: &[u8], start: usize, stop: usize, cuts: &mut [u64]) {
        let mut before = 0;
        let question = Unspaced { torn: self.joins.torn_threes() };
        for (at, cuts) in (start..stop).step_by(BLOCK).zip(cuts) {
            let mut rest = [0; BLOCK];
            let [unspaced, torn] = look(&question, block_at(text, at, &mut rest));
            if before | unspaced == 0 {
                continue;
            }
            let neighbours = unspaced & (unspaced << 3 | before >> (BLOCK - 3));
            before = unspaced;
            let within = if stop - at < BLOCK { (1 << (stop - at)) - 1 } else { !0 };
            *cuts |= self.between_neighbours(text, at, stop, neighbours & within, torn);
        }
    }

    /// The cuts among the places, from `at` on, that stand between two characters of three bytes. `torn`: those before a
    /// byte with which a token may end that begins inside the character before.
    #[inline]
    fn between_neighbours(self, text: &[u8], at: usize, stop: usize, places: u64, torn: u64) -> u64 {
        if places == 0 {
            return 0;
        }
        let mut near_ends = [0; AROUND];
        let around = around::<3>(text, at, &mut near_ends);
        let [mut joins, mut beside] = self.joins.pairs.among::<3>(around, places);
        while beside != 0 {
            let place = beside.trailing_zeros();
            beside &= beside - 1;
            joins &= !(u64::from(!self.join_beside(text, at + place as usize, stop)) << place);
        }
        let mut doubtful = places & torn & !joins;
        while doubtful != 0 {
            let place = doubtful.trailing_zeros() as usize % BLOCK;
            doubtful &= doubtful - 1;
            let (last, first) = (around[place + 2].into(), around[place + 3].into());
            joins |= u64::from(self.joins.inside_both(last, first)) << place;
        }
        places & !joins
    }

    /// Whether two characters of three bytes, the second of them at `here`, can join though tokens hold them beside others only.
    #[inline]
    fn join_beside(self, text: &[u8], here: usize, stop: usize) -> bool {
        let twelve: Option<&[u8; 12]> = here.checked_sub(6).and_then(|start| text[start..stop].first_chunk());
        let Some(twelve) = twelve else { return true }; // what stands there may be still to come
        if self.space != u32::from(b' ') && (twelve[2] == b' ' || twelve[9] == b' ') {
            return true; // it is another character for the model
        }
        let three = |at: usize| u32::from_le_bytes([twelve[at], twelve[at + 1], twelve[at + 2], 0]);
        let (pair, pairs) = (adjacent::pair(three(3), three(6)), self.joins.pairs);
        pairs.has_three(pair, Beside::Before(three(0))) || pairs.has_three(pair, Beside::Behind(three(9)))
    }

    /// The same between two characters of two bytes, of which none is torn.
    #[inline]
    fn between_neighbours_of_two(self, text: &[u8], at: usize, places: u64) -> u64 {
        if places == 0 {
            return 0;
        }
        let mut near_ends = [0; AROUND];
        let [joins, _] = self.joins.pairs.among::<2>(around::<2>(text, at, &mut near_ends), places);
        places & !joins
    }
}

/// The first, the third and so on of the places that stand so many bytes from each other.
#[inline]
fn every_second<const APART: u32>(places: u64) -> u64 {
    let mut chosen = places & !(places << APART);
    let mut linked = places & places << APART & places << (2 * APART);
    let mut step = 2 * APART;
    while step < u64::BITS {
        chosen |= chosen << step & linked;
        linked &= linked << step;
        step *= 2;
    }
    chosen
}

/// The bytes of a block with so many before it, so that there are eight from each place minus that on. Where the text does
/// not reach so far, they are put together in `near_ends`.
#[inline]
fn around<'t, const BEFORE: usize>(
    text: &'t [u8],
    at: usize,
    near_ends: &'t mut [u8; AROUND],
) -> &'t [u8; AROUND] {
    if let Some(around) = at.checked_sub(BEFORE).and_then(|start| text[start..].first_chunk()) {
        return around;
    }
    let before = at.min(BEFORE);
    let some = &text[at - before..text.len().min(at + AROUND - BEFORE)];
    near_ends[BEFORE - before..BEFORE - before + some.len()].copy_from_slice(some);
    near_ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    /// One after the other.
    fn every_second_slowly(places: u64, apart: u32) -> u64 {
        (0..64).fold(0, |chosen, place| {
            let before = place >= apart && places >> (place - apart) & 1 != 0;
            let chosen_before = place >= apart && chosen >> (place - apart) & 1 != 0;
            let here = places >> place & 1 != 0 && !(before && chosen_before);
            chosen | u64::from(here) << place
        })
    }

    #[test]
    fn every_second_of_places_that_stand_side_by_side() {
        let mut numbers = Numbers(1);
        assert_eq!(every_second::<2>(0b1_0101_0101), 0b1_0001_0001);
        for _ in 0..10_000 {
            // No two nearer than so many bytes, as characters stand.
            let places = |apart: u32, numbers: &mut Numbers| {
                let (mut places, mut at) = (0u64, numbers.below(4));
                while at < 64 {
                    places |= 1 << at;
                    at += apart as usize + numbers.below(5) / 4 * numbers.below(9);
                }
                places
            };
            let (twos, threes) = (places(2, &mut numbers), places(3, &mut numbers));
            assert_eq!(every_second::<2>(twos), every_second_slowly(twos, 2));
            assert_eq!(every_second::<3>(threes), every_second_slowly(threes, 3));
        }
    }
}
