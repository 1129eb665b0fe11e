//! What one encoding thread does with a batch of items.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;

use super::check::Sample;
use super::config::OnError;
use super::document::{DocumentEncoder, Encoded};
use super::encode::Encoding;
use super::survey::mixed_kinds;
use crate::error::{Error, InputError, Result};
use crate::ledger::DropReason;
use crate::read::{Batch, parse_item};

/// One thread's encoding.
pub(super) struct Worker<'a> {
    pub(super) documents: DocumentEncoder<'a>,
    pub(super) encoding: &'a Encoding<'a>,
    /// Set when nobody wants the result any more.
    pub(super) stop: &'a AtomicBool,
    /// Where documents go that are to be checked.
    pub(super) samples: Sender<Sample>,
}

/// What became of a batch.
pub(super) struct EncodedBatch {
    pub(super) encoded: Encoded,
    /// Items that could not be read, where they are to be skipped.
    pub(super) bad: Vec<InputError>,
}

impl Worker<'_> {
    /// Encodes the items of a batch of an input, by its rule; the first `checked` of them are sent to be checked.
    pub(super) fn encode(&mut self, number: usize, batch: &Batch, checked: usize) -> Result<EncodedBatch> {
        let encoding = self.encoding;
        let (input, treatment) = (&encoding.inputs[number], &encoding.treatments[encoding.rules[number]]);
        let mut encoded = Encoded::default();
        let mut bad = Vec::new();
        for (item, place) in batch.items().zip(0..) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if !encoding.config.draws(treatment, item.index) {
                encoded.entry.items += 1;
                encoded.entry.drop_item(DropReason::NotDrawn, 0);
                continue;
            }
            if place < checked {
                self.documents.sample_next();
            }
            let result = match item.bytes {
                Some(bytes) => self.encode_item(number, item.index, bytes, &mut encoded),
                None => Err((0, batch.too_long())),
            };
            let Err((at, problem)) = result else {
                if let Some(pieces) = self.documents.take_sample() {
                    // The check has failed, and the build with it, where nobody takes it.
                    let _ = self.samples.send(Sample { file: input.path.clone(), item: item.index, pieces });
                }
                continue;
            };
            drop(self.documents.take_sample());
            let error = InputError {
                file: input.path.clone(),
                item: Some(item.index),
                byte: Some(item.byte + at as u64),
                problem,
            };
            if encoding.config.on_error == OnError::Stop {
                return Err(Error::Input(error));
            }
            encoded.entry.items += 1;
            encoded.entry.drop_item(DropReason::BadItem, 0);
            bad.push(error);
        }
        Ok(EncodedBatch { encoded, bad })
    }

    /// The error says at which byte of the item what is wrong.
    fn encode_item(
        &mut self,
        input: usize,
        index: u64,
        bytes: &[u8],
        encoded: &mut Encoded,
    ) -> std::result::Result<(), (usize, String)> {
        let item = parse_item(bytes).map_err(|problem| (problem.at, problem.problem))?;
        let Encoding { kinds, rules, exclude, .. } = *self.encoding;
        if let Some(problem) = kinds[input].and_then(|kind| mixed_kinds(kind, item.kind())) {
            return Err((0, problem));
        }
        let found = exclude.find(input, index, &item);
        self.documents.encode(rules[input], index, &item, found, encoded).map_err(|problem| (0, problem))
    }
}
