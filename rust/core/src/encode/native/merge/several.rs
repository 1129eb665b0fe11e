//! Many short texts merged together, as those of all tokens are while a tokenizer loads.

use super::super::pairs::{NONE, Pairs};
use super::lockstep::{LastMerges, MOST, Rows};
use super::{LANES, ROWS, Rules, lanes, longest_first, merge_rows};

/// The symbols of at most [`Several::ROOM`] texts, and once they are merged their ids.
#[derive(Default)]
pub(in super::super) struct Several {
    symbols: Vec<u32>,
    starts: Vec<u32>,
    counts: Vec<u8>,
    ranks: Vec<u32>,
}

impl Several {
    pub(in super::super) const ROOM: usize = ROWS;
    /// The most symbols of a text.
    pub(in super::super) const MOST: usize = MOST;

    /// There are none any more.
    pub(in super::super) fn clear(&mut self) {
        self.symbols.clear();
        self.starts.clear();
        self.counts.clear();
    }

    /// Adds the first symbols of a text.
    #[allow(clippy::cast_possible_truncation)] // there are few
    pub(in super::super) fn add(&mut self, symbols: &[u32]) {
        let symbols = &symbols[..symbols.len().min(MOST)];
        self.starts.push(self.symbols.len() as u32);
        self.counts.push(symbols.len() as u8);
        self.symbols.extend_from_slice(symbols);
    }

    /// Merges them; of each, the ids.
    pub(in super::super) fn merge(&mut self, rules: Rules<'_>) -> impl Iterator<Item = &[u32]> {
        let Self { symbols, starts, counts, .. } = self;
        merge_rows(rules, Rows { symbols, starts, counts, fresh: true });
        let rows = self.starts.iter().zip(&self.counts);
        rows.map(|(start, count)| &self.symbols[*start as usize..][..usize::from(*count)])
    }

    /// Of each, at which rank the merge is made that makes it one id; [`NONE`] where none does.
    pub(in super::super) fn last_merges(&mut self, pairs: &Pairs) -> &[u32] {
        let Self { symbols, starts, counts, ranks } = self;
        ranks.clear();
        ranks.resize(counts.len(), NONE);
        let rows = &Rows { symbols, starts, counts, fresh: false };
        for numbers in longest_first(rows.counts)[..rows.counts.len()].chunks(LANES) {
            lanes::in_wide_lanes(LastMerges { pairs, rows, numbers, ranks });
        }
        ranks
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::super::tests::Made;
    use super::super::windows::tests::{one_by_one, random_merges};
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    /// At which rank merging one by one makes symbols one id, if it does.
    fn last_rank(merges: &[[u32; 3]], symbols: &[u32]) -> Option<usize> {
        let (mut ids, mut last) = (symbols.to_vec(), None);
        loop {
            let rank = |two: &[u32]| merges.iter().position(|[left, right, _]| two == [*left, *right]);
            let ranks = ids.windows(2).enumerate().filter_map(|(at, two)| Some((rank(two)?, at)));
            let Some((rank, at)) = ranks.min() else { return last.filter(|_| ids.len() == 1) };
            ids[at] = merges[rank][2];
            ids.remove(at + 1);
            last = Some(rank);
        }
    }

    #[test]
    fn of_several_each_becomes_what_it_becomes_alone() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        let (mut several, mut whole) = (Several::default(), [0; 2]);
        for _ in 0..300 {
            let letters = 1 + numbers.below(5);
            let merges = random_merges(&mut numbers, letters);
            let made = Made::of(&merges);
            // Texts of tokens, of which most become one id, and others.
            let mut texts: Vec<Vec<u32>> = Vec::new();
            for _ in 0..=numbers.below(60) {
                let most = if numbers.below(9) == 0 { Several::MOST } else { 4 };
                let length = 1 + numbers.below(most);
                let mut text: Vec<u32> =
                    (0..length).map(|_| u32::try_from(numbers.below(letters)).unwrap()).collect();
                if numbers.below(3) > 0 {
                    text = vec![merges.last().map_or(0, |merge| merge[numbers.below(3)])];
                    while let Some(at) = text.iter().position(|id| *id as usize >= letters) {
                        let parts = merges.iter().find(|merge| merge[2] == text[at]).unwrap();
                        text.splice(at..=at, parts[..2].iter().copied());
                    }
                    text.truncate(Several::MOST);
                }
                texts.push(text);
            }
            several.clear();
            for text in &texts {
                several.add(text);
            }
            let pairs = Pairs::new(&merges).unwrap();
            for (text, rank) in texts.iter().zip(several.last_merges(&pairs)) {
                let expected = last_rank(&merges, text).map_or(NONE, |rank| u32::try_from(rank).unwrap());
                assert_eq!(*rank, expected, "{text:?} {merges:?}");
                whole[usize::from(*rank != NONE)] += 1;
            }
            several.clear();
            for text in &texts {
                several.add(&made.symbols(text));
            }
            for (text, ids) in texts.iter().zip(several.merge(made.rules())) {
                assert_eq!(ids, one_by_one(&merges, text), "{text:?} {merges:?}");
            }
        }
        assert!(whole.iter().all(|count| *count > 1000), "{whole:?}");
    }
}
