//! Encodes the corpus into the spool: one thread reads, several encode, the caller's writes in order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::check::{check, documents_to_check};
use super::config::{BuildConfig, OnError};
use super::document::DocumentEncoder;
use super::monitor::{Monitor, Stage};
use super::survey::REST_LEFT_OUT;
use super::worker::{EncodedBatch, Worker};
use crate::discover::{Input, Kind};
use crate::error::{Error, InputError, Result};
use crate::ledger::{DropReason, Entry};
use crate::read::{Batch, FileSummary, read_batches};
use crate::render::Template;
use crate::spool::{Fragment, Spool, SpoolWriter};
use crate::tokenizer::Tokenizer;

/// Bytes of JSON that a worker takes at a time.
const BATCH_BYTES: usize = 256 * 1024;

/// How many bad items a report lists.
const LISTED: usize = 100;

/// The encoded corpus.
pub(super) struct EncodedCorpus {
    pub(super) spool: Spool,
    /// The account of each input.
    pub(super) entries: Vec<Entry>,
    pub(super) files: Vec<FileRecord>,
    pub(super) bad_items: u64,
    pub(super) bad_item_list: Vec<InputError>,
}

/// What an input turned out to be.
#[derive(Debug, Clone, Default)]
pub(super) struct FileRecord {
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) hash: u128,
}

/// What comes out of reading, numbered in the order of the corpus.
enum Outcome {
    Batch { batch: EncodedBatch, stored: u64 },
    End(FileSummary),
}

struct Work {
    number: u64,
    input: usize,
    batch: Batch,
    /// How many of its documents are to be checked.
    checked: usize,
}

struct Done {
    number: u64,
    input: usize,
    outcome: Result<Outcome>,
}

pub(super) fn encode_corpus(
    inputs: &[Input],
    kinds: &[Option<Kind>],
    tokenizer: &Tokenizer,
    template: &Template,
    config: &BuildConfig,
    spool_path: &Path,
    monitor: &Monitor,
) -> Result<EncodedCorpus> {
    monitor.start(Stage::Encode, inputs.iter().map(|input| input.bytes).sum());
    let threads = config.threads();
    let (work_out, work_in) = bounded::<Work>(threads);
    let (done_out, done_in) = unbounded::<Done>();
    let (samples_out, samples_in) = bounded(2 * threads);
    let bytes = inputs.iter().map(|input| input.bytes).sum();
    let to_check = documents_to_check(config, tokenizer, bytes);
    // Each batch in flight holds a permit, from reading to spooling: memory stays bounded even when one
    // slow batch holds up the order.
    let (permits_out, permits_in) = unbounded();
    (0..4 * threads).try_for_each(|_| permits_out.send(())).map_err(|_| Error::Interrupted)?;
    let stop = AtomicBool::new(false);
    let differs = AtomicBool::new(false);
    let mut collector = Collector::new(inputs, config.on_error, spool_path)?;
    std::thread::scope(|scope| {
        let stop = &stop;
        let mut handles = Vec::new();
        let reader_out = done_out.clone();
        handles.push(scope.spawn(move || {
            let check = SampleRate { documents: to_check, bytes, due: 0 };
            Reader { inputs, work: work_out, done: reader_out, permits: permits_in, stop, check, number: 0 }
                .run();
            Ok(())
        }));
        let differs = &differs;
        handles.push(scope.spawn(move || {
            check(tokenizer, &samples_in, stop).inspect_err(|_| differs.store(true, Ordering::Relaxed))
        }));
        for _ in 0..threads {
            let (work_in, done_out, samples) = (work_in.clone(), done_out.clone(), samples_out.clone());
            handles.push(scope.spawn(move || {
                let documents = DocumentEncoder::new(tokenizer, template, config);
                let mut worker = Worker { documents, on_error: config.on_error, stop, samples };
                for Work { number, input, batch, checked } in work_in {
                    // A batch that is lost to a panic (a defect) would be waited for without end.
                    let encode = || worker.encode(&inputs[input], kinds[input], &batch, checked);
                    let outcome = catch_unwind(AssertUnwindSafe(encode))
                        .unwrap_or_else(|_| Err(Error::Internal("a worker thread panicked".into())))
                        .map(|encoded| Outcome::Batch { batch: encoded, stored: batch.stored });
                    if done_out.send(Done { number, input, outcome }).is_err() {
                        break;
                    }
                }
                Ok(())
            }));
        }
        drop((work_in, done_out, samples_out));
        let result = collector.run(&done_in, &permits_out, monitor, differs);
        stop.store(true, Ordering::Relaxed);
        drop((done_in, permits_out)); // whoever still waits for one of them stops
        handles.into_iter().try_for_each(join).and(result)
    })?;
    collector.finish()
}

/// Waits for a thread; a panic in it (a defect) becomes an error.
pub(super) fn join(handle: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    handle.join().unwrap_or_else(|_| Err(Error::Internal("a worker thread panicked".into())))
}

struct Reader<'a> {
    inputs: &'a [Input],
    work: Sender<Work>,
    done: Sender<Done>,
    permits: Receiver<()>,
    stop: &'a AtomicBool,
    check: SampleRate,
    number: u64,
}

/// Spreads the documents to be checked evenly over the bytes of the corpus.
struct SampleRate {
    documents: u32,
    bytes: u64,
    /// How many have been asked for.
    due: u32,
}

impl SampleRate {
    /// How many documents of the batch that ends at this byte.
    fn at(&mut self, byte: u64) -> usize {
        let done = u128::from(byte) * u128::from(self.documents) / u128::from(self.bytes.max(1));
        let due = u32::try_from(done + 1).unwrap_or(u32::MAX).min(self.documents);
        let now = due.saturating_sub(self.due);
        self.due += now;
        now as usize
    }
}

impl Reader<'_> {
    /// Reads all files; ends early when nobody takes the batches any more.
    fn run(mut self) {
        let mut before = 0;
        for (input, file) in self.inputs.iter().enumerate() {
            let result = read_batches(file, BATCH_BYTES, |batch| {
                if self.stop.load(Ordering::Relaxed) || self.permits.recv().is_err() {
                    return Ok(false);
                }
                self.number += 1;
                let checked = if batch.items.is_empty() { 0 } else { self.check.at(before + batch.stored) };
                Ok(self.work.send(Work { number: self.number - 1, input, batch, checked }).is_ok())
            });
            before += file.bytes;
            let outcome = match result {
                Ok(Some(summary)) => Ok(Outcome::End(summary)),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let number = self.number;
            self.number += 1;
            if self.done.send(Done { number, input, outcome }).is_err() {
                return;
            }
        }
    }
}

/// Puts batches back into the order of the corpus and writes them to the spool.
struct Collector<'a> {
    on_error: OnError,
    inputs: &'a [Input],
    spool: SpoolWriter,
    fragments: Vec<Fragment>,
    entries: Vec<Entry>,
    files: Vec<FileRecord>,
    bad_items: u64,
    bad_item_list: Vec<InputError>,
    /// Stored bytes of the current input that are done.
    stored: u64,
    /// Inputs that have been read to their ends.
    ended: usize,
}

impl<'a> Collector<'a> {
    fn new(inputs: &'a [Input], on_error: OnError, spool_path: &Path) -> Result<Self> {
        Ok(Self {
            on_error,
            inputs,
            spool: SpoolWriter::create(spool_path)?,
            fragments: Vec::new(),
            entries: vec![Entry::default(); inputs.len()],
            files: vec![FileRecord::default(); inputs.len()],
            bad_items: 0,
            bad_item_list: Vec::new(),
            stored: 0,
            ended: 0,
        })
    }

    /// `failed` is set when the check of samples has failed; its error is the one that counts then.
    fn run(
        &mut self,
        done: &Receiver<Done>,
        permits: &Sender<()>,
        monitor: &Monitor,
        failed: &AtomicBool,
    ) -> Result<()> {
        let mut early: BTreeMap<u64, Done> = BTreeMap::new();
        let mut next = 0;
        loop {
            monitor.check()?;
            if failed.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            match done.recv_timeout(Duration::from_millis(50)) {
                Ok(done) => early.insert(done.number, done),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return self.all_files_ended(),
            };
            while let Some(done) = early.remove(&next) {
                next += 1;
                let outcome = done.outcome?;
                if matches!(outcome, Outcome::Batch { .. }) {
                    // The reader may be gone already, at the end of the corpus.
                    let _ = permits.send(());
                }
                self.take(done.input, outcome, monitor)?;
            }
        }
    }

    fn take(&mut self, input: usize, outcome: Outcome, monitor: &Monitor) -> Result<()> {
        match outcome {
            Outcome::Batch { batch: EncodedBatch { encoded, bad }, stored } => {
                let base = self.spool.tokens();
                self.spool.append(&encoded.tokens)?;
                let number = u32::try_from(input).map_err(|_| Error::Internal("too many files".into()))?;
                let fragments = encoded.fragments.iter();
                self.fragments.extend(fragments.map(|piece| Fragment {
                    at: piece.at + base,
                    input: number,
                    ..*piece
                }));
                if u32::try_from(self.fragments.len()).is_err() {
                    return Err(Error::Config("more than 2^32 documents; build in parts".into()));
                }
                monitor.encoded(encoded.entry.items, encoded.tokens.len() as u64);
                monitor.advance(stored.saturating_sub(self.stored));
                self.stored = stored;
                self.entries[input].add(&encoded.entry);
                for error in bad {
                    self.note_bad(error);
                }
            }
            Outcome::End(summary) => {
                self.check_count(input, &summary)?;
                let FileSummary { mut items, bytes, hash, damage } = summary;
                if let Some(mut damage) = damage {
                    if self.on_error == OnError::Stop {
                        return Err(Error::Input(damage));
                    }
                    // What cannot be read counts as one item, however much it was meant to be.
                    damage.problem.push_str(REST_LEFT_OUT);
                    items += 1;
                    self.entries[input].items += 1;
                    self.entries[input].drop_item(DropReason::BadItem, 0);
                    self.note_bad(damage);
                }
                self.files[input] = FileRecord { items, bytes, hash };
                self.end_file(input, monitor);
            }
        }
        Ok(())
    }

    fn end_file(&mut self, input: usize, monitor: &Monitor) {
        monitor.advance(self.inputs[input].bytes.saturating_sub(self.stored));
        self.stored = 0;
        self.ended += 1;
    }

    fn note_bad(&mut self, error: InputError) {
        self.bad_items += 1;
        if self.bad_item_list.len() < LISTED {
            self.bad_item_list.push(error);
        }
    }

    fn check_count(&self, input: usize, summary: &FileSummary) -> Result<()> {
        let found = self.entries[input].items;
        if found == summary.items {
            return Ok(());
        }
        let path = &self.inputs[input].path;
        Err(Error::Internal(format!("{path} has {} items, {found} are accounted for", summary.items)))
    }

    /// The reader and all workers are gone: they must have handed over everything.
    fn all_files_ended(&self) -> Result<()> {
        if self.ended == self.inputs.len() {
            return Ok(());
        }
        Err(Error::Internal(format!("{} of {} files were read", self.ended, self.inputs.len())))
    }

    fn finish(self) -> Result<EncodedCorpus> {
        Ok(EncodedCorpus {
            spool: self.spool.finish(self.fragments)?,
            entries: self.entries,
            files: self.files,
            bad_items: self.bad_items,
            bad_item_list: self.bad_item_list,
        })
    }
}
