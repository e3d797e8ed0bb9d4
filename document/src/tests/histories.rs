//! Replicas that edit, exchange, lose, repeat and reorder; and what must hold of them.

use bytes::Bytes;

use super::model::Model;
use super::random::{Random, for_seeds};
use crate::batch::operation::kind;
use crate::messagepack::Writer;
use crate::{
    Actor, Applied, Batch, Delta, Document, HybridTime, Limits, Position, Snapshot, TextDelta, Value, VersionVector,
    fold,
};

/// A replica and an editor that follows its changes.
struct Replica {
    document: Document,
    shown: Vec<u16>,
}

struct History {
    random: Random,
    replicas: Vec<Replica>,
    /// All batches in an order in which each comes after what it refers to.
    log: Vec<Batch>,
    clock: u64,
    hostile_next: u64,
}

const HOSTILE: Actor = Actor(77);

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let replicas = (0..2 + random.below(3))
            .map(|index| {
                let mut document = Document::new();
                document.set_actor(Actor([5, 1 << 60, 3, 900][index]), 1);
                document.observe_changes(true);
                Replica { document, shown: Vec::new() }
            })
            .collect();
        Self { random, replicas, log: Vec::new(), clock: 1000, hostile_next: 1 }
    }

    fn edit(&mut self, at: usize) {
        let random = &mut self.random;
        let document = &mut self.replicas[at].document;
        let length = document.text("body").len_scalars();
        self.clock += random.below(3) as u64;
        let now = HybridTime::from_millis(self.clock - random.below(20) as u64);
        match random.below(12) {
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
        out.str(if random.chance(50) { "body" } else { "other" });
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
        match random.below(6) {
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
                out.uint(9);
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
        for Replica { document, shown } in &mut self.replicas {
            for change in document.take_changes() {
                let Delta::Text(steps) = change.delta else { continue };
                if change.root != "body" {
                    continue;
                }
                let mut at = 0;
                for step in steps {
                    match step {
                        TextDelta::Retain(count) => at += count,
                        TextDelta::Delete(count) => drop(shown.drain(at..at + count)),
                        TextDelta::Insert(text) => {
                            let units: Vec<u16> = text.encode_utf16().collect();
                            shown.splice(at..at, units.iter().copied());
                            at += units.len();
                        }
                    }
                }
            }
            assert_eq!(String::from_utf16(shown).unwrap(), document.text("body").to_string());
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
                _ => self.deliver(at),
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
    let mut model = Model::default();
    let causal = history.causal();
    causal.iter().for_each(|batch| model.apply(batch));
    let first = &history.replicas[0].document;
    let snapshot = first.snapshot();
    for Replica { document, .. } in &history.replicas {
        assert_eq!(document.version(), &model.version);
        for name in ["body", "other"] {
            let expected = model.texts.get(name).map_or_else(String::new, |text| text.text());
            let text = document.text(name);
            assert_eq!(text.to_string(), expected);
            assert_eq!(text.len_scalars(), expected.chars().count());
            assert_eq!(text.len_utf16(), expected.encode_utf16().count());
            assert_eq!(text.len_bytes(), expected.len());
        }
        assert_eq!(entries(document), entries(first));
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
    differences(&causal, &snapshot, &mut history.random);
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
    for_seeds(400, |seed| converges(seed, 60, false));
}

#[test]
fn long_histories_converge() {
    for_seeds(12, |seed| converges(seed, 500, false));
}

#[test]
fn nonsense_converges() {
    for_seeds(400, |seed| converges(seed, 80, true));
}
