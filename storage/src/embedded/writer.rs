//! The thread that owns the journal: one write and one sync for all that wait.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::Shared;
use super::disk::Disk;
use super::journal::Journal;
use super::queue::{Next, Request};
use super::row::Row;
use super::settler::Job;
use crate::error::StoreError;

/// About how many bytes go into one group, so that who waits behind a burst does not wait for all of it.
const GROUP_BYTES: usize = 8 << 20;

/// How long nothing must have come before the mark is synced on its own. No append waits for this: one that comes
/// meanwhile is taken at once.
const QUIET: Duration = Duration::from_millis(50);

/// How many journals may wait for the settler before the writer waits for it.
pub(super) const MAX_SEALED: usize = 2;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) journal: Journal,
    pub(super) next_arrival: u64,
    pub(super) journal_bytes: u64,
    pub(super) asked_for_spare: bool,
    pub(super) settler: Sender<Job>,
}

impl Writer {
    /// Commits what comes until the queue is closed and empty; gives the journal back.
    pub(super) fn run(mut self) -> Journal {
        let mut mark_is_durable = true;
        loop {
            let patience = (!mark_is_durable).then_some(QUIET);
            match self.shared.queue.next(GROUP_BYTES, patience) {
                Next::Commit(requests) => {
                    self.answer(requests);
                    mark_is_durable = self.shared.failure().is_some();
                }
                Next::Quiet => {
                    self.shared.fail_on_error(self.journal.sync());
                    mark_is_durable = true;
                }
                Next::End => {
                    if !mark_is_durable {
                        self.shared.fail_on_error(self.journal.sync());
                    }
                    return self.journal;
                }
            }
        }
    }

    fn answer(&mut self, requests: Vec<Request>) {
        let result = self.commit(&requests);
        // The mark comes after the rows are durable and before anybody hears of it. If it cannot be written, the rows
        // are durable all the same; it is the store that goes no further.
        let marked = if result.is_ok() { self.journal.mark() } else { Ok(()) };
        if let Err(error) = &result {
            self.shared.fail(error.clone());
        }
        self.shared.fail_on_error(marked);
        for request in requests {
            // Whoever asked may have gone.
            let _ = request.done.send(result.clone());
        }
        if self.shared.failure().is_some() {
            return;
        }
        if !self.asked_for_spare && self.journal.len() >= self.journal_bytes / 2 {
            self.asked_for_spare = true;
            // The settler ends after the writer only.
            let _ = self.settler.send(Job::Spare(self.journal.number() + 1));
        }
        if self.journal.len() >= self.journal_bytes {
            let rotated = self.rotate();
            self.shared.fail_on_error(rotated);
        }
    }

    fn commit(&mut self, requests: &[Request]) -> Result<(), StoreError> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        let new: Vec<&Row> = {
            let pending = self.shared.pending.read();
            let mut seen = HashSet::new();
            let rows = requests.iter().flat_map(|request| &request.rows);
            rows.filter(|row| !pending.contains(row) && seen.insert((&row.document, row.key))).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        self.journal.append(self.next_arrival, &new)?;
        let mut pending = self.shared.pending.write();
        for row in new {
            pending.insert(self.next_arrival, row.clone());
            self.next_arrival += 1;
        }
        Ok(())
    }

    /// Goes on in the next file, and hands the full one to the settler.
    fn rotate(&mut self) -> Result<(), StoreError> {
        let number = self.journal.number() + 1;
        // Held until the number is in use: the settler must not make the file a second time.
        let mut spare = self.shared.spare.lock();
        let next = match spare.take().filter(|spare| spare.number() == number) {
            Some(spare) => spare,
            None => Journal::create(self.disk.as_ref(), number)?,
        };
        // Before anything in the next file is acknowledged, so that its loss is noticed.
        self.journal.seal()?;
        let full = std::mem::replace(&mut self.journal, next);
        self.asked_for_spare = false;
        self.shared.pending.write().seal(number);
        drop(spare);
        let _ = self.settler.send(Job::Settle(full));
        self.shared.wait_for_settler(MAX_SEALED);
        Ok(())
    }
}
