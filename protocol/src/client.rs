//! The client's half of a session: from bytes to documents and back, without any input or output of its own.
//!
//! A shell owns the transport and the clock. It tells the [`Client`] when a connection is there
//! ([`Client::connected`]), what came ([`Client::receive_stream`], [`Client::receive_message`],
//! [`Client::receive_datagram`]), when it is gone ([`Client::disconnected`]) and when a timer fires
//! ([`Client::handle_timeout`]). After each of those and after each edit it polls: [`Client::poll_transmit`] while the
//! transport is writable, [`Client::poll_event`] until there is none, [`Client::poll_timeout`] for the next timer. Where each
//! lane has a stream of its own, it says which of them take nothing more for now ([`Client::set_lane_full`]): the others go on.
//!
//! The client decides when to connect again ([`Event::Reconnect`]) and when to ask for a fresh token
//! ([`Event::TokenWanted`]); how that is done is the shell's.
//!
//! # What is bounded, and how
//! Own edits, retained batches and the like: see [`crate::replica`]. What goes out is not queued: each frame is made when
//! the transport takes it. The control lane's answers are at most [`MAX_CONTROL_FRAMES`]; past that the oldest answer to
//! a ping is dropped. News of a document are one flag each, so events that nobody polls do not pile up.

mod config;
mod copies;
mod documents;
mod event;
mod liveness;
mod receive;
mod reconnect;
mod session;
mod transmit;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::HybridTime;
use inkwire_document::ordered::OrderedMap;

pub use config::{ClientConfig, Lanes};
pub use documents::{DocumentId, OpenError, PresenceTooLarge};
pub use event::{Event, Transmit};

use crate::Channel;
use crate::copies::CopyQueue;
use crate::random::Random;
use crate::replica::Replica;
use crate::wire::StreamDecoder;
use reconnect::Backoff;
use session::{Connection, Tokens};

/// Frames that may wait for the control lane.
pub const MAX_CONTROL_FRAMES: usize = 16;

/// The present moment on the shell's clock.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Now {
    /// Time since any fixed origin, never going back: `performance.now()` in a page, `Instant` elsewhere.
    pub monotonic: Duration,
}

impl Now {
    /// So long after the shell's origin.
    pub const fn new(monotonic: Duration) -> Self {
        Self { monotonic }
    }
}

/// One document of this client, and the lane that it has at present.
#[derive(Clone, Debug)]
struct OpenDocument {
    replica: Replica,
    lane: Option<Channel>,
    /// The application closed it: it stays until its edits are durable.
    leaving: bool,
    /// Lanes in a row that the relay ended for reasons of its own.
    backoff: Backoff,
    /// When to open it again, after a pause.
    reopen_at: Option<Duration>,
    /// The present lane's stream takes nothing more for now.
    full: bool,
    /// Batches of its present lane that go out once more.
    copies: CopyQueue,
}

/// What comes in on one lane.
#[derive(Clone, Debug)]
struct Lane {
    document: DocumentId,
    decoder: StreamDecoder,
}

/// One client: a session, or the lack of one, and any number of documents. See the [module](self).
#[derive(Clone, Debug)]
pub struct Client {
    config: ClientConfig,
    random: Random,
    clock: Clock,
    connection: Connection,
    token: Tokens,
    backoff: Backoff,
    documents: OrderedMap<DocumentId, OpenDocument>,
    next_document: u32,
    lanes: OrderedMap<Channel, Lane>,
    next_channel: u32,
    /// Whose turn it was last to send.
    turn: DocumentId,
    /// Lanes to open and finish, in order. At most two for each document and change of lane.
    lane_changes: VecDeque<Transmit>,
    control: VecDeque<Bytes>,
    control_decoder: StreamDecoder,
    events: VecDeque<Event>,
    copies: copies::Copies,
    /// Of the last presence state of any document: a document that is closed and opened again in one session goes on after it.
    presence_sequence: u32,
    now: Duration,
}

/// The client's hybrid clock: the relay's time at `Welcome`, carried on by the monotonic clock.
///
/// Before the first `Welcome` the client has no idea of the time, and must not ask the page's wall clock, which may be off
/// by a day. Edits of a map that are made then count from the epoch: they lose against every edit that anybody made with
/// a clock, and win against what the replica itself holds, because an edit is never earlier than what it replaces. Nor is
/// one ever behind the highest time that came from others in the same document.
#[derive(Clone, Debug, Default)]
struct Clock {
    /// Relay's milliseconds at monotonic zero; saturating, so a fast monotonic clock never makes it negative.
    offset_millis: u64,
    last: HybridTime,
}

impl Clock {
    fn set(&mut self, now: Duration, relay_millis: u64) {
        self.offset_millis = relay_millis.saturating_sub(now.as_millis() as u64);
        self.last = HybridTime::default();
    }

    /// Strictly later than every reading since the clock was set. That a document's edits are later than all that was seen in
    /// it is up to its replica: what one document holds must not make another's edits too far ahead.
    fn read(&mut self, now: Duration) -> HybridTime {
        let millis = self.offset_millis.saturating_add(now.as_millis() as u64);
        self.last = HybridTime::from_millis(millis).max(self.last.next());
        self.last
    }
}

impl Client {
    /// A client without a connection. `seed` must be unpredictable and never used twice: jitter and the actors of
    /// replicas that are born offline come from it.
    pub fn new(config: ClientConfig, seed: u64) -> Self {
        Self {
            config,
            random: Random::new(seed),
            clock: Clock::default(),
            connection: Connection::Waiting,
            token: Tokens::default(),
            backoff: Backoff::default(),
            documents: OrderedMap::new(),
            next_document: 1,
            lanes: OrderedMap::new(),
            next_channel: 1,
            turn: DocumentId(0),
            lane_changes: VecDeque::new(),
            control: VecDeque::new(),
            control_decoder: StreamDecoder::new(),
            events: VecDeque::new(),
            copies: copies::Copies::default(),
            presence_sequence: 0,
            now: Duration::ZERO,
        }
    }

    /// The next thing that the shell should know; poll until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let seen = self.documents.iter_mut().filter(|(_, document)| !document.leaving);
        seen.into_iter().find_map(|(id, document)| Event::from_news(*id, document.replica.news()))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due, on the monotonic clock; ask again after every call.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let of_documents = self.documents.values().flat_map(|document| {
            // What is due already waits for the transport, not for time.
            let presence = document.replica.poll_timeout().filter(|due| *due > self.now);
            let copies = document.copies.due().filter(|due| *due > self.now);
            [document.reopen_at, presence, copies]
        });
        of_documents.flatten().chain(self.connection.poll_timeout(self.has_lanes())).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.advance(now);
        self.check_liveness();
        self.check_token();
        self.open_lanes();
    }

    fn advance(&mut self, now: Now) {
        self.now = self.now.max(now.monotonic);
    }

    fn has_lanes(&self) -> bool {
        !self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_relay() {
        let mut clock = Clock::default();
        let at = Duration::from_millis;
        assert_eq!(clock.read(at(5)).millis(), 5);
        clock.set(at(1_000), 1_000_000);
        let first = clock.read(at(1_500));
        assert_eq!(first.millis(), 1_000_500);
        assert!(clock.read(at(1_500)) > first);
        clock.set(at(2_000), 900_000);
        assert_eq!(
            clock.read(at(2_000)).millis(),
            900_000,
            "a relay whose clock was a day ahead is believed when it is right again"
        );
    }
}
