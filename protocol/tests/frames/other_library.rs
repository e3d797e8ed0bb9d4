//! Our bytes are those that `rmp-serde` would write, and it reads them: a MessagePack library that shares no code with ours.

use std::fmt;

use inkwire_protocol::Frame;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::samples::samples;

/// Any value that frames are made of.
#[derive(Debug, PartialEq)]
enum Any {
    Nil,
    Bool(bool),
    Uint(u64),
    Str(String),
    Bin(Vec<u8>),
    Array(Vec<Any>),
    Map(Vec<(Any, Any)>),
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that frames are made of")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
        Ok(Any::Uint(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Str(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
        Ok(Any::Bin(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Any, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element()? {
            values.push(value);
        }
        Ok(Any::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Any, A::Error> {
        let mut values = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            values.push(entry);
        }
        Ok(Any::Map(values))
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Any::Nil => serializer.serialize_none(),
            Any::Bool(value) => serializer.serialize_bool(*value),
            Any::Uint(value) => serializer.serialize_u64(*value),
            Any::Str(value) => serializer.serialize_str(value),
            Any::Bin(value) => serializer.serialize_bytes(value),
            Any::Array(values) => {
                let mut array = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    array.serialize_element(value)?;
                }
                array.end()
            }
            Any::Map(values) => {
                let mut map = serializer.serialize_map(Some(values.len()))?;
                for (key, value) in values {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[test]
fn rmp_serde_reads_every_frame_and_writes_the_same_bytes() {
    for (name, frame) in samples() {
        let ours = frame.encode();
        let any: Any = rmp_serde::from_slice(&ours).expect(name);
        let Any::Array(elements) = &any else { panic!("{name} is no array: {any:?}") };
        assert_eq!(elements.first(), Some(&Any::Uint(frame.number().into())), "{name}");
        let theirs = rmp_serde::to_vec(&any).expect(name);
        assert_eq!(theirs, ours, "{name}");
        assert_eq!(Frame::decode(&theirs.into()), Ok(frame), "{name}");
    }
}
