//! Bringing a member up to date by its version vector: snapshot, then the tail, then live.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Snapshot, VersionVector};

use super::tail::Position;
use crate::Frame;
use crate::frame;
use crate::frame::Extends;
use crate::limits::MAX_SNAPSHOT_CHUNK_BYTES;
use crate::vectors::{split, vector_parts};

/// The snapshot that the tail's base follows.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) snapshot: Snapshot,
    pub(super) version: Arc<VersionVector>,
    /// The whole snapshot as frames, encoded when the first joiner needs it and shared by all.
    chunks: OnceCell<Chunks>,
}

impl Base {
    /// All of it, in frames that everybody shares.
    fn whole(&self) -> Chunks {
        self.chunks.get_or_init(|| Chunks::new(self.snapshot.bytes())).clone()
    }

    /// Whether these frames are the shared ones.
    pub(super) fn shares(&self, chunks: &Chunks) -> bool {
        self.chunks.get().is_some_and(|shared| Arc::ptr_eq(&shared.frames, &chunks.frames))
    }

    /// Bytes of the snapshot and of its frames, if there are any.
    pub(super) fn memory(&self) -> usize {
        let bytes = self.snapshot.bytes().len();
        bytes + self.chunks.get().map_or(0, |_| bytes)
    }

    pub(super) fn new(snapshot: Snapshot) -> Self {
        let version = Arc::new(snapshot.version().clone());
        Self { snapshot, version, chunks: OnceCell::new() }
    }

    /// What a reader that holds `known` lacks, or `None` if it lacks nothing.
    pub(super) fn chunks_for(&self, known: &VersionVector) -> Option<Chunks> {
        if covers(known, &self.version) {
            return None;
        }
        // Whoever shares nothing with the snapshot gets all of it, in frames that everybody shares.
        if self.version.dots.keys().all(|actor| known.get(actor) == 0) {
            return Some(self.whole());
        }
        // One whose content does not hold together although its checksum fits is for the reader to refuse.
        let difference = self.snapshot.difference(known);
        Some(Chunks::new(difference.as_ref().unwrap_or(self.snapshot.bytes())))
    }
}

/// An encoded snapshot in frames.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    frames: Arc<[Bytes]>,
    next: usize,
    /// The bytes of the snapshot itself.
    pub(super) bytes: u64,
}

impl Chunks {
    fn new(snapshot: &Bytes) -> Self {
        let count = snapshot.len().div_ceil(MAX_SNAPSHOT_CHUNK_BYTES).max(1);
        let frames = (0..count).map(|index| {
            let start = index * MAX_SNAPSHOT_CHUNK_BYTES;
            let bytes = snapshot.slice(start..snapshot.len().min(start + MAX_SNAPSHOT_CHUNK_BYTES));
            Frame::from(frame::Snapshot { index: index as u32, last: index + 1 == count, bytes }).encode()
        });
        Self { frames: frames.collect(), next: 0, bytes: snapshot.len() as u64 }
    }

    /// The same for all that share these frames.
    pub(super) fn address(&self) -> usize {
        self.frames.as_ptr().addr()
    }

    pub(super) fn peek(&self) -> Option<&Bytes> {
        self.frames.get(self.next)
    }

    pub(super) fn advance(&mut self) {
        self.next += 1;
    }
}

/// A member's way to the live tail. It pins the frames that it is sent: a fold meanwhile does not start a transfer anew, its
/// result is at most a second, smaller one.
#[derive(Debug)]
pub(super) struct CatchUp {
    /// What the member holds when all that was planned and sent has arrived.
    pub(super) known: VersionVector,
    /// What the member knows to be durable then.
    pub(super) durable: VersionVector,
    /// What is being sent of a snapshot.
    pub(super) chunks: Option<Chunks>,
    /// The place in the tail, once it is past the snapshot.
    pub(super) cursor: Option<Position>,
}

impl CatchUp {
    /// The way from `known`, of which `durable` is known to be so, over `base`.
    pub(super) fn plan(known: VersionVector, durable: VersionVector, base: Option<&Base>) -> Self {
        let mut plan = Self { known, durable, chunks: None, cursor: None };
        plan.extend(base);
        plan
    }

    /// Plans the transfer of what `base` has more than is known. Returns whether there is any.
    pub(super) fn extend(&mut self, base: Option<&Base>) -> bool {
        let Some((base, chunks)) = base.and_then(|base| Some((base, base.chunks_for(&self.known)?))) else {
            return false;
        };
        self.chunks = Some(chunks);
        self.will_hold(base);
        true
    }

    /// Sends all of `base` from its start, whatever was being sent.
    pub(super) fn send_whole(&mut self, base: &Base) {
        self.chunks = Some(base.whole());
        self.will_hold(base);
    }

    fn will_hold(&mut self, base: &Base) {
        for (actor, counter) in &base.version.dots {
            // A snapshot holds nothing but what is durable, and whoever merges it knows that of the actors that it names. A
            // difference does not name those of which the reader holds everything.
            if self.known.get(actor) < *counter {
                self.known.dots.insert(*actor, *counter);
                let durable = self.durable.dots.entry(*actor).or_default();
                *durable = (*durable).max(*counter);
            }
        }
    }
}

/// Whether `left` holds all that `right` does.
pub(super) fn covers(left: &VersionVector, right: &VersionVector) -> bool {
    right.dots.iter().all(|(actor, counter)| left.get(actor) >= *counter)
}

/// `vector` as frames: `Vector` parts of at most `entries`, then what `last` makes of the rest.
pub(super) fn vector_frames(
    vector: VersionVector,
    entries: usize,
    last: impl FnOnce(VersionVector) -> Frame,
) -> Vec<Bytes> {
    let mut parts = split(vector, entries);
    let rest = parts.pop().unwrap_or_default();
    let mut frames: Vec<Bytes> = vector_parts(parts, Extends::Vector).map(|part| Frame::from(part).encode()).collect();
    frames.push(last(rest).encode());
    frames
}

/// `vector` as `Durable` frames of at most `entries`: none if it is empty.
pub(super) fn durable_frames(vector: VersionVector, entries: usize) -> impl Iterator<Item = Bytes> {
    let parts = split(vector, entries).into_iter().filter(|part| !part.dots.is_empty());
    parts.map(|vector| Frame::from(frame::Durable { vector }).encode())
}
