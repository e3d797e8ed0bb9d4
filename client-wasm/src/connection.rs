//! Bytes in and out, and timers.

use std::mem;

use bytes::{Bytes, BytesMut};
use inkwire_protocol::Channel;
use inkwire_protocol::client::{Lanes, Transmit};
use wasm_bindgen::prelude::*;

use crate::core::{Core, moment};

/// What [`Core::poll_transmit`] found.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TransmitKind {
    /// Nothing to send.
    #[default]
    Nothing,
    /// Open a bidirectional stream for the lane.
    OpenLane,
    /// Write the bytes to the lane's stream.
    Stream,
    /// Finish the lane's stream.
    FinishLane,
    /// Send the bytes as a message.
    Message,
    /// Send the bytes as a datagram, or drop them.
    Datagram,
    /// End the connection with the code (given as the lane) and the reason.
    Disconnect,
}

/// What was polled, to be asked for piece by piece, and the one after it, which was looked at already.
#[derive(Default)]
pub(crate) struct Outgoing {
    channel: u32,
    bytes: Bytes,
    reason: String,
    next: Option<Transmit>,
}

#[wasm_bindgen]
impl Core {
    /// A transport is there: WebTransport (`streams`) or WebSocket.
    pub fn connected(&mut self, now: f64, token: String, streams: bool) {
        self.outgoing = Outgoing::default();
        let lanes = if streams { Lanes::Streams } else { Lanes::Messages };
        self.client.connected(moment(now), token, lanes);
    }

    /// No transport could be opened.
    pub fn connect_failed(&mut self, now: f64) {
        self.client.connect_failed(moment(now));
    }

    /// The transport is gone.
    pub fn disconnected(&mut self, now: f64) {
        self.outgoing = Outgoing::default();
        self.client.disconnected(moment(now));
    }

    /// The token to connect with, if the one that the relay accepted last still serves. The application's next one may be
    /// for another subject, who could not go on writing where this one was interrupted.
    pub fn token(&self, now: f64) -> Option<String> {
        self.client.token(moment(now)).map(str::to_owned)
    }

    /// A fresh token.
    pub fn refresh_token(&mut self, now: f64, token: String) {
        self.client.refresh_token(moment(now), token);
    }

    /// The next bytes of a lane, in any split.
    pub fn receive_stream(&mut self, now: f64, channel: u32, bytes: &[u8]) {
        self.client.receive_stream(moment(now), Channel(channel), bytes);
    }

    /// The stream of a lane takes nothing more for now, or takes more again.
    pub fn set_lane_full(&mut self, channel: u32, full: bool) {
        self.client.set_lane_full(Channel(channel), full);
    }

    /// The relay ended a document's lane while the session goes on.
    pub fn lane_ended(&mut self, now: f64, channel: u32) {
        self.client.lane_ended(moment(now), Channel(channel));
    }

    /// One message.
    pub fn receive_message(&mut self, now: f64, bytes: Vec<u8>) {
        self.client.receive_message(moment(now), bytes.into());
    }

    /// One datagram.
    pub fn receive_datagram(&mut self, now: f64, bytes: Vec<u8>) {
        self.client.receive_datagram(moment(now), bytes.into());
    }

    /// The next thing for the transport. Consecutive bytes of one lane are joined, up to about `most`.
    pub fn poll_transmit(&mut self, now: f64, most: u32) -> TransmitKind {
        let now = moment(now);
        let Some(transmit) = self.outgoing.next.take().or_else(|| self.client.poll_transmit(now)) else {
            return TransmitKind::Nothing;
        };
        let outgoing = &mut self.outgoing;
        match transmit {
            Transmit::OpenLane(channel) => {
                outgoing.channel = channel.0;
                TransmitKind::OpenLane
            }
            Transmit::FinishLane(channel) => {
                outgoing.channel = channel.0;
                TransmitKind::FinishLane
            }
            Transmit::Message(bytes) => {
                outgoing.bytes = bytes;
                TransmitKind::Message
            }
            Transmit::Datagram(bytes) => {
                outgoing.bytes = bytes;
                TransmitKind::Datagram
            }
            Transmit::Disconnect { code, reason } => {
                outgoing.channel = code.number().into();
                outgoing.reason = reason;
                TransmitKind::Disconnect
            }
            Transmit::Stream { channel, bytes } => {
                outgoing.channel = channel.0;
                let mut joined = BytesMut::new();
                let mut first = bytes;
                while first.len() + joined.len() < most as usize {
                    match self.client.poll_transmit(now) {
                        Some(Transmit::Stream { channel: again, bytes }) if again == channel => {
                            joined.extend_from_slice(&mem::replace(&mut first, bytes));
                        }
                        other => {
                            outgoing.next = other;
                            break;
                        }
                    }
                }
                outgoing.bytes = if joined.is_empty() {
                    first
                } else {
                    joined.extend_from_slice(&first);
                    joined.freeze()
                };
                TransmitKind::Stream
            }
        }
    }

    /// The lane of what was polled, or its code.
    pub fn transmit_channel(&self) -> u32 {
        self.outgoing.channel
    }

    /// The bytes of what was polled.
    pub fn take_transmit_bytes(&mut self) -> Vec<u8> {
        mem::take(&mut self.outgoing.bytes).into()
    }

    /// The reason of what was polled.
    pub fn transmit_reason(&mut self) -> String {
        mem::take(&mut self.outgoing.reason)
    }

    /// When [`Core::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<f64> {
        self.client.poll_timeout().map(|at| at.as_secs_f64() * 1000.0)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: f64) {
        self.client.handle_timeout(moment(now));
    }
}
