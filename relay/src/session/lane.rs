//! One open document of a session, whatever carries its frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use inkwire_protocol::copies::CopyFate;
use inkwire_protocol::frame::SeenBatch;
use inkwire_protocol::limits::MAX_DOCUMENT_NAME_BYTES;
use inkwire_protocol::room::{Join, MemberId, Reason};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};

use super::SessionHandle;
use crate::drain::Phase;
use crate::rooms::{OpenRoom, Ready, Waiting};
use crate::token::Access;

/// The most bytes of vectors that all lanes of a session may hold before their documents are open, at
/// [`VECTOR_ENTRY_BYTES`] an entry.
pub const MAX_OPENING_BYTES: usize = 4 << 20;

/// An entry of a vector in its longest form: two integers of nine bytes.
const VECTOR_ENTRY_BYTES: usize = 18;

/// What follows from what a client sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flow {
    /// Read on.
    Continue,
    /// The client has left the document.
    Leave,
}

/// One open document. Dropping it leaves the room.
pub struct Lane {
    session: Arc<SessionHandle>,
    /// The channel that the client gave it.
    pub channel: Channel,
    room: OpenRoom,
    member: MemberId,
    wanted: Role,
    ready: Arc<dyn Ready>,
    revoked: AtomicBool,
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.session.lanes.lock();
        if lanes.get(&self.channel).is_some_and(|lane| std::ptr::eq(lane.as_ptr(), self)) {
            lanes.remove(&self.channel);
        }
        drop(lanes);
        self.room.leave(self.member);
        self.session.core.metrics.members.decrement(1.0);
        tracing::debug!(document = %self.room.key, "a document is closed");
    }
}

/// Counts as an open document of its session.
struct Counted(Arc<SessionHandle>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.document_closed();
    }
}

/// A lane with its place in the session's count; what transports hold.
pub struct OpenLane {
    lane: Arc<Lane>,
    _counted: Counted,
}

impl std::ops::Deref for OpenLane {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.lane
    }
}

impl Lane {
    /// Opens the document that the client asked for, if it may.
    pub async fn open(
        session: &Arc<SessionHandle>,
        open: frame::Open,
        seen: Vec<SeenBatch>,
        ready: Arc<dyn Ready>,
    ) -> Result<OpenLane, Reason> {
        check_name(&open.document)?;
        if session.core.phases.current() > Phase::Running {
            return Err((Code::GoingAway, "the relay is shutting down".to_owned()));
        }
        session.document_opened()?;
        let counted = Counted(Arc::clone(session));
        // Looked at before anything is loaded: whoever may not read a document costs nothing.
        granted(session.access.lock().as_ref(), &open.document)?;
        let room = session.core.rooms.open(&open.document).await?;
        let lane = Arc::new(Lane {
            session: Arc::clone(session),
            channel: open.channel,
            room,
            member: session.core.next_member(),
            wanted: open.role,
            ready: Arc::clone(&ready),
            revoked: AtomicBool::new(false),
        });
        session.core.metrics.members.increment(1.0);
        let mut lanes = session.lanes.lock();
        if lanes.get(&open.channel).is_some_and(|other| other.strong_count() > 0) {
            drop(lanes);
            return Err((Code::UnexpectedFrame, format!("channel {} is open already", open.channel.0)));
        }
        lanes.insert(open.channel, Arc::downgrade(&lane));
        drop(lanes);
        // Held over the join: a token that is refreshed meanwhile is looked at by `review_role` afterwards.
        let access = session.access.lock();
        let (subject, role) = granted(access.as_ref(), &open.document)?;
        let document = open.document.clone();
        lane.room.join(
            Join {
                member: lane.member,
                session: session.id,
                since: session.since,
                subject,
                role: role.min(open.role),
                open,
                seen,
            },
            ready,
        )?;
        drop(access);
        tracing::debug!(document, role = role.as_str(), "a document is opened");
        Ok(OpenLane { lane, _counted: counted })
    }

    /// Takes whole encoded frames, in their order. Those before one that is refused count.
    pub fn receive(&self, encoded: &[Bytes]) -> Result<Flow, Reason> {
        let metrics = &self.session.core.metrics;
        metrics.frames_received.increment(encoded.len() as u64);
        metrics.bytes_received.increment(encoded.iter().map(|frame| frame.len() as u64).sum());
        let mut frames = Vec::with_capacity(encoded.len());
        let mut outcome = Ok(Flow::Continue);
        for bytes in encoded {
            match Frame::decode(bytes) {
                Ok(Frame::CloseDocument(_) | Frame::Close(_)) => {
                    outcome = Ok(Flow::Leave);
                    break;
                }
                Ok(frame) => frames.push(frame),
                Err(error) => {
                    outcome = Err((error.code(), error.to_string()));
                    break;
                }
            }
        }
        self.room.receive(self.member, frames)?;
        outcome
    }

    /// Takes a frame that came as a datagram. Where the lane itself would not be read, because the store is behind or the relay
    /// about to leave, no copy of a batch is taken either.
    pub fn receive_datagram(&self, frame: Frame) {
        let core = &self.session.core;
        let is_copy = matches!(frame, Frame::Batch(_));
        let may_come = !is_copy || core.phases.current() == Phase::Running && !self.is_behind();
        match if may_come { self.room.receive_datagram(self.member, frame) } else { Some(CopyFate::Passed) } {
            Some(CopyFate::First) => core.metrics.copies_first.increment(1),
            Some(CopyFate::Late | CopyFate::Passed) => core.metrics.copies_dropped.increment(1),
            None => {}
        }
    }

    /// What waits for the client, up to about `max_bytes`; where nothing does, `ready` is told when something does.
    pub fn transmit(&self, max_bytes: usize, out: &mut Vec<Bytes>) -> Waiting {
        let before = out.len();
        let waiting = self.room.transmit(self.member, max_bytes, out);
        if let Waiting::Bytes(bytes) = waiting {
            let metrics = &self.session.core.metrics;
            metrics.frames_sent.increment((out.len() - before) as u64);
            metrics.bytes_sent.increment(bytes as u64);
        }
        waiting
    }

    /// The next frame of presence for the client.
    pub fn datagram(&self) -> Option<Bytes> {
        self.room.datagram(self.member)
    }

    /// Whether the lane should not be read for now, because the store is behind.
    pub fn is_behind(&self) -> bool {
        self.room.is_behind()
    }

    /// Resolves once the lane may be read on.
    pub async fn caught_up(&self) {
        self.session.core.metrics.store_waits.increment(1);
        self.room.caught_up().await;
    }

    /// The reason to end the lane, once its token allows nothing here any more.
    pub fn check_revoked(&self) -> Result<(), Reason> {
        if self.revoked.load(Ordering::Acquire) { Err(forbidden(&self.room.key.name)) } else { Ok(()) }
    }

    pub(super) fn review_role(&self, access: Option<&Access>) {
        match granted(access, &self.room.key.name) {
            Ok((_, role)) => self.room.set_role(self.member, role.min(self.wanted)),
            Err(_) => {
                self.revoked.store(true, Ordering::Release);
                self.ready.ready();
            }
        }
    }
}

fn granted(access: Option<&Access>, document: &str) -> Result<(Arc<str>, Role), Reason> {
    let access = access.ok_or_else(|| (Code::UnexpectedFrame, "a document before Welcome".to_owned()))?;
    let role = access.role(document).ok_or_else(|| forbidden(document))?;
    Ok((Arc::clone(&access.subject), role))
}

fn forbidden(document: &str) -> Reason {
    (Code::Forbidden, format!("the token grants nothing on {document:?}"))
}

/// A name is a path: not empty, not too long, no empty segments, nothing that terminals and logs would act on.
fn check_name(name: &str) -> Result<(), Reason> {
    let problem = if name.is_empty() {
        "a document's name is empty".to_owned()
    } else if name.len() > MAX_DOCUMENT_NAME_BYTES {
        format!("a document's name has {} bytes, at most {MAX_DOCUMENT_NAME_BYTES} are allowed", name.len())
    } else if name.split('/').any(str::is_empty) {
        format!("the document's name {name:?} has an empty segment")
    } else if name.chars().any(char::is_control) {
        format!("the document's name {name:?} has control characters")
    } else {
        return Ok(());
    };
    Err((Code::BadDocumentName, problem))
}

/// Gathers a lane's first frames, of which the last is `Open`. What it holds counts in its session until it is dropped, so
/// keep it until the document is open.
pub struct Opening {
    session: Arc<SessionHandle>,
    frames: inkwire_protocol::Opening,
    bytes: usize,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.session.opening_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Opening {
    /// Of a lane that has just begun.
    ///
    /// # Errors
    /// The reason to close the lane with, before `Welcome`: who is not known yet makes the relay hold nothing.
    pub fn begin(session: &Arc<SessionHandle>) -> Result<Self, Reason> {
        if !session.is_open() {
            return Err((Code::UnexpectedFrame, "a document before Welcome".to_owned()));
        }
        Ok(Self { session: Arc::clone(session), frames: inkwire_protocol::Opening::default(), bytes: 0 })
    }

    /// Takes the next frame; gives the whole `Open` once it is there.
    pub fn receive(&mut self, encoded: &Bytes) -> Result<Option<frame::Open>, Reason> {
        let frame = Frame::decode(encoded).map_err(|error| (error.code(), error.to_string()))?;
        // As decoded, which is more than was sent where counters are small.
        let bytes = match &frame {
            Frame::Vector(part) => part.part.dots.len() * VECTOR_ENTRY_BYTES,
            Frame::Seen(seen) => seen.batches.len() * size_of::<SeenBatch>(),
            _ => 0,
        };
        if bytes > 0 {
            self.bytes += bytes;
            let all = self.session.opening_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if all > MAX_OPENING_BYTES {
                return Err((
                    Code::Overloaded,
                    format!("vectors of {all} bytes wait for their Open, at most {MAX_OPENING_BYTES} may in a session"),
                ));
            }
        }
        self.frames.receive(frame)
    }

    /// What the client has seen, once its `Open` is there.
    pub fn take_seen(&mut self) -> Vec<SeenBatch> {
        self.frames.take_seen()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths() {
        for name in ["a", "acme/specs/roadmap", "ä/ö", "a b", "*", &"n".repeat(256)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "/", "/a", "a/", "a//b", "a\nb", "a\0", "\u{85}", &"n".repeat(257)] {
            assert_eq!(check_name(name).unwrap_err().0, Code::BadDocumentName, "{name}");
        }
    }
}
