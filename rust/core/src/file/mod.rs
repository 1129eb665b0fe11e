//! The packed file: a safetensors file with guarantees on top.
//!
//! ```text
//! byte 0      header: u64 length (4088), JSON padded with spaces
//! byte 4096   tokens             U32 [rows, seq_len]
//!             segment_offsets    U64 [rows + 1]       a row's segments, as indices
//!             segment_items      U64 [segments]       index of the item in its file
//!             label_positions    U64 [exceptions]     row * seq_len + column, ascending
//!             segment_ends       U32 [segments]       first column after the segment
//!             segment_inputs     U32 [segments]       index into the metadata's inputs
//!             segment_starts     U32 [segments]       token of its document with which it begins
//!             segment_epochs     U32 [segments]
//!             label_values       U32 [exceptions]     the label where it is not the token itself
//!             segment_flags      U8  [segments]       1: document goes on after it, 2: began before it, 4: leaks,
//!                                                     8: duplicate, 16: near-duplicate
//!             loss_mask          U8  [rows, seq_len / 8]   a bit a token, lowest first
//!             metadata           U8  [n]              JSON, padded with spaces
//!             checksums          U64 [blocks]         XXH3-64 of every block before them
//!             root_hash          U64 [2]              XXH3-128 of `checksums`, low half first
//! ```
//!
//! All numbers are little-endian. The tensors stand without holes, in falling order of alignment, and the
//! metadata is padded, so each is aligned to its own type. A segment begins where the one before it in its
//! row ends; what follows the last segment of a row is padding.
//!
//! Several such files can be the shards of a set, in the order of its rows; `index.rs` specifies the index that
//! binds them.

#[cfg(test)]
mod fuzz;
mod index;
mod layout;
mod map;
mod metadata;
mod reader;
mod set;
mod storage;
mod verify;
mod writer;

pub use index::{INDEX_SUFFIX, MAX_SHARDS};
pub(crate) use index::{Index, ShardFile, index_name, is_index, shard_name};
pub use layout::HEADER_BYTES;
pub use metadata::{Decontamination, Dedup, Fate, InputRecord, Metadata, ShardOf, Totals};
pub use reader::{PackedFile, SegmentRecord};
pub use set::PackedSet;
pub(crate) use set::Spans;
pub use storage::Access;
pub use verify::{Verified, verify};
pub use writer::{FileSize, FileWriter, RowBlock, RowWriter, WrittenFile};

use serde::Serialize;

use crate::ledger::DropReason;

/// Version of the format.
pub const FORMAT_VERSION: u32 = 1;

/// One document, or a piece of it, in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// First column after it.
    pub end: u32,
    /// Index of its input.
    pub input: u32,
    /// Index of the item in its file.
    pub item: u64,
    /// Which repetition of the document this is.
    pub epoch: u32,
    /// Token of its document with which it begins.
    pub start: u32,
    /// [`Segment::CUT`], [`Segment::CONTINUED`], and marks.
    pub flags: u8,
}

impl Segment {
    /// The document goes on after the segment, elsewhere or not at all.
    pub const CUT: u8 = 1;
    /// The document began before the segment.
    pub const CONTINUED: u8 = 2;

    /// What is found of documents, and marked where they are not dropped for it.
    pub const MARKS: [(DropReason, u8); 3] =
        [(DropReason::Leaked, 4), (DropReason::Duplicate, 8), (DropReason::NearDuplicate, 16)];

    /// The mark for a reason, if there is one.
    pub(crate) fn mark(reason: DropReason) -> u8 {
        Self::MARKS.iter().find(|(marked, _)| *marked == reason).map_or(0, |(_, mark)| *mark)
    }

    /// The reasons that some flags mark.
    pub(crate) fn marked(flags: u8) -> impl Iterator<Item = DropReason> {
        Self::MARKS.into_iter().filter(move |(_, mark)| flags & mark != 0).map(|(reason, _)| reason)
    }
}

/// The hash of a row's content: its tokens, its mask, and for each segment the fields of [`Segment`],
/// little-endian, in the order in which they are declared.
fn row_hash(tokens: &[u8], mask: &[u8], segments: &[Segment], exceptions: &[(u32, u32)]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(tokens);
    hasher.update(mask);
    for segment in segments {
        hasher.update(&segment.end.to_le_bytes());
        hasher.update(&segment.input.to_le_bytes());
        hasher.update(&segment.item.to_le_bytes());
        hasher.update(&segment.epoch.to_le_bytes());
        hasher.update(&segment.start.to_le_bytes());
        hasher.update(&[segment.flags]);
    }
    for (column, label) in exceptions {
        hasher.update(&column.to_le_bytes());
        hasher.update(&label.to_le_bytes());
    }
    hasher.digest()
}

/// The hash of the content of a file, or of all shards of one build: XXH3-128 over `seq_len` (u64), the
/// paths of the inputs (each with a NUL after it), and the hashes of all rows in order.
pub(crate) fn content_hash(
    seq_len: u64,
    inputs: &[InputRecord],
    row_hashes: impl IntoIterator<Item = u64>,
) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&seq_len.to_le_bytes());
    for input in inputs {
        hasher.update(input.path.as_bytes());
        hasher.update(&[0]);
    }
    for hash in row_hashes {
        hasher.update(&hash.to_le_bytes());
    }
    format!("{:032x}", hasher.digest128())
}
