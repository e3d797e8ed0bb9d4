//! Settings: flags over environment variables over the settings file over defaults, checked together.

mod address;
mod flags;
#[cfg(test)]
mod tests;
mod units;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use inkwire_protocol::copies::CopyMode;

pub use address::ListenAddress;
pub use flags::{DatagramCopies, Flags, LogFormat, StoreKind};
pub use units::{ByteCount, Period};

use crate::history::History;
use crate::token::KeySource;

/// Everything that `inkwire serve` can be told, complete and consistent.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: ListenAddress,
    /// The given certificate, if any.
    pub tls: Option<TlsFiles>,
    /// Whether a proxy ends TLS.
    pub behind_proxy: bool,
    /// Origins allowed besides the relay's own, in the form browsers send.
    pub allow_origin: Vec<String>,
    /// Where metrics are served, if not on the main address.
    pub metrics_listen: Option<ListenAddress>,
    /// The data directory.
    pub data: PathBuf,
    /// Which engine keeps the documents.
    pub store: StoreKind,
    /// What stays of documents' past.
    pub history: History,
    /// Who signs tokens.
    pub tokens: TokenSettings,
    /// What to log.
    pub log: String,
    /// How to log it.
    pub log_format: LogFormat,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// How long an empty room stays.
    pub unload_after: Duration,
    /// When small batches are sent once more as datagrams.
    pub datagram_copies: CopyMode,
    /// How much of everything.
    pub bounds: Bounds,
}

/// Files of a given certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The chain in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

/// Who signs the tokens that are accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenSettings {
    /// The relay itself, for anyone on this machine.
    Development,
    /// The application's server.
    Keys {
        /// Its keys.
        keys: Vec<KeySource>,
        /// The `iss` it uses.
        issuer: String,
        /// The `aud` it uses for this relay.
        audience: String,
    },
}

/// Limits per connection and per process. `docs/src/operations.md` adds them up.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Sessions at a time.
    pub max_sessions: usize,
    /// Open documents of a session.
    pub max_documents: u32,
    /// TCP connections at a time.
    pub max_tcp_connections: usize,
    /// Handshakes at a time, QUIC and TLS each.
    pub max_handshakes: usize,
    /// QUIC handshakes at a time from which on addresses are validated first.
    pub retry_threshold: usize,
    /// How long a handshake, and then a `Hello`, may take.
    pub handshake_timeout: Duration,
    /// Unread bytes of one WebTransport stream.
    pub stream_receive_window: u64,
    /// Unread bytes of one WebTransport connection.
    pub connection_receive_window: u64,
    /// Sent and unacknowledged bytes of one connection.
    pub send_window: u64,
    /// Bytes of waiting datagrams, each way.
    pub datagram_buffer: usize,
    /// About how many bytes the spool may take before a cluster; 0 for none.
    pub spool: u64,
    /// Bytes that wait for the store, process-wide.
    pub store_queue: usize,
    /// Bytes that all rooms may use together.
    pub memory_budget: usize,
    /// Socket buffers asked for.
    pub udp_buffer: usize,
    /// UDP segmentation offload.
    pub gso: bool,
}

/// The smallest budget of all rooms: two documents of the largest tails that are not durable.
pub const SMALLEST_MEMORY_BUDGET: usize = 16 << 20;

/// Why settings cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("cannot read the settings file {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The settings file is not TOML, or holds what is no setting.
    #[error("the settings file {file}: {source}")]
    Parse {
        /// The file.
        file: PathBuf,
        /// What is wrong, with its place.
        source: Box<toml::de::Error>,
    },
    /// One setting has a value that it cannot have, or two do not go together.
    #[error("{0}")]
    Invalid(String),
}

impl Flags {
    /// Reads the settings file.
    pub fn from_file(file: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(file).map_err(|source| SettingsError::Read { file: file.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| SettingsError::Parse { file: file.to_owned(), source: Box::new(source) })
    }
}

impl Settings {
    /// Fills in defaults and checks that all goes together.
    pub fn resolve(flags: Flags) -> Result<Self, SettingsError> {
        let invalid = |text: String| SettingsError::Invalid(text);
        let listen = flags.listen.unwrap_or(ListenAddress::Localhost { port: 4433 });
        let behind_proxy = flags.behind_proxy.unwrap_or(false);
        let tls = match (flags.tls_cert, flags.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(invalid("--tls-cert and --tls-key go together".to_owned())),
        };
        if !listen.is_loopback() && tls.is_none() && !behind_proxy {
            return Err(invalid(format!(
                "listening on {listen}, beyond loopback, needs --tls-cert and --tls-key, or --behind-proxy where a proxy ends TLS"
            )));
        }
        let keys = flags
            .token_key
            .unwrap_or_default()
            .iter()
            .map(|key| key.parse())
            .collect::<Result<Vec<KeySource>, _>>()
            .map_err(|error| invalid(format!("--token-key: {error}")))?;
        let tokens = token_settings(keys, flags.token_issuer, flags.token_audience, listen, behind_proxy)?;
        let allow_origin = flags
            .allow_origin
            .unwrap_or_default()
            .iter()
            .map(|origin| normal_origin(origin))
            .collect::<Result<Vec<_>, _>>()
            .map_err(invalid)?;
        let period =
            |given: Option<Period>, default: u64| given.map_or(Duration::from_secs(default), |period| period.0);
        let bytes = |given: Option<ByteCount>, default: u64| given.map_or(default, |count| count.0);
        let size = |name: &str, given: Option<ByteCount>, default: u64| {
            usize::try_from(bytes(given, default))
                .map_err(|_| invalid(format!("--{name} is too large for this machine")))
        };
        let bounds = Bounds {
            max_sessions: flags.max_sessions.unwrap_or(20_000),
            max_documents: flags.max_documents.unwrap_or(64),
            max_tcp_connections: flags.max_tcp_connections.unwrap_or(20_000),
            max_handshakes: flags.max_handshakes.unwrap_or(1000),
            retry_threshold: flags.retry_threshold.unwrap_or(100),
            handshake_timeout: period(flags.handshake_timeout, 10),
            stream_receive_window: bytes(flags.stream_receive_window, 256 << 10),
            connection_receive_window: bytes(flags.connection_receive_window, 1 << 20),
            send_window: bytes(flags.send_window, 256 << 10),
            datagram_buffer: size("datagram-buffer", flags.datagram_buffer, 64 << 10)?,
            spool: bytes(flags.spool, 1 << 30),
            store_queue: size("store-queue", flags.store_queue, 64 << 20)?,
            memory_budget: match flags.memory_budget {
                Some(_) => size("memory-budget", flags.memory_budget, 0)?,
                None => crate::rooms::default_limit(),
            },
            udp_buffer: size("udp-buffer", flags.udp_buffer, 4 << 20)?,
            gso: flags.gso.unwrap_or(true),
        };
        bounds.check()?;
        Ok(Self {
            listen,
            tls,
            behind_proxy,
            allow_origin,
            metrics_listen: flags.metrics_listen,
            data: flags.data.unwrap_or_else(|| PathBuf::from("inkwire-data")),
            store: flags.store.unwrap_or(StoreKind::Embedded),
            history: History::new(flags.keep_snapshots, &flags.keep_log.unwrap_or_default()).map_err(invalid)?,
            tokens,
            log: flags.log.unwrap_or_else(|| "info".to_owned()),
            log_format: flags.log_format.unwrap_or(LogFormat::Text),
            drain_timeout: period(flags.drain_timeout, 10),
            unload_after: period(flags.unload_after, 30),
            datagram_copies: flags.datagram_copies.unwrap_or_default().into(),
            bounds,
        })
    }

    /// Whether development tokens are made and accepted.
    pub fn development_tokens(&self) -> bool {
        self.tokens == TokenSettings::Development
    }
}

impl Bounds {
    fn check(&self) -> Result<(), SettingsError> {
        // Two frames of the largest size: one being read and one on its way, else a stream would stall at each.
        const SMALLEST_WINDOW: u64 = 128 << 10;
        for (name, value) in [
            ("stream-receive-window", self.stream_receive_window),
            ("connection-receive-window", self.connection_receive_window),
            ("send-window", self.send_window),
            ("store-queue", self.store_queue as u64),
        ] {
            if !(SMALLEST_WINDOW..=1 << 40).contains(&value) {
                return Err(SettingsError::Invalid(format!(
                    "--{name} is {value} bytes, {SMALLEST_WINDOW} to 1 TiB are allowed"
                )));
            }
        }
        // Below, a generation would hold a few large batches.
        const SMALLEST_SPOOL: u64 = 16 << 20;
        if self.spool != 0 && !(SMALLEST_SPOOL..=1 << 44).contains(&self.spool) {
            return Err(SettingsError::Invalid(format!(
                "--spool is {} bytes, 0 or {SMALLEST_SPOOL} to 16 TiB are allowed",
                self.spool
            )));
        }
        // Room for two datagrams of the largest size; without any, WebTransport has no presence.
        const SMALLEST_DATAGRAM_BUFFER: usize = 2 << 10;
        if !(SMALLEST_DATAGRAM_BUFFER..=1 << 30).contains(&self.datagram_buffer) {
            return Err(SettingsError::Invalid(format!(
                "--datagram-buffer is {} bytes, {SMALLEST_DATAGRAM_BUFFER} to 1 GiB are allowed",
                self.datagram_buffer
            )));
        }
        if !(SMALLEST_MEMORY_BUDGET..=1 << 44).contains(&self.memory_budget) {
            return Err(SettingsError::Invalid(format!(
                "--memory-budget is {} bytes, {SMALLEST_MEMORY_BUDGET} to 16 TiB are allowed",
                self.memory_budget
            )));
        }
        for (name, value) in [
            ("max-sessions", self.max_sessions),
            ("max-documents", self.max_documents as usize),
            ("max-tcp-connections", self.max_tcp_connections),
            ("max-handshakes", self.max_handshakes),
        ] {
            if !(1..=10_000_000).contains(&value) {
                return Err(SettingsError::Invalid(format!("--{name} is {value}, 1 to 10,000,000 are allowed")));
            }
        }
        Ok(())
    }
}

fn token_settings(
    keys: Vec<KeySource>,
    issuer: Option<String>,
    audience: Option<String>,
    listen: ListenAddress,
    behind_proxy: bool,
) -> Result<TokenSettings, SettingsError> {
    if keys.is_empty() {
        if issuer.is_some() || audience.is_some() {
            return Err(SettingsError::Invalid("--token-issuer and --token-audience need a --token-key".to_owned()));
        }
        if behind_proxy || !listen.is_loopback() {
            return Err(SettingsError::Invalid(
                "nobody could connect: without --token-key tokens are accepted only on loopback and without --behind-proxy"
                    .to_owned(),
            ));
        }
        return Ok(TokenSettings::Development);
    }
    match (issuer, audience) {
        (Some(issuer), Some(audience)) => Ok(TokenSettings::Keys { keys, issuer, audience }),
        _ => Err(SettingsError::Invalid("--token-key needs --token-issuer and --token-audience".to_owned())),
    }
}

/// An origin in the form in which browsers send it: lower case, no default port, nothing after the authority.
fn normal_origin(text: &str) -> Result<String, String> {
    let expected =
        || format!("--allow-origin: {text:?} is no origin such as https://app.example or http://localhost:5173");
    let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| expected())?;
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(expected());
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(expected());
    }
    let host = authority.host().to_ascii_lowercase();
    Ok(match (scheme, authority.port_u16()) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}
