//! Following how far the writer's edits have come.

use std::time::Instant;

use inkwire_document::Actor;
use inkwire_protocol::replica::Replica;
use tokio::sync::watch::Receiver;

use super::{ReplayError, position};
use crate::client::Document;

/// Up to which of the writer's counters something had come, and when.
#[derive(Copy, Clone, Debug)]
pub(super) struct Reached {
    pub(super) at: Instant,
    pub(super) counter: u64,
}

/// Follows what the observer has, until it has everything up to `goal`, once that is known.
pub(super) async fn seen(
    copy: &Document,
    actor: Actor,
    goal: Receiver<Option<u64>>,
) -> Result<Vec<Reached>, ReplayError> {
    follow(copy, goal, |replica| Some(position(replica.document(), actor))).await
}

/// Follows what the writer knows to be durable, until that is everything up to `goal`, once that is known.
pub(super) async fn durable(
    source: &Document,
    actor: Actor,
    goal: Receiver<Option<u64>>,
) -> Result<Vec<Reached>, ReplayError> {
    follow(source, goal, |replica| (replica.document().actor() == Some(actor)).then(|| replica.durable().get(&actor)))
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
