//! Copies of batches that members send as datagrams.

use inkwire_document::Batch;

use super::accept::origin_of;
use super::member::MAX_QUEUED_FRAMES;
use super::tail::ENTRY_OVERHEAD;
use super::{Clock, MemberId, Room};
use crate::copies::CopyFate;
use crate::record::Digest;

impl Room {
    /// A copy of a member's own batch. It is taken only if it is exactly what comes next; nothing is said of what is wrong with it,
    /// because the lane brings the same bytes and is answered.
    pub(super) fn receive_copy(&mut self, clock: Clock, id: MemberId, batch: Batch) -> CopyFate {
        let Some(member) = self.members.get(&id) else { return CopyFate::Passed };
        let actor = batch.actor;
        let may_write = member.lease == Some(actor) && member.role.may_write() && !member.retired.contains(&actor);
        let answers = member.queue.len() <= MAX_QUEUED_FRAMES;
        if !may_write || !answers || self.paused || self.closing.is_some() || self.durability.is_starved(id) {
            return CopyFate::Passed;
        }
        let held = self.actors.held(actor);
        if batch.last() <= held {
            return CopyFate::Late;
        }
        let cost = batch.operations.len() + ENTRY_OVERHEAD;
        let waiting = self.durability.bytes();
        if batch.first != held + 1 || waiting > 0 && waiting + cost > self.config.undurable_bytes {
            return CopyFate::Passed;
        }
        let digest = Digest::of(&batch.operations);
        let subject = member.subject.clone();
        let Ok(checked) = self.examine(Some(clock), &batch, &digest, &subject) else { return CopyFate::Passed };
        self.accept(clock, origin_of(&checked, id), batch, digest, subject, &checked);
        self.acknowledge(id);
        self.retry_waiting(clock);
        CopyFate::First
    }
}
