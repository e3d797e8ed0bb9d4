//! What maps, lists and sets hold.

use bytes::Bytes;

use crate::limits::Limits;
use crate::messagepack::{Malformed, Reader, Token, Writer};
use crate::ordered::OrderedMap;

/// A value of a map, a list or a set.
///
/// Equal values have equal encodings, with which sets tell their members apart: every number in its shortest form, one
/// zero and one NaN, a map's keys in order. A whole number and a float are different values even where they are as large.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Value {
    /// Nothing, but present.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number. Minus zero counts as zero, and every NaN as one.
    Float(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Bytes),
    /// Values in order, within [`Limits::max_value_depth`] and [`Limits::max_value_items`].
    Array(Vec<Value>),
    /// Values by keys, within the same limits.
    Map(OrderedMap<String, Value>),
}

/// Why an encoded value is none that a container may hold.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Unfit {
    Malformed(Malformed),
    /// What of it is over which limit.
    Over(&'static str, usize, usize),
}

impl From<Malformed> for Unfit {
    fn from(problem: Malformed) -> Self {
        Self::Malformed(problem)
    }
}

const DEPTH: &str = "a value's depth";
const ITEMS: &str = "a value's count of items";

/// The one NaN.
const NAN: u64 = 0x7ff8_0000_0000_0000;

/// The float that stands for all that are equal to it.
fn one_form(number: f64) -> f64 {
    if number == 0.0 {
        0.0
    } else if number.is_nan() {
        f64::from_bits(NAN)
    } else {
        number
    }
}

impl Value {
    /// Bytes of the value as MessagePack, at most.
    pub(crate) fn encoded_len_bound(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 1,
            Value::Int(_) | Value::Float(_) => 9,
            Value::String(text) => text.len() + 5,
            Value::Bytes(bytes) => bytes.len() + 5,
            Value::Array(items) => 5 + items.iter().map(Value::encoded_len_bound).sum::<usize>(),
            Value::Map(entries) => {
                5 + entries.iter().map(|(key, value)| key.len() + 5 + value.encoded_len_bound()).sum::<usize>()
            }
        }
    }

    /// What of it is over a limit: what, how much, and the limit.
    pub(crate) fn over(&self, limits: &Limits) -> Option<(&'static str, usize, usize)> {
        let (mut depth, mut items) = (0, 0);
        self.measure(0, &mut depth, &mut items);
        let checks = [
            ("a value", self.encoded_len_bound(), limits.max_value_bytes),
            (DEPTH, depth, limits.max_value_depth),
            (ITEMS, items, limits.max_value_items),
        ];
        checks.into_iter().find(|&(_, size, limit)| size > limit)
    }

    /// Follows no deeper than any limit could allow.
    fn measure(&self, level: usize, depth: &mut usize, items: &mut usize) {
        *depth = level.max(*depth);
        if level > Limits::STANDARD.max_value_depth {
            return;
        }
        match self {
            Value::Array(within) => {
                *items += within.len();
                *depth = (level + 1).max(*depth);
                within.iter().for_each(|value| value.measure(level + 1, depth, items));
            }
            Value::Map(within) => {
                *items += within.len();
                *depth = (level + 1).max(*depth);
                within.values().for_each(|value| value.measure(level + 1, depth, items));
            }
            _ => {}
        }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        match self {
            Value::Null => out.nil(),
            Value::Bool(flag) => out.bool(*flag),
            Value::Int(number) => out.int(*number),
            Value::Float(number) => out.float(one_form(*number)),
            Value::String(text) => out.str(text),
            Value::Bytes(bytes) => out.bin(bytes),
            Value::Array(items) => {
                out.array(items.len());
                items.iter().for_each(|item| item.write(out));
            }
            Value::Map(entries) => {
                out.map(entries.len());
                for (key, value) in entries {
                    out.str(key);
                    value.write(out);
                }
            }
        }
    }

    /// The one encoding of all that equals it.
    pub(crate) fn encoded(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.encoded_len_bound());
        self.write(&mut Writer(&mut bytes));
        Bytes::from(bytes)
    }

    /// Reads one value that [`pass`] let through. Whole numbers above `i64::MAX` become floats, as every reader of them
    /// must agree on one.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::read_at(reader, Limits::STANDARD.max_value_depth)
    }

    fn read_at(reader: &mut Reader<'_>, depth: usize) -> Result<Self, Malformed> {
        Ok(match reader.token()? {
            Token::Nil => Value::Null,
            Token::Bool(flag) => Value::Bool(flag),
            Token::Uint(number) => i64::try_from(number).map_or(Value::Float(number as f64), Value::Int),
            Token::Negative(number) => Value::Int(number),
            Token::Float(number) => Value::Float(one_form(number)),
            Token::Str(text) => Value::String(text.to_owned()),
            Token::Bin(bytes) => Value::Bytes(Bytes::copy_from_slice(bytes)),
            Token::Array(count) => {
                let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
                Value::Array((0..count).map(|_| Self::read_at(reader, depth)).collect::<Result<_, _>>()?)
            }
            Token::Map(count) => {
                let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
                let mut entry = || Ok((reader.str()?.to_owned(), Self::read_at(reader, depth)?));
                Value::Map((0..count).map(|_| entry()).collect::<Result<_, _>>()?)
            }
            Token::Extension => return Err(Malformed::Type),
        })
    }
}

/// Passes over one value, if it is one that a container may hold: within the limits, a map's keys strings in ascending
/// order of their bytes, none twice. Allocates nothing.
pub(crate) fn pass(reader: &mut Reader<'_>, limits: &Limits) -> Result<(), Unfit> {
    let start = reader.position();
    pass_at(reader, limits, 0, &mut 0)?;
    let bytes = reader.position() - start;
    if bytes > limits.max_value_bytes { Err(Unfit::Over("a value", bytes, limits.max_value_bytes)) } else { Ok(()) }
}

fn pass_at(reader: &mut Reader<'_>, limits: &Limits, level: usize, items: &mut usize) -> Result<(), Unfit> {
    let (count, is_map) = match reader.token()? {
        Token::Array(count) => (count as usize, false),
        Token::Map(count) => (count as usize, true),
        Token::Extension => return Err(Unfit::Malformed(Malformed::Type)),
        _ => return Ok(()),
    };
    if level >= limits.max_value_depth {
        return Err(Unfit::Over(DEPTH, level + 1, limits.max_value_depth));
    }
    *items = items.saturating_add(count);
    if *items > limits.max_value_items {
        return Err(Unfit::Over(ITEMS, *items, limits.max_value_items));
    }
    let mut before = None;
    for _ in 0..count {
        if is_map {
            let key = reader.str()?;
            if before.is_some_and(|before: &str| before >= key) {
                return Err(Unfit::Malformed(Malformed::Order));
            }
            before = Some(key);
        }
        pass_at(reader, limits, level + 1, items)?;
    }
    Ok(())
}

/// Passes over one value that is in its one form, as snapshots have them.
/// `short` is for its use.
pub(crate) fn pass_canonical(reader: &mut Reader<'_>, short: &mut Vec<u8>) -> Result<(), Unfit> {
    let mut tokens = *reader;
    pass(reader, &Limits::STANDARD)?;
    while tokens.position() < reader.position() {
        let start = tokens.position();
        let token = tokens.token()?;
        short.clear();
        let mut out = Writer(short);
        match token {
            Token::Uint(number) => match i64::try_from(number) {
                Ok(number) => out.int(number),
                Err(_) => out.float(number as f64),
            },
            Token::Negative(number) => out.int(number),
            Token::Float(number) => out.float(one_form(number)),
            Token::Str(text) => out.str_head(text.len()),
            Token::Bin(bytes) => out.bin_head(bytes.len()),
            Token::Array(count) => out.array(count as usize),
            Token::Map(count) => out.map(count as usize),
            Token::Nil | Token::Bool(_) | Token::Extension => continue,
        }
        if !tokens.since(start).starts_with(short) {
            return Err(Unfit::Malformed(Malformed::Type));
        }
    }
    Ok(())
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
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

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::Array(items)
    }
}

impl From<OrderedMap<String, Value>> for Value {
    fn from(entries: OrderedMap<String, Value>) -> Self {
        Value::Map(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |within, _| Value::Array(vec![within]))
    }

    #[test]
    fn values_and_their_one_encoding() {
        let map = |entries: &[(&str, Value)]| {
            Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
        };
        let cases: [(Value, &[u8]); 9] = [
            (Value::Float(-0.0), b"\xcb\0\0\0\0\0\0\0\0"),
            (Value::Float(0.0), b"\xcb\0\0\0\0\0\0\0\0"),
            (Value::Float(-f64::NAN), b"\xcb\x7f\xf8\0\0\0\0\0\0"),
            (Value::Int(1), b"\x01"),
            (Value::Float(1.0), b"\xcb\x3f\xf0\0\0\0\0\0\0"),
            (Value::Array(vec![]), b"\x90"),
            (Value::Array(vec![Value::Int(-1), Value::from("x")]), b"\x92\xff\xa1x"),
            (map(&[]), b"\x80"),
            (map(&[("b", Value::Bool(true)), ("a", nested(1))]), b"\x82\xa1a\x91\xc0\xa1b\xc3"),
        ];
        for (value, bytes) in cases {
            assert_eq!(value.encoded(), bytes, "{value:?}");
            let (mut passed, mut read) = (Reader::new(bytes), Reader::new(bytes));
            assert_eq!(pass(&mut passed, &Limits::STANDARD), Ok(()), "{value:?}");
            let back = Value::read(&mut read).unwrap();
            assert!(passed.is_empty() && read.is_empty());
            assert_eq!(back.encoded(), bytes);
        }
    }

    #[test]
    fn what_is_no_value() {
        let limits = Limits::STANDARD;
        let long: Vec<u8> = [b"\xdc\x04\x01".as_slice(), &[0xc0; 1025]].concat();
        let wide: Vec<u8> = [b"\x92\xdc\x02\x00".as_slice(), &[0xc0; 512], b"\xdc\x02\x00", &[0xc0; 512]].concat();
        let deep: Vec<u8> = [[0x91; 9].as_slice(), &[0xc0]].concat();
        let cases: [(&[u8], Unfit); 8] = [
            (b"\xd4\0\0", Unfit::Malformed(Malformed::Type)),
            (b"\x81\x01\x01", Unfit::Malformed(Malformed::Type)),
            (b"\x82\xa1b\x01\xa1a\x01", Unfit::Malformed(Malformed::Order)),
            (b"\x82\xa1a\x01\xa1a\x01", Unfit::Malformed(Malformed::Order)),
            (b"\x92\xc0", Unfit::Malformed(Malformed::Truncated)),
            (&long, Unfit::Over(ITEMS, 1025, 1024)),
            (&wide, Unfit::Over(ITEMS, 1026, 1024)),
            (&deep, Unfit::Over(DEPTH, 9, 8)),
        ];
        for (bytes, problem) in cases {
            assert_eq!(pass(&mut Reader::new(bytes), &limits), Err(problem), "{bytes:02x?}");
        }
        assert_eq!(nested(8).over(&limits), None);
        assert_eq!(nested(9).over(&limits), Some((DEPTH, 9, 8)));
        assert_eq!(Value::Array(vec![Value::Null; 1025]).over(&limits), Some((ITEMS, 1025, 1024)));
        // What is far too deep is measured all the same, and costs no more than the limit does.
        assert!(nested(1000).over(&limits).is_some());
    }
}
