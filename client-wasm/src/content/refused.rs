//! What was refused, on its way to JavaScript.

use inkwire_protocol::replica::{RefusedContent, RefusedEdit};
use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::values::{array, to_js};
use crate::core::Core;

#[wasm_bindgen]
impl Core {
    /// What the event's refused edits were, once, flat: how many parts were left out for want of room, then for each part its
    /// kind, the container's name, and two that depend on the kind:
    ///
    /// - 0, something of a later version
    /// - 1, text was inserted: the text
    /// - 2, something was deleted: how many
    /// - 3, a map's key was set: the key, and the value, undefined where it was removed
    /// - 4, values were inserted into a list: their array
    /// - 5, members were added to a set: their array
    /// - 6, a counter was added to: the amount
    /// - 7, text was formatted: the format, and its value, null where it was taken away
    pub fn event_refused(&mut self) -> Array {
        let (content, omitted) = std::mem::take(&mut self.incident.refused);
        let flat = Array::of1(&JsValue::from_f64(omitted as f64));
        for RefusedEdit { root, what } in content {
            let (kind, first, second) = flatten(what);
            flat.push(&JsValue::from_f64(f64::from(kind)));
            flat.push(&JsValue::from_str(&root));
            flat.push(&first);
            flat.push(&second);
        }
        flat
    }
}

fn flatten(what: RefusedContent) -> (u8, JsValue, JsValue) {
    let none = JsValue::UNDEFINED;
    match what {
        RefusedContent::Text(text) => (1, JsValue::from_str(&text), none),
        RefusedContent::Deleted(count) => (2, JsValue::from_f64(count as f64), none),
        RefusedContent::Set { key, value } => (3, JsValue::from_str(&key), value.as_ref().map_or(none, to_js)),
        RefusedContent::Values(values) => (4, array(values.iter()).into(), none),
        RefusedContent::Members(members) => (5, array(members.iter()).into(), none),
        RefusedContent::Amount(amount) => (6, JsValue::from_f64(amount as f64), none),
        RefusedContent::Formatted { key, value } => (7, JsValue::from_str(&key), to_js(&value)),
        _ => (0, none.clone(), none),
    }
}
