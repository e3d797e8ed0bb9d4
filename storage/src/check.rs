//! Reading everything: whether every checksum holds, no counter is missing, and nothing is left that no document refers to.

use std::collections::BTreeMap;

use inkwire_document::{Actor, Limits, Snapshot, VersionVector};
use inkwire_protocol::record::{Digest, LogRecord};

use crate::archive::{Archive, Finding};
use crate::error::StoreError;
use crate::store::{DocumentKey, Loaded, Store, StoredSnapshot};

/// Documents whose keys are asked for at a time: some engines read all keys for each page.
const PAGE: usize = 65_536;

/// How much was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checked {
    /// Documents.
    pub documents: u64,
    /// Rows of their logs, those of kept segments among them.
    pub rows: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Bytes of operations and snapshots.
    pub bytes: u64,
}

/// Reads all documents of `store`, or `only` the one, and hands what is wrong to `report`.
///
/// # Errors
///
/// What keeps it from reading on, such as a store that is not there; damage is reported instead. [`StoreError::Refused`] when the
/// engine keeps no lists.
pub async fn check(
    store: &dyn Store,
    only: Option<&DocumentKey>,
    mut report: impl FnMut(Finding) + Send,
) -> Result<Checked, StoreError> {
    let archive = archive(store)?;
    let mut checked = Checked::default();
    if let Some(document) = only {
        check_document(store, archive, document, &mut checked, &mut report).await?;
        return Ok(checked);
    }
    let mut after = None;
    loop {
        let page = match archive.documents(after.as_ref(), PAGE).await {
            Ok(page) => page,
            Err(error) => {
                report(damage("the list of documents".to_owned(), error)?);
                break;
            }
        };
        for document in &page {
            check_document(store, archive, document, &mut checked, &mut report).await?;
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.clone()),
            _ => break,
        }
    }
    archive.strays().await?.into_iter().for_each(report);
    Ok(checked)
}

/// The archive of `store`.
///
/// # Errors
///
/// [`StoreError::Refused`] when the engine has none.
pub fn archive(store: &dyn Store) -> Result<&dyn Archive, StoreError> {
    store.archive().ok_or_else(|| StoreError::Refused { reason: "this engine keeps no history".to_owned() })
}

/// An error that is a finding, or that ends the check.
fn damage(place: String, error: StoreError) -> Result<Finding, StoreError> {
    match error {
        StoreError::Corrupt { .. } => Ok(Finding { is_damage: true, place, reason: error.to_string() }),
        error => Err(error),
    }
}

async fn check_document(
    store: &dyn Store,
    archive: &dyn Archive,
    document: &DocumentKey,
    checked: &mut Checked,
    report: &mut (impl FnMut(Finding) + Send),
) -> Result<(), StoreError> {
    checked.documents += 1;
    let mut found = |place: &str, reason: String| {
        report(Finding { is_damage: true, place: format!("{document}, {place}"), reason });
    };
    match store.load(document).await {
        Ok(loaded) => {
            if let Some(stored) = &loaded.snapshot {
                check_snapshot("the newest snapshot", stored, &mut found);
            }
            check_gaps(&loaded, &mut found);
        }
        // It was deleted meanwhile.
        Err(StoreError::Deleted { .. }) => return Ok(()),
        Err(error) => found("as it is opened", damage(String::new(), error)?.reason),
    }
    match archive.snapshots(document).await {
        Ok(entries) => {
            for entry in entries {
                checked.snapshots += 1;
                checked.bytes += entry.bytes;
                let place = format!("snapshot {}", entry.number.0);
                match archive.snapshot(document, entry.number).await {
                    Ok(Some(stored)) if !entry.is_current => check_snapshot(&place, &stored, &mut found),
                    Ok(_) => {}
                    Err(error) => found(&place, damage(String::new(), error)?.reason),
                }
            }
        }
        Err(error) => found("its snapshots", damage(String::new(), error)?.reason),
    }
    let mut from = None;
    loop {
        match archive.log(document, from).await {
            Ok(page) => {
                for record in &page.records {
                    checked.rows += 1;
                    checked.bytes += record.batch.operations.len() as u64;
                    check_record(record, &mut found);
                }
                match page.next {
                    Some(next) => from = Some(next),
                    None => return Ok(()),
                }
            }
            Err(error) => {
                found("its log", damage(String::new(), error)?.reason);
                return Ok(());
            }
        }
    }
}

fn check_snapshot(place: &str, stored: &StoredSnapshot, found: &mut impl FnMut(&str, String)) {
    match Snapshot::parse(stored.snapshot.clone()) {
        Ok(snapshot) if !snapshot.is_whole() => found(place, "it is a difference, not a whole state".to_owned()),
        Ok(snapshot) if *snapshot.version() != stored.version => {
            found(place, "it covers something else than is noted beside it".to_owned());
        }
        Ok(_) => {}
        Err(error) => found(place, error.to_string()),
    }
}

fn check_record(record: &LogRecord, found: &mut impl FnMut(&str, String)) {
    let batch = &record.batch;
    let place = || format!("the row of actor {} from counter {}", batch.actor, batch.first);
    if Digest::of(&batch.operations) != record.digest {
        found(&place(), "the operations do not match their digest".to_owned());
    } else if let Err(error) = batch.check(&Limits::default()) {
        found(&place(), error.to_string());
    }
}

/// Counters that are missing: what comes after them is stored and does not count.
fn check_gaps(loaded: &Loaded, found: &mut impl FnMut(&str, String)) {
    let none = VersionVector::new();
    let covered = loaded.snapshot.as_ref().map_or(&none, |stored| &stored.version);
    let mut rows: BTreeMap<Actor, Vec<(u64, u64)>> = BTreeMap::new();
    for record in &loaded.records {
        rows.entry(record.batch.actor).or_default().push((record.batch.first, record.batch.last()));
    }
    for (actor, mut rows) in rows {
        rows.sort_unstable();
        let mut held = covered.get(&actor);
        for (first, last) in rows {
            if first > held + 1 {
                let reason = format!("counters {} to {} are missing: what follows does not count", held + 1, first - 1);
                found(&format!("actor {actor}"), reason);
            }
            held = held.max(last);
        }
    }
}
