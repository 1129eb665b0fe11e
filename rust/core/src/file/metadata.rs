//! What a packed file says about itself. No times, no absolute paths: two builds of the same thing are
//! the same bytes.

use serde::{Deserialize, Serialize};

use crate::leakage::{BenchmarkFile, LeakRules};
use crate::ledger::Ledger;
use crate::plan::{Order, Packing};
use crate::render::Template;
use crate::tokenizer::TokenizerInfo;

/// The metadata of a packed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Version of the format.
    pub format_version: u32,
    /// Version of apollo-pack that wrote it.
    pub apollo_pack: String,
    /// Hash of all rows with their masks and segments; the same however the file is split or stored.
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
    /// The files it was built from.
    pub inputs: Vec<InputRecord>,
    /// What came in and what became of it.
    pub ledger: Ledger,
    /// Sums over all rows.
    pub totals: Totals,
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

/// Sums over all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Rows.
    pub rows: u64,
    /// Segments.
    pub segments: u64,
    /// Tokens that are not padding.
    pub tokens: u64,
    /// Tokens that count for the loss.
    pub loss_tokens: u64,
    /// Padding.
    pub padding: u64,
    /// Rows in which no token counts.
    pub rows_without_loss: u64,
}
