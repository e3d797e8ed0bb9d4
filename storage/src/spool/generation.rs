//! One generation of the spool: an embedded store in a directory of its own, written for a while and deleted as a whole.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use inkwire_document::{Actor, Batch};
use inkwire_protocol::record::LogRecord;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::embedded::{EmbeddedStore, Options};
use crate::error::StoreError;
use crate::store::{Append, DocumentKey, Store as _};

/// What the name of a mark begins with, and no document's does: that a document has it says that all of what the document was
/// loaded with is in this generation, or in one before it.
const MARK: char = '\0';

/// Memory for pages of a generation's tables: they are hardly ever read.
const CACHE_BYTES: usize = 4 << 20;

/// Memory for appends that wait for this disk.
const QUEUE_BYTES: usize = 16 << 20;

/// What a row takes beside its texts and operations, in a journal and in a table.
const ROW_OVERHEAD: usize = 200;

#[derive(Debug)]
pub(super) struct Generation {
    pub(super) number: u64,
    pub(super) directory: PathBuf,
    pub(super) store: EmbeddedStore,
    /// About what it takes on disk.
    pub(super) bytes: AtomicU64,
    /// Of it, what open documents were loaded with.
    pub(super) base_bytes: AtomicU64,
    /// Appends in it that the remote store is not known to have; one more while something is left to be drained.
    pub(super) unstored: AtomicUsize,
    /// Documents with something in it.
    pub(super) documents: Mutex<HashSet<DocumentKey>>,
    /// Documents that it holds whole, with what came before it.
    pub(super) based: Mutex<HashSet<DocumentKey>>,
    /// Documents whose rows have to be offered to the remote store again, in their order.
    pub(super) left: Mutex<BTreeSet<DocumentKey>>,
    /// When its first row was on its way to the remote store, and when the last one was acknowledged.
    pub(super) moments: Mutex<Option<(Instant, Instant)>>,
}

impl Generation {
    /// Opens the generation in `directory`, made if it is missing. Blocks.
    pub(super) fn open(directory: &Path, number: u64) -> Result<Self, StoreError> {
        let options = Options { cache_bytes: CACHE_BYTES, queue_bytes: QUEUE_BYTES, ..Options::default() };
        let store = EmbeddedStore::open(directory, &options)?;
        let bytes = bytes_on_disk(directory);
        let (mut documents, mut based) = (HashSet::new(), HashSet::new());
        for held in store.documents_at_opening()? {
            match held.name.strip_prefix(MARK) {
                Some(name) => based.insert(DocumentKey::new(name, held.incarnation)),
                None => documents.insert(held),
            };
        }
        let left: BTreeSet<DocumentKey> = documents.iter().cloned().collect();
        Ok(Self {
            number,
            directory: directory.to_owned(),
            store,
            bytes: AtomicU64::new(if documents.is_empty() { 0 } else { bytes }),
            base_bytes: AtomicU64::new(0),
            unstored: AtomicUsize::new(usize::from(!left.is_empty())),
            documents: Mutex::new(documents),
            based: Mutex::new(based),
            left: Mutex::new(left),
            moments: Mutex::new(None),
        })
    }

    /// Has everything in it offered again.
    pub(super) fn offer_again(&self) {
        let mut left = self.left.lock();
        if left.is_empty() {
            self.unstored.fetch_add(1, Ordering::Relaxed);
        }
        left.extend(self.documents.lock().iter().cloned());
        *self.moments.lock() = None;
    }

    /// The document's rows were offered again.
    pub(super) fn offered(&self, document: &DocumentKey) {
        let mut left = self.left.lock();
        if left.remove(document) && left.is_empty() {
            self.note();
            self.unstored.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Something of it is on its way to the remote store, or has arrived.
    pub(super) fn note(&self) {
        let now = Instant::now();
        self.moments.lock().get_or_insert((now, now)).1 = now;
    }

    /// Writes rows, and counts them.
    pub(super) async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        self.bytes.fetch_add(cost(&records), Ordering::Relaxed);
        {
            let mut documents = self.documents.lock();
            for Append { document, .. } in &records {
                if !documents.contains(document) {
                    documents.insert(document.clone());
                }
            }
        }
        self.store.append(records).await
    }

    /// Notes that `document` is held whole.
    pub(super) async fn mark(&self, document: &DocumentKey) -> Result<(), StoreError> {
        let batch = Batch { actor: Actor(1), first: 1, count: 1, operations: bytes::Bytes::new() };
        let mark = DocumentKey::new(format!("{MARK}{}", document.name), document.incarnation);
        let record = LogRecord::new(batch, Arc::from(""), 0);
        self.store.append(vec![Append { document: mark, record }]).await?;
        self.based.lock().insert(document.clone());
        Ok(())
    }

    pub(super) fn is_stored(&self) -> bool {
        self.unstored.load(Ordering::Relaxed) == 0
    }
}

/// About what rows take: once in a journal, once in a table.
pub(super) fn cost(records: &[Append]) -> u64 {
    let row = |Append { document, record }: &Append| {
        2 * (ROW_OVERHEAD + document.name.len() + record.subject.len() + record.batch.operations.len()) as u64
    };
    records.iter().map(row).sum()
}

fn bytes_on_disk(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

/// An append that the remote store is not known to have. Dropped without [`release`](Self::release), it stays so: its
/// generation is offered again by the next process.
#[derive(Debug)]
#[must_use]
pub(super) struct Held(Option<Arc<Generation>>);

impl Held {
    pub(super) fn new(generation: &Arc<Generation>) -> Self {
        generation.unstored.fetch_add(1, Ordering::Relaxed);
        generation.note();
        Self(Some(Arc::clone(generation)))
    }

    /// The remote store has it.
    pub(super) fn release(mut self) {
        if let Some(generation) = self.0.take() {
            generation.note();
            generation.unstored.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
