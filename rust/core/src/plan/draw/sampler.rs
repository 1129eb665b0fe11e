//! Collects what could be drawn, and draws.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::documents::Documents;
use super::{Draws, Order, Share, Target, limits, proportions, times};
use crate::error::Result;
use crate::plan::portable::ln;
use crate::plan::too_many;

/// A fragment that comes at a place of the order, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Smaller ones come first.
    pub(super) value: u64,
    pub(super) epoch: u32,
    pub(super) fragment: u32,
}

/// Collects the fragments of a corpus, and puts what is drawn of them into order; fragments of one document stay
/// together.
///
/// Documents are told apart by the hash (XXH3-64, keyed by the seed) of their file's path, the item's index and the
/// repetition. The order is the same on every machine, and what a document's place is decided by does not depend on
/// what else is in the corpus. A shuffle sorts by the hash; priorities sort by -ln(hash) / priority, which is drawing
/// without replacement (Efraimidis and Spirakis 2006).
pub struct Sampler<'a> {
    order: Order,
    seed: u64,
    shares: &'a [Share],
    /// Of the inputs.
    path_hashes: Vec<u64>,
    /// By group; one for all but [`Order::Proportions`].
    keys: Vec<Vec<Key>>,
    documents: Documents,
}

impl<'a> Sampler<'a> {
    /// `shares` and `paths` are those of the inputs.
    pub fn new<'p>(
        order: Order,
        seed: u64,
        shares: &'a [Share],
        paths: impl IntoIterator<Item = &'p str>,
    ) -> Self {
        let path_hashes: Vec<u64> = paths.into_iter().map(|path| xxh3_64(path.as_bytes())).collect();
        let groups = match order {
            Order::Proportions => shares.iter().map(|share| share.group + 1).max().unwrap_or(1),
            _ => 1,
        };
        Self {
            order,
            seed,
            shares,
            documents: Documents::new(path_hashes.len()),
            path_hashes,
            keys: vec![Vec::new(); groups],
        }
    }

    /// Takes the next fragment in the order of the corpus: its input, and the index of its item there.
    pub fn push(&mut self, input: u32, item: u64) {
        let fragment = self.documents.push(input, item);
        if self.takes_all_in_order() {
            return;
        }
        let share = &self.shares[input as usize];
        let (group, times) = match self.order {
            // How much of the last repetition is wanted, tokens will tell.
            Order::Proportions => (share.group, times(0, share.epochs.ceil())),
            _ => (0, times(item, share.epochs)),
        };
        for epoch in 0..times {
            let hash = || self.hash(input, item, epoch);
            let key = match self.order {
                Order::Corpus | Order::File => 0,
                Order::Shuffle | Order::Proportions => hash(),
                Order::Priority => waiting_time(hash(), share.priority),
            };
            self.keys[group].push(Key { value: key, epoch, fragment });
        }
    }

    /// Nothing has to be kept to know the order.
    fn takes_all_in_order(&self) -> bool {
        let once = |share: &Share| share.epochs.to_bits() == 1.0f64.to_bits();
        self.order == Order::Corpus && self.shares.iter().all(once)
    }

    fn hash(&self, input: u32, item: u64, epoch: u32) -> u64 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.path_hashes[input as usize].to_le_bytes());
        bytes[8..16].copy_from_slice(&item.to_le_bytes());
        bytes[16..].copy_from_slice(&u64::from(epoch).to_le_bytes());
        xxh3_64_with_seed(if epoch == 0 { &bytes[..16] } else { &bytes }, self.seed)
    }

    /// All that is drawn, in order. `lengths` are those of the fragments.
    ///
    /// # Errors
    /// When there is too much of it, or less than the target asks for.
    pub fn finish(mut self, lengths: &[u32], target: &Target) -> Result<Draws> {
        let draws = if self.takes_all_in_order() {
            Draws::new((0..self.documents.fragments()).collect(), Vec::new())
        } else {
            if self.order == Order::Proportions {
                proportions::keep(&mut self.keys, self.shares, target, &self.documents, lengths)?;
            }
            let mut all = self.keys.pop().unwrap_or_default();
            for mut keys in self.keys {
                all.append(&mut keys);
            }
            all.sort_unstable();
            if all.len() >= u32::MAX as usize {
                return Err(too_many(all.len() as u64));
            }
            let repeats = all.iter().any(|key| key.epoch > 0);
            let epochs = if repeats { all.iter().map(|key| key.epoch).collect() } else { Vec::new() };
            Draws { fragments: all.iter().map(|key| key.fragment).collect(), epochs }
        };
        Ok(if self.shares.iter().any(|share| share.limit.is_some()) {
            limits::keep(&draws, self.shares, &self.documents, lengths)
        } else {
            draws
        })
    }
}

/// How long a document waits for its turn: exponentially distributed, with its priority as the rate. The bits of
/// a positive number are in the order of numbers.
#[allow(clippy::cast_precision_loss)] // 52 bits are exact
fn waiting_time(hash: u64, priority: f64) -> u64 {
    let uniform = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64; // exact, and never 0 or 1
    (-ln(uniform) / priority).to_bits()
}
