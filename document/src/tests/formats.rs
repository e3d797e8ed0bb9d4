//! Random histories with marks and lines against the definition written down plainly: all marks that ever were, and for
//! each character the latest of those that lie over it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::model::Model;
use super::random::{Random, for_seeds};
use crate::batch::Edit;
use crate::batch::operation::kind;
use crate::formatting::{is_block, is_inline};
use crate::messagepack::Writer;
use crate::{
    Actor, Anchor, Applied, Attributes, Batch, Change, Delta, Document, Growth, HybridTime, Limits, Position, Snapshot,
    TextDelta, Unit, Value, VersionVector, fold,
};

type Id = (Actor, u64);

/// What orders writes.
type Order = (HybridTime, Actor, u64);

/// A unit of text (a scalar, or a UTF-16 unit) and what it shows; the last one is the last line's break.
type Shown = Vec<(u32, Attributes)>;

const KINDS: [&str; 6] = ["bold", "link", "comment:1", "comment:2", "color", "own"];
const LINES: [&str; 3] = ["header", "list", "own"];

/// All formatting that ever was.
#[derive(Default)]
struct Formats {
    texts: Model,
    marks: Vec<(Anchor, Anchor, String, Value, Order)>,
    lines: BTreeMap<(Option<Id>, String), (Order, Value)>,
}

impl Formats {
    fn apply(&mut self, batch: &Batch) {
        self.texts.apply(batch);
        let mut counter = batch.first;
        for (root, edit) in batch.edits(&Limits::STANDARD).unwrap() {
            let order = |time| (time, batch.actor, counter);
            let count = match edit {
                Edit::Insert { text, .. } => text.chars().count() as u64,
                Edit::Mark { start, end, key, value, time } if root == "t".into() => {
                    self.marks.push((start, end, key, value, order(time)));
                    1
                }
                Edit::Block { lines, key, value, time } if root == "t".into() => {
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

    fn shown(&self) -> Shown {
        let characters = self.texts.texts.get("t").map(|text| text.all()).unwrap_or_default();
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

fn shown(delta: &[TextDelta], unit: Unit) -> Shown {
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
fn follow(shown: &mut Shown, changes: Vec<Change>, unit: Unit) {
    for change in changes {
        let Delta::Text(steps) = change.delta else { continue };
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
}

struct Replica {
    document: Document,
    unit: Unit,
    shown: Shown,
}

struct History {
    random: Random,
    replicas: Vec<Replica>,
    log: Vec<Batch>,
    clock: u64,
    hostile_next: u64,
}

const HOSTILE: Actor = Actor(77);

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let replicas = (0..3 + random.below(2))
            .map(|index| {
                let mut document = Document::new();
                document.set_actor(Actor([5, 1 << 60, 3, 900][index]), 1);
                document.observe_changes(true);
                let unit = if index % 2 == 0 { Unit::Utf16 } else { Unit::Scalar };
                document.set_change_unit(unit);
                Replica { document, unit, shown: vec![(10, Attributes::new())] }
            })
            .collect();
        Self { random, replicas, log: Vec::new(), clock: 1000, hostile_next: 1 }
    }

    fn value(&mut self, kind: &str) -> Value {
        match self.random.below(4) {
            0 => Value::Null,
            1 if kind == "bold" => Value::Bool(true),
            1 => Value::from("x"),
            2 => Value::Int(self.random.below(3) as i64),
            _ => Value::Bool(true),
        }
    }

    fn attributes(&mut self) -> Attributes {
        let mut attributes = Attributes::new();
        for _ in 0..self.random.below(3) {
            let key = if self.random.chance(70) { *self.random.pick(&KINDS) } else { *self.random.pick(&LINES) };
            attributes.insert(key.to_owned(), self.value(key));
        }
        attributes
    }

    fn edit(&mut self, at: usize) {
        self.clock += self.random.below(3) as u64;
        let now = HybridTime::from_millis(self.clock - self.random.below(20) as u64);
        let length = self.replicas[at].document.text("t").len_scalars();
        let position = if self.random.chance(50) { length / 2 } else { self.random.below(length + 1) };
        let count = self.random.below(length - position + 1).min(1 + self.random.below(8));
        let place = Position::Scalar(position);
        match self.random.below(14) {
            0..=3 => {
                let text = self.random.text(5);
                self.replicas[at].document.insert("t", place, &text).unwrap();
            }
            4 | 5 => self.replicas[at].document.delete("t", place, count).unwrap(),
            6..=8 => {
                let kind = *self.random.pick(&KINDS);
                let value = self.value(kind);
                self.replicas[at].document.mark("t", place, count, kind, value, now).unwrap();
            }
            9 => {
                let growth = *self.random.pick(&[Growth::None, Growth::End, Growth::Start, Growth::Both]);
                let document = &mut self.replicas[at].document;
                document.mark_growing("t", place, count, "bold", Value::Bool(true), growth, now).unwrap();
            }
            10 => {
                let key = *self.random.pick(&LINES);
                let value = self.value(key);
                self.replicas[at].document.set_block("t", place, count, key, value, now).unwrap();
            }
            _ => self.delta(at, now),
        }
        if self.random.chance(40) {
            self.publish(at);
        }
    }

    fn delta(&mut self, at: usize, now: HybridTime) {
        let unit = self.replicas[at].unit;
        let before = shown(&self.replicas[at].document.text("t").to_delta(), unit);
        let (mut left, mut delta) = (before.len(), Vec::new());
        for _ in 0..1 + self.random.below(4) {
            // Not within a surrogate pair.
            let mut count = self.random.below(left + 1).min(self.random.below(9));
            let reached = before.len() - left + count;
            if before.get(reached).is_some_and(|unit| (0xdc00..0xe000).contains(&unit.0)) {
                count += 1;
            }
            match self.random.below(4) {
                0 => {
                    left -= count;
                    delta.push(TextDelta::Delete(count));
                }
                1 if left > 0 => {
                    let (text, attributes) = (self.random.text(4), self.attributes());
                    delta.push(TextDelta::Insert(text, attributes));
                }
                _ => {
                    left -= count;
                    let attributes = self.attributes();
                    delta.push(TextDelta::Retain(count, attributes));
                }
            }
        }
        let document = &mut self.replicas[at].document;
        document.apply_delta("t", &delta, unit, now).unwrap();
        let after = shown(&document.text("t").to_delta(), unit);
        assert_eq!(after, apply(&before, &delta, unit), "{delta:?}");
    }

    fn publish(&mut self, at: usize) {
        let batches = self.replicas[at].document.take_batches();
        for batch in &batches {
            batch.check(&Limits::STANDARD).unwrap();
        }
        self.log.extend(batches);
    }

    /// Marks and lines by somebody who says anything about anything that is there.
    fn hostile(&mut self) {
        let held: VersionVector = self.log.iter().map(|batch| crate::Dot::new(batch.actor, batch.last())).collect();
        let random = &mut self.random;
        let others: Vec<(Actor, u64)> =
            held.dots.iter().map(|(&actor, &last)| (actor, last)).filter(|&(actor, _)| actor != HOSTILE).collect();
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        others.iter().for_each(|(actor, _)| out.uint(actor.0));
        out.str("t");
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
            reference(random, &mut out);
            reference(random, &mut out);
            attribute(random, &mut out, &KINDS);
        } else {
            let lines = 1 + random.below(3);
            out.array(5 + lines);
            out.uint(kind::BLOCK);
            out.uint(1);
            attribute(random, &mut out, &LINES);
            (0..lines).for_each(|_| reference(random, &mut out));
        }
        let batch = Batch { actor: HOSTILE, first: self.hostile_next, count: 1, operations: bytes.into() };
        self.hostile_next += 1;
        assert!(batch.check(&Limits::STANDARD).unwrap().is_covered_by(&held));
        self.log.push(batch);
    }

    fn sync(&mut self, at: usize, from: usize) {
        self.publish(from);
        let have = self.replicas[at].document.version().clone();
        let document = &self.replicas[from].document;
        let bytes = if self.random.chance(50) { document.difference(&have) } else { document.snapshot() };
        self.replicas[at].document.merge(&Snapshot::parse(bytes).unwrap()).unwrap();
    }

    fn follow(&mut self) {
        for Replica { document, unit, shown: followed } in &mut self.replicas {
            follow(followed, document.take_changes(), *unit);
            assert_eq!(*followed, shown(&document.text("t").to_delta(), *unit));
        }
    }

    fn run(&mut self, steps: usize, hostile: bool) {
        for _ in 0..steps {
            let at = self.random.below(self.replicas.len());
            match self.random.below(20) {
                0..=8 => self.edit(at),
                9 => {
                    let from = self.random.below(self.replicas.len());
                    if from != at {
                        self.sync(at, from);
                    }
                }
                10 if hostile => self.hostile(),
                11 => self.follow(),
                _ if !self.log.is_empty() => {
                    let batch = self.random.pick(&self.log).clone();
                    self.replicas[at].document.apply(&batch).unwrap();
                }
                _ => {}
            }
        }
        (0..self.replicas.len()).for_each(|at| self.publish(at));
        self.follow();
        for at in 0..self.replicas.len() {
            let mut order: Vec<Batch> = self.log.clone();
            order.extend(self.log.iter().take(5).cloned());
            self.random.shuffle(&mut order);
            for batch in &order {
                self.replicas[at].document.apply(batch).unwrap();
            }
            assert_eq!(self.replicas[at].document.early_bytes(), 0);
        }
        self.follow();
    }

    /// The log in an order in which every batch comes after what it refers to.
    fn causal(&self) -> Vec<Batch> {
        let mut version = VersionVector::new();
        let (mut left, mut ordered) = (self.log.clone(), Vec::new());
        while !left.is_empty() {
            let before = left.len();
            left.retain(|batch| {
                let is_ready = version.get(&batch.actor) + 1 == batch.first
                    && batch.check(&Limits::STANDARD).unwrap().is_covered_by(&version);
                if is_ready {
                    version.dots.insert(batch.actor, batch.last());
                    ordered.push(batch.clone());
                }
                !is_ready
            });
            assert!(left.len() < before, "the log has no gaps");
        }
        ordered
    }
}

fn converges(seed: u64, steps: usize, hostile: bool) {
    let mut history = History::new(seed);
    history.run(steps, hostile);
    let causal = history.causal();
    let mut model = Formats::default();
    causal.iter().for_each(|batch| model.apply(batch));
    let expected = model.shown();
    let snapshot = history.replicas[0].document.snapshot();
    for Replica { document, .. } in &history.replicas {
        assert_eq!(shown(&document.text("t").to_delta(), Unit::Scalar), expected);
        assert_eq!(document.snapshot(), snapshot, "equal states have equal snapshots");
    }
    assert_eq!(fold(None, &causal).unwrap(), snapshot);
    if !hostile {
        let delta = history.replicas[0].document.text("t").to_delta();
        let mut copy = Document::new();
        copy.set_actor(Actor(1), 1);
        copy.insert("t", Position::Scalar(0), "old\n").unwrap();
        copy.mark("t", Position::Scalar(0), 3, "bold", Value::Bool(true), HybridTime(1)).unwrap();
        copy.set_block("t", Position::Scalar(0), 4, "list", Value::Bool(true), HybridTime(1)).unwrap();
        copy.set_contents("t", &delta, HybridTime(1)).unwrap();
        assert_eq!(copy.text("t").to_delta(), delta);
    }
    differences(&causal, &snapshot, &mut history.random);
}

/// For every prefix of a history, what its reader lacks is what it is sent.
fn differences(causal: &[Batch], whole: &Bytes, random: &mut Random) {
    let whole_snapshot = Snapshot::parse(whole.clone()).unwrap();
    let mut document = Document::new();
    for (index, batch) in causal.iter().enumerate() {
        let bytes = whole_snapshot.difference(document.version()).unwrap();
        let difference = Snapshot::parse(bytes).unwrap();
        let mut reader = document.clone();
        reader.merge(&difference).unwrap();
        assert_eq!(reader.snapshot(), whole, "after {index} batches");
        let state = difference.state().unwrap();
        assert_eq!(crate::snapshot::encode::encode(&state), *difference.bytes());
        if random.chance(20) {
            let mut loaded = Document::new();
            loaded.merge(&Snapshot::parse(document.snapshot()).unwrap()).unwrap();
            assert_eq!(loaded.snapshot(), document.snapshot());
            document = loaded;
        }
        assert_ne!(document.apply(batch).unwrap(), Applied::Buffered);
    }
    assert_eq!(document.snapshot(), whole);
}

#[test]
fn formatted_histories_converge() {
    for_seeds(700, |seed| converges(seed, 60, false));
}

#[test]
fn long_formatted_histories_converge() {
    for_seeds(10, |seed| converges(seed, 400, false));
}

#[test]
fn formatted_nonsense_converges() {
    for_seeds(400, |seed| converges(seed, 80, true));
}

#[test]
fn flipped_bits_of_formatting() {
    let mut history = History::new(7);
    history.run(300, true);
    let document = &mut history.replicas[0].document;
    document.clear_actor();
    let whole = document.snapshot();
    let content = &whole[13..];
    for_seeds(3000, |seed| {
        let mut random = Random(seed);
        let mut bytes = content.to_vec();
        // The formatting is behind all else.
        let from = if random.chance(70) { bytes.len() * 2 / 3 } else { 0 };
        for _ in 0..1 + random.below(3) {
            let at = from + random.below(bytes.len() - from);
            bytes[at] ^= 1 << random.below(8);
        }
        let Ok(snapshot) = Snapshot::parse(crate::snapshot::with_header(&bytes).into()) else { return };
        let mut reader = Document::new();
        reader.observe_changes(true);
        reader.set_actor(Actor(1 << 40), 1);
        reader.insert("t", Position::Scalar(0), "some\ntext").unwrap();
        let before = reader.snapshot();
        if reader.merge(&snapshot).is_err() {
            assert_eq!(reader.snapshot(), before, "what is refused changes nothing");
        }
        let have = reader.version().clone();
        let _ = snapshot.difference(&have);
        let length = reader.text("t").len_scalars();
        reader.mark("t", Position::Scalar(0), length, "bold", Value::Bool(true), HybridTime(1)).unwrap();
        reader.delete("t", Position::Scalar(length / 3), length / 3).unwrap();
        reader.insert("t", Position::Scalar(length / 3), "on").unwrap();
        reader.text("t").to_delta();
        reader.take_changes();
        reader.snapshot();
    });
}
