//! Tables, keys and values as bytes; `docs/src/protocol/storage-format.md` is the same, for readers.

use inkwire_document::{Actor, VersionVector};
use inkwire_protocol::record::{ActorRecord, Digest};
use redb::TableDefinition;

use super::Failure;
use crate::contents::RowKey;
use crate::fields::{Fields, checksum, put_text};
use crate::head;

/// Numbers of the store as a whole: `format`, `settled` (the last journal that is in the tables), `documents` (how many
/// documents ever got an id).
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// name → incarnation, for names that were deleted once.
pub(super) const NAMES: TableDefinition<&str, u64> = TableDefinition::new("names");

/// (name, incarnation) → [`DocumentRow`].
pub(super) const DOCUMENTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("documents");

/// [`LogKey`] → `arrival u64 | body | checksum`.
pub(super) const LOG: TableDefinition<&[u8], &[u8]> = TableDefinition::new("log");

/// (document, segment) → [`SegmentRow`].
pub(super) const SEGMENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("segments");

/// (document, snapshot) → [`SnapshotRow`]; written last, it commits the snapshot.
pub(super) const SNAPSHOTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("snapshots");

/// (document, snapshot, n) → `bytes | checksum`.
pub(super) const CHUNKS: TableDefinition<(u64, u64, u32), &[u8]> = TableDefinition::new("snapshot_chunks");

/// (document, snapshot) → [`HistoryRow`], for the newest snapshot and all that are kept; a file of an earlier version has none.
pub(super) const HISTORY: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("history");

/// (document, segment) → [`SegmentRow`] of a segment that a snapshot covers and that is kept all the same.
pub(super) const KEPT: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("kept_segments");

/// Appends the checksum of `value` under `key` in the table called `table`.
pub(super) fn seal(table: &str, key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&[table.as_bytes(), &[0], key, &value]);
    value.extend_from_slice(&sum.to_le_bytes());
    value
}

/// Takes the checksum off `sealed`, or says where it does not hold. Returns the value and its checksum.
pub(super) fn unseal<'a>(
    table: &str,
    key: &[u8],
    sealed: &'a [u8],
    place: impl FnOnce() -> String,
) -> Result<(&'a [u8], u64), Failure> {
    if let Some((value, sum)) = sealed.split_last_chunk::<8>() {
        let sum = u64::from_le_bytes(*sum);
        if sum == checksum(&[table.as_bytes(), &[0], key, value]) {
            return Ok((value, sum));
        }
    }
    Err(Failure::damage(format!("table `{table}`, {}", place()), "the row does not match its checksum"))
}

/// Numbers as the key bytes that a checksum covers.
pub(super) fn key_bytes(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Name and incarnation as the key bytes that a checksum covers.
pub(super) fn name_bytes(name: &str, incarnation: u64) -> Vec<u8> {
    let mut bytes = incarnation.to_be_bytes().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

/// The key of a row of the log: `document | segment | actor | first`, big-endian, then the digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LogKey {
    pub(super) document: u64,
    pub(super) segment: u64,
    pub(super) row: RowKey,
}

impl LogKey {
    pub(super) const LEN: usize = 64;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let numbers = [self.document, self.segment, self.row.actor.0, self.row.first];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes[32..].copy_from_slice(&self.row.digest.0);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let number = |at: usize| bytes[at..at + 8].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[32..]);
        let row = RowKey { actor: Actor(number(16)), first: number(24), digest: Digest(digest) };
        Some(Self { document: number(0), segment: number(8), row })
    }

    /// The first and the last possible key of a segment.
    pub(super) fn bounds(document: u64, segment: u64) -> ([u8; Self::LEN], [u8; Self::LEN]) {
        let key = |fill| {
            let row = RowKey { actor: Actor(fill), first: fill, digest: Digest([fill as u8; 32]) };
            Self { document, segment, row }.to_bytes()
        };
        (key(0), key(u64::MAX))
    }
}

/// What is known of a document: `id | open segment | newest snapshot (0: none)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DocumentRow {
    pub(super) id: u64,
    pub(super) open_segment: u64,
    pub(super) snapshot: u64,
}

/// How many rows a segment has, and the sum of their checksums: `rows | sum`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct SegmentRow {
    pub(super) rows: u64,
    pub(super) sum: u64,
}

macro_rules! numbers {
    ($row:ty { $($field:ident),* }) => {
        impl $row {
            pub(super) fn to_bytes(self) -> Vec<u8> {
                let mut bytes = Vec::new();
                $(bytes.extend_from_slice(&self.$field.to_le_bytes());)*
                bytes
            }

            pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let mut fields = Fields(bytes);
                Some(Self { $($field: fields.u64()?),* })
            }
        }
    };
}

numbers!(DocumentRow { id, open_segment, snapshot });
numbers!(SegmentRow { rows, sum });

/// When a snapshot was taken, and its name: `taken_millis u64 | name`; no name is an empty one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct HistoryRow {
    pub(super) taken_millis: u64,
    pub(super) name: String,
}

impl HistoryRow {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.taken_millis.to_le_bytes().to_vec();
        put_text(&mut out, &self.name);
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let row = Self { taken_millis: fields.u64()?, name: fields.text()?.to_owned() };
        fields.0.is_empty().then_some(row)
    }
}

/// What commits a snapshot: `bytes u64 | chunks u32 | hash [32] | dots u32, (actor u64, counter u64)* | actors u32,
/// (actor u64, subject)* | digests u32, (index in actors u32, digest [16])*`. A row that ends before the digests has none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SnapshotRow {
    pub(super) bytes: u64,
    pub(super) chunks: u32,
    pub(super) hash: [u8; 32],
    pub(super) version: VersionVector,
    pub(super) actors: Vec<ActorRecord>,
}

impl SnapshotRow {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(&self.chunks.to_le_bytes());
        out.extend_from_slice(&self.hash);
        head::put(&mut out, &self.version, &self.actors);
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (bytes, chunks, hash) = (fields.u64()?, fields.u32()?, fields.bytes32()?);
        let (version, actors) = head::read(&mut fields)?;
        Some(Self { bytes, chunks, hash, version, actors })
    }
}

#[cfg(test)]
mod tests {
    use inkwire_protocol::Chain;

    use super::*;

    #[test]
    fn a_snapshot_row_with_and_without_digests_is_read() {
        let record = |actor, chain| ActorRecord { actor: Actor(actor), subject: format!("user-{actor}").into(), chain };
        let version = VersionVector { dots: [(Actor(1), 3), (Actor(2), 1), (Actor(3), 9)].into() };
        let actors = vec![record(1, Some(Chain([7; 16]))), record(2, None), record(3, Some(Chain([9; 16])))];
        let row = SnapshotRow { bytes: 5, chunks: 1, hash: [3; 32], version, actors };
        let bytes = row.to_bytes();
        assert_eq!(SnapshotRow::from_bytes(&bytes), Some(row.clone()));
        // As it was written before there were any.
        let before = &bytes[..bytes.len() - 4 - 2 * 20];
        let read = SnapshotRow::from_bytes(before).expect("it is read");
        assert!(read.actors.iter().all(|record| record.chain.is_none()));
        assert_eq!((read.version, read.actors.len()), (row.version.clone(), 3));
        for end in before.len() + 1..bytes.len() {
            assert_eq!(SnapshotRow::from_bytes(&bytes[..end]), None, "cut at {end}");
        }
        // A digest of an actor that is not there.
        let wrong = [before, &1_u32.to_le_bytes(), &3_u32.to_le_bytes(), &[0; 16]].concat();
        assert_eq!(SnapshotRow::from_bytes(&wrong), None);
    }
}
