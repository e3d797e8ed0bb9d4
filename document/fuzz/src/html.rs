//! HTML and Markdown: whatever is read can be written and is read as it was written; no script comes out.

use inkwire_document::formatting::{html, markdown};

/// See the [module](self).
pub fn html(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for delta in [html::read(&text).ok(), markdown::read(&text).ok()].into_iter().flatten() {
        let written = html::write(&delta);
        assert!(!written.to_ascii_lowercase().contains("<script"));
        let again = html::read(&written).expect("what was written is not too large");
        assert_eq!(html::write(&again), written);
        let _ = markdown::read(&markdown::write(&delta));
    }
}
