//! Snapshots with a checksum that fits: parsed, merged into an empty document and into one that has something, their
//! differences taken, and edited on.

use bytes::Bytes;
use inkwire_document::{Actor, Document, Dot, Position, Snapshot, VersionVector, snapshot};

thread_local! {
    /// A state of our own to merge with.
    static OWN: Snapshot = {
        let mut own = Document::new();
        own.set_actor(Actor(2), 1);
        own.insert("t", Position::Scalar(0), "what others have").expect("an empty document takes text");
        Snapshot::parse(own.snapshot()).expect("what was encoded parses")
    };
    /// A replica that something was written in.
    static WRITTEN: Document = {
        let mut written = Document::new();
        written.set_actor(Actor(1), 1);
        written.insert("t", Position::Scalar(0), "abc🙂def").expect("an empty document takes text");
        written
    };
}

/// See the [module](self).
pub fn snapshot(data: &[u8]) {
    let Ok(parsed) = Snapshot::parse(Bytes::from(snapshot::with_header(data))) else { return };
    let have: VersionVector = [Dot::new(Actor(1), 3)].into_iter().collect();
    if let Ok(difference) = parsed.difference(&have) {
        let again = Snapshot::parse(difference).expect("what was encoded parses");
        again.difference(&have).expect("what was encoded holds together");
    }
    if let Ok(merged) = OWN.with(|own| snapshot::merge(&parsed, own)) {
        Snapshot::parse(merged).expect("what was merged parses");
    }
    for mut document in [Document::new(), WRITTEN.with(Clone::clone)] {
        let before = document.clone();
        if document.merge(&parsed).is_err() {
            assert_eq!(document.snapshot(), before.snapshot(), "what is refused changes nothing");
            continue;
        }
        let names: Vec<String> = document.text_names().map(str::to_owned).collect();
        document.set_actor(Actor(1 << 40), 1);
        for name in &names {
            let length = document.text(name).len_scalars();
            let _ = document.insert(name, Position::Scalar(length / 2), "on");
            let _ = document.delete(name, Position::Scalar(length / 3), length / 2);
            assert_eq!(document.text(name).to_string().chars().count(), document.text(name).len_scalars());
        }
        document.snapshot();
    }
}
