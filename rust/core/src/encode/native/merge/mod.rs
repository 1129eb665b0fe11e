//! The merges: the lowest rank first, the leftmost of equals first.

mod few;
mod linked;
mod lockstep;
mod parted;
mod slab;
mod sweep;
mod windows;

use super::borders::Borders;
use super::certain::Certain;
use super::lanes::{self, LANES};
use super::model::Source;
use super::pairs::Pairs;
use few::{FEW, merge_few};
use lockstep::{ALL, HALF, MergeRows};
pub(super) use lockstep::{MOST, PLACE_BITS, Rows};
use windows::Windows;

/// What is known of the merges.
#[derive(Clone, Copy)]
pub(super) struct Rules<'m> {
    pub(super) pairs: &'m Pairs,
    pub(super) certain: &'m Certain,
    pub(super) borders: &'m Borders,
    /// By id, the bytes of the token.
    pub(super) lengths: &'m [u32],
}

/// Bytes whose symbols are made at a time.
const CHUNK: usize = 1 << 14;

/// Merges symbols, and keeps what it needs for that from piece to piece.
#[derive(Default)]
pub(super) struct Merger {
    symbols: Vec<u32>,
    windows: Windows,
}

impl Merger {
    /// The symbols of a piece, or the first of many.
    pub(super) fn begin(&mut self, source: &mut Source<'_>) -> &[u32] {
        self.symbols.clear();
        source.append(CHUNK, &mut self.symbols);
        &self.symbols
    }

    /// Merges what has begun until no neighbours merge any more, and appends the ids that are left.
    pub(super) fn merge(&mut self, rules: Rules<'_>, mut source: Source<'_>, ids: &mut Vec<u32>) {
        loop {
            let is_all = source.is_done();
            if is_all && self.symbols.len() <= FEW {
                let symbols = rules.certain.merge(rules.pairs, &mut self.symbols);
                return merge_few(rules.pairs, symbols, |_, id| ids.push(id));
            }
            let merged = self.windows.merge(rules, &self.symbols, is_all, ids);
            if is_all {
                return;
            }
            self.symbols.drain(..merged);
            // What has no border is merged as a whole.
            source.append(if merged == 0 { usize::MAX } else { CHUNK }, &mut self.symbols);
        }
    }

    /// One huge piece must not hold its memory for the rest of the session.
    pub(super) fn shrink_to(&mut self, symbols: usize) {
        self.symbols.shrink_to(symbols);
    }
}

/// Rows below which lanes would be empty for the most part.
const WORTH: usize = 4;

/// Merges the symbols of at most 256 rows, those of about as many together.
#[allow(clippy::cast_possible_truncation)] // there are few
pub(super) fn merge_rows(rules: Rules<'_>, mut rows: Rows<'_>) {
    let mut ends = [0usize; MOST + 1];
    for count in &*rows.counts {
        ends[MOST - usize::from(*count)] += 1;
    }
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut order = [0; 256];
    for (number, count) in rows.counts.iter().enumerate() {
        let place = &mut ends[MOST - usize::from(*count)];
        order[*place] = number as u8;
        *place += 1;
    }
    for numbers in order[..rows.counts.len()].chunks(LANES) {
        let most = numbers.first().map_or(0, |number| rows.counts[usize::from(*number)]);
        let rows = &mut rows;
        if numbers.len() < WORTH || !lanes::pay() {
            for number in numbers {
                merge_row(rules, rows, usize::from(*number));
            }
        } else if usize::from(most) > MOST / 2 {
            lanes::in_wide_lanes(MergeRows::<ALL> { rules, rows, numbers });
        } else if rows.fresh {
            lanes::in_lanes(MergeRows::<HALF> { rules, rows, numbers });
        } else {
            lanes::in_wide_lanes(MergeRows::<HALF> { rules, rows, numbers });
        }
    }
}

/// Merges the symbols of one row.
fn merge_row(rules: Rules<'_>, rows: &mut Rows<'_>, number: usize) {
    let count = &mut rows.counts[number];
    let row = &mut rows.symbols[rows.starts[number] as usize..][..usize::from(*count)];
    let mut symbols = [0; MOST];
    let symbols = &mut symbols[..row.len()];
    symbols.copy_from_slice(row);
    *count = 0;
    merge_few(rules.pairs, rules.certain.merge(rules.pairs, symbols), |_, id| {
        row[usize::from(*count)] = id;
        *count += 1;
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::windows::tests::{one_by_one, random_merges};
    use super::*;
    use crate::encode::native::certain::id_of;
    use crate::encode::native::model::{Chars, Symbols};
    use crate::encode::native::tests::random::Numbers;

    /// What is known of merges among numbers, of which those that no merge makes are letters.
    pub(super) struct Made {
        pairs: Pairs,
        certain: Certain,
        borders: Borders,
        lengths: Vec<u32>,
        /// By id, the symbol.
        symbols: Vec<u32>,
    }

    impl Made {
        pub(super) fn of(merges: &[[u32; 3]]) -> Self {
            let count = merges.iter().flatten().max().map_or(0, |id| *id as usize + 1);
            let (mut first_use, mut ids) = (vec![u32::MAX; count], 0..);
            for (rank, [left, right, _]) in (0..).zip(merges) {
                for id in [left, right] {
                    first_use[*id as usize] = first_use[*id as usize].min(rank);
                }
            }
            let (mut chars, mut texts) = (Chars::new(None, None), Vec::<String>::new());
            texts.resize_with(count, || {
                let id: u32 = ids.next().unwrap();
                chars.insert(0x4E00 + id, id);
                char::from_u32(0x4E00 + id).unwrap().to_string()
            });
            // A token is made of others with lower ids.
            let mut by_id = merges.to_vec();
            by_id.sort_unstable_by_key(|[_, _, id]| *id);
            for [left, right, id] in by_id {
                texts[id as usize] = [&*texts[left as usize], &*texts[right as usize]].concat();
            }
            let lengths = texts.iter().map(|text| u32::try_from(text.chars().count()).unwrap()).collect();
            let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
            let (mut symbols, pairs) = (Symbols::Chars(Box::new(chars)), Pairs::new(merges).unwrap());
            symbols.number_letters(&first_use);
            let certain = Certain::new(&symbols, merges, &first_use, &texts);
            let borders = Borders::new(&symbols, &certain, &pairs, merges, &texts);
            let symbol = |id: usize| symbols.of_char(char::from_u32(0x4E00 + u32::try_from(id).unwrap())?);
            let symbols = (0..count).map(|id| symbol(id).unwrap()).collect();
            Self { pairs, certain, borders, lengths, symbols }
        }

        pub(super) fn rules(&self) -> Rules<'_> {
            let Self { pairs, certain, borders, lengths, .. } = self;
            Rules { pairs, certain, borders, lengths }
        }

        /// The symbols of letters. (Those that no merge knows are ids alone.)
        pub(super) fn symbols(&self, letters: &[u32]) -> Vec<u32> {
            letters.iter().map(|id| self.symbols.get(*id as usize).copied().unwrap_or(*id)).collect()
        }
    }

    #[test]
    fn rows_in_lanes_become_what_each_becomes_alone() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for _ in 0..400 {
            let letters = 1 + numbers.below(6);
            let merges = random_merges(&mut numbers, letters);
            let made = Made::of(&merges);
            let count = 1 + numbers.below(40);
            let most = if numbers.below(2) == 0 { MOST } else { MOST / 2 };
            let mut rows = vec![9; count * most];
            let (mut counts, mut expected) = (Vec::new(), Vec::new());
            for row in rows.chunks_mut(most) {
                let piece: Vec<u32> = (0..2 + numbers.below(most - 1))
                    .map(|_| u32::try_from(numbers.below(letters)).unwrap())
                    .collect();
                for (place, symbol) in row.iter_mut().zip(made.symbols(&piece)) {
                    // One that is no letter as well: its id alone.
                    *place = if numbers.below(9) == 0 { id_of(symbol) } else { symbol };
                }
                counts.push(u8::try_from(piece.len()).unwrap());
                expected.push(one_by_one(&merges, &piece));
            }
            let starts: Vec<u32> = (0..count).map(|row| u32::try_from(row * most).unwrap()).collect();
            let all = Rows { symbols: &mut rows, starts: &starts, counts: &mut counts, fresh: true };
            merge_rows(made.rules(), all);
            for ((row, count), expected) in rows.chunks(most).zip(&counts).zip(&expected) {
                assert_eq!(row[..usize::from(*count)], *expected, "{merges:?}");
            }
        }
    }
}
