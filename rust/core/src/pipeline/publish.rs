//! Gives the files of a build their names, and removes those that they replace.
//!
//! A set of shards is published in four steps, so that whoever opens its index at any time finds a whole set or none:
//! the index of a set whose shards have the same names is taken away, the shards get their names, then the index, which
//! makes them a set, gets its own (in the place of another, if that is there still), and last go the shards of the
//! old set that have not been replaced. Last of all goes an output of the same name in the other form: one file, or a
//! set.

use std::path::Path;

use super::output::{ONLY, Output};
use super::workspace::REPLACED;
use crate::disk::folder_of;
use crate::error::{Error, Result};
use crate::file::{Access, Index, PackedFile, index_name, shard_name};

impl Output<'_> {
    /// Gives the files their names.
    pub(super) fn publish(&self) -> Result<()> {
        let Some(set) = &self.set else {
            self.workspace.publish(ONLY, &self.published, self.force)?;
            self.remove_set();
            return Ok(());
        };
        if self.published.exists() {
            if !self.force {
                return Err(Error::OutputExists(self.published.clone()));
            }
            self.remove_replaced(set); // of a build that was killed before it could
            self.make_way()?;
        }
        for part in &self.parts {
            let to = self.published.with_file_name(&part.name);
            // A build that was killed here may have moved some already.
            let replace = self.force || is_shard(&to, &part.root_hash);
            self.disk.rename(&self.workspace.output(&part.name), &to, replace)?;
        }
        self.disk.sync_names(folder_of(&self.published));
        self.workspace.publish(index_name(set), &self.published, self.force)?;
        self.remove_replaced(set);
        let file = self.published.with_file_name(set);
        if self.force && file.is_file() {
            self.disk.remove(&file);
        }
        Ok(())
    }

    /// Removes the set of shards that had the name of this one file.
    fn remove_set(&self) {
        let Some(name) = self.published.file_name().and_then(|name| name.to_str()) else { return };
        let index = self.published.with_file_name(index_name(name));
        if !self.force || !index.is_file() {
            return;
        }
        let shards = Index::read(&index).map_or(0, |set| set.shards.len());
        self.disk.remove(&index);
        self.disk.sync_names(folder_of(&index));
        for number in 0..shards {
            self.disk.remove(&self.published.with_file_name(shard_name(name, number, shards)));
        }
    }

    /// Keeps the index of the set that is to be replaced in the workspace. It goes away from its place only if the new
    /// shards take the places of the old ones.
    fn make_way(&self) -> Result<()> {
        let replaced = self.workspace.output(REPLACED);
        if !has_shards(&self.published, self.parts.len()) {
            let content = self.disk.read(&self.published)?.unwrap_or_default();
            let copy = self.disk.create(&replaced)?;
            copy.write_at(&content, 0)?;
            return copy.sync();
        }
        self.disk.rename(&self.published, &replaced, true)?;
        self.disk.sync_names(folder_of(&self.published));
        Ok(())
    }

    /// Removes the shards of the set that was replaced, but for those that have the names of shards of the set
    /// that is there now.
    fn remove_replaced(&self, set: &str) {
        let replaced = self.workspace.output(REPLACED);
        if let (Ok(old), Ok(new)) = (Index::read(&replaced), Index::read(&self.published)) {
            let (old, new) = (old.shards.len(), new.shards.len());
            for number in (0..old).filter(|_| old != new) {
                self.disk.remove(&self.published.with_file_name(shard_name(set, number, old)));
            }
        }
        if replaced.exists() {
            self.disk.remove(&replaced);
        }
    }

    /// Removes the shards of a build that was stopped while it gave them their names, if this one's have others.
    pub(super) fn remove_abandoned(&self) {
        let out = self.published.file_name().and_then(|name| name.to_str());
        let Some(index) = self.set.as_deref().or(out).map(index_name) else { return };
        let Ok(Index { shards, .. }) = Index::read(&self.workspace.output(&index)) else { return };
        if has_shards(&self.published.with_file_name(index), shards.len())
            || self.shards() == Some(shards.len())
        {
            return;
        }
        for shard in shards {
            let path = self.published.with_file_name(&shard.file);
            if is_shard(&path, &shard.root_hash) {
                self.disk.remove(&path);
            }
        }
    }
}

/// Whether an index is there and may be of a set of so many shards, which decides their names.
pub(super) fn has_shards(index: &Path, count: usize) -> bool {
    Index::read(index).map_or_else(|_| index.exists(), |set| set.shards.len() == count)
}

/// Whether a file is the one with this root hash.
fn is_shard(path: &Path, root_hash: &str) -> bool {
    PackedFile::open(path, Access::Read).is_ok_and(|file| file.root_hash() == root_hash)
}
