//! Sixteen lanes in one register, with AVX-512.

#[allow(clippy::wildcard_imports)] // many intrinsics
use std::arch::x86_64::*;

use super::{InLanes, LANES, Lanes, end};

/// Made in [`with_avx512`] alone.
#[derive(Clone, Copy)]
struct Avx512(__m512i);

#[target_feature(enable = "avx512f,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn with_avx512(work: impl InLanes) {
    work.run::<Avx512>();
}

// SAFETY, of all that follows: there are such values only where the processor has AVX-512 and counts bits; and a lane of a gather that
// reads memory has a place below the length of the words.
impl Lanes for Avx512 {
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(value: u32) -> Self {
        unsafe { Self(_mm512_set1_epi32(value.cast_signed())) }
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
        unsafe { Self(_mm512_min_epu32(self.0, other.0)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Self(_mm512_max_epu32(self.0, other.0)) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_epi32(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm512_mullo_epi32(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul_high(self, other: Self) -> Self {
        unsafe {
            let even = _mm512_srli_epi64::<32>(_mm512_mul_epu32(self.0, other.0));
            let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(self.0), _mm512_srli_epi64::<32>(other.0));
            Self(_mm512_mask_blend_epi32(0xAAAA, even, odd))
        }
    }
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        unsafe { Self(_mm512_and_si512(self.0, other.0)) }
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        unsafe { Self(_mm512_or_si512(self.0, other.0)) }
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        unsafe { Self(_mm512_xor_si512(self.0, other.0)) }
    }
    #[inline(always)]
    fn shr<const BY: u32>(self) -> Self {
        self.shr_each(Self::splat(BY))
    }
    #[inline(always)]
    fn shl<const BY: u32>(self) -> Self {
        unsafe { Self(_mm512_sllv_epi32(self.0, Self::splat(BY).0)) }
    }
    #[inline(always)]
    fn shr_each(self, by: Self) -> Self {
        unsafe { Self(_mm512_srlv_epi32(self.0, by.0)) }
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Self::Mask {
        unsafe { _mm512_cmpeq_epi32_mask(self.0, other.0) }
    }
    #[inline(always)]
    fn below(self, other: Self) -> Self::Mask {
        unsafe { _mm512_cmplt_epu32_mask(self.0, other.0) }
    }
    #[inline(always)]
    fn both(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        one & other
    }
    #[inline(always)]
    fn either(one: Self::Mask, other: Self::Mask) -> Self::Mask {
        one | other
    }
    #[inline(always)]
    fn bits(mask: Self::Mask) -> u32 {
        u32::from(mask)
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // a bit for each lane
    fn with_bits(bits: u32) -> Self::Mask {
        bits as __mmask16
    }
    #[inline(always)]
    fn select(mask: Self::Mask, chosen: Self, other: Self) -> Self {
        unsafe { Self(_mm512_mask_blend_epi32(mask, other.0, chosen.0)) }
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // sixteen lanes
    fn compress(self, bits: u32) -> Self {
        unsafe { Self(_mm512_maskz_compress_epi32(bits as __mmask16, self.0)) }
    }

    #[inline(always)]
    fn squeeze(bits: u64, kept: u64) -> u64 {
        unsafe { _pext_u64(bits, kept) }
    }

    #[inline(always)]
    fn gather(words: &[u32], at: Self, mask: Self::Mask) -> Self {
        let mask = mask & at.below(Self::splat(end(words.len())));
        unsafe {
            let zero = _mm512_setzero_si512();
            Self(_mm512_mask_i32gather_epi32::<4>(zero, mask, at.0, words.as_ptr().cast()))
        }
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // halves
    fn gather_halves(words: &[u64], at: Self, mask: Self::Mask) -> (Self, Self) {
        let mask = mask & at.below(Self::splat(end(words.len())));
        unsafe {
            let zero = _mm512_setzero_si512();
            let words = words.as_ptr().cast();
            let (low, high) = (_mm512_castsi512_si256(at.0), _mm512_extracti64x4_epi64::<1>(at.0));
            let low = _mm512_mask_i32gather_epi64::<8>(zero, mask as u8, low, words);
            let high = _mm512_mask_i32gather_epi64::<8>(zero, (mask >> 8) as u8, high, words);
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (
                Self(_mm512_permutex2var_epi32(low, even, high)),
                Self(_mm512_permutex2var_epi32(low, odd, high)),
            )
        }
    }
}
