//! Proves a packed file, or a set of shards, against its corpus: what its rows say they hold is read and encoded again.

use serde::Serialize;

use std::path::{Path, PathBuf};

use super::account::book;
use super::config::{BuildConfig, Treatment};
use super::document::{DocumentEncoder, Encoded};
use super::exclude::Exclude;
use super::monitor::{Monitor, Stage};
use super::survey::mixed_kinds;
use crate::discover::{Input, Kind};
use crate::error::{Error, Result};
use crate::file::{InputRecord, PackedSet, Segment};
use crate::ledger::{DropReason, Entry, Ledger};
use crate::read::{Batch, Position, Reading, parse_item, read_batches};
use crate::recipe::Chosen;
use crate::spool::{END_LABEL, ID, LOSS};
use crate::tokenizer::{Tokenizer, TokenizerSource};

/// What was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Rows of which every token was compared.
    pub rows: u64,
    /// Their segments.
    pub segments: u64,
    /// Whether it was all of them, and nothing of the corpus is missing in them.
    pub complete: bool,
}

/// A segment, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    input: u32,
    item: u64,
    epoch: u32,
    /// Token of its document with which it begins.
    start: u32,
    column: u32,
    end: u32,
    row: usize,
    flags: u8,
}

/// Compares `rows` rows, spread over the file, or all (`None`) with their corpus. All of the corpus is read and its
/// hashes are compared; the documents of the rows are encoded again. If all rows are compared, every item is
/// encoded, no two segments hold the same tokens, and the ledger comes out the same: then nothing is missing.
/// `benchmarks` are those whose questions were kept out; a comparison of some rows can do without.
///
/// # Errors
/// Names the first thing that differs, or why it cannot be compared.
pub fn check_against(
    set: &PackedSet,
    corpus: &Path,
    tokenizer: TokenizerSource,
    benchmarks: &[PathBuf],
    rows: Option<usize>,
    monitor: &Monitor,
) -> Result<Agreement> {
    let metadata = set.metadata();
    let mut config = BuildConfig::of_file(metadata)
        .ok_or_else(|| set.differs("it was built with settings that this version does not know"))?;
    config.decontaminate = benchmarks.to_vec();
    let tokenizer = Tokenizer::load(tokenizer, &config.token_options())?;
    if tokenizer.info != metadata.tokenizer {
        return Err(set.differs("it was built with another tokenizer; name that with --tokenizer"));
    }
    let chosen = super::choose(corpus, &config)?;
    let now = chosen.inputs.iter().map(|input| &input.path);
    if !now.eq(metadata.inputs.iter().map(|input| &input.path)) {
        return Err(set.differs("the corpus has other files than it was built from"));
    }
    let places = places(set, rows)?;
    // What a shard has not, other shards may.
    let complete = rows.is_none_or(|rows| rows >= set.rows()) && metadata.shard.is_none();
    let treatments = config.treatments()?;
    let mut exclude = Exclude::load(&config)?;
    if (complete || !benchmarks.is_empty()) && exclude.decontamination() != metadata.decontamination {
        return Err(
            set.differs("it was built with other benchmarks kept out; name those with --decontaminate")
        );
    }
    exclude.find_duplicates(&chosen, &treatments, &config, monitor)?;
    let Chosen { inputs, rules, .. } = chosen;
    monitor.start(Stage::Encode, inputs.iter().map(|input| input.bytes).sum());
    let mut comparison = Comparison {
        set,
        config: &config,
        treatments: &treatments,
        documents: DocumentEncoder::new(&tokenizer, &treatments, &config),
        known_marks: metadata.marks()
            & !if benchmarks.is_empty() { Segment::mark(DropReason::Leaked) } else { 0 },
        marks: 0,
        exclude,
        complete,
        places: places.iter().peekable(),
        segments: 0,
    };
    let mut entries = Vec::new();
    for (number, (input, record)) in (0u32..).zip(inputs.iter().zip(metadata.inputs.iter())) {
        entries.push(comparison.input((number, rules[number as usize]), input, record, monitor)?);
    }
    if let Some(place) = comparison.places.next() {
        return Err(set.differs(&format!("row {}: its corpus has no item {}", place.row, place.item)));
    }
    let segments = comparison.segments;
    if complete {
        let named = inputs.iter().zip(&entries);
        let ledger = Ledger::collect(
            named.map(|(input, entry)| (input.name.source.as_str(), input.name.language.as_str(), entry)),
        );
        let mut found = metadata.ledger.clone();
        found.0.iter_mut().for_each(|entry| entry.entry.loss_tokens = 0); // the rows have been compared
        if ledger != found {
            return Err(set.differs("its ledger is not that of the corpus: something is missing"));
        }
    }
    let compared = rows.map_or(set.rows(), |rows| rows.min(set.rows()));
    Ok(Agreement { rows: compared as u64, segments, complete })
}

/// The segments of the chosen rows, in the order of the corpus.
fn places(set: &PackedSet, rows: Option<usize>) -> Result<Vec<Place>> {
    let all = set.rows();
    let chosen = rows.unwrap_or(all).min(all);
    let mut places = Vec::new();
    for i in 0..chosen {
        let row = (i * all).checked_div(chosen).unwrap_or(0);
        let mut column = 0;
        let (file, row_there) = set.locate(row)?;
        for segment in file.segments(row_there)? {
            let (input, item, epoch) = (segment.input, segment.item, segment.epoch);
            let (start, end, flags) = (segment.start, segment.end, segment.flags);
            places.push(Place { input, item, epoch, start, column, end, row, flags });
            column = segment.end;
        }
    }
    places.sort_unstable();
    for pair in places.windows(2) {
        let same =
            (pair[0].input, pair[0].item, pair[0].epoch) == (pair[1].input, pair[1].item, pair[1].epoch);
        if same && pair[0].start + (pair[0].end - pair[0].column) > pair[1].start {
            return Err(
                set.differs(&format!("rows {} and {} hold the same tokens", pair[0].row, pair[1].row))
            );
        }
    }
    Ok(places)
}

struct Comparison<'a> {
    set: &'a PackedSet,
    config: &'a BuildConfig,
    treatments: &'a [Treatment],
    documents: DocumentEncoder<'a>,
    exclude: Exclude,
    /// The marks that can be compared: who compares some rows need not have the benchmarks.
    known_marks: u8,
    /// What was found of the last document, as flags of its segments.
    marks: u8,
    /// Whether every item is encoded, or only those of the rows that are compared.
    complete: bool,
    places: std::iter::Peekable<std::slice::Iter<'a, Place>>,
    segments: u64,
}

impl Comparison<'_> {
    /// Compares what comes from one input; gives its account.
    fn input(
        &mut self,
        (number, rule): (u32, usize),
        input: &Input,
        record: &InputRecord,
        monitor: &Monitor,
    ) -> Result<Entry> {
        let reading = Reading {
            batch_bytes: 256 * 1024,
            max_item_bytes: BuildConfig::of_file(self.set.metadata())
                .map_or(usize::MAX, |config| config.max_item_bytes()),
            from: Position::default(),
        };
        let (mut kind, mut entry, mut seen) = (None, Entry::default(), 0);
        let summary = read_batches(input, &reading, |batch| {
            monitor.check()?;
            monitor.advance(batch.stored - seen);
            seen = batch.stored;
            self.batch((number, rule), input, &batch, &mut kind, &mut entry)?;
            Ok(true)
        })?;
        let Some(summary) = summary else { return Err(Error::Interrupted) };
        if summary.damage.is_some() {
            entry.items += 1;
            entry.drop_item(DropReason::BadItem, 0);
        }
        let hash = format!("{:032x}", summary.end.hash);
        if (hash, summary.end.bytes) != (record.xxh3_128.clone(), record.bytes) {
            return Err(self.set.differs(&format!("{} is not the file that it was built from", input.path)));
        }
        Ok(entry)
    }

    fn batch(
        &mut self,
        (number, rule): (u32, usize),
        input: &Input,
        batch: &Batch,
        kind: &mut Option<Kind>,
        entry: &mut Entry,
    ) -> Result<()> {
        for raw in batch.items() {
            let wanted =
                self.places.peek().is_some_and(|place| (place.input, place.item) == (number, raw.index));
            if !wanted && !self.complete {
                continue;
            }
            let item = raw.bytes.and_then(|bytes| parse_item(bytes).ok());
            let item = item.filter(|item| {
                mixed_kinds(*kind.get_or_insert(item.kind()), item.kind()).is_none() || !self.complete
            });
            if !wanted && !self.config.draws(&self.treatments[rule], raw.index) {
                entry.items += 1;
                entry.drop_item(DropReason::NotDrawn, 0);
                continue;
            }
            let mut encoded = Encoded::default();
            let result = item.map(|item| {
                let found = self.exclude.find(number as usize, raw.index, &item);
                if wanted && found.drop.is_some() {
                    return Err("it is to be kept out".into());
                }
                self.marks = found.marks;
                self.documents.encode(rule, raw.index, &item, found, &mut encoded)
            });
            if let Some(Ok(())) = result {
                entry.add(&encoded.entry);
                for (number, fragment) in encoded.fragments.iter().enumerate() {
                    book(entry, fragment, number == 0, wanted, self.config.seq_len);
                }
            } else {
                entry.items += 1;
                entry.drop_item(DropReason::BadItem, 0);
                self.documents.forget_tokens();
            }
            let here = |place: &&Place| (place.input, place.item) == (number, raw.index);
            let mut epochs = None;
            while let Some(place) = self.places.next_if(here) {
                self.compare(input, place)?;
                let (first, last) = *epochs.get_or_insert((place.epoch, place.epoch));
                if place.epoch != first {
                    entry.items_repeated += u64::from(place.epoch != last);
                    entry.tokens_repeated += u64::from(place.end - place.column);
                }
                epochs = Some((first, place.epoch));
            }
        }
        Ok(())
    }

    /// Compares the tokens of a segment, and whether they count, with those of its document.
    fn compare(&mut self, input: &Input, place: &Place) -> Result<()> {
        let Place { row, item, start, .. } = *place;
        let (column, end) = (place.column as usize, place.end as usize);
        let (file, row_there) = self.set.locate(row)?;
        let (tokens, mask) = (file.tokens(row_there)?, file.mask(row_there)?);
        let length = end - column;
        let by_turn = self.config.template.by_turn;
        let exceptions: Vec<usize> =
            file.label_exceptions(row_there)?.iter().map(|(column, _)| *column as usize).collect();
        let expected = self.documents.last_tokens().get(start as usize..start as usize + length);
        let same = expected.is_some_and(|expected| {
            expected.iter().zip(column..end).all(|(expected, at)| {
                let counts = mask[at / 8] >> (at % 8) & 1 == 1;
                // The first of a segment never does, but where all is as the original has it.
                let counted = expected & LOSS != 0 && (at > column || by_turn);
                let ends = exceptions.binary_search(&at).is_ok();
                tokens[at] == expected & ID && counts == counted && ends == (expected & END_LABEL != 0)
            })
        });
        if (place.flags ^ self.marks) & self.known_marks != 0 {
            let problem = "not marked as it is to be";
            return Err(self.set.differs(&format!("row {row}: {}, item {item}: {problem}", input.path)));
        }
        if !same {
            return Err(self.set.differs(&format!(
                "row {row}, columns {column} to {end}: not what {}, item {item}, comes to from token {start} on",
                input.path
            )));
        }
        self.segments += 1;
        Ok(())
    }
}
