//! One document's way into the log: what waits while a write is in flight goes with the next one.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::{Failure, Row, SegmentId};
use super::engine::{Counters, Engine, random, row_bytes, store_error};
use super::segments::Size;
use super::split::split;
use crate::error::StoreError;
use crate::store::DocumentKey;

/// The most rows and bytes that one flush of one document takes, unless one call brings more.
const FLUSH: Size = Size { rows: 1_000, bytes: 512 * 1024 };

/// How often one flush moves on to another segment before it is an error: each time somebody sealed a segment that was just
/// begun.
const MAX_MOVES: u32 = 8;

/// The rows of one call, of one document.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) rows: Vec<Row>,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
    /// Room in the queue, shared by all documents of a call.
    pub(super) room: Arc<OwnedSemaphorePermit>,
}

/// The segment that this process writes into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    pub(super) segment: SegmentId,
    /// What this process wrote, or found and wrote.
    pub(super) size: Size,
    /// What it may have at most.
    pub(super) limit: Size,
    /// When the last read began that found it open.
    pub(super) read: Instant,
}

/// One document's queue, and where it writes.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) document: DocumentKey,
    queue: Mutex<Queue>,
    pub(super) current: Mutex<Option<Current>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Request>,
    /// Whether a flush runs or is about to.
    busy: bool,
}

impl Lane {
    pub(super) fn new(document: DocumentKey) -> Self {
        Self { document, queue: Mutex::default(), current: Mutex::default() }
    }

    /// Adds a request; it is written with what else waits.
    pub(super) fn push(self: &Arc<Self>, engine: &Engine, request: Request) -> Result<(), StoreError> {
        let ready = engine.ready.lock();
        let ready = ready.as_ref().ok_or(StoreError::Closed)?;
        let mut queue = self.queue.lock();
        queue.waiting.push_back(request);
        if !std::mem::replace(&mut queue.busy, true) {
            ready.send(self.clone()).map_err(|_| StoreError::Closed)?;
        }
        Ok(())
    }

    /// What the next flush takes; none when nothing waits, and then the lane is idle.
    fn take(&self) -> Vec<Request> {
        let mut queue = self.queue.lock();
        let mut taken = Vec::new();
        let mut size = Size::default();
        while let Some(request) = queue.waiting.pop_front() {
            let more = size.plus(size_of(&request.rows));
            if !taken.is_empty() && !more.fits(FLUSH) {
                queue.waiting.push_front(request);
                break;
            }
            size = more;
            taken.push(request);
        }
        queue.busy = !taken.is_empty();
        taken
    }
}

fn size_of(rows: &[Row]) -> Size {
    Size { rows: rows.len() as u64, bytes: rows.iter().map(|row| row_bytes(row) as u64).sum() }
}

/// Flushes lanes as they get ready, a bounded number at a time, until the store is closed and all is written.
pub(super) async fn run(engine: Arc<Engine>, mut ready: mpsc::UnboundedReceiver<Arc<Lane>>) {
    let mut flushes = JoinSet::new();
    let mut open = true;
    while open || !flushes.is_empty() {
        tokio::select! {
            lane = ready.recv(), if open && flushes.len() < engine.options.lanes => match lane {
                Some(lane) => {
                    flushes.spawn(drain(engine.clone(), lane));
                }
                None => open = false,
            },
            Some(ended) = flushes.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a flush ended early");
                }
            }
        }
    }
}

/// Flushes until nothing waits.
async fn drain(engine: Arc<Engine>, lane: Arc<Lane>) {
    loop {
        let requests = lane.take();
        if requests.is_empty() {
            return;
        }
        let mut rows = Vec::with_capacity(requests.iter().map(|request| request.rows.len()).sum());
        let mut waiting = Vec::with_capacity(requests.len());
        for Request { rows: more, done, room } in requests {
            rows.extend(more);
            waiting.push((done, room));
        }
        let outcome = flush(&engine, &lane, rows).await;
        for (done, room) in waiting {
            // Who waits may have gone; the rows are there all the same.
            let _ = done.send(outcome.clone());
            drop(room);
        }
    }
}

/// Writes `rows`, part after part, each of them within what a segment takes.
async fn flush(engine: &Engine, lane: &Lane, rows: Vec<Row>) -> Result<(), StoreError> {
    let segment = engine.options.segment;
    let limit = Size { rows: FLUSH.rows.min(segment.rows), bytes: FLUSH.bytes.min(segment.bytes) };
    let parts = split(rows.iter().map(row_bytes), usize::try_from(limit.rows).unwrap_or(usize::MAX));
    let mut begin = 0;
    while begin < parts.len() {
        let mut end = begin;
        let mut size = Size::default();
        while end < parts.len() {
            let more = size.plus(size_of(&rows[parts[end].clone()]));
            if end > begin && !more.fits(limit) {
                break;
            }
            (size, end) = (more, end + 1);
        }
        let batches: Vec<&[Row]> = parts[begin..end].iter().map(|part| &rows[part.clone()]).collect();
        write(engine, lane, &batches, size).await?;
        begin = end;
    }
    Ok(())
}

/// Writes batches into the current segment, and into the next one again for as long as the fence asks for it.
async fn write(engine: &Engine, lane: &Lane, batches: &[&[Row]], size: Size) -> Result<(), StoreError> {
    let rules = engine.options.fence;
    let document = &lane.document;
    for moves in 0..MAX_MOVES {
        if moves > 0 {
            Counters::add(&engine.counters.repeated_writes, size.rows);
        }
        let current = current(engine, lane, size).await?;
        let segment = current.segment;
        let writes = try_join_all(
            batches.iter().map(|rows| engine.patiently(move || engine.cluster.write(document, segment, rows))),
        );
        // A lone edit does not wait for the check: both go at once.
        let check = async {
            if !rules.wants_check(current.read, Instant::now()) {
                return Ok(Some(current.read));
            }
            check(engine, lane, segment).await
        };
        let (written, mut read) = tokio::join!(writes, check);
        let answered = Instant::now();
        written.map_err(store_error)?;
        let trusted = |read: &Result<Option<Instant>, Failure>| matches!(read, Ok(Some(read)) if rules.is_durable(*read, answered));
        if !trusted(&read) && !matches!(read, Ok(None)) {
            // Written too late for the read before: a read now tells whether it was in time.
            read = check_patiently(engine, lane, segment).await;
        }
        if trusted(&read) {
            return Ok(());
        }
        if let Err(failure) = read {
            return Err(store_error(failure));
        }
        tracing::debug!(%document, segment = segment.0, "a segment was sealed under a write, which is repeated in the next");
    }
    let reason = format!("every segment of {document} was sealed under the write");
    Err(StoreError::Unavailable { reason, source: None })
}

/// The segment to write `size` into; a new one where there is none or it is full.
async fn current(engine: &Engine, lane: &Lane, size: Size) -> Result<Current, StoreError> {
    if let Some(current) = &mut *lane.current.lock() {
        let more = current.size.plus(size);
        if more.fits(current.limit) {
            current.size = more;
            return Ok(*current);
        }
    }
    let segment = SegmentId(random()?);
    // Nobody can have sealed it before it was listed, so this moment is as good as a read that begins now.
    let read = Instant::now();
    // Deleting seals all segments: whoever is sent on from one of them finds here that there is nothing to go on with.
    engine.check_alive(&lane.document).await?;
    engine.patiently(|| engine.cluster.list_segment(&lane.document, segment)).await.map_err(store_error)?;
    Counters::add(&engine.counters.segments_begun, 1);
    let current = Current { segment, size, limit: engine.options.segment, read };
    *lane.current.lock() = Some(current);
    Ok(current)
}

/// Reads the segment's entry: when the read began, if it found it open. Otherwise the lane leaves it.
async fn check(engine: &Engine, lane: &Lane, segment: SegmentId) -> Result<Option<Instant>, Failure> {
    let began = Instant::now();
    let entry = engine.cluster.segment(&lane.document, segment).await?;
    let is_open = entry.is_some_and(|entry| !entry.sealed);
    let mut current = lane.current.lock();
    if let Some(known) = current.as_mut().filter(|known| known.segment == segment) {
        if is_open {
            known.read = known.read.max(began);
        } else {
            *current = None;
        }
    }
    Ok(is_open.then_some(began))
}

async fn check_patiently(engine: &Engine, lane: &Lane, segment: SegmentId) -> Result<Option<Instant>, Failure> {
    // Each attempt's own beginning counts.
    engine.patiently(|| check(engine, lane, segment)).await
}
