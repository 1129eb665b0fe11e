//! Items that say the same as an item before them.

use unicode_normalization_alignments::UnicodeNormalization;
use xxhash_rust::xxh3::Xxh3;

use super::monitor::Monitor;
use super::sweep::sweep;
use crate::discover::{Input, Kind};
use crate::error::Result;
use crate::read::{Batch, Item, parse_item};

/// Which items are not the first of their kind in the order of the corpus, among those that are drawn at all.
///
/// Two items are the same if they have the same texts in the same order, where texts are compared in NFC with white
/// space as one space and none at the ends; letter case counts. They are told apart by 128 bits of XXH3: of a billion
/// items two differ unseen with a probability of about 10⁻²¹.
///
/// While they are looked for, each item takes 32 bytes, afterwards one bit.
#[derive(Debug)]
pub(super) struct Duplicates {
    /// For each input, a bit for each item.
    bits: Vec<Vec<u64>>,
}

/// An item, in the order in which it is to be sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    hash: [u64; 2],
    input: u32,
    is_dialogue: bool,
    item: u64,
}

impl Duplicates {
    /// Reads the whole corpus; `draws` says of an input's item whether it is drawn.
    pub(super) fn find(
        inputs: &[Input],
        draws: impl Fn(usize, u64) -> bool,
        threads: usize,
        max_item_bytes: usize,
        monitor: &Monitor,
    ) -> Result<Self> {
        let batches = sweep(inputs, threads, max_item_bytes, monitor, hash_items)?;
        let mut seen: Vec<Seen> = Vec::with_capacity(batches.iter().map(Vec::len).sum());
        let mut kind = None;
        for item in batches.into_iter().flatten() {
            // The first item says what a file is of; others are bad items, and the first of nothing.
            let (input, of_file) = *kind.get_or_insert((item.input, item.is_dialogue));
            if input != item.input {
                kind = Some((item.input, item.is_dialogue));
            } else if of_file != item.is_dialogue {
                continue;
            }
            if draws(item.input as usize, item.item) {
                seen.push(item);
            }
        }
        seen.sort_unstable();
        let mut found = Self { bits: vec![Vec::new(); inputs.len()] };
        for pair in seen.windows(2) {
            if pair[0].hash == pair[1].hash {
                found.mark(pair[1].input as usize, pair[1].item);
            }
        }
        Ok(found)
    }

    fn mark(&mut self, input: usize, item: u64) {
        let bits = &mut self.bits[input];
        let word = word_of(item);
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << (item % 64);
    }

    /// Whether an item says the same as one before it.
    pub(super) fn holds(&self, input: usize, item: u64) -> bool {
        self.bits[input].get(word_of(item)).is_some_and(|word| word >> (item % 64) & 1 == 1)
    }
}

fn word_of(item: u64) -> usize {
    usize::try_from(item / 64).unwrap_or(usize::MAX)
}

fn hash_items(input: usize, batch: &Batch) -> Vec<Seen> {
    let input = u32::try_from(input).unwrap_or(u32::MAX);
    let mut buffer = String::new();
    let read = batch.items().filter_map(|raw| Some((raw.index, parse_item(raw.bytes?).ok()?)));
    read.map(|(index, item)| {
        let hash = hash(&item, &mut buffer);
        let is_dialogue = item.kind() == Kind::Qa;
        Seen { hash: [high(hash), low(hash)], input, is_dialogue, item: index }
    })
    .collect()
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
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.is_ascii() { out.push_str(word) } else { out.extend(word.nfc().map(|(c, _)| c)) }
    }
}

#[allow(clippy::cast_possible_truncation)] // both halves are kept
fn low(hash: u128) -> u64 {
    hash as u64
}

fn high(hash: u128) -> u64 {
    low(hash >> 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::discover;
    use crate::read::MAX_ITEM_BYTES;

    #[test]
    fn the_first_is_kept_whatever_the_threads() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        for (name, content) in [
            ("a.json", "[\"x\", \"caf\u{e9}  au\\nlait \", \"y\", \"x\", \"X\"]"),
            ("b.json", "[[\"y\"], [\"y\", \"z\"], \"y\", [\"yz\"]]"),
            ("c.jsonl", "\"y\"\nnull\n\"cafe\u{301} au lait\"\n\"new\"\n\"new\"\n"),
        ] {
            std::fs::write(folder.path().join(name), content)?;
        }
        let inputs = discover(folder.path())?.inputs;
        let marked = |threads, draws: fn(usize, u64) -> bool| -> Result<Vec<_>> {
            let found = Duplicates::find(&inputs, draws, threads, MAX_ITEM_BYTES, &Monitor::default())?;
            let all = (0..3).flat_map(|input| (0..200).map(move |item| (input, item)));
            Ok(all.filter(|(input, item)| found.holds(*input, *item)).collect())
        };
        for threads in 1..4 {
            assert_eq!(marked(threads, |_, _| true)?, [(0, 3), (2, 0), (2, 2), (2, 4)]);
            // What is not drawn is the first of nothing, though it says what its file is of.
            assert_eq!(marked(threads, |_, item| item > 0)?, [(2, 2), (2, 4)]);
            let dialogues = |input, item| input != 1 || item > 1;
            assert_eq!(marked(threads, dialogues)?, [(0, 3), (2, 0), (2, 2), (2, 4)]);
            assert_eq!(marked(threads, |input, item| (input, item) != (2, 3))?, [(0, 3), (2, 0), (2, 2)]);
        }
        Ok(())
    }
}
