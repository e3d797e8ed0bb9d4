//! A native client: a task and a transport around `inkwire_protocol::client`, the same core that a browser runs.
//!
//! [`Client::connect`] opens a session, [`Client::open`] a document of it. A lost connection is resumed by itself, after
//! the times that the core chooses; edits go on meanwhile. Everything a client has started ends when it is dropped.

mod document;
mod driver;
mod http;
mod shared;
mod transport;

use std::sync::Arc;

use inkwire_protocol::Code;
use inkwire_protocol::client::{Client as Core, ClientConfig};
use inkwire_protocol::copies::CopyCounts;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

pub use document::Document;
pub use driver::ConnectError;
pub use http::{DevelopmentToken, HttpError, development_token};
pub use transport::{Transport, TransportError};

use driver::Driver;
use shared::{Order, Shared};

/// How to reach a relay and as whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The relay's base, as it prints it: `http://localhost:4433`.
    pub url: Url,
    /// What to speak with it.
    pub transport: Transport,
    /// Where tokens come from; asked at every connection and when a token is about to end.
    pub token: TokenSource,
    /// Feeds the core's generator: jitter and self-made actor ids. Two clients of one document must not share it.
    pub seed: u64,
    /// The core's own settings.
    pub config: ClientConfig,
    /// Whether it opens documents and reads nothing of them, alive all the same: a reader that stalls. Over WebTransport alone;
    /// a WebSocket has no lanes that could be read one by one.
    pub stalled: bool,
}

impl Options {
    /// Options with a development token and a seed from the system.
    #[must_use]
    pub fn new(url: Url, transport: Transport) -> Self {
        let token = TokenSource::Development(DevelopmentToken::default());
        Self { url, transport, token, seed: fresh_seed(), config: ClientConfig::default(), stalled: false }
    }
}

/// 64 bits that no other call gives: the standard library seeds its hash maps from the system's randomness.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// Where a client's tokens come from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// Always this one.
    Given(String),
    /// `POST /dev/token`. With a `subject` every token is the same person's, which a resumed session needs.
    Development(DevelopmentToken),
}

/// No token could be had.
#[derive(Debug, thiserror::Error)]
#[error("no token: {0}")]
pub struct TokenError(#[source] pub HttpError);

/// Why a client or a document of it is closed for good.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[error("closed: {reason} ({code:?})")]
pub struct Closed {
    /// The protocol's code, [`Code::None`] if it was closed on this side.
    pub code: Code,
    /// For people.
    pub reason: String,
}

/// Where a client's connection stands.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Connection {
    /// The first connection is being made.
    Connecting,
    /// Welcomed by the relay.
    Connected,
    /// Lost, and being made again.
    Reconnecting,
    /// Over for good.
    Closed(Closed),
}

/// What a client has carried, in bytes of frames: what the transport adds (WebSocket and QUIC headers, TLS,
/// retransmissions) is not in it.
#[derive(Copy, Clone, Default, Eq, PartialEq, Debug)]
pub struct Traffic {
    /// To the relay.
    pub sent_bytes: u64,
    /// From the relay.
    pub received_bytes: u64,
}

/// A session with a relay, through however many connections it takes.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    options: Arc<Options>,
    connection: watch::Receiver<Connection>,
    driver: JoinHandle<()>,
}

impl Client {
    /// Connects; resolves when the relay has said `Welcome`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the first connection from being made; later ones are tried again for ever.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let options = Arc::new(options);
        let (shared, mut connection) = Shared::new(Core::new(options.config.clone(), options.seed));
        let mut driver = Driver::new(Arc::clone(&shared), Arc::clone(&options));
        driver.connect().await?;
        let client = Self { shared, options, connection: connection.clone(), driver: tokio::spawn(driver.run()) };
        let settled = connection
            .wait_for(|connection| !matches!(connection, Connection::Connecting))
            .await
            .map(|connection| connection.clone());
        match settled {
            Ok(Connection::Closed(closed)) => Err(closed.into()),
            Ok(Connection::Connected) => Ok(client),
            _ => Err(Closed { code: Code::None, reason: "the relay hung up before its welcome".to_owned() }.into()),
        }
    }

    /// Opens a document. It may be edited at once; [`Document::synced`] tells when it has what the relay has.
    ///
    /// # Errors
    ///
    /// If the name is not one, or too many documents are open.
    pub fn open(&self, name: &str) -> Result<Document, inkwire_protocol::client::OpenError> {
        Document::open(Arc::clone(&self.shared), self.connection.clone(), name)
    }

    /// The transport that it uses.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.options.transport
    }

    /// Where the connection stands, now and from now on.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    /// What has been carried so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared.traffic()
    }

    /// Copies of batches that went and came as datagrams, over all connections; none over a WebSocket.
    #[must_use]
    pub fn copies(&self) -> CopyCounts {
        self.shared.look(Core::copies)
    }

    /// Whether batches are sent once more as datagrams at present: see
    /// [`ClientConfig::copies`](inkwire_protocol::client::ClientConfig::copies).
    #[must_use]
    pub fn sends_copies(&self) -> bool {
        self.shared.look(Core::sends_copies)
    }

    /// Takes leave of the relay and ends. What is not durable by then may be lost: see [`Document::durable`].
    pub async fn close(mut self) {
        self.shared.with(|state, now| {
            state.core.close(now);
            state.orders.push_back(Order::Stop);
        });
        // It has nothing left to do but to say goodbye; if it panicked there is nobody to say it.
        let _ = (&mut self.driver).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
