//! Which items are kept out of the rows because of what they say.

use super::config::BuildConfig;
use crate::error::Result;
use crate::file::Decontamination;
use crate::leakage::Leakage;
use crate::ledger::DropReason;
use crate::read::Item;

/// What a build keeps out.
#[derive(Debug, Default)]
pub(super) struct Exclude {
    leakage: Option<Leakage>,
}

impl Exclude {
    pub(super) fn load(config: &BuildConfig) -> Result<Self> {
        config.leak_rules.validate()?;
        let leakage = match &config.decontaminate[..] {
            [] => None,
            benchmarks => Some(Leakage::load(benchmarks, config.leak_rules)?),
        };
        Ok(Self { leakage })
    }

    /// Why an item is kept out, if it is.
    pub(super) fn reason(&self, item: &Item) -> Option<DropReason> {
        let leaks = self.leakage.as_ref().is_some_and(|leakage| leakage.find(item).is_some());
        leaks.then_some(DropReason::Leaked)
    }

    /// What a file says about it.
    pub(super) fn decontamination(&self) -> Option<Decontamination> {
        let leakage = self.leakage.as_ref()?;
        Some(Decontamination { rules: leakage.rules(), benchmarks: leakage.files().to_vec() })
    }
}
