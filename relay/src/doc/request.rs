//! What is asked and answered, and its bytes: a length in four bytes, most significant first, then MessagePack.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::content::Format;

/// The version of requests and answers; both ends must have the same.
pub const VERSION: u16 = 1;

/// The most bytes of a request: what is brought in is in it.
pub const MAX_REQUEST_BYTES: usize = 64 << 20;

/// The most bytes of an answer: a whole document is in it.
pub const MAX_ANSWER_BYTES: usize = 1 << 30;

/// Bytes that are one string of them in MessagePack.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Blob;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// A request with its version.
#[derive(Debug, Deserialize, Serialize)]
pub struct Asked {
    /// [`VERSION`] of the one who asks.
    pub version: u16,
    /// What is asked.
    pub request: Request,
}

/// What is asked. Points of the past are as [`Point`](super::point::Point) reads them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Request {
    /// The names of documents, in their order.
    List {
        /// Only those after this name.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// What happened to a document, the latest first.
    Log {
        /// The document's name.
        document: String,
        /// At most so many entries.
        limit: usize,
    },
    /// A document as it is or was.
    Show {
        /// The document's name.
        document: String,
        /// When; now, without.
        at: Option<String>,
        /// In which form.
        format: Format,
        /// Which text, where the form holds one.
        text: Option<String>,
    },
    /// What changed between two points.
    Diff {
        /// The document's name.
        document: String,
        /// The one.
        from: String,
        /// The other; now, without.
        to: Option<String>,
    },
    /// Make it what it was, by an edit.
    Restore {
        /// The document's name.
        document: String,
        /// When.
        at: String,
    },
    /// Make it what is given, by an edit.
    Import {
        /// The document's name; it need not exist.
        document: String,
        /// The form of what is given.
        format: Format,
        /// Which text, where the form holds one.
        text: Option<String>,
        /// What is given.
        content: Blob,
    },
    /// Keep a state for ever, under a name.
    Name {
        /// The document's name.
        document: String,
        /// The state's name.
        name: String,
        /// When; now, without.
        at: Option<String>,
    },
    /// Delete it with all its past.
    Delete {
        /// The document's name.
        document: String,
    },
    /// Read everything and say what is wrong.
    Check {
        /// One document; all, without.
        document: Option<String>,
    },
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub enum Answer {
    /// Of a list: names.
    Names(Vec<String>),
    /// Of a log.
    Log(Vec<Entry>),
    /// Of a document that is shown.
    Shown {
        /// It, in the form that was asked for.
        content: Blob,
        /// The vector of the state, as text.
        version: String,
        /// When the state is of, where what led from it to the asked time is not kept.
        older_millis: Option<u64>,
    },
    /// Of a difference: JSON.
    Changes(String),
    /// Of an edit.
    Edited {
        /// How many batches it took; 0 when nothing had to change.
        batches: u32,
        /// Their bytes.
        bytes: u64,
        /// The vector of the state that was restored, as text.
        version: String,
        /// As for [`Answer::Shown`].
        older_millis: Option<u64>,
    },
    /// Of a name: the snapshot's number.
    Named {
        /// The number.
        number: u64,
        /// As for [`Answer::Shown`].
        older_millis: Option<u64>,
    },
    /// Of a deletion: the incarnation in which the name goes on.
    Deleted(u64),
    /// Of a check.
    Checked {
        /// Documents that were read.
        documents: u64,
        /// Rows of logs that were read.
        rows: u64,
        /// Snapshots that were read.
        snapshots: u64,
        /// Bytes that were read.
        bytes: u64,
        /// What is wrong; the first thousand.
        findings: Vec<Found>,
    },
    /// It was not done, and why.
    Refused(String),
}

/// What a check found.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Found {
    /// Whether something that was acknowledged is damaged or missing; else it only takes room.
    pub is_damage: bool,
    /// Where.
    pub place: String,
    /// What.
    pub reason: String,
}

/// An entry of a document's log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Entry {
    /// A snapshot that is kept.
    Snapshot {
        /// Its number.
        number: u64,
        /// When it was taken.
        taken_millis: u64,
        /// Its name.
        name: Option<String>,
        /// Its bytes.
        bytes: u64,
        /// Whether the document is opened from it.
        is_current: bool,
    },
    /// Edits of one actor, one soon after the other.
    Edits {
        /// When the first one arrived.
        from_millis: u64,
        /// When the last one arrived.
        to_millis: u64,
        /// Who wrote them.
        subject: String,
        /// As which actor, in hexadecimal.
        actor: String,
        /// Their first counter.
        first: u64,
        /// Their last counter.
        last: u64,
        /// How many batches they are.
        batches: u64,
        /// Bytes of their operations.
        bytes: u64,
    },
}

/// Why bytes were no request or answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other end is gone.
    #[error("the other end closed the connection")]
    Gone(#[from] std::io::Error),
    /// It is longer than may be.
    #[error("{bytes} bytes are more than the {limit} that may be")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// The most that may be.
        limit: usize,
    },
    /// It is something else.
    #[error("it is not what this version of inkwire says: {0}")]
    Malformed(String),
}

/// Reads one message of at most `limit` bytes. Memory grows with what arrives, not with what is announced.
///
/// # Errors
/// See [`WireError`].
pub async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<T, WireError> {
    let bytes = from.read_u32().await? as usize;
    if bytes > limit {
        return Err(WireError::TooLarge { bytes, limit });
    }
    let mut message = Vec::new();
    let read = from.take(bytes as u64).read_to_end(&mut message).await?;
    if read < bytes {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    rmp_serde::from_slice(&message).map_err(|error| WireError::Malformed(error.to_string()))
}

/// Writes one message.
///
/// # Errors
/// See [`WireError`].
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
    limit: usize,
) -> Result<(), WireError> {
    let message = rmp_serde::to_vec_named(message).map_err(|error| WireError::Malformed(error.to_string()))?;
    let bytes = message.len();
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= limit).ok_or(WireError::TooLarge { bytes, limit })?;
    to.write_u32(length).await?;
    to.write_all(&message).await?;
    to.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_as_they_were_sent_and_within_their_limits() {
        let request = Request::Import {
            document: "a/b".to_owned(),
            format: Format::Snapshot,
            text: None,
            content: Blob(vec![0, 255, 7]),
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &Asked { version: VERSION, request: request.clone() }, MAX_REQUEST_BYTES).await.unwrap();
        let back: Asked = read(&mut &bytes[..], MAX_REQUEST_BYTES).await.unwrap();
        assert_eq!((back.version, back.request), (VERSION, request));
        for end in 0..bytes.len() {
            assert!(matches!(read::<Asked>(&mut &bytes[..end], 1000).await, Err(WireError::Gone(_))), "{end}");
        }
        assert!(matches!(read::<Asked>(&mut &bytes[..], 10).await, Err(WireError::TooLarge { .. })));
        // A length that nothing follows costs nothing.
        assert!(matches!(read::<Asked>(&mut &[0xff; 4][..], usize::MAX).await, Err(WireError::Gone(_))));
        assert!(matches!(read::<Asked>(&mut &[0, 0, 0, 1, 0xc0][..], 10).await, Err(WireError::Malformed(_))));
        assert!(matches!(write(&mut Vec::new(), &Blob(vec![0; 20]), 10).await, Err(WireError::TooLarge { .. })));
    }
}
