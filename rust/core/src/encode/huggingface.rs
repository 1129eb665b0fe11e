//! The reference: the `tokenizers` crate itself.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokenizers::{AddedToken, Tokenizer};

use super::{EncodeError, Encoder, Session, SpecialTokens};

/// How every stand-in begins: U+FDD0 is a Unicode noncharacter, reserved for use inside programs, and
/// the words after it make sure that not even a text that holds one is taken for a stand-in.
const STAND_IN: &str = "\u{FDD0}apollo-pack:";

/// Encodes with the `tokenizers` crate.
///
/// Under [`SpecialTokens::Text`] the library treats every special token as text, those of a template
/// too. A marked one is therefore spelled differently before encoding: each special token has a
/// stand-in, an ordinary added token of the same flags with a spelling that no text holds, whose id is
/// translated back afterwards. Prefix and whitespace rules around the token stay the library's own.
pub struct HuggingFaceEncoder {
    tokenizer: Tokenizer,
    special_tokens: SpecialTokens,
    /// Content of a special token -> spelling of its stand-in.
    stand_ins: HashMap<String, String>,
    /// Id of a stand-in, counted from `first_stand_in` -> id of its special token.
    originals: Vec<u32>,
    first_stand_in: u32,
}

impl HuggingFaceEncoder {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// When the library does not understand it.
    pub fn from_json(json: &[u8], special_tokens: SpecialTokens) -> Result<Self, EncodeError> {
        // What the library says of JSON that is something else sounds as if the JSON were broken.
        let unread =
            |error| format!("this is no tokenizer.json that the library tokenizers can read: {error}");
        let mut tokenizer =
            guarded(|| Tokenizer::from_bytes(json), "it panicked").map_err(unread).map_err(EncodeError)?;
        // A tokenizer.json may carry padding or truncation for inference; documents are never cut here.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| EncodeError(error.to_string()))?;
        let mut encoder = Self {
            tokenizer,
            special_tokens,
            stand_ins: HashMap::new(),
            originals: Vec::new(),
            first_stand_in: u32::MAX,
        };
        if special_tokens == SpecialTokens::Text {
            encoder.tokenizer.set_encode_special_tokens(true);
            encoder.add_stand_ins()?;
        }
        Ok(encoder)
    }

    fn add_stand_ins(&mut self) -> Result<(), EncodeError> {
        let mut specials: Vec<(u32, AddedToken)> = self
            .tokenizer
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (*id, token.clone()))
            .collect();
        specials.sort_unstable_by_key(|(id, _)| *id);
        let tokens: Vec<AddedToken> = specials
            .iter()
            .map(|(id, token)| {
                let mut stand_in = token.clone();
                stand_in.content = format!("{STAND_IN}{id};");
                stand_in.special = false;
                stand_in
            })
            .collect();
        let highest = self.tokenizer.get_vocab(true).values().copied().max();
        self.tokenizer.add_tokens(tokens.clone()).map_err(|error| EncodeError(error.to_string()))?;
        for ((id, special), stand_in) in specials.into_iter().zip(&tokens) {
            let new = self.tokenizer.token_to_id(&stand_in.content);
            let new = new.filter(|new| highest.is_none_or(|highest| *new > highest));
            let Some(new) = new else {
                return Err(EncodeError(format!("no stand-in for {:?}", special.content)));
            };
            self.first_stand_in = self.first_stand_in.min(new);
            let index = (new - self.first_stand_in) as usize;
            if self.originals.len() <= index {
                self.originals.resize(index + 1, id);
            }
            self.originals[index] = id;
            self.stand_ins.insert(special.content, stand_in.content.clone());
        }
        Ok(())
    }

    fn with_stand_ins(&self, text: &str, marks: &[Range<usize>]) -> Result<String, EncodeError> {
        let mut spelled = String::with_capacity(text.len() + marks.len() * 8);
        let mut copied = 0;
        for mark in marks {
            let token = &text[mark.clone()];
            let stand_in = self
                .stand_ins
                .get(token)
                .ok_or_else(|| EncodeError(format!("{token:?} is no special token")))?;
            spelled.push_str(&text[copied..mark.start]);
            spelled.push_str(stand_in);
            copied = mark.end;
        }
        spelled.push_str(&text[copied..]);
        Ok(spelled)
    }

    fn append(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        let encode = || self.tokenizer.encode_fast(text, false);
        let encoding =
            guarded(encode, "the library `tokenizers` panicked on this text").map_err(EncodeError)?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }
}

/// What the library does. It panics on some settings (JSON with a byte that is no UTF-8, a prefix of continued words) and on some
/// texts (a regex that gives up, an empty pattern): then `panicked` is the error.
fn guarded<T>(act: impl FnOnce() -> tokenizers::Result<T>, panicked: &str) -> Result<T, String> {
    let done = catch_unwind(AssertUnwindSafe(act)).map_err(|_| panicked.to_owned())?;
    done.map_err(|error| error.to_string())
}

impl Encoder for HuggingFaceEncoder {
    fn name(&self) -> &'static str {
        "huggingface"
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(HuggingFaceSession { encoder: self })
    }
}

struct HuggingFaceSession<'a> {
    encoder: &'a HuggingFaceEncoder,
}

impl Session for HuggingFaceSession<'_> {
    fn encode(&mut self, text: &str, marks: &[Range<usize>], ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        let encoder = self.encoder;
        if encoder.special_tokens == SpecialTokens::Parse {
            return encoder.append(text, ids);
        }
        if text.contains(STAND_IN) {
            // It could smuggle a special token in, and stands in no text by accident.
            return Err(EncodeError(format!("the text holds {STAND_IN:?}, a reserved spelling")));
        }
        let start = ids.len();
        if marks.is_empty() {
            encoder.append(text, ids)?;
        } else {
            encoder.append(&encoder.with_stand_ins(text, marks)?, ids)?;
        }
        for id in &mut ids[start..] {
            if *id >= encoder.first_stand_in {
                *id = encoder.originals[(*id - encoder.first_stand_in) as usize];
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_library_panics_on_is_an_error() {
        let model = |more: &str| {
            format!(
                "{{\"model\": {{\"type\": \"BPE\", \"vocab\": {{\"a\": 0, \"b\": 1, \"ab\": 2}}, \"merges\": [[\"a\", \"b\"]]{more}}}"
            )
        };
        let prefixed = model(", \"continuing_subword_prefix\": \"##\"") + "}";
        let mut no_text = (model("") + ", \"decoder\": {\"type\": \"Fuse?\"}}").into_bytes();
        let at = no_text.len() - 3;
        no_text[at] = 0xFF;
        assert!(HuggingFaceEncoder::from_json((model("") + "}").as_bytes(), SpecialTokens::Parse).is_ok());
        for json in [prefixed.as_bytes(), &no_text] {
            let error = HuggingFaceEncoder::from_json(json, SpecialTokens::Parse)
                .err()
                .map(|error| error.to_string());
            assert_eq!(
                error.as_deref(),
                Some("this is no tokenizer.json that the library tokenizers can read: it panicked")
            );
        }
    }
}
