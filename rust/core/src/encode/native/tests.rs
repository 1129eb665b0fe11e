//! The native encoder against the reference: random tokenizers, and the real ones of the shared sample.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)] // tests say what went wrong by failing

#[path = "../../../examples/encode_support/mod.rs"]
mod encode_support;
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

    /// Encodes the texts with one session each and compares: those of the first half together and the others alone, while all
    /// their words are new, and then the other way round.
    fn compare<'t>(&self, what: &str, texts: impl IntoIterator<Item = &'t str>) {
        let texts: Vec<&str> = texts.into_iter().collect();
        let (mut native, mut reference) = (self.native.session(), self.reference.session());
        let (first, second) = texts.split_at(texts.len() / 2);
        let mut ours = together(native.as_mut(), first);
        ours.extend(second.iter().map(|text| alone(native.as_mut(), text)));
        let mut again: Vec<Vec<u32>> = first.iter().map(|text| alone(native.as_mut(), text)).collect();
        again.extend(together(native.as_mut(), second));
        for ((text, ours), again) in texts.iter().zip(&ours).zip(&again) {
            let mut theirs = Vec::new();
            if !encodes(reference.as_mut(), text, &[], &mut theirs) {
                continue;
            }
            for ours in [ours, again] {
                if *ours != theirs {
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
}

/// The ids of a text.
fn alone(session: &mut dyn Session, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    session.encode(text, &[], &mut ids).expect("native encodes");
    ids
}

/// The ids of each of the texts, behind ids that stay as they are.
fn together(session: &mut dyn Session, texts: &[&str]) -> Vec<Vec<u32>> {
    let (mut ids, mut ends) = (vec![7; 3], Vec::new());
    session.encode_all(texts, &mut ids, &mut ends).expect("native encodes");
    assert_eq!(ids[..3], [7; 3]);
    let mut start = 3;
    let mut each = Vec::new();
    for end in ends.into_iter().map(|end| usize::try_from(end).unwrap()) {
        each.push(ids[std::mem::replace(&mut start, end)..end].to_vec());
    }
    assert_eq!((each.len(), start), (texts.len(), ids.len()));
    each
}

/// Tokens that hold two Chinese characters only beside a space, as the model reads it: where the text has one, nothing may be cut.
#[test]
fn a_space_beside_chinese_is_what_the_model_reads_it_as() {
    let merges = [["患", "▁"], ["中", "患▁"], ["▁", "文"], ["▁文", "字"]];
    let tokens = ["<unk>", "▁", "中", "患", "文", "字", "一", "x"].map(String::from);
    let made = merges.iter().map(|parts| parts.concat());
    let ids: serde_json::Map<String, serde_json::Value> =
        tokens.into_iter().chain(made).zip(0..).map(|(token, id)| (token, id.into())).collect();
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": ids, "merges": merges,
        },
    });
    let both = Both::load(tokenizer.to_string().as_bytes(), SpecialTokens::Parse).unwrap();
    let around = ["x".repeat(12), "一".repeat(9)];
    let texts = around.iter().flat_map(|around| {
        ["中患 ", "中患▁", " 文字", "▁文字", "中患 文字"].map(|text| format!("{around}{text}{around}"))
    });
    let texts: Vec<String> = texts.collect();
    both.compare("a space beside Chinese", texts.iter().map(String::as_str));
}
