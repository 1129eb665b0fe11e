//! About how many tokens a file comes to.

use crate::pipeline::config::{BuildConfig, Treatment};
use crate::pipeline::document::{DocumentEncoder, Encoded};
use crate::pipeline::exclude::Finding;
use crate::read::{Batch, parse_item};
use crate::tokenizer::Tokenizer;

/// Encodes a few items of every batch, to know about how many tokens a file comes to.
pub(super) struct TokenSample<'a> {
    documents: DocumentEncoder<'a>,
    rule: usize,
    /// Bytes of items, and of those that were encoded.
    bytes: u64,
    encoded_bytes: u64,
    /// What those came to.
    tokens: u64,
    encoded: Encoded,
}

/// Of each batch of [`super::BEGINNING`] bytes.
const SAMPLED_BYTES: u64 = 1 << 14;

impl<'a> TokenSample<'a> {
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        treatments: &[Treatment],
        config: &BuildConfig,
        rule: usize,
    ) -> Self {
        let documents = DocumentEncoder::new(tokenizer, treatments, config);
        Self { documents, rule, bytes: 0, encoded_bytes: 0, tokens: 0, encoded: Encoded::default() }
    }

    pub(super) fn look_at(&mut self, batch: &Batch) {
        let lengths = batch.items().map(|item| item.bytes.map_or(0, |bytes| bytes.len() as u64));
        let bytes: u64 = lengths.sum();
        // Evenly over the batch, at least one.
        let every = usize::try_from(bytes / SAMPLED_BYTES).unwrap_or(usize::MAX).max(1);
        for raw in batch.items().step_by(every) {
            let Some(item) = raw.bytes.and_then(|bytes| parse_item(bytes).ok()) else { continue };
            self.encoded.tokens.clear();
            self.encoded.fragments.clear();
            if self
                .documents
                .encode(self.rule, raw.index, &item, Finding::default(), &mut self.encoded)
                .is_ok()
            {
                self.encoded_bytes += raw.bytes.map_or(0, |bytes| bytes.len() as u64);
                self.tokens += self.encoded.tokens.len() as u64;
            }
        }
        self.bytes += bytes;
    }

    /// Expected in rows.
    pub(super) fn tokens(self) -> u64 {
        let whole = u128::from(self.tokens) * u128::from(self.bytes);
        whole
            .checked_div(u128::from(self.encoded_bytes))
            .and_then(|tokens| u64::try_from(tokens).ok())
            .unwrap_or(0)
    }
}
