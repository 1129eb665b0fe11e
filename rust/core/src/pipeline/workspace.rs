//! The folders in which a build works, so that nothing half-made is ever seen.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use super::checkpoint::CHECKPOINT;
use crate::discover::Input;
use crate::disk::{Disk, folder_of, free_bytes};
use crate::error::{Error, Result};
use crate::file::is_index;
use crate::spool::{FRAGMENTS, TOKENS};

/// Name of the lock in a folder.
const LOCK: &str = "lock";

/// Name of the index of a set that is being replaced: it says which shards have to go.
pub(super) const REPLACED: &str = "replaced";

/// What a build has for itself: a folder beside its output, and one for the spool, which may be the same. They go
/// away with the build, unless it can be continued.
pub(super) struct Workspace {
    output: Folder,
    spool: Option<Folder>,
}

/// What a build leaves in its folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    /// What says which shards are to be removed.
    Traces,
    /// All that the next one goes on from.
    All,
}

impl Keep {
    fn holds(self, name: &OsStr) -> bool {
        match self {
            Self::Nothing => false,
            Self::Traces => name == REPLACED || is_index(Path::new(name)),
            Self::All => true,
        }
    }
}

/// A folder that one build has for itself.
struct Folder {
    path: PathBuf,
    disk: Disk,
    /// What in it is left for the next build: all that was there, until more is known.
    keep: Mutex<Keep>,
    /// Held for as long as the folder is used; the system lets go of it even if the process is killed.
    _lock: File,
}

/// Fails when publishing the output would replace a file of the corpus.
pub(super) fn keep_apart(out: &Path, inputs: &[Input]) -> Result<()> {
    let Ok(existing) = fs::canonicalize(out) else { return Ok(()) };
    if inputs.iter().any(|input| fs::canonicalize(input.stored_in()).is_ok_and(|path| path == existing)) {
        return Err(Error::Config(format!(
            "{} is a file of the corpus; name another to write",
            out.display()
        )));
    }
    Ok(())
}

/// Fails early when the output cannot be published later.
pub(super) fn check_output(out: &Path, force: bool) -> Result<()> {
    match fs::symlink_metadata(out) {
        Ok(found) if !found.is_file() && !found.is_symlink() => {
            let kind = if found.is_dir() { "a folder" } else { "no regular file" };
            Err(Error::Config(format!("{} is {kind}; name a file to write", out.display())))
        }
        Ok(_) if !force => Err(Error::OutputExists(out.into())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::metadata(folder_of(out)).map(|_| ()).map_err(Error::io(folder_of(out)))
        }
        Err(error) => Err(Error::io(out)(error)),
    }
}

impl Workspace {
    /// Makes the folders, or takes over what a build that was stopped has left.
    pub(super) fn open(disk: &Disk, out: &Path, temp_dir: Option<&Path>) -> Result<Self> {
        let name = out.file_name().ok_or_else(|| {
            Error::Config(format!("{} has no file name; name a file to write", out.display()))
        })?;
        let output = Folder::open(disk, folder_of(out).join(hidden(name, "")), out)?;
        let spool = temp_dir.map(|temp_dir| {
            // Outputs of one name in different folders may share a folder for their spools.
            let place = std::path::absolute(out).map_err(Error::io(out))?;
            let place = format!("-{:016x}", xxh3_64(place.as_os_str().as_bytes()));
            fs::metadata(temp_dir).map_err(Error::io(temp_dir))?;
            Folder::open(disk, temp_dir.join(hidden(name, &place)), out)
        });
        Ok(Self { output, spool: spool.transpose()? })
    }

    /// A file of the output, until it is whole.
    pub(super) fn output(&self, name: impl AsRef<Path>) -> PathBuf {
        self.output.path.join(name)
    }

    /// Where the spool and its checkpoint are.
    pub(super) fn spool_folder(&self) -> &Path {
        &self.spool.as_ref().unwrap_or(&self.output).path
    }

    /// What is left here is of no use.
    pub(super) fn forget_checkpoint(&self) {
        self.output.disk.remove(&self.spool_folder().join(CHECKPOINT));
    }

    /// Nothing in it is of any use any more.
    pub(super) fn discard(&self) {
        self.leave(Keep::Nothing);
    }

    /// Leaves what there is for the build that goes on from here, if there is a checkpoint to go on from.
    pub(super) fn keep(&self) {
        let continuable = self.spool_folder().join(CHECKPOINT).exists();
        self.leave(if continuable { Keep::All } else { Keep::Traces });
    }

    fn leave(&self, keep: Keep) {
        for folder in std::iter::once(&self.output).chain(&self.spool) {
            *folder.keep.lock().unwrap_or_else(PoisonError::into_inner) = keep;
        }
    }

    /// Removes files of the output that a build before has left, but for those of these names.
    pub(super) fn clear_output(&self, but: &[&str]) {
        let others = [CHECKPOINT, TOKENS, FRAGMENTS, REPLACED];
        self.output.clear(|name| others.iter().chain(but).any(|kept| name == *kept));
    }

    /// Fails when there is not even room for the least that a corpus of so many bytes is likely to come to: a
    /// quarter of it in the spool and a quarter in the output (sixteen bytes of JSON a token).
    pub(super) fn check_room(&self, corpus_bytes: u64) -> Result<()> {
        let least = corpus_bytes / 4;
        let device = |folder: &Path| fs::metadata(folder).map(|found| found.dev()).ok();
        let (output, spool) = (self.output.path.as_path(), self.spool_folder());
        let needs = if output == spool {
            vec![(output, 2 * least, held(output))]
        } else if device(output) == device(spool) {
            vec![(output, 2 * least, held(output) + held(spool))]
        } else {
            vec![(spool, least, held(spool)), (output, least, held(output))]
        };
        for (folder, needed, held) in needs {
            // What a build before has left is used, or removed.
            let needed = needed.saturating_sub(held);
            if let Some(free) = free_bytes(folder).filter(|free| *free < needed) {
                return Err(Error::NoRoom { folder: folder_of(folder).into(), needed, free });
            }
        }
        Ok(())
    }

    /// Moves a finished file to its place in one step, which makes it the output. Replaces what is there only if
    /// `force`.
    pub(super) fn publish(&self, finished: impl AsRef<Path>, out: &Path, force: bool) -> Result<()> {
        self.output.disk.rename(&self.output(finished), out, force)?;
        self.output.disk.sync_names(folder_of(out));
        Ok(())
    }
}

fn hidden(name: &OsStr, place: &str) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(place);
    hidden.push(".building");
    hidden
}

impl Folder {
    fn open(disk: &Disk, path: PathBuf, out: &Path) -> Result<Self> {
        let lock_path = path.join(LOCK);
        loop {
            disk.create_folder(&path)?;
            let lock = match disk.open_lock(&lock_path) {
                // Just removed by another.
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                lock => lock?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::OutputBusy(out.into())),
                Err(TryLockError::Error(error)) => return Err(Error::io(&lock_path)(error)),
            }
            // Another build may have removed the folder between opening and locking.
            let inode = |metadata: std::io::Result<fs::Metadata>| metadata.map(|m| m.ino()).ok();
            if inode(lock.metadata()).is_some() && inode(lock.metadata()) == inode(fs::metadata(&lock_path)) {
                return Ok(Self { path, disk: disk.clone(), keep: Mutex::new(Keep::All), _lock: lock });
            }
        }
    }
}

impl Folder {
    /// Removes the files in it, but for the lock and those that are kept.
    fn clear(&self, keeps: impl Fn(&OsStr) -> bool) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name() != LOCK && !keeps(&entry.file_name()) {
                self.disk.remove(&entry.path());
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let keep = *self.keep.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without the spool a checkpoint is of no use, so it goes first. The lock goes last, and the folder only
        // if it is empty: from then on another build may use it. Nothing can be done about a failure here; the
        // next build takes the folder over.
        if !keep.holds(CHECKPOINT.as_ref()) {
            self.disk.remove(&self.path.join(CHECKPOINT));
        }
        self.clear(|name| name == CHECKPOINT || keep.holds(name));
        self.disk.remove(&self.path.join(LOCK));
        self.disk.remove_folder(&self.path);
    }
}

/// How much of the disk the files in a folder take.
fn held(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|found| found.blocks() * 512).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_build_at_a_time_and_nothing_left() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (out, disk) = (folder.path().join("out.bin"), Disk::default());
        let first = Workspace::open(&disk, &out, None)?;
        assert!(matches!(Workspace::open(&disk, &out, None), Err(Error::OutputBusy(_))));
        fs::write(first.output("output"), b"new")?;
        first.publish("output", &out, false)?;
        std::fs::write(first.output("output"), b"newer")?;
        assert!(matches!(first.publish("output", &out, false), Err(Error::OutputExists(_))));
        assert_eq!(std::fs::read(&out)?, b"new");
        first.publish("output", &out, true)?;
        assert_eq!(std::fs::read(&out)?, b"newer");
        drop(first);
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        assert!(matches!(check_output(&out, false), Err(Error::OutputExists(_))));
        assert!(check_output(&out, true).is_ok());
        assert!(check_output(folder.path(), true).is_err());
        assert!(check_output(&folder.path().join("no/out.bin"), true).is_err());
        drop(Workspace::open(&disk, &out, None)?);
        Ok(())
    }
}
