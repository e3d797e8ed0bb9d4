//! Undo and redo.

use inkwire_document::RootType;
use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::Core;

#[wasm_bindgen]
impl Core {
    /// Takes back the last group of own edits, or with `again` the last undo; undefined where there is none. Else the places of
    /// texts and lists that it changed, flat: the container's type as [`Core::take_changes`] counts them, its name, and where the
    /// place begins and ends.
    pub fn undo(&mut self, now: f64, document: u32, again: bool) -> Result<Option<Array>, JsValue> {
        let undone = self.edit(now, document, |content, time| {
            content.undo_break();
            if again { content.redo(time) } else { content.undo(time) }
        })?;
        Ok(undone.map(|undone| {
            let flat = Array::new();
            for place in undone.places {
                flat.push(&JsValue::from_f64(if place.root_type == RootType::Text { 0.0 } else { 2.0 }));
                flat.push(&JsValue::from_str(&place.root));
                flat.push(&JsValue::from_f64(place.range.start as f64));
                flat.push(&JsValue::from_f64(place.range.end as f64));
            }
            flat
        }))
    }

    /// How many groups can be undone, or with `again` redone.
    pub fn undo_length(&self, document: u32, again: bool) -> u32 {
        self.replica(document).map_or(0, |replica| {
            let content = replica.document();
            (if again { content.redo_len() } else { content.undo_len() }) as u32
        })
    }

    /// The next edit begins a new group.
    pub fn undo_break(&mut self, now: f64, document: u32) -> Result<(), JsValue> {
        self.edit(now, document, |content, _| {
            content.undo_break();
            Ok(())
        })
    }

    /// While paused, own edits are not noted.
    pub fn undo_pause(&mut self, now: f64, document: u32, is_paused: bool) -> Result<(), JsValue> {
        self.edit(now, document, |content, _| {
            content.undo_pause(is_paused);
            Ok(())
        })
    }
}
