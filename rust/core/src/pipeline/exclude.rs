//! Which items are kept out of the rows because of what they say.

use super::config::BuildConfig;
use super::duplicates::Duplicates;
use super::monitor::Monitor;
use crate::discover::Input;
use crate::error::Result;
use crate::file::{Decontamination, Dedup};
use crate::leakage::Leakage;
use crate::ledger::DropReason;
use crate::read::Item;

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
        inputs: &[Input],
        config: &BuildConfig,
        monitor: &Monitor,
    ) -> Result<()> {
        if config.dedup == Dedup::Exact {
            let (threads, max_item_bytes) = (config.threads(), config.max_item_bytes());
            self.duplicates = Some(Duplicates::find(inputs, threads, max_item_bytes, monitor)?);
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

    /// What a file says about it.
    pub(super) fn decontamination(&self) -> Option<Decontamination> {
        let leakage = self.leakage.as_ref()?;
        Some(Decontamination { rules: leakage.rules(), benchmarks: leakage.files().to_vec() })
    }
}
