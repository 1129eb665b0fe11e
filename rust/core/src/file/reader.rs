//! Opens a packed file and reads rows from it.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytemuck::AnyBitPattern;
use serde::Serialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::layout::{HEADER_BYTES, Layout, Tensor};
use super::map::Map;
use super::metadata::Metadata;
use super::{FORMAT_VERSION, Segment};
use crate::error::{Error, Result};

/// What loss functions ignore.
const IGNORED: i64 = -100;

/// An open packed file.
#[derive(Debug)]
pub struct PackedFile {
    path: PathBuf,
    map: Map,
    layout: Layout,
    metadata: Metadata,
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
}

impl PackedFile {
    /// Opens a file; checks its length, header, metadata and index (all but tokens and masks, which
    /// [`super::verify`] checks).
    ///
    /// # Errors
    /// When it cannot be read, is no such file, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
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
        let map = Map::open(&file).map_err(Error::io(path))?;
        let layout = Layout::parse(&map[..HEADER_BYTES]).map_err(fail)?;
        if map.len() as u64 != layout.file_bytes() {
            let expected = layout.file_bytes();
            return Err(fail(&format!("damaged: {} bytes long instead of {expected}", map.len())));
        }
        let shape = layout.shape;
        let (Ok(rows), Ok(seq_len)) = (shape.rows.try_into(), shape.seq_len.try_into()) else {
            return Err(fail("too large for this machine"));
        };
        if shape.seq_len == 0 || !shape.seq_len.is_multiple_of(8) {
            return Err(fail("damaged: the length of its rows is no multiple of 8"));
        }
        let json = range(&map, &layout, Tensor::Metadata);
        let metadata: Metadata = serde_json::from_slice(json)
            .map_err(|error| fail(&format!("damaged: its metadata is not understood: {error}")))?;
        if metadata.format_version != FORMAT_VERSION || u64::from(metadata.seq_len) != shape.seq_len {
            return Err(fail("of another version of the format"));
        }
        let file = Self { path: path.into(), map, layout, metadata, rows, seq_len };
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

    /// What the file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata as it stands in the file: JSON.
    #[must_use]
    pub fn metadata_json(&self) -> &[u8] {
        range(&self.map, &self.layout, Tensor::Metadata)
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root hash: it covers every bit of the file.
    #[must_use]
    pub fn root_hash(&self) -> String {
        let bytes = range(&self.map, &self.layout, Tensor::RootHash);
        let root = bytes.first_chunk::<16>().map_or(0, |bytes| u128::from_le_bytes(*bytes));
        format!("{root:032x}")
    }

    /// Tokens of a row.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn tokens(&self, row: usize) -> Result<&[u32]> {
        let tokens = self.tensor::<u32>(Tensor::Tokens)?;
        let start = row.saturating_mul(self.seq_len);
        tokens.get(start..start.saturating_add(self.seq_len)).ok_or_else(|| self.no_row(row))
    }

    /// Loss mask of a row: a bit a token, lowest first.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn mask(&self, row: usize) -> Result<&[u8]> {
        let width = self.seq_len / 8;
        let mask = range(&self.map, &self.layout, Tensor::LossMask);
        let start = row.saturating_mul(width);
        mask.get(start..start.saturating_add(width)).ok_or_else(|| self.no_row(row))
    }

    /// The ends of a row's segments, ascending; what comes after the last is padding.
    ///
    /// # Errors
    /// When there is no such row, or its index is damaged.
    pub fn segment_ends(&self, row: usize) -> Result<&[u32]> {
        let range = self.segment_range(row)?;
        let ends = &self.tensor::<u32>(Tensor::SegmentEnds)?[range];
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
        let items = self.tensor::<u64>(Tensor::SegmentItems)?;
        let inputs = self.tensor::<u32>(Tensor::SegmentInputs)?;
        let starts = self.tensor::<u32>(Tensor::SegmentStarts)?;
        let epochs = self.tensor::<u32>(Tensor::SegmentEpochs)?;
        let flags = self.tensor::<u8>(Tensor::SegmentFlags)?;
        let segment = |(i, &end): (usize, &u32)| Segment {
            end,
            input: inputs[i],
            item: items[i],
            epoch: epochs[i],
            start: starts[i],
            flags: flags[i],
        };
        Ok(range.zip(ends).map(segment).collect())
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
            });
            start = segment.end;
        }
        Ok(records)
    }

    /// Writes a row's tokens, widened.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn input_ids(&self, row: usize, out: &mut [i64]) -> Result<()> {
        for (out, token) in out.iter_mut().zip(self.tokens(row)?) {
            *out = i64::from(*token);
        }
        Ok(())
    }

    /// Writes a row's labels: the token where it counts, −100 where it does not.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn labels(&self, row: usize, out: &mut [i64]) -> Result<()> {
        let (tokens, mask) = (self.tokens(row)?, self.mask(row)?);
        for ((out, tokens), bits) in out.chunks_exact_mut(8).zip(tokens.chunks_exact(8)).zip(mask) {
            for (i, (out, token)) in out.iter_mut().zip(tokens).enumerate() {
                *out = if bits >> i & 1 == 1 { i64::from(*token) } else { IGNORED };
            }
        }
        for (column, label) in self.label_exceptions(row)? {
            if let Some(out) = out.get_mut(column as usize) {
                *out = i64::from(label);
            }
        }
        Ok(())
    }

    /// Writes a row's loss mask, a byte a token.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn loss_mask(&self, row: usize, out: &mut [bool]) -> Result<()> {
        for (out, bits) in out.chunks_exact_mut(8).zip(self.mask(row)?) {
            for (i, out) in out.iter_mut().enumerate() {
                *out = bits >> i & 1 == 1;
            }
        }
        Ok(())
    }

    /// Writes positions that begin at 0 in every segment; 0 on padding.
    ///
    /// # Errors
    /// As [`PackedFile::segment_ends`].
    pub fn position_ids(&self, row: usize, out: &mut [i64]) -> Result<()> {
        self.by_segment(row, out, |out, _| {
            for (out, position) in out.iter_mut().zip(0..) {
                *out = position;
            }
        })
    }

    /// Writes the number of the segment, from 1; 0 on padding.
    ///
    /// # Errors
    /// As [`PackedFile::segment_ends`].
    pub fn segment_ids(&self, row: usize, out: &mut [i64]) -> Result<()> {
        self.by_segment(row, out, <[i64]>::fill)
    }

    /// Writes 1 on tokens, 0 on padding.
    ///
    /// # Errors
    /// As [`PackedFile::segment_ends`].
    pub fn attention_mask(&self, row: usize, out: &mut [i64]) -> Result<()> {
        self.by_segment(row, out, |out, _| out.fill(1))
    }

    fn by_segment(&self, row: usize, out: &mut [i64], fill: impl Fn(&mut [i64], i64)) -> Result<()> {
        let mut start = 0;
        for (number, &end) in (1..).zip(self.segment_ends(row)?) {
            let end = (end as usize).min(out.len());
            fill(&mut out[start..end], number);
            start = end;
        }
        out[start..].fill(0);
        Ok(())
    }

    /// Columns of a row whose label is not their own token, with that label.
    pub(crate) fn label_exceptions(&self, row: usize) -> Result<Vec<(u32, u32)>> {
        let positions = self.tensor::<u64>(Tensor::LabelPositions)?;
        let values = self.tensor::<u32>(Tensor::LabelValues)?;
        let start = (row as u64).saturating_mul(self.layout.shape.seq_len);
        let end = start.saturating_add(self.layout.shape.seq_len);
        let first = positions.partition_point(|position| *position < start);
        let in_row = positions[first..].iter().take_while(|position| **position < end);
        let column = |position: &u64| u32::try_from(position.saturating_sub(start)).unwrap_or(u32::MAX);
        Ok(in_row.map(column).zip(values[first..].iter().copied()).collect())
    }

    fn segment_range(&self, row: usize) -> Result<std::ops::Range<usize>> {
        let offsets = self.tensor::<u64>(Tensor::SegmentOffsets)?;
        let (Some(&start), Some(&end)) = (offsets.get(row), offsets.get(row.saturating_add(1))) else {
            return Err(self.no_row(row));
        };
        if start > end || end > self.layout.shape.segments {
            return Err(self.damaged(&format!("the segments of row {row} are not in the file")));
        }
        // Both are at most the length of a tensor that is in memory.
        Ok(usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0))
    }

    fn tensor<T: AnyBitPattern>(&self, tensor: Tensor) -> Result<&[T]> {
        bytemuck::try_cast_slice(range(&self.map, &self.layout, tensor))
            .map_err(|_| self.damaged("a tensor is not aligned"))
    }

    fn check_index(&self) -> Result<()> {
        let tokens = self.layout.range(Tensor::Tokens);
        let mask = self.layout.range(Tensor::LossMask);
        self.check_blocks(|block| Ok(!tokens.contains(&block.start) && !mask.contains(&block.start)))?;
        let offsets = self.tensor::<u64>(Tensor::SegmentOffsets)?;
        let covered = (offsets.first().copied(), offsets.last().copied());
        if covered != (Some(0), Some(self.layout.shape.segments)) {
            return Err(self.damaged("its rows do not cover its segments"));
        }
        Ok(())
    }

    /// Labels that are not their own token stand in ascending order, in rows that there are.
    pub(super) fn check_label_positions(&self) -> Result<()> {
        let positions = self.tensor::<u64>(Tensor::LabelPositions)?;
        let end = self.layout.shape.rows.saturating_mul(self.layout.shape.seq_len);
        if !positions.is_sorted_by(|a, b| a < b) || positions.last().is_some_and(|last| *last >= end) {
            return Err(self.damaged("its labels are not in ascending order in its rows"));
        }
        Ok(())
    }

    /// Compares the checksums of the chosen blocks.
    pub(super) fn check_blocks(&self, chosen: impl Fn(&std::ops::Range<u64>) -> Result<bool>) -> Result<()> {
        let table = range(&self.map, &self.layout, Tensor::Checksums);
        let root = range(&self.map, &self.layout, Tensor::RootHash);
        if xxh3_128(table).to_le_bytes() != *root {
            return Err(self.damaged("its table of checksums does not match the root hash"));
        }
        for (block, sum) in self.layout.blocks().zip(table.chunks_exact(8)) {
            if chosen(&block)? && xxh3_64(slice(&self.map, &block)).to_le_bytes() != *sum {
                return Err(self.damaged(&format!("bytes {} to {} have changed", block.start, block.end)));
            }
        }
        Ok(())
    }

    fn no_row(&self, row: usize) -> Error {
        Error::Config(format!("there is no row {row}: {} has {}", self.path.display(), self.rows))
    }

    /// Something about it is not as in what it is compared with.
    pub(crate) fn differs(&self, problem: &str) -> Error {
        Error::Format { path: self.path.clone(), problem: problem.into() }
    }

    pub(super) fn damaged(&self, problem: &str) -> Error {
        Error::Format { path: self.path.clone(), problem: format!("damaged: {problem}") }
    }
}

fn range<'a>(map: &'a Map, layout: &Layout, tensor: Tensor) -> &'a [u8] {
    slice(map, &layout.range(tensor))
}

/// Ranges of a layout lie inside the map: its length was compared when the file was opened.
fn slice<'a>(map: &'a Map, range: &std::ops::Range<u64>) -> &'a [u8] {
    let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    map.get(bound(range.start)..bound(range.end)).unwrap_or_default()
}
