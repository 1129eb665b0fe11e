//! Windows that overlap, linked where they agree.
//!
//! Tokens that stand side by side in any window do not join (see [`windows`](super::windows)), and what stands between the two
//! ends of a token is the same token in every window that has both. So two windows that overlap can be linked at a token
//! that both have: what is before it is taken from the one, what is behind it from the other. Where they begin makes no
//! difference, so all of them are merged together.

use std::ops::Range;

use super::Rules;
use super::windows::Token;

/// The most symbols of a window.
const WIDTH: usize = 32;
/// So many symbols from the beginning of a window to that of the next; they overlap by the rest.
const STRIDE: usize = 20;
/// So many symbols may be until they are those from the beginning again.
const PERIOD: usize = 64;

/// Windows that cover symbols.
pub(super) fn windows(symbols: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let Range { start, end } = symbols;
    let count = (end - start).saturating_sub(WIDTH).div_ceil(STRIDE) + 1;
    (0..count).map(move |number| start + number * STRIDE).map(move |at| at..end.min(at + WIDTH))
}

/// Whether symbols begin with a repetition.
pub(super) fn repeat(symbols: &[u32]) -> bool {
    let Some(first) = symbols.first_chunk::<PERIOD>() else { return false };
    let again = |by: &usize| symbols[*by] == first[0] && symbols[*by..*by + PERIOD] == *first;
    (1..=symbols.len().saturating_sub(PERIOD).min(PERIOD)).any(|by| again(&by))
}

/// What linking needs, kept from time to time.
#[derive(Default)]
pub(super) struct Linked {
    /// By symbol, how many bytes stand before it: with that, tokens say where they end, of however many symbols
    /// they were made.
    before: Vec<u32>,
}

impl Linked {
    /// Appends the tokens of [`windows`] that cover symbols, as far as each is linked to the one before. None if that is all of them;
    /// else the token at the last link, which is not appended, or the first of all if there is no link.
    pub(super) fn link<'w>(
        &mut self,
        rules: Rules<'_>,
        symbols: &[u32],
        mut tokens: impl Iterator<Item = &'w [u32]>,
        is_open: bool,
        ids: &mut Vec<u32>,
    ) -> Option<Token> {
        let length = |id: u32| rules.lengths.get(id as usize).copied().unwrap_or(1);
        self.before.clear();
        let mut all = 0;
        for symbol in symbols {
            self.before.push(all);
            all += length(*symbol);
        }
        self.before.push(all);
        let (mut left, mut start) = (tokens.next()?, 0);
        // Where the last link is, which token, and how many ids there are before it.
        let mut last = (0, *left.first()?, ids.len());
        let mut is_whole = !is_open;
        for (row, mut right) in (1..).zip(tokens) {
            let mut other = self.before[row * STRIDE];
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
            let ([_, ..], [token, ..]) = (left, right) else {
                is_whole = false;
                break;
            };
            last = (start, *token, ids.len());
            left = right;
        }
        if is_whole {
            ids.extend_from_slice(left);
            return None;
        }
        let (start, id, count) = last;
        ids.truncate(count);
        let place = |bytes: u32| self.before.partition_point(|before| *before < bytes);
        let (start, end) = (place(start), place(start + length(id)));
        Some(Token { id, start, length: end - start })
    }
}
