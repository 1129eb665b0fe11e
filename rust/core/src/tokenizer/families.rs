//! The special tokens of tokenizer families, recognised by the tokens that only they have together.

use super::file::{SpecialNames, TokenizerFile};

struct Family {
    /// Tokens that are all there.
    signature: &'static [&'static str],
    eos: &'static str,
    /// The first of these that is there.
    pad: &'static [&'static str],
    bos: Option<&'static str>,
}

/// In order: the first family whose signature is there. What a model was pretrained with, as its
/// publisher states it; families without a padding token pad with a token that the publisher's own
/// fine-tuning code uses.
const FAMILIES: [Family; 9] = [
    // Qwen 1.5, 2, 2.5, 3
    Family {
        signature: &["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        eos: "<|endoftext|>",
        pad: &["<|endoftext|>"],
        bos: None,
    },
    // Gemma 1 to 3
    Family { signature: &["<bos>", "<eos>", "<pad>"], eos: "<eos>", pad: &["<pad>"], bos: Some("<bos>") },
    // Llama 3
    Family {
        signature: &["<|begin_of_text|>", "<|end_of_text|>"],
        eos: "<|end_of_text|>",
        pad: &["<|finetune_right_pad_id|>", "<|end_of_text|>"],
        bos: Some("<|begin_of_text|>"),
    },
    // DeepSeek V2, V3
    Family {
        signature: &["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"],
        eos: "<｜end▁of▁sentence｜>",
        pad: &["<｜▁pad▁｜>", "<｜end▁of▁sentence｜>"],
        bos: Some("<｜begin▁of▁sentence｜>"),
    },
    // Jamba (<|pad|>) and Yi (<unk>)
    Family {
        signature: &["<|startoftext|>", "<|endoftext|>", "<unk>"],
        eos: "<|endoftext|>",
        pad: &["<|pad|>", "<unk>"],
        bos: Some("<|startoftext|>"),
    },
    Family {
        signature: &["<|startoftext|>", "<|endoftext|>", "<|pad|>"],
        eos: "<|endoftext|>",
        pad: &["<|pad|>"],
        bos: Some("<|startoftext|>"),
    },
    // Phi-3
    Family {
        signature: &["<|endoftext|>", "<|assistant|>", "<|end|>", "<unk>"],
        eos: "<|endoftext|>",
        pad: &["<unk>"],
        bos: Some("<s>"),
    },
    // Llama 1 and 2, Mistral
    Family { signature: &["<s>", "</s>", "<unk>"], eos: "</s>", pad: &["<pad>", "<unk>"], bos: Some("<s>") },
    // GPT-2
    Family {
        signature: &["<|endoftext|>", "Ġ"],
        eos: "<|endoftext|>",
        pad: &["<|endoftext|>"],
        bos: Some("<|endoftext|>"),
    },
];

/// What the tokenizer's family calls its special tokens; nothing, where no family is recognised.
pub(super) fn known_names(file: &TokenizerFile) -> SpecialNames {
    let family = FAMILIES.iter().find(|family| family.signature.iter().all(|token| file.has(token)));
    family.map_or_else(SpecialNames::default, |family| SpecialNames {
        eos: Some(family.eos.into()),
        pad: family.pad.iter().find(|token| file.has(token)).map(|token| (*token).into()),
        bos: family.bos.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_apart() {
        for (tokens, eos, pad, bos) in [
            (
                &["<|endoftext|>", "<|im_start|>", "<|im_end|>", "Ġ"][..],
                "<|endoftext|>",
                "<|endoftext|>",
                None,
            ),
            (&["<bos>", "<eos>", "<pad>", "<unk>"], "<eos>", "<pad>", Some("<bos>")),
            (&["<s>", "</s>", "<unk>"], "</s>", "<unk>", Some("<s>")),
            (&["<s>", "</s>", "<unk>", "<pad>"], "</s>", "<pad>", Some("<s>")),
            (
                &["<|startoftext|>", "<|endoftext|>", "<unk>"],
                "<|endoftext|>",
                "<unk>",
                Some("<|startoftext|>"),
            ),
            (
                &["<s>", "</s>", "<unk>", "<|endoftext|>", "<|assistant|>", "<|end|>"],
                "<|endoftext|>",
                "<unk>",
                Some("<s>"),
            ),
            (&["<|endoftext|>", "Ġ"], "<|endoftext|>", "<|endoftext|>", Some("<|endoftext|>")),
        ] {
            let vocab: serde_json::Map<String, serde_json::Value> =
                tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id.into())).collect();
            let json = serde_json::json!({"model": {"vocab": vocab}}).to_string();
            let Ok(file) = TokenizerFile::parse(json.as_bytes()) else { panic!("not read") };
            let names = known_names(&file);
            let found = (names.eos.as_deref(), names.pad.as_deref(), names.bos.as_deref());
            assert_eq!(found, (Some(eos), Some(pad), bos), "{tokens:?}");
        }
        let Ok(file) = TokenizerFile::parse(br#"{"model": {"vocab": {"a": 0}}}"#) else { panic!("not read") };
        assert_eq!(known_names(&file), SpecialNames::default());
    }
}
