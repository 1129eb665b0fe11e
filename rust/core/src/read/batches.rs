//! Reads a file in batches of whole items.

#[cfg(test)]
mod tests;

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::split::{SplitProblem, Splitter};
use crate::discover::Input;
use crate::error::{Error, InputError, Result};

/// Bytes asked of the file at a time, at the most and at the least.
const CHUNK: usize = 256 * 1024;
const SMALL_CHUNK: usize = 512;

/// What some programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The largest item that is read by default: it has to fit in memory, several times over.
pub const MAX_ITEM_BYTES: usize = 1 << 30;

/// How a file is read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// A batch is handed out when it has about so many bytes; it holds at least one item, so a long item makes a
    /// long batch.
    pub batch_bytes: usize,
    /// Longer items are not kept in memory, and are no documents.
    pub max_item_bytes: usize,
    /// Where to begin.
    pub from: Position,
}

/// A place in a file: its beginning, or the end of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Items before it.
    pub items: u64,
    /// Uncompressed bytes before it.
    pub bytes: u64,
    /// XXH3-128 of them.
    pub hash: u128,
}

/// Whole items, as they stand in the file.
#[derive(Debug, Default)]
pub struct Batch {
    /// Index of the first item in its file.
    first_item: u64,
    /// Byte of the uncompressed file at which `bytes` begins.
    offset: u64,
    /// The bytes of the items and of what stands between them.
    bytes: Vec<u8>,
    /// The items, as ranges of `bytes`.
    items: Vec<Range<usize>>,
    /// Where the first item begins, if it was too long to be kept: `bytes` has no more than its end.
    long: Option<u64>,
    /// Limit of an item.
    max_item_bytes: usize,
    /// How much of [`Input::bytes`] had been read when the batch was complete.
    pub stored: u64,
    /// The end of its last item.
    pub end: Position,
}

/// One item of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawItem<'a> {
    /// Its index in its file.
    pub index: u64,
    /// Byte of the uncompressed file at which it begins.
    pub byte: u64,
    /// Its bytes; `None` if it is longer than an item may be.
    pub bytes: Option<&'a [u8]>,
}

impl Batch {
    /// The items, in order.
    pub fn items(&self) -> impl Iterator<Item = RawItem<'_>> {
        (self.first_item..).zip(&self.items).map(|(index, range)| {
            let long = self.long.filter(|_| index == self.first_item);
            let kept = long.is_none() && range.len() <= self.max_item_bytes;
            RawItem {
                index,
                byte: long.unwrap_or(self.offset + range.start as u64),
                bytes: kept.then(|| &self.bytes[range.clone()]),
            }
        })
    }

    /// What is wrong with an item that is too long.
    #[must_use]
    pub fn too_long(&self) -> String {
        format!(
            "an item of more than {} bytes; split it, or allow more (max_item_bytes, --max-item-bytes)",
            self.max_item_bytes
        )
    }

    /// Whether it holds no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How much memory it takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// What a file turned out to be, once it has been read as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Its end: items, uncompressed bytes, and the hash of all of them.
    pub end: Position,
    /// Where and why reading ended, if not at the end: the figures are of what stands before.
    pub damage: Option<InputError>,
}

/// Reads `input` from a position to its end and hands out batches.
///
/// `each` returns whether to read on; `None` comes back when it said no before the end.
///
/// A file that stops being a sequence of items ends there, see [`FileSummary::damage`].
///
/// # Errors
/// When the file cannot be read, when what stands before the position is not what it was, and whatever `each`
/// returns.
pub fn read_batches(
    input: &Input,
    reading: &Reading,
    mut each: impl FnMut(Batch) -> Result<bool>,
) -> Result<Option<FileSummary>> {
    let counter = AtomicU64::new(0);
    input.read(&counter, |stream| {
        let mut reader = Reader::new(input, reading);
        if reading.from.bytes > 0 && !reader.skip(stream, reading.from.bytes, reading.from.hash)? {
            return Err(Error::Corpus {
                path: input.stored_in().into(),
                problem: format!("{} is not what it was when reading it began", input.path),
            });
        }
        loop {
            // What stands before damage is still whole, and handed out as at the end.
            let (end, damage) = match reader.fill(stream) {
                Ok(end) => (end, None),
                Err(Error::Input(damage)) => (true, Some(damage)),
                Err(error) => return Err(error),
            };
            let stored = counter.load(Ordering::Relaxed);
            if !end && reader.holds_too_much() {
                // A batch begins with the item that is let go of, so what is whole goes first.
                if !reader.batch.is_empty() && !each(reader.take_batch(stored))? {
                    return Ok(None);
                }
                reader.let_go();
            }
            let complete = reader.batch.items.last().map_or(0, |item| item.end);
            if end || complete >= reading.batch_bytes {
                let batch = reader.take_batch(stored);
                if !each(batch)? && !end {
                    return Ok(None);
                }
            }
            if end {
                reader.hash_to(reader.batch.bytes.len());
                // It is an item that is damaged, not the compressed data: there is more to read.
                if damage.as_ref().is_some_and(|damage| damage.item.is_some()) {
                    reader.read_on(stream)?;
                }
                return Ok(Some(FileSummary { end: reader.position(reader.read), damage }));
            }
        }
    })
}

/// Whether `input` still begins with what stood before a position, and, if that was its `end`, ends there.
///
/// # Errors
/// When the file cannot be opened.
pub fn begins_as_before(input: &Input, position: &Position, end: bool) -> Result<bool> {
    let reading = Reading { batch_bytes: 0, max_item_bytes: 0, from: Position::default() };
    input.read(&AtomicU64::new(0), |stream| {
        let mut reader = Reader::new(input, &reading);
        let same = reader.skip(stream, position.bytes, position.hash)?;
        // Damage ends a file too, now as then.
        Ok(same && !(end && matches!(stream.read(&mut [0]), Ok(1))))
    })
}

struct Reader<'a> {
    input: &'a Input,
    batch: Batch,
    splitter: Splitter,
    hasher: Xxh3,
    /// Bytes of the buffer that the hasher has seen.
    hashed: usize,
    /// Uncompressed bytes read.
    read: u64,
    /// Bytes asked of the file at a time: no more than a batch wants.
    chunk: usize,
}

impl<'a> Reader<'a> {
    fn new(input: &'a Input, reading: &Reading) -> Self {
        let from = &reading.from;
        Self {
            input,
            batch: Batch {
                first_item: from.items,
                offset: from.bytes,
                max_item_bytes: reading.max_item_bytes,
                ..Batch::default()
            },
            splitter: match from.bytes {
                0 => Splitter::new(input.layout),
                _ => Splitter::after_item(input.layout),
            },
            hasher: Xxh3::new(),
            hashed: 0,
            read: 0,
            chunk: reading.batch_bytes.clamp(SMALL_CHUNK, CHUNK),
        }
    }

    /// Reads the first `bytes` without looking for items; says whether they have this hash.
    fn skip(&mut self, stream: &mut dyn Read, bytes: u64, hash: u128) -> Result<bool> {
        let mut buffer = vec![0; CHUNK];
        while self.read < bytes {
            let left = usize::try_from(bytes - self.read).unwrap_or(usize::MAX).min(CHUNK);
            let (read, result) = read_full(stream, &mut buffer[..left]);
            self.hasher.update(&buffer[..read]);
            self.read += read as u64;
            match result {
                Err(error) if error.raw_os_error().is_some() => return Err(self.read_error(error)),
                Err(_) => return Ok(false),
                Ok(()) if read < left => return Ok(false),
                Ok(()) => {}
            }
        }
        Ok(self.hasher.digest128() == hash)
    }

    /// Reads one chunk more and finds the items in it; true at the end of the file.
    fn fill(&mut self, stream: &mut dyn Read) -> Result<bool> {
        let bytes = &mut self.batch.bytes;
        let old = bytes.len();
        bytes.resize(old + self.chunk, 0);
        let (read, result) = read_full(stream, &mut bytes[old..]);
        bytes.truncate(old + read);
        if self.read == 0 && bytes.starts_with(BYTE_ORDER_MARK) {
            // It says nothing in UTF-8, but is part of the file.
            self.hasher.update(BYTE_ORDER_MARK);
            self.hashed = BYTE_ORDER_MARK.len();
            bytes[..self.hashed].fill(b' ');
        }
        self.read += read as u64;
        let split = self.splitter.scan(&self.batch.bytes, &mut self.batch.items);
        split.map_err(|problem| self.split_error(problem))?;
        result.map_err(|error| self.read_error(error))?;
        let end = read < self.chunk;
        if end {
            let split = self.splitter.finish(&self.batch.bytes, &mut self.batch.items);
            split.map_err(|problem| self.split_error(problem))?;
        }
        // What stands before the first item is of no use, however much white space that is.
        let keep = self.splitter.keep_from();
        if self.batch.is_empty() && keep >= CHUNK {
            self.forget(keep);
        }
        Ok(end)
    }

    /// Reads what stands behind damage, to its end or as far as it can be read: what is recorded of the file must not
    /// depend on how much of it was at hand when the damage was found.
    fn read_on(&mut self, stream: &mut dyn Read) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let (read, result) = read_full(stream, &mut buffer);
            self.hasher.update(&buffer[..read]);
            self.read += read as u64;
            match result {
                Err(error) if error.raw_os_error().is_some() => return Err(self.read_error(error)),
                Ok(()) if read == CHUNK => {}
                _ => return Ok(()),
            }
        }
    }

    /// Whether the buffer ends in an item that is longer than an item may be.
    fn holds_too_much(&self) -> bool {
        let begun = self.batch.is_empty() && self.batch.long.is_some();
        let unfinished = self.splitter.unfinished(&self.batch.bytes);
        unfinished.is_some_and(|bytes| begun || bytes > self.batch.max_item_bytes)
    }

    /// Lets go of what has been scanned of an item that is too long. There is no other in the buffer.
    fn let_go(&mut self) {
        let start = self.splitter.keep_from() as u64;
        self.batch.long.get_or_insert(self.batch.offset + start);
        let scanned = self.splitter.behead();
        self.forget(scanned);
    }

    /// Takes away the beginning of the buffer.
    fn forget(&mut self, count: usize) {
        self.hash_to(count);
        self.hashed -= count;
        self.batch.bytes.drain(..count);
        self.batch.offset += count as u64;
        self.splitter.forget(count);
    }

    /// Takes the complete items out; what has begun after them stays.
    fn take_batch(&mut self, stored: u64) -> Batch {
        let end = self.batch.items.last().map_or(0, |item| item.end);
        self.hash_to(end);
        self.hashed -= end;
        let tail = self.batch.bytes.split_off(end);
        self.splitter.forget(end);
        let next = Batch {
            first_item: self.batch.first_item + self.batch.items.len() as u64,
            offset: self.batch.offset + end as u64,
            bytes: tail,
            max_item_bytes: self.batch.max_item_bytes,
            // An item that the file ends in is none, but this one may have been let go of before.
            long: self.batch.long.filter(|_| self.batch.is_empty()),
            ..Batch::default()
        };
        let end = Position { items: next.first_item, bytes: next.offset, hash: self.hasher.digest128() };
        Batch { stored, end, ..std::mem::replace(&mut self.batch, next) }
    }

    fn hash_to(&mut self, end: usize) {
        if self.hashed < end {
            self.hasher.update(&self.batch.bytes[self.hashed..end]);
            self.hashed = end;
        }
    }

    /// The position after `bytes`, all of which have been hashed.
    fn position(&self, bytes: u64) -> Position {
        Position { items: self.batch.first_item, bytes, hash: self.hasher.digest128() }
    }

    fn split_error(&self, problem: SplitProblem) -> Error {
        Error::Input(InputError {
            file: self.input.path.clone(),
            item: Some(self.batch.first_item + self.batch.items.len() as u64),
            byte: Some(self.batch.offset + problem.at as u64),
            problem: problem.problem,
        })
    }

    fn read_error(&self, error: std::io::Error) -> Error {
        let damaged = [ErrorKind::InvalidData, ErrorKind::InvalidInput, ErrorKind::UnexpectedEof];
        // zstd reports damage as "other", without an error number of the system.
        if damaged.contains(&error.kind()) || error.raw_os_error().is_none() {
            return Error::Input(InputError {
                file: self.input.path.clone(),
                item: None,
                byte: Some(self.read),
                problem: format!("the compressed data is damaged: {error}"),
            });
        }
        Error::Io { path: self.input.stored_in().into(), source: error }
    }
}

/// Fills the buffer unless the stream ends or fails before; says how far it came.
fn read_full(stream: &mut dyn Read, buffer: &mut [u8]) -> (usize, std::io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}
