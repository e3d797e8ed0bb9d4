//! What a replica has to send: nothing is queued, each frame is made when the connection takes it.

use std::time::Duration;

use inkwire_document::Batch;

use super::outbox::Own;
use super::{Phase, Replica};
use crate::frame::{self, Channel, Claim, Frame, Options};
use crate::vectors::split_open;

impl Replica {
    /// The next frame for the document's lane: `Open`, after what it needs of frames before it, then others' batches that the relay lacks, then own ones.
    pub(crate) fn poll_frame(&mut self, channel: Channel) -> Option<Frame> {
        match self.phase {
            Phase::Opening => {
                // Edits may come before the answer does: from here on it is settled who makes them.
                if self.role.is_none() && self.config.role.may_write() && self.shown.is_none() {
                    self.become_writer();
                }
                if self.opening.is_empty() {
                    let open = self.open_frame(channel);
                    self.claimed = open.claim.as_ref().map(|claim| claim.last);
                    let seen = self.retained.doubt(&open.vector);
                    // Two of a vector's entries are longer than one of these.
                    let parts = seen.chunks((self.config.vector_entries / 2).max(1));
                    let parts = parts.map(|batches| frame::Seen { batches: batches.to_vec() }.into());
                    self.opening = parts.chain(split_open(open, self.config.vector_entries)).collect();
                }
                let frame = self.opening.pop_front();
                if self.opening.is_empty() {
                    self.phase = Phase::Opened;
                }
                self.lane_open = true;
                frame
            }
            Phase::Syncing | Phase::Live => self.poll_batch(),
            Phase::Offline | Phase::Opened | Phase::Closed => None,
        }
    }

    fn poll_batch(&mut self) -> Option<Frame> {
        let own_first = self.config.sabotage().own_before_offers && self.outbox.unsent_edits() > 0;
        if let Some(offer) = if own_first { None } else { self.retained.next_offer() } {
            let (batch, receipt) = offer.into_parts();
            self.hold(&batch);
            return Some(frame::Offer::new(batch, receipt).into());
        }
        let Own { batch, receipt, .. } = self.outbox.send()?;
        let (batch, receipt) = (batch.clone(), receipt.clone());
        self.news.status = true;
        if self.sealed.is_some() {
            self.hold(&batch);
        }
        // A relay that took it once takes it again, whatever its clock says now.
        Some(match receipt {
            Some(receipt) => frame::Offer::new(batch, receipt).into(),
            None => frame::Batch::new(batch, None).into(),
        })
    }

    /// A replica that was rebuilt lacks what only it can bring back, and the relay sends neither an offer nor a batch to the
    /// one who brought it.
    fn hold(&mut self, batch: &Batch) {
        if self.document.version().get(&batch.actor) < batch.first {
            // It passed the check when it came; if the buffer for what is early is full, the next lane brings it.
            self.news.changed |= self.document.apply(batch).is_ok();
        }
    }

    /// The counter that the writer goes on at.
    pub(super) fn next_counter(&self) -> u64 {
        self.sealed.map(|last| last + 1).or_else(|| self.document.next_counter()).unwrap_or(1)
    }

    fn open_frame(&self, channel: Channel) -> frame::Open {
        let claim = self.writer.as_ref().map(|writer| Claim {
            actor: writer.actor,
            last: self.next_counter().saturating_sub(1),
            ticket: writer.ticket.clone(),
        });
        frame::Open {
            channel,
            document: self.name.clone(),
            incarnation: self.incarnation,
            vector: self.document.version().clone(),
            durable: if self.config.sabotage().claim_nothing_durable {
                inkwire_document::VersionVector::new()
            } else {
                self.durable.clone()
            },
            role: self.config.role,
            claim,
            options: Options::default(),
        }
    }

    /// The own presence, when it is due: for a datagram where there are some, else for the lane.
    /// `sequence` is the last that the session has used.
    pub(crate) fn poll_presence(&mut self, now: Duration, sequence: &mut u32) -> Option<frame::Presence> {
        self.news.presence |= self.presence.expire(now);
        matches!(self.phase, Phase::Syncing | Phase::Live).then(|| self.presence.poll(now, sequence)).flatten()
    }

    /// When presence is due.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        matches!(self.phase, Phase::Syncing | Phase::Live).then(|| self.presence.due()).flatten()
    }
}
