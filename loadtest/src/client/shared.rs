//! The protocol core and who waits for it, shared between the application's handles, the driver and the transport.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use inkwire_protocol::Channel;
use inkwire_protocol::client::{Client as Core, DocumentId, Event, Now};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::transport::Inbox;
use super::{Closed, Connection, Traffic};

/// The core behind its lock, and its wakers.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There may be something to transmit, a timeout that moved, or something in `State::driver`.
    pub(super) wake: Notify,
    origin: Instant,
    pub(super) sent_bytes: AtomicU64,
    pub(super) received_bytes: AtomicU64,
}

/// What the lock holds.
pub(super) struct State {
    pub(super) core: Core,
    /// Which connection the core has been told of; what an older one still delivers is dropped.
    pub(super) generation: u64,
    /// Counts what happened to each open document.
    documents: HashMap<DocumentId, watch::Sender<u64>>,
    connection: watch::Sender<Connection>,
    /// What the driver has to do.
    pub(super) orders: VecDeque<Order>,
}

/// What the core asks of the driver.
#[derive(Debug)]
pub(super) enum Order {
    /// The session is over; try again then.
    Reconnect { after: Duration, url: Option<String> },
    /// The token ends soon.
    Token,
    /// The transport of this generation is gone.
    Lost { generation: u64 },
    /// Never again.
    Stop,
}

impl Shared {
    pub(super) fn new(core: Core) -> (Arc<Self>, watch::Receiver<Connection>) {
        let (connection, watched) = watch::channel(Connection::Connecting);
        let state = State { core, generation: 0, documents: HashMap::new(), connection, orders: VecDeque::new() };
        let shared = Arc::new(Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            origin: Instant::now(),
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
        });
        (shared, watched)
    }

    /// The time as the core sees it.
    pub(super) fn now(&self) -> Now {
        Now { monotonic: self.origin.elapsed() }
    }

    /// The moment at which the core's clock shows `monotonic`.
    pub(super) fn instant(&self, monotonic: Duration) -> Instant {
        self.origin + monotonic
    }

    /// Runs `use_core`, tells those who wait what came of it and wakes the driver.
    pub(super) fn with<R>(&self, use_core: impl FnOnce(&mut State, Now) -> R) -> R {
        let mut state = self.state.lock();
        let result = use_core(&mut state, self.now());
        state.dispatch();
        drop(state);
        self.wake.notify_one();
        result
    }

    /// Looks without changing anything.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.state.lock().core)
    }

    /// Runs `use_core` without waking the driver: for the driver itself.
    pub(super) fn drive<R>(&self, use_core: impl FnOnce(&mut State, Now) -> R) -> R {
        let mut state = self.state.lock();
        let result = use_core(&mut state, self.now());
        state.dispatch();
        result
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
        }
    }
}

impl State {
    pub(super) fn watch(&mut self, document: DocumentId) -> watch::Receiver<u64> {
        self.documents.entry(document).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    pub(super) fn forget(&mut self, document: DocumentId) {
        self.documents.remove(&document);
    }

    pub(super) fn set_connection(&mut self, connection: Connection) {
        self.connection.send_if_modified(|now| {
            // Closed is for good.
            let moves = !matches!(now, Connection::Closed(_)) && *now != connection;
            if moves {
                *now = connection;
            }
            moves
        });
    }

    fn dispatch(&mut self) {
        // One bump however many events a document had: those who wait look at the state, not at events.
        let mut last: Option<DocumentId> = None;
        while let Some(event) = self.core.poll_event() {
            let Some(document) = self.take(event) else {
                continue;
            };
            if last != Some(document)
                && let Some(previous) = last.replace(document)
            {
                self.bump(previous);
            }
        }
        if let Some(document) = last {
            self.bump(document);
        }
    }

    /// Acts on an event of the session; says which document an event is about.
    fn take(&mut self, event: Event) -> Option<DocumentId> {
        match event {
            Event::Welcomed { .. } => self.set_connection(Connection::Connected),
            Event::Reconnect { after, url } => {
                self.set_connection(Connection::Reconnecting);
                self.orders.push_back(Order::Reconnect { after, url });
            }
            Event::TokenWanted => self.orders.push_back(Order::Token),
            Event::Closed { code, reason, fatal: true } => {
                self.set_connection(Connection::Closed(Closed { code, reason }));
                self.orders.push_back(Order::Stop);
            }
            Event::Opened(document)
            | Event::Synced(document)
            | Event::Changed(document)
            | Event::Status(document)
            | Event::Durable(document)
            | Event::Presence(document)
            | Event::Refused { document, .. }
            | Event::DocumentClosed { document, .. } => return Some(document),
            _ => {}
        }
        None
    }

    fn bump(&self, document: DocumentId) {
        if let Some(watched) = self.documents.get(&document) {
            watched.send_modify(|count| *count += 1);
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("traffic", &self.traffic()).finish_non_exhaustive()
    }
}

/// What one connection delivers.
pub(super) struct Generation {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    /// Documents' lanes are not read.
    pub(super) stalled: bool,
}

impl Generation {
    fn deliver(&self, bytes: usize, give: impl FnOnce(&mut Core, Now)) -> bool {
        self.shared.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.shared.with(|state, now| {
            let current = state.generation == self.number;
            if current {
                give(&mut state.core, now);
            }
            current
        })
    }
}

impl Inbox for Generation {
    fn reads(&self, channel: Channel) -> bool {
        !self.stalled || channel == Channel::CONTROL
    }

    fn stream(&self, channel: Channel, bytes: &[u8]) -> bool {
        self.deliver(bytes.len(), |core, now| core.receive_stream(now, channel, bytes))
    }

    fn message(&self, message: Bytes) -> bool {
        self.deliver(message.len(), |core, now| core.receive_message(now, message))
    }

    fn datagram(&self, datagram: Bytes) -> bool {
        self.deliver(datagram.len(), |core, now| core.receive_datagram(now, datagram))
    }

    fn drained(&self, channel: Channel) {
        self.deliver(0, |core, _| core.set_lane_full(channel, false));
    }

    fn ended(&self, _reason: String) {
        self.shared.with(|state, _| state.orders.push_back(Order::Lost { generation: self.number }));
    }
}
