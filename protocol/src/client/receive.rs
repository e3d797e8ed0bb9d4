//! Bytes from the transport.

use bytes::Bytes;

use super::{Client, DocumentId, Now};
use crate::Channel;
use crate::copies::CopyMode;
use crate::frame::{Frame, FrameError};
use crate::wire::{self, WireError};

impl Client {
    /// The next bytes of a lane's stream, in any split.
    pub fn receive_stream(&mut self, now: Now, channel: Channel, bytes: &[u8]) {
        self.advance(now);
        self.heard();
        if let Some(decoder) = self.decoder(channel) {
            decoder.push(bytes);
        }
        // The decoder is looked up for each frame: the lane may be given up in the middle.
        while let Some(next) = self.decoder(channel).map(|decoder| decoder.next_frame()) {
            match next {
                Ok(Some(frame)) => self.receive_frame(channel, &frame),
                Ok(None) => break,
                Err(error) => return self.reject(&FrameError::Wire(error)),
            }
        }
        self.settle_lane(channel);
    }

    /// The relay finished or reset a lane's stream. After `Close` that is no news; without it a document is opened anew
    /// after a pause, and the loss of the control lane is that of the connection.
    pub fn lane_ended(&mut self, now: Now, channel: Channel) {
        self.advance(now);
        if channel == Channel::CONTROL {
            return self.disconnected(now);
        }
        if let Some(id) = self.document_of(channel) {
            if let Some(document) = self.documents.get_mut(&id) {
                document.replica.lose_lane();
            }
            self.settle(id);
        }
    }

    /// A WebSocket message.
    pub fn receive_message(&mut self, now: Now, message: Bytes) {
        self.advance(now);
        if !self.is_greeting_or_established() {
            return;
        }
        self.heard();
        match wire::split_message(&message) {
            Ok((channel, frames)) => {
                for frame in &frames {
                    self.receive_frame(channel, frame);
                }
                self.settle_lane(channel);
            }
            Err(error) => self.reject(&FrameError::Wire(error)),
        }
    }

    /// A datagram. One that makes no sense is dropped: it may be late, or a stranger's.
    pub fn receive_datagram(&mut self, now: Now, datagram: Bytes) {
        self.advance(now);
        self.heard();
        let frame = |(channel, bytes): (Channel, Bytes)| Some((channel, Frame::decode(&bytes).ok()?));
        let Some((channel, frame)) = wire::split_datagram(&datagram).ok().and_then(frame) else { return };
        if let (Channel::CONTROL, Frame::WantCopies(want)) = (channel, &frame) {
            return self.on_want_copies(want);
        }
        if matches!(frame, Frame::Batch(_)) && self.config.copies == CopyMode::Off {
            return;
        }
        let Some(id) = self.document_of(channel) else { return };
        if let Some(document) = self.documents.get_mut(&id)
            && let Some(fate) = document.replica.receive_datagram(frame)
        {
            self.copies.counts.count(fate);
            self.settle(id);
        }
    }

    fn decoder(&mut self, channel: Channel) -> Option<&mut wire::StreamDecoder> {
        self.connection.lanes()?;
        match channel {
            Channel::CONTROL => Some(&mut self.control_decoder),
            channel => self.lanes.get_mut(&channel).map(|lane| &mut lane.decoder),
        }
    }

    fn document_of(&self, channel: Channel) -> Option<DocumentId> {
        self.lanes.get(&channel).map(|lane| lane.document)
    }

    fn receive_frame(&mut self, channel: Channel, bytes: &Bytes) {
        if !self.is_greeting_or_established() {
            return;
        }
        let frame = match Frame::decode(bytes) {
            Ok(frame) => frame,
            Err(error) => return self.reject(&error),
        };
        if channel == Channel::CONTROL {
            return self.receive_control(frame);
        }
        // A lane that is not there was given up: what comes on it is late.
        let Some(id) = self.document_of(channel) else { return };
        let Some(document) = self.documents.get_mut(&id) else { return };
        if let Err(violation) = document.replica.receive(frame) {
            self.violated(violation.code, violation.reason);
        }
    }

    /// Once for what came together, so that a stream of thousands of small frames does not do it thousands of times.
    fn settle_lane(&mut self, channel: Channel) {
        if let Some(id) = self.document_of(channel) {
            self.settle(id);
        }
    }

    fn reject(&mut self, error: &FrameError) {
        let reason = match error {
            FrameError::Wire(WireError::TooLarge { .. }) => "the relay sent a frame over the limit",
            FrameError::Wire(_) => "the relay sent what is not MessagePack",
            FrameError::Unknown(_) => "the relay sent a frame of another version",
            FrameError::Malformed(_) => "the relay sent a malformed frame",
        };
        self.violated(error.code(), reason);
    }
}
