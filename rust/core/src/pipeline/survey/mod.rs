//! A look at the corpus before the build: what each file is, how much it holds, what is odd about it.

mod findings;
mod plan;
mod sample;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::config::{BuildConfig, OnError};
use super::exclude::Exclude;
use super::monitor::{Monitor, Stage};
use crate::discover::{Input, Kind};
use crate::error::Result;
use crate::read::{Position, Reading, parse_item, read_batches};
use crate::recipe::Chosen;
use crate::render::Template;
use crate::tokenizer::Tokenizer;
use findings::Findings;
pub(super) use findings::mixed_kinds;
pub use plan::{BuildPlan, FilePlan, MixPlan, Note, TokenizerPlan};
use sample::TokenSample;

/// How much of each file a survey reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The first items, about [`BEGINNING`] bytes: quick for any corpus.
    Beginning,
    /// All, and every item is checked.
    Whole,
}

const BEGINNING: usize = 1 << 19;

/// Said of damage that ends a file.
pub(super) const REST_LEFT_OUT: &str = "; the rest of the file is left out";

pub(super) fn survey(
    chosen: &Chosen,
    tokenizer: &Tokenizer,
    config: &BuildConfig,
    exclude: &Exclude,
    depth: Depth,
    monitor: &Monitor,
) -> Result<BuildPlan> {
    let inputs = &chosen.inputs;
    let treatments = config.treatments()?;
    monitor.start(Stage::Survey, inputs.iter().map(|input| input.bytes).sum());
    let next = AtomicUsize::new(0);
    let plans = Mutex::new(vec![None; inputs.len()]);
    let failure = Mutex::new(None);
    let worker = || -> Result<()> {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(input) = inputs.get(at) else { return Ok(()) };
            let plan = monitor.check().and_then(|()| {
                let samples = (depth == Depth::Whole)
                    .then(|| TokenSample::new(tokenizer, &treatments, config, chosen.rules[at]));
                survey_file(input, config, samples, monitor)
            });
            match plan {
                Ok(plan) => plans.lock().unwrap_or_else(PoisonError::into_inner)[at] = Some(plan),
                // Files are taken in order, so all before this one are looked at too, by whatever thread: the first
                // error in the order of the corpus is known when all threads are done.
                Err(error) => {
                    next.store(inputs.len(), Ordering::Relaxed);
                    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                    if failure.as_ref().is_none_or(|(other, _)| at < *other) {
                        *failure = Some((at, error));
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..config.threads()).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(super::encode::join)
    })?;
    if let Some((_, error)) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let plans = plans.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut files: Vec<FilePlan> = plans.into_iter().flatten().collect();
    for (file, rule) in files.iter_mut().zip(&chosen.rules) {
        file.epochs = treatments[*rule].epochs;
    }
    let mut notes = template_notes(&config.template, tokenizer);
    notes.extend(config.recipe.mix.iter().enumerate().filter(|(rule, _)| !chosen.rules.contains(rule)).map(
        |(rule, _)| Note {
            what: format!("rule {} of the recipe matches no file", rule + 1),
            outcome: "adds nothing".into(),
        },
    ));
    notes.extend(exclude.notes(config));
    Ok(BuildPlan {
        mix: MixPlan::of(&files, chosen, config),
        recipe: config.recipe.given().map(|recipe| recipe.name.clone()),
        inputs: files,
        left_out: chosen.left_out.clone(),
        tokenizer: TokenizerPlan {
            label: tokenizer.source.label.clone(),
            encoder: tokenizer.encoder.name(),
            why_not_native: tokenizer.why_not_native.clone(),
            info: tokenizer.info.clone(),
        },
        template: config.template.clone(),
        seq_len: config.seq_len,
        packing: config.packing,
        overflow: config.overflow.as_str(),
        order: config.order,
        seed: config.seed,
        threads: config.threads(),
        notes,
    })
}

fn survey_file(
    input: &Input,
    config: &BuildConfig,
    mut sample: Option<TokenSample>,
    monitor: &Monitor,
) -> Result<FilePlan> {
    let on_error = config.on_error;
    let reading = Reading {
        batch_bytes: BEGINNING,
        max_item_bytes: config.max_item_bytes(),
        from: Position::default(),
    };
    let mut findings = Findings { input, kind: None, items: 0, bad: 0, problems: Vec::new() };
    let mut seen = 0; // stored bytes
    let result = read_batches(input, &reading, |batch| {
        monitor.check()?;
        monitor.advance(batch.stored - seen);
        seen = batch.stored;
        findings.look_at(&batch);
        if let Some(sample) = &mut sample {
            sample.look_at(&batch);
        }
        Ok(sample.is_some() || findings.kind.is_none())
    });
    let summary = result?;
    let whole = summary.is_some();
    if let Some(mut damage) = summary.and_then(|summary| summary.damage) {
        if on_error == OnError::Skip {
            damage.problem.push_str(REST_LEFT_OUT);
        }
        findings.bad += 1;
        findings.problems.push(damage);
    }
    // Estimated by stored bytes: exact enough for a plan, and free.
    let items = match (whole, seen) {
        (true, _) | (_, 0) => findings.items,
        (false, stored) => {
            let whole = u128::from(findings.items) * u128::from(input.bytes.max(stored));
            u64::try_from(whole / u128::from(stored)).unwrap_or(u64::MAX)
        }
    };
    monitor.advance(input.bytes.saturating_sub(seen));
    Ok(FilePlan {
        path: input.path.clone(),
        source: input.name.source.clone(),
        language: input.name.language.clone(),
        kind: findings.kind,
        items,
        items_exact: whole,
        bytes: input.bytes,
        notes: findings.notes(on_error),
        bad_items: findings.bad,
        problems: findings.problems,
        tokens: sample.map(TokenSample::tokens),
        epochs: 1.0,
    })
}

/// What a file holds, from its first readable item.
pub(super) fn kind_of(input: &Input, config: &BuildConfig) -> Result<Option<Kind>> {
    let reading =
        Reading { batch_bytes: 1 << 12, max_item_bytes: config.max_item_bytes(), from: Position::default() };
    let mut kind = None;
    read_batches(input, &reading, |batch| {
        let mut items = batch.items().filter_map(|item| parse_item(item.bytes?).ok().map(|item| item.kind()));
        kind = items.next();
        Ok(kind.is_none())
    })?;
    Ok(kind)
}

fn template_notes(template: &Template, tokenizer: &Tokenizer) -> Vec<Note> {
    let mut notes = Vec::new();
    if let Some(end) = &template.end
        && tokenizer.special_id(end).is_none()
    {
        notes.push(Note {
            what: format!("template {}: the tokenizer has no token {end}", template.name),
            outcome: "answers end with end-of-text instead".into(),
        });
    }
    notes
}
