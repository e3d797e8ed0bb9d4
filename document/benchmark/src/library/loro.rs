use loro::{ExportMode, LoroDoc, LoroText};

use crate::measure::Replica;
use crate::trace::Edit;

/// Its updates and snapshots.
pub struct Loro {
    doc: LoroDoc,
    text: LoroText,
}

impl Loro {
    fn of(doc: LoroDoc) -> Self {
        let text = doc.get_text("t");
        Self { doc, text }
    }
}

impl Replica for Loro {
    fn new(author: u64) -> Self {
        let doc = LoroDoc::new();
        doc.set_peer_id(author).expect("no edit is open");
        Self::of(doc)
    }

    fn len(&self) -> usize {
        self.text.len_unicode()
    }

    fn edit(&mut self, edits: &[Edit]) -> Vec<u8> {
        let before = self.doc.oplog_vv();
        for edit in edits {
            if edit.deleted > 0 {
                self.text.delete(edit.position, edit.deleted).expect("the edit fits the text");
            }
            if !edit.inserted.is_empty() {
                self.text.insert(edit.position, &edit.inserted).expect("the edit fits the text");
            }
        }
        self.doc.commit();
        self.doc.export(ExportMode::updates(&before)).expect("what was edited")
    }

    fn apply(&mut self, update: &[u8]) {
        self.doc.import(update).expect("what was encoded");
    }

    fn text(&self) -> String {
        self.text.to_string()
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.export(ExportMode::Snapshot).expect("what was edited")
    }

    fn load(bytes: &[u8]) -> Self {
        Self::of(LoroDoc::from_snapshot(bytes).expect("what was encoded"))
    }
}
