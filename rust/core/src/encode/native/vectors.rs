//! Sixty-four bytes compared at once, with the widest vectors that the processor has.
//!
//! This holds two unsafe acts: to call what was compiled for a processor of a kind only where the processor is of that kind,
//! and, within, to use its instructions. With AVX-512 a comparison of 64 bytes is one instruction where SSE2 takes twelve, and
//! what bounds the encoder on known text is the number of its instructions (measured: see `benches/encoder-log.md`). The
//! plain way is SSE2 on x86-64 and NEON on aarch64, by the `wide` crate.
#![allow(unsafe_code)]

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
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_set1_epi8,
        _mm256_sub_epi8, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_set1_epi8, _mm512_sub_epi8,
    };

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

    /// The bits of both halves.
    #[inline(always)]
    fn both(low: i32, high: i32) -> u64 {
        u64::from(high.cast_unsigned()) << 32 | u64::from(low.cast_unsigned())
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
