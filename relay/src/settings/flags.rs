//! Every setting once: as a flag, as an environment variable and as a key of the settings file.
//!
//! All are optional here, so that what was not given can be told from what was given; [`Settings`](super::Settings) holds the
//! outcome. Defaults stand in the help texts and in `Settings::resolve`, and a test compares the two.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use inkwire_protocol::copies::CopyMode;
use inkwire_storage::scylla::address::{Address, AddressError};
use serde::Deserialize;

use super::address::ListenAddress;
use super::units::{ByteCount, Period};
use crate::history::Step;

/// How logs are written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which engine keeps the documents.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum StoreKind {
    /// In the data directory; survives power loss.
    Embedded,
    /// In memory: gone with the process. For trials and tests.
    Memory,
    /// In a CQL cluster, for a fleet.
    Cluster(Box<Address>),
}

impl FromStr for StoreKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "memory" => Ok(Self::Memory),
            _ if text.starts_with("scylla:") => text
                .parse()
                .map(|address| Self::Cluster(Box::new(address)))
                .map_err(|error: AddressError| error.to_string()),
            _ => Err(format!("{text:?} is no store: embedded, memory or scylla://host[:port],…/keyspace")),
        }
    }
}

impl TryFrom<String> for StoreKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// When small batches are sent once more as datagrams.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DatagramCopies {
    /// While a session's path loses packets.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never, and clients' copies are passed over.
    Off,
}

impl From<DatagramCopies> for CopyMode {
    fn from(given: DatagramCopies) -> Self {
        match given {
            DatagramCopies::Auto => Self::Auto,
            DatagramCopies::On => Self::On,
            DatagramCopies::Off => Self::Off,
        }
    }
}

macro_rules! flags {
    ($(
        $(#[doc = $doc:literal])*
        $(#[value($($value:tt)*)])*
        $name:ident: $type:ty = $env:literal, $placeholder:literal, $heading:literal;
    )*) => {
        /// The settings of `inkwire serve` as one source gives them.
        #[derive(Args, Clone, Debug, Default, Deserialize, PartialEq)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Flags {
            $(
                $(#[doc = $doc])*
                #[arg(long, env = $env, value_name = $placeholder, help_heading = $heading, $($($value)*)*)]
                pub $name: Option<$type>,
            )*
        }

        impl Flags {
            /// Takes from `lower` what is not given here.
            #[must_use]
            pub fn or(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)* }
            }

            /// Each setting's name in the file and its environment variable.
            pub const NAMES: &'static [(&'static str, &'static str)] = &[$((stringify!($name), $env),)*];
        }
    };
}

flags! {
    /// Where to listen: TCP for HTTP and WebSocket and UDP for WebTransport, on one port. `localhost` means 127.0.0.1 and ::1;
    /// port 0 picks a free one; [::] takes IPv4 too [default: localhost:4433]
    listen: ListenAddress = "INKWIRE_LISTEN", "ADDRESS", "Listening";
    /// The certificate chain in PEM, leaf first. Needed to listen beyond loopback, unless behind a proxy [default: none]
    tls_cert: PathBuf = "INKWIRE_TLS_CERT", "FILE", "Listening";
    /// The private key of the certificate in PEM [default: none]
    tls_key: PathBuf = "INKWIRE_TLS_KEY", "FILE", "Listening";
    /// A proxy ends TLS in front of the relay: speak plain HTTP on any address [default: false]
    #[value(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    behind_proxy: bool = "INKWIRE_BEHIND_PROXY", "true|false", "Listening";
    /// Origins, such as https://app.example, whose pages may open sessions besides the relay's own. Repeatable, or separated by
    /// commas [default: none]
    #[value(value_delimiter = ',')]
    allow_origin: Vec<String> = "INKWIRE_ALLOW_ORIGIN", "ORIGIN", "Listening";
    /// Serve /metrics, /healthz and /readyz here, in plain HTTP. Without it /metrics is served on the main address, to loopback
    /// alone [default: none]
    metrics_listen: ListenAddress = "INKWIRE_METRICS_LISTEN", "ADDRESS", "Listening";

    /// The data directory: documents, keys, the development certificate. Made if missing [default: inkwire-data]
    data: PathBuf = "INKWIRE_DATA", "DIR", "Storage";
    /// What keeps the documents: embedded (in the data directory), memory (gone with the process), or a CQL cluster, as
    /// scylla://[user:password@]host[:port],…/keyspace with the options ?datacenter=NAME&ca=FILE&commitlog=batch|group|periodic
    /// &unsynced=accept; see `inkwire store init` [default: embedded]
    #[value(hide_env_values = true)]
    store: StoreKind = "INKWIRE_STORE", "STORE", "Storage";
    /// Which snapshots of a document's past stay besides the newest and those that are named: one of every period for some time, as
    /// 1h:1d. Repeatable, or separated by commas [default: 1h:1d,1d:30d]
    #[value(value_delimiter = ',')]
    keep_snapshots: Vec<Step> = "INKWIRE_KEEP_SNAPSHOTS", "EVERY:FOR", "Storage";
    /// Documents whose whole log is kept, so that every moment of their past can be shown: names or patterns with * for one segment
    /// and ** for any. Repeatable, or separated by commas [default: none]
    #[value(value_delimiter = ',')]
    keep_log: Vec<String> = "INKWIRE_KEEP_LOG", "PATTERN", "Storage";
    /// Bytes of the data directory that edits may take while a cluster is away, with what open documents were loaded with; past
    /// it editors are told `store_unavailable` and keep what they write. 0 for no spool [default: 1GiB]
    spool: ByteCount = "INKWIRE_SPOOL", "BYTES", "Storage";

    /// A key that signs access tokens: EdDSA or ES256 with a public key in PEM, or HS256 with a secret of at least 32 bytes.
    /// Repeatable, or separated by commas. Without any, and on loopback alone, development tokens are accepted [default: none]
    #[value(value_delimiter = ',')]
    token_key: Vec<String> = "INKWIRE_TOKEN_KEY", "ALGORITHM:FILE", "Tokens";
    /// The `iss` that tokens must have. Needed with --token-key [default: none]
    token_issuer: String = "INKWIRE_TOKEN_ISSUER", "TEXT", "Tokens";
    /// The `aud` that tokens must have. Needed with --token-key [default: none]
    token_audience: String = "INKWIRE_TOKEN_AUDIENCE", "TEXT", "Tokens";

    /// What to log, by tracing's directives, such as info,inkwire_relay=debug [default: info]
    log: String = "INKWIRE_LOG", "FILTER", "Logs";
    /// How to write logs, on standard error [default: text]
    #[value(value_enum)]
    log_format: LogFormat = "INKWIRE_LOG_FORMAT", "FORMAT", "Logs";

    /// How long SIGTERM may take until the relay exits: sessions are told to go, what is not durable is flushed. 0 ends it at
    /// once, and what was not flushed stays with the clients [default: 10s]
    drain_timeout: Period = "INKWIRE_DRAIN_TIMEOUT", "PERIOD", "Running";
    /// How long a room without members stays in memory [default: 30s]
    unload_after: Period = "INKWIRE_UNLOAD_AFTER", "PERIOD", "Running";

    /// When small batches are sent once more as datagrams over WebTransport, so that a lost packet does not hold them up
    /// [default: auto]
    #[value(value_enum)]
    datagram_copies: DatagramCopies = "INKWIRE_DATAGRAM_COPIES", "WHEN", "Running";

    /// Sessions at a time; more are told `overloaded` [default: 20000]
    max_sessions: usize = "INKWIRE_MAX_SESSIONS", "COUNT", "Bounds";
    /// Documents that one session may have open at a time [default: 64]
    max_documents: u32 = "INKWIRE_MAX_DOCUMENTS", "COUNT", "Bounds";
    /// TCP connections at a time, sessions included; more wait in the listener's queue [default: 20000]
    max_tcp_connections: usize = "INKWIRE_MAX_TCP_CONNECTIONS", "COUNT", "Bounds";
    /// QUIC and TLS handshakes at a time; the oldest is given up for one more [default: 1000]
    max_handshakes: usize = "INKWIRE_MAX_HANDSHAKES", "COUNT", "Bounds";
    /// From how many QUIC handshakes at a time on a client must prove its address first (a Retry) [default: 100]
    retry_threshold: usize = "INKWIRE_RETRY_THRESHOLD", "COUNT", "Bounds";
    /// How long a handshake and a session's `Hello` may take [default: 10s]
    handshake_timeout: Period = "INKWIRE_HANDSHAKE_TIMEOUT", "PERIOD", "Bounds";
    /// Bytes that a client may send on one WebTransport stream before the relay has read them [default: 256KiB]
    stream_receive_window: ByteCount = "INKWIRE_STREAM_RECEIVE_WINDOW", "BYTES", "Bounds";
    /// Bytes that a client may send on one WebTransport connection before the relay has read them [default: 1MiB]
    connection_receive_window: ByteCount = "INKWIRE_CONNECTION_RECEIVE_WINDOW", "BYTES", "Bounds";
    /// Bytes that a WebTransport connection or a WebSocket may hold sent and not acknowledged [default: 256KiB]
    send_window: ByteCount = "INKWIRE_SEND_WINDOW", "BYTES", "Bounds";
    /// Bytes of datagrams that wait, in each direction of a WebTransport connection; at least 2KiB [default: 64KiB]
    datagram_buffer: ByteCount = "INKWIRE_DATAGRAM_BUFFER", "BYTES", "Bounds";
    /// Bytes that may wait for the store in all rooms together; past it sessions are read slower [default: 64MiB]
    store_queue: ByteCount = "INKWIRE_STORE_QUEUE", "BYTES", "Bounds";
    /// Bytes that all open documents may use together: tails, snapshots, and what waits for readers. Past parts of it empty documents
    /// are unloaded, slow readers lose their place, writers wait, and at last documents that are not open are refused [default: half
    /// of the machine's or the control group's memory]
    memory_budget: ByteCount = "INKWIRE_MEMORY_BUDGET", "BYTES", "Bounds";
    /// Receive and send buffer of each UDP socket, as far as the system allows [default: 4MiB]
    udp_buffer: ByteCount = "INKWIRE_UDP_BUFFER", "BYTES", "Bounds";
    /// UDP segmentation offload. Turn it off where the network card or the host drops such packets [default: true]
    #[value(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    gso: bool = "INKWIRE_GSO", "true|false", "Bounds";
}
