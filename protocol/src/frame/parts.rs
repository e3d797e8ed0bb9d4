//! The values that frames are made of, where they are not plain.

use bytes::Bytes;
use inkwire_document::Actor;
use inkwire_document::messagepack::{Token, Writer};

use crate::Chain;

use super::value::{Decoder, Encode, Expected, Value, unsigned};

/// A lane of a session: 0 is control, documents have 1, 2, 3, … in the order in which the client opened them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Channel(pub u32);

impl Channel {
    /// The control lane.
    pub const CONTROL: Channel = Channel(0);
}

impl Value for Channel {
    const EXPECTED: Expected = "expected a channel: an unsigned integer of 32 bits";
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        unsigned(token, Self::EXPECTED).map(Channel)
    }
}

impl Encode for Channel {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.uint(self.0.into());
    }
}

/// What a session may do with a document. Ordered: a later one may do all that an earlier one may.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Role {
    /// Reads, offers what it has seen, has presence.
    Viewer,
    /// Writes too.
    Editor,
}

impl Role {
    /// The word on the wire and in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "viewer" => Some(Role::Viewer),
            "editor" => Some(Role::Editor),
            _ => None,
        }
    }

    /// Whether the role may write batches of its own.
    pub const fn may_write(self) -> bool {
        matches!(self, Role::Editor)
    }
}

impl Value for Role {
    const EXPECTED: Expected = "expected a role: \"viewer\" or \"editor\"";
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        match token {
            Token::Str(name) => Role::from_name(name).ok_or(Self::EXPECTED),
            _ => Err(Self::EXPECTED),
        }
    }
}

impl Encode for Role {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self.as_str());
    }
}

/// Which vectors of the [`super::Open`] that follows a [`super::Vector`] extends. Other frames have one vector only.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Extends {
    /// The vector.
    #[default]
    Vector,
    /// The vector of what is known to be durable.
    Durable,
    /// Both, which have the same counters there.
    Both,
}

impl Value for Extends {
    const EXPECTED: Expected = "expected 0 (the vector), 1 (durable) or 2 (both)";
    fn absent() -> Option<Self> {
        Some(Self::Vector)
    }
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        match token {
            Token::Uint(0) => Ok(Self::Vector),
            Token::Uint(1) => Ok(Self::Durable),
            Token::Uint(2) => Ok(Self::Both),
            _ => Err(Self::EXPECTED),
        }
    }
}

impl Encode for Extends {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.uint(*self as u64);
    }
}

/// Defines a struct that is an array of its fields on the wire.
macro_rules! array {
    ($( $(#[$doc:meta])* $name:ident $expected:literal { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? } )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }

        impl Value for $name {
            const EXPECTED: Expected = concat!("expected ", $expected);
            fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
                let Token::Array(mut left) = token else { return Err(Self::EXPECTED) };
                let value = Self { $( $field: decoder.element(&mut left)?, )* };
                decoder.rest(left)?;
                Ok(value)
            }
        }

        impl Encode for $name {
            fn encode(&self, writer: &mut Writer<'_>) {
                const ELEMENTS: usize = 0 $( + { stringify!($field); 1 } )*;
                writer.array(ELEMENTS);
                $( self.$field.encode(writer); )*
            }
        }
    )*};
}

array! {
    /// The actor that a client goes on as.
    Claim "a claim: [actor, last counter, ticket or nil]" {
        /// The actor.
        actor: Actor,
        /// The last counter that the client used; 0 if none.
        last: u64,
        /// The proof of the lease, if the client has one.
        ticket: Option<Bytes>,
    }

    /// The right to write as an actor.
    Lease "a lease: [actor, next counter, ticket or nil, digest or nil]" {
        /// The actor.
        actor: Actor,
        /// The next counter to use.
        next: u64,
        /// The proof of the lease; nil from relays that give none.
        ticket: Option<Bytes>,
        /// The running digest of what the relay holds of the actor, before the next counter; nil where it does not know it.
        digest: Option<Chain>,
    }

    /// What the [`super::Snapshot`] frames after [`super::Opened`] amount to.
    Base "a base: [bytes in all]" {
        /// All chunks together, in bytes.
        bytes: u64,
    }

    /// A batch that a client has seen, in few bytes.
    SeenBatch "a seen batch: [actor, first counter, count, digest]" {
        /// The author.
        actor: Actor,
        /// The first operation's counter.
        first: u64,
        /// How many counters it takes.
        count: u32,
        /// The running digest of this batch alone, as if it were its actor's first.
        digest: Chain,
    }

    /// One session's presence.
    PresenceEntry "a presence entry: [session, sequence, subject, state or nil]" {
        /// The session.
        session: u64,
        /// The sequence that the session gave the state.
        sequence: u32,
        /// The session's subject.
        subject: String,
        /// The state, or nil when it is gone.
        state: Option<Bytes>,
    }
}

/// Reserved options of [`super::Open`]: a map that is empty in this version; what it holds is ignored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Options {}

impl Value for Options {
    const EXPECTED: Expected = "expected a map of options";
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        let Token::Map(count) = token else { return Err(Self::EXPECTED) };
        for _ in 0..count {
            // A key and its value.
            decoder.rest(2)?;
        }
        Ok(Self {})
    }
}

impl Encode for Options {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.map(0);
    }
}
