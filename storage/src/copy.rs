//! Copying everything from one store to another, whatever their engines; and comparing the two.
//!
//! Documents are copied one after the other in the order of their keys. Each step may be repeated, and what the target has already
//! is not written again: a copy that was cut off goes on where it was when it is started anew. The current snapshot comes last, so
//! that its target never opens a document with less than the rows that it covers. Nobody may write to the source meanwhile, nor to
//! the target.

use std::collections::HashSet;

use inkwire_document::VersionVector;
use inkwire_protocol::record::{Digest, LogRecord};

use crate::archive::{Archive, SnapshotEntry};
use crate::check::archive;
use crate::contents::{RowKey, covers};
use crate::error::StoreError;
use crate::store::{Append, DocumentKey, Loaded, Store};

/// Documents whose keys are asked for at a time: some engines read all keys for each page.
const PAGE: usize = 65_536;

/// Bytes of rows that are appended at a time.
const APPEND_BYTES: usize = 4 << 20;

/// How far a copy is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Documents that are done, those that were there already among them.
    pub documents: u64,
    /// Rows that were written.
    pub rows: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
    /// Bytes of operations and snapshots that were written.
    pub bytes: u64,
    /// Older snapshots that the target's engine does not keep.
    pub left_out: u64,
}

/// How many documents `store` has, by listing them all.
///
/// # Errors
///
/// As for [`Archive::documents`].
pub async fn count(store: &dyn Store) -> Result<u64, StoreError> {
    let archive = archive(store)?;
    let mut documents = Listing::default();
    let mut count = 0;
    while documents.next(archive).await?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Copies everything that `from` has into `to`, and tells `progress` after every document.
///
/// # Errors
///
/// The first of either store. What was copied stays; starting anew goes on from there.
pub async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Progress, StoreError> {
    let mut done = Progress::default();
    copy_incarnations(from, to).await?;
    let mut documents = Listing::default();
    while let Some(document) = documents.next(archive(from)?).await? {
        copy_document(from, to, &document, &mut done).await?;
        done.documents += 1;
        progress(done);
    }
    Ok(done)
}

/// The names that were deleted: what comes late for their earlier lives is refused by the target too.
async fn copy_incarnations(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    let (source, target) = (archive(from)?, archive(to)?);
    let mut after: Option<String> = None;
    loop {
        let page = source.deleted(after.as_deref(), PAGE).await?;
        for key in &page {
            let now = to.incarnation(&key.name).await?;
            if now != key.incarnation {
                target.delete(&DocumentKey::new(key.name.clone(), now), key.incarnation).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.name.to_string()),
            _ => return Ok(()),
        }
    }
}

async fn copy_document(
    from: &dyn Store,
    to: &dyn Store,
    document: &DocumentKey,
    done: &mut Progress,
) -> Result<(), StoreError> {
    let (source, target) = (archive(from)?, archive(to)?);
    let mut known = row_keys(target, document).await?;
    let covered = to.load(document).await?.snapshot.map(|stored| stored.version).unwrap_or_default();
    let mut rows = Rows { to, document, waiting: Vec::new(), bytes: 0 };
    let mut page = Some(None);
    while let Some(place) = page {
        let read = source.log(document, place).await?;
        for record in read.records {
            // What the target's snapshot covers and the target does not keep would come again every time.
            if known.insert(RowKey::of(&record)) && !covers(&covered, &record.batch) {
                done.rows += 1;
                done.bytes += record.batch.operations.len() as u64;
                rows.push(record).await?;
            }
        }
        page = read.next.map(Some);
    }
    rows.flush().await?;

    let present = target.snapshots(document).await?;
    let mut entries = source.snapshots(document).await?;
    entries.sort_by_key(|entry| entry.is_current);
    for entry in entries {
        if !entry.is_current && !target.keeps_history() {
            done.left_out += 1;
            continue;
        }
        if !entry.is_current && present.iter().any(|there| is_same(there, &entry)) {
            continue;
        }
        let Some(stored) = source.snapshot(document, entry.number).await? else { continue };
        if entry.is_current && stored.version == covered {
            continue;
        }
        done.snapshots += 1;
        done.bytes += entry.bytes;
        if entry.is_current {
            to.commit_snapshot(document, stored.snapshot, stored.version, stored.actors).await?;
        } else {
            target.keep(document, stored, entry.taken_millis, entry.name.as_deref()).await?;
        }
    }
    Ok(())
}

fn is_same(one: &SnapshotEntry, other: &SnapshotEntry) -> bool {
    (one.taken_millis, &one.name, one.bytes) == (other.taken_millis, &other.name, other.bytes)
}

async fn row_keys(archive: &dyn Archive, document: &DocumentKey) -> Result<HashSet<RowKey>, StoreError> {
    let mut keys = HashSet::new();
    let mut page = Some(None);
    while let Some(place) = page {
        let read = archive.log(document, place).await?;
        keys.extend(read.records.iter().map(RowKey::of));
        page = read.next.map(Some);
    }
    Ok(keys)
}

/// Rows on their way into the target.
struct Rows<'a> {
    to: &'a dyn Store,
    document: &'a DocumentKey,
    waiting: Vec<Append>,
    bytes: usize,
}

impl Rows<'_> {
    async fn push(&mut self, record: LogRecord) -> Result<(), StoreError> {
        self.bytes += record.batch.operations.len();
        self.waiting.push(Append { document: self.document.clone(), record });
        if self.bytes >= APPEND_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.bytes = 0;
        if self.waiting.is_empty() { Ok(()) } else { self.to.append(std::mem::take(&mut self.waiting)).await }
    }
}

/// What opening a document gives, in few bytes: what the snapshot covers and its hash, and the rows that count after it.
fn outline(loaded: Loaded) -> (VersionVector, Option<Digest>, Vec<RowKey>) {
    let (version, hash) = match loaded.snapshot {
        Some(stored) => (stored.version, Some(Digest::of(&stored.snapshot))),
        None => Default::default(),
    };
    let mut rows: Vec<RowKey> = loaded.records.iter().map(RowKey::of).collect();
    rows.sort_unstable();
    (version, hash, rows)
}

/// Compares what both have: every document as it is opened, the snapshots that are kept, and the names that were deleted. Hands
/// what differs to `report`, in words, and returns how many documents were compared.
///
/// # Errors
///
/// The first of either store.
pub async fn compare(
    one: &dyn Store,
    other: &dyn Store,
    mut report: impl FnMut(&DocumentKey, &'static str) + Send,
) -> Result<u64, StoreError> {
    let (first, second) = (archive(one)?, archive(other)?);
    let (mut left, mut right) = (Listing::default(), Listing::default());
    let (mut a, mut b) = (left.next(first).await?, right.next(second).await?);
    let mut compared = 0;
    loop {
        let document = match (&a, &b) {
            (None, None) => break,
            (Some(document), None) => document.clone(),
            (None, Some(document)) => document.clone(),
            (Some(document), Some(with)) => document.min(with).clone(),
        };
        compared += 1;
        match (a.as_ref() == Some(&document), b.as_ref() == Some(&document)) {
            (true, true) => {
                if one.incarnation(&document.name).await? != other.incarnation(&document.name).await? {
                    report(&document, "the name is in different incarnations");
                }
                if outline(one.load(&document).await?) != outline(other.load(&document).await?) {
                    report(&document, "it opens as something else");
                }
                let kept = |entries: Vec<SnapshotEntry>| {
                    let kept = entries.into_iter().filter(|entry| !entry.is_current);
                    let mut kept: Vec<_> = kept.map(|entry| (entry.taken_millis, entry.name, entry.bytes)).collect();
                    kept.sort_unstable();
                    kept
                };
                let both_keep = first.keeps_history() && second.keeps_history();
                if both_keep && kept(first.snapshots(&document).await?) != kept(second.snapshots(&document).await?) {
                    report(&document, "other snapshots are kept");
                }
            }
            (true, false) => report(&document, "only the first store has it"),
            _ => report(&document, "only the second store has it"),
        }
        if a.as_ref() == Some(&document) {
            a = left.next(first).await?;
        }
        if b.as_ref() == Some(&document) {
            b = right.next(second).await?;
        }
    }
    Ok(compared)
}

/// All documents of a store, page by page.
#[derive(Default)]
struct Listing {
    page: std::collections::VecDeque<DocumentKey>,
    after: Option<DocumentKey>,
    is_last: bool,
}

impl Listing {
    async fn next(&mut self, archive: &dyn Archive) -> Result<Option<DocumentKey>, StoreError> {
        if self.page.is_empty() && !self.is_last {
            let page = archive.documents(self.after.as_ref(), PAGE).await?;
            self.is_last = page.len() < PAGE;
            self.after = page.last().cloned();
            self.page = page.into();
        }
        Ok(self.page.pop_front())
    }
}
