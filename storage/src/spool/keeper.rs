//! The task behind the spool: is the store back, what did an earlier life leave, and what may go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::disk::Disk;
use super::generation::Generation;
use super::restarts::Watch;
use super::{Connected, Shared, check_durable};
use crate::error::StoreError;
use crate::store::{Append, DocumentKey, Loaded, Store as _};

/// How long to wait before a store that is away is looked for: doubled each time up to the second, half of it to all, so that
/// relays that lost it together do not come back together.
const LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// How long it rests when there is nothing to do.
const REST: Duration = Duration::from_secs(1);

/// Documents that are drained at a time, in their order.
const AT_A_TIME: usize = 16;

/// Rows and bytes of one append of what is drained.
const DRAIN: (usize, usize) = (256, 1 << 20);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut pause = LOOK.0;
    let mut watch = Watch::default();
    let mut asked: Option<Instant> = None;
    loop {
        let Some(remote) = shared.reached() else {
            let jitter = getrandom::u32().map_or(0, |random| random & 0xff);
            tokio::time::sleep(pause.mul_f64(0.5 + f64::from(jitter) / 510.0)).await;
            pause = if look(&shared).await { LOOK.0 } else { (pause * 2).min(LOOK.1) };
            continue;
        };
        pause = LOOK.0;
        if let Some(disk) = shared.disk() {
            if let Some(restarts) = &remote.restarts
                && asked.is_none_or(|asked| asked.elapsed() >= restarts.window() / 5)
            {
                let began = Instant::now();
                asked = Some(began);
                watch.take(began, restarts.starts().await);
            }
            match tend(&shared, disk, &remote, &watch).await {
                Ok(()) => {}
                Err(error) if error.is_transient() => shared.lost(&error),
                Err(error) => tracing::error!(%error, "the spool could not be tended"),
            }
            shared.refresh();
        }
        let _rest = tokio::time::timeout(REST, shared.work.notified()).await;
    }
}

/// Whether the store answers.
async fn look(shared: &Shared) -> bool {
    let known = shared.connected.read().clone();
    let answer = match known {
        Some(connected) => connected.store.health().await,
        None => shared.remote.connect().await.and_then(|connected| {
            check_durable(&connected, shared.disk.is_some())?;
            *shared.connected.write() = Some(connected);
            Ok(())
        }),
    };
    match answer {
        Ok(()) => {
            shared.found();
            true
        }
        Err(error) if error.is_transient() => {
            tracing::debug!(%error, "the store is still away");
            false
        }
        Err(error) => {
            tracing::error!(%error, "the store does not serve");
            false
        }
    }
}

/// Drains, goes on in a new generation, and deletes old ones, each where it is due.
async fn tend(shared: &Shared, disk: &Disk, remote: &Connected, watch: &Watch) -> Result<(), StoreError> {
    if remote.restarts.is_some() {
        doubt(disk, watch).await?;
    }
    for generation in disk.sealed() {
        drain(shared, &generation, remote).await?;
    }
    let sealed = disk.sealed();
    if sealed.is_empty() {
        if disk.wants_rotation().await {
            disk.rotate().await?;
        }
        return Ok(());
    }
    let is_done = |generation: &Arc<Generation>| {
        let window = remote.restarts.as_ref().map(|restarts| restarts.window());
        let moments = *generation.moments.lock();
        let synced = window.zip(moments).is_none_or(|(window, moments)| watch.vouches(moments, window));
        generation.is_stored() && synced
    };
    if sealed.iter().all(is_done) {
        let open = shared.open.lock().iter().map(|(name, life)| DocumentKey::new(Arc::clone(name), *life)).collect();
        disk.drop_sealed(open).await?;
    }
    Ok(())
}

/// Has everything offered again that a node may have lost, because it was started since.
async fn doubt(disk: &Disk, watch: &Watch) -> Result<(), StoreError> {
    let is_doubted = |generation: &Generation| generation.moments.lock().is_some_and(|(first, _)| watch.doubts(first));
    let active = disk.all().pop();
    if active.is_some_and(|active| is_doubted(&active)) {
        disk.rotate().await?;
    }
    for generation in disk.sealed() {
        if generation.is_stored() && is_doubted(&generation) {
            tracing::warn!(
                generation = generation.number,
                "a node was started and may have lost what it had not synced: it is written again"
            );
            generation.offer_again();
        }
    }
    Ok(())
}

/// Offers what is left in a generation, documents in their order.
async fn drain(shared: &Shared, generation: &Generation, remote: &Connected) -> Result<(), StoreError> {
    loop {
        let next: Vec<DocumentKey> = generation.left.lock().iter().take(AT_A_TIME).cloned().collect();
        if next.is_empty() {
            return Ok(());
        }
        let offers = next.iter().map(|document| offer(shared, generation, remote, document));
        for (document, outcome) in next.iter().zip(join_all(offers).await) {
            match outcome {
                Ok(()) => {}
                Err(error) if error.is_transient() => return Err(error),
                // It would be refused again, and nobody was told that it is durable.
                Err(error) => tracing::error!(%document, %error, "the store refuses what the spool has of a document"),
            }
            generation.offered(document);
        }
    }
}

async fn offer(
    shared: &Shared,
    generation: &Generation,
    remote: &Connected,
    document: &DocumentKey,
) -> Result<(), StoreError> {
    let Loaded { snapshot, records, .. } = generation.store.load(document).await?;
    let mut rows = records.into_iter().peekable();
    while rows.peek().is_some() {
        let mut bytes = 0;
        let mut part = Vec::new();
        while let Some(record) = rows.next_if(|record| {
            part.is_empty() || (part.len() < DRAIN.0 && bytes + record.batch.operations.len() <= DRAIN.1)
        }) {
            bytes += record.batch.operations.len();
            part.push(Append { document: document.clone(), record });
        }
        let count = part.len() as u64;
        remote.store.append(part).await?;
        shared.drained.fetch_add(count, Ordering::Relaxed);
    }
    // Where nodes may have lost it, the snapshot has to be there again before what it covers.
    if remote.restarts.is_some()
        && let Some(stored) = snapshot
    {
        match remote.store.commit_snapshot(document, stored.snapshot, stored.version, stored.actors).await {
            Err(StoreError::Diverged { .. }) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}
