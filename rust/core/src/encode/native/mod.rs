//! The native encoder: the reference's ids without its regex engine, its copies and its merging of
//! what has been merged before.
//!
//! Text is split at added tokens ([`added`]; where merging makes a token of its own text, it stays there as a piece), normalized
//! where that changes anything ([`normalize`]), and gathered with others, split by a hand-written scanner of the tokenizer's
//! pattern ([`gather`], [`scan`]). What is gathered ([`sheet`]) is cut further wherever no merge can cross ([`cut`], [`joins`]),
//! and each piece is looked up in a bounded cache ([`work`]). Only pieces that are new are merged: short ones wait for each
//! other ([`waiting`]) and go many at a time, long ones part by part or window by window ([`merge`]).
//!
//! Memory of an encoder: [`cache::BOUND`] bytes of cache, which all its sessions share; and for each session
//! [`cache::LONG_BOUND`], 64 KiB for what waits, 32 KiB for what is gathered, half a MiB once there is a piece that is long
//! ([`merge`]), and of the longest piece of the text at hand its bytes, its ids, and its symbols before any merge if it has no
//! borders ([`neighbours`]).

mod added;
mod adjacent;
mod bits;
mod block;
mod build;
mod byte_level;
mod cache;
mod certain;
mod chars;
mod compose;
mod config;
mod cut;
mod gather;
mod joins;
mod json;
mod lanes;
mod make;
mod merge;
mod merges;
mod model;
mod neighbours;
mod normalize;
mod output;
mod pairs;
mod path;
mod scan;
mod seed;
mod session;
mod shares;
mod sheet;
mod stages;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod texts;
mod unicode;
mod unicode_data;
mod vectors;
mod vocab;
mod waiting;
mod work;

use std::sync::{Mutex, PoisonError};

use model::{Model, Symbols};
pub(crate) use normalize::{Normalizer, nfkc};
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
    /// What spaces have to be spelled as before symbols are made, if the model does not read them so.
    spelled_space: Option<char>,
    /// What a space is read as, and whether no merge joins it to what stands before it.
    space: joins::Spelling,
    space_begins_words: bool,
    ascii: cut::AsciiPairs,
    paired: cut::Paired,
    /// What all sessions remember.
    cache: cache::Cache,
    /// What sessions that have ended remember besides.
    longs: Mutex<Vec<cache::Long>>,
}

impl NativeEncoder {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// Says what about the tokenizer is not fully understood; the reference then has to serve.
    pub fn from_json(json: &[u8], special_tokens: SpecialTokens) -> Result<Self, String> {
        build::build(json, special_tokens)
    }

    /// The most bytes that the cache takes, whatever is encoded: for all sessions, and for each.
    #[must_use]
    pub fn cache_bounds() -> (usize, usize) {
        (cache::BOUND, cache::LONG_BOUND)
    }

    fn new(
        mut model: Model,
        added: AddedTokens,
        path: Path,
        special: SpecialTokens,
        cache: cache::Cache,
    ) -> Self {
        // Whole pieces are looked up as they are spelled.
        let mut spelled_space = path.space;
        if let (Some(space), Symbols::Chars(chars)) = (path.space, &mut model.symbols)
            && model.unmerged.is_empty()
            && chars.read_space_as(space)
        {
            spelled_space = None;
        }
        let chars = matches!(model.symbols, Symbols::Chars(_));
        let read_as = path.space.unwrap_or(' ');
        let (space, space_begins_words) = (joins::spelling(read_as), model.joins.begins_words(read_as));
        let longs = Mutex::default();
        let ascii = cut::AsciiPairs::none();
        let paired = match &model.symbols {
            Symbols::Chars(chars) => cut::Paired::of(chars, model.joins.view().apart()),
            Symbols::Bytes(..) => cut::Paired::default(),
        };
        let mut encoder = Self {
            model,
            added,
            path,
            special,
            cuts_words: chars,
            spelled_space,
            space,
            space_begins_words,
            ascii,
            paired,
            cache,
            longs,
        };
        if encoder.cuts_words {
            encoder.ascii = cut::AsciiPairs::of(encoder.cutter());
        }
        encoder
    }

    /// What a session that has ended remembers, or nothing.
    fn take_long(&self) -> cache::Long {
        self.longs.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps what a session remembers for the next.
    fn keep_long(&self, long: cache::Long) {
        self.longs.lock().unwrap_or_else(PoisonError::into_inner).push(long);
    }

    /// What decides where pieces may be cut.
    #[inline]
    fn cutter(&self) -> cut::Cutter<'_> {
        cut::Cutter {
            joins: self.model.joins.view(),
            space: self.space,
            space_begins_words: self.space_begins_words,
            fusing: match &self.model.symbols {
                Symbols::Chars(chars) if chars.may_fuse() => Some(chars),
                _ => None,
            },
            ascii: &self.ascii,
            paired: self.paired,
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
