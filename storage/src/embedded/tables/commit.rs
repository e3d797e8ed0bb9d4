//! Settling a journal's rows, and committing snapshots.

use std::collections::HashMap;

use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use redb::{ReadableTable, Table, WriteTransaction};

use super::load::{document_row, read_segment, segment_rows, snapshot_row};
use super::past::Past;
use super::schema::{
    DOCUMENTS, DocumentRow, HistoryRow, KEPT, LOG, LogKey, META, NAMES, SEGMENTS, SegmentRow, key_bytes, name_bytes,
    seal,
};
use super::{Failure, Tables, begin};
use crate::contents::{Succession, succession};
use crate::embedded::row::{Row, last_counter};
use crate::error::StoreError;
use crate::retention::Retention;
use crate::store::DocumentKey;

/// The tables that appended rows go to, opened once a transaction.
pub(super) struct Rows<'t> {
    meta: Table<'t, &'static str, u64>,
    documents: Table<'t, (&'static str, u64), &'static [u8]>,
    segments: Table<'t, (u64, u64), &'static [u8]>,
    kept: Table<'t, (u64, u64), &'static [u8]>,
    names: Table<'t, &'static str, u64>,
    log: Table<'t, &'static [u8], &'static [u8]>,
}

impl<'t> Rows<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, Failure> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            documents: transaction.open_table(DOCUMENTS)?,
            segments: transaction.open_table(SEGMENTS)?,
            kept: transaction.open_table(KEPT)?,
            names: transaction.open_table(NAMES)?,
            log: transaction.open_table(LOG)?,
        })
    }
}

impl Tables {
    /// Moves `rows`, with their numbers of arrival, into the tables, and says that the journal with `number` and all
    /// before it are in them. Rows that are there already change nothing. Commits even when there are no rows.
    pub(in crate::embedded) fn settle(&self, number: u64, rows: &[(u64, &Row)]) -> Result<(), StoreError> {
        self.guarded("settling rows", || {
            let transaction = begin(&self.database)?;
            {
                let mut tables = Rows::open(&transaction)?;
                tables.meta.insert("settled", number)?;
                if let Some(last) = rows.iter().map(|(arrival, _)| *arrival).max() {
                    tables.meta.insert("arrivals", last + 1)?;
                }
                let mut by_document: HashMap<&DocumentKey, Vec<(u64, &Row)>> = HashMap::new();
                for (arrival, row) in rows {
                    by_document.entry(&row.document).or_default().push((*arrival, row));
                }
                for (document, mut rows) in by_document {
                    // In the order of the table, and of two rows with one key the one that came first.
                    rows.sort_unstable_by_key(|(arrival, row)| (row.key, *arrival));
                    tables.settle(document, &rows)?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Commits a snapshot and removes what it covers.
    pub(in crate::embedded) fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: &Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
        (now_millis, retention): (u64, &Retention),
    ) -> Result<(), StoreError> {
        self.guarded(&format!("committing a snapshot of {document}"), || {
            let transaction = begin(&self.database)?;
            {
                let mut tables = Rows::open(&transaction)?;
                tables.check_alive(document)?;
                let mut row = tables.ensure(document)?;
                let id = row.id;
                let mut past = Past::open(&transaction)?;
                let stored = match row.snapshot {
                    0 => None,
                    stored => Some(snapshot_row(&past.snapshots, document, id, stored)?),
                };
                match succession(stored.as_ref().map(|stored| &stored.version), &version) {
                    Succession::Replaces => {}
                    Succession::Known => return Ok(()),
                    Succession::Diverged => {
                        return Err(StoreError::Diverged { document: document.clone() }.into());
                    }
                }
                tables.remove_covered(document, id, &version, retention.whole_log)?;
                past.thin(document, id, now_millis, retention)?;
                row.snapshot = past.next_number(id, row.snapshot)?;
                row.open_segment += 1;
                past.put(
                    id,
                    row.snapshot,
                    snapshot,
                    version,
                    actors,
                    &HistoryRow { taken_millis: now_millis, name: String::new() },
                )?;
                tables.put(document, row)?;
            }
            transaction.commit()?;
            Ok(())
        })
    }
}

impl Rows<'_> {
    fn settle(&mut self, document: &DocumentKey, rows: &[(u64, &Row)]) -> Result<(), Failure> {
        match self.check_alive(document) {
            // It was deleted after they came: they are gone with it.
            Err(Failure::Store(StoreError::Deleted { .. })) => return Ok(()),
            alive => alive?,
        }
        let DocumentRow { id, open_segment, .. } = self.ensure(document)?;
        let listed = segment_rows(&self.segments, document, id)?;
        let open = listed.iter().find(|(segment, _)| *segment == open_segment);
        let mut state = open.map_or_else(SegmentRow::default, |(_, state)| *state);

        for (arrival, row) in rows {
            let key = |segment| LogKey { document: id, segment, row: row.key }.to_bytes();
            let mut known = false;
            for (segment, _) in listed.iter().filter(|(segment, _)| *segment != open_segment) {
                known |= self.log.get(key(*segment).as_slice())?.is_some();
            }
            if known {
                continue;
            }
            let key = key(open_segment);
            let mut value = Vec::with_capacity(16 + row.body.len());
            value.extend_from_slice(&arrival.to_le_bytes());
            value.extend_from_slice(&row.body);
            let sealed = seal("log", &key, value);
            // Most rows are new, so it is inserted without looking first; one that was there is put back.
            let before = self.log.insert(key.as_slice(), sealed.as_slice())?.map(|row| row.value().to_vec());
            if let Some(before) = before {
                self.log.insert(key.as_slice(), before.as_slice())?;
                continue;
            }
            state.rows += 1;
            state.sum = state.sum.wrapping_add(last_u64(&sealed));
        }
        let sealed = seal("segments", &key_bytes(&[id, open_segment]), state.to_bytes());
        self.segments.insert((id, open_segment), sealed.as_slice())?;
        Ok(())
    }

    /// Refuses a document that was deleted.
    pub(super) fn check_alive(&self, document: &DocumentKey) -> Result<(), Failure> {
        match self.names.get(&*document.name)? {
            Some(incarnation) if incarnation.value() != document.incarnation => {
                Err(StoreError::Deleted { document: document.clone() }.into())
            }
            _ => Ok(()),
        }
    }

    /// The row of `document`, made if it is not there.
    pub(super) fn ensure(&mut self, document: &DocumentKey) -> Result<DocumentRow, Failure> {
        if let Some(row) = document_row(&self.documents, document)? {
            return Ok(row);
        }
        let id = 1 + self.meta.get("documents")?.map_or(0, |count| count.value());
        self.meta.insert("documents", id)?;
        let row = DocumentRow { id, open_segment: 1, snapshot: 0 };
        self.put(document, row)?;
        Ok(row)
    }

    fn put(&mut self, document: &DocumentKey, row: DocumentRow) -> Result<(), Failure> {
        let sealed = seal("documents", &name_bytes(&document.name, document.incarnation), row.to_bytes());
        self.documents.insert((&*document.name, document.incarnation), sealed.as_slice())?;
        Ok(())
    }

    /// Removes every segment whose rows are all in `version`, or sets it aside with `keep`.
    fn remove_covered(
        &mut self,
        document: &DocumentKey,
        id: u64,
        version: &VersionVector,
        keep: bool,
    ) -> Result<(), Failure> {
        for (segment, expected) in segment_rows(&self.segments, document, id)? {
            let mut covered = true;
            read_segment(&self.log, document, id, segment, expected, |_, key, body| {
                let last = last_counter(key.row.first, body);
                covered &= last.is_some_and(|last| last <= version.get(&key.row.actor));
            })?;
            if covered && keep {
                let sealed = seal("kept_segments", &key_bytes(&[id, segment]), expected.to_bytes());
                self.kept.insert((id, segment), sealed.as_slice())?;
                self.segments.remove((id, segment))?;
            } else if covered {
                let (first, last) = LogKey::bounds(id, segment);
                self.log.retain_in(first.as_slice()..=last.as_slice(), |_, _| false)?;
                self.segments.remove((id, segment))?;
            }
        }
        Ok(())
    }
}

/// The checksum at the end of a sealed value.
fn last_u64(sealed: &[u8]) -> u64 {
    sealed.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
