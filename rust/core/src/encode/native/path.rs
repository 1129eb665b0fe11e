//! The way of a text to the pieces that are encoded: which of the file's steps need a copy of the
//! text, and which are done on the fly.

use super::build::visible_space;
use super::config::{Known, Plan, Stage, Step};
use super::json::PrependScheme;

/// When a space (or what stands for it) is put before a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Never,
    /// Always, unless the text is empty.
    Always,
    /// If it does not begin with one.
    Missing,
    /// If it does not begin with one and is the beginning of the original text.
    MissingAtFirst,
}

/// Where the pre-tokenizer cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Splitting {
    Nowhere,
    /// Before every visible space.
    BeforeSpace,
    One(Known),
    Several(Vec<Stage>),
}

/// The way of one tokenizer.
pub(super) struct Path {
    /// Steps that are carried out on a copy, if they change anything.
    pub(super) steps: Vec<Step>,
    pub(super) prefix: Prefix,
    /// What a space is read as; the text keeps the space.
    pub(super) space: Option<char>,
    pub(super) splitting: Splitting,
}

impl Path {
    /// `matches_normalized`: added tokens are looked for in the normalized text, so all steps come
    /// before that.
    pub(super) fn new(plan: &Plan, matches_normalized: bool) -> Self {
        let mut path = Self {
            steps: plan.steps.clone(),
            prefix: Prefix::Never,
            space: None,
            splitting: match plan.stages.as_slice() {
                [] => Splitting::Nowhere,
                [Stage::Known(known)] => Splitting::One(*known),
                several => Splitting::Several(several.to_vec()),
            },
        };
        if plan.byte_level {
            if plan.prefix_space {
                path.prefix = Prefix::Missing;
            }
        } else if let Some(metaspace) = plan.metaspace {
            path.space = Some(metaspace.replacement);
            path.prefix = match metaspace.prepend {
                PrependScheme::Always => Prefix::Missing,
                PrependScheme::First => Prefix::MissingAtFirst,
                PrependScheme::Never => Prefix::Never,
            };
            if metaspace.split {
                path.splitting = Splitting::BeforeSpace;
            }
        } else if plan.stages.is_empty() && !matches_normalized {
            path.fuse_spaces();
        }
        path
    }

    /// Whether a text is cut as it is, so that a piece of it may stand for itself.
    pub(super) fn leaves_text(&self) -> bool {
        self.steps.is_empty() && self.prefix == Prefix::Never && self.splitting == Splitting::Nowhere
    }

    /// `Replace " "` by `▁` at the end, with a `Prepend` around it, needs no copy of the text.
    fn fuse_spaces(&mut self) {
        let prepends = |step: Option<&Step>| matches!(step, Some(Step::Prepend(text)) if text == "▁");
        let count = self.steps.len();
        let prefix_last =
            count >= 2 && prepends(self.steps.last()) && visible_space(&self.steps[..count - 1]);
        if prefix_last {
            self.steps.pop();
            self.prefix = Prefix::Always;
        }
        if !visible_space(&self.steps) {
            return;
        }
        self.steps.pop();
        self.space = Some('▁');
        if !prefix_last && prepends(self.steps.last()) {
            self.steps.pop();
            self.prefix = Prefix::Always;
        }
    }
}
