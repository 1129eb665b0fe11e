//! **gather**: rows are filled from the spool as planned, and written block by block on all threads; or they are read
//! back, where a build that was stopped has written them.

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
use crate::spool::{END_LABEL, Fragment, ID, LOSS, Places, Spool};
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
    /// How many labels of each fragment are end-of-text; empty where none are.
    pub(super) end_labels: &'a [u32],
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

    /// For each of some rows, how many labels it has that are not their own token; empty where no row has any. (Only
    /// documents that are encoded by turn have such labels, and those are never cut.)
    pub(super) fn labels(&self, rows: Range<usize>) -> Vec<u32> {
        let labels_in = |slice: Slice| self.end_labels[self.draws.fragment(slice.piece) as usize];
        let rows = rows.filter(|_| !self.end_labels.is_empty());
        rows.map(|row| self.slices(row).map(labels_in).sum()).collect()
    }

    /// Makes some rows and writes them to a file. `written` is called after each block of them.
    pub(super) fn write(
        &self,
        rows: &FileRows,
        file: &RowWriter,
        written: impl Fn(Range<usize>) -> Result<()> + Sync,
    ) -> Result<Gathered> {
        self.each_block(rows, file, |filler, block| {
            filler.fill(block.clone())?;
            file.write_rows(&filler.block)?;
            written(block)
        })
    }

    /// Reads some rows back from the file that they were written to.
    ///
    /// # Errors
    /// As [`RowWriter::read_rows`].
    pub(super) fn read_back(&self, rows: &FileRows, file: &RowWriter) -> Result<Gathered> {
        self.each_block(rows, file, |filler, block| {
            filler.expect(block);
            file.read_rows(&mut filler.block)
        })
    }

    /// Has every block of some rows, by their numbers in the plan, brought into a filler on one of the threads, and
    /// counts what they hold.
    fn each_block(
        &self,
        rows: &FileRows,
        file: &RowWriter,
        bring: impl Fn(&mut Filler, Range<usize>) -> Result<()> + Sync,
    ) -> Result<Gathered> {
        let next = AtomicUsize::new(rows.wanted.start);
        let sum = Mutex::new(Gathered::nothing(self.inputs));
        let worker = || -> Result<()> {
            let mut filler = Filler { of: self, start: rows.start, block: RowBlock::default() };
            let mut counted = Gathered::nothing(self.inputs);
            loop {
                let first = next.fetch_add(file.block_rows(), Ordering::Relaxed);
                if first >= rows.wanted.end {
                    break;
                }
                self.monitor.check()?;
                let last = rows.wanted.end.min(first + file.block_rows());
                bring(&mut filler, first..last)?;
                counted.count(&filler.block, self.config.seq_len as usize);
                self.monitor.advance((last - first) as u64);
            }
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(&counted);
            Ok(())
        };
        std::thread::scope(|scope| {
            // After an error the others take no more blocks.
            let worker = || worker().inspect_err(|_| next.store(rows.wanted.end, Ordering::Relaxed));
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

    /// Counts what stands in a block, whatever that is.
    fn count(&mut self, block: &RowBlock, seq_len: usize) {
        let mut before = 0;
        for (&segments_end, mask) in block.row_ends.iter().zip(block.mask.chunks(seq_len / 8)) {
            let segments = block.segments.get(before..segments_end).unwrap_or_default();
            let (mut column, mut loss) = (0, 0);
            for segment in segments {
                let end = segment.end as usize;
                let counting = ones(mask, column..end);
                if let Some(placed) = self.by_input.get_mut(segment.input as usize) {
                    placed.tokens += end.saturating_sub(column) as u64;
                    placed.loss_tokens += counting;
                }
                loss += counting;
                column = end;
            }
            self.totals.add_row(seq_len, segments, loss);
            before = segments_end;
        }
    }
}

/// How many of some bits are set, the lowest of a byte being its first.
fn ones(bytes: &[u8], Range { start, end }: Range<usize>) -> u64 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    let in_its_byte = |end: usize| bytes.get(end / 8).map_or(0, |byte| sum(&[byte & !(0xFF << (end % 8))]));
    let whole = bytes.get(start / 8..end / 8).map_or(0, sum);
    (whole + in_its_byte(end)).saturating_sub(in_its_byte(start))
}

/// Rows of the plan in a file.
pub(super) struct FileRows {
    /// The row with which the file begins.
    pub(super) start: usize,
    /// Those that are meant: from the beginning of a block on.
    pub(super) wanted: Range<usize>,
}

struct Filler<'a> {
    of: &'a Gathering<'a>,
    /// The row with which the file begins.
    start: usize,
    block: RowBlock,
}

impl Filler<'_> {
    /// Lets the block be these rows of the plan, with as many segments as are planned.
    fn expect(&mut self, rows: Range<usize>) {
        let Self { of, start, block } = self;
        let first = of.rows.first_slice(rows.start);
        block.first_row = rows.start - *start;
        block.first_segment = first - of.rows.first_slice(*start);
        block.row_ends.clear();
        block.row_ends.extend(rows.map(|row| of.rows.first_slice(row + 1) - first));
    }

    /// Fills the block with these rows of the plan.
    fn fill(&mut self, rows: Range<usize>) -> Result<()> {
        let seq_len = self.of.config.seq_len as usize;
        self.expect(rows.clone());
        let block = &mut self.block;
        block.tokens.resize(rows.len() * seq_len, 0);
        block.mask.resize(rows.len() * seq_len / 8, 0);
        block.segments.clear();
        block.labels.clear();
        rows.enumerate().try_for_each(|(place, row)| self.fill_row(place, row))
    }

    /// Fills the row that has a place in the block.
    fn fill_row(&mut self, place: usize, row: usize) -> Result<()> {
        let Self { of, block, .. } = self;
        let Gathering { spool, places, draws, tokenizer, config, .. } = of;
        let seq_len = config.seq_len as usize;
        let at = place * seq_len;
        let row_in_file = block.first_row + place;
        let tokens = &mut block.tokens[at..at + seq_len];
        let mut column = 0;
        for slice in of.slices(row) {
            let end = column + slice.length as usize;
            let segment = &mut tokens[column..end];
            let fragment = spool.read(places.of(draws.fragment(slice.piece)), slice.start, segment)?;
            if !config.template.by_turn || slice.start > 0 {
                segment[0] &= !LOSS; // nothing of its own document stands before it
            }
            let start = fragment.start + slice.start;
            let cut = slice.start + slice.length < fragment.length;
            block.segments.push(Segment {
                end: u32::try_from(end).unwrap_or(u32::MAX),
                input: fragment.input,
                item: fragment.item,
                epoch: draws.epoch(slice.piece),
                start,
                flags: fragment.flags & !Fragment::NO_LOSS
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
        tokens[column..].fill(tokenizer.pad_id);
        let mask = &mut block.mask[at / 8..(at + seq_len) / 8];
        for (mask, tokens) in mask.iter_mut().zip(tokens.chunks_exact_mut(8)) {
            *mask = 0;
            for (bit, token) in tokens.iter_mut().enumerate() {
                *mask |= u8::from(*token & LOSS != 0) << bit;
                *token &= ID;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_between_any_two() {
        let bytes = [0b1010_0110, 0xFF, 0, 0b1000_0001];
        let bit = |at: usize| u64::from(bytes[at / 8] >> (at % 8) & 1);
        for start in 0..=32 {
            for end in start..=32 {
                assert_eq!(ones(&bytes, start..end), (start..end).map(bit).sum::<u64>(), "{start}..{end}");
            }
        }
        for hostile in [Range { start: 9, end: 3 }, 3..1000, 40..50, usize::MAX..usize::MAX] {
            ones(&bytes, hostile); // what was read back may say anything
        }
    }
}
