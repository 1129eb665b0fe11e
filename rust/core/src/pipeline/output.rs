//! The files of a build, in its workspace until they are whole: a packed file, or shards and their index.
//!
//! A set of shards is published in four steps, so that whoever opens its index at any time finds a whole set or none:
//! the index of the set that it replaces is taken away, the shards get their names, then the index, which makes
//! them a set, gets its own, and last go the shards of the old set that have not been replaced.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::config::BuildConfig;
use super::gather::{Gathered, Gathering};
use super::workspace::{REPLACED, Workspace, keep_apart};
use crate::discover::Input;
use crate::disk::{Disk, folder_of};
use crate::error::{Error, Result};
use crate::file::{
    Access, FileSize, FileWriter, Index, InputRecord, MAX_SHARDS, Metadata, PackedFile, ShardFile, Totals,
    content_hash, index_name, is_index, shard_name,
};

/// Name of the only file in the workspace.
const ONLY: &str = "output";

/// The files of a build.
pub(super) struct Output<'a> {
    disk: &'a Disk,
    workspace: &'a Workspace,
    force: bool,
    /// What is opened to read it: the file, or the index.
    published: PathBuf,
    parts: Vec<Part>,
    /// Their name, if the parts are shards.
    set: Option<String>,
}

/// The file, or a shard.
struct Part {
    /// Its name in the workspace, and if it is a shard its own.
    name: String,
    rows: Range<usize>,
    writer: FileWriter,
    totals: Totals,
    root_hash: String,
}

/// The name of the set, if there are to be shards.
fn set_name<'a>(out: &'a Path, config: &BuildConfig) -> Result<Option<&'a str>> {
    if config.shard_size.is_none() {
        return Ok(None);
    }
    let name = out.file_name().and_then(|name| name.to_str());
    name.map(Some).ok_or_else(|| {
        Error::Config(format!("{}: the name of a set of shards has to be UTF-8", out.display()))
    })
}

/// What is opened to read the output: `out`, or the index beside it.
pub(super) fn published(out: &Path, config: &BuildConfig) -> Result<PathBuf> {
    if is_index(out) {
        let out = out.display();
        return Err(Error::Config(format!(
            "{out}: so an index of shards is named; name another file to write"
        )));
    }
    Ok(set_name(out, config)?.map_or_else(|| out.into(), |name| out.with_file_name(index_name(name))))
}

impl<'a> Output<'a> {
    /// Makes the files for the rows of a plan, and reserves their space.
    pub(super) fn create(
        disk: &'a Disk,
        workspace: &'a Workspace,
        out: &Path,
        inputs: &[Input],
        gathering: &Gathering,
    ) -> Result<Self> {
        let Gathering { rows, config, .. } = *gathering;
        let set = set_name(out, config)?.map(str::to_owned);
        let published = published(out, config)?;
        let ranges = cut(rows.len(), config)?;
        let count = ranges.len();
        let part = |(number, range): (usize, Range<usize>)| {
            let name = set.as_ref().map_or_else(|| ONLY.into(), |set| shard_name(set, number, count));
            if set.is_some() {
                keep_apart(&published.with_file_name(&name), inputs)?;
            }
            let segments = rows.first_slice(range.end) - rows.first_slice(range.start);
            let path = workspace.output(&name);
            let labels = gathering.labels(range.clone())?;
            let size = FileSize { rows: range.len(), seq_len: config.seq_len, segments, labels };
            let writer = FileWriter::create(disk, path, size)?;
            let (totals, root_hash) = (Totals::default(), String::new());
            Ok(Part { name, rows: range, writer, totals, root_hash })
        };
        let parts = ranges.into_iter().enumerate().map(part).collect::<Result<_>>()?;
        Ok(Self { disk, workspace, force: config.force, published, parts, set })
    }

    /// Writes all rows.
    pub(super) fn write(&mut self, gathering: &Gathering) -> Result<Gathered> {
        let mut all = Gathered::nothing(gathering.inputs);
        for part in &mut self.parts {
            let gathered = gathering.write(&part.rows, &part.writer.open()?)?;
            part.totals = gathered.totals;
            all.add(&gathered);
        }
        Ok(all)
    }

    /// The hash of all rows, once they are written.
    pub(super) fn content_hash(&self, seq_len: u32, inputs: &[InputRecord]) -> String {
        content_hash(seq_len.into(), inputs, self.parts.iter().flat_map(|part| part.writer.row_hashes()))
    }

    /// Completes all files and flushes them to the disk; gives the length of the rows' files.
    pub(super) fn finish(&mut self, metadata: &Metadata) -> Result<u64> {
        let Some(set) = &self.set else {
            return self.parts.iter_mut().map(|part| Ok(part.writer.finish(metadata)?.bytes)).sum();
        };
        let mut index = Index { metadata: metadata.clone(), shards: Vec::new(), hash: String::new() };
        let count = self.parts.len();
        for (number, part) in self.parts.iter_mut().enumerate() {
            let written = part.writer.finish(&Metadata {
                content_hash: part.writer.content_hash(&metadata.inputs),
                totals: part.totals,
                shard: Some(metadata.as_shard(number, count)),
                ..metadata.clone()
            })?;
            part.root_hash.clone_from(&written.root_hash);
            index.shards.push(ShardFile {
                file: part.name.clone(),
                rows: part.totals.rows,
                bytes: written.bytes,
                root_hash: written.root_hash,
            });
        }
        let file = self.disk.create(&self.workspace.output(index_name(set)))?;
        file.write_at(&index.render()?, 0)?;
        file.sync()?;
        Ok(index.shards.iter().map(|shard| shard.bytes).sum())
    }

    /// How many shards there are, if there are to be any.
    pub(super) fn shards(&self) -> Option<usize> {
        self.set.as_ref().map(|_| self.parts.len())
    }

    /// Gives the files their names.
    pub(super) fn publish(&self) -> Result<()> {
        let Some(set) = &self.set else {
            return self.workspace.publish(ONLY, &self.published, self.force);
        };
        let replaced = self.workspace.output(REPLACED);
        if self.published.exists() {
            if !self.force {
                return Err(Error::OutputExists(self.published.clone()));
            }
            self.remove_replaced(set); // of a build that was killed before it could
            self.disk.rename(&self.published, &replaced, true)?;
            self.disk.sync_names(folder_of(&self.published));
        }
        for part in &self.parts {
            let to = self.published.with_file_name(&part.name);
            // A build that was killed here may have moved some already.
            let own =
                || PackedFile::open(&to, Access::Read).is_ok_and(|file| file.root_hash() == part.root_hash);
            self.disk.rename(&self.workspace.output(&part.name), &to, self.force || own())?;
        }
        self.disk.sync_names(folder_of(&self.published));
        self.workspace.publish(index_name(set), &self.published, self.force)?;
        self.remove_replaced(set);
        Ok(())
    }

    /// Removes the shards of the set that was replaced, but for those that have the names of shards of the set
    /// that is there now.
    fn remove_replaced(&self, set: &str) {
        let replaced = self.workspace.output(REPLACED);
        if let (Ok(old), Ok(new)) = (Index::read(&replaced), Index::read(&self.published)) {
            let (old, new) = (old.shards.len(), new.shards.len());
            for number in (0..old).filter(|_| old != new) {
                self.disk.remove(&self.published.with_file_name(shard_name(set, number, old)));
            }
        }
        if replaced.exists() {
            self.disk.remove(&replaced);
        }
    }
}

/// Cuts rows into shards of as many as `shard_size` bytes of tokens and masks hold.
fn cut(rows: usize, config: &BuildConfig) -> Result<Vec<Range<usize>>> {
    let Some(shard_size) = config.shard_size else { return Ok(std::iter::once(0..rows).collect()) };
    let row_bytes = u64::from(config.seq_len) * 4 + u64::from(config.seq_len / 8);
    let each = usize::try_from(shard_size / row_bytes).unwrap_or(usize::MAX).max(1);
    let count = rows.div_ceil(each);
    if count > MAX_SHARDS {
        return Err(Error::Config(format!(
            "shard_size {shard_size} makes {count} shards, more than {MAX_SHARDS}; give a larger one (--shard-size)"
        )));
    }
    Ok((0..count).map(|number| number * each..rows.min((number + 1) * each)).collect())
}
