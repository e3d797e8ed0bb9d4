//! Which documents there are, and what nothing refers to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use redb::{ReadableDatabase, ReadableTable};

use super::load::{document_row, segment_rows_of, snapshot_row};
use super::past::history_rows;
use super::schema::{CHUNKS, DOCUMENTS, HISTORY, KEPT, LOG, LogKey, NAMES, SEGMENTS, SNAPSHOTS};
use super::{FILE, Failure, Tables};
use crate::archive::Finding;
use crate::error::StoreError;
use crate::store::DocumentKey;

/// The most that one look finds: a store that is damaged throughout says the same again and again.
const MAX_FINDINGS: usize = 1000;

/// A look at some tables: notes what is known, and what is wrong.
type Step = fn(&Tables, &mut Known, &mut Vec<Finding>) -> Result<(), Failure>;

/// What is known of the documents, to be held against the tables.
#[derive(Default)]
struct Known {
    documents: HashMap<u64, DocumentKey>,
    /// Listed segments, kept or not.
    segments: BTreeSet<(u64, u64)>,
    /// Snapshots with their numbers of chunks.
    snapshots: BTreeMap<(u64, u64), u32>,
}

impl Tables {
    /// Up to `limit` documents after `after`.
    pub(in crate::embedded) fn documents(
        &self,
        after: Option<&DocumentKey>,
        limit: usize,
    ) -> Result<Vec<DocumentKey>, StoreError> {
        self.guarded("listing documents", || {
            let table = self.database.begin_read()?.open_table(DOCUMENTS)?;
            let from = match after {
                Some(key) => Bound::Excluded((&*key.name, key.incarnation)),
                None => Bound::Unbounded,
            };
            let mut documents = Vec::new();
            for entry in table.range::<(&str, u64)>((from, Bound::Unbounded))?.take(limit) {
                let (key, _) = entry?;
                documents.push(DocumentKey::new(key.value().0, key.value().1));
            }
            Ok(documents)
        })
    }

    /// Up to `limit` names that were deleted, after `after`, and the incarnation of each.
    pub(in crate::embedded) fn deleted(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentKey>, StoreError> {
        self.guarded("listing names", || {
            let table = self.database.begin_read()?.open_table(NAMES)?;
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut names = Vec::new();
            for entry in table.range::<&str>((from, Bound::Unbounded))?.take(limit) {
                let (name, incarnation) = entry?;
                names.push(DocumentKey::new(name.value(), incarnation.value()));
            }
            Ok(names)
        })
    }

    /// What no document refers to, and lists that do not hold.
    pub(in crate::embedded) fn strays(&self) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        let mut known = Known::default();
        // Each step on its own: damage in one table must not hide what the others say.
        let steps: [Step; 4] =
            [Self::survey_documents, Self::survey_segments, Self::survey_snapshots, Self::survey_chunks];
        for step in steps {
            if let Err(error) = self.guarded("looking for strays", || step(self, &mut known, &mut findings)) {
                findings.push(self.damage(&error));
            }
        }
        findings.truncate(MAX_FINDINGS);
        Ok(findings)
    }

    fn damage(&self, error: &StoreError) -> Finding {
        match error {
            StoreError::Corrupt { place, reason, .. } => {
                Finding { is_damage: true, place: format!("{FILE}, {place}"), reason: reason.clone() }
            }
            error => Finding { is_damage: true, place: FILE.to_owned(), reason: error.to_string() },
        }
    }

    fn survey_documents(&self, known: &mut Known, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let transaction = self.database.begin_read()?;
        let documents = transaction.open_table(DOCUMENTS)?;
        let (history, snapshots) = (transaction.open_table(HISTORY)?, transaction.open_table(SNAPSHOTS)?);
        let lists = [("segments", transaction.open_table(SEGMENTS)?), ("kept_segments", transaction.open_table(KEPT)?)];
        for entry in documents.iter()? {
            let (key, _) = entry?;
            let document = DocumentKey::new(key.value().0, key.value().1);
            let mut one = || {
                let Some(row) = document_row(&documents, &document)? else { return Ok(()) };
                known.documents.insert(row.id, document.clone());
                for (name, table) in &lists {
                    let rows = segment_rows_of(name, table, &document, row.id)?;
                    known.segments.extend(rows.into_iter().map(|(segment, _)| (row.id, segment)));
                }
                let listed = history_rows(&history, &document, row.id)?.into_iter().map(|(number, _)| number);
                let current = Some(row.snapshot).filter(|number| *number != 0);
                for number in listed.chain(current).collect::<BTreeSet<_>>() {
                    let chunks = snapshot_row(&snapshots, &document, row.id, number)?.chunks;
                    known.snapshots.insert((row.id, number), chunks);
                }
                Ok(())
            };
            if let Err(failure) = one() {
                let failure: Failure = failure;
                findings.push(self.damage(&failure.at(&self.path, "looking for strays")));
            }
        }
        Ok(())
    }

    fn survey_segments(&self, known: &mut Known, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let transaction = self.database.begin_read()?;
        for (name, table) in [("segments", SEGMENTS), ("kept_segments", KEPT)] {
            for entry in transaction.open_table(table)?.iter()? {
                let (id, segment) = entry?.0.value();
                if !known.documents.contains_key(&id) {
                    findings.push(stray(format!("table `{name}`, segment {segment} of document {id}")));
                }
            }
        }
        let mut orphans: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for entry in transaction.open_table(LOG)?.iter()? {
            let (key, _) = entry?;
            let Some(key) = LogKey::from_bytes(key.value()) else { continue };
            if !known.segments.contains(&(key.document, key.segment)) {
                *orphans.entry((key.document, key.segment)).or_default() += 1;
            }
        }
        for ((id, segment), rows) in orphans {
            let of = known.documents.get(&id).map_or_else(|| format!("document {id}"), ToString::to_string);
            findings.push(stray(format!("table `log`, {rows} rows of segment {segment} of {of}")));
        }
        Ok(())
    }

    fn survey_snapshots(&self, known: &mut Known, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let transaction = self.database.begin_read()?;
        for (name, table) in [("snapshots", SNAPSHOTS), ("history", HISTORY)] {
            for entry in transaction.open_table(table)?.iter()? {
                let (id, number) = entry?.0.value();
                if !known.snapshots.contains_key(&(id, number)) {
                    let of = known.documents.get(&id).map_or_else(|| format!("document {id}"), ToString::to_string);
                    findings.push(stray(format!("table `{name}`, snapshot {number} of {of}")));
                }
            }
        }
        Ok(())
    }

    fn survey_chunks(&self, known: &mut Known, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let transaction = self.database.begin_read()?;
        let mut orphans: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for entry in transaction.open_table(CHUNKS)?.iter()? {
            let (id, number, chunk) = entry?.0.value();
            if known.snapshots.get(&(id, number)).is_none_or(|chunks| chunk >= *chunks) {
                *orphans.entry((id, number)).or_default() += 1;
            }
        }
        for ((id, number), chunks) in orphans {
            let of = known.documents.get(&id).map_or_else(|| format!("document {id}"), ToString::to_string);
            findings.push(stray(format!("table `snapshot_chunks`, {chunks} chunks of snapshot {number} of {of}")));
        }
        Ok(())
    }
}

fn stray(place: String) -> Finding {
    Finding { is_damage: false, place, reason: "nothing refers to it".to_owned() }
}
