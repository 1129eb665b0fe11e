//! **spool**: the encoded documents on disk, in the order of the corpus.
//!
//! It lets planning see all lengths before a single row is written, with neither tokens nor places of documents
//! in memory, and is what a build that was killed goes on from: a [`SpoolMark`] says how much of it is good.
//! A token is stored with its mask: the highest bit of its 32 says that it counts for the loss.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};

/// Set in a spooled token that counts for the loss; no vocabulary has so many ids.
pub const LOSS: u32 = 1 << 31;

/// Names of the two files.
pub(crate) const TOKENS: &str = "tokens";
pub(crate) const FRAGMENTS: &str = "fragments";

/// Bytes written at a time, about, and read at a time.
const BUFFER: usize = 1 << 20;

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

/// A fragment as it stands on disk.
type Record = [u64; 4];

const RECORD_BYTES: u64 = size_of::<Record>() as u64;

impl Fragment {
    fn to_record(self) -> Record {
        let pair = |halves: [u32; 2]| bytemuck::cast::<[u32; 2], u64>(halves); // little-endian: low, high
        [self.item, self.at, pair([self.length, self.start]), pair([self.input, self.cut.into()])]
    }

    fn from_record([item, at, lengths, input]: Record) -> Self {
        let halves = |pair: u64| bytemuck::cast::<u64, [u32; 2]>(pair); // little-endian: low, high
        let ([length, start], [input, cut]) = (halves(lengths), halves(input));
        Self { item, at, length, start, input, cut: cut != 0 }
    }
}

/// How much of a spool there is, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolMark {
    tokens: Extent,
    fragments: Extent,
}

impl SpoolMark {
    /// How much of the disk it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tokens.bytes + self.fragments.bytes
    }
}

/// The beginning of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Extent {
    bytes: u64,
    /// XXH3-128 of them.
    hash: u128,
}

/// A spool that is being written.
pub struct SpoolWriter {
    tokens: Stream,
    fragments: Stream,
}

/// A finished spool.
pub struct Spool {
    tokens: Arc<DiskFile>,
    fragments: Arc<DiskFile>,
    count: u64,
}

/// A file that is only ever appended to.
struct Stream {
    file: Arc<DiskFile>,
    buffer: Vec<u8>,
    /// Bytes that are in the file already.
    written: u64,
    hasher: Xxh3,
}

impl SpoolWriter {
    /// Starts a spool in `folder`.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub fn create(disk: &Disk, folder: &Path) -> Result<Self> {
        let stream = |name| disk.create(&folder.join(name)).map(Stream::new);
        Ok(Self { tokens: stream(TOKENS)?, fragments: stream(FRAGMENTS)? })
    }

    /// Goes on with a spool in `folder` from the mark; `None` if what it marks is not there as it was.
    ///
    /// # Errors
    /// When the files cannot be read, and what `goes_on` returns, which is asked now and then.
    pub fn resume(
        disk: &Disk,
        folder: &Path,
        mark: &SpoolMark,
        goes_on: impl Fn() -> Result<()>,
    ) -> Result<Option<Self>> {
        let stream = |name, extent| Stream::resume(disk, &folder.join(name), extent, &goes_on);
        let (tokens, fragments) = (stream(TOKENS, &mark.tokens)?, stream(FRAGMENTS, &mark.fragments)?);
        Ok(tokens.zip(fragments).map(|(tokens, fragments)| Self { tokens, fragments }))
    }

    /// How many tokens stand in it.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens.bytes() / 4
    }

    /// How many fragments stand in it.
    #[must_use]
    pub fn fragments(&self) -> u64 {
        self.fragments.bytes() / RECORD_BYTES
    }

    /// Appends tokens and the fragments they make.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub fn append(&mut self, tokens: &[u32], fragments: &[Fragment]) -> Result<()> {
        self.tokens.append(bytemuck::cast_slice(tokens))?;
        let records: Vec<Record> = fragments.iter().map(|fragment| fragment.to_record()).collect();
        self.fragments.append(bytemuck::cast_slice(&records))
    }

    /// Hands everything to the system, and says what there is. It is on the disk only after [`SpoolWriter::files`]
    /// have been synced.
    ///
    /// # Errors
    /// As [`SpoolWriter::append`].
    pub fn mark(&mut self) -> Result<SpoolMark> {
        Ok(SpoolMark { tokens: self.tokens.flush()?, fragments: self.fragments.flush()? })
    }

    /// Its files, for who syncs them.
    #[must_use]
    pub fn files(&self) -> [Arc<DiskFile>; 2] {
        [Arc::clone(&self.tokens.file), Arc::clone(&self.fragments.file)]
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// As [`SpoolWriter::append`].
    pub fn finish(mut self) -> Result<Spool> {
        self.mark()?;
        let count = self.fragments();
        Ok(Spool { tokens: self.tokens.file, fragments: self.fragments.file, count })
    }
}

impl Stream {
    fn new(file: DiskFile) -> Self {
        Self { file: Arc::new(file), buffer: Vec::with_capacity(BUFFER), written: 0, hasher: Xxh3::new() }
    }

    fn resume(
        disk: &Disk,
        path: &Path,
        extent: &Extent,
        goes_on: impl Fn() -> Result<()>,
    ) -> Result<Option<Self>> {
        let file = match disk.open(path) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            file => file?,
        };
        if file.length()? < extent.bytes {
            return Ok(None);
        }
        let mut stream = Self::new(file);
        let mut buffer = vec![0; BUFFER];
        while stream.written < extent.bytes {
            goes_on()?;
            let left = usize::try_from(extent.bytes - stream.written).unwrap_or(usize::MAX);
            let part = &mut buffer[..left.min(BUFFER)];
            stream.file.read_at(part, stream.written)?;
            stream.hasher.update(part);
            stream.written += part.len() as u64;
        }
        if stream.hasher.digest128() != extent.hash {
            return Ok(None);
        }
        stream.file.set_length(extent.bytes)?;
        Ok(Some(stream))
    }

    fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        if self.buffer.len() + bytes.len() > BUFFER {
            self.write_out()?;
        }
        if bytes.len() > BUFFER {
            self.file.write_at(bytes, self.written)?;
            self.written += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Extent> {
        self.write_out()?;
        Ok(Extent { bytes: self.written, hash: self.hasher.digest128() })
    }
}

impl Spool {
    /// Number of fragments.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Hands all fragments on, in the order of the corpus.
    ///
    /// # Errors
    /// When they cannot be read, and whatever `each` returns.
    pub fn each_fragment(&self, mut each: impl FnMut(&Fragment) -> Result<()>) -> Result<()> {
        let mut buffer = vec![Record::default(); BUFFER / size_of::<Record>()];
        let mut done = 0;
        while done < self.count {
            let left = usize::try_from(self.count - done).unwrap_or(usize::MAX);
            let part_length = left.min(buffer.len());
            let part = &mut buffer[..part_length];
            self.fragments.read_at(bytemuck::cast_slice_mut(part), done * RECORD_BYTES)?;
            part.iter().try_for_each(|record| each(&Fragment::from_record(*record)))?;
            done += part.len() as u64;
        }
        Ok(())
    }

    /// Reads one fragment.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn fragment(&self, index: u32) -> Result<Fragment> {
        let mut record = Record::default();
        self.fragments.read_at(bytemuck::bytes_of_mut(&mut record), u64::from(index) * RECORD_BYTES)?;
        Ok(Fragment::from_record(record))
    }

    /// Reads tokens from the `start`-th of a fragment on.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self, fragment: &Fragment, start: u32, tokens: &mut [u32]) -> Result<()> {
        let at = (fragment.at + u64::from(start)) * 4;
        self.tokens.read_at(bytemuck::cast_slice_mut(tokens), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn fragment(item: u64, at: u64, length: u32) -> Fragment {
        Fragment { item, at, length, start: 0, input: 0, cut: false }
    }

    #[test]
    fn what_is_appended_comes_back() -> Outcome {
        let folder = tempfile::tempdir()?;
        let mut writer = SpoolWriter::create(&Disk::default(), folder.path())?;
        writer.append(&[1, 2 | LOSS, 3], &[fragment(0, 0, 3)])?;
        let second = fragment(1, writer.tokens(), 3);
        writer.append(&[4, 5, 6 | LOSS], &[second])?;
        let spool = writer.finish()?;
        let mut tokens = [0; 2];
        assert_eq!((spool.count(), spool.fragment(1)?), (2, second));
        spool.read(&second, 1, &mut tokens)?;
        assert_eq!(tokens, [5, 6 | LOSS]);
        let mut items = Vec::new();
        spool.each_fragment(|fragment| {
            items.push(fragment.item);
            Ok(())
        })?;
        assert_eq!(items, [0, 1]);
        Ok(())
    }

    #[test]
    fn a_spool_goes_on_from_its_mark_or_not_at_all() -> Outcome {
        let folder = tempfile::tempdir()?;
        let disk = Disk::default();
        let resume = |mark| SpoolWriter::resume(&disk, folder.path(), mark, || Ok(()));
        let mut writer = SpoolWriter::create(&disk, folder.path())?;
        writer.append(&[1, 2], &[fragment(0, 0, 2)])?;
        let mark = writer.mark()?;
        writer.append(&vec![7; 1 << 19], &[fragment(1, 2, 1 << 19)])?;
        drop(writer);
        let Some(mut writer) = resume(&mark)? else { panic!("refused") };
        assert_eq!((writer.tokens(), writer.fragments()), (2, 1));
        writer.append(&[3], &[fragment(1, 2, 1)])?;
        let longer = writer.mark()?;
        let spool = writer.finish()?;
        let mut token = [0];
        spool.read(&spool.fragment(1)?, 0, &mut token)?;
        assert_eq!(token, [3]);
        assert!(resume(&longer)?.is_some());
        let path = folder.path().join(TOKENS);
        let mut tokens = std::fs::read(&path)?;
        tokens[5] ^= 1;
        std::fs::write(&path, &tokens)?;
        assert!(resume(&longer)?.is_none());
        std::fs::write(&path, &tokens[..4])?;
        assert!(resume(&mark)?.is_none());
        std::fs::remove_file(&path)?;
        assert!(resume(&mark)?.is_none());
        Ok(())
    }
}
