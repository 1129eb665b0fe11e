//! The ledger: what came in, and what became of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Why an item, or tokens of one, are not in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// It could not be read (`--on-error skip`).
    BadItem,
    /// A dialogue without a single answer.
    NoAnswer,
    /// No token of it would count for the loss.
    NoLoss,
    /// Longer than a row (`--overflow drop`).
    TooLong,
    /// It holds a question of a benchmark, or a part of one (`--decontaminate`).
    Leaked,
    /// An item before it says the same (`--dedup`).
    Duplicate,
}

/// The account of one source in one language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Items found.
    pub items: u64,
    /// Items of which at least a part is in the rows.
    pub items_kept: u64,
    /// Items of which nothing is.
    pub items_dropped: BTreeMap<DropReason, u64>,
    /// Tokens the items came to.
    pub tokens: u64,
    /// Tokens in the rows.
    pub tokens_kept: u64,
    /// Tokens cut off documents longer than a row (`--overflow truncate`).
    pub tokens_truncated: u64,
    /// Tokens of dropped items and pieces.
    pub tokens_dropped: BTreeMap<DropReason, u64>,
    /// Tokens in the rows that count for the loss.
    pub loss_tokens: u64,
    /// Questions at the end of a dialogue, cut off because no answer follows.
    pub trailing_questions: u64,
    /// Items longer than a row that were split, or not kept to their end. What runs on over a row's end
    /// (`concat`) is not cut in this sense.
    pub items_cut: u64,
    /// Pieces of cut documents dropped because no token of them would count.
    pub pieces_without_loss: u64,
}

impl Entry {
    pub(crate) fn add(&mut self, other: &Self) {
        self.items += other.items;
        self.items_kept += other.items_kept;
        self.tokens += other.tokens;
        self.tokens_kept += other.tokens_kept;
        self.tokens_truncated += other.tokens_truncated;
        self.loss_tokens += other.loss_tokens;
        self.trailing_questions += other.trailing_questions;
        self.items_cut += other.items_cut;
        self.pieces_without_loss += other.pieces_without_loss;
        for (mine, others) in [
            (&mut self.items_dropped, &other.items_dropped),
            (&mut self.tokens_dropped, &other.tokens_dropped),
        ] {
            for (reason, count) in others {
                *mine.entry(*reason).or_default() += count;
            }
        }
    }

    /// Drops a whole item of `tokens` tokens.
    pub(crate) fn drop_item(&mut self, reason: DropReason, tokens: u64) {
        *self.items_dropped.entry(reason).or_default() += 1;
        self.drop_tokens(reason, tokens);
    }

    /// Drops tokens of an item.
    pub(crate) fn drop_tokens(&mut self, reason: DropReason, tokens: u64) {
        if tokens > 0 {
            *self.tokens_dropped.entry(reason).or_default() += tokens;
        }
    }

    /// Sums that do not fit balance with nothing: a ledger may come from a hostile file.
    fn balances(&self) -> bool {
        let sum = |dropped: &BTreeMap<DropReason, u64>, kept: [u64; 2]| {
            dropped.values().chain(&kept).try_fold(0u64, |sum, count| sum.checked_add(*count))
        };
        Some(self.items) == sum(&self.items_dropped, [self.items_kept, 0])
            && Some(self.tokens) == sum(&self.tokens_dropped, [self.tokens_kept, self.tokens_truncated])
            && self.loss_tokens <= self.tokens_kept
    }

    /// The sum of one figure over entries, if it fits.
    fn checked_sum(entries: &[LedgerEntry], figure: impl Fn(&Self) -> u64) -> Option<u64> {
        entries.iter().try_fold(0u64, |sum, entry| sum.checked_add(figure(&entry.entry)))
    }
}

/// The account of a build: an [`Entry`] for each source and language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger(pub Vec<LedgerEntry>);

/// An [`Entry`] with its source and language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// As in the file names.
    pub source: String,
    /// As in the file names.
    pub language: String,
    /// The figures.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Ledger {
    /// Sums the accounts of files by source and language.
    pub fn collect<'a>(files: impl IntoIterator<Item = (&'a str, &'a str, &'a Entry)>) -> Self {
        let mut sums: BTreeMap<(&str, &str), Entry> = BTreeMap::new();
        for (source, language, entry) in files {
            sums.entry((source, language)).or_default().add(entry);
        }
        let entry = |((source, language), entry): ((&str, &str), Entry)| LedgerEntry {
            source: source.into(),
            language: language.into(),
            entry,
        };
        Self(sums.into_iter().map(entry).collect())
    }

    /// Tokens in the rows, and those of them that count for the loss; `None` if there are more than can be.
    #[must_use]
    pub fn tokens_placed(&self) -> Option<(u64, u64)> {
        let sum = |figure: fn(&Entry) -> u64| Entry::checked_sum(&self.0, figure);
        sum(|entry| entry.tokens_kept).zip(sum(|entry| entry.loss_tokens))
    }

    /// All entries in one.
    #[must_use]
    pub fn total(&self) -> Entry {
        let mut total = Entry::default();
        self.0.iter().for_each(|entry| total.add(&entry.entry));
        total
    }

    /// Whether everything that came in is accounted for.
    ///
    /// # Errors
    /// Names the first entry that does not balance.
    pub fn check(&self) -> Result<()> {
        match self.0.iter().find(|entry| !entry.entry.balances()) {
            None => Ok(()),
            Some(entry) => Err(Error::Internal(format!("the ledger does not balance: {entry:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_balances_or_says_where_not() {
        let mut entry = Entry {
            items: 3,
            items_kept: 2,
            tokens: 10,
            tokens_kept: 7,
            tokens_truncated: 1,
            ..Entry::default()
        };
        entry.drop_item(DropReason::NoLoss, 2);
        let mut ledger = Ledger::collect([("a", "en", &entry), ("b", "zh", &entry), ("a", "en", &entry)]);
        assert_eq!(ledger.0.len(), 2);
        assert_eq!(ledger.0[0].entry.tokens_dropped[&DropReason::NoLoss], 4);
        assert_eq!(ledger.total().items, 9);
        assert!(ledger.check().is_ok());
        assert_eq!(ledger.tokens_placed(), Some((21, 0)));
        let mut hostile = ledger.clone();
        for entry in &mut hostile.0 {
            entry.entry.tokens_kept = u64::MAX;
            entry.entry.tokens_truncated = u64::MAX;
        }
        assert!(hostile.check().is_err());
        assert_eq!(hostile.tokens_placed(), None);
        ledger.0[1].entry.tokens_kept += 1;
        assert!(ledger.check().is_err_and(|error| error.to_string().contains("\"zh\"")));
    }
}
