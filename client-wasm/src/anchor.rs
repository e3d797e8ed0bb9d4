//! Positions that travel: an anchor as a short string, `actor:counter` in hexadecimal and decimal, `start` for the start.

use inkwire_document::{Actor, Anchor, Document, Dot, EditError, Position, Unit};

/// The anchor of a UTF-16 position.
pub(crate) fn make(document: &Document, name: &str, at: usize) -> Result<String, EditError> {
    Ok(match document.anchor(name, Position::Utf16(at))? {
        Anchor::After(Dot { actor: Actor(actor), counter }) => format!("{actor:x}:{counter}"),
        Anchor::Start => "start".to_owned(),
    })
}

/// Where an anchor is now; nothing where its character has not come, or for a string that is no anchor.
pub(crate) fn find(document: &Document, name: &str, anchor: &str) -> Option<usize> {
    let anchor = match anchor {
        "start" => Anchor::Start,
        _ => {
            let (actor, counter) = anchor.split_once(':')?;
            Anchor::After(Dot::new(Actor(u64::from_str_radix(actor, 16).ok()?), counter.parse().ok()?))
        }
    };
    document.anchored(name, anchor, Unit::Utf16)
}
