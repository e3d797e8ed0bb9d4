//! Rows that are durable in a journal and not in the tables yet: what a load adds to the tables, and what a settler
//! moves into them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::row::Row;
use crate::contents::RowKey;
use crate::store::DocumentKey;

/// The rows of all journals that are not settled.
#[derive(Debug)]
pub(super) struct Pending {
    open: PendingJournal,
    sealed: VecDeque<Arc<PendingJournal>>,
}

/// The rows of one journal.
#[derive(Debug)]
pub(super) struct PendingJournal {
    pub(super) number: u64,
    documents: HashMap<DocumentKey, PendingDocument>,
}

#[derive(Debug, Default)]
struct PendingDocument {
    rows: Vec<(u64, Row)>,
    keys: HashSet<RowKey>,
}

impl Pending {
    pub(super) fn new(number: u64) -> Self {
        Self { open: PendingJournal::new(number), sealed: VecDeque::new() }
    }

    /// Whether a row with the same document and key is here.
    pub(super) fn contains(&self, row: &Row) -> bool {
        self.journals().any(|journal| {
            journal.documents.get(&row.document).is_some_and(|document| document.keys.contains(&row.key))
        })
    }

    /// Adds a row of the open journal.
    pub(super) fn insert(&mut self, arrival: u64, row: Row) {
        // Two look-ups instead of one entry, which would clone the name of a document that is there already.
        if !self.open.documents.contains_key(&row.document) {
            self.open.documents.insert(row.document.clone(), PendingDocument::default());
        }
        if let Some(document) = self.open.documents.get_mut(&row.document) {
            document.keys.insert(row.key);
            document.rows.push((arrival, row));
        }
    }

    /// The rows of `document` with their numbers of arrival.
    pub(super) fn rows(&self, document: &DocumentKey) -> Vec<(u64, Row)> {
        let documents = self.journals().filter_map(|journal| journal.documents.get(document));
        documents.flat_map(|document| document.rows.iter().cloned()).collect()
    }

    /// The documents that have rows here, each once or more.
    pub(super) fn documents(&self) -> Vec<DocumentKey> {
        self.journals().flat_map(|journal| journal.documents.keys().cloned()).collect()
    }

    /// Sets the open journal's rows aside for the settler, and goes on with the journal `next`.
    pub(super) fn seal(&mut self, next: u64) {
        let sealed = std::mem::replace(&mut self.open, PendingJournal::new(next));
        self.sealed.push_back(Arc::new(sealed));
    }

    /// The number of the journal that is being written.
    pub(super) fn open_number(&self) -> u64 {
        self.open.number
    }

    /// How many journals wait for the settler.
    pub(super) fn sealed(&self) -> usize {
        self.sealed.len()
    }

    /// The journal to settle next.
    pub(super) fn oldest(&self) -> Option<Arc<PendingJournal>> {
        self.sealed.front().cloned()
    }

    /// Forgets the oldest sealed journal: its rows are in the tables.
    pub(super) fn settled(&mut self) {
        self.sealed.pop_front();
    }

    fn journals(&self) -> impl Iterator<Item = &PendingJournal> {
        self.sealed.iter().map(|journal| &**journal).chain([&self.open])
    }
}

impl PendingJournal {
    fn new(number: u64) -> Self {
        Self { number, documents: HashMap::new() }
    }

    /// All rows with their numbers of arrival.
    pub(super) fn rows(&self) -> Vec<(u64, &Row)> {
        let rows = self.documents.values().flat_map(|document| &document.rows);
        rows.map(|(arrival, row)| (*arrival, row)).collect()
    }
}
