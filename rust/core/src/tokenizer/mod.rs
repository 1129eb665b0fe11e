//! A tokenizer: the encoder, and what a document needs besides (end-of-text, padding, BOS).

mod families;
mod file;
mod qwen;

use std::panic::resume_unwind;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use qwen::tokenizer_json_of_qwen;

use crate::encode::{Encoder, HuggingFaceEncoder, SpecialTokens, load_encoder};
use crate::error::{Error, Result};
use crate::spool::ID;
use file::{SpecialNames, TokenizerFile};

/// Whether documents start with a BOS token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BosMode {
    /// Exactly when the tokenizer's own post-processor adds one.
    Auto,
    /// Never.
    Never,
    /// Always.
    Always,
}

/// In the place of a name: whatever token ends a text.
const END_OF_TEXT: &str = "end-of-text";

/// What to load.
#[derive(Debug)]
pub struct TokenizerSource {
    /// How messages name it.
    pub label: String,
    /// The text of its `tokenizer.json`.
    pub json: Vec<u8>,
    /// The text of its `tokenizer_config.json`, where it has one.
    pub config: Option<Vec<u8>>,
}

/// Choices about special tokens. A token is given as its text, or as its id in digits.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// End-of-text, where it is not to be found.
    pub eos: Option<String>,
    /// Padding, likewise: the first of these that there is; [`END_OF_TEXT`] stands for whatever ends a text.
    pub pad: Vec<String>,
    /// Padding, as a new token where there is none of that name.
    pub add_pad: Option<String>,
    /// BOS, likewise.
    pub bos_token: Option<String>,
    /// Whether documents start with BOS.
    pub bos: BosMode,
    /// What special tokens in raw text are.
    pub special_tokens: SpecialTokens,
}

/// A loaded tokenizer.
pub struct Tokenizer {
    /// Turns text into ids.
    pub encoder: Box<dyn Encoder>,
    /// What the native encoder does not understand of it, if the reference serves instead.
    pub why_not_native: Option<String>,
    /// What the output records of it.
    pub info: TokenizerInfo,
    /// Spellings and ids of its special tokens.
    pub special_tokens: Vec<(String, u32)>,
    /// What it was loaded from.
    pub source: TokenizerSource,
    special_mode: SpecialTokens,
}

/// What the output records of its tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerInfo {
    /// SHA-256 of `tokenizer.json`, in hexadecimal.
    pub sha256: String,
    /// One more than the highest id.
    pub vocab_size: u32,
    /// End-of-text.
    pub eos_id: u32,
    /// Padding.
    pub pad_id: u32,
    /// What every document starts with, if anything.
    pub bos_id: Option<u32>,
    /// Padding that was added to it as a new token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_pad: Option<String>,
}

/// SHA-256, as hubs and package indexes write it.
fn sha256_hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

impl Tokenizer {
    /// Loads a tokenizer and finds its special tokens: as given, else from `tokenizer_config.json`, else
    /// from the known families.
    ///
    /// # Errors
    /// When a file is not understood, or a token is not found.
    pub fn load(mut source: TokenizerSource, options: &TokenOptions) -> Result<Self> {
        let label = source.label.clone();
        let fail = |problem: String| Error::Tokenizer { tokenizer: label.clone(), problem };
        let read = || TokenizerFile::parse(&source.json).map(|file| (file, sha256_hex(&source.json)));
        let encoder_of = |json: &[u8]| load_encoder(json, options.special_tokens);
        // The encoder reads the same text, unless a token is added to it.
        let (read, loaded) = std::thread::scope(|scope| {
            let alone = options.add_pad.is_none();
            let loaded = alone.then(|| scope.spawn(|| encoder_of(&source.json)));
            (read(), loaded.map(|loaded| loaded.join().unwrap_or_else(|panic| resume_unwind(panic))))
        });
        let (mut file, sha256) = read.map_err(&fail)?;
        let added_pad = options.add_pad.clone().filter(|pad| !file.has(pad));
        if let Some(pad) = &added_pad {
            source.json = file.add_special(pad, &source.json).map_err(&fail)?;
        }
        if file.vocab_size() > ID {
            return Err(fail("it has ids of 2^30 and more, which no model has".into()));
        }
        let named = match &source.config {
            Some(config) => SpecialNames::parse(config).map_err(&fail)?,
            None => SpecialNames::default(),
        };
        let known = families::known_names(&file);
        let find = |role: &str, option: &str, given: &Option<String>, candidates: [&Option<String>; 2]| {
            let missing = |token: &str| fail(format!("it has no token {token:?} for {role}"));
            if let Some(given) = given {
                return file.resolve(given).ok_or_else(|| missing(given));
            }
            let name = candidates
                .into_iter()
                .flatten()
                .next()
                .ok_or_else(|| fail(format!("its {role} token is not known; name it with {option}")))?;
            file.id_of(name).ok_or_else(|| missing(name))
        };
        let eos_id = find("end-of-text", "--eos", &options.eos, [&named.eos, &known.eos])?;
        let pad = options.add_pad.as_ref().or_else(|| {
            let there = |pad: &&String| *pad == END_OF_TEXT || file.resolve(pad).is_some();
            options.pad.iter().find(there).or(options.pad.first())
        });
        let pad_id = match pad {
            Some(pad) if pad == END_OF_TEXT => eos_id,
            pad => find("padding", "--pad", &pad.cloned(), [&named.pad, &known.pad])?,
        };
        let bos = || find("BOS", "--bos-token", &options.bos_token, [&named.bos, &known.bos]);
        let bos_id = match (options.bos, file.leading_token()) {
            (BosMode::Never, _) | (BosMode::Auto, None) => None,
            (BosMode::Auto, Some(id)) if options.bos_token.is_none() => Some(id),
            (BosMode::Always | BosMode::Auto, _) => Some(bos()?),
        };
        let loaded = loaded.unwrap_or_else(|| encoder_of(&source.json));
        let loaded = loaded.map_err(|error| fail(error.to_string()))?;
        Ok(Self {
            encoder: loaded.encoder,
            why_not_native: loaded.why_not_native,
            info: TokenizerInfo { sha256, vocab_size: file.vocab_size(), eos_id, pad_id, bos_id, added_pad },
            special_tokens: file.special_tokens(),
            special_mode: options.special_tokens,
            source,
        })
    }

    /// Loads the reference encoder of the same tokenizer.
    ///
    /// # Errors
    /// When the library does not understand it.
    pub fn reference(&self) -> Result<HuggingFaceEncoder> {
        HuggingFaceEncoder::from_json(&self.source.json, self.special_mode).map_err(|error| {
            Error::Tokenizer { tokenizer: self.source.label.clone(), problem: error.to_string() }
        })
    }

    /// The id of a special token.
    #[must_use]
    pub fn special_id(&self, token: &str) -> Option<u32> {
        self.special_tokens.iter().find(|(text, _)| text == token).map(|(_, id)| *id)
    }
}
