use automerge::transaction::Transactable as _;
use automerge::{ActorId, AutoCommit, ObjId, ObjType, ROOT, ReadDoc as _};

use crate::measure::Replica;
use crate::trace::Edit;

/// Updates are what `save_incremental` gives. Every replica starts from one saved state that has the text.
pub struct Automerge {
    doc: AutoCommit,
    text: ObjId,
}

impl Automerge {
    fn of(doc: AutoCommit) -> Self {
        let (_, text) = doc.get(ROOT, "t").expect("a map").expect("the text");
        Self { doc, text }
    }
}

impl Replica for Automerge {
    fn new(author: u64) -> Self {
        let mut start = AutoCommit::new().with_actor(ActorId::from([0]));
        start.put_object(ROOT, "t", ObjType::Text).expect("a map");
        let mut doc = AutoCommit::load(&start.save()).expect("what was saved");
        doc.set_actor(ActorId::from(&author.to_be_bytes()[..]));
        doc.save_incremental();
        Self::of(doc)
    }

    fn len(&self) -> usize {
        self.doc.length(&self.text)
    }

    fn edit(&mut self, edits: &[Edit]) -> Vec<u8> {
        for edit in edits {
            let deleted = edit.deleted as isize;
            self.doc.splice_text(&self.text, edit.position, deleted, &edit.inserted).expect("the edit fits the text");
        }
        self.doc.commit();
        self.doc.save_incremental()
    }

    fn apply(&mut self, update: &[u8]) {
        self.doc.load_incremental(update).expect("what was encoded");
    }

    fn text(&self) -> String {
        self.doc.text(&self.text).expect("a text")
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.save()
    }

    fn load(bytes: &[u8]) -> Self {
        Self::of(AutoCommit::load(bytes).expect("what was encoded"))
    }
}
