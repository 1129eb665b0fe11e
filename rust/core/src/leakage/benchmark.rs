//! Reads the questions of benchmarks.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::discover::{Input, discover};
use crate::error::{Error, InputError, Result};
use crate::read::{Item, MAX_ITEM_BYTES, Position, Reading, parse_item, read_batches};

/// Keys of an object that hold its question; the first that is there counts.
const QUESTION_KEYS: [&str; 6] = ["question", "prompt", "problem", "query", "instruction", "input"];

/// A file of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchmarkFile {
    /// Path within the benchmark.
    pub path: String,
    /// Items in it.
    pub items: u64,
    /// XXH3-128 of its (uncompressed) content, in hexadecimal.
    pub xxh3_128: String,
}

/// Hands on each question, with the index of its file and of its item there.
pub(super) fn read_benchmarks<P: AsRef<Path>>(
    paths: &[P],
    mut each: impl FnMut(&str, u32, u64) -> Result<()>,
) -> Result<Vec<BenchmarkFile>> {
    let mut files = Vec::new();
    for path in paths {
        for input in discover(path.as_ref())?.inputs {
            let number = u32::try_from(files.len()).map_err(|_| Error::Internal("too many files".into()))?;
            let file = read_file(&input, |question, item| each(question, number, item));
            files.push(file.map_err(|error| match error {
                Error::Input(problem) => Error::Benchmark(problem),
                other => other,
            })?);
        }
    }
    Ok(files)
}

fn read_file(input: &Input, mut each: impl FnMut(&str, u64) -> Result<()>) -> Result<BenchmarkFile> {
    let reading =
        Reading { batch_bytes: 256 * 1024, max_item_bytes: MAX_ITEM_BYTES, from: Position::default() };
    let summary = read_batches(input, &reading, |batch| {
        for item in batch.items() {
            let problem = |(at, problem)| {
                let byte = Some(item.byte + at as u64);
                Error::Input(InputError { file: input.path.clone(), item: Some(item.index), byte, problem })
            };
            let bytes = item.bytes.ok_or_else(|| problem((0, batch.too_long())))?;
            each(&question_of(bytes).map_err(problem)?, item.index)?;
        }
        Ok(true)
    })?;
    let Some(summary) = summary else { return Err(Error::Interrupted) };
    if let Some(damage) = summary.damage {
        return Err(Error::Input(damage));
    }
    let (items, hash) = (summary.end.items, summary.end.hash);
    Ok(BenchmarkFile { path: input.path.clone(), items, xxh3_128: format!("{hash:032x}") })
}

/// The question of an object, a text itself, the first turn of a dialogue.
fn question_of(bytes: &[u8]) -> std::result::Result<String, (usize, String)> {
    if let Ok(Value::Object(mut object)) = serde_json::from_slice(bytes) {
        for key in QUESTION_KEYS {
            if let Some(Value::String(question)) = object.remove(key) {
                return Ok(question);
            }
        }
    }
    match parse_item(bytes) {
        Ok(Item::Text(text)) => Ok(text.into_owned()),
        Ok(Item::Dialogue(mut turns)) if !turns.is_empty() => Ok(turns.swap_remove(0).into_owned()),
        Ok(Item::Dialogue(_)) => Ok(String::new()),
        Err(problem) => {
            let keys = QUESTION_KEYS.join(", ");
            let wanted =
                format!("no question: wanted is a text, a dialogue, or an object with one of {keys}");
            Err((problem.at, format!("{wanted} ({})", problem.problem)))
        }
    }
}
