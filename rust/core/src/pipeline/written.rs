//! How far the rows of a build are written, and that this gets into its checkpoint.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::checkpoint::State;
use super::collect::Encoded;
use crate::error::{Error, Result};

/// The first rows of a build that is not whole yet: what one that goes on need not make again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowMark {
    /// Which rows are in which file. (Another size is no reason to refuse to go on: documents stay encoded.)
    pub(super) shard_size: Option<u64>,
    /// How many there are.
    pub(super) rows: usize,
    /// XXH3-128 of the hashes of these rows.
    hash: u128,
}

/// Rows that are in their files, in the order of the plan.
pub(super) struct Written {
    shard_size: Option<u64>,
    rows: usize,
    hasher: Xxh3,
    /// Blocks of rows that ended before some in front of them: their beginnings and ends.
    early: BTreeMap<usize, usize>,
}

impl Written {
    pub(super) fn nothing(shard_size: Option<u64>) -> Self {
        Self { shard_size, rows: 0, hasher: Xxh3::new(), early: BTreeMap::new() }
    }

    /// How many rows there are of which none is missing.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a block; `hashes` gives the hashes of rows.
    pub(super) fn add<I: Iterator<Item = u64>>(
        &mut self,
        block: Range<usize>,
        hashes: impl Fn(Range<usize>) -> I,
    ) {
        self.early.insert(block.start, block.end);
        while let Some(end) = self.early.remove(&self.rows) {
            hashes(self.rows..end).for_each(|hash| self.hasher.update(&hash.to_le_bytes()));
            self.rows = end;
        }
    }

    pub(super) fn mark(&self) -> RowMark {
        RowMark { shard_size: self.shard_size, rows: self.rows, hash: self.hasher.digest128() }
    }
}

/// Tells how far it is to who puts checkpoints on disk.
pub(super) struct Reporter<'a> {
    pub(super) encoded: &'a Encoded,
    pub(super) checkpoints: Sender<State>,
    /// How often; zero: after every block, whatever it costs (for tests).
    pub(super) every: Duration,
    pub(super) progress: Mutex<Progress>,
}

/// What has been done, and what has not been told yet.
pub(super) struct Progress {
    pub(super) written: Written,
    /// When it was told last.
    pub(super) told: Instant,
    /// Files that have been written to since then, the one at hand last.
    pub(super) touched: Vec<PathBuf>,
}

impl Reporter<'_> {
    /// How many rows there are of which none is missing.
    pub(super) fn rows(&self) -> usize {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).written.rows
    }

    pub(super) fn begin_file(&self, path: PathBuf) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).touched.push(path);
    }

    /// A block has been written.
    pub(super) fn add<I: Iterator<Item = u64>>(
        &self,
        block: Range<usize>,
        hashes: impl Fn(Range<usize>) -> I,
    ) -> Result<()> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.written.add(block, hashes);
        let busy = self.checkpoints.is_full() && !self.every.is_zero();
        if busy || progress.told.elapsed() < self.every {
            return Ok(());
        }
        let encoded = Encoded { rows: Some(progress.written.mark()), ..self.encoded.clone() };
        let current = progress.touched.last().cloned();
        let files = std::mem::replace(&mut progress.touched, current.into_iter().collect());
        progress.told = Instant::now();
        // Who takes them is gone only after an error, which is the one that counts.
        self.checkpoints.send(State { encoded, files }).map_err(|_| Error::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_from_the_first_on_however_blocks_end() {
        let hashes = |rows: Range<usize>| rows.map(|row| row as u64 * 3);
        let blocks = [0..4, 4..8, 8..9, 9..13];
        let mut in_order = Written::nothing(None);
        for block in &blocks {
            in_order.add(block.clone(), hashes);
        }
        let mut otherwise = Written::nothing(None);
        for (block, expected) in [(2, 0), (1, 0), (0, 9), (3, 13)] {
            otherwise.add(blocks[block].clone(), hashes);
            assert_eq!(otherwise.rows(), expected);
        }
        assert_eq!(in_order.mark(), otherwise.mark());
        let mut other = Written::nothing(None);
        other.add(0..13, |rows| rows.map(|row| row as u64 * 2));
        assert_ne!(other.mark(), in_order.mark());
    }
}
