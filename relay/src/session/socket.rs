//! The WebSocket below sessions: its bounds, what it answers to those who break its rules, and how it ends.
//!
//! Apart from sessions so that it can be tested alone: `examples/websocket_echo.rs` is this and an echo.

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use inkwire_protocol::limits::MAX_FRAME_BYTES;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::LAST_WORDS;

/// A WebSocket on a connection that began as HTTP.
pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The most bytes that are handed to the socket before it is flushed: a few lanes' worth.
pub const FILL_BYTES: usize = 128 << 10;

/// Speaks WebSocket on an upgraded connection. Longer messages than `max_message_bytes` are refused at their head.
pub async fn accept(connection: Upgraded, max_message_bytes: usize) -> Socket {
    let mut config = WebSocketConfig::default();
    // Messages and frames of the protocol's size; the defaults are 64 and 16 MiB, and no bound on what waits to be written.
    config.max_message_size = Some(max_message_bytes);
    config.max_frame_size = Some(max_message_bytes);
    config.read_buffer_size = 32 << 10;
    config.write_buffer_size = FILL_BYTES;
    // What one fill can reach at most: its budget, a last message that began below it, and a close frame.
    config.max_write_buffer_size = FILL_BYTES + 2 * max_message_bytes + MAX_FRAME_BYTES;
    WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(config)).await
}

/// What a client that broke a rule is told (RFC 6455 section 7.4.1); nothing if there is nobody to tell.
pub fn violation(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Protocol(_) | Error::AttackAttempt => Some(CloseCode::Protocol),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        Error::Capacity(_) => Some(CloseCode::Size),
        _ => None,
    }
}

/// Ends a connection: with a close frame of ours, or, without one, by completing the handshake of a client that has sent
/// its own. Takes a second at most.
pub async fn close(socket: &mut Socket, frame: Option<CloseFrame>) {
    let closing = async {
        match frame {
            None => socket.flush().await,
            Some(frame) => {
                socket.close(Some(frame)).await?;
                // The client's own close frame, or its end.
                while let Some(message) = socket.next().await {
                    message?;
                }
                Ok::<_, Error>(())
            }
        }
    };
    // Of a client that is gone it fails at once, and there is nobody to tell.
    let _ = tokio::time::timeout(LAST_WORDS, closing).await;
}
