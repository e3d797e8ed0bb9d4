//! Strict MessagePack values: each type takes exactly the forms that the protocol names.
//!
//! serde's own implementations are lenient (a string is taken for bytes, bytes for an array of integers), fail on the
//! extra elements that a later version may send, cannot hand out slices of a `Bytes`, and are compiled anew for each type
//! of field, which made half of what a page loads. So each field's type says here which token it takes, and one reader,
//! the document's, serves them all. The tests hold what comes out against `rmp-serde`.

use bytes::Bytes;
use inkwire_document::messagepack::{Reader, Token, Writer};
use inkwire_document::ordered::OrderedMap;
use inkwire_document::{Actor, VersionVector};

use crate::{Chain, Code};

/// What was expected.
pub(super) type Expected = &'static str;

/// A frame's bytes, which [`crate::wire::check_frame`] has passed, and the place in them.
pub(super) struct Decoder<'a> {
    source: &'a Bytes,
    reader: Reader<'a>,
}

impl<'a> Decoder<'a> {
    fn token(&mut self) -> Result<Token<'a>, Expected> {
        self.reader.token().map_err(|_| "expected a value of MessagePack")
    }

    fn value<T: Value>(&mut self) -> Result<T, Expected> {
        let token = self.token()?;
        T::read(token, self)
    }

    /// The next element of an array of which `left` elements are left. It must be there unless its type says what it is
    /// otherwise.
    pub(super) fn element<T: Value>(&mut self, left: &mut u32) -> Result<T, Expected> {
        if *left == 0 {
            return T::absent().ok_or("an element is missing");
        }
        *left -= 1;
        self.value()
    }

    /// Passes over the elements that a later version has added.
    pub(super) fn rest(&mut self, left: u32) -> Result<(), Expected> {
        (0..left).try_for_each(|_| self.reader.skip().map_err(|_| "expected a value of MessagePack"))
    }
}

/// What one type takes from the wire.
pub(super) trait Value: Sized {
    /// What is expected, for the error.
    const EXPECTED: Expected;

    /// Whether an optional one may be left out altogether.
    const MAY_BE_ABSENT: bool = false;

    /// What an element is that a sender of before it was added leaves out; only for the last elements of an array.
    fn absent() -> Option<Self> {
        None
    }

    /// The value that begins with `token`; what is within it is still to be read, and all of it.
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected>;
}

/// Decodes all of `source`, which [`crate::wire::check_frame`] has passed.
pub(super) fn from_slice<T: Value>(source: &Bytes) -> Result<T, Expected> {
    Decoder { source, reader: Reader::new(source) }.value()
}

/// The integer that `token` is, if it fits.
pub(super) fn unsigned<T: TryFrom<u64>>(token: Token<'_>, expected: Expected) -> Result<T, Expected> {
    match token {
        Token::Uint(number) => number.try_into().map_err(|_| expected),
        _ => Err(expected),
    }
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const EXPECTED: Expected = concat!("expected an unsigned integer that fits ", stringify!($type));
            fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
                unsigned(token, Self::EXPECTED)
            }
        }
    )*};
}

unsigned!(u16, u32, u64);

impl Value for bool {
    const EXPECTED: Expected = "expected a boolean";
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        if let Token::Bool(value) = token { Ok(value) } else { Err(Self::EXPECTED) }
    }
}

impl Value for String {
    const EXPECTED: Expected = "expected a string";
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        if let Token::Str(value) = token { Ok(value.to_owned()) } else { Err(Self::EXPECTED) }
    }
}

impl Value for Bytes {
    const EXPECTED: Expected = "expected binary";
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        if let Token::Bin(slice) = token { Ok(decoder.source.slice_ref(slice)) } else { Err(Self::EXPECTED) }
    }
}

impl Value for Actor {
    const EXPECTED: Expected = "expected an actor: an unsigned integer";
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        unsigned(token, Self::EXPECTED).map(Actor)
    }
}

impl Value for Chain {
    const EXPECTED: Expected = "expected a running digest: 16 bytes";
    const MAY_BE_ABSENT: bool = true;
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        match token {
            Token::Bin(bytes) => bytes.try_into().map(Chain).map_err(|_| Self::EXPECTED),
            _ => Err(Self::EXPECTED),
        }
    }
}

impl Value for Code {
    const EXPECTED: Expected = "expected a code: an unsigned integer of 16 bits";
    fn read(token: Token<'_>, _: &mut Decoder<'_>) -> Result<Self, Expected> {
        unsigned::<u16>(token, Self::EXPECTED).map(Code::from)
    }
}

impl<T: Value> Value for Option<T> {
    const EXPECTED: Expected = T::EXPECTED;
    fn absent() -> Option<Self> {
        T::MAY_BE_ABSENT.then_some(None)
    }
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        if token == Token::Nil { Ok(None) } else { T::read(token, decoder).map(Some) }
    }
}

impl<T: Value> Value for Vec<T> {
    const EXPECTED: Expected = "expected an array";
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        let Token::Array(count) = token else { return Err(Self::EXPECTED) };
        // Grown as values come: of a count alone nothing is allocated.
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(decoder.value()?);
        }
        Ok(values)
    }
}

impl Value for OrderedMap<String, u64> {
    const EXPECTED: Expected = "expected a map of names to unsigned integers";
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        let Token::Map(count) = token else { return Err(Self::EXPECTED) };
        let mut values = OrderedMap::new();
        for _ in 0..count {
            let name = decoder.value()?;
            values.insert(name, decoder.value()?);
        }
        Ok(values)
    }
}

impl Value for VersionVector {
    const EXPECTED: Expected = "expected a version vector: [actor, counter, …], no actor twice, no counter 0";
    fn read(token: Token<'_>, decoder: &mut Decoder<'_>) -> Result<Self, Expected> {
        let Token::Array(mut left) = token else { return Err(Self::EXPECTED) };
        let mut vector = VersionVector::new();
        while left > 0 {
            let actor: Actor = decoder.element(&mut left)?;
            let counter: u64 = decoder.element(&mut left)?;
            if counter == 0 || vector.dots.insert(actor, counter).is_some() {
                return Err(Self::EXPECTED);
            }
        }
        Ok(vector)
    }
}

/// How a field is written.
pub(super) trait Encode {
    fn encode(&self, writer: &mut Writer<'_>);
}

macro_rules! encode_unsigned {
    ($($type:ty),*) => {$(
        impl Encode for $type {
            fn encode(&self, writer: &mut Writer<'_>) {
                writer.uint((*self).into());
            }
        }
    )*};
}

encode_unsigned!(u16, u32, u64);

impl Encode for bool {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.bool(*self);
    }
}

impl Encode for String {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.str(self);
    }
}

impl Encode for Bytes {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.bin(self);
    }
}

impl Encode for Chain {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.bin(&self.0);
    }
}

impl Encode for Actor {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.uint(self.0);
    }
}

impl Encode for Code {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.uint(self.number().into());
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, writer: &mut Writer<'_>) {
        match self {
            Some(value) => value.encode(writer),
            None => writer.nil(),
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.array(self.len());
        for value in self {
            value.encode(writer);
        }
    }
}

impl Encode for OrderedMap<String, u64> {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.map(self.len());
        for (name, value) in self {
            writer.str(name);
            writer.uint(*value);
        }
    }
}

impl Encode for VersionVector {
    fn encode(&self, writer: &mut Writer<'_>) {
        writer.array(2 * self.dots.len());
        for (actor, counter) in &self.dots {
            writer.uint(actor.0);
            writer.uint(*counter);
        }
    }
}
