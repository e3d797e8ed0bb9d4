//! The journal: what is acknowledged before it is in the tables.
//!
//! A numbered file that groups of rows are appended to, one write and one sync a group. After the sync, and before the
//! rows' callers hear of it, a mark at the file's head says how far the file is acknowledged; the mark itself is
//! durable with the next sync. So a damaged group below the mark, or before a later group, was acknowledged, and its
//! damage is an error; a damaged end beyond the mark was not, and is dropped.
//!
//! - [`format`]: headers, groups and marks as bytes.
//! - [`read`]: a file's rows, and the verdict on its end.
//!
//! Files are immutable below their end, never recycled, and get their names by a rename after their head is durable.
//! The next file may be there before it is begun, as a spare.

mod format;
pub(super) mod read;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::row::Row;
use crate::error::StoreError;
use format::{GROUPS_AT, Mark};

pub(super) use format::{FORMAT, name, number_of};

/// The journal's file that is being written.
#[derive(Debug)]
pub(super) struct Journal {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    number: u64,
    identity: u64,
    groups: u64,
    end: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Makes the file with `number`, durably.
    pub(super) fn create(disk: &dyn Disk, number: u64) -> Result<Self, StoreError> {
        let name = name(number);
        let path = disk.directory().join(&name);
        // The hasher's keys are the standard library's only randomness, and good enough to be unknown to a client.
        let identity = RandomState::new().hash_one(number);
        let create = || {
            let temporary = format!("{name}.new");
            let file = disk.create(&temporary)?;
            file.write_at(0, &format::file_head(number, identity))?;
            file.sync()?;
            disk.rename(&temporary, &name)?;
            disk.sync_directory()?;
            Ok(file)
        };
        let file = create().map_err(|error: io::Error| write_failed(path.clone(), &error))?;
        Ok(Self { file, path, number, identity, groups: 0, end: GROUPS_AT, buffer: Vec::new() })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes up to the end of the last group.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// Writes one group and syncs it. After an error nobody knows what the disk holds: write nothing more.
    pub(super) fn append(&mut self, first_arrival: u64, rows: &[&Row]) -> Result<(), StoreError> {
        format::put_group(&mut self.buffer, self.identity, self.groups, first_arrival, rows);
        let written = self.file.write_at(self.end, &self.buffer).and_then(|()| self.file.sync());
        written.map_err(|error| self.failed(&error))?;
        self.groups += 1;
        self.end += self.buffer.len() as u64;
        // One large group must not cost memory for ever.
        if self.buffer.capacity() > 1 << 20 {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Says at the file's head that all groups are acknowledged. Durable with the next sync; a process that dies
    /// before leaves it in the page cache.
    pub(super) fn mark(&self) -> Result<(), StoreError> {
        self.put_mark(false)
    }

    /// Makes the mark durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync().map_err(|error| self.failed(&error))
    }

    /// Says at the file's head that nothing follows in it and that the next one, which exists, is begun. Durable with
    /// the next sync.
    pub(super) fn seal(&self) -> Result<(), StoreError> {
        self.put_mark(true)
    }

    fn put_mark(&self, sealed: bool) -> Result<(), StoreError> {
        let mark = Mark { identity: self.identity, groups: self.groups, end: self.end, sealed };
        let written = self.file.write_at(mark.offset(), &mark.to_bytes());
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        write_failed(self.path.clone(), error)
    }
}

/// The error of a write or sync after which the store takes no more writes.
pub(super) fn write_failed(file: PathBuf, error: &io::Error) -> StoreError {
    StoreError::ReadOnly { file, reason: error.to_string() }
}
