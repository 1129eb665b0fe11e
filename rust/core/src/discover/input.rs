//! One file of the corpus, wherever it is stored.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;

use super::name::FileName;
use crate::error::{Error, Result};

/// How the items stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One JSON array of all items.
    Array,
    /// One item a line.
    Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone)]
pub(super) enum Location {
    File(PathBuf),
    ZipMember { archive: PathBuf, index: usize },
}

/// One file of the corpus.
#[derive(Debug, Clone)]
pub struct Input {
    /// Path within the corpus, parts joined by `/`.
    pub path: String,
    /// What the name says.
    pub name: FileName,
    /// Array or lines.
    pub layout: Layout,
    /// Size as [`Input::read`] counts it: as stored (`.gz`, `.zst`), or unpacked (zip members).
    pub bytes: u64,
    pub(super) compression: Compression,
    pub(super) location: Location,
}

impl Input {
    /// Opens the file and hands its uncompressed bytes to `consume`.
    ///
    /// `counter` grows with the bytes taken, up to [`Input::bytes`]: the measure of progress.
    ///
    /// # Errors
    /// When the file cannot be opened, and whatever `consume` returns.
    pub fn read<T>(
        &self,
        counter: &AtomicU64,
        consume: impl FnOnce(&mut dyn Read) -> Result<T>,
    ) -> Result<T> {
        let path = self.stored_in();
        match &self.location {
            Location::File(path) => {
                let file = File::open(path).map_err(Error::io(path))?;
                self.decompress(Counted { inner: file, counter }, consume)
            }
            Location::ZipMember { archive, index } => {
                // The archive's directory is read again for each member: it is small, and threads
                // stay independent of each other.
                let file = BufReader::with_capacity(1 << 16, File::open(archive).map_err(Error::io(path))?);
                let broken = |error: zip::result::ZipError| Error::Corpus {
                    path: archive.clone(),
                    problem: format!("{}: {error}", self.path),
                };
                let mut archive = ZipArchive::new(file).map_err(broken)?;
                let member = archive.by_index(*index).map_err(broken)?;
                self.decompress(Counted { inner: member, counter }, consume)
            }
        }
    }

    /// How many bytes it comes to unpacked, at the least likely.
    #[must_use]
    pub fn least_bytes(&self) -> u64 {
        if self.compression == Compression::None { self.bytes } else { 2 * self.bytes }
    }

    /// The file on disk that holds this one.
    #[must_use]
    pub fn stored_in(&self) -> &Path {
        match &self.location {
            Location::File(path) | Location::ZipMember { archive: path, .. } => path,
        }
    }

    fn decompress<T>(
        &self,
        mut stored: impl Read,
        consume: impl FnOnce(&mut dyn Read) -> Result<T>,
    ) -> Result<T> {
        match self.compression {
            Compression::None => consume(&mut stored),
            Compression::Gzip => consume(&mut MultiGzDecoder::new(BufReader::with_capacity(1 << 16, stored))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::new(stored).map_err(Error::io(self.stored_in()))?;
                consume(&mut decoder)
            }
        }
    }
}

/// Counts what is read through it.
struct Counted<'a, R> {
    inner: R,
    counter: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.counter.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
