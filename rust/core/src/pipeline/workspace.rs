//! The folder beside the output in which a build works, so that nothing half-made is ever seen.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::discover::Input;
use crate::error::{Error, Result};

/// Name of the lock in the folder.
const LOCK: &str = "lock";

/// A folder that one build has for itself; it goes away with the build, however that ends.
pub(super) struct Workspace {
    folder: PathBuf,
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

fn folder_of(out: &Path) -> &Path {
    match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Workspace {
    /// Makes the folder, or takes over what a killed build has left.
    pub(super) fn open(out: &Path) -> Result<Self> {
        let name = out.file_name().ok_or_else(|| {
            Error::Config(format!("{} has no file name; name a file to write", out.display()))
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".building");
        let folder = folder_of(out).join(hidden);
        let lock_path = folder.join(LOCK);
        loop {
            fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            let options = File::options().write(true).create(true).truncate(false).open(&lock_path);
            let lock = match options {
                Err(error) if error.kind() == ErrorKind::NotFound => continue, // just removed by another
                result => result.map_err(Error::io(&lock_path))?,
            };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::OutputBusy(out.into())),
                Err(TryLockError::Error(error)) => return Err(Error::io(&lock_path)(error)),
            }
            // Another build may have removed the folder between opening and locking.
            let inode = |metadata: std::io::Result<fs::Metadata>| metadata.map(|m| m.ino()).ok();
            if inode(lock.metadata()).is_some() && inode(lock.metadata()) == inode(fs::metadata(&lock_path)) {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Moves a finished file to its place in one step.
    /// Replaces what is there only if `force`.
    pub(super) fn publish(&self, finished: &str, out: &Path, force: bool) -> Result<()> {
        let finished = self.file(finished);
        let flags = if force { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        match rustix::fs::renameat_with(CWD, &finished, CWD, out, flags) {
            Ok(()) => {}
            Err(Errno::EXIST) if !force => return Err(Error::OutputExists(out.into())),
            // Some file systems cannot rename without replacing; what was there was looked at before.
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&finished, out).map_err(Error::io(out))?,
            Err(error) => return Err(Error::io(out)(error.into())),
        }
        // The new name should reach the disk too; where folders cannot be flushed, nothing can be done.
        let _ = File::open(folder_of(out)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // The lock goes last, and the folder only if it is empty: from then on another build may use it.
        // Nothing can be done about a failure here; the next build takes the folder over.
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name() != LOCK {
                let _ = fs::remove_file(entry.path());
            }
        }
        let _ = fs::remove_file(self.folder.join(LOCK));
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_build_at_a_time_and_nothing_left() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("out.bin");
        let first = Workspace::open(&out)?;
        assert!(matches!(Workspace::open(&out), Err(Error::OutputBusy(_))));
        fs::write(first.file("output"), b"new")?;
        first.publish("output", &out, false)?;
        std::fs::write(first.file("output"), b"newer")?;
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
        drop(Workspace::open(&out)?);
        Ok(())
    }
}
