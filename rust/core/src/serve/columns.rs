//! What a batch can hold.

/// A column of a batch with the buffer it is written to, rows one after the other.
///
/// `input_ids` are 64-bit, 32-bit or the unsigned words of the file; ids have at most 31 bits, so all three
/// hold the same numbers.
#[derive(Debug)]
pub enum Column<'a> {
    /// The tokens.
    InputIds(Numbers<'a>),
    /// The tokens as they stand in the file.
    InputIdsUnsigned(&'a mut [u32]),
    /// The token where it counts for the loss, −100 where not; not shifted.
    Labels(Numbers<'a>),
    /// From 0 in every segment; 0 on padding.
    PositionIds(Numbers<'a>),
    /// The number of the segment in its row, from 1; 0 on padding.
    SegmentIds(Numbers<'a>),
    /// 1 on tokens, 0 on padding.
    AttentionMask(Numbers<'a>),
    /// 1 where labels are not −100, else 0.
    LossMask(&'a mut [u8]),
    /// `seq_len` × `seq_len` a row: 1 where a token (first) may attend to another (second), which is not after
    /// it and in the same segment. Padding counts as a segment, so that no token is without any.
    BlockMask(&'a mut [u8]),
}

impl Column<'_> {
    /// Places in the buffer.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::InputIds(out)
            | Self::Labels(out)
            | Self::PositionIds(out)
            | Self::SegmentIds(out)
            | Self::AttentionMask(out) => match out {
                Numbers::Wide(out) => out.len(),
                Numbers::Narrow(out) => out.len(),
            },
            Self::InputIdsUnsigned(out) => out.len(),
            Self::LossMask(out) | Self::BlockMask(out) => out.len(),
        }
    }

    pub(super) fn needs_tokens(&self) -> bool {
        matches!(self, Self::InputIds(_) | Self::InputIdsUnsigned(_) | Self::Labels(_))
    }

    pub(super) fn needs_mask(&self) -> bool {
        matches!(self, Self::Labels(_) | Self::LossMask(_))
    }

    pub(super) fn needs_ends(&self) -> bool {
        matches!(
            self,
            Self::PositionIds(_) | Self::SegmentIds(_) | Self::AttentionMask(_) | Self::BlockMask(_)
        )
    }
}

/// A buffer of signed numbers.
#[derive(Debug)]
pub enum Numbers<'a> {
    /// Of 64 bits.
    Wide(&'a mut [i64]),
    /// Of 32 bits.
    Narrow(&'a mut [i32]),
}

/// Where documents end in a batch whose rows are laid end to end, and what counts in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundaries {
    /// 0, then the end of every segment; the padding of a row is a segment too, so the last is the number of
    /// tokens in the batch.
    pub cu_seqlens: Vec<i32>,
    /// Length of the longest segment.
    pub max_seqlen: u32,
}
