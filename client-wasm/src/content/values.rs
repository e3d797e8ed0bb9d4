//! Values on their way between JavaScript and the document.

use inkwire_document::Value;
use inkwire_document::formatting::Attributes;
use js_sys::{Array, Object, Uint8Array};
use wasm_bindgen::prelude::*;

/// Whole numbers up to here are the same in JavaScript as in an integer.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Levels of arrays and objects that are followed; the document's own limit is below it.
const MAX_DEPTH: u32 = 40;

pub(super) fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        Value::Bool(flag) => JsValue::from_bool(*flag),
        Value::Int(number) => JsValue::from_f64(*number as f64),
        Value::Float(number) => JsValue::from_f64(*number),
        Value::String(text) => JsValue::from_str(text),
        Value::Bytes(bytes) => Uint8Array::from(&bytes[..]).into(),
        Value::Array(items) => array(items.iter()).into(),
        Value::Map(entries) => object(entries),
    }
}

/// Values as an array.
pub(super) fn array<'a>(values: impl Iterator<Item = &'a Value>) -> Array {
    let array = Array::new();
    for value in values {
        array.push(&to_js(value));
    }
    array
}

/// Values by keys as a plain object, made of its entries: a key such as `__proto__` is one like any other then.
fn object(entries: &Attributes) -> JsValue {
    let pairs = Array::new();
    for (key, value) in entries {
        pairs.push(&Array::of2(&JsValue::from_str(key), &to_js(value)));
    }
    Object::from_entries(&pairs).map_or(JsValue::UNDEFINED, JsValue::from)
}

/// Attributes as an object, `undefined` for none.
pub(super) fn attributes(shown: &Attributes) -> JsValue {
    if shown.is_empty() { JsValue::UNDEFINED } else { object(shown) }
}

/// The attributes that `attributes` gives; none for what is no object of values.
pub(super) fn attributes_of(given: &JsValue) -> Option<Attributes> {
    if given.is_undefined() {
        return Some(Attributes::new());
    }
    match from_js(given)? {
        Value::Map(attributes) => Some(attributes),
        _ => None,
    }
}

/// The document's value for a JavaScript one: null, a boolean, a number, a string, bytes, and arrays and objects of them.
pub(super) fn from_js(value: &JsValue) -> Option<Value> {
    within(value, 0)
}

fn within(value: &JsValue, depth: u32) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Null);
    }
    if let Some(flag) = value.as_bool() {
        return Some(Value::Bool(flag));
    }
    if let Some(number) = value.as_f64() {
        let whole = number.trunc() == number && number.abs() <= MAX_SAFE_INTEGER;
        return Some(if whole { Value::Int(number as i64) } else { Value::Float(number) });
    }
    if let Some(text) = value.as_string() {
        return Some(Value::String(text));
    }
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        return Some(Value::Bytes(bytes.to_vec().into()));
    }
    if depth == MAX_DEPTH || !value.is_object() {
        return None;
    }
    if Array::is_array(value) {
        let items: &Array = value.unchecked_ref();
        return items.iter().map(|item| within(&item, depth + 1)).collect::<Option<_>>().map(Value::Array);
    }
    let mut entries = Attributes::new();
    for pair in Object::entries(value.unchecked_ref()).iter() {
        let pair: Array = pair.unchecked_into();
        entries.insert(pair.get(0).as_string()?, within(&pair.get(1), depth + 1)?);
    }
    Some(Value::Map(entries))
}
