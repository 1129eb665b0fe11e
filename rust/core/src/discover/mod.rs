//! **discover**: which files make up the corpus, in an order that depends on their names alone.

mod input;
mod name;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;
use zip::ZipArchive;

use input::{Compression, Location};
pub use input::{Input, Layout};
pub use name::{FileName, Kind};

use crate::error::{Error, Result};
use crate::file::INDEX_SUFFIX;

/// The inputs of a build.
#[derive(Debug)]
pub struct Corpus {
    /// The files that are read, ordered by the bytes of their paths.
    pub inputs: Vec<Input>,
    /// The files that are not, each with the reason.
    pub left_out: Vec<LeftOut>,
}

/// A file in the corpus that is not part of the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Path within the corpus.
    pub path: String,
    /// Why it is not read.
    pub reason: String,
}

/// JSON files that stand beside a corpus or a tokenizer and hold no documents.
const NOT_DOCUMENTS: [&str; 10] = [
    "added_tokens.json",
    "chat_template.json",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "generation_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
];

/// Lists what `path` holds: a folder (recursively), a zip archive (read in place) or a single file.
///
/// # Errors
/// When the path cannot be read, or nothing in it is JSON.
pub fn discover(path: &Path) -> Result<Corpus> {
    let kind = std::fs::metadata(path).map_err(Error::io(path))?;
    let mut corpus = if kind.is_dir() {
        from_folder(path)?
    } else if !kind.is_file() {
        let problem = "neither a folder nor a regular file".into();
        return Err(Error::Corpus { path: path.into(), problem });
    } else if has_extension(path, "zip") {
        from_zip(path)?
    } else {
        from_file(path)?
    };
    // Bytes of the path, not the order of the folder or of a locale: the same on every machine.
    corpus.inputs.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    corpus.left_out.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    if corpus.inputs.is_empty() {
        let seen = corpus.left_out.iter().map(|file| format!("{} ({})", file.path, file.reason));
        let seen: Vec<String> = seen.take(5).collect();
        let mut problem = "nothing to build from: there is no .json or .jsonl file here \
                           (plain, .gz or .zst)"
            .to_owned();
        if !seen.is_empty() {
            problem = format!("{problem}; left out: {}", seen.join(", "));
        }
        return Err(Error::Corpus { path: path.into(), problem });
    }
    Ok(corpus)
}

impl Corpus {
    fn empty() -> Self {
        Self { inputs: Vec::new(), left_out: Vec::new() }
    }

    /// Takes the file in, or notes why not.
    fn add(&mut self, path: String, bytes: u64, location: Location) {
        let name = path.rsplit('/').next().unwrap_or(&path);
        let reason = if NOT_DOCUMENTS.contains(&name) {
            "configuration, no documents"
        } else if name.ends_with(INDEX_SUFFIX) {
            "an index of other files"
        } else if has_extension(Path::new(name), "zip") {
            "an archive inside the corpus; give it as the corpus itself"
        } else if let Some((stem, layout, compression)) = split_extensions(name) {
            let name = FileName::parse(stem);
            self.inputs.push(Input { path, name, layout, bytes, compression, location });
            return;
        } else {
            "not a .json or .jsonl file"
        };
        self.left_out.push(LeftOut { path, reason: reason.into() });
    }
}

fn from_folder(root: &Path) -> Result<Corpus> {
    let mut corpus = Corpus::empty();
    let walk = WalkDir::new(root).follow_links(true).min_depth(1).into_iter();
    for entry in walk.filter_entry(|entry| !is_hidden(&entry.file_name().to_string_lossy())) {
        let entry = entry.map_err(|error| Error::Corpus {
            path: error.path().unwrap_or(root).into(),
            problem: error.to_string(),
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
        let Some(parts) = parts else {
            return Err(Error::Corpus {
                path: entry.path().into(),
                problem: "the name of this file is not valid UTF-8; rename it".into(),
            });
        };
        if !entry.file_type().is_file() {
            corpus.left_out.push(LeftOut { path: parts.join("/"), reason: "no regular file".into() });
            continue;
        }
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        corpus.add(parts.join("/"), bytes, Location::File(entry.path().into()));
    }
    Ok(corpus)
}

fn from_file(path: &Path) -> Result<Corpus> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bytes = std::fs::metadata(path).map_err(Error::io(path))?.len();
    let mut corpus = Corpus::empty();
    corpus.add(name.to_owned(), bytes, Location::File(path.into()));
    Ok(corpus)
}

fn from_zip(path: &Path) -> Result<Corpus> {
    let file = File::open(path).map_err(Error::io(path))?;
    let broken = |error: zip::result::ZipError| Error::Corpus {
        path: path.into(),
        problem: format!("not a readable zip archive: {error}"),
    };
    let mut archive = ZipArchive::new(file).map_err(broken)?;
    if let Some(name) =
        name_that_stands_twice(path, archive.central_directory_start()).map_err(Error::io(path))?
    {
        let problem = format!("{name} stands in the archive twice; which one is meant?");
        return Err(Error::Corpus { path: path.into(), problem });
    }
    let mut corpus = Corpus::empty();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(broken)?;
        let name = member.name().to_owned();
        if member.is_file() && !name.split('/').any(is_hidden) {
            let (archive, bytes) = (PathBuf::from(path), member.size());
            corpus.add(name, bytes, Location::ZipMember { archive, index });
        }
    }
    Ok(corpus)
}

/// The library keeps the last of several entries with one name and does not tell, so the list of entries
/// is walked once more (APPNOTE.TXT 4.3.12: a header of 46 bytes, then name, extra field and comment).
fn name_that_stands_twice(path: &Path, directory_start: u64) -> std::io::Result<Option<String>> {
    let mut file = BufReader::new(File::open(path)?);
    file.seek(SeekFrom::Start(directory_start))?;
    let mut seen = HashSet::new();
    let mut header = [0; 46];
    while file.read_exact(&mut header).is_ok() && header.starts_with(b"PK\x01\x02") {
        let length = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let mut name = vec![0; length(28).into()];
        file.read_exact(&mut name)?;
        file.seek_relative((length(30)).into())?;
        file.seek_relative((length(32)).into())?;
        if let Some(name) = seen.replace(name) {
            return Ok(Some(String::from_utf8_lossy(&name).into_owned()));
        }
    }
    Ok(None)
}

fn is_hidden(name: &str) -> bool {
    (name.starts_with('.') && name.len() > 1) || name == "__MACOSX"
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn split_extensions(name: &str) -> Option<(&str, Layout, Compression)> {
    let strip = |name: &'_ str, extension: &str| -> Option<usize> {
        let at = name.len().checked_sub(extension.len())?;
        let tail = name.get(at..)?;
        (tail.eq_ignore_ascii_case(extension) && at > 0).then_some(at)
    };
    let (name, compression) = if let Some(at) = strip(name, ".gz") {
        (&name[..at], Compression::Gzip)
    } else if let Some(at) = strip(name, ".zst") {
        (&name[..at], Compression::Zstd)
    } else {
        (name, Compression::None)
    };
    for (extension, layout) in
        [(".json", Layout::Array), (".jsonl", Layout::Lines), (".ndjson", Layout::Lines)]
    {
        if let Some(at) = strip(name, extension) {
            return Some((&name[..at], layout, compression));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn paths(corpus: &Corpus) -> Vec<&str> {
        corpus.inputs.iter().map(|input| input.path.as_str()).collect()
    }

    #[test]
    fn a_folder_and_its_zip_list_the_same() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let zip_path = folder.path().join("corpus.zip");
        let root = folder.path().join("corpus");
        let mut writer = zip::ZipWriter::new(File::create(&zip_path)?);
        for name in
            ["b/x_en_qa.json", "a.jsonl.gz", "B/y_zh.json.ZST", "z.txt", ".hidden/a.json", "tokenizer.json"]
        {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
            std::fs::write(&path, b"[]")?;
            writer.start_file(name, zip::write::SimpleFileOptions::default())?;
            writer.write_all(b"[]")?;
        }
        writer.finish()?;
        for corpus in [discover(&root)?, discover(&zip_path)?] {
            assert_eq!(paths(&corpus), ["B/y_zh.json.ZST", "a.jsonl.gz", "b/x_en_qa.json"]);
            let left_out: Vec<_> = corpus.left_out.iter().map(|file| file.path.as_str()).collect();
            assert_eq!(left_out, ["tokenizer.json", "z.txt"]);
        }
        Ok(())
    }

    #[test]
    fn an_archive_in_a_folder_is_named_in_the_error() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("ApolloCorpus.zip"), b"")?;
        let error = discover(folder.path()).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("give it as the corpus itself")));
        Ok(())
    }
}
