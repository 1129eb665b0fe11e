//! **leakage**: items of the corpus that hold questions of a benchmark.
//!
//! An item leaks when one of its texts, before any template,
//!
//! - holds a whole question of at least `question` units, or a shorter one that stands alone (as the whole text, or a
//!   whole line of it), or
//! - shares `run` consecutive units with a question.
//!
//! Units are characters (64 of them by default, as Apollo's paper has it) or words (13, as GPT-3's has it). Nothing is
//! sampled and no hash is trusted: what is found stands in both texts, and what stands in both is found.
//!
//! A filter looks at every 33rd character of a text ([`filter`]); where it lets something pass, texts are looked up, unit
//! by unit, in a table of all runs of the benchmark ([`windows`]) or by the beginnings of its questions ([`questions`]).
//! Filter and table take some twenty bytes a character of the benchmark.

mod benchmark;
mod filter;
mod memory;
mod questions;
mod scan;
#[cfg(test)]
mod tests;
mod units;
mod windows;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use benchmark::BenchmarkFile;
pub use scan::{FoundLeak, LeakCount, LeakReport, find_leaks};
pub use units::Unit;
pub(crate) use units::push_words;

use crate::error::{Error, Result};
use crate::read::Item;
use questions::{Questions, WholeQuestions};
use units::Prepared;
use windows::Windows;

/// What counts as leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakRules {
    /// What lengths are counted in.
    pub unit: Unit,
    /// So many consecutive units, shared with a question.
    pub run: usize,
    /// A whole question of at least so many units, wherever it stands.
    pub question: usize,
    /// Whether texts are compared in NFKC, in lower case, with white space as one space.
    pub fold: bool,
}

impl LeakRules {
    /// The usual lengths: 64 and 32 characters, or 13 and 8 words.
    #[must_use]
    pub fn usual(unit: Unit) -> Self {
        let (run, question) = match unit {
            Unit::Characters => (64, 32),
            Unit::Words => (13, 8),
        };
        Self { unit, run, question, fold: false }
    }

    /// # Errors
    /// When a length makes no sense.
    pub fn validate(&self) -> Result<()> {
        for (name, length) in [("leak_run", self.run), ("leak_question", self.question)] {
            if length == 0 || length > 1 << 16 {
                return Err(Error::Config(format!("{name} must be from 1 to 65536, not {length}")));
            }
        }
        Ok(())
    }
}

/// By what an item leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeakKind {
    /// It holds a whole question.
    Question,
    /// It shares a run of units with a question.
    Run,
}

/// Where an item and a question have something in common, in texts as they are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// What it is.
    pub kind: LeakKind,
    /// Which text of the item: 0, or the turn.
    pub turn: usize,
    /// Bytes of that text.
    pub text: Range<usize>,
    /// Number of the question, see [`Leakage::origin`].
    pub question: usize,
    /// Bytes of the question.
    pub shared: Range<usize>,
}

/// The questions of benchmarks, ready to be looked for.
#[derive(Debug)]
pub struct Leakage {
    rules: LeakRules,
    files: Vec<BenchmarkFile>,
    questions: Questions,
    /// File and item in which each question stands first.
    origins: Vec<(u32, u64)>,
    whole: WholeQuestions,
    windows: Windows,
}

impl Leakage {
    /// Reads benchmarks: folders, archives or files of questions (objects with a `question` or the like, texts, or
    /// dialogues, of which the first turn counts).
    ///
    /// # Errors
    /// When one cannot be read or holds no question, and when they are larger than 4 GB together.
    pub fn load<P: AsRef<Path>>(paths: &[P], rules: LeakRules) -> Result<Self> {
        rules.validate()?;
        let mut found = BTreeMap::new();
        let files = benchmark::read_benchmarks(paths, |question, file, item| {
            let prepared = rules.unit.prepare(question, rules.fold, false).text;
            let question = prepared.trim();
            if !question.is_empty() && !found.contains_key(question) {
                found.insert(question.to_owned(), (file, item));
            }
            Ok(())
        })?;
        Self::new(found, files, rules)
    }

    fn new(found: BTreeMap<String, (u32, u64)>, files: Vec<BenchmarkFile>, rules: LeakRules) -> Result<Self> {
        if found.is_empty() {
            return Err(Error::Config("the benchmarks hold no question".into()));
        }
        let questions = Questions::new(found.keys().map(String::as_str))
            .ok_or_else(|| Error::Config("the benchmarks are larger than 4 GB; name fewer of them".into()))?;
        let origins = found.into_values().collect();
        let whole = WholeQuestions::new(rules.unit, rules.question, rules.run, &questions)?;
        let windows = Windows::new(rules.unit, rules.run, &questions)?;
        Ok(Self { rules, files, questions, origins, whole, windows })
    }

    /// What counts as leaked.
    #[must_use]
    pub fn rules(&self) -> LeakRules {
        self.rules
    }

    /// The files of the benchmarks.
    #[must_use]
    pub fn files(&self) -> &[BenchmarkFile] {
        &self.files
    }

    /// How many different questions there are.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// How many different runs of the rule's length they have.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.windows.count()
    }

    /// A question as it is compared.
    #[must_use]
    pub fn question(&self, number: usize) -> &str {
        self.questions.get(number)
    }

    /// The file in which a question stands, and the item there.
    #[must_use]
    pub fn origin(&self, number: usize) -> (&str, u64) {
        let (file, item) = self.origins[number];
        (&self.files[file as usize].path, item)
    }

    /// What an item leaks: the first whole question in it, else the first run.
    #[must_use]
    pub fn find(&self, item: &Item) -> Option<Leak> {
        let mut first_run = None;
        for (turn, text) in item.texts().iter().enumerate() {
            let text = self.prepare(text);
            let run = self.windows.find(text.text.as_bytes(), &self.questions);
            if let Some((range, question)) =
                self.whole.find(&text, run.map(|(start, ..)| start), &self.questions)
            {
                let shared = 0..range.len();
                return Some(Leak { kind: LeakKind::Question, turn, text: range, question, shared });
            }
            if let (None, Some(run)) = (&first_run, run) {
                first_run = Some(self.as_far_as_it_goes(turn, text.text.as_bytes(), run));
            }
        }
        first_run
    }

    /// A text of an item as it is compared.
    fn prepare<'a>(&self, text: &'a str) -> Prepared<'a> {
        self.rules.unit.prepare(text, self.rules.fold, self.whole.asks_for_lines())
    }

    /// A run that a text shares with a question, made as long as it is: from where to where in the text, and where in
    /// the questions.
    fn as_far_as_it_goes(
        &self,
        turn: usize,
        text: &[u8],
        (mut start, mut end, place): (usize, usize, usize),
    ) -> Leak {
        let question = self.questions.at(place);
        let span = self.questions.span(question);
        let words = &self.questions.bytes()[span.clone()];
        let from = place - span.start;
        let (mut shared_start, mut shared_end) = (from, from + end - start);
        while shared_end < words.len() && text.get(end) == Some(&words[shared_end]) {
            (end, shared_end) = (end + 1, shared_end + 1);
        }
        while start > 0 && shared_start > 0 && text[start - 1] == words[shared_start - 1] {
            (start, shared_start) = (start - 1, shared_start - 1);
        }
        // Only whole characters.
        let begins = |text: &[u8], at: usize| text.get(at).is_none_or(|byte| byte & 0xC0 != 0x80);
        while !begins(text, start) || !begins(words, shared_start) {
            (start, shared_start) = (start + 1, shared_start + 1);
        }
        while !begins(text, end) || !begins(words, shared_end) {
            (end, shared_end) = (end - 1, shared_end - 1);
        }
        let (text, shared) = (start..end, shared_start..shared_end);
        Leak { kind: LeakKind::Run, turn, text, question, shared }
    }
}
