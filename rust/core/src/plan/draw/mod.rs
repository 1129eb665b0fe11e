//! What is drawn, how often, and in which order.

mod documents;
mod limits;
mod proportions;
mod sampler;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use limits::Limit;
pub use proportions::Target;
pub use sampler::Sampler;

/// The order in which documents come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As in the corpus: files by path, items as they stand; repetitions after all of it.
    Corpus,
    /// Shuffled by the seed.
    Shuffle,
    /// Drawn without replacement, each document with a chance proportional to its priority among those that are
    /// left: what has a higher priority comes sooner, the rest is mixed in more and more.
    Priority,
    /// Every group has its share of the tokens, and keeps it from the first row to the last.
    Proportions,
    /// As a file lists them.
    File,
}

impl Order {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Shuffle => "shuffle",
            Self::Priority => "priority",
            Self::Proportions => "proportions",
            Self::File => "file",
        }
    }
}

/// What one input has a right to.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// How often each document comes; at the most, under [`Order::Proportions`].
    pub epochs: f64,
    /// Its weight under [`Order::Priority`].
    pub priority: f64,
    /// The group whose tokens are counted together under [`Order::Proportions`].
    pub group: usize,
    /// Inputs with one limit share its number and value.
    pub limit: Option<(usize, Limit)>,
}

/// How often an item is drawn when its file is to come `epochs` times: `floor(items * epochs)` draws in all, those of
/// the fraction spread evenly over the file.
#[must_use]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and whole below 2^53
pub fn times(item: u64, epochs: f64) -> u32 {
    let before = |items: u64| (items as f64 * epochs).floor() as u64;
    u32::try_from(before(item + 1) - before(item)).unwrap_or(u32::MAX)
}

/// What is drawn, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draws {
    fragments: Vec<u32>,
    /// Empty where nothing is repeated.
    epochs: Vec<u32>,
}

impl Draws {
    /// A list of fragments and epochs.
    #[must_use]
    pub fn new(fragments: Vec<u32>, mut epochs: Vec<u32>) -> Self {
        if epochs.iter().all(|epoch| *epoch == 0) {
            epochs = Vec::new();
        }
        Self { fragments, epochs }
    }

    /// How many pieces are drawn.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fragments.len()
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fragments.is_empty()
    }

    /// The fragment at a place.
    #[must_use]
    pub fn fragment(&self, place: u32) -> u32 {
        self.fragments[place as usize]
    }

    /// Which repetition of it this is, from 0.
    #[must_use]
    pub fn epoch(&self, place: u32) -> u32 {
        self.epochs.get(place as usize).copied().unwrap_or(0)
    }

    /// The fragments, in order.
    #[must_use]
    pub fn fragments(&self) -> &[u32] {
        &self.fragments
    }
}
