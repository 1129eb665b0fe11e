//! Looks a whole corpus through for leaks.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use serde::Serialize;

use super::{BenchmarkFile, Leak, LeakKind, LeakRules, Leakage};
use crate::discover::{Input, discover};
use crate::error::Result;
use crate::pipeline::{Monitor, sweep};
use crate::read::{Batch, Item, MAX_ITEM_BYTES, parse_item};

/// Characters of the text that are shown before and after what is shared.
const CONTEXT: usize = 48;

/// What a corpus leaks.
#[derive(Debug, Clone, Serialize)]
pub struct LeakReport {
    /// The rules.
    pub rules: LeakRules,
    /// The files of the benchmarks.
    pub benchmarks: Vec<BenchmarkFile>,
    /// Different questions in them.
    pub questions: u64,
    /// Different runs of the rule's length in them.
    pub runs: u64,
    /// By source and language.
    pub counts: Vec<LeakCount>,
    /// Every leaked item, in the order of the corpus.
    pub leaks: Vec<FoundLeak>,
    /// Items that could not be read, and were not looked at.
    pub bad_items: u64,
}

/// The count of one source in one language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeakCount {
    /// As in the file names.
    pub source: String,
    /// As in the file names.
    pub language: String,
    /// Items looked at.
    pub items: u64,
    /// Items with a whole question.
    pub questions: u64,
    /// Other items, with a run that is in a question.
    pub runs: u64,
}

/// An item that leaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundLeak {
    /// Path within the corpus.
    pub file: String,
    /// As in the file's name.
    pub source: String,
    /// As in the file's name.
    pub language: String,
    /// Its index in its file.
    pub item: u64,
    /// Byte of the uncompressed file at which it begins.
    pub byte: u64,
    /// By what it leaks.
    pub kind: LeakKind,
    /// File of the benchmark.
    pub benchmark: String,
    /// Item there.
    pub benchmark_item: u64,
    /// The question.
    pub question: String,
    /// What is shared.
    pub shared: String,
    /// What stands before it in the item.
    pub before: String,
    /// What stands after it.
    pub after: String,
}

/// Looks for leaks in every item of a corpus.
///
/// # Errors
/// When corpus or benchmarks cannot be read. Items that cannot be read are counted.
pub fn find_leaks<P: AsRef<Path>>(
    corpus: &Path,
    benchmarks: &[P],
    rules: LeakRules,
    threads: Option<usize>,
    monitor: &Monitor,
) -> Result<LeakReport> {
    let inputs = discover(corpus)?.inputs;
    let leakage = Leakage::load(benchmarks, rules)?;
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    let look = |input: usize, batch: &Batch| look_at(&leakage, &inputs[input], input, batch);
    let found = sweep(&inputs, threads, MAX_ITEM_BYTES, monitor, look)?;
    Ok(report(&leakage, &inputs, found))
}

#[derive(Default)]
struct Found {
    input: usize,
    items: u64,
    bad_items: u64,
    leaks: Vec<FoundLeak>,
}

fn look_at(leakage: &Leakage, input: &Input, number: usize, batch: &Batch) -> Found {
    let mut found = Found { input: number, ..Found::default() };
    for raw in batch.items() {
        found.items += 1;
        let Some(item) = raw.bytes.and_then(|bytes| parse_item(bytes).ok()) else {
            found.bad_items += 1;
            continue;
        };
        let Some(leak) = leakage.find(&item) else { continue };
        found.leaks.push(leakage.show(input, (raw.index, raw.byte), &item, &leak));
    }
    found
}

fn report(leakage: &Leakage, inputs: &[Input], results: Vec<Found>) -> LeakReport {
    let mut counts: BTreeMap<(&str, &str), LeakCount> = BTreeMap::new();
    let (mut leaks, mut bad_items) = (Vec::new(), 0);
    for found in results {
        let (source, language) = (&inputs[found.input].name.source, &inputs[found.input].name.language);
        let count = counts.entry((source, language)).or_default();
        (count.source, count.language) = (source.clone(), language.clone());
        count.items += found.items;
        for leak in &found.leaks {
            match leak.kind {
                LeakKind::Question => count.questions += 1,
                LeakKind::Run => count.runs += 1,
            }
        }
        bad_items += found.bad_items;
        leaks.extend(found.leaks);
    }
    LeakReport {
        rules: leakage.rules,
        benchmarks: leakage.files.clone(),
        questions: leakage.questions() as u64,
        runs: leakage.runs() as u64,
        counts: counts.into_values().collect(),
        leaks,
        bad_items,
    }
}

impl Leakage {
    fn show(&self, input: &Input, (item, byte): (u64, u64), content: &Item, leak: &Leak) -> FoundLeak {
        let text = self.prepare(&content.texts()[leak.turn]).text;
        let (before, after) = (&text[..leak.text.start], &text[leak.text.end..]);
        let begin = before.char_indices().rev().nth(CONTEXT - 1).map_or(0, |(at, _)| at);
        let end = after.char_indices().nth(CONTEXT).map_or(after.len(), |(at, _)| at);
        let (benchmark, benchmark_item) = self.origin(leak.question);
        FoundLeak {
            file: input.path.clone(),
            source: input.name.source.clone(),
            language: input.name.language.clone(),
            item,
            byte,
            kind: leak.kind,
            benchmark: benchmark.into(),
            benchmark_item,
            question: self.question(leak.question).into(),
            shared: text[leak.text.clone()].into(),
            before: before[begin..].into(),
            after: after[..end].into(),
        }
    }
}
