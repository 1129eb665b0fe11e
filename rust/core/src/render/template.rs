//! The words around questions and answers, by name or from a small TOML file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a dialogue is written out:
/// `{user}{q}{separator}{assistant}` `{a}` END `{follow_up}{user}{q}{separator}{assistant}` `{a}` END …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its name, or the name of its file.
    pub name: String,
    /// Before a question.
    pub user: String,
    /// Before an answer.
    pub assistant: String,
    /// Between a question and the word before its answer.
    pub separator: String,
    /// Between an answer and the next question.
    pub follow_up: String,
    /// The token that ends an answer, where it is not the tokenizer's end-of-text.
    pub end: Option<String>,
    /// Whether every turn is tokenized on its own with the word before it, and masked and cut as Apollo's original
    /// script does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_turn: bool,
}

/// A template as a user writes it, in a file of its own or in a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateTable {
    user: String,
    assistant: String,
    separator: String,
    follow_up: Option<String>,
    end: Option<String>,
}

/// Names of the built-in templates.
pub(crate) const NAMES: [&str; 5] = ["apollo", "apollo-yi", "medjamba", "phi3", "chatml"];

impl Template {
    /// A built-in template by name, or one from a file whose name ends in `.toml`.
    ///
    /// # Errors
    /// When there is no such template, or the file does not say what a template says.
    pub fn load(name_or_path: &str) -> Result<Self> {
        if let Some(template) = Self::built_in(name_or_path) {
            return Ok(template);
        }
        let path = Path::new(name_or_path);
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Err(Error::Config(format!(
                "there is no template {name_or_path:?}; choose one of {}, or a .toml file with user, \
                 assistant and separator",
                NAMES.join(", ")
            )));
        }
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let table: TemplateTable = toml::from_str(&text).map_err(|error| {
            Error::Config(format!("template {}: {}", path.display(), error.to_string().trim_end()))
        })?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(Self::named(name.unwrap_or_default(), table))
    }

    /// The template that a table describes.
    #[must_use]
    pub fn named(name: String, table: TemplateTable) -> Self {
        Self {
            name,
            user: table.user,
            assistant: table.assistant,
            follow_up: table.follow_up.unwrap_or_else(|| table.separator.clone()),
            separator: table.separator,
            end: table.end,
            by_turn: false,
        }
    }

    /// The template of the Apollo models.
    pub(crate) fn apollo() -> Self {
        let [user, assistant, separator] = ["User:", "Assistant:", "\n"].map(String::from);
        Self {
            name: "apollo".into(),
            user,
            assistant,
            follow_up: separator.clone(),
            separator,
            end: None,
            by_turn: false,
        }
    }

    fn built_in(name: &str) -> Option<Self> {
        let (user, assistant, separator, follow_up, end) = match name {
            "apollo" => return Some(Self::apollo()),
            "apollo-yi" => ("<|User|>:", "<|Assistant|>:", "\n", "\n", None),
            "medjamba" => ("<|User|>:\n", "<|Assistant|>:\n", "\n", "\n", None),
            "phi3" => ("<|user|>\n", "<|assistant|>\n", "<|end|>\n", "<|end|>\n", None),
            // ChatML closes an answer with the token that closes every turn, and models trained on it
            // stop there.
            "chatml" => {
                ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n", "\n", Some("<|im_end|>"))
            }
            _ => return None,
        };
        Some(Self {
            name: name.into(),
            user: user.into(),
            assistant: assistant.into(),
            separator: separator.into(),
            follow_up: follow_up.into(),
            end: end.map(Into::into),
            by_turn: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_built_in() {
        for name in NAMES {
            assert_eq!(Template::load(name).map(|template| template.name).ok(), Some(name.to_owned()));
        }
    }

    #[test]
    fn a_file_says_what_is_wrong() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mine.toml");
        let load = |text: &str| {
            std::fs::write(&path, text).map_err(Error::io(&path))?;
            Template::load(&path.to_string_lossy())
        };
        let template = load("user = 'Q: '\nassistant = 'A: '\nseparator = \"\\n\"")?;
        assert_eq!((template.name.as_str(), template.follow_up.as_str()), ("mine", "\n"));
        for (text, problem) in
            [("user = 1", "user"), ("usr = ''", "unknown field"), ("user = ''", "missing field")]
        {
            let error = load(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(problem), "{error}");
        }
        assert!(Template::load("nobody").is_err());
        assert!(Template::load("missing.toml").is_err());
        Ok(())
    }
}
