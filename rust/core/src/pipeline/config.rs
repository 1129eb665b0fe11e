//! The settings of a build.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::choices::Choices;
use super::duplicates::NEAR_THRESHOLDS;
use crate::discover::Kind;
use crate::encode::SpecialTokens;
use crate::error::{Error, Result};
use crate::file::{Dedup, Fate, Metadata};
use crate::leakage::{LeakRules, Unit};
use crate::plan::{Order, Packing, times};
use crate::read::MAX_ITEM_BYTES;
use crate::recipe::Recipe;
use crate::render::Template;
use crate::tokenizer::{BosMode, TokenOptions};

/// What becomes of special tokens that stand in raw text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    /// How dialogues are written.
    pub template: Template,
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
    /// Padding, likewise: the first that there is.
    pub pad: Vec<String>,
    /// Padding, as a new token where there is none of that name.
    pub add_pad: Option<String>,
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
    /// Bytes of tokens and masks in a shard, at the most; one file without shards by default.
    pub shard_size: Option<u64>,
    /// How many documents the reference encodes as well; by default a few of large corpora.
    pub check_encoder: Option<u32>,
    /// Whether items are looked for that others before them make needless, and what becomes of them.
    pub dedup: Option<Dedup>,
    /// Benchmarks whose questions are looked for.
    pub decontaminate: Vec<PathBuf>,
    /// What counts as such a question.
    pub leak_rules: LeakRules,
    /// What becomes of items that hold one.
    pub leaks: Fate,
    /// Whether an existing output is replaced.
    pub force: bool,
    /// What is taken of the corpus.
    pub recipe: Recipe,
    /// A list of documents to draw, in the place of an order of our own.
    pub order_file: Option<PathBuf>,
    /// Where the list of what was drawn is written.
    pub write_order: Option<PathBuf>,
}

/// A build that nothing is asked of.
impl Default for BuildConfig {
    fn default() -> Self {
        Self {
            seq_len: 4096,
            packing: Packing::BestFit,
            template: Template::apollo(),
            order: Order::Corpus,
            seed: 0,
            overflow: Overflow::Auto,
            special_tokens: SpecialMode::Text,
            bos: BosMode::Auto,
            eos: None,
            pad: Vec::new(),
            add_pad: None,
            bos_token: None,
            threads: None,
            on_error: OnError::Stop,
            max_item_bytes: MAX_ITEM_BYTES as u64,
            temp_dir: None,
            shard_size: None,
            check_encoder: None,
            dedup: None,
            decontaminate: Vec::new(),
            leak_rules: LeakRules::usual(Unit::Characters),
            leaks: Fate::Drop,
            force: false,
            recipe: Recipe::default(),
            order_file: None,
            write_order: None,
        }
    }
}

impl BuildConfig {
    /// The settings that come of what is asked for, else of what the recipe says.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn new(given: Choices, recipe: Recipe) -> Result<Self> {
        let other = Self::default();
        let choices = given.or(&recipe.build);
        let mut template =
            choices.template.map_or(Ok(other.template), |template| template.load(&recipe.name))?;
        template.by_turn = choices.by_turn.unwrap_or(false);
        Ok(Self {
            seq_len: choices.seq_len.unwrap_or(other.seq_len),
            packing: choices.packing.unwrap_or(other.packing),
            template,
            order: choices.order.unwrap_or(other.order),
            seed: choices.seed.unwrap_or(other.seed),
            overflow: choices.overflow.unwrap_or(other.overflow),
            special_tokens: choices.special_tokens.unwrap_or(other.special_tokens),
            bos: choices.bos.unwrap_or(other.bos),
            eos: choices.eos,
            pad: choices.pad.unwrap_or_default(),
            add_pad: choices.add_pad,
            bos_token: choices.bos_token,
            recipe,
            ..Self::default()
        })
    }

    /// How documents of each rule of the recipe are made.
    ///
    /// # Errors
    /// When there is no such template.
    pub(super) fn treatments(&self) -> Result<Vec<Treatment>> {
        let treatment = |rule: &crate::recipe::Rule| {
            let own = rule.template.as_ref().map(|template| template.load(&self.recipe.name)).transpose()?;
            let mut template = own.unwrap_or_else(|| self.template.clone());
            template.by_turn = self.template.by_turn;
            Ok(Treatment {
                template,
                overflow: rule.overflow.unwrap_or(self.overflow),
                loss: rule.loss,
                epochs: rule.epochs,
            })
        };
        self.recipe.mix.iter().map(treatment).collect()
    }

    /// Whether the recipe draws an item at all, as far as is known before anything is encoded.
    pub(super) fn draws(&self, treatment: &Treatment, item: u64) -> bool {
        match self.order {
            Order::File => true,
            Order::Proportions => treatment.epochs > 0.0,
            _ => times(item, treatment.epochs) > 0,
        }
    }

    /// The settings with which a file was built, as far as documents depend on them; `None` where this version
    /// does not know them. A file names the benchmarks that were kept out, but who has it need not have them.
    pub(super) fn of_file(metadata: &Metadata) -> Option<Self> {
        let other = Self::default();
        let tokenizer = &metadata.tokenizer;
        Some(Self {
            seq_len: metadata.seq_len,
            packing: metadata.packing,
            template: metadata.template.clone(),
            order: metadata.order,
            seed: metadata.seed,
            overflow: Overflow::named(&metadata.overflow)?,
            special_tokens: SpecialMode::named(&metadata.special_tokens)?,
            bos: if tokenizer.bos_id.is_some() { BosMode::Always } else { BosMode::Never },
            eos: Some(tokenizer.eos_id.to_string()),
            pad: vec![tokenizer.pad_id.to_string()],
            add_pad: tokenizer.added_pad.clone(),
            bos_token: tokenizer.bos_id.map(|id| id.to_string()),
            on_error: OnError::Skip,
            recipe: metadata.recipe.clone().unwrap_or_default(),
            dedup: metadata.dedup,
            leak_rules: metadata.decontamination.as_ref().map_or(other.leak_rules, |found| found.rules),
            leaks: metadata.decontamination.as_ref().map_or(other.leaks, |found| found.found),
            ..other
        })
    }

    pub(super) fn validate(&self) -> Result<()> {
        let seq_len = self.seq_len;
        if seq_len == 0 || !seq_len.is_multiple_of(8) || seq_len > 1 << 24 {
            return Err(Error::Config(format!(
                "seq_len must be a multiple of 8 between 8 and 16777216, not {seq_len}"
            )));
        }
        let near = self.dedup.and_then(|dedup| dedup.near);
        if let Some(threshold) = near.filter(|threshold| !NEAR_THRESHOLDS.contains(threshold)) {
            let (least, most) = (NEAR_THRESHOLDS.start(), NEAR_THRESHOLDS.end());
            let problem = format!("near_threshold must be from {least} to {most}, not {threshold}");
            return Err(Error::Config(problem));
        }
        if self.max_item_bytes == 0 {
            return Err(Error::Config("max_item_bytes must be at least 1".into()));
        }
        if self.order_file.is_some() != (self.order == Order::File) {
            return Err(Error::Config("order \"file\" goes with order_file (--order-file)".into()));
        }
        if self.template.by_turn {
            self.validate_by_turn()?;
        }
        match self.threads {
            Some(0) => Err(Error::Config("threads must be at least 1".into())),
            Some(threads) if threads > 1024 => Err(Error::Config("threads must be at most 1024".into())),
            _ => Ok(()),
        }
    }

    /// What the original has no words for.
    fn validate_by_turn(&self) -> Result<()> {
        let fail = |what: &str| {
            Err(Error::Config(format!(
                "{what}: documents that are encoded by_turn are always as the original has them"
            )))
        };
        if self.bos == BosMode::Always {
            return fail("bos must be \"never\"");
        }
        if self.packing == Packing::Concat {
            return fail("packing \"concat\" would cut them");
        }
        let cut = |overflow| matches!(overflow, Overflow::Auto | Overflow::Truncate);
        let rules = self.recipe.mix.iter().filter_map(|rule| rule.overflow);
        if !rules.chain([self.overflow]).all(cut) {
            return fail("overflow must be \"truncate\"");
        }
        Ok(())
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
            add_pad: self.add_pad.clone(),
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

/// How the documents of one rule of the recipe are made.
#[derive(Debug, Clone)]
pub(super) struct Treatment {
    pub(super) template: Template,
    pub(super) overflow: Overflow,
    /// Whether anything of them counts.
    pub(super) loss: bool,
    pub(super) epochs: f64,
}
