//! The ledger: what came in, and what became of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Why an item, or tokens of one, are not in the rows. Whoever leaves out more adds a reason here, and drops with
/// [`Entry::drop_item`]; all that counts, balances or prints reasons goes by this list.
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
    /// The recipe does not draw it: a fraction of an epoch, a limit, a proportion, a list of its own.
    NotDrawn,
    /// It holds a question of a benchmark, or a part of one (`--decontaminate`).
    Leaked,
    /// An item before it says the same (`--dedup`).
    Duplicate,
    /// An item before it says nearly the same (`--dedup near`).
    NearDuplicate,
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
    /// Tokens in the rows, repetitions apart.
    pub tokens_kept: u64,
    /// Tokens cut off documents longer than a row (`--overflow truncate`).
    pub tokens_truncated: u64,
    /// Tokens of dropped items and pieces.
    pub tokens_dropped: BTreeMap<DropReason, u64>,
    /// Tokens in the rows that count for the loss.
    pub loss_tokens: u64,
    /// Questions at the end of a dialogue, cut off because no answer follows, whatever becomes of the rest.
    pub trailing_questions: u64,
    /// Items in the rows that were longer than one and split, or not kept to their end. What runs on over a row's
    /// end (`concat`) is not cut in this sense.
    pub items_cut: u64,
    /// Pieces of those dropped because no token of them would count.
    pub pieces_without_loss: u64,
    /// Items kept though no token of them counts, where a recipe wants that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub items_without_loss: u64,
    /// Items in the rows that leak or are duplicates, by reason, where such items are not dropped but marked. One may
    /// be of both.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub items_marked: BTreeMap<DropReason, u64>,
    /// Tokens that those items came to, in the rows or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens_marked: BTreeMap<DropReason, u64>,
    /// How often items stand in the rows again after their first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub items_repeated: u64,
    /// The tokens of that: the rows hold `tokens_kept` and these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens_repeated: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks for a reference
fn is_zero(count: &u64) -> bool {
    *count == 0
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
        self.items_without_loss += other.items_without_loss;
        self.items_repeated += other.items_repeated;
        self.tokens_repeated += other.tokens_repeated;
        for (mine, others) in [
            (&mut self.items_dropped, &other.items_dropped),
            (&mut self.tokens_dropped, &other.tokens_dropped),
            (&mut self.items_marked, &other.items_marked),
            (&mut self.tokens_marked, &other.tokens_marked),
        ] {
            for (reason, count) in others {
                *mine.entry(*reason).or_default() += count;
            }
        }
    }

    /// Tokens in the rows, repetitions included; `None` if there are more than can be.
    pub(crate) fn tokens_in_rows(&self) -> Option<u64> {
        self.tokens_kept.checked_add(self.tokens_repeated)
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

    /// Marks items, and tokens of such.
    pub(crate) fn mark(&mut self, reason: DropReason, items: u64, tokens: u64) {
        *self.items_marked.entry(reason).or_default() += items;
        *self.tokens_marked.entry(reason).or_default() += tokens;
    }

    /// Sums that do not fit balance with nothing: a ledger may come from a hostile file.
    fn balances(&self) -> bool {
        let sum = |dropped: &BTreeMap<DropReason, u64>, kept: [u64; 2]| {
            dropped.values().chain(&kept).try_fold(0u64, |sum, count| sum.checked_add(*count))
        };
        Some(self.items) == sum(&self.items_dropped, [self.items_kept, 0])
            && Some(self.tokens) == sum(&self.tokens_dropped, [self.tokens_kept, self.tokens_truncated])
            && self.tokens_in_rows().is_some_and(|placed| self.loss_tokens <= placed)
            && [self.items_cut, self.items_without_loss].iter().all(|part| *part <= self.items_kept)
            && self.items_marked.values().all(|marked| *marked <= self.items_kept)
            && self.tokens_marked.values().all(|marked| *marked <= self.tokens)
    }

    /// The sum of one figure over entries, if it fits.
    fn checked_sum(entries: &[LedgerEntry], figure: impl Fn(&Self) -> Option<u64>) -> Option<u64> {
        entries.iter().try_fold(0u64, |sum, entry| sum.checked_add(figure(&entry.entry)?))
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
        let sum = |figure: fn(&Entry) -> Option<u64>| Entry::checked_sum(&self.0, figure);
        sum(Entry::tokens_in_rows).zip(sum(|entry| Some(entry.loss_tokens)))
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
        let mut marked = ledger.clone();
        marked.0[0].entry.mark(DropReason::Leaked, 4, 20);
        assert!(marked.check().is_ok()); // beside the account, and within what is kept
        marked.0[0].entry.mark(DropReason::Leaked, 1, 0);
        assert!(marked.check().is_err());
        let mut cut = ledger.clone();
        cut.0[0].entry.items_cut = 5;
        assert!(cut.check().is_err());
        ledger.0[1].entry.tokens_kept += 1;
        assert!(ledger.check().is_err_and(|error| error.to_string().contains("\"zh\"")));
    }
}
