//! The shell around a room that a real relay has, on virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::client::Lanes;
use inkwire_protocol::copies::{COPY_DELAY, CopyCounts, CopyFate, CopyQueue};
use inkwire_protocol::random::Random;
use inkwire_protocol::receipt::ReceiptKeys;
use inkwire_protocol::record::LogRecord;
use inkwire_protocol::room::{Join, MemberId, RecordNumber, Room, RoomConfig};
use inkwire_protocol::session::{Event, Session, SessionConfig, Welcome};
use inkwire_protocol::wire::{self, StreamDecoder};
use inkwire_protocol::{Channel, Clock, Code, Frame, Opening, Role, frame};

use crate::network::{Connection, Packet};
use crate::store::{Done, Store};

pub const DOCUMENT: &str = "acme/specs/roadmap";

/// What one poll of a lane writes at most.
const WRITE_BYTES: usize = 16 << 10;

pub struct Relay {
    pub store: Store,
    pub config: RoomConfig,
    /// What its wall clock shows more than the truth.
    pub skew_millis: i64,
    /// Bytes a second that a lane takes.
    pub bandwidth: u64,
    /// How many frames of each number went through documents' lanes, to see that a run visits what it is meant to.
    pub frames: [u64; 64],
    /// If batches travel once more as datagrams: what became of those that came.
    pub copies: Option<CopyCounts>,
    /// How long the store takes for all that it is given from now on; drawn for each write where it is not said.
    pub store_delay: Option<Duration>,
    /// What an honest page should never have been told.
    pub faults: Vec<String>,
    running: Option<Running>,
    next_session: u64,
    next_member: u64,
}

#[derive(Default)]
struct Running {
    room: Option<Room>,
    sessions: BTreeMap<Connection, Served>,
    members: BTreeMap<MemberId, (Connection, u32)>,
    /// Members that have something to send.
    wanting: BTreeSet<MemberId>,
    taken: u64,
}

struct Served {
    session: Session,
    id: u64,
    subject: Arc<str>,
    granted: Role,
    since: Duration,
    lanes: Lanes,
    control: StreamDecoder,
    documents: BTreeMap<u32, Lane>,
    dead: bool,
}

#[derive(Default)]
struct Lane {
    decoder: StreamDecoder,
    opening: Option<Opening>,
    member: Option<MemberId>,
    closed: bool,
    /// Takes nothing more before this.
    busy: Duration,
}

pub type Out = Vec<(Connection, Packet)>;

impl Relay {
    pub fn new(config: RoomConfig, bandwidth: u64) -> Self {
        Self {
            store: Store::new(),
            config,
            skew_millis: 0,
            bandwidth,
            frames: [0; 64],
            copies: None,
            store_delay: None,
            faults: Vec::new(),
            running: Some(Running::default()),
            next_session: 1,
            next_member: 1,
        }
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub fn room(&self) -> Option<&Room> {
        self.running.as_ref()?.room.as_ref()
    }

    fn clock(&self, now: Duration) -> Clock {
        // The truth: some day in 2023, and so long after it.
        let millis = 1_700_000_000_000 + now.as_millis() as i64 + self.skew_millis;
        Clock { monotonic: now, unix_millis: millis as u64 }
    }

    pub fn crash(&mut self, random: &mut Random) {
        self.running = None;
        self.store.crash(random);
    }

    /// Stops with those records in the store that are to be kept of what was under way.
    pub fn crash_keeping(&mut self, keep: impl Fn(&LogRecord) -> bool) {
        self.running = None;
        self.store.crash_keeping(keep);
    }

    pub fn start(&mut self) {
        self.running = Some(Running::default());
    }

    /// A relay that nobody reaches starts, folds what it loads, and is gone again.
    pub fn fold_meanwhile(&mut self, seed: u64) -> bool {
        let keys = ReceiptKeys::new(7, [7; 32]);
        let mut room = Room::new(self.config.clone(), DOCUMENT.into(), 0, self.store.load(), keys, seed);
        let Some(input) = room.fold_now() else { return false };
        let folded = self.store.fold(input, Duration::ZERO).map_err(|error| format!("it does not fold: {error}"));
        self.faults.extend(folded.err());
        self.store.take_done(Duration::ZERO).is_some()
    }

    /// The store refuses: the room ends for everybody, and is loaded again for who comes back.
    pub fn fail_store(&mut self, now: Duration, random: &mut Random) {
        let clock = self.clock(now);
        let Some(room) = self.running.as_mut().and_then(|running| running.room.as_mut()) else { return };
        room.store_failed(clock, "the disk is full");
        self.store.crash(random);
    }

    /// The relay says that it is about to leave.
    pub fn go_away(&mut self) {
        let Some(running) = &mut self.running else { return };
        for served in running.sessions.values_mut() {
            served.session.go_away("a new version", Duration::from_millis(300), None);
        }
    }

    /// Somebody may write who could not, or the other way round.
    pub fn change_role(&mut self, random: &mut Random, role: Role) {
        let Some(running) = &mut self.running else { return };
        let members: Vec<_> = running.members.keys().copied().collect();
        if let (Some(room), false) = (&mut running.room, members.is_empty()) {
            room.set_role(members[random.below(members.len() as u64) as usize], role);
        }
    }

    pub fn accept(&mut self, now: Duration, connection: Connection, lanes: Lanes) {
        let clock = self.clock(now);
        let Some(running) = &mut self.running else { return };
        let served = Served {
            session: Session::new(SessionConfig::default(), clock),
            id: 0,
            subject: "".into(),
            granted: Role::Viewer,
            since: now,
            lanes,
            control: StreamDecoder::new(),
            documents: BTreeMap::new(),
            dead: false,
        };
        running.sessions.insert(connection, served);
    }

    /// Somebody claims every actor in the name of who wrote as it, with a forged ticket and without one.
    pub fn steal(&mut self, now: Duration) -> Result<(), String> {
        let clock = self.clock(now);
        let Some(room) = self.running.as_mut().and_then(|running| running.room.as_mut()) else { return Ok(()) };
        if room.closing().is_some() {
            // It takes nobody in any more, and is dropped once the last member has left.
            return Ok(());
        }
        for (actor, subject) in self.store.subjects() {
            // What the subject has released it may have; after that there is nothing to be had without a ticket.
            let mut claims = Vec::new();
            claims.resize(1 + self.store.subjects().len(), None);
            for ticket in [None, Some(Bytes::from_static(&[7; 20]))] {
                claims.push(Some(frame::Claim { actor, last: u64::MAX, ticket }));
            }
            for claim in claims {
                let thief = claim.is_some();
                let member = MemberId(self.next_member);
                self.next_member += 1;
                let open = frame::Open {
                    channel: Channel(1),
                    document: DOCUMENT.into(),
                    incarnation: None,
                    vector: VersionVector::new(),
                    durable: VersionVector::new(),
                    role: Role::Editor,
                    claim,
                    options: frame::Options::default(),
                };
                let (since, subject) = (now, subject.clone());
                let (role, seen) = (Role::Editor, Vec::new());
                let join = Join { member, session: 0, since, subject, role, open, seen };
                room.join(clock, join).map_err(|(code, reason)| format!("{code}: {reason}"))?;
                let mut frames = Vec::new();
                while room.poll_transmit(clock, member, 1 << 20, &mut frames) > 0 {}
                room.leave(clock, member);
                let opened = frames.iter().filter_map(|bytes| match Frame::decode(bytes) {
                    Ok(Frame::Opened(opened)) => opened.lease,
                    _ => None,
                });
                if thief && opened.into_iter().any(|lease| lease.actor == actor) {
                    return Err(format!("actor {actor} was given to a thief"));
                }
            }
        }
        Ok(())
    }

    /// A document's lane takes nothing for a while: its reader is slow.
    pub fn stall(&mut self, random: &mut Random, until: Duration) {
        let Some(running) = &mut self.running else { return };
        let lanes: Vec<_> = running.members.values().copied().collect();
        if lanes.is_empty() {
            return;
        }
        let (connection, channel) = lanes[random.below(lanes.len() as u64) as usize];
        let lane = running.sessions.get_mut(&connection).and_then(|served| served.documents.get_mut(&channel));
        if let Some(lane) = lane {
            lane.busy = lane.busy.max(until);
        }
    }

    pub fn receive(
        &mut self,
        now: Duration,
        random: &mut Random,
        connection: Connection,
        packet: Packet,
        out: &mut Out,
    ) {
        let clock = self.clock(now);
        let known =
            |running: &mut Running| running.sessions.get_mut(&connection).filter(|served| !served.dead).is_some();
        if !self.running.as_mut().is_some_and(known) {
            return;
        }
        match packet {
            Packet::Lane(0, bytes) => {
                let Some(served) = self.served(connection) else { return };
                served.control.push(&bytes);
                while let Some(served) = self.served(connection)
                    && let Some(frame) = served.control.next_frame().expect("a whole frame")
                {
                    served.session.receive(clock, Frame::decode(&frame).expect("a good frame"));
                    self.session_events(clock, connection);
                }
            }
            Packet::Lane(channel, bytes) => {
                let Some(served) = self.served(connection) else { return };
                served.session.heard(clock);
                let lane = served.documents.entry(channel).or_default();
                lane.decoder.push(&bytes);
                while let Some(frame) = self.lane_frame(connection, channel) {
                    self.document_frame(clock, random, connection, channel, frame, out);
                }
            }
            Packet::Message(bytes) => {
                let (channel, frames) = wire::split_message(&bytes).expect("a good message");
                for frame in frames {
                    let frame = Frame::decode(&frame).expect("a good frame");
                    let Some(served) = self.served(connection) else { return };
                    served.session.heard(clock);
                    if channel == Channel::CONTROL {
                        served.session.receive(clock, frame);
                        self.session_events(clock, connection);
                    } else {
                        served.documents.entry(channel.0).or_default();
                        self.document_frame(clock, random, connection, channel.0, frame, out);
                    }
                }
            }
            Packet::Datagram(bytes) => {
                let (channel, frame) = wire::split_datagram(&bytes).expect("a good datagram");
                let frame = Frame::decode(&frame).expect("a good frame");
                let Some(running) = &mut self.running else { return };
                let Some(served) = running.sessions.get_mut(&connection) else { return };
                served.session.heard(clock);
                let member = served.documents.get(&channel.0).and_then(|lane| lane.member);
                if let (Some(member), Some(room)) = (member, &mut running.room) {
                    match (room.receive_datagram(clock, member, frame), &mut self.copies) {
                        (Some(CopyFate::First), Some(counts)) => counts.first += 1,
                        (Some(CopyFate::Late), Some(counts)) => counts.late += 1,
                        (Some(CopyFate::Passed), Some(counts)) => counts.passed += 1,
                        _ => {}
                    }
                }
            }
            Packet::Finish(_) => {}
            Packet::End => self.end(clock, connection),
        }
    }

    fn served(&mut self, connection: Connection) -> Option<&mut Served> {
        self.running.as_mut()?.sessions.get_mut(&connection)
    }

    fn lane_frame(&mut self, connection: Connection, channel: u32) -> Option<Frame> {
        let lane = self.served(connection)?.documents.get_mut(&channel)?;
        let frame = lane.decoder.next_frame().expect("a whole frame")?;
        Some(Frame::decode(&frame).expect("a good frame"))
    }

    fn session_events(&mut self, clock: Clock, connection: Connection) {
        while let Some(event) = self.served(connection).and_then(|served| served.session.poll_event()) {
            match event {
                Event::Authenticate { token, refresh, .. } => {
                    let expires_in = Duration::from_secs(45);
                    let (subject, role) = token.split_once(' ').expect("a token: subject and role");
                    let id = self.next_session;
                    let Some(served) = self.served(connection) else { return };
                    if refresh {
                        served.session.token_accepted(clock, expires_in);
                        continue;
                    }
                    served.subject = subject.into();
                    served.granted = Role::from_name(role).expect("a role");
                    served.since = clock.monotonic;
                    served.id = id;
                    let (node, limits) = ("node".into(), Default::default());
                    let subject = subject.to_owned();
                    served.session.welcome(clock, Welcome { session: id, node, subject, limits, expires_in });
                    self.next_session += 1;
                }
                Event::Closed { .. } => {
                    if let Some(served) = self.served(connection) {
                        served.dead = true;
                    }
                }
                _ => {}
            }
        }
    }

    fn document_frame(
        &mut self,
        clock: Clock,
        random: &mut Random,
        connection: Connection,
        channel: u32,
        frame: Frame,
        out: &mut Out,
    ) {
        self.frames[usize::from(frame.number())] += 1;
        let running = self.running.as_mut().expect("it is up");
        let Some(served) = running.sessions.get_mut(&connection) else { return };
        let Some(lane) = served.documents.get_mut(&channel).filter(|lane| !lane.closed) else { return };
        let frame = match frame {
            // The page gave the lane up while its vectors were still under way.
            Frame::CloseDocument(_) if lane.member.is_none() => {
                lane.closed = true;
                return;
            }
            frame if lane.member.is_none() => {
                let opening = lane.opening.get_or_insert_with(|| Opening::sabotaged(self.config.sabotage));
                match opening.receive(frame).expect("a lane begins with Open") {
                    Some(open) => open.into(),
                    None => return,
                }
            }
            frame => frame,
        };
        let result = match (lane.member, frame) {
            (None, Frame::Open(open)) => {
                assert_eq!((open.channel, open.document.as_str()), (Channel(channel), DOCUMENT));
                served.session.document_opened(clock).expect("few are open");
                let room = running.room.get_or_insert_with(|| {
                    running.taken = 0;
                    let keys = ReceiptKeys::new(7, [7; 32]);
                    Room::new(self.config.clone(), DOCUMENT.into(), 0, self.store.load(), keys, random.next_u64())
                });
                let member = MemberId(self.next_member);
                self.next_member += 1;
                let (session, since, subject) = (served.id, served.since, served.subject.clone());
                let role = open.role.min(served.granted);
                let seen = lane.opening.take().map(|mut opening| opening.take_seen()).unwrap_or_default();
                let joined = room.join(clock, Join { member, session, since, subject, role, open, seen });
                if joined.is_ok() {
                    lane.member = Some(member);
                    running.members.insert(member, (connection, channel));
                } else {
                    served.session.document_closed();
                }
                joined
            }
            (None, other) => panic!("{} before Open", other.name()),
            (Some(member), Frame::CloseDocument(_)) => {
                lane.closed = true;
                lane.member = None;
                running.members.remove(&member);
                running.wanting.remove(&member);
                served.session.document_closed();
                if let Some(room) = &mut running.room {
                    room.leave(clock, member);
                }
                Ok(())
            }
            (Some(member), frame) => match &mut running.room {
                Some(room) => room.receive(clock, member, frame),
                None => Ok(()),
            },
        };
        if let Err((code, reason)) = result {
            self.close_lane(clock, connection, channel, code, reason, out);
        }
    }

    fn close_lane(
        &mut self,
        clock: Clock,
        connection: Connection,
        channel: u32,
        code: Code,
        reason: String,
        out: &mut Out,
    ) {
        let running = self.running.as_mut().expect("it is up");
        let Some(served) = running.sessions.get_mut(&connection) else { return };
        let Some(lane) = served.documents.get_mut(&channel) else { return };
        lane.closed = true;
        if !matches!(code, Code::Overloaded | Code::StoreUnavailable | Code::StoreRolledBack) {
            self.faults.push(format!("a lane was closed: {code}: {reason}"));
        }
        if let Some(member) = lane.member.take() {
            running.members.remove(&member);
            running.wanting.remove(&member);
            served.session.document_closed();
            if let Some(room) = &mut running.room {
                room.leave(clock, member);
            }
        }
        let close = Frame::from(frame::Close { code, reason }).encode();
        out.push((connection, pack(served.lanes, channel, &[close])));
    }

    /// The connection is gone.
    fn end(&mut self, clock: Clock, connection: Connection) {
        let Some(running) = &mut self.running else { return };
        let Some(served) = running.sessions.remove(&connection) else { return };
        for lane in served.documents.into_values() {
            if let Some(member) = lane.member {
                running.members.remove(&member);
                running.wanting.remove(&member);
                if let Some(room) = &mut running.room {
                    room.leave(clock, member);
                }
            }
        }
    }

    /// When something is due.
    pub fn next(&self) -> Option<Duration> {
        let running = self.running.as_ref()?;
        let sessions = running.sessions.values().filter_map(|served| served.session.poll_timeout());
        let busy =
            running.wanting.iter().filter_map(|member| running.members.get(member)).filter_map(
                |(connection, channel)| Some(running.sessions.get(connection)?.documents.get(channel)?.busy),
            );
        let room = running.room.as_ref().and_then(|room| room.poll_timeout());
        sessions.chain(busy).chain(room).chain(self.store.next()).min()
    }

    /// Does everything that is due or possible now.
    pub fn pump(&mut self, now: Duration, random: &mut Random, out: &mut Out) {
        let clock = self.clock(now);
        self.drive_store(clock, random);
        let Some(running) = &mut self.running else { return };
        if let Some(room) = &mut running.room {
            room.handle_timeout(clock);
            if room.is_idle() && random.one_in(4) || room.closing().is_some() && room.usage().members == 0 {
                running.room = None;
            }
        }
        let connections: Vec<_> = running.sessions.keys().copied().collect();
        for connection in connections {
            let Some(served) = self.served(connection) else { continue };
            served.session.handle_timeout(clock);
            self.session_events(clock, connection);
            let Some(served) = self.served(connection) else { continue };
            while let Some(frame) = served.session.poll_transmit() {
                out.push((connection, pack(served.lanes, 0, &[frame])));
            }
            if served.dead {
                out.push((connection, Packet::End));
                self.end(clock, connection);
            }
        }
        self.drive_members(clock, out);
    }

    fn drive_store(&mut self, clock: Clock, random: &mut Random) {
        let now = clock.monotonic;
        while let Some(done) = self.store.take_done(now) {
            let Some(room) = self.running.as_mut().and_then(|running| running.room.as_mut()) else { continue };
            match done {
                Done::Stored(first, last) => room.stored_group(clock, first, last),
                Done::Folded(snapshot) => assert!(room.folded(snapshot), "the room takes its own fold"),
            }
        }
        let Some(running) = &mut self.running else { return };
        let Some(room) = &mut running.room else { return };
        if room.closing().is_some() {
            return;
        }
        let mut records = Vec::new();
        if let Some(last) = room.take_records(&mut records) {
            let first = RecordNumber(running.taken + 1);
            running.taken = last.0;
            let millis = if random.one_in(20) { random.below(3_000) } else { 1 + random.below(30) };
            let delay = self.store_delay.unwrap_or(Duration::from_millis(millis));
            self.store.append(first, last, records, now + delay);
        }
        if let Some(input) = room.fold_wanted() {
            if random.one_in(8) {
                room.fold_failed();
            } else {
                let folded = self.store.fold(input, now + Duration::from_millis(random.below(800)));
                self.faults.extend(folded.err().map(|error| format!("what is durable does not fold: {error}")));
            }
        }
    }

    fn drive_members(&mut self, clock: Clock, out: &mut Out) {
        let Some(running) = &mut self.running else { return };
        let Some(room) = &mut running.room else { return };
        let mut ready = Vec::new();
        room.take_ready(&mut ready);
        running.wanting.extend(ready);
        for member in running.wanting.clone() {
            let Some((connection, channel)) = running.members.get(&member).copied() else { continue };
            let Some(served) = running.sessions.get_mut(&connection) else { continue };
            let Some(lane) = served.documents.get_mut(&channel) else { continue };
            if lane.busy > clock.monotonic {
                continue;
            }
            let mut frames = Vec::new();
            let taken = room.poll_transmit(clock, member, WRITE_BYTES, &mut frames);
            if taken > 0 {
                // An array of at most 15 elements, of which the first is the number.
                frames.iter().for_each(|frame| self.frames[usize::from(frame[1])] += 1);
                out.push((connection, pack(served.lanes, channel, &frames)));
                if self.copies.is_some() && served.lanes == Lanes::Streams {
                    let mut queue = CopyQueue::default();
                    frames.iter().for_each(|frame| queue.note(clock.monotonic, Channel(channel), frame));
                    let copies = std::iter::from_fn(|| queue.poll(clock.monotonic + COPY_DELAY));
                    out.extend(copies.map(|copy| (connection, Packet::Datagram(copy))));
                }
                lane.busy = clock.monotonic + Duration::from_micros(1 + taken as u64 * 1_000_000 / self.bandwidth);
                continue;
            }
            running.wanting.remove(&member);
            if room.closing().is_some() {
                // Its last frame was Close.
                (lane.closed, lane.member) = (true, None);
                running.members.remove(&member);
                served.session.document_closed();
                room.leave(clock, member);
                continue;
            }
            while let Some(frame) = room.poll_datagram(clock, member) {
                let packet = match served.lanes {
                    Lanes::Streams => wire::encode_datagram(Channel(channel), &frame).map(Packet::Datagram),
                    Lanes::Messages => None,
                };
                out.push((connection, packet.unwrap_or_else(|| pack(served.lanes, channel, &[frame]))));
            }
        }
    }
}

fn pack(lanes: Lanes, channel: u32, frames: &[Bytes]) -> Packet {
    match lanes {
        Lanes::Streams => Packet::Lane(channel, wire::encode_stream(frames)),
        Lanes::Messages => Packet::Message(wire::encode_message(Channel(channel), frames)),
    }
}
