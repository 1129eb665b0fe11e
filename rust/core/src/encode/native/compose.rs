//! Canonical order and composition (Unicode Standard Annex 15) of what may need them, in one pass.
//!
//! Marks behind a letter wait by class until the next one, so their order comes of itself. Of a class only the first can compose with the letter,
//! the next once it has, and so on: the one that does not keeps all behind it from the letter, and they are copied as they
//! stand. (By the library's tables, but not by its iterators: for marks without end they take three times as long, and keep four
//! times as much.)

use unicode_normalization_alignments::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};

use super::unicode::NFC_UNSURE;

/// Classes that there can be, and bits in a word.
const CLASSES: usize = 256;
const WORD: usize = 64;
/// So many characters are known at most to stay as they are.
const SAME: usize = 64;

/// The characters that a character is made of in a form.
pub(super) fn decompose(c: char, unsure: u16, give: impl FnMut(char)) {
    if unsure == NFC_UNSURE {
        decompose_canonical(c, give);
    } else {
        decompose_compatible(c, give);
    }
}

/// Composes stretches, all in one form.
pub(super) struct Composer {
    unsure: u16,
    /// By their low bits, characters that are made of nothing else, with their classes.
    same: [(char, u8); SAME],
    /// Of class 0, and not written yet.
    letter: Option<char>,
    /// By class, those behind it; and a bit for each class that has some.
    marks: Vec<String>,
    waiting: [u64; CLASSES / WORD],
}

impl Composer {
    pub(super) fn new(unsure: u16) -> Self {
        let (same, marks) = ([('\0', 0); SAME], vec![String::new(); CLASSES]);
        Self { unsure, same, letter: None, marks, waiting: [0; CLASSES / WORD] }
    }

    /// Writes a stretch composed.
    pub(super) fn write(&mut self, stretch: &str, to: &mut String) {
        for c in stretch.chars() {
            let (same, class) = self.same[c as usize % SAME];
            if same == c {
                self.add(c, class, to);
                continue;
            }
            decompose(c, self.unsure, |part| {
                let class = canonical_combining_class(part);
                if part == c {
                    self.same[c as usize % SAME] = (c, class);
                }
                self.add(part, class, to);
            });
        }
        self.write_marks(to);
        to.extend(self.letter.take());
    }

    #[inline]
    fn add(&mut self, c: char, class: u8, to: &mut String) {
        if class != 0 {
            let class = usize::from(class);
            self.marks[class].push(c);
            self.waiting[class / WORD] |= 1 << (class % WORD);
            return;
        }
        self.write_marks(to);
        match self.letter.and_then(|letter| compose(letter, c)) {
            Some(both) => self.letter = Some(both),
            None => to.extend(self.letter.replace(c)),
        }
    }

    /// Composes the letter with what waits behind it. If any of that is left, nothing more composes, and both are written.
    fn write_marks(&mut self, to: &mut String) {
        for class in classes(self.waiting) {
            let (marks, mut joined) = (&mut self.marks[class], 0);
            while let Some(c) = marks[joined..].chars().next()
                && let Some(both) = self.letter.and_then(|letter| compose(letter, c))
            {
                self.letter = Some(both);
                joined += c.len_utf8();
            }
            marks.drain(..joined);
            if marks.is_empty() {
                self.waiting[class / WORD] &= !(1 << (class % WORD));
            }
        }
        if self.waiting == [0; CLASSES / WORD] {
            return;
        }
        to.extend(self.letter.take());
        for class in classes(self.waiting) {
            to.push_str(&self.marks[class]);
            self.marks[class].clear();
        }
        self.waiting.fill(0);
    }
}

/// The classes of bits, the lowest first.
fn classes(bits: [u64; CLASSES / WORD]) -> impl Iterator<Item = usize> {
    (0..).zip(bits).flat_map(|(index, mut bits)| {
        std::iter::from_fn(move || {
            let lowest = (bits != 0).then(|| index * WORD + bits.trailing_zeros() as usize);
            bits &= bits.wrapping_sub(1);
            lowest
        })
    })
}
