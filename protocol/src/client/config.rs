//! How a client behaves, and over what it speaks.

use std::time::Duration;

use crate::copies::CopyMode;
use crate::replica::ReplicaConfig;

/// How the frames travel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lanes {
    /// WebTransport: a stream for each lane, and datagrams.
    Streams,
    /// WebSocket: messages with a channel in front.
    Messages,
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The client's name and version, for the relay's logs.
    pub agent: String,
    /// For the documents that it opens.
    pub replica: ReplicaConfig,
    /// The longest first pause before connecting again; it doubles with each failure. 500 ms.
    pub backoff_base: Duration,
    /// The longest pause of all. 15 s.
    pub backoff_cap: Duration,
    /// About how many bytes one [`super::Transmit`] carries at most; a single frame may be longer. 16 KiB.
    pub transmit_bytes: usize,
    /// When small batches are sent once more as datagrams, where there are some. [`CopyMode::Auto`]: while the relay says that the
    /// path loses packets, or the shell's transport does ([`super::Client::look_at_path`]).
    pub copies: CopyMode,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            agent: concat!("inkwire-protocol/", env!("CARGO_PKG_VERSION")).to_owned(),
            replica: ReplicaConfig::default(),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(15),
            transmit_bytes: 16 << 10,
            copies: CopyMode::default(),
        }
    }
}
