//! What a packed file says about itself. No times, no absolute paths: two builds of the same thing are
//! the same bytes.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Segment;
use crate::leakage::{BenchmarkFile, LeakRules};
use crate::ledger::{DropReason, Ledger};
use crate::plan::{Order, Packing};
use crate::recipe::Recipe;
use crate::render::Template;
use crate::tokenizer::TokenizerInfo;

/// The metadata of a packed file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of the format.
    pub format_version: u32,
    /// Version of apollo-pack that wrote it.
    pub apollo_pack: String,
    /// Hash of its rows with their masks and segments: the same however they are stored.
    pub content_hash: String,
    /// Tokens in a row.
    pub seq_len: u32,
    /// The tokenizer and its special ids.
    pub tokenizer: TokenizerInfo,
    /// How special tokens in raw text were encoded: `text`, `parse` or `error`.
    pub special_tokens: String,
    /// The template.
    pub template: Template,
    /// How documents share rows.
    pub packing: Packing,
    /// What became of documents longer than a row.
    pub overflow: String,
    /// The order of the documents.
    pub order: Order,
    /// The seed of the order.
    pub seed: u64,
    /// How duplicates were looked for, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// How questions of benchmarks were looked for, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decontamination: Option<Decontamination>,
    /// The recipe, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
    /// XXH3-128 of the list of documents to draw, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_file: Option<String>,
    /// The files it was built from; there may be many, and the open shards of a set share them.
    pub inputs: Arc<Vec<InputRecord>>,
    /// What came in and what became of it; in a shard, of the whole set.
    pub ledger: Ledger,
    /// Sums over its rows.
    pub totals: Totals,
    /// In a shard, which one it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardOf>,
}

/// The set that a shard belongs to, and its place there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardOf {
    /// From 0.
    pub number: u32,
    /// How many shards there are.
    pub count: u32,
    /// Hash of the rows of all of them: that of the file which the same build writes without shards.
    pub content_hash: String,
    /// Sums over the rows of all of them.
    pub totals: Totals,
}

impl Metadata {
    /// What a shard says about the set that this is the metadata of.
    pub(crate) fn as_shard(&self, number: usize, count: usize) -> ShardOf {
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX); // at most `MAX_SHARDS`
        ShardOf {
            number: small(number),
            count: small(count),
            content_hash: self.content_hash.clone(),
            totals: self.totals,
        }
    }
}

/// How items are looked for that others before them make needless, and what becomes of them.
///
/// Exact duplicates have the same texts, but for Unicode normalization (NFC) and the amount of white space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Dedup {
    /// The similarity from which on an item is a near-duplicate; only exact ones are looked for without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<f64>,
    /// What became of them.
    pub found: Fate,
}

/// What becomes of items that leak, or are duplicates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// They are kept out of the rows.
    #[default]
    Drop,
    /// They are in the rows; ledger and segments say which they are.
    Mark,
}

impl Fate {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Mark => "mark",
        }
    }
}

impl Metadata {
    /// The marks that its segments may bear.
    pub(crate) fn marks(&self) -> u8 {
        let dedup = self.dedup.filter(|dedup| dedup.found == Fate::Mark);
        let leaks = self.decontamination.as_ref().is_some_and(|found| found.found == Fate::Mark);
        let mark = |reason: DropReason, found: bool| if found { Segment::mark(reason) } else { 0 };
        mark(DropReason::Leaked, leaks)
            | mark(DropReason::Duplicate, dedup.is_some())
            | mark(DropReason::NearDuplicate, dedup.is_some_and(|dedup| dedup.near.is_some()))
    }
}

/// How questions of benchmarks are looked for, and what becomes of items that hold one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decontamination {
    /// What counted as leaked.
    #[serde(flatten)]
    pub rules: LeakRules,
    /// What became of it.
    pub found: Fate,
    /// The files of the benchmarks.
    pub benchmarks: Vec<BenchmarkFile>,
}

/// A file of the corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Path within the corpus.
    pub path: String,
    /// From its name.
    pub source: String,
    /// From its name.
    pub language: String,
    /// Items in it.
    pub items: u64,
    /// Uncompressed bytes.
    pub bytes: u64,
    /// XXH3-128 of them, in hexadecimal.
    pub xxh3_128: String,
}

/// Sums over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// Segments: documents, or pieces of them.
    pub segments: u64,
    /// Segments after which their document goes on, elsewhere or not at all.
    #[serde(default)]
    pub cut_segments: u64,
    /// The most segments in one row.
    #[serde(default)]
    pub most_segments: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Tokens that count for the loss.
    pub loss_tokens: u64,
    /// Padding.
    pub padding: u64,
    /// Rows in which no token counts.
    pub rows_without_loss: u64,
}

impl Totals {
    /// Adds a row of these segments, in which so many tokens count.
    pub(crate) fn add_row(&mut self, seq_len: usize, segments: &[Segment], loss_tokens: u64) {
        let tokens = segments.last().map_or(0, |last| u64::from(last.end));
        let cut = segments.iter().filter(|segment| segment.flags & Segment::CUT != 0).count();
        *self += Self {
            rows: 1,
            segments: segments.len() as u64,
            cut_segments: cut as u64,
            most_segments: segments.len() as u64,
            tokens,
            loss_tokens,
            padding: (seq_len as u64).saturating_sub(tokens),
            rows_without_loss: u64::from(loss_tokens == 0),
        };
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.segments += other.segments;
        self.cut_segments += other.cut_segments;
        self.most_segments = self.most_segments.max(other.most_segments);
        self.tokens += other.tokens;
        self.loss_tokens += other.loss_tokens;
        self.padding += other.padding;
        self.rows_without_loss += other.rows_without_loss;
    }
}
