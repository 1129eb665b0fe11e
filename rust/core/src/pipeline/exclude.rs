//! Which items are kept out of the rows, or marked, because of what they say, whatever rule of the recipe they go by.
//!
//! Only items that the epochs of the recipe draw are asked: what they leave out is not drawn, whatever it says, and no
//! first of duplicates. Limits, proportions and lists draw from what is left here.

use super::config::{BuildConfig, Treatment};
use super::duplicates::Duplicates;
use super::monitor::Monitor;
use super::survey::Note;
use crate::error::Result;
use crate::file::{Decontamination, Dedup, Fate, Segment};
use crate::leakage::Leakage;
use crate::ledger::DropReason;
use crate::read::Item;
use crate::recipe::Chosen;

/// What was found of an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Finding {
    /// Why it is kept out, if it is.
    pub(super) drop: Option<DropReason>,
    /// Else what is marked of it, as flags of its segments.
    pub(super) marks: u8,
}

impl Finding {
    fn add(&mut self, reason: DropReason, fate: Fate) {
        match fate {
            Fate::Drop => self.drop = self.drop.or(Some(reason)),
            Fate::Mark => self.marks |= Segment::mark(reason),
        }
    }
}

/// What a build keeps out, or marks.
#[derive(Debug, Default)]
pub(super) struct Exclude {
    leakage: Option<Leakage>,
    leaks: Fate,
    duplicates: Option<Duplicates>,
    duplicates_are: Fate,
}

impl Exclude {
    /// Reads the benchmarks.
    pub(super) fn load(config: &BuildConfig) -> Result<Self> {
        config.leak_rules.validate()?;
        let leakage = match &config.decontaminate[..] {
            [] => None,
            benchmarks => Some(Leakage::load(benchmarks, config.leak_rules)?),
        };
        Ok(Self { leakage, leaks: config.leaks, ..Self::default() })
    }

    /// Reads the corpus, if it has to be known which items are duplicates.
    pub(super) fn find_duplicates(
        &mut self,
        chosen: &Chosen,
        treatments: &[Treatment],
        config: &BuildConfig,
        monitor: &Monitor,
    ) -> Result<()> {
        if let Some(Dedup { near, found }) = config.dedup {
            let (threads, max_item_bytes) = (config.threads(), config.max_item_bytes());
            let draws = |input: usize, item| config.draws(&treatments[chosen.rules[input]], item);
            self.duplicates =
                Some(Duplicates::find(&chosen.inputs, draws, near, threads, max_item_bytes, monitor)?);
            self.duplicates_are = found;
        }
        Ok(())
    }

    /// What there is to be found of an item. Of several reasons to keep it out the first counts.
    pub(super) fn find(&self, input: usize, index: u64, item: &Item) -> Finding {
        let mut found = Finding::default();
        if self.leakage.as_ref().is_some_and(|leakage| leakage.find(item).is_some()) {
            found.add(DropReason::Leaked, self.leaks);
        }
        if let Some(reason) = self.duplicates.as_ref().and_then(|duplicates| duplicates.reason(input, index))
        {
            found.add(reason, self.duplicates_are);
        }
        found
    }

    /// What a plan says about it.
    pub(super) fn notes(&self, config: &BuildConfig) -> Vec<Note> {
        let note = |what: String, fate: Fate, which: &str| {
            let (verb, becomes) = match fate {
                Fate::Drop => ("kept out", "dropped"),
                Fate::Mark => ("marked", "marked and kept"),
            };
            let outcome = format!("items that {which} are {becomes}; the plan does not look for them");
            Note { what: what.replace("{}", verb), outcome }
        };
        let mut notes = Vec::new();
        if let Some(leakage) = &self.leakage {
            let what = format!("questions of benchmarks are {{}}: {}", leakage.questions());
            notes.push(note(what, self.leaks, "hold one, or a part of one,"));
        }
        if let Some(Dedup { near, found }) = config.dedup {
            notes.push(note("duplicates are {}".into(), found, "say the same as one before them"));
            notes.extend(near.map(|threshold| {
                let which = format!("have a MinHash similarity of {threshold} or more with one before them");
                note("near-duplicates are {}".into(), found, &which)
            }));
        }
        notes
    }

    /// What a file says about it.
    pub(super) fn decontamination(&self) -> Option<Decontamination> {
        let leakage = self.leakage.as_ref()?;
        let (rules, benchmarks) = (leakage.rules(), leakage.files().to_vec());
        Some(Decontamination { rules, found: self.leaks, benchmarks })
    }
}
