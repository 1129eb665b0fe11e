//! Sixteen numbers worked on at once, with AVX2 where the processor has it. (With AVX-512 it was not faster.)
//!
//! This holds two unsafe acts: to call what was compiled for a processor of a kind only where the processor is of that kind
//! and, within, to use its instructions, of which those that gather read memory: every place is compared with the length
//! before. Many look-ups of pairs at once wait for memory together, and nothing about them has to be foreseen; one after the
//! other they are the most of what a new word costs (measured: see `benches/encoder-log.md`).
#![allow(unsafe_code)]

/// How many lanes there are.
pub(super) const LANES: usize = 16;

/// A number in each lane.
pub(super) trait Lanes: Copy {
    /// Lanes that are chosen.
    type Mask: Copy;

    fn splat(value: u32) -> Self;
    /// A number that is known to be small.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // that is what is known
    fn small(value: usize) -> Self {
        Self::splat(value as u32)
    }
    fn from_array(values: &[u32; LANES]) -> Self;
    fn to_array(self) -> [u32; LANES];

    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// Wrapping.
    fn add(self, other: Self) -> Self;
    /// The low half of the product.
    fn mul(self, other: Self) -> Self;
    /// The high half of the product.
    fn mul_high(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// Shifts by less than 32.
    fn shr<const BY: u32>(self) -> Self;
    fn shl<const BY: u32>(self) -> Self;
    /// Shifts every lane by its own number below 32.
    fn shr_each(self, by: Self) -> Self;

    fn equal(self, other: Self) -> Self::Mask;
    fn below(self, other: Self) -> Self::Mask;
    fn both(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// A bit for each lane, the first lowest, set where it is chosen.
    fn bits(mask: Self::Mask) -> u32;
    /// Whether any lane is chosen.
    #[inline(always)]
    fn any(mask: Self::Mask) -> bool {
        Self::bits(mask) != 0
    }
    /// One where the mask has a lane, the other elsewhere.
    fn select(mask: Self::Mask, chosen: Self, other: Self) -> Self;

    /// What stands in lanes whose bits are set, in the first lanes; in the others anything.
    #[inline(always)]
    fn compress(self, bits: u32) -> Self {
        let (from, mut to, mut count) = (self.to_array(), [0; LANES], 0);
        for (lane, value) in from.into_iter().enumerate() {
            to[count % LANES] = value;
            count += (bits >> lane & 1) as usize;
        }
        Self::from_array(&to)
    }

    /// `words[at]` in the lanes that the mask has, as far as there are such words; zero elsewhere.
    fn gather(words: &[u32], at: Self, mask: Self::Mask) -> Self;
    /// The low and the high halves of `words[at]`, in the same way.
    fn gather_halves(words: &[u64], at: Self, mask: Self::Mask) -> (Self, Self);
}

/// What is done in lanes.
pub(super) trait InLanes {
    /// Has to be inlined always, so that it is compiled for every kind of processor.
    fn run<L: Lanes>(self);
}

/// Whether lanes are faster than one after the other: not without instructions that gather (measured).
#[inline]
pub(super) fn pay() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Does a work in lanes.
#[inline]
pub(super) fn in_lanes(work: impl InLanes) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512.
        return unsafe { x86::with_avx512(work) };
    }
    #[cfg(target_arch = "x86_64")]
    if pay() {
        // SAFETY: the processor has AVX2.
        return unsafe { x86::with_avx2(work) };
    }
    work.run::<Plain>();
}

/// One after the other, as far as the compiler does not find vectors for it.
#[derive(Clone, Copy)]
struct Plain([u32; LANES]);

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
    fn bits(mask: Self::Mask) -> u32 {
        mask.iter().rev().fold(0, |bits, chosen| bits << 1 | u32::from(*chosen))
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[allow(clippy::wildcard_imports)] // sixty intrinsics
    use std::arch::x86_64::*;

    use super::{InLanes, LANES, Lanes};

    /// Made in [`with_avx512`] alone.
    #[derive(Clone, Copy)]
    struct Avx512(__m512i);

    #[target_feature(enable = "avx512f")]
    pub(super) fn with_avx512(work: impl InLanes) {
        work.run::<Avx512>();
    }

    // SAFETY, of all that follows: there is such a value only where the processor has AVX-512; and a lane of a gather that
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
        fn bits(mask: Self::Mask) -> u32 {
            u32::from(mask)
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

    /// Made in [`with_avx2`] alone.
    #[derive(Clone, Copy)]
    struct Avx2([__m256i; 2]);

    #[target_feature(enable = "avx2")]
    pub(super) fn with_avx2(work: impl InLanes) {
        work.run::<Avx2>();
    }

    /// Gathers take places that are no negative `i32`.
    #[allow(clippy::cast_possible_truncation)] // that is what is made sure of
    fn end(length: usize) -> u32 {
        length.min(1 << 30) as u32
    }

    // SAFETY, of all that follows: there is such a value only where the processor has AVX2; and a lane of a gather that
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
        fn bits([a, b]: Self::Mask) -> u32 {
            unsafe {
                let low = _mm256_movemask_ps(_mm256_castsi256_ps(a));
                (_mm256_movemask_ps(_mm256_castsi256_ps(b)) << 8 | low).cast_unsigned()
            }
        }
        #[inline(always)]
        fn select([low, high]: Self::Mask, chosen: Self, other: Self) -> Self {
            let ([a, b], [c, d]) = (chosen.0, other.0);
            unsafe { Self([_mm256_blendv_epi8(c, a, low), _mm256_blendv_epi8(d, b, high)]) }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    /// Checks every act against numbers one by one.
    struct Every<'n>(&'n mut Numbers, &'n mut usize);

    impl Every<'_> {
        /// Numbers of all sizes.
        #[allow(clippy::cast_possible_truncation)] // any number will do
        fn some(&mut self) -> [u32; LANES] {
            std::array::from_fn(|_| (self.0.below(1 << 32) as u32) >> self.0.below(32))
        }
    }

    impl InLanes for Every<'_> {
        #[inline(always)]
        fn run<L: Lanes>(mut self) {
            for round in 0..2000 {
                let (a, b, other) = (self.some(), self.some(), self.some());
                let [x, y, others] = [a, b, other].map(|some| L::from_array(&some));
                let each = |act: &dyn Fn(u32, u32) -> u32| std::array::from_fn(|lane| act(a[lane], b[lane]));
                let acts: [([u32; LANES], L); 12] = [
                    (each(&|a, _| a), x),
                    (each(&u32::min), x.min(y)),
                    (each(&u32::max), x.max(y)),
                    (each(&u32::wrapping_add), x.add(y)),
                    (each(&u32::wrapping_mul), x.mul(y)),
                    (each(&|a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32), x.mul_high(y)),
                    (each(&|a, b| a & b), x.and(y)),
                    (each(&|a, b| a | b), x.or(y)),
                    (each(&|a, b| a ^ b), x.xor(y)),
                    (each(&|a, _| a >> 7), x.shr::<7>()),
                    (each(&|a, _| a << 9), x.shl::<9>()),
                    (each(&|a, b| a >> (b % 32)), x.shr_each(y.and(L::small(31)))),
                ];
                for (number, (expected, found)) in acts.into_iter().enumerate() {
                    assert_eq!(found.to_array(), expected, "act {number} of {a:?} and {b:?}");
                }
                let (below, equal) = (x.below(y), x.and(L::small(1)).equal(y.and(L::small(1))));
                let (both, any) = (L::both(below, equal), each(&|a, b| u32::from(a < b)) != [0; LANES]);
                assert_eq!(L::any(below), any);
                let chosen = L::select(both, others, L::splat(5)).to_array();
                for lane in 0..LANES {
                    let both = a[lane] < b[lane] && a[lane] % 2 == b[lane] % 2;
                    assert_eq!(chosen[lane], if both { other[lane] } else { 5 });
                }
                // Places within, at the end and far beyond.
                let words: Vec<u64> = (0..9).map(|at| u64::from(a[at]) << 32 | u64::from(b[at])).collect();
                let at =
                    std::array::from_fn(|lane| if lane % 3 == 0 { other[lane] } else { other[lane] % 11 });
                let (low, high) = L::gather_halves(&words, L::from_array(&at), below);
                let found = L::gather(&a[..9], L::from_array(&at), below).to_array();
                for lane in 0..LANES {
                    let chosen = a[lane] < b[lane] && at[lane] < 9;
                    let here = (at[lane] as usize) % 9;
                    let expected = if chosen { [a[here], b[here], a[here]] } else { [0; 3] };
                    let found = [high.to_array()[lane], low.to_array()[lane], found[lane]];
                    assert_eq!(found, expected, "lane {lane} at {}", at[lane]);
                }
                assert_eq!(L::gather(&[], x, below).to_array(), [0; LANES]);
                *self.1 = round;
            }
        }
    }

    #[test]
    fn lanes_do_what_numbers_do_one_by_one() {
        let mut last = [0; 2];
        in_lanes(Every(&mut Numbers(0x9E37_79B9_7F4A_7C15), &mut last[0]));
        Every(&mut Numbers(0x9E37_79B9_7F4A_7C15), &mut last[1]).run::<Plain>();
        assert_eq!(last, [1999; 2]);
    }
}
