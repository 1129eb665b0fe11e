//! Fills the buffers of a batch.
//!
//! Each row is fetched once, and all its columns are written while it is near. The mask is looked at 64 tokens
//! at a time: answers and prompts are long, so nearly all words of it are all ones or all zeros, and those are
//! plain copies and fills. What is left is waiting for memory, so the next row's is asked for meanwhile, and
//! storing, so all this is compiled a second time for the wider vectors that most processors have.
#![allow(clippy::inline_always)] // what `write` calls is compiled for its vectors

use std::borrow::Cow;
use std::mem::discriminant;

use multiversion::multiversion;

use super::columns::{Boundaries, Column, Numbers};
use super::rows::RowSet;
use crate::error::{Error, Result};
use crate::memory::ask_for;

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
    /// The tokens of the row that comes next: their memory is asked for meanwhile.
    next: &'a [u32],
}

/// Tokens for which all streams are written before the next: as many as a word of the mask has bits.
const BLOCK: usize = 64;
/// Tokens in a cache line.
const LINE: usize = 16;
/// How far ahead memory is asked for: so many lines a core waits for at once. Further is too far (2,048: 7 % slower).
const AHEAD: usize = 16 * LINE;

impl RowSet {
    /// Writes the columns of the rows, in the order given, each to its place in the column's buffer.
    ///
    /// # Errors
    /// When a row does not exist or cannot be read, a buffer is not of the size of the batch, or a column is there
    /// twice. The buffers then hold anything.
    pub fn fill(&self, rows: &[usize], columns: &mut [Column<'_>]) -> Result<()> {
        let seq_len = self.seq_len();
        for (at, column) in columns.iter().enumerate() {
            if columns[..at].iter().any(|other| discriminant(other) == discriminant(column)) {
                return Err(Error::Config("a column is there twice".into()));
            }
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
        let tokens_of = |slot: usize| match rows.get(slot) {
            Some(&row) if tokens => self.locate(row).and_then(|(file, row)| file.tokens(row)),
            _ => Ok(Cow::default()),
        };
        let mut next = tokens_of(0)?;
        for (slot, &row) in rows.iter().enumerate() {
            let tokens = next;
            next = tokens_of(slot + 1)?;
            let (file, row) = self.locate(row)?;
            let mask = if mask { file.mask(row)? } else { Cow::default() };
            let ends = if ends { file.segment_ends(row)? } else { Cow::default() };
            let exceptions = if labels { file.label_exceptions(row)? } else { Vec::new() };
            let row = Row { tokens: &tokens, mask: &mask, ends: &ends, exceptions: &exceptions, next: &next };
            write(columns, slot, seq_len, &row);
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

/// Writes a row's part of every column.
#[multiversion(targets("x86_64+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn write(columns: &mut [Column<'_>], slot: usize, width: usize, row: &Row<'_>) {
    let place = slot * width..(slot + 1) * width;
    let (mut wide, mut narrow) = (Streams::default(), Streams::default());
    for column in &mut *columns {
        let place = place.clone();
        match column {
            Column::InputIds(Numbers::Wide(out)) => wide.ids = &mut out[place],
            Column::InputIds(Numbers::Narrow(out)) => narrow.ids = &mut out[place],
            Column::Labels(Numbers::Wide(out)) => wide.labels = &mut out[place],
            Column::Labels(Numbers::Narrow(out)) => narrow.labels = &mut out[place],
            Column::InputIdsUnsigned(out) => out[place].copy_from_slice(row.tokens),
            Column::LossMask(out) => loss_mask(row, &mut out[place]),
            Column::PositionIds(Numbers::Wide(out)) => wide.positions = &mut out[place],
            Column::PositionIds(Numbers::Narrow(out)) => narrow.positions = &mut out[place],
            Column::SegmentIds(Numbers::Wide(out)) => segment_ids(row, &mut out[place]),
            Column::SegmentIds(Numbers::Narrow(out)) => segment_ids(row, &mut out[place]),
            Column::AttentionMask(Numbers::Wide(out)) => attention_mask(row, &mut out[place]),
            Column::AttentionMask(Numbers::Narrow(out)) => attention_mask(row, &mut out[place]),
            Column::BlockMask(out) => {
                block_mask(row, width, &mut out[place.start * width..place.end * width]);
            }
        }
    }
    wide.write(width, row);
    narrow.write(width, row);
}

/// Where the columns of a row go that most batches have; empty where they are not asked for.
#[derive(Default)]
struct Streams<'a, N> {
    ids: &'a mut [N],
    labels: &'a mut [N],
    positions: &'a mut [N],
}

impl<N: Number> Streams<'_, N> {
    /// Writes them side by side, block by block: one after the other, the processor would wait for the row in the
    /// first, and for its stores in the rest.
    #[inline(always)]
    fn write(self, width: usize, row: &Row<'_>) {
        if self.ids.len() + self.labels.len() + self.positions.len() == 0 {
            return;
        }
        let (mut tokens, mut masks) = (row.tokens.chunks(BLOCK), row.mask.chunks(BLOCK / 8));
        let (mut ids, mut labels) = (self.ids.chunks_mut(BLOCK), self.labels.chunks_mut(BLOCK));
        let mut positions = self.positions.chunks_mut(BLOCK);
        let mut segments = Segments { ends: row.ends.iter(), start: 0, end: 0, padding: false };
        for at in (0..width).step_by(BLOCK) {
            for line in (at + AHEAD..at + AHEAD + BLOCK).step_by(LINE) {
                match line.checked_sub(width) {
                    None => ask_for(row.tokens, line),
                    Some(line) => ask_for(row.next, line),
                }
            }
            let tokens = tokens.next().unwrap_or_default();
            if let Some(out) = ids.next() {
                write_ids(tokens, out);
            }
            if let (Some(out), Some(mask)) = (labels.next(), masks.next()) {
                write_labels(tokens, word(mask), out);
            }
            if let Some(out) = positions.next() {
                segments.write_positions(at, out);
            }
        }
        for (column, label) in row.exceptions {
            if let Some(out) = self.labels.get_mut(*column as usize) {
                *out = N::of(*label);
            }
        }
    }
}

/// The segments of a row, one after the other.
struct Segments<'a> {
    ends: std::slice::Iter<'a, u32>,
    start: usize,
    end: usize,
    /// There are no more.
    padding: bool,
}

impl Segments<'_> {
    /// Writes the positions from column `at` on, where the last call stopped.
    #[inline(always)]
    fn write_positions<N: Number>(&mut self, mut at: usize, mut out: &mut [N]) {
        while !out.is_empty() {
            if at == self.end {
                // Ends ascend and lie in the row: `PackedFile::segment_ends` looks.
                let end = self.ends.next();
                (self.start, self.end) = (at, end.map_or(usize::MAX, |end| *end as usize));
                self.padding = end.is_none();
            }
            let (own, rest) = out.split_at_mut(out.len().min(self.end - at));
            let first = at - self.start;
            at += own.len();
            if self.padding {
                own.fill(N::ZERO);
            } else {
                for (out, position) in own.iter_mut().zip(first..) {
                    #[allow(clippy::cast_possible_truncation)] // less than the end, of 32 bits
                    let position = position as u32;
                    *out = N::of(position);
                }
            }
            out = rest;
        }
    }
}

/// A word of the mask, of which the last bytes may be missing.
#[inline(always)]
fn word(mask: &[u8]) -> u64 {
    let whole = <[u8; BLOCK / 8]>::try_from(mask);
    whole.map_or_else(
        |_| mask.iter().rev().fold(0, |word, bits| word << 8 | u64::from(*bits)),
        u64::from_le_bytes,
    )
}

#[inline(always)]
fn write_ids<N: Number>(tokens: &[u32], out: &mut [N]) {
    for (out, token) in out.iter_mut().zip(tokens) {
        *out = N::of(*token);
    }
}

#[inline(always)]
fn write_labels<N: Number>(tokens: &[u32], mask: u64, out: &mut [N]) {
    match mask {
        u64::MAX => write_ids(tokens, out),
        0 => out.fill(N::IGNORED),
        _ => {
            for (i, (out, token)) in out.iter_mut().zip(tokens).enumerate() {
                *out = if mask >> i & 1 == 1 { N::of(*token) } else { N::IGNORED };
            }
        }
    }
}

#[inline(always)]
fn loss_mask(row: &Row<'_>, out: &mut [u8]) {
    for (out, bits) in out.chunks_exact_mut(8).zip(row.mask) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = bits >> i & 1;
        }
    }
}

/// Calls `fill` with the place of every segment and its number from 1, and last with the padding and 0.
#[inline(always)]
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

#[inline(always)]
fn segment_ids<N: Number>(row: &Row<'_>, out: &mut [N]) {
    by_segment(row, out, |out, number| out.fill(N::of(number)));
}

#[inline(always)]
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
