//! One row of a document's log: what a batch of a few keystrokes is stored as.

use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Actor, Batch};
use inkwire_protocol::record::LogRecord;
use inkwire_storage::{Append, DocumentKey};

pub struct Row {
    document: u64,
    name: Arc<str>,
    counter: u64,
    operations: [u8; 48],
}

/// Documents lie scattered over the key space, as names do.
fn place(document: u64) -> u64 {
    document.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

pub fn document_name(document: u64) -> Arc<str> {
    format!("acme/notes/{:016x}", place(document)).into()
}

impl Row {
    /// The document's row with this counter; its bytes do not compress.
    pub fn new(document: u64, name: Arc<str>, counter: u64) -> Self {
        let mut operations = [0; 48];
        let mut state = place(document) ^ counter;
        for chunk in operations.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes());
        }
        Self { document, name, counter, operations }
    }

    /// Document, segment, actor, counter, digest.
    pub fn key(&self) -> [u8; 64] {
        let mut key = [0; 64];
        let numbers = [place(self.document), 7, place(!self.document), self.counter];
        for (bytes, number) in key.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_be_bytes());
        }
        key[32..].copy_from_slice(&self.operations[..32]);
        key
    }

    /// Arrival, time, count, subject, operations and a checksum.
    pub fn value(&self) -> [u8; 96] {
        let mut value = [7; 96];
        value[40..88].copy_from_slice(&self.operations);
        value
    }

    pub fn to_append(&self) -> Append {
        let batch = Batch {
            actor: Actor(place(!self.document)),
            first: self.counter,
            count: 1,
            operations: Bytes::copy_from_slice(&self.operations),
        };
        let record = LogRecord::new(batch, "someone@example.org".into(), 1_700_000_000_000);
        Append { document: DocumentKey::new(self.name.clone(), 0), record }
    }
}
