//! Opens a packed file and reads rows from it.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use serde::Serialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::layout::{HEADER_BYTES, Layout, Tensor};
use super::metadata::{InputRecord, Metadata};
use super::storage::{Access, Storage};
use super::{FORMAT_VERSION, Segment};
use crate::error::{Error, Result};
use crate::ledger::DropReason;

/// An open packed file.
///
/// What is read is borrowed from the map, or owned where the file is read by positioned reads.
#[derive(Debug)]
pub struct PackedFile {
    path: PathBuf,
    storage: Storage,
    layout: Layout,
    metadata: Metadata,
    root: [u8; 16],
    rows: usize,
    seq_len: usize,
}

/// One segment of a row, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentRecord {
    /// Path of the file within the corpus.
    pub source: String,
    /// Index of the item in the file.
    pub item: u64,
    /// Which repetition of the document.
    pub epoch: u32,
    /// First column.
    pub start: u32,
    /// First column after it.
    pub end: u32,
    /// Token of the document with which it begins.
    pub document_start: u32,
    /// The document began before the segment.
    pub continued: bool,
    /// The document goes on after the segment.
    pub cut: bool,
    /// What was found of the document, where that is marked and not dropped.
    pub marks: Vec<DropReason>,
}

impl PackedFile {
    /// Opens a file; checks its length, header, metadata and index (all but tokens and masks, which
    /// [`super::verify`] checks).
    ///
    /// # Errors
    /// When it cannot be read, is no such file, or is damaged.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let fail = |problem: &str| Error::Format { path: path.into(), problem: problem.into() };
        let found = std::fs::metadata(path).map_err(Error::io(path))?;
        if !found.is_file() {
            return Err(fail("not a file of apollo-pack: it is no regular file"));
        }
        let file = File::open(path).map_err(Error::io(path))?;
        let length = file.metadata().map_err(Error::io(path))?.len();
        if length < HEADER_BYTES as u64 {
            return Err(fail("not a file of apollo-pack: it is shorter than a header"));
        }
        let storage = Storage::open(file, length, access).map_err(Error::io(path))?;
        let get = |range| storage.get::<u8>(range).map_err(Error::io(path));
        let layout = Layout::parse(&get(0..HEADER_BYTES as u64)?).map_err(fail)?;
        if length != layout.file_bytes() {
            let expected = layout.file_bytes();
            return Err(fail(&format!("damaged: {length} bytes long instead of {expected}")));
        }
        let shape = layout.shape;
        let (Ok(rows), Ok(seq_len)) = (shape.rows.try_into(), shape.seq_len.try_into()) else {
            return Err(fail("too large for this machine"));
        };
        if shape.seq_len == 0 || !shape.seq_len.is_multiple_of(8) {
            return Err(fail("damaged: the length of its rows is no multiple of 8"));
        }
        let metadata: Metadata = serde_json::from_slice(&get(layout.range(Tensor::Metadata))?)
            .map_err(|error| fail(&format!("damaged: its metadata is not understood: {error}")))?;
        if metadata.format_version != FORMAT_VERSION || u64::from(metadata.seq_len) != shape.seq_len {
            return Err(fail("of another version of the format"));
        }
        let root = get(layout.range(Tensor::RootHash))?.first_chunk().copied().unwrap_or_default();
        let file = Self { path: path.into(), storage, layout, metadata, root, rows, seq_len };
        file.check_index()?;
        Ok(file)
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

    /// Length of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.layout.file_bytes()
    }

    /// What the file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Takes the inputs of the set that it belongs to, which are the same, for its own.
    pub(super) fn share_inputs(&mut self, inputs: &Arc<Vec<InputRecord>>) -> Result<()> {
        if self.metadata.inputs != *inputs {
            return Err(self.damaged("its inputs are not those of its set"));
        }
        self.metadata.inputs = Arc::clone(inputs);
        Ok(())
    }

    /// How it is read: by a map or by positioned reads.
    #[must_use]
    pub fn access(&self) -> Access {
        self.storage.access()
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root hash: it covers every bit of the file.
    #[must_use]
    pub fn root_hash(&self) -> String {
        format!("{:032x}", u128::from_le_bytes(self.root))
    }

    /// Tokens of a row.
    ///
    /// # Errors
    /// When there is no such row, or it cannot be read.
    pub fn tokens(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        self.check_row(row)?;
        self.part(Tensor::Tokens, row * self.seq_len..(row + 1) * self.seq_len)
    }

    /// Loss mask of a row: a bit a token, lowest first.
    ///
    /// # Errors
    /// As [`PackedFile::tokens`].
    pub fn mask(&self, row: usize) -> Result<Cow<'_, [u8]>> {
        self.check_row(row)?;
        let width = self.seq_len / 8;
        self.part(Tensor::LossMask, row * width..(row + 1) * width)
    }

    /// Says that a row will be read soon, so that a disk or a network works on all of a batch at once, and so does the
    /// memory of a map.
    pub fn will_need(&self, row: usize) {
        for (tensor, width) in [(Tensor::Tokens, self.seq_len * 4), (Tensor::LossMask, self.seq_len / 8)] {
            let start = self.layout.range(tensor).start;
            self.storage.will_need(start + (row * width) as u64..start + ((row + 1) * width) as u64);
        }
        self.storage
            .ask_for(self.layout.range(Tensor::SegmentOffsets).start + (row * size_of::<u64>()) as u64);
    }

    /// The ends of a row's segments, ascending; what comes after the last is padding.
    ///
    /// # Errors
    /// When there is no such row, it cannot be read, or its index is damaged.
    pub fn segment_ends(&self, row: usize) -> Result<Cow<'_, [u32]>> {
        let ends = self.part::<u32>(Tensor::SegmentEnds, self.segment_range(row)?)?;
        let in_row = ends.last().is_none_or(|end| *end as usize <= self.seq_len);
        if !in_row || !ends.is_sorted_by(|a, b| a < b) || ends.first() == Some(&0) {
            return Err(self.damaged(&format!("the segments of row {row} do not cover it in order")));
        }
        Ok(ends)
    }

    /// The segments of a row.
    ///
    /// # Errors
    /// As [`PackedFile::segment_ends`].
    pub fn segments(&self, row: usize) -> Result<Vec<Segment>> {
        let ends = self.segment_ends(row)?;
        let range = self.segment_range(row)?;
        let items = self.part::<u64>(Tensor::SegmentItems, range.clone())?;
        let inputs = self.part::<u32>(Tensor::SegmentInputs, range.clone())?;
        let starts = self.part::<u32>(Tensor::SegmentStarts, range.clone())?;
        let epochs = self.part::<u32>(Tensor::SegmentEpochs, range.clone())?;
        let flags = self.part::<u8>(Tensor::SegmentFlags, range)?;
        let segment = |(i, &end): (usize, &u32)| Segment {
            end,
            input: inputs[i],
            item: items[i],
            epoch: epochs[i],
            start: starts[i],
            flags: flags[i],
        };
        Ok(ends.iter().enumerate().map(segment).collect())
    }

    /// The segments of a row with the names of their files.
    ///
    /// # Errors
    /// As [`PackedFile::segment_ends`].
    pub fn documents(&self, row: usize) -> Result<Vec<SegmentRecord>> {
        let mut start = 0;
        let mut records = Vec::new();
        for segment in self.segments(row)? {
            let input = self.metadata.inputs.get(segment.input as usize);
            let input = input.ok_or_else(|| self.damaged("a segment has an unknown input"))?;
            records.push(SegmentRecord {
                source: input.path.clone(),
                item: segment.item,
                epoch: segment.epoch,
                start,
                end: segment.end,
                document_start: segment.start,
                continued: segment.flags & Segment::CONTINUED != 0,
                cut: segment.flags & Segment::CUT != 0,
                marks: Segment::marked(segment.flags).collect(),
            });
            start = segment.end;
        }
        Ok(records)
    }

    /// Columns of a row whose label is not their own token, with that label.
    ///
    /// # Errors
    /// When there is no such row, or it cannot be read.
    pub fn label_exceptions(&self, row: usize) -> Result<Vec<(u32, u32)>> {
        self.check_row(row)?;
        let first = self.first_exception(row)?;
        let end = self.first_exception(row + 1)?.max(first);
        if first == end {
            return Ok(Vec::new());
        }
        let positions = self.part::<u64>(Tensor::LabelPositions, first..end)?;
        let values = self.part::<u32>(Tensor::LabelValues, first..end)?;
        let start = row as u64 * self.layout.shape.seq_len;
        let column = |position: &u64| u32::try_from(position.saturating_sub(start)).unwrap_or(u32::MAX);
        Ok(positions.iter().map(column).zip(values.iter().copied()).collect())
    }

    /// How many of the exceptions stand before a row; positions ascend, so halving finds it.
    fn first_exception(&self, row: usize) -> Result<usize> {
        let start = (row as u64).saturating_mul(self.layout.shape.seq_len);
        let mut range = 0..self.exceptions();
        while !range.is_empty() {
            let middle = range.start.midpoint(range.end);
            let position = self.part::<u64>(Tensor::LabelPositions, middle..middle + 1)?;
            if position.first().is_some_and(|position| *position < start) {
                range.start = middle + 1;
            } else {
                range.end = middle;
            }
        }
        Ok(range.start)
    }

    /// How many labels are not their own token. (An opened file is as long as they are.)
    fn exceptions(&self) -> usize {
        usize::try_from(self.layout.shape.exceptions).unwrap_or(0)
    }

    fn segment_range(&self, row: usize) -> Result<Range<usize>> {
        self.check_row(row)?;
        let offsets = self.part::<u64>(Tensor::SegmentOffsets, row..row + 2)?;
        let (start, end) = (offsets[0], offsets[1]);
        if start > end || end > self.layout.shape.segments {
            return Err(self.damaged(&format!("the segments of row {row} are not in the file")));
        }
        // Both are at most the number of segments in a file that was opened.
        Ok(usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0))
    }

    /// Some of a tensor's numbers: a range that lies in it.
    fn part<T: AnyBitPattern + NoUninit>(&self, tensor: Tensor, range: Range<usize>) -> Result<Cow<'_, [T]>> {
        let start = self.layout.range(tensor).start;
        let byte = |number: usize| start + (number * size_of::<T>()) as u64;
        self.storage.get(byte(range.start)..byte(range.end)).map_err(Error::io(&self.path))
    }

    fn check_index(&self) -> Result<()> {
        let tokens = self.layout.range(Tensor::Tokens);
        let mask = self.layout.range(Tensor::LossMask);
        self.check_blocks(|block| Ok(!tokens.contains(&block.start) && !mask.contains(&block.start)))?;
        let first = self.part::<u64>(Tensor::SegmentOffsets, 0..1)?;
        let last = self.part::<u64>(Tensor::SegmentOffsets, self.rows..self.rows + 1)?;
        if (first[0], last[0]) != (0, self.layout.shape.segments) {
            return Err(self.damaged("its rows do not cover its segments"));
        }
        Ok(())
    }

    /// Labels that are not their own token stand in ascending order, in rows that there are.
    pub(super) fn check_label_positions(&self) -> Result<()> {
        let positions = self.part::<u64>(Tensor::LabelPositions, 0..self.exceptions())?;
        let end = self.layout.shape.rows.saturating_mul(self.layout.shape.seq_len);
        if !positions.is_sorted_by(|a, b| a < b) || positions.last().is_some_and(|last| *last >= end) {
            return Err(self.damaged("its labels are not in ascending order in its rows"));
        }
        Ok(())
    }

    /// Compares the checksums of the chosen blocks.
    pub(super) fn check_blocks(&self, chosen: impl Fn(&Range<u64>) -> Result<bool>) -> Result<()> {
        let get = |range: Range<u64>| self.storage.get::<u8>(range).map_err(Error::io(&self.path));
        let table = get(self.layout.range(Tensor::Checksums))?;
        if xxh3_128(&table).to_le_bytes() != self.root {
            return Err(self.damaged("its table of checksums does not match the root hash"));
        }
        for (block, sum) in self.layout.blocks().zip(table.chunks_exact(8)) {
            if chosen(&block)? && xxh3_64(&get(block.clone())?).to_le_bytes() != *sum {
                return Err(self.damaged(&format!("bytes {} to {} have changed", block.start, block.end)));
            }
        }
        Ok(())
    }

    fn check_row(&self, row: usize) -> Result<()> {
        if row < self.rows {
            return Ok(());
        }
        Err(Error::Config(format!("there is no row {row}: {} has {}", self.path.display(), self.rows)))
    }

    pub(super) fn damaged(&self, problem: &str) -> Error {
        Error::Format { path: self.path.clone(), problem: format!("damaged: {problem}") }
    }
}
