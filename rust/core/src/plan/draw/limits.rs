//! The most that may be drawn of some inputs.

use super::documents::Documents;
use super::{Draws, Share};

/// The most that is drawn; drawing stops at the first document that would be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Documents, repetitions included.
    pub documents: u64,
    /// Tokens.
    pub tokens: u64,
}

impl Limit {
    /// What is left after one more document of so many tokens; `None` if that is too much.
    fn less(self, tokens: u64) -> Option<Self> {
        let (documents, tokens) = (self.documents.checked_sub(1)?, self.tokens.checked_sub(tokens)?);
        Some(Self { documents, tokens })
    }
}

/// Stops drawing from what has reached its limit. `lengths` are those of the fragments.
pub(super) fn keep(draws: &Draws, shares: &[Share], documents: &Documents, lengths: &[u32]) -> Draws {
    let limits = || shares.iter().filter_map(|share| share.limit);
    // What is left of each; nothing where it is reached.
    let mut left = vec![None; limits().map(|(number, _)| number + 1).max().unwrap_or(0)];
    limits().for_each(|(number, limit)| left[number] = Some(limit));
    let (mut fragments, mut epochs) = (Vec::new(), Vec::new());
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut at = 0;
    while at < draws.len() {
        let rest = (at..draws.len()).map(|at| (draws.fragments[at], draws.epoch(place(at))));
        let end = at + documents.run(rest);
        let share = &shares[documents.input_of(draws.fragments[at])];
        let document = &draws.fragments[at..end];
        let tokens = document.iter().map(|fragment| u64::from(lengths[*fragment as usize])).sum::<u64>();
        let fits = share.limit.is_none_or(|(number, _)| {
            left[number] = left[number].and_then(|left: Limit| left.less(tokens));
            left[number].is_some()
        });
        if fits {
            fragments.extend_from_slice(document);
            epochs.extend((at..end).map(|at| draws.epoch(place(at))));
        }
        at = end;
    }
    Draws::new(fragments, epochs)
}
