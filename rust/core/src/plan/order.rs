//! The order in which documents come.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::spool::Fragment;

/// The order in which documents come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As in the corpus: files by path, items as they stand.
    Corpus,
    /// Shuffled by the seed.
    Shuffle,
}

/// Lists the fragments in order; those of one document stay together.
///
/// Shuffling sorts documents by XXH3-64 of their file's path and item index, keyed by the seed: the
/// order is the same on every machine, and does not depend on what else is in the corpus.
pub fn document_order<S: AsRef<str>>(
    order: Order,
    seed: u64,
    fragments: &[Fragment],
    paths: &[S],
) -> Vec<u32> {
    let all = 0..u32::try_from(fragments.len()).unwrap_or(u32::MAX);
    if order == Order::Corpus {
        return all.collect();
    }
    let path_hashes: Vec<u64> = paths.iter().map(|path| xxh3_64(path.as_ref().as_bytes())).collect();
    let key = |fragment: &Fragment| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&path_hashes[fragment.input as usize].to_le_bytes());
        bytes[8..].copy_from_slice(&fragment.item.to_le_bytes());
        xxh3_64_with_seed(&bytes, seed)
    };
    let mut keyed: Vec<(u64, u32)> = all.map(|i| (key(&fragments[i as usize]), i)).collect();
    keyed.sort_unstable(); // fragments of a document share a key and follow each other by index
    keyed.into_iter().map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(items: &[(u32, u64)]) -> Vec<Fragment> {
        let fragment = |&(input, item)| Fragment { item, at: 0, length: 1, start: 0, input, cut: false };
        items.iter().map(fragment).collect()
    }

    #[test]
    fn a_shuffle_depends_on_seed_and_names_alone() {
        let items: Vec<(u32, u64)> = (0..100).map(|i| (0, i)).chain((0..100).map(|i| (1, i / 2))).collect();
        let order = |seed, paths: [&str; 2], items: &[(u32, u64)]| -> Vec<(String, u64)> {
            let fragments = fragments(items);
            let order = document_order(Order::Shuffle, seed, &fragments, &paths);
            order
                .iter()
                .map(|i| fragments[*i as usize])
                .map(|f| (paths[f.input as usize].into(), f.item))
                .collect()
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
