//! Sessions: one client connection each. The engine is the same for both transports, which are thin adapters around it.
//!
//! - [`control`]: the control lane, who is there and what its token allows
//! - `copies`: small batches once more as datagrams, where a path loses packets
//! - `credit`: flow control where lanes are not read
//! - [`lane`]: one open document of a session
//! - [`webtransport`], [`websocket`]: bytes in and out
//! - [`socket`]: the WebSocket below sessions

pub mod control;
mod copies;
mod credit;
pub mod lane;
pub mod socket;
pub mod websocket;
pub mod webtransport;

pub use control::SessionHandle;
pub use lane::{Lane, MAX_OPENING_BYTES};

use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::limits::MAX_REASON_BYTES;
use inkwire_protocol::room::Reason;
use inkwire_protocol::{Code, Frame, frame};
use tokio::time::Instant;

/// The most bytes that one lane hands to its transport at once: natural batching up to here, and no lane keeps the others
/// waiting for longer.
const WRITE_BYTES: usize = 64 << 10;

/// How many answers wait for a client that does not read before it is not read either.
const MAX_WAITING: usize = 64;

/// How long a session's last words may take to arrive before the connection is closed over them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a lane that began is closed without its document.
fn no_open(patience: Duration) -> Reason {
    (Code::LivenessTimeout, format!("no Open came within {} ms", patience.as_millis()))
}

/// Sleeps until then; for ever without a time.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The last frame of a document's lane.
fn close_frame(code: Code, reason: &str) -> Bytes {
    let reason = reason[..reason.floor_char_boundary(MAX_REASON_BYTES)].to_owned();
    Frame::from(frame::Close { code, reason }).encode()
}
