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

/// How far the observer has come, for the writer who must not run too far ahead.
#[derive(Debug)]
pub(super) struct Progress(Sender<u64>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Sender::new(0))
    }

    /// Waits until the observer has everything up to `counter`.
    pub(super) async fn reach(&self, counter: u64) {
        // The sender is ours: it is not gone.
        let _ = self.0.subscribe().wait_for(|seen| *seen >= counter).await;
    }
}

/// Follows what the observer has, until it has everything up to `goal`, once that is known.
pub(super) async fn seen(
    copy: &Document,
    actor: Actor,
    goal: Receiver<Option<u64>>,
    progress: &Progress,
) -> Result<Vec<Reached>, ReplayError> {
    follow(copy, goal, |replica| {
        let counter = position(replica.document(), actor);
        progress.0.send_replace(counter);
        Some(counter)
    })
    .await
}

/// Follows what the writer knows to be durable, until that is everything up to `goal`, once that is known.
pub(super) async fn durable(
    source: &Document,
    actor: Actor,
    goal: Receiver<Option<u64>>,
) -> Result<Vec<Reached>, ReplayError> {
    follow(source, goal, |replica: &Replica| {
        (replica.document().actor() == Some(actor)).then(|| replica.durable().get(&actor))
    })
    .await
}

async fn follow(
    document: &Document,
    mut goal: Receiver<Option<u64>>,
    counter: impl Fn(&Replica) -> Option<u64>,
) -> Result<Vec<Reached>, ReplayError> {
    let mut document = document.clone();
    let mut reached: Vec<Reached> = Vec::new();
    loop {
        let counter = document.read(&counter)?.ok_or(ReplayError::Retired)?;
        if reached.last().is_none_or(|last| last.counter < counter) {
            reached.push(Reached { at: Instant::now(), counter });
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
