//! What one build wrote: a packed file, or several, its shards, behind an index.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::index::{INDEX_SUFFIX, Index, is_index};
use super::metadata::Metadata;
use super::reader::PackedFile;
use super::storage::Access;
use crate::disk::folder_of;
use crate::error::{Error, Result};

/// The rows of one build, in its order.
#[derive(Debug)]
pub struct PackedSet {
    path: PathBuf,
    /// `None` where it is one file.
    index: Option<Index>,
    /// At least one.
    files: Vec<PackedFile>,
    spans: Spans,
}

/// Rows that are numbered on through several parts.
#[derive(Debug)]
pub(crate) struct Spans {
    /// For each part, the number of rows before it.
    starts: Vec<usize>,
    rows: usize,
}

impl Spans {
    pub(crate) fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let mut rows = 0;
        let mut starts = Vec::new();
        for length in lengths {
            starts.push(rows);
            rows += length;
        }
        Self { starts, rows }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The part in which a row is, and its number there.
    pub(crate) fn find(&self, row: usize) -> Option<(usize, usize)> {
        let part = self.starts.partition_point(|start| *start <= row).checked_sub(1)?;
        (row < self.rows).then(|| (part, row - self.starts[part]))
    }
}

impl PackedSet {
    /// Opens a packed file, or, where the path is that of an index (`….index.json`), the shards that it names.
    ///
    /// # Errors
    /// As [`PackedFile::open`]; and when a shard is missing or is not the one that the index means.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let (index, files) = if is_index(path) {
            let index = Index::read(path)?;
            let shards = 0..index.shards.len();
            let files =
                shards.map(|number| open_shard(path, &index, number, access)).collect::<Result<_>>()?;
            (Some(index), files)
        } else {
            let file = PackedFile::open(path, access).map_err(|error| point_to_index(path, error));
            (None, vec![file?])
        };
        let spans = Spans::of(files.iter().map(PackedFile::rows));
        Ok(Self { path: path.into(), index, files, spans })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.spans.rows()
    }

    /// Tokens in a row.
    #[must_use]
    pub fn seq_len(&self) -> usize {
        self.files[0].seq_len()
    }

    /// What it says about itself: the same whether it is one file or many.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.index.as_ref().map_or_else(|| self.files[0].metadata(), |index| &index.metadata)
    }

    /// The hash that covers every bit of it: of the file, or of the index, which holds those of the shards.
    #[must_use]
    pub fn root_hash(&self) -> String {
        self.index.as_ref().map_or_else(|| self.files[0].root_hash(), |index| index.hash.clone())
    }

    /// The index, where there is one.
    pub(super) fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Its files, in the order of their rows.
    #[must_use]
    pub fn files(&self) -> &[PackedFile] {
        &self.files
    }

    /// The file in which a row is, and its index there.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn locate(&self, row: usize) -> Result<(&PackedFile, usize)> {
        let (file, row_there) = self.spans.find(row).ok_or_else(|| {
            let (path, rows) = (self.path.display(), self.rows());
            Error::Config(format!("there is no row {row}: {path} has {rows}"))
        })?;
        Ok((&self.files[file], row_there))
    }

    /// Something about it is not as in what it is compared with.
    pub(crate) fn differs(&self, problem: &str) -> Error {
        Error::Format { path: self.path.clone(), problem: problem.into() }
    }
}

/// Whoever names a set as it was built, without the ending of its index, is told.
fn point_to_index(path: &Path, error: Error) -> Error {
    let mut index = path.as_os_str().to_owned();
    index.push(INDEX_SUFFIX);
    match error {
        Error::Io { source, .. } if source.kind() == ErrorKind::NotFound && Path::new(&index).exists() => {
            let problem = format!("there is no such file, but its shards: open {}", index.display());
            Error::Format { path: path.into(), problem }
        }
        error => error,
    }
}

/// Opens the file that an index means by a shard, or says what stands in its place.
fn open_shard(path: &Path, index: &Index, number: usize, access: Access) -> Result<PackedFile> {
    let shard = &index.shards[number];
    let fail = |problem: &str| {
        let problem = format!("its shard {} {problem}", shard.file);
        Err(Error::Format { path: path.into(), problem })
    };
    let mut file = match PackedFile::open(&folder_of(path).join(&shard.file), access) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return fail("is missing");
        }
        file => file?,
    };
    let meant = index.metadata.as_shard(number, index.shards.len());
    match &file.metadata().shard {
        Some(found) if *found == meant => {}
        Some(found) if found.content_hash == meant.content_hash && found.count == meant.count => {
            return fail(&format!("is number {} of the set, not {number}: they are mixed up", found.number));
        }
        Some(_) => return fail("is of another set"),
        None => return fail("is no shard but a file of its own"),
    }
    let found = (file.rows() as u64, file.bytes(), file.root_hash());
    if found != (shard.rows, shard.bytes, shard.root_hash.clone())
        || file.seq_len() != index.metadata.seq_len as usize
    {
        return fail("is not the one that was built: its root hash is another");
    }
    file.share_inputs(&index.metadata.inputs)?;
    Ok(file)
}
