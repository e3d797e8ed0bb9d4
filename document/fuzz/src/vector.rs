//! Version vectors: whatever one says, the difference for it parses, holds together, and what it brings to the whole is nothing.

use bytes::Bytes;
use inkwire_document::{Actor, Document, HybridTime, Position, Snapshot, UndoOptions, Value, VersionVector};

/// A state of three actors with every container, deletions of one another's and formatting.
fn written() -> Bytes {
    let mut document = Document::new();
    document.track_undo(Some(UndoOptions::default()));
    for (round, actor) in [1, 2, 3, 1, 2].into_iter().enumerate() {
        let at = HybridTime(round as u64 + 1);
        document.set_actor(Actor(actor), document.version().get(&Actor(actor)) + 1);
        let length = document.text("t").len_scalars();
        document.insert("t", Position::Scalar(length / 2), "abc🙂\ndef").expect("within the text");
        document.delete("t", Position::Scalar(length / 3), 3).expect("within the text");
        document
            .mark("t", Position::Scalar(1), length / 2 + 3, "bold", Value::Bool(round % 2 == 0), at)
            .expect("within");
        document.set_block("t", Position::Scalar(0), 3, "header", Value::Int(round as i64), at).expect("within");
        document.list_insert("l", 0, vec![Value::Int(round as i64), Value::Null]).expect("within the list");
        document.list_delete("l", 1, 1).expect("within the list");
        document.map_set("m", "key", Value::Int(round as i64), at).expect("a small value");
        document.set_add("s", &Value::Int(round as i64 % 2)).expect("a small value");
        document.set_remove("s", &Value::Int((round as i64 + 1) % 2)).expect("a small value");
        document.counter_add("c", round as i64).expect("in range");
        // What is taken back alone.
        document.undo_break();
        document.delete("t", Position::Scalar(1), 2).expect("within the text");
        document.undo(at).expect("what was done can be taken back");
        document.undo_break();
    }
    document.snapshot()
}

thread_local! {
    static WRITTEN: (Snapshot, Document) = {
        let whole = Snapshot::parse(written()).expect("what was encoded parses");
        let mut document = Document::new();
        document.merge(&whole).expect("what was encoded merges");
        (whole, document)
    };
}

/// See the [module](self).
pub fn vector(data: &[u8]) {
    let mut have = VersionVector::new();
    for pair in data.chunks_exact(2).take(16) {
        // Mostly actors that wrote, and counters that they used.
        let counter = if pair[1] == 255 { u64::MAX } else { u64::from(pair[1]) };
        have.dots.insert(Actor(u64::from(pair[0] % 6)), counter);
    }
    WRITTEN.with(|(whole, written)| {
        let difference = whole.difference(&have).expect("the whole holds together");
        let difference = Snapshot::parse(difference).expect("what was encoded parses");
        assert_eq!(written.difference(&have), difference.bytes(), "with and without the text");
        let mut document = written.clone();
        document.merge(&difference).expect("what is held already merges");
        assert_eq!(document.snapshot(), whole.bytes(), "what is held already changes nothing");
        assert_eq!(document.version(), written.version());
    });
}
