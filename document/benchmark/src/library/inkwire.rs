use std::time::{Duration, Instant};

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, Position, Snapshot, snapshot};

use crate::measure::Replica;
use crate::trace::Edit;

const ROOT: &str = "t";

/// The document of this project. An update is a batch in its stored form, or a snapshot.
pub struct Inkwire(Document);

impl Replica for Inkwire {
    fn new(author: u64) -> Self {
        let mut document = Document::new();
        document.set_actor(Actor(author), 1);
        Self(document)
    }

    fn len(&self) -> usize {
        self.0.text(ROOT).len_scalars()
    }

    fn edit(&mut self, edits: &[Edit]) -> Vec<u8> {
        for edit in edits {
            let at = Position::Scalar(edit.position);
            if edit.deleted > 0 {
                self.0.delete(ROOT, at, edit.deleted).expect("the edit fits the text");
            }
            if !edit.inserted.is_empty() {
                self.0.insert(ROOT, at, &edit.inserted).expect("the edit fits the text");
            }
        }
        let batches = self.0.take_batches();
        let mut update = Vec::with_capacity(batches.first().map_or(0, Batch::encoded_len));
        batches.iter().for_each(|batch| batch.encode(&mut update));
        update
    }

    fn apply(&mut self, update: &[u8]) {
        if update.starts_with(b"IKWS") {
            let snapshot = Snapshot::parse(Bytes::copy_from_slice(update)).expect("what was encoded");
            return self.0.merge(&snapshot).expect("what was encoded");
        }
        if !update.is_empty() {
            let batch = Batch::decode(&Bytes::copy_from_slice(update)).expect("what was encoded");
            self.0.apply(&batch).expect("what was encoded");
        }
    }

    fn text(&self) -> String {
        self.0.text(ROOT).to_string()
    }

    fn save(&mut self) -> Vec<u8> {
        self.0.snapshot().to_vec()
    }

    fn load(bytes: &[u8]) -> Self {
        let snapshot = Snapshot::parse(Bytes::copy_from_slice(bytes)).expect("what was encoded");
        let mut document = Document::new();
        document.merge(&snapshot).expect("what was encoded");
        Self(document)
    }

    fn merge(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
        let parse = |bytes: &[u8]| Snapshot::parse(Bytes::copy_from_slice(bytes)).expect("what was encoded");
        Some(snapshot::merge(&parse(one), &parse(other)).expect("what was encoded").to_vec())
    }

    fn difference(whole: &[u8], held: &[u8]) -> Option<(Vec<u8>, Duration)> {
        let held = Snapshot::parse(Bytes::copy_from_slice(held)).expect("what was encoded");
        let start = Instant::now();
        let whole = Snapshot::parse(Bytes::copy_from_slice(whole)).expect("what was encoded");
        let difference = whole.difference(held.version()).expect("what was encoded");
        Some((difference.to_vec(), start.elapsed()))
    }
}
