//! What surrounds frames on streams, messages and datagrams, and the check before anything is allocated.
//!
//! - A stream (WebTransport) carries frames with a QUIC varint (RFC 9000, section 16) of their length before each.
//! - A message (WebSocket) is a channel, as a MessagePack unsigned integer, and one or more frames of that channel.
//! - A datagram is a channel and exactly one frame.

mod check;
mod message;
mod stream;

pub use check::{WireError, check, check_frame};
pub use message::{MessageBuilder, encode_datagram, encode_message, split_datagram, split_message};
pub use stream::{StreamDecoder, encode_length, encode_stream, encode_stream_into};
