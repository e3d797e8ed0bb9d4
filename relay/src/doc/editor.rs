//! How an edit gets in: through the room, where a relay runs; else into the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use inkwire_document::{Actor, Batch, Document, HybridTime, Snapshot, VersionVector};
use inkwire_protocol::frame::{self, Options};
use inkwire_protocol::record::LogRecord;
use inkwire_protocol::room::{Join, MemberId};
use inkwire_protocol::{Channel, Frame, Role};
use inkwire_storage::{Append, DocumentKey, Store};
use tokio::sync::Notify;

use super::SUBJECT;
use super::past::follow;
use crate::clock::unix_millis;
use crate::core::Core;
use crate::rooms::{OpenRoom, Waiting};

/// How long a room may take to give its document, or to say that an edit is durable.
const PATIENCE: Duration = Duration::from_secs(60);

/// Frames that are taken from a room at a time, in bytes.
const TAKE_BYTES: usize = 1 << 20;

/// An edit of a document.
pub type Edit<'e> = Box<dyn FnOnce(&mut Document, HybridTime) -> Result<(), String> + Send + 'e>;

/// What an edit became.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Edited {
    /// Batches; 0 when nothing had to change.
    pub batches: u32,
    /// Bytes of their operations.
    pub bytes: u64,
}

impl Edited {
    fn of(batches: &[Batch]) -> Self {
        let bytes = batches.iter().map(|batch| batch.operations.len() as u64).sum();
        Self { batches: u32::try_from(batches.len()).unwrap_or(u32::MAX), bytes }
    }
}

/// Where edits go.
pub enum Editor {
    /// Into the store, which nobody else uses.
    Store(Arc<dyn Store>),
    /// Through the rooms of a relay: whoever has the document open sees the edit.
    Rooms(Arc<Core>),
}

impl Editor {
    /// Makes an edit as an actor of its own, and returns when it is durable.
    ///
    /// # Errors
    /// In words. Where it is not known whether the edit was made, they say so.
    pub async fn edit(&self, name: &str, edit: Edit<'_>) -> Result<Edited, String> {
        match self {
            Self::Store(store) => in_store(&**store, name, edit).await,
            Self::Rooms(core) => {
                let visitor = Visitor::enter(core, name).await?;
                tokio::time::timeout(PATIENCE, visitor.edit(edit)).await.unwrap_or_else(|_| {
                    Err("the room did not say in time that the edit is durable: see `inkwire doc log` whether it was made".to_owned())
                })
            }
        }
    }
}

async fn in_store(store: &dyn Store, name: &str, edit: Edit<'_>) -> Result<Edited, String> {
    let words = |error: inkwire_storage::StoreError| error.to_string();
    let key = DocumentKey::new(name, store.incarnation(name).await.map_err(words)?);
    let loaded = store.load(&key).await.map_err(words)?;
    let mut document = Document::new();
    if let Some(stored) = loaded.snapshot {
        let snapshot = Snapshot::parse(stored.snapshot).map_err(|error| error.to_string())?;
        document.merge(&snapshot).map_err(|error| error.to_string())?;
    }
    follow(&mut document, loaded.records.iter());
    let actor = getrandom::u64().map_err(|error| error.to_string())?;
    document.set_actor(Actor(actor), 1);
    let now = unix_millis();
    edit(&mut document, HybridTime::from_millis(now))?;
    let batches = document.take_batches();
    let edited = Edited::of(&batches);
    let record = |batch| LogRecord::new(batch, SUBJECT.into(), now);
    let appends = batches.into_iter().map(|batch| Append { document: key.clone(), record: record(batch) });
    store.append(appends.collect()).await.map_err(words)?;
    Ok(edited)
}

/// A member of a room that has no connection. Dropping it leaves the room.
struct Visitor {
    room: OpenRoom,
    member: MemberId,
    ready: Arc<Notify>,
    document: Document,
    lease: Option<(Actor, u64)>,
    chunks: BytesMut,
    is_synced: bool,
    durable: VersionVector,
    paused: bool,
    unix_millis: u64,
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.room.leave(self.member);
    }
}

impl Visitor {
    async fn enter(core: &Core, name: &str) -> Result<Self, String> {
        let room = core.rooms.open(name).await.map_err(|(code, reason)| format!("{code}: {reason}"))?;
        let (member, ready, clock) = (core.next_member(), Arc::new(Notify::new()), core.clock.now());
        let open = frame::Open {
            channel: Channel(1),
            document: name.to_owned(),
            incarnation: None,
            vector: VersionVector::new(),
            durable: VersionVector::new(),
            role: Role::Editor,
            claim: None,
            options: Options::default(),
        };
        let join = Join {
            member,
            session: getrandom::u64().map_err(|error| error.to_string())?,
            since: clock.monotonic,
            subject: SUBJECT.into(),
            role: Role::Editor,
            open,
            seen: Vec::new(),
        };
        room.join(join, Arc::clone(&ready) as Arc<dyn crate::rooms::Ready>)
            .map_err(|(code, reason)| format!("{code}: {reason}"))?;
        let mut document = Document::new();
        document.set_early_limit(usize::MAX);
        Ok(Self {
            room,
            member,
            ready,
            document,
            lease: None,
            chunks: BytesMut::new(),
            is_synced: false,
            durable: VersionVector::new(),
            paused: false,
            unix_millis: clock.unix_millis,
        })
    }

    async fn edit(mut self, edit: Edit<'_>) -> Result<Edited, String> {
        while !self.is_synced {
            self.listen().await?;
        }
        let (actor, next) = self.lease.ok_or("the room gave no actor to write as")?;
        self.document.set_actor(actor, next);
        edit(&mut self.document, HybridTime::from_millis(self.unix_millis))?;
        let batches = self.document.take_batches();
        let edited = Edited::of(&batches);
        let last = batches.last().map(Batch::last);
        for batch in batches {
            self.room.caught_up().await;
            let frame = Frame::Batch(frame::Batch::new(batch, None));
            self.room.receive(self.member, [frame]).map_err(|(code, reason)| format!("{code}: {reason}"))?;
            // What the room says meanwhile must not pile up, and a refusal ends it.
            self.take()?;
        }
        let Some(last) = last else { return Ok(edited) };
        while self.durable.get(&actor) < last {
            if self.paused {
                return Err("the document takes no batches for now, because memory is short or the store is away: \
                            part of the edit may be there; try again later"
                    .to_owned());
            }
            self.listen().await?;
        }
        let release = Frame::Release(frame::Release { actor, last });
        // It is durable all the same if the room does not take the lease back.
        let _ = self.room.receive(self.member, [release]);
        Ok(edited)
    }

    /// Waits for the room, and takes what it says.
    async fn listen(&mut self) -> Result<(), String> {
        while !self.take()? {
            self.ready.notified().await;
        }
        Ok(())
    }

    /// Takes what the room says; whether it said anything.
    fn take(&mut self) -> Result<bool, String> {
        let mut frames: Vec<Bytes> = Vec::new();
        match self.room.transmit(self.member, TAKE_BYTES, &mut frames) {
            Waiting::Nothing => return Ok(false),
            Waiting::Over => return Err("the room was closed".to_owned()),
            Waiting::Bytes(_) => {}
        }
        for bytes in &frames {
            let frame = Frame::decode(bytes).map_err(|error| error.to_string())?;
            self.hear(frame)?;
        }
        Ok(true)
    }

    fn hear(&mut self, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Opened(opened) => self.lease = opened.lease.map(|lease| (lease.actor, lease.next)),
            Frame::Leased(leased) => self.lease = Some((leased.actor, leased.next)),
            Frame::Snapshot(chunk) => {
                self.chunks.extend_from_slice(&chunk.bytes);
                if chunk.last {
                    let whole = std::mem::take(&mut self.chunks).freeze();
                    let snapshot = Snapshot::parse(whole).map_err(|error| error.to_string())?;
                    self.document.merge(&snapshot).map_err(|error| error.to_string())?;
                }
            }
            Frame::Batch(batch) => {
                self.document.apply(&batch.into_parts().0).map_err(|error| error.to_string())?;
            }
            Frame::Synced(_) => self.is_synced = true,
            Frame::Received(received) => self.paused = received.paused.is_some(),
            Frame::Durable(moved) => {
                for (actor, counter) in moved.vector.dots {
                    let known = self.durable.dots.entry(actor).or_default();
                    *known = counter.max(*known);
                }
            }
            Frame::Refused(refused) if self.lease.is_some_and(|(actor, _)| actor == refused.actor) => {
                return Err(format!("the room refuses the edit: {}: {}", refused.code, refused.reason));
            }
            Frame::Close(close) => return Err(format!("the room was closed: {}: {}", close.code, close.reason)),
            _ => {}
        }
        Ok(())
    }
}
