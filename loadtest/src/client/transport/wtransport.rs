//! WebTransport with `wtransport`, an implementation that is not the relay's.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_protocol::copies::PacketCounts;
use wtransport::config::{DnsLookupFuture, DnsResolver};
use wtransport::{ClientConfig, Connection, Endpoint, VarInt, endpoint::endpoint_side};

use super::streams::{LaneRead, LaneWrite, StreamSession};
use super::{Destination, Transport, TransportError, packets, quic_transport, tls};

/// A session and the endpoint of its own that it runs on.
pub(super) struct Wtransport {
    connection: Connection,
    endpoint: Endpoint<endpoint_side::Client>,
}

pub(super) async fn connect(to: &Destination) -> Result<Wtransport, TransportError> {
    let tls = tls::configuration(to.trust.clone(), wtransport::tls::WEBTRANSPORT_ALPN)?;
    let configuration = ClientConfig::builder()
        .with_bind_address(to.local())
        .with_custom_tls_and_transport(tls, quic_transport())
        .dns_resolver(Fixed(to.address))
        .build();
    let endpoint = Endpoint::client(configuration).map_err(|error| to.reach(error))?;
    let connection =
        endpoint.connect(to.url.as_str()).await.map_err(|error| to.handshake(Transport::Wtransport, error))?;
    Ok(Wtransport { connection, endpoint })
}

/// Every name is the address that answered over HTTP.
#[derive(Copy, Clone)]
struct Fixed(SocketAddr);

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl DnsResolver for Fixed {
    fn resolve(&self, _: &str) -> Pin<Box<dyn DnsLookupFuture>> {
        let address = self.0;
        Box::pin(async move { Ok(Some(address)) })
    }
}

#[async_trait]
impl StreamSession for Wtransport {
    async fn open_lane(&self) -> io::Result<(LaneWrite, LaneRead)> {
        let opening = self.connection.open_bi().await.map_err(io::Error::other)?;
        let (send, receive) = opening.await.map_err(io::Error::other)?;
        Ok((Box::pin(send), Box::pin(receive)))
    }

    fn send_datagram(&self, datagram: Bytes) {
        // Too large or no longer connected: datagrams may be lost, and the session's end is noticed elsewhere.
        let _ = self.connection.send_datagram(datagram);
    }

    fn packets(&self) -> PacketCounts {
        packets(&self.connection.quic_connection().stats().path)
    }

    async fn receive_datagram(&self) -> io::Result<Bytes> {
        self.connection.receive_datagram().await.map(|datagram| datagram.payload()).map_err(io::Error::other)
    }

    async fn closed(&self) -> String {
        self.connection.closed().await.to_string()
    }

    async fn close(&self, code: u16, reason: &str) {
        self.connection.close(VarInt::from_u32(code.into()), reason.as_bytes());
        self.endpoint.wait_idle().await;
    }
}
