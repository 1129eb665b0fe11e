//! Writes a packed file, blocks of rows in any order and from any thread; and reads back what was written of one that
//! did not get whole.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::{AnyBitPattern, NoUninit};
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
    /// For each block, how many labels there are up to its end; empty where there are none.
    label_ends: Vec<usize>,
}

/// What a file will hold.
#[derive(Debug, Clone)]
pub struct FileSize {
    /// Rows.
    pub rows: usize,
    /// Tokens in each.
    pub seq_len: u32,
    /// Segments of all rows.
    pub segments: usize,
    /// For each row, how many labels are not their own token; empty where none are.
    pub labels: Vec<u32>,
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

impl RowBlock {
    /// Where the segments of each row begin in the file, and where those of the last end.
    fn offsets(&self) -> Vec<u64> {
        let ends = self.row_ends.iter().map(|end| self.first_segment + end);
        std::iter::once(self.first_segment).chain(ends).map(|offset| offset as u64).collect()
    }
}

impl FileWriter {
    /// A file that is to be made at `path`.
    ///
    /// # Errors
    /// When it would be larger than any file can be.
    pub fn new(disk: &Disk, path: PathBuf, size: &FileSize) -> Result<Self> {
        let shape = Shape {
            rows: size.rows as u64,
            seq_len: u64::from(size.seq_len),
            segments: size.segments as u64,
            exceptions: size.labels.iter().copied().map(u64::from).sum(),
            metadata: 0,
        };
        let layout = Layout::new(shape).ok_or_else(|| too_large(&path))?;
        let block_rows = usize::try_from(layout.block_rows()).unwrap_or(usize::MAX);
        let zeros = |count| std::iter::repeat_with(|| AtomicU64::new(0)).take(count).collect();
        let label_ends = size.labels.chunks(block_rows).scan(0, |sum, rows| {
            *sum += rows.iter().map(|labels| *labels as usize).sum::<usize>();
            Some(*sum)
        });
        Ok(Self {
            disk: disk.clone(),
            row_hashes: zeros(size.rows),
            token_sums: zeros(size.rows.div_ceil(block_rows)),
            mask_sums: zeros(size.rows.div_ceil(block_rows)),
            label_ends: label_ends.collect(),
            path,
            layout,
        })
    }

    /// Makes the file and reserves its space, so that a full disk shows before any work is done.
    ///
    /// # Errors
    /// When the file cannot be made or there is no room for it.
    pub fn create(&self) -> Result<()> {
        self.disk.create(&self.path)?.reserve(self.layout.file_bytes())
    }

    /// Opens it to write its rows.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(&self) -> Result<RowWriter<'_>> {
        Ok(RowWriter { writer: self, file: self.disk.open(&self.path)? })
    }

    /// Opens it to read its rows back; `None` if it is not there, or too short.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn reopen(&self) -> Result<Option<RowWriter<'_>>> {
        match self.open() {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(open) if open.file.length()? < self.layout.file_bytes() => Ok(None),
            open => open.map(Some),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is elsewhere now.
    pub(crate) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// The hashes of some rows, once they are written.
    pub(crate) fn row_hashes(&self, rows: Range<usize>) -> impl Iterator<Item = u64> {
        self.row_hashes[rows].iter().map(|hash| hash.load(Ordering::Relaxed))
    }

    /// The hash of its content, once its rows are written.
    #[must_use]
    pub fn content_hash(&self, inputs: &[InputRecord]) -> String {
        content_hash(self.layout.shape.seq_len, inputs, self.row_hashes(0..self.row_hashes.len()))
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
        let sums = open.checksums()?;
        open.write(Tensor::Checksums, 0, &sums)?;
        let root = xxh3_128(bytemuck::cast_slice(&sums));
        open.write(Tensor::RootHash, 0, &root.to_le_bytes())?;
        open.file.sync()?;
        Ok(WrittenFile { bytes: self.layout.file_bytes(), root_hash: format!("{root:032x}") })
    }
}

impl RowWriter<'_> {
    /// The bytes of the ids of so many rows, which is most of what is written of them.
    #[must_use]
    pub fn token_bytes(&self, rows: usize) -> u64 {
        (rows * self.seq_len() * size_of::<u32>()) as u64
    }

    /// Returns when what was written so far is on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> Result<()> {
        self.file.sync()
    }

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
        let labels = self.labels_of(block.first_row);
        if labels.len() != block.labels.len() {
            let (came, promised) = (block.labels.len(), labels.len());
            return Err(Error::Internal(format!("{came} labels came of {promised}")));
        }
        self.note(block);
        self.write(Tensor::Tokens, block.first_row * self.seq_len(), &block.tokens)?;
        self.write(Tensor::LossMask, block.first_row * self.seq_len() / 8, &block.mask)?;
        self.write(Tensor::SegmentOffsets, block.first_row, &block.offsets())?;
        let items: Vec<u64> = block.segments.iter().map(|segment| segment.item).collect();
        self.write(Tensor::SegmentItems, block.first_segment, &items)?;
        for (tensor, field) in [
            (Tensor::SegmentEnds, (|segment| segment.end) as fn(&Segment) -> u32),
            (Tensor::SegmentInputs, |segment| segment.input),
            (Tensor::SegmentStarts, |segment| segment.start),
            (Tensor::SegmentEpochs, |segment| segment.epoch),
        ] {
            let values: Vec<u32> = block.segments.iter().map(field).collect();
            self.write(tensor, block.first_segment, &values)?;
        }
        let flags: Vec<u8> = block.segments.iter().map(|segment| segment.flags).collect();
        self.write(Tensor::SegmentFlags, block.first_segment, &flags)?;
        if labels.is_empty() {
            return Ok(());
        }
        let (positions, values): (Vec<u64>, Vec<u32>) = block.labels.iter().copied().unzip();
        self.write(Tensor::LabelPositions, labels.start, &positions)?;
        self.write(Tensor::LabelValues, labels.start, &values)
    }

    /// Reads a block of rows back from its place, into a block that says which rows these are and how many segments
    /// they have. What is read is not to be trusted before the hashes of the rows are seen to be the right ones.
    ///
    /// # Errors
    /// [`Error::Format`] when the rows have other segments than that, or when the disk fails.
    pub fn read_rows(&self, block: &mut RowBlock) -> Result<()> {
        let (first, rows, seq_len) = (block.first_row, block.row_ends.len(), self.seq_len());
        let first_segment = block.first_segment;
        let segments = first_segment..first_segment + block.row_ends.last().copied().unwrap_or(0);
        if self.read::<u64>(Tensor::SegmentOffsets, first..first + rows + 1)? != block.offsets() {
            let problem = "its rows have other segments than were planned".into();
            return Err(Error::Format { path: self.writer.path.clone(), problem });
        }
        block.tokens = self.read(Tensor::Tokens, first * seq_len..(first + rows) * seq_len)?;
        block.mask = self.read(Tensor::LossMask, first * seq_len / 8..(first + rows) * seq_len / 8)?;
        let items = self.read::<u64>(Tensor::SegmentItems, segments.clone())?;
        let [ends, inputs, starts, epochs] =
            [Tensor::SegmentEnds, Tensor::SegmentInputs, Tensor::SegmentStarts, Tensor::SegmentEpochs]
                .map(|tensor| self.read::<u32>(tensor, segments.clone()));
        let (ends, inputs, starts, epochs) = (ends?, inputs?, starts?, epochs?);
        let flags = self.read::<u8>(Tensor::SegmentFlags, segments)?;
        block.segments.clear();
        block.segments.extend((0..items.len()).map(|i| Segment {
            end: ends[i],
            input: inputs[i],
            item: items[i],
            epoch: epochs[i],
            start: starts[i],
            flags: flags[i],
        }));
        let labels = self.labels_of(first);
        let positions = self.read::<u64>(Tensor::LabelPositions, labels.clone())?;
        block.labels.clear();
        block.labels.extend(positions.into_iter().zip(self.read::<u32>(Tensor::LabelValues, labels)?));
        self.note(block);
        Ok(())
    }

    /// Keeps the hashes of a block's rows, and its checksums.
    fn note(&self, block: &RowBlock) {
        let (seq_len, tokens) = (self.seq_len(), bytemuck::cast_slice(&block.tokens));
        let (mut first, mut first_label) = (0, 0);
        let mut exceptions: Vec<(u32, u32)> = Vec::new();
        for (i, &end) in block.row_ends.iter().enumerate() {
            let start = ((block.first_row + i) * seq_len) as u64;
            let in_row = block.labels[first_label..].iter();
            let in_row = in_row.take_while(|(position, _)| *position < start + seq_len as u64);
            let column = |position: u64| u32::try_from(position.wrapping_sub(start)).unwrap_or(u32::MAX);
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
        let index = block.first_row / self.block_rows();
        self.writer.token_sums[index].store(xxh3_64(tokens), Ordering::Relaxed);
        self.writer.mask_sums[index].store(xxh3_64(&block.mask), Ordering::Relaxed);
    }

    fn seq_len(&self) -> usize {
        usize::try_from(self.writer.layout.shape.seq_len).unwrap_or(usize::MAX)
    }

    /// Which of the file's labels those of the block are that begins with this row.
    fn labels_of(&self, first_row: usize) -> Range<usize> {
        let (index, ends) = (first_row / self.block_rows(), &self.writer.label_ends);
        let end = |index: usize| ends.get(index).copied().unwrap_or(0);
        index.checked_sub(1).map_or(0, end)..end(index)
    }

    /// Writes numbers of a tensor, from one of them on.
    fn write<T: NoUninit>(&self, tensor: Tensor, first: usize, numbers: &[T]) -> Result<()> {
        let at = self.writer.layout.range(tensor).start + (first * size_of::<T>()) as u64;
        self.file.write_at(bytemuck::cast_slice(numbers), at)
    }

    /// Reads numbers of a tensor.
    fn read<T: AnyBitPattern + NoUninit>(&self, tensor: Tensor, wanted: Range<usize>) -> Result<Vec<T>> {
        let mut numbers = vec![T::zeroed(); wanted.len()];
        let at = self.writer.layout.range(tensor).start + (wanted.start * size_of::<T>()) as u64;
        self.file.read_at(bytemuck::cast_slice_mut(&mut numbers), at)?;
        Ok(numbers)
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
