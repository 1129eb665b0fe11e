//! The rows of one build, or of several as one sequence.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::file::{Access, PackedFile, PackedSet, Spans};

/// Packed files, or sets of shards, with rows of one kind, one after the other.
#[derive(Debug)]
pub struct RowSet {
    sets: Vec<PackedSet>,
    spans: Spans,
    seq_len: usize,
}

impl RowSet {
    /// Opens files and sets whose rows have one length and one tokenizer.
    ///
    /// # Errors
    /// When there is none, one cannot be opened, or they are not of one kind.
    pub fn open(paths: &[PathBuf], access: Access) -> Result<Self> {
        let sets = paths.iter().map(|path| PackedSet::open(path, access)).collect::<Result<Vec<_>>>()?;
        let Some(first) = sets.first() else {
            return Err(Error::Config("name at least one packed file".into()));
        };
        let seq_len = first.seq_len();
        for set in &sets {
            if set.seq_len() != seq_len || set.metadata().tokenizer != first.metadata().tokenizer {
                return Err(Error::Config(format!(
                    "{} and {} are not of one kind: seq_len and tokenizer have to be the same",
                    first.path().display(),
                    set.path().display()
                )));
            }
        }
        let spans = Spans::of(sets.iter().map(PackedSet::rows));
        Ok(Self { sets, spans, seq_len })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.spans.rows()
    }

    /// Tokens in a row.
    #[must_use]
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// What was opened, by path.
    #[must_use]
    pub fn sets(&self) -> &[PackedSet] {
        &self.sets
    }

    /// The file in which a row is, and its index there.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn locate(&self, row: usize) -> Result<(&PackedFile, usize)> {
        let (set, row_there) = self
            .spans
            .find(row)
            .ok_or_else(|| Error::Config(format!("there is no row {row}: there are {}", self.rows())))?;
        self.sets[set].locate(row_there)
    }
}
