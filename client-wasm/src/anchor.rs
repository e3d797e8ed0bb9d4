//! Positions that travel: an encoded anchor as a short string, its bytes in hexadecimal.

use inkwire_document::formatting::Side;
use inkwire_document::{Anchor, Document, EditError, Position, Unit};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The anchor of a UTF-16 position, with the character before it or else with the one after it.
pub(crate) fn make(document: &Document, name: &str, at: usize, before: bool) -> Result<String, EditError> {
    let side = if before { Side::Before } else { Side::After };
    let bytes = document.anchor_beside(name, Position::Utf16(at), side)?.to_bytes();
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    Ok(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
}

/// Where an anchor is now; nothing where its character has not come, or for a string that is no anchor.
pub(crate) fn find(document: &Document, name: &str, anchor: &str) -> Option<usize> {
    if anchor.len() > 64 {
        return None;
    }
    let half = |digit: &u8| DIGITS.iter().position(|other| other == digit);
    let bytes = anchor.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some((half(high)? << 4 | half(low)?) as u8),
        _ => None,
    });
    let anchor = Anchor::from_bytes(&bytes.collect::<Option<Vec<u8>>>()?).ok()?;
    document.anchored(name, anchor, Unit::Utf16)
}
