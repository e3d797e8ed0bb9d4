//! Deltas as the JSON that Quill speaks: an array of steps, or an object that has it as `ops`.

use std::fmt::Write as _;

use super::Attributes;
use crate::change::TextDelta;
use crate::ordered::OrderedMap;
use crate::value::Value;

/// Nesting that a reader follows.
const MAX_DEPTH: usize = 32;

/// Why bytes are not a delta.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[error("byte {at}: {problem}")]
pub struct JsonError {
    /// Where.
    pub at: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// A delta as JSON, an array. Bytes, and numbers that JSON has not, become null.
pub fn write(delta: &[TextDelta]) -> String {
    let mut out = String::from("[");
    for (index, step) in delta.iter().enumerate() {
        out.push_str(if index == 0 { "{" } else { ",{" });
        let attributes = match step {
            TextDelta::Insert(text, attributes) => {
                out.push_str("\"insert\":");
                string(text, &mut out);
                Some(attributes)
            }
            TextDelta::Retain(length, attributes) => {
                // Writing to a string does not fail.
                let _ = write!(out, "\"retain\":{length}");
                Some(attributes)
            }
            TextDelta::Delete(length) => {
                let _ = write!(out, "\"delete\":{length}");
                None
            }
        };
        if let Some(attributes) = attributes.filter(|attributes| !attributes.is_empty()) {
            out.push_str(",\"attributes\":{");
            for (index, (key, value)) in attributes.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                string(key, &mut out);
                out.push(':');
                write_value(value, &mut out);
            }
            out.push('}');
        }
        out.push('}');
    }
    out.push(']');
    out
}

fn write_value(value: &Value, out: &mut String) {
    let _ = match value {
        Value::Bool(flag) => write!(out, "{flag}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Float(number) if number.is_finite() => write!(out, "{number:?}"),
        Value::String(text) => {
            string(text, out);
            Ok(())
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                write_value(item, out);
            }
            out.push_str(if items.is_empty() { "[]" } else { "]" });
            Ok(())
        }
        Value::Map(entries) => {
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                string(key, out);
                out.push(':');
                write_value(item, out);
            }
            out.push_str(if entries.is_empty() { "{}" } else { "}" });
            Ok(())
        }
        _ => write!(out, "null"),
    };
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Also what would end a line or a script where JSON is put into a page.
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' | '<' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

/// Reads a delta. What its steps have beside what is known is passed over; an insert that is not text is an error, and
/// so is what is nested deeper than 32.
///
/// # Errors
/// See [`JsonError`].
pub fn read(json: &str) -> Result<Vec<TextDelta>, JsonError> {
    let mut reader = Reader { text: json, at: 0 };
    let mut delta = Vec::new();
    if reader.next_is(b'{') {
        let mut found = false;
        reader.object(|reader, key| {
            if key != "ops" {
                return reader.value(MAX_DEPTH).map(drop);
            }
            found = true;
            delta.clear();
            reader.expect(b'[', "ops are an array")?;
            reader.steps(&mut delta)
        })?;
        if !found {
            return Err(reader.error("an object without ops"));
        }
    } else {
        reader.expect(b'[', "a delta is an array")?;
        reader.steps(&mut delta)?;
    }
    reader.space();
    if reader.at == json.len() { Ok(delta) } else { Err(reader.error("something follows the end")) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, problem: &'static str) -> JsonError {
        JsonError { at: self.at, problem }
    }

    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    /// Passes over a byte if it is the next one.
    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), JsonError> {
        if self.next_is(byte) { Ok(()) } else { Err(self.error(problem)) }
    }

    /// The entries of an object whose brace was read.
    fn object(&mut self, mut entry: impl FnMut(&mut Self, String) -> Result<(), JsonError>) -> Result<(), JsonError> {
        if self.next_is(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "a colon follows a key")?;
            entry(self, key)?;
            if self.next_is(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma or the end of the object")?;
        }
    }

    fn steps(&mut self, delta: &mut Vec<TextDelta>) -> Result<(), JsonError> {
        if self.next_is(b']') {
            return Ok(());
        }
        loop {
            delta.push(self.step()?);
            if self.next_is(b']') {
                return Ok(());
            }
            self.expect(b',', "a comma or the end of the array")?;
        }
    }

    fn step(&mut self) -> Result<TextDelta, JsonError> {
        self.expect(b'{', "a step is an object")?;
        let (mut step, mut attributes) = (None, Attributes::new());
        self.object(|reader, key| {
            let what = match &*key {
                "attributes" => return reader.attributes(&mut attributes),
                "insert" => TextDelta::insert(reader.string()?),
                "retain" => TextDelta::retain(reader.length()?),
                "delete" => TextDelta::Delete(reader.length()?),
                _ => return reader.value(MAX_DEPTH).map(drop),
            };
            if step.replace(what).is_some() {
                return Err(reader.error("a step does one thing"));
            }
            Ok(())
        })?;
        match step {
            Some(TextDelta::Insert(text, _)) => Ok(TextDelta::Insert(text, attributes)),
            Some(TextDelta::Retain(length, _)) => Ok(TextDelta::Retain(length, attributes)),
            Some(step) => Ok(step),
            None => Err(self.error("a step inserts, retains or deletes")),
        }
    }

    fn attributes(&mut self, attributes: &mut Attributes) -> Result<(), JsonError> {
        if self.keyword("null") {
            return Ok(());
        }
        self.expect(b'{', "attributes are an object")?;
        self.object(|reader, key| {
            let value = reader.value(MAX_DEPTH)?;
            attributes.insert(key, value);
            Ok(())
        })
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let is_next = self.text[self.at..].starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        let depth = depth.checked_sub(1).ok_or(self.error("nested too deep"))?;
        self.space();
        match self.text.as_bytes().get(self.at) {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => {
                self.at += 1;
                let mut entries = OrderedMap::new();
                self.object(|reader, key| {
                    entries.insert(key, reader.value(depth)?);
                    Ok(())
                })?;
                Ok(Value::Map(entries))
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                if self.next_is(b']') {
                    return Ok(Value::Array(items));
                }
                loop {
                    items.push(self.value(depth)?);
                    if self.next_is(b']') {
                        return Ok(Value::Array(items));
                    }
                    self.expect(b',', "a comma or the end of the array")?;
                }
            }
            _ if self.keyword("null") => Ok(Value::Null),
            _ if self.keyword("true") => Ok(Value::Bool(true)),
            _ if self.keyword("false") => Ok(Value::Bool(false)),
            _ => {
                let number = self.number()?;
                let float = number.parse::<f64>().ok().filter(|float| float.is_finite());
                let value = number.parse::<i64>().map(Value::Int).ok().or_else(|| float.map(Value::Float));
                value.ok_or(self.error("a number is out of range"))
            }
        }
    }

    fn number(&mut self) -> Result<&str, JsonError> {
        self.space();
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.bytes().take_while(is_part).count();
        let is_number = rest.starts_with(|first: char| first.is_ascii_digit() || first == '-') && length > 0;
        if !is_number {
            return Err(self.error("a value was expected"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn length(&mut self) -> Result<usize, JsonError> {
        let length = self.number()?.parse().ok();
        length.ok_or(self.error("a length is a whole number"))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.expect(b'"', "a string was expected")?;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\']).ok_or(self.error("a string does not end"))?;
            if rest[..plain].bytes().any(|byte| byte < 0x20) {
                return Err(self.error("a control character in a string"));
            }
            out.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(out);
            }
            out.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let kind = *self.text.as_bytes().get(self.at).ok_or(self.error("a string does not end"))?;
        self.at += 1;
        Ok(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let code = match unit {
                    0xd800..=0xdbff if self.text[self.at..].starts_with("\\u") => {
                        self.at += 2;
                        let low = self.unit()?;
                        let low = low.checked_sub(0xdc00).filter(|&low| low < 0x400);
                        0x10000 + ((unit - 0xd800) << 10) + low.ok_or(self.error("half a surrogate pair"))?
                    }
                    _ => unit,
                };
                char::from_u32(code).ok_or(self.error("half a surrogate pair"))?
            }
            _ => {
                self.at -= 1;
                return Err(self.error("an unknown escape"));
            }
        })
    }

    fn unit(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.ok_or(self.error("four hexadecimal digits follow \\u"))?;
        let unit = digits.iter().fold(0, |unit, &digit| unit << 4 | char::from(digit).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(unit)
    }
}
