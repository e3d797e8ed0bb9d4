//! Changes for whoever follows.

use super::Document;
use crate::change::{Change, Delta, Origin, TextDelta, Unit};
use crate::text::{Splice, Text};
use crate::value::Value;

impl Document {
    /// Whether to collect changes, off at first. Turning it off drops what was collected.
    pub fn observe_changes(&mut self, observe: bool) {
        self.observes = observe;
        for text in self.texts.values_mut() {
            text.splices = observe.then(Vec::new);
        }
        for list in self.lists.values_mut() {
            list.order.splices = observe.then(Vec::new);
        }
        self.changes.clear();
    }

    /// What texts' changes count in from now on; UTF-16 at first.
    pub fn set_change_unit(&mut self, unit: Unit) {
        self.unit = unit;
    }

    /// The changes since the last call, in order. Each is relative to what the one before left.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn new_text(&self) -> Text {
        let mut text = Text::new();
        text.splices = self.observes.then(Vec::new);
        text
    }

    pub(super) fn note_map(&mut self, root: &str, key: &str, value: Option<Value>, origin: Origin) {
        let delta = Delta::Map { key: key.to_owned(), value };
        self.changes.push(Change { root: root.to_owned(), origin, delta });
    }

    /// Makes changes of what a text noted.
    pub(super) fn collect_text(&mut self, root: &str, origin: Origin) {
        if !self.observes {
            return;
        }
        let Some(splices) = self.texts.get_mut(root).and_then(|text| text.splices.as_mut()) else { return };
        for splice in std::mem::take(splices) {
            let (at, step) = match (splice, self.unit) {
                (Splice::Insert { scalar, text, .. }, Unit::Scalar) => (scalar, TextDelta::Insert(text)),
                (Splice::Insert { utf16, text, .. }, Unit::Utf16) => (utf16, TextDelta::Insert(text)),
                (Splice::Delete { scalar, scalars, .. }, Unit::Scalar) => (scalar, TextDelta::Delete(scalars)),
                (Splice::Delete { utf16, utf16s, .. }, Unit::Utf16) => (utf16, TextDelta::Delete(utf16s)),
            };
            self.note_text(root, origin, at, step);
        }
    }

    /// Adds a step to the last change where it goes on there, so that a run stays one change.
    fn note_text(&mut self, root: &str, origin: Origin, at: usize, step: TextDelta) {
        if let Some(Change { root: last_root, origin: last_origin, delta: Delta::Text(steps) }) =
            self.changes.last_mut()
            && *last_root == root
            && *last_origin == origin
        {
            let last_at = match steps.first() {
                Some(TextDelta::Retain(at)) => *at,
                _ => 0,
            };
            match (steps.last_mut(), &step) {
                (Some(TextDelta::Insert(before)), TextDelta::Insert(text)) if at == last_at + self.unit.len(before) => {
                    before.push_str(text);
                    return;
                }
                (Some(TextDelta::Delete(before)), TextDelta::Delete(more)) if at == last_at => {
                    *before += more;
                    return;
                }
                (Some(TextDelta::Delete(before)), TextDelta::Delete(more)) if at + more == last_at => {
                    *before += more;
                    let deleted = TextDelta::Delete(*before);
                    *steps = steps_at(at, deleted);
                    return;
                }
                _ => {}
            }
        }
        self.changes.push(Change { root: root.to_owned(), origin, delta: Delta::Text(steps_at(at, step)) });
    }
}

fn steps_at(at: usize, step: TextDelta) -> Vec<TextDelta> {
    if at == 0 { vec![step] } else { vec![TextDelta::Retain(at), step] }
}

impl Unit {
    /// A text's length.
    fn len(self, text: &str) -> usize {
        match self {
            Unit::Scalar => text.chars().count(),
            Unit::Utf16 => text.encode_utf16().count(),
        }
    }
}
