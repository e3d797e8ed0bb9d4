//! WebSocket with `tokio-tungstenite`.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;

use super::messages::{MessageLink, Socket};
use super::{SESSION_PATH, Transport, TransportError, Trust, tls};

/// The largest message that is read, in bytes: the relay gathers frames of at most 64 KiB into messages.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

pub(super) async fn connect(base: &Url) -> Result<MessageLink, TransportError> {
    let not_a_relay = || TransportError::Address(base.clone());
    let scheme = match base.scheme() {
        "http" => "ws",
        "https" => "wss",
        _ => return Err(not_a_relay()),
    };
    let host = base.host_str().ok_or_else(not_a_relay)?;
    let port = base.port_or_known_default().ok_or_else(not_a_relay)?;
    let bare_host = host.trim_matches(['[', ']']);
    let failed =
        |reason: String| TransportError::Handshake { transport: Transport::WebSocket, url: base.clone(), reason };

    let reach = |source| TransportError::Reach { url: base.clone(), source };
    let tcp = TcpStream::connect((bare_host, port)).await.map_err(reach)?;
    tcp.set_nodelay(true).map_err(reach)?;
    let socket: Box<dyn Socket> = if scheme == "ws" {
        Box::new(tcp)
    } else {
        let name = ServerName::try_from(bare_host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let configuration = tls::configuration(Trust::Authorities, b"http/1.1")?;
        Box::new(TlsConnector::from(Arc::new(configuration)).connect(name, tcp).await.map_err(reach)?)
    };
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        .write_buffer_size(64 * 1024)
        .max_write_buffer_size(256 * 1024);
    let url = format!("{scheme}://{host}:{port}/{SESSION_PATH}");
    let (socket, _) =
        client_async_with_config(url, socket, Some(limits)).await.map_err(|error| failed(error.to_string()))?;
    Ok(MessageLink::new(socket))
}
