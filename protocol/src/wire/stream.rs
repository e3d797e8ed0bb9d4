use bytes::{Buf, Bytes, BytesMut};

use super::WireError;
use crate::limits::MAX_FRAME_BYTES;

/// Writes `length` as a QUIC varint (RFC 9000, section 16) to the end of `out`: 1, 2 or 4 bytes.
///
/// # Panics
/// At 2^30 and more: no frame is that long.
pub fn encode_length(length: usize, out: &mut Vec<u8>) {
    match length {
        0..0x40 => out.push(length as u8),
        0x40..0x4000 => out.extend_from_slice(&(length as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes()),
        _ => panic!("a frame of {length} bytes"),
    }
}

/// `frame` with its length before it, at the end of `out`.
pub fn encode_stream_into(frame: &[u8], out: &mut Vec<u8>) {
    encode_length(frame.len(), out);
    out.extend_from_slice(frame);
}

/// `frames`, each with its length before it.
pub fn encode_stream(frames: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 4).sum());
    for frame in frames {
        encode_stream_into(frame, &mut out);
    }
    out.into()
}

/// The length at the start of `bytes` and how many bytes it takes, or `None` while it is incomplete.
fn decode_length(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let width = 1usize << (first >> 6);
    let rest = bytes.get(1..width)?;
    Some((rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)), width))
}

/// Takes a stream's bytes in any split and gives its frames.
///
/// Holds at most one incomplete frame and what was pushed and not yet pulled. A length over [`MAX_FRAME_BYTES`] is
/// refused as soon as it is read, before the frame arrives. After an error the decoder gives the same error for ever.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    buffer: BytesMut,
    failed: Option<WireError>,
}

impl StreamDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the stream's next bytes. Pull the frames before pushing more, to keep the buffer small.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole frame, without its length; `None` until more bytes come.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] and [`WireError::Empty`]. The frame's content is not looked at.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, WireError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some((length, width)) = decode_length(&self.buffer) else { return Ok(None) };
        let failed = match length {
            0 => Some(WireError::Empty),
            length if length > MAX_FRAME_BYTES as u64 => Some(WireError::TooLarge { length, limit: MAX_FRAME_BYTES }),
            _ => None,
        };
        if let Some(error) = failed {
            self.failed = Some(error);
            self.buffer = BytesMut::new();
            return Err(error);
        }
        let end = width + length as usize;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(end);
        frame.advance(width);
        Ok(Some(frame.freeze()))
    }

    /// How many bytes wait for the rest of their frame, or to be pulled.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }
}
