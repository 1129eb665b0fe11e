//! The native encoder against the reference: random tokenizers, and the real ones of the shared sample.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // tests say what went wrong by failing

pub(super) mod random;
mod shared;

use std::ops::Range;

use super::NativeEncoder;
use crate::encode::{Encoder, HuggingFaceEncoder, Session, SpecialTokens};

/// Lets the reference encode; false where the library panics, as it does where a normalizer leaves nothing of
/// a text, or where added tokens lie across each other.
fn encodes(reference: &mut dyn Session, text: &str, marks: &[Range<usize>], ids: &mut Vec<u32>) -> bool {
    match reference.encode(text, marks, ids) {
        Err(error) if error.to_string().contains("panicked") => false,
        result => {
            result.expect("the reference encodes");
            true
        }
    }
}

/// Both encoders of one tokenizer.
struct Both {
    native: NativeEncoder,
    reference: HuggingFaceEncoder,
}

impl Both {
    /// Or why the native encoder does not serve.
    fn load(json: &[u8], special: SpecialTokens) -> Result<Self, String> {
        Ok(Self {
            native: NativeEncoder::from_json(json, special)?,
            reference: HuggingFaceEncoder::from_json(json, special).map_err(|error| error.to_string())?,
        })
    }

    /// Encodes the texts with one session each and compares.
    fn compare<'t>(&self, what: &str, texts: impl IntoIterator<Item = &'t str>) {
        let (mut native, mut reference) = (self.native.session(), self.reference.session());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for text in texts {
            ours.clear();
            theirs.clear();
            native.encode(text, &[], &mut ours).expect("native encodes");
            if !encodes(reference.as_mut(), text, &[], &mut theirs) {
                continue;
            }
            if ours != theirs {
                let place = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
                let shown: String = text.chars().take(400).collect();
                panic!(
                    "{what}: id {place} of {shown:?}:\n{:?}\nnot\n{:?}",
                    &ours[place..ours.len().min(place + 16)],
                    &theirs[place..theirs.len().min(place + 16)],
                );
            }
        }
    }
}
