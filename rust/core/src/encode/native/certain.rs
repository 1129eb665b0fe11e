//! Merges that are certain from the letters around them, made all at once before any is looked for.
//!
//! Let a and b be neighbours that merge at rank r, with p before and c behind them. Before rank r is reached, a could be
//! taken by a merge of something that ends in p with a, and b by one of b with something that begins with c, by nothing
//! else. If all those of the vocabulary rank after r, both are still there when r comes, and merge. That it happens
//! earlier makes no difference unless what they become could merge at a lower rank. About half of the merges of a new word
//! are of this kind, and what one has to know for them is a table of pairs of letters: characters, and bytes of those that are
//! not one symbol from the start. (Words that are merged sixteen at a time do without: there it costs what it saves.)

use super::lanes::Lanes;
use super::model::{Part, Symbols};
use super::pairs::{MAX_ID, NONE, Pairs};
use crate::memory::Words;

/// How many letters the table knows, with one that stands for all that it does not know, number 0.
pub(super) const LETTERS: usize = 512;
/// Where a symbol has the number of its letter, above its id; 0 if it is none.
const LETTER_SHIFT: u32 = 20;

/// What is known of two letters side by side, a and b: three ranks in one word, as how early each is, so that no rank is 0.
#[derive(Clone, Copy, Default)]
struct Two {
    /// At which they merge, if nothing takes what they become before.
    rank: u32,
    /// The lowest at which something that ends in a merges with b.
    before: u32,
    /// The lowest at which a merges with something that begins with b.
    behind: u32,
}

/// The bits of a rank in a word.
pub(super) const RANK_BITS: u32 = 21;
/// As early as the first rank; for later ones so much less. Ranks from this on count as none.
pub(super) const EARLIEST: u32 = (1 << RANK_BITS) - 1;

/// How early a rank is.
pub(super) fn early(rank: u32) -> u32 {
    EARLIEST.saturating_sub(rank)
}

/// The same in lanes.
#[inline(always)]
pub(super) fn early_in_lanes<L: Lanes>(rank: L) -> L {
    rank.min(L::splat(EARLIEST)).xor(L::splat(EARLIEST)) // a difference, as in `made_in_lanes`
}

impl Two {
    fn of(word: u64) -> Self {
        #[allow(clippy::cast_possible_truncation)] // bits of a rank
        let part = |number: u32| (word >> (number * RANK_BITS)) as u32 & EARLIEST;
        Self { rank: part(0), before: part(1), behind: part(2) }
    }

    fn word(self) -> u64 {
        let part = |early: u32, number: u32| u64::from(early) << (number * RANK_BITS);
        part(self.rank, 0) | part(self.before, 1) | part(self.behind, 2)
    }
}

/// The table.
pub(super) struct Certain {
    words: Words,
}

/// The symbol of a letter with this number, from 1 on.
pub(super) fn numbered(number: u32, id: u32) -> u32 {
    number << LETTER_SHIFT | id
}

/// The id of a symbol.
#[inline]
pub(super) fn id_of(symbol: u32) -> u32 {
    symbol & MAX_ID
}

/// Where the table has two symbols.
#[inline]
fn place_of(left: u32, right: u32) -> usize {
    let number = |symbol: u32| (symbol >> LETTER_SHIFT) as usize % LETTERS;
    place_of_numbers(number(left), number(right))
}

/// Letters are numbered by how early they merge, so those of one text are near each other. Sixteen by sixteen they share a
/// page of memory: what is asked for of pages that are far is waited for twice, for where they are and for what they hold.
#[inline]
fn place_of_numbers(left: usize, right: usize) -> usize {
    (left / 16 * (LETTERS / 16) + right / 16) * 256 + left % 16 * 16 + right % 16
}

impl Certain {
    /// `merges`: both tokens and what they become, by rank; `first_use`: by id, the lowest rank that takes it;
    /// `tokens`: by id, its bytes.
    pub(super) fn new(symbols: &Symbols, merges: &[[u32; 3]], first_use: &[u32], tokens: &[&[u8]]) -> Self {
        let mut certain = Self { words: Words::zeroed(LETTERS * LETTERS) };
        let table = certain.words.get_mut();
        // Beside what is no letter nothing is certain.
        for other in 0..LETTERS {
            for place in [place_of_numbers(0, other), place_of_numbers(other, 0)] {
                table[place] = Two { rank: 0, before: EARLIEST, behind: EARLIEST }.word();
            }
        }
        let is_letter = |part: &Part| part.symbol > MAX_ID;
        let mut change = |place: usize, change: &dyn Fn(&mut Two)| {
            let mut two = Two::of(table[place]);
            change(&mut two);
            table[place] = two.word();
        };
        for (rank, &[left, right, result]) in (0u32..).zip(merges) {
            let early = early(rank);
            let letter = |id: u32| {
                let token = tokens[id as usize];
                let is_whole = |part: &Part| part.length == token.len() && id_of(part.symbol) == id;
                symbols.first_of(token).find(|part| is_whole(part) && is_letter(part)).map(|part| part.symbol)
            };
            let [of_left, of_right] = [left, right].map(letter);
            if let Some(right) = of_right {
                for last in symbols.last_of(tokens[left as usize]).filter(is_letter) {
                    change(place_of(last.symbol, right), &|two| two.before = two.before.max(early));
                }
            }
            if let Some(left) = of_left {
                for first in symbols.first_of(tokens[right as usize]).filter(is_letter) {
                    change(place_of(left, first.symbol), &|two| two.behind = two.behind.max(early));
                }
            }
            if let (Some(left), Some(right)) = (of_left, of_right) {
                let taken = first_use.get(result as usize).copied().unwrap_or(NONE);
                change(place_of(left, right), &|two| two.rank = if taken >= rank { early } else { 0 });
            }
        }
        certain
    }

    /// What is known of neighbours in lanes, nothing where there is no right one: how early they merge, the earliest before, and the
    /// earliest behind.
    #[inline(always)]
    pub(super) fn two_in_lanes<L: Lanes>(&self, left: L, right: L) -> [L; 3] {
        let number = |symbol: L| symbol.shr::<LETTER_SHIFT>().and(L::small(LETTERS - 1));
        let (left, other) = (number(left), number(right));
        let fifteen = L::splat(15);
        let tile = left.shr::<4>().shl::<5>().add(other.shr::<4>());
        let place = tile.shl::<8>().or(left.and(fifteen).shl::<4>()).or(other.and(fifteen));
        let (low, high) = L::gather_halves(self.words.get(), place, right.below(L::splat(NONE)));
        let before = low.shr::<RANK_BITS>().or(high.shl::<{ u32::BITS - RANK_BITS }>());
        let behind = high.shr::<{ 2 * RANK_BITS - u32::BITS }>();
        let some = L::splat(EARLIEST);
        [low.and(some), before.and(some), behind.and(some)]
    }

    /// Merges what is certain to merge. Symbols of letters that are left keep their numbers.
    #[allow(clippy::needless_bitwise_bool)] // neither can be foreseen
    pub(super) fn merge<'s>(&self, pairs: &Pairs, symbols: &'s mut [u32]) -> &'s [u32] {
        let table = self.words.get();
        let two_at = |symbols: &[u32], at: usize| match symbols.get(at..at + 2) {
            Some(two) => Two::of(table[place_of(two[0], two[1])]),
            None => Two::default(), // at the end nothing is behind
        };
        let mut earliest = 0;
        let mut this = two_at(symbols, 0);
        let (mut kept, mut merged) = (0, false);
        for at in 0..symbols.len() {
            let next = two_at(symbols, at + 1);
            let merges = (this.rank > earliest) & (this.rank > next.behind);
            // Neighbours are never both certain, so what follows one that merges is the other half of it.
            symbols[kept] = if merges { pairs.result(EARLIEST - this.rank) } else { symbols[at] };
            kept += usize::from(!merged);
            merged = merges;
            earliest = this.before;
            this = next;
        }
        &symbols[..kept]
    }
}

/// In lanes, what two symbols become that merge so early, where the mask has them.
#[inline(always)]
pub(super) fn made_in_lanes<L: Lanes>(pairs: &Pairs, rank: L, wanted: L::Mask) -> L {
    // All bits are set in the earliest, so to take a rank from it is to turn these over.
    pairs.results(rank.xor(L::splat(EARLIEST)), wanted)
}
