//! The merges of a long piece, part by part: between borders that no merge crosses.
//!
//! What is certain to merge is merged first, in symbols that stand side by side; among what is left, borders are where
//! nothing can be joined (see [`Borders`](super::super::borders::Borders)). What stands between two borders is merged for
//! itself, some borders further at a time, and many such rows in lockstep.

use super::lockstep::{MOST, Rows};
use super::slab::{SLAB, Slab};
use super::{Rules, merge_rows};

/// As many symbols are in the first slab, which may be for nothing.
const FIRST: usize = 128;
/// The most symbols of a row that ends at a border though there are more: many short rows take less time than few long ones. (Two
/// neighbours have more together, so a slab has at most 158 rows; no more than 256 can be merged at once.)
const ROW: usize = 12;
/// Ids that are copied at once.
const TOGETHER: usize = 16;

/// What it needs, kept from slab to slab.
#[derive(Default)]
pub(super) struct Parted {
    slab: Slab,
    /// Of rows among what is left of it: where each begins, and how many symbols it has.
    starts: Vec<u32>,
    counts: Vec<u8>,
}

impl Parted {
    /// Merges symbols from the front as far as there are borders near enough to each other, and says how many that are; none if
    /// what they begin with does not become `first`. Appends the ids. `is_all`: nothing comes behind them.
    pub(super) fn merge(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        is_all: bool,
        first: Option<u32>,
        ids: &mut Vec<u32>,
    ) -> usize {
        let before = ids.len();
        let mut at = 0;
        while at < symbols.len() {
            let rest = &symbols[at..];
            let size = rest.len().min(if at == 0 { FIRST } else { SLAB });
            let passed = self.merge_slab(rules, &rest[..size], is_all && size == rest.len(), ids);
            if at == 0 && first.is_some_and(|first| ids.get(before) != Some(&first)) {
                ids.truncate(before);
                return 0;
            }
            if passed == 0 {
                break;
            }
            at += passed;
        }
        at
    }

    /// Merges a slab up to its last border, or its end if it is the last, and says how many symbols that are.
    #[allow(clippy::cast_possible_truncation)] // few
    fn merge_slab(&mut self, rules: Rules<'_>, symbols: &[u32], is_last: bool, ids: &mut Vec<u32>) -> usize {
        let stop = self.slab.fill(rules, symbols, is_last);
        let mut at = 0;
        while at < stop {
            let ends = self.slab.ends(at) & u64::MAX >> (MOST - (stop - at).min(MOST));
            let near = ends & ((1 << ROW) - 1);
            let length = match (near, ends) {
                (0, 0) => break, // none is near enough
                (0, _) => ends.trailing_zeros() + 1,
                _ => u64::BITS - near.leading_zeros(),
            };
            self.starts.push(at as u32);
            self.counts.push(length as u8);
            at += length as usize;
        }
        self.merge_rows(rules, ids);
        self.slab.start(at)
    }

    /// Merges the rows and appends their ids.
    fn merge_rows(&mut self, rules: Rules<'_>, ids: &mut Vec<u32>) {
        let Self { slab: Slab { ids: symbols, .. }, starts, counts } = self;
        merge_rows(rules, Rows { symbols, starts, counts, fresh: false });
        let mut at = ids.len();
        let more: usize = counts.iter().map(|count| usize::from(*count)).sum();
        ids.resize(at + more + TOGETHER, 0);
        for (start, count) in starts.iter().zip(&*counts) {
            let (start, count) = (*start as usize, usize::from(*count));
            // As many as most have at most are copied faster than as many as there are.
            let some = count.max(TOGETHER);
            ids[at..at + some].copy_from_slice(&symbols[start..start + some]);
            at += count;
        }
        ids.truncate(at);
        starts.clear();
        counts.clear();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::super::tests::Made;
    use super::super::windows::tests::{one_by_one, random_merges};
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    #[test]
    fn what_is_passed_is_what_merging_one_by_one_gives() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        let (mut passed, mut parted) = ([0; 2], Parted::default());
        for round in 0..6000 {
            let letters = 2 + numbers.below(12);
            let merges = random_merges(&mut numbers, letters);
            let ids = |count: usize, numbers: &mut Numbers| -> Vec<u32> {
                (0..count).map(|_| u32::try_from(numbers.below(letters)).unwrap()).collect()
            };
            // Most of them short: it is the ends that are hard.
            let most = if round % 20 < 2 { 3000 } else { 30 };
            let (some, behind) = (1 + numbers.below(most), 1 + numbers.below(20));
            let (symbols, more) = (ids(some, &mut numbers), ids(behind, &mut numbers));
            let made = Made::of(&merges);
            // Whatever comes behind, it makes no difference to what is passed.
            let is_all = round % 2 == 0;
            let whole = if is_all { symbols.clone() } else { [&*symbols, &*more].concat() };
            let expected = one_by_one(&merges, &whole);
            let mut ids = vec![7];
            let count = parted.merge(made.rules(), &made.symbols(&symbols), is_all, None, &mut ids);
            assert_eq!(ids[1..], expected[..ids.len() - 1], "{merges:?} {symbols:?}");
            assert_eq!(made.length(&ids[1..]), count);
            passed[usize::from(is_all)] += count;
            // What does not begin as it is known to is not passed.
            ids.truncate(1);
            let first = Some(expected[0] + 1);
            assert_eq!(parted.merge(made.rules(), &made.symbols(&symbols), is_all, first, &mut ids), 0);
            assert_eq!(ids, [7]);
        }
        assert!(passed.iter().all(|passed| *passed > 100_000), "{passed:?}");
    }
}
