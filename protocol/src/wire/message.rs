use bytes::Bytes;

use super::{WireError, check};
use crate::Channel;
use crate::limits::{MAX_DATAGRAM_BYTES, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES};

/// Writes `channel` in MessagePack's shortest form to the end of `out`: 1, 2, 3 or 5 bytes.
fn encode_channel(channel: Channel, out: &mut Vec<u8>) {
    match channel.0 {
        number @ 0..=0x7f => out.push(number as u8),
        number @ 0x80..=0xff => out.extend_from_slice(&[0xcc, number as u8]),
        number @ 0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        number => {
            out.push(0xce);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// The channel at the start of `bytes` and how many bytes it takes. Any width of unsigned integer is taken.
fn decode_channel(bytes: &[u8]) -> Result<(Channel, usize), WireError> {
    let marker = *bytes.first().ok_or(WireError::Empty)?;
    let width = match marker {
        0..=0x7f => return Ok((Channel(u32::from(marker)), 1)),
        0xcc..=0xcf => 1usize << (marker - 0xcc),
        _ => return Err(WireError::BadChannel),
    };
    let number = bytes.get(1..=width).ok_or(WireError::Truncated { claimed: width as u64, left: bytes.len() - 1 })?;
    let number = number.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let number = u32::try_from(number).map_err(|_| WireError::BadChannel)?;
    Ok((Channel(number), 1 + width))
}

/// Collects frames of one channel into one message.
#[derive(Debug)]
pub struct MessageBuilder {
    bytes: Vec<u8>,
    header: usize,
}

impl MessageBuilder {
    /// An empty message of `channel`.
    pub fn new(channel: Channel) -> Self {
        let mut bytes = Vec::new();
        encode_channel(channel, &mut bytes);
        Self { header: bytes.len(), bytes }
    }

    /// Adds `frame` if the message then stays within [`MAX_MESSAGE_BYTES`]; says whether it did. The first always fits.
    #[must_use]
    pub fn push(&mut self, frame: &[u8]) -> bool {
        let fits = self.bytes.len() + frame.len() <= MAX_MESSAGE_BYTES;
        if fits {
            self.bytes.extend_from_slice(frame);
        }
        fits
    }

    /// Whether no frame was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.header
    }

    /// How many bytes the message has by now.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The message, or `None` if no frame was added.
    pub fn finish(self) -> Option<Bytes> {
        (!self.is_empty()).then(|| self.bytes.into())
    }
}

/// A message of `frames`, which the caller keeps within [`MAX_MESSAGE_BYTES`]; [`MessageBuilder`] counts for you.
pub fn encode_message(channel: Channel, frames: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(5 + frames.iter().map(Bytes::len).sum::<usize>());
    encode_channel(channel, &mut out);
    for frame in frames {
        out.extend_from_slice(frame);
    }
    out.into()
}

/// The channel and the frames of a message, each a slice of it, each checked as by [`super::check_frame`].
///
/// # Errors
/// The first thing that is wrong; then nothing of the message counts.
pub fn split_message(message: &Bytes) -> Result<(Channel, Vec<Bytes>), WireError> {
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLarge { length: message.len() as u64, limit: MAX_MESSAGE_BYTES });
    }
    let (channel, mut at) = decode_channel(message)?;
    let mut frames = Vec::with_capacity(1);
    while at < message.len() {
        let length = check(&message[at..])?;
        if length > MAX_FRAME_BYTES {
            return Err(WireError::TooLarge { length: length as u64, limit: MAX_FRAME_BYTES });
        }
        frames.push(message.slice(at..at + length));
        at += length;
    }
    if frames.is_empty() { Err(WireError::Empty) } else { Ok((channel, frames)) }
}

/// A datagram of `frame`, or `None` if it would be longer than [`MAX_DATAGRAM_BYTES`].
pub fn encode_datagram(channel: Channel, frame: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(5 + frame.len());
    encode_channel(channel, &mut out);
    out.extend_from_slice(frame);
    (!frame.is_empty() && out.len() <= MAX_DATAGRAM_BYTES).then(|| out.into())
}

/// The channel and the frame of a datagram.
///
/// # Errors
/// When it is too long, empty, or holds anything but a channel and one frame.
pub fn split_datagram(datagram: &Bytes) -> Result<(Channel, Bytes), WireError> {
    if datagram.len() > MAX_DATAGRAM_BYTES {
        return Err(WireError::TooLarge { length: datagram.len() as u64, limit: MAX_DATAGRAM_BYTES });
    }
    let (channel, at) = decode_channel(datagram)?;
    let frame = datagram.slice(at..);
    super::check_frame(&frame)?;
    Ok((channel, frame))
}
