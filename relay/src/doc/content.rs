//! A document as text, Markdown, HTML, JSON or a snapshot; and what is brought in, from the same.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use inkwire_document::formatting::{html, json as delta_json, markdown};
use inkwire_document::{Change, Delta, Document, EditError, HybridTime, ListDelta, Snapshot, TextDelta, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

/// How a document is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The characters of one text.
    Text,
    /// One text with its formatting, as far as Markdown has it.
    Markdown,
    /// One text with its formatting.
    Html,
    /// All containers: texts as deltas, maps, lists, sets, counters.
    Json,
    /// All there is, byte for byte as it is stored: for backups, and for bringing it in again.
    Snapshot,
}

/// Which text of a document is meant: the one that is named, or the only one.
fn text_name<'d>(document: &'d Document, wanted: Option<&'d str>) -> Result<Option<&'d str>, String> {
    if let Some(name) = wanted {
        return if document.text_names().any(|known| known == name) {
            Ok(Some(name))
        } else {
            Err(format!("there is no text {name:?}: {}", names(document)))
        };
    }
    let mut texts = document.text_names();
    match (texts.next(), texts.next()) {
        (None, _) => Ok(None),
        (Some(name), None) => Ok(Some(name)),
        _ => Err(format!("there are several texts, choose one with --text, or --format json: {}", names(document))),
    }
}

fn names(document: &Document) -> String {
    let names: Vec<&str> = document.text_names().collect();
    if names.is_empty() { "the document has no text".to_owned() } else { format!("it has {}", names.join(", ")) }
}

/// Writes a document, or one text of it where the format holds no more.
///
/// # Errors
/// In words, when it is not clear which text is meant.
pub fn write(document: &Document, format: Format, text: Option<&str>) -> Result<Vec<u8>, String> {
    let delta = |name: Option<&str>| name.map(|name| document.text(name).to_delta()).unwrap_or_default();
    Ok(match format {
        Format::Text => {
            text_name(document, text)?.map(|name| document.text(name).to_string()).unwrap_or_default().into()
        }
        Format::Markdown => markdown::write(&delta(text_name(document, text)?)).into(),
        Format::Html => html::write(&delta(text_name(document, text)?)).into(),
        Format::Json => serde_json::to_vec_pretty(&everything(document)).map_err(|error| error.to_string())?,
        Format::Snapshot => document.snapshot().into(),
    })
}

fn everything(document: &Document) -> serde_json::Value {
    let texts: Map<String, _> =
        document.text_names().map(|name| (name.to_owned(), delta(&document.text(name).to_delta()))).collect();
    let maps: Map<String, _> = document
        .map_names()
        .map(|name| {
            let entries = document.map_entries(name).map(|(key, entry)| (key.to_owned(), value(entry)));
            (name.to_owned(), entries.collect::<Map<_, _>>().into())
        })
        .collect();
    let lists: Map<String, _> = document
        .list_names()
        .map(|name| (name.to_owned(), document.list_values(name, 0).map(value).collect::<Vec<_>>().into()))
        .collect();
    let sets: Map<String, _> = document
        .set_names()
        .map(|name| {
            (name.to_owned(), document.set_members(name).map(|member| value(&member)).collect::<Vec<_>>().into())
        })
        .collect();
    let counters: Map<String, _> =
        document.counter_names().map(|name| (name.to_owned(), document.counter_value(name).into())).collect();
    json!({ "texts": texts, "maps": maps, "lists": lists, "sets": sets, "counters": counters })
}

fn delta(steps: &[TextDelta]) -> serde_json::Value {
    serde_json::from_str(&delta_json::write(steps)).unwrap_or_default()
}

/// What JSON has no word for is an object with one key: bytes `{"$bytes": base64}`, and numbers that are none null.
fn value(of: &Value) -> serde_json::Value {
    match of {
        Value::Null => serde_json::Value::Null,
        Value::Bool(is) => (*is).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Bytes(bytes) => json!({ "$bytes": STANDARD.encode(bytes) }),
        Value::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
        Value::Map(entries) => {
            entries.iter().map(|(key, entry)| (key.clone(), value(entry))).collect::<Map<_, _>>().into()
        }
    }
}

fn value_of(json: serde_json::Value) -> Result<Value, String> {
    use serde_json::Value as Json;
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(is),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(text),
        Json::Array(items) => Value::Array(items.into_iter().map(value_of).collect::<Result<_, _>>()?),
        Json::Object(entries) => match (entries.len(), entries.get("$bytes").and_then(Json::as_str)) {
            (1, Some(bytes)) => Value::Bytes(STANDARD.decode(bytes).map_err(|error| error.to_string())?.into()),
            _ => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, entry)| Ok((key, value_of(entry)?)))
                    .collect::<Result<Vec<_>, String>>()?
                    .into_iter()
                    .collect(),
            ),
        },
    })
}

/// Changes of roots as JSON.
pub fn changes(changes: &[Change]) -> serde_json::Value {
    let entries = changes.iter().map(|Change { root, delta: change, .. }| match change {
        Delta::Text(steps) => json!({ "text": root, "delta": delta(steps) }),
        Delta::Map { key, value: now } => {
            json!({ "map": root, "key": key, "value": now.as_ref().map(value), "removed": now.is_none() })
        }
        Delta::List(steps) => {
            let steps = steps.iter().map(|step| match step {
                ListDelta::Retain(count) => json!({ "retain": count }),
                ListDelta::Insert(values) => json!({ "insert": values.iter().map(value).collect::<Vec<_>>() }),
                ListDelta::Delete(count) => json!({ "delete": count }),
            });
            json!({ "list": root, "delta": steps.collect::<Vec<_>>() })
        }
        Delta::Set { member, is_in } => json!({ "set": root, "member": value(member), "is_in": is_in }),
        Delta::Counter { value } => json!({ "counter": root, "value": value }),
        other => json!({ "root": root, "change": format!("{other:?}") }),
    });
    entries.collect::<Vec<_>>().into()
}

/// What is brought into a document.
#[derive(Debug)]
pub enum Content {
    /// One text.
    Text {
        /// Which; the only one there is, or `body`, without.
        name: Option<String>,
        /// What it shows afterwards.
        delta: Vec<TextDelta>,
    },
    /// All containers.
    Everything(Everything),
    /// A state: of the same document, so that what both have is known to be the same, or of another.
    State(Box<Document>),
}

/// All containers, as [`Format::Json`] writes them. What is not named stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Everything {
    #[serde(default)]
    texts: Map<String, serde_json::Value>,
    #[serde(default)]
    maps: Map<String, serde_json::Value>,
    #[serde(default)]
    lists: Map<String, serde_json::Value>,
    #[serde(default)]
    sets: Map<String, serde_json::Value>,
    #[serde(default)]
    counters: Map<String, serde_json::Value>,
}

/// Reads what is to be brought in.
///
/// # Errors
/// In words, when it is not of the format.
pub fn read(bytes: Vec<u8>, format: Format, text: Option<&str>) -> Result<Content, String> {
    let name = text.map(str::to_owned);
    if format == Format::Snapshot {
        let snapshot = Snapshot::parse(Bytes::from(bytes)).map_err(|error| format!("it is no snapshot: {error}"))?;
        let mut document = Document::new();
        document.merge(&snapshot).map_err(|error| format!("it is no whole snapshot: {error}"))?;
        return Ok(Content::State(Box::new(document)));
    }
    let read = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(match format {
        Format::Text => {
            let line_end = if read.ends_with('\n') { "" } else { "\n" };
            Content::Text { name, delta: vec![TextDelta::insert(read + line_end)] }
        }
        Format::Markdown => Content::Text { name, delta: markdown::read(&read).map_err(|error| error.to_string())? },
        Format::Html => Content::Text { name, delta: html::read(&read).map_err(|error| error.to_string())? },
        _ => Content::Everything(serde_json::from_str(&read).map_err(|error| error.to_string())?),
    })
}

impl Content {
    /// Edits `document` so that it shows this, and leaves alone what is the same already.
    ///
    /// # Errors
    /// In words.
    pub fn put(self, document: &mut Document, now: HybridTime) -> Result<(), String> {
        match self {
            Self::Text { name, delta } => {
                let known = text_name(document, None);
                let name = match (name, known) {
                    (Some(name), _) => name,
                    (None, Ok(known)) => known.unwrap_or("body").to_owned(),
                    (None, Err(error)) => return Err(error),
                };
                put_text(document, &name, &delta, now).map_err(|error| error.to_string())
            }
            Self::Everything(everything) => everything.put(document, now),
            Self::State(state) => put_state(document, &state, now),
        }
    }
}

/// Edits what differs between the two, from its first to its last character.
fn put_text(document: &mut Document, name: &str, delta: &[TextDelta], now: HybridTime) -> Result<(), EditError> {
    let before = document.text(name).to_delta();
    if before == delta {
        return Ok(());
    }
    let plain = |steps: &[TextDelta]| {
        let mut all = String::new();
        for step in steps {
            match step {
                TextDelta::Insert(text, attributes) if attributes.is_empty() => all.push_str(text),
                _ => return None,
            }
        }
        Some(all)
    };
    // Formatting is compared as a whole: then all of the text is new.
    let (Some(old), Some(new)) = (plain(&before), plain(delta)) else {
        return document.set_contents(name, delta, now);
    };
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(old, new)| old == new).count();
    let inserted: String = new[start..new.len() - end].iter().collect();
    let steps = [TextDelta::retain(start), TextDelta::insert(inserted), TextDelta::Delete(old.len() - start - end)];
    let steps: Vec<TextDelta> = steps
        .into_iter()
        .filter(|step| match step {
            TextDelta::Insert(text, _) => !text.is_empty(),
            TextDelta::Retain(count, _) | TextDelta::Delete(count) => *count > 0,
        })
        .collect();
    document.apply_delta(name, &steps, inkwire_document::Unit::Scalar, now)
}

fn put_list(document: &mut Document, name: &str, values: Vec<Value>) -> Result<(), EditError> {
    let old: Vec<Value> = document.list_values(name, 0).cloned().collect();
    let start = old.iter().zip(&values).take_while(|(old, new)| old == new).count();
    let end = old[start..].iter().rev().zip(values[start..].iter().rev()).take_while(|(old, new)| old == new).count();
    let gone = old.len() - start - end;
    if gone > 0 {
        document.list_delete(name, start, gone)?;
    }
    let new = values[start..values.len() - end].to_vec();
    if new.is_empty() { Ok(()) } else { document.list_insert(name, start, new) }
}

fn put_map(
    document: &mut Document,
    name: &str,
    entries: Vec<(String, Value)>,
    now: HybridTime,
) -> Result<(), EditError> {
    let old: Vec<String> = document.map_entries(name).map(|(key, _)| key.to_owned()).collect();
    for key in old.into_iter().filter(|key| !entries.iter().any(|(kept, _)| kept == key)) {
        document.map_delete(name, &key, now)?;
    }
    for (key, value) in entries {
        if document.map_get(name, &key) != Some(&value) {
            document.map_set(name, &key, value, now)?;
        }
    }
    Ok(())
}

fn put_set(document: &mut Document, name: &str, members: &[Value]) -> Result<(), EditError> {
    let old: Vec<Value> = document.set_members(name).collect();
    for member in old.iter().filter(|member| !members.contains(member)) {
        document.set_remove(name, member)?;
    }
    for member in members.iter().filter(|member| !old.contains(member)) {
        document.set_add(name, member)?;
    }
    Ok(())
}

fn put_counter(document: &mut Document, name: &str, value: i64) -> Result<(), EditError> {
    let amount = value.wrapping_sub(document.counter_value(name));
    if amount == 0 { Ok(()) } else { document.counter_add(name, amount) }
}

impl Everything {
    fn put(self, document: &mut Document, now: HybridTime) -> Result<(), String> {
        let words = |error: EditError| error.to_string();
        for (name, steps) in self.texts {
            let delta = delta_json::read(&steps.to_string()).map_err(|error| format!("text {name:?}: {error}"))?;
            put_text(document, &name, &delta, now).map_err(words)?;
        }
        for (name, entries) in self.maps {
            let serde_json::Value::Object(entries) = entries else { return Err(format!("map {name:?} is no object")) };
            let entries = entries.into_iter().map(|(key, entry)| Ok((key, value_of(entry)?)));
            put_map(document, &name, entries.collect::<Result<_, String>>()?, now).map_err(words)?;
        }
        let array = |what: &str, name: &str, values: serde_json::Value| match values {
            serde_json::Value::Array(values) => values.into_iter().map(value_of).collect::<Result<Vec<_>, _>>(),
            _ => Err(format!("{what} {name:?} is no array")),
        };
        for (name, values) in self.lists {
            put_list(document, &name, array("list", &name, values)?).map_err(words)?;
        }
        for (name, values) in self.sets {
            put_set(document, &name, &array("set", &name, values)?).map_err(words)?;
        }
        for (name, value) in self.counters {
            let value = value.as_i64().ok_or_else(|| format!("counter {name:?} is no whole number"))?;
            put_counter(document, &name, value).map_err(words)?;
        }
        Ok(())
    }
}

/// Makes `document` show what `state` shows, whether they have anything in common or not.
fn put_state(document: &mut Document, state: &Document, now: HybridTime) -> Result<(), String> {
    let words = |error: EditError| error.to_string();
    let version = state.version();
    // Another document's actors are others: then nothing is the same but by chance.
    if version.dots.iter().all(|(actor, counter)| document.version().get(actor) >= *counter) {
        return document.restore(state, now).map_err(|error| error.to_string());
    }
    let both = |of: fn(&Document) -> Vec<String>| {
        let mut names = of(document);
        names.extend(of(state));
        names.sort_unstable();
        names.dedup();
        names
    };
    let texts = both(|of| of.text_names().map(str::to_owned).collect());
    let maps = both(|of| of.map_names().map(str::to_owned).collect());
    let lists = both(|of| of.list_names().map(str::to_owned).collect());
    let sets = both(|of| of.set_names().map(str::to_owned).collect());
    let counters = both(|of| of.counter_names().map(str::to_owned).collect());
    for name in texts {
        put_text(document, &name, &state.text(&name).to_delta(), now).map_err(words)?;
    }
    for name in maps {
        let entries = state.map_entries(&name).map(|(key, value)| (key.to_owned(), value.clone())).collect();
        put_map(document, &name, entries, now).map_err(words)?;
    }
    for name in lists {
        put_list(document, &name, state.list_values(&name, 0).cloned().collect()).map_err(words)?;
    }
    for name in sets {
        put_set(document, &name, &state.set_members(&name).collect::<Vec<_>>()).map_err(words)?;
    }
    for name in counters {
        put_counter(document, &name, state.counter_value(&name)).map_err(words)?;
    }
    Ok(())
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as clap::ValueEnum>::from_str(text, false)
    }
}

#[cfg(test)]
mod tests {
    use inkwire_document::{Actor, Position};

    use super::*;

    fn filled(actor: u64) -> Document {
        let now = HybridTime::from_millis(5);
        let mut document = Document::new();
        document.set_actor(Actor(actor), 1);
        document.insert("body", Position::Scalar(0), "One\ntwo").unwrap();
        document.mark("body", Position::Scalar(4), 3, "bold", Value::Bool(true), now).unwrap();
        document.map_set("meta", "title", Value::String("Plan".to_owned()), now).unwrap();
        document.map_set("meta", "raw", Value::Bytes(Bytes::from_static(b"\0\xff")), now).unwrap();
        document.list_insert("todo", 0, vec![Value::Int(1), Value::Float(0.5), Value::Null]).unwrap();
        document.set_add("tags", &Value::String("new".to_owned())).unwrap();
        document.counter_add("votes", -3).unwrap();
        document
    }

    #[test]
    fn every_format_brings_back_what_it_holds() {
        let source = filled(1);
        let all = everything(&source);
        for format in [Format::Json, Format::Snapshot, Format::Html, Format::Markdown, Format::Text] {
            let written = write(&source, format, None).unwrap();
            for mut target in [filled(2), Document::new()] {
                target.set_actor(Actor(3), 1);
                target.insert("body", Position::Scalar(0), "else ").unwrap();
                target.map_set("meta", "more", Value::Int(1), HybridTime::from_millis(9)).unwrap();
                target.counter_add("votes", 10).unwrap();
                let content = read(written.clone(), format, None).unwrap();
                content.put(&mut target, HybridTime::from_millis(10)).unwrap();
                match format {
                    Format::Json | Format::Snapshot => assert_eq!(everything(&target), all, "{format:?}"),
                    Format::Text => assert_eq!(target.text("body").to_string(), "One\ntwo", "{format:?}"),
                    _ => assert_eq!(everything(&target)["texts"], all["texts"], "{format:?}"),
                }
            }
        }
    }

    #[test]
    fn only_what_differs_is_edited() {
        let mut target = filled(1);
        target.take_batches();
        target.set_actor(Actor(9), 1);
        let same = write(&target, Format::Json, None).unwrap();
        read(same, Format::Json, None).unwrap().put(&mut target, HybridTime::from_millis(9)).unwrap();
        assert_eq!(target.take_batches(), []);
        let mut plain = Document::new();
        plain.set_actor(Actor(1), 1);
        plain.insert("notes", Position::Scalar(0), "one two three").unwrap();
        let mark = plain.anchor("notes", Position::Scalar(10)).unwrap();
        let content = read(b"one 2 three".to_vec(), Format::Text, None).unwrap();
        content.put(&mut plain, HybridTime::from_millis(9)).unwrap();
        assert_eq!(plain.text("notes").to_string(), "one 2 three");
        assert_eq!(plain.anchored("notes", mark, inkwire_document::Unit::Scalar), Some(8));
    }

    #[test]
    fn what_is_unclear_or_wrong_is_said() {
        let mut document = filled(1);
        document.insert("notes", Position::Scalar(0), "x").unwrap();
        assert!(write(&document, Format::Text, None).unwrap_err().contains("body, notes"));
        assert_eq!(write(&document, Format::Text, Some("notes")).unwrap(), b"x");
        assert!(write(&document, Format::Html, Some("none")).unwrap_err().contains("no text"));
        for (bytes, format) in [
            (&b"\xff"[..], Format::Text),
            (b"{\"other\":{}}", Format::Json),
            (b"{\"counters\":{\"a\":\"b\"}}", Format::Json),
            (b"nothing", Format::Snapshot),
        ] {
            let mut target = Document::new();
            target.set_actor(Actor(1), 1);
            let outcome = read(bytes.to_vec(), format, None)
                .and_then(|content| content.put(&mut target, HybridTime::from_millis(1)));
            assert!(outcome.is_err(), "{format:?}");
        }
    }
}
