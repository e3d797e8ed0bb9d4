//! Three ways to a relay behind one seam: a [`Link`] takes what the protocol core wants sent and hands what arrives to
//! an [`Inbox`]. Nothing above this module knows which library carries the bytes.

mod messages;
mod queued;
mod streams;
mod tls;
mod websocket;
mod webtransport;
mod wtransport;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_protocol::Channel;
use inkwire_protocol::client::{Lanes, Transmit};
use inkwire_protocol::copies::PacketCounts;
use url::{Host, Url};

use super::http::{self, HttpError};
use tls::Trust;

/// How long one attempt to connect may take altogether, requests over HTTP and handshakes included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The path of WebTransport and WebSocket alike.
const SESSION_PATH: &str = "session";
/// How many bytes of frames wait for one stream, or for a WebSocket, before the core is no longer asked for more of them.
const QUEUE_BYTES: usize = 256 * 1024;
/// How much is read from a transport at once, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// How long a closing session may take to hand over what is queued.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// A transport, and the library that speaks it.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
#[non_exhaustive]
pub enum Transport {
    /// WebTransport with `web-transport-quinn`, the library that the relay uses.
    WebTransport,
    /// WebTransport with `wtransport`, which shares no WebTransport code with the relay.
    Wtransport,
    /// WebSocket with `tokio-tungstenite`.
    WebSocket,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WebTransport, Self::Wtransport, Self::WebSocket];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebTransport => "webtransport",
            Self::Wtransport => "wtransport",
            Self::WebSocket => "websocket",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
            .ok_or_else(|| format!("there is no transport {name:?}; there are webtransport, wtransport and websocket"))
    }
}

/// Why a transport did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The relay did not say which certificate it has.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The URL has no host, or neither `http` nor `https`.
    #[error("{0} is not the address of a relay")]
    Address(Url),
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The host's name leads nowhere, or its sockets cannot be opened.
    #[error("cannot reach {url}: {source}")]
    Reach {
        /// Where.
        url: Url,
        /// Why.
        source: std::io::Error,
    },
    /// A handshake failed.
    #[error("no {transport} session with {url}: {reason}")]
    Handshake {
        /// Which transport.
        transport: Transport,
        /// Where.
        url: Url,
        /// Why.
        reason: String,
    },
    /// No session came up within 5 seconds.
    #[error("no {transport} session with {url} within {CONNECT_TIMEOUT:?}")]
    Timeout {
        /// Which transport.
        transport: Transport,
        /// Where.
        url: Url,
    },
}

impl TransportError {
    /// Whether another attempt may succeed without anything being changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Address(_) | Self::Tls(_) => false,
            Self::Reach { .. } | Self::Handshake { .. } | Self::Timeout { .. } => true,
        }
    }
}

/// Where what arrives goes. Each call says whether more is wanted; `false` ends the task that asked.
pub(crate) trait Inbox: Send + Sync + 'static {
    /// Whether a lane that is opened will be read at all.
    fn reads(&self, channel: Channel) -> bool;
    /// Bytes of a lane, split anywhere.
    fn stream(&self, channel: Channel, bytes: &[u8]) -> bool;
    /// One WebSocket message.
    fn message(&self, message: Bytes) -> bool;
    /// One datagram.
    fn datagram(&self, datagram: Bytes) -> bool;
    /// A lane that was full takes more again.
    fn drained(&self, channel: Channel);
    /// The session is over, for `reason`; nothing follows.
    fn ended(&self, reason: String);
}

/// One session of some transport. Dropping it ends its tasks and the session, without a farewell.
#[async_trait]
pub(crate) trait Link: Send {
    /// How the core is to frame what it sends.
    fn lanes(&self) -> Lanes;
    /// Begins to deliver to the inbox. Call it once, when the core knows of the connection.
    fn start(&mut self, inbox: Arc<dyn Inbox>);
    /// Takes what the core wants sent, in order. Never waits: ask [`Link::ready`] before the next. Says which lane takes nothing more
    /// for now; [`Inbox::drained`] says when it does again.
    fn put(&mut self, transmit: Transmit) -> Option<Channel>;
    /// What the transport has counted of packets from this end; `None` where it does not.
    fn packets(&self) -> Option<PacketCounts> {
        None
    }
    /// Hands over what was [`put`](Link::put); call it when there is nothing more to put for now.
    fn flush(&mut self);
    /// Waits until less than [`QUEUE_BYTES`] are queued that all lanes share. Cancel-safe.
    async fn ready(&mut self);
    /// Hands over what is queued, within [`FLUSH_TIMEOUT`], and closes the session with the code and reason.
    async fn close(&mut self, code: u16, reason: &str);
}

/// Connects to the relay whose base URL is `base`.
///
/// `http` means a relay on loopback: the development certificate is trusted by the hashes that it gives. `https` means
/// a certificate that this machine's authorities vouch for.
pub(crate) async fn connect(transport: Transport, base: &Url) -> Result<Box<dyn Link>, TransportError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, attempt(transport, base)).await {
        Ok(link) => link,
        Err(_) => Err(TransportError::Timeout { transport, url: base.clone() }),
    }
}

async fn attempt(transport: Transport, base: &Url) -> Result<Box<dyn Link>, TransportError> {
    match transport {
        Transport::WebSocket => Ok(Box::new(websocket::connect(base).await?)),
        Transport::WebTransport => {
            let session = webtransport::connect(&Destination::find(base).await?).await?;
            Ok(Box::new(streams::StreamLink::new(session)))
        }
        Transport::Wtransport => {
            let session = wtransport::connect(&Destination::find(base).await?).await?;
            Ok(Box::new(streams::StreamLink::new(session)))
        }
    }
}

/// Where a QUIC session goes and whom it trusts there.
struct Destination {
    /// `https://HOST:PORT/session`.
    url: Url,
    /// The address behind the host.
    address: SocketAddr,
    trust: Trust,
}

impl Destination {
    async fn find(base: &Url) -> Result<Self, TransportError> {
        let not_a_relay = || TransportError::Address(base.clone());
        let port = base.port_or_known_default().ok_or_else(not_a_relay)?;
        let (address, trust) = match base.scheme() {
            "http" => {
                let answer = http::certificate_hashes(base).await?;
                (answer.peer, answer.hashes.map_or(Trust::Authorities, Trust::Hashes))
            }
            "https" => (resolve(base, port).await?, Trust::Authorities),
            _ => return Err(not_a_relay()),
        };
        let host = base.host_str().ok_or_else(not_a_relay)?;
        let url = Url::parse(&format!("https://{host}:{port}/{SESSION_PATH}")).map_err(|_| not_a_relay())?;
        Ok(Self { url, address, trust })
    }

    /// The name for TLS.
    fn server_name(&self) -> String {
        match self.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// The local address that a socket to it is bound to.
    fn local(&self) -> SocketAddr {
        match self.address {
            SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        }
    }

    fn handshake(&self, transport: Transport, reason: impl fmt::Display) -> TransportError {
        TransportError::Handshake { transport, url: self.url.clone(), reason: reason.to_string() }
    }

    fn reach(&self, source: std::io::Error) -> TransportError {
        TransportError::Reach { url: self.url.clone(), source }
    }
}

async fn resolve(base: &Url, port: u16) -> Result<SocketAddr, TransportError> {
    let reach = |source| TransportError::Reach { url: base.clone(), source };
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let mut found = tokio::net::lookup_host((host, port)).await.map_err(reach)?;
    found.next().ok_or_else(|| reach(std::io::Error::other("the name has no address")))
}

/// What quinn counts on a path, for both libraries on it.
fn packets(path: &quinn::PathStats) -> PacketCounts {
    PacketCounts { sent: path.sent_packets, lost: path.lost_packets }
}

/// What both QUIC libraries are told: little is buffered, so that the core decides what is sent next, and silence ends
/// a session soon after the protocol's own liveness would.
fn quic_transport() -> quinn::TransportConfig {
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_idle_timeout(Some(quinn::VarInt::from_u32(10_000).into()))
        .max_concurrent_bidi_streams(quinn::VarInt::from_u32(0))
        .max_concurrent_uni_streams(quinn::VarInt::from_u32(8))
        .stream_receive_window(quinn::VarInt::from_u32(1 << 20))
        .receive_window(quinn::VarInt::from_u32(4 << 20))
        .send_window(512 * 1024)
        .send_fairness(false)
        .datagram_receive_buffer_size(Some(64 * 1024))
        .datagram_send_buffer_size(64 * 1024);
    transport
}
