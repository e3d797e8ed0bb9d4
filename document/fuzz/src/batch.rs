//! Batches in their stored form, several after a length each, onto a document that has something: what the check refuses
//! changes nothing, what it accepts applies, and both replicas agree whatever the order.

use bytes::Bytes;
use inkwire_document::{Actor, Applied, ApplyError, Batch, Document, Limits, Position, Snapshot};

thread_local! {
    /// What is there already: batches, and a replica that applied them.
    static WRITTEN: (Vec<Batch>, Document) = {
        let (mut written, mut applied) = (Document::new(), Document::new());
        written.set_actor(Actor(1), 1);
        written.insert("t", Position::Scalar(0), "abc🙂def").expect("an empty document takes text");
        written.delete("t", Position::Scalar(2), 2).expect("the text is longer");
        let start = written.take_batches();
        start.iter().for_each(|batch| assert_eq!(applied.apply(batch), Ok(Applied::New)));
        (start, applied)
    };
}

/// See the [module](self).
pub fn batch(data: &[u8]) {
    let (start, mut forwards) = WRITTEN.with(Clone::clone);
    let mut backwards = forwards.clone();
    let mut batches = Vec::new();
    let mut rest = Bytes::copy_from_slice(data);
    while !rest.is_empty() && batches.len() < 16 {
        let length = usize::from(rest[0]).min(rest.len() - 1);
        let bytes = rest.slice(1..1 + length);
        rest = rest.slice(1 + length..);
        let Ok(batch) = Batch::decode(&bytes) else { continue };
        match batch.check(&Limits::STANDARD) {
            Ok(_) => batches.push(batch),
            Err(error) => assert_eq!(forwards.apply(&batch), Err(ApplyError::Batch(error))),
        }
    }
    // One body for each operation: what two say under one dot is another matter.
    let mut seen: Vec<(Actor, u64, u64)> = Vec::new();
    batches.retain(|batch| {
        let is_new =
            seen.iter().all(|&(actor, first, last)| actor != batch.actor || batch.last() < first || batch.first > last);
        seen.push((batch.actor, batch.first, batch.last()));
        is_new && batch.actor != Actor(1)
    });
    for batch in &batches {
        forwards.apply(batch).expect("what passes the check applies");
    }
    for batch in batches.iter().rev() {
        backwards.apply(batch).expect("what passes the check applies");
    }
    assert_eq!(forwards.version(), backwards.version());
    assert_eq!(forwards.snapshot(), backwards.snapshot());
    let mut loaded = Document::new();
    let snapshot = Snapshot::parse(forwards.snapshot()).expect("what was encoded parses");
    loaded.merge(&snapshot).expect("what was encoded merges");
    assert_eq!(loaded.snapshot(), forwards.snapshot());
    for batch in start.iter().chain(&batches) {
        assert!(matches!(loaded.apply(batch), Ok(Applied::Duplicate | Applied::Buffered)));
    }
}
