//! The questions of the benchmark, and where one of them stands whole in a text.

use std::cmp::Reverse;
use std::ops::Range;

use ahash::AHashMap;

use super::filter::{Filter, hash};
use super::units::{Prepared, Unit};
use crate::error::Result;

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

    /// A question `among` some, of those from `least` bytes on, with which the text begins and that passes `fits`; the
    /// longest.
    ///
    /// The last question that is not after the text begins it or differs from it at some byte; questions that begin
    /// the text and are before that one are no longer than what the two share. So each step shortens the text.
    fn beginning(
        &self,
        among: Range<usize>,
        mut text: &[u8],
        least: usize,
        fits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut end = among.end;
        while text.len() >= least {
            let before = |span: &[u32; 2]| &self.bytes()[range(*span)] <= text;
            end = among.start + self.spans[among.start..end].partition_point(before);
            let last = end.checked_sub(1).filter(|last| *last >= among.start)?;
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
}

fn range([start, end]: [u32; 2]) -> Range<usize> {
    start as usize..end as usize
}

/// Finds questions that stand whole in a text.
#[derive(Debug)]
pub(super) struct WholeQuestions {
    /// Questions that have a run of their own, so that a text that shares none cannot hold them.
    with_run: LongQuestions,
    /// Others that count anywhere.
    without: LongQuestions,
    /// Those that are shorter, and count where they stand alone.
    short: AHashMap<Box<[u8]>, usize>,
    /// Most bytes of one of those.
    longest_short: usize,
}

impl WholeQuestions {
    /// Questions of at least `least` units count anywhere; those of `run` units share a run.
    pub(super) fn new(unit: Unit, least: usize, run: usize, questions: &Questions) -> Result<Self> {
        let bytes = questions.bytes();
        let (mut with_run, mut without) = (Vec::new(), Vec::new());
        let mut short: AHashMap<Box<[u8]>, usize> = AHashMap::new();
        for (number, span) in questions.spans().enumerate() {
            let units = unit.count(&bytes[span.clone()]);
            if units < least {
                short.insert(bytes[span].into(), number);
            } else if units < run {
                without.push((units, number, span));
            } else {
                with_run.push((units, number, span));
            }
        }
        let longest_short = short.keys().map(|question| question.len()).max().unwrap_or(0);
        let with_run = LongQuestions::new(unit, &with_run, bytes)?;
        let without = LongQuestions::new(unit, &without, bytes)?;
        Ok(Self { with_run, without, short, longest_short })
    }

    /// Whether it has to be known where the lines of a text are.
    pub(super) fn asks_for_lines(&self) -> bool {
        !self.short.is_empty()
    }

    /// The first question that stands whole in the text, and where. `first_run` is where the first run begins that the
    /// text shares with any; none that has a run begins before.
    pub(super) fn find(
        &self,
        text: &Prepared,
        first_run: Option<usize>,
        questions: &Questions,
    ) -> Option<(Range<usize>, usize)> {
        let bytes = text.text.as_bytes();
        let with_run = first_run.and_then(|start| self.with_run.find(bytes, start, questions));
        let found = [with_run, self.without.find(bytes, 0, questions)].into_iter().flatten();
        let first = found.min_by_key(|(place, _)| (place.start, Reverse(place.end)));
        first.or_else(|| self.alone(text))
    }

    /// A short question that is all of a text, or all of a line.
    fn alone(&self, text: &Prepared) -> Option<(Range<usize>, usize)> {
        if self.short.is_empty() {
            return None;
        }
        let whole = text.text.trim();
        let start = text.text.len() - text.text.trim_start().len();
        let whole = start..start + whole.len();
        text.lines.iter().chain([&whole]).find_map(|line| {
            if line.is_empty() || line.len() > self.longest_short {
                return None;
            }
            self.short.get(&text.text.as_bytes()[line.clone()]).map(|question| (line.clone(), *question))
        })
    }
}

/// Questions that count wherever they stand, found by their beginnings.
#[derive(Debug)]
struct LongQuestions {
    unit: Unit,
    /// Fewest units and fewest bytes of one.
    least_units: usize,
    least_bytes: usize,
    /// What may lie near the beginning of one.
    filter: Filter,
    /// By the hash of its first `least_bytes`, where in their order all stand that begin so.
    beginnings: AHashMap<u64, Range<u32>>,
}

impl LongQuestions {
    /// Takes units, number and place of each, in order.
    fn new(unit: Unit, questions: &[(usize, usize, Range<usize>)], bytes: &[u8]) -> Result<Self> {
        let least_units = questions.iter().map(|(units, ..)| *units).min().unwrap_or(0);
        let least_bytes = questions.iter().map(|(.., span)| span.len()).min().unwrap_or(0);
        let entries = questions.len() * (least_units + 1).saturating_sub(Filter::width(least_units));
        let mut filter = Filter::new(unit, least_units, entries)?;
        let mut beginnings = AHashMap::with_capacity(questions.len());
        for (_, number, span) in questions {
            let question = &bytes[span.clone()];
            let number = u32::try_from(*number).unwrap_or(u32::MAX); // there are no more of them than bytes
            let among = beginnings.entry(hash(&question[..least_bytes])).or_insert(number..number);
            among.end = number + 1;
            let after = unit.skip(question, 0, least_units).unwrap_or(question.len());
            filter.insert(&question[..after.min(question.len())]);
        }
        Ok(Self { unit, least_units, least_bytes, filter, beginnings })
    }

    /// The first that stands in a text from a unit on, the longest of those that begin there.
    fn find(&self, text: &[u8], from: usize, questions: &Questions) -> Option<(Range<usize>, usize)> {
        if self.beginnings.is_empty() {
            return None;
        }
        let (mut next, mut found) = (from, None);
        self.filter.scan(&text[from..], |stretch, passes| {
            let start = from + stretch.start;
            if passes {
                // Since the place before.
                found = (next..=start).find_map(|start| self.begins(text, start, questions));
            }
            next = start + 1;
            found.is_none()
        });
        found
    }

    /// The longest that begins at `start`.
    fn begins(&self, text: &[u8], start: usize, questions: &Questions) -> Option<(Range<usize>, usize)> {
        let beginning =
            text.get(start..start + self.least_bytes).filter(|_| self.unit.begins(text, start))?;
        let among = self.beginnings.get(&hash(beginning))?;
        let fits = |question: usize| {
            let end = start + questions.span(question).len();
            let long = self.unit.count(questions.get(question).as_bytes()) >= self.least_units;
            long && self.unit.ends_at(text, end)
        };
        let among = among.start as usize..among.end as usize;
        let question = questions.beginning(among, &text[start..], self.least_bytes, fits)?;
        Some((start..start + questions.span(question).len(), question))
    }
}
