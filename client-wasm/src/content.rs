//! Containers: edits, reads, and what changed.

mod collections;
mod refused;
mod text;
mod undo;
mod values;

use inkwire_document::{Change, Delta, Document, EditError, HybridTime, ListDelta, Origin, UndoOptions, Value};
use inkwire_protocol::client::DocumentId;
use js_sys::Array;
use wasm_bindgen::prelude::*;

use crate::core::{Core, moment};
use crate::refusal::{Refused, refusal};
use values::{array, from_js, to_js};

#[wasm_bindgen]
impl Core {
    /// Collects changes from now on.
    pub fn observe_changes(&mut self, document: u32) {
        self.client.observe_changes(DocumentId(document), true);
    }

    /// The changes since the last call, flat. Each is the container's type, its name, where the change came from (0 elsewhere,
    /// 1 here, 2 an undo or redo here), and:
    ///
    /// - 0, text: the number of steps, and two for each step: a string that is inserted, or so many units that are kept, or
    ///   deleted where it is below 0; and its attributes, an object or undefined
    /// - 1, map: the key, and the value, undefined where it was removed
    /// - 2, list: the number of steps, and the steps: an array of what is inserted, or a number as of a text
    /// - 3, set: the member, and whether it is in the set now
    /// - 4, counter: its value now
    pub fn take_changes(&mut self, document: u32) -> Array {
        let flat = Array::new();
        let number = |number: usize| JsValue::from_f64(number as f64);
        for Change { root, origin, delta } in self.client.take_changes(DocumentId(document)) {
            let head = |kind: usize| {
                flat.push(&number(kind));
                flat.push(&JsValue::from_str(&root));
                flat.push(&number(match origin {
                    Origin::Remote => 0,
                    Origin::Local => 1,
                    Origin::Undo => 2,
                }));
            };
            match delta {
                Delta::Text(steps) => {
                    head(0);
                    flat.push(&number(steps.len()));
                    text::push_steps(&flat, steps);
                }
                Delta::Map { key, value } => {
                    head(1);
                    flat.push(&JsValue::from_str(&key));
                    flat.push(&value.as_ref().map_or(JsValue::UNDEFINED, to_js));
                }
                Delta::List(steps) => {
                    head(2);
                    flat.push(&number(steps.len()));
                    for step in steps {
                        flat.push(&match step {
                            ListDelta::Insert(values) => array(values.iter()).into(),
                            ListDelta::Retain(count) => number(count),
                            ListDelta::Delete(count) => JsValue::from_f64(-(count as f64)),
                        });
                    }
                }
                Delta::Set { member, is_in } => {
                    head(3);
                    flat.push(&to_js(&member));
                    flat.push(&JsValue::from_bool(is_in));
                }
                Delta::Counter { value } => {
                    head(4);
                    flat.push(&JsValue::from_f64(value as f64));
                }
                // A container of a later version, that this shell has no view of.
                _ => {}
            }
        }
        flat
    }
}

impl Core {
    /// Edits a document, noting what can be undone.
    fn edit<R>(
        &mut self,
        now: f64,
        document: u32,
        edit: impl FnOnce(&mut Document, HybridTime) -> Result<R, EditError>,
    ) -> Result<R, JsValue> {
        let edited = self.client.edit(moment(now), DocumentId(document), |content, time| {
            // Kept as it is after the first time.
            content.track_undo(Some(UndoOptions::default()));
            content.undo_time(now as u64);
            edit(content, time)
        });
        edited.map_err(|error| Refused::from(error).into())
    }
}

/// What a container may hold, or the refusal of what it may not.
fn value_of(value: &JsValue) -> Result<Value, JsValue> {
    from_js(value).ok_or_else(no_value)
}

fn no_value() -> JsValue {
    refusal("bad_value", &"a container cannot hold this value")
}
