//! **spool**: the encoded documents on disk, in the order of the corpus.
//!
//! It lets planning see all lengths before a single row is written, without holding tokens in memory.
//! A token is stored with its mask: the highest bit of its 32 says that it counts for the loss.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Set in a spooled token that counts for the loss; no vocabulary has so many ids.
pub const LOSS: u32 = 1 << 31;

/// A piece of a document that goes into the rows as a whole, unless packing cuts it at a row's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Index of the item in its file.
    pub item: u64,
    /// Where its tokens begin in the spool.
    pub at: u64,
    /// Number of tokens.
    pub length: u32,
    /// Token of its document with which it begins.
    pub start: u32,
    /// Index of its input.
    pub input: u32,
    /// Whether the document goes on after it (in another fragment, or cut off).
    pub cut: bool,
}

/// A spool that is being written.
pub struct SpoolWriter {
    path: PathBuf,
    file: BufWriter<File>,
    tokens: u64,
}

/// A finished spool.
pub struct Spool {
    path: PathBuf,
    file: File,
    /// All fragments, in the order of the corpus.
    pub fragments: Vec<Fragment>,
}

impl SpoolWriter {
    /// Starts a spool at `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let options = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = BufWriter::with_capacity(1 << 20, options.map_err(Error::io(path))?);
        Ok(Self { path: path.into(), file, tokens: 0 })
    }

    /// How many tokens stand in it.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Appends tokens.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub fn append(&mut self, tokens: &[u32]) -> Result<()> {
        self.tokens += tokens.len() as u64;
        self.file.write_all(bytemuck::cast_slice(tokens)).map_err(Error::io(&self.path))
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// As [`SpoolWriter::append`].
    pub fn finish(self, fragments: Vec<Fragment>) -> Result<Spool> {
        let Self { path, file, .. } = self;
        let file = file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        Ok(Spool { path, file, fragments })
    }
}

impl Spool {
    /// Reads tokens from the `start`-th of a fragment on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, fragment: &Fragment, start: u32, tokens: &mut [u32]) -> Result<()> {
        let at = (fragment.at + u64::from(start)) * 4;
        self.file.read_exact_at(bytemuck::cast_slice_mut(tokens), at).map_err(Error::io(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_comes_back() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut writer = SpoolWriter::create(&folder.path().join("spool"))?;
        writer.append(&[1, 2 | LOSS, 3])?;
        let at = writer.tokens();
        writer.append(&[4, 5, 6 | LOSS])?;
        let fragment = Fragment { item: 0, at, length: 3, start: 0, input: 0, cut: false };
        let spool = writer.finish(vec![fragment])?;
        let mut tokens = [0; 2];
        spool.read(&fragment, 1, &mut tokens)?;
        assert_eq!(tokens, [5, 6 | LOSS]);
        Ok(())
    }
}
