use std::time::{Duration, Instant};

use yrs::updates::decoder::Decode as _;
use yrs::updates::encoder::Encode as _;
use yrs::{
    Doc, GetString as _, OffsetKind, Options, ReadTxn as _, StateVector, Text as _, TextRef, Transact as _, Update,
};

use crate::measure::Replica;
use crate::trace::Edit;

/// Updates and states in version 1 of its encoding. It counts UTF-16 units, which are scalars in all but rare text.
pub struct Yrs {
    doc: Doc,
    text: TextRef,
}

impl Replica for Yrs {
    fn new(author: u64) -> Self {
        let mut options = Options::default();
        options.client_id = yrs::ClientID::new(author);
        options.offset_kind = OffsetKind::Utf16;
        let doc = Doc::with_options(options);
        let text = doc.get_or_insert_text("t");
        Self { doc, text }
    }

    fn len(&self) -> usize {
        self.text.len(&self.doc.transact()) as usize
    }

    fn edit(&mut self, edits: &[Edit]) -> Vec<u8> {
        let mut transaction = self.doc.transact_mut();
        for edit in edits {
            if edit.deleted > 0 {
                self.text.remove_range(&mut transaction, edit.position as u32, edit.deleted as u32);
            }
            if !edit.inserted.is_empty() {
                self.text.insert(&mut transaction, edit.position as u32, &edit.inserted);
            }
        }
        transaction.encode_update_v1()
    }

    fn apply(&mut self, update: &[u8]) {
        let update = Update::decode_v1(update).expect("what was encoded");
        self.doc.transact_mut().apply_update(update).expect("what was encoded");
    }

    fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    fn save(&mut self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    fn load(bytes: &[u8]) -> Self {
        let mut replica = Self::new(u64::from(u16::MAX));
        replica.apply(bytes);
        replica
    }

    fn merge(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
        yrs::merge_updates_v1([one, other]).ok()
    }

    fn difference(whole: &[u8], held: &[u8]) -> Option<(Vec<u8>, Duration)> {
        let held = Update::decode_v1(held).expect("what was encoded").state_vector().encode_v1();
        let start = Instant::now();
        let difference = yrs::diff_updates_v1(whole, &held).ok()?;
        Some((difference, start.elapsed()))
    }
}
