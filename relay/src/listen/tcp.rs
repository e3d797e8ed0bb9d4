//! TCP: accept loops with bounded connections, TLS where there is a certificate, and HTTP/1.1 on top.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::Instrument as _;

use super::handshakes::Handshakes;
use crate::settings::Bounds;

/// The most bytes of a request's head, its line and headers.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// How long a listener rests when the system has no descriptors left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// After how much silence the kernel asks whether the peer is still there, and after how much more it gives up.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A request's answer, and what becomes of its connection afterwards.
pub struct Answer {
    /// What is sent.
    pub response: Response<Full<Bytes>>,
    /// The connection's next life, where the response was 101.
    pub upgrade: Option<Upgrade>,
}

/// A connection that goes on as a WebSocket.
pub struct Upgrade {
    /// Where it comes from once the response is sent.
    pub connection: hyper::upgrade::OnUpgrade,
    /// Whether the request's `Origin` is not allowed: the session is then opened only to say so, because a page cannot see
    /// why an upgrade failed.
    pub origin_refused: bool,
}

/// Bytes that the kernel takes beyond what is on its way.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 32 << 10;

/// What a connection's requests are asked of.
pub trait Service: Send + Sync + 'static {
    /// Answers a request from `peer`.
    fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Answer> + Send;

    /// Runs a WebSocket to its end.
    fn upgraded(
        &self,
        connection: hyper::upgrade::Upgraded,
        peer: SocketAddr,
        origin_refused: bool,
    ) -> impl Future<Output = ()> + Send;
}

/// What all listeners of one address share.
pub struct Http<S> {
    /// Answers.
    pub service: Arc<S>,
    /// TLS, unless plain.
    pub tls: Option<TlsAcceptor>,
    /// Limits.
    pub bounds: Bounds,
    /// Permits of connections.
    pub connections: Arc<Semaphore>,
    /// TLS handshakes under way.
    pub handshakes: Arc<Handshakes>,
}

impl<S: Service> Http<S> {
    /// Shared state of the listeners of an address.
    pub fn new(service: Arc<S>, tls: Option<Arc<rustls::ServerConfig>>, bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            service,
            tls: tls.map(TlsAcceptor::from),
            connections: Arc::new(Semaphore::new(bounds.max_tcp_connections)),
            handshakes: Handshakes::new(bounds.max_handshakes),
            bounds,
        })
    }
}

/// Accepts connections for ever. Each runs in a task that ends with this future.
pub async fn accept<S: Service>(listener: TcpListener, http: Arc<Http<S>>) {
    let mut tasks = JoinSet::new();
    loop {
        // The permit comes first: what is over the limit waits in the listener's queue.
        let Ok(permit) = Arc::clone(&http.connections).acquire_owned().await else {
            return;
        };
        let (stream, peer) = loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => break accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = tasks.join_next() => {}
            }
        };
        let http = Arc::clone(&http);
        tasks.spawn(
            async move {
                if let Err(error) = connection(stream, peer, http).await {
                    tracing::debug!(%error, "the connection ended");
                }
                drop(permit);
            }
            .instrument(tracing::debug_span!("tcp", %peer)),
        );
    }
}

async fn connection<S: Service>(stream: TcpStream, peer: SocketAddr, http: Arc<Http<S>>) -> io::Result<()> {
    // Small frames must not wait for the last one's acknowledgement.
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(&stream);
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    // A peer that takes nothing for this long is gone, whatever it acknowledges.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(KEEPALIVE * 2))?;
    // Bounds what the kernel holds for a reader that does not read.
    socket.set_send_buffer_size(usize::try_from(http.bounds.send_window).unwrap_or(usize::MAX))?;
    // And what of it waits in front of a ping.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    match &http.tls {
        None => requests(stream, peer, http).await,
        Some(acceptor) => {
            let handshake = http.handshakes.begin();
            let stream = tokio::select! {
                stream = tokio::time::timeout(http.bounds.handshake_timeout, acceptor.accept(stream)) => {
                    stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
                }
                () = handshake.given_up() => return Err(io::Error::other("the handshake is given up for a newer one")),
            };
            drop(handshake);
            requests(stream, peer, http).await
        }
    }
}

async fn requests<S: Service, I>(stream: I, peer: SocketAddr, http: Arc<Http<S>>) -> io::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // The one place where a connection that becomes something else is handed over: this task runs it, so that it has the
    // same owner as before.
    let upgrade = Arc::new(Mutex::new(None::<Upgrade>));
    let service = service_fn(|request: Request<Incoming>| {
        let http = Arc::clone(&http);
        let upgrade = Arc::clone(&upgrade);
        async move {
            let answer = http.service.answer(request, peer).await;
            if answer.upgrade.is_some() {
                *upgrade.lock() = answer.upgrade;
            }
            Ok::<_, std::convert::Infallible>(answer.response)
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(http.bounds.handshake_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(io::Error::other)?;
    let upgraded = upgrade.lock().take();
    if let Some(upgrade) = upgraded {
        let connection = upgrade.connection.await.map_err(io::Error::other)?;
        http.service.upgraded(connection, peer, upgrade.origin_refused).await;
    }
    Ok(())
}
