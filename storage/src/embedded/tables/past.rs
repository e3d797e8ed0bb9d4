//! What is kept of documents' past: snapshots in the table of all, with a row in `history`; segments, listed elsewhere.

use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use redb::{ReadableDatabase, ReadableTable, Table, WriteTransaction};

use super::commit::Rows;
use super::load::{document_row, read_segment, segment_rows, segment_rows_of, snapshot_bytes, snapshot_row};
use super::schema::{
    CHUNKS, DOCUMENTS, HISTORY, HistoryRow, KEPT, LOG, LogKey, NAMES, SEGMENTS, SNAPSHOTS, SnapshotRow, key_bytes,
    seal, unseal,
};
use super::{Failure, Tables, begin};
use crate::archive::{SnapshotEntry, SnapshotNumber, name_is_taken};
use crate::embedded::row::Row;
use crate::error::StoreError;
use crate::retention::{Kept, Retention};
use crate::store::{DocumentKey, SNAPSHOT_CHUNK_BYTES, StoredSnapshot};

/// The rows of a segment with their numbers of arrival, and where the next segment begins.
pub(in crate::embedded) type SegmentLog = (Vec<(u64, Row)>, Option<u64>);

/// The tables of snapshots, opened once a transaction.
pub(super) struct Past<'t> {
    pub(super) snapshots: Table<'t, (u64, u64), &'static [u8]>,
    chunks: Table<'t, (u64, u64, u32), &'static [u8]>,
    history: Table<'t, (u64, u64), &'static [u8]>,
}

impl<'t> Past<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Failure> {
        Ok(Self {
            snapshots: transaction.open_table(SNAPSHOTS)?,
            chunks: transaction.open_table(CHUNKS)?,
            history: transaction.open_table(HISTORY)?,
        })
    }

    /// A number above those of all snapshots of the document, of which `current` is the newest.
    pub(super) fn next_number(&self, id: u64, current: u64) -> Result<u64, Failure> {
        let last = self.history.range((id, 0)..=(id, u64::MAX))?.next_back().transpose()?;
        Ok(1 + last.map_or(0, |(key, _)| key.value().1).max(current))
    }

    pub(super) fn put(
        &mut self,
        id: u64,
        number: u64,
        snapshot: &Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
        history: &HistoryRow,
    ) -> Result<(), Failure> {
        let mut count = 0_u32;
        for bytes in snapshot.chunks(SNAPSHOT_CHUNK_BYTES - 8) {
            let key = key_bytes(&[id, number, u64::from(count)]);
            let sealed = seal("snapshot_chunks", &key, bytes.to_vec());
            self.chunks.insert((id, number, count), sealed.as_slice())?;
            count += 1;
        }
        let hash = *blake3::hash(snapshot).as_bytes();
        let committed = SnapshotRow { bytes: snapshot.len() as u64, chunks: count, hash, version, actors };
        let key = key_bytes(&[id, number]);
        self.snapshots.insert((id, number), seal("snapshots", &key, committed.to_bytes()).as_slice())?;
        self.history.insert((id, number), seal("history", &key, history.to_bytes()).as_slice())?;
        Ok(())
    }

    /// Removes what `retention` does not keep; whatever is there is thinned, a snapshot that was the newest until now too.
    pub(super) fn thin(
        &mut self,
        document: &DocumentKey,
        id: u64,
        now_millis: u64,
        retention: &Retention,
    ) -> Result<(), Failure> {
        let mut entries = history_rows(&self.history, document, id)?;
        // One that an earlier version wrote is in no history.
        for entry in self.snapshots.range((id, 0)..=(id, u64::MAX))? {
            let number = entry?.0.value().1;
            if !entries.iter().any(|(known, _)| *known == number) {
                entries.push((number, HistoryRow::default()));
            }
        }
        entries.sort_by_key(|(number, row)| (row.taken_millis, *number));
        let of = |row: &HistoryRow| Kept { taken_millis: row.taken_millis, is_named: !row.name.is_empty() };
        let kept: Vec<Kept> = entries.iter().map(|(_, row)| of(row)).collect();
        for index in retention.thin(now_millis, &kept) {
            let number = entries[index].0;
            self.chunks.retain_in((id, number, 0)..=(id, number, u32::MAX), |_, _| false)?;
            self.snapshots.remove((id, number))?;
            self.history.remove((id, number))?;
        }
        Ok(())
    }

    fn named(&self, document: &DocumentKey, id: u64, name: &str) -> Result<Option<u64>, Failure> {
        let rows = history_rows(&self.history, document, id)?;
        Ok(rows.into_iter().find(|(_, row)| row.name == name).map(|(number, _)| number))
    }

    fn remove_all(&mut self, id: u64) -> Result<(), Failure> {
        self.chunks.retain_in((id, 0, 0)..=(id, u64::MAX, u32::MAX), |_, _| false)?;
        self.snapshots.retain_in((id, 0)..=(id, u64::MAX), |_, _| false)?;
        self.history.retain_in((id, 0)..=(id, u64::MAX), |_, _| false)?;
        Ok(())
    }
}

/// The rows of `history` of a document, by their numbers.
pub(super) fn history_rows(
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    document: &DocumentKey,
    id: u64,
) -> Result<Vec<(u64, HistoryRow)>, Failure> {
    let mut rows = Vec::new();
    for entry in table.range((id, 0)..=(id, u64::MAX))? {
        let (key, sealed) = entry?;
        let number = key.value().1;
        let place = || format!("snapshot {number} of {document}");
        let (value, _) = unseal("history", &key_bytes(&[id, number]), sealed.value(), place)?;
        let row = HistoryRow::from_bytes(value)
            .ok_or_else(|| Failure::damage(format!("table `history`, {}", place()), "the row is too short"))?;
        rows.push((number, row));
    }
    Ok(rows)
}

impl Tables {
    /// The snapshots of `document`.
    pub(in crate::embedded) fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotEntry>, StoreError> {
        self.guarded(&format!("listing the snapshots of {document}"), || {
            let transaction = self.database.begin_read()?;
            let Some(row) = document_row(&transaction.open_table(DOCUMENTS)?, document)? else { return Ok(Vec::new()) };
            let snapshots = transaction.open_table(SNAPSHOTS)?;
            let history = history_rows(&transaction.open_table(HISTORY)?, document, row.id)?;
            let mut entries = Vec::new();
            for entry in snapshots.range((row.id, 0)..=(row.id, u64::MAX))? {
                let number = entry?.0.value().1;
                let stored = snapshot_row(&snapshots, document, row.id, number)?;
                let noted = history.iter().find(|(known, _)| *known == number).map(|(_, noted)| noted.clone());
                let noted = noted.unwrap_or_default();
                entries.push(SnapshotEntry {
                    number: SnapshotNumber(number),
                    taken_millis: noted.taken_millis,
                    name: Some(noted.name).filter(|name| !name.is_empty()),
                    bytes: stored.bytes,
                    is_current: number == row.snapshot,
                });
            }
            entries.sort_by_key(|entry| (entry.taken_millis, entry.number));
            Ok(entries)
        })
    }

    /// One snapshot.
    pub(in crate::embedded) fn snapshot(
        &self,
        document: &DocumentKey,
        number: SnapshotNumber,
    ) -> Result<Option<StoredSnapshot>, StoreError> {
        self.guarded(&format!("reading snapshot {} of {document}", number.0), || {
            let transaction = self.database.begin_read()?;
            let Some(row) = document_row(&transaction.open_table(DOCUMENTS)?, document)? else { return Ok(None) };
            let snapshots = transaction.open_table(SNAPSHOTS)?;
            if snapshots.get((row.id, number.0))?.is_none() {
                return Ok(None);
            }
            let stored = snapshot_row(&snapshots, document, row.id, number.0)?;
            let chunks = transaction.open_table(CHUNKS)?;
            let snapshot = snapshot_bytes(&chunks, document, row.id, number.0, &stored)?;
            Ok(Some(StoredSnapshot { snapshot, version: stored.version, actors: stored.actors }))
        })
    }

    /// The rows of the first segment from `from` on, kept or not, with their numbers of arrival, and where the next one begins.
    pub(in crate::embedded) fn log_segment(&self, document: &DocumentKey, from: u64) -> Result<SegmentLog, StoreError> {
        self.guarded(&format!("reading the log of {document}"), || {
            let transaction = self.database.begin_read()?;
            let Some(row) = document_row(&transaction.open_table(DOCUMENTS)?, document)? else {
                return Ok((Vec::new(), None));
            };
            let mut segments = segment_rows(&transaction.open_table(SEGMENTS)?, document, row.id)?;
            segments.extend(segment_rows_of("kept_segments", &transaction.open_table(KEPT)?, document, row.id)?);
            segments.retain(|(segment, _)| *segment >= from);
            segments.sort_unstable_by_key(|(segment, _)| *segment);
            let mut segments = segments.into_iter();
            let Some((segment, expected)) = segments.next() else { return Ok((Vec::new(), None)) };
            let log = transaction.open_table(LOG)?;
            let mut rows = Vec::new();
            read_segment(&log, document, row.id, segment, expected, |arrival, key, body| {
                let body = Bytes::copy_from_slice(body);
                rows.push((arrival, Row { document: document.clone(), key: key.row, body }));
            })?;
            rows.sort_unstable_by_key(|(arrival, _)| *arrival);
            Ok((rows, segments.next().map(|(segment, _)| segment)))
        })
    }

    /// Adds a snapshot to the document's past.
    pub(in crate::embedded) fn keep(
        &self,
        document: &DocumentKey,
        snapshot: StoredSnapshot,
        taken_millis: u64,
        name: Option<&str>,
    ) -> Result<SnapshotNumber, StoreError> {
        self.guarded(&format!("keeping a snapshot of {document}"), || {
            let transaction = begin(&self.database)?;
            let number = {
                let mut rows = Rows::open(&transaction)?;
                rows.check_alive(document)?;
                let row = rows.ensure(document)?;
                let mut past = Past::open(&transaction)?;
                if let Some(name) = name
                    && let Some(number) = past.named(document, row.id, name)?
                {
                    let known = snapshot_row(&past.snapshots, document, row.id, number)?;
                    return if known.hash == *blake3::hash(&snapshot.snapshot).as_bytes() {
                        Ok(SnapshotNumber(number))
                    } else {
                        Err(name_is_taken(document, name).into())
                    };
                }
                let number = past.next_number(row.id, row.snapshot)?;
                let StoredSnapshot { snapshot, version, actors } = snapshot;
                let history = HistoryRow { taken_millis, name: name.unwrap_or_default().to_owned() };
                past.put(row.id, number, &snapshot, version, actors, &history)?;
                number
            };
            transaction.commit()?;
            Ok(SnapshotNumber(number))
        })
    }

    /// Deletes the document, and says for ever in which incarnation its name goes on.
    pub(in crate::embedded) fn delete(&self, document: &DocumentKey, next: u64) -> Result<(), StoreError> {
        self.guarded(&format!("deleting {document}"), || {
            let transaction = begin(&self.database)?;
            {
                let mut names = transaction.open_table(NAMES)?;
                let known = names.get(&*document.name)?.map(|incarnation| incarnation.value());
                match known {
                    Some(known) if known == next => return Ok(()),
                    Some(known) if known != document.incarnation => {
                        return Err(StoreError::Deleted { document: document.clone() }.into());
                    }
                    _ => {}
                }
                names.insert(&*document.name, next)?;
                let mut documents = transaction.open_table(DOCUMENTS)?;
                if let Some(row) = document_row(&documents, document)? {
                    let (first, last) = (LogKey::bounds(row.id, 0).0, LogKey::bounds(row.id, u64::MAX).1);
                    transaction.open_table(LOG)?.retain_in(first.as_slice()..=last.as_slice(), |_, _| false)?;
                    for table in [SEGMENTS, KEPT] {
                        transaction.open_table(table)?.retain_in((row.id, 0)..=(row.id, u64::MAX), |_, _| false)?;
                    }
                    Past::open(&transaction)?.remove_all(row.id)?;
                    documents.remove((&*document.name, document.incarnation))?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }
}
