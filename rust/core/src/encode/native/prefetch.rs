//! Asking for memory before it is needed.
//!
//! The one unsafe act of the encoder, and why: the cache of pieces is larger than the processor's, so
//! most of a look-up is waiting. Reading early instead of asking early blocks the processor until the
//! memory is there. Measured on Chinese text: see `benches/encoder-log.md`.
#![allow(unsafe_code)]

/// Asks for the cache line in which `words[at]` lies; does nothing where there is no such word.
#[inline]
pub(crate) fn ask_for(words: &[u64], at: usize) {
    let Some(word) = words.get(at) else {
        return;
    };
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint that changes nothing and faults on no address; SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: a hint that changes nothing and faults on no address.
        unsafe {
            std::arch::asm!(
                "prfm pldl1keep, [{word}]",
                word = in(reg) std::ptr::from_ref(word),
                options(nostack, readonly, preserves_flags)
            );
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = word;
}
