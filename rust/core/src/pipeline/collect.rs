//! Puts encoded batches back into the order of the corpus, and writes them to the spool.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use serde::{Deserialize, Serialize};

use super::checkpoint::State;
use super::config::OnError;
use super::monitor::Monitor;
use super::survey::REST_LEFT_OUT;
use super::worker::EncodedBatch;
use super::written::RowMark;
use crate::discover::Input;
use crate::error::{Error, InputError, Result};
use crate::ledger::{DropReason, Entry};
use crate::read::{FileSummary, Position};
use crate::spool::{Fragment, Spool, SpoolMark, SpoolWriter};

/// How many bad items a report lists.
const LISTED: usize = 100;

/// How far a build has come: all that it needs to go on from there, besides the spool and the rows themselves.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Encoded {
    /// Inputs that have been read to their ends.
    pub(super) ended: usize,
    /// How far the next one has been.
    pub(super) position: Position,
    /// The account of each input.
    pub(super) entries: Vec<Entry>,
    /// What each input turned out to be.
    pub(super) files: Vec<FileRecord>,
    pub(super) bad_items: u64,
    /// The first of them.
    pub(super) bad_item_list: Vec<InputError>,
    /// What the spool holds of it.
    pub(super) spool: SpoolMark,
    /// What is in rows; nothing until all is encoded.
    pub(super) rows: Option<RowMark>,
}

/// What an input turned out to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub(super) items: u64,
    pub(super) bytes: u64,
    pub(super) hash: u128,
}

impl Encoded {
    pub(super) fn nothing(inputs: usize) -> Self {
        let (entries, files) = (vec![Entry::default(); inputs], vec![FileRecord::default(); inputs]);
        Self { entries, files, ..Self::default() }
    }
}

/// What comes out of reading, numbered in the order of the corpus.
pub(super) enum Outcome {
    Batch { batch: EncodedBatch, stored: u64, end: Position },
    End(FileSummary),
}

pub(super) struct Done {
    pub(super) number: u64,
    pub(super) input: usize,
    /// Permits that go back to the reader.
    pub(super) permits: usize,
    pub(super) outcome: Result<Outcome>,
}

pub(super) struct Collector<'a> {
    pub(super) on_error: OnError,
    pub(super) inputs: &'a [Input],
    pub(super) spool: SpoolWriter,
    pub(super) encoded: Encoded,
    /// Who puts checkpoints on disk, and how often; zero: after every batch, whatever it costs (for tests).
    pub(super) checkpoints: Sender<State>,
    pub(super) checkpoint_every: Duration,
    pub(super) monitor: &'a Monitor,
    /// Stored bytes of the current input that are done.
    pub(super) stored: u64,
}

impl Collector<'_> {
    /// `failed` is set when a thread that helps has failed; its error is the one that counts then.
    pub(super) fn run(
        &mut self,
        done: &Receiver<Done>,
        permits: &Sender<()>,
        failed: &AtomicBool,
    ) -> Result<()> {
        let mut early: BTreeMap<u64, Done> = BTreeMap::new();
        let mut next = 0;
        let mut last = Instant::now();
        loop {
            self.monitor.check()?;
            if failed.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            match done.recv_timeout(Duration::from_millis(20)) {
                Ok(done) => early.insert(done.number, done),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return self.all_files_ended(),
            };
            while let Some(done) = early.remove(&next) {
                next += 1;
                self.take(done.input, done.outcome?)?;
                // The reader may be gone already, at the end of the corpus.
                for _ in 0..done.permits {
                    let _ = permits.send(());
                }
                if last.elapsed() >= self.checkpoint_every && self.checkpoint()? {
                    last = Instant::now();
                }
            }
        }
    }

    /// Says how far it is, unless the one said before is still on its way to the disk.
    fn checkpoint(&mut self) -> Result<bool> {
        if self.checkpoints.is_full() && !self.checkpoint_every.is_zero() {
            return Ok(false);
        }
        self.encoded.spool = self.spool.mark()?;
        // Who takes them is gone only after an error, which is seen soon.
        let state = State { encoded: self.encoded.clone(), files: Vec::new() };
        Ok(self.checkpoints.send(state).is_ok())
    }

    fn take(&mut self, input: usize, outcome: Outcome) -> Result<()> {
        match outcome {
            Outcome::Batch { batch: EncodedBatch { encoded, bad }, stored, end } => {
                let number = u32::try_from(input).map_err(|_| Error::Internal("too many files".into()))?;
                let fragments = encoded.fragments.iter().map(|piece| Fragment { input: number, ..*piece });
                self.spool.append(&encoded.tokens, fragments)?;
                if u32::try_from(self.spool.fragments()).is_err() {
                    return Err(Error::Config("more than 2^32 documents; build in parts".into()));
                }
                self.monitor.encoded(encoded.entry.items, encoded.tokens.len() as u64);
                self.monitor.advance(stored.saturating_sub(self.stored));
                self.stored = stored;
                self.encoded.entries[input].add(&encoded.entry);
                self.encoded.position = end;
                for error in bad {
                    self.note_bad(error);
                }
            }
            Outcome::End(summary) => {
                self.check_count(input, &summary)?;
                let FileSummary { end: Position { mut items, bytes, hash }, damage } = summary;
                if let Some(mut damage) = damage {
                    if self.on_error == OnError::Stop {
                        return Err(Error::Input(damage));
                    }
                    // What cannot be read counts as one item, however much it was meant to be.
                    damage.problem.push_str(REST_LEFT_OUT);
                    items += 1;
                    self.encoded.entries[input].items += 1;
                    self.encoded.entries[input].drop_item(DropReason::BadItem, 0);
                    self.note_bad(damage);
                }
                self.encoded.files[input] = FileRecord { items, bytes, hash };
                self.encoded.ended += 1;
                self.encoded.position = Position::default();
                self.monitor.advance(self.inputs[input].bytes.saturating_sub(self.stored));
                self.stored = 0;
            }
        }
        Ok(())
    }

    fn note_bad(&mut self, error: InputError) {
        self.encoded.bad_items += 1;
        if self.encoded.bad_item_list.len() < LISTED {
            self.encoded.bad_item_list.push(error);
        }
    }

    fn check_count(&self, input: usize, summary: &FileSummary) -> Result<()> {
        let found = self.encoded.entries[input].items;
        if found == summary.end.items {
            return Ok(());
        }
        let path = &self.inputs[input].path;
        Err(Error::Internal(format!("{path} has {} items, {found} are accounted for", summary.end.items)))
    }

    /// The reader and all workers are gone: they must have handed over everything.
    fn all_files_ended(&self) -> Result<()> {
        let (ended, all) = (self.encoded.ended, self.inputs.len());
        if ended == all { Ok(()) } else { Err(Error::Internal(format!("{ended} of {all} files were read"))) }
    }

    pub(super) fn finish(mut self) -> Result<(Spool, Encoded)> {
        self.encoded.spool = self.spool.mark()?;
        Ok((self.spool.finish()?, self.encoded))
    }
}
