//! Anchors: what is read is written as it was, and resolving one that means nothing is nothing.

use inkwire_document::{Actor, Anchor, Document, Position, Unit};

thread_local! {
    static WRITTEN: Document = {
        let mut document = Document::new();
        document.set_actor(Actor(1), 1);
        document.insert("t", Position::Scalar(0), "abc🙂def").expect("an empty document takes text");
        document.delete("t", Position::Scalar(2), 2).expect("the text is longer");
        document
    };
}

/// See the [module](self).
pub fn anchor(data: &[u8]) {
    let Ok(anchor) = Anchor::from_bytes(data) else { return };
    assert_eq!(Anchor::from_bytes(&anchor.to_bytes()), Ok(anchor));
    WRITTEN.with(|document| {
        if let Some(at) = document.anchored("t", anchor, Unit::Utf16) {
            assert!(at <= document.text("t").len_utf16());
        }
    });
}
