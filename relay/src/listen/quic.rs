//! QUIC: endpoints with bounded everything, and the accept loop that turns arrivals into WebTransport requests.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, IdleTimeout, TokioRuntime, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use web_transport_quinn::Request;

use super::handshakes::Handshakes;
use super::tls::{self, CurrentCertificate};
use crate::settings::Bounds;

/// Streams of one connection besides those of documents: HTTP/3's CONNECT and the control lane.
const OTHER_BIDIRECTIONAL_STREAMS: u32 = 2;

/// HTTP/3's control stream, QPACK's two, and room for the ones that clients grease with.
const UNIDIRECTIONAL_STREAMS: u32 = 8;

/// After this much silence QUIC itself gives a connection up. Sessions notice far earlier while a document is open; this
/// bounds those that have none.
const MAX_IDLE: Duration = Duration::from_secs(30);

/// A connection that says nothing is asked this often whether it is there: a session without documents may be silent.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Bytes that one arrival may send before its handshake is looked at: a client hello with post-quantum keys and retries.
const INCOMING_BYTES: u64 = 64 << 10;

/// The keys that make a restarted relay the same one to its clients.
pub struct EndpointKeys {
    /// Authenticates stateless resets, by which a client learns at once that the relay has lost its connection.
    pub stateless_reset: [u8; 64],
    /// Marks connection ids as this relay's, so that it answers packets of the connections of its former life.
    pub connection_id: [u8; 8],
    /// Encrypts the tokens of Retry packets.
    pub handshake_token: [u8; 64],
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// TLS cannot be configured.
    #[error("TLS for QUIC: {0}")]
    Tls(#[from] rustls::Error),
    /// The provider has no cipher suite for QUIC's first packets.
    #[error("TLS for QUIC: {0}")]
    NoInitialCipherSuite(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The socket cannot be used.
    #[error("the UDP socket cannot be used: {0}")]
    Socket(#[from] std::io::Error),
}

/// One endpoint for each socket. Never several for one address: packets of a connection that changes its port would reach
/// the wrong one.
pub fn endpoints(
    sockets: Vec<UdpSocket>,
    certificate: Arc<CurrentCertificate>,
    keys: &EndpointKeys,
    bounds: &Bounds,
) -> Result<Vec<Endpoint>, QuicError> {
    let server = server_config(certificate, keys, bounds)?;
    let config = endpoint_config(keys);
    sockets
        .into_iter()
        .map(|socket| {
            let endpoint = Endpoint::new(config.clone(), Some(server.clone()), socket, Arc::new(TokioRuntime))?;
            Ok(endpoint)
        })
        .collect()
}

fn endpoint_config(keys: &EndpointKeys) -> EndpointConfig {
    let reset = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &keys.stateless_reset);
    let connection_id = u64::from_le_bytes(keys.connection_id);
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(connection_id)));
    config
}

fn server_config(
    certificate: Arc<CurrentCertificate>,
    keys: &EndpointKeys,
    bounds: &Bounds,
) -> Result<quinn::ServerConfig, QuicError> {
    let crypto = QuicServerConfig::try_from(tls::quic_config(certificate)?)?;
    let token_key = aws_lc_rs::hkdf::Salt::new(aws_lc_rs::hkdf::HKDF_SHA256, &[]).extract(&keys.handshake_token);
    let mut server = quinn::ServerConfig::new(Arc::new(crypto), Arc::new(token_key));
    server.transport_config(Arc::new(transport_config(bounds)));
    // Twice what is let into handshakes: arrivals that wait to be told to retry are cheap, but not free.
    server.max_incoming(bounds.max_handshakes.saturating_mul(2));
    server.incoming_buffer_size(INCOMING_BYTES);
    server.incoming_buffer_size_total(INCOMING_BYTES.saturating_mul(bounds.max_handshakes as u64));
    Ok(server)
}

/// Every default of quinn's that is generous is named here: a connection's windows, streams and buffers bound what a client
/// can make the relay hold.
pub fn transport_config(bounds: &Bounds) -> TransportConfig {
    let varint = |value: u64| VarInt::from_u64(value).unwrap_or(VarInt::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(bounds.max_documents.saturating_add(OTHER_BIDIRECTIONAL_STREAMS)))
        .max_concurrent_uni_streams(VarInt::from_u32(UNIDIRECTIONAL_STREAMS))
        .stream_receive_window(varint(bounds.stream_receive_window))
        .receive_window(varint(bounds.connection_receive_window))
        .send_window(bounds.send_window)
        .datagram_receive_buffer_size(Some(bounds.datagram_buffer))
        .datagram_send_buffer_size(bounds.datagram_buffer)
        .keep_alive_interval(Some(KEEP_ALIVE))
        // What is written first goes first: interleaving small writes of many streams only makes more packets.
        .send_fairness(false)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(MAX_IDLE.as_millis() as u32))))
        .congestion_controller_factory(Arc::new(CubicConfig::default()))
        .enable_segmentation_offload(bounds.gso);
    transport
}

/// Accepts WebTransport requests until the endpoint closes, and runs `serve` on each in a task that ends with this future.
///
/// From [`Bounds::retry_threshold`] handshakes at a time on, a client must first prove its address. `handshakes` is shared by all
/// endpoints.
pub async fn accept<F, Fut>(endpoint: Endpoint, bounds: Bounds, handshakes: Arc<Handshakes>, serve: F)
where
    F: Fn(Request) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            Some(_) = tasks.join_next() => continue,
        };
        let Some(incoming) = incoming else { break };
        let proves_address = handshakes.under_way() >= bounds.retry_threshold;
        if proves_address && incoming.may_retry() && !incoming.remote_address_validated() {
            // `may_retry` holds, so this cannot fail; if it did the arrival would be dropped, as it should.
            let _ = incoming.retry();
            continue;
        }
        let handshake = handshakes.begin();
        let serve = serve.clone();
        let timeout = bounds.handshake_timeout;
        let peer = incoming.remote_address();
        tasks.spawn(
            async move {
                let shaken = tokio::time::timeout(timeout, async {
                    let connection = incoming.accept().ok()?.await.ok()?;
                    Request::accept(connection).await.ok()
                });
                let request = tokio::select! {
                    request = shaken => request,
                    () = handshake.given_up() => return tracing::debug!("the handshake is given up for a newer one"),
                };
                drop(handshake);
                match request {
                    Ok(Some(request)) => serve(request).await,
                    Ok(None) => tracing::debug!("no WebTransport request came of the connection"),
                    Err(_) => tracing::debug!("the handshake took too long"),
                }
            }
            .instrument(tracing::debug_span!("quic", %peer)),
        );
    }
}
