//! Reading a document.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTable};

use super::schema::{
    CHUNKS, DOCUMENTS, DocumentRow, LOG, LogKey, SEGMENTS, SNAPSHOTS, SegmentRow, SnapshotRow, key_bytes, name_bytes,
    unseal,
};
use super::{Failure, Tables};
use crate::embedded::row::Row;
use crate::error::StoreError;
use crate::store::{DocumentKey, StoredSnapshot};

/// A document as the tables have it.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Found {
    /// The newest snapshot.
    pub(in crate::embedded) snapshot: Option<StoredSnapshot>,
    /// The rows of all segments by their numbers of arrival, covered ones too.
    pub(in crate::embedded) rows: BTreeMap<u64, Row>,
}

impl Tables {
    /// Everything of `document`, every checksum and count checked.
    pub(in crate::embedded) fn load(&self, document: &DocumentKey) -> Result<Found, StoreError> {
        self.guarded(&format!("loading {document}"), || {
            let transaction = self.database.begin_read()?;
            let documents = transaction.open_table(DOCUMENTS)?;
            let Some(row) = document_row(&documents, document)? else { return Ok(Found::default()) };

            let mut found = Found::default();
            if row.snapshot != 0 {
                let snapshots = transaction.open_table(SNAPSHOTS)?;
                let chunks = transaction.open_table(CHUNKS)?;
                let stored = snapshot_row(&snapshots, document, row.id, row.snapshot)?;
                let snapshot = snapshot_bytes(&chunks, document, row.id, row.snapshot, &stored)?;
                found.snapshot = Some(StoredSnapshot { snapshot, version: stored.version, actors: stored.actors });
            }

            let segments = transaction.open_table(SEGMENTS)?;
            let log = transaction.open_table(LOG)?;
            for (segment, expected) in segment_rows(&segments, document, row.id)? {
                read_segment(&log, document, row.id, segment, expected, |arrival, key, body| {
                    let body = Bytes::copy_from_slice(body);
                    found.rows.insert(arrival, Row { document: document.clone(), key: key.row, body });
                })?;
            }
            Ok(found)
        })
    }
}

impl Tables {
    /// Every document that has ever had something in the tables.
    pub(in crate::embedded) fn all_documents(&self) -> Result<Vec<DocumentKey>, StoreError> {
        self.guarded("reading table `documents`", || {
            let table = self.database.begin_read()?.open_table(DOCUMENTS)?;
            let mut found = Vec::new();
            for entry in table.iter()? {
                let (key, _) = entry?;
                let (name, incarnation) = key.value();
                found.push(DocumentKey::new(name, incarnation));
            }
            Ok(found)
        })
    }
}

/// The row of `document` in `documents`.
pub(super) fn document_row(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    document: &DocumentKey,
) -> Result<Option<DocumentRow>, Failure> {
    let Some(sealed) = table.get((&*document.name, document.incarnation))? else { return Ok(None) };
    let key = name_bytes(&document.name, document.incarnation);
    let (value, _) = unseal("documents", &key, sealed.value(), || format!("row of {document}"))?;
    let row = DocumentRow::from_bytes(value);
    row.map(Some)
        .ok_or_else(|| Failure::damage(format!("table `documents`, row of {document}"), "the row is too short"))
}

/// The row of a snapshot.
pub(super) fn snapshot_row(
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    document: &DocumentKey,
    id: u64,
    snapshot: u64,
) -> Result<SnapshotRow, Failure> {
    let place = || format!("snapshot {snapshot} of {document}");
    let damage = |reason: &str| Failure::damage(format!("table `snapshots`, {}", place()), reason);
    let sealed = table.get((id, snapshot))?.ok_or_else(|| damage("the row is missing"))?;
    let (value, _) = unseal("snapshots", &key_bytes(&[id, snapshot]), sealed.value(), place)?;
    SnapshotRow::from_bytes(value).ok_or_else(|| damage("the row is too short"))
}

pub(super) fn snapshot_bytes(
    table: &impl ReadableTable<(u64, u64, u32), &'static [u8]>,
    document: &DocumentKey,
    id: u64,
    snapshot: u64,
    row: &SnapshotRow,
) -> Result<Bytes, Failure> {
    let mut bytes = Vec::new();
    for chunk in 0..row.chunks {
        let place = || format!("chunk {chunk} of snapshot {snapshot} of {document}");
        let damage = |reason: &str| Failure::damage(format!("table `snapshot_chunks`, {}", place()), reason);
        let sealed = table.get((id, snapshot, chunk))?.ok_or_else(|| damage("the row is missing"))?;
        let (value, _) =
            unseal("snapshot_chunks", &key_bytes(&[id, snapshot, u64::from(chunk)]), sealed.value(), place)?;
        bytes.extend_from_slice(value);
    }
    if bytes.len() as u64 != row.bytes || *blake3::hash(&bytes).as_bytes() != row.hash {
        let place = format!("table `snapshot_chunks`, snapshot {snapshot} of {document}");
        return Err(Failure::damage(place, "the chunks together do not match the snapshot's hash"));
    }
    Ok(bytes.into())
}

/// A document's segments, oldest first.
pub(super) fn segment_rows(
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    document: &DocumentKey,
    id: u64,
) -> Result<Vec<(u64, SegmentRow)>, Failure> {
    segment_rows_of("segments", table, document, id)
}

/// The rows of the table called `name`, which lists segments.
pub(super) fn segment_rows_of(
    name: &str,
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    document: &DocumentKey,
    id: u64,
) -> Result<Vec<(u64, SegmentRow)>, Failure> {
    let mut rows = Vec::new();
    for entry in table.range((id, 0)..=(id, u64::MAX))? {
        let (key, sealed) = entry?;
        let segment = key.value().1;
        let place = || format!("segment {segment} of {document}");
        let (value, _) = unseal(name, &key_bytes(&[id, segment]), sealed.value(), place)?;
        let row = SegmentRow::from_bytes(value)
            .ok_or_else(|| Failure::damage(format!("table `{name}`, {}", place()), "the row is too short"))?;
        rows.push((segment, row));
    }
    Ok(rows)
}

/// Calls `visit` with arrival, key and body of every row of a segment, and checks that none is missing.
pub(super) fn read_segment(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    document: &DocumentKey,
    id: u64,
    segment: u64,
    expected: SegmentRow,
    mut visit: impl FnMut(u64, LogKey, &[u8]),
) -> Result<(), Failure> {
    let (first, last) = LogKey::bounds(id, segment);
    let mut found = SegmentRow::default();
    for entry in table.range(first.as_slice()..=last.as_slice())? {
        let (key, sealed) = entry?;
        let place = || match LogKey::from_bytes(key.value()) {
            Some(LogKey { row, .. }) => {
                format!("segment {segment} of {document}, actor {} from counter {}", row.actor, row.first)
            }
            None => format!("segment {segment} of {document}, a key of {} bytes", key.value().len()),
        };
        let (value, sum) = unseal("log", key.value(), sealed.value(), place)?;
        let row = LogKey::from_bytes(key.value()).zip(value.split_first_chunk::<8>());
        let (log_key, (arrival, body)) =
            row.ok_or_else(|| Failure::damage(format!("table `log`, {}", place()), "the row is too short"))?;
        visit(u64::from_le_bytes(*arrival), log_key, body);
        found.rows += 1;
        found.sum = found.sum.wrapping_add(sum);
    }
    if found != expected {
        let reason = format!("{} rows are there instead of {}, or others", found.rows, expected.rows);
        return Err(Failure::damage(format!("table `log`, segment {segment} of {document}"), reason));
    }
    Ok(())
}
