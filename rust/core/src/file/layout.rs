//! Where everything stands in the file: a function of five numbers.

use std::fmt::Write;
use std::ops::Range;

use serde::Deserialize;
use std::collections::BTreeMap;

/// Length of the header region.
pub const HEADER_BYTES: usize = 4096;

/// Bytes that one checksum covers, about.
const BLOCK_BYTES: u64 = 1 << 20;

/// The longest rows that are written and read.
const MAX_SEQ_LEN: u64 = 1 << 24;

/// The numbers that decide the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: u64,
    pub(super) seq_len: u64,
    pub(super) segments: u64,
    pub(super) exceptions: u64,
    pub(super) metadata: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tensor {
    Tokens,
    SegmentOffsets,
    SegmentItems,
    LabelPositions,
    SegmentEnds,
    SegmentInputs,
    SegmentStarts,
    SegmentEpochs,
    LabelValues,
    SegmentFlags,
    LossMask,
    Metadata,
    Checksums,
    RootHash,
}

/// In the order of the file, with their names.
pub(super) const TENSORS: [(Tensor, &str); 14] = [
    (Tensor::Tokens, "tokens"),
    (Tensor::SegmentOffsets, "segment_offsets"),
    (Tensor::SegmentItems, "segment_items"),
    (Tensor::LabelPositions, "label_positions"),
    (Tensor::SegmentEnds, "segment_ends"),
    (Tensor::SegmentInputs, "segment_inputs"),
    (Tensor::SegmentStarts, "segment_starts"),
    (Tensor::SegmentEpochs, "segment_epochs"),
    (Tensor::LabelValues, "label_values"),
    (Tensor::SegmentFlags, "segment_flags"),
    (Tensor::LossMask, "loss_mask"),
    (Tensor::Metadata, "metadata"),
    (Tensor::Checksums, "checksums"),
    (Tensor::RootHash, "root_hash"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    U8,
    U32,
    U64,
}

impl Dtype {
    fn name(self) -> &'static str {
        match self {
            Self::U8 => "U8",
            Self::U32 => "U32",
            Self::U64 => "U64",
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Self::U8 => 1,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }
}

/// The byte range of every tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) shape: Shape,
    /// By tensor, in the order of [`TENSORS`].
    ranges: [Range<u64>; TENSORS.len()],
}

impl Layout {
    /// `None` where the numbers are too large for any file.
    pub(super) fn new(shape: Shape) -> Option<Self> {
        if shape.seq_len > MAX_SEQ_LEN {
            return None;
        }
        let mut ranges = [const { 0..0 }; TENSORS.len()];
        let mut at = HEADER_BYTES as u64;
        for (range, (tensor, _)) in ranges.iter_mut().zip(TENSORS) {
            let end = at.checked_add(shape.bytes_of(tensor)?)?;
            *range = at..end;
            at = end;
        }
        i64::try_from(at).ok()?;
        Some(Self { shape, ranges })
    }

    pub(super) fn range(&self, tensor: Tensor) -> Range<u64> {
        self.ranges[tensor as usize].clone()
    }

    /// Length of the whole file.
    pub(super) fn file_bytes(&self) -> u64 {
        self.range(Tensor::RootHash).end
    }

    /// How many rows a checksum covers.
    pub(super) fn block_rows(&self) -> u64 {
        self.shape.block_rows()
    }

    /// The blocks that have a checksum, in order: the header, then every tensor cut into blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let tensors = TENSORS.iter().filter(|(tensor, _)| tensor.has_checksums());
        let tensors = tensors.flat_map(|(tensor, _)| {
            let range = self.range(*tensor);
            let step = self.shape.block_bytes(*tensor);
            (0..)
                .map(move |i| range.start + i * step)
                .take_while(move |start| *start < range.end)
                .map(move |start| start..range.end.min(start + step))
        });
        std::iter::once(0..HEADER_BYTES as u64).chain(tensors)
    }

    /// Index of the checksum of a tensor's first block.
    pub(super) fn first_block(&self, tensor: Tensor) -> u64 {
        let before = TENSORS.iter().take_while(|(other, _)| *other != tensor);
        let before = before.filter(|(other, _)| other.has_checksums());
        1 + before.map(|(other, _)| self.shape.blocks_of(*other).unwrap_or(0)).sum::<u64>()
    }

    /// The header region; `None` if it does not fit, which no layout reaches.
    pub(super) fn header(&self) -> Option<Vec<u8>> {
        let mut json = String::from(r#"{"__metadata__":{"format":"apollo-pack","format_version":"1"}"#);
        for (range, (tensor, name)) in self.ranges.iter().zip(TENSORS) {
            let (dtype, dims) = self.shape.describe(tensor)?;
            let dims: Vec<String> = dims.iter().map(u64::to_string).collect();
            let (start, end) = (range.start - HEADER_BYTES as u64, range.end - HEADER_BYTES as u64);
            write!(
                json,
                r#","{name}":{{"dtype":"{}","shape":[{}],"data_offsets":[{start},{end}]}}"#,
                dtype.name(),
                dims.join(",")
            )
            .ok()?;
        }
        json.push('}');
        let padding = (HEADER_BYTES - 8).checked_sub(json.len())?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&(HEADER_BYTES as u64 - 8).to_le_bytes());
        header.extend_from_slice(json.as_bytes());
        header.resize(header.len() + padding, b' ');
        Some(header)
    }

    /// Reads a header region. Only a header that this very layout would write is taken.
    pub(super) fn parse(header: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            shape: Vec<u64>,
        }
        let length = header.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        if length != Some(HEADER_BYTES as u64 - 8) || header.len() != HEADER_BYTES {
            return Err("not a file of apollo-pack: it does not begin with a header of 4096 bytes");
        }
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(&header[8..])
            .map_err(|_| "not a file of apollo-pack: its header is not JSON")?;
        let dims = |name: &str| entries.get(name).map(|entry| entry.shape.as_slice());
        let shape = match (dims("tokens"), dims("segment_ends"), dims("label_values"), dims("metadata")) {
            (Some(&[rows, seq_len]), Some(&[segments]), Some(&[exceptions]), Some(&[metadata])) => {
                Shape { rows, seq_len, segments, exceptions, metadata }
            }
            _ => return Err("not a file of apollo-pack: a tensor is missing in its header"),
        };
        let layout = Self::new(shape).filter(|layout| layout.header().as_deref() == Some(header));
        layout.ok_or("its header is damaged, or of another version of the format")
    }
}

impl Tensor {
    fn has_checksums(self) -> bool {
        !matches!(self, Self::Checksums | Self::RootHash)
    }
}

impl Shape {
    fn describe(&self, tensor: Tensor) -> Option<(Dtype, Vec<u64>)> {
        Some(match tensor {
            Tensor::Tokens => (Dtype::U32, vec![self.rows, self.seq_len]),
            Tensor::SegmentOffsets => (Dtype::U64, vec![self.rows.checked_add(1)?]),
            Tensor::SegmentItems => (Dtype::U64, vec![self.segments]),
            Tensor::LabelPositions => (Dtype::U64, vec![self.exceptions]),
            Tensor::Checksums => (Dtype::U64, vec![self.blocks()?]),
            Tensor::RootHash => (Dtype::U64, vec![2]),
            Tensor::SegmentEnds | Tensor::SegmentInputs | Tensor::SegmentStarts | Tensor::SegmentEpochs => {
                (Dtype::U32, vec![self.segments])
            }
            Tensor::LabelValues => (Dtype::U32, vec![self.exceptions]),
            Tensor::SegmentFlags => (Dtype::U8, vec![self.segments]),
            Tensor::LossMask => (Dtype::U8, vec![self.rows, self.seq_len / 8]),
            Tensor::Metadata => (Dtype::U8, vec![self.metadata]),
        })
    }

    fn block_rows(&self) -> u64 {
        (BLOCK_BYTES / self.seq_len.saturating_mul(4).max(1)).max(1)
    }

    /// Tokens and masks are cut by rows, so that whoever writes or reads rows has whole blocks.
    fn block_bytes(&self, tensor: Tensor) -> u64 {
        match tensor {
            Tensor::Tokens => self.block_rows() * self.seq_len * 4,
            Tensor::LossMask => self.block_rows() * (self.seq_len / 8),
            _ => BLOCK_BYTES,
        }
    }

    fn bytes_of(&self, tensor: Tensor) -> Option<u64> {
        let (dtype, dims) = self.describe(tensor)?;
        let items = dims.iter().try_fold(1u64, |product, dim| product.checked_mul(*dim))?;
        items.checked_mul(dtype.bytes())
    }

    fn blocks_of(&self, tensor: Tensor) -> Option<u64> {
        Some(self.bytes_of(tensor)?.div_ceil(self.block_bytes(tensor).max(1)))
    }

    fn blocks(&self) -> Option<u64> {
        let mut blocks = 1u64;
        for (tensor, _) in TENSORS.iter().filter(|(tensor, _)| tensor.has_checksums()) {
            blocks = blocks.checked_add(self.blocks_of(*tensor)?)?;
        }
        Some(blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_reads_back_and_blocks_cover_the_file(
            rows in 0u64..5000, eighths in 1u64..600, segments in 0u64..400_000,
            exceptions in 0u64..10, metadata in 0u64..3_000_000,
        ) {
            let shape = Shape { rows, seq_len: eighths * 8, segments, exceptions, metadata };
            let Some(layout) = Layout::new(shape) else { panic!("no layout") };
            let Some(header) = layout.header() else { panic!("no header") };
            prop_assert_eq!(header.len(), HEADER_BYTES);
            prop_assert_eq!(Layout::parse(&header), Ok(layout.clone()));
            let mut covered: Vec<_> = layout.blocks().collect();
            let checksums = layout.range(Tensor::Checksums);
            prop_assert_eq!(covered.len() as u64 * 8, checksums.end - checksums.start);
            covered.push(checksums);
            covered.push(layout.range(Tensor::RootHash));
            covered.sort_by_key(|range| range.start);
            let mut at = 0;
            for range in covered {
                prop_assert_eq!(range.start, at);
                prop_assert!(range.start < range.end);
                at = range.end;
            }
            prop_assert_eq!(at, layout.file_bytes());
            for (tensor, dtype) in [(Tensor::SegmentItems, 8), (Tensor::SegmentEnds, 4)] {
                prop_assert_eq!(layout.range(tensor).start % dtype, 0);
            }
            let first = layout.blocks().nth(usize::try_from(layout.first_block(Tensor::LossMask)).unwrap_or(0));
            prop_assert!(rows == 0 || first.is_some_and(|r| r.start == layout.range(Tensor::LossMask).start));
        }

        #[test]
        fn a_changed_header_is_refused(byte in 0usize..HEADER_BYTES, bit in 0u8..8) {
            let shape = Shape { rows: 3, seq_len: 64, segments: 5, exceptions: 0, metadata: 100 };
            let mut header = Layout::new(shape).and_then(|layout| layout.header()).unwrap_or_default();
            header[byte] ^= 1 << bit;
            // A shape may still be a shape after a flip; the length of the file then differs.
            prop_assert!(Layout::parse(&header).map_or(true, |layout| layout.shape != shape));
        }
    }

    #[test]
    fn absurd_sizes_are_no_layout() {
        let huge = Shape { rows: u64::MAX / 2, seq_len: 4096, segments: 1, exceptions: 0, metadata: 1 };
        assert_eq!(Layout::new(huge), None);
    }
}
