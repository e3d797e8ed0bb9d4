//! The candidates behind one trait.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use fjall::{Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{Database, TableDefinition};

use crate::row::Row;

/// An engine that makes a group of rows durable with one call.
pub trait Candidate: Send {
    fn commit(&mut self, rows: &[Row]);
}

pub fn open(name: &str, directory: &Path) -> Box<dyn Candidate> {
    match name {
        "bare" => Box::new(Bare { file: File::create(directory.join("log")).expect("created"), buffer: Vec::new() }),
        "redb" => Box::new(Redb::open(directory, false, false)),
        "redb-2pc" => Box::new(Redb::open(directory, true, false)),
        "redb-arrival" => Box::new(Redb::open(directory, false, true)),
        "fjall" => Box::new(Fjall::open(directory)),
        other => panic!("no candidate is called {other}"),
    }
}

struct Bare {
    file: File,
    buffer: Vec<u8>,
}

impl Candidate for Bare {
    fn commit(&mut self, rows: &[Row]) {
        self.buffer.clear();
        for row in rows {
            self.buffer.extend_from_slice(&row.key());
            self.buffer.extend_from_slice(&row.value());
        }
        self.file.write_all(&self.buffer).expect("written");
        self.file.sync_data().expect("synced");
    }
}

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("log");
const ARRIVED: TableDefinition<u64, &[u8]> = TableDefinition::new("arrived");

/// `arrival`: rows keyed by their order of arrival instead of by document, so that a commit touches one edge of the
/// tree only; the rows would have to be moved to their documents later.
struct Redb {
    database: Database,
    two_phases: bool,
    arrival: bool,
    next: u64,
}

impl Redb {
    fn open(directory: &Path, two_phases: bool, arrival: bool) -> Self {
        let path = directory.join("store.redb");
        let database = Database::builder().set_cache_size(64 << 20).create(path).expect("created");
        Redb { database, two_phases, arrival, next: 0 }
    }
}

impl Candidate for Redb {
    fn commit(&mut self, rows: &[Row]) {
        let mut transaction = self.database.begin_write().expect("begun");
        transaction.set_two_phase_commit(self.two_phases);
        if self.arrival {
            let mut table = transaction.open_table(ARRIVED).expect("opened");
            for row in rows {
                let whole = [row.key().as_slice(), row.value().as_slice()].concat();
                table.insert(self.next, whole.as_slice()).expect("inserted");
                self.next += 1;
            }
        } else {
            let mut table = transaction.open_table(ROWS).expect("opened");
            for row in rows {
                table.insert(row.key().as_slice(), row.value().as_slice()).expect("inserted");
            }
        }
        transaction.commit().expect("committed");
    }
}

struct Fjall {
    database: fjall::Database,
    rows: Keyspace,
}

impl Fjall {
    fn open(directory: &Path) -> Self {
        let database = fjall::Database::builder(directory).cache_size(64 << 20).open().expect("opened");
        let rows = database.keyspace("log", KeyspaceCreateOptions::default).expect("created");
        Fjall { database, rows }
    }
}

impl Candidate for Fjall {
    fn commit(&mut self, rows: &[Row]) {
        let mut batch = self.database.batch();
        for row in rows {
            batch.insert(&self.rows, row.key().as_slice(), row.value().as_slice());
        }
        batch.commit().expect("committed");
        self.database.persist(PersistMode::SyncData).expect("synced");
    }
}
