//! The one place with `unsafe`: a file mapped into memory for reading.
//!
//! Why a map: a training loop reads rows at random at the speed of memory; positioned reads cost a system
//! call and a copy each.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// A whole file, read-only.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    /// Maps a file.
    ///
    /// Output files are never changed in place: a build writes another file and renames it, which leaves
    /// existing maps as they are. Whoever truncates the file by other means while it is mapped makes later
    /// reads fail with SIGBUS; its length is checked against its header after mapping.
    pub(super) fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the map is private to this type and only ever read as bytes, for which every bit pattern
        // is valid. Nothing in this project writes to a published file (see above); a foreign writer could
        // change bytes under us, which yields other bytes, never a dangling reference.
        unsafe { Mmap::map(file) }.map(Self)
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_outlives_the_replacement_of_its_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (path, next) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, b"old")?;
        let map = Map::open(&File::open(&path)?)?;
        std::fs::write(&next, b"new content")?;
        std::fs::rename(&next, &path)?;
        assert_eq!(&*map, b"old");
        Ok(())
    }
}
