//! Texts one behind the other, with marks between them, so that short ones are cut and looked up together.
//!
//! A mark is spelled in bytes that stand in no UTF-8, so no piece of a text is like one.

use super::bits::Bits;
use super::work::{KEEP, STRETCH};
use crate::memory::make_room;

/// Stands where a text ends.
const END: u8 = 0xFE;
/// Stands where a token does that the text has been split at. Its id follows, six bits a byte, the lowest first, in bytes as they
/// are inside a character.
const TOKEN: u8 = 0xFF;

/// Behind the last byte: pieces are read sixteen bytes at a time.
const ZEROS: [u8; 16] = [0; 16];

/// What has not been encoded yet.
pub(super) struct Sheet {
    bytes: Vec<u8>,
    /// Where pieces of the pattern and marks begin and end.
    begins: Bits,
    /// In so many there is no place to cut.
    uncut: usize,
    /// So many are worth a look.
    enough: usize,
}

/// What a mark stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    End,
    Token(u32),
}

impl Sheet {
    pub(super) fn new() -> Self {
        let mut sheet = Self { bytes: Vec::new(), begins: Bits::default(), uncut: 0, enough: 0 };
        sheet.clear();
        sheet
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.begins.clear(0);
        self.begins.set(0);
        (self.uncut, self.enough) = (0, STRETCH);
    }

    /// Whether there is enough to be encoded.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= self.enough
    }

    /// Adds a part of a text that no pattern splits.
    #[inline]
    pub(super) fn add(&mut self, part: &[u8]) {
        make_room(&mut self.bytes, part.len() + ZEROS.len());
        self.bytes.extend_from_slice(part);
    }

    /// Adds a part of a text, with the places in it where pieces of the pattern begin.
    #[inline]
    pub(super) fn add_pieces(&mut self, part: &[u8], begins: &Bits) {
        self.begins.add(begins, self.bytes.len());
        self.add(part);
    }

    /// So many bytes of the text are to come: makes room for some of them where a piece is so long that they may belong to it.
    #[inline]
    pub(super) fn make_room(&mut self, bytes: usize) {
        if self.uncut > KEEP {
            let more = bytes.min(7 * self.bytes.len()) + ZEROS.len();
            make_room(&mut self.bytes, more);
        }
    }

    /// What comes next is no part of the piece before.
    #[inline]
    pub(super) fn end_piece(&mut self) {
        self.begins.set(self.bytes.len());
    }

    /// Adds what stands between texts.
    #[allow(clippy::cast_possible_truncation)] // the lowest bits are what is wanted
    pub(super) fn add_mark(&mut self, mark: Mark) {
        match mark {
            Mark::End => self.bytes.push(END),
            Mark::Token(id) => {
                self.bytes.push(TOKEN);
                let mut rest = id;
                loop {
                    self.bytes.push(0x80 | rest as u8 & 0x3F);
                    rest >>= 6;
                    if rest == 0 {
                        break;
                    }
                }
            }
        }
    }

    /// Where pieces of the pattern and marks begin and end.
    #[inline]
    pub(super) fn begins(&self) -> &Bits {
        &self.begins
    }

    /// In so many bytes it is known that there is no place to cut.
    pub(super) fn uncut(&self) -> usize {
        self.uncut
    }

    /// Lends the bytes, with zeros behind them, and says how many they are. The places have words for all of them.
    pub(super) fn lend(&mut self) -> (Vec<u8>, usize) {
        let length = self.bytes.len();
        self.begins.reach(length);
        self.bytes.extend_from_slice(&ZEROS);
        (std::mem::take(&mut self.bytes), length)
    }

    /// Takes them back: what stands before a place has been encoded.
    pub(super) fn take_back(&mut self, mut bytes: Vec<u8>, encoded: usize) {
        bytes.truncate(bytes.len() - ZEROS.len());
        bytes.drain(..encoded);
        if encoded > 0 {
            // Not while a piece grows: it would be given back, and asked for again, each time.
            bytes.shrink_to(KEEP);
        }
        let begins_piece = self.begins.has(encoded);
        self.begins.clear(bytes.len());
        self.begins.shrink_to(KEEP);
        if begins_piece {
            self.begins.set(0);
        }
        // What has no place to be cut waits until it is twice as much.
        (self.uncut, self.enough) = (bytes.len(), (2 * bytes.len()).max(STRETCH));
        self.bytes = bytes;
    }
}

/// Whether a piece that begins with this byte stands for the end of a text.
#[inline]
pub(super) fn is_end(first: u8) -> bool {
    first == END
}

/// What a piece stands for that is no text.
pub(super) fn mark_of(piece: &[u8]) -> Option<Mark> {
    match piece {
        [END, ..] => Some(Mark::End),
        [TOKEN, bits @ ..] => {
            Some(Mark::Token(bits.iter().rev().fold(0, |id, six| id << 6 | u32::from(six & 0x3F))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    #[test]
    fn marks_are_what_they_were_and_no_text_is_one() {
        let mut sheet = Sheet::new();
        for mark in [Mark::End].into_iter().chain([0, 1, 63, 64, 4095, 4096, u32::MAX].map(Mark::Token)) {
            sheet.clear();
            sheet.add_mark(mark);
            let (bytes, length) = sheet.lend();
            assert_eq!(mark_of(&bytes[..length]), Some(mark));
            assert_eq!(is_end(bytes[0]), mark == Mark::End);
            assert_eq!(std::str::from_utf8(&bytes[..length]).ok(), None);
            sheet.take_back(bytes, length);
        }
        for text in ["", "a", "é", "\u{10FFFF}"] {
            assert_eq!(mark_of(text.as_bytes()), None);
        }
    }

    #[test]
    fn what_is_left_is_what_was_added_and_not_encoded() {
        let (mut numbers, mut sheet, mut parts) = (Numbers(3), Sheet::new(), Bits::default());
        // The bytes and by byte, and for the one to come, whether it begins a piece.
        let (mut bytes, mut begins) = (Vec::new(), vec![true]);
        let mut full = 0;
        for _ in 0..4000 {
            let most = if numbers.chance(10) { 900 } else { 9 };
            let length = numbers.below(most);
            let part = vec![b'a'; length];
            let is_whole = numbers.chance(30);
            let mut begins_here = vec![false; length + 1];
            for begins in &mut begins_here[1..] {
                *begins = !is_whole && numbers.chance(20);
            }
            parts.clear(length);
            (0..).zip(&begins_here).filter(|(_, begins)| **begins).for_each(|(at, _)| parts.set(at));
            if is_whole {
                sheet.add(&part);
            } else {
                sheet.add_pieces(&part, &parts);
            }
            bytes.extend_from_slice(&part);
            begins.extend_from_slice(&begins_here[1..]);
            if numbers.chance(50) {
                sheet.end_piece();
                *begins.last_mut().unwrap_or(&mut false) = true;
            }
            if !sheet.is_full() {
                continue;
            }
            full += 1;
            let (lent, length) = sheet.lend();
            assert_eq!(lent[..length], bytes);
            assert_eq!(lent[length..], ZEROS);
            assert!(sheet.begins().words().len() > length / 64);
            assert!((0..).zip(&begins).all(|(at, begins)| sheet.begins().has(at) == *begins));
            // Up to behind the last piece that begins, as far as that goes.
            let end = (0..begins.len()).rev().find(|at| begins[*at]).unwrap_or(0);
            sheet.take_back(lent, end);
            bytes.drain(..end);
            begins.drain(..end);
            assert!(!sheet.is_full() || bytes.is_empty());
        }
        assert!(full > 10, "{full}");
    }
}
