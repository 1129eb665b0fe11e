//! The merges of a file: read, and those left out that never happen.
//!
//! Files that were made from a vocabulary with scores, as those of Gemma and of Llama 2 and 3, list every pair of tokens
//! that are some token when put together. Only one pair of each can ever stand side by side. For let a and b stand where
//! they are about to become t: nothing has merged across the ends of t, so what has merged within is what merges when the
//! text of t stands alone, in the same order, and there a and b are what is left before the last merge. That pair
//! is found by merging the text of every token. The others are more than half: without them the table of pairs is
//! smaller, and it is certain of more merges what they wait for.

use super::build::Spelling;
use super::json;
use super::merge::Several;
use super::model::Symbols;
use super::pairs::{NONE, Pairs};
use super::shares::{WORTH, on_all_threads};
use super::vocab::Vocab;

/// A merge: the two tokens, and what they become.
type Merge = [u32; 3];

/// All merges by rank.
pub(super) struct Merges {
    all: Vec<Merge>,
    /// One more than the greatest id that occurs.
    ids: usize,
}

/// Merges of which the tokens are looked up together.
const TOGETHER: usize = 64;
/// Tokens of more bytes keep all their pairs.
const LONGEST: usize = Several::MOST;

impl Merges {
    /// The merges of a file. `apart`: by id, whether the token stands for an unknown character: merging one would join what
    /// no table of characters can tell.
    pub(super) fn read(
        merges: &json::Merges,
        spelling: &Spelling,
        vocab: &Vocab,
        apart: &[bool],
    ) -> Result<Self, String> {
        // Looking tokens up is waiting for memory, much of what loading takes: all threads do it.
        let shares = match merges {
            json::Merges::Pairs(pairs) => on_all_threads(pairs, WORTH, |share| {
                ids_of(share.iter().map(|(a, b)| Ok((&**a, &**b))), spelling, vocab, apart)
            }),
            json::Merges::Joined(lines) => on_all_threads(lines, WORTH, |share| {
                let merges = share.iter().filter(|line| !line.starts_with("#version"));
                ids_of(merges.map(|line| split(line)), spelling, vocab, apart)
            }),
        };
        let all = shares.into_iter().collect::<Result<Vec<_>, String>>()?.concat();
        let ids = all.iter().flatten().max().map_or(0, |id| *id as usize + 1);
        Ok(Self { all, ids })
    }

    /// Both tokens and what they become, by rank.
    pub(super) fn all(&self) -> &[Merge] {
        &self.all
    }

    /// By id, whether a merge makes the token; as far as ids occur in merges.
    pub(super) fn made(&self) -> Vec<bool> {
        let mut made = vec![false; self.ids];
        for [_, _, result] in &self.all {
            made[*result as usize] = true;
        }
        made
    }

    /// By id, the lowest rank of the merges that take the token; as far as ids occur in merges.
    pub(super) fn first_use(&self) -> Vec<u32> {
        let mut first_use = vec![NONE; self.ids];
        for (rank, [left, right, _]) in (0..).zip(&self.all) {
            for id in [left, right] {
                first_use[*id as usize] = first_use[*id as usize].min(rank);
            }
        }
        first_use
    }

    /// Of the merges of tokens that have several, keeps those that happen.
    pub(super) fn keep_what_happens(&mut self, vocab: &Vocab, symbols: &Symbols) {
        let mut pairs_of = vec![0u32; self.ids];
        for [_, _, result] in &self.all {
            pairs_of[*result as usize] += 1;
        }
        if pairs_of.iter().all(|count| *count < 2) {
            return;
        }
        let Some(pairs) = Pairs::new(&self.all) else { return };
        let is_in_question = |token: &[u8], id: u32| {
            token.len() <= LONGEST && pairs_of.get(id as usize).is_some_and(|count| *count > 1)
        };
        let tokens: Vec<(&[u8], u32)> =
            vocab.iter().filter(|(token, id)| is_in_question(token, *id)).collect();
        let happening = on_all_threads(&tokens, WORTH, |tokens| {
            let (mut several, mut symbols_of, mut happening) = (Several::default(), Vec::new(), Vec::new());
            for tokens in tokens.chunks(Several::ROOM) {
                several.clear();
                for (token, _) in tokens {
                    symbols.of(token, &mut symbols_of);
                    several.add(&symbols_of);
                }
                let ranks = tokens.iter().zip(several.last_merges(&pairs));
                let happens = |(_, rank): &(&(&[u8], u32), &u32)| **rank != NONE;
                let made = ranks.filter(happens).filter(|((_, id), rank)| pairs.result(**rank) == *id);
                happening.extend(made.map(|(_, rank)| *rank));
            }
            happening
        });
        let mut in_question = vec![false; self.ids];
        for (_, id) in tokens {
            in_question[id as usize] = true;
        }
        let mut kept: Vec<bool> = self.all.iter().map(|[_, _, id]| !in_question[*id as usize]).collect();
        for rank in happening.into_iter().flatten() {
            kept[rank as usize] = true;
        }
        let mut kept = kept.into_iter();
        self.all.retain(|_| kept.next() == Some(true));
    }
}

/// The two parts of a merge that is written as one text.
fn split(line: &str) -> Result<(&str, &str), String> {
    match line.split_once(' ') {
        Some((left, right)) if !right.contains(' ') => Ok((left, right)),
        _ => Err(format!("the merge {line:?}")),
    }
}

/// The ids of some merges.
fn ids_of<'f>(
    mut all: impl Iterator<Item = Result<(&'f str, &'f str), String>>,
    spelling: &Spelling,
    vocab: &Vocab,
    apart: &[bool],
) -> Result<Vec<Merge>, String> {
    let (mut text, mut ids) = (Vec::new(), Vec::new());
    let mut ends: Vec<(bool, bool, [usize; 3])> = Vec::new();
    let mut merges: Vec<Merge> = Vec::with_capacity(all.size_hint().1.unwrap_or(0));
    loop {
        let parts = all.by_ref().take(TOGETHER).collect::<Result<Vec<_>, _>>()?;
        if parts.is_empty() {
            return Ok(merges);
        }
        text.clear();
        ends.clear();
        for &(a, b) in &parts {
            let start = text.len();
            let known = spelling.append(a, &mut text);
            let middle = text.len();
            let known = spelling.append(b, &mut text) && known;
            // All pairs of a token stand side by side: it is looked up once.
            let is_again =
                ends.last().is_some_and(|&(_, _, [start, _, end])| text[start..end] == text[end..]);
            ends.push((known, is_again, [start, middle, text.len()]));
        }
        let tokens: Vec<&[u8]> = ends
            .iter()
            .flat_map(|&(_, is_again, [start, middle, end])| {
                [start..middle, middle..end, if is_again { 0..0 } else { start..end }]
            })
            .map(|range| &text[range])
            .collect();
        vocab.ids(&tokens, &mut ids);
        for (((a, b), (known, is_again, _)), ids) in parts.iter().zip(&ends).zip(ids.chunks_exact(3)) {
            let last = merges.last().filter(|_| *is_again).map(|[_, _, result]| *result);
            let (true, &[Some(left), Some(right), result]) = (*known, ids) else {
                return Err(not_all_known(a, b));
            };
            let result = last.or(result).ok_or_else(|| not_all_known(a, b))?;
            if [left, right].iter().any(|id| apart.get(*id as usize) == Some(&true)) {
                return Err(format!("the merge of {a:?} and {b:?}, one of which stands for the unknown"));
            }
            merges.push([left, right, result]);
        }
    }
}

fn not_all_known(a: &str, b: &str) -> String {
    format!("the merge of {a:?} and {b:?}, which are not all in the vocabulary")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests say what went wrong by failing
mod tests {
    use super::*;
    use crate::encode::native::chars::Formed;

    /// What is left of merges of tokens that are written out, with a byte-level vocabulary of what they make.
    fn left(merges: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut vocab = Vocab::with_capacity(0, 0);
        let mut bytes = Box::new([0; 256]);
        for byte in 0..=255u8 {
            bytes[usize::from(byte)] = u32::from(byte);
            vocab.insert(&[byte], u32::from(byte));
        }
        for (id, (a, b)) in (256..).zip(merges) {
            vocab.insert(format!("{a}{b}").as_bytes(), id);
        }
        let symbols = Symbols::Bytes(bytes, Formed::default());
        let list = json::Merges::Pairs(merges.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
        let mut merges = Merges::read(&list, &Spelling::new(false), &vocab, &[]).unwrap();
        merges.keep_what_happens(&vocab, &symbols);
        let text = |id: u32| vocab.iter().find(|(_, other)| *other == id).map(|(text, _)| text.to_vec());
        let text = |id: u32| String::from_utf8(text(id).unwrap_or_default()).unwrap_or_default();
        merges.all().iter().map(|[a, b, _]| (text(*a), text(*b))).collect()
    }

    #[test]
    fn of_the_ways_to_a_token_the_one_that_merging_takes_is_left() {
        let all = [("b", "c"), ("a", "b"), ("a", "bc"), ("ab", "c"), ("abc", "d"), ("a", "bcd"), ("bc", "d")];
        // bc goes first, so ab never stands before c, and a is taken before bcd could be there.
        let expected = [("b", "c"), ("a", "b"), ("a", "bc"), ("abc", "d"), ("bc", "d")];
        assert_eq!(left(&all), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_token_that_merging_never_makes_keeps_none_of_several() {
        // bc goes first, so a is left alone whatever way there would be to abcd; one way alone is not looked at.
        let all = [("b", "c"), ("c", "d"), ("a", "b"), ("ab", "c"), ("ab", "cd"), ("abc", "d")];
        assert_eq!(left(&all), all[..4].iter().map(|(a, b)| ((*a).into(), (*b).into())).collect::<Vec<_>>());
    }

    #[test]
    fn a_token_of_many_bytes_keeps_all() {
        let half = |length: usize| "x".repeat(length);
        let mut all: Vec<(String, String)> = (1..=LONGEST).map(|length| (half(length), half(1))).collect();
        all.push((half(2), half(LONGEST - 1)));
        let pairs: Vec<(&str, &str)> = all.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(left(&pairs), all);
    }
}
