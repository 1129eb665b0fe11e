//! Lists of documents: what was drawn, in order, as JSON Lines `["path", item]`; a document that comes again is
//! listed again.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::discover::Input;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::plan::Draws;

/// What a list says is looked up here.
pub(super) trait Documents {
    /// The fragments of an input, in the order of its items.
    fn documents(&self, input: usize) -> Range<u32>;
    /// The input of a fragment.
    fn input_of(&self, fragment: u32) -> usize;
    /// The item of a fragment.
    fn item(&self, fragment: u32) -> u64;
    /// Whether it is the first of its document.
    fn begins(&self, fragment: u32) -> bool;
}

/// Bytes written at a time, about.
const BUFFER: usize = 1 << 20;

/// Hash of a list's content, in hexadecimal.
pub(super) fn hash(path: &Path) -> Result<String> {
    let mut hasher = Xxh3::new();
    each_line(path, |_, line| {
        hasher.update(line);
        Ok(())
    })?;
    Ok(format!("{:032x}", hasher.digest128()))
}

/// Reads a list; items of it that are not documents (bad ones, or without anything that counts) are passed over.
pub(super) fn read(path: &Path, inputs: &[Input], documents: &impl Documents) -> Result<(Draws, String)> {
    let numbers: HashMap<&str, usize> =
        inputs.iter().enumerate().map(|(number, input)| (input.path.as_str(), number)).collect();
    let (mut fragments, mut epochs) = (Vec::new(), Vec::new());
    let mut times: HashMap<u32, u32> = HashMap::new();
    let mut hasher = Xxh3::new();
    each_line(path, |number, line| {
        hasher.update(line);
        let fail = |problem: &str| Error::Config(format!("{}, line {number}: {problem}", path.display()));
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let (name, item): (String, u64) = serde_json::from_slice(line)
            .map_err(|_| fail("not a document; a line is [\"path within the corpus\", item]"))?;
        let input = numbers.get(name.as_str());
        let input = *input.ok_or_else(|| fail(&format!("the build reads no file {name}")))?;
        let Range { start, end } = documents.documents(input);
        let (mut first, mut last) = (start, end);
        while first < last {
            let middle = u32::midpoint(first, last);
            if documents.item(middle) < item { first = middle + 1 } else { last = middle }
        }
        let found = (first..end).take_while(|fragment| documents.item(*fragment) == item);
        let before = fragments.len();
        fragments.extend(found);
        if fragments.len() > before {
            let times = times.entry(first).or_default();
            epochs.resize(fragments.len(), *times);
            *times += 1;
        }
        Ok(())
    })?;
    Ok((Draws::new(fragments, epochs), format!("{:032x}", hasher.digest128())))
}

fn each_line(path: &Path, mut each: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    let mut file = BufReader::new(std::fs::File::open(path).map_err(Error::io(path))?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(Error::io(path))? == 0 {
            break;
        }
        each(number, &line)?;
    }
    Ok(())
}

/// Writes what was drawn.
pub(super) fn write(
    disk: &Disk,
    path: &Path,
    inputs: &[Input],
    documents: &impl Documents,
    draws: &Draws,
) -> Result<()> {
    let names: Vec<String> =
        inputs.iter().map(|input| serde_json::Value::from(input.path.as_str()).to_string()).collect();
    let file = disk.create(path)?;
    let (mut text, mut written) = (String::new(), 0);
    for &fragment in draws.fragments().iter().filter(|fragment| documents.begins(**fragment)) {
        let input = documents.input_of(fragment);
        // Writing to a string does not fail.
        let _ = writeln!(text, "[{}, {}]", names[input], documents.item(fragment));
        if text.len() >= BUFFER {
            file.write_at(text.as_bytes(), written)?;
            written += text.len() as u64;
            text.clear();
        }
    }
    file.write_at(text.as_bytes(), written)?;
    file.sync()
}
