//! What a map holds under a key.

use bytes::Bytes;

use crate::messagepack::{Malformed, Reader, Token, Writer};

/// A map's value.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Value {
    /// Nothing, but present.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Bytes),
}

impl Value {
    /// Bytes of the value as MessagePack, at most.
    pub(crate) fn encoded_len_bound(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 1,
            Value::Int(_) | Value::Float(_) => 9,
            Value::String(text) => text.len() + 5,
            Value::Bytes(bytes) => bytes.len() + 5,
        }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        match self {
            Value::Null => out.nil(),
            Value::Bool(flag) => out.bool(*flag),
            Value::Int(number) => out.int(*number),
            Value::Float(number) => out.float(*number),
            Value::String(text) => out.str(text),
            Value::Bytes(bytes) => out.bin(bytes),
        }
    }

    /// Reads one value. Whole numbers above `i64::MAX` become floats, as every reader of them must agree on one.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.token()? {
            Token::Nil => Value::Null,
            Token::Bool(flag) => Value::Bool(flag),
            Token::Uint(number) => i64::try_from(number).map_or(Value::Float(number as f64), Value::Int),
            Token::Negative(number) => Value::Int(number),
            Token::Float(number) => Value::Float(number),
            Token::Str(text) => Value::String(text.to_owned()),
            Token::Bin(bytes) => Value::Bytes(Bytes::copy_from_slice(bytes)),
            Token::Array(_) | Token::Map(_) | Token::Extension => return Err(Malformed::Type),
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Float(number)
    }
}
