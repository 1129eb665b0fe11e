//! Sketches of texts, by which their similarity is known without the texts.

/// Bins of a sketch.
pub(super) const BINS: usize = 128;

/// Words of a shingle.
const SHINGLE: usize = 5;

/// Bits of a bin's number.
const BIN_BITS: u32 = BINS.ilog2();

/// What stands for the shingles of a text, all runs of five words of it. The share of equal bins in the sketches of two
/// texts is an unbiased estimate of their Jaccard similarity: shared shingles among those of either (Broder 1997).
///
/// It is filled by Fast Similarity Sketching (Dahlgaard, Knudsen, Thorup 2017): rounds of throwing all shingles into
/// bins, in which the least hash of the first round that hits a bin counts, until no bin is empty; in the second
/// half of the rounds all are thrown into one bin after the other. One or two rounds do for a long text, where
/// `MinHash` would take one for each bin; the estimate is as good. Of each hash 16 bits are kept (Li and König 2010),
/// so that two bins are equal by accident once in 65,536 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sketch(pub(super) [u16; BINS]);

impl Sketch {
    /// Of words with a space between each two; `None` where there is none.
    pub(super) fn of(words: &[u8]) -> Option<Self> {
        let shingles = shingles(words);
        if shingles.is_empty() {
            return None;
        }
        let mut least = [u64::MAX; BINS];
        let mut empty = BINS;
        for round in 0..2 * BINS as u64 {
            for shingle in &shingles {
                let hash = mix(shingle.wrapping_add((round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
                let bin = match usize::try_from(round).unwrap_or(BINS).checked_sub(BINS) {
                    None => usize::try_from(hash >> (64 - BIN_BITS)).unwrap_or(0),
                    Some(bin) => bin,
                };
                let value = round << 48 | hash & ((1 << 48) - 1);
                empty -= usize::from(least[bin] == u64::MAX);
                least[bin] = least[bin].min(value);
            }
            if empty == 0 {
                break;
            }
        }
        Some(Self(least.map(|value| mix(value).to_le_bytes()).map(|[a, b, ..]| u16::from_le_bytes([a, b]))))
    }

    /// How many bins are equal.
    #[inline]
    pub(super) fn equal_bins(&self, other: &Self) -> usize {
        let equal: u16 = self.0.iter().zip(&other.0).map(|(a, b)| u16::from(a == b)).sum();
        usize::from(equal)
    }
}

/// The hashes of all runs of [`SHINGLE`] words; of all words where there are fewer.
fn shingles(words: &[u8]) -> Vec<u64> {
    if words.is_empty() {
        return Vec::new();
    }
    let words: Vec<u64> = words.split(|byte| *byte == b' ').map(xxhash_rust::xxh3::xxh3_64).collect();
    let together = |words: &[u64]| words.iter().fold(0, |hash: u64, word| mix(hash.rotate_left(23) ^ word));
    words.windows(SHINGLE.min(words.len())).map(together).collect()
}

/// Stirs all bits (the finalizer of `SplitMix64`: Steele, Lea, Flood 2014).
#[inline]
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn text(words: impl Iterator<Item = u32>) -> String {
        words.map(|word| format!("w{word}")).collect::<Vec<_>>().join(" ")
    }

    /// Shared runs of five words among those of either, counted one by one.
    fn jaccard(a: &str, b: &str) -> f64 {
        let set = |text: &str| {
            let words: Vec<String> = text.split(' ').map(String::from).collect();
            words.windows(SHINGLE.min(words.len())).map(<[String]>::to_vec).collect::<HashSet<_>>()
        };
        let (a, b) = (set(a), set(b));
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        count(a.intersection(&b).count()) / count(a.union(&b).count())
    }

    #[test]
    fn the_estimate_is_unbiased_and_as_narrow_as_that_of_minhash() -> Result<(), &'static str> {
        for (length, changed) in [(12u32, 3), (40, 7), (40, 19), (300, 9), (300, 31), (5000, 11), (5000, 97)]
        {
            let (mut off, mut squares, mut expected) = (0.0, 0.0, 0.0);
            let trials = if length > 1000 { 60 } else { 400 };
            for trial in 0..trials {
                let words = |other: u32| {
                    text((0..length).map(|i| i + 10_000 * trial + if i % changed == 0 { other } else { 0 }))
                };
                let (a, b) = (words(0), words(100_000_000));
                let sketch = |text: &str| Sketch::of(text.as_bytes()).ok_or("no words");
                let equal = u32::try_from(sketch(&a)?.equal_bins(&sketch(&b)?)).unwrap_or(u32::MAX);
                let truth = jaccard(&a, &b);
                let error = f64::from(equal) / 128.0 - truth;
                off += error;
                squares += error * error;
                expected += truth * (1.0 - truth) / 128.0;
            }
            let n = f64::from(trials);
            // Within four standard deviations of the mean, and no wider than MinHash by more than chance.
            assert!(
                (off / n).abs() < 4.0 * (expected / n / n).sqrt() + 1e-4,
                "{length} {changed}: {}",
                off / n
            );
            assert!(squares < 1.4 * expected + 1e-9, "{length} {changed}: {}", squares / expected);
        }
        Ok(())
    }

    #[test]
    fn short_texts_and_none() {
        assert_eq!(Sketch::of(b""), None);
        let of = |text: &str| Sketch::of(text.as_bytes()).map(|sketch| sketch.0);
        assert_eq!(of("a b c"), of("a b c"));
        for (a, b) in [("a b c", "a b"), ("a b c d e", "a b c d"), ("a", "b"), ("ab c", "a bc")] {
            let sketch = |text: &str| Sketch::of(text.as_bytes());
            let equal = sketch(a).zip(sketch(b)).map(|(a, b)| a.equal_bins(&b));
            assert!(equal.is_some_and(|equal| equal < 5), "{a} {b}: {equal:?}");
        }
        // However often a run stands in a text.
        assert_eq!(of(&["a"; 9].join(" ")), of(&["a"; 90].join(" ")));
    }
}
