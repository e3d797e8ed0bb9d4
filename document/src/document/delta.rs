//! Texts as deltas, and edits that come as deltas.

use super::{Document, EditError, Position, TextRef};
use crate::change::{TextDelta, Unit};
use crate::formatting::{Attributes, growth, is_block, is_inline};
use crate::ids::HybridTime;
use crate::text::Text;
use crate::text::span::Id;
use crate::value::Value;

/// A step in scalars that was found to fit.
enum Step {
    Insert(String, Attributes),
    /// So many of the text, and perhaps the last line's break.
    Retain(usize, Attributes, bool),
    Delete(usize),
}

/// A range that is to show something.
struct Request {
    from: usize,
    to: usize,
    attributes: Attributes,
    /// Whether it is to show that and nothing else.
    is_insert: bool,
    /// Whether the last line belongs to it.
    has_end: bool,
}

/// A delta that was found to fit.
struct Plan {
    steps: Vec<Step>,
    /// Whether the line break that is not in the text is deleted.
    deletes_end: bool,
}

impl TextRef<'_> {
    /// The text as inserts that show what it shows, with the last line's break at the end.
    pub fn to_delta(&self) -> Vec<TextDelta> {
        let mut pieces = self.text.map(|text| text.pieces(0..text.len_scalars())).unwrap_or_default();
        let end = self.text.map(|text| text.line(Id::NONE)).unwrap_or_default();
        match pieces.last_mut() {
            Some((last, shown)) if *shown == end && (end.is_empty() || last.ends_with('\n')) => last.push('\n'),
            _ => pieces.push(("\n".to_owned(), end)),
        }
        pieces.into_iter().map(|(text, attributes)| TextDelta::Insert(text, attributes)).collect()
    }
}

impl Document {
    /// Edits a text by a delta, whose lengths count `unit`. It counts the last line's break, which is not in the text: what
    /// it inserts comes before that at the latest, and where it deletes it, the line break before takes its place with its
    /// attributes.
    ///
    /// What is inserted shows what the delta says, whatever lies around it. An attribute of a retained range is a mark, or
    /// an attribute of the lines that end in it, as its kind is; a kind that is neither by its name is the lines' where
    /// there is nothing else in the range.
    ///
    /// # Errors
    /// When it does not fit the text, or as any edit. The document is as it was.
    pub fn apply_delta(
        &mut self,
        name: &str,
        delta: &[TextDelta],
        unit: Unit,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let plan = self.plan(name, delta, unit)?;
        let requests = self.apply_steps(name, &plan)?;
        let mut marks = Marks::default();
        for request in &requests {
            if let Some(text) = self.texts.get(name) {
                marks.collect(text, request);
            }
            for (lines, key, value) in request.lines(self.texts.get(name)) {
                self.set_lines(name, &lines, &key, value, now)?;
            }
        }
        for Pending { from, to, key, value } in marks.list {
            let slots = self.texts.get(name).map(|text| text.slots(from, to, growth(&key)));
            if let Some((start, end)) = slots {
                let marker = self.format_marker(name, now)?;
                self.mark_slots(name, start, end, &key, value, marker)?;
            }
        }
        if plan.deletes_end { self.replace_end(name, now) } else { Ok(()) }
    }

    /// Replaces all of a text by what a delta inserts. [`to_delta`](TextRef::to_delta) gives the same inserts again.
    ///
    /// # Errors
    /// When the delta has other steps than inserts, or as any edit. The document is as it was.
    pub fn set_contents(&mut self, name: &str, delta: &[TextDelta], now: HybridTime) -> Result<(), EditError> {
        let other = delta.iter().position(|step| !matches!(step, TextDelta::Insert(..)));
        if let Some(step) = other {
            return Err(EditError::Delta { step, problem: "contents have nothing but inserts" });
        }
        let mut delta = delta.to_vec();
        delta.push(TextDelta::Delete(self.text(name).len_scalars() + 1));
        self.apply_delta(name, &delta, Unit::Scalar, now)
    }

    /// Checks a delta against the text.
    fn plan(&self, name: &str, delta: &[TextDelta], unit: Unit) -> Result<Plan, EditError> {
        let text = self.texts.get(name);
        let (length, scalars) = match unit {
            Unit::Scalar => (self.text(name).len_scalars(), self.text(name).len_scalars()),
            Unit::Utf16 => (self.text(name).len_utf16(), self.text(name).len_scalars()),
        };
        let mut plan = Plan { steps: Vec::with_capacity(delta.len()), deletes_end: false };
        let (mut at, mut from, mut counters) = (0usize, 0, 0usize);
        for (step, part) in delta.iter().enumerate() {
            let wrong = |problem| EditError::Delta { step, problem };
            let attributes = match part {
                TextDelta::Retain(_, attributes) | TextDelta::Insert(_, attributes) => attributes,
                TextDelta::Delete(_) => &Attributes::new(),
            };
            for (key, value) in attributes {
                self.check_attribute(key, value)?;
            }
            counters = counters.saturating_add(2 * attributes.len() + 512);
            let count = match part {
                TextDelta::Insert(inserted, attributes) => {
                    if at > length {
                        return Err(wrong("it inserts behind the last line break"));
                    }
                    counters = counters.saturating_add(2 * inserted.chars().count());
                    plan.steps.push(Step::Insert(inserted.clone(), attributes.clone()));
                    continue;
                }
                TextDelta::Retain(count, _) | TextDelta::Delete(count) => *count,
            };
            at = at.checked_add(count).filter(|&at| at <= length + 1).ok_or(wrong("it reaches beyond the end"))?;
            let to = match unit {
                Unit::Scalar => at,
                _ if at > length => scalars + 1,
                Unit::Utf16 => {
                    let to = text.map_or(0, |text| text.scalar_at(at));
                    if text.map_or(0, |text| text.utf16_at(to)) != at {
                        return Err(wrong("it divides a surrogate pair"));
                    }
                    to
                }
            };
            let (reaches_end, within_text) = (to > scalars && from <= scalars, to.min(scalars) - from.min(scalars));
            from = to;
            match part {
                TextDelta::Retain(_, attributes) => {
                    plan.steps.push(Step::Retain(within_text, attributes.clone(), reaches_end));
                }
                _ => {
                    counters = counters.saturating_add(within_text);
                    plan.steps.push(Step::Delete(within_text));
                    plan.deletes_end |= reaches_end;
                }
            }
        }
        self.next_dot(name, counters)?;
        Ok(plan)
    }

    /// Changes the text, and says what is to show what in it.
    fn apply_steps(&mut self, name: &str, plan: &Plan) -> Result<Vec<Request>, EditError> {
        let (mut at, mut requests) = (0, Vec::new());
        for step in &plan.steps {
            let from = at;
            let (attributes, is_insert, has_end) = match step {
                Step::Insert(text, attributes) => {
                    self.insert(name, Position::Scalar(at), text)?;
                    at += text.chars().count();
                    (attributes, true, false)
                }
                Step::Retain(length, attributes, has_end) => {
                    at += length;
                    (attributes, false, *has_end)
                }
                Step::Delete(length) => {
                    self.delete(name, Position::Scalar(at), *length)?;
                    continue;
                }
            };
            if is_insert || !attributes.is_empty() {
                requests.push(Request { from, to: at, attributes: attributes.clone(), is_insert, has_end });
            }
        }
        Ok(requests)
    }

    /// After the last line's break was deleted: the one before takes its place, if there is one.
    fn replace_end(&mut self, name: &str, now: HybridTime) -> Result<(), EditError> {
        let length = self.text(name).len_scalars();
        let mut shown = Attributes::new();
        if let Some(last) = length.checked_sub(1)
            && self.text(name).slice(last..length) == "\n"
        {
            shown = self.text(name).attributes_at(Position::Scalar(last));
            self.delete(name, Position::Scalar(last), 1)?;
        }
        let held = self.texts.get(name).map(|text| text.line(Id::NONE)).unwrap_or_default();
        let removed = held.keys().filter(|key| !shown.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let changed: Vec<_> = removed.chain(shown.iter().map(|(key, value)| (key.clone(), value.clone()))).collect();
        for (key, value) in changed {
            if held.get(&key) != Some(&value) {
                self.set_lines(name, &[Id::NONE], &key, value, now)?;
            }
        }
        Ok(())
    }
}

impl Request {
    /// Whether an attribute is the lines', where all of the range are line breaks or not.
    fn is_of_lines(&self, key: &str, are_all_lines: bool) -> bool {
        is_block(key) || are_all_lines && !is_inline(key)
    }

    /// What is to be written to which lines.
    fn lines(&self, text: Option<&Text>) -> Vec<(Vec<Id>, String, Value)> {
        let content = text.map(|text| text.slice(self.from..self.to)).unwrap_or_default();
        let are_all = content.chars().all(|character| character == '\n');
        let mut lines: Vec<Id> = Vec::new();
        if let Some(text) = text
            && self.attributes.keys().any(|key| self.is_of_lines(key, are_all))
        {
            let breaks = content.chars().enumerate().filter(|&(_, character)| character == '\n');
            lines.extend(breaks.map(|(offset, _)| text.character_at(self.from + offset)));
        }
        if self.has_end {
            lines.push(Id::NONE);
        }
        let written = self.attributes.iter().filter(|(key, value)| {
            self.is_of_lines(key, are_all) && !lines.is_empty() && !(self.is_insert && **value == Value::Null)
        });
        written.map(|(key, value)| (lines.clone(), key.clone(), value.clone())).collect()
    }
}

/// A mark that is to be made.
struct Pending {
    from: usize,
    to: usize,
    key: String,
    value: Value,
}

/// Marks that are to be made, joined where only line breaks lie between.
#[derive(Default)]
struct Marks {
    list: Vec<Pending>,
}

impl Marks {
    fn add(&mut self, text: &Text, (from, to): (usize, usize), key: &str, value: &Value) {
        let last = self.list.iter_mut().rev().take(64).find(|pending| pending.key == key);
        if let Some(last) = last
            && last.value == *value
            && text.slice(last.to..from).chars().all(|character| character == '\n')
        {
            last.to = to;
            return;
        }
        self.list.push(Pending { from, to, key: key.to_owned(), value: value.clone() });
    }

    fn collect(&mut self, text: &Text, request: &Request) {
        let Request { from, to, attributes, is_insert, .. } = request;
        let content = text.slice(*from..*to);
        if content.chars().all(|character| character == '\n') {
            return;
        }
        if !is_insert {
            for (key, value) in attributes.iter().filter(|(key, _)| !is_block(key)) {
                self.add(text, (*from, *to), key, value);
            }
            return;
        }
        let mut at = *from;
        for (piece, shown) in text.pieces(*from..*to) {
            // Without formatting line breaks do not come apart.
            for part in piece.split_inclusive('\n') {
                let characters = part.strip_suffix('\n').unwrap_or(part).chars().count();
                let range = (at, at + characters);
                at += part.chars().count();
                if characters == 0 {
                    continue;
                }
                let wanted =
                    |key: &String| attributes.get(key).filter(|value| **value != Value::Null && !is_block(key));
                for key in shown.keys().filter(|key| wanted(key).is_none()) {
                    self.add(text, range, key, &Value::Null);
                }
                for key in attributes.keys() {
                    if let Some(value) = wanted(key)
                        && shown.get(key) != Some(value)
                    {
                        self.add(text, range, key, value);
                    }
                }
            }
        }
    }
}
