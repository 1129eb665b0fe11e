//! Which files of a corpus a recipe takes.

use super::{Recipe, Rule};
use crate::discover::{Corpus, Input, Kind, LeftOut};
use crate::error::{Error, Result};

/// What is taken of a corpus.
#[derive(Debug)]
pub struct Chosen {
    /// The files.
    pub inputs: Vec<Input>,
    /// For each of them, its rule.
    pub rules: Vec<usize>,
    /// What is not read.
    pub left_out: Vec<LeftOut>,
}

impl Recipe {
    /// Takes what the recipe wants of a corpus. `kind_of` finds out what a file holds whose name does not say it.
    ///
    /// # Errors
    /// When nothing is left, and what `kind_of` returns.
    pub(crate) fn choose(
        &self,
        corpus: Corpus,
        path: &std::path::Path,
        kind_of: impl Fn(&Input) -> Result<Option<Kind>>,
    ) -> Result<Chosen> {
        let mut chosen = Chosen { inputs: Vec::new(), rules: Vec::new(), left_out: corpus.left_out };
        for input in corpus.inputs {
            let mut found = None;
            for (number, rule) in self.mix.iter().enumerate() {
                if rule.takes(&input, &kind_of)? {
                    found = Some(number);
                    break;
                }
            }
            if let Some(rule) = found {
                chosen.inputs.push(input);
                chosen.rules.push(rule);
            } else {
                let reason = format!("not in the recipe {}", self.name);
                chosen.left_out.push(LeftOut { path: input.path, reason });
            }
        }
        chosen.left_out.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        if chosen.inputs.is_empty() {
            let seen: Vec<&str> = chosen.left_out.iter().map(|file| file.path.as_str()).take(5).collect();
            let problem =
                format!("the recipe {} takes no file of it; there are {}, say", self.name, seen.join(", "));
            return Err(Error::Corpus { path: path.into(), problem });
        }
        Ok(chosen)
    }
}

impl Rule {
    fn takes(&self, input: &Input, kind_of: impl Fn(&Input) -> Result<Option<Kind>>) -> Result<bool> {
        let named = self.source.matches(&input.name.source)
            && self.language.matches(&input.name.language)
            && self.path.matches(&input.path);
        if !named || self.kind.is_none() {
            return Ok(named);
        }
        let kind = match input.name.kind {
            Some(kind) => Some(kind),
            None => kind_of(input)?,
        };
        Ok(kind == self.kind)
    }
}
