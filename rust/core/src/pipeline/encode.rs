//! Encodes the corpus into the spool: one thread reads, several encode, the caller's writes in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::Means;
use super::check::{check, documents_to_check};
use super::checkpoint::{Basis, Checkpointer, State};
use super::collect::{Collector, Done, Encoded, Outcome};
use super::config::{BuildConfig, Treatment};
use super::document::DocumentEncoder;
use super::exclude::Exclude;
use super::monitor::{Monitor, Stage};
use super::worker::Worker;
use super::workspace::Workspace;
use crate::discover::{Input, Kind};
use crate::error::{Error, Result};
use crate::read::{Batch, Position, Reading, read_batches};
use crate::spool::{Spool, SpoolWriter};
use crate::tokenizer::Tokenizer;

/// What is to be encoded, and how.
pub(super) struct Encoding<'a> {
    pub(super) inputs: &'a [Input],
    pub(super) kinds: &'a [Option<Kind>],
    /// The rule of the recipe for each input, and how each rule's documents are made.
    pub(super) rules: &'a [usize],
    pub(super) treatments: &'a [Treatment],
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) config: &'a BuildConfig,
    /// What is kept out.
    pub(super) exclude: &'a Exclude,
    pub(super) means: &'a Means,
    pub(super) monitor: &'a Monitor,
}

struct Work {
    number: u64,
    input: usize,
    batch: Batch,
    /// How many of its documents are to be checked.
    checked: usize,
    /// How many permits it holds.
    permits: usize,
}

impl Encoding<'_> {
    /// Encodes everything, or what is left of it when `before` has been encoded already.
    pub(super) fn run(
        &self,
        workspace: &Workspace,
        basis: &Basis,
        before: Option<Encoded>,
    ) -> Result<(Spool, Encoded)> {
        let Self { inputs, config, means, monitor, .. } = *self;
        monitor.start(Stage::Encode, inputs.iter().map(|input| input.bytes).sum());
        let (spool, encoded) = self.open_spool(workspace, before)?;
        let checkpointer = Checkpointer {
            disk: &means.disk,
            folder: workspace.spool_folder().into(),
            basis,
            files: spool.files(),
        };
        let from = (encoded.ended, encoded.position.clone());
        let (checkpoints_out, checkpoints_in) = bounded(1);
        let collector = Collector {
            on_error: config.on_error,
            inputs,
            spool,
            encoded,
            checkpoints: checkpoints_out,
            checkpoint_every: means.checkpoint_every,
            monitor,
            stored: 0,
        };
        let (spool, encoded) = self.run_threads(collector, from, &checkpointer, checkpoints_in)?;
        // What follows can be done again from here; a build that was quick so far need not be that careful.
        if monitor.is_continuable() {
            checkpointer.save(State { encoded: encoded.clone(), files: Vec::new() })?;
        }
        Ok((spool, encoded))
    }

    fn open_spool(&self, workspace: &Workspace, before: Option<Encoded>) -> Result<(SpoolWriter, Encoded)> {
        let (disk, folder) = (&self.means.disk, workspace.spool_folder());
        if let Some(before) = before {
            let goes_on = || self.monitor.check();
            if let Some(spool) = SpoolWriter::resume(disk, folder, &before.spool, goes_on)? {
                self.monitor.can_be_continued();
                let done = self.inputs[..before.ended].iter().map(|input| input.bytes).sum();
                self.monitor.advance(done);
                let items = before.entries.iter().map(|entry| entry.items).sum();
                self.monitor.encoded(items, spool.tokens());
                return Ok((spool, before));
            }
        }
        workspace.forget_checkpoint();
        Ok((SpoolWriter::create(disk, folder)?, Encoded::nothing(self.inputs.len())))
    }

    fn run_threads(
        &self,
        mut collector: Collector,
        from: (usize, Position),
        checkpointer: &Checkpointer,
        checkpoints: Receiver<State>,
    ) -> Result<(Spool, Encoded)> {
        let Self { inputs, treatments, tokenizer, config, means, monitor, .. } = *self;
        let threads = config.threads();
        let (work_out, work_in) = bounded::<Work>(threads);
        let (done_out, done_in) = unbounded::<Done>();
        let (samples_out, samples_in) = bounded(2 * threads);
        let bytes = inputs.iter().map(|input| input.bytes).sum();
        let to_check = documents_to_check(config, tokenizer, bytes);
        // What is in flight, from reading to spooling, holds a permit for each batch's worth of bytes: memory
        // stays bounded even when one slow batch holds up the order, or items are large.
        let (permits_out, permits_in) = unbounded();
        let permits = 4 * threads;
        (0..permits).try_for_each(|_| permits_out.send(())).map_err(|_| Error::Interrupted)?;
        let (stop, failed) = (&AtomicBool::new(false), &AtomicBool::new(false));
        let checkpoints_end = collector.checkpoints.clone();
        std::thread::scope(|scope| {
            let mut handles = Vec::new();
            let reader_out = done_out.clone();
            handles.push(scope.spawn(move || {
                let check = SampleRate { documents: to_check, bytes, due: 0 };
                let reading = Reading {
                    batch_bytes: means.batch_bytes,
                    max_item_bytes: config.max_item_bytes(),
                    from: Position::default(),
                };
                let (work, done, permits) = (work_out, reader_out, Permits { permits_in, permits });
                Reader { inputs, reading, work, done, permits, stop, check, number: 0 }.run(from);
                Ok(())
            }));
            handles.push(scope.spawn(move || {
                check(tokenizer, &samples_in, stop).inspect_err(|_| failed.store(true, Ordering::Relaxed))
            }));
            handles.push(scope.spawn(move || {
                let result = checkpointer.run(&checkpoints, monitor);
                drop(checkpoints); // who would send more is told
                result.inspect_err(|_| failed.store(true, Ordering::Relaxed))
            }));
            for _ in 0..threads {
                let (work_in, done_out, samples) = (work_in.clone(), done_out.clone(), samples_out.clone());
                handles.push(scope.spawn(move || {
                    let documents = DocumentEncoder::new(tokenizer, treatments, config);
                    let mut worker = Worker { documents, encoding: self, stop, samples };
                    for Work { number, input, batch, checked, permits } in work_in {
                        // A batch that is lost to a panic (a defect) would be waited for without end.
                        let encode = || worker.encode(input, &batch, checked);
                        let outcome = catch_unwind(AssertUnwindSafe(encode))
                            .unwrap_or_else(|_| Err(Error::Internal("a worker thread panicked".into())));
                        let (stored, end) = (batch.stored, batch.end);
                        let outcome = outcome.map(|batch| Outcome::Batch { batch, stored, end });
                        if done_out.send(Done { number, input, permits, outcome }).is_err() {
                            break;
                        }
                    }
                    Ok(())
                }));
            }
            drop((work_in, done_out, samples_out, checkpoints_end));
            let result = collector.run(&done_in, &permits_out, failed);
            stop.store(true, Ordering::Relaxed);
            drop((done_in, permits_out)); // whoever still waits for one of them stops
            // The collector ends here either way, and with it the checkpoints.
            let result = result.and_then(|()| collector.finish());
            // What went wrong on the way comes before that nobody wanted the rest.
            let joined = handles.into_iter().map(join).fold(Ok(()), Result::and);
            joined.and(result)
        })
    }
}

/// Waits for a thread; a panic in it (a defect) becomes an error.
pub(super) fn join(handle: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    handle.join().unwrap_or_else(|_| Err(Error::Internal("a worker thread panicked".into())))
}

/// What the reader waits for before it reads on.
struct Permits {
    permits_in: Receiver<()>,
    /// How many there are.
    permits: usize,
}

impl Permits {
    /// Waits for as many as this size asks for, at the most for all there are; `None` when there will be none.
    fn take(&self, bytes: usize, each: usize) -> Option<usize> {
        let wanted = bytes.div_ceil(each.max(1)).clamp(1, self.permits);
        (0..wanted).try_for_each(|_| self.permits_in.recv()).ok().map(|()| wanted)
    }
}

struct Reader<'a> {
    inputs: &'a [Input],
    reading: Reading,
    work: Sender<Work>,
    done: Sender<Done>,
    permits: Permits,
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
    /// Reads all files from a place in one of them on; ends early when nobody takes the batches any more.
    fn run(mut self, (first, from): (usize, Position)) {
        let mut before: u64 = self.inputs[..first].iter().map(|input| input.bytes).sum();
        self.reading.from = from;
        for (input, file) in self.inputs.iter().enumerate().skip(first) {
            let reading = self.reading.clone();
            self.reading.from = Position::default();
            let result = read_batches(file, &reading, |batch| {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                let Some(permits) = self.permits.take(batch.size(), reading.batch_bytes) else {
                    return Ok(false);
                };
                self.number += 1;
                let checked = if batch.is_empty() { 0 } else { self.check.at(before + batch.stored) };
                let work = Work { number: self.number - 1, input, batch, checked, permits };
                Ok(self.work.send(work).is_ok())
            });
            before += file.bytes;
            let outcome = match result {
                Ok(Some(summary)) => Ok(Outcome::End(summary)),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let number = self.number;
            self.number += 1;
            if self.done.send(Done { number, input, permits: 0, outcome }).is_err() {
                return;
            }
        }
    }
}
