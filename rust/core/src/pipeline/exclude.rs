//! Which items are kept out of the rows because of what they say, whatever rule of the recipe they go by.
//!
//! Only items that the epochs of the recipe draw are asked: what they leave out is not drawn, whatever it says, and no
//! first of duplicates. Limits, proportions and lists draw from what is left here.

use super::config::{BuildConfig, Treatment};
use super::duplicates::Duplicates;
use super::monitor::Monitor;
use super::survey::Note;
use crate::error::Result;
use crate::file::{Decontamination, Dedup};
use crate::leakage::Leakage;
use crate::ledger::DropReason;
use crate::read::Item;
use crate::recipe::Chosen;

/// What a build keeps out.
#[derive(Debug, Default)]
pub(super) struct Exclude {
    leakage: Option<Leakage>,
    duplicates: Option<Duplicates>,
}

impl Exclude {
    /// Reads the benchmarks.
    pub(super) fn load(config: &BuildConfig) -> Result<Self> {
        config.leak_rules.validate()?;
        let leakage = match &config.decontaminate[..] {
            [] => None,
            benchmarks => Some(Leakage::load(benchmarks, config.leak_rules)?),
        };
        Ok(Self { leakage, duplicates: None })
    }

    /// Reads the corpus, if it has to be known which items are duplicates.
    pub(super) fn find_duplicates(
        &mut self,
        chosen: &Chosen,
        treatments: &[Treatment],
        config: &BuildConfig,
        monitor: &Monitor,
    ) -> Result<()> {
        if config.dedup == Dedup::Exact {
            let (threads, max_item_bytes) = (config.threads(), config.max_item_bytes());
            let draws = |input: usize, item| config.draws(&treatments[chosen.rules[input]], item);
            self.duplicates =
                Some(Duplicates::find(&chosen.inputs, draws, threads, max_item_bytes, monitor)?);
        }
        Ok(())
    }

    /// Why an item is kept out, if it is.
    pub(super) fn reason(&self, input: usize, index: u64, item: &Item) -> Option<DropReason> {
        if self.leakage.as_ref().is_some_and(|leakage| leakage.find(item).is_some()) {
            return Some(DropReason::Leaked);
        }
        let again = self.duplicates.as_ref().is_some_and(|duplicates| duplicates.holds(input, index));
        again.then_some(DropReason::Duplicate)
    }

    /// What a plan says about it.
    pub(super) fn notes(&self, config: &BuildConfig) -> Vec<Note> {
        let note = |what: String, which: &str| Note {
            what,
            outcome: format!("items that {which} are dropped; the plan does not look for them"),
        };
        let leakage = self.leakage.as_ref().map(|leakage| {
            let what = format!("questions of benchmarks are kept out: {}", leakage.questions());
            note(what, "hold one, or a part of one,")
        });
        let duplicates = (config.dedup == Dedup::Exact)
            .then(|| note("duplicates are kept out".into(), "say the same as one before them"));
        leakage.into_iter().chain(duplicates).collect()
    }

    /// What a file says about it.
    pub(super) fn decontamination(&self) -> Option<Decontamination> {
        let leakage = self.leakage.as_ref()?;
        Some(Decontamination { rules: leakage.rules(), benchmarks: leakage.files().to_vec() })
    }
}
