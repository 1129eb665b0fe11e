//! The native encoder: the reference's ids without its regex engine, its copies and its merging of
//! what has been merged before.
//!
//! Text is split at added tokens, normalized where that changes anything, cut into pieces by a
//! hand-written scanner of the tokenizer's pattern, cut further wherever no merge can cross
//! ([`joins`]), and each piece is looked up in the session's bounded cache. Only pieces that are new
//! are merged. Memory of a session: [`cache::BOUND`] bytes of cache and the scratch space of the
//! longest piece of the text at hand.

mod added;
mod bits;
mod block;
mod build;
mod byte_level;
mod cache;
mod chars;
mod config;
mod cut;
mod joins;
mod json;
mod memory;
mod merge;
mod model;
mod normalize;
mod pairs;
mod path;
mod prefetch;
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
pub(crate) use normalize::{nfc, nfkc};
use path::Path;
pub(crate) use prefetch::ask_for;

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
    /// What a space is read as.
    space: joins::Spelling,
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
        let space = joins::spelling(path.space.unwrap_or(' '));
        Self { model, added, path, special, cuts_words: chars, space, caches: Mutex::default() }
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
        if self.model.unmerged.is_empty() { 0 } else { cache::PART }
    }

    /// What decides where pieces may be cut.
    #[inline]
    fn cutter(&self) -> cut::Cutter<'_> {
        cut::Cutter {
            joins: self.model.joins.view(),
            space: self.space,
            fusing: match &self.model.symbols {
                Symbols::Chars(chars) if chars.may_fuse() => Some(chars),
                _ => None,
            },
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
