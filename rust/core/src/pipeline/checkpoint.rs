//! What a build that was stopped goes on from: what it was begun with, and how far it has come.
//!
//! A checkpoint is one small file in the workspace, replaced in one step every few seconds, after the part of the
//! spool and the rows that it speaks of are on the disk. It is good only as long as the settings and the files of the corpus are
//! what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Receiver;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::collect::Encoded;
use super::config::BuildConfig;
use super::encode::Encoding;
use super::exclude::Exclude;
use super::monitor::Monitor;
use super::order_file;
use crate::discover::Input;
use crate::disk::{Disk, DiskFile, folder_of};
use crate::error::{Error, Result};
use crate::read::{Position, begins_as_before};
use crate::tokenizer::TokenizerInfo;

/// Its name in the workspace, and that of the next one until it is whole.
pub(super) const CHECKPOINT: &str = "checkpoint";
const NEXT: &str = "checkpoint.new";

/// What a build was begun with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Basis {
    settings: BTreeMap<String, Value>,
    inputs: Vec<InputBasis>,
}

/// A file of the corpus as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct InputBasis {
    path: String,
    stamp: Stamp,
}

/// What the system says about the file on disk: where all of it is the same, the content is taken to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    basis: Basis,
    encoded: Encoded,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self> {
        let found = std::fs::metadata(path).map_err(Error::io(path))?;
        Ok(Self {
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Basis {
    pub(super) fn new(
        inputs: &[Input],
        config: &BuildConfig,
        tokenizer: &TokenizerInfo,
        exclude: &Exclude,
    ) -> Result<Self> {
        let settings = json!({
            "version of apollo-pack": env!("CARGO_PKG_VERSION"),
            "tokenizer": tokenizer,
            "template": config.template,
            "seq_len": config.seq_len,
            "packing": config.packing,
            "order": config.order,
            "seed": config.seed,
            "overflow": config.overflow.as_str(),
            "special_tokens": config.special_tokens.as_str(),
            "on_error": config.on_error.as_str(),
            "max_item_bytes": config.max_item_bytes,
            "dedup": config.dedup.map_or("off", |dedup| if dedup.near.is_some() { "near" } else { "exact" }),
            "near_threshold": config.dedup.and_then(|dedup| dedup.near),
            "duplicates": config.dedup.map(|dedup| dedup.found),
            "decontaminate": exclude.decontamination(),
            "recipe": config.recipe.given(),
            "order_file": config.order_file.as_deref().map(order_file::hash).transpose()?,
        });
        let Value::Object(settings) = settings else { return Err(Error::Internal("no settings".into())) };
        let input =
            |input: &Input| Ok(InputBasis { path: input.path.clone(), stamp: Stamp::of(input.stored_in())? });
        let inputs = inputs.iter().map(input).collect::<Result<_>>()?;
        Ok(Self { settings: settings.into_iter().collect(), inputs })
    }

    /// What has changed since `before`, in words; of inputs the names only.
    fn difference(&self, before: &Self) -> Option<String> {
        let setting = self.settings.iter().find(|(name, value)| before.settings.get(*name) != Some(*value));
        if let Some((name, value)) = setting {
            let was = before.settings.get(name).unwrap_or(&Value::Null);
            let words = [was, value].map(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(_) => Some(value.to_string()),
                _ => None,
            });
            return Some(match words {
                [Some(was), Some(now)] => format!("it was begun with {name} {was}, not {now}"),
                _ => format!("it was begun with other settings for {}", name.replace('_', " ")),
            });
        }
        let [now, then] = [self, before].map(|basis| basis.inputs.iter().map(|input| input.path.as_str()));
        let [now, then] = [now, then].map(BTreeSet::from_iter);
        if let Some(path) = now.difference(&then).next() {
            return Some(format!("{path} was not in the corpus then"));
        }
        then.difference(&now).next().map(|path| format!("{path} is not in the corpus any more"))
    }
}

/// Looks for a checkpoint in `folder` that this build can go on from.
///
/// # Errors
/// When there is one that it cannot go on from, unless `force`: then it begins anew.
pub(super) fn load(folder: &Path, out: &Path, basis: &Basis, encoding: &Encoding) -> Result<Option<Encoded>> {
    let Encoding { inputs, config, means, monitor, .. } = *encoding;
    let Some(content) = means.disk.read(&folder.join(CHECKPOINT))? else { return Ok(None) };
    let Some(Checkpoint { basis: before, encoded }) = parse(&content) else { return Ok(None) };
    let mut problem = basis.difference(&before);
    if problem.is_none() {
        problem = changed_input(basis, &before, inputs, &encoded, monitor)?
            .map(|path| format!("{path} has changed since then"));
    }
    match problem {
        None => Ok(Some(encoded)),
        Some(_) if config.force => Ok(None),
        Some(problem) => Err(Error::Unfinished { out: out.into(), problem }),
    }
}

/// Names an input of which something has been encoded that is not in it any more. Where the system says that the
/// file is another or has been written to, its content is read again.
fn changed_input(
    basis: &Basis,
    before: &Basis,
    inputs: &[Input],
    encoded: &Encoded,
    monitor: &Monitor,
) -> Result<Option<String>> {
    for (index, ((input, now), then)) in inputs.iter().zip(&basis.inputs).zip(&before.inputs).enumerate() {
        monitor.check()?;
        if now.stamp == then.stamp {
            continue;
        }
        let file = &encoded.files[index];
        let same = match index.cmp(&encoded.ended) {
            std::cmp::Ordering::Less => {
                let end = Position { items: file.items, bytes: file.bytes, hash: file.hash };
                begins_as_before(input, &end, true)?
            }
            std::cmp::Ordering::Equal => begins_as_before(input, &encoded.position, false)?,
            std::cmp::Ordering::Greater => true,
        };
        if !same {
            return Ok(Some(input.path.clone()));
        }
    }
    Ok(None)
}

/// How far a build has come.
pub(super) struct State {
    pub(super) encoded: Encoded,
    /// The files beside the spool in which there is something new.
    pub(super) files: Vec<PathBuf>,
}

/// Puts checkpoints on disk.
pub(super) struct Checkpointer<'a> {
    pub(super) disk: &'a Disk,
    pub(super) folder: PathBuf,
    pub(super) basis: &'a Basis,
    /// The files of the spool.
    pub(super) files: [Arc<DiskFile>; 2],
}

impl Checkpointer<'_> {
    /// Saves what arrives until there is no more.
    pub(super) fn run(&self, states: &Receiver<State>, monitor: &Monitor) -> Result<()> {
        states.iter().try_for_each(|state| {
            self.save(state)?;
            monitor.can_be_continued();
            Ok(())
        })
    }

    pub(super) fn save(&self, state: State) -> Result<()> {
        self.files.iter().try_for_each(|file| file.sync())?;
        state.files.iter().try_for_each(|path| self.disk.open(path)?.sync())?;
        if let Some(path) = state.files.first() {
            self.disk.sync_names(folder_of(path));
        }
        let checkpoint = Checkpoint { basis: self.basis.clone(), encoded: state.encoded };
        let mut content = serde_json::to_vec(&checkpoint).map_err(|e| Error::Internal(e.to_string()))?;
        content.extend_from_slice(format!("\n{:016x}\n", xxh3_64(&content)).as_bytes());
        let next = self.disk.create(&self.folder.join(NEXT))?;
        next.write_at(&content, 0)?;
        next.sync()?;
        self.disk.rename(next.path(), &self.folder.join(CHECKPOINT), true)?;
        self.disk.sync_names(&self.folder);
        Ok(())
    }
}

/// `None` if it is damaged, or of a version that was other.
fn parse(content: &[u8]) -> Option<Checkpoint> {
    let (json, hash) = content.split_at_checked(content.len().checked_sub(18)?)?;
    let intact = hash == format!("\n{:016x}\n", xxh3_64(json)).as_bytes();
    intact.then(|| serde_json::from_slice(json).ok()).flatten()
}
