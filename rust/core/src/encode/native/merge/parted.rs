//! The merges of a long piece, slab by slab.
//!
//! What is certain to merge is merged first, in symbols that stand side by side; among what is left, borders are where
//! nothing can be joined (see [`Neighbours`](super::super::neighbours::Neighbours)). What stands between two borders is merged for
//! itself, some borders further at a time, all such rows of a slab together, in lockstep. Where none is near, what
//! stands between two, or between the last and the end of the slab, is merged wave by wave, and where there are few, all
//! of the slab is.
//!
//! What stands near the end of the slab might go on behind it, so there the next slab begins at one of the tokens, a link: if
//! it begins with the same, this one and the one before it do not join (see [`windows`](super::windows)).

use std::ops::Range;

use super::lockstep::{MOST, Rows};
use super::slab::{SLAB, Slab, WORD};
use super::waves::Waves;
use super::windows::Token;
use super::{ROWS, Rules, merge_rows};

/// As many symbols are in the first slab, which may be for nothing.
const FIRST: usize = 128;
/// For fewer symbols no other slab is begun if more may come.
const WORTH_A_SLAB: usize = FIRST / 2;
/// The most symbols of a row that ends at a border though there are more: many short rows take less time than few long ones.
const ROW: usize = 16;
/// Where parts have more symbols than that on average, lanes are empty for the most part: all of the slab is merged wave by
/// wave. Where waves know all pairs, which takes them half the time, it is so from fewer on. Whether they do is tried with the
/// first slab where so many symbols are there.
const FULL: usize = 32;
const FULL_OF_KNOWN: usize = 6;
const WORTH_TRYING: usize = 8 * FIRST;
/// Slabs go on while they pass at least so much of what they look at, as a fraction.
const LEAST: usize = 8;
/// A link is looked for so many symbols before the end of a slab, or at three quarters of what is not merged in rows: nearer to the
/// end they fail more often, and what stands behind them is merged for nothing.
const MARGIN: usize = 512;
/// Ids that are copied at once.
const TOGETHER: usize = 16;
/// So many symbols may be until they are those from the beginning again.
const PERIOD: usize = 64;

/// What it needs, kept from slab to slab; always for the same rules.
#[derive(Default)]
pub(super) struct Parted {
    slab: Slab,
    parts: Vec<Part>,
    /// Of parts that are rows: where each begins, and how many symbols it has.
    starts: Vec<u32>,
    counts: Vec<u8>,
    waves: Waves,
    /// What repeats itself behind the last border of a slab is left to windows.
    pub(super) leaves_repetitions: bool,
}

/// Some of what is left of a slab.
struct Part {
    symbols: Range<usize>,
    /// It ends with the slab, not at a border.
    is_open: bool,
}

impl Part {
    /// Whether it is merged in lockstep with others.
    fn is_row(&self) -> bool {
        !self.is_open && self.symbols.len() <= MOST
    }
}

/// How far merging has come: so many symbols, behind which a border is, or else a token that what is before it goes by.
#[derive(Clone, Copy, Default)]
pub(super) struct Passed {
    pub(super) symbols: usize,
    pub(super) token: Option<Token>,
}

impl Parted {
    /// Merges symbols from the front as far as there are borders, or links not much more than `trust` symbols behind one; none if
    /// what they begin with does not become `first`; and not beyond a slab of which little is passed. Appends the ids. `is_all`:
    /// nothing comes behind them.
    pub(super) fn merge(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        is_all: bool,
        mut first: Option<u32>,
        trust: usize,
        ids: &mut Vec<u32>,
    ) -> Passed {
        let mut here = Passed::default();
        // The last border, and how many ids there are before it.
        let (mut border, mut count) = (0, ids.len());
        while here.symbols < symbols.len() && here.symbols - border < trust {
            let (at, rest) = (here.symbols, &symbols[here.symbols..]);
            if at > 0 && rest.len() < WORTH_A_SLAB && !is_all {
                break;
            }
            let size = rest.len().min(if at == 0 { FIRST } else { SLAB });
            let is_last = is_all && size == rest.len();
            let tries_waves = at == 0 && rest.len() > WORTH_TRYING;
            let passed = self.merge_slab(rules, &rest[..size], is_last, tries_waves, first, ids);
            if passed.symbols == 0 {
                break;
            }
            here = Passed {
                symbols: at + passed.symbols,
                token: passed.token.map(|token| Token { start: at + token.start, ..token }),
            };
            first = passed.token.map(|token| token.id);
            if first.is_none() {
                (border, count) = (here.symbols, ids.len());
            }
            if passed.symbols * LEAST < size {
                break; // most of it would be looked at again
            }
        }
        if border > 0 {
            // To be sure is better than to have come further.
            ids.truncate(count);
            here = Passed { symbols: border, token: None };
        }
        here
    }

    /// Merges a slab as far as there are borders and links; wave by wave if `tries_waves`.
    fn merge_slab(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        is_last: bool,
        tries_waves: bool,
        first: Option<u32>,
        ids: &mut Vec<u32>,
    ) -> Passed {
        let stop = self.slab.fill(rules, symbols, is_last);
        self.clear();
        let mut at = 0;
        while at < stop {
            let ends = self.slab.ends(at) & u64::MAX >> (WORD - (stop - at).min(WORD));
            let near = ends & ((1 << ROW) - 1);
            let end = match (near, ends) {
                (0, 0) => self.slab.end(at),
                (0, _) => at + ends.trailing_zeros() as usize + 1,
                _ => at + (u64::BITS - near.leading_zeros()) as usize,
            };
            self.add(at..end, false);
            at = end;
        }
        let rest = self.slab.count() - stop;
        // What is short may begin the next slab.
        let is_left = self.leaves_repetitions && repeat(&symbols[self.slab.start(stop)..]);
        let is_open = rest > if stop == 0 { 0 } else { MOST } && !is_left;
        let all = if is_open { self.slab.count() } else { stop };
        let full = if self.waves.has_few_pairs { FULL_OF_KNOWN } else { FULL };
        if tries_waves || self.parts.len() * full < stop {
            self.clear();
            self.add(0..all, is_open);
        } else if is_open {
            self.add(stop..all, true);
        }
        let Self { slab, starts, counts, .. } = self;
        for (starts, counts) in starts.chunks(ROWS).zip(counts.chunks_mut(ROWS)) {
            merge_rows(rules, Rows { symbols: &mut slab.ids, starts, counts, fresh: false });
        }
        let before = ids.len();
        let passed = self.join(rules, stop, ids);
        if first.is_some_and(|first| ids.get(before) != Some(&first)) {
            ids.truncate(before);
            return Passed::default();
        }
        passed
    }

    fn clear(&mut self) {
        self.parts.clear();
        self.starts.clear();
        self.counts.clear();
    }

    #[allow(clippy::cast_possible_truncation)] // few
    fn add(&mut self, symbols: Range<usize>, is_open: bool) {
        let part = Part { symbols, is_open };
        if part.is_row() {
            self.starts.push(part.symbols.start as u32);
            self.counts.push(part.symbols.len() as u8);
        }
        self.parts.push(part);
    }

    /// Appends the ids of parts that end at `stop`, and of an open one up to a token, or to `stop` where that is further.
    fn join(&mut self, rules: Rules<'_>, stop: usize, ids: &mut Vec<u32>) -> Passed {
        let Self { slab, parts, starts, counts, waves, .. } = self;
        let mut rows = starts.iter().zip(&*counts);
        for part in parts {
            if part.is_row() {
                let Some((start, count)) = rows.next() else { break };
                let (start, count) = (*start as usize, usize::from(*count));
                let before = ids.len();
                // As many as most have at most are copied faster than as many as there are.
                ids.extend_from_slice(&slab.ids[start..start + TOGETHER]);
                if count > TOGETHER {
                    ids.extend_from_slice(&slab.ids[start + TOGETHER..start + count]);
                }
                ids.truncate(before + count);
                continue;
            }
            let Range { start, end } = part.symbols;
            waves.merge(rules, &slab.ids[start..end], slab.starts(start..end));
            if !part.is_open {
                ids.extend_from_slice(waves.ids());
                continue;
            }
            let [start, end] = [start, end].map(|at| slab.start(at));
            let near_end = end - ((end - start) / 4).min(MARGIN);
            let border = slab.start(stop);
            if border > near_end {
                ids.extend_from_slice(&waves.ids()[..waves.begun(border - 1)]);
                break;
            }
            let place = waves.begun(near_end) - 1;
            ids.extend_from_slice(&waves.ids()[..place]);
            let token = waves.token(place);
            return Passed { symbols: token.start, token: (place > 0).then_some(token) };
        }
        Passed { symbols: slab.start(stop), token: None }
    }
}

/// Whether symbols begin with a repetition.
fn repeat(symbols: &[u32]) -> bool {
    let Some(first) = symbols.first_chunk::<PERIOD>() else { return false };
    let again = |by: &usize| symbols[*by] == first[0] && symbols[*by..*by + PERIOD] == *first;
    (1..=symbols.len().saturating_sub(PERIOD).min(PERIOD)).any(|by| again(&by))
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
        // Up to borders and up to links, where something comes behind and where nothing does.
        let mut passed = [[0; 2]; 2];
        for round in 0..6000 {
            let mut parted = Parted { leaves_repetitions: round % 4 < 2, ..Parted::default() };
            let letters = 2 + numbers.below(if round % 3 == 0 { 3 } else { 12 });
            let merges = random_merges(&mut numbers, letters);
            let ids = |count: usize, numbers: &mut Numbers| -> Vec<u32> {
                (0..count).map(|_| u32::try_from(numbers.below(letters)).unwrap()).collect()
            };
            // Most of them short: it is the ends that are hard.
            let most = if round % 30 < 2 { 3 * SLAB } else { 30 };
            let (some, behind) = (1 + numbers.below(most), 1 + numbers.below(20));
            let (symbols, more) = (ids(some, &mut numbers), ids(behind, &mut numbers));
            let made = Made::of(&merges);
            // Whatever comes behind, it makes no difference to what is passed.
            let is_all = round % 2 == 0;
            let whole = if is_all { symbols.clone() } else { [&*symbols, &*more].concat() };
            let expected = one_by_one(&merges, &whole);
            let mut ids = vec![7];
            let trust = 1 + numbers.below(4000);
            let symbols = made.symbols(&symbols);
            let end = parted.merge(made.rules(), &symbols, is_all, None, trust, &mut ids);
            assert_eq!(made.length(&ids[1..]), end.symbols);
            if let Some(token) = end.token {
                assert_eq!((token.start, token.length), (end.symbols, made.length(&[token.id])));
            }
            // It goes by what the token at the end is.
            let rest = one_by_one(&merges, &whole[end.symbols..]);
            if end.token.is_none_or(|token| token.id == rest[0]) {
                assert_eq!([&ids[1..], &rest].concat(), expected, "{merges:?} {symbols:?}");
                passed[usize::from(is_all)][usize::from(end.token.is_some())] += end.symbols;
            }
            // What does not begin as it is known to is not passed.
            ids.truncate(1);
            let first = Some(expected[0] + 1);
            assert_eq!(parted.merge(made.rules(), &symbols, is_all, first, trust, &mut ids).symbols, 0);
            assert_eq!(ids, [7]);
        }
        assert!(passed.as_flattened().iter().all(|passed| *passed > 6_000), "{passed:?}");
    }
}
