//! Texts and maps: edits, reads, and what changed.

use inkwire_document::{Change, Delta, Document, EditError, HybridTime, Origin, Position, TextDelta, Value};
use inkwire_protocol::client::DocumentId;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::anchor;
use crate::core::{Core, moment};
use crate::refusal::{Refused, refusal};

/// Whole numbers up to here are the same in JavaScript as in an integer.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

#[wasm_bindgen]
impl Core {
    /// Inserts into a text at a UTF-16 position.
    pub fn text_insert(&mut self, now: f64, document: u32, name: &str, at: u32, text: &str) -> Result<(), JsValue> {
        self.edit(now, document, |content, _| content.insert(name, Position::Utf16(at as usize), text))
    }

    /// Deletes `count` UTF-16 units of a text.
    pub fn text_delete(&mut self, now: f64, document: u32, name: &str, at: u32, count: u32) -> Result<(), JsValue> {
        self.edit(now, document, |content, _| content.delete(name, Position::Utf16(at as usize), count as usize))
    }

    /// A text's length in UTF-16 units.
    pub fn text_length(&self, document: u32, name: &str) -> u32 {
        self.replica(document).map_or(0, |replica| replica.document().text(name).len_utf16() as u32)
    }

    /// The whole of a text.
    pub fn text_string(&self, document: u32, name: &str) -> String {
        self.replica(document).map_or_else(String::new, |replica| replica.document().text(name).to_string())
    }

    /// A UTF-16 position as a string that stays with the character before it, or else with the one after it.
    pub fn text_anchor(&self, document: u32, name: &str, at: u32, before: bool) -> Result<String, JsValue> {
        let made = self.replica(document).map(|replica| anchor::make(replica.document(), name, at as usize, before));
        made.unwrap_or(Ok(String::new())).map_err(|error| Refused::from(error).into())
    }

    /// Where an anchor is now, in UTF-16 units; nothing where what it refers to has not come yet.
    pub fn text_position(&self, document: u32, name: &str, anchor: &str) -> Option<u32> {
        anchor::find(self.replica(document)?.document(), name, anchor).map(|position| position as u32)
    }

    /// A key's value, `undefined` where there is none.
    pub fn map_get(&self, document: u32, name: &str, key: &str) -> JsValue {
        let value = self.replica(document).and_then(|replica| replica.document().map_get(name, key));
        value.map_or(JsValue::UNDEFINED, to_js)
    }

    /// Sets a key to null, a boolean, a number, a string or bytes.
    pub fn map_set(&mut self, now: f64, document: u32, name: &str, key: &str, value: JsValue) -> Result<(), JsValue> {
        let value = from_js(&value).ok_or_else(|| refusal("bad_value", &"a map cannot hold this value"))?;
        self.edit(now, document, |content, time| content.map_set(name, key, value, time))
    }

    /// Removes a key.
    pub fn map_delete(&mut self, now: f64, document: u32, name: &str, key: &str) -> Result<(), JsValue> {
        self.edit(now, document, |content, time| content.map_delete(name, key, time))
    }

    /// A map's entries, flat: key and value of each.
    pub fn map_entries(&self, document: u32, name: &str) -> Array {
        let flat = Array::new();
        let Some(replica) = self.replica(document) else { return flat };
        for (key, value) in replica.document().map_entries(name) {
            flat.push(&JsValue::from_str(key));
            flat.push(&to_js(value));
        }
        flat
    }

    /// Collects changes from now on.
    pub fn observe_changes(&mut self, document: u32) {
        self.client.observe_changes(DocumentId(document), true);
    }

    /// The changes since the last call, flat. For a text: its name, whether the change is local, the number of steps, and the
    /// steps (a string is inserted, so many units are kept, or deleted where negative). For a map: its name, whether local, the
    /// key as a string, and the value, `undefined` where it was removed.
    pub fn take_changes(&mut self, document: u32) -> Array {
        let flat = Array::new();
        for Change { root, origin, delta } in self.client.take_changes(DocumentId(document)) {
            flat.push(&JsValue::from_str(&root));
            flat.push(&JsValue::from_bool(origin == Origin::Local));
            match delta {
                Delta::Text(steps) => {
                    flat.push(&JsValue::from_f64(steps.len() as f64));
                    for step in steps {
                        flat.push(&match step {
                            TextDelta::Retain(count, _) => JsValue::from_f64(count as f64),
                            TextDelta::Insert(text, _) => JsValue::from_str(&text),
                            TextDelta::Delete(count) => JsValue::from_f64(-(count as f64)),
                        });
                    }
                }
                Delta::Map { key, value } => {
                    flat.push(&JsValue::from_str(&key));
                    flat.push(&value.as_ref().map_or(JsValue::UNDEFINED, to_js));
                }
                // A container of a later version, that this shell has no view of: a text without steps.
                _ => {
                    flat.push(&JsValue::from_f64(0.0));
                }
            }
        }
        flat
    }
}

impl Core {
    fn edit(
        &mut self,
        now: f64,
        document: u32,
        edit: impl FnOnce(&mut Document, HybridTime) -> Result<(), EditError>,
    ) -> Result<(), JsValue> {
        self.client.edit(moment(now), DocumentId(document), edit).map_err(|error| Refused::from(error).into())
    }
}

fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(flag) => JsValue::from_bool(*flag),
        Value::Int(number) => JsValue::from_f64(*number as f64),
        Value::Float(number) => JsValue::from_f64(*number),
        Value::String(text) => JsValue::from_str(text),
        Value::Bytes(bytes) => Uint8Array::from(&bytes[..]).into(),
        Value::Array(items) => items.iter().map(to_js).collect::<Array>().into(),
        Value::Map(entries) => {
            let object = js_sys::Object::new();
            for (key, value) in entries {
                // A plain object takes any property.
                let _ = js_sys::Reflect::set(&object, &JsValue::from_str(key), &to_js(value));
            }
            object.into()
        }
    }
}

fn from_js(value: &JsValue) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Null);
    }
    if let Some(flag) = value.as_bool() {
        return Some(Value::Bool(flag));
    }
    if let Some(number) = value.as_f64() {
        let whole = number.trunc() == number
            && number.abs() <= MAX_SAFE_INTEGER
            && !(number == 0.0 && number.is_sign_negative());
        return Some(if whole { Value::Int(number as i64) } else { Value::Float(number) });
    }
    if let Some(text) = value.as_string() {
        return Some(Value::String(text));
    }
    value.dyn_ref::<Uint8Array>().map(|bytes| Value::Bytes(bytes.to_vec().into()))
}
