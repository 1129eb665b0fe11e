//! Writes a packed file, blocks of rows in any order and from any thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::layout::{Layout, Shape, Tensor};
use super::metadata::{InputRecord, Metadata};
use super::{Segment, content_hash, row_hash};
use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};

/// Consecutive rows, ready to be written.
#[derive(Debug, Default)]
pub struct RowBlock {
    /// Index of the first row in the file: a multiple of [`RowWriter::block_rows`].
    pub first_row: usize,
    /// Index of the first segment in the file.
    pub first_segment: usize,
    /// Their tokens.
    pub tokens: Vec<u32>,
    /// Their loss masks.
    pub mask: Vec<u8>,
    /// Their segments.
    pub segments: Vec<Segment>,
    /// For each row, the end of its segments in `segments`.
    pub row_ends: Vec<usize>,
    /// Labels that are not their own token, by row * `seq_len` + column, ascending.
    pub labels: Vec<(u64, u32)>,
}

/// A file being written under a name of its own, to be renamed when it is whole.
///
/// It is open only while it is worked on, so that there may be any number of them.
pub struct FileWriter {
    disk: Disk,
    path: PathBuf,
    layout: Layout,
    row_hashes: Vec<AtomicU64>,
    /// Of the blocks of tokens and masks, which are hashed while they are at hand.
    token_sums: Vec<AtomicU64>,
    mask_sums: Vec<AtomicU64>,
    /// What rows came with, in whatever order they came; 12 bytes a label, which only recipes by turn have.
    labels: Mutex<Vec<(u64, u32)>>,
}

/// What a file will hold.
#[derive(Debug, Clone, Copy)]
pub struct FileSize {
    /// Rows.
    pub rows: usize,
    /// Tokens in each.
    pub seq_len: u32,
    /// Segments of all rows.
    pub segments: usize,
    /// Labels that are not their own token.
    pub labels: u64,
}

/// A file whose rows are being written.
pub struct RowWriter<'a> {
    writer: &'a FileWriter,
    file: DiskFile,
}

/// A finished file, not yet renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its length.
    pub bytes: u64,
    /// Hash over every bit.
    pub root_hash: String,
}

impl FileWriter {
    /// Makes the file and reserves its space, so that a full disk shows before any work is done.
    ///
    /// # Errors
    /// When the file cannot be made or there is no room for it.
    pub fn create(disk: &Disk, path: PathBuf, size: FileSize) -> Result<Self> {
        let shape = Shape {
            rows: size.rows as u64,
            seq_len: u64::from(size.seq_len),
            segments: size.segments as u64,
            exceptions: size.labels,
            metadata: 0,
        };
        let layout = Layout::new(shape).ok_or_else(|| too_large(&path))?;
        disk.create(&path)?.reserve(layout.file_bytes())?;
        let blocks = size.rows.div_ceil(usize::try_from(layout.block_rows()).unwrap_or(1));
        let zeros = |count| std::iter::repeat_with(|| AtomicU64::new(0)).take(count).collect();
        Ok(Self {
            disk: disk.clone(),
            path,
            layout,
            row_hashes: zeros(size.rows),
            token_sums: zeros(blocks),
            mask_sums: zeros(blocks),
            labels: Mutex::default(),
        })
    }

    /// Opens it to write its rows.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(&self) -> Result<RowWriter<'_>> {
        Ok(RowWriter { writer: self, file: self.disk.open(&self.path)? })
    }

    /// The hashes of its rows, once they are written.
    pub(crate) fn row_hashes(&self) -> impl Iterator<Item = u64> {
        self.row_hashes.iter().map(|hash| hash.load(Ordering::Relaxed))
    }

    /// The hash of its content, once its rows are written.
    #[must_use]
    pub fn content_hash(&self, inputs: &[InputRecord]) -> String {
        content_hash(self.layout.shape.seq_len, inputs, self.row_hashes())
    }

    /// Writes what is known only at the end (metadata, header, checksums) and flushes all to disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn finish(&mut self, metadata: &Metadata) -> Result<WrittenFile> {
        let mut json = serde_json::to_vec(metadata).map_err(|e| Error::Internal(e.to_string()))?;
        // The checksums come next, and are aligned.
        let start = self.layout.range(Tensor::Metadata).start;
        while !(start + json.len() as u64).is_multiple_of(8) {
            json.push(b' ');
        }
        let shape = Shape { metadata: json.len() as u64, ..self.layout.shape };
        self.layout = Layout::new(shape).ok_or_else(|| too_large(&self.path))?;
        let header = self.layout.header();
        let header = header.ok_or_else(|| Error::Internal("the header is too long".into()))?;
        let open = self.open()?;
        open.file.set_length(self.layout.file_bytes())?;
        open.write(Tensor::Metadata, 0, &json)?;
        open.file.write_at(&header, 0)?;
        open.write_labels()?;
        let sums = open.checksums()?;
        open.write(Tensor::Checksums, 0, bytemuck::cast_slice(&sums))?;
        let root = xxh3_128(bytemuck::cast_slice(&sums));
        open.write(Tensor::RootHash, 0, &root.to_le_bytes())?;
        open.file.sync()?;
        Ok(WrittenFile { bytes: self.layout.file_bytes(), root_hash: format!("{root:032x}") })
    }
}

impl RowWriter<'_> {
    /// How many rows make a block.
    #[must_use]
    pub fn block_rows(&self) -> usize {
        usize::try_from(self.writer.layout.block_rows()).unwrap_or(usize::MAX)
    }

    /// Writes a block of rows to its place.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write_rows(&self, block: &RowBlock) -> Result<()> {
        let seq_len = usize::try_from(self.writer.layout.shape.seq_len).unwrap_or(usize::MAX);
        let tokens: &[u8] = bytemuck::cast_slice(&block.tokens);
        let (mut first, mut first_label) = (0, 0);
        let mut exceptions: Vec<(u32, u32)> = Vec::new();
        for (i, &end) in block.row_ends.iter().enumerate() {
            let start = ((block.first_row + i) * seq_len) as u64;
            let in_row = block.labels[first_label..].iter();
            let in_row = in_row.take_while(|(position, _)| *position < start + seq_len as u64);
            let column = |position: u64| u32::try_from(position - start).unwrap_or(u32::MAX);
            exceptions.clear();
            exceptions.extend(in_row.map(|(position, label)| (column(*position), *label)));
            first_label += exceptions.len();
            let hash = row_hash(
                &tokens[i * seq_len * 4..(i + 1) * seq_len * 4],
                &block.mask[i * seq_len / 8..(i + 1) * seq_len / 8],
                &block.segments[first..end],
                &exceptions,
            );
            self.writer.row_hashes[block.first_row + i].store(hash, Ordering::Relaxed);
            first = end;
        }
        self.writer.labels.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&block.labels);
        let index = block.first_row / self.block_rows();
        self.writer.token_sums[index].store(xxh3_64(tokens), Ordering::Relaxed);
        self.writer.mask_sums[index].store(xxh3_64(&block.mask), Ordering::Relaxed);
        self.write(Tensor::Tokens, block.first_row * seq_len * 4, tokens)?;
        self.write(Tensor::LossMask, block.first_row * (seq_len / 8), &block.mask)?;
        let ends: Vec<u64> = block.row_ends.iter().map(|end| (block.first_segment + end) as u64).collect();
        self.write(Tensor::SegmentOffsets, (block.first_row + 1) * 8, bytemuck::cast_slice(&ends))?;
        let items: Vec<u64> = block.segments.iter().map(|segment| segment.item).collect();
        self.write(Tensor::SegmentItems, block.first_segment * 8, bytemuck::cast_slice(&items))?;
        for (tensor, field) in [
            (Tensor::SegmentEnds, (|segment| segment.end) as fn(&Segment) -> u32),
            (Tensor::SegmentInputs, |segment| segment.input),
            (Tensor::SegmentStarts, |segment| segment.start),
            (Tensor::SegmentEpochs, |segment| segment.epoch),
        ] {
            let values: Vec<u32> = block.segments.iter().map(field).collect();
            self.write(tensor, block.first_segment * 4, bytemuck::cast_slice(&values))?;
        }
        let flags: Vec<u8> = block.segments.iter().map(|segment| segment.flags).collect();
        self.write(Tensor::SegmentFlags, block.first_segment, &flags)
    }

    fn write(&self, tensor: Tensor, at: usize, bytes: &[u8]) -> Result<()> {
        let at = self.writer.layout.range(tensor).start + at as u64;
        self.file.write_at(bytes, at)
    }

    fn write_labels(&self) -> Result<()> {
        let mut labels = self.writer.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.sort_unstable();
        let promised = self.writer.layout.shape.exceptions;
        if labels.len() as u64 != promised {
            return Err(Error::Internal(format!("{} labels came of {promised}", labels.len())));
        }
        let (positions, values): (Vec<u64>, Vec<u32>) = std::mem::take(&mut *labels).into_iter().unzip();
        self.write(Tensor::LabelPositions, 0, bytemuck::cast_slice(&positions))?;
        self.write(Tensor::LabelValues, 0, bytemuck::cast_slice(&values))
    }

    /// Checksums of all blocks; what was not hashed on its way out is small, and read back.
    fn checksums(&self) -> Result<Vec<u64>> {
        let mut sums = Vec::new();
        let mut buffer = Vec::new();
        let FileWriter { layout, token_sums, mask_sums, .. } = self.writer;
        let known = [(Tensor::Tokens, token_sums), (Tensor::LossMask, mask_sums)]
            .map(|(tensor, sums)| (layout.first_block(tensor), sums));
        for (index, block) in (0u64..).zip(layout.blocks()) {
            let stored = known
                .iter()
                .find_map(|(first, sums)| sums.get(usize::try_from(index.checked_sub(*first)?).ok()?));
            sums.push(if let Some(sum) = stored {
                sum.load(Ordering::Relaxed)
            } else {
                buffer.resize(usize::try_from(block.end - block.start).unwrap_or(0), 0);
                self.file.read_at(&mut buffer, block.start)?;
                xxh3_64(&buffer)
            });
        }
        Ok(sums)
    }
}

fn too_large(path: &Path) -> Error {
    Error::Io { path: path.into(), source: io::Error::from(io::ErrorKind::FileTooLarge) }
}
