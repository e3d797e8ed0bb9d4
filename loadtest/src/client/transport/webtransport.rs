//! WebTransport with `web-transport-quinn`.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_protocol::copies::PacketCounts;
use quinn::crypto::rustls::QuicClientConfig;
use web_transport_quinn::Session;

use super::streams::{LaneRead, LaneWrite, StreamSession};
use super::{Destination, Transport, TransportError, packets, quic_transport, tls};

/// A session and the endpoint of its own that it runs on: a new attempt starts with a new socket.
pub(super) struct WebTransport {
    session: Session,
    endpoint: quinn::Endpoint,
}

pub(super) async fn connect(to: &Destination) -> Result<WebTransport, TransportError> {
    let failed = |reason: String| to.handshake(Transport::WebTransport, reason);
    let tls = tls::configuration(to.trust.clone(), web_transport_quinn::ALPN.as_bytes())?;
    let tls = QuicClientConfig::try_from(tls).map_err(|error| failed(error.to_string()))?;
    let mut configuration = quinn::ClientConfig::new(Arc::new(tls));
    configuration.transport_config(Arc::new(quic_transport()));

    let endpoint = quinn::Endpoint::client(to.local()).map_err(|error| to.reach(error))?;
    let connection = endpoint
        .connect_with(configuration, to.address, &to.server_name())
        .map_err(|error| failed(error.to_string()))?
        .await
        .map_err(|error| failed(error.to_string()))?;
    let session = Session::connect(connection, to.url.clone()).await.map_err(|error| failed(error.to_string()))?;
    Ok(WebTransport { session, endpoint })
}

#[async_trait]
impl StreamSession for WebTransport {
    async fn open_lane(&self) -> io::Result<(LaneWrite, LaneRead)> {
        let (send, receive) = self.session.open_bi().await.map_err(io::Error::other)?;
        Ok((Box::pin(send), Box::pin(receive)))
    }

    fn send_datagram(&self, datagram: Bytes) {
        // Too large or no longer connected: datagrams may be lost, and the session's end is noticed elsewhere.
        let _ = self.session.send_datagram(datagram);
    }

    fn packets(&self) -> PacketCounts {
        packets(&quinn::Connection::stats(&self.session).path)
    }

    async fn receive_datagram(&self) -> io::Result<Bytes> {
        self.session.read_datagram().await.map_err(io::Error::other)
    }

    async fn closed(&self) -> String {
        self.session.closed().await.to_string()
    }

    async fn close(&self, code: u16, reason: &str) {
        self.session.close(code.into(), reason.as_bytes());
        self.endpoint.wait_idle().await;
    }
}
