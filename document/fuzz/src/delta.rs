//! Deltas as JSON, applied one after another: what does not fit changes nothing, what fits is the same for another replica,
//! and what a text shows sets the contents of another.

use inkwire_document::formatting::json;
use inkwire_document::{Actor, Document, HybridTime, Unit};

/// See the [module](self).
pub fn delta(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (mut one, mut two) = (Document::new(), Document::new());
    one.set_actor(Actor(1), 1);
    for line in text.lines().take(16) {
        let Ok(delta) = json::read(line) else { continue };
        assert_eq!(json::read(&json::write(&delta)).as_ref(), Ok(&delta));
        let before = one.text("t").to_delta();
        if one.apply_delta("t", &delta, Unit::Utf16, HybridTime(1)).is_err() {
            assert_eq!(one.text("t").to_delta(), before, "what is refused changes nothing");
        }
    }
    for batch in one.take_batches() {
        two.apply(&batch).expect("what was edited applies");
    }
    assert_eq!(two.snapshot(), one.snapshot());
    let contents = two.text("t").to_delta();
    two.set_actor(Actor(2), 1);
    two.set_contents("other", &contents, HybridTime(1)).expect("contents are inserts");
    assert_eq!(two.text("other").to_delta(), contents);
}
