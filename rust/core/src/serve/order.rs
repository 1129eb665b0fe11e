//! The order of rows: a permutation that is computed, not stored.
//!
//! A Feistel network permutes the numbers of 2k bits; applied again until the result is a row, it permutes
//! the rows (cycle walking; J. Black, P. Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). It
//! takes no memory, starts at any position at once, and is the same everywhere. This is its specification,
//! and `tests/test_order.py` holds test vectors and the same in Python; it does not change within a major
//! version.
//!
//! All arithmetic is modulo 2⁶⁴.
//!
//! - mix(x), the finalizer of `SplitMix64`: x ^= x >> 30; x *= 0xBF58476D1CE4E5B9; x ^= x >> 27;
//!   x *= 0x94D049BB133111EB; x ^= x >> 31
//! - key = mix(mix(seed + G) + epoch + G) with G = 0x9E3779B97F4A7C15; round i = 0…7 has key + (i + 1) G, mixed
//! - k is the smallest number from 4 on with 2^(2k) ≥ rows
//! - a round takes the halves (left, right), k bits each, to (right, left XOR (mix(right XOR round key) >> (64 − k)))
//! - row = position; repeat: row = left · 2^k + right after eight rounds; until row < rows

/// 2⁶⁴ over the golden ratio, odd: the step of `SplitMix64`.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const ROUNDS: usize = 8;

/// A permutation of the rows `0..rows`.
#[derive(Debug, Clone)]
pub struct Permutation {
    rows: u64,
    half_bits: u32,
    round_keys: [u64; ROUNDS],
}

impl Permutation {
    /// The order of an epoch.
    #[must_use]
    pub fn new(rows: u64, seed: u64, epoch: u64) -> Self {
        let bits = u64::BITS - rows.saturating_sub(1).leading_zeros();
        let key = mix(mix(seed.wrapping_add(STEP)).wrapping_add(epoch).wrapping_add(STEP));
        let mut round = key;
        let round_keys = std::array::from_fn(|_| {
            round = round.wrapping_add(STEP);
            mix(round)
        });
        Self { rows, half_bits: bits.div_ceil(2).max(4), round_keys }
    }

    /// The row at a position; `None` where the position is not below the number of rows.
    #[must_use]
    pub fn row_at(&self, position: u64) -> Option<u64> {
        if position >= self.rows {
            return None;
        }
        // Ends: the network is a permutation, so its cycle comes back to `position`, which is a row.
        let mut row = self.network(position);
        while row >= self.rows {
            row = self.network(row);
        }
        Some(row)
    }

    fn network(&self, value: u64) -> u64 {
        let half = self.half_bits;
        let (mut left, mut right) = (value >> half, value & ((1 << half) - 1));
        for key in self.round_keys {
            (left, right) = (right, left ^ (mix(right ^ key) >> (u64::BITS - half)));
        }
        left << half | right
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_stands_at_one_position(rows in 0u64..3000, seed: u64, epoch: u64) {
            let order = Permutation::new(rows, seed, epoch);
            let mut seen: Vec<u64> = (0..rows).filter_map(|position| order.row_at(position)).collect();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..rows));
            prop_assert_eq!(order.row_at(rows), None);
        }

        #[test]
        fn the_largest_sizes_work(rows in u64::MAX - 1000.., seed: u64, back in 0u64..1000) {
            let order = Permutation::new(rows, seed, 0);
            prop_assert!(order.row_at(rows - 1 - back).is_some_and(|row| row < rows));
        }
    }

    /// Where five rows stand over many seeds: each of the 120 orders about as often as the others.
    #[test]
    fn orders_are_evenly_likely() {
        let mut counts = std::collections::HashMap::new();
        let trials = 60_000u32;
        for seed in 0..u64::from(trials) {
            let order = Permutation::new(5, seed / 7, seed % 7);
            let rows: Vec<_> = (0..5).map(|position| order.row_at(position)).collect();
            *counts.entry(rows).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 120);
        let expected = f64::from(trials) / 120.0;
        let chi: f64 = counts.values().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum();
        assert!(chi < 200.0, "chi-square with 119 degrees of freedom: {chi}"); // p < 5e-6
    }
}
