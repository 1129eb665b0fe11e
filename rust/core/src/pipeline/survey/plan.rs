//! What a survey says a build is going to do.

use serde::Serialize;

use crate::discover::{Kind, LeftOut};
use crate::error::InputError;
use crate::pipeline::config::BuildConfig;
use crate::plan::{Order, Packing};
use crate::recipe::{Chosen, Mix, Size, forecast};
use crate::render::Template;
use crate::tokenizer::TokenizerInfo;

/// What a build is going to do.
#[derive(Debug, Clone, Serialize)]
pub struct BuildPlan {
    /// The files, in order.
    pub inputs: Vec<FilePlan>,
    /// Files of the corpus that are not read.
    pub left_out: Vec<LeftOut>,
    /// The tokenizer.
    pub tokenizer: TokenizerPlan,
    /// The template.
    pub template: Template,
    /// Tokens in a row.
    pub seq_len: u32,
    /// How documents share rows.
    pub packing: Packing,
    /// What becomes of documents longer than a row.
    pub overflow: &'static str,
    /// The order of the documents.
    pub order: Order,
    /// Its seed.
    pub seed: u64,
    /// Threads that encode.
    pub threads: usize,
    /// The name of the recipe, where one was asked for.
    pub recipe: Option<String>,
    /// What the mix will be; only where the corpus was read as a whole.
    pub mix: Option<MixPlan>,
    /// What to know about the plan as a whole.
    pub notes: Vec<Note>,
}

/// What is expected of each input, and where in the training order it will stand.
#[derive(Debug, Clone, Serialize)]
pub struct MixPlan {
    /// Documents expected of each input, repetitions included.
    pub documents: Vec<f64>,
    /// Tokens and shares.
    #[serde(flatten)]
    pub mix: Mix,
}

impl MixPlan {
    #[allow(clippy::cast_precision_loss)] // an estimate
    pub(super) fn of(files: &[FilePlan], chosen: &Chosen, config: &BuildConfig) -> Option<Self> {
        let size = |file: &FilePlan| {
            file.tokens.map(|tokens| Size { documents: file.items as f64, tokens: tokens as f64 })
        };
        let sizes = files.iter().map(size).collect::<Option<Vec<Size>>>()?;
        let shares = config.recipe.shares(&chosen.inputs, &chosen.rules);
        let target = config.recipe.target(&chosen.inputs, &chosen.rules);
        let mix = forecast(config.order, &sizes, &shares, &target)?;
        let documents = |(drawn, size): (&f64, &Size)| {
            if size.tokens > 0.0 { size.documents * drawn / size.tokens } else { 0.0 }
        };
        Some(Self { documents: mix.tokens.iter().zip(&sizes).map(documents).collect(), mix })
    }
}

/// One file of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilePlan {
    /// Path within the corpus.
    pub path: String,
    /// From its name.
    pub source: String,
    /// From its name.
    pub language: String,
    /// What its items are, from its content.
    pub kind: Option<Kind>,
    /// How many there are.
    pub items: u64,
    /// Whether they were counted, or estimated from the beginning of the file.
    pub items_exact: bool,
    /// Its size.
    pub bytes: u64,
    /// What is odd about it.
    pub notes: Vec<Note>,
    /// How many items were found that cannot be read.
    pub bad_items: u64,
    /// Tokens expected in rows if it is taken once, from samples all over the file; only where it was read as a whole.
    pub tokens: Option<u64>,
    /// How often the recipe takes it; at the most, under proportions.
    pub epochs: f64,
    #[serde(skip)]
    pub(super) problems: Vec<InputError>,
}

/// Something out of the ordinary, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is.
    pub what: String,
    /// What becomes of it.
    pub outcome: String,
}

/// The tokenizer of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct TokenizerPlan {
    /// Where it came from.
    pub label: String,
    /// Which encoder serves.
    pub encoder: &'static str,
    /// Why it is not the native one, if it is not.
    pub why_not_native: Option<String>,
    /// What the output records of it.
    #[serde(flatten)]
    pub info: TokenizerInfo,
}

impl BuildPlan {
    pub(in crate::pipeline) fn first_problem(&self) -> Option<InputError> {
        self.inputs.iter().find_map(|input| input.problems.first().cloned())
    }
}
