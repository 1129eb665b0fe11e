//! **encode**: a piece of text becomes token ids.
//!
//! The one interface is [`Encoder`]; every implementation gives exactly the ids of the Hugging Face
//! `tokenizers` library, so the output never depends on which one serves.

mod batch;
mod huggingface;
mod native;

use std::ops::Range;

pub use batch::{BatchError, EncodedTexts, encode_batch};
pub use huggingface::HuggingFaceEncoder;
pub use native::NativeEncoder;
pub(crate) use native::{Normalizer, nfkc};

/// What becomes of special tokens (`<|endoftext|>`, …) that stand in raw text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// They are ordinary characters (`tokenizer.encode_special_tokens = True` in the reference).
    Text,
    /// They become their ids, as the reference does by default.
    Parse,
}

/// The text could not be encoded; the message is the encoder's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(pub String);

/// A loaded tokenizer, shared by all threads.
pub trait Encoder: Send + Sync {
    /// A short name for the plan: which encoder serves.
    fn name(&self) -> &'static str;

    /// A session for one thread: it owns whatever scratch space and caches encoding needs. Caches of a
    /// session that has ended go on in the next.
    fn session(&self) -> Box<dyn Session + '_>;
}

/// Encodes texts one after the other on one thread.
pub trait Session: Send {
    /// Appends the ids of `text` to `ids`; no special tokens are added around it.
    ///
    /// `marks` are byte ranges of `text`, ascending and disjoint, each of which spells out one special
    /// token of the tokenizer that is meant as that token even under [`SpecialTokens::Text`]: they come
    /// from a template (`<|im_start|>`), never from the raw text around them.
    ///
    /// # Errors
    /// When the tokenizer's own configuration cannot encode the text (an unknown character without an
    /// unknown token, say).
    fn encode(&mut self, text: &str, marks: &[Range<usize>], ids: &mut Vec<u32>) -> Result<(), EncodeError>;

    /// Appends the ids of texts to `ids`, and how many there are after each of them to `offsets`.
    ///
    /// # Errors
    /// The first text that cannot be encoded, by its index, as for [`Self::encode`].
    fn encode_all(
        &mut self,
        texts: &[&str],
        ids: &mut Vec<u32>,
        offsets: &mut Vec<u64>,
    ) -> Result<(), (usize, EncodeError)> {
        for (index, text) in texts.iter().enumerate() {
            self.encode(text, &[], ids).map_err(|error| (index, error))?;
            offsets.push(ids.len() as u64);
        }
        Ok(())
    }
}

/// An encoder and why it is the one that serves.
pub struct Loaded {
    /// The native encoder wherever it understands the whole tokenizer, the reference otherwise.
    pub encoder: Box<dyn Encoder>,
    /// What the native encoder does not understand about this tokenizer; `None` if it serves.
    pub why_not_native: Option<String>,
}

/// Loads the fastest encoder that is known to give the reference's ids for this `tokenizer.json`.
///
/// # Errors
/// When the reference itself cannot read it.
pub fn load_encoder(json: &[u8], special_tokens: SpecialTokens) -> Result<Loaded, EncodeError> {
    match NativeEncoder::from_json(json, special_tokens) {
        Ok(encoder) => Ok(Loaded { encoder: Box::new(encoder), why_not_native: None }),
        Err(reason) => Ok(Loaded {
            encoder: Box::new(HuggingFaceEncoder::from_json(json, special_tokens)?),
            why_not_native: Some(reason),
        }),
    }
}
