//! The rows of one packed file, or of several as one sequence.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::file::{Access, PackedFile};

/// Packed files with rows of one kind, one after the other.
#[derive(Debug)]
pub struct RowSet {
    files: Vec<PackedFile>,
    /// For each file, the number of rows before it.
    starts: Vec<usize>,
    rows: usize,
    seq_len: usize,
}

impl RowSet {
    /// Opens files whose rows have one length and one tokenizer.
    ///
    /// # Errors
    /// When there is none, one cannot be opened, or they are not of one kind.
    pub fn open(paths: &[PathBuf], access: Access) -> Result<Self> {
        let files = paths.iter().map(|path| PackedFile::open(path, access)).collect::<Result<Vec<_>>>()?;
        let Some(first) = files.first() else {
            return Err(Error::Config("name at least one packed file".into()));
        };
        let seq_len = first.seq_len();
        for file in &files {
            if file.seq_len() != seq_len || file.metadata().tokenizer != first.metadata().tokenizer {
                return Err(Error::Config(format!(
                    "{} and {} are not of one kind: seq_len and tokenizer have to be the same",
                    first.path().display(),
                    file.path().display()
                )));
            }
        }
        let mut starts = Vec::with_capacity(files.len());
        let mut rows = 0;
        for file in &files {
            starts.push(rows);
            rows += file.rows();
        }
        Ok(Self { files, starts, rows, seq_len })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Tokens in a row.
    #[must_use]
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[PackedFile] {
        &self.files
    }

    /// The file in which a row is, and its index there.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn locate(&self, row: usize) -> Result<(&PackedFile, usize)> {
        let after = self.starts.partition_point(|start| *start <= row);
        match after.checked_sub(1) {
            Some(file) if row < self.rows => Ok((&self.files[file], row - self.starts[file])),
            _ => Err(Error::Config(format!("there is no row {row}: there are {}", self.rows))),
        }
    }

    /// Tells the system of all rows that are about to be read.
    pub(super) fn will_need(&self, rows: &[usize]) {
        for (file, start) in self.files.iter().zip(&self.starts) {
            if file.access() == Access::Read {
                let own = rows.iter().filter_map(|row| row.checked_sub(*start));
                file.will_need(&own.filter(|row| *row < file.rows()).collect::<Vec<_>>());
            }
        }
    }
}
