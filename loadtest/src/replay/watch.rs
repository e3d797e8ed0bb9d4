//! Following how far the writer's edits have come.

use std::time::Instant;

use inkwire_document::Actor;
use inkwire_protocol::replica::Replica;
use tokio::sync::watch::{Receiver, Sender};

use super::{ReplayError, position};
use crate::client::Document;

/// Up to which of the writer's counters something had come, and when.
#[derive(Copy, Clone, Debug)]
pub(super) struct Reached {
    pub(super) at: Instant,
    pub(super) counter: u64,
}

/// How far the edits have come, for the writer who must not run too far ahead.
#[derive(Debug)]
pub(super) struct Progress {
    seen: Sender<u64>,
    durable: Sender<u64>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { seen: Sender::new(0), durable: Sender::new(0) }
    }

    /// Waits until the observer has everything up to `counter` and that is durable.
    pub(super) async fn reach(&self, counter: u64) {
        for reached in [&self.seen, &self.durable] {
            // The sender is ours: it is not gone.
            let _ = reached.subscribe().wait_for(|reached| *reached >= counter).await;
        }
    }
}

/// Follows what the observer has, until it has everything up to `goal`, once that is known.
pub(super) async fn seen(
    copy: &Document,
    actor: Actor,
    goal: Receiver<Option<u64>>,
    progress: &Progress,
) -> Result<Vec<Reached>, ReplayError> {
    follow(copy, goal, &progress.seen, |replica| Some(position(replica.document(), actor))).await
}

/// Follows what the writer knows to be durable, until that is everything up to `goal`, once that is known.
pub(super) async fn durable(
    source: &Document,
    actor: Actor,
    goal: Receiver<Option<u64>>,
    progress: &Progress,
) -> Result<Vec<Reached>, ReplayError> {
    follow(source, goal, &progress.durable, |replica| {
        (replica.document().actor() == Some(actor)).then(|| replica.durable().get(&actor))
    })
    .await
}

async fn follow(
    document: &Document,
    mut goal: Receiver<Option<u64>>,
    progress: &Sender<u64>,
    counter: impl Fn(&Replica) -> Option<u64>,
) -> Result<Vec<Reached>, ReplayError> {
    let mut document = document.clone();
    let mut reached: Vec<Reached> = Vec::new();
    loop {
        let counter = document.read(&counter)?.ok_or(ReplayError::Retired)?;
        if reached.last().is_none_or(|last| last.counter < counter) {
            reached.push(Reached { at: Instant::now(), counter });
            progress.send_replace(counter);
        }
        if goal.borrow_and_update().is_some_and(|goal| counter >= goal) {
            return Ok(reached);
        }
        tokio::select! {
            changed = document.changed() => changed?,
            // The writer's failure ends all three; without it the goal comes once.
            Ok(()) = goal.changed() => {}
        }
    }
}
