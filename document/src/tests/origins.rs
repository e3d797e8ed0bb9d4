//! Inserts between any two characters there are: those that were never neighbours, the later one first, one twice, one that
//! is deleted, one of another text, what is no character. What the check lets through comes to one text, whoever takes what first.

use bytes::Bytes;

use super::model::Model;
use super::random::{Random, for_seeds};
use crate::batch::operation::kind;
use crate::messagepack::Writer;
use crate::{Actor, Applied, Batch, Document, Limits, Snapshot, VersionVector, fold};

const ACTORS: [Actor; 5] = [Actor(5), Actor(1 << 60), Actor(3), Actor(900), Actor(77)];

/// Writers, each of whom holds a part of the log that lacks nothing of what it refers to.
struct Writers {
    random: Random,
    log: Vec<Batch>,
    held: Vec<VersionVector>,
}

impl Writers {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let count = 2 + random.below(ACTORS.len() - 1);
        Self { random, log: Vec::new(), held: vec![VersionVector::new(); count] }
    }

    /// Reads some of what may come next.
    fn read(&mut self, at: usize) {
        let percent = *self.random.pick(&[20, 60, 100]);
        for batch in &self.log {
            if may_come(batch, &self.held[at]) && self.random.chance(percent) {
                self.held[at].dots.insert(batch.actor, batch.last());
            }
        }
    }

    /// Any dot that the writer holds, mostly a late one; of its own also those of the batch that is being written.
    fn reference(&mut self, own: u64, others: &[(Actor, u64)], out: &mut Writer<'_>) {
        let random = &mut self.random;
        let some = usize::from(own > 1) + others.len();
        if some == 0 || random.chance(15) {
            return out.nil();
        }
        let late = |random: &mut Random, last: u64| {
            let reach = if random.chance(50) { last.min(4) } else { last };
            last - random.below(reach as usize) as u64
        };
        let index = random.below(some);
        match others.get(index) {
            Some((_, last)) => {
                out.array(2);
                out.uint(index as u64 + 1);
                out.uint(late(random, *last));
            }
            None => out.uint(own - late(random, own - 1)),
        }
    }

    /// Dots that the writer holds, of which some may be no characters.
    fn range(&mut self, own: u64, others: &[(Actor, u64)], out: &mut Writer<'_>) {
        let random = &mut self.random;
        let index = random.below(usize::from(own > 1) + others.len());
        let last = others.get(index).map_or(own - 1, |(_, last)| *last);
        let from = 1 + random.below(last as usize) as u64;
        match others.get(index) {
            Some(_) => {
                out.array(2);
                out.uint(index as u64 + 1);
                out.uint(from);
            }
            None => out.uint(own - from),
        }
        out.uint(1 + random.below((last + 1 - from).min(12) as usize) as u64);
    }

    fn write(&mut self, at: usize) {
        let actor = ACTORS[at];
        let first = self.held[at].get(&actor) + 1;
        let others: Vec<(Actor, u64)> =
            self.held[at].dots.iter().map(|(&actor, &last)| (actor, last)).filter(|(of, _)| *of != actor).collect();
        let mut bytes = Vec::new();
        let mut out = Writer(&mut bytes);
        others.iter().for_each(|(actor, _)| out.uint(actor.0));
        let mut next = first;
        for _ in 0..1 + self.random.below(3) {
            out.str(if self.random.chance(93) { "body" } else { "other" });
            let letters = char::from(b'a' + at as u8).to_string().repeat(1 + self.random.below(3));
            match self.random.below(10) {
                0 | 1 if next > 1 => {
                    out.array(2);
                    out.uint(kind::CONTINUE);
                    out.str(&letters);
                    next += letters.len() as u64;
                }
                2 if next > 1 || !others.is_empty() => {
                    out.array(3);
                    out.uint(kind::DELETE);
                    self.range(next, &others, &mut out);
                    next += 1;
                }
                _ => {
                    out.array(4);
                    out.uint(kind::INSERT);
                    self.reference(next, &others, &mut out);
                    self.reference(next, &others, &mut out);
                    out.str(&letters);
                    next += letters.len() as u64;
                }
            }
        }
        let batch = Batch { actor, first, count: (next - first) as u32, operations: bytes.into() };
        assert!(batch.check(&Limits::STANDARD).unwrap().is_covered_by(&self.held[at]));
        self.held[at].dots.insert(actor, batch.last());
        self.log.push(batch);
    }

    /// Another order in which each comes after what it refers to.
    fn order(&mut self) -> Vec<Batch> {
        let mut left = self.log.clone();
        self.random.shuffle(&mut left);
        let (mut version, mut ordered) = (VersionVector::new(), Vec::new());
        while let Some(index) = left.iter().position(|batch| may_come(batch, &version)) {
            let batch = left.remove(index);
            version.dots.insert(batch.actor, batch.last());
            ordered.push(batch);
        }
        assert!(left.is_empty(), "the log has no gaps");
        ordered
    }
}

fn may_come(batch: &Batch, version: &VersionVector) -> bool {
    version.get(&batch.actor) + 1 == batch.first && batch.check(&Limits::STANDARD).unwrap().is_covered_by(version)
}

fn loaded(bytes: Bytes) -> Document {
    let mut document = Document::new();
    document.merge(&Snapshot::parse(bytes).unwrap()).unwrap();
    document
}

fn converges(seed: u64, steps: usize) {
    let mut writers = Writers::new(seed);
    for _ in 0..steps {
        let at = writers.random.below(writers.held.len());
        if writers.random.chance(40) {
            writers.read(at);
        }
        writers.write(at);
    }
    let mut model = Model::default();
    writers.log.iter().for_each(|batch| model.apply(batch));
    let whole = fold(None, &writers.log).unwrap();
    let (mut parts, mut documents) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let mut document = Document::new();
        for batch in writers.order() {
            assert_eq!(document.apply(&batch), Ok(Applied::New));
            if writers.random.chance(8) {
                parts.push(document.clone());
            }
            // Onwards from a snapshot, as it may be after a restart.
            if round % 2 == 1 && writers.random.chance(15) {
                document = loaded(document.snapshot());
            }
        }
        documents.push(document);
    }
    // Those that hold a part take from one another, and then the rest.
    for _ in 0..parts.len().min(6) {
        let (one, other) = (writers.random.pick(&parts).clone(), writers.random.pick(&parts).clone());
        let mut joined = one.clone();
        let bytes = if writers.random.chance(50) { other.difference(one.version()) } else { other.snapshot() };
        joined.merge(&Snapshot::parse(bytes).unwrap()).unwrap();
        let (one, other) = (Snapshot::parse(one.snapshot()).unwrap(), Snapshot::parse(other.snapshot()).unwrap());
        assert_eq!(crate::snapshot::merge(&one, &other).unwrap(), joined.snapshot());
        for batch in writers.order() {
            assert_ne!(joined.apply(&batch), Ok(Applied::Buffered));
        }
        documents.push(joined);
    }
    for document in &documents {
        for name in ["body", "other"] {
            let expected = model.texts.get(name).map_or_else(String::new, |text| text.items());
            assert_eq!(document.text(name).to_string(), expected);
        }
        assert_eq!(document.snapshot(), whole, "equal states have equal snapshots");
    }
}

#[test]
fn any_origins_converge() {
    for_seeds(600, |seed| converges(seed, 25));
}

#[test]
fn many_of_any_origins_converge() {
    for_seeds(25, |seed| converges(seed, 150));
}
