//! Cuts wherever no merge can cross.

use super::bits::Bits;
use super::block::{BLOCK, block_at, ideographic, inside, letters, preceding};
use super::joins::{self, Spelling, spelling_at};
use super::model;
use super::unicode::decode;

/// Decides where pieces may be cut.
#[derive(Clone, Copy)]
pub(super) struct Cutter<'a> {
    pub(super) joins: joins::View<'a>,
    /// What a space is read as.
    pub(super) space: Spelling,
    /// Unknown neighbours become one token.
    pub(super) fusing: Option<&'a model::Chars>,
}

impl Cutter<'_> {
    /// The character that begins at `at` as the model sees it, and its length in the text.
    #[inline]
    fn read(self, text: &[u8], at: usize) -> (Spelling, usize) {
        let (spelling, length) = spelling_at(text, at);
        (if spelling == u32::from(b' ') { self.space } else { spelling }, length)
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

    /// Marks every cut in `text[start..stop]`, places from `start` on.
    ///
    /// Runs of ASCII letters are passed without a question: hardly any two of them cannot join, and a
    /// cut that is not made costs nothing but a chance.
    pub(super) fn everywhere(self, text: &[u8], start: usize, stop: usize, cuts: &mut Bits) {
        let mut before = 0;
        // The last character that was looked at: right before the next, unless that follows a letter.
        let (mut last, _) = self.read(text, start);
        for (at, cuts) in (start..stop).step_by(BLOCK).zip(cuts.words_mut()) {
            let block = block_at(text, at);
            let letters = letters(&block);
            let after_letter = preceding(letters, before);
            before = letters;
            let mut asked = !inside(&block) & !(letters & after_letter);
            if at == start {
                asked &= !1;
            }
            if stop - at < BLOCK {
                asked &= (1 << (stop - at)) - 1;
            }
            let mut cut = 0;
            while asked != 0 {
                let place = asked.trailing_zeros();
                asked &= asked - 1;
                let here = at + place as usize;
                let (right, _) = self.read(text, here);
                let left = if after_letter >> place & 1 != 0 { u32::from(text[here - 1]) } else { last };
                cut |= u64::from(!self.can_join(left, right)) << place;
                last = right;
            }
            *cuts |= cut;
        }
    }

    /// Marks the cuts between neighbours of scripts without spaces, Chinese or Japanese, where what lies
    /// between two spaces rarely repeats.
    pub(super) fn ideographs(self, text: &[u8], start: usize, stop: usize, cuts: &mut Bits) {
        let mut before = 0;
        for (at, cuts) in (start..stop).step_by(BLOCK).zip(cuts.words_mut()) {
            let ideographs = ideographic(&block_at(text, at));
            // They have three bytes each, so neighbours are three places apart.
            let mut asked = ideographs & (ideographs << 3 | before >> (BLOCK - 3));
            before = ideographs;
            if stop - at < BLOCK {
                asked &= (1 << (stop - at)) - 1;
            }
            let mut cut = 0;
            while asked != 0 {
                let place = asked.trailing_zeros();
                asked &= asked - 1;
                let pair = six_at(text, at + place as usize - 3);
                cut |= u64::from(!self.joins.can_join_three(pair)) << place;
            }
            *cuts |= cut;
        }
    }

    /// The end of the piece that begins at `start`: where the first cut is, or `text`'s end.
    pub(super) fn next(self, text: &[u8], start: usize) -> usize {
        let (mut left, length) = self.read(text, start);
        let mut at = start + length;
        while at < text.len() {
            let (right, length) = self.read(text, at);
            if !self.can_join(left, right) {
                return at;
            }
            left = right;
            at += length;
        }
        text.len()
    }
}

/// Six bytes of the text in one number, the first of them lowest.
#[inline]
fn six_at(text: &[u8], at: usize) -> u64 {
    let eight = if let Some(Ok(eight)) = text.get(at..at + 8).map(<[u8; 8]>::try_from) {
        eight
    } else {
        let mut eight = [0; 8];
        let rest = &text[at..];
        eight[..rest.len()].copy_from_slice(rest);
        eight
    };
    u64::from_le_bytes(eight) & 0xFFFF_FFFF_FFFF
}
