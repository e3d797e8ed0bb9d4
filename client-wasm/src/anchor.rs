//! Positions that travel.

use inkwire_document::{Document, EditError};

/// The anchor of a UTF-16 position.
pub(crate) fn make(document: &Document, name: &str, at: usize) -> Result<String, EditError> {
    let length = document.text(name).len_utf16();
    if at > length {
        return Err(EditError::OutOfRange { position: at, length });
    }
    Ok(at.to_string())
}

/// Where an anchor is now.
pub(crate) fn find(document: &Document, name: &str, anchor: &str) -> Option<usize> {
    let length = document.text(name).len_utf16();
    anchor.parse().ok().map(|at: usize| at.min(length))
}
