//! An engine that keeps everything in memory, by the rules of the durable ones: for tests and simulators.

mod past;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::{ActorRecord, LogRecord};
use parking_lot::Mutex;

use self::past::Past;
use crate::archive::Archive;
use crate::contents::{RowKey, Succession, covers, succession};
use crate::error::StoreError;
use crate::retention::HistoryRules;
use crate::store::{Append, DocumentKey, Loaded, Store, StoredSnapshot};

/// Keeps documents in memory for as long as it lives; clones share them. Memory grows with what is stored.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    rules: HistoryRules,
}

#[derive(Debug, Default)]
struct State {
    documents: HashMap<DocumentKey, Document>,
    incarnations: HashMap<Arc<str>, u64>,
    refusal: Option<StoreError>,
}

#[derive(Debug, Default)]
struct Document {
    snapshot: Option<StoredSnapshot>,
    open_segment: u64,
    segments: BTreeMap<u64, Segment>,
    past: Past,
}

#[derive(Debug, Default)]
struct Segment {
    keys: HashSet<RowKey>,
    records: Vec<LogRecord>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that keeps documents' past by `rules`.
    pub fn with_rules(rules: HistoryRules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Answers every call with `refusal` from now on, or serves again when it is `None`: a store that fails on demand.
    pub fn refuse(&self, refusal: Option<StoreError>) {
        self.state.lock().refusal = refusal;
    }

    /// Gives `name` a new life: what follows is stored under `incarnation`, as after a deletion.
    pub fn set_incarnation(&self, name: &str, incarnation: u64) {
        self.state.lock().incarnations.insert(name.into(), incarnation);
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        match &state.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => work(&mut state),
        }
    }
}

impl State {
    /// Refuses a document that was deleted: its name goes on as another.
    fn check_alive(&self, document: &DocumentKey) -> Result<(), StoreError> {
        match self.incarnations.get(&document.name) {
            Some(incarnation) if *incarnation != document.incarnation => {
                Err(StoreError::Deleted { document: document.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Document {
    fn load(&self) -> Loaded {
        let none = VersionVector::new();
        let version = self.snapshot.as_ref().map_or(&none, |snapshot| &snapshot.version);
        let rows = self.segments.values().flat_map(|segment| &segment.records);
        Loaded {
            snapshot: self.snapshot.clone(),
            records: rows.filter(|record| !covers(version, &record.batch)).cloned().collect(),
            ..Loaded::default()
        }
    }

    fn append(&mut self, record: LogRecord) {
        let key = RowKey::of(&record);
        if self.segments.values().any(|segment| segment.keys.contains(&key)) {
            return;
        }
        let segment = self.segments.entry(self.open_segment).or_default();
        segment.keys.insert(key);
        segment.records.push(record);
    }

    fn commit(&mut self, snapshot: StoredSnapshot, rules: &HistoryRules, name: &str) {
        let is_covered =
            |segment: &Segment| segment.records.iter().all(|record| covers(&snapshot.version, &record.batch));
        let covered: Vec<u64> =
            self.segments.iter().filter(|(_, segment)| is_covered(segment)).map(|(number, _)| *number).collect();
        // Taken out whether they are kept or not.
        let covered: Vec<_> =
            covered.into_iter().filter_map(|number| Some((number, self.segments.remove(&number)?.records))).collect();
        self.past.succeed(self.snapshot.take(), covered.into_iter(), rules.now_millis(), &rules.of(name));
        self.open_segment += 1;
        self.snapshot = Some(snapshot);
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        self.with_state(|state| {
            state.check_alive(document)?;
            Ok(state.documents.get(document).map(Document::load).unwrap_or_default())
        })
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        self.with_state(|state| {
            for append in &records {
                state.check_alive(&append.document)?;
            }
            for Append { document, record } in records {
                state.documents.entry(document).or_default().append(record);
            }
            Ok(())
        })
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        self.with_state(|state| {
            state.check_alive(document)?;
            let stored = state.documents.entry(document.clone()).or_default();
            match succession(stored.snapshot.as_ref().map(|stored| &stored.version), &version) {
                Succession::Known => {}
                Succession::Diverged => {
                    return Err(StoreError::Diverged { document: document.clone() });
                }
                Succession::Replaces => {
                    stored.commit(StoredSnapshot { snapshot, version, actors }, &self.rules, &document.name);
                }
            }
            Ok(())
        })
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        self.with_state(|state| Ok(state.incarnations.get(name).copied().unwrap_or(0)))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.with_state(|_| Ok(()))
    }

    fn archive(&self) -> Option<&dyn Archive> {
        Some(self)
    }

    async fn close(&self) {
        self.state.lock().refusal = Some(StoreError::Closed);
    }
}
