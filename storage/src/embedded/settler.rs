//! The thread that writes the tables: it moves rows there from journals that are full, and commits snapshots.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shared;
use super::disk::Disk;
use super::journal::{self, Journal};
use super::tables::{FILE, Tables};
use crate::archive::SnapshotNumber;
use crate::error::StoreError;
use crate::store::{DocumentKey, StoredSnapshot};

/// What the settler is asked to do.
pub(super) enum Job {
    /// Make the journal with this number ahead of its time.
    Spare(u64),
    /// This journal is full and the next one in use.
    Settle(Journal),
    /// Commit a snapshot.
    Snapshot(Box<Snapshot>),
    /// Change something that is off the path of edits.
    Change(Box<Change>),
    /// Nothing more will come.
    End,
}

/// One call of `commit_snapshot`.
pub(super) struct Snapshot {
    pub(super) document: DocumentKey,
    pub(super) snapshot: Bytes,
    pub(super) version: VersionVector,
    pub(super) actors: Vec<ActorRecord>,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
    /// The room that it takes, until it is done.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What is to be changed in the tables, and who is told.
pub(super) enum Change {
    /// One call of `keep`.
    Keep {
        document: DocumentKey,
        snapshot: StoredSnapshot,
        taken_millis: u64,
        name: Option<String>,
        done: oneshot::Sender<Result<SnapshotNumber, StoreError>>,
    },
    /// One call of `delete`.
    Delete { document: DocumentKey, next: u64, done: oneshot::Sender<Result<(), StoreError>> },
}

pub(super) struct Settler {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) tables: Arc<Tables>,
    pub(super) jobs: Receiver<Job>,
}

impl Settler {
    pub(super) fn run(self) {
        while let Ok(job) = self.jobs.recv() {
            match job {
                Job::Spare(number) => self.make_spare(number),
                Job::Settle(full) => self.settle(&full),
                Job::Snapshot(snapshot) => self.commit(*snapshot),
                Job::Change(change) => self.change(*change),
                Job::End => break,
            }
        }
    }

    /// Makes the next journal, so that the writer need not stop for it. A writer that was quicker makes it itself.
    fn make_spare(&self, number: u64) {
        let mut spare = self.shared.spare.lock();
        if self.shared.failure().is_none() && self.shared.pending.read().open_number() + 1 == number {
            match Journal::create(self.disk.as_ref(), number) {
                Ok(journal) => *spare = Some(journal),
                Err(error) => self.shared.fail(error),
            }
        }
    }

    fn settle(&self, full: &Journal) {
        let oldest = self.shared.pending.read().oldest();
        let Some(sealed) = oldest else { return };
        if self.shared.failure().is_some() {
            return;
        }
        match full.sync().and_then(|()| self.tables.settle(sealed.number, &sealed.rows())) {
            Ok(()) => {
                self.shared.pending.write().settled();
                remove_journal(self.disk.as_ref(), sealed.number);
            }
            // The rows stay in the journal and in memory; nothing is lost, but the store goes no further.
            Err(error) => self.shared.fail(self.write_error(error)),
        }
        self.shared.settled();
    }

    fn commit(&self, job: Snapshot) {
        let result = self.write(|| {
            let rules = &self.shared.rules;
            let history = (rules.now_millis(), &rules.of(&job.document.name));
            self.tables.commit_snapshot(&job.document, &job.snapshot, job.version, job.actors, history)
        });
        let _ = job.done.send(result);
    }

    fn change(&self, change: Change) {
        match change {
            Change::Keep { document, snapshot, taken_millis, name, done } => {
                let _ = done.send(self.write(|| self.tables.keep(&document, snapshot, taken_millis, name.as_deref())));
            }
            Change::Delete { document, next, done } => {
                let result = self.write(|| self.tables.delete(&document, next));
                if result.is_ok() {
                    self.shared.incarnations.write().insert(document.name, next);
                }
                let _ = done.send(result);
            }
        }
    }

    fn write<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        work().map_err(|error| match error {
            // Of this one document: the transaction was given up and changed nothing.
            StoreError::Diverged { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Deleted { .. }
            | StoreError::Refused { .. } => error,
            error => {
                let error = self.write_error(error);
                self.shared.fail(error.clone());
                error
            }
        })
    }

    /// After a write or sync of the tables failed, nobody knows what the disk holds.
    fn write_error(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Unavailable { reason, .. } => {
                StoreError::ReadOnly { file: self.disk.directory().join(FILE), reason }
            }
            error => error,
        }
    }
}

/// Removes the journal with `number`, which is settled. One that stays is removed at the next opening.
pub(super) fn remove_journal(disk: &dyn Disk, number: u64) {
    let name = journal::name(number);
    if let Err(error) = disk.remove(&name) {
        tracing::warn!(file = %disk.directory().join(name).display(), %error, "a settled journal could not be removed");
    }
}
