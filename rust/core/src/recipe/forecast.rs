//! What a mix will look like along the training order, before anything is encoded.

use serde::Serialize;

use crate::plan::{Limit, Order, Share, Target};

/// Steps of a forecast.
const STEPS: usize = 20;

/// What an input comes to if it is taken once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Its documents.
    pub documents: f64,
    /// Their tokens.
    pub tokens: f64,
}

/// Expected tokens, and where in the order they will stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mix {
    /// Tokens expected of each input, repetitions included.
    pub tokens: Vec<f64>,
    /// For equal parts of the training order, the share of each input in its tokens.
    pub steps: Vec<Vec<f64>>,
}

/// What is expected of inputs of such sizes. `None` where it cannot be said: a list of its own decides, or the target
/// cannot be met.
#[must_use]
pub fn forecast(order: Order, sizes: &[Size], shares: &[Share], target: &Target) -> Option<Mix> {
    let drawn: Vec<f64> = match order {
        Order::File => return None,
        Order::Corpus => {
            let runs = in_corpus_order(sizes, shares);
            return Some(Mix::along(sizes.len(), |part| before(&runs, sizes.len(), part)));
        }
        Order::Proportions => proportions(sizes, shares, target)?,
        Order::Shuffle | Order::Priority => {
            sizes.iter().zip(shares).map(|(size, share)| size.tokens * share.epochs).collect()
        }
    };
    // Without priorities it is a draw in which all have the same.
    let rate = |share: &Share| if order == Order::Priority { share.priority } else { 1.0 };
    let come = |time: f64| {
        let part = |(drawn, share): (&f64, &Share)| drawn * (1.0 - (-rate(share) * time).exp());
        within_limits(drawn.iter().zip(shares).map(part).collect(), sizes, shares)
    };
    let all: f64 = come(f64::INFINITY).iter().sum();
    Some(Mix::along(sizes.len(), |part| {
        if part < 1.0 {
            come(time_of(all * part, |time| come(time).iter().sum()))
        } else {
            come(f64::INFINITY)
        }
    }))
}

impl Mix {
    /// `before` tells how much of each input stands before a part of the order, from 0 to 1.
    #[allow(clippy::cast_precision_loss)] // a few steps
    fn along(inputs: usize, before: impl Fn(f64) -> Vec<f64>) -> Self {
        let (mut steps, mut start) = (Vec::with_capacity(STEPS), vec![0.0; inputs]);
        for step in 1..=STEPS {
            let end = before(step as f64 / STEPS as f64);
            let part: Vec<f64> = end.iter().zip(&start).map(|(end, start)| (end - start).max(0.0)).collect();
            let sum: f64 = part.iter().sum();
            steps.push(part.iter().map(|tokens| if sum > 0.0 { tokens / sum } else { 0.0 }).collect());
            start = end;
        }
        Self { tokens: start, steps }
    }
}

/// Documents wait exponentially long, so after a time `t` the part `1 - exp(-priority * t)` of them has come; the time
/// at which so many tokens have come is found by halving.
fn time_of(tokens: f64, come: impl Fn(f64) -> f64) -> f64 {
    let (mut early, mut late) = (0.0, 1e12);
    for _ in 0..200 {
        let middle = if late > 2.0 * early && early > 0.0 {
            f64::sqrt(early * late)
        } else {
            f64::midpoint(early, late)
        };
        if come(middle) < tokens { early = middle } else { late = middle }
    }
    late
}

/// What comes of inputs until their limits are reached; inputs with one limit come evenly.
#[allow(clippy::cast_precision_loss)] // an estimate
fn within_limits(mut tokens: Vec<f64>, sizes: &[Size], shares: &[Share]) -> Vec<f64> {
    for (number, limit) in limits(shares) {
        let limited = |share: &Share| share.limit.is_some_and(|(other, _)| other == number);
        let (mut documents, mut sum) = (0.0, 0.0);
        for ((tokens, size), _) in tokens.iter().zip(sizes).zip(shares).filter(|(_, share)| limited(share)) {
            documents += if size.tokens > 0.0 { size.documents * tokens / size.tokens } else { 0.0 };
            sum += tokens;
        }
        let kept = (limit.documents as f64 / documents).min(limit.tokens as f64 / sum);
        if kept < 1.0 {
            let of_limit = tokens.iter_mut().zip(shares).filter(|(_, share)| limited(share));
            of_limit.for_each(|(tokens, _)| *tokens *= kept);
        }
    }
    tokens
}

/// The limits, each once.
fn limits(shares: &[Share]) -> Vec<(usize, Limit)> {
    let mut limits: Vec<_> = shares.iter().filter_map(|share| share.limit).collect();
    limits.sort_by_key(|(number, _)| *number);
    limits.dedup_by_key(|(number, _)| *number);
    limits
}

/// The inputs one after the other, and again as often as they come: tokens, until a limit is reached.
#[allow(clippy::cast_precision_loss)] // an estimate
fn in_corpus_order(sizes: &[Size], shares: &[Share]) -> Vec<(usize, f64)> {
    let room = |(number, limit): (usize, Limit)| (number, (limit.documents as f64, limit.tokens as f64));
    let mut left: std::collections::BTreeMap<_, _> = limits(shares).into_iter().map(room).collect();
    let most = shares.iter().fold(0.0, |most: f64, share| most.max(share.epochs));
    let mut runs = Vec::new();
    let mut done = 0.0;
    while done < most {
        for (input, (size, share)) in sizes.iter().zip(shares).enumerate() {
            let mut part = (share.epochs - done).clamp(0.0, 1.0);
            if let Some((documents, tokens)) = share.limit.and_then(|(number, _)| left.get_mut(&number)) {
                part = part.min(*documents / size.documents.max(1.0)).min(*tokens / size.tokens.max(1.0));
                *documents -= size.documents * part;
                *tokens -= size.tokens * part;
            }
            runs.push((input, size.tokens * part));
        }
        done += 1.0;
    }
    runs
}

/// How much of each input stands in such a part of the runs.
fn before(runs: &[(usize, f64)], inputs: usize, part: f64) -> Vec<f64> {
    let mut left = part * runs.iter().map(|(_, tokens)| tokens).sum::<f64>();
    let mut sums = vec![0.0; inputs];
    for (input, tokens) in runs {
        let taken = left.min(*tokens);
        sums[*input] += taken;
        left -= taken;
    }
    sums
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and whole tokens are meant
fn proportions(sizes: &[Size], shares: &[Share], target: &Target) -> Option<Vec<f64>> {
    let groups = target.weights.len();
    let (mut of_group, mut epochs) = (vec![0.0; groups], vec![0.0f64; groups]);
    for (size, share) in sizes.iter().zip(shares) {
        of_group[share.group] += size.tokens;
        epochs[share.group] = epochs[share.group].max(share.epochs);
    }
    let whole: Vec<u64> = of_group.iter().map(|size| *size as u64).collect();
    let most: Vec<f64> = of_group.iter().zip(&epochs).map(|(size, epochs)| size * epochs).collect();
    let wanted = target.tokens_by_group(&whole, &most).ok()?;
    let part =
        |(size, share): (&Size, &Share)| wanted[share.group] * size.tokens / of_group[share.group].max(1.0);
    Some(sizes.iter().zip(shares).map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(priority: f64, epochs: f64) -> Share {
        Share { epochs, priority, group: 0, limit: None }
    }

    fn sizes(tokens: &[f64]) -> Vec<Size> {
        tokens.iter().map(|tokens| Size { documents: tokens / 100.0, tokens: *tokens }).collect()
    }

    fn target() -> Target {
        Target { tokens: None, temperature: 1.0, weights: vec![None] }
    }

    fn forecast_of(order: Order, tokens: &[f64], shares: &[Share]) -> Mix {
        let Some(mix) = forecast(order, &sizes(tokens), shares, &target()) else { panic!("none") };
        mix
    }

    #[test]
    fn every_step_is_a_whole_and_the_steps_are_everything() {
        let shares = [share(16.0, 1.0), share(2.0, 2.0), share(1.0, 0.0)];
        let tokens = [1e6, 4e5, 7e5];
        for order in [Order::Corpus, Order::Shuffle, Order::Priority, Order::Proportions] {
            let mix = forecast_of(order, &tokens, &shares);
            let all: f64 = mix.tokens.iter().sum();
            for step in &mix.steps {
                assert!((step.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{order:?}: {step:?}");
            }
            for (input, tokens) in mix.tokens.iter().enumerate() {
                let found: f64 = mix.steps.iter().map(|step| step[input] * all / 20.0).sum();
                assert!((found - tokens).abs() < 1e-3 * all, "{order:?}: {found} {tokens}");
            }
        }
        let mix = forecast_of(Order::Priority, &tokens, &shares);
        assert!(mix.steps[0][0] > 0.9 && mix.steps[19][0] < 0.01, "{:?}", mix.steps);
        assert_eq!(forecast(Order::File, &sizes(&tokens), &shares, &target()), None);
    }

    #[test]
    fn a_limit_ends_what_it_limits() {
        let of =
            |documents, tokens| Share { limit: Some((3, Limit { documents, tokens })), ..share(1.0, 1.0) };
        for limit in [of(5_000, u64::MAX), of(u64::MAX, 500_000)] {
            let shares = [limit.clone(), limit, share(1.0, 1.0)];
            let about = |mix: &Mix, expected: [f64; 3]| {
                mix.tokens.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1.0)
            };
            for order in [Order::Shuffle, Order::Priority] {
                let mix = forecast_of(order, &[1e6, 1e6, 1e6], &shares);
                assert!(about(&mix, [250_000.0, 250_000.0, 1e6]), "{order:?}: {:?}", mix.tokens);
                // A quarter of them has come when it is reached, with a quarter of the other.
                assert!((mix.steps[9][0] - 1.0 / 3.0).abs() < 0.01, "{:?}", mix.steps);
                assert!(mix.steps[10][0] < 0.01, "{:?}", mix.steps);
            }
            let mix = forecast_of(Order::Corpus, &[1e6, 1e6, 1e6], &shares);
            assert!(about(&mix, [500_000.0, 0.0, 1e6]), "{:?}", mix.tokens);
        }
    }

    #[test]
    fn in_the_order_of_the_corpus_repetitions_come_after_all_of_it() {
        let mix = forecast_of(Order::Corpus, &[1e6, 1e6], &[share(1.0, 3.0), share(1.0, 2.0)]);
        assert_eq!(mix.tokens, [3e6, 2e6]);
        let first: Vec<u8> = mix.steps.iter().map(|step| u8::from(step[0] > 0.5)).collect();
        let runs: Vec<_> = first.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
        assert_eq!(runs, [(1, 4), (0, 4), (1, 4), (0, 4), (1, 4)]);
    }
}
