//! A document at a point of its past, from the snapshots that are kept and what is there of the log.

use inkwire_document::{Batch, Document, History, Limits, Snapshot, VersionVector};
use inkwire_protocol::record::{ActorRecord, LogRecord};
use inkwire_storage::check::archive;
use inkwire_storage::{Archive, DocumentKey, SnapshotEntry, Store, StoreError, StoredSnapshot};

use super::point::{Point, time_text, vector_text};

/// Why a state cannot be shown, in words for the one who asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PastError(pub String);

impl From<StoreError> for PastError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// A document as it was.
pub struct State {
    /// Its content.
    pub document: Document,
    /// Who wrote as each actor, as far as that is stored.
    pub actors: Vec<ActorRecord>,
    /// When a snapshot was taken that this is, where the log that led from it to the asked time is not kept: so the state is older
    /// than what was asked for.
    pub older_millis: Option<u64>,
}

/// What a store has of one document.
pub struct Past<'a> {
    store: &'a dyn Store,
    archive: &'a dyn Archive,
    /// Which document.
    pub key: DocumentKey,
}

impl<'a> Past<'a> {
    /// The past of the document that has `name` now.
    ///
    /// # Errors
    /// When nothing is stored under the name.
    pub async fn of(store: &'a dyn Store, name: &str) -> Result<Self, PastError> {
        let archive = archive(store)?;
        let key = DocumentKey::new(name, store.incarnation(name).await?);
        let past = Self { store, archive, key };
        if past.archive.snapshots(&past.key).await?.is_empty() && past.log().await?.is_empty() {
            return Err(PastError(if past.key.incarnation == 0 {
                format!("there is no document {name:?} in this store: see the names with `inkwire doc list`")
            } else {
                format!("the document {name:?} was deleted, and nothing has been written under its name since")
            }));
        }
        Ok(past)
    }

    /// The snapshots that are there, the oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotEntry>, PastError> {
        Ok(self.archive.snapshots(&self.key).await?)
    }

    /// All that is there of the log, in the order of arrival.
    pub async fn log(&self) -> Result<Vec<LogRecord>, PastError> {
        let mut seen = std::collections::HashSet::new();
        let mut records = Vec::new();
        let mut page = Some(None);
        while let Some(place) = page {
            let read = self.archive.log(&self.key, place).await?;
            let new = |record: &LogRecord| seen.insert((record.batch.actor, record.batch.first, record.digest));
            records.extend(read.records.into_iter().filter(new));
            page = read.next.map(Some);
        }
        Ok(records)
    }

    /// The newest state that is durable.
    pub async fn now(&self) -> Result<State, PastError> {
        let loaded = self.store.load(&self.key).await?;
        let mut state = self.start(loaded.snapshot)?;
        apply(&mut state, loaded.records.iter());
        Ok(state)
    }

    /// The state at a point; the newest one without.
    ///
    /// # Errors
    /// When what is kept does not reach back so far, or there was no such state.
    pub async fn at(&self, point: Option<&Point>) -> Result<State, PastError> {
        match point {
            None => self.now().await,
            Some(Point::Time(millis)) => self.at_time(*millis).await,
            Some(Point::Name(name)) => {
                let is_it = |entry: &SnapshotEntry| entry.name.as_deref() == Some(name);
                let what = format!("no snapshot of {} is called {name:?}", self.key.name);
                self.at_snapshot(is_it, &what).await
            }
            Some(Point::Number(number)) => {
                let what = format!("{} has no snapshot #{number}", self.key.name);
                self.at_snapshot(|entry| entry.number.0 == *number, &what).await
            }
            Some(Point::Vector(vector)) => self.at_vector(vector).await,
        }
    }

    async fn at_snapshot(&self, is_it: impl Fn(&SnapshotEntry) -> bool, missing: &str) -> Result<State, PastError> {
        let entries = self.snapshots().await?;
        let entry = entries
            .iter()
            .find(|entry| is_it(entry))
            .ok_or_else(|| PastError(format!("{missing}: `inkwire doc log {}` shows what is kept", self.key.name)))?;
        let stored = self.stored(entry).await?;
        self.start(Some(stored))
    }

    async fn at_time(&self, millis: u64) -> Result<State, PastError> {
        let entries = self.snapshots().await?;
        let (before, after): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.taken_millis <= millis);
        let base = match before.last() {
            Some(entry) => Some(self.stored(entry).await?),
            None => None,
        };
        let mut state = self.start(base)?;
        let log = self.log().await?;
        apply(&mut state, log.iter().filter(|record| record.received_millis <= millis));
        // Whether nothing is missing between the snapshot and that time: then the log leads up to the next one.
        if let Some(next) = after.first() {
            let next = self.stored(next).await?;
            let mut reached = state.document.version().clone();
            let mut rows: Vec<&Batch> = log.iter().map(|record| &record.batch).collect();
            rows.sort_unstable_by_key(|batch| (batch.actor, batch.first));
            for batch in rows {
                let held = reached.get(&batch.actor);
                if batch.first <= held + 1 && batch.last() > held {
                    reached.dots.insert(batch.actor, batch.last());
                }
            }
            if next.version.dots.iter().any(|(actor, counter)| reached.get(actor) < *counter) {
                let Some(base) = before.last() else {
                    let first = time_text(after[0].taken_millis);
                    return Err(PastError(format!(
                        "what {} was at {} is not kept: the first state that is kept is of {first}; to keep more, see \
                         --keep-snapshots and --keep-log of `inkwire serve`",
                        self.key.name,
                        time_text(millis)
                    )));
                };
                state.older_millis = Some(base.taken_millis);
            }
        }
        Ok(state)
    }

    async fn at_vector(&self, vector: &VersionVector) -> Result<State, PastError> {
        let mut base: Option<StoredSnapshot> = None;
        for entry in self.snapshots().await? {
            let stored = self.stored(&entry).await?;
            let fits = stored.version.dots.iter().all(|(actor, counter)| vector.get(actor) >= *counter);
            // Of two that fit the later one is nearer.
            if fits && base.as_ref().is_none_or(|known| known.version <= stored.version) {
                base = Some(stored);
            }
        }
        let batches: Vec<Batch> = self.log().await?.into_iter().map(|record| record.batch).collect();
        let actors = base.as_ref().map(|stored| stored.actors.clone()).unwrap_or_default();
        let snapshot = base.map(|stored| parse(stored.snapshot)).transpose()?;
        let document = History::new(snapshot.as_ref(), &batches).at(vector).map_err(|error| {
            PastError(format!("{} cannot be shown at {}: {error}", self.key.name, vector_text(vector)))
        })?;
        Ok(State { document, actors, older_millis: None })
    }

    async fn stored(&self, entry: &SnapshotEntry) -> Result<StoredSnapshot, PastError> {
        let stored = self.archive.snapshot(&self.key, entry.number).await?;
        stored.ok_or_else(|| {
            PastError(format!("snapshot #{} of {} was thinned meanwhile: try again", entry.number.0, self.key.name))
        })
    }

    fn start(&self, base: Option<StoredSnapshot>) -> Result<State, PastError> {
        let mut document = Document::new();
        let mut actors = Vec::new();
        if let Some(stored) = base {
            document.merge(&parse(stored.snapshot)?).map_err(|error| PastError(error.to_string()))?;
            actors = stored.actors;
        }
        Ok(State { document, actors, older_millis: None })
    }
}

fn parse(snapshot: bytes::Bytes) -> Result<Snapshot, PastError> {
    Snapshot::parse(snapshot)
        .map_err(|error| PastError(format!("a stored snapshot is damaged ({error}): run `inkwire doc fsck`")))
}

/// Applies what goes on from the state.
fn apply<'r>(state: &mut State, records: impl Iterator<Item = &'r LogRecord>) {
    for record in follow(&mut state.document, records) {
        if !state.actors.iter().any(|known| known.actor == record.batch.actor) {
            let subject = record.subject.clone();
            state.actors.push(ActorRecord { actor: record.batch.actor, subject, chain: None });
        }
    }
    // Of who wrote nothing that counts nothing is said.
    let version = state.document.version();
    state.actors.retain(|record| version.get(&record.actor) > 0);
    for record in &mut state.actors {
        record.chain = None;
    }
}

/// Applies those records of a log that a room takes that is loaded with it, and gives them. What comes after a gap waits, and does not
/// count where the gap stays. What begins before what is held and reaches beyond was written over by somebody else who wrote as its
/// actor: no part of it counts.
pub(super) fn follow<'r>(document: &mut Document, records: impl Iterator<Item = &'r LogRecord>) -> Vec<&'r LogRecord> {
    let (mut rest, mut taken): (Vec<&LogRecord>, Vec<&LogRecord>) = (records.collect(), Vec::new());
    loop {
        let before = rest.len();
        rest.retain(|record| {
            let batch = &record.batch;
            let next = document.version().get(&batch.actor).saturating_add(1);
            // A batch that no replica takes is shown by none.
            let Ok(checked) = batch.check(&Limits::STANDARD) else { return false };
            if batch.first > next || batch.first == next && !checked.is_covered_by(document.version()) {
                return true;
            }
            if batch.first == next && document.apply(batch).is_ok() {
                taken.push(record);
            }
            false
        });
        if rest.len() == before {
            return taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use inkwire_document::{Actor, Position};

    use super::*;

    fn typed(text: &str, words: &[&str]) -> Vec<LogRecord> {
        let mut document = Document::new();
        document.set_actor(Actor(1), 1);
        let written = words.iter().flat_map(|word| {
            let end = document.text(text).len_scalars();
            document.insert(text, Position::Scalar(end), word).unwrap();
            document.take_batches()
        });
        written.map(|batch| LogRecord::new(batch, "alice".into(), 0)).collect()
    }

    #[test]
    fn what_was_written_over_does_not_count() {
        let lost = typed("body", &["one ", "two ", "three ", "four"]);
        let other = typed("body", &["one ", "another ", "more"]);
        // A crash kept the third and not the second, and a copy of the page wrote on from the first.
        let log = [&lost[0], &lost[2], &lost[3], &other[1], &other[2]];
        let mut document = Document::new();
        let taken = follow(&mut document, log.into_iter());
        assert_eq!(document.text("body").to_string(), "one another more");
        assert_eq!(taken, [&lost[0], &other[1], &other[2]]);
        let mut document = Document::new();
        follow(&mut document, [&other[2], &other[1], &other[0]].into_iter());
        assert_eq!(document.text("body").to_string(), "one another more", "in whatever order it was stored");
        let mut document = Document::new();
        assert_eq!(follow(&mut document, [&lost[0], &lost[2]].into_iter()), [&lost[0]], "after a gap nothing counts");
    }
}
