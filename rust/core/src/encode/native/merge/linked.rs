//! Windows of a long piece that are merged in lanes and linked where they agree.
//!
//! Tokens that stand side by side in any window do not join (see [`windows`](super::windows)), and what stands between the two
//! ends of a token is the same token in every window that has both. So two windows that overlap can be linked at a token
//! that both have: what is before it is taken from the one, what is behind it from the other. Where they begin makes no
//! difference, so all of them are merged together.

use super::super::certain::id_of;
use super::super::lanes::LANES;
use super::lockstep::Rows;
use super::windows::Token;
use super::{Rules, merge_rows};

/// The symbols of a window.
const WIDTH: usize = 64;
/// So many symbols from the beginning of a window to that of the next; they overlap by the rest.
const STRIDE: usize = 48;
/// The symbols of all windows that are merged together.
pub(super) const SPAN: usize = STRIDE * (LANES - 1) + WIDTH;

/// What it needs, kept from span to span.
#[derive(Default)]
pub(super) struct Linked {
    /// Windows side by side.
    symbols: Vec<u32>,
    /// By symbol of the span, how many bytes stand before it: with that, tokens say where they end, of however many symbols
    /// they were made.
    before: Vec<u32>,
}

/// Whether symbols begin with a repetition.
fn repeats(span: &[u32; SPAN]) -> bool {
    (1..=WIDTH).any(|by| span[by..by + WIDTH] == span[..WIDTH])
}

impl Linked {
    /// Merges symbols from the front as far as windows can be linked, as long as they do not repeat themselves. `first` is the
    /// token that they begin with, if that is known. Appends the ids of all tokens up to one, and gives that. None: no more than the first.
    pub(super) fn merge(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        first: Option<u32>,
        ids: &mut Vec<u32>,
    ) -> Option<Token> {
        let (mut at, mut last) = (0, None);
        while let Some(span) = symbols[at..].first_chunk::<SPAN>()
            && !repeats(span)
            && let Some(token) =
                self.link(rules, span, last.map_or(first, |token: Token| Some(token.id)), ids)
        {
            at += token.start;
            last = Some(Token { start: at, ..token });
        }
        last
    }

    /// Merges a span that begins with this token, if it is known; appends the tokens before the last at which windows are linked, and gives that.
    /// None if there is no link, and then nothing is appended.
    #[allow(clippy::cast_possible_truncation)] // few symbols and few lanes
    fn link(
        &mut self,
        rules: Rules<'_>,
        span: &[u32; SPAN],
        first: Option<u32>,
        ids: &mut Vec<u32>,
    ) -> Option<Token> {
        let length = |id: u32| rules.lengths.get(id as usize).copied().unwrap_or(1);
        self.before.clear();
        let mut all = 0;
        for symbol in span {
            self.before.push(all);
            all += length(id_of(*symbol));
        }
        self.before.push(all);
        self.symbols.clear();
        for some in span.windows(WIDTH).step_by(STRIDE) {
            self.symbols.extend_from_slice(some);
        }
        let starts: [u32; LANES] = std::array::from_fn(|lane| (lane * WIDTH) as u32);
        let mut counts = [WIDTH as u8; LANES];
        let rows = Rows { symbols: &mut self.symbols, starts: &starts, counts: &mut counts, fresh: true };
        merge_rows(rules, rows);

        let tokens_of = |row: usize| &self.symbols[row * WIDTH..][..usize::from(counts[row])];
        let (mut left, mut start) = (tokens_of(0), 0);
        let first = match left.first() {
            Some(id) if first.is_none_or(|first| first == *id) => *id,
            _ => return None,
        };
        // Where the last link is, which token, and how many ids there are before it: at first none.
        let mut last = (0, first, ids.len());
        for row in 1..LANES {
            let (mut right, mut other) = (tokens_of(row), self.before[row * STRIDE]);
            while let ([here, behind @ ..], [there, further @ ..]) = (left, right) {
                if (start, here) == (other, there) {
                    break;
                }
                if start <= other {
                    ids.push(*here);
                    (left, start) = (behind, start + length(*here));
                } else {
                    (right, other) = (further, other + length(*there));
                }
            }
            let ([_, ..], [token, ..]) = (left, right) else { break };
            last = (start, *token, ids.len());
            left = right;
        }
        let (start, id, count) = last;
        ids.truncate(count);
        if start == 0 {
            return None;
        }
        let place = |bytes: u32| self.before.partition_point(|before| *before < bytes);
        let (start, end) = (place(start), place(start + length(id)));
        Some(Token { id, start, length: end - start })
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
        let (mut passed, mut linked) = (0, Linked::default());
        for _ in 0..300 {
            let letters = 1 + numbers.below(4);
            let merges = random_merges(&mut numbers, letters);
            let symbols: Vec<u32> = (0..1000 + numbers.below(300))
                .map(|_| u32::try_from(numbers.below(letters)).unwrap())
                .collect();
            let expected = one_by_one(&merges, &symbols);
            let made = Made::of(&merges);
            let mut ids = vec![7];
            let symbols = made.symbols(&symbols);
            let found = linked.merge(made.rules(), &symbols, Some(expected[0]), &mut ids);
            let Some(token) = found else {
                assert_eq!(ids, [7]);
                continue;
            };
            assert_eq!([&ids[1..], &[token.id]].concat(), expected[..ids.len()], "{merges:?}");
            assert_eq!((token.start, token.length), (made.length(&ids[1..]), made.length(&[token.id])));
            passed += token.start;
        }
        assert!(passed > 100_000, "{passed}");
    }
}
