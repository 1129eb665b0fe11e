//! **spool**: the encoded documents on disk, in the order of the corpus.
//!
//! It lets planning see all lengths before a single row is written, without tokens in memory, and is what a build
//! that was killed goes on from: a [`SpoolMark`] says how much of it is good.
//!
//! There are two files. `fragments` has a record for each fragment. `tokens` has the same record again and then the
//! fragment's tokens, so that one read gets both when rows are filled. A token is stored with its mask: the highest
//! bit of its 32 says that it counts for the loss, the next that its label is end-of-text.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};
#[cfg(doc)]
use crate::file::Segment;

/// Set in a spooled token whose label counts for the loss; no vocabulary has so many ids.
pub const LOSS: u32 = 1 << 31;

/// Set as well where that label is end-of-text, and not the token itself.
pub const END_LABEL: u32 = 1 << 30;

/// What is left of a spooled token is its id.
pub const ID: u32 = END_LABEL - 1;

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
    /// Number of tokens.
    pub length: u32,
    /// Token of its document with which it begins.
    pub start: u32,
    /// Index of its input.
    pub input: u32,
    /// [`Segment::CUT`] where the document goes on after it (in another fragment, or cut off), marks, and
    /// [`Fragment::NO_LOSS`].
    pub flags: u8,
    /// How many of its tokens have [`END_LABEL`].
    pub end_labels: u32,
    /// Tokens cut off its document, which no fragment holds.
    pub truncated: u32,
    /// Tokens of pieces of its document that were dropped because nothing of them counts.
    pub dropped: u32,
}

/// A fragment as it stands on disk.
type Record = [u64; 4];

const RECORD_BYTES: u64 = size_of::<Record>() as u64;

impl Fragment {
    /// Nothing of its document counts for the loss, and it is kept all the same. (Not for segments in files.)
    pub const NO_LOSS: u8 = 1 << 7;

    fn to_record(self) -> Record {
        let pair = |halves: [u32; 2]| bytemuck::cast::<[u32; 2], u64>(halves); // little-endian: low, high
        let rest = self.end_labels << 8 | u32::from(self.flags); // fewer than tokens of a row, at most 2^24
        let lost = pair([self.truncated, self.dropped]);
        [self.item, pair([self.length, self.start]), pair([self.input, rest]), lost]
    }

    fn from_record([item, lengths, input, lost]: Record) -> Self {
        let halves = |pair: u64| bytemuck::cast::<u64, [u32; 2]>(pair); // little-endian: low, high
        let ([length, start], [input, rest]) = (halves(lengths), halves(input));
        let [truncated, dropped] = halves(lost);
        let [flags, ..] = rest.to_le_bytes();
        Self { item, length, start, input, flags, end_labels: rest >> 8, truncated, dropped }
    }
}

/// How much of a spool there is, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolMark {
    tokens: Extent,
    fragments: Extent,
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
        (self.tokens.bytes() - self.fragments.bytes()) / 4
    }

    /// How many fragments stand in it.
    #[must_use]
    pub fn fragments(&self) -> u64 {
        self.fragments.bytes() / RECORD_BYTES
    }

    /// Appends fragments and their tokens, which stand one after the other.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub fn append(
        &mut self,
        mut tokens: &[u32],
        fragments: impl IntoIterator<Item = Fragment>,
    ) -> Result<()> {
        for fragment in fragments {
            let record = fragment.to_record();
            let (own, rest) = tokens.split_at(tokens.len().min(fragment.length as usize));
            tokens = rest;
            self.fragments.append(bytemuck::cast_slice(&record))?;
            self.tokens.append(bytemuck::cast_slice(&record))?;
            self.tokens.append(bytemuck::cast_slice(own))?;
        }
        Ok(())
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
        if self.buffer.len() + bytes.len() > BUFFER {
            self.write_out()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(&self.buffer, self.written)?;
            self.hasher.update(&self.buffer);
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER); // after a fragment that is longer than that
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Extent> {
        self.write_out()?;
        Ok(Extent { bytes: self.written, hash: self.hasher.digest128() })
    }
}

impl Spool {
    /// Its files, for who syncs them.
    #[must_use]
    pub fn files(&self) -> [Arc<DiskFile>; 2] {
        [Arc::clone(&self.tokens), Arc::clone(&self.fragments)]
    }

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

    /// Reads the fragment at a place, and as many of its tokens as there is room for from the `start`-th on.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self, place: u64, start: u32, tokens: &mut [u32]) -> Result<Fragment> {
        let mut record = Record::default();
        let bytes = bytemuck::cast_slice_mut(tokens);
        if start == 0 {
            self.tokens.read_both_at(bytemuck::bytes_of_mut(&mut record), bytes, place)?;
        } else {
            self.tokens.read_at(bytemuck::bytes_of_mut(&mut record), place)?;
            self.tokens.read_at(bytes, place + RECORD_BYTES + u64::from(start) * 4)?;
        }
        Ok(Fragment::from_record(record))
    }
}

/// Where the fragments of a spool stand, from their lengths alone.
pub struct Places {
    /// Where each begins, and where the last ends.
    starts: Vec<u64>,
}

impl Places {
    /// The places of fragments of these lengths.
    #[must_use]
    pub fn new(lengths: &[u32]) -> Self {
        let mut at = 0;
        let mut starts = Vec::with_capacity(lengths.len() + 1);
        starts.push(at);
        for length in lengths {
            at += RECORD_BYTES + u64::from(*length) * 4;
            starts.push(at);
        }
        Self { starts }
    }

    /// Where a fragment begins.
    #[must_use]
    pub fn of(&self, fragment: u32) -> u64 {
        self.starts[fragment as usize]
    }

    /// How many tokens it has.
    #[must_use]
    pub fn length(&self, fragment: u32) -> u32 {
        let bytes = self.starts[fragment as usize + 1] - self.starts[fragment as usize];
        u32::try_from((bytes - RECORD_BYTES) / 4).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn fragment(item: u64, length: u32) -> Fragment {
        Fragment { item, length, start: 0, input: 0, flags: 9, end_labels: 3, truncated: 5, dropped: 6 }
    }

    #[test]
    fn what_is_appended_comes_back() -> Outcome {
        let folder = tempfile::tempdir()?;
        let mut writer = SpoolWriter::create(&Disk::default(), folder.path())?;
        let fragments = [fragment(0, 3), fragment(1, 4)];
        writer.append(&[1, 2 | LOSS, 3, 4, 5, 6 | LOSS, 7], fragments)?;
        assert_eq!((writer.tokens(), writer.fragments()), (7, 2));
        let spool = writer.finish()?;
        let places = Places::new(&[3, 4]);
        assert_eq!((places.length(0), places.length(1)), (3, 4));
        for (start, length, expected) in [(1, 2, &[5, 6 | LOSS][..]), (0, 4, &[4, 5, 6 | LOSS, 7])] {
            let mut tokens = vec![0; length];
            assert_eq!(spool.read(places.of(1), start, &mut tokens)?, fragments[1]);
            assert_eq!(tokens, expected);
        }
        let mut found = Vec::new();
        spool.each_fragment(|fragment| {
            found.push(*fragment);
            Ok(())
        })?;
        assert_eq!((spool.count(), &found[..]), (2, &fragments[..]));
        Ok(())
    }

    #[test]
    fn a_spool_goes_on_from_its_mark_or_not_at_all() -> Outcome {
        let folder = tempfile::tempdir()?;
        let disk = Disk::default();
        let resume = |mark| SpoolWriter::resume(&disk, folder.path(), mark, || Ok(()));
        let mut writer = SpoolWriter::create(&disk, folder.path())?;
        writer.append(&[1, 2], [fragment(0, 2)])?;
        let mark = writer.mark()?;
        writer.append(&vec![7; 1 << 19], [fragment(1, 1 << 19)])?;
        drop(writer);
        let Some(mut writer) = resume(&mark)? else { panic!("refused") };
        assert_eq!((writer.tokens(), writer.fragments()), (2, 1));
        writer.append(&[3], [fragment(1, 1)])?;
        let longer = writer.mark()?;
        let spool = writer.finish()?;
        let mut token = [0];
        spool.read(Places::new(&[2, 1]).of(1), 0, &mut token)?;
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
