//! Sixteen lanes in two halves, with AVX2.

#[allow(clippy::wildcard_imports)] // many intrinsics
use std::arch::x86_64::*;

use super::{InLanes, LANES, Lanes, NUMBERS, end};

/// Made in [`with_avx2`] alone.
#[derive(Clone, Copy)]
struct Avx2([__m256i; 2]);

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn with_avx2(work: impl InLanes) {
    work.run::<Avx2>();
}

// SAFETY, of all that follows: there are such values only where the processor has AVX2 and counts bits; and a lane of a gather that
// reads memory has a place below the length of the words. (Spelled out for both halves: what passes through a closure or
// an array's `map` is not compiled for the processor.)
impl Lanes for Avx2 {
    type Mask = [__m256i; 2];

    #[inline(always)]
    fn splat(value: u32) -> Self {
        unsafe { Self([_mm256_set1_epi32(value.cast_signed()); 2]) }
    }
    #[inline(always)]
    fn from_array(values: &[u32; LANES]) -> Self {
        Self(bytemuck::must_cast(*values))
    }
    #[inline(always)]
    fn to_array(self) -> [u32; LANES] {
        bytemuck::must_cast(self.0)
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_min_epu32(a, c), _mm256_min_epu32(b, d)]) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_max_epu32(a, c), _mm256_max_epu32(b, d)]) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_add_epi32(a, c), _mm256_add_epi32(b, d)]) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_mullo_epi32(a, c), _mm256_mullo_epi32(b, d)]) }
    }
    #[inline(always)]
    fn mul_high(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([high(a, c), high(b, d)]) }
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_and_si256(a, c), _mm256_and_si256(b, d)]) }
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_or_si256(a, c), _mm256_or_si256(b, d)]) }
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { Self([_mm256_xor_si256(a, c), _mm256_xor_si256(b, d)]) }
    }
    #[inline(always)]
    fn shr<const BY: u32>(self) -> Self {
        self.shr_each(Self::splat(BY))
    }
    #[inline(always)]
    fn shl<const BY: u32>(self) -> Self {
        let ([a, b], [by, _]) = (self.0, Self::splat(BY).0);
        unsafe { Self([_mm256_sllv_epi32(a, by), _mm256_sllv_epi32(b, by)]) }
    }
    #[inline(always)]
    fn shr_each(self, by: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, by.0);
        unsafe { Self([_mm256_srlv_epi32(a, c), _mm256_srlv_epi32(b, d)]) }
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Self::Mask {
        let ([a, b], [c, d]) = (self.0, other.0);
        unsafe { [_mm256_cmpeq_epi32(a, c), _mm256_cmpeq_epi32(b, d)] }
    }
    #[inline(always)]
    fn below(self, other: Self) -> Self::Mask {
        // There are only signed comparisons.
        let sign = Self::splat(1 << 31);
        let ([a, b], [c, d]) = (self.xor(sign).0, other.xor(sign).0);
        unsafe { [_mm256_cmpgt_epi32(c, a), _mm256_cmpgt_epi32(d, b)] }
    }
    #[inline(always)]
    fn both([a, b]: Self::Mask, [c, d]: Self::Mask) -> Self::Mask {
        unsafe { [_mm256_and_si256(a, c), _mm256_and_si256(b, d)] }
    }
    #[inline(always)]
    fn either([a, b]: Self::Mask, [c, d]: Self::Mask) -> Self::Mask {
        unsafe { [_mm256_or_si256(a, c), _mm256_or_si256(b, d)] }
    }
    #[inline(always)]
    fn bits([a, b]: Self::Mask) -> u32 {
        unsafe {
            let low = _mm256_movemask_ps(_mm256_castsi256_ps(a));
            (_mm256_movemask_ps(_mm256_castsi256_ps(b)) << 8 | low).cast_unsigned()
        }
    }
    #[inline(always)]
    fn with_bits(bits: u32) -> Self::Mask {
        let one = Self::splat(1);
        Self::splat(bits).shr_each(Self::from_array(&NUMBERS)).and(one).equal(one)
    }
    #[inline(always)]
    fn select([low, high]: Self::Mask, chosen: Self, other: Self) -> Self {
        let ([a, b], [c, d]) = (chosen.0, other.0);
        unsafe { Self([_mm256_blendv_epi8(c, a, low), _mm256_blendv_epi8(d, b, high)]) }
    }

    #[inline(always)]
    fn squeeze(bits: u64, kept: u64) -> u64 {
        unsafe { _pext_u64(bits, kept) }
    }

    #[inline(always)]
    fn gather(words: &[u32], at: Self, mask: Self::Mask) -> Self {
        let [low, high] = Self::both(mask, at.below(Self::splat(end(words.len()))));
        let words = words.as_ptr().cast();
        unsafe {
            let zero = _mm256_setzero_si256();
            Self([
                _mm256_mask_i32gather_epi32::<4>(zero, words, at.0[0], low),
                _mm256_mask_i32gather_epi32::<4>(zero, words, at.0[1], high),
            ])
        }
    }
    #[inline(always)]
    fn gather_halves(words: &[u64], at: Self, mask: Self::Mask) -> (Self, Self) {
        let mask = Self::both(mask, at.below(Self::splat(end(words.len()))));
        let words = words.as_ptr().cast();
        unsafe {
            let [low, high] = eight(words, at.0[0], mask[0]);
            let [other_low, other_high] = eight(words, at.0[1], mask[1]);
            (Self([low, other_low]), Self([high, other_high]))
        }
    }
}

/// The high halves of eight products.
#[inline]
#[target_feature(enable = "avx2")]
fn high(one: __m256i, other: __m256i) -> __m256i {
    let even = _mm256_srli_epi64::<32>(_mm256_mul_epu32(one, other));
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(one), _mm256_srli_epi64::<32>(other));
    _mm256_blend_epi32::<0xAA>(even, odd)
}

/// The low and high halves of eight words.
///
/// # Safety
/// `words` has one at every place for which the mask is set.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight(words: *const i64, at: __m256i, mask: __m256i) -> [__m256i; 2] {
    let zero = _mm256_setzero_si256();
    // SAFETY: the caller's.
    let [low, high] = unsafe {
        let (at_low, at_high) = (_mm256_castsi256_si128(at), _mm256_extracti128_si256::<1>(at));
        let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(mask));
        let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(mask));
        [
            _mm256_castsi256_ps(_mm256_mask_i32gather_epi64::<8>(zero, words, at_low, low)),
            _mm256_castsi256_ps(_mm256_mask_i32gather_epi64::<8>(zero, words, at_high, high)),
        ]
    };
    // Both quarters of each come out in turns: 0 1 4 5 2 3 6 7.
    let halves =
        [_mm256_shuffle_ps::<0b10_00_10_00>(low, high), _mm256_shuffle_ps::<0b11_01_11_01>(low, high)];
    [
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(halves[0])),
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(halves[1])),
    ]
}
