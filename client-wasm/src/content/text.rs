//! Texts and their formatting.

use inkwire_document::{Position, TextDelta, Unit};
use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::values::{attributes, attributes_of};
use super::{Core, no_value, value_of};
use crate::anchor;
use crate::refusal::Refused;

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

    /// Lays a mark over `count` UTF-16 units, null takes it away; with `lines` an attribute of the lines that they touch.
    #[expect(clippy::too_many_arguments, reason = "what and where, as flat values")]
    pub fn text_format(
        &mut self,
        now: f64,
        document: u32,
        name: &str,
        at: u32,
        count: u32,
        kind: &str,
        value: JsValue,
        lines: bool,
    ) -> Result<(), JsValue> {
        let (value, at, count) = (value_of(&value)?, Position::Utf16(at as usize), count as usize);
        self.edit(now, document, |content, time| {
            if lines {
                content.set_block(name, at, count, kind, value, time)
            } else {
                content.mark(name, at, count, kind, value, time)
            }
        })
    }

    /// What the character at a UTF-16 position shows, an object; of a line break, and at the text's end, its line.
    pub fn text_attributes(&self, document: u32, name: &str, at: u32) -> JsValue {
        let shown = self
            .replica(document)
            .map(|replica| attributes(&replica.document().text(name).attributes_at(Position::Utf16(at as usize))));
        shown.unwrap_or(JsValue::UNDEFINED)
    }

    /// The text as inserts, flat as [`Core::take_changes`] writes steps.
    pub fn text_delta(&self, document: u32, name: &str) -> Array {
        let flat = Array::new();
        if let Some(replica) = self.replica(document) {
            push_steps(&flat, replica.document().text(name).to_delta());
        }
        flat
    }

    /// Edits a text by steps, flat as [`Core::take_changes`] writes them. With `all` they are inserts that replace the text.
    pub fn text_apply(&mut self, now: f64, document: u32, name: &str, flat: &Array, all: bool) -> Result<(), JsValue> {
        let steps = read_steps(flat).ok_or_else(no_value)?;
        self.edit(now, document, |content, time| {
            if all {
                content.set_contents(name, &steps, time)
            } else {
                content.apply_delta(name, &steps, Unit::Utf16, time)
            }
        })
    }
}

/// Two for each step: a string that is inserted, or so many units that are kept, or deleted where it is below 0; and its
/// attributes, an object or undefined.
pub(super) fn push_steps(flat: &Array, steps: Vec<TextDelta>) {
    for step in steps {
        let (what, shown) = match step {
            TextDelta::Insert(text, shown) => (JsValue::from_str(&text), attributes(&shown)),
            TextDelta::Retain(count, shown) => (JsValue::from_f64(count as f64), attributes(&shown)),
            TextDelta::Delete(count) => (JsValue::from_f64(-(count as f64)), JsValue::UNDEFINED),
        };
        flat.push(&what);
        flat.push(&shown);
    }
}

fn read_steps(flat: &Array) -> Option<Vec<TextDelta>> {
    let mut steps = Vec::new();
    for at in (0..flat.length()).step_by(2) {
        let (what, shown) = (flat.get(at), attributes_of(&flat.get(at + 1))?);
        steps.push(match (what.as_string(), what.as_f64()) {
            (Some(text), _) => TextDelta::Insert(text, shown),
            (_, Some(count)) if count < 0.0 => TextDelta::Delete(-count as usize),
            (_, Some(count)) => TextDelta::Retain(count as usize, shown),
            _ => return None,
        });
    }
    Some(steps)
}
