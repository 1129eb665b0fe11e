//! The shape of a `tokenizer.json`, taken literally: a field or value that is not listed here makes
//! the whole file one that is not understood.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File<'a> {
    pub(super) version: String,
    /// For inference only; the reference is told to leave them alone too.
    #[serde(rename = "truncation")]
    _truncation: Option<IgnoredAny>,
    #[serde(rename = "padding")]
    _padding: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    pub(super) normalizer: Option<Normalizer>,
    pub(super) pre_tokenizer: Option<PreTokenizer>,
    pub(super) post_processor: Option<PostProcessor>,
    /// From ids to text: nothing that encoding asks.
    #[serde(rename = "decoder")]
    _decoder: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(super) model: Model<'a>,
}

#[derive(serde::Deserialize, Clone)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // as the file has them
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    pub(super) single_word: bool,
    pub(super) lstrip: bool,
    pub(super) rstrip: bool,
    pub(super) normalized: bool,
    pub(super) special: bool,
}

#[derive(serde::Deserialize)]
pub(super) enum ModelType {
    #[serde(rename = "BPE")]
    Bpe,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model<'a> {
    #[serde(rename = "type")]
    _type: ModelType,
    pub(super) dropout: Option<f32>,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) end_of_word_suffix: Option<String>,
    pub(super) fuse_unk: Option<bool>,
    pub(super) byte_fallback: Option<bool>,
    pub(super) ignore_merges: Option<bool>,
    #[serde(borrow)]
    pub(super) vocab: Entries<'a>,
    #[serde(borrow)]
    pub(super) merges: Merges<'a>,
}

#[derive(serde::Deserialize, Clone)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum Normalizer {
    #[serde(rename = "NFC")]
    Nfc {},
    #[serde(rename = "NFKC")]
    Nfkc {},
    Replace {
        pattern: Pattern,
        content: String,
    },
    Prepend {
        prepend: String,
    },
    Sequence {
        normalizers: Vec<Normalizer>,
    },
}

#[derive(serde::Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) enum Pattern {
    String(String),
    Regex(String),
}

#[derive(serde::Deserialize, Clone)]
#[serde(tag = "type", deny_unknown_fields)]
pub(super) enum PreTokenizer {
    ByteLevel {
        add_prefix_space: bool,
        /// About offsets only.
        #[serde(rename = "trim_offsets")]
        _trim_offsets: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Split {
        pattern: Pattern,
        behavior: Behavior,
        invert: bool,
    },
    Digits {
        individual_digits: bool,
    },
    Metaspace {
        replacement: char,
        #[serde(default)]
        add_prefix_space: Option<bool>,
        #[serde(default)]
        prepend_scheme: PrependScheme,
        #[serde(default)]
        split: Option<bool>,
        #[serde(rename = "str_rep", default)]
        _str_rep: Option<String>,
    },
    Sequence {
        pretokenizers: Vec<PreTokenizer>,
    },
}

fn yes() -> bool {
    true
}

#[derive(serde::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

#[derive(serde::Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "snake_case")]
pub(super) enum PrependScheme {
    First,
    Never,
    #[default]
    Always,
}

/// None of these change the ids of a text to which no special tokens are added, as long as a template
/// has the text itself, once.
#[derive(serde::Deserialize)]
#[serde(tag = "type")]
pub(super) enum PostProcessor {
    ByteLevel,
    RobertaProcessing,
    BertProcessing,
    TemplateProcessing { single: Vec<Part> },
    Sequence { processors: Vec<PostProcessor> },
}

#[derive(serde::Deserialize)]
pub(super) enum Part {
    SpecialToken(IgnoredAny),
    Sequence { id: SequenceId },
}

#[derive(serde::Deserialize, PartialEq, Eq)]
pub(super) enum SequenceId {
    A,
    B,
}

/// A string of the file, borrowed where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The vocabulary in the order of the file, repeated tokens and all.
pub(super) struct Entries<'a>(pub(super) Vec<(Cow<'a, str>, u32)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a map of tokens to ids")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(1 << 17);
                while let Some((Text(token), id)) = map.next_entry::<Text, u32>()? {
                    entries.push((token, id));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// The merges, each `"a b"` or each `["a", "b"]`.
pub(super) enum Merges<'a> {
    Joined(Vec<Cow<'a, str>>),
    Pairs(Vec<(Cow<'a, str>, Cow<'a, str>)>),
}

enum Merge<'a> {
    Joined(Cow<'a, str>),
    Pair(Cow<'a, str>, Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Merge<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MergeVisitor;
        impl<'de> Visitor<'de> for MergeVisitor {
            type Value = Merge<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a merge")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Merge::Joined(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Merge::Joined(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let two = (seq.next_element::<Text>()?, seq.next_element::<Text>()?);
                match (two, seq.next_element::<IgnoredAny>()?) {
                    ((Some(Text(left)), Some(Text(right))), None) => Ok(Merge::Pair(left, right)),
                    _ => Err(serde::de::Error::custom("a merge that is no pair")),
                }
            }
        }
        deserializer.deserialize_any(MergeVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Merges<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MergesVisitor;
        impl<'de> Visitor<'de> for MergesVisitor {
            type Value = Merges<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a list of merges")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut joined = Vec::new();
                let mut pairs = Vec::new();
                while let Some(merge) = seq.next_element::<Merge>()? {
                    match merge {
                        Merge::Joined(text) => joined.push(text),
                        Merge::Pair(left, right) => pairs.push((left, right)),
                    }
                }
                match (joined.is_empty(), pairs.is_empty()) {
                    (_, true) => Ok(Merges::Joined(joined)),
                    (true, false) => Ok(Merges::Pairs(pairs)),
                    (false, false) => Err(serde::de::Error::custom("merges of two formats")),
                }
            }
        }
        deserializer.deserialize_seq(MergesVisitor)
    }
}
