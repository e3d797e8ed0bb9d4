use crop::Rope;
use serde::{Deserialize, Serialize};

use crate::measure::Replica;
use crate::trace::Edit;

/// It knows places, not characters: they are in a rope beside it, and its state is saved with the text. It counts bytes.
pub struct Cola {
    replica: cola::Replica,
    rope: Rope,
}

#[derive(Serialize, Deserialize)]
enum Operation {
    Insert(cola::Insertion, String),
    Delete(cola::Deletion),
}

impl Cola {
    fn byte(&self, position: usize) -> usize {
        if self.rope.byte_len() == self.rope.utf16_len() {
            position
        } else {
            self.rope.byte_of_utf16_code_unit(position)
        }
    }
}

impl Replica for Cola {
    fn new(author: u64) -> Self {
        // All fork off one.
        let replica = cola::Replica::new(u64::from(u32::MAX), 0).fork(author);
        Self { replica, rope: Rope::new() }
    }

    fn len(&self) -> usize {
        self.rope.utf16_len()
    }

    fn edit(&mut self, edits: &[Edit]) -> Vec<u8> {
        let mut operations = Vec::with_capacity(edits.len());
        for edit in edits {
            let at = self.byte(edit.position);
            if edit.deleted > 0 {
                let end = self.byte(edit.position + edit.deleted);
                self.rope.delete(at..end);
                operations.push(Operation::Delete(self.replica.deleted(at..end)));
            }
            if !edit.inserted.is_empty() {
                self.rope.insert(at, &edit.inserted);
                let insertion = self.replica.inserted(at, edit.inserted.len());
                operations.push(Operation::Insert(insertion, edit.inserted.clone()));
            }
        }
        postcard::to_stdvec(&operations).expect("what was edited")
    }

    fn apply(&mut self, update: &[u8]) {
        let operations: Vec<Operation> = postcard::from_bytes(update).expect("what was encoded");
        for operation in operations {
            match operation {
                Operation::Insert(insertion, text) => {
                    if let Some(at) = self.replica.integrate_insertion(&insertion) {
                        self.rope.insert(at, &text);
                    }
                }
                Operation::Delete(deletion) => {
                    let ranges = self.replica.integrate_deletion(&deletion);
                    ranges.into_iter().rev().for_each(|range| self.rope.delete(range));
                }
            }
        }
    }

    fn text(&self) -> String {
        self.rope.to_string()
    }

    fn save(&mut self) -> Vec<u8> {
        postcard::to_stdvec(&(self.replica.encode().as_bytes(), self.rope.to_string())).expect("what was edited")
    }

    fn load(bytes: &[u8]) -> Self {
        let (replica, text): (&[u8], &str) = postcard::from_bytes(bytes).expect("what was saved");
        let replica = cola::EncodedReplica::from_bytes(replica);
        let replica = cola::Replica::decode(u64::from(u16::MAX), &replica).expect("what was saved");
        Self { replica, rope: Rope::from(text) }
    }
}
