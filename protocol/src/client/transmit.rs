//! Bytes for the transport, made when it takes them.

use std::mem;
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use super::session::Connection;
use super::{Client, ClientConfig, DocumentId, Lanes, Now, OpenDocument, Transmit};
use crate::Channel;
use crate::frame::Frame;
use crate::wire::{self, MessageBuilder};

impl Client {
    /// The next thing for the transport. Poll while the transport is writable: what is not polled stays where it is, and
    /// own edits keep being bounded by the outbox.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Transmit> {
        self.advance(now);
        let lanes = self.connection.lanes()?;
        if let Some(transmit) = self.lane_changes.pop_front() {
            return Some(transmit);
        }
        if let Some(frame) = self.control.pop_front() {
            return Some(pack_one(lanes, Channel::CONTROL, &frame));
        }
        if let Connection::Ending { code, reason, again, .. } = &mut self.connection {
            let (code, reason, again) = (*code, mem::take(reason), *again);
            self.ended(again);
            return Some(Transmit::Disconnect { code, reason });
        }
        self.connection.session()?;
        self.poll_documents(lanes)
    }

    /// The stream of a lane takes nothing more for now, or takes more again. Until then its document's frames stay where they are,
    /// and those of other lanes go on. The control lane is never full: what waits for it is little. A new lane begins empty.
    pub fn set_lane_full(&mut self, channel: Channel, full: bool) {
        let document = self.lanes.get(&channel).map(|lane| lane.document);
        if let Some(document) = document.and_then(|id| self.documents.get_mut(&id)) {
            document.full = full;
        }
    }

    /// Documents take turns.
    fn poll_documents(&mut self, lanes: Lanes) -> Option<Transmit> {
        let (now, config, copies) = (self.now, &self.config, self.copies.sending(&self.config, self.now));
        let (sent, sequence) = (&mut self.copies.counts.sent, &mut self.presence_sequence);
        let mut poll = |(id, document): (&DocumentId, &mut OpenDocument)| {
            if let Some(copy) = document.copies.poll(now) {
                *sent += 1;
                return Some((*id, Transmit::Datagram(copy)));
            }
            poll_document(document, now, lanes, config, copies, sequence).map(|transmit| (*id, transmit))
        };
        let later = (Bound::Excluded(self.turn), Bound::Unbounded);
        let found = self.documents.range_mut(later).find_map(&mut poll);
        let found = found.or_else(|| self.documents.range_mut(..=self.turn).find_map(&mut poll));
        let (id, transmit) = found?;
        self.turn = id;
        Some(transmit)
    }
}

/// What one document has to send: presence, which is paced, else as many frames as fit.
fn poll_document(
    document: &mut OpenDocument,
    now: Duration,
    lanes: Lanes,
    config: &ClientConfig,
    copies: bool,
    sequence: &mut u32,
) -> Option<Transmit> {
    let channel = document.lane?;
    if let Some(presence) = document.replica.poll_presence(now, sequence) {
        let frame = Frame::from(presence).encode();
        let datagram = match lanes {
            Lanes::Streams => wire::encode_datagram(channel, &frame),
            Lanes::Messages => None,
        };
        return Some(datagram.map_or_else(|| pack_one(lanes, channel, &frame), Transmit::Datagram));
    }
    if document.full {
        return None;
    }
    let mut frames = std::iter::from_fn(|| document.replica.poll_frame(channel));
    match lanes {
        Lanes::Streams => {
            let queue = &mut document.copies;
            let copy = |frame: &[u8]| {
                if copies {
                    queue.note(now, channel, frame);
                }
            };
            pack_stream(&mut frames, channel, config.transmit_bytes, copy)
        }
        Lanes::Messages => pack_message(&mut frames, channel, config.transmit_bytes),
    }
}

fn pack_stream(
    frames: &mut dyn Iterator<Item = Frame>,
    channel: Channel,
    max_bytes: usize,
    mut copy: impl FnMut(&[u8]),
) -> Option<Transmit> {
    let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
    while bytes.len() < max_bytes {
        let Some(frame) = frames.next() else { break };
        scratch.clear();
        frame.encode_into(&mut scratch);
        copy(&scratch);
        wire::encode_stream_into(&scratch, &mut bytes);
    }
    (!bytes.is_empty()).then(|| Transmit::Stream { channel, bytes: bytes.into() })
}

fn pack_message(frames: &mut dyn Iterator<Item = Frame>, channel: Channel, max_bytes: usize) -> Option<Transmit> {
    let mut message = MessageBuilder::new(channel);
    let mut scratch = Vec::new();
    // Below half of the longest message there is room for the longest frame.
    while message.len() < max_bytes.min(crate::limits::MAX_MESSAGE_BYTES / 2 - 8) {
        let Some(frame) = frames.next() else { break };
        scratch.clear();
        frame.encode_into(&mut scratch);
        let fits = message.push(&scratch);
        debug_assert!(fits, "a frame is at most 64 KiB");
    }
    message.finish().map(Transmit::Message)
}

/// One frame by itself.
pub(super) fn pack_one(lanes: Lanes, channel: Channel, frame: &Bytes) -> Transmit {
    let frames = std::slice::from_ref(frame);
    match lanes {
        Lanes::Streams => Transmit::Stream { channel, bytes: wire::encode_stream(frames) },
        Lanes::Messages => Transmit::Message(wire::encode_message(channel, frames)),
    }
}
