//! The merges of a piece of any length, window by window.
//!
//! Let symbols be parted into s1, s2, ... so that of any two neighbours the merges of s(i) s(i+1) alone join nothing across
//! their boundary. Then the merges of the whole do not either. For take the first merge of the whole that joins something
//! across a boundary, that of s(i) and s(i+1): until then none has gone over the ends of the two, so what has been merged
//! in them is what their merges alone begin with, the lowest rank first, the leftmost first; and these would have to
//! go on with a merge that is not among them. (For single tokens: H. van Antwerpen and A. Neubeck, "So many tokens, so
//! little time", 2024. How ranks and tokens are ordered makes no difference.)
//!
//! So a window is merged, and the next begins at one of its tokens. If the next begins with the same token, this one and
//! the one before it are known not to join, since they stood side by side in the first window. If it does not, or no
//! token is there to begin with, the window becomes twice as large. All of it is linear but for texts where that happens
//! at every turn, which are encoded from their beginning at most as often as a window can be doubled. A window that is the
//! one before over again is not merged.
//!
//! Where nothing repeats itself, parts ([`parted`](super::parted)) go before all that, and are tried again wherever a window has
//! ended. What begins there is merged as if nothing stood before it; if it begins with the token that is known to stand
//! there, that token and the one before it are known not to join.

use super::super::certain::id_of;
use super::super::pairs::NONE;
use super::Rules;
use super::few::{FEW, merge_few};
use super::parted::{Parted, Passed};
use super::slab::SLAB;
use super::sweep::{KEEP, Sweep};

/// A token of a window.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Token {
    pub(super) id: u32,
    /// Where in the window it begins, in symbols.
    pub(super) start: usize,
    /// How many symbols it is.
    pub(super) length: usize,
}

impl Token {
    /// Whether it is the same in another place.
    fn is(self, other: Self) -> bool {
        (self.id, self.length) == (other.id, other.length)
    }
}

/// As many symbols as are worth looking at if more come behind them.
pub(super) const ENOUGH: usize = 4 * FEW;

/// A border nearer than so many symbols is not worth having looked for it.
const NEAR: usize = FEW / 2;

/// Where merging window by window has come to.
enum Met {
    /// The last of some borders, behind so many symbols.
    Border(usize),
    End,
    /// Windows would have to be larger.
    TooSmall,
}

/// What merging window by window needs, kept from piece to piece.
#[derive(Default)]
pub(super) struct Windows {
    parted: Parted,
    window: Window,
    /// Of the window at hand, and of the next.
    tokens: Vec<Token>,
    next: Vec<Token>,
}

/// What merging one window needs.
#[derive(Default)]
struct Window {
    sweep: Sweep,
    scratch: Vec<u32>,
}

impl Window {
    /// The tokens that some symbols become.
    fn merge(&mut self, rules: Rules<'_>, symbols: &[u32], tokens: &mut Vec<Token>) {
        tokens.clear();
        let mut give = |start, id| tokens.push(Token { id, start, length: 0 });
        if symbols.len() <= FEW {
            merge_few(rules.pairs, symbols, give);
        } else {
            self.scratch.clear();
            self.scratch.extend(symbols.iter().map(|&symbol| id_of(symbol)));
            self.sweep.merge(rules.pairs, &mut self.scratch);
            let left = self.scratch.iter().enumerate().filter(|(_, id)| **id != NONE);
            left.for_each(|(start, id)| give(start, *id));
        }
        let mut end = symbols.len();
        for token in tokens.iter_mut().rev() {
            (token.length, end) = (end - token.start, token.start);
        }
    }
}

impl Windows {
    /// Merges symbols and appends the ids that are left: of all symbols, or, if more may come, of some up to a border. Says how many
    /// that were.
    pub(super) fn merge(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        is_all: bool,
        ids: &mut Vec<u32>,
    ) -> usize {
        let (mut at, mut smallest) = (0, FEW);
        self.parted.leaves_repetitions = true;
        while at < symbols.len() {
            let (rest, before) = (&symbols[at..], ids.len());
            if !is_all && rest.len() < ENOUGH {
                break; // there might be a border in what comes
            }
            match self.merges(rules, rest, is_all, smallest, ids) {
                Met::Border(merged) => (at, smallest) = (at + merged, FEW),
                Met::End if is_all => at = symbols.len(),
                Met::End => {
                    ids.truncate(before);
                    break;
                }
                Met::TooSmall => {
                    ids.truncate(before);
                    smallest *= 2;
                }
            }
        }
        let Self { window: Window { scratch, .. }, tokens, next, .. } = self;
        scratch.clear();
        scratch.shrink_to(KEEP);
        for tokens in [tokens, next] {
            tokens.clear();
            tokens.shrink_to(KEEP);
        }
        at
    }

    /// Merges symbols in windows of at least so many, up to a border or to the end.
    fn merges(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        is_all: bool,
        smallest: usize,
        ids: &mut Vec<u32>,
    ) -> Met {
        let (mut rest, mut size) = (symbols, smallest);
        // So many symbols are linked before what comes of it is looked at: no more are in vain than have been useful since the last
        // that were in vain, and a slab.
        let (mut leaps, mut trust) = (true, SLAB);
        // Whether the tokens are those of the window with which the rest begins.
        let mut merged = false;
        loop {
            if leaps {
                let (first, before) = (merged.then(|| self.tokens[0].id), ids.len());
                match self.parted.merge(rules, rest, is_all, first, trust, ids) {
                    // None, or one so near that the window comes further: a long repetition may stand behind it.
                    Passed { symbols: passed, token: None } if passed < NEAR.min(rest.len()) => {
                        ids.truncate(before);
                    }
                    Passed { symbols: passed, token: None } => {
                        return Met::Border(symbols.len() - rest.len() + passed);
                    }
                    Passed { symbols: passed, token: Some(token) } => {
                        self.window.merge(rules, window(&rest[passed..], size), &mut self.next);
                        if self.next[0].is(token) {
                            std::mem::swap(&mut self.tokens, &mut self.next);
                            (rest, merged) = (&rest[passed..], true);
                            trust += passed;
                            // What did not come back to a token there may do so here.
                            self.parted.leaves_repetitions = true;
                            // To look at a window is worth what it takes if nearly as much has been passed.
                            leaps = passed >= size / 2;
                            continue;
                        }
                        ids.truncate(before);
                    }
                }
                trust = SLAB;
            }
            let Self { window: one, tokens, next, parted } = self;
            if !merged {
                one.merge(rules, window(rest, size), tokens);
                merged = true;
            }
            if rest.len() <= size {
                break;
            }
            // What stands near the end might go on behind it.
            let near_end = tokens.partition_point(|token| token.start <= size / 8 * 7) - 1;
            // Long pieces are repetitions mostly: then the next window is this one again.
            let again = |place: &usize| window(&rest[tokens[*place].start..], size) == window(rest, size);
            let half = tokens.partition_point(|token| token.start < size / 2);
            let repeated = (half..=near_end).rev().take(FEW / 2).find(again);
            let place = repeated.unwrap_or(near_end);
            let (begin, repeated) = (tokens[place], repeated.is_some());
            let next_size = if repeated { size } else { smallest.max(size / 2) };
            let mut goes_on = begin.start >= size / 2;
            if goes_on {
                if !repeated {
                    one.merge(rules, window(&rest[begin.start..], next_size), next);
                }
                goes_on = (if repeated { &*tokens } else { &*next })[0].is(begin);
            }
            leaps = goes_on && !repeated;
            // Only some repetitions are found, those that come back to a token within a window.
            parted.leaves_repetitions = repeated;
            if goes_on {
                let mut pass = |rest: &mut &[u32]| {
                    ids.extend(tokens[..place].iter().map(|token| token.id));
                    *rest = &rest[begin.start..];
                };
                pass(&mut rest);
                size = next_size;
                if repeated {
                    while rest.len() > begin.start + size
                        && window(&rest[begin.start..], size) == window(rest, size)
                    {
                        pass(&mut rest);
                    }
                } else {
                    std::mem::swap(tokens, next);
                }
            } else {
                let first = tokens[0];
                size *= 2;
                one.merge(rules, window(rest, size), tokens);
                if rest.len() < symbols.len() && !tokens[0].is(first) {
                    return Met::TooSmall; // what is before was right for another first token
                }
            }
        }
        ids.extend(self.tokens.iter().map(|token| token.id));
        Met::End
    }
}

/// So many symbols, or all.
fn window(symbols: &[u32], size: usize) -> &[u32] {
    symbols.get(..size).unwrap_or(symbols)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
pub(super) mod tests {
    use super::super::tests::Made;
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    /// Few letters, and tokens made of any two others, in any order of ranks: long tokens, and merges that wait for what stands
    /// far to the right.
    pub(in super::super) fn random_merges(numbers: &mut Numbers, letters: usize) -> Vec<[u32; 3]> {
        let mut merges: Vec<[u32; 3]> = Vec::new();
        // What tokens are made of: there are no two of the same.
        let mut texts: Vec<Vec<usize>> = (0..letters).map(|letter| vec![letter]).collect();
        for _ in 0..=numbers.below(24) {
            let [left, right] = [0; 2].map(|_| numbers.below(texts.len()));
            let text = [&*texts[left], &*texts[right]].concat();
            if !texts.contains(&text) {
                let merge = [left, right, texts.len()].map(|id| u32::try_from(id).unwrap());
                merges.insert(numbers.below(merges.len() + 1), merge);
                texts.push(text);
            }
        }
        merges
    }

    /// The lowest rank first, the leftmost first, one after the other.
    pub(in super::super) fn one_by_one(merges: &[[u32; 3]], symbols: &[u32]) -> Vec<u32> {
        let mut ids = symbols.to_vec();
        loop {
            let rank = |two: &[u32]| merges.iter().position(|[left, right, _]| two == [*left, *right]);
            let ranks = ids.windows(2).enumerate().filter_map(|(at, two)| Some((rank(two)?, at)));
            let Some((rank, at)) = ranks.min() else { return ids };
            ids[at] = merges[rank][2];
            ids.remove(at + 1);
        }
    }

    /// Merges symbols that come some at a time.
    fn in_portions(
        windows: &mut Windows,
        numbers: &mut Numbers,
        made: &Made,
        mut symbols: &[u32],
    ) -> Vec<u32> {
        let (mut ids, mut here) = (Vec::new(), Vec::new());
        while !symbols.is_empty() {
            let (some, rest) = symbols.split_at(symbols.len().min(1 + numbers.below(900)));
            here.extend_from_slice(some);
            symbols = rest;
            let merged = windows.merge(made.rules(), &here, symbols.is_empty(), &mut ids);
            here.drain(..merged);
        }
        assert!(here.is_empty(), "{here:?}");
        ids
    }

    /// Merges in windows, and whether the smallest were too small.
    fn in_windows(windows: &mut Windows, merges: &[[u32; 3]], symbols: &[u32]) -> (Vec<u32>, bool) {
        let made = Made::of(merges);
        let symbols = made.symbols(symbols);
        let mut ids = vec![7];
        let met = windows.merges(made.rules(), &symbols, true, FEW, &mut ids);
        ids.truncate(1);
        windows.merge(made.rules(), &symbols, true, &mut ids);
        assert_eq!(ids.remove(0), 7); // what was there stays
        (ids, matches!(met, Met::TooSmall))
    }

    #[test]
    fn windows_give_what_merging_one_by_one_gives() {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for round in 0..1500 {
            let mut windows = Windows::default();
            let letters = 1 + numbers.below(4);
            let merges = random_merges(&mut numbers, letters);
            let mut symbols: Vec<u32> = Vec::new();
            let most = if round % 64 == 0 { 3 * SLAB } else { 500 };
            let length = 1 + numbers.below(most);
            while symbols.len() < length {
                let repeated = numbers.below(3) == 0;
                let unit: Vec<u32> =
                    (0..=numbers.below(6)).map(|_| u32::try_from(numbers.below(letters)).unwrap()).collect();
                let times = if repeated { 1 + numbers.below(300 / unit.len()) } else { 1 };
                symbols.extend(unit.repeat(times));
            }
            let expected = one_by_one(&merges, &symbols);
            let (ids, _) = in_windows(&mut windows, &merges, &symbols);
            assert_eq!(ids, expected, "{merges:?} {symbols:?}");
            let made = Made::of(&merges);
            let ids = in_portions(&mut windows, &mut numbers, &made, &made.symbols(&symbols));
            assert_eq!(ids, expected, "{merges:?} {symbols:?}");
        }
    }

    #[test]
    fn a_token_longer_than_a_window_is_found() {
        // a, aa, aaaa, ... up to 1024 of them.
        let merges: Vec<[u32; 3]> = (0..10).map(|id| [id, id, id + 1]).collect();
        let (ids, _) = in_windows(&mut Windows::default(), &merges, &vec![0; 5000]);
        assert_eq!(ids, one_by_one(&merges, &vec![0; 5000]));
        assert_eq!(ids[..4], [10; 4]);
    }

    #[test]
    fn what_waits_for_the_end_of_the_piece_is_merged_from_there() {
        // Every symbol merges with the next, the later the earlier: 0 1 2 ... 299, an even number of them or an odd one.
        let count = 300;
        let merges: Vec<[u32; 3]> = (0..count - 1).rev().map(|id| [id, id + 1, count + id]).collect();
        for length in [200, 201, 299, 300] {
            let symbols: Vec<u32> = (0..length).collect();
            let (ids, began_again) = in_windows(&mut Windows::default(), &merges, &symbols);
            assert_eq!(ids, one_by_one(&merges, &symbols));
            assert_eq!(began_again, length % 2 == 1);
        }
    }
}
