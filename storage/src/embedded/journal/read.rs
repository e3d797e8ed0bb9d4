//! Reading a journal's file back, and telling a torn end from damage.

use std::path::PathBuf;

use bytes::Bytes;

use super::format::{FORMAT, GROUP_HEAD, GROUPS_AT, GroupHead, Header, Mark, SECTOR, name, read_header};
use crate::embedded::disk::{Disk, DiskFile};
use crate::embedded::row::Row;
use crate::error::StoreError;

/// What a file holds.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Contents {
    /// Its rows with their numbers of arrival.
    pub(in crate::embedded) rows: Vec<(u64, Row)>,
    /// Whether a later file was begun.
    pub(in crate::embedded) sealed: bool,
}

/// Whether anything was ever written to the file with `number`: then all before it was acknowledged.
pub(in crate::embedded) fn is_begun(disk: &dyn Disk, number: u64) -> Result<bool, StoreError> {
    let length = disk.open(&name(number)).and_then(|file| file.len());
    let length = length.map_err(|error| {
        StoreError::unavailable(format!("reading {}", disk.directory().join(name(number)).display()), error)
    })?;
    Ok(length > GROUPS_AT)
}

/// Reads the file with `number`; `newest` when no later one was begun.
///
/// # Errors
///
/// [`StoreError::Corrupt`] when something acknowledged is not as it was written. A torn end that was never
/// acknowledged is logged and left out.
pub(in crate::embedded) fn read(disk: &dyn Disk, number: u64, newest: bool) -> Result<Contents, StoreError> {
    let name = name(number);
    let path = disk.directory().join(&name);
    let unreadable = |error| StoreError::unavailable(format!("reading {}", path.display()), error);
    let file = disk.open(&name).map_err(unreadable)?;
    let length = file.len().map_err(unreadable)?;
    let mut reader = Reader { file: file.as_ref(), path: path.clone(), identity: 0, length };

    let Some(head) = reader.bytes(0, GROUPS_AT as usize)? else {
        return Err(reader.corrupt(length, "the file ends within its header"));
    };
    match read_header(&head) {
        Header::Valid { number: found, identity } if found == number => reader.identity = identity,
        Header::Valid { number: found, .. } => {
            return Err(reader.corrupt(0, format!("the header is that of {}", super::name(found))));
        }
        Header::Format(found) => return Err(StoreError::Format { file: path, found, supported: FORMAT }),
        Header::Invalid => return Err(reader.corrupt(0, "the header does not match its checksum")),
    }
    let Some(mark) = Mark::newest(&head, reader.identity) else {
        return Err(reader.corrupt(4096, "neither of the two marks matches its checksum"));
    };

    let mut contents = Contents { rows: Vec::new(), sealed: mark.sealed };
    let mut offset = GROUPS_AT;
    let mut group = 0;
    while offset < length {
        match reader.group(offset, group, &mut contents.rows)? {
            Ok(next) => offset = next,
            Err(reason) => {
                reader.judge_end(offset, group, &mark, newest, reason)?;
                break;
            }
        }
        group += 1;
    }
    if group < mark.groups || offset < mark.end {
        return Err(reader.corrupt(offset, format!("the file ends after {group} of {} groups", mark.groups)));
    }
    Ok(contents)
}

struct Reader<'a> {
    file: &'a dyn DiskFile,
    path: PathBuf,
    identity: u64,
    length: u64,
}

impl Reader<'_> {
    /// Bytes at `offset`, or `None` when the file ends before; so that a wrong length allocates nothing.
    fn bytes(&self, offset: u64, length: usize) -> Result<Option<Vec<u8>>, StoreError> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.file
            .read_at(offset, &mut bytes)
            .map_err(|error| StoreError::unavailable(format!("reading {}", self.path.display()), error))?;
        Ok(Some(bytes))
    }

    /// Reads the group at `offset` into `rows` and returns where the next begins, or what is wrong with it.
    fn group(
        &self,
        offset: u64,
        group: u64,
        rows: &mut Vec<(u64, Row)>,
    ) -> Result<Result<u64, &'static str>, StoreError> {
        let Some(head) = self.bytes(offset, GROUP_HEAD)? else { return Ok(Err("the file ends within a group's head")) };
        let Some(head) = GroupHead::read(&head, self.identity) else {
            return Ok(Err("a group's head does not match its checksum"));
        };
        if head.group != group {
            return Ok(Err("a group is missing"));
        }
        let Some(body) = self.bytes(offset + GROUP_HEAD as u64, head.body_len as usize)? else {
            return Ok(Err("the file ends within a group"));
        };
        if !head.body_is(&body) {
            return Ok(Err("a group does not match its checksum"));
        }
        let body = Bytes::from(body);
        let mut at = 0;
        for index in 0..u64::from(head.rows) {
            let Some(row) = Row::read(&body, &mut at) else {
                return Err(self.corrupt(offset, "a group with a valid checksum holds what is not a row"));
            };
            rows.push((head.first_arrival + index, row));
        }
        Ok(Ok(offset + head.padded_len()))
    }

    /// Decides what a group that cannot be read means. It was acknowledged if the mark says so, or if anything was
    /// written after it: the next group, or one of the next file, is written only when this one is durable.
    fn judge_end(&self, offset: u64, group: u64, mark: &Mark, newest: bool, reason: &str) -> Result<(), StoreError> {
        if offset < mark.end || !newest || self.later_group(offset, group)? {
            return Err(self.corrupt(offset, reason));
        }
        tracing::warn!(
            file = %self.path.display(),
            offset,
            bytes = self.length - offset,
            reason,
            "dropped the end of the journal, which was never acknowledged"
        );
        Ok(())
    }

    /// Whether a group later than `group` begins anywhere after `offset`.
    fn later_group(&self, offset: u64, group: u64) -> Result<bool, StoreError> {
        let mut at = offset + SECTOR;
        while let Some(head) = self.bytes(at, GROUP_HEAD)? {
            if GroupHead::read(&head, self.identity).is_some_and(|head| head.group > group) {
                return Ok(true);
            }
            at += SECTOR;
        }
        Ok(false)
    }

    fn corrupt(&self, offset: u64, reason: impl Into<String>) -> StoreError {
        StoreError::corrupt(&self.path, format!("byte {offset}"), reason)
    }
}
