//! What a mix will look like along the training order, before anything is encoded.

use serde::Serialize;

use crate::plan::{Order, Share, Target};

/// Steps of a forecast.
const STEPS: usize = 20;

/// Expected tokens, and where in the order they will stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mix {
    /// Tokens expected of each input, repetitions included.
    pub tokens: Vec<f64>,
    /// For equal parts of the training order, the share of each input in its tokens.
    pub steps: Vec<Vec<f64>>,
}

/// What is expected of inputs that come to so many tokens each, if taken once. `None` where it cannot be said: a list
/// of its own decides, or the target cannot be met.
#[must_use]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn forecast(order: Order, sizes: &[f64], shares: &[Share], target: &Target) -> Option<Mix> {
    let drawn: Vec<f64> = match order {
        Order::File => return None,
        Order::Proportions => proportions(sizes, shares, target)?,
        _ => sizes.iter().zip(shares).map(|(size, share)| size * share.epochs).collect(),
    };
    let tokens = within_limits(drawn, shares);
    let all: f64 = tokens.iter().sum();
    let none = vec![0.0; tokens.len()];
    // How much of each input stands before a place of the order.
    let before = |place: f64| -> Vec<f64> {
        match order {
            Order::Corpus | Order::File => {
                let take = |left: &mut f64, tokens: &f64| {
                    let taken = left.min(*tokens);
                    *left -= taken;
                    Some(taken)
                };
                tokens.iter().scan(place, take).collect()
            }
            Order::Shuffle | Order::Proportions => {
                tokens.iter().map(|tokens| tokens * place / all.max(1.0)).collect()
            }
            Order::Priority => by_priority(&tokens, shares, place),
        }
    };
    let ends: Vec<Vec<f64>> = (1..=STEPS).map(|step| before(all * step as f64 / STEPS as f64)).collect();
    let step = |step: usize| {
        let start = step.checked_sub(1).map_or(&none, |before| &ends[before]);
        let part: Vec<f64> =
            ends[step].iter().zip(start).map(|(end, start)| (end - start).max(0.0)).collect();
        let sum: f64 = part.iter().sum();
        part.iter().map(|tokens| if sum > 0.0 { tokens / sum } else { 0.0 }).collect()
    };
    Some(Mix { steps: (0..STEPS).map(step).collect(), tokens })
}

/// Documents wait exponentially long, so after a time `t` the part `1 - exp(-priority * t)` of them has come; the time
/// at which so many tokens have come is found by halving.
fn by_priority(tokens: &[f64], shares: &[Share], place: f64) -> Vec<f64> {
    let come = |time: f64| -> Vec<f64> {
        let part = |(tokens, share): (&f64, &Share)| tokens * (1.0 - (-share.priority * time).exp());
        tokens.iter().zip(shares).map(part).collect()
    };
    let (mut early, mut late) = (0.0, 1e12);
    for _ in 0..200 {
        let middle = if late > 2.0 * early && early > 0.0 {
            f64::sqrt(early * late)
        } else {
            f64::midpoint(early, late)
        };
        if come(middle).iter().sum::<f64>() < place { early = middle } else { late = middle }
    }
    come(late)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn proportions(sizes: &[f64], shares: &[Share], target: &Target) -> Option<Vec<f64>> {
    let groups = target.weights.len();
    let (mut of_group, mut epochs) = (vec![0.0; groups], vec![0.0f64; groups]);
    for (size, share) in sizes.iter().zip(shares) {
        of_group[share.group] += size;
        epochs[share.group] = epochs[share.group].max(share.epochs);
    }
    let whole: Vec<u64> = of_group.iter().map(|size| *size as u64).collect();
    let most: Vec<f64> = of_group.iter().zip(&epochs).map(|(size, epochs)| size * epochs).collect();
    let wanted = target.tokens_by_group(&whole, &most).ok()?;
    let part = |(size, share): (&f64, &Share)| wanted[share.group] * size / of_group[share.group].max(1.0);
    Some(sizes.iter().zip(shares).map(part).collect())
}

/// Limits of tokens; those of documents are known only when documents are.
#[allow(clippy::cast_precision_loss)]
fn within_limits(mut tokens: Vec<f64>, shares: &[Share]) -> Vec<f64> {
    for (number, limit) in shares.iter().filter_map(|share| share.limit) {
        let limited = |share: &Share| share.limit.is_some_and(|(other, _)| other == number);
        let sum: f64 = tokens.iter().zip(shares).filter(|(_, share)| limited(share)).map(|(t, _)| t).sum();
        if sum > limit.tokens as f64 {
            for (tokens, _) in tokens.iter_mut().zip(shares).filter(|(_, share)| limited(share)) {
                *tokens *= limit.tokens as f64 / sum;
            }
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(priority: f64, epochs: f64) -> Share {
        Share { epochs, priority, group: 0, limit: None }
    }

    #[test]
    fn every_step_is_a_whole_and_the_steps_are_everything() {
        let target = Target { tokens: None, temperature: 1.0, weights: vec![None] };
        let shares = [share(16.0, 1.0), share(2.0, 2.0), share(1.0, 0.0)];
        let sizes = [1e6, 4e5, 7e5];
        for order in [Order::Corpus, Order::Shuffle, Order::Priority, Order::Proportions] {
            let Some(mix) = forecast(order, &sizes, &shares, &target) else { panic!("none") };
            let all: f64 = mix.tokens.iter().sum();
            for step in &mix.steps {
                assert!((step.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{order:?}: {step:?}");
            }
            for (input, tokens) in mix.tokens.iter().enumerate() {
                let found: f64 = mix.steps.iter().map(|step| step[input] * all / 20.0).sum();
                assert!((found - tokens).abs() < 1e-3 * all, "{order:?}: {found} {tokens}");
            }
        }
        let Some(mix) = forecast(Order::Priority, &sizes, &shares, &target) else { panic!("none") };
        assert!(mix.steps[0][0] > 0.9 && mix.steps[19][0] < 0.01, "{:?}", mix.steps);
        assert_eq!(forecast(Order::File, &sizes, &shares, &target), None);
    }
}
