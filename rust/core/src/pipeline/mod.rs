//! The whole road, from a corpus to a published file.

mod account;
mod against;
mod check;
mod checkpoint;
mod choices;
mod collect;
mod config;
mod document;
mod duplicates;
mod encode;
mod exclude;
mod flush;
mod gather;
mod monitor;
mod order_file;
mod output;
mod place;
mod publish;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;
mod worker;
mod workspace;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use against::{Agreement, check_against};
pub use choices::{Choices, TemplateChoice};
pub use config::{BuildConfig, OnError, Overflow, SpecialMode};
pub use monitor::{Monitor, Progress, Stage};
pub use survey::{BuildPlan, FilePlan, MixPlan, Note, TokenizerPlan};
pub(crate) use sweep::sweep;

use crate::discover::{Input, discover};
use crate::disk::Disk;
use crate::error::{Error, InputError, Result};
use crate::file::{FORMAT_VERSION, InputRecord, Metadata};
use crate::recipe::Chosen;
use crate::tokenizer::{Tokenizer, TokenizerSource};
use checkpoint::{Basis, Checkpointer};
use collect::{Encoded, FileRecord};
use encode::Encoding;
use exclude::Exclude;
use place::place;
use survey::Depth;
use workspace::Workspace;

/// What a build works with; tests choose other.
pub(crate) struct Means {
    pub(crate) disk: Disk,
    /// Bytes of JSON that a worker takes at a time, about.
    pub(crate) batch_bytes: usize,
    /// The most work that a build loses when it is killed, and then some.
    pub(crate) checkpoint_every: Duration,
}

impl Default for Means {
    fn default() -> Self {
        Self { disk: Disk::default(), batch_bytes: 256 * 1024, checkpoint_every: Duration::from_secs(3) }
    }
}

/// What a build did.
#[derive(Debug, Clone, Serialize)]
pub struct BuildReport {
    /// Length of the file, or of all shards.
    pub file_bytes: u64,
    /// How many shards there are; `None` where the output is one file.
    pub shards: Option<usize>,
    /// What the output says about itself.
    #[serde(flatten)]
    pub metadata: Metadata,
    /// Uncompressed bytes of input.
    pub input_bytes: u64,
    /// How many items were left out because they could not be read.
    pub bad_items: u64,
    /// The first of them.
    pub bad_item_list: Vec<InputError>,
    /// The plan it followed.
    pub plan: BuildPlan,
}

/// Says what a build would do, without encoding: reads the whole corpus and finds every bad item.
///
/// # Errors
/// As [`build`], but bad items are notes in the plan.
pub fn plan(
    corpus: &Path,
    tokenizer: TokenizerSource,
    config: &BuildConfig,
    monitor: &Monitor,
) -> Result<BuildPlan> {
    config.validate()?;
    let chosen = choose(corpus, config)?;
    let loaded = Tokenizer::load(tokenizer, &config.token_options())?;
    survey::survey(&chosen, &loaded, config, &Exclude::load(config)?, Depth::Whole, monitor)
}

/// What the recipe takes of a corpus.
fn choose(path: &Path, config: &BuildConfig) -> Result<Chosen> {
    config.recipe.choose(discover(path)?, path, |input| survey::kind_of(input, config))
}

/// Builds `out` from `corpus`, or goes on with a build of it that was stopped.
///
/// # Errors
/// When anything on the road fails; then nothing is published, and an older output stays as it was.
pub fn build(
    corpus_path: &Path,
    out: &Path,
    tokenizer: TokenizerSource,
    config: &BuildConfig,
    monitor: &Monitor,
) -> Result<BuildReport> {
    build_with(&Means::default(), corpus_path, out, tokenizer, config, monitor)
}

pub(crate) fn build_with(
    means: &Means,
    corpus_path: &Path,
    out: &Path,
    tokenizer: TokenizerSource,
    config: &BuildConfig,
    monitor: &Monitor,
) -> Result<BuildReport> {
    config.validate()?;
    let published = output::published(out, config)?;
    workspace::check_output(&published, config.force)?;
    let chosen = choose(corpus_path, config)?;
    workspace::keep_apart(&published, &chosen.inputs)?;
    if let Some(other) = output::other_form(out, config) {
        workspace::check_output(&other, config.force)?;
        workspace::keep_apart(&other, &chosen.inputs)?;
    }
    let loaded = Tokenizer::load(tokenizer, &config.token_options())?;
    let treatments = config.treatments()?;
    let mut exclude = Exclude::load(config)?;
    let basis = Basis::new(&chosen.inputs, config, &loaded.info, &exclude)?;
    let plan = survey::survey(&chosen, &loaded, config, &exclude, Depth::Beginning, monitor)?;
    monitor.announce(&plan);
    if let (OnError::Stop, Some(problem)) = (config.on_error, plan.first_problem()) {
        return Err(Error::Input(problem));
    }
    exclude.find_duplicates(&chosen, &treatments, config, monitor)?;

    let workspace = Workspace::open(&means.disk, out, config.temp_dir.as_deref())?;
    let kinds: Vec<_> = plan.inputs.iter().map(|input| input.kind).collect();
    let encoding = Encoding {
        inputs: &chosen.inputs,
        kinds: &kinds,
        rules: &chosen.rules,
        treatments: &treatments,
        tokenizer: &loaded,
        config,
        exclude: &exclude,
        means,
        monitor,
    };
    let made = make(&encoding, &workspace, &basis, corpus_path, out);
    match made {
        Ok(_) | Err(Error::Input(_) | Error::Corpus { .. } | Error::Internal(_)) => workspace.discard(),
        // What the same command goes on from, or one with another setting for the output.
        Err(_) => workspace.keep(),
    }
    let Made { file_bytes, shards, metadata, encoded } = made?;
    Ok(BuildReport {
        file_bytes,
        shards,
        input_bytes: encoded.files.iter().map(|file| file.bytes).sum(),
        metadata,
        bad_items: encoded.bad_items,
        bad_item_list: encoded.bad_item_list,
        plan,
    })
}

/// A published output.
struct Made {
    file_bytes: u64,
    shards: Option<usize>,
    metadata: Metadata,
    encoded: Encoded,
}

/// The road itself: encodes, plans, writes and publishes.
fn make(
    encoding: &Encoding,
    workspace: &Workspace,
    basis: &Basis,
    corpus_path: &Path,
    out: &Path,
) -> Result<Made> {
    let Encoding { inputs, tokenizer, config, exclude, monitor, .. } = *encoding;
    let before = checkpoint::load(workspace.spool_folder(), out, basis, encoding)?;
    workspace.check_room(inputs.iter().map(Input::least_bytes).sum())?;
    let (spool, encoded) = encoding.run(workspace, basis, before)?;
    if spool.count() == 0 {
        let mut problem =
            "nothing to write: no item is left that has a token that counts for the loss".to_owned();
        if let Some(first) = encoded.bad_item_list.first() {
            problem = format!("{problem}; {} could not be read, the first: {first}", encoded.bad_items);
        }
        return Err(Error::Corpus { path: corpus_path.into(), problem });
    }
    let (disk, folder) = (&encoding.means.disk, workspace.spool_folder().into());
    let checkpointer = Checkpointer { disk, folder, basis, files: spool.files() };
    let (mut output, placed) = place(encoding, (&spool, &encoded), workspace, &checkpointer, out)?;

    monitor.start(Stage::Publish, 0);
    let records: Vec<_> = inputs.iter().zip(&encoded.files).map(input_record).collect();
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        apollo_pack: env!("CARGO_PKG_VERSION").into(),
        content_hash: output.content_hash(config.seq_len, &records),
        seq_len: config.seq_len,
        tokenizer: tokenizer.info.clone(),
        special_tokens: config.special_tokens.as_str().into(),
        template: config.template.clone(),
        packing: config.packing,
        overflow: config.overflow.as_str().into(),
        order: config.order,
        seed: config.seed,
        dedup: config.dedup,
        decontamination: exclude.decontamination(),
        recipe: config.recipe.given().cloned(),
        order_file: placed.order_file.clone(),
        inputs: Arc::new(records),
        ledger: placed.settle(inputs, encoded.entries.clone())?,
        totals: placed.gathered.totals,
        shard: None,
    };
    let file_bytes = output.finish(&metadata)?;
    monitor.publishing()?;
    output.publish()?;
    Ok(Made { file_bytes, shards: output.shards(), metadata, encoded })
}

fn input_record((input, file): (&Input, &FileRecord)) -> InputRecord {
    InputRecord {
        path: input.path.clone(),
        source: input.name.source.clone(),
        language: input.name.language.clone(),
        items: file.items,
        bytes: file.bytes,
        xxh3_128: format!("{:032x}", file.hash),
    }
}
