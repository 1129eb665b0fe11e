//! Sixteen numbers worked on at once, with AVX-512 or AVX2 where the processor has it.
//!
//! This holds two unsafe acts: to call what was compiled for a processor of a kind only where the processor is of that kind
//! and, within, to use its instructions, of which those that gather read memory: every place is compared with the length
//! before. Many look-ups of pairs at once wait for memory together, and nothing about them has to be foreseen; one after the
//! other they are the most of what a new word costs. Long pieces take a fifth less time with AVX-512 than with AVX2; where what
//! is around new words takes more for it, these take AVX2. (Measured: see `benches/encoder-log.md`.)
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod plain;

use plain::Plain;

/// How many lanes there are.
pub(super) const LANES: usize = 16;
/// The numbers of the lanes.
pub(super) const NUMBERS: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

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
    fn either(one: Self::Mask, other: Self::Mask) -> Self::Mask;
    /// A bit for each lane, the first lowest, set where it is chosen.
    fn bits(mask: Self::Mask) -> u32;
    /// The lanes with these bits.
    fn with_bits(bits: u32) -> Self::Mask;
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

    /// The same of bits: those of `bits` that are `kept`, side by side, and zeros behind them.
    #[inline(always)]
    fn squeeze(bits: u64, kept: u64) -> u64 {
        let (mut rest, mut squeezed, mut count) = (kept, 0, 0);
        while rest != 0 {
            squeezed |= (bits >> rest.trailing_zeros() & 1) << count;
            (rest, count) = (rest & (rest - 1), count + 1);
        }
        squeezed
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
    return std::arch::is_x86_feature_detected!("avx2") && counts_bits();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether the processor counts bits, and shifts by any number, in one instruction, as all do that have AVX2.
#[cfg(target_arch = "x86_64")]
fn counts_bits() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("popcnt")
}

/// Whether [`Lanes::compress`] is one instruction in wide lanes.
#[inline]
pub(super) fn can_compress() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512f") && counts_bits();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether AMD has made the processor. There wide vectors, if it has them, cost nothing but their own time; on those of Intel what is
/// around them takes longer, too (measured on Zen 4, and on a Xeon).
#[cfg(target_arch = "x86_64")]
fn is_amd() -> bool {
    static IS_AMD: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
        #[allow(unused_unsafe)] // it is safe to call for compilers that are newer than the oldest we take
        // SAFETY: all processors of 64 bits have the instruction.
        let std::arch::x86_64::CpuidResult { ebx, ecx, edx, .. } = unsafe { std::arch::x86_64::__cpuid(0) };
        [ebx, edx, ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
    });
    *IS_AMD
}

/// Does a work in lanes that is soon done.
#[inline]
pub(super) fn in_lanes(work: impl InLanes) {
    #[cfg(target_arch = "x86_64")]
    if is_amd() {
        return in_wide_lanes(work);
    }
    in_narrow_lanes(work);
}

#[inline]
fn in_narrow_lanes(work: impl InLanes) {
    #[cfg(target_arch = "x86_64")]
    if pay() {
        // SAFETY: the processor has AVX2, and counts bits.
        return unsafe { avx2::with_avx2(work) };
    }
    work.run::<Plain>();
}

/// Does a work in lanes that goes on for long, with the widest vectors that the processor has.
#[inline]
pub(super) fn in_wide_lanes(work: impl InLanes) {
    #[cfg(target_arch = "x86_64")]
    if can_compress() {
        // SAFETY: the processor has AVX-512, and counts bits.
        return unsafe { avx512::with_avx512(work) };
    }
    in_narrow_lanes(work);
}

/// Gathers take places that are no negative `i32`.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::cast_possible_truncation)] // that is what is made sure of
fn end(length: usize) -> u32 {
    length.min(1 << 30) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::native::tests::random::Numbers;

    /// Checks every act against numbers one by one.
    struct Every<'l>(Numbers, &'l mut usize);

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
                let either = L::bits(L::either(below, equal));
                assert_eq!(either, L::bits(below) | L::bits(equal));
                assert_eq!(L::any(below), any);
                assert_eq!(L::bits(L::with_bits(L::bits(equal))), L::bits(equal));
                let bits = L::bits(below);
                let chosen: Vec<u32> =
                    (0..LANES).filter(|lane| a[*lane] < b[*lane]).map(|lane| a[lane]).collect();
                assert!((0..LANES).all(|lane| (bits >> lane & 1 != 0) == (a[lane] < b[lane])));
                assert_eq!(x.compress(bits).to_array()[..chosen.len()], chosen);
                let [some, kept] =
                    [x, y].map(|two| u64::from(two.to_array()[0]) << 32 | u64::from(two.to_array()[1]));
                let squeezed = (0..64).filter(|bit| kept >> bit & 1 != 0).map(|bit| some >> bit & 1);
                assert_eq!(
                    L::squeeze(some, kept),
                    (0..).zip(squeezed).fold(0, |all, (to, bit)| all | bit << to)
                );
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

    fn all(last: &mut usize) -> Every<'_> {
        Every(Numbers(0x9E37_79B9_7F4A_7C15), last)
    }

    #[test]
    fn lanes_do_what_numbers_do_one_by_one() {
        let mut last = [0; 5];
        in_lanes(all(&mut last[0]));
        in_wide_lanes(all(&mut last[1]));
        all(&mut last[2]).run::<Plain>();
        assert_eq!(last[..3], [1999; 3]);
        #[cfg(target_arch = "x86_64")]
        {
            if pay() {
                // SAFETY: the processor has it.
                unsafe { avx2::with_avx2(all(&mut last[3])) };
                assert_eq!(last[3], 1999);
            }
            if can_compress() {
                // SAFETY: the processor has it.
                unsafe { avx512::with_avx512(all(&mut last[4])) };
                assert_eq!(last[4], 1999);
            }
        }
    }
}
