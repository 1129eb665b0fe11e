//! Reads a file in batches of whole items.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3;

use super::split::{SplitProblem, Splitter};
use crate::discover::Input;
use crate::error::{Error, InputError, Result};

/// Bytes asked of the file at a time.
const CHUNK: usize = 256 * 1024;

/// Whole items, as they stand in the file.
#[derive(Debug, Default)]
pub struct Batch {
    /// Index of the first item in its file.
    pub first_item: u64,
    /// Byte of the uncompressed file at which `bytes` begins.
    pub offset: u64,
    /// The bytes of the items and of what stands between them.
    pub bytes: Vec<u8>,
    /// The items, as ranges of `bytes`.
    pub items: Vec<Range<usize>>,
    /// How much of [`Input::bytes`] had been read when the batch was complete.
    pub stored: u64,
}

/// What a file turned out to be, once it has been read as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Uncompressed bytes.
    pub bytes: u64,
    /// XXH3-128 of them.
    pub hash: u128,
    /// Items in the file.
    pub items: u64,
    /// Where and why reading ended, if not at the end: the figures are of what stands before.
    pub damage: Option<InputError>,
}

/// Reads `input` to its end and hands out batches of about `batch_bytes` or more; a batch holds at
/// least one item, so a long item makes a long batch.
///
/// `each` returns whether to read on; `None` comes back when it said no before the end.
///
/// A file that stops being a sequence of items ends there, see [`FileSummary::damage`].
///
/// # Errors
/// When the file cannot be read, and whatever `each` returns.
pub fn read_batches(
    input: &Input,
    batch_bytes: usize,
    mut each: impl FnMut(Batch) -> Result<bool>,
) -> Result<Option<FileSummary>> {
    let counter = AtomicU64::new(0);
    input.read(&counter, |stream| {
        let mut reader = Reader {
            input,
            batch: Batch::default(),
            splitter: Splitter::new(input.layout),
            hasher: Xxh3::new(),
            read: 0,
        };
        loop {
            // What stands before damage is still whole, and handed out as at the end.
            let (end, damage) = match reader.fill(stream) {
                Ok(end) => (end, None),
                Err(Error::Input(damage)) => (true, Some(damage)),
                Err(error) => return Err(error),
            };
            let complete = reader.batch.items.last().map_or(0, |item| item.end);
            if end || complete >= batch_bytes {
                let batch = reader.take_batch(counter.load(Ordering::Relaxed));
                if !each(batch)? && !end {
                    return Ok(None);
                }
            }
            if end {
                return Ok(Some(FileSummary {
                    bytes: reader.read,
                    hash: reader.hasher.digest128(),
                    items: reader.batch.first_item,
                    damage,
                }));
            }
        }
    })
}

struct Reader<'a> {
    input: &'a Input,
    batch: Batch,
    splitter: Splitter,
    hasher: Xxh3,
    /// Uncompressed bytes read.
    read: u64,
}

impl Reader<'_> {
    /// Reads one chunk more and finds the items in it; true at the end of the file.
    fn fill(&mut self, stream: &mut dyn Read) -> Result<bool> {
        let bytes = &mut self.batch.bytes;
        let old = bytes.len();
        bytes.resize(old + CHUNK, 0);
        let read = loop {
            match stream.read(&mut bytes[old..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        bytes.truncate(old + *read.as_ref().unwrap_or(&0));
        let read = read.map_err(|error| self.read_error(error))?;
        let bytes = &mut self.batch.bytes;
        self.hasher.update(&bytes[old..]);
        if self.read < 3 && bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes[..3].fill(b' '); // a byte order mark says nothing in UTF-8
        }
        self.read += read as u64;
        let items = &mut self.batch.items;
        let split = match read {
            0 => self.splitter.finish(bytes, items),
            _ => self.splitter.scan(bytes, items),
        };
        split.map_err(|problem| self.split_error(problem))?;
        self.forget_blanks();
        Ok(read == 0)
    }

    /// Drops what stands before the first item, however much white space that is.
    fn forget_blanks(&mut self) {
        let keep = self.splitter.keep_from();
        if self.batch.items.is_empty() && keep >= CHUNK {
            self.batch.bytes.drain(..keep);
            self.splitter.forget(keep);
            self.batch.offset += keep as u64;
        }
    }

    /// Takes the complete items out; what has begun after them stays.
    fn take_batch(&mut self, stored: u64) -> Batch {
        let end = self.batch.items.last().map_or(0, |item| item.end);
        let tail = self.batch.bytes.split_off(end);
        self.splitter.forget(end);
        let next = Batch {
            first_item: self.batch.first_item + self.batch.items.len() as u64,
            offset: self.batch.offset + end as u64,
            bytes: tail,
            items: Vec::new(),
            stored: 0,
        };
        Batch { stored, ..std::mem::replace(&mut self.batch, next) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::discover;
    use std::io::Write;

    fn items(path: &std::path::Path, batch_bytes: usize) -> Result<(Vec<String>, FileSummary)> {
        let corpus = discover(path)?;
        let mut found = Vec::new();
        let summary = read_batches(&corpus.inputs[0], batch_bytes, |batch| {
            assert_eq!(batch.first_item, found.len() as u64);
            found.extend(
                batch
                    .items
                    .iter()
                    .map(|item| String::from_utf8_lossy(&batch.bytes[item.clone()]).into_owned()),
            );
            Ok(true)
        })?;
        Ok((found, summary.ok_or(Error::Interrupted)?))
    }

    #[test]
    fn every_compression_reads_the_same() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let values: Vec<String> =
            (0..9000).map(|i| format!("document {i} {}", "äöü".repeat(i % 70))).collect();
        let json = serde_json::to_vec(&values)?;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&json)?;
        let files = [
            ("a.json", json.clone()),
            ("b.json.gz", gzip.finish()?),
            ("c.json.zst", zstd::encode_all(json.as_slice(), 1)?),
        ];
        let mut results = Vec::new();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes)?;
            for batch_bytes in [1, 100_000, usize::MAX] {
                results.push(items(&path, batch_bytes)?);
            }
        }
        let expected: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        for (found, summary) in &results {
            assert_eq!(found, &expected);
            assert_eq!(summary, &results[0].1);
        }
        assert_eq!(results[0].1.bytes, json.len() as u64);
        Ok(())
    }

    #[test]
    fn white_space_between_items_takes_no_memory() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.json");
        let blanks = " ".repeat(5_000_000);
        std::fs::write(&path, format!("{blanks}[{blanks}\"a\"{blanks},\n\"b\"{blanks}]{blanks}"))?;
        let corpus = discover(&path)?;
        let mut places = Vec::new();
        read_batches(&corpus.inputs[0], 1, |batch| {
            assert!(batch.bytes.len() < 3 * CHUNK);
            places.extend(batch.items.iter().map(|item| batch.offset + item.start as u64));
            Ok(true)
        })?;
        assert_eq!(places, [10_000_001, 15_000_006]);
        Ok(())
    }

    #[test]
    fn a_damaged_archive_is_an_input_error() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for (name, mut bytes) in [
            ("a.json.zst", zstd::encode_all(&b"[\"a long enough text to be cut off\"]"[..], 1)?),
            ("a.json.gz", {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(b"[\"a long enough text to be cut off\"]")?;
                gzip.finish()?
            }),
        ] {
            bytes.truncate(bytes.len() - 6);
            let path = folder.path().join(name);
            std::fs::write(&path, bytes)?;
            let (_, summary) = items(&path, 1)?;
            assert!(summary.damage.is_some_and(|damage| damage.problem.contains("damaged")), "{name}");
        }
        Ok(())
    }
}
