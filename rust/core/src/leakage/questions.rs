//! The questions of the benchmark, and where one of them stands whole in a text.

use std::ops::Range;

use ahash::AHashSet;

use super::filter::{Filter, hash};
use super::units::{Prepared, Unit};

/// The questions, made ready for comparison, each once, in the order of their bytes.
#[derive(Debug)]
pub(super) struct Questions {
    /// One after the other, a space after each.
    text: String,
    /// Where each begins and ends in `text`.
    spans: Vec<[u32; 2]>,
}

impl Questions {
    /// Takes questions in the order of their bytes; `None` if they are too large together.
    pub(super) fn new<'a>(questions: impl Iterator<Item = &'a str>) -> Option<Self> {
        let (mut text, mut spans) = (String::new(), Vec::new());
        for question in questions {
            let start = u32::try_from(text.len()).ok()?;
            text.push_str(question);
            spans.push([start, u32::try_from(text.len()).ok()?]);
            text.push(' ');
        }
        Some(Self { text, spans })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn span(&self, question: usize) -> Range<usize> {
        range(self.spans[question])
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Range<usize>> {
        self.spans.iter().copied().map(range)
    }

    pub(super) fn get(&self, question: usize) -> &str {
        &self.text[self.span(question)]
    }

    /// The question that a byte is of.
    pub(super) fn at(&self, byte: usize) -> usize {
        self.spans.partition_point(|[start, _]| *start as usize <= byte).saturating_sub(1)
    }

    /// A question of those from `least` bytes on with which the text begins, the longest first, that passes `fits`.
    ///
    /// The last question that is not after the text begins it or differs from it at some byte; questions that begin
    /// the text and are before that one are no longer than what the two share. So each step shortens the text.
    fn beginning(&self, mut text: &[u8], least: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let mut end = self.len();
        while text.len() >= least {
            end = self.partition_point(end, |question| question <= text);
            let last = end.checked_sub(1)?;
            let question = self.get(last).as_bytes();
            let shared = question.iter().zip(text).take_while(|(a, b)| a == b).count();
            if shared == question.len() && shared >= least && fits(last) {
                return Some(last);
            }
            text = &text[..shared];
            end = last;
        }
        None
    }

    /// How many of the first `end` questions come before something.
    fn partition_point(&self, end: usize, before: impl Fn(&[u8]) -> bool) -> usize {
        self.spans[..end].partition_point(|span| before(&self.bytes()[range(*span)]))
    }
}

fn range([start, end]: [u32; 2]) -> Range<usize> {
    start as usize..end as usize
}

/// Finds questions that stand whole in a text.
#[derive(Debug)]
pub(super) struct WholeQuestions {
    unit: Unit,
    /// Shorter ones count only where they stand alone.
    least_units: usize,
    /// Fewest bytes of a question that counts anywhere.
    least_bytes: usize,
    /// Most bytes of a question that is shorter.
    longest_short: usize,
    /// What may lie near the beginning of one.
    filter: Filter,
    /// Hashes of the first `least_bytes` of each.
    beginnings: AHashSet<u64>,
}

impl WholeQuestions {
    pub(super) fn new(unit: Unit, least_units: usize, questions: &Questions) -> Self {
        let bytes = questions.bytes();
        let is_long = |span: &Range<usize>| unit.count(&bytes[span.clone()]) >= least_units;
        let (long, short): (Vec<_>, Vec<_>) = questions.spans().partition(is_long);
        let least_bytes = long.iter().map(Range::len).min().unwrap_or(0);
        let places = Filter::new(least_bytes, 0).reach() + 1;
        let mut filter = Filter::new(least_bytes, long.len() * places);
        let mut beginnings = AHashSet::new();
        for span in long {
            let beginning = &bytes[span][..least_bytes];
            beginnings.insert(hash(beginning));
            let places = (0..places).filter(|at| Unit::Characters.begins(beginning, *at));
            places.for_each(|at| filter.insert(beginning, at));
        }
        let longest_short = short.iter().map(Range::len).max().unwrap_or(0);
        Self { unit, least_units, least_bytes, longest_short, filter, beginnings }
    }

    /// The first question that stands whole in the text, and where.
    pub(super) fn find(&self, text: &Prepared, questions: &Questions) -> Option<(Range<usize>, usize)> {
        self.anywhere(text.text.as_bytes(), questions).or_else(|| self.alone(text, questions))
    }

    fn anywhere(&self, text: &[u8], questions: &Questions) -> Option<(Range<usize>, usize)> {
        if self.beginnings.is_empty() {
            return None;
        }
        let (mut next, mut found) = (0, None);
        self.filter.scan(text, |at, passes| {
            if !passes || found.is_some() {
                return;
            }
            for start in at.saturating_sub(self.filter.reach()).max(next)..=at {
                let beginning = text.get(start..start + self.least_bytes);
                let worth_it = self.unit.begins(text, start)
                    && beginning.is_some_and(|beginning| self.beginnings.contains(&hash(beginning)));
                if worth_it && found.is_none() {
                    let ends = |question: usize| {
                        let end = start + questions.span(question).len();
                        self.unit.ends_at(text, end) && self.is_long(questions.get(question))
                    };
                    let question = questions.beginning(&text[start..], self.least_bytes, ends);
                    found =
                        question.map(|question| (start..start + questions.span(question).len(), question));
                }
            }
            next = at + 1;
        });
        found
    }

    fn is_long(&self, question: &str) -> bool {
        self.unit.count(question.as_bytes()) >= self.least_units
    }

    /// A short question that is all of a text, or all of a line.
    fn alone(&self, text: &Prepared, questions: &Questions) -> Option<(Range<usize>, usize)> {
        let whole = text.text.trim();
        let start = text.text.len() - text.text.trim_start().len();
        let whole = start..start + whole.len();
        text.lines.iter().chain([&whole]).find_map(|line| {
            if line.is_empty() || line.len() > self.longest_short {
                return None;
            }
            let content = &text.text.as_bytes()[line.clone()];
            let at = questions.partition_point(questions.len(), |question| question < content);
            let same = at < questions.len() && questions.get(at).as_bytes() == content;
            same.then(|| (line.clone(), at))
        })
    }
}
