//! The tables: where rows and snapshots live once they left the journal.
//!
//! A redb file. Every commit is in two phases, so that no page that the new root refers to was written by a sync that
//! failed, and records the allocator's state, so that opening after a crash costs nothing. Every value ends with a
//! checksum over its key and itself; a segment's row counts and sums its rows, so that a row cannot vanish unseen.
//!
//! - [`schema`]: tables, keys and values as bytes.
//! - [`load`]: reading a document.
//! - [`commit`]: settling a journal's rows, and committing snapshots.
//! - [`past`]: snapshots that are kept, segments that are kept, deleting. [`survey`]: lists, and what nothing refers to.
//! - [`failure`]: redb's errors as the store's.

mod commit;
mod failure;
mod load;
mod past;
mod schema;
mod survey;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use redb::{Database, ReadableDatabase, TableError};

use super::backend::Backend;
use super::disk::Disk;
use super::journal::FORMAT;
use crate::error::StoreError;
use failure::Failure;
use schema::{DOCUMENTS, HISTORY, KEPT, META, NAMES};

/// The tables' file.
pub(super) const FILE: &str = "store.redb";

/// The tables of an open store. One thread writes, any number read.
pub(super) struct Tables {
    database: Database,
    path: PathBuf,
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tables").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Tables {
    /// Makes an empty file, durably.
    pub(super) fn create(disk: &dyn Disk) -> Result<(), StoreError> {
        let path = disk.directory().join(FILE);
        let temporary = format!("{FILE}.new");
        let failed = |error| StoreError::unavailable(format!("creating {}", path.display()), error);
        let file = disk.create(&temporary).map_err(failed)?;
        guarded(&path, "creating", || {
            let database = Database::builder().create_with_backend(Backend(file))?;
            let transaction = begin(&database)?;
            {
                let mut meta = transaction.open_table(META)?;
                meta.insert("format", u64::from(FORMAT))?;
                meta.insert("settled", 0)?;
                meta.insert("documents", 0)?;
                transaction.open_table(DOCUMENTS)?;
                transaction.open_table(NAMES)?;
                transaction.open_table(schema::LOG)?;
                transaction.open_table(schema::SEGMENTS)?;
                transaction.open_table(schema::SNAPSHOTS)?;
                transaction.open_table(schema::CHUNKS)?;
                transaction.open_table(HISTORY)?;
                transaction.open_table(KEPT)?;
            }
            transaction.commit()?;
            database.close()?;
            Ok(())
        })?;
        disk.rename(&temporary, FILE).and_then(|()| disk.sync_directory()).map_err(failed)
    }

    /// Opens the file; with `verify` every page's checksum is checked first.
    pub(super) fn open(disk: &dyn Disk, cache_bytes: usize, verify: bool) -> Result<Self, StoreError> {
        let path = disk.directory().join(FILE);
        let file =
            disk.open(FILE).map_err(|error| StoreError::unavailable(format!("opening {}", path.display()), error))?;
        let database = guarded(&path, "opening", || {
            Ok(Database::builder()
                .set_cache_size(cache_bytes)
                .set_check_integrity_on_open(verify)
                .create_with_backend(Backend(file))?)
        })?;
        let tables = Self { database, path };
        match tables.meta("format")? {
            Some(found) if found == u64::from(FORMAT) => {
                tables.complete()?;
                Ok(tables)
            }
            Some(found) => Err(StoreError::Format {
                file: tables.path,
                found: u32::try_from(found).unwrap_or(u32::MAX),
                supported: FORMAT,
            }),
            None => Err(tables.corrupt("table `meta`, row `format`", "the row is missing")),
        }
    }

    /// Makes the tables that a file of an earlier version has not.
    fn complete(&self) -> Result<(), StoreError> {
        self.guarded("making tables", || {
            let missing = match self.database.begin_read()?.open_table(HISTORY) {
                Err(TableError::TableDoesNotExist(_)) => true,
                Err(error) => return Err(error.into()),
                Ok(_) => false,
            };
            if missing {
                let transaction = begin(&self.database)?;
                transaction.open_table(HISTORY)?;
                transaction.open_table(KEPT)?;
                transaction.commit()?;
            }
            Ok(())
        })
    }

    /// The number of the last journal whose rows are all in the tables.
    pub(super) fn settled(&self) -> Result<u64, StoreError> {
        self.meta("settled")?.ok_or_else(|| self.corrupt("table `meta`, row `settled`", "the row is missing"))
    }

    /// A number of arrival above those of all rows in the tables.
    pub(super) fn next_arrival(&self) -> Result<u64, StoreError> {
        Ok(self.meta("arrivals")?.unwrap_or(0))
    }

    /// Closes the file, so that the next opening finds it whole.
    pub(super) fn close(self) -> Result<(), StoreError> {
        let Self { database, path } = self;
        guarded(&path, "closing", || Ok(database.close()?))
    }

    fn meta(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.guarded("reading table `meta`", || match self.database.begin_read()?.open_table(META) {
            Ok(table) => Ok(table.get(name)?.map(|value| value.value())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    fn guarded<T>(&self, doing: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, StoreError> {
        guarded(&self.path, doing, work)
    }

    fn corrupt(&self, place: &str, reason: &str) -> StoreError {
        StoreError::corrupt(&self.path, place, reason)
    }
}

/// Begins a transaction with the durability that the store promises.
fn begin(database: &Database) -> Result<redb::WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    // In one phase, a root could be found valid in the page cache after a failed sync while its pages are not on disk.
    // Quick repair implies two.
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Runs `work` on the tables in `path`. redb trusts the pages that it reads, so that damage may end in a panic; it is
/// an error like any other damage.
fn guarded<T>(path: &std::path::Path, doing: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(failure)) => Err(failure.at(path, doing)),
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("of unknown reason");
            Err(StoreError::corrupt(path, doing, format!("the engine panicked: {message}")))
        }
    }
}
