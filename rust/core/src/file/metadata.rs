//! What a packed file says about itself. No times, no absolute paths: two builds of the same thing are
//! the same bytes.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Segment;
use crate::leakage::{BenchmarkFile, LeakRules};
use crate::ledger::Ledger;
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
    /// Which items were kept out because others before them say the same.
    #[serde(default, skip_serializing_if = "Dedup::is_off")]
    pub dedup: Dedup,
    /// What was kept out because a benchmark has it, if anything was.
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

/// Which items are kept out because others before them say the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dedup {
    /// None.
    #[default]
    Off,
    /// Those with the same texts, but for Unicode normalization (NFC) and the amount of white space.
    Exact,
}

impl Dedup {
    #[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What was kept out because a benchmark has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decontamination {
    /// What counted as leaked.
    #[serde(flatten)]
    pub rules: LeakRules,
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
