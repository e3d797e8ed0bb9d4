//! The whole relay: put together from its settings, run, and drained.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use inkwire_certs::{KeyError as PersistedKeyError, persisted_key};
use inkwire_protocol::receipt::ReceiptKeys;
use inkwire_protocol::room::RoomConfig;
use inkwire_storage::embedded::Options;
use inkwire_storage::spool::{self, ClusterRemote, Connected, Remote as _};
use inkwire_storage::{Condition, EmbeddedStore, MemoryStore, SpoolStore, Store, StoreError, scylla};
use quinn::{Endpoint, VarInt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::certificate::{CertificateSource, OpenError};
use crate::clock::RelayClock;
use crate::core::Core;
use crate::doc;
use crate::drain::{Phase, Phases};
use crate::history::History;
use crate::http::{Assets, Monitoring, Origins, SESSION_PATH, Site, authority, switch_to_websocket};
use crate::listen::handshakes::Handshakes;
use crate::listen::quic::{self, EndpointKeys, QuicError};
use crate::listen::tcp::{self, Answer, Http, Service, Upgrade};
use crate::listen::{sockets, tls};
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::rooms::{Rooms, RoomsConfig};
use crate::session::{websocket, webtransport};
use crate::settings::{ListenAddress, Settings, StoreKind, TokenSettings};
use crate::store_writer::StoreWriter;
use crate::token::{DevelopmentTokens, KeyError, Verifier, VerifyingKey};

/// How often histograms are folded.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long rooms collect what they tell those who did not write about durability, and some: waited for before the end, so
/// that the last word reaches everybody.
const LAST_DELTAS: Duration = Duration::from_millis(250);

/// The directory of keys in the data directory.
const KEYS: &str = "keys";

/// The name of the development tokens' key in the data directory.
const DEVELOPMENT_KEY: &str = "development-tokens";

/// Why the relay does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory {directory}: {source}")]
    Data {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No relay has run on the directory.
    #[error("{directory} is no data directory of a relay: start `inkwire serve --data {directory}` first")]
    NoKeys {
        /// The directory.
        directory: PathBuf,
    },
    /// A persisted key cannot be had.
    #[error(transparent)]
    PersistedKey(#[from] PersistedKeyError),
    /// A token key cannot serve.
    #[error(transparent)]
    TokenKey(#[from] KeyError),
    /// There is no certificate.
    #[error(transparent)]
    Certificate(#[from] OpenError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// What the system said.
        source: io::Error,
    },
    /// There is no admin socket.
    #[error("cannot listen on {path}: {source}")]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// QUIC cannot be set up.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The store cannot be opened.
    #[error("cannot open the store: {0}")]
    Store(#[from] StoreError),
    /// What the cluster acknowledges is not durable.
    #[error(
        "the cluster's nodes acknowledge writes before they sync them, or do not say: set commitlog_sync to batch on each of them \
         (where they do not say it, add ?commitlog=batch to the address), or add ?unsynced=accept to call durable what a quorum has \
         in memory"
    )]
    Unsynced,
    /// Opening the store ended early: a fault of ours.
    #[error("opening the store ended early: {0}")]
    Opening(#[from] tokio::task::JoinError),
}

/// A relay that runs. Dropping it ends everything at once; [`Relay::drain`] lets clients and the store finish.
pub struct Relay {
    url: String,
    port: u16,
    metrics_port: Option<u16>,
    core: Arc<Core>,
    store: Arc<dyn Store>,
    endpoints: Vec<Endpoint>,
    tasks: JoinSet<()>,
}

impl Relay {
    /// Opens the store of the settings and starts on it.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        make_directory(&settings.data)?;
        let store = open_store(&settings.data, &settings.store, &settings.history, Some(settings.bounds.spool)).await?;
        Self::start_on(settings, store).await
    }

    /// Starts on a given store. When this returns, the relay can serve.
    pub async fn start_on(settings: Settings, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let keys = keys_directory(&settings.data)?;
        let bounds = settings.bounds.clone();
        let clock = RelayClock::new();
        let metrics = Arc::new(Metrics::new());
        let readiness = Arc::new(Readiness::new(Arc::clone(&store)));
        let writer = Arc::new(StoreWriter::new(bounds.store_queue, Arc::clone(&metrics)));
        let rooms = Rooms::new(
            RoomsConfig {
                room: RoomConfig::default(),
                keys: ReceiptKeys::new(1, persisted_key(&keys, "receipts")?),
                unload_after: settings.unload_after,
                memory_budget: bounds.memory_budget,
            },
            clock,
            Arc::clone(&store),
            Arc::clone(&writer),
            Arc::clone(&metrics),
        );
        let (verifier, tokens) = token_authority(&settings.tokens, &keys)?;
        let (certificate, current) = CertificateSource::open(settings.tls.as_ref(), keys.clone())?;

        let listen = |address: ListenAddress, udp| {
            sockets::bind(address, udp).map_err(|source| StartError::Listen { address, source })
        };
        let sockets = listen(settings.listen, Some(bounds.udp_buffer))?;
        let port = sockets.port;
        let origins =
            Origins::new(settings.allow_origin.clone(), settings.listen.is_loopback() && !settings.behind_proxy, port);
        let core = Arc::new(Core {
            clock,
            bounds: bounds.clone(),
            datagram_copies: settings.datagram_copies,
            verifier,
            origins: origins.clone(),
            rooms,
            writer: Arc::clone(&writer),
            metrics: Arc::clone(&metrics),
            readiness: Arc::clone(&readiness),
            phases: Phases::default(),
            node: node_name(),
            sessions: AtomicUsize::new(0),
            sessions_changed: tokio::sync::Notify::new(),
            last_member: AtomicU64::new(0),
        });

        let mut tasks = JoinSet::new();
        let writing = Arc::clone(&store);
        tasks.spawn(async move { writer.run(writing).await });
        let (upkeep, counted) = (Arc::clone(&metrics), Arc::clone(&store));
        tasks.spawn(async move {
            let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                interval.tick().await;
                upkeep.set_store_counts(counted.counts());
                upkeep.upkeep();
            }
        });
        tasks.spawn(follow_store(store.condition(), Arc::clone(&core)));

        let endpoints = quic::endpoints(sockets.udp, Arc::clone(&current), &endpoint_keys(&keys)?, &bounds)?;
        let handshakes = Handshakes::new(bounds.max_handshakes);
        for endpoint in &endpoints {
            let core = Arc::clone(&core);
            let serve = move |request| webtransport::serve(Arc::clone(&core), request);
            tasks.spawn(quic::accept(endpoint.clone(), bounds.clone(), Arc::clone(&handshakes), serve));
        }

        let tls = match &settings.tls {
            Some(_) if !settings.behind_proxy => Some(tls::tcp_config(Arc::clone(&current))?),
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let site = Site {
            assets: Assets::embedded(),
            origins,
            tokens,
            hashes: certificate.hashes(),
            metrics: Arc::clone(&metrics),
            readiness: Arc::clone(&readiness),
            metrics_here: settings.metrics_listen.is_none() && !settings.behind_proxy,
        };
        tasks.spawn(certificate.keep_fresh(current));
        let http = Http::new(Arc::new(MainService { site, core: Arc::clone(&core) }), tls, bounds.clone());
        listen_tcp(&mut tasks, sockets.tcp, &http, settings.listen)?;

        let mut metrics_port = None;
        if let Some(address) = settings.metrics_listen {
            let sockets = listen(address, None)?;
            metrics_port = Some(sockets.port);
            let http = Http::new(Arc::new(Monitoring { metrics, readiness }), None, bounds);
            listen_tcp(&mut tasks, sockets.tcp, &http, address)?;
        }
        #[cfg(unix)]
        {
            let path = settings.data.join(doc::SOCKET);
            match doc::socket::Socket::bind(&path) {
                Ok(socket) => {
                    let desk = doc::desk::Desk::new(Arc::clone(&store), doc::editor::Editor::Rooms(Arc::clone(&core)));
                    tasks.spawn(socket.serve(Arc::new(desk)));
                }
                // The system's limit for such paths is about 100 bytes: no reason not to serve.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    tracing::warn!(path = %path.display(), %error, "there is no admin socket: `inkwire doc` needs the relay stopped");
                }
                Err(source) => return Err(StartError::Socket { path, source }),
            }
        }
        let url = format!("{scheme}://{}", settings.listen.with_port(port));
        tracing::info!(url, data = %settings.data.display(), "the relay serves");
        Ok(Self { url, port, metrics_port, core, store, endpoints, tasks })
    }

    /// Where the relay is: scheme, host and port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The one port of TCP and UDP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port of `--metrics-listen`.
    pub fn metrics_port(&self) -> Option<u16> {
        self.metrics_port
    }

    /// What sessions see of it.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Ends the relay within `patience`: no new sessions, nothing more is read, what was accepted becomes durable and is said to
    /// be, sessions are told to go and end. What is left then stays with the clients.
    pub async fn drain(mut self, patience: Duration) {
        let start = Instant::now();
        let core = Arc::clone(&self.core);
        core.readiness.start_draining();
        core.phases.enter(Phase::Draining);
        let sessions = core.sessions.load(Ordering::Relaxed);
        tracing::info!(sessions, "draining");
        // Most of the time for the store, the rest for what it leads to.
        if tokio::time::timeout_at(start + patience.mul_f64(0.6), core.writer.idle()).await.is_err() {
            tracing::warn!("the store is behind: what is not durable stays with the clients");
        }
        if sessions > 0 {
            tokio::time::sleep(LAST_DELTAS.min(patience.mul_f64(0.1))).await;
        }
        core.phases.enter(Phase::Closing);
        if tokio::time::timeout_at(start + patience.mul_f64(0.85), core.no_sessions()).await.is_err() {
            tracing::warn!(
                sessions = core.sessions.load(Ordering::Relaxed),
                "sessions that did not end in time are cut off"
            );
        }
        for endpoint in &self.endpoints {
            endpoint.close(VarInt::from_u32(0), b"");
        }
        let last = start + patience.mul_f64(0.95);
        for endpoint in &self.endpoints {
            let _ = tokio::time::timeout_at(last, endpoint.wait_idle()).await;
        }
        self.tasks.shutdown().await;
        if tokio::time::timeout_at(start + patience, self.store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
        tracing::info!(seconds = start.elapsed().as_secs_f64(), "drained");
    }
}

/// Tells the way to the store, and whoever reads the metrics, how the store is.
async fn follow_store(mut condition: watch::Receiver<Condition>, core: Arc<Core>) {
    loop {
        let now = *condition.borrow_and_update();
        core.writer.set_away(now != Condition::Serving);
        core.metrics.set_store_condition(now);
        if condition.changed().await.is_err() {
            // It stays as it is.
            return;
        }
    }
}

fn listen_tcp<S: Service>(
    tasks: &mut JoinSet<()>,
    listeners: Vec<std::net::TcpListener>,
    http: &Arc<Http<S>>,
    address: ListenAddress,
) -> Result<(), StartError> {
    for listener in listeners {
        let listener =
            tokio::net::TcpListener::from_std(listener).map_err(|source| StartError::Listen { address, source })?;
        tasks.spawn(tcp::accept(listener, Arc::clone(http)));
    }
    Ok(())
}

/// HTTP and WebSocket on the main address.
struct MainService {
    site: Site,
    core: Arc<Core>,
}

impl Service for MainService {
    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Answer {
        let switching = (request.uri().path() == SESSION_PATH).then(|| switch_to_websocket(&request)).flatten();
        let Some(response) = switching else {
            return Answer { response: self.site.answer(request, peer).await, upgrade: None };
        };
        let connection = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let origin_refused = !self.core.origins.allows(&parts.headers, authority(&parts));
        Answer { response, upgrade: Some(Upgrade { connection, origin_refused }) }
    }

    async fn upgraded(&self, connection: Upgraded, peer: SocketAddr, origin_refused: bool) {
        websocket::serve(Arc::clone(&self.core), connection, peer, origin_refused).await;
    }
}

impl Service for Monitoring {
    async fn answer(&self, request: Request<Incoming>, _: SocketAddr) -> Answer {
        Answer { response: Monitoring::answer(self, &request).await, upgrade: None }
    }

    async fn upgraded(&self, _: Upgraded, _: SocketAddr, _: bool) {}
}

/// The development tokens of a data directory that a relay has run on, whether it still does or not.
///
/// # Errors
/// [`StartError::NoKeys`] where none has: a key made here would sign for a relay that nobody starts.
pub fn development_tokens(data: &Path) -> Result<DevelopmentTokens, StartError> {
    let keys = data.join(KEYS);
    if !keys.is_dir() {
        return Err(StartError::NoKeys { directory: data.to_owned() });
    }
    Ok(DevelopmentTokens::new(persisted_key(&keys, DEVELOPMENT_KEY)?))
}

fn token_authority(settings: &TokenSettings, keys: &Path) -> Result<(Verifier, Option<DevelopmentTokens>), StartError> {
    match settings {
        TokenSettings::Development => {
            let tokens = DevelopmentTokens::new(persisted_key(keys, DEVELOPMENT_KEY)?);
            Ok((tokens.verifier(), Some(tokens)))
        }
        TokenSettings::Keys { keys, issuer, audience } => {
            let keys = keys.iter().map(VerifyingKey::read).collect::<Result<_, _>>()?;
            Ok((Verifier::new(issuer, audience, keys), None))
        }
    }
}

fn endpoint_keys(keys: &Path) -> Result<EndpointKeys, StartError> {
    Ok(EndpointKeys {
        stateless_reset: persisted_key(keys, "stateless-reset")?,
        connection_id: persisted_key(keys, "connection-id")?,
        handshake_token: persisted_key(keys, "handshake-token")?,
    })
}

/// The store of a data directory, or a cluster, for one that is no relay.
///
/// # Errors
/// [`StoreError::Locked`] when a relay runs on the directory; [`StartError::NoKeys`] when none ever has, so that a mistyped directory
/// is not made.
pub async fn open_store_alone(data: &Path, kind: &StoreKind) -> Result<Arc<dyn Store>, StartError> {
    if *kind == StoreKind::Embedded && !store_directory(data).is_dir() {
        return Err(StartError::NoKeys { directory: data.to_owned() });
    }
    // By whatever rules a relay runs: nothing of the past is thinned here, since nothing is folded.
    open_store(data, kind, &History::default(), None).await
}

/// The same for a copy, which thins nothing: what the other store kept is kept.
///
/// # Errors
/// As for [`open_store_alone`], except that a directory is made.
pub async fn open_store_to_copy(data: &Path, kind: &StoreKind) -> Result<Arc<dyn Store>, StartError> {
    if *kind == StoreKind::Embedded {
        make_directory(data)?;
    }
    open_store(data, kind, &History::everything(), None).await
}

/// Where the embedded store lies in a data directory.
pub fn store_directory(data: &Path) -> PathBuf {
    data.join("store")
}

/// Opens the store; before a cluster with a spool of so many bytes, or none at all for a command that ends.
async fn open_store(
    data: &Path,
    kind: &StoreKind,
    history: &History,
    spool: Option<u64>,
) -> Result<Arc<dyn Store>, StartError> {
    match kind {
        StoreKind::Memory => Ok(Arc::new(MemoryStore::with_rules(history.rules()))),
        StoreKind::Embedded => {
            let directory = store_directory(data);
            make_directory(&directory)?;
            let options = Options { history: history.rules(), ..Options::default() };
            // Opening reads and checks everything: not on a thread that others wait for.
            let opening = tokio::task::spawn_blocking(move || EmbeddedStore::open(&directory, &options));
            Ok(Arc::new(opening.await??))
        }
        StoreKind::Cluster(address) => {
            let remote = ClusterRemote::new((**address).clone(), scylla::Options::default());
            let Some(bytes) = spool else {
                let Connected { store, restarts } = remote.connect().await?;
                // Whoever waits for a command has no disk in the cluster's place.
                return if restarts.is_none() { Ok(store) } else { Err(StartError::Unsynced) };
            };
            let options = spool::Options { directory: (bytes > 0).then(|| data.join("spool")), bytes };
            let store = SpoolStore::open(Arc::new(remote), &options).await?;
            Ok(Arc::new(store))
        }
    }
}

fn keys_directory(data: &Path) -> Result<PathBuf, StartError> {
    let keys = data.join(KEYS);
    make_directory(&keys)?;
    Ok(keys)
}

/// Made for its owner alone: it holds keys and everybody's documents.
fn make_directory(directory: &Path) -> Result<(), StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(|source| StartError::Data { directory: directory.to_owned(), source })
}

/// The machine's name, for people who look at several nodes.
fn node_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "inkwire".to_owned())
}
