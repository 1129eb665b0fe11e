//! The whole road, from a corpus to a published file.

mod check;
mod config;
mod document;
mod encode;
mod gather;
mod monitor;
mod survey;
mod worker;
mod workspace;

use std::path::Path;

use serde::Serialize;

pub use config::{BuildConfig, OnError, Overflow, SpecialMode};
pub use monitor::{Monitor, Progress, Stage};
pub use survey::{BuildPlan, FilePlan, Note, TokenizerPlan};

use crate::discover::{Input, discover};
use crate::error::{Error, InputError, Result};
use crate::file::{FORMAT_VERSION, FileWriter, InputRecord, Metadata};
use crate::ledger::{Entry, Ledger};
use crate::plan::{document_order, pack};
use crate::render::Template;
use crate::spool::Spool;
use crate::tokenizer::{Tokenizer, TokenizerInfo, TokenizerSource};
use encode::FileRecord;
use gather::Gathered;
use survey::Depth;
use workspace::Workspace;

/// The output, until it is whole.
const OUTPUT: &str = "output";

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

/// Builds `out` from `corpus`.
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
    config.validate()?;
    let template = Template::load(&config.template)?;
    workspace::check_output(out, config.force)?;
    let corpus = discover(corpus_path)?;
    workspace::keep_apart(out, &corpus.inputs)?;
    let loaded = Tokenizer::load(tokenizer, &config.token_options())?;
    let inputs = corpus.inputs.clone();
    let plan = survey::survey(corpus, &loaded, &template, config, Depth::Beginning, monitor)?;
    monitor.announce(&plan);
    if let (OnError::Stop, Some(problem)) = (config.on_error, plan.first_problem()) {
        return Err(Error::Input(problem));
    }

    let workspace = Workspace::open(out)?;
    let kinds: Vec<_> = plan.inputs.iter().map(|input| input.kind).collect();
    let spool_path = workspace.file("spool");
    let encoded = encode::encode_corpus(&inputs, &kinds, &loaded, &template, config, &spool_path, monitor)?;
    if encoded.spool.fragments.is_empty() {
        let mut problem = "nothing to write: no item has a token that counts for the loss".to_owned();
        if let Some(first) = encoded.bad_item_list.first() {
            problem = format!("{problem}; {} could not be read, the first: {first}", encoded.bad_items);
        }
        return Err(Error::Corpus { path: corpus_path.into(), problem });
    }
    let output = workspace.file(OUTPUT);
    let (writer, gathered) = place(&encoded.spool, &inputs, &loaded.info, config, &output, monitor)?;

    monitor.start(Stage::Publish, 0);
    let mut metadata = Metadata {
        format_version: FORMAT_VERSION,
        apollo_pack: env!("CARGO_PKG_VERSION").into(),
        content_hash: String::new(), // the writer knows it
        seq_len: config.seq_len,
        tokenizer: loaded.info.clone(),
        special_tokens: config.special_tokens.as_str().into(),
        template,
        packing: config.packing,
        overflow: config.overflow.as_str().into(),
        order: config.order,
        seed: config.seed,
        inputs: inputs.iter().zip(&encoded.files).map(input_record).collect(),
        ledger: settle(&inputs, encoded.entries, &gathered)?,
        totals: gathered.totals,
    };
    let written = writer.finish(metadata.clone())?;
    metadata.content_hash = written.content_hash;
    monitor.check()?;
    workspace.publish(OUTPUT, out, config.force)?;
    Ok(BuildReport {
        file_bytes: written.bytes,
        input_bytes: encoded.files.iter().map(|file| file.bytes).sum(),
        metadata,
        bad_items: encoded.bad_items,
        bad_item_list: encoded.bad_item_list,
        plan,
    })
}

/// Plans the rows and writes them.
fn place(
    spool: &Spool,
    inputs: &[Input],
    tokenizer: &TokenizerInfo,
    config: &BuildConfig,
    path: &Path,
    monitor: &Monitor,
) -> Result<(FileWriter, Gathered)> {
    monitor.start(Stage::Plan, 0);
    let fragments = &spool.fragments;

    let paths: Vec<&str> = inputs.iter().map(|input| input.path.as_str()).collect();
    let order = document_order(config.order, config.seed, fragments, &paths);
    let rows = pack(config.packing, &order, |i| fragments[i as usize].length, config.seq_len);
    drop(order);
    let writer = FileWriter::create(path, rows.len(), config.seq_len, rows.slices.len())?;
    let gathered = gather::gather(spool, &rows, tokenizer, config, inputs.len(), &writer, monitor)?;
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
