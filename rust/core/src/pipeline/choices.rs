//! What is asked of a build, by whoever starts it or by a recipe; what nobody asks for is as [`BuildConfig`] says.

use serde::{Deserialize, Deserializer, Serialize};

use super::config::{Overflow, SpecialMode};
use crate::error::Result;
use crate::plan::{Order, Packing};
use crate::render::{Template, TemplateTable};
use crate::tokenizer::BosMode;

/// Settings, each where it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    /// Tokens in a row: a multiple of 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq_len: Option<u32>,
    /// How documents share rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// How dialogues are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateChoice>,
    /// Whether they are encoded turn by turn, see [`Template::by_turn`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_turn: Option<bool>,
    /// The order of the documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// Its seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What becomes of documents longer than a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// What becomes of special tokens in raw text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_tokens: Option<SpecialMode>,
    /// Whether documents start with BOS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos: Option<BosMode>,
    /// End-of-text, where the tokenizer does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eos: Option<String>,
    /// Padding, likewise: the first that there is; `end-of-text` stands for that token.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "one_or_many")]
    pub pad: Option<Vec<String>>,
    /// Padding, as a new token where there is none of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_pad: Option<String>,
    /// BOS, where the tokenizer does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token: Option<String>,
}

/// A template by name or file, or written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TemplateChoice {
    /// A built-in one by name, or a file.
    Named(String),
    /// In the recipe itself.
    Table(TemplateTable),
}

impl TemplateChoice {
    /// The template itself; `owner` names one that is written out.
    ///
    /// # Errors
    /// When there is no such template.
    pub fn load(&self, owner: &str) -> Result<Template> {
        match self {
            Self::Named(name) => Template::load(name),
            Self::Table(table) => Ok(Template::named(owner.into(), table.clone())),
        }
    }
}

impl Choices {
    /// These, and where nothing is asked for, what `other` asks for.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let other = other.clone();
        // Padding is one choice, in whichever of its two forms.
        let (pad, add_pad) = match (self.pad, self.add_pad) {
            (None, None) => (other.pad, other.add_pad),
            own => own,
        };
        Self {
            seq_len: self.seq_len.or(other.seq_len),
            packing: self.packing.or(other.packing),
            template: self.template.or(other.template),
            by_turn: self.by_turn.or(other.by_turn),
            order: self.order.or(other.order),
            seed: self.seed.or(other.seed),
            overflow: self.overflow.or(other.overflow),
            special_tokens: self.special_tokens.or(other.special_tokens),
            bos: self.bos.or(other.bos),
            eos: self.eos.or(other.eos),
            pad,
            add_pad,
            bos_token: self.bos_token.or(other.bos_token),
        }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    }))
}
