//! Strict MessagePack values: each type takes exactly the forms that the protocol names.
//!
//! serde's own implementations are lenient (a string is taken for bytes, bytes for an array of integers), fail on the
//! extra elements that a later version may send, and cannot hand out slices of a `Bytes`. So each field's type says here
//! what it takes, and one visitor serves them all.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use inkwire_document::{Actor, VersionVector};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};

use crate::limits::MAX_DEPTH;
use crate::{Chain, Code};

/// What one type takes from the wire. A form that is not overridden is refused with "expected …".
pub(super) trait Value: Sized {
    /// What is expected, for the error.
    const EXPECTED: &'static str;

    /// Whether an optional one may be left out altogether.
    const MAY_BE_ABSENT: bool = false;

    /// What an element is that a sender of before it was added leaves out; only for the last elements of an array.
    fn absent() -> Option<Self> {
        None
    }
    fn nil() -> Option<Self> {
        None
    }
    fn boolean(_: bool) -> Option<Self> {
        None
    }
    fn unsigned(_: u64) -> Option<Self> {
        None
    }
    fn text(_: &str) -> Option<Self> {
        None
    }
    /// `source` is what `slice` is a part of.
    fn binary(_slice: &[u8], _source: &Bytes) -> Option<Self> {
        None
    }
    /// Reads what it knows of an array; what is left over is skipped by the caller.
    fn array<'de, A: SeqAccess<'de>>(_elements: &mut A, _source: &Bytes) -> Result<Self, A::Error> {
        Err(A::Error::custom(Self::EXPECTED))
    }
    fn map<'de, A: MapAccess<'de>>(_entries: &mut A, _source: &Bytes) -> Result<Self, A::Error> {
        Err(A::Error::custom(Self::EXPECTED))
    }
}

/// The one visitor: decodes a `T` out of `source`.
struct Seed<'a, T>(&'a Bytes, PhantomData<T>);

impl<'a, T> Seed<'a, T> {
    fn new(source: &'a Bytes) -> Self {
        Self(source, PhantomData)
    }
}

impl<'de, T: Value> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        // Never `deserialize_seq` and the like: rmp-serde then takes binary for an array.
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Value> Visitor<'de> for Seed<'_, T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // serde says "expected" itself.
        formatter.write_str(T::EXPECTED.strip_prefix("expected ").unwrap_or(T::EXPECTED))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<T, E> {
        T::nil().ok_or_else(|| E::custom(T::EXPECTED))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<T, E> {
        T::boolean(value).ok_or_else(|| E::custom(T::EXPECTED))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<T, E> {
        T::unsigned(value).ok_or_else(|| E::custom(T::EXPECTED))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<T, E> {
        // Some encoders write every integer in a signed form.
        u64::try_from(value).ok().and_then(T::unsigned).ok_or_else(|| E::custom(T::EXPECTED))
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<T, E> {
        T::text(value).ok_or_else(|| E::custom(T::EXPECTED))
    }

    fn visit_borrowed_bytes<E: serde::de::Error>(self, value: &'de [u8]) -> Result<T, E> {
        T::binary(value, self.0).ok_or_else(|| E::custom(T::EXPECTED))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<T, A::Error> {
        let value = T::array(&mut elements, self.0)?;
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<T, A::Error> {
        let value = T::map(&mut entries, self.0)?;
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

/// Decodes all of `source`, which [`crate::wire::check_frame`] has passed.
pub(super) fn from_slice<T: Value>(source: &Bytes) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(&source[..]);
    // Counted in another place than ours; ours has already decided.
    deserializer.set_max_depth(MAX_DEPTH + 2);
    Seed::new(source).deserialize(&mut deserializer)
}

/// The next element of an array, which must be there unless its type says what it is otherwise.
pub(super) fn element<'de, A: SeqAccess<'de>, T: Value>(elements: &mut A, source: &Bytes) -> Result<T, A::Error> {
    let found = elements.next_element_seed(Seed::new(source))?;
    found.or_else(T::absent).ok_or_else(|| A::Error::custom("an element is missing"))
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const EXPECTED: &'static str = concat!("expected an unsigned integer that fits ", stringify!($type));
            fn unsigned(value: u64) -> Option<Self> {
                value.try_into().ok()
            }
        }
    )*};
}

unsigned!(u16, u32, u64);

impl Value for bool {
    const EXPECTED: &'static str = "expected a boolean";
    fn boolean(value: bool) -> Option<Self> {
        Some(value)
    }
}

impl Value for String {
    const EXPECTED: &'static str = "expected a string";
    fn text(value: &str) -> Option<Self> {
        Some(value.to_owned())
    }
}

impl Value for Bytes {
    const EXPECTED: &'static str = "expected binary";
    fn binary(slice: &[u8], source: &Bytes) -> Option<Self> {
        Some(source.slice_ref(slice))
    }
}

impl Value for Actor {
    const EXPECTED: &'static str = "expected an actor: an unsigned integer";
    fn unsigned(value: u64) -> Option<Self> {
        Some(Actor(value))
    }
}

impl Value for Chain {
    const EXPECTED: &'static str = "expected a running digest: 16 bytes";
    const MAY_BE_ABSENT: bool = true;
    fn binary(slice: &[u8], _: &Bytes) -> Option<Self> {
        slice.try_into().ok().map(Chain)
    }
}

impl Value for Code {
    const EXPECTED: &'static str = "expected a code: an unsigned integer of 16 bits";
    fn unsigned(value: u64) -> Option<Self> {
        u16::try_from(value).ok().map(Code::from)
    }
}

impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn absent() -> Option<Self> {
        T::MAY_BE_ABSENT.then_some(None)
    }
    fn nil() -> Option<Self> {
        Some(None)
    }
    fn boolean(value: bool) -> Option<Self> {
        T::boolean(value).map(Some)
    }
    fn unsigned(value: u64) -> Option<Self> {
        T::unsigned(value).map(Some)
    }
    fn text(value: &str) -> Option<Self> {
        T::text(value).map(Some)
    }
    fn binary(slice: &[u8], source: &Bytes) -> Option<Self> {
        T::binary(slice, source).map(Some)
    }
    fn array<'de, A: SeqAccess<'de>>(elements: &mut A, source: &Bytes) -> Result<Self, A::Error> {
        T::array(elements, source).map(Some)
    }
    fn map<'de, A: MapAccess<'de>>(entries: &mut A, source: &Bytes) -> Result<Self, A::Error> {
        T::map(entries, source).map(Some)
    }
}

impl<T: Value> Value for Vec<T> {
    const EXPECTED: &'static str = "expected an array";
    fn array<'de, A: SeqAccess<'de>>(elements: &mut A, source: &Bytes) -> Result<Self, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(Seed::new(source))? {
            values.push(value);
        }
        Ok(values)
    }
}

impl Value for BTreeMap<String, u64> {
    const EXPECTED: &'static str = "expected a map of names to unsigned integers";
    fn map<'de, A: MapAccess<'de>>(entries: &mut A, source: &Bytes) -> Result<Self, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(name) = entries.next_key_seed(Seed::<String>::new(source))? {
            values.insert(name, entries.next_value_seed(Seed::<u64>::new(source))?);
        }
        Ok(values)
    }
}

impl Value for VersionVector {
    const EXPECTED: &'static str = "expected a version vector: [actor, counter, …], no actor twice, no counter 0";
    fn array<'de, A: SeqAccess<'de>>(elements: &mut A, source: &Bytes) -> Result<Self, A::Error> {
        let mut vector = VersionVector::new();
        while let Some(actor) = elements.next_element_seed(Seed::<Actor>::new(source))? {
            let counter: u64 = element(elements, source)?;
            if counter == 0 || vector.dots.insert(actor, counter).is_some() {
                return Err(A::Error::custom(Self::EXPECTED));
            }
        }
        Ok(vector)
    }
}

/// How a field is written.
pub(super) trait Encode {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// Lets serde write what is [`Encode`].
pub(super) struct Adapter<'a, T>(pub(super) &'a T);

impl<T: Encode> Serialize for Adapter<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode(serializer)
    }
}

macro_rules! encode_as_serde {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }
    )*};
}

encode_as_serde!(u16, u32, u64, bool, String);

impl Encode for Bytes {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl Encode for Chain {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl Encode for Actor {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Encode for Code {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&Adapter(value)),
            None => serializer.serialize_none(),
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(self.len()))?;
        for value in self {
            array.serialize_element(&Adapter(value))?;
        }
        array.end()
    }
}

impl Encode for BTreeMap<String, u64> {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Encode for VersionVector {
    fn encode<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(2 * self.dots.len()))?;
        for (actor, counter) in &self.dots {
            array.serialize_element(&actor.0)?;
            array.serialize_element(counter)?;
        }
        array.end()
    }
}
