//! **recipe**: which files are taken, how often and in which order they come, and how they are treated.
//!
//! A recipe is a TOML file. The ones that come along are such files too (`recipe/built_in`).

mod choose;
mod forecast;
mod pattern;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use choose::Chosen;
pub use forecast::{Mix, Size, forecast};
pub use pattern::Patterns;

use crate::discover::{Input, Kind};
use crate::error::{Error, Result};
use crate::pipeline::{Choices, Overflow, TemplateChoice};
use crate::plan::{Limit, Share, Target};

/// Names and texts of the built-in recipes.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("apollo-qwen", include_str!("built_in/apollo-qwen.toml")),
    ("apollo-gemma", include_str!("built_in/apollo-gemma.toml")),
    ("apollo-yi", include_str!("built_in/apollo-yi.toml")),
    ("apollo-moe", include_str!("built_in/apollo-moe.toml")),
    ("medjamba", include_str!("built_in/medjamba.toml")),
];

/// What `apollo` alone means.
const APOLLO: &str = "apollo-qwen";

/// What is taken of a corpus, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name, or that of its file.
    #[serde(default)]
    pub name: String,
    /// What it is for, in a line.
    #[serde(default)]
    pub description: String,
    /// Settings of the build, where nothing else is asked for.
    #[serde(default)]
    pub build: Choices,
    /// How `order = "proportions"` weighs.
    #[serde(default)]
    pub sampling: Sampling,
    /// Rules; a file goes by the first that it matches, and is left out if there is none.
    pub mix: Vec<Rule>,
}

/// How proportions are weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// What makes a group.
    pub by: Grouping,
    /// Without weights, a group's share goes with its tokens to the power of one over this: 1 takes groups as large as
    /// they are, higher ones draw more of the small.
    pub temperature: f64,
    /// Tokens in all; by default as many as there are without repeating a group more often than its epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { by: Grouping::Rule, temperature: 1.0, tokens: None }
    }
}

/// What makes a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// The files of one rule.
    Rule,
    /// The files of one language.
    Language,
    /// The files of one source.
    Source,
}

/// What becomes of the files that match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Of the file's name; `*`, `?` and `[ab]` stand for what they do in a shell. Without patterns all match.
    #[serde(skip_serializing_if = "Patterns::is_empty")]
    pub source: Patterns,
    /// Of the file's name.
    #[serde(skip_serializing_if = "Patterns::is_empty")]
    pub language: Patterns,
    /// The path within the corpus; `*` does not stand for `/`, `**/` for any folders.
    #[serde(skip_serializing_if = "Patterns::is_empty")]
    pub path: Patterns,
    /// By the file's name, else by its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// How often each item comes; of 1.5 epochs every other item comes twice. The most under proportions.
    pub epochs: f64,
    /// Weight of each document under `order = "priority"`.
    pub priority: f64,
    /// Share of the tokens under `order = "proportions"`, relative to those of the other rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// How its dialogues are written, if not as the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateChoice>,
    /// What becomes of documents longer than a row, if not what becomes of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// Whether anything of it counts for the loss.
    pub loss: bool,
    /// The most documents that are drawn, repetitions included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_documents: Option<u64>,
    /// The most tokens that are drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            source: Patterns::default(),
            language: Patterns::default(),
            path: Patterns::default(),
            kind: None,
            epochs: 1.0,
            priority: 1.0,
            weight: None,
            template: None,
            overflow: None,
            loss: true,
            max_documents: None,
            max_tokens: None,
        }
    }
}

/// All of the corpus, once.
impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            build: Choices::default(),
            sampling: Sampling::default(),
            mix: vec![Rule::default()],
        }
    }
}

/// The text of a built-in recipe.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static str> {
    let name = if name == "apollo" { APOLLO } else { name };
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Recipe {
    /// A built-in recipe by name, or one from a file whose name ends in `.toml`.
    ///
    /// # Errors
    /// When there is no such recipe, or the file does not say what a recipe says.
    pub fn load(name_or_path: &str) -> Result<Self> {
        let path = Path::new(name_or_path);
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(text) = built_in(name_or_path) {
            let name = if name == "apollo" { APOLLO.into() } else { name };
            return Self::parse(name, text);
        }
        if path.extension().is_none_or(|extension| extension != "toml") {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(Error::Config(format!(
                "there is no recipe {name_or_path:?}; choose one of apollo, {}, or a .toml file (`apollo-pack recipe \
                 apollo` prints one to begin with)",
                names.join(", ")
            )));
        }
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(name, &text)
    }

    /// The recipe that a text says.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(name: String, text: &str) -> Result<Self> {
        let fail = |problem: &str| Error::Config(format!("recipe {name}: {}", problem.trim_end()));
        let mut recipe: Self = toml::from_str(text).map_err(|error| fail(&error.to_string()))?;
        recipe.check().map_err(|problem| fail(&problem))?;
        recipe.name = name;
        Ok(recipe)
    }

    /// `None` for all of the corpus, once: no recipe was asked for.
    pub(crate) fn given(&self) -> Option<&Self> {
        (*self != Self::default()).then_some(self)
    }

    fn check(&self) -> Result<(), String> {
        if self.mix.is_empty() {
            return Err("it has no rule: [[mix]]".into());
        }
        if !(self.sampling.temperature.is_finite() && self.sampling.temperature > 0.0) {
            return Err("temperature must be a positive number".into());
        }
        for (number, rule) in (1..).zip(&self.mix) {
            let fail = |what: &str| Err(format!("rule {number}: {what}"));
            if !(0.0..=1e6).contains(&rule.epochs) {
                return fail("epochs must be a number from 0 to 1000000");
            }
            if !(1e-9..=1e9).contains(&rule.priority) {
                return fail("priority must be a number from 1e-9 to 1e9");
            }
            if rule.weight.is_some_and(|weight| !(0.0..=1e9).contains(&weight)) {
                return fail("weight must be a number from 0 to 1e9");
            }
            let weighted = self.mix.iter().filter(|rule| rule.weight.is_some()).count();
            if weighted > 0 && (weighted < self.mix.len() || self.sampling.by != Grouping::Rule) {
                return fail(
                    "either all rules have a weight or none, and they make the groups (by = \"rule\")",
                );
            }
        }
        Ok(())
    }

    /// What each input has a right to; `rules` are those of the inputs.
    pub(crate) fn shares(&self, inputs: &[Input], rules: &[usize]) -> Vec<Share> {
        let (groups, _) = self.groups(inputs, rules);
        let share = |(rule_number, group): (&usize, usize)| {
            let rule = &self.mix[*rule_number];
            let limited = rule.max_documents.is_some() || rule.max_tokens.is_some();
            let limit = Limit {
                documents: rule.max_documents.unwrap_or(u64::MAX),
                tokens: rule.max_tokens.unwrap_or(u64::MAX),
            };
            Share {
                epochs: rule.epochs,
                priority: rule.priority,
                group,
                limit: limited.then_some((*rule_number, limit)),
            }
        };
        rules.iter().zip(groups).map(share).collect()
    }

    /// What proportions aim at.
    pub(crate) fn target(&self, inputs: &[Input], rules: &[usize]) -> Target {
        let (groups, count) = self.groups(inputs, rules);
        let mut weights = vec![None; count];
        for (group, rule) in groups.into_iter().zip(rules) {
            weights[group] = self.mix[*rule].weight;
        }
        Target { tokens: self.sampling.tokens, temperature: self.sampling.temperature, weights }
    }

    /// The group of each input, and how many there are.
    fn groups(&self, inputs: &[Input], rules: &[usize]) -> (Vec<usize>, usize) {
        let name = |(input, rule): (&Input, &usize)| match self.sampling.by {
            Grouping::Rule => rule.to_string(),
            Grouping::Language => input.name.language.clone(),
            Grouping::Source => input.name.source.clone(),
        };
        let mut names: Vec<String> = Vec::new();
        let mut groups = Vec::new();
        for name in inputs.iter().zip(rules).map(name) {
            let known = names.iter().position(|known| *known == name);
            groups.push(known.unwrap_or(names.len()));
            if known.is_none() {
                names.push(name);
            }
        }
        (groups, names.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_recipe_is_one() {
        for (name, _) in BUILT_IN {
            let recipe = Recipe::load(name).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((recipe.name.as_str(), recipe.build.by_turn), (name, Some(true)));
        }
        assert_eq!(Recipe::load("apollo").map(|recipe| recipe.name).ok().as_deref(), Some(APOLLO));
        assert_eq!(Recipe::default().given(), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, problem) in [
            ("", "mix"),
            ("mix = []", "no rule"),
            ("[[mix]]\nepoch = 1", "epoch"),
            ("[[mix]]\nepochs = -1", "rule 1: epochs"),
            ("[[mix]]\nepochs = nan", "rule 1: epochs"),
            ("[[mix]]\npriority = 0", "rule 1: priority"),
            ("[[mix]]\n[[mix]]\nweight = 1", "all rules have a weight"),
            ("[sampling]\ntemperature = 0\n[[mix]]", "temperature"),
            ("[build]\npacking = 'worst-fit'\n[[mix]]", "worst-fit"),
            ("[[mix]]\nsource = 'a['", "a["),
        ] {
            let error = Recipe::parse("mine".into(), text).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.starts_with("recipe mine: ") && error.contains(problem), "{text}: {error}");
        }
        assert!(Recipe::load("nobody").is_err_and(|error| error.to_string().contains("apollo-gemma")));
        assert!(Recipe::load("missing.toml").is_err());
    }
}
