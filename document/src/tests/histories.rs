//! Replicas that edit, exchange, lose, repeat and reorder; and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::formats::{self, Formats};
use super::model::ModelSet;
use super::random::{Random, for_seeds};
use crate::batch::operation::kind;
use crate::messagepack::Writer;
use crate::{
    Actor, Applied, Attributes, Batch, Change, Delta, Document, HybridTime, Limits, ListDelta, Position, Snapshot,
    UndoOptions, Unit, Value, VersionVector, fold,
};

/// A replica and an editor that follows its changes, in the unit that it counts in.
struct Replica {
    document: Document,
    unit: Unit,
    shown: Shown,
}

/// What somebody shows who knows the changes alone.
struct Shown {
    text: formats::Shown,
    list: Vec<Value>,
    set: Vec<Value>,
    counter: i64,
}

impl Shown {
    /// An empty text is one line.
    fn new() -> Self {
        Self { text: vec![(10, Attributes::new())], list: Vec::new(), set: Vec::new(), counter: 0 }
    }

    fn follow(&mut self, change: Change, unit: Unit) {
        match (change.root.as_str(), change.delta) {
            (formats::TEXT, Delta::Text(steps)) => formats::follow(&mut self.text, steps, unit),
            ("items", Delta::List(steps)) => {
                let mut at = 0;
                for step in steps {
                    match step {
                        ListDelta::Retain(count) => at += count,
                        ListDelta::Delete(count) => drop(self.list.drain(at..at + count)),
                        ListDelta::Insert(values) => {
                            let end = at + values.len();
                            self.list.splice(at..at, values);
                            at = end;
                        }
                    }
                }
            }
            ("tags", Delta::Set { member, is_in }) => {
                let before = self.set.len();
                self.set.retain(|held| *held != member);
                assert_eq!(before > self.set.len(), !is_in, "a change is one");
                if is_in {
                    self.set.push(member);
                }
            }
            ("count", Delta::Counter { value }) => self.counter = value,
            _ => {}
        }
    }

    fn check(&self, document: &Document, unit: Unit) {
        assert_eq!(self.text, formats::shown(&document.text(formats::TEXT).to_delta(), unit));
        assert!(self.list.iter().eq(document.list_values("items", 0)));
        let mut set = self.set.clone();
        set.sort_by_key(Value::encoded);
        assert_eq!(set, document.set_members("tags").collect::<Vec<_>>());
        assert_eq!(self.counter, document.counter_value("count"));
    }
}

struct History {
    random: Random,
    replicas: Vec<Replica>,
    /// All batches in an order in which each comes after what it refers to.
    log: Vec<Batch>,
    /// What replicas held at some time.
    snapshots: Vec<Snapshot>,
    clock: u64,
    hostile_next: u64,
}

const HOSTILE: Actor = Actor(77);

fn value(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::Null,
        1 => Value::Array(vec![Value::Bool(true), Value::Int(-7)]),
        2 => Value::Map([("k".to_owned(), Value::from("v")), ("漢".to_owned(), Value::Float(-0.0))].into()),
        3 => Value::String(random.text(4)),
        _ => Value::Int(random.below(300) as i64),
    }
}

pub(super) fn edit_containers(random: &mut Random, document: &mut Document) {
    let length = document.list_len("items");
    let tags = ["a", "b", "c"];
    match random.below(12) {
        0..=3 => {
            let at = if random.chance(60) { length / 2 } else { random.below(length + 1) };
            let values = (0..1 + random.below(3)).map(|_| value(random)).collect();
            document.list_insert("items", at, values).unwrap();
        }
        4 | 5 => {
            let at = random.below(length + 1);
            let count = random.below(length - at + 1).min(1 + random.below(4));
            document.list_delete("items", at, count).unwrap();
        }
        6 if length > 0 => document.list_set("items", random.below(length), value(random)).unwrap(),
        7..=9 if random.chance(60) => document.set_add("tags", &Value::from(*random.pick(&tags))).unwrap(),
        7..=9 => document.set_remove("tags", &Value::from(*random.pick(&tags))).unwrap(),
        _ => document.counter_add("count", random.below(9) as i64 - 4).unwrap(),
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let replicas = (0..3 + random.below(2))
            .map(|index| {
                let mut document = Document::new();
                document.set_actor(Actor([5, 1 << 60, 3, 900][index]), 1);
                document.observe_changes(true);
                document.track_undo(Some(UndoOptions::default()));
                let unit = if index % 2 == 0 { Unit::Utf16 } else { Unit::Scalar };
                document.set_change_unit(unit);
                Replica { document, unit, shown: Shown::new() }
            })
            .collect();
        Self { random, replicas, log: Vec::new(), snapshots: Vec::new(), clock: 1000, hostile_next: 1 }
    }

    fn edit(&mut self, at: usize) {
        let random = &mut self.random;
        let Replica { document, unit, .. } = &mut self.replicas[at];
        let length = document.text("body").len_scalars();
        self.clock += random.below(3) as u64;
        let now = HybridTime::from_millis(self.clock - random.below(20) as u64);
        if random.chance(50) {
            document.undo_break();
        }
        match random.below(44) {
            12..=23 => edit_containers(random, document),
            24..=26 => drop(document.undo(now).unwrap()),
            27 => drop(document.redo(now).unwrap()),
            28..=43 => formats::edit(random, document, *unit, now),
            0..=4 => {
                // Mostly at one place, so that there is something to agree on.
                let position = if random.chance(60) { length / 2 } else { random.below(length + 1) };
                let text = random.text(5);
                document.insert("body", Position::Scalar(position), &text).unwrap();
            }
            5 => document
                .insert("body", Position::Utf16(random.below(document.text("body").len_utf16() + 1)), "x🙂y")
                .unwrap(),
            6..=8 => {
                let position = random.below(length + 1);
                let count = random.below(length - position + 1).min(1 + random.below(6));
                document.delete("body", Position::Scalar(position), count).unwrap();
            }
            9 => {
                // Backwards, as with the backspace key.
                for position in (length.saturating_sub(3)..length).rev() {
                    document.delete("body", Position::Scalar(position), 1).unwrap();
                }
            }
            10 => {
                let key = *random.pick(&["title", "done", "owner"]);
                let value = match random.below(4) {
                    0 => Value::Int(random.next() as i64),
                    1 => Value::Null,
                    2 => Value::Bytes(Bytes::from_static(b"\x00\xff")),
                    _ => Value::String(random.text(4)),
                };
                document.map_set("meta", key, value, now).unwrap();
            }
            _ => {
                let key = *random.pick(&["title", "done", "owner"]);
                document.map_delete("meta", key, now).unwrap();
            }
        }
        if random.chance(40) {
            self.publish(at);
        }
    }

    fn publish(&mut self, at: usize) {
        let batches = self.replicas[at].document.take_batches();
        for batch in &batches {
            batch.check(&Limits::STANDARD).unwrap();
            let mut bytes = Vec::new();
            batch.encode(&mut bytes);
            assert_eq!(bytes.len(), batch.encoded_len());
            assert_eq!(Batch::decode(&bytes.into()).as_ref(), Ok(batch));
        }
        self.log.extend(batches);
    }

    /// Well-formed nonsense by somebody who says anything about anything that is there.
    fn hostile(&mut self) {
        let held = self.version();
        let random = &mut self.random;
        let others: Vec<(Actor, u64)> =
            held.dots.iter().map(|(&actor, &last)| (actor, last)).filter(|&(actor, _)| actor != HOSTILE).collect();
        let first = self.hostile_next;
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        others.iter().for_each(|(actor, _)| out.uint(actor.0));
        let is_format = random.chance(40);
        out.str(if is_format {
            formats::TEXT
        } else {
            random.pick::<&str>(&["body", "other", "items", "tags", "count"])
        });
        let reference = |random: &mut Random, out: &mut Writer<'_>, none: bool| {
            if none && random.chance(20) || others.is_empty() && first == 1 {
                return out.nil();
            }
            if first > 1 && (others.is_empty() || random.chance(40)) {
                return out.uint(1 + random.below(first as usize - 1) as u64);
            }
            let index = random.below(others.len());
            out.array(2);
            out.uint(index as u64 + 1);
            out.uint(1 + random.below(others[index].1 as usize) as u64);
        };
        let mut count = 1;
        match random.below(12) {
            _ if is_format => formats::hostile(random, &others, &mut out),
            6..=8 => {
                out.array(5);
                out.uint(kind::LIST_INSERT);
                out.uint(1);
                reference(random, &mut out, true);
                reference(random, &mut out, true);
                value(random).write(&mut out);
            }
            9 => {
                out.array(3);
                out.uint(*random.pick(&[kind::LIST_DELETE, kind::SET_REMOVE]));
                out.uint(1);
                if first > 1 || !others.is_empty() {
                    reference(random, &mut out, false);
                } else {
                    return;
                }
            }
            10 => {
                out.array(4);
                out.uint(if first > 1 { *random.pick(&[kind::LIST_INSERT, kind::SET_ADD]) } else { kind::SET_ADD });
                out.uint(2);
                out.int(-5);
                out.str("b");
                count = 2;
            }
            11 => {
                out.array(3);
                out.uint(kind::COUNT);
                out.uint(1);
                out.int(random.below(5) as i64 - 2);
            }
            0..=3 => {
                let text = random.text(3);
                out.array(4);
                out.uint(kind::INSERT);
                reference(random, &mut out, true);
                reference(random, &mut out, true);
                out.str(&text);
                count = text.chars().count() as u32;
            }
            4 if first > 1 => {
                out.array(2);
                out.uint(kind::CONTINUE);
                out.str("w");
            }
            5 if first > 1 => {
                out.array(2);
                out.uint(kind::DELETE);
                reference(random, &mut out, false);
            }
            _ => {
                out.array(4);
                out.uint(kind::FIRST_UNKNOWN + 30);
                out.uint(3);
                out.str("of a later version");
                out.array(1);
                out.nil();
                count = 3;
            }
        }
        self.hostile_next += u64::from(count);
        let batch = Batch { actor: HOSTILE, first, count, operations: bytes.into() };
        let checked = batch.check(&Limits::STANDARD).unwrap();
        assert!(checked.is_covered_by(&held));
        self.log.push(batch);
    }

    /// What all that was published comes to.
    fn version(&self) -> VersionVector {
        self.log.iter().map(|batch| crate::Dot::new(batch.actor, batch.last())).collect()
    }

    fn deliver(&mut self, at: usize) {
        if self.log.is_empty() {
            return;
        }
        let batch = self.random.pick(&self.log).clone();
        self.replicas[at].document.apply(&batch).unwrap();
    }

    /// One replica takes from another, by a difference or the whole.
    fn sync(&mut self, at: usize, from: usize) {
        self.publish(from);
        let have = self.replicas[at].document.version().clone();
        let bytes = if self.random.chance(50) {
            self.replicas[from].document.difference(&have)
        } else {
            self.replicas[from].document.snapshot()
        };
        let snapshot = Snapshot::parse(bytes).unwrap();
        self.replicas[at].document.merge(&snapshot).unwrap();
    }

    /// An editor that follows the changes shows the text.
    fn follow(&mut self) {
        for Replica { document, unit, shown } in &mut self.replicas {
            document.take_changes().into_iter().for_each(|change| shown.follow(change, *unit));
            shown.check(document, *unit);
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
                11 if self.random.chance(50) => self.follow(),
                _ => self.deliver(at),
            }
            if self.random.chance(5) {
                self.publish(at);
                self.snapshots.push(Snapshot::parse(self.replicas[at].document.snapshot()).unwrap());
            }
        }
        for at in 0..self.replicas.len() {
            self.publish(at);
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

    fn settle(&mut self) {
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
}

fn entries(document: &Document) -> Vec<(String, Value)> {
    document.map_entries("meta").map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

fn converges(seed: u64, steps: usize, hostile: bool) {
    let mut history = History::new(seed);
    history.run(steps, hostile);
    history.settle();
    let mut formats = Formats::default();
    let causal = history.causal();
    causal.iter().for_each(|batch| formats.apply(batch));
    let expected = formats.shown();
    let model = &formats.all;
    let first = &history.replicas[0].document;
    let snapshot = first.snapshot();
    for Replica { document, .. } in &history.replicas {
        assert_eq!(document.version(), &model.version);
        assert_eq!(formats::shown(&document.text(formats::TEXT).to_delta(), Unit::Scalar), expected);
        for name in ["body", "other"] {
            let expected = model.texts.get(name).map_or_else(String::new, |text| text.items());
            let text = document.text(name);
            assert_eq!(text.to_string(), expected);
            assert_eq!(text.len_scalars(), expected.chars().count());
            assert_eq!(text.len_utf16(), expected.encode_utf16().count());
            assert_eq!(text.len_bytes(), expected.len());
        }
        assert_eq!(entries(document), entries(first));
        let items: Vec<Value> = model.lists.get("items").map_or_else(Vec::new, |list| list.items());
        assert!(document.list_values("items", 0).eq(&items));
        assert_eq!(document.list_len("items"), items.len());
        assert_eq!(items.last(), items.len().checked_sub(1).and_then(|last| document.list_get("items", last)));
        let tags = model.sets.get("tags").map_or_else(BTreeMap::new, ModelSet::members);
        assert!(document.set_members("tags").eq(tags.values().cloned()));
        let sum = model.counters.get("count").copied().unwrap_or(0);
        assert_eq!(i128::from(document.counter_value("count")), sum);
        assert_eq!(document.counter_state("count").map_or(0.into(), |state| state.read()), sum.into());
        if let Some(set) = model.sets.get("tags").filter(|_| !hostile) {
            let theirs: BTreeSet<Vec<u8>> = set.orswot.read().val.into_iter().collect();
            assert!(theirs.iter().eq(tags.keys()), "as crdts::Orswot has it");
        }
        assert_eq!(document.snapshot(), snapshot, "equal states have equal snapshots");
    }
    let expected: Vec<&String> = model
        .maps
        .get("meta")
        .into_iter()
        .flatten()
        .filter(|(_, (_, _, value))| value.is_some())
        .map(|(key, _)| key)
        .collect();
    assert_eq!(entries(first).iter().map(|(key, _)| key).collect::<Vec<_>>(), expected);
    assert_eq!(fold(None, &causal).unwrap(), snapshot);
    if !hostile {
        formats::contents_are_set(first);
    }
    differences(&causal, &snapshot, &mut history.random);
    merges(&history.snapshots, &mut history.random);
}

/// Two snapshots that are merged as they are encoded are what a document makes of them.
fn merges(snapshots: &[Snapshot], random: &mut Random) {
    for one in snapshots {
        let other = random.pick(snapshots);
        let merged = crate::snapshot::merge(one, other).unwrap();
        let mut document = Document::new();
        document.merge(one).unwrap();
        document.merge(other).unwrap();
        assert_eq!(merged, document.snapshot());
    }
}

/// For every prefix of a history, what its reader lacks is what it is sent.
fn differences(causal: &[Batch], whole: &Bytes, random: &mut Random) {
    let whole_snapshot = Snapshot::parse(whole.clone()).unwrap();
    let mut document = Document::new();
    for (index, batch) in causal.iter().enumerate() {
        let have = document.version().clone();
        let difference = Snapshot::parse(whole_snapshot.difference(&have).unwrap()).unwrap();
        let state = difference.state().unwrap();
        for range in &state.actors {
            assert_eq!(u64::from(range.base), have.get(&range.actor));
        }
        let mut reader = document.clone();
        reader.merge(&difference).unwrap();
        assert_eq!(reader.snapshot(), whole, "after {index} batches");
        // Taken apart and put together again, it is the same.
        assert_eq!(crate::snapshot::encode::encode(&state), *difference.bytes());
        // Onwards from what a snapshot made, as from what batches made.
        if random.chance(20) {
            let mut loaded = Document::new();
            loaded.merge(&Snapshot::parse(document.snapshot()).unwrap()).unwrap();
            assert_eq!(loaded.snapshot(), document.snapshot());
            document = loaded;
        }
        assert_ne!(document.apply(batch).unwrap(), Applied::Buffered);
    }
    assert_eq!(document.snapshot(), whole);
    let nothing = Snapshot::parse(whole_snapshot.difference(document.version()).unwrap()).unwrap();
    assert!(nothing.version().is_empty(), "nothing is missing");
}

#[test]
fn random_histories_converge() {
    for_seeds(1000, |seed| converges(seed, 60, false));
}

#[test]
fn long_histories_converge() {
    for_seeds(12, |seed| converges(seed, 400, false));
}

#[test]
fn nonsense_converges() {
    for_seeds(600, |seed| converges(seed, 80, true));
}

#[test]
fn flipped_bits() {
    let mut history = History::new(7);
    history.run(300, true);
    history.settle();
    let document = &mut history.replicas[0].document;
    document.clear_actor();
    let whole = document.snapshot();
    let content = &whole[13..];
    for_seeds(3000, |seed| {
        let mut random = Random(seed);
        let mut bytes = content.to_vec();
        // The formatting is behind the texts.
        let from = if random.chance(60) { bytes.len() / 2 } else { 0 };
        for _ in 0..1 + random.below(3) {
            let at = from + random.below(bytes.len() - from);
            bytes[at] ^= 1 << random.below(8);
        }
        let Ok(snapshot) = Snapshot::parse(crate::snapshot::with_header(&bytes).into()) else { return };
        let mut reader = Document::new();
        reader.observe_changes(true);
        reader.set_actor(Actor(1 << 40), 1);
        reader.insert("body", Position::Scalar(0), "some\ntext").unwrap();
        let before = reader.snapshot();
        if reader.merge(&snapshot).is_err() {
            assert_eq!(reader.snapshot(), before, "what is refused changes nothing");
        }
        let have = reader.version().clone();
        let _ = snapshot.difference(&have);
        let length = reader.text("body").len_scalars();
        reader.mark("body", Position::Scalar(0), length, "bold", Value::Bool(true), HybridTime(1)).unwrap();
        reader.delete("body", Position::Scalar(length / 3), length / 3).unwrap();
        reader.insert("body", Position::Scalar(length / 3), "on").unwrap();
        reader.text("body").to_delta();
        reader.take_changes();
        reader.snapshot();
    });
}
