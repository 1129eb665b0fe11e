//! Canonical order and composition (Unicode Standard Annex 15) of what may need them, in one pass.
//!
//! Marks behind a letter wait by class until the next one, so their order comes of itself. Of a class only the first can compose
//! with the letter, the next once it has, and so on: the one that does not keeps all behind it from the letter, and they are
//! copied as they stand. (By the library's tables, but not by its iterators: for marks without end they take three times as
//! long, and keep four times as much.)

use unicode_normalization_alignments::char::{
    canonical_combining_class, compose, decompose_canonical, decompose_compatible,
};

use super::unicode::NFC_UNSURE;
use super::work::KEEP;

/// Classes that there can be.
const KINDS: usize = 256;
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

/// Composes stretches, all in one form. Kept from text to text.
pub(super) struct Composer {
    unsure: u16,
    /// By their low bits, characters that are made of nothing else, with their classes. At first none but the first of all.
    same: [(char, u8); SAME],
    /// Of class 0, and not written yet.
    letter: Option<char>,
    /// Those behind it, a string for every class that has been met; by class, its number, counted from 1.
    marks: Vec<String>,
    numbers: [u8; KINDS],
    /// The classes of which there are some, in order, with their numbers.
    waiting: Vec<(u8, u8)>,
}

impl Composer {
    pub(super) fn new(unsure: u16) -> Self {
        let (same, numbers) = ([('\0', 0); SAME], [0; KINDS]);
        Self { unsure, same, letter: None, marks: Vec::new(), numbers, waiting: Vec::new() }
    }

    /// What says that a character may change in its form.
    pub(super) fn unsure(&self) -> u16 {
        self.unsure
    }

    /// Writes a stretch composed.
    pub(super) fn write(&mut self, stretch: &str, to: &mut String) {
        for c in stretch.chars() {
            let (same, class) = self.same[c as usize % SAME];
            if same == c {
                // Where others of its class wait, a mark goes behind them.
                let number = usize::from(self.numbers[usize::from(class)]);
                match self.marks.get_mut(number.wrapping_sub(1)) {
                    Some(marks) if !marks.is_empty() => marks.push(c),
                    _ => self.add(c, class, to),
                }
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
        if !self.waiting.is_empty() {
            self.write_marks(to);
        }
        to.extend(self.letter.take());
    }

    #[inline]
    fn add(&mut self, c: char, class: u8, to: &mut String) {
        if class != 0 {
            return self.add_mark(c, class);
        }
        if !self.waiting.is_empty() {
            self.write_marks(to);
        }
        match self.letter.and_then(|letter| compose(letter, c)) {
            Some(both) => self.letter = Some(both),
            None => to.extend(self.letter.replace(c)),
        }
    }

    #[inline]
    fn add_mark(&mut self, c: char, class: u8) {
        let number = &mut self.numbers[usize::from(class)];
        if *number == 0 {
            self.marks.push(String::new());
            *number = u8::try_from(self.marks.len()).unwrap_or(u8::MAX); // there are 255 besides 0
        }
        let marks = &mut self.marks[usize::from(*number) - 1];
        if marks.is_empty() {
            let place = self.waiting.partition_point(|(other, _)| *other < class);
            self.waiting.insert(place, (class, *number));
        }
        marks.push(c);
    }

    /// Composes the letter with what waits behind it. If any of that is left, nothing more composes, and both are written.
    fn write_marks(&mut self, to: &mut String) {
        let Self { letter, marks, waiting, .. } = self;
        waiting.retain(|(_, number)| {
            let marks = &mut marks[usize::from(*number) - 1];
            let mut joined = 0;
            while let Some(c) = marks[joined..].chars().next()
                && let Some(both) = letter.and_then(|letter| compose(letter, c))
            {
                *letter = Some(both);
                joined += c.len_utf8();
            }
            if joined == marks.len() {
                marks.clear();
                return false;
            }
            marks.drain(..joined);
            true
        });
        if waiting.is_empty() {
            return;
        }
        to.extend(letter.take());
        for (_, number) in waiting.drain(..) {
            let marks = &mut marks[usize::from(number) - 1];
            to.push_str(marks);
            marks.clear();
            marks.shrink_to(KEEP / KINDS);
        }
    }
}
