//! The scripted relay: speaks for a relay, and decodes what the client says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, Position, VersionVector};
use inkwire_protocol::client::{Client, ClientConfig, DocumentId, Event, Lanes, Now, Transmit};
use inkwire_protocol::frame::{self, Lease, Opened, Synced, Welcome};
use inkwire_protocol::replica::EditRefused;
use inkwire_protocol::wire::{self, StreamDecoder};
use inkwire_protocol::{Channel, Code, Frame, Role};

pub(crate) const SESSION: u64 = 77;

pub(crate) fn vector(entries: &[(Actor, u64)]) -> VersionVector {
    VersionVector { dots: entries.iter().copied().filter(|(_, counter)| *counter > 0).collect() }
}

/// A client and the relay's end of its connection.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) now: Duration,
    pub(crate) lanes: Lanes,
    pub(crate) sent: VecDeque<(Channel, Frame)>,
    pub(crate) datagrams: VecDeque<(Channel, Frame)>,
    pub(crate) lane_changes: Vec<Transmit>,
    pub(crate) disconnected: Option<Code>,
    /// What it said before its last `Open` to have seen.
    pub(crate) seen: Vec<frame::SeenBatch>,
    decoders: BTreeMap<Channel, StreamDecoder>,
}

impl Peer {
    /// A client that was not connected yet.
    pub(crate) fn new(lanes: Lanes, config: ClientConfig) -> Self {
        Self {
            client: Client::new(config, 1),
            now: Duration::from_secs(1_000),
            lanes,
            sent: VecDeque::new(),
            datagrams: VecDeque::new(),
            lane_changes: Vec::new(),
            disconnected: None,
            seen: Vec::new(),
            decoders: BTreeMap::new(),
        }
    }

    /// A client with a session.
    pub(crate) fn welcomed(lanes: Lanes) -> Self {
        let mut peer = Self::new(lanes, ClientConfig::default());
        peer.connect();
        peer.events();
        peer
    }

    /// A client with a session and one document, open as an editor and synced, empty.
    pub(crate) fn editor(lanes: Lanes) -> (Self, DocumentId, Channel) {
        let mut peer = Self::welcomed(lanes);
        let id = peer.open();
        let (channel, _) = peer.take_open();
        peer.say(channel, opened(Some((Actor(5), 1)), &[]));
        peer.say(channel, Synced { vector: VersionVector::new() });
        peer.events();
        (peer, id, channel)
    }

    pub(crate) fn at(&self) -> Now {
        Now::new(self.now)
    }

    /// Connects and welcomes.
    pub(crate) fn connect(&mut self) {
        self.decoders.clear();
        self.sent.clear();
        self.lane_changes.clear();
        self.disconnected = None;
        self.client.connected(self.at(), "token".into(), self.lanes);
        let Frame::Hello(hello) = self.take(Channel::CONTROL) else { panic!("Hello comes first") };
        assert_eq!((hello.versions, hello.token.as_str()), (vec![1], "token"));
        self.say(
            Channel::CONTROL,
            Welcome {
                version: 1,
                session: SESSION,
                node: "n".into(),
                time_millis: 1_764_000_000_000,
                limits: Default::default(),
                subject: "ada".into(),
            },
        );
    }

    pub(crate) fn open(&mut self) -> DocumentId {
        self.client.open(self.at(), "acme/plan").expect("a good name")
    }

    /// The transport is gone, and comes back.
    pub(crate) fn reconnect(&mut self) {
        self.client.disconnected(self.at());
        self.connect();
    }

    /// Time passes; timers fire when they are due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.at());
            self.pump();
        }
        self.now = end;
    }

    /// What the relay says.
    pub(crate) fn say(&mut self, channel: Channel, frame: impl Into<Frame>) {
        let encoded = frame.into().encode();
        self.say_bytes(channel, encoded);
    }

    pub(crate) fn say_bytes(&mut self, channel: Channel, frame: Bytes) {
        let frames = [frame];
        match self.lanes {
            Lanes::Streams => self.client.receive_stream(self.at(), channel, &wire::encode_stream(&frames)),
            Lanes::Messages => self.client.receive_message(self.at(), wire::encode_message(channel, &frames)),
        }
    }

    /// Takes everything that the client wants to send.
    pub(crate) fn pump(&mut self) {
        while let Some(transmit) = self.client.poll_transmit(self.at()) {
            match transmit {
                Transmit::Stream { channel, bytes } => {
                    assert_eq!(self.lanes, Lanes::Streams);
                    let decoder = self.decoders.get_mut(&channel).expect("a lane that is open");
                    decoder.push(&bytes);
                    while let Some(frame) = decoder.next_frame().expect("framed") {
                        self.sent.push_back((channel, Frame::decode(&frame).expect("a frame")));
                    }
                }
                Transmit::Message(message) => {
                    assert_eq!(self.lanes, Lanes::Messages);
                    let (channel, frames) = wire::split_message(&message).expect("a message");
                    self.sent.extend(frames.iter().map(|frame| (channel, Frame::decode(frame).expect("a frame"))));
                }
                Transmit::Datagram(datagram) => {
                    assert_eq!(self.lanes, Lanes::Streams);
                    let (channel, frame) = wire::split_datagram(&datagram).expect("a datagram");
                    self.datagrams.push_back((channel, Frame::decode(&frame).expect("a frame")));
                }
                Transmit::OpenLane(channel) => {
                    assert!(self.decoders.insert(channel, StreamDecoder::new()).is_none(), "{channel:?} is new");
                    self.lane_changes.push(Transmit::OpenLane(channel));
                }
                Transmit::FinishLane(channel) => {
                    assert!(self.decoders.remove(&channel).is_some(), "{channel:?} was open");
                    self.lane_changes.push(Transmit::FinishLane(channel));
                }
                Transmit::Disconnect { code, .. } => self.disconnected = Some(code),
            }
        }
    }

    /// The next frame from the client on a lane.
    pub(crate) fn take(&mut self, channel: Channel) -> Frame {
        self.pump();
        let index = self.sent.iter().position(|(lane, _)| *lane == channel);
        index.and_then(|index| self.sent.remove(index)).expect("a frame").1
    }

    /// The next `Open`, with its channel.
    pub(crate) fn take_open(&mut self) -> (Channel, frame::Open) {
        self.pump();
        self.seen.clear();
        let seen = &mut self.seen;
        self.sent.retain(|(_, frame)| match frame {
            Frame::Seen(frame) => {
                seen.extend_from_slice(&frame.batches);
                false
            }
            _ => true,
        });
        let index = self.sent.iter().position(|(_, frame)| matches!(frame, Frame::Open(_))).expect("an Open");
        match self.sent.remove(index) {
            Some((channel, Frame::Open(open))) => {
                assert_eq!(open.channel, channel);
                (channel, open)
            }
            _ => unreachable!(),
        }
    }

    /// All batches that the client sends now.
    pub(crate) fn take_batches(&mut self) -> Vec<Batch> {
        self.pump();
        let sent = std::mem::take(&mut self.sent).into_iter();
        sent.filter_map(|(_, frame)| match frame {
            Frame::Batch(batch) => Some(batch.into_parts().0),
            _ => None,
        })
        .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.pump();
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    pub(crate) fn insert(&mut self, id: DocumentId, at: usize, text: &str) -> Result<(), EditRefused> {
        let now = self.at();
        self.client.edit(now, id, |document, _| document.insert("body", Position::Scalar(at), text))?;
        self.client.flush(now, id);
        Ok(())
    }

    pub(crate) fn text(&self, id: DocumentId) -> String {
        self.client.replica(id).expect("open").document().text("body").to_string()
    }

    /// Local, sent and durable edits.
    pub(crate) fn status(&self, id: DocumentId) -> (u64, u64, u64) {
        let status = self.client.replica(id).expect("open").status();
        (status.local, status.sent, status.durable)
    }
}

/// What a relay answers an editor (with a lease) or a viewer (without).
pub(crate) fn opened(lease: Option<(Actor, u64)>, held: &[(Actor, u64)]) -> Opened {
    Opened {
        incarnation: 0,
        role: if lease.is_some() { Role::Editor } else { Role::Viewer },
        lease: lease.map(|(actor, next)| Lease { actor, next, ticket: None, digest: None }),
        vector: vector(held),
        base: None,
    }
}

/// Another author, whose batches the relay forwards.
pub(crate) struct Author(pub(crate) Document);

impl Author {
    pub(crate) fn new(actor: Actor) -> Self {
        let mut document = Document::new();
        document.set_actor(actor, 1);
        Self(document)
    }

    /// One batch that inserts `text`.
    pub(crate) fn insert(&mut self, at: usize, text: &str) -> Batch {
        self.0.insert("body", Position::Scalar(at), text).expect("in range");
        let mut batches = self.0.take_batches();
        assert_eq!(batches.len(), 1);
        batches.remove(0)
    }
}

/// A batch from the relay that is not durable yet.
pub(crate) fn fresh(batch: &Batch) -> frame::Batch {
    frame::Batch::new(batch.clone(), Some(Bytes::from_static(b"receipt")))
}

pub(crate) const BOTH: [Lanes; 2] = [Lanes::Streams, Lanes::Messages];
