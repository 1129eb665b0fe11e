//! The files of a build, in its workspace until they are whole: a packed file, or shards and their index.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::checkpoint::Checkpointer;
use super::collect::Encoded;
use super::config::BuildConfig;
use super::encode::join;
use super::flush::flushing;
use super::gather::{FileRows, Gathered, Gathering};
use super::monitor::Stage;
use super::publish::has_shards;
use super::workspace::{Workspace, keep_apart};
use super::written::{Progress, Reporter, RowMark, Written};
use crate::discover::Input;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::file::{
    FileSize, FileWriter, Index, InputRecord, MAX_SHARDS, Metadata, ShardFile, Totals, content_hash,
    index_name, is_index, shard_name,
};

/// Name of the only file in the workspace.
pub(super) const ONLY: &str = "output";

/// The files of a build.
pub(super) struct Output<'a> {
    pub(super) disk: &'a Disk,
    pub(super) workspace: &'a Workspace,
    pub(super) force: bool,
    /// What is opened to read it: the file, or the index.
    pub(super) published: PathBuf,
    pub(super) parts: Vec<Part>,
    /// Their name, if the parts are shards.
    pub(super) set: Option<String>,
}

/// The file, or a shard.
pub(super) struct Part {
    /// Its name in the workspace, and if it is a shard its own.
    pub(super) name: String,
    rows: Range<usize>,
    writer: FileWriter,
    totals: Totals,
    pub(super) root_hash: String,
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

/// An output of this name that is there in the other form, one file where shards are to be written or shards where
/// one file is: what stands for it.
pub(super) fn other_form(out: &Path, config: &BuildConfig) -> Option<PathBuf> {
    let other = match config.shard_size {
        Some(_) => out.into(),
        None => out.with_file_name(index_name(out.file_name()?.to_str()?)),
    };
    other.is_file().then_some(other)
}

impl<'a> Output<'a> {
    /// The files for the rows of a plan; there are none yet.
    pub(super) fn plan(
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
            let labels = gathering.labels(range.clone());
            let size = FileSize { rows: range.len(), seq_len: config.seq_len, segments, labels };
            let writer = FileWriter::new(disk, workspace.output(&name), &size)?;
            let (totals, root_hash) = (Totals::default(), String::new());
            Ok(Part { name, rows: range, writer, totals, root_hash })
        };
        let parts = ranges.into_iter().enumerate().map(part).collect::<Result<_>>()?;
        Ok(Self { disk, workspace, force: config.force, published, parts, set })
    }

    /// Brings all rows into the files: those that are there stay, the others are made.
    pub(super) fn write(
        &mut self,
        gathering: &Gathering,
        encoded: &Encoded,
        checkpointer: &Checkpointer,
        every: Duration,
    ) -> Result<Gathered> {
        let shard_size = gathering.config.shard_size;
        let before = encoded.rows.as_ref().filter(|mark| mark.shard_size == shard_size);
        let taken_over = before.map_or(Ok(None), |mark| self.take_over(gathering, mark))?;
        let (written, mut gathered) = taken_over.unwrap_or_else(|| {
            gathering.monitor.start(Stage::Write, gathering.rows.len() as u64);
            (Written::nothing(shard_size), Gathered::nothing(gathering.inputs))
        });
        self.make_files(written.rows())?;
        let (checkpoints, states) = bounded(1);
        let progress = Mutex::new(Progress { written, told: Instant::now(), touched: Vec::new() });
        let reporter = Reporter { encoded, checkpoints, every, progress };
        std::thread::scope(|scope| {
            let saver = scope.spawn(move || checkpointer.run(&states, gathering.monitor));
            let result = self.write_rest(gathering, &mut gathered, &reporter);
            drop(reporter); // and with it the checkpoints end
            join(saver).and(result)
        })?;
        Ok(gathered)
    }

    /// Reads back the rows that a build before has written; `None` if they are not there as they were.
    fn take_over(&mut self, gathering: &Gathering, mark: &RowMark) -> Result<Option<(Written, Gathered)>> {
        let mut written = Written::nothing(mark.shard_size);
        let mut gathered = Gathered::nothing(gathering.inputs);
        // Some shards may have their names already, if there was no time for that of the index.
        let named = self.set.is_some() && !has_shards(&self.published, self.parts.len());
        for part in self.parts.iter_mut().take_while(|part| part.rows.start < mark.rows) {
            let wanted = part.rows.start..part.rows.end.min(mark.rows);
            if named && !part.writer.path().exists() {
                part.writer.set_path(self.published.with_file_name(&part.name));
            }
            let Some(file) = part.writer.reopen()? else { break };
            let rows = FileRows { start: part.rows.start, wanted: wanted.clone() };
            let found = match gathering.read_back(&rows, &file) {
                Err(Error::Format { .. }) => break,
                found => found?,
            };
            part.totals = found.totals;
            gathered.add(&found);
            written.add(wanted, |rows| part.hashes(rows));
        }
        let as_it_was = written.mark() == *mark;
        for part in &mut self.parts {
            let place = self.workspace.output(&part.name);
            if !as_it_was {
                part.totals = Totals::default();
            } else if part.writer.path() != place {
                self.disk.rename(part.writer.path(), &place, false)?;
            }
            part.writer.set_path(place);
        }
        Ok(as_it_was.then_some((written, gathered)))
    }

    /// Makes the files but those in which there are `kept` rows already.
    fn make_files(&self, kept: usize) -> Result<()> {
        let is_kept = |part: &&Part| part.rows.start < kept;
        self.remove_abandoned();
        let names: Vec<&str> = self.parts.iter().filter(is_kept).map(|part| part.name.as_str()).collect();
        self.workspace.clear_output(&names);
        let made = self.parts.iter().filter(|part| !is_kept(part)).try_for_each(|part| part.writer.create());
        if made.is_err() {
            self.workspace.clear_output(&names); // what has no room for all has some for others
        }
        made
    }

    /// Makes the rows that are missing.
    fn write_rest(
        &mut self,
        gathering: &Gathering,
        gathered: &mut Gathered,
        reporter: &Reporter,
    ) -> Result<()> {
        let kept = reporter.rows();
        for part in self.parts.iter_mut().filter(|part| part.rows.end > kept) {
            reporter.begin_file(part.writer.path().into());
            let rows = FileRows { start: part.rows.start, wanted: kept.max(part.rows.start)..part.rows.end };
            let file = part.writer.open()?;
            let found = flushing(
                || file.flush(),
                |flusher| {
                    gathering.write(&rows, &file, |block| {
                        flusher.wrote(file.token_bytes(block.len()));
                        reporter.add(block, |rows| part.hashes(rows))
                    })
                },
            )?;
            part.totals += found.totals;
            gathered.add(&found);
        }
        Ok(())
    }

    /// The hash of all rows, once they are written.
    pub(super) fn content_hash(&self, seq_len: u32, inputs: &[InputRecord]) -> String {
        content_hash(
            seq_len.into(),
            inputs,
            self.parts.iter().flat_map(|part| part.hashes(part.rows.clone())),
        )
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
}

impl Part {
    /// The hashes of some of its rows, by their numbers in the plan.
    fn hashes(&self, rows: Range<usize>) -> impl Iterator<Item = u64> {
        self.writer.row_hashes(rows.start - self.rows.start..rows.end - self.rows.start)
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
