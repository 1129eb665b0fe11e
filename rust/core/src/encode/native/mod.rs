//! The native encoder: the reference's ids without its regex engine, its copies and its merging of
//! what has been merged before.
//!
//! Text is split at added tokens, normalized where that changes anything, cut into pieces by a
//! hand-written scanner of the tokenizer's pattern, cut further wherever no merge can cross
//! ([`joins`]), and each piece is looked up in the session's bounded cache. Only pieces that are new
//! are merged. Memory of a session: [`cache::BOUND`] bytes of cache and the scratch space of the
//! longest piece of the text at hand.

mod added;
mod build;
mod byte_level;
mod cache;
mod chars;
mod config;
mod joins;
mod json;
mod memory;
mod merge;
mod model;
mod normalize;
mod pairs;
mod path;
mod scan;
mod session;
mod stages;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
mod unicode;
mod unicode_data;
mod vocab;
mod work;

use std::sync::{Mutex, PoisonError};

use model::{Model, Symbols};
use path::Path;

use super::{Encoder, Session, SpecialTokens};

/// Added tokens, by whether they are looked for before or after normalization.
struct AddedTokens {
    plain: Option<added::Matcher>,
    normalized: Option<added::Matcher>,
}

/// An encoder for the BPE tokenizers whose whole configuration is understood.
pub struct NativeEncoder {
    model: Model,
    added: AddedTokens,
    path: Path,
    special: SpecialTokens,
    /// No pattern cuts words out, so every boundary is looked at.
    cuts_words: bool,
    /// Which ASCII characters can join which, as bits; spaces read as what they stand for.
    ascii: Box<[u128; 128]>,
    /// What a space is read as.
    space: u32,
    /// Of sessions that have ended.
    caches: Mutex<Vec<cache::Cache>>,
}

impl NativeEncoder {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// Says what about the tokenizer is not fully understood; the reference then has to serve.
    pub fn from_json(json: &[u8], special_tokens: SpecialTokens) -> Result<Self, String> {
        build::build(json, special_tokens)
    }

    /// The most bytes that the cache of one session takes, whatever it encodes.
    #[must_use]
    pub fn session_cache_bound() -> usize {
        cache::BOUND
    }

    fn new(model: Model, added: AddedTokens, path: Path, special: SpecialTokens) -> Self {
        let chars = matches!(model.symbols, Symbols::Chars(_));
        let space = u32::from(path.space.unwrap_or(' '));
        let mut encoder = Self {
            model,
            added,
            path,
            special,
            cuts_words: chars,
            ascii: Box::new([u128::MAX; 128]),
            space,
            caches: Mutex::default(),
        };
        let mut ascii = Box::new([0u128; 128]);
        for left in 0..128 {
            for right in 0..128 {
                if encoder.cutter().can_join_any(left, right) {
                    ascii[left as usize] |= 1 << right;
                }
            }
        }
        encoder.ascii = ascii;
        encoder
    }

    /// The cache of a session that has ended, or a new one.
    fn take_cache(&self) -> cache::Cache {
        let kept = self.caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(cache::Cache::new)
    }

    /// Keeps a session's cache for the next.
    fn keep_cache(&self, cache: cache::Cache) {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
    }

    /// What marks the key of a piece that is part of a larger one, where that makes a difference.
    #[inline]
    fn part_mark(&self) -> u128 {
        if self.model.looks_up { cache::PART } else { 0 }
    }

    /// What a piece that is this one character becomes; 0 if that is not known.
    #[inline]
    fn alone(&self, code: u32) -> chars::Alone {
        self.model.joins.chars.alone(self.read(code))
    }

    /// A character as the model gets to see it.
    #[inline]
    fn read(&self, code: u32) -> u32 {
        if code == 0x20 { self.space } else { code }
    }

    /// What decides where pieces may be cut.
    #[inline]
    fn cutter(&self) -> Cutter<'_> {
        Cutter {
            ascii: &self.ascii,
            joins: self.model.joins.view(),
            space: self.space,
            fusing: match &self.model.symbols {
                Symbols::Chars(chars) if chars.may_fuse() => Some(chars),
                _ => None,
            },
        }
    }
}

/// Decides where pieces may be cut.
#[derive(Clone, Copy)]
struct Cutter<'a> {
    /// Which ASCII characters can join which, as bits; spaces read as what they stand for.
    ascii: &'a [u128; 128],
    joins: joins::View<'a>,
    space: u32,
    /// Unknown neighbours become one token.
    fusing: Option<&'a model::Chars>,
}

impl Cutter<'_> {
    /// Whether a merge might span the boundary between the two characters.
    #[inline]
    fn can_join(self, left: u32, right: u32) -> bool {
        if left < 128 && right < 128 {
            return self.ascii[left as usize] >> right & 1 != 0;
        }
        self.can_join_any(left, right)
    }

    #[inline]
    fn can_join_any(self, left: u32, right: u32) -> bool {
        let read = |code: u32| if code == 0x20 { self.space } else { code };
        let (left, right) = (read(left), read(right));
        self.joins.can_join(left, right) || self.fusing.is_some_and(|chars| chars.fuses(left, right))
    }

    /// The end of the piece that begins with `left`, whose bytes end at `at`, and the last character
    /// before that end.
    ///
    /// Runs of ASCII letters are passed without a question: hardly any two of them cannot join, and a
    /// cut that is not made costs nothing but a chance.
    #[inline]
    fn piece_end(self, text: &[u8], mut left: u32, mut at: usize, end: usize) -> usize {
        loop {
            if left < 128 && u8::try_from(left).is_ok_and(|byte| byte.is_ascii_alphabetic()) {
                let run = scan::ascii_letters_end(text, at).min(end);
                if run > at {
                    at = run;
                    left = u32::from(text[at - 1]);
                }
            }
            if at >= end {
                return end;
            }
            let (right, length) = unicode::decode(text, at);
            if !self.can_join(left, right) {
                return at;
            }
            left = right;
            at += length;
        }
    }
}

impl Encoder for NativeEncoder {
    fn name(&self) -> &'static str {
        "native"
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(session::NativeSession::new(self))
    }
}
