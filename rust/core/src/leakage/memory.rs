//! Memory for large tables that are looked up all over.

use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

use crate::error::{Error, Result};

/// Numbers, all zero at first, on large pages where the system has them: looking for where a page is would take longer
/// than what is looked up there.
#[derive(Debug)]
pub(super) struct Numbers(MmapMut);

impl Numbers {
    pub(super) fn new(count: usize) -> Result<Self> {
        let bytes = count.max(1).saturating_mul(size_of::<u64>());
        let map = MmapMut::map_anon(bytes)
            .map_err(|error| Error::Config(format!("no memory to look for the benchmarks: {error}")))?;
        let _ = map.advise(Advice::HugePage); // a wish
        Ok(Self(map))
    }
}

impl Deref for Numbers {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        bytemuck::cast_slice(&self.0)
    }
}

impl DerefMut for Numbers {
    fn deref_mut(&mut self) -> &mut [u64] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
