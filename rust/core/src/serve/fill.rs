//! Fills the buffers of a batch.
//!
//! Each row is fetched once and all its columns are written while it is near; what is written leaves at the
//! speed of memory. The mask is looked at 64 tokens at a time: answers and prompts are long, so nearly all
//! words of it are all ones or all zeros, and those are plain copies and fills.

use std::borrow::Cow;

use super::columns::{Boundaries, Column, Numbers};
use super::rows::RowSet;
use crate::error::{Error, Result};

/// A signed number that ids and labels are written as.
trait Number: Copy {
    /// What loss functions ignore: −100.
    const IGNORED: Self;
    const ZERO: Self;
    const ONE: Self;
    fn of(value: u32) -> Self;
}

impl Number for i64 {
    const IGNORED: Self = -100;
    const ZERO: Self = 0;
    const ONE: Self = 1;
    #[inline]
    fn of(value: u32) -> Self {
        Self::from(value)
    }
}

impl Number for i32 {
    const IGNORED: Self = -100;
    const ZERO: Self = 0;
    const ONE: Self = 1;
    #[inline]
    fn of(value: u32) -> Self {
        value.cast_signed()
    }
}

/// The parts of a row that the columns of a batch ask for; empty where none does.
struct Row<'a> {
    tokens: &'a [u32],
    mask: &'a [u8],
    ends: &'a [u32],
    exceptions: &'a [(u32, u32)],
}

impl RowSet {
    /// Writes the columns of the rows, in the order given, each to its place in the column's buffer.
    ///
    /// # Errors
    /// When a row does not exist or cannot be read, or a buffer is not of the size of the batch. The buffers
    /// then hold anything.
    pub fn fill(&self, rows: &[usize], columns: &mut [Column<'_>]) -> Result<()> {
        let seq_len = self.seq_len();
        for column in &*columns {
            let width = if matches!(column, Column::BlockMask(_)) { seq_len * seq_len } else { seq_len };
            if Some(column.len()) != rows.len().checked_mul(width) {
                return Err(Error::Config(format!(
                    "a buffer for {} rows of {width} has {} places",
                    rows.len(),
                    column.len()
                )));
            }
        }
        let tokens = columns.iter().any(Column::needs_tokens);
        let mask = columns.iter().any(Column::needs_mask);
        let labels = columns.iter().any(|column| matches!(column, Column::Labels(_)));
        let ends = columns.iter().any(Column::needs_ends);
        for &row in rows {
            let (file, row) = self.locate(row)?;
            file.will_need(row);
        }
        for (slot, &row) in rows.iter().enumerate() {
            let (file, row) = self.locate(row)?;
            let tokens = if tokens { file.tokens(row)? } else { Cow::default() };
            let mask = if mask { file.mask(row)? } else { Cow::default() };
            let ends = if ends { file.segment_ends(row)? } else { Cow::default() };
            let exceptions = if labels { file.label_exceptions(row)? } else { Vec::new() };
            let row = Row { tokens: &tokens, mask: &mask, ends: &ends, exceptions: &exceptions };
            for column in &mut *columns {
                column.write(slot, seq_len, &row);
            }
        }
        Ok(())
    }

    /// Where the segments of a batch end.
    ///
    /// # Errors
    /// When a row does not exist or cannot be read, or the batch has 2³¹ tokens or more.
    pub fn boundaries(&self, rows: &[usize]) -> Result<Boundaries> {
        let mut cu_seqlens = Vec::with_capacity(rows.len() * 4 + 1);
        let (mut start, mut at, mut longest) = (0, 0, 0);
        cu_seqlens.push(0);
        for &row in rows {
            let (file, row) = self.locate(row)?;
            let ends = file.segment_ends(row)?;
            let padding =
                (ends.last().is_none_or(|end| (*end as usize) < self.seq_len())).then_some(self.seq_len());
            for end in ends.iter().map(|end| *end as usize).chain(padding) {
                let end = i32::try_from(start + end);
                let end = end.map_err(|_| Error::Config("a batch of 2^31 tokens or more".into()))?;
                longest = longest.max(end - at);
                at = end;
                cu_seqlens.push(end);
            }
            start += self.seq_len();
        }
        Ok(Boundaries { cu_seqlens, max_seqlen: longest.unsigned_abs() })
    }

    /// How many labels of a batch count for the loss.
    ///
    /// # Errors
    /// When a row does not exist or cannot be read.
    pub fn num_loss_tokens(&self, rows: &[usize]) -> Result<u64> {
        rows.iter().try_fold(0, |sum, &row| {
            let (file, row) = self.locate(row)?;
            Ok(sum + file.mask(row)?.iter().map(|bits| u64::from(bits.count_ones())).sum::<u64>())
        })
    }
}

impl Column<'_> {
    fn write(&mut self, slot: usize, width: usize, row: &Row<'_>) {
        let place = slot * width..(slot + 1) * width;
        match self {
            Self::InputIds(Numbers::Wide(out)) => input_ids(row, &mut out[place]),
            Self::InputIds(Numbers::Narrow(out)) => input_ids(row, &mut out[place]),
            Self::InputIdsUnsigned(out) => out[place].copy_from_slice(row.tokens),
            Self::Labels(Numbers::Wide(out)) => labels(row, &mut out[place]),
            Self::Labels(Numbers::Narrow(out)) => labels(row, &mut out[place]),
            Self::PositionIds(Numbers::Wide(out)) => position_ids(row, &mut out[place]),
            Self::PositionIds(Numbers::Narrow(out)) => position_ids(row, &mut out[place]),
            Self::SegmentIds(Numbers::Wide(out)) => segment_ids(row, &mut out[place]),
            Self::SegmentIds(Numbers::Narrow(out)) => segment_ids(row, &mut out[place]),
            Self::AttentionMask(Numbers::Wide(out)) => attention_mask(row, &mut out[place]),
            Self::AttentionMask(Numbers::Narrow(out)) => attention_mask(row, &mut out[place]),
            Self::LossMask(out) => loss_mask(row, &mut out[place]),
            Self::BlockMask(out) => {
                block_mask(row, width, &mut out[place.start * width..place.end * width]);
            }
        }
    }
}

fn input_ids<N: Number>(row: &Row<'_>, out: &mut [N]) {
    for (out, token) in out.iter_mut().zip(row.tokens) {
        *out = N::of(*token);
    }
}

fn labels<N: Number>(row: &Row<'_>, out: &mut [N]) {
    for ((out, tokens), mask) in out.chunks_mut(64).zip(row.tokens.chunks(64)).zip(row.mask.chunks(8)) {
        if mask.iter().all(|bits| *bits == u8::MAX) {
            for (out, token) in out.iter_mut().zip(tokens) {
                *out = N::of(*token);
            }
        } else if mask.iter().all(|bits| *bits == 0) {
            out.fill(N::IGNORED);
        } else {
            for ((out, tokens), bits) in out.chunks_exact_mut(8).zip(tokens.chunks_exact(8)).zip(mask) {
                for (i, (out, token)) in out.iter_mut().zip(tokens).enumerate() {
                    *out = if bits >> i & 1 == 1 { N::of(*token) } else { N::IGNORED };
                }
            }
        }
    }
    for (column, label) in row.exceptions {
        if let Some(out) = out.get_mut(*column as usize) {
            *out = N::of(*label);
        }
    }
}

fn loss_mask(row: &Row<'_>, out: &mut [u8]) {
    for (out, bits) in out.chunks_exact_mut(8).zip(row.mask) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = bits >> i & 1;
        }
    }
}

/// Calls `fill` with the place of every segment and its number from 1, and last with the padding and 0.
fn by_segment<T>(row: &Row<'_>, out: &mut [T], mut fill: impl FnMut(&mut [T], u32)) {
    let mut rest = out;
    let mut start = 0;
    for (number, &end) in (1..).zip(row.ends) {
        // Ends ascend and lie in the row: `PackedFile::segment_ends` looks.
        let (segment, after) = rest.split_at_mut(((end - start) as usize).min(rest.len()));
        fill(segment, number);
        (rest, start) = (after, end);
    }
    fill(rest, 0);
}

fn position_ids<N: Number>(row: &Row<'_>, out: &mut [N]) {
    by_segment(row, out, |out, number| {
        if number == 0 {
            out.fill(N::ZERO);
            return;
        }
        for (out, position) in out.iter_mut().zip(0..) {
            *out = N::of(position);
        }
    });
}

fn segment_ids<N: Number>(row: &Row<'_>, out: &mut [N]) {
    by_segment(row, out, |out, number| out.fill(N::of(number)));
}

fn attention_mask<N: Number>(row: &Row<'_>, out: &mut [N]) {
    by_segment(row, out, |out, number| out.fill(if number == 0 { N::ZERO } else { N::ONE }));
}

fn block_mask(row: &Row<'_>, width: usize, out: &mut [u8]) {
    let mut start = 0;
    let ends = row.ends.iter().map(|end| *end as usize).chain([width]);
    let mut lines = out.chunks_exact_mut(width);
    for end in ends {
        for (at, line) in (start..end).zip(&mut lines) {
            line[..start].fill(0);
            line[start..=at].fill(1);
            line[at + 1..].fill(0);
        }
        start = end;
    }
}
