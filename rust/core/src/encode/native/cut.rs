//! Cuts wherever no merge can cross.

use super::bits::{Bits, WORD};
use super::block::{BLOCK, block_at, ideographic, inside, letters, preceding};
use super::joins;
use super::model;
use super::unicode::decode;

/// Decides where pieces may be cut.
#[derive(Clone, Copy)]
pub(super) struct Cutter<'a> {
    pub(super) joins: joins::View<'a>,
    /// What a space is read as.
    pub(super) space: u32,
    /// Unknown neighbours become one token.
    pub(super) fusing: Option<&'a model::Chars>,
}

impl Cutter<'_> {
    /// Whether a merge might span the boundary between the two characters.
    #[inline(always)]
    fn can_join(self, left: u32, right: u32) -> bool {
        let read = |code: u32| if code == 0x20 { self.space } else { code };
        let (left, right) = (read(left), read(right));
        self.joins.can_join(left, right) || self.fusing.is_some_and(|chars| chars.fuses(left, right))
    }

    /// Marks every cut in `text[start..stop]`, places from `start` on.
    ///
    /// Runs of ASCII letters are passed without a question: hardly any two of them cannot join, and a
    /// cut that is not made costs nothing but a chance.
    pub(super) fn everywhere(self, text: &[u8], start: usize, stop: usize, ends: &mut Bits) {
        self.mark(text, start, stop, ends, |block, before| {
            let letters = letters(block);
            let asked = !inside(block) & !(letters & preceding(letters, *before));
            *before = letters;
            asked
        });
    }

    /// Marks the cuts before characters of scripts without spaces, Chinese or Japanese, where what lies
    /// between two spaces rarely repeats.
    pub(super) fn ideographs(self, text: &[u8], start: usize, stop: usize, ends: &mut Bits) {
        self.mark(text, start, stop, ends, |block, _| ideographic(block));
    }

    /// `asked`: the first bytes of the characters before which a cut may be made.
    #[inline]
    fn mark(
        self,
        text: &[u8],
        start: usize,
        stop: usize,
        ends: &mut Bits,
        asked: impl Fn(&[u8; BLOCK], &mut u64) -> u64,
    ) {
        let mut before = 0;
        // The last character asked about, and where it ends.
        let (mut last, mut last_end) = (0, start);
        for (index, at) in (start..stop).step_by(WORD).enumerate() {
            let mut places = asked(&block_at(text, at), &mut before);
            if index == 0 {
                places &= !1;
                (last, last_end) = decode(text, start);
                last_end += start;
            }
            if stop - at < WORD {
                places &= (1 << (stop - at)) - 1;
            }
            let mut cuts = 0;
            while places != 0 {
                let place = places.trailing_zeros();
                places &= places - 1;
                let here = at + place as usize;
                let (right, length) = decode(text, here);
                let byte = text[here - 1];
                let known = (byte < 0x80) | (last_end == here);
                let left = if byte < 0x80 { u32::from(byte) } else { last };
                // Where the character before is not at hand, the cut is forgone.
                let cut = known & !self.can_join(left, right);
                cuts |= u64::from(cut) << place;
                (last, last_end) = (right, here + length);
            }
            ends.words_mut()[index] |= cuts;
        }
    }

    /// The end of the piece that begins at `start`: where the first cut is, or `text`'s end.
    pub(super) fn next(self, text: &[u8], start: usize) -> usize {
        let (mut left, length) = decode(text, start);
        let mut at = start + length;
        while at < text.len() {
            let (right, length) = decode(text, at);
            if !self.can_join(left, right) {
                return at;
            }
            left = right;
            at += length;
        }
        text.len()
    }
}
