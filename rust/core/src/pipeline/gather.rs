//! **gather**: rows are filled from the spool as planned, and written block by block on all threads.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::config::BuildConfig;
use super::encode::join;
use super::monitor::{Monitor, Stage};
use crate::error::Result;
use crate::file::{FileWriter, RowBlock, Segment, Totals};
use crate::plan::{Draws, Rows};
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

#[allow(clippy::too_many_arguments)] // what a row is made of
pub(super) fn gather(
    spool: &Spool,
    places: &Places,
    draws: &Draws,
    rows: &Rows,
    tokenizer: &TokenizerInfo,
    config: &BuildConfig,
    inputs: usize,
    writer: &FileWriter,
    monitor: &Monitor,
) -> Result<Gathered> {
    monitor.start(Stage::Write, rows.len() as u64);
    let next = AtomicUsize::new(0);
    let sum = Mutex::new(Gathered { totals: Totals::default(), by_input: vec![Placed::default(); inputs] });
    let worker = || -> Result<()> {
        let mut filler = Filler {
            spool,
            places,
            draws,
            rows,
            seq_len: config.seq_len,
            by_turn: config.template.by_turn,
            pad_id: tokenizer.pad_id,
            eos_id: tokenizer.eos_id,
            block: RowBlock::default(),
            counted: Gathered { totals: Totals::default(), by_input: vec![Placed::default(); inputs] },
        };
        loop {
            let first = next.fetch_add(writer.block_rows(), Ordering::Relaxed);
            if first >= rows.len() {
                break;
            }
            monitor.check()?;
            let last = rows.len().min(first + writer.block_rows());
            filler.fill(first, last)?;
            writer.write_rows(&filler.block)?;
            monitor.advance((last - first) as u64);
        }
        sum.lock().unwrap_or_else(PoisonError::into_inner).add(&filler.counted);
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..config.threads()).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(join)
    })?;
    Ok(sum.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl Gathered {
    fn add(&mut self, other: &Self) {
        let (mine, others) = (&mut self.totals, &other.totals);
        mine.rows += others.rows;
        mine.segments += others.segments;
        mine.tokens += others.tokens;
        mine.loss_tokens += others.loss_tokens;
        mine.padding += others.padding;
        mine.rows_without_loss += others.rows_without_loss;
        for (mine, others) in self.by_input.iter_mut().zip(&other.by_input) {
            mine.tokens += others.tokens;
            mine.loss_tokens += others.loss_tokens;
        }
    }
}

struct Filler<'a> {
    spool: &'a Spool,
    /// Where its fragments are.
    places: &'a Places,
    draws: &'a Draws,
    rows: &'a Rows,
    seq_len: u32,
    /// Whether the masks of first tokens are as they should be.
    by_turn: bool,
    pad_id: u32,
    eos_id: u32,
    block: RowBlock,
    counted: Gathered,
}

impl Filler<'_> {
    fn fill(&mut self, first: usize, last: usize) -> Result<()> {
        let (block, seq_len) = (&mut self.block, self.seq_len as usize);
        block.first_row = first;
        block.first_segment = self.rows.first_slice(first);
        block.tokens.resize((last - first) * seq_len, 0);
        block.mask.resize((last - first) * seq_len / 8, 0);
        block.segments.clear();
        block.labels.clear();
        block.row_ends.clear();
        for row in first..last {
            self.fill_row(row)?;
        }
        Ok(())
    }

    fn fill_row(&mut self, row: usize) -> Result<()> {
        let Self { spool, places, draws, rows, block, counted, .. } = self;
        let seq_len = self.seq_len as usize;
        let at = (row - block.first_row) * seq_len;
        let tokens = &mut block.tokens[at..at + seq_len];
        let mut column = 0;
        let mut loss = 0;
        for slice in rows.slices(row, self.seq_len, |draw| places.length(draws.fragment(draw))) {
            let end = column + slice.length as usize;
            let segment = &mut tokens[column..end];
            let fragment = spool.read(places.of(draws.fragment(slice.piece)), slice.start, segment)?;
            if !self.by_turn || slice.start > 0 {
                segment[0] &= !LOSS; // nothing of its own document stands before it
            }
            let counting = segment.iter().map(|token| u64::from(token >> 31)).sum::<u64>();
            let placed = &mut counted.by_input[fragment.input as usize];
            placed.tokens += u64::from(slice.length);
            placed.loss_tokens += counting;
            loss += counting;
            let start = fragment.start + slice.start;
            let cut = fragment.cut || slice.start + slice.length < fragment.length;
            block.segments.push(Segment {
                end: u32::try_from(end).unwrap_or(u32::MAX),
                input: fragment.input,
                item: fragment.item,
                epoch: draws.epoch(slice.piece),
                start,
                flags: if cut { Segment::CUT } else { 0 } | if start > 0 { Segment::CONTINUED } else { 0 },
            });
            if fragment.end_labels > 0 {
                let labelled = (column..).zip(segment.iter()).filter(|(_, token)| *token & END_LABEL != 0);
                block
                    .labels
                    .extend(labelled.map(|(column, _)| ((row * seq_len + column) as u64, self.eos_id)));
            }
            column = end;
        }
        block.row_ends.push(block.segments.len());
        tokens[column..].fill(self.pad_id);
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
