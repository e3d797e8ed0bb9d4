//! Group commit for the candidates: a thread that commits everything that waits with one call.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::candidates::Candidate;
use crate::row::Row;

pub struct GroupCommit {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Row, oneshot::Sender<()>)>,
    commits: u64,
    ended: bool,
}

impl GroupCommit {
    pub fn new(mut candidate: Box<dyn Candidate>) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            while let Some(group) = of_thread.next() {
                let (rows, done): (Vec<_>, Vec<_>) = group.into_iter().unzip();
                candidate.commit(&rows);
                for done in done {
                    let _ = done.send(());
                }
            }
        });
        Self { shared, thread: Some(thread) }
    }

    pub async fn append(&self, row: Row) {
        let (done, durable) = oneshot::channel();
        self.shared.state.lock().expect("no panic").waiting.push((row, done));
        self.shared.changed.notify_one();
        durable.await.expect("the thread answers");
    }

    pub fn commits(&self) -> u64 {
        self.shared.state.lock().expect("no panic").commits
    }
}

impl Shared {
    fn next(&self) -> Option<Vec<(Row, oneshot::Sender<()>)>> {
        let mut state = self.state.lock().expect("no panic");
        while state.waiting.is_empty() {
            if state.ended {
                return None;
            }
            state = self.changed.wait(state).expect("no panic");
        }
        state.commits += 1;
        Some(std::mem::take(&mut state.waiting))
    }
}

impl Drop for GroupCommit {
    fn drop(&mut self) {
        self.shared.state.lock().expect("no panic").ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread does not panic");
        }
    }
}
