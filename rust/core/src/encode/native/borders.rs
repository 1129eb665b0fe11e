//! Where what certain merges leave can never be joined.
//!
//! A merge that goes over the border of two symbols takes a token that ends with the one and a token that begins with
//! the other. Where no two tokens that merge do so, the border is one of the tokens in the end, whatever stands around. Of single
//! letters hardly any are apart, but of what certain merges (see [`Certain`]) make of them about one in three, since few tokens
//! are made of any three letters, and next to none of any four.

use super::certain::Certain;
use super::lanes::Lanes;
use super::model::Symbols;
use super::pairs::Pairs;
use crate::memory::Words;

/// Bits of the table: 2^21 in 256 KiB, of which real vocabularies set up to one in ten.
const BITS: u32 = 21;

/// Odd numbers without a pattern.
const LEFT: u32 = 0x9E37_79B9;
const RIGHT: u32 = 0x85EB_CA6B;

/// Which symbols may be joined, by their hash.
pub(super) struct Borders {
    bits: Words,
}

impl Borders {
    /// `merges`: both tokens and what they become, by rank; `tokens`: by id, its bytes.
    pub(super) fn new(
        symbols: &Symbols,
        certain: &Certain,
        pairs: &Pairs,
        merges: &[[u32; 3]],
        tokens: &[&[u8]],
    ) -> Self {
        let mut borders = Self { bits: Words::zeroed(1 << (BITS - 6)) };
        let words: &mut [u32] = bytemuck::cast_slice_mut(borders.bits.get_mut());
        // What a token ends with is a symbol, or what two have become; and so is what one begins with.
        let (mut ends, mut begins) = (Vec::new(), Vec::new());
        for &[left, right, _] in merges {
            let [left, right] = [left, right].map(|id| tokens[id as usize]);
            ends.clear();
            begins.clear();
            for last in symbols.last_of(left) {
                let before = symbols.last_of(&left[..left.len() - last.length]);
                ends.extend(before.filter_map(|before| certain.made(pairs, before.symbol, last.symbol)));
                ends.push(last.symbol);
            }
            for first in symbols.first_of(right) {
                let behind = symbols.first_of(&right[first.length..]);
                begins.extend(behind.filter_map(|behind| certain.made(pairs, first.symbol, behind.symbol)));
                begins.push(first.symbol);
            }
            for &end in &ends {
                for &begin in &begins {
                    let bit = bit_of(end, begin);
                    words[(bit / 32) as usize] |= 1 << (bit % 32);
                }
            }
        }
        borders
    }

    /// Whether nothing joins two symbols.
    #[inline(always)]
    pub(super) fn part_in_lanes<L: Lanes>(&self, left: L, right: L) -> L::Mask {
        let bit = left.mul(L::splat(LEFT)).add(right.mul(L::splat(RIGHT)));
        let bit = bit.shr::<{ u32::BITS - BITS }>();
        let word = L::gather(bytemuck::cast_slice(self.bits.get()), bit.shr::<5>(), bit.equal(bit));
        let joined = word.shr_each(bit.and(L::splat(31))).and(L::splat(1));
        joined.equal(L::splat(0))
    }
}

/// The bit of two symbols (multiply-shift hashing, Dietzfelbinger 1996).
fn bit_of(left: u32, right: u32) -> u32 {
    left.wrapping_mul(LEFT).wrapping_add(right.wrapping_mul(RIGHT)) >> (u32::BITS - BITS)
}
