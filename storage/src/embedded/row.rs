//! A row of the log as bytes, made once by the caller of `append` and then used by journal, memory and tables alike.

use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Actor, Batch};
use inkwire_protocol::record::{Digest, LogRecord};

use crate::contents::RowKey;
use crate::error::StoreError;
use crate::fields::{Fields, put_text};
use crate::store::{Append, DocumentKey};

/// The longest name or subject, and what two bytes of length can say.
const MAX_TEXT_BYTES: usize = u16::MAX as usize;

/// The most operations' bytes in one row; far above what the protocol lets through.
pub(super) const MAX_OPERATIONS_BYTES: usize = 16 << 20;

/// One row: which document and key it has, and its encoded body.
///
/// The body is `received u64 | count u32 | subject (u16 length, bytes) | operations`.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) document: DocumentKey,
    pub(super) key: RowKey,
    pub(super) body: Bytes,
}

impl Row {
    /// Encodes all of `records` into one piece of memory that the rows share.
    pub(super) fn encode_all(records: Vec<Append>) -> Result<Vec<Self>, StoreError> {
        let mut buffer = Vec::with_capacity(records.iter().map(|append| body_len(&append.record)).sum());
        let mut ends = Vec::with_capacity(records.len());
        for Append { document, record } in &records {
            check_size("a document's name", document.name.len(), MAX_TEXT_BYTES)?;
            check_size("a subject", record.subject.len(), MAX_TEXT_BYTES)?;
            check_size("a batch", record.batch.operations.len(), MAX_OPERATIONS_BYTES)?;
            buffer.extend_from_slice(&record.received_millis.to_le_bytes());
            buffer.extend_from_slice(&record.batch.count.to_le_bytes());
            put_text(&mut buffer, &record.subject);
            buffer.extend_from_slice(&record.batch.operations);
            ends.push(buffer.len());
        }
        let buffer = Bytes::from(buffer);
        let mut start = 0;
        Ok(records
            .into_iter()
            .zip(ends)
            .map(|(Append { document, record }, end)| {
                let body = buffer.slice(start..end);
                start = end;
                Self { document, key: RowKey::of(&record), body }
            })
            .collect())
    }

    /// Bytes that the row takes in a journal.
    pub(super) fn journal_len(&self) -> usize {
        ROW_HEAD_BYTES + self.document.name.len() + self.body.len()
    }

    /// Appends the journal's form: `length u32` of what follows, `incarnation u64 | name | actor u64 | first u64 |
    /// digest [32] | body`.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let length = self.journal_len() - 4;
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&self.document.incarnation.to_le_bytes());
        put_text(out, &self.document.name);
        out.extend_from_slice(&self.key.actor.0.to_le_bytes());
        out.extend_from_slice(&self.key.first.to_le_bytes());
        out.extend_from_slice(&self.key.digest.0);
        out.extend_from_slice(&self.body);
    }

    /// Reads the next row of a group's `bytes` at `*at`, and moves `*at` past it.
    pub(super) fn read(bytes: &Bytes, at: &mut usize) -> Option<Self> {
        let mut fields = Fields(bytes.get(*at..)?);
        let length = fields.u32()? as usize;
        let end = (*at + 4).checked_add(length)?;
        let mut fields = Fields(fields.take(length)?);
        let incarnation = fields.u64()?;
        let document = DocumentKey::new(fields.text()?, incarnation);
        let key = RowKey { actor: Actor(fields.u64()?), first: fields.u64()?, digest: Digest(fields.bytes32()?) };
        let body = bytes.slice(end - fields.0.len()..end);
        *at = end;
        Some(Self { document, key, body })
    }

    /// The record that was encoded, or `None` when the body is not one.
    pub(super) fn record(&self) -> Option<LogRecord> {
        decode_body(self.key, &self.body)
    }
}

/// What a row takes in a journal beside name and body.
const ROW_HEAD_BYTES: usize = 4 + 8 + 2 + 8 + 8 + 32;

/// Decodes a row's body.
pub(super) fn decode_body(key: RowKey, body: &Bytes) -> Option<LogRecord> {
    let mut fields = Fields(body);
    let received_millis = fields.u64()?;
    let count = fields.u32()?;
    let subject: Arc<str> = fields.text()?.into();
    let operations = body.slice(body.len() - fields.0.len()..);
    let batch = Batch { actor: key.actor, first: key.first, count, operations };
    Some(LogRecord { batch, subject, received_millis, digest: key.digest })
}

/// The last counter of the batch in a row's body.
pub(super) fn last_counter(first: u64, body: &[u8]) -> Option<u64> {
    let mut fields = Fields(body);
    fields.u64()?;
    let count = fields.u32()?;
    Some(first.saturating_add(u64::from(count)).saturating_sub(1))
}

fn body_len(record: &LogRecord) -> usize {
    8 + 4 + 2 + record.subject.len() + record.batch.operations.len()
}

fn check_size(what: &'static str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    if bytes > limit { Err(StoreError::TooLarge { what, bytes, limit }) } else { Ok(()) }
}
