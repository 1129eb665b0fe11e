//! The order in which documents come.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The order in which documents come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As in the corpus: files by path, items as they stand.
    Corpus,
    /// Shuffled by the seed.
    Shuffle,
}

/// Puts fragments into order; those of one document stay together.
///
/// Shuffling sorts documents by XXH3-64 of their file's path and item index, keyed by the seed: the
/// order is the same on every machine, and does not depend on what else is in the corpus.
pub struct DocumentOrder {
    seed: u64,
    /// Of the inputs.
    path_hashes: Vec<u64>,
    /// With the index of the fragment; kept for a shuffle only.
    keys: Vec<(u64, u32)>,
    order: Order,
    count: u32,
}

impl DocumentOrder {
    /// `paths` are those of the inputs.
    pub fn new<'a>(order: Order, seed: u64, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let path_hashes = paths.into_iter().map(|path| xxh3_64(path.as_bytes())).collect();
        Self { seed, path_hashes, keys: Vec::new(), order, count: 0 }
    }

    /// Takes the next fragment in the order of the corpus: its input, and the index of its item there.
    pub fn push(&mut self, input: u32, item: u64) {
        if self.order == Order::Shuffle {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&self.path_hashes[input as usize].to_le_bytes());
            bytes[8..].copy_from_slice(&item.to_le_bytes());
            self.keys.push((xxh3_64_with_seed(&bytes, self.seed), self.count));
        }
        self.count += 1;
    }

    /// The indices of all fragments, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<u32> {
        if self.order == Order::Corpus {
            return (0..self.count).collect();
        }
        self.keys.sort_unstable(); // fragments of a document share a key and follow each other by index
        self.keys.into_iter().map(|(_, i)| i).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_depends_on_seed_and_names_alone() {
        let items: Vec<(u32, u64)> = (0..100).map(|i| (0, i)).chain((0..100).map(|i| (1, i / 2))).collect();
        let order = |seed, paths: [&str; 2], items: &[(u32, u64)]| -> Vec<(String, u64)> {
            let mut order = DocumentOrder::new(Order::Shuffle, seed, paths);
            for (input, item) in items {
                order.push(*input, *item);
            }
            let order = order.finish();
            let placed = order.iter().map(|i| items[*i as usize]);
            placed.map(|(input, item)| (paths[input as usize].into(), item)).collect()
        };
        let one = order(1, ["a", "b"], &items);
        assert_ne!(one, order(2, ["a", "b"], &items));
        let swapped: Vec<(u32, u64)> = items.iter().rev().map(|(input, item)| (1 - input, *item)).collect();
        assert_eq!(one, order(1, ["b", "a"], &swapped));
        let less: Vec<_> = one.iter().filter(|(path, _)| path == "a").cloned().collect();
        assert_eq!(less, order(1, ["a", "b"], &items[..100]));
        // The halves of a document stay together.
        let b: Vec<u64> = one.iter().filter(|(path, _)| path == "b").map(|(_, item)| *item).collect();
        assert!(b.chunks(2).all(|pair| pair[0] == pair[1]));
    }
}
