//! Maps, lists, sets and counters.

use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::values::{array, from_js, to_js};
use super::{Core, no_value, value_of};

#[wasm_bindgen]
impl Core {
    /// A key's value, `undefined` where there is none.
    pub fn map_get(&self, document: u32, name: &str, key: &str) -> JsValue {
        let value = self.replica(document).and_then(|replica| replica.document().map_get(name, key));
        value.map_or(JsValue::UNDEFINED, to_js)
    }

    /// Sets a key.
    pub fn map_set(&mut self, now: f64, document: u32, name: &str, key: &str, value: JsValue) -> Result<(), JsValue> {
        let value = value_of(&value)?;
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

    /// How many elements a list has.
    pub fn list_length(&self, document: u32, name: &str) -> u32 {
        self.replica(document).map_or(0, |replica| replica.document().list_len(name) as u32)
    }

    /// The element at an index, `undefined` past the end.
    pub fn list_get(&self, document: u32, name: &str, index: u32) -> JsValue {
        let value = self.replica(document).and_then(|replica| replica.document().list_get(name, index as usize));
        value.map_or(JsValue::UNDEFINED, to_js)
    }

    /// All elements.
    pub fn list_values(&self, document: u32, name: &str) -> Array {
        self.replica(document).map_or_else(Array::new, |replica| array(replica.document().list_values(name, 0)))
    }

    /// Inserts elements at an index.
    pub fn list_insert(
        &mut self,
        now: f64,
        document: u32,
        name: &str,
        index: u32,
        values: &Array,
    ) -> Result<(), JsValue> {
        let values = values.iter().map(|value| from_js(&value)).collect::<Option<Vec<_>>>().ok_or_else(no_value)?;
        self.edit(now, document, |content, _| content.list_insert(name, index as usize, values))
    }

    /// Deletes elements from an index on.
    pub fn list_delete(&mut self, now: f64, document: u32, name: &str, index: u32, count: u32) -> Result<(), JsValue> {
        self.edit(now, document, |content, _| content.list_delete(name, index as usize, count as usize))
    }

    /// Replaces the element at an index.
    pub fn list_set(&mut self, now: f64, document: u32, name: &str, index: u32, value: JsValue) -> Result<(), JsValue> {
        let value = value_of(&value)?;
        self.edit(now, document, |content, _| content.list_set(name, index as usize, value))
    }

    /// How many members a set has.
    pub fn set_size(&self, document: u32, name: &str) -> u32 {
        self.replica(document).map_or(0, |replica| replica.document().set_len(name) as u32)
    }

    /// Whether a value is in a set.
    pub fn set_has(&self, document: u32, name: &str, member: JsValue) -> bool {
        let replica = self.replica(document).zip(from_js(&member));
        replica.is_some_and(|(replica, member)| replica.document().set_contains(name, &member))
    }

    /// All members.
    pub fn set_values(&self, document: u32, name: &str) -> Array {
        let members: Vec<_> =
            self.replica(document).map_or_else(Vec::new, |replica| replica.document().set_members(name).collect());
        array(members.iter())
    }

    /// Adds a member, or removes it.
    pub fn set_put(
        &mut self,
        now: f64,
        document: u32,
        name: &str,
        member: JsValue,
        is_in: bool,
    ) -> Result<(), JsValue> {
        let member = value_of(&member)?;
        self.edit(
            now,
            document,
            |content, _| {
                if is_in { content.set_add(name, &member) } else { content.set_remove(name, &member) }
            },
        )
    }

    /// A counter's value.
    pub fn counter_value(&self, document: u32, name: &str) -> f64 {
        self.replica(document).map_or(0.0, |replica| replica.document().counter_value(name) as f64)
    }

    /// Adds to a counter a whole number, which may be below 0.
    pub fn counter_add(&mut self, now: f64, document: u32, name: &str, amount: f64) -> Result<(), JsValue> {
        self.edit(now, document, |content, _| content.counter_add(name, amount as i64))
    }
}
