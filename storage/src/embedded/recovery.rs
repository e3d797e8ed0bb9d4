//! Opening: what is there, whether it is whole, and the journals' rows written anew into the tables.
//!
//! Nothing that an earlier process wrote since the last commit of the tables is trusted to be on the disk because it
//! can be read: after a failed sync the page cache gives back what the disk does not have. So every row of every
//! journal that is left is written again, into the tables, with syncs of this process, before the store opens.

use super::disk::Disk;
use super::journal::{self, Journal, read};
use super::settler::remove_journal;
use super::tables::{FILE, Tables};
use crate::error::StoreError;

/// An open store's parts.
pub(super) struct Recovered {
    pub(super) tables: Tables,
    pub(super) journal: Journal,
    pub(super) next_arrival: u64,
}

/// Opens what is on `disk`, or makes a new store when nothing is.
pub(super) fn recover(disk: &dyn Disk, cache_bytes: usize, verify: bool) -> Result<Recovered, StoreError> {
    let unreadable = |error| StoreError::unavailable(format!("reading {}", disk.directory().display()), error);
    let names = disk.list().map_err(unreadable)?;
    for name in names.iter().filter(|name| is_unfinished(name)) {
        disk.remove(name).map_err(unreadable)?;
    }
    let mut journals: Vec<u64> = names.iter().filter_map(|name| journal::number_of(name)).collect();
    journals.sort_unstable();
    if !names.iter().any(|name| name == FILE) {
        create(disk, &mut journals)?;
    }

    let tables = Tables::open(disk, cache_bytes, verify)?;
    let settled = tables.settled()?;
    check_complete(disk, &journals, settled)?;
    let newest = journals.last().copied().unwrap_or(settled);
    for number in journals.iter().copied().filter(|number| *number > settled) {
        let mut later_is_begun = false;
        for later in number + 1..=newest {
            later_is_begun |= read::is_begun(disk, later)?;
        }
        let contents = read::read(disk, number, !later_is_begun)?;
        if contents.sealed && number == newest {
            return Err(missing(disk, number + 1, SEALED));
        }
        let rows: Vec<_> = contents.rows.iter().map(|(arrival, row)| (*arrival, row)).collect();
        if !rows.is_empty() {
            tracing::info!(journal = number, rows = rows.len(), "moving the journal's rows into the tables");
        }
        tables.settle(number, &rows)?;
    }
    if newest == settled {
        // The last process got as far as settling its last journal. The commit makes sure that what it wrote is on the
        // disk.
        tables.settle(settled, &[])?;
    }

    let next_arrival = tables.next_arrival()?;
    let journal = Journal::create(disk, newest + 1)?;
    for number in journals {
        remove_journal(disk, number);
    }
    Ok(Recovered { tables, journal, next_arrival })
}

/// Makes the tables' file. The first journal is there before it, so that tables without any journal are known to have
/// lost one.
fn create(disk: &dyn Disk, journals: &mut Vec<u64>) -> Result<(), StoreError> {
    match journals.as_slice() {
        [] => {
            Journal::create(disk, 1)?;
            journals.push(1);
        }
        // A process that made the journal ended before it made the tables; nothing can have been acknowledged.
        [1] if read::read(disk, 1, true)?.rows.is_empty() => {}
        _ => return Err(StoreError::corrupt(disk.directory().join(FILE), "the whole file", "the file is missing")),
    }
    Tables::create(disk)
}

/// Checks that no journal is missing: all from the first that is not settled on, and at least one that is not older
/// than what the tables have.
fn check_complete(disk: &dyn Disk, journals: &[u64], settled: u64) -> Result<(), StoreError> {
    let unsettled = journals.iter().copied().filter(|number| *number > settled);
    for (number, expected) in unsettled.zip(settled + 1..) {
        if number != expected {
            return Err(missing(disk, expected, "later ones are there and the tables do not have its rows"));
        }
    }
    match journals.last() {
        Some(newest) if *newest > settled => Ok(()),
        Some(newest) if *newest == settled => match read::read(disk, settled, true)?.sealed {
            false => Ok(()),
            true => Err(missing(disk, settled + 1, SEALED)),
        },
        _ => Err(missing(disk, settled + 1, "there is always one")),
    }
}

const SEALED: &str = "the journal before it says that it was begun";

fn missing(disk: &dyn Disk, number: u64, reason: &str) -> StoreError {
    let file = disk.directory().join(journal::name(number));
    StoreError::corrupt(file, "the whole file", format!("the file is missing: {reason}"))
}

/// Whether the file called `name` was never finished by the process that made it.
fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(".new").is_some_and(|name| name == FILE || journal::number_of(name).is_some())
}
