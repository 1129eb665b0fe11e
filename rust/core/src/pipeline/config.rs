//! The settings of a build.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::discover::Kind;
use crate::encode::SpecialTokens;
use crate::error::{Error, Result};
use crate::file::{Dedup, Metadata};
use crate::leakage::{LeakRules, Unit};
use crate::plan::{Order, Packing};
use crate::read::MAX_ITEM_BYTES;
use crate::tokenizer::{BosMode, TokenOptions};

/// What becomes of special tokens that stand in raw text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialMode {
    /// They are encoded as ordinary characters.
    Text,
    /// They become their ids.
    Parse,
    /// An item with one is a bad item.
    Error,
}

impl SpecialMode {
    fn named(name: &str) -> Option<Self> {
        [Self::Text, Self::Parse, Self::Error].into_iter().find(|mode| mode.as_str() == name)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Parse => "parse",
            Self::Error => "error",
        }
    }
}

/// What becomes of documents longer than a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Text is split, QA truncated; with `concat` both run on.
    Auto,
    /// Cut into pieces of a row each.
    Split,
    /// Cut off at a row's length.
    Truncate,
    /// Left out.
    Drop,
    /// A bad item.
    Error,
}

impl Overflow {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Split => "split",
            Self::Truncate => "truncate",
            Self::Drop => "drop",
            Self::Error => "error",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let all = [Self::Auto, Self::Split, Self::Truncate, Self::Drop, Self::Error];
        all.into_iter().find(|overflow| overflow.as_str() == name)
    }

    /// What it comes to for one kind of document.
    pub(super) fn for_kind(self, kind: Kind, packing: Packing) -> Self {
        match (self, kind) {
            (Self::Auto, _) if packing == Packing::Concat => Self::Split,
            (Self::Auto, Kind::Text) => Self::Split,
            (Self::Auto, Kind::Qa) => Self::Truncate,
            (given, _) => given,
        }
    }
}

/// What becomes of the build when an item cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It stops.
    Stop,
    /// The item is left out, counted and listed.
    Skip,
}

impl OnError {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Skip => "skip",
        }
    }
}

/// The settings of a build.
#[derive(Debug, Clone)]
pub struct BuildConfig {
    /// Tokens in a row: a multiple of 8.
    pub seq_len: u32,
    /// How documents share rows.
    pub packing: Packing,
    /// Name or file of the template.
    pub template: String,
    /// The order of the documents.
    pub order: Order,
    /// Its seed.
    pub seed: u64,
    /// What becomes of documents longer than a row.
    pub overflow: Overflow,
    /// What becomes of special tokens in raw text.
    pub special_tokens: SpecialMode,
    /// Whether documents start with BOS.
    pub bos: BosMode,
    /// End-of-text, where the tokenizer does not say it.
    pub eos: Option<String>,
    /// Padding, likewise.
    pub pad: Option<String>,
    /// BOS, likewise.
    pub bos_token: Option<String>,
    /// Threads that encode and write; all cores by default.
    pub threads: Option<usize>,
    /// What becomes of the build when an item cannot be read.
    pub on_error: OnError,
    /// Longer items are bad items.
    pub max_item_bytes: u64,
    /// Where the encoded documents are kept until rows are made; beside the output by default.
    pub temp_dir: Option<PathBuf>,
    /// How many documents the reference encodes as well; by default a few of large corpora.
    pub check_encoder: Option<u32>,
    /// Which items are kept out because others before them say the same.
    pub dedup: Dedup,
    /// Benchmarks whose questions are kept out.
    pub decontaminate: Vec<PathBuf>,
    /// What counts as such a question.
    pub leak_rules: LeakRules,
    /// Whether an existing output is replaced.
    pub force: bool,
}

impl BuildConfig {
    /// The settings with which a file was built, as far as documents depend on them; `None` where this version
    /// does not know them.
    pub(super) fn of_file(metadata: &Metadata) -> Option<Self> {
        let tokenizer = &metadata.tokenizer;
        Some(Self {
            seq_len: metadata.seq_len,
            packing: metadata.packing,
            template: metadata.template.name.clone(),
            order: metadata.order,
            seed: metadata.seed,
            overflow: Overflow::named(&metadata.overflow)?,
            special_tokens: SpecialMode::named(&metadata.special_tokens)?,
            bos: if tokenizer.bos_id.is_some() { BosMode::Always } else { BosMode::Never },
            eos: Some(tokenizer.eos_id.to_string()),
            pad: Some(tokenizer.pad_id.to_string()),
            bos_token: tokenizer.bos_id.map(|id| id.to_string()),
            threads: None,
            on_error: OnError::Skip,
            max_item_bytes: MAX_ITEM_BYTES as u64,
            temp_dir: None,
            check_encoder: None,
            dedup: metadata.dedup,
            decontaminate: Vec::new(), // a file names them, but who has it need not have them
            leak_rules: metadata
                .decontamination
                .as_ref()
                .map_or(LeakRules::usual(Unit::Characters), |found| found.rules),
            force: false,
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        let seq_len = self.seq_len;
        if seq_len == 0 || !seq_len.is_multiple_of(8) || seq_len > 1 << 24 {
            return Err(Error::Config(format!(
                "seq_len must be a multiple of 8 between 8 and 16777216, not {seq_len}"
            )));
        }
        if self.max_item_bytes == 0 {
            return Err(Error::Config("max_item_bytes must be at least 1".into()));
        }
        match self.threads {
            Some(0) => Err(Error::Config("threads must be at least 1".into())),
            Some(threads) if threads > 1024 => Err(Error::Config("threads must be at most 1024".into())),
            _ => Ok(()),
        }
    }

    pub(super) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or_else(all)
    }

    pub(super) fn max_item_bytes(&self) -> usize {
        usize::try_from(self.max_item_bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn token_options(&self) -> TokenOptions {
        TokenOptions {
            eos: self.eos.clone(),
            pad: self.pad.clone(),
            bos_token: self.bos_token.clone(),
            bos: self.bos,
            special_tokens: match self.special_tokens {
                // Items with special tokens are turned away before they are encoded, and the template's
                // own are marked: it makes no difference for text here.
                SpecialMode::Text | SpecialMode::Error => SpecialTokens::Text,
                SpecialMode::Parse => SpecialTokens::Parse,
            },
        }
    }
}
