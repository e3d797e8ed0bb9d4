use crate::Code;
use crate::limits::{MAX_DEPTH, MAX_FRAME_BYTES};

/// Why bytes are not a frame, before anybody looked at what it says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// More bytes than a frame, message or datagram may have.
    #[error("{length} bytes are over the limit of {limit}")]
    TooLarge {
        /// What was claimed or sent, in bytes.
        length: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Arrays or maps nested deeper than [`MAX_DEPTH`].
    #[error("an array or map {depth} deep is over the limit of {MAX_DEPTH}")]
    TooDeep {
        /// How deep the first that is too deep lies, from 1.
        depth: usize,
    },
    /// The bytes end in the middle of a value, or a length claims more than the bytes that are left can hold.
    #[error("a length or count claims {claimed} or more bytes and {left} are left")]
    Truncated {
        /// The fewest bytes that what was claimed takes.
        claimed: u64,
        /// How many bytes are left.
        left: usize,
    },
    /// The one marker that MessagePack never uses, 0xc1.
    #[error("0xc1 is not MessagePack")]
    BadMarker,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    BadString,
    /// Nothing where a frame should be.
    #[error("an empty frame, message or datagram")]
    Empty,
    /// Bytes after the end of a frame.
    #[error("{0} bytes after the end of the frame")]
    TrailingBytes(usize),
    /// A message or datagram that does not start with a channel.
    #[error("a message must start with a channel, an unsigned integer of at most 32 bits")]
    BadChannel,
}

impl WireError {
    /// The code that the sender of such bytes is told.
    pub const fn code(self) -> Code {
        match self {
            WireError::TooLarge { .. } => Code::FrameTooLarge,
            WireError::TooDeep { .. } => Code::TooDeep,
            _ => Code::BadFrame,
        }
    }
}

/// Checks that `bytes` are one frame's MessagePack value and nothing else: size, depth, counts, strings.
///
/// # Errors
/// The first thing that is wrong. Nothing is allocated either way.
pub fn check_frame(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(WireError::TooLarge { length: bytes.len() as u64, limit: MAX_FRAME_BYTES });
    }
    match bytes.len() - check(bytes)? {
        0 => Ok(()),
        trailing => Err(WireError::TrailingBytes(trailing)),
    }
}

/// Checks the first MessagePack value of `bytes` and returns its length in bytes.
///
/// Allocates nothing: a header that claims a megabyte is refused because the bytes that are left cannot hold it. After
/// this, decoding allocates in proportion to what was really sent.
///
/// # Errors
/// See [`WireError`]. Sizes are not limited here beyond what `bytes` hold; see [`check_frame`].
pub fn check(bytes: &[u8]) -> Result<usize, WireError> {
    if bytes.is_empty() {
        return Err(WireError::Empty);
    }
    let mut cursor = Cursor { bytes, at: 0 };
    // How many values each open array or map still lacks.
    let mut open = [0u64; MAX_DEPTH];
    let mut depth = 0;
    loop {
        let children = cursor.value()?;
        if children > 0 {
            // Every value takes at least a byte.
            let left = bytes.len() - cursor.at;
            if children > left as u64 {
                return Err(WireError::Truncated { claimed: children, left });
            }
            if depth == MAX_DEPTH {
                return Err(WireError::TooDeep { depth: depth + 1 });
            }
            open[depth] = children;
            depth += 1;
            continue;
        }
        while depth > 0 {
            open[depth - 1] -= 1;
            if open[depth - 1] > 0 {
                break;
            }
            depth -= 1;
        }
        if depth == 0 {
            return Ok(cursor.at);
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let rest = &self.bytes[self.at..];
        let truncated = WireError::Truncated { claimed: count as u64, left: rest.len() };
        let taken = rest.get(..count).ok_or(truncated)?;
        self.at += count;
        Ok(taken)
    }

    /// A big-endian unsigned integer of `width` ≤ 4 bytes.
    fn length(&mut self, width: usize) -> Result<usize, WireError> {
        Ok(self.take(width)?.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }

    fn string(&mut self, length: usize) -> Result<u64, WireError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| WireError::BadString)?;
        Ok(0)
    }

    fn skip(&mut self, count: usize) -> Result<u64, WireError> {
        self.take(count)?;
        Ok(0)
    }

    /// Passes over one value's head and, unless it is an array or map, its body. Returns how many values follow inside.
    fn value(&mut self) -> Result<u64, WireError> {
        let marker = self.take(1)?[0];
        match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Ok(0),
            0x80..=0x8f => Ok(2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => Ok(u64::from(marker & 0x0f)),
            0xa0..=0xbf => self.string(usize::from(marker & 0x1f)),
            0xc1 => Err(WireError::BadMarker),
            0xc4..=0xc6 => self.length(1 << (marker - 0xc4)).and_then(|length| self.skip(length)),
            // Extensions carry a type byte beside their length.
            0xc7..=0xc9 => {
                let length = self.length(1 << (marker - 0xc7))?;
                self.take(1)?;
                self.skip(length)
            }
            0xca => self.skip(4),
            0xcb => self.skip(8),
            0xcc..=0xcf => self.skip(1 << (marker - 0xcc)),
            0xd0..=0xd3 => self.skip(1 << (marker - 0xd0)),
            0xd4..=0xd8 => self.skip(1 + (1 << (marker - 0xd4))),
            0xd9..=0xdb => self.length(1 << (marker - 0xd9)).and_then(|length| self.string(length)),
            0xdc | 0xdd => Ok(self.length(2 << (marker - 0xdc))? as u64),
            0xde | 0xdf => Ok(2 * self.length(2 << (marker - 0xde))? as u64),
        }
    }
}
