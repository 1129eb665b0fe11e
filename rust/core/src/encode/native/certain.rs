//! Merges that are certain from the characters around them, made all at once before any is looked for.
//!
//! Let a and b be neighbours that merge at rank r, with p before and c behind them. Before rank r is reached, a could be
//! taken by a merge of something that ends in p with a, and b by one of b with something that begins with c, by nothing
//! else. If all those of the vocabulary rank after r, both are still there when r comes, and merge. That it happens
//! earlier makes no difference unless what they become could merge at a lower rank. About half of the merges of a new word
//! are of this kind, and what one has to know for them is a table of pairs of letters.

use super::lanes::Lanes;
use super::pairs::{MAX_ID, NONE};
use crate::memory::Words;

/// Characters that the table knows, and one more that stands for all others.
const LETTERS: usize = 512;
/// Where a symbol has the number of its letter, above its id; 0 if it is none.
const LETTER_SHIFT: u32 = 20;

/// Characters and their ids, numbered from 1.
pub(super) struct Letters {
    all: Vec<(char, u32)>,
}

/// What is known of two letters side by side, a and b. All plus one, and 0 for none.
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Two {
    /// At which they merge.
    rank: u32,
    /// The lowest at which something that ends in a merges with b.
    before: u32,
    /// The lowest at which a merges with something that begins with b.
    behind: u32,
    /// What they become, if nothing takes that before.
    result: u32,
}

/// The table.
pub(super) struct Certain {
    words: Words,
}

impl Letters {
    /// The ASCII ones among some characters, and of the others those that merge first; `first_use` is by id.
    pub(super) fn choose(mut all: Vec<(char, u32)>, first_use: &[u32]) -> Self {
        let used = |id: u32| first_use.get(id as usize).copied().unwrap_or(NONE);
        all.sort_by_key(|(c, id)| (!c.is_ascii(), used(*id), *c));
        all.truncate(LETTERS - 1);
        Self { all }
    }

    /// The characters, each with the symbol that stands for it: its id and its number.
    pub(super) fn symbols(&self) -> impl Iterator<Item = (char, u32)> {
        (1..).zip(&self.all).map(|(number, (c, id))| (*c, number << LETTER_SHIFT | id))
    }
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
    pub(super) fn new(letters: &Letters, merges: &[[u32; 3]], first_use: &[u32], tokens: &[&[u8]]) -> Self {
        let mut certain = Self { words: Words::zeroed(LETTERS * LETTERS * 2) };
        let table: &mut [Two] = bytemuck::cast_slice_mut(certain.words.get_mut());
        // Beside what is no letter nothing is certain.
        for other in 0..LETTERS {
            for place in [place_of_numbers(0, other), place_of_numbers(other, 0)] {
                table[place] = Two { before: 1, behind: 1, ..Two::default() };
            }
        }
        let mut by_char = vec![0; 0x1_0000];
        let mut by_id = vec![0; tokens.len()];
        for (c, symbol) in letters.symbols() {
            if let (Some(of_char), Some(of_id)) =
                (by_char.get_mut(c as usize), by_id.get_mut(id_of(symbol) as usize))
            {
                (*of_char, *of_id) = (symbol, symbol);
            }
        }
        let of_char = |c: Option<char>| c.and_then(|c| by_char.get(c as usize).copied()).filter(|c| *c != 0);
        let lowest = |known: &mut u32, rank: u32| *known = if *known == 0 { rank } else { rank.min(*known) };
        for (rank, &[left, right, result]) in (1..).zip(merges) {
            let [of_left, of_right] = [left, right].map(|id| by_id[id as usize]);
            if of_right != 0
                && let Some(last) = of_char(last_char(tokens[left as usize]))
            {
                lowest(&mut table[place_of(last, of_right)].before, rank);
            }
            if of_left != 0
                && let Some(first) = of_char(first_char(tokens[right as usize]))
            {
                lowest(&mut table[place_of(of_left, first)].behind, rank);
            }
            if of_left != 0 && of_right != 0 {
                let two = &mut table[place_of(of_left, of_right)];
                two.rank = rank;
                let taken = first_use.get(result as usize).copied().unwrap_or(NONE);
                two.result = if taken >= rank { result + 1 } else { 0 };
            }
        }
        certain
    }

    /// What is known of neighbours in lanes, nothing where there is no right one: at which rank they merge, the lowest before, the
    /// lowest behind, and what they become.
    #[inline(always)]
    fn two_in_lanes<L: Lanes>(&self, left: L, right: L) -> [L; 4] {
        let number = |symbol: L| symbol.shr::<LETTER_SHIFT>().and(L::small(LETTERS - 1));
        let (left, other) = (number(left), number(right));
        let fifteen = L::splat(15);
        let tile = left.shr::<4>().shl::<5>().add(other.shr::<4>());
        let place = tile.shl::<8>().or(left.and(fifteen).shl::<4>()).or(other.and(fifteen)).shl::<1>();
        let present = right.below(L::splat(NONE));
        let (rank, before) = L::gather_halves(self.words.get(), place, present);
        let (behind, result) = L::gather_halves(self.words.get(), place.or(L::splat(1)), present);
        [rank, before, behind, result]
    }

    /// Does in lanes what [`Self::merge`] does, and leaves ids alone; how many there are at most before, and then.
    #[inline(always)]
    pub(super) fn merge_in_lanes<L: Lanes, const PLACES: usize>(
        &self,
        symbols: &mut [L; PLACES],
        longest: usize,
    ) -> usize {
        let (zero, one, none) = (L::splat(0), L::splat(1), L::splat(NONE));
        // By place, how many symbols before it are dropped.
        let mut dropped = [zero; PLACES];
        let (mut drop, mut drops, mut lowest) = (zero, zero, none);
        let mut this = self.two_in_lanes(symbols[0], symbols[1]);
        for place in 0..longest {
            let next = self.two_in_lanes(symbols[place + 1], symbols[place + 2]);
            let [rank, before, _, result] = this;
            let [_, _, behind, _] = next;
            let rank = rank.add(none);
            let first = L::both(rank.below(lowest), rank.below(behind.add(none)));
            let merges = L::both(first, zero.below(result));
            let kept = L::select(merges, result.add(none), symbols[place]);
            symbols[place] = L::select(zero.below(drop), none, kept);
            dropped[place] = drops;
            drop = L::select(merges, one, zero);
            drops = drops.add(drop);
            lowest = before.add(none);
            this = next;
        }
        // What is left moves to the front: first by one, where that is in the number of places to go, then by two, four, ...
        let mut by = 1;
        while by < longest {
            for place in by..longest {
                let here = symbols[place];
                let goes = zero.below(dropped[place].and(L::small(by)));
                let goes = L::both(goes, here.below(none));
                symbols[place - by] = L::select(goes, here, symbols[place - by]);
                dropped[place - by] = L::select(goes, dropped[place], dropped[place - by]);
                symbols[place] = L::select(goes, none, here);
            }
            by *= 2;
        }
        let mut left = 0;
        for (place, symbol) in (1..).zip(&mut symbols[..longest]) {
            let present = symbol.below(none);
            left = if L::any(present) { place } else { left };
            *symbol = L::select(present, symbol.and(L::splat(MAX_ID)), none);
        }
        left
    }

    /// Merges what is certain to merge. Symbols of letters that are left keep their numbers.
    #[allow(clippy::needless_bitwise_bool)] // none of the three can be foreseen
    pub(super) fn merge<'s>(&self, symbols: &'s mut [u32]) -> &'s [u32] {
        let table: &[Two] = bytemuck::cast_slice(self.words.get());
        let two_at = |symbols: &[u32], at: usize| match symbols.get(at..at + 2) {
            Some(two) => table[place_of(two[0], two[1])],
            None => Two::default(), // at the end nothing is behind
        };
        let mut before = NONE;
        let mut this = two_at(symbols, 0);
        let (mut kept, mut merged) = (0, false);
        for at in 0..symbols.len() {
            let next = two_at(symbols, at + 1);
            let rank = this.rank.wrapping_sub(1);
            let merges = (rank < before) & (rank < next.behind.wrapping_sub(1)) & (this.result != 0);
            // Neighbours are never both certain, so what follows one that merges is the other half of it.
            symbols[kept] = if merges { this.result.wrapping_sub(1) } else { symbols[at] };
            kept += usize::from(!merged);
            merged = merges;
            before = this.before.wrapping_sub(1);
            this = next;
        }
        &symbols[..kept]
    }
}

/// The character with which a token begins, if it begins with one.
fn first_char(token: &[u8]) -> Option<char> {
    let length = token.iter().skip(1).take_while(|byte| **byte & 0xC0 == 0x80).count() + 1;
    std::str::from_utf8(token.get(..length)?).ok()?.chars().next()
}

/// The character with which a token ends, if it ends with one.
fn last_char(token: &[u8]) -> Option<char> {
    let start = token.iter().rposition(|byte| byte & 0xC0 != 0x80)?;
    std::str::from_utf8(&token[start..]).ok()?.chars().next()
}
