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
    pub(super) fn load(inputs: &[Input], config: &BuildConfig, monitor: &Monitor) -> Result<Self> {
        config.leak_rules.validate()?;
        let leakage = match &config.decontaminate[..] {
            [] => None,
            benchmarks => Some(Leakage::load(benchmarks, config.leak_rules)?),
        };
        let find = || Duplicates::find(inputs, config.threads(), config.max_item_bytes(), monitor);
        let duplicates = match config.dedup {
            Dedup::Off => None,
            Dedup::Exact => Some(find()?),
        };
        Ok(Self { leakage, duplicates })
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
