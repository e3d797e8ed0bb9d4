//! Marks and lines in random histories against the definition written down plainly: all marks that ever were, and for each
//! character the latest of those that lie over it.

use std::collections::BTreeMap;

use super::model::Model;
use super::random::Random;
use crate::batch::Edit;
use crate::batch::operation::kind;
use crate::formatting::{is_block, is_inline};
use crate::messagepack::Writer;
use crate::{Actor, Anchor, Attributes, Batch, Document, Growth, HybridTime, Limits, Position, TextDelta, Unit, Value};

type Id = (Actor, u64);

/// What orders writes.
type Order = (HybridTime, Actor, u64);

/// A unit of text (a scalar, or a UTF-16 unit) and what it shows; the last one is the last line's break.
pub(super) type Shown = Vec<(u32, Attributes)>;

/// The text that is formatted.
pub(super) const TEXT: &str = "body";

const KINDS: [&str; 6] = ["bold", "link", "comment:1", "comment:2", "color", "own"];
const LINES: [&str; 3] = ["header", "list", "own"];

/// All formatting that ever was, beside all else.
#[derive(Default)]
pub(super) struct Formats {
    pub(super) all: Model,
    marks: Vec<(Anchor, Anchor, String, Value, Order)>,
    lines: BTreeMap<(Option<Id>, String), (Order, Value)>,
}

impl Formats {
    pub(super) fn apply(&mut self, batch: &Batch) {
        self.all.apply(batch);
        let mut counter = batch.first;
        for (root, edit) in batch.edits(&Limits::STANDARD).unwrap() {
            let order = |time| (time, batch.actor, counter);
            let count = match edit {
                Edit::Insert { text, .. } => text.chars().count() as u64,
                Edit::ListInsert { values, .. } => values.len() as u64,
                Edit::SetAdd { members, .. } => members.len() as u64,
                Edit::Mark { start, end, key, value, time } if root == TEXT.into() => {
                    self.marks.push((start, end, key, value, order(time)));
                    1
                }
                Edit::Block { lines, key, value, time } if root == TEXT.into() => {
                    for line in lines {
                        let line = match line {
                            Anchor::Before(dot) | Anchor::After(dot) => Some((dot.actor, dot.counter)),
                            Anchor::Start | Anchor::End => None,
                        };
                        let write = (order(time), value.clone());
                        let held = self.lines.entry((line, key.clone())).or_insert_with(|| write.clone());
                        if held.0 < write.0 {
                            *held = write;
                        }
                    }
                    1
                }
                _ => 1,
            };
            counter += count;
        }
    }

    fn line(&self, of: Option<Id>) -> Attributes {
        let lines = self.lines.iter().filter(|((line, _), (_, value))| *line == of && *value != Value::Null);
        lines.map(|((_, key), (_, value))| (key.clone(), value.clone())).collect()
    }

    pub(super) fn shown(&self) -> Shown {
        let characters = self.all.texts.get(TEXT).map(|text| text.all()).unwrap_or_default();
        let places: BTreeMap<Id, usize> = characters.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        // Twice a character's index and one more is the character, what is beside it the places.
        let place = |anchor: &Anchor| {
            let at = |dot: &crate::Dot| places.get(&(dot.actor, dot.counter)).map(|at| 2 * at + 1);
            match anchor {
                Anchor::Start => Some(-1),
                Anchor::End => Some(2 * characters.len() as i64 + 2),
                // Of two characters the place after one comes before the place before the next.
                Anchor::Before(dot) => at(dot).map(|at| at as i64),
                Anchor::After(dot) => at(dot).map(|at| at as i64 + 1),
            }
        };
        let mut shown = Shown::new();
        for (at, (id, character)) in characters.iter().enumerate() {
            let Some(character) = *character else { continue };
            if character == '\n' {
                shown.push((u32::from(character), self.line(Some(*id))));
                continue;
            }
            let mut latest: BTreeMap<&str, (Order, &Value)> = BTreeMap::new();
            let here = 2 * at as i64 + 1;
            for (start, end, kind, value, order) in &self.marks {
                let (Some(start), Some(end)) = (place(start), place(end)) else { continue };
                if start <= here && end > here {
                    let held = latest.entry(kind).or_insert((*order, value));
                    if held.0 < *order {
                        *held = (*order, value);
                    }
                }
            }
            let values = latest.into_iter().filter(|(_, (_, value))| **value != Value::Null);
            let attributes = values.map(|(kind, (_, value))| (kind.to_owned(), value.clone())).collect();
            shown.push((u32::from(character), attributes));
        }
        shown.push((10, self.line(None)));
        shown
    }
}

fn units(text: &str, unit: Unit) -> Vec<u32> {
    match unit {
        Unit::Scalar => text.chars().map(u32::from).collect(),
        Unit::Utf16 => text.encode_utf16().map(u32::from).collect(),
    }
}

pub(super) fn shown(delta: &[TextDelta], unit: Unit) -> Shown {
    let mut shown = Shown::new();
    for step in delta {
        let TextDelta::Insert(text, attributes) = step else { panic!("contents are inserts") };
        shown.extend(units(text, unit).into_iter().map(|code| (code, attributes.clone())));
    }
    shown
}

/// Applies a delta as its definition says it.
fn apply(shown: &Shown, delta: &[TextDelta], unit: Unit) -> Shown {
    let (mut old, mut new) = (shown.iter().cloned(), Shown::new());
    let mut deletes_end = false;
    for step in delta {
        match step {
            TextDelta::Delete(count) => {
                for _ in 0..*count {
                    old.next().unwrap();
                }
                deletes_end |= old.len() == 0 && *count > 0;
            }
            TextDelta::Insert(text, attributes) => {
                let units = units(text, unit);
                let are_lines = units.iter().all(|&code| code == 10);
                new.extend(units.into_iter().map(|code| {
                    let is_line = code == 10;
                    let shows = attributes.iter().filter(|(key, value)| {
                        let of_lines = is_block(key) || are_lines && !is_inline(key);
                        of_lines == is_line && **value != Value::Null
                    });
                    (code, shows.map(|(key, value)| (key.clone(), value.clone())).collect())
                }));
            }
            TextDelta::Retain(count, attributes) => {
                let mut range: Vec<_> = old.by_ref().take(*count).collect();
                assert_eq!(range.len(), *count);
                let are_lines = range.iter().all(|(code, _)| *code == 10);
                for (code, shows) in &mut range {
                    for (key, value) in attributes {
                        if (is_block(key) || are_lines && !is_inline(key)) != (*code == 10) {
                        } else if *value == Value::Null {
                            shows.remove(key);
                        } else {
                            shows.insert(key.clone(), value.clone());
                        }
                    }
                }
                new.extend(range);
            }
        }
    }
    new.extend(old);
    if deletes_end && new.last().is_none_or(|last| last.0 != 10) {
        new.push((10, Attributes::new()));
    }
    new
}

/// Follows changes as an editor does; they say exactly what is shown.
pub(super) fn follow(shown: &mut Shown, steps: Vec<TextDelta>, unit: Unit) {
    let mut at = 0;
    for step in steps {
        match step {
            TextDelta::Retain(count, attributes) => {
                for (code, shows) in &mut shown[at..at + count] {
                    assert!(attributes.keys().all(|key| *code == 10 || !is_block(key)));
                    assert!(attributes.keys().all(|key| *code != 10 || !is_inline(key)));
                    for (key, value) in &attributes {
                        if *value == Value::Null {
                            shows.remove(key);
                        } else {
                            shows.insert(key.clone(), value.clone());
                        }
                    }
                }
                at += count;
            }
            TextDelta::Delete(count) => drop(shown.drain(at..at + count)),
            TextDelta::Insert(text, attributes) => {
                let units: Vec<_> = units(&text, unit).into_iter().map(|code| (code, attributes.clone())).collect();
                let count = units.len();
                shown.splice(at..at, units);
                at += count;
            }
        }
    }
}

fn value(random: &mut Random, kind: &str) -> Value {
    match random.below(4) {
        0 => Value::Null,
        1 if kind == "bold" => Value::Bool(true),
        1 => Value::from("x"),
        2 => Value::Int(random.below(3) as i64),
        _ => Value::Bool(true),
    }
}

fn attributes(random: &mut Random) -> Attributes {
    let mut attributes = Attributes::new();
    for _ in 0..random.below(3) {
        let key = if random.chance(70) { *random.pick(&KINDS) } else { *random.pick(&LINES) };
        attributes.insert(key.to_owned(), value(random, key));
    }
    attributes
}

/// A mark, an attribute of lines or a delta, mostly where others are too.
pub(super) fn edit(random: &mut Random, document: &mut Document, unit: Unit, now: HybridTime) {
    let length = document.text(TEXT).len_scalars();
    let position = if random.chance(50) { length / 2 } else { random.below(length + 1) };
    let count = random.below(length - position + 1).min(1 + random.below(8));
    let place = Position::Scalar(position);
    match random.below(8) {
        0..=2 => {
            let kind = *random.pick(&KINDS);
            document.mark(TEXT, place, count, kind, value(random, kind), now).unwrap();
        }
        3 => {
            let growth = *random.pick(&[Growth::None, Growth::End, Growth::Start, Growth::Both]);
            document.mark_growing(TEXT, place, count, "bold", Value::Bool(true), growth, now).unwrap();
        }
        4 => {
            let key = *random.pick(&LINES);
            document.set_block(TEXT, place, count, key, value(random, key), now).unwrap();
        }
        _ => delta(random, document, unit, now),
    }
}

fn delta(random: &mut Random, document: &mut Document, unit: Unit, now: HybridTime) {
    let before = shown(&document.text(TEXT).to_delta(), unit);
    let (mut left, mut delta) = (before.len(), Vec::new());
    for _ in 0..1 + random.below(4) {
        // Not within a surrogate pair.
        let mut count = random.below(left + 1).min(random.below(9));
        let reached = before.len() - left + count;
        if before.get(reached).is_some_and(|unit| (0xdc00..0xe000).contains(&unit.0)) {
            count += 1;
        }
        match random.below(4) {
            0 => {
                left -= count;
                delta.push(TextDelta::Delete(count));
            }
            1 if left > 0 => {
                let text = random.text(4);
                delta.push(TextDelta::Insert(text, attributes(random)));
            }
            _ => {
                left -= count;
                delta.push(TextDelta::Retain(count, attributes(random)));
            }
        }
    }
    document.apply_delta(TEXT, &delta, unit, now).unwrap();
    let after = shown(&document.text(TEXT).to_delta(), unit);
    assert_eq!(after, apply(&before, &delta, unit), "{delta:?}");
}

/// A mark or attributes of lines by somebody who says anything about anything that is there: one operation. `others` are the
/// batch's actors after its own with what they wrote.
pub(super) fn hostile(random: &mut Random, others: &[(Actor, u64)], out: &mut Writer<'_>) {
    let reference = |random: &mut Random, out: &mut Writer<'_>| {
        if others.is_empty() || random.chance(15) {
            return out.nil();
        }
        let index = random.below(others.len());
        out.array(2);
        out.uint(index as u64 + 1);
        out.uint(1 + random.below(others[index].1 as usize) as u64);
    };
    let attribute = |random: &mut Random, out: &mut Writer<'_>, of: &[&str]| {
        out.str(of[random.below(of.len())]);
        if random.chance(30) {
            out.nil()
        } else {
            out.int(random.below(3) as i64 - 1)
        }
        out.uint(HybridTime::from_millis(1000 + random.below(60) as u64).0);
    };
    if random.chance(60) {
        out.array(8);
        out.uint(kind::MARK);
        out.uint(1);
        out.uint(random.below(4) as u64);
        reference(random, out);
        reference(random, out);
        attribute(random, out, &KINDS);
    } else {
        let lines = 1 + random.below(3);
        out.array(5 + lines);
        out.uint(kind::BLOCK);
        out.uint(1);
        attribute(random, out, &LINES);
        (0..lines).for_each(|_| reference(random, out));
    }
}

/// What a text shows is what another shows whose contents are set to it.
pub(super) fn contents_are_set(document: &Document) {
    let delta = document.text(TEXT).to_delta();
    let mut copy = Document::new();
    copy.set_actor(Actor(1), 1);
    copy.insert(TEXT, Position::Scalar(0), "old\n").unwrap();
    copy.mark(TEXT, Position::Scalar(0), 3, "bold", Value::Bool(true), HybridTime(1)).unwrap();
    copy.set_block(TEXT, Position::Scalar(0), 4, "list", Value::Bool(true), HybridTime(1)).unwrap();
    copy.set_contents(TEXT, &delta, HybridTime(1)).unwrap();
    assert_eq!(copy.text(TEXT).to_delta(), delta);
}
