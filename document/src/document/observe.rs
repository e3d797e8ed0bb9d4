//! Changes for whoever follows.

use super::Document;
use crate::change::{Change, Delta, Origin, TextDelta, Unit};
use crate::text::{Splice, Text};
use crate::value::Value;

/// Steps that one change takes on while what it says is formatted.
const MAX_STEPS: usize = 64;

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

    /// Notes all of the texts that were built at once.
    pub(super) fn show_built(&mut self) {
        if !self.observes {
            return;
        }
        let built = self.texts.iter_mut().filter(|(_, text)| text.splices.is_none());
        let names: Vec<Box<str>> = built
            .map(|(name, text)| {
                text.splices = Some(text.as_splices());
                name.clone()
            })
            .collect();
        names.iter().for_each(|name| self.collect_text(name, Origin::Remote));
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
            let is_scalar = self.unit == Unit::Scalar;
            let (at, step) = match splice {
                Splice::Insert { scalar, utf16, text, attributes } => {
                    (if is_scalar { scalar } else { utf16 }, TextDelta::Insert(text, attributes))
                }
                Splice::Delete { scalar, scalars, .. } if is_scalar => (scalar, TextDelta::Delete(scalars)),
                Splice::Delete { utf16, utf16s, .. } => (utf16, TextDelta::Delete(utf16s)),
                Splice::Format { scalar, scalars, attributes, .. } if is_scalar => {
                    (scalar, TextDelta::Retain(scalars, attributes))
                }
                Splice::Format { utf16, utf16s, attributes, .. } => (utf16, TextDelta::Retain(utf16s, attributes)),
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
                Some(TextDelta::Retain(at, attributes)) if attributes.is_empty() => *at,
                _ => 0,
            };
            // Of several steps, what is relative to the last one's place is no longer known by the first.
            let is_one = steps.len() <= 1 + usize::from(last_at > 0);
            match (steps.last_mut(), &step) {
                (Some(TextDelta::Insert(before, shown)), TextDelta::Insert(text, attributes))
                    if is_one && shown == attributes && at == last_at + self.unit.len(before) =>
                {
                    before.push_str(text);
                    return;
                }
                (Some(TextDelta::Delete(before)), TextDelta::Delete(more)) if is_one && at == last_at => {
                    *before += more;
                    return;
                }
                (Some(TextDelta::Delete(before)), TextDelta::Delete(more)) if is_one && at + more == last_at => {
                    *before += more;
                    let deleted = TextDelta::Delete(*before);
                    *steps = steps_at(at, deleted);
                    return;
                }
                _ => {}
            }
            // What is formatted comes in pieces; those that follow one another are one change.
            let is_formatted = |step: &TextDelta| match step {
                TextDelta::Retain(_, attributes) | TextDelta::Insert(_, attributes) => !attributes.is_empty(),
                TextDelta::Delete(_) => false,
            };
            if steps.len() < MAX_STEPS && (is_formatted(&step) || steps.iter().any(is_formatted)) {
                let reached: usize = steps.iter().map(|step| self.unit.reach(step)).sum();
                if reached <= at && !matches!(step, TextDelta::Delete(_)) {
                    if reached < at {
                        steps.push(TextDelta::retain(at - reached));
                    }
                    steps.push(step);
                    return;
                }
            }
        }
        self.changes.push(Change { root: root.to_owned(), origin, delta: Delta::Text(steps_at(at, step)) });
    }
}

fn steps_at(at: usize, step: TextDelta) -> Vec<TextDelta> {
    if at == 0 { vec![step] } else { vec![TextDelta::retain(at), step] }
}

impl Unit {
    /// How far a step reaches in what it leaves.
    fn reach(self, step: &TextDelta) -> usize {
        match step {
            TextDelta::Retain(length, _) => *length,
            TextDelta::Insert(text, _) => self.len(text),
            TextDelta::Delete(_) => 0,
        }
    }

    /// A text's length.
    pub(crate) fn len(self, text: &str) -> usize {
        match self {
            Unit::Scalar => text.chars().count(),
            Unit::Utf16 => text.encode_utf16().count(),
        }
    }
}
