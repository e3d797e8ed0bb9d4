//! Every bound of the protocol, by name.
//!
//! A relay repeats the ones that a client cannot know in `Welcome`; the rest are part of the protocol's version.

use std::time::Duration;

/// The protocol's version that this crate speaks; the only one so far.
pub const VERSION: u64 = 1;

/// The longest frame, in bytes, without the length before it on a stream.
pub const MAX_FRAME_BYTES: usize = 65_536;

/// How deep arrays and maps may nest in a frame; the frame's own array counts as one.
pub const MAX_DEPTH: usize = 32;

/// The longest WebSocket message, in bytes: a channel and one or more frames.
pub const MAX_MESSAGE_BYTES: usize = 131_072;

/// The longest datagram, in bytes: a channel and one frame. WebKit takes no more.
pub const MAX_DATAGRAM_BYTES: usize = 1_024;

/// The most bytes of a snapshot in one `Snapshot` frame.
pub const MAX_SNAPSHOT_CHUNK_BYTES: usize = 60 * 1_024;

/// The most entries of a vector in one frame, as this implementation splits them: 18 bytes each, at most.
pub const VECTOR_PART_ENTRIES: usize = 3_000;

/// The most entries that a relay takes for the vectors of one `Open`, together.
pub const MAX_OPEN_ENTRIES: usize = 1 << 19;

/// The longest name of a document, in bytes of UTF-8.
pub const MAX_DOCUMENT_NAME_BYTES: usize = 256;

/// The most batches that a client names in `Seen` before one `Open`: what a relay lets be undurable, at its least cost each, twice.
pub const MAX_SEEN_BATCHES: usize = 64 * 1_024;

/// The largest presence state, in bytes. With its channel, frame and subject it still fits a datagram.
pub const MAX_PRESENCE_BYTES: usize = 512;

/// The longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1_024;

/// The longest `reason`, `agent` or `node`, in bytes; senders cut theirs.
pub const MAX_REASON_BYTES: usize = 512;

/// The longest authenticated subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// The most documents that a session may have open at once, unless `Welcome` says another number.
pub const MAX_OPEN_DOCUMENTS: u32 = 64;

/// Two ends that have a document open say something at least this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(2);

/// A peer that is silent for this long is lost.
pub const LIVENESS_TIMEOUT: Duration = Duration::from_secs(6);

/// How long a relay keeps a presence state that is not set again.
pub const PRESENCE_TTL: Duration = Duration::from_secs(30);

/// How often a client repeats an unchanged presence state, so that one lost datagram or two never end it.
pub const PRESENCE_REFRESH: Duration = Duration::from_secs(10);

/// How far an operation's hybrid time may lie ahead of the relay's clock and of the highest that the room holds.
pub const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(60);
