//! Committing a snapshot, and telling writers to leave the segments that it covers.

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream};
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use tokio::time::Instant;

use super::cluster::{Place, SegmentId, SnapshotId, SnapshotRow};
use super::engine::{Engine, random, store_error};
use super::head::{Head, checksum};
use super::load::heads;
use super::sweep::Sealed;
use crate::contents::{Succession, covers, succession};
use crate::error::StoreError;
use crate::store::{DocumentKey, SNAPSHOT_CHUNK_BYTES};

/// The largest snapshot that is taken, in bytes.
const MAX_SNAPSHOT_BYTES: usize = 1 << 30;

/// Chunks that are written at a time: edits come first.
const CHUNKS_AT_A_TIME: usize = 4;

/// Commits `snapshot`, and seals the segments whose rows it covers; they are deleted a grace later.
pub(super) async fn commit(
    engine: &Engine,
    document: &DocumentKey,
    snapshot: Bytes,
    version: VersionVector,
    actors: Vec<ActorRecord>,
) -> Result<(), StoreError> {
    if snapshot.len() > MAX_SNAPSHOT_BYTES {
        let (bytes, limit) = (snapshot.len(), MAX_SNAPSHOT_BYTES);
        return Err(StoreError::TooLarge { what: "a snapshot", bytes, limit });
    }
    let listed = engine.patiently(|| engine.cluster.snapshots(document)).await.map_err(store_error)?;
    // What is taken off the list meanwhile was covered by something that is on it.
    let stored = heads(engine, document, &listed).await?.unwrap_or_default();
    for (_, head) in &stored {
        match succession(Some(&head.version), &version) {
            Succession::Replaces => {}
            Succession::Known => return Ok(()),
            Succession::Diverged => return Err(StoreError::Diverged { document: document.clone() }),
        }
    }

    let head = Head { version, actors };
    write(engine, document, &head, snapshot).await?;
    // Rows that come later go elsewhere, so that the next snapshot covers this segment whole.
    *engine.lane(document).current.lock() = None;
    if !stored.is_empty() {
        engine.sweep_later(Sealed { document: document.clone(), segment: None, at: Instant::now() });
    }
    seal_covered(engine, document, &head.version).await
}

/// Writes the chunks, then the row that commits them.
async fn write(engine: &Engine, document: &DocumentKey, head: &Head, body: Bytes) -> Result<(), StoreError> {
    let id = SnapshotId(random()?);
    let head = head.to_bytes();
    let row = SnapshotRow {
        id,
        head_bytes: head.len() as u64,
        body_bytes: body.len() as u64,
        checksum: checksum(&head, &body),
    };
    let pieces = [head, body].into_iter().flat_map(|part| {
        (0..part.len())
            .step_by(SNAPSHOT_CHUNK_BYTES)
            .map(|at| part.slice(at..part.len().min(at + SNAPSHOT_CHUNK_BYTES)))
            .collect::<Vec<_>>()
    });
    stream::iter((0_u32..).zip(pieces).map(Ok))
        .try_for_each_concurrent(CHUNKS_AT_A_TIME, |(number, bytes)| async move {
            engine.patiently(|| engine.cluster.write_chunk(document, id, number, &bytes)).await.map_err(store_error)
        })
        .await?;
    engine.patiently(|| engine.cluster.list_snapshot(document, &row)).await.map_err(store_error)
}

/// Seals every listed segment whose rows are all in `version`.
async fn seal_covered(engine: &Engine, document: &DocumentKey, version: &VersionVector) -> Result<(), StoreError> {
    for segment in engine.patiently(|| engine.cluster.segments(document)).await.map_err(store_error)? {
        if !is_covered(engine, document, segment.id, |head| covers(version, &head.batch())).await? {
            continue;
        }
        if !segment.sealed {
            engine.patiently(|| engine.cluster.seal_segment(document, segment.id)).await.map_err(store_error)?;
        }
        // One that somebody sealed earlier waits for a whole grace again: nobody's clock but ours says since when.
        engine.sweep_later(Sealed { document: document.clone(), segment: Some(segment.id), at: Instant::now() });
    }
    Ok(())
}

/// Whether all rows of a segment are covered, by keys alone.
pub(super) async fn is_covered(
    engine: &Engine,
    document: &DocumentKey,
    segment: SegmentId,
    is_row_covered: impl Fn(&super::cluster::RowHead) -> bool,
) -> Result<bool, StoreError> {
    let mut place = Some(Place::default());
    while let Some(from) = place {
        let page =
            engine.patiently(|| engine.cluster.heads(document, segment, from.clone())).await.map_err(store_error)?;
        if !page.rows.iter().all(&is_row_covered) {
            return Ok(false);
        }
        place = page.next;
    }
    Ok(true)
}
