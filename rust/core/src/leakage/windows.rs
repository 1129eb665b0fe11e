//! Every stretch of so many units of the benchmark, to be found in one step.

use super::filter::Filter;
use super::memory::Numbers;
use super::questions::Questions;
use super::units::Unit;
use crate::error::Result;

/// No stretch.
const EMPTY: u64 = 0;

/// Base of the rolling hash: any odd number with bits all over.
const BASE: u64 = 0x2545_F491_4F6C_DD1D;

/// All stretches of `units` units of the questions, by a rolling hash (Karp and Rabin 1987). A hash that fits is
/// compared with the text, so what is found is there.
#[derive(Debug)]
pub(super) struct Windows {
    unit: Unit,
    units: usize,
    /// What a stretch of text may hold; see [`Windows::find`].
    filter: Filter,
    /// High half: of the hash; low half: byte of the questions at which the stretch begins, plus one. Searched from the place
    /// the hash names to the first that is empty; a third at least is.
    slots: Numbers,
    count: usize,
}

impl Windows {
    pub(super) fn new(unit: Unit, units: usize, questions: &Questions) -> Result<Self> {
        let bytes = questions.bytes();
        let (mut places, mut entries) = (0, 0);
        for question in questions.spans() {
            let found = unit.count(&bytes[question]);
            if found >= units {
                places += found + 1 - units;
                entries += found + 1 - Filter::width(units);
            }
        }
        let mut windows = Self {
            unit,
            units,
            filter: Filter::new(unit, units, entries)?,
            slots: Numbers::new((places + places / 2 + 1).next_power_of_two())?,
            count: 0,
        };
        let mut rolling = Rolling::new(unit, units);
        for question in questions.spans() {
            let text = &bytes[question.clone()];
            if unit.count(text) < units {
                continue;
            }
            windows.filter.insert(text);
            rolling.each(text, |start, end, hash| {
                windows.insert(questions, question.start + start, end - start, hash);
                None::<()>
            });
        }
        Ok(windows)
    }

    /// How many different ones there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The first stretch of a text that stands in a question: where it begins and ends, and byte of the questions.
    ///
    /// Only what lies between two places that the filter has turned away is looked at: a stretch cannot hold such a
    /// place whole, so it begins after the one and ends before the end of the other.
    pub(super) fn find(&self, text: &[u8], questions: &Questions) -> Option<(usize, usize, usize)> {
        if self.count == 0 {
            return None;
        }
        let (mut start, mut hit, mut found) = (0, false, None);
        self.filter.scan(text, |stretch, passes| {
            if passes {
                hit = true;
            } else {
                if hit {
                    found = self.search(text, start, stretch.end - 1, questions);
                }
                (start, hit) = (stretch.start + 1, false);
            }
            found.is_none()
        });
        if hit && found.is_none() {
            found = self.search(text, start, text.len(), questions);
        }
        found
    }

    /// The first stretch that lies between two bytes of the text.
    fn search(
        &self,
        text: &[u8],
        mut start: usize,
        end: usize,
        questions: &Questions,
    ) -> Option<(usize, usize, usize)> {
        while start < end && !self.unit.begins(text, start) {
            start += 1;
        }
        let region = text.get(start..end)?;
        if region.len() < self.unit.least_bytes(self.units) || !self.filter.may_hold(region) {
            return None;
        }
        Rolling::new(self.unit, self.units).each(region, |from, to, hash| {
            let (from, to) = (start + from, start + to);
            // The last unit may go on after the region.
            let whole = text.get(to).is_none_or(|byte| byte & 0xC0 != 0x80) && self.unit.ends_at(text, to);
            let place = if whole { self.look_up(hash, &text[from..to], questions) } else { None };
            place.map(|place| (from, to, place))
        })
    }

    fn look_up(&self, hash: u64, stretch: &[u8], questions: &Questions) -> Option<usize> {
        self.slot(hash, stretch, questions).ok()
    }

    /// Where in the questions the stretch stands, or the slot in which that is to be written.
    fn slot(&self, hash: u64, stretch: &[u8], questions: &Questions) -> std::result::Result<usize, usize> {
        let last = self.slots.len() - 1;
        let mut slot = usize::try_from(hash).unwrap_or(0) & last;
        loop {
            let found = self.slots[slot];
            if found == EMPTY {
                return Err(slot);
            }
            if found >> 32 == hash >> 32 {
                let at = usize::try_from(found & u64::from(u32::MAX)).unwrap_or(0).saturating_sub(1);
                let bytes = questions.bytes();
                let same = bytes.get(at..at + stretch.len()) == Some(stretch);
                if same && self.unit.ends_at(bytes, at + stretch.len()) {
                    return Ok(at);
                }
            }
            slot = (slot + 1) & last;
        }
    }

    fn insert(&mut self, questions: &Questions, at: usize, length: usize, hash: u64) {
        let Err(slot) = self.slot(hash, &questions.bytes()[at..at + length], questions) else { return };
        self.slots[slot] = hash >> 32 << 32 | (at as u64 + 1);
        self.count += 1;
    }
}

/// Hashes of all stretches of so many units, each from the one before.
#[derive(Debug)]
struct Rolling {
    unit: Unit,
    units: usize,
    /// The base to the power of `units`.
    power: u64,
    /// Beginning and value of the last `units` units, in turn.
    ring: Vec<(usize, u64)>,
}

impl Rolling {
    fn new(unit: Unit, units: usize) -> Self {
        let power = (0..units).fold(1u64, |power, _| power.wrapping_mul(BASE));
        Self { unit, units, power, ring: vec![(0, 0); units] }
    }

    /// Hands on beginning, end and hash of each stretch until something comes back.
    fn each<T>(&mut self, text: &[u8], mut each: impl FnMut(usize, usize, u64) -> Option<T>) -> Option<T> {
        let (mut at, mut hash, mut slot, mut seen) = (0, 0u64, 0, 0);
        while at < text.len() {
            let (end, next) = self.unit.ends(text, at);
            let value = self.unit.value(&text[at..end]);
            let out = if seen < self.units { 0 } else { self.ring[slot].1 };
            hash = hash.wrapping_mul(BASE).wrapping_add(value).wrapping_sub(out.wrapping_mul(self.power));
            self.ring[slot] = (at, value);
            slot = if slot + 1 == self.units { 0 } else { slot + 1 };
            seen += 1;
            if seen >= self.units {
                let start = self.ring[slot].0;
                // Low bits of a polynomial depend on few bits of the values.
                let mixed = (hash ^ hash >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
                if let Some(found) = each(start, end, mixed ^ mixed >> 32) {
                    return Some(found);
                }
            }
            at = next;
        }
        None
    }
}
