//! The application's edits, from the document to the outbox.

use inkwire_document::{Actor, Document, EditError, HybridTime};

use super::{EditRefused, Phase, Replica, Writer};
use crate::Chain;

/// A transaction is ended early when its edits take about this much: batches are split near 60 KiB anyway.
const MAX_TRANSACTION_BYTES: usize = 48 << 10;

impl Replica {
    /// Runs `edit` on the document and counts what it did. What it changed goes out at the next
    /// [`flush`](Self::flush).
    pub(crate) fn edit<R>(
        &mut self,
        time: HybridTime,
        edit: impl FnOnce(&mut Document, HybridTime) -> Result<R, EditError>,
    ) -> Result<R, EditRefused> {
        self.may_edit()?;
        self.become_writer();
        let time = time.max(self.latest_time.next());
        self.latest_time = time;
        let result = edit(&mut self.document, time);
        if self.transaction_bytes() > MAX_TRANSACTION_BYTES {
            self.end_transaction();
        }
        self.news.status = true;
        result.map_err(EditRefused::from)
    }

    fn may_edit(&self) -> Result<(), EditRefused> {
        if self.phase == Phase::Closed {
            return Err(EditRefused::Closed);
        }
        if self.shown.is_some() {
            return Err(EditRefused::NotReady);
        }
        // Before the first answer the role is not known, and editing may begin; the relay decides what becomes of it.
        let read_only = self.role.is_some_and(|role| !role.may_write() || self.writer.is_none());
        if read_only || !self.config.role.may_write() {
            return Err(EditRefused::ReadOnly);
        }
        let (bytes, limit) = (self.outbox_bytes(), self.config.outbox_bytes);
        if bytes >= limit {
            return Err(EditRefused::OutboxFull { bytes, limit });
        }
        Ok(())
    }

    /// A replica makes its own actor before its first edit or its first `Open`, whichever comes first, and claims it there:
    /// so edits that are made between the question and the answer have an author. One that never writes costs nobody
    /// anything.
    pub(super) fn become_writer(&mut self) {
        if self.writer.is_none() {
            let mut hasher = blake3::Hasher::new();
            hasher.update(self.name.as_bytes());
            hasher.update(&self.random.next_u64().to_le_bytes());
            hasher.update(&self.random.next_u64().to_le_bytes());
            // The first bytes of the digest; a reader of more of them would be a good part of what a page loads.
            let id = hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default();
            self.write_as(
                Writer { actor: Actor(u64::from_le_bytes(id)), ticket: None, agreed: 0 },
                1,
                Some(Chain::default()),
            );
        }
    }

    pub(super) fn write_as(&mut self, writer: Writer, next: u64, chain: Option<Chain>) {
        self.outbox.begin(next.saturating_sub(1), chain);
        self.document.set_actor(writer.actor, next);
        self.transaction_start = next;
        self.writer = Some(writer);
    }

    /// About how many bytes the open transaction will take: every counter may be a character of four bytes, every edit an
    /// operation of its own.
    pub(super) fn transaction_bytes(&self) -> usize {
        let edits = self.document.pending_edits();
        if edits == 0 {
            return 0;
        }
        let counters = self.document.next_counter().map_or(0, |next| next.saturating_sub(self.transaction_start));
        edits * 32 + counters as usize * 2
    }

    /// Ends the transaction. On a live lane its batches go out at once. While nothing can be sent it stays open until it
    /// is large, so that typing is coalesced.
    pub(crate) fn flush(&mut self) {
        let edits = self.document.pending_edits();
        let live = matches!(self.phase, Phase::Syncing | Phase::Live);
        if edits > 0 && (live || edits >= self.config.max_batch_edits) {
            self.end_transaction();
        }
    }

    pub(super) fn end_transaction(&mut self) {
        let edits = self.document.pending_edits() as u64;
        if edits == 0 {
            return;
        }
        let batches = self.document.take_batches();
        // Of several batches the last decides: an edit is durable when all of it is.
        let last = batches.len().wrapping_sub(1);
        if batches.is_empty() {
            self.outbox.count_edits(edits);
        }
        for (index, batch) in batches.into_iter().enumerate() {
            self.outbox.push(batch, if index == last { edits } else { 0 });
        }
        self.transaction_start = self.document.next_counter().unwrap_or(0);
        self.news.status = true;
    }
}
