//! **gather**: rows are filled from the spool as planned, and written block by block on all threads.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::config::BuildConfig;
use super::encode::join;
use super::monitor::Monitor;
use crate::error::Result;
use crate::file::{RowBlock, RowWriter, Segment, Totals};
use crate::plan::{Draws, Rows, Slice};
use crate::spool::{END_LABEL, ID, LOSS, Places, Spool};
use crate::tokenizer::TokenizerInfo;

/// What stands in the rows, counted where it was placed.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered {
    pub(super) totals: Totals,
    pub(super) by_input: Vec<Placed>,
}

/// Tokens of one input in the rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Placed {
    pub(super) tokens: u64,
    pub(super) loss_tokens: u64,
}

/// What rows are made of.
pub(super) struct Gathering<'a> {
    pub(super) spool: &'a Spool,
    /// Where its fragments are.
    pub(super) places: &'a Places,
    /// Which of them stand in rows.
    pub(super) draws: &'a Draws,
    pub(super) rows: &'a Rows,
    pub(super) inputs: usize,
    pub(super) tokenizer: &'a TokenizerInfo,
    pub(super) config: &'a BuildConfig,
    pub(super) monitor: &'a Monitor,
}

impl Gathering<'_> {
    /// The slices of a row.
    fn slices(&self, row: usize) -> impl Iterator<Item = Slice> {
        let length = |draw| self.places.length(self.draws.fragment(draw));
        self.rows.slices(row, self.config.seq_len, length)
    }

    /// How many labels some rows have that are not their own token.
    pub(super) fn labels(&self, rows: Range<usize>) -> Result<u64> {
        let mut labels = 0;
        if self.config.template.by_turn {
            let mut tokens = Vec::new();
            for slice in rows.flat_map(|row| self.slices(row)) {
                tokens.resize(slice.length as usize, 0);
                self.spool.read(
                    self.places.of(self.draws.fragment(slice.piece)),
                    slice.start,
                    &mut tokens,
                )?;
                labels += tokens.iter().filter(|token| *token & END_LABEL != 0).count() as u64;
            }
        }
        Ok(labels)
    }

    /// Writes some rows to a file that holds just them.
    pub(super) fn write(&self, rows: &Range<usize>, file: &RowWriter) -> Result<Gathered> {
        let next = AtomicUsize::new(0);
        let sum = Mutex::new(Gathered::nothing(self.inputs));
        let worker = || -> Result<()> {
            let mut filler =
                Filler { of: self, block: RowBlock::default(), counted: Gathered::nothing(self.inputs) };
            loop {
                let first = next.fetch_add(file.block_rows(), Ordering::Relaxed);
                if first >= rows.len() {
                    break;
                }
                self.monitor.check()?;
                let last = rows.len().min(first + file.block_rows());
                filler.fill(rows.start, first..last)?;
                file.write_rows(&filler.block)?;
                self.monitor.advance((last - first) as u64);
            }
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(&filler.counted);
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.config.threads()).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().try_for_each(join)
        })?;
        Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gathered {
    pub(super) fn nothing(inputs: usize) -> Self {
        Self { totals: Totals::default(), by_input: vec![Placed::default(); inputs] }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.totals += other.totals;
        for (mine, others) in self.by_input.iter_mut().zip(&other.by_input) {
            mine.tokens += others.tokens;
            mine.loss_tokens += others.loss_tokens;
        }
    }
}

struct Filler<'a> {
    of: &'a Gathering<'a>,
    block: RowBlock,
    counted: Gathered,
}

impl Filler<'_> {
    /// Fills the block with rows of a file whose first row in the plan is `start`.
    fn fill(&mut self, start: usize, block_rows: Range<usize>) -> Result<()> {
        let rows = self.of.rows;
        let seq_len = self.of.config.seq_len as usize;
        let block = &mut self.block;
        block.first_row = block_rows.start;
        block.first_segment = rows.first_slice(start + block_rows.start) - rows.first_slice(start);
        block.tokens.resize(block_rows.len() * seq_len, 0);
        block.mask.resize(block_rows.len() * seq_len / 8, 0);
        block.segments.clear();
        block.labels.clear();
        block.row_ends.clear();
        for (place, row) in block_rows.enumerate() {
            self.fill_row(place, start + row)?;
        }
        Ok(())
    }

    /// Fills the row that has a place in the block.
    fn fill_row(&mut self, place: usize, row: usize) -> Result<()> {
        let Self { of, block, counted } = self;
        let Gathering { spool, places, draws, rows, tokenizer, config, .. } = of;
        let seq_len = config.seq_len as usize;
        let at = place * seq_len;
        let row_in_file = block.first_row + place;
        let tokens = &mut block.tokens[at..at + seq_len];
        let mut column = 0;
        let mut loss = 0;
        for slice in of.slices(row) {
            let end = column + slice.length as usize;
            let segment = &mut tokens[column..end];
            let fragment = spool.read(places.of(draws.fragment(slice.piece)), slice.start, segment)?;
            if !config.template.by_turn || slice.start > 0 {
                segment[0] &= !LOSS; // nothing of its own document stands before it
            }
            let counting = segment.iter().map(|token| u64::from(token >> 31)).sum::<u64>();
            let placed = &mut counted.by_input[fragment.input as usize];
            placed.tokens += u64::from(slice.length);
            placed.loss_tokens += counting;
            loss += counting;
            let start = fragment.start + slice.start;
            let cut = slice.start + slice.length < fragment.length;
            block.segments.push(Segment {
                end: u32::try_from(end).unwrap_or(u32::MAX),
                input: fragment.input,
                item: fragment.item,
                epoch: draws.epoch(slice.piece),
                start,
                flags: fragment.flags
                    | if cut { Segment::CUT } else { 0 }
                    | if start > 0 { Segment::CONTINUED } else { 0 },
            });
            if fragment.end_labels > 0 {
                let labelled = (column..).zip(segment.iter()).filter(|(_, token)| *token & END_LABEL != 0);
                let label = |(column, _)| ((row_in_file * seq_len + column) as u64, tokenizer.eos_id);
                block.labels.extend(labelled.map(label));
            }
            column = end;
        }
        block.row_ends.push(block.segments.len());
        tokens[column..].fill(tokenizer.pad_id);
        let mask = &mut block.mask[at / 8..(at + seq_len) / 8];
        for (mask, tokens) in mask.iter_mut().zip(tokens.chunks_exact_mut(8)) {
            *mask = 0;
            for (bit, token) in tokens.iter_mut().enumerate() {
                *mask |= u8::from(*token & LOSS != 0) << bit;
                *token &= ID;
            }
        }
        let totals = &mut counted.totals;
        totals.rows += 1;
        totals.segments += (rows.first_slice(row + 1) - rows.first_slice(row)) as u64;
        totals.tokens += column as u64;
        totals.padding += (seq_len - column) as u64;
        totals.loss_tokens += loss;
        totals.rows_without_loss += u64::from(loss == 0);
        Ok(())
    }
}
