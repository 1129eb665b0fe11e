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
//! at every turn, which are encoded from their beginning at most as often as a window can be doubled.

use super::super::certain::{Certain, id_of};
use super::super::pairs::{NONE, Pairs};
use super::few::{FEW, merge_few};
use super::sweep::Sweep;

/// A token of a window.
#[derive(Clone, Copy, PartialEq)]
struct Token {
    id: u32,
    /// Where in the window it begins, in symbols.
    start: usize,
    /// How many symbols it is.
    length: usize,
}

impl Token {
    /// Whether it is the same in another place.
    fn is(self, other: Self) -> bool {
        (self.id, self.length) == (other.id, other.length)
    }
}

/// What merging window by window needs, kept from piece to piece.
#[derive(Default)]
pub(super) struct Windows {
    sweep: Sweep,
    scratch: Vec<u32>,
    /// Of the window at hand, and of the next.
    tokens: Vec<Token>,
    next: Vec<Token>,
}

impl Windows {
    /// Merges symbols and appends the ids that are left.
    pub(super) fn merge(&mut self, pairs: &Pairs, certain: &Certain, symbols: &[u32], ids: &mut Vec<u32>) {
        let before = ids.len();
        let mut smallest = FEW;
        while !self.merges(pairs, certain, symbols, smallest, ids) {
            ids.truncate(before);
            smallest *= 2;
        }
    }

    /// Merges symbols in windows of at least so many; false if they were too small.
    fn merges(
        &mut self,
        pairs: &Pairs,
        certain: &Certain,
        symbols: &[u32],
        smallest: usize,
        ids: &mut Vec<u32>,
    ) -> bool {
        let Self { sweep, scratch, tokens, next } = self;
        let mut fill = |tokens: &mut Vec<Token>, symbols: &[u32]| {
            tokens.clear();
            let mut give = |start, id| tokens.push(Token { id, start, length: 0 });
            if symbols.len() <= FEW {
                merge_few(pairs, certain, symbols, give);
            } else {
                scratch.clear();
                scratch.extend(symbols.iter().map(|&symbol| id_of(symbol)));
                sweep.merge(pairs, scratch);
                let left = scratch.iter().enumerate().filter(|(_, id)| **id != NONE);
                left.for_each(|(start, id)| give(start, *id));
            }
            let mut end = symbols.len();
            for token in tokens.iter_mut().rev() {
                (token.length, end) = (end - token.start, token.start);
            }
        };
        let (mut rest, mut size) = (symbols, smallest);
        fill(tokens, window(rest, size));
        while rest.len() > size {
            // What stands near the end might go on behind it.
            let place = tokens.partition_point(|token| token.start <= size / 8 * 7) - 1;
            let begin = tokens[place];
            // Long pieces are repetitions mostly: then the next window is this one again.
            let repeated = window(&rest[begin.start..], size) == window(rest, size);
            let next_size = if repeated { size } else { smallest.max(size / 2) };
            let mut goes_on = begin.start >= size / 2;
            if goes_on {
                if !repeated {
                    fill(next, window(&rest[begin.start..], next_size));
                }
                goes_on = (if repeated { &*tokens } else { &*next })[0].is(begin);
            }
            if goes_on {
                ids.extend(tokens[..place].iter().map(|token| token.id));
                rest = &rest[begin.start..];
                size = next_size;
                if !repeated {
                    std::mem::swap(tokens, next);
                }
            } else {
                let first = tokens[0];
                size *= 2;
                fill(tokens, window(rest, size));
                if rest.len() < symbols.len() && !tokens[0].is(first) {
                    return false; // what is before was right for another first token
                }
            }
        }
        ids.extend(tokens.iter().map(|token| token.id));
        true
    }
}

/// So many symbols, or all.
fn window(symbols: &[u32], size: usize) -> &[u32] {
    symbols.get(..size).unwrap_or(symbols)
}
