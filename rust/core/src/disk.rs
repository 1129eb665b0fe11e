//! **disk**: every file that a build makes, changes, moves or removes goes through here.
//!
//! One place to say which file an error is about, and one seam for tests: there any single call can be made to
//! fail, or to be the last before the process dies (`disk/faults.rs`).

#[cfg(test)]
pub(crate) mod faults;

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FallocateFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// The file systems that a build writes to.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// A file that is open for reading and writing.
#[derive(Debug)]
pub struct DiskFile {
    path: PathBuf,
    file: File,
    disk: Disk,
}

impl Disk {
    /// All work on the disk passes here.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    fn act<T>(&self, path: &Path, act: impl FnOnce() -> io::Result<T>) -> Result<T> {
        #[cfg(test)]
        self.faults.pass().map_err(Error::io(path))?;
        act().map_err(Error::io(path))
    }

    /// As [`Disk::act`], where nothing on the disk changes.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    fn look<T>(&self, path: &Path, look: impl FnOnce() -> io::Result<T>) -> Result<T> {
        #[cfg(test)]
        if self.faults.is_harmless() {
            return look().map_err(Error::io(path));
        }
        self.act(path, look)
    }

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// As all here: when the system refuses.
    pub fn create_folder(&self, path: &Path) -> Result<()> {
        self.act(path, || fs::create_dir_all(path))
    }

    /// Makes an empty file, in the place of another if there is one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(&self, path: &Path) -> Result<DiskFile> {
        self.open_with(path, File::options().read(true).write(true).create(true).truncate(true))
    }

    /// Opens a file that is there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(&self, path: &Path) -> Result<DiskFile> {
        self.open_with(path, File::options().read(true).write(true))
    }

    /// Opens a file to lock it, and makes it if it is not there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open_lock(&self, path: &Path) -> Result<File> {
        self.act(path, || File::options().write(true).create(true).truncate(false).open(path))
    }

    /// Reads a whole file; `None` if it is not there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.look(path, || match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some),
        })
    }

    fn open_with(&self, path: &Path, options: &fs::OpenOptions) -> Result<DiskFile> {
        let file = self.act(path, || options.open(path))?;
        Ok(DiskFile { path: path.into(), file, disk: self.clone() })
    }

    /// Gives a file another name, in one step. Takes the place of what has that name already only if `replace`.
    ///
    /// # Errors
    /// [`Error::OutputExists`], or when the system refuses.
    pub fn rename(&self, from: &Path, to: &Path, replace: bool) -> Result<()> {
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let exists = self.act(to, || match rustix::fs::renameat_with(CWD, from, CWD, to, flags) {
            Ok(()) => Ok(false),
            Err(Errno::EXIST) if !replace => Ok(true),
            // Some file systems cannot rename without replacing; what was there was looked at before.
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to).map(|()| false),
            Err(error) => Err(error.into()),
        })?;
        if exists { Err(Error::OutputExists(to.into())) } else { Ok(()) }
    }

    /// Sees to it that the names in a folder, as they are now, are on the disk. (Where folders cannot be flushed,
    /// nothing can be done.)
    pub fn sync_names(&self, folder: &Path) {
        let _ = self.act(folder, || File::open(folder)?.sync_all());
    }

    /// Removes a file, if it is there and can be: what is removed is of no use any more.
    pub fn remove(&self, path: &Path) {
        let _ = self.act(path, || fs::remove_file(path));
    }

    /// Removes a folder, if it is empty.
    pub fn remove_folder(&self, path: &Path) {
        let _ = self.act(path, || fs::remove_dir(path));
    }
}

impl DiskFile {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn length(&self) -> Result<u64> {
        self.disk.look(&self.path, || Ok(self.file.metadata()?.len()))
    }

    /// Writes all of `bytes` at a place.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub fn write_at(&self, bytes: &[u8], at: u64) -> Result<()> {
        #[cfg(test)]
        if let Some(torn) = self.disk.faults.tear(bytes) {
            let _ = self.file.write_all_at(torn, at);
        }
        self.disk.act(&self.path, || self.file.write_all_at(bytes, at))?;
        #[cfg(test)]
        self.disk.faults.count_written(bytes.len());
        Ok(())
    }

    /// Fills `bytes` from a place.
    ///
    /// # Errors
    /// When the file ends before, or cannot be read.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        self.disk.look(&self.path, || self.file.read_exact_at(bytes, at))
    }

    /// Fills both from a place, where one follows the other.
    ///
    /// # Errors
    /// When the file ends before, or cannot be read.
    pub fn read_both_at(&self, first: &mut [u8], second: &mut [u8], at: u64) -> Result<()> {
        let wanted = first.len() + second.len();
        let read = self.disk.look(&self.path, || {
            let mut parts = [IoSliceMut::new(first), IoSliceMut::new(second)];
            match rustix::io::preadv(&self.file, &mut parts, at) {
                Err(Errno::INTR) => Ok(0),
                result => Ok(result?),
            }
        })?;
        if read == wanted {
            return Ok(());
        }
        // Rarely the system gives less than there is.
        self.read_at(first, at)?;
        self.read_at(second, at + first.len() as u64)
    }

    /// Cuts the file off, or makes it longer.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_length(&self, bytes: u64) -> Result<()> {
        self.disk.act(&self.path, || self.file.set_len(bytes))
    }

    /// Makes the file this long, with room on the disk for all of it.
    ///
    /// # Errors
    /// When there is no room.
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        self.disk.act(&self.path, || {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
                // Some file systems cannot reserve; writing will tell there.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.file.set_len(bytes),
                result => Ok(result?),
            }
        })
    }

    /// Returns when all that was written is on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> Result<()> {
        self.disk.act(&self.path, || self.file.sync_all())
    }
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// How many bytes may still be written in a folder; `None` where the system does not say.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}
