//! What happens in a room without anybody asking: timers, folds, and its end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use inkwire_storage::Condition;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Rooms;
use super::handle::RoomHandle;
use super::registry::Slot;
use crate::fold::{FoldFailure, Folder};

/// A tail of fewer bytes is not worth a fold before a room is unloaded: reading it again costs less.
const LAST_FOLD_BYTES: usize = 64 << 10;

/// How long after a fold that failed the next one is tried. After one that succeeded it is as long as that took: a document
/// under constant writing has half a core for its folds, and each of them takes in more.
const FOLD_PAUSE: Duration = Duration::from_secs(10);

/// Runs until the room is unloaded, or the registry is gone.
pub(super) async fn run(
    room: Arc<RoomHandle>,
    slot: Arc<Slot>,
    rooms: Weak<Rooms>,
    folder: Arc<Folder>,
    mut condition: watch::Receiver<Condition>,
    unload_after: Duration,
) {
    let now = *condition.borrow_and_update();
    room.set_store(now);
    let mut empty_since = None;
    let mut fold = std::pin::pin!(None);
    let mut fold_not_before = Instant::now();
    loop {
        let mut tended = room.tend();
        if let Some(input) = tended.fold.take() {
            let (room, folder) = (Arc::clone(&room), Arc::clone(&folder));
            let pause_until = fold_not_before;
            fold.set(Some(async move {
                tokio::time::sleep_until(pause_until).await;
                let start = Instant::now();
                (folder.fold(&room.key, input).await, start.elapsed())
            }));
        }
        let folding = fold.is_some();
        let is_empty = slot.is_empty();
        empty_since = if is_empty { empty_since.or_else(|| Some(Instant::now())) } else { None };
        slot.set_empty_since(empty_since);
        let unload_at = match empty_since {
            Some(_) if tended.is_closing => Some(Instant::now()),
            Some(since) if tended.is_idle && !folding => {
                Some(if room.leaves_early() { since } else { since + unload_after })
            }
            _ => None,
        };
        if unload_at.is_some_and(|at| at <= Instant::now()) {
            // A fold would need more memory before it gives any back.
            let worth_it = !tended.is_closing && tended.tail_bytes > LAST_FOLD_BYTES && !room.leaves_early();
            if worth_it && let Some(input) = room.last_fold() {
                let outcome = folder.fold(&room.key, input).await;
                if finish(&room, outcome) {
                    continue;
                }
            }
            let Some(rooms) = rooms.upgrade() else { return };
            if rooms.unload(&room, &slot) {
                return;
            }
            continue;
        }
        let due = earliest(tended.due, unload_at);
        tokio::select! {
            () = room.changed.notified() => {}
            () = sleep_until(due) => {}
            // A store that never changes has nobody to tell of it.
            Ok(()) = condition.changed() => {
                let now = *condition.borrow_and_update();
                room.set_store(now);
            }
            outcome = async {
                match fold.as_mut().as_pin_mut() {
                    Some(fold) => fold.await,
                    None => std::future::pending().await,
                }
            } => {
                fold.set(None);
                let (outcome, took) = outcome;
                let pause = if finish(&room, outcome) { took } else { FOLD_PAUSE };
                fold_not_before = Instant::now() + pause;
            }
        }
    }
}

fn finish(room: &Arc<RoomHandle>, outcome: Result<inkwire_document::Snapshot, FoldFailure>) -> bool {
    match outcome {
        Ok(snapshot) => {
            let taken = room.folded(Some(snapshot));
            if !taken {
                tracing::error!(document = %room.key, "a fold lacked something of what was to be folded and is not used");
            }
            taken
        }
        Err(error) => {
            tracing::error!(document = %room.key, %error, "a document could not be folded");
            room.folded(None);
            false
        }
    }
}

fn earliest(left: Option<Instant>, right: Option<Instant>) -> Option<Instant> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
