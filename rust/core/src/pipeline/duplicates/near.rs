//! Items that say nearly the same as an item before them.

use std::ops::RangeInclusive;

use super::sketch::{BINS, Sketch};

/// What a threshold may be: below, too much is alike by its phrases alone, and too many bands would be needed.
pub(in crate::pipeline) const NEAR_THRESHOLDS: RangeInclusive<f64> = 0.5..=1.0;

/// No sketch.
const NONE: u32 = u32::MAX;

/// The sketches of items that are kept, to be asked for one like another.
///
/// Bands of sketches are looked up (locality-sensitive hashing: Leskovec, Rajaraman, Ullman, *Mining of Massive Datasets*,
/// chapter 3). Two sketches that differ in fewer bins than there are bands are the same in a whole band, so with one
/// more band than the bins that may differ nothing is missed, and what is found is compared: the answer is that of
/// comparing each with each.
///
/// Beside its sketch each item takes 4 bytes a band, and those that are kept 4 more: at a threshold of 0.8 there are
/// 26 bands.
pub(super) struct Similar<'a> {
    /// Equal bins that make two sketches similar.
    least: usize,
    bands: usize,
    /// For each band: the last kept sketch in a slot.
    heads: Vec<u32>,
    slots: u64,
    kept: Vec<&'a Sketch>,
    /// For each kept sketch and band: the one before it in its slot.
    before: Vec<u32>,
    /// For each kept sketch, the last that was compared with it.
    compared: Vec<u32>,
    asked: u32,
}

impl<'a> Similar<'a> {
    /// For at most `items` sketches (fewer than 2^32).
    pub(super) fn new(threshold: f64, items: usize) -> Self {
        let bins = 0..=BINS;
        let share = |bins: usize| f64::from(u16::try_from(bins).unwrap_or(u16::MAX)) / 128.0;
        let least = bins.into_iter().find(|bins| share(*bins) >= threshold).unwrap_or(BINS);
        let bands = BINS - least + 1;
        Self {
            least,
            bands,
            heads: vec![NONE; bands * items.max(1)],
            slots: items.max(1) as u64,
            // Room that is not used takes no memory, and growing would take it twice.
            kept: Vec::with_capacity(items),
            before: Vec::with_capacity(bands * items),
            compared: Vec::with_capacity(items),
            asked: NONE,
        }
    }

    /// Whether there is one like it; keeps it else.
    pub(super) fn holds_or_keeps(&mut self, sketch: &'a Sketch) -> bool {
        self.asked = self.asked.wrapping_add(1);
        let mut slots = [0; BINS];
        for (band, slot) in slots[..self.bands].iter_mut().enumerate() {
            *slot = self.slot(sketch, band);
        }
        for (band, slot) in slots[..self.bands].iter().enumerate() {
            let mut number = self.heads[*slot];
            while number != NONE {
                let at = number as usize;
                if self.compared[at] != self.asked {
                    self.compared[at] = self.asked;
                    if self.kept[at].equal_bins(sketch) >= self.least {
                        return true;
                    }
                }
                number = self.before[at * self.bands + band];
            }
        }
        let number = u32::try_from(self.kept.len()).unwrap_or(NONE);
        for slot in &slots[..self.bands] {
            self.before.push(std::mem::replace(&mut self.heads[*slot], number));
        }
        self.kept.push(sketch);
        self.compared.push(self.asked);
        false
    }

    /// Where a band of a sketch is looked up.
    fn slot(&self, sketch: &Sketch, band: usize) -> usize {
        let bins = &sketch.0[band * BINS / self.bands..(band + 1) * BINS / self.bands];
        let hash = xxhash_rust::xxh3::xxh3_64(bytemuck::cast_slice(bins)); // in memory alone: any byte order will do
        let slot = usize::try_from(((hash >> 32) * self.slots) >> 32).unwrap_or(0);
        band * usize::try_from(self.slots).unwrap_or(0) + slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comparing each with each comes to.
    fn oracle(threshold: f64, sketches: &[Sketch]) -> Vec<bool> {
        let mut kept: Vec<&Sketch> = Vec::new();
        let similar = |a: &Sketch, b: &Sketch| {
            let equal = a.0.iter().zip(&b.0).filter(|(a, b)| a == b).count();
            f64::from(u32::try_from(equal).unwrap_or(u32::MAX)) / 128.0 >= threshold
        };
        let mut each = |sketch| {
            let found = kept.iter().any(|other| similar(other, sketch));
            if !found {
                kept.push(sketch);
            }
            found
        };
        sketches.iter().map(&mut each).collect()
    }

    proptest! {
        /// Sketches of few families, each with so many bins of its own that they are about as similar as asked.
        #[test]
        fn nothing_is_missed_and_nothing_is_too_much(
            threshold in 0.5..=1.0f64,
            items in proptest::collection::vec((0u16..3, 0u64..1 << 40, 0.0..=1.2f64), 0..60),
        ) {
            let sketch = |(family, seed, part): &(u16, u64, f64)| {
                let other = (part * (1.0 - threshold) * 128.0).round();
                let mut sketch = Sketch([*family; BINS]);
                for i in (0..128u64).filter(|i| f64::from(u32::try_from(*i).unwrap_or(0)) < other) {
                    let place = (i * 37 + seed) % 128; // all different
                    sketch.0[usize::try_from(place).unwrap_or(0)] = u16::try_from(seed % 50_000).unwrap_or(0) + 10;
                }
                sketch
            };
            let sketches: Vec<Sketch> = items.iter().map(sketch).collect();
            let mut similar = Similar::new(threshold, sketches.len());
            let found: Vec<bool> = sketches.iter().map(|sketch| similar.holds_or_keeps(sketch)).collect();
            prop_assert_eq!(found, oracle(threshold, &sketches));
        }
    }
}
