//! The pairs that were looked up last, so near that to look one up again takes a third of the time.
//!
//! Text of few letters asks for the same few hundred pairs over and over, and mostly for such as do not merge. The table of all
//! pairs is read three times for each, this once.

use super::super::lanes::{LANES, Lanes};
use super::super::pairs::{MAX_ID, Pairs, entries_in_lanes, entry_of, hash_in_lanes};
use super::lockstep::NO_MERGE;

/// How many there are, as a power of two: 64 KiB.
const SIZE: u32 = 13;

/// Pairs by hash, of which those that meet take turns, with the ranks at which they merge, if they do. All are of one table.
pub(super) struct Recent {
    entries: Vec<u64>,
    /// How many times one of those asked for at once was not there.
    pub(super) missed: usize,
}

impl Recent {
    pub(super) fn new() -> Self {
        // What is zero says of the pair of 0 and 0, which is looked for in the first place alone, that it does not merge.
        let mut entries = vec![0; 1 << SIZE];
        entries[0] = entry_of(1, 0, NO_MERGE);
        Self { entries, missed: 0 }
    }

    /// The ranks of pairs, as [`Ranks::in_lanes`](super::super::pairs::Ranks::in_lanes) gives them.
    #[inline(always)]
    pub(super) fn in_lanes<L: Lanes, const N: usize>(
        &mut self,
        pairs: &Pairs,
        left: &[L; N],
        right: &[L; N],
    ) -> [L; N] {
        let (no_merge, ids) = (L::splat(NO_MERGE), L::small(MAX_ID as usize + 1));
        let (mut slots, mut orders, mut new) = ([no_merge; N], [no_merge; N], [0; N]);
        for n in 0..N {
            slots[n] = hash_in_lanes(left[n], right[n]).shr::<{ u32::BITS - SIZE }>();
            let are_ids = L::both(left[n].below(ids), right[n].below(ids));
            let entries = L::gather_halves(&self.entries, slots[n], are_ids);
            let (same, order) = entries_in_lanes(entries, left[n], right[n]);
            orders[n] = L::select(are_ids, order, no_merge);
            new[n] = L::bits(are_ids) & !L::bits(same);
        }
        if new != [0; N] {
            self.missed += 1;
            orders = pairs.ranks().in_lanes(left, right);
            for n in 0..N {
                let [slots, orders] = [slots[n], orders[n]].map(L::to_array);
                let [left, right] = [left[n], right[n]].map(L::to_array);
                for lane in (0..LANES).filter(|lane| new[n] >> lane & 1 != 0) {
                    self.entries[slots[lane] as usize] = entry_of(left[lane], right[lane], orders[lane]);
                }
            }
        }
        orders
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lanes::{InLanes, in_lanes, in_wide_lanes};
    use super::super::super::pairs::NONE;
    use super::super::windows::tests::random_merges;
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    struct LookUp<'l> {
        recent: &'l mut Recent,
        pairs: &'l Pairs,
        left: &'l [u32],
        right: &'l [u32],
    }

    impl InLanes for LookUp<'_> {
        #[inline(always)]
        fn run<L: Lanes>(self) {
            for (left, right) in self.left.chunks_exact(2 * LANES).zip(self.right.chunks_exact(2 * LANES)) {
                let both = |ids: &[u32]| -> [L; 2] {
                    [0, LANES].map(|at| L::from_array(ids[at..].first_chunk().expect("there are as many")))
                };
                let [left, right] = [left, right].map(both);
                let orders = self.recent.in_lanes(self.pairs, &left, &right).map(L::to_array);
                let expected = self.pairs.ranks().in_lanes(&left, &right).map(L::to_array);
                assert_eq!(orders, expected);
            }
        }
    }

    #[test]
    fn what_is_remembered_of_pairs_is_what_the_table_has() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for round in 0..200 {
            let merges = random_merges(&mut numbers, 1 + round % 5);
            let pairs = Pairs::new(&merges).expect("they fit");
            let mut recent = Recent::new();
            // Some often, some of all there are, and none.
            let most = if round % 2 == 0 { 8 } else { MAX_ID as usize + 1 };
            let mut ids = || -> Vec<u32> {
                let id = |numbers: &mut Numbers| match numbers.below(9) {
                    0 => NONE,
                    1 => u32::try_from(numbers.below(2)).unwrap_or(NONE),
                    _ => u32::try_from(numbers.below(most)).unwrap_or(NONE),
                };
                (0..LANES * 64).map(|_| id(&mut numbers)).collect()
            };
            let (left, right) = (ids(), ids());
            in_lanes(LookUp { recent: &mut recent, pairs: &pairs, left: &left, right: &right });
            in_wide_lanes(LookUp { recent: &mut recent, pairs: &pairs, left: &left, right: &right });
        }
    }
}
