//! A look at the corpus before the build: what each file is, how much it holds, what is odd about it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::config::{BuildConfig, OnError, Treatment};
use super::document::{DocumentEncoder, Encoded};
use super::exclude::{Exclude, Finding};
use super::monitor::{Monitor, Stage};
use crate::discover::{Input, Kind, LeftOut};
use crate::error::{InputError, Result};
use crate::plan::{Order, Packing};
use crate::read::{Batch, Position, Reading, parse_item, read_batches};
use crate::recipe::{Chosen, Mix, forecast};
use crate::render::Template;
use crate::tokenizer::{Tokenizer, TokenizerInfo};

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

/// How many problems of one file are told one by one.
const PROBLEMS_LISTED: usize = 3;

/// What a build is going to do.
#[derive(Debug, Clone, Serialize)]
pub struct BuildPlan {
    /// The files, in order.
    pub inputs: Vec<FilePlan>,
    /// Files of the corpus that are not read.
    pub left_out: Vec<LeftOut>,
    /// The tokenizer.
    pub tokenizer: TokenizerPlan,
    /// The template.
    pub template: Template,
    /// Tokens in a row.
    pub seq_len: u32,
    /// How documents share rows.
    pub packing: Packing,
    /// What becomes of documents longer than a row.
    pub overflow: &'static str,
    /// The order of the documents.
    pub order: Order,
    /// Its seed.
    pub seed: u64,
    /// Threads that encode.
    pub threads: usize,
    /// The name of the recipe, where one was asked for.
    pub recipe: Option<String>,
    /// What the mix will be; only where the corpus was read as a whole.
    pub mix: Option<MixPlan>,
    /// What to know about the plan as a whole.
    pub notes: Vec<Note>,
}

/// What is expected of each input, and where in the training order it will stand.
#[derive(Debug, Clone, Serialize)]
pub struct MixPlan {
    /// Documents expected of each input, repetitions included.
    pub documents: Vec<f64>,
    /// Tokens and shares.
    #[serde(flatten)]
    pub mix: Mix,
}

impl MixPlan {
    #[allow(clippy::cast_precision_loss)]
    fn of(files: &[FilePlan], chosen: &Chosen, config: &BuildConfig) -> Option<Self> {
        let sizes: Option<Vec<f64>> =
            files.iter().map(|file| file.tokens.map(|tokens| tokens as f64)).collect();
        let sizes = sizes?;
        let shares = config.recipe.shares(&chosen.inputs, &chosen.rules);
        let target = config.recipe.target(&chosen.inputs, &chosen.rules);
        let mix = forecast(config.order, &sizes, &shares, &target)?;
        let times = |(drawn, size): (&f64, &f64)| if *size > 0.0 { drawn / size } else { 0.0 };
        let times = mix.tokens.iter().zip(&sizes).map(times);
        let documents = files.iter().zip(times).map(|(file, times)| file.items as f64 * times).collect();
        Some(Self { documents, mix })
    }
}

/// One file of the plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilePlan {
    /// Path within the corpus.
    pub path: String,
    /// From its name.
    pub source: String,
    /// From its name.
    pub language: String,
    /// What its items are, from its content.
    pub kind: Option<Kind>,
    /// How many there are.
    pub items: u64,
    /// Whether they were counted, or estimated from the beginning of the file.
    pub items_exact: bool,
    /// Its size.
    pub bytes: u64,
    /// What is odd about it.
    pub notes: Vec<Note>,
    /// How many items were found that cannot be read.
    pub bad_items: u64,
    /// Tokens expected in rows if it is taken once, from samples all over the file; only where it was read as a whole.
    pub tokens: Option<u64>,
    /// How often the recipe takes it; at the most, under proportions.
    pub epochs: f64,
    #[serde(skip)]
    problems: Vec<InputError>,
}

/// Something out of the ordinary, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is.
    pub what: String,
    /// What becomes of it.
    pub outcome: String,
}

/// The tokenizer of a plan.
#[derive(Debug, Clone, Serialize)]
pub struct TokenizerPlan {
    /// Where it came from.
    pub label: String,
    /// Which encoder serves.
    pub encoder: &'static str,
    /// Why it is not the native one, if it is not.
    pub why_not_native: Option<String>,
    /// What the output records of it.
    #[serde(flatten)]
    pub info: TokenizerInfo,
}

impl BuildPlan {
    pub(super) fn first_problem(&self) -> Option<InputError> {
        self.inputs.iter().find_map(|input| input.problems.first().cloned())
    }
}

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

/// Encodes a few items of every batch, to know about how many tokens a file comes to.
struct TokenSample<'a> {
    documents: DocumentEncoder<'a>,
    rule: usize,
    /// Bytes of items, and of those that were encoded.
    bytes: u64,
    encoded_bytes: u64,
    encoded: Encoded,
}

/// Of each batch of [`BEGINNING`] bytes.
const SAMPLED_BYTES: u64 = 1 << 14;

impl<'a> TokenSample<'a> {
    fn new(tokenizer: &'a Tokenizer, treatments: &[Treatment], config: &BuildConfig, rule: usize) -> Self {
        let documents = DocumentEncoder::new(tokenizer, treatments, config);
        Self { documents, rule, bytes: 0, encoded_bytes: 0, encoded: Encoded::default() }
    }

    fn look_at(&mut self, batch: &Batch) {
        let lengths = batch.items().map(|item| item.bytes.map_or(0, |bytes| bytes.len() as u64));
        let bytes: u64 = lengths.sum();
        // Evenly over the batch, at least one.
        let every = usize::try_from(bytes / SAMPLED_BYTES).unwrap_or(usize::MAX).max(1);
        for raw in batch.items().step_by(every) {
            let Some(item) = raw.bytes.and_then(|bytes| parse_item(bytes).ok()) else { continue };
            self.encoded.tokens.clear();
            self.encoded.fragments.clear();
            if self
                .documents
                .encode(self.rule, raw.index, &item, Finding::default(), &mut self.encoded)
                .is_ok()
            {
                self.encoded_bytes += raw.bytes.map_or(0, |bytes| bytes.len() as u64);
            }
        }
        self.bytes += bytes;
    }

    /// Expected in rows.
    fn tokens(self) -> u64 {
        let whole = u128::from(self.encoded.entry.tokens_kept) * u128::from(self.bytes);
        whole
            .checked_div(u128::from(self.encoded_bytes))
            .and_then(|tokens| u64::try_from(tokens).ok())
            .unwrap_or(0)
    }
}

struct Findings<'a> {
    input: &'a Input,
    /// That of the first readable item: the others have to agree.
    kind: Option<Kind>,
    items: u64,
    bad: u64,
    problems: Vec<InputError>,
}

impl Findings<'_> {
    fn look_at(&mut self, batch: &Batch) {
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

    fn notes(&self, on_error: OnError) -> Vec<Note> {
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
pub(super) fn mixed_kinds(of_file: Kind, of_item: Kind) -> Option<String> {
    match (of_file, of_item) {
        (Kind::Qa, Kind::Text) => Some("a text in a file of dialogues".into()),
        (Kind::Text, Kind::Qa) => Some("a dialogue in a file of texts".into()),
        _ => None,
    }
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
