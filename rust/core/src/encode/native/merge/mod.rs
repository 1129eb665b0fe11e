//! The merges: the lowest rank first, the leftmost of equals first.

mod few;
mod lockstep;
mod parted;
mod recent;
mod several;
mod slab;
mod sweep;
mod waves;
mod windows;

use super::certain::Certain;
use super::lanes::{self, LANES};
use super::model::Source;
use super::neighbours::Neighbours;
use super::pairs::Pairs;
use few::{FEW, merge_few};
use lockstep::{ALL, HALF, MOST, MergeRows};
pub(super) use lockstep::{PLACE_BITS, Rows};
pub(super) use several::Several;
pub(super) use waves::taken;
use windows::{ENOUGH, Windows};

/// What is known of the merges.
#[derive(Clone, Copy)]
pub(super) struct Rules<'m> {
    pub(super) pairs: &'m Pairs,
    pub(super) certain: &'m Certain,
    pub(super) neighbours: &'m Neighbours,
    /// By rank, when something takes what the merge makes (see [`taken`]).
    pub(super) taken: &'m [u32],
}

/// Bytes whose symbols are made at a time. (In tests few, so that there are several times.)
const CHUNK: usize = if cfg!(test) { 1 << 9 } else { 1 << 15 };

/// Symbols for which there is room from the beginning. (Room that grows from little may begin in what another thread has
/// given back, and then waits for that thread's share of memory whenever it grows.)
const ROOM: usize = 512;

/// Merges symbols, always by the same rules, and keeps what it needs for that from piece to piece.
pub(super) struct Merger {
    symbols: Vec<u32>,
    windows: Windows,
}

impl Default for Merger {
    fn default() -> Self {
        Self { symbols: Vec::with_capacity(ROOM), windows: Windows::default() }
    }
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
            let has_none = merged == 0 && self.symbols.len() >= ENOUGH;
            source.append(if has_none { usize::MAX } else { CHUNK }, &mut self.symbols);
        }
    }

    /// One huge piece must not hold its memory for the rest of the session.
    pub(super) fn shrink_to(&mut self, symbols: usize) {
        self.symbols.clear();
        self.symbols.shrink_to(symbols);
    }
}

/// Rows below which lanes would be empty for the most part.
const WORTH: usize = 4;

/// Rows that are merged together at most.
const ROWS: usize = 256;

/// The numbers of at most [`ROWS`] rows, those of most symbols first.
#[allow(clippy::cast_possible_truncation)] // there are few
fn longest_first(counts: &[u8]) -> [u8; ROWS] {
    let mut ends = [0usize; MOST + 1];
    for count in counts {
        ends[MOST - usize::from(*count)] += 1;
    }
    let mut start = 0;
    for end in &mut ends {
        start += std::mem::replace(end, start);
    }
    let mut order = [0; ROWS];
    for (number, count) in counts.iter().enumerate() {
        let place = &mut ends[MOST - usize::from(*count)];
        order[*place] = number as u8;
        *place += 1;
    }
    order
}

/// Merges the symbols of at most [`ROWS`] rows, those of about as many together.
pub(super) fn merge_rows(rules: Rules<'_>, mut rows: Rows<'_>) {
    let (pairs, order) = (rules.pairs, longest_first(rows.counts));
    for numbers in order[..rows.counts.len()].chunks(LANES) {
        let most = numbers.first().map_or(0, |number| rows.counts[usize::from(*number)]);
        let rows = &mut rows;
        if numbers.len() < WORTH || !lanes::pay() {
            for number in numbers {
                merge_row(rules, rows, usize::from(*number));
            }
        } else if usize::from(most) > MOST / 2 {
            lanes::in_wide_lanes(MergeRows::<ALL> { pairs, rows, numbers });
        } else if rows.fresh {
            // New words: what is around them is slower with wider vectors.
            lanes::in_lanes(MergeRows::<HALF> { pairs, rows, numbers });
        } else {
            lanes::in_wide_lanes(MergeRows::<HALF> { pairs, rows, numbers });
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
    let symbols = if rows.fresh { rules.certain.merge(rules.pairs, symbols) } else { symbols };
    *count = 0;
    merge_few(rules.pairs, symbols, |_, id| {
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
    use crate::encode::native::chars::{Formed, Outside};
    use crate::encode::native::joins::Joins;
    use crate::encode::native::model::{Chars, Symbols};
    use crate::encode::native::tests::random::Numbers;
    use crate::encode::native::vocab::Vocab;

    /// What is known of merges among numbers, of which those that no merge makes are letters.
    pub(super) struct Made {
        pairs: Pairs,
        certain: Certain,
        neighbours: Neighbours,
        taken: Vec<u32>,
        lengths: Vec<u32>,
        /// By id, the symbol.
        symbols: Vec<u32>,
    }

    /// By id, of so many, the lowest rank that takes it.
    fn first_use(merges: &[[u32; 3]], count: usize) -> Vec<u32> {
        let mut first_use = vec![u32::MAX; count];
        for (rank, [left, right, _]) in (0..).zip(merges) {
            for id in [left, right] {
                first_use[*id as usize] = first_use[*id as usize].min(rank);
            }
        }
        first_use
    }

    impl Made {
        pub(super) fn of(merges: &[[u32; 3]]) -> Self {
            let count = merges.iter().flatten().max().map_or(0, |id| *id as usize + 1);
            let (first_use, mut ids) = (first_use(merges, count), 0..);
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
            let mut vocab = Vocab::with_capacity(0, 0);
            (0..).zip(&texts).for_each(|(id, text)| assert!(vocab.insert(text, id)));
            let neighbours = Neighbours::new(&vocab, merges, &first_use, &texts, false);
            let symbol = |id: usize| symbols.of_char(char::from_u32(0x4E00 + u32::try_from(id).unwrap())?);
            let symbols = (0..count).map(|id| symbol(id).unwrap()).collect();
            let taken = taken(merges, &first_use);
            Self { pairs, certain, neighbours, taken, lengths, symbols }
        }

        pub(super) fn rules(&self) -> Rules<'_> {
            let Self { pairs, certain, neighbours, taken, .. } = self;
            Rules { pairs, certain, neighbours, taken }
        }

        /// How many letters tokens are made of.
        pub(super) fn length(&self, ids: &[u32]) -> usize {
            ids.iter().map(|id| self.lengths.get(*id as usize).map_or(1, |length| *length as usize)).sum()
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

    /// Tokens of bytes that stand side by side in a text, whatever characters they belong to, each made of two others.
    fn random_byte_merges(numbers: &mut Numbers, text: &[u8]) -> (Vec<[u32; 3]>, Vec<Vec<u8>>) {
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        let mut merges: Vec<[u32; 3]> = Vec::new();
        for _ in 0..numbers.below(200) {
            let (start, length) = (numbers.below(text.len() - 8), 2 + numbers.below(5));
            let token = &text[start..start + length];
            let id = |part: &[u8]| tokens.iter().position(|token| token == part);
            let (left, right) = token.split_at(1 + numbers.below(length - 1));
            if let (None, Some(left), Some(right)) = (id(token), id(left), id(right)) {
                let [left, right, made] = [left, right, tokens.len()].map(|id| u32::try_from(id).unwrap());
                // Mostly in the order in which they are found, as in real vocabularies.
                let rank = if numbers.below(3) == 0 { numbers.below(merges.len() + 1) } else { merges.len() };
                merges.insert(rank, [left, right, made]);
                tokens.push(token.to_vec());
            }
        }
        (merges, tokens)
    }

    #[test]
    fn long_pieces_of_bytes_become_what_merging_one_by_one_gives() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for _ in 0..600 {
            let mut merger = Merger::default();
            let characters: Vec<char> = " abéêकख中文😀".chars().collect();
            let characters = &characters[..2 + numbers.below(characters.len() - 1)];
            let text: String =
                (0..100 + numbers.below(900)).map(|_| characters[numbers.below(characters.len())]).collect();
            let (merges, tokens) = random_byte_merges(&mut numbers, text.as_bytes());
            let tokens: Vec<&[u8]> = tokens.iter().map(Vec::as_slice).collect();
            let (first_use, mut joins) = (first_use(&merges, tokens.len()), Joins::new(false));
            for [_, _, made] in &merges {
                joins.add_token(tokens[*made as usize]);
            }
            let bytes: Box<[u32; 256]> = Box::new(std::array::from_fn(|byte| u32::try_from(byte).unwrap()));
            let (pairs, outside) = (Pairs::new(&merges).unwrap(), Outside::new(&merges, &tokens));
            let formed = Formed::new(&bytes, &pairs, &first_use, &outside, joins.touched());
            let mut symbols = Symbols::Bytes(bytes, formed);
            symbols.number_letters(&first_use);
            let certain = Certain::new(&symbols, &merges, &first_use, &tokens);
            let mut vocab = Vocab::with_capacity(0, 0);
            (0..).zip(&tokens).for_each(|(id, token)| assert!(vocab.insert(token, id)));
            let neighbours = Neighbours::new(&vocab, &merges, &first_use, &tokens, true);
            let taken = taken(&merges, &first_use);
            let rules = Rules { pairs: &pairs, certain: &certain, neighbours: &neighbours, taken: &taken };
            let mut source = symbols.source(text.as_bytes());
            let mut ids = Vec::new();
            merger.begin(&mut source);
            merger.merge(rules, source, &mut ids);
            let letters: Vec<u32> = text.bytes().map(u32::from).collect();
            assert_eq!(ids, one_by_one(&merges, &letters), "{text:?} {merges:?}");
        }
    }
}
