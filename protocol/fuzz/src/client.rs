use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use inkwire_document::{Actor, Document, Position};
use inkwire_protocol::client::{Client, ClientConfig, DocumentId, Event, Lanes, Now, Transmit};
use inkwire_protocol::frame::{self, Lease, Opened, Synced, Welcome};
use inkwire_protocol::replica::ReplicaConfig;
use inkwire_protocol::wire::{self, StreamDecoder};
use inkwire_protocol::{Channel, Frame, Role};

use super::choose::{self, Pool};

/// Polls that one step may lead to: far more than are ever needed, far fewer than for ever.
const MANY: usize = 100_000;

/// A client under whatever a relay says: it says only frames, comes to rest after every step, and its counts add up.
pub fn client(data: &[u8]) {
    let mut world = World::new();
    let _out_of_bytes = world.run(&mut Unstructured::new(data));
}

struct World {
    client: Client,
    now: Duration,
    lanes: Lanes,
    pool: Pool,
    document: DocumentId,
    /// Lanes of streams that the client has open, and the newest channel of its document.
    decoders: BTreeMap<Channel, StreamDecoder>,
    channel: Channel,
    /// Another author.
    other: Document,
    made: u64,
}

impl World {
    fn new() -> Self {
        let config = ClientConfig {
            replica: ReplicaConfig {
                outbox_bytes: 8_000,
                retained_bytes: 4_000,
                snapshot_bytes: 64_000,
                vector_entries: 3,
                ..ReplicaConfig::default()
            },
            ..ClientConfig::default()
        };
        let mut client = Client::new(config, 1);
        let now = Duration::from_secs(1_000);
        let document = client.open(Now::new(now), "d").expect("a good name");
        let mut other = Document::new();
        other.set_actor(Actor(2), 1);
        Self {
            client,
            now,
            lanes: Lanes::Streams,
            pool: Pool { actors: vec![Actor(5)], ..Pool::default() },
            document,
            decoders: BTreeMap::new(),
            channel: Channel(1),
            other,
            made: 0,
        }
    }

    fn at(&self) -> Now {
        Now::new(self.now)
    }

    fn run(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        self.lanes = if choices.arbitrary()? { Lanes::Streams } else { Lanes::Messages };
        self.connect(choices)?;
        for _ in 0..120 {
            self.act(choices)?;
            self.pump();
            self.look();
        }
        Ok(())
    }

    fn connect(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        self.decoders.clear();
        self.client.connected(self.at(), "token".into(), self.lanes);
        self.pump();
        if choices.ratio(7_u8, 8_u8)? {
            let welcome = Welcome {
                version: 1,
                session: 7,
                node: "n".into(),
                time_millis: 1_764_000_000_000,
                limits: Default::default(),
                subject: "ada".into(),
            };
            self.say(Channel::CONTROL, welcome.into());
        }
        if choices.ratio(7_u8, 8_u8)? {
            let lease = Lease { actor: Actor(5), next: choose::counter(choices)?.max(1), ticket: None, digest: None };
            let opened = Opened {
                incarnation: 0,
                role: Role::Editor,
                lease: Some(lease),
                vector: Default::default(),
                base: None,
            };
            self.say(self.channel, opened.into());
            self.say(self.channel, Synced { vector: Default::default() }.into());
        }
        Ok(())
    }

    fn act(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        match choices.int_in_range(0..=15)? {
            0..=4 => {
                let frame = choose::frame(choices, &self.pool)?;
                let control = frame.number() < 16 || choices.ratio(1_u8, 16_u8)?;
                self.say(if control { Channel::CONTROL } else { self.channel }, frame);
            }
            5 => {
                let channel = if choices.arbitrary()? { self.channel } else { Channel(choices.arbitrary()?) };
                let bytes: &[u8] = choices.arbitrary()?;
                match self.lanes {
                    Lanes::Streams => self.client.receive_stream(self.at(), channel, bytes),
                    Lanes::Messages => self.client.receive_message(self.at(), Bytes::copy_from_slice(bytes)),
                }
            }
            6 => {
                let frame = choose::frame(choices, &self.pool)?.encode();
                if let Some(datagram) = wire::encode_datagram(self.channel, &frame) {
                    self.client.receive_datagram(self.at(), datagram);
                }
                let bytes: &[u8] = choices.arbitrary()?;
                self.client.receive_datagram(self.at(), Bytes::copy_from_slice(bytes));
            }
            7 => self.say_others(choices)?,
            8 => {
                let version = self.other.version().clone();
                self.say(self.channel, frame::Durable { vector: version }.into());
            }
            9 | 10 => self.edit(choices)?,
            11 => {
                self.now += Duration::from_millis(choices.arbitrary::<u16>()?.into());
                for _ in 0..64 {
                    if self.client.poll_timeout().is_none_or(|due| due > self.now) {
                        break;
                    }
                    self.client.handle_timeout(self.at());
                }
            }
            12 => {
                self.client.disconnected(self.at());
                self.pump();
                self.connect(choices)?;
            }
            13 => self.client.lane_ended(self.at(), self.channel),
            14 => {
                let state =
                    if choices.arbitrary()? { Some(Bytes::copy_from_slice(choices.arbitrary()?)) } else { None };
                let _too_large = self.client.set_presence(self.at(), self.document, state);
            }
            _ => self.client.refresh_token(self.at(), "token".into()),
        }
        Ok(())
    }

    /// What another wrote, as a batch or as a snapshot.
    fn say_others(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let length = self.other.text("t").len_scalars();
        let at = usize::from(choices.arbitrary::<u8>()?) % (length + 1);
        self.other.insert("t", Position::Scalar(at), "xyz").expect("in range");
        for batch in self.other.take_batches() {
            self.pool.note_batch(batch.clone());
            let receipt = if choices.arbitrary()? { Some(Bytes::from_static(b"receipt")) } else { None };
            self.say(self.channel, frame::Batch::new(batch, receipt).into());
        }
        if choices.ratio(1_u8, 4_u8)? {
            let bytes = self.other.snapshot();
            self.say(self.channel, frame::Snapshot { index: 0, last: true, bytes }.into());
        }
        Ok(())
    }

    fn edit(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let (position, insert) = (usize::from(choices.arbitrary::<u8>()?), choices.ratio(3_u8, 4_u8)?);
        let (document, now) = (self.document, self.at());
        let outcome = self.client.edit(now, document, |contents, _| {
            let length = contents.text("t").len_scalars();
            let at = position % (length + 1);
            let deleted = (length - at).min(2);
            match insert {
                true => contents.insert("t", Position::Scalar(at), "abc")?,
                false => contents.delete("t", Position::Scalar(at), deleted)?,
            }
            // To delete nothing is no edit.
            Ok(insert || deleted > 0)
        });
        self.made += u64::from(outcome == Ok(true));
        if choices.arbitrary()? {
            self.client.flush(now, document);
        }
        Ok(())
    }

    fn say(&mut self, channel: Channel, frame: Frame) {
        let frames = [frame.encode()];
        match self.lanes {
            Lanes::Streams => self.client.receive_stream(self.at(), channel, &wire::encode_stream(&frames)),
            Lanes::Messages => self.client.receive_message(self.at(), wire::encode_message(channel, &frames)),
        }
    }

    fn pump(&mut self) {
        for turn in 0.. {
            assert!(turn < MANY, "the client never has enough");
            let Some(transmit) = self.client.poll_transmit(self.at()) else { break };
            match transmit {
                Transmit::OpenLane(channel) => {
                    assert!(self.decoders.insert(channel, StreamDecoder::new()).is_none());
                    self.channel = channel;
                }
                Transmit::FinishLane(channel) => {
                    self.decoders.remove(&channel);
                }
                Transmit::Stream { channel, bytes } => {
                    let decoder = self.decoders.entry(channel).or_default();
                    decoder.push(&bytes);
                    while let Some(frame) = decoder.next_frame().expect("framed") {
                        self.pool.note(&Frame::decode(&frame).expect("a frame of ours"));
                    }
                }
                Transmit::Message(message) => {
                    let (channel, frames) = wire::split_message(&message).expect("a message of ours");
                    for frame in &frames {
                        let frame = Frame::decode(frame).expect("a frame of ours");
                        if matches!(frame, Frame::Open(_)) {
                            self.channel = channel;
                        }
                        self.pool.note(&frame);
                    }
                }
                Transmit::Datagram(datagram) => {
                    let (_, frame) = wire::split_datagram(&datagram).expect("a datagram of ours");
                    Frame::decode(&frame).expect("a frame of ours");
                }
                Transmit::Disconnect { .. } => self.client.disconnected(Now::new(self.now)),
            }
        }
        for turn in 0.. {
            assert!(turn < MANY, "the client has news for ever");
            match self.client.poll_event() {
                Some(Event::DocumentClosed { .. }) => {
                    // The application opens it again.
                    let at = self.at();
                    self.client.close_document(at, self.document);
                    if let Ok(document) = self.client.open(at, "d") {
                        (self.document, self.made) = (document, 0);
                    }
                }
                Some(_) => {}
                None => break,
            }
        }
    }

    fn look(&self) {
        let Some(replica) = self.client.replica(self.document) else { return };
        let text = replica.document().text("t");
        assert_eq!(text.to_string().chars().count(), text.len_scalars());
        assert!(replica.retained().1 <= 4_000 + 1_000, "{:?}", replica.retained());
        assert_eq!(replica.status().made(), self.made, "{:?}", replica.status());
    }
}
