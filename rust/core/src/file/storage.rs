//! Where the bytes of an open file come from: a map, or positioned reads.
//!
//! A map is the fastest while the file fits into memory: a row is then in place already. Where it does not
//! fit, every page that is touched waits alone for the disk, and on a network a file that shrinks or a
//! server that goes away ends the process with SIGBUS. Positioned reads cost a copy, but ask for a row at
//! once, and for a whole batch ahead, and their errors are errors.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytemuck::{AnyBitPattern, NoUninit};
use rustix::fs::Advice;

use super::map::Map;
use crate::memory::ask_for;

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// By a map, unless the file is larger than memory or on a network file system.
    #[default]
    Auto,
    /// By a map.
    Map,
    /// By positioned reads.
    Read,
}

/// An open file.
#[derive(Debug)]
pub(super) enum Storage {
    Map(Map),
    Read(File),
}

impl Storage {
    /// Takes a file whose length is known.
    pub(super) fn open(file: File, length: u64, access: Access) -> io::Result<Self> {
        let read = match access {
            Access::Auto => length > memory_bytes() || is_remote(&file),
            Access::Map => false,
            Access::Read => true,
        };
        if read {
            return Ok(Self::Read(file));
        }
        let map = Map::open(&file)?;
        if map.len() as u64 == length { Ok(Self::Map(map)) } else { Err(shorter()) }
    }

    /// The numbers in a range of bytes that lies in the file and is aligned to them.
    ///
    /// # Errors
    /// When the disk fails, or the file has become shorter.
    pub(super) fn get<T: AnyBitPattern + NoUninit>(&self, range: Range<u64>) -> io::Result<Cow<'_, [T]>> {
        let bound = |at: u64| usize::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
        let (start, end) = (bound(range.start)?, bound(range.end)?);
        match self {
            Self::Map(map) => {
                let bytes = map.get(start..end).ok_or_else(shorter)?;
                let numbers = bytemuck::try_cast_slice(bytes);
                numbers.map(Cow::Borrowed).map_err(|error| io::Error::other(error.to_string()))
            }
            Self::Read(file) => {
                let mut numbers = vec![T::zeroed(); end.saturating_sub(start) / size_of::<T>()];
                let bytes = bytemuck::cast_slice_mut(&mut numbers);
                match file.read_exact_at(bytes, range.start) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(shorter()),
                    result => result.map(|()| Cow::Owned(numbers)),
                }
            }
        }
    }

    /// Says that a range will be wanted soon, so that the system fetches it while others are worked on; of a map only
    /// where it begins.
    pub(super) fn will_need(&self, range: Range<u64>) {
        match self {
            Self::Map(_) => self.ask_for(range.start),
            Self::Read(file) => {
                if let Some(length) = NonZeroU64::new(range.end.saturating_sub(range.start)) {
                    let _ = rustix::fs::fadvise(file, range.start, Some(length), Advice::WillNeed); // a wish
                }
            }
        }
    }

    /// Asks for the memory of a byte that is mapped, while others are worked on.
    pub(super) fn ask_for(&self, at: u64) {
        if let (Self::Map(map), Ok(at)) = (self, usize::try_from(at)) {
            ask_for(map, at);
        }
    }

    pub(super) fn access(&self) -> Access {
        match self {
            Self::Map(_) => Access::Map,
            Self::Read(_) => Access::Read,
        }
    }
}

fn shorter() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter since it was opened")
}

fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

/// Whether the bytes of a file are on another machine, or behind a process that may go away.
fn is_remote(file: &File) -> bool {
    // From linux/magic.h and the sources of those that are not in it.
    const REMOTE: [u32; 11] = [
        0x0000_6969, // NFS
        0x0000_517B, // SMB
        0xFE53_4D42, // SMB 2
        0xFF53_4D42, // CIFS
        0x6573_5546, // FUSE
        0x00C3_6400, // Ceph
        0x0BD0_0BD0, // Lustre
        0x4750_4653, // GPFS
        0x1983_0326, // BeeGFS
        0x0102_1997, // 9P
        0x5346_414F, // AFS
    ];
    // The type of `f_type` differs between machines; the numbers have 32 bits.
    rustix::fs::fstatfs(file).is_ok_and(|stat| {
        let kind = u64::try_from(stat.f_type & 0xFFFF_FFFF).unwrap_or(0);
        REMOTE.iter().any(|remote| u64::from(*remote) == kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path, length: u64, access: Access) -> io::Result<Storage> {
        Storage::open(File::open(path)?, length, access)
    }

    #[test]
    fn a_map_and_reads_give_the_same() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        let numbers: Vec<u32> = (0..4096).collect();
        std::fs::write(&path, bytemuck::cast_slice::<u32, u8>(&numbers))?;
        let length = numbers.len() as u64 * 4;
        assert_eq!(open(&path, length, Access::Auto)?.access(), Access::Map);
        for access in [Access::Map, Access::Read] {
            let storage = open(&path, length, access)?;
            assert_eq!(storage.access(), access);
            storage.will_need(400..8000);
            assert_eq!(*storage.get::<u32>(400..800)?, numbers[100..200]);
            assert!(storage.get::<u8>(length..length)?.is_empty());
            let beyond = storage.get::<u32>(length - 4..length + 4);
            assert!(beyond.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        std::fs::write(&path, [7; 100])?;
        let storage = open(&path, 100, Access::Read)?;
        File::options().write(true).open(&path)?.set_len(50)?;
        assert_eq!(*storage.get::<u8>(0..50)?, [7; 50]);
        assert!(storage.get::<u8>(40..60).is_err_and(|error| error.to_string().contains("shorter")));
        assert!(open(&path, 100, Access::Map).is_err());
        Ok(())
    }
}
