//! The index of a set of shards: JSON beside them.
//!
//! ```text
//! {
//!   "metadata": {…},                 as in the file that the same build writes without shards
//!   "shards": [{"file": "out-00000-of-00002.bin", "rows": …, "bytes": …, "root_hash": "…"}, …],
//!   "index_hash": "…"                XXH3-128 of all bytes before the line it stands in
//! }
//! ```
//!
//! The hash covers the root hashes of the shards, so it stands for every bit of the set.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::FORMAT_VERSION;
use super::metadata::Metadata;
use crate::error::{Error, Result};

/// How the name of an index ends.
pub const INDEX_SUFFIX: &str = ".index.json";

/// The most shards of a set: their numbers have five digits.
pub const MAX_SHARDS: usize = 99_999;

/// An index: what the set says about itself, and its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) metadata: Metadata,
    pub(crate) shards: Vec<ShardFile>,
    /// Of the index itself; known once it is written.
    #[serde(skip)]
    pub(crate) hash: String,
}

/// A shard, as the index names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardFile {
    /// Its name in the folder of the index.
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) root_hash: String,
}

/// Whether a path is that of an index.
pub(crate) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(INDEX_SUFFIX.as_bytes()))
}

/// The name of the index for an output of this name: `out.bin` → `out.bin.index.json`.
pub(crate) fn index_name(out: &str) -> String {
    format!("{out}{INDEX_SUFFIX}")
}

/// The name of a shard of an output of this name: `out.bin` → `out-00000-of-00012.bin`.
pub(crate) fn shard_name(out: &str, number: usize, count: usize) -> String {
    let (stem, extension) = match out.rfind('.') {
        Some(dot) if dot > 0 => out.split_at(dot),
        _ => (out, ""),
    };
    format!("{stem}-{number:05}-of-{count:05}{extension}")
}

impl Index {
    /// Its bytes.
    pub(crate) fn render(&self) -> Result<Vec<u8>> {
        let mut content = serde_json::to_vec_pretty(self).map_err(|e| Error::Internal(e.to_string()))?;
        content.truncate(content.len() - END.len());
        content.extend_from_slice(b",\n");
        let last = last_line(&hash_of(&content));
        content.extend_from_slice(last.as_bytes());
        Ok(content)
    }

    /// Reads an index, and checks that it is whole and agrees with itself.
    ///
    /// # Errors
    /// When it cannot be read, is no index, or is damaged.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let fail = |problem: &str| Error::Format { path: path.into(), problem: problem.into() };
        if !std::fs::metadata(path).map_err(Error::io(path))?.is_file() {
            return Err(fail("not an index of apollo-pack: it is no regular file"));
        }
        let mut content = std::fs::read(path).map_err(Error::io(path))?;
        let start = content.len().saturating_sub(LAST_LINE_BYTES);
        let last = content.split_off(start);
        let hash = hash_of(&content);
        if last != last_line(&hash).as_bytes() {
            return Err(fail("damaged, or not an index of apollo-pack: its hash is not that of its content"));
        }
        content.truncate(content.len().saturating_sub(",\n".len()));
        content.extend_from_slice(END);
        let mut index: Self = serde_json::from_slice(&content)
            .map_err(|error| fail(&format!("damaged: it is not understood: {error}")))?;
        index.hash = hash;
        if index.metadata.format_version != FORMAT_VERSION {
            return Err(fail("of another version of the format"));
        }
        let rows = index.shards.iter().try_fold(0u64, |sum, shard| sum.checked_add(shard.rows));
        let plain = |shard: &ShardFile| {
            Path::new(&shard.file).components().eq([Component::Normal(shard.file.as_ref())])
        };
        if index.shards.is_empty() || index.shards.len() > MAX_SHARDS {
            return Err(fail("damaged: it has no shards, or too many"));
        }
        if rows != Some(index.metadata.totals.rows) {
            return Err(fail("damaged: its shards have more or fewer rows than the set"));
        }
        if !index.shards.iter().all(plain) {
            return Err(fail("damaged: a shard has to stand in the same folder"));
        }
        Ok(index)
    }
}

const END: &[u8] = b"\n}";
const LAST_LINE_BYTES: usize = r#"  "index_hash": """#.len() + 32 + "\n}\n".len();

fn hash_of(content: &[u8]) -> String {
    format!("{:032x}", xxh3_128(content))
}

fn last_line(hash: &str) -> String {
    format!("  \"index_hash\": \"{hash}\"\n}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(shard_name("out.bin", 0, 12), "out-00000-of-00012.bin");
        assert_eq!(shard_name("a.b.bin", 11, 12), "a.b-00011-of-00012.bin");
        assert_eq!(shard_name("out", 1, 2), "out-00001-of-00002");
        assert_eq!(shard_name(".out", 1, 2), ".out-00001-of-00002");
        assert!(is_index(Path::new("/a/out.bin.index.json")) && !is_index(Path::new("/a/out.bin")));
    }
}
