//! The writing session.

use std::time::Instant;

use indicatif::ProgressBar;
use inkwire_document::{Actor, Document as Contents, EditError, Position};
use inkwire_protocol::replica::EditRefused;

use super::pace::Pace;
use super::watch::Progress;
use super::{Plan, ReplayError, TEXT, position};
use crate::client::Document;
use crate::trace::{Edit, Trace};

/// How many edits may wait for the transport. Enough that it never runs dry, few enough that an edit's latency is the
/// relay's and not that of a queue of ours.
const WINDOW_EDITS: u64 = 512;
/// How far the writer may be ahead of the observer. Without it a writer that is faster would measure the length of the
/// relay's queue. What is not durable is bounded by the outbox alone: waiting for the disk would cost speed.
const AHEAD_EDITS: usize = 8_192;
/// How many edits are made between two looks at the window, and at other tasks.
const TURN_EDITS: usize = 64;
/// Roughly how much text one insert of the start may have: batches have 60 KiB.
const START_CHARACTERS: usize = 4_096;

/// Edits that were made together.
#[derive(Copy, Clone, Debug)]
pub(super) struct Written {
    /// Just before they were made.
    pub(super) at: Instant,
    /// The writer's counter after them.
    pub(super) counter: u64,
    /// How many they are.
    pub(super) edits: usize,
}

/// Puts the trace's start in, waits until it is durable and says who writes.
pub(super) async fn start(document: &Document, text: &str) -> Result<Actor, ReplayError> {
    let mut at = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(START_CHARACTERS).map_or(rest.len(), |(end, _)| end);
        let (piece, next) = rest.split_at(end);
        make(document, |contents| contents.insert(TEXT, Position::Scalar(at), piece)).await?;
        at += piece.chars().count();
        rest = next;
    }
    document.durable().await?;
    document.read(|replica| replica.document().actor())?.ok_or(ReplayError::Refused(EditRefused::ReadOnly))
}

/// Makes all edits of the trace, each group as soon as there is room for it and its time has come.
pub(super) async fn edits(
    document: &Document,
    actor: Actor,
    trace: &Trace,
    plan: &Plan,
    progress: &Progress,
    bar: &ProgressBar,
) -> Result<Vec<Written>, ReplayError> {
    let mut written = Vec::with_capacity(trace.edits.len().div_ceil(plan.batch));
    let mut pace = plan.rate.map(Pace::new);
    let mut since_turn = 0;
    for group in trace.edits.chunks(plan.batch) {
        if let Some(pace) = &mut pace {
            pace.wait(group.len()).await;
        }
        let at = Instant::now();
        let counter = make(document, |contents| {
            group.iter().try_for_each(|edit| apply(contents, edit))?;
            Ok(position(contents, actor))
        })
        .await?;
        written.push(Written { at, counter, edits: group.len() });

        since_turn += group.len();
        if since_turn >= TURN_EDITS {
            bar.inc(since_turn as u64);
            since_turn = 0;
            document.wait(|replica| replica.status().local < WINDOW_EDITS).await?;
            if let Some(behind) = written.len().checked_sub(AHEAD_EDITS.div_ceil(plan.batch)) {
                progress.reach(written[behind].counter).await;
            }
            tokio::task::yield_now().await;
        }
    }
    bar.inc(since_turn as u64);
    Ok(written)
}

fn apply(contents: &mut Contents, edit: &Edit) -> Result<(), EditError> {
    let at = Position::Scalar(edit.at);
    if edit.delete > 0 {
        contents.delete(TEXT, at, edit.delete)?;
    }
    if !edit.insert.is_empty() {
        contents.insert(TEXT, at, &edit.insert)?;
    }
    Ok(())
}

/// Edits, and waits for room in the outbox where there is none.
async fn make<R>(
    document: &Document,
    mut edit: impl FnMut(&mut Contents) -> Result<R, EditError>,
) -> Result<R, ReplayError> {
    let mut changes = document.clone();
    loop {
        match document.edit(|contents, _| edit(contents)) {
            Ok(result) => return Ok(result),
            Err(EditRefused::OutboxFull { .. }) => changes.changed().await?,
            Err(refused) => return Err(ReplayError::Refused(refused)),
        }
    }
}
