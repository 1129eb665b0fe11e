//! What `tokenizer.json` and `tokenizer_config.json` say about special tokens.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The parts of `tokenizer.json` that matter here; the encoder reads the rest.
#[derive(serde::Deserialize)]
pub(super) struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    post_processor: Value,
    model: Model,
}

#[derive(serde::Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(serde::Deserialize)]
struct Model {
    #[serde(default)]
    vocab: Vocab,
}

/// Texts and their ids; few are ever looked up. BPE and `WordPiece` list their vocabulary as an object, Unigram as pairs of text and score.
#[derive(Default)]
struct Vocab(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VocabVisitor;
        impl<'de> Visitor<'de> for VocabVisitor {
            type Value = Vocab;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a vocabulary")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Vocab, A::Error> {
                let mut ids = Vec::new();
                while let Some(entry) = object.next_entry()? {
                    ids.push(entry);
                }
                Ok(Vocab(ids))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
                let mut ids = Vec::new();
                for id in 0.. {
                    let Some((token, _score)) = list.next_element::<(String, f64)>()? else {
                        break;
                    };
                    ids.push((token, id));
                }
                Ok(Vocab(ids))
            }
        }
        deserializer.deserialize_any(VocabVisitor)
    }
}

impl TokenizerFile {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let fail = |problem: &dyn fmt::Display| format!("tokenizer.json is not understood: {problem}");
        let text = simdutf8::basic::from_utf8(json).map_err(|error| fail(&error))?;
        serde_json::from_str(text).map_err(|error| fail(&error))
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        let added = self.added_tokens.iter().find(|added| added.content == token);
        // Of a text that stands twice, the last counts.
        let listed = || self.model.vocab.0.iter().rev().find(|(text, _)| text == token).map(|(_, id)| *id);
        added.map(|added| added.id).or_else(listed)
    }

    /// A token as a user gives it: an id in digits, or its text.
    pub(super) fn resolve(&self, given: &str) -> Option<u32> {
        match given.parse::<u32>() {
            Ok(id) => (id < self.vocab_size()).then_some(id),
            Err(_) => self.id_of(given),
        }
    }

    pub(super) fn has(&self, token: &str) -> bool {
        self.id_of(token).is_some()
    }

    pub(super) fn vocab_size(&self) -> u32 {
        let added = self.added_tokens.iter().map(|added| added.id).max();
        added.max(self.model.vocab.0.iter().map(|(_, id)| *id).max()).map_or(0, |id| id.saturating_add(1))
    }

    pub(super) fn special_tokens(&self) -> Vec<(String, u32)> {
        let special = self.added_tokens.iter().filter(|added| added.special);
        special.map(|added| (added.content.clone(), added.id)).collect()
    }

    /// Adds a special token, as the library does; `json` is what this was read from. Gives the new JSON.
    pub(super) fn add_special(&mut self, token: &str, json: &[u8]) -> Result<Vec<u8>, String> {
        let fail = |error: serde_json::Error| format!("tokenizer.json is not understood: {error}");
        let id = self.vocab_size();
        let mut parts: BTreeMap<&str, &RawValue> = serde_json::from_slice(json).map_err(fail)?;
        let added = parts.get("added_tokens").map_or("[]", |added| added.get());
        let mut added: Vec<Value> = serde_json::from_str(added).map_err(fail)?;
        added.push(json!({
            "id": id, "content": token, "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        }));
        let added = serde_json::value::to_raw_value(&added).map_err(fail)?;
        parts.insert("added_tokens", &added);
        self.added_tokens.push(AddedToken { id, content: token.into(), special: true });
        serde_json::to_vec(&parts).map_err(fail)
    }

    /// The token that the post-processor puts before a text.
    pub(super) fn leading_token(&self) -> Option<u32> {
        leading_token(&self.post_processor)
    }
}

fn leading_token(post_processor: &Value) -> Option<u32> {
    let id = match post_processor["type"].as_str()? {
        "TemplateProcessing" => {
            let name = post_processor["single"][0]["SpecialToken"]["id"].as_str()?;
            &post_processor["special_tokens"][name]["ids"][0]
        }
        "BertProcessing" | "RobertaProcessing" => &post_processor["cls"][1],
        "Sequence" => {
            return post_processor["processors"].as_array()?.iter().find_map(leading_token);
        }
        _ => return None,
    };
    u32::try_from(id.as_u64()?).ok()
}

/// Names of special tokens, from `tokenizer_config.json` or a known family.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct SpecialNames {
    pub(super) eos: Option<String>,
    pub(super) pad: Option<String>,
    pub(super) bos: Option<String>,
}

impl SpecialNames {
    pub(super) fn parse(config: &[u8]) -> Result<Self, String> {
        let config: Value = serde_json::from_slice(config)
            .map_err(|error| format!("tokenizer_config.json is not understood: {error}"))?;
        // A token is given as its text, or as an object with its content.
        let name = |key: &str| {
            let token = &config[key];
            match token.as_str().or_else(|| token["content"].as_str()) {
                None if !token.is_null() => Err(format!("tokenizer_config.json: {key} is no token: {token}")),
                name => Ok(name.map(str::to_owned)),
            }
        };
        Ok(Self { eos: name("eos_token")?, pad: name("pad_token")?, bos: name("bos_token")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"added_tokens": [{"id": 3, "content": "</s>", "special": true}],
        "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"},
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
             "special_tokens": {"<s>": {"ids": [2]}}}]},
        "model": {"vocab": {"a": 0, "7": 1, "<s>": 2}}}"#;

    #[test]
    fn tokens_by_text_and_by_id() {
        let Ok(file) = TokenizerFile::parse(FILE.as_bytes()) else { panic!("not read") };
        assert_eq!(file.vocab_size(), 4);
        assert_eq!(
            ["</s>", "<s>", "2", "7", "4", "b"].map(|t| file.resolve(t)),
            [Some(3), Some(2), Some(2), None, None, None]
        );
        assert_eq!(file.leading_token(), Some(2));
        assert_eq!(file.special_tokens(), [("</s>".to_owned(), 3)]);
    }

    #[test]
    fn a_special_token_is_added_after_the_last_id() {
        let Ok(mut file) = TokenizerFile::parse(FILE.as_bytes()) else { panic!("not read") };
        let Ok(json) = file.add_special("<pad>", FILE.as_bytes()) else { panic!("not added") };
        let Ok(again) = TokenizerFile::parse(&json) else { panic!("not read again") };
        for file in [&file, &again] {
            assert_eq!((file.id_of("<pad>"), file.vocab_size(), file.leading_token()), (Some(4), 5, Some(2)));
            assert_eq!(file.special_tokens().len(), 2);
        }
    }

    #[test]
    fn names_as_text_or_object() {
        let config = br#"{"eos_token": {"content": "E"}, "pad_token": "P", "bos_token": null}"#;
        let names = SpecialNames { eos: Some("E".into()), pad: Some("P".into()), bos: None };
        assert_eq!(SpecialNames::parse(config), Ok(names));
        assert!(SpecialNames::parse(b"{").is_err());
        assert!(SpecialNames::parse(br#"{"eos_token": 7}"#).is_err());
    }
}
