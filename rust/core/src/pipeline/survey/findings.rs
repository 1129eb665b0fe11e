//! What is odd about a file.

use super::Note;
use crate::discover::{Input, Kind};
use crate::error::InputError;
use crate::pipeline::config::OnError;
use crate::read::{Batch, parse_item};

/// How many problems of one file are told one by one.
const PROBLEMS_LISTED: usize = 3;

/// What a look at a file has found.
pub(super) struct Findings<'a> {
    pub(super) input: &'a Input,
    /// That of the first readable item: the others have to agree.
    pub(super) kind: Option<Kind>,
    pub(super) items: u64,
    pub(super) bad: u64,
    pub(super) problems: Vec<InputError>,
}

impl Findings<'_> {
    pub(super) fn look_at(&mut self, batch: &Batch) {
        for item in batch.items() {
            self.items += 1;
            let problem = match item.bytes.map(parse_item) {
                None => Some((0, batch.too_long())),
                Some(Ok(item)) => {
                    let kind = *self.kind.get_or_insert(item.kind());
                    mixed_kinds(kind, item.kind()).map(|problem| (0, problem))
                }
                Some(Err(problem)) => Some((problem.at, problem.problem)),
            };
            if let Some((at, problem)) = problem {
                self.bad += 1;
                if self.problems.len() < PROBLEMS_LISTED {
                    self.problems.push(InputError {
                        file: self.input.path.clone(),
                        item: Some(item.index),
                        byte: Some(item.byte + at as u64),
                        problem,
                    });
                }
            }
        }
    }

    pub(super) fn notes(&self, on_error: OnError) -> Vec<Note> {
        let note = |what: String, outcome: &str| Note { what, outcome: outcome.into() };
        let mut notes = Vec::new();
        if let (Some(named), Some(found)) = (self.input.name.kind, self.kind)
            && named != found
        {
            let what = format!("the name says {}, the content is {}", named.as_str(), found.as_str());
            notes.push(note(what, &format!("built as {}", found.as_str())));
        }
        if self.items == 0 && self.problems.is_empty() {
            notes.push(note("it holds no items".into(), "adds nothing"));
        }
        let outcome = match on_error {
            OnError::Stop => "stops the build",
            OnError::Skip => "left out",
        };
        notes.extend(self.problems.iter().map(|problem| {
            let at = |name: &str, n: Option<u64>| n.map_or(String::new(), |n| format!("{name} {n}: "));
            let place = format!("{}{}", at("item", problem.item), at("byte", problem.byte));
            note(format!("{place}{}", problem.problem), outcome)
        }));
        let more = self.bad - self.problems.len() as u64;
        if more > 0 {
            notes.push(note(format!("{more} more items cannot be read"), outcome));
        }
        notes
    }
}

/// One file is one kind of document: a text among dialogues is more likely a mistake than meant.
pub(in crate::pipeline) fn mixed_kinds(of_file: Kind, of_item: Kind) -> Option<String> {
    match (of_file, of_item) {
        (Kind::Qa, Kind::Text) => Some("a text in a file of dialogues".into()),
        (Kind::Text, Kind::Qa) => Some("a dialogue in a file of texts".into()),
        _ => None,
    }
}
