//! Every frame of the protocol, and its bytes.
//!
//! A frame is one MessagePack array whose first element is the frame's number; the elements after it are the fields of
//! the struct of that name, in their order. Decoders ignore extra elements at the end of an array, which is how a later
//! version adds some. Version vectors are flat arrays `[actor, counter, …]`; what is absent is nil.

mod parts;
mod value;

use bytes::Bytes;
use inkwire_document::ordered::OrderedMap;
use inkwire_document::{Actor, VersionVector, messagepack};

pub use parts::{Base, Channel, Claim, Extends, Lease, Options, PresenceEntry, Role, SeenBatch};
use value::{Decoder, Encode, Expected, Value, from_slice};

use crate::wire::{self, WireError};
use crate::{Chain, Code};

macro_rules! frames {
    ($( $(#[$doc:meta])* $number:literal $name:ident { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? } )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Eq, PartialEq)]
            pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }

            impl $name {
                /// The frame's number on the wire.
                pub const NUMBER: u8 = $number;
            }

            impl From<$name> for Frame {
                fn from(frame: $name) -> Self {
                    Frame::$name(frame)
                }
            }
        )*

        /// One frame of any kind.
        #[derive(Clone, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Frame {
            $( $(#[$doc])* $name($name), )*
        }

        impl Frame {
            /// The number of every frame of this version, with its name.
            pub const TABLE: &'static [(u8, &'static str)] = &[$( ($number, stringify!($name)) ),*];

            /// The frame's number on the wire.
            pub const fn number(&self) -> u8 {
                match self { $( Frame::$name(_) => $number, )* }
            }

            /// The frame's name, as the documents write it.
            pub const fn name(&self) -> &'static str {
                match self { $( Frame::$name(_) => stringify!($name), )* }
            }
        }

        impl Frame {
            fn write(&self, writer: &mut messagepack::Writer<'_>) {
                match self {
                    $( Frame::$name(frame) => {
                        const ELEMENTS: usize = 1 $( + { stringify!($field); 1 } )*;
                        let $name { $( $field ),* } = frame;
                        writer.array(ELEMENTS);
                        writer.uint($number);
                        $( $field.encode(writer); )*
                    } )*
                }
            }

            /// Reads the elements after the number; nothing for a number that this version does not know.
            fn read_elements(number: u64, left: &mut u32, decoder: &mut Decoder<'_>) -> Result<Option<Frame>, Expected> {
                Ok(Some(match number {
                    $( $number => $name { $( $field: decoder.element(left)?, )* }.into(), )*
                    _ => return Ok(None),
                }))
            }
        }
    };
}

frames! {
    /// Client → relay, the first frame of the control lane.
    0 Hello {
        /// The versions that the client speaks.
        versions: Vec<u64>,
        /// The access token.
        token: String,
        /// The client's name and version, for logs.
        agent: String,
    }

    /// Relay → client: the session exists.
    1 Welcome {
        /// The version that both speak from now on.
        version: u64,
        /// The session's id; presence carries it.
        session: u64,
        /// The node's name, for people.
        node: String,
        /// The relay's time: milliseconds since the Unix epoch. The client's clock goes on from here.
        time_millis: u64,
        /// Limits by name; unknown names are ignored.
        limits: OrderedMap<String, u64>,
        /// The authenticated subject.
        subject: String,
    }

    /// Client → relay, control lane: a fresh token before the old one expires.
    2 Token {
        /// The access token.
        token: String,
    }

    /// Relay → client: the token is good; also right after [`Welcome`].
    3 TokenAccepted {
        /// How long it is, in milliseconds from now.
        expires_in_millis: u64,
    }

    /// Relay → client: the relay is about to leave; finish and come back.
    4 GoAway {
        /// For people.
        reason: String,
        /// How long to wait before connecting again, in milliseconds.
        reconnect_after_millis: u64,
        /// Where to connect; nil for the same address.
        url: Option<String>,
    }

    /// Either way. On the control lane the session ends, on a document's lane that document is closed.
    5 Close {
        /// Why.
        code: Code,
        /// For people.
        reason: String,
    }

    /// Either way, control lane: answer with the same nonce.
    6 Ping {
        /// Any number.
        nonce: u64,
    }

    /// The answer to [`Ping`].
    7 Pong {
        /// The ping's number.
        nonce: u64,
    }

    /// Relay → client, a datagram of the control lane: the path loses packets; send copies of small batches as datagrams too.
    8 WantCopies {
        /// For how long, in milliseconds from now.
        millis: u64,
    }

    /// Client → relay, the first frame of a document's lane.
    16 Open {
        /// The channel that the client picked for it: 1, 2, 3, …, never one that was used in this session.
        channel: Channel,
        /// The document's name.
        document: String,
        /// The incarnation that the client's state belongs to; nil when it has none.
        incarnation: Option<u64>,
        /// What the client's replica holds.
        vector: VersionVector,
        /// What of it the client knows to be durable.
        durable: VersionVector,
        /// The role that the client wants; the relay may grant less.
        role: Role,
        /// The actor that the client goes on as; nil for a new one.
        claim: Option<Claim>,
        /// Reserved.
        options: Options,
    }

    /// Relay → client: the answer to [`Open`].
    17 Opened {
        /// The document's incarnation.
        incarnation: u64,
        /// The role that was granted.
        role: Role,
        /// The actor to write as; nil for a viewer.
        lease: Option<Lease>,
        /// What the relay holds now.
        vector: VersionVector,
        /// Announces [`Snapshot`] frames; nil when none come.
        base: Option<Base>,
    }

    /// Either way: extends the vector of the [`Open`], [`Opened`] or [`Synced`] that follows it on the lane.
    18 Vector {
        /// A part of the vector.
        part: VersionVector,
        /// Whether more parts follow before the frame that they extend.
        more: bool,
        /// Which vector of an [`Open`] the part belongs to; left out, it is the first.
        extends: Extends,
    }

    /// Relay → client: a chunk of an encoded document snapshot, full or partial, to be merged when all are there.
    19 Snapshot {
        /// 0, 1, 2, …
        index: u32,
        /// Whether it is the last.
        last: bool,
        /// The chunk.
        bytes: Bytes,
    }

    /// Either way: a batch of operations, as its author encoded it.
    20 Batch {
        /// The author.
        actor: Actor,
        /// The first operation's counter.
        first: u64,
        /// How many counters it takes.
        count: u32,
        /// The encoded operations.
        operations: Bytes,
        /// The relay's receipt, with which a reader can offer the batch again; nil from a client, and for what is durable.
        receipt: Option<Bytes>,
    }

    /// Relay → client: everything up to here was sent; what follows is live.
    21 Synced {
        /// What the client now holds.
        vector: VersionVector,
    }

    /// Relay → client: the client's own batches arrived up to this counter.
    22 Received {
        /// The last counter.
        counter: u64,
        /// Why batches after it are not taken for now; nil, or left out, when they are.
        paused: Option<Code>,
    }

    /// Relay → client: what is durable now; only the entries that moved.
    23 Durable {
        /// Highest durable counter per actor.
        vector: VersionVector,
    }

    /// Relay → client: send your own batches again from this counter.
    24 ResendFrom {
        /// The first counter that the relay lacks.
        counter: u64,
    }

    /// Client → relay, any role that may read: another's batch that was seen and is not known to be durable.
    25 Offer {
        /// The author.
        actor: Actor,
        /// The first operation's counter.
        first: u64,
        /// How many counters it takes.
        count: u32,
        /// The encoded operations.
        operations: Bytes,
        /// The receipt that came with it.
        receipt: Bytes,
    }

    /// Relay → client: a batch was refused, and with it its actor.
    26 Refused {
        /// The author.
        actor: Actor,
        /// The batch's first counter.
        first: u64,
        /// Why.
        code: Code,
        /// For people.
        reason: String,
    }

    /// Client → relay: the actor's lease may end once everything up to the counter is durable.
    27 Release {
        /// The actor.
        actor: Actor,
        /// Its last counter.
        last: u64,
    }

    /// Relay → client: the lease has ended.
    28 Released {
        /// The actor.
        actor: Actor,
    }

    /// Relay → client: write as this actor from now on.
    29 Leased {
        /// The actor.
        actor: Actor,
        /// The next counter to use.
        next: u64,
        /// The proof of the lease; nil from relays that give none.
        ticket: Option<Bytes>,
        /// The running digest of what the relay holds of the actor, before the next counter; nil where it does not know it.
        digest: Option<Chain>,
    }

    /// Relay → client: the role has changed.
    30 RoleChanged {
        /// The role from now on.
        role: Role,
    }

    /// Client → relay, on the document's lane or as a datagram: the session's presence. The highest sequence wins.
    31 Presence {
        /// Grows with every state of this open document.
        sequence: u32,
        /// The state, opaque to the relay; nil takes it away.
        state: Option<Bytes>,
    }

    /// Relay → client, on the document's lane or as a datagram: others' presence.
    32 PresenceUpdate {
        /// One entry a session.
        entries: Vec<PresenceEntry>,
    }

    /// Client → relay: leaves the document. The relay finishes the lane, or answers `Close` with code 0.
    33 CloseDocument {}

    /// Client → relay, before [`Open`]: others' batches that the client's replica holds and does not know to be durable. If the
    /// relay holds other operations under their counters, it answers [`Refused`] after [`Opened`].
    34 Seen {
        /// The batches.
        batches: Vec<SeenBatch>,
    }
}

/// Why bytes are not a frame that this version knows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Refused before decoding.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A frame of a later version, or none.
    #[error("frame {0} is unknown")]
    Unknown(u64),
    /// An element is missing, of the wrong type or out of its range.
    #[error("{0}")]
    Malformed(&'static str),
}

impl FrameError {
    /// The code that the sender of such bytes is told.
    pub const fn code(&self) -> Code {
        match self {
            FrameError::Wire(error) => error.code(),
            FrameError::Unknown(_) => Code::UnknownFrame,
            FrameError::Malformed(_) => Code::BadFrame,
        }
    }
}

/// The outer array: a number, then what the number says. The inner error is a number that this version does not know.
struct Numbered(Result<Frame, u64>);

impl Value for Numbered {
    const EXPECTED: Expected = "expected a frame: an array that starts with its number";

    fn read(token: messagepack::Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        let messagepack::Token::Array(mut left) = token else { return Err(Self::EXPECTED) };
        let number = decoder.element(&mut left)?;
        let frame = Frame::read_elements(number, &mut left, decoder)?;
        decoder.rest(left)?;
        Ok(Self(frame.ok_or(number)))
    }
}

impl Frame {
    /// The frame's bytes, without a length or channel.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.capacity());
        self.encode_into(&mut out);
        out.into()
    }

    /// Writes the frame's bytes to the end of `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        self.write(&mut messagepack::Writer(out));
    }

    /// The frame in `bytes`, which hold it and nothing else. Binary fields are slices of `bytes`: nothing is copied.
    ///
    /// # Errors
    /// See [`FrameError`]. Size, depth and counts are checked before anything is allocated.
    pub fn decode(bytes: &Bytes) -> Result<Frame, FrameError> {
        wire::check_frame(bytes)?;
        match from_slice::<Numbered>(bytes) {
            Ok(Numbered(frame)) => frame.map_err(FrameError::Unknown),
            Err(expected) => Err(FrameError::Malformed(expected)),
        }
    }

    /// About how long the frame will be, so that the frames that carry payload are encoded in one allocation.
    fn capacity(&self) -> usize {
        match self {
            Frame::Batch(frame) => 48 + frame.operations.len() + frame.receipt.as_ref().map_or(0, Bytes::len),
            Frame::Offer(frame) => 48 + frame.operations.len() + frame.receipt.len(),
            Frame::Snapshot(frame) => 16 + frame.bytes.len(),
            _ => 64,
        }
    }
}

impl Batch {
    /// The frame of `batch`.
    pub fn new(batch: inkwire_document::Batch, receipt: Option<Bytes>) -> Self {
        let inkwire_document::Batch { actor, first, count, operations } = batch;
        Self { actor, first, count, operations, receipt }
    }

    /// The batch and its receipt.
    pub fn into_parts(self) -> (inkwire_document::Batch, Option<Bytes>) {
        let Self { actor, first, count, operations, receipt } = self;
        (inkwire_document::Batch { actor, first, count, operations }, receipt)
    }
}

impl From<Leased> for Lease {
    fn from(frame: Leased) -> Self {
        let Leased { actor, next, ticket, digest } = frame;
        Self { actor, next, ticket, digest }
    }
}

impl Offer {
    /// The frame that offers `batch` with the receipt that came with it.
    pub fn new(batch: inkwire_document::Batch, receipt: Bytes) -> Self {
        let inkwire_document::Batch { actor, first, count, operations } = batch;
        Self { actor, first, count, operations, receipt }
    }

    /// The batch and its receipt.
    pub fn into_parts(self) -> (inkwire_document::Batch, Bytes) {
        let Self { actor, first, count, operations, receipt } = self;
        (inkwire_document::Batch { actor, first, count, operations }, receipt)
    }
}
