//! Lanes as the compiler finds vectors for them, or none.

use super::{LANES, Lanes};

/// One after the other, as far as the compiler does not find vectors for it.
#[derive(Clone, Copy)]
pub(super) struct Plain([u32; LANES]);

impl Plain {
    /// Of both numbers in every lane.
    #[inline(always)]
    fn each<T>(self, other: Self, act: impl Fn(u32, u32) -> T) -> [T; LANES] {
        std::array::from_fn(|lane| act(self.0[lane], other.0[lane]))
    }
}

impl Lanes for Plain {
    type Mask = [bool; LANES];

    #[inline(always)]
    fn splat(value: u32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    fn from_array(values: &[u32; LANES]) -> Self {
        Self(*values)
    }
    #[inline(always)]
    fn to_array(self) -> [u32; LANES] {
        self.0
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(self.each(other, u32::min))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(self.each(other, u32::max))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.each(other, u32::wrapping_add))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.each(other, u32::wrapping_mul))
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // half of it
    fn mul_high(self, other: Self) -> Self {
        Self(self.each(other, |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32))
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Self(self.each(other, |a, b| a & b))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(self.each(other, |a, b| a | b))
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Self(self.each(other, |a, b| a ^ b))
    }
    #[inline(always)]
    fn shr<const BY: u32>(self) -> Self {
        Self(self.each(self, |a, _| a >> BY))
    }
    #[inline(always)]
    fn shl<const BY: u32>(self) -> Self {
        Self(self.each(self, |a, _| a << BY))
    }
    #[inline(always)]
    fn shr_each(self, by: Self) -> Self {
        Self(self.each(by, |a, by| a >> (by % 32)))
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Self::Mask {
        self.each(other, |a, b| a == b)
    }
    #[inline(always)]
    fn below(self, other: Self) -> Self::Mask {
        self.each(other, |a, b| a < b)
    }
    #[inline(always)]
    fn both(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        std::array::from_fn(|lane| one[lane] & other[lane])
    }
    #[inline(always)]
    fn either(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        std::array::from_fn(|lane| one[lane] | other[lane])
    }
    #[inline(always)]
    fn bits(mask: Self::Mask) -> u32 {
        mask.iter().rev().fold(0, |bits, chosen| bits << 1 | u32::from(*chosen))
    }
    #[inline(always)]
    fn with_bits(bits: u32) -> Self::Mask {
        std::array::from_fn(|lane| bits >> lane & 1 != 0)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, chosen: Self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| if mask[lane] { chosen.0[lane] } else { other.0[lane] }))
    }

    #[inline(always)]
    fn gather(words: &[u32], at: Self, mask: Self::Mask) -> Self {
        let word = |lane: usize| words.get(at.0[lane] as usize).copied().unwrap_or(0);
        Self(std::array::from_fn(|lane| if mask[lane] { word(lane) } else { 0 }))
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // halves are what is wanted
    fn gather_halves(words: &[u64], at: Self, mask: Self::Mask) -> (Self, Self) {
        let word = |lane: usize| words.get(at.0[lane] as usize).copied().unwrap_or(0);
        let words: [u64; LANES] = std::array::from_fn(|lane| if mask[lane] { word(lane) } else { 0 });
        (Self(words.map(|word| word as u32)), Self(words.map(|word| (word >> 32) as u32)))
    }
}
