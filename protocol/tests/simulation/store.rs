//! A store that keeps its word and nothing more: what it has not acknowledged may be lost or kept by a crash, and writes end
//! in any order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, FoldError, Limits, Snapshot, VersionVector, fold};
use inkwire_protocol::random::Random;
use inkwire_protocol::record::{ActorRecord, LogRecord};
use inkwire_protocol::room::{FoldInput, Loaded, RecordNumber};

type Actors = Vec<ActorRecord>;

#[derive(Clone)]
pub struct Store {
    snapshot: Option<(Bytes, Actors)>,
    rows: Vec<LogRecord>,
    flights: Vec<Flight>,
    folding: Option<(Duration, Bytes, Actors)>,
}

#[derive(Clone)]
struct Flight {
    first: RecordNumber,
    last: RecordNumber,
    records: Vec<LogRecord>,
    done: Duration,
}

/// What ended by now.
pub enum Done {
    Stored(RecordNumber, RecordNumber),
    Folded(Snapshot),
}

impl Store {
    pub fn new() -> Self {
        Self { snapshot: None, rows: Vec::new(), flights: Vec::new(), folding: None }
    }

    pub fn append(&mut self, first: RecordNumber, last: RecordNumber, records: Vec<LogRecord>, done: Duration) {
        self.flights.push(Flight { first, last, records, done });
    }

    pub fn fold(&mut self, input: FoldInput, done: Duration) -> Result<(), FoldError> {
        let bytes = fold(input.snapshot.as_ref(), &input.batches)?;
        self.folding = Some((done, bytes, input.actors));
        Ok(())
    }

    pub fn next(&self) -> Option<Duration> {
        let folding = self.folding.as_ref().map(|(done, ..)| *done);
        self.flights.iter().map(|flight| flight.done).chain(folding).min()
    }

    pub fn take_done(&mut self, now: Duration) -> Option<Done> {
        if let Some(index) = self.flights.iter().position(|flight| flight.done <= now) {
            let flight = self.flights.remove(index);
            self.write(flight.records);
            return Some(Done::Stored(flight.first, flight.last));
        }
        let (_, bytes, actors) = self.folding.take_if(|(done, ..)| *done <= now)?;
        let snapshot = Snapshot::parse(bytes.clone()).expect("a fold gives a snapshot");
        self.snapshot = Some((bytes, actors));
        self.rows.retain(|row| row.batch.last() > snapshot.version().get(&row.batch.actor));
        Some(Done::Folded(snapshot))
    }

    /// A write of what is there already changes nothing.
    fn write(&mut self, records: Vec<LogRecord>) {
        let covered = self.snapshot_version();
        for record in records {
            let same = |row: &LogRecord| {
                row.batch.actor == record.batch.actor
                    && row.batch.first == record.batch.first
                    && row.digest == record.digest
            };
            if record.batch.last() > covered.get(&record.batch.actor) && !self.rows.iter().any(same) {
                self.rows.push(record);
            }
        }
    }

    /// The machine stops: each write under way is there afterwards or not.
    pub fn crash(&mut self, random: &mut Random) {
        self.folding = None;
        for flight in std::mem::take(&mut self.flights) {
            if random.one_in(3) {
                self.write(flight.records);
            }
        }
    }

    /// The machine stops: of what is under way those records are there afterwards that are to be kept.
    pub fn crash_keeping(&mut self, keep: impl Fn(&LogRecord) -> bool) {
        self.folding = None;
        for flight in std::mem::take(&mut self.flights) {
            self.write(flight.records.into_iter().filter(&keep).collect());
        }
    }

    pub fn load(&self) -> Loaded {
        let (snapshot, actors) = match &self.snapshot {
            Some((bytes, actors)) => (Some(self::parse(bytes)), actors.clone()),
            None => (None, Vec::new()),
        };
        Loaded { snapshot, actors, batches: self.rows.clone() }
    }

    /// Who wrote as every actor.
    pub fn subjects(&self) -> BTreeMap<Actor, Arc<str>> {
        let folded = self
            .snapshot
            .iter()
            .flat_map(|(_, actors)| actors.iter().map(|record| (record.actor, record.subject.clone())));
        let rows = self.rows.iter().map(|row| (row.batch.actor, row.subject.clone()));
        folded.chain(rows).collect()
    }

    fn snapshot_version(&self) -> VersionVector {
        self.snapshot.as_ref().map(|(bytes, _)| parse(bytes).version().clone()).unwrap_or_default()
    }

    /// The counters that are there, as far as nothing before them is missing.
    pub fn version(&self) -> VersionVector {
        let mut version = self.snapshot_version();
        let mut rows: Vec<&Batch> = self.rows.iter().map(|row| &row.batch).collect();
        rows.sort_by_key(|batch| (batch.actor, batch.first));
        for batch in rows {
            let held = version.dots.entry(batch.actor).or_default();
            if batch.first == *held + 1 {
                *held = batch.last();
            }
        }
        version
    }

    /// What a load gives: without what refers to something that a crash took, of which nobody was told, and without what goes
    /// on from it where another replica wrote something else there since.
    pub fn loaded(&self) -> Document {
        let mut document = Document::new();
        if let Some((bytes, _)) = &self.snapshot {
            document.merge(&parse(bytes)).expect("the snapshot is whole");
        }
        let mut rest: Vec<&Batch> = self.rows.iter().map(|row| &row.batch).collect();
        loop {
            let before = rest.len();
            rest.retain(|batch| {
                let next = document.version().get(&batch.actor) + 1;
                let checked = batch.check(&Limits::STANDARD).expect("it was checked");
                if batch.first > next || batch.first == next && !checked.is_covered_by(document.version()) {
                    return true;
                }
                if batch.first == next {
                    document.apply(batch).expect("it was checked");
                }
                false
            });
            if rest.len() == before {
                return document;
            }
        }
    }

    pub fn is_settled(&self) -> bool {
        self.flights.is_empty() && self.folding.is_none()
    }
}

fn parse(bytes: &Bytes) -> Snapshot {
    Snapshot::parse(bytes.clone()).expect("what was written is read")
}
