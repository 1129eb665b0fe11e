//! A filter over short stretches of bytes that says quickly where a search is not worth it.

/// Bits of the filter for each entry: about one stretch in two hundred passes that was not put in.
const BITS_AN_ENTRY: usize = 16;

/// How many places are asked for at once.
const AT_ONCE: usize = 64;

/// The widest stretch: wider ones would tell no better, and leave less room between those that are looked at.
const WIDEST: usize = 64;

/// Looks at stretches of `width` bytes, at the first character of every `step` bytes of a text.
///
/// A stretch of at least `least` bytes that begins with a character holds one of those looked at whole, wherever it
/// stands: the next place that is looked at is at the most `step + 2` bytes after its beginning (three bytes may pass
/// until a character begins), and `step + 2 + width <= least`. Where `least` leaves no room for that, every character
/// is looked at, the one at the beginning of the stretch too.
///
/// The filter is a blocked Bloom filter (Putze, Sanders, Singler 2007) of one word an entry.
#[derive(Debug)]
pub(super) struct Filter {
    width: usize,
    step: usize,
    words: Vec<u64>,
}

impl Filter {
    /// For stretches of at least `least` bytes, with room for `entries`.
    pub(super) fn new(least: usize, entries: usize) -> Self {
        let width = least.div_ceil(2).clamp(1, WIDEST);
        let step = least.saturating_sub(width + 2).max(1);
        let words = (entries * BITS_AN_ENTRY).div_ceil(64).clamp(1, u32::MAX as usize);
        Self { width, step, words: vec![0; words] }
    }

    /// The places of a stretch, from its beginning, of which one is looked at wherever it stands.
    pub(super) fn reach(&self) -> usize {
        self.step + 2
    }

    /// Bytes of what is looked at.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Puts in what begins at `at`, if it is wide enough.
    pub(super) fn insert(&mut self, bytes: &[u8], at: usize) {
        if let Some(stretch) = bytes.get(at..at + self.width) {
            let (word, bits) = self.place(hash(stretch));
            self.words[word] |= bits;
        }
    }

    /// Hands on each place of a text that is looked at, and whether what begins there may have been put in.
    ///
    /// The filter is larger than caches are: many places are asked for at once, so that they are waited for together.
    #[inline]
    pub(super) fn scan(&self, text: &[u8], mut each: impl FnMut(usize, bool)) {
        let mut places = [(0, 0, 0); AT_ONCE];
        let mut at = 0;
        loop {
            let mut count = 0;
            while count < AT_ONCE
                && let Some(stretch) = text.get(at..at + self.width)
            {
                let (word, bits) = self.place(hash(stretch));
                places[count] = (at, word, bits);
                count += 1;
                at = next_character(text, at + self.step);
            }
            let mut passed = 0u64;
            for (i, (_, word, bits)) in places[..count].iter().enumerate() {
                passed |= u64::from(self.words[*word] & bits == *bits) << i;
            }
            for (i, (at, ..)) in places[..count].iter().enumerate() {
                each(*at, passed >> i & 1 == 1);
            }
            if count < AT_ONCE {
                return;
            }
        }
    }

    #[inline]
    fn place(&self, hash: u64) -> (usize, u64) {
        let word = ((hash >> 32) * self.words.len() as u64) >> 32;
        let bit = |shift: u32| 1 << (hash >> shift & 63);
        (usize::try_from(word).unwrap_or(0), bit(0) | bit(6) | bit(12) | bit(18))
    }
}

/// The first byte from `at` on with which a character begins.
#[inline]
pub(super) fn next_character(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
        at += 1;
    }
    at
}

/// Folds eight bytes at a time by multiplication to 128 bits, as wyhash does.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), 0xA076_1D64_78BD_642F);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(last), 0xE703_7ED1_A0B4_28DB);
    }
    fold(state, 0x8EBC_6AF0_9C88_C6E3)
}

#[inline]
#[allow(clippy::cast_possible_truncation)] // both halves are wanted
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}
