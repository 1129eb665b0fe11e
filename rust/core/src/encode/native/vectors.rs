//! Sixty-four bytes compared at once, with the widest vectors that the processor has.
//!
//! This holds two unsafe acts: to call what was compiled for a processor of a kind only where the processor is of that kind,
//! and, within, to use its instructions. With AVX-512 a comparison of 64 bytes is one instruction where SSE2 takes twelve, and
//! what bounds the encoder on known text is the number of its instructions (measured: see `benches/encoder-log.md`). The
//! plain way is SSE2 on x86-64 and NEON on aarch64, by the `wide` crate.
#![allow(unsafe_code)]

use super::adjacent::{AROUND, WORD_BITS};
use super::block::{BLOCK, Compare, Plain};

/// A question about sixty-four bytes.
pub(super) trait Look {
    /// The answer.
    type Found;

    /// Has to be inlined always, so that it is compiled for every kind of processor.
    fn look(&self, bytes: impl Compare) -> Self::Found;
}

/// Answers a question about a block.
#[inline]
pub(super) fn look<L: Look>(question: &L, block: &[u8; BLOCK]) -> L::Found {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512bw") {
            // SAFETY: the processor has it.
            return unsafe { x86::with_avx512(question, block) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it.
            return unsafe { x86::with_avx2(question, block) };
        }
    }
    question.look(Plain(block))
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    #[allow(clippy::wildcard_imports)] // many intrinsics
    use std::arch::x86_64::*;

    use super::super::adjacent::{AROUND, FACTOR, WORD_BITS, bit_shift};
    use super::{BLOCK, Compare, Look};

    /// Made in [`with_avx512`] alone.
    #[derive(Clone, Copy)]
    struct Avx512(__m512i);

    /// Made in [`with_avx2`] alone.
    #[derive(Clone, Copy)]
    struct Avx2([__m256i; 2]);

    /// Answers a question with AVX-512.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(in super::super) fn with_avx512<L: Look>(question: &L, block: &[u8; BLOCK]) -> L::Found {
        question.look(Avx512(bytemuck::must_cast(*block)))
    }

    /// Answers a question with AVX2.
    #[target_feature(enable = "avx2")]
    pub(in super::super) fn with_avx2<L: Look>(question: &L, block: &[u8; BLOCK]) -> L::Found {
        question.look(Avx2(bytemuck::must_cast(*block)))
    }

    impl Compare for Avx512 {
        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: there is such a value only where the processor has AVX-512.
            unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte.cast_signed())) }
        }

        #[inline(always)]
        fn within(self, low: u8, high: u8) -> u64 {
            // SAFETY: as above.
            unsafe {
                let above = _mm512_sub_epi8(self.0, _mm512_set1_epi8(low.cast_signed()));
                _mm512_cmple_epu8_mask(above, _mm512_set1_epi8((high - low).cast_signed()))
            }
        }
    }

    // Spelled out for both halves: what passes through a closure or an array's `map` is not compiled for the processor.
    impl Compare for Avx2 {
        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: there is such a value only where the processor has AVX2.
            let [low, high] = unsafe {
                let wanted = _mm256_set1_epi8(byte.cast_signed());
                [
                    _mm256_movemask_epi8(_mm256_cmpeq_epi8(self.0[0], wanted)),
                    _mm256_movemask_epi8(_mm256_cmpeq_epi8(self.0[1], wanted)),
                ]
            };
            both(low, high)
        }

        #[inline(always)]
        fn within(self, low: u8, high: u8) -> u64 {
            // SAFETY: as above.
            let [low, high] = unsafe {
                let least = _mm256_set1_epi8(low.cast_signed());
                let most = _mm256_set1_epi8((high - low).cast_signed());
                let above = [_mm256_sub_epi8(self.0[0], least), _mm256_sub_epi8(self.0[1], least)];
                [
                    _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(above[0], most), above[0])),
                    _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(above[1], most), above[1])),
                ]
            };
            both(low, high)
        }
    }

    /// Places that are worked on at once.
    const TOGETHER: usize = 8;
    /// The numbers of the bytes of a vector.
    const NUMBERS: [u8; BLOCK] = {
        let mut numbers = [0; BLOCK];
        let mut at = 1;
        while at < BLOCK {
            numbers[at] = numbers[at - 1] + 1;
            at += 1;
        }
        numbers
    };
    /// Of the first eight numbers, of the next eight and so on, each eight times.
    const SPREAD: [[u8; BLOCK]; BLOCK / 2 / TOGETHER] = {
        let mut spread = [[0; BLOCK]; BLOCK / 2 / TOGETHER];
        let mut at = 0;
        while at < spread.len() * BLOCK {
            spread[at / BLOCK][at % BLOCK] = NUMBERS[at / 8];
            at += 1;
        }
        spread
    };

    /// What [`View::among`](super::super::adjacent::View::among) says. There are at most half as many places as bytes.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,bmi2,popcnt")]
    pub(super) fn adjacent<const LENGTH: usize>(
        around: &[u8; AROUND],
        places: u64,
        words: &[u64; 1 << WORD_BITS],
    ) -> [u64; 2] {
        // Two characters, from the first byte of the eight that stand there: one bit a byte.
        let (two, offsets) = if LENGTH == 3 {
            (0x3F3F_3F3F_3F3F_3F3F, [0, 1, 2, 3, 4, 5, 6, 7])
        } else {
            (0x1B1B_1B1B_1B1B_1B1B, [0, 1, 0, 2, 3, 0, 0, 0])
        };
        let offsets = _mm512_set1_epi64(i64::from_le_bytes(offsets));
        let (low, high) =
            (*around.first_chunk::<BLOCK>().unwrap_or(&[0; BLOCK]), *around.last_chunk().unwrap_or(&[0; 8]));
        // Places beyond the first vector are read from these eight, which stand in the second one over and over.
        let (low, high) = (bytemuck::must_cast(low), _mm512_set1_epi64(i64::from_le_bytes(high)));
        let numbers = _mm512_maskz_compress_epi8(places, bytemuck::must_cast(NUMBERS));
        let (factor, one) = (_mm512_set1_epi64(FACTOR.cast_signed()), _mm512_set1_epi64(1));
        let (mut held, mut alone) = (0, 0);
        let groups = (places.count_ones() as usize).div_ceil(TOGETHER);
        for (group, spread) in SPREAD.iter().enumerate().take(groups) {
            let at = _mm512_permutexvar_epi8(bytemuck::must_cast(*spread), numbers);
            let characters = _mm512_maskz_permutex2var_epi8(two, low, _mm512_add_epi8(at, offsets), high);
            let hash = _mm512_mullo_epi64(characters, factor);
            let at: [u64; TOGETHER] =
                bytemuck::must_cast(_mm512_srli_epi64::<{ u64::BITS - WORD_BITS }>(hash));
            // One by one: instructions that gather take longer where there are these.
            let mut found = [0u64; TOGETHER];
            for (found, at) in found.iter_mut().zip(at) {
                #[allow(clippy::cast_possible_truncation)] // few bits
                let at = at as usize % words.len();
                *found = words[at];
            }
            let found: __m512i = bytemuck::must_cast(found);
            let first = _mm512_rorv_epi64(found, _mm512_srli_epi64::<{ bit_shift(1) }>(hash));
            let second = _mm512_rorv_epi64(found, _mm512_srli_epi64::<{ bit_shift(2) }>(hash));
            let third = _mm512_rorv_epi64(found, _mm512_srli_epi64::<{ bit_shift(3) }>(hash));
            let both = _mm512_test_epi64_mask(_mm512_and_si512(first, second), one);
            held |= u64::from(both) << (group * TOGETHER);
            alone |= u64::from(_mm512_test_epi64_mask(third, one)) << (group * TOGETHER);
        }
        [_pdep_u64(held, places), _pdep_u64(held & !alone, places)]
    }

    /// The bits of both halves.
    #[inline(always)]
    fn both(low: i32, high: i32) -> u64 {
        u64::from(high.cast_unsigned()) << 32 | u64::from(low.cast_unsigned())
    }
}

/// A processor that moves bytes to any place of a vector; there is one only where it was found.
#[derive(Clone, Copy)]
pub(super) struct Permutes(());

impl Permutes {
    pub(super) fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f")
                && has!("avx512bw")
                && has!("avx512dq")
                && has!("avx512vbmi")
                && has!("avx512vbmi2")
                && has!("bmi2")
                && has!("popcnt")
            {
                return Some(Self(()));
            }
        }
        None
    }

    /// What [`adjacent::View::among`](super::adjacent::View::among) says, for eight places at once.
    #[inline]
    pub(super) fn adjacent<const LENGTH: usize>(
        self,
        around: &[u8; AROUND],
        places: u64,
        words: &[u64; 1 << WORD_BITS],
    ) -> [u64; 2] {
        let Self(()) = self;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has it, as there is one of these.
        return unsafe { x86::adjacent::<LENGTH>(around, places, words) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("{LENGTH} {around:?} {places} {words:?}: no processor has been found")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every comparison there is, and one of each kind with other bytes.
    struct All;

    impl Look for All {
        type Found = Vec<u64>;

        #[inline(always)]
        fn look(&self, bytes: impl Compare) -> Vec<u64> {
            let mut all = vec![bytes.letters(), bytes.high()];
            for byte in 0..=255 {
                all.push(bytes.equal(byte));
                all.push(bytes.within(byte, byte.saturating_add(byte % 37)));
                all.push(bytes.within(byte / 2, byte));
            }
            all
        }
    }

    #[test]
    fn every_kind_of_vector_answers_as_the_bytes_one_by_one() {
        let mut numbers = 1u64;
        for round in 0..300 {
            let block: [u8; BLOCK] = std::array::from_fn(|at| {
                numbers ^= numbers << 13;
                numbers ^= numbers >> 7;
                numbers ^= numbers << 17;
                // All bytes, and bytes that are near each other.
                if round % 2 == 0 { numbers.to_le_bytes()[0] } else { (round + at % 5).to_le_bytes()[0] }
            });
            let bits = |test: &dyn Fn(u8) -> bool| {
                block.iter().rev().fold(0u64, |bits, byte| bits << 1 | u64::from(test(*byte)))
            };
            let mut expected = vec![bits(&|byte| byte.is_ascii_alphabetic()), bits(&|byte| !byte.is_ascii())];
            for byte in 0..=255u8 {
                expected.push(bits(&|other| other == byte));
                expected.push(bits(&|other| (byte..=byte.saturating_add(byte % 37)).contains(&other)));
                expected.push(bits(&|other| (byte / 2..=byte).contains(&other)));
            }
            assert_eq!(All.look(Plain(&block)), expected);
            assert_eq!(look(&All, &block), expected);
            #[cfg(target_arch = "x86_64")]
            {
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has it.
                    assert_eq!(unsafe { x86::with_avx2(&All, &block) }, expected);
                }
                if std::arch::is_x86_feature_detected!("avx512bw") {
                    // SAFETY: the processor has it.
                    assert_eq!(unsafe { x86::with_avx512(&All, &block) }, expected);
                }
            }
        }
    }
}
