//! Shares of the tokens that are kept all along the order.

use super::Share;
use super::documents::Documents;
use super::sampler::Key;
use crate::error::{Error, Result};
use crate::plan::portable::{exp, ln};

/// What [`Order::Proportions`] aims at.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Tokens in all; by default as many as there are without repeating anything more often than allowed.
    pub tokens: Option<u64>,
    /// Shares that are not given go with the tokens there are, to the power of one over this.
    pub temperature: f64,
    /// For each group, its share, relative to the others; either all have one or none has.
    pub weights: Vec<Option<f64>>,
}

impl Target {
    /// How many tokens to take of groups of these sizes, of which there may be so many at the most.
    ///
    /// # Errors
    /// When there are not enough.
    #[allow(clippy::cast_precision_loss)] // exact below 2^53 tokens
    pub fn tokens_by_group(&self, sizes: &[u64], most: &[f64]) -> Result<Vec<f64>> {
        let weight = |(group, size): (usize, &u64)| match self.weights.get(group).copied().flatten() {
            _ if *size == 0 => 0.0,
            Some(weight) => weight,
            None => exp(ln(*size as f64) / self.temperature),
        };
        let weights: Vec<f64> = sizes.iter().enumerate().map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let wanted = weights.iter().zip(most).filter(|(weight, _)| **weight > 0.0);
        let possible = wanted.map(|(weight, most)| most * sum / weight).fold(f64::INFINITY, f64::min);
        let possible = if possible.is_finite() { possible } else { 0.0 };
        let tokens = match self.tokens {
            Some(tokens) if tokens as f64 > possible => {
                return Err(Error::Config(format!(
                    "{tokens} tokens in these proportions are more than there are: {possible:.0} without \
                     repeating a group more often than its epochs; raise epochs in the recipe, or lower tokens"
                )));
            }
            tokens => tokens.map_or(possible, |tokens| tokens as f64),
        };
        Ok(weights.iter().map(|weight| if sum > 0.0 { tokens * weight / sum } else { 0.0 }).collect())
    }
}

/// Takes of each group what its share of the tokens is, and gives each document the place in the order that its
/// place in the group is: the share is kept all along.
#[allow(clippy::cast_precision_loss)] // exact below 2^53 tokens
pub(super) fn keep(
    groups: &mut [Vec<Key>],
    shares: &[Share],
    target: &Target,
    documents: &Documents,
    lengths: &[u32],
) -> Result<()> {
    let length = |key: &Key| u64::from(lengths[key.fragment as usize]);
    let once = |key: &&Key| key.epoch == 0;
    let sizes: Vec<u64> = groups.iter().map(|keys| keys.iter().filter(once).map(length).sum()).collect();
    let most: Vec<f64> =
        sizes.iter().enumerate().map(|(group, size)| *size as f64 * epochs_of(group, shares)).collect();
    let wanted = target.tokens_by_group(&sizes, &most)?;
    for (keys, wanted) in groups.iter_mut().zip(wanted) {
        // Whole repetitions come one after the other.
        keys.sort_unstable_by_key(|key| (key.epoch, key.value, key.fragment));
        let (mut taken, mut tokens) = (0, 0.0);
        while taken < keys.len() && tokens < wanted {
            let end = taken + documents.run(keys[taken..].iter().map(|key| (key.fragment, key.epoch)));
            let document = keys[taken..end].iter().map(length).sum::<u64>() as f64;
            for key in &mut keys[taken..end] {
                key.value = ((tokens + document / 2.0) / wanted).to_bits(); // positive: sorted as numbers are
            }
            tokens += document;
            taken = end;
        }
        keys.truncate(taken);
    }
    Ok(())
}

/// How often a group may come.
fn epochs_of(group: usize, shares: &[Share]) -> f64 {
    let epochs = shares.iter().filter(|share| share.group == group).map(|share| share.epochs);
    epochs.fold(0.0, f64::max)
}
