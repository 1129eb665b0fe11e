//! The whole road, from a corpus to a published file.

mod against;
mod check;
mod checkpoint;
mod collect;
mod config;
mod document;
mod duplicates;
mod encode;
mod exclude;
mod gather;
mod monitor;
mod survey;
mod sweep;
#[cfg(test)]
mod tests;
mod worker;
mod workspace;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

pub use against::{Agreement, check_against};
pub use config::{BuildConfig, OnError, Overflow, SpecialMode};
pub use monitor::{Monitor, Progress, Stage};
pub use survey::{BuildPlan, FilePlan, Note, TokenizerPlan};
pub(crate) use sweep::sweep;

use crate::discover::{Input, discover};
use crate::disk::Disk;
use crate::error::{Error, InputError, Result};
use crate::file::{FORMAT_VERSION, FileWriter, InputRecord, Metadata};
use crate::ledger::{Entry, Ledger};
use crate::plan::{DocumentOrder, pack};
use crate::render::Template;
use crate::spool::Spool;
use crate::tokenizer::{Tokenizer, TokenizerSource};
use checkpoint::Basis;
use collect::{Encoded, FileRecord};
use encode::Encoding;
use exclude::Exclude;
use gather::Gathered;
use survey::Depth;
use workspace::Workspace;

/// The output, until it is whole.
const OUTPUT: &str = "output";

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
    /// Its length.
    pub file_bytes: u64,
    /// What the file says about itself.
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
    let template = Template::load(&config.template)?;
    let corpus = discover(corpus)?;
    let loaded = Tokenizer::load(tokenizer, &config.token_options())?;
    survey::survey(corpus, &loaded, &template, config, Depth::Whole, monitor)
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
    let template = Template::load(&config.template)?;
    workspace::check_output(out, config.force)?;
    let corpus = discover(corpus_path)?;
    workspace::keep_apart(out, &corpus.inputs)?;
    let loaded = Tokenizer::load(tokenizer, &config.token_options())?;
    let inputs = corpus.inputs.clone();
    let mut exclude = Exclude::load(config)?;
    let basis = Basis::new(&inputs, config, &template, &loaded.info, &exclude)?;
    let plan = survey::survey(corpus, &loaded, &template, config, Depth::Beginning, monitor)?;
    monitor.announce(&plan);
    if let (OnError::Stop, Some(problem)) = (config.on_error, plan.first_problem()) {
        return Err(Error::Input(problem));
    }
    exclude.find_duplicates(&inputs, config, monitor)?;

    let workspace = Workspace::open(&means.disk, out, config.temp_dir.as_deref())?;
    let kinds: Vec<_> = plan.inputs.iter().map(|input| input.kind).collect();
    let encoding = Encoding {
        inputs: &inputs,
        kinds: &kinds,
        tokenizer: &loaded,
        template: &template,
        config,
        exclude: &exclude,
        means,
        monitor,
    };
    let made = make(&encoding, &workspace, &basis, corpus_path, out);
    if matches!(made, Err(Error::Interrupted | Error::Io { .. } | Error::Unfinished { .. })) {
        workspace.keep_spool();
    }
    let Made { file_bytes, metadata, encoded } = made?;
    Ok(BuildReport {
        file_bytes,
        input_bytes: encoded.files.iter().map(|file| file.bytes).sum(),
        metadata,
        bad_items: encoded.bad_items,
        bad_item_list: encoded.bad_item_list,
        plan,
    })
}

/// A published file.
struct Made {
    file_bytes: u64,
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
    let Encoding { inputs, tokenizer, template, config, exclude, monitor, .. } = *encoding;
    let before = checkpoint::load(workspace.spool_folder(), out, basis, encoding)?;
    let spooled = before.as_ref().map_or(0, |encoded| encoded.spool.bytes());
    workspace.check_room(inputs.iter().map(Input::least_bytes).sum(), spooled)?;
    let (spool, encoded) = encoding.run(workspace, basis, before)?;
    if spool.count() == 0 {
        let mut problem = "nothing to write: no item has a token that counts for the loss".to_owned();
        if let Some(first) = encoded.bad_item_list.first() {
            problem = format!("{problem}; {} could not be read, the first: {first}", encoded.bad_items);
        }
        return Err(Error::Corpus { path: corpus_path.into(), problem });
    }
    let output = workspace.output(OUTPUT);
    let (writer, gathered) = place(encoding, &spool, &output)?;

    monitor.start(Stage::Publish, 0);
    let mut metadata = Metadata {
        format_version: FORMAT_VERSION,
        apollo_pack: env!("CARGO_PKG_VERSION").into(),
        content_hash: String::new(), // the writer knows it
        seq_len: config.seq_len,
        tokenizer: tokenizer.info.clone(),
        special_tokens: config.special_tokens.as_str().into(),
        template: template.clone(),
        packing: config.packing,
        overflow: config.overflow.as_str().into(),
        order: config.order,
        seed: config.seed,
        dedup: config.dedup,
        decontamination: exclude.decontamination(),
        inputs: inputs.iter().zip(&encoded.files).map(input_record).collect(),
        ledger: settle(inputs, encoded.entries.clone(), &gathered)?,
        totals: gathered.totals,
    };
    let written = writer.finish(metadata.clone())?;
    metadata.content_hash = written.content_hash;
    monitor.publishing()?;
    workspace.publish(OUTPUT, out, config.force)?;
    Ok(Made { file_bytes: written.bytes, metadata, encoded })
}

/// Plans the rows and writes them.
fn place(encoding: &Encoding, spool: &Spool, path: &Path) -> Result<(FileWriter, Gathered)> {
    let Encoding { inputs, tokenizer, config, means, monitor, .. } = *encoding;
    monitor.start(Stage::Plan, 0);
    let paths = inputs.iter().map(|input| input.path.as_str());
    let mut order = DocumentOrder::new(config.order, config.seed, paths);
    let mut lengths = Vec::new();
    spool.each_fragment(|fragment| {
        lengths.push(fragment.length);
        order.push(fragment.input, fragment.item);
        Ok(())
    })?;
    let order = order.finish();
    let rows = pack(config.packing, &order, |i| lengths[i as usize], config.seq_len);
    let places = Spool::places(&lengths);
    drop((order, lengths));
    let writer = FileWriter::create(&means.disk, path, rows.len(), config.seq_len, rows.slices.len())?;
    let gathered =
        gather::gather(spool, &places, &rows, &tokenizer.info, config, inputs.len(), &writer, monitor)?;
    Ok((writer, gathered))
}

/// Closes the account: what the rows hold, counted there, has to be what encoding handed over.
fn settle(inputs: &[Input], mut entries: Vec<Entry>, gathered: &Gathered) -> Result<Ledger> {
    for (entry, placed) in entries.iter_mut().zip(&gathered.by_input) {
        if entry.tokens_kept != placed.tokens {
            return Err(Error::Internal(format!("{placed:?} were placed of {entry:?}")));
        }
        entry.loss_tokens = placed.loss_tokens;
    }
    let named = inputs.iter().zip(&entries);
    let ledger = Ledger::collect(
        named.map(|(input, entry)| (input.name.source.as_str(), input.name.language.as_str(), entry)),
    );
    ledger.check()?;
    Ok(ledger)
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
