//! The values that frames are made of, where they are not plain.

use bytes::Bytes;
use inkwire_document::Actor;
use serde::Serializer;
use serde::de::{MapAccess, SeqAccess};
use serde::ser::{SerializeMap, SerializeTuple};

use crate::Chain;

use super::value::{Adapter, Encode, Value, element};

/// A lane of a session: 0 is control, documents have 1, 2, 3, … in the order in which the client opened them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Channel(pub u32);

impl Channel {
    /// The control lane.
    pub const CONTROL: Channel = Channel(0);
}

impl Value for Channel {
    const EXPECTED: &'static str = "expected a channel: an unsigned integer of 32 bits";
    fn unsigned(value: u64) -> Option<Self> {
        u32::try_from(value).ok().map(Channel)
    }
}

impl Encode for Channel {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
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
    const EXPECTED: &'static str = "expected a role: \"viewer\" or \"editor\"";
    fn text(value: &str) -> Option<Self> {
        Role::from_name(value)
    }
}

impl Encode for Role {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
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
    const EXPECTED: &'static str = "expected 0 (the vector), 1 (durable) or 2 (both)";
    fn absent() -> Option<Self> {
        Some(Self::Vector)
    }
    fn unsigned(value: u64) -> Option<Self> {
        match value {
            0 => Some(Self::Vector),
            1 => Some(Self::Durable),
            2 => Some(Self::Both),
            _ => None,
        }
    }
}

impl Encode for Extends {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// Defines a struct that is an array of its fields on the wire.
macro_rules! array {
    ($( $(#[$doc:meta])* $name:ident $expected:literal { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? } )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name { $( $(#[$field_doc])* pub $field: $type, )* }

        impl Value for $name {
            const EXPECTED: &'static str = concat!("expected ", $expected);
            fn array<'de, A: SeqAccess<'de>>(elements: &mut A, source: &Bytes) -> Result<Self, A::Error> {
                Ok(Self { $( $field: element(elements, source)?, )* })
            }
        }

        impl Encode for $name {
            fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                const ELEMENTS: usize = 0 $( + { stringify!($field); 1 } )*;
                let mut tuple = serializer.serialize_tuple(ELEMENTS)?;
                $( tuple.serialize_element(&Adapter(&self.$field))?; )*
                tuple.end()
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
    const EXPECTED: &'static str = "expected a map of options";
    fn map<'de, A: MapAccess<'de>>(_: &mut A, _: &Bytes) -> Result<Self, A::Error> {
        Ok(Self {})
    }
}

impl Encode for Options {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}
