//! The one error type of the core: what went wrong, where, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Shorthand used all over the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by what the user can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: a missing file, no permission, a full disk.
    #[error("{}: {}", path.display(), describe_io(source))]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The corpus holds something that cannot be read as documents.
    #[error("{0}. Correct it, or leave such items out with on_error=skip (--on-error skip)")]
    Input(InputError),
    /// A benchmark holds something that is no question.
    #[error("benchmark {0}. Correct it, or leave that file out")]
    Benchmark(InputError),
    /// The corpus as a whole cannot be used.
    #[error("{}: {problem}", path.display())]
    Corpus {
        /// The folder, file or archive.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The tokenizer cannot be read, or does not say which token ends a text.
    #[error("tokenizer {tokenizer}: {problem}")]
    Tokenizer {
        /// Where it came from, as the user named it.
        tokenizer: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A setting of the build is out of its range or contradicts another.
    #[error("{0}")]
    Config(String),
    /// The output is there already.
    #[error("{} exists already; give force=True (--force) to replace it", .0.display())]
    OutputExists(PathBuf),
    /// Another build is writing the same output.
    #[error("another build is writing {} at this moment; wait for it, or choose another output", .0.display())]
    OutputBusy(PathBuf),
    /// A build of this output was stopped, and this one is not its continuation.
    #[error(
        "a build of {} that was stopped cannot be continued: {problem}; give force=True (--force) to begin anew",
        out.display()
    )]
    Unfinished {
        /// The output.
        out: PathBuf,
        /// What is not as it was.
        problem: String,
    },
    /// There is not even as much room on the disk as a build needs at the least.
    #[error("{}: {needed} bytes are needed for the build, {free} are free; make room, or name another folder with temp_dir (--temp-dir)", folder.display())]
    NoRoom {
        /// Where.
        folder: PathBuf,
        /// What the build needs at the least.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// The file is not an apollo-pack file, or it is damaged.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        problem: String,
    },
    /// A check of our own results failed: nothing was published.
    #[error(
        "internal check failed, nothing was written: {0}. This is a defect of apollo-pack; please report it"
    )]
    Internal(String),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An I/O error with its path.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }
}

fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::StorageFull => "the disk is full; free some space and build again".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        _ => error.to_string(),
    }
}

/// A place in the corpus, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputError {
    /// Path within the corpus.
    pub file: String,
    /// Index of the item in its file, from 0.
    pub item: Option<u64>,
    /// Byte in the (uncompressed) file, from 0.
    pub byte: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(item) = self.item {
            write!(f, ", item {item}")?;
        }
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        write!(f, ": {}", self.problem)
    }
}
