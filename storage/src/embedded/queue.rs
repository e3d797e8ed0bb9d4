//! What waits for the writer: appends, taken together by whoever comes next.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::row::Row;
use crate::error::StoreError;

/// One call of `append`.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) rows: Vec<Row>,
    /// Bytes that the rows take in a journal.
    pub(super) bytes: usize,
    /// Told when the rows are durable, or why not.
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
    /// The room that it takes, until it is done; also when its caller has gone.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// Commit these together.
    Commit(Vec<Request>),
    /// Nothing came for as long as the writer wanted to wait.
    Quiet,
    /// Nothing is left and nothing will come.
    End,
}

/// Appends in the order in which they came. Its bound is in bytes and kept by whoever pushes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    /// Adds a request, or gives it back when the queue is closed.
    pub(super) fn push(&self, request: Request) -> Result<(), Request> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(request);
        }
        state.requests.push_back(request);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes nothing more; what is here is still handed out.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Everything that waits, up to about `max_bytes`; waits for the first at most `patience`, or for ever without.
    pub(super) fn next(&self, max_bytes: usize, patience: Option<Duration>) -> Next {
        let mut state = self.state.lock();
        while state.requests.is_empty() {
            if state.closed {
                return Next::End;
            }
            match patience {
                None => self.changed.wait(&mut state),
                Some(patience) => {
                    if self.changed.wait_for(&mut state, patience).timed_out() && state.requests.is_empty() {
                        return if state.closed { Next::End } else { Next::Quiet };
                    }
                }
            }
        }
        let mut bytes = 0;
        let mut taken = Vec::new();
        while let Some(request) = state.requests.pop_front() {
            bytes += request.bytes;
            taken.push(request);
            if bytes >= max_bytes {
                break;
            }
        }
        Next::Commit(taken)
    }
}
