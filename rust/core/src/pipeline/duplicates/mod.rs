//! Items that say the same as an item before them, or nearly the same.

mod near;
mod sketch;
#[cfg(test)]
mod tests;

use xxhash_rust::xxh3::Xxh3;

pub(super) use near::NEAR_THRESHOLDS;

use super::monitor::Monitor;
use super::sweep::sweep;
use crate::discover::{Input, Kind};
use crate::encode::{Normalizer, nfkc};
use crate::error::{Error, Result};
use crate::leakage::push_words;
use crate::ledger::DropReason;
use crate::read::{Batch, Item, parse_item};
use near::Similar;
use sketch::Sketch;

/// Which items others before them in the order of the corpus make needless, among those that are drawn at all.
///
/// **Exact** duplicates have the same texts in the same order, where texts are compared in NFC with white space as one
/// space and none at the ends; letter case counts. They are told apart by 128 bits of XXH3: of a billion items two
/// differ unseen with a probability of about 10⁻²¹.
///
/// **Near**-duplicates are not exact ones, but have a [`Sketch`] whose similarity to that of an item that is neither is
/// at least the threshold. All their texts are taken together, in words (NFKC, lower case, an ideograph is a word).
/// No two items that are left are similar, and each that is found is similar to one that is left.
///
/// While they are looked for, each item takes 64 bytes, and with near-duplicates 270 more and 4 to 8 for each band (see
/// [`Similar`]), 550 at the most at a threshold of 0.8; afterwards two bits.
#[derive(Debug)]
pub(super) struct Duplicates {
    exact: Bits,
    near: Bits,
}

/// For each input, a bit for each item.
#[derive(Debug)]
struct Bits(Vec<Vec<u64>>);

/// An item, in the order in which it is to be sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    hash: [u64; 2],
    input: u32,
    is_dialogue: bool,
    item: u64,
}

/// The items of a batch, and where near-duplicates are looked for, their sketches.
struct SeenBatch {
    items: Vec<Seen>,
    sketches: Vec<Option<Sketch>>,
}

impl Duplicates {
    /// Reads the whole corpus; `draws` says of an input's item whether it is drawn, `near` is the threshold of
    /// near-duplicates, where they are to be found.
    pub(super) fn find(
        inputs: &[Input],
        draws: impl Fn(usize, u64) -> bool,
        near: Option<f64>,
        threads: usize,
        max_item_bytes: usize,
        monitor: &Monitor,
    ) -> Result<Self> {
        let look = |input: usize, batch: &Batch| SeenBatch::of(input, batch, near.is_some());
        let mut batches = sweep(inputs, threads, max_item_bytes, monitor, look)?;
        keep_drawn(&mut batches, draws);
        let mut found = Self { exact: Bits::new(inputs.len()), near: Bits::new(inputs.len()) };
        let mut sorted: Vec<Seen> = Vec::with_capacity(batches.iter().map(|batch| batch.items.len()).sum());
        sorted.extend(batches.iter().flat_map(|batch| &batch.items));
        sorted.sort_unstable();
        for pair in sorted.windows(2) {
            if pair[0].hash == pair[1].hash {
                found.exact.set(pair[1].input as usize, pair[1].item);
            }
        }
        drop(sorted);
        if let Some(threshold) = near {
            found.find_near(&batches, threshold, monitor)?;
        }
        Ok(found)
    }

    fn find_near(&mut self, batches: &[SeenBatch], threshold: f64, monitor: &Monitor) -> Result<()> {
        let items = batches.iter().map(|batch| batch.items.len()).sum();
        if u32::try_from(items).is_err() {
            return Err(Error::Config("more than 2^32 items; look for near-duplicates in parts".into()));
        }
        let mut similar = Similar::new(threshold, items);
        for batch in batches {
            monitor.check()?;
            for (seen, sketch) in batch.items.iter().zip(&batch.sketches) {
                let (input, item) = (seen.input as usize, seen.item);
                let Some(sketch) = sketch.as_ref().filter(|_| !self.exact.get(input, item)) else { continue };
                if similar.holds_or_keeps(sketch) {
                    self.near.set(input, item);
                }
            }
        }
        Ok(())
    }

    /// Why an item is needless, if it is.
    pub(super) fn reason(&self, input: usize, item: u64) -> Option<DropReason> {
        if self.exact.get(input, item) {
            Some(DropReason::Duplicate)
        } else {
            self.near.get(input, item).then_some(DropReason::NearDuplicate)
        }
    }
}

/// Leaves only what can be the first of anything: items that are drawn, and of the kind of their file.
fn keep_drawn(batches: &mut [SeenBatch], draws: impl Fn(usize, u64) -> bool) {
    let mut kind = None;
    for batch in batches {
        let keeps: Vec<bool> = batch
            .items
            .iter()
            .map(|item| {
                // The first item says what a file is of; others are bad items, and the first of nothing.
                let (input, of_file) = *kind.get_or_insert((item.input, item.is_dialogue));
                if input != item.input {
                    kind = Some((item.input, item.is_dialogue));
                } else if of_file != item.is_dialogue {
                    return false;
                }
                draws(item.input as usize, item.item)
            })
            .collect();
        retain(&mut batch.items, &keeps);
        retain(&mut batch.sketches, &keeps);
    }
}

fn retain<T>(values: &mut Vec<T>, keeps: &[bool]) {
    let mut keeps = keeps.iter();
    values.retain(|_| keeps.next().is_some_and(|keep| *keep));
}

impl SeenBatch {
    fn of(input: usize, batch: &Batch, near: bool) -> Self {
        let input = u32::try_from(input).unwrap_or(u32::MAX);
        let (mut buffer, mut words) = (String::new(), Vec::new());
        let (mut items, mut sketches) = (Vec::new(), Vec::new());
        for raw in batch.items() {
            let Some(item) = raw.bytes.and_then(|bytes| parse_item(bytes).ok()) else { continue };
            let hash = hash(&item, &mut buffer);
            let is_dialogue = item.kind() == Kind::Qa;
            items.push(Seen { hash: [high(hash), low(hash)], input, is_dialogue, item: raw.index });
            if near {
                words.clear();
                item.texts().iter().for_each(|text| push_words(&nfkc(text), &mut words));
                sketches.push(Sketch::of(&words));
            }
        }
        items.shrink_to_fit();
        sketches.shrink_to_fit();
        Self { items, sketches }
    }
}

impl Bits {
    fn new(inputs: usize) -> Self {
        Self(vec![Vec::new(); inputs])
    }

    fn set(&mut self, input: usize, item: u64) {
        let bits = &mut self.0[input];
        let word = word_of(item);
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << (item % 64);
    }

    fn get(&self, input: usize, item: u64) -> bool {
        self.0[input].get(word_of(item)).is_some_and(|word| word >> (item % 64) & 1 == 1)
    }
}

fn word_of(item: u64) -> usize {
    usize::try_from(item / 64).unwrap_or(usize::MAX)
}

fn hash(item: &Item, buffer: &mut String) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(item.kind().as_str().as_bytes());
    for text in item.texts() {
        buffer.clear();
        normalize(text, buffer);
        hasher.update(&(buffer.len() as u64).to_le_bytes());
        hasher.update(buffer.as_bytes());
    }
    hasher.digest128()
}

fn normalize(text: &str, out: &mut String) {
    let mut normalizer = Normalizer::default();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&normalizer.nfc(word));
    }
}

#[allow(clippy::cast_possible_truncation)] // both halves are kept
fn low(hash: u128) -> u64 {
    hash as u64
}

fn high(hash: u128) -> u64 {
    low(hash >> 64)
}
