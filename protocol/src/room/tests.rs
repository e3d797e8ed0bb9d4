//! Rooms with a few members, driven frame by frame.

mod copies;
mod durable;
mod joining;
mod memory;
mod refusing;
mod twins;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, HybridTime, Position, Snapshot, Value, VersionVector, fold};

use super::*;
use crate::frame::{self, Claim, Open, Options};
use crate::record::LogRecord;
use crate::{Chain, Channel, Role};

const START_MILLIS: u64 = 1_700_000_000_000;

/// A room, its members' documents, and a store that the test drives.
struct Hall {
    room: Room,
    clock: Clock,
    documents: BTreeMap<u64, Document>,
    /// Of every lease that a member was given.
    tickets: BTreeMap<(u64, Actor), Bytes>,
    /// What the store was given.
    records: Vec<LogRecord>,
    given: Option<RecordNumber>,
}

fn keys() -> ReceiptKeys {
    ReceiptKeys::new(1, [9; 32])
}

impl Hall {
    fn new(config: RoomConfig) -> Self {
        Self::load(config, Loaded::default())
    }

    fn load(config: RoomConfig, loaded: Loaded) -> Self {
        let room = Room::new(config, "acme/plan".into(), 0, loaded, keys(), 1);
        let clock = Clock { monotonic: Duration::from_secs(100), unix_millis: START_MILLIS };
        Self { room, clock, tickets: BTreeMap::new(), documents: BTreeMap::new(), records: Vec::new(), given: None }
    }

    fn open(&self, id: u64) -> Open {
        let document = self.documents.get(&id);
        let claim = document.and_then(|document| {
            let (actor, next) = (document.actor()?, document.next_counter()?);
            let ticket = self.tickets.get(&(id, actor)).cloned();
            Some(Claim { actor, last: next - 1, ticket })
        });
        Open {
            channel: Channel(1),
            document: "acme/plan".into(),
            incarnation: None,
            vector: document.map(|document| document.version().clone()).unwrap_or_default(),
            durable: VersionVector::new(),
            role: Role::Editor,
            claim,
            options: Options::default(),
        }
    }

    fn try_join(&mut self, id: u64, role: Role, open: Open) -> Result<(), Reason> {
        let join = Join {
            member: MemberId(id),
            session: 1_000 + id,
            since: self.clock.monotonic,
            subject: format!("user-{id}").into(),
            role,
            open,
            seen: Vec::new(),
        };
        self.room.join(self.clock, join)
    }

    /// Lets member `id` in, or in again, and gives its document what it is sent.
    fn join(&mut self, id: u64, role: Role) -> Vec<Frame> {
        let open = self.open(id);
        self.try_join(id, role, open).expect("the room lets it in");
        self.read(id)
    }

    fn editors(ids: &[u64]) -> Self {
        let mut hall = Self::new(RoomConfig::default());
        for id in ids {
            hall.join(*id, Role::Editor);
        }
        hall
    }

    /// Everything that waits for the member, applied to its document.
    fn read(&mut self, id: u64) -> Vec<Frame> {
        let mut bytes = Vec::new();
        while self.room.poll_transmit(self.clock, MemberId(id), 1 << 20, &mut bytes) > 0 {}
        let frames: Vec<_> = bytes.iter().map(|frame| Frame::decode(frame).expect("a frame")).collect();
        let document = self.documents.entry(id).or_default();
        let mut chunks = Vec::new();
        for frame in &frames {
            match frame {
                Frame::Opened(opened) => {
                    if let Some(lease) = &opened.lease {
                        self.tickets.insert((id, lease.actor), lease.ticket.clone().expect("a ticket"));
                    }
                    if let Some(lease) = opened.lease.as_ref().filter(|lease| document.actor() != Some(lease.actor)) {
                        document.set_actor(lease.actor, lease.next);
                    }
                }
                Frame::Leased(lease) => {
                    self.tickets.insert((id, lease.actor), lease.ticket.clone().expect("a ticket"));
                    document.set_actor(lease.actor, lease.next);
                }
                Frame::Batch(batch) => drop(document.apply(&batch.clone().into_parts().0).expect("it applies")),
                Frame::Snapshot(chunk) => {
                    chunks.extend_from_slice(&chunk.bytes);
                    if chunk.last {
                        let snapshot = Snapshot::parse(std::mem::take(&mut chunks).into()).expect("a snapshot");
                        document.merge(&snapshot).expect("it merges");
                    }
                }
                _ => {}
            }
        }
        frames
    }

    fn numbers(&mut self, id: u64) -> Vec<u8> {
        self.read(id).iter().map(Frame::number).collect()
    }

    /// Batches of an edit by the member, not sent.
    fn edit(&mut self, id: u64, text: &str) -> Vec<Batch> {
        let document = self.documents.get_mut(&id).expect("it joined");
        document.insert("body", Position::Scalar(0), text).expect("an insert");
        document.take_batches()
    }

    fn send(&mut self, id: u64, batches: &[Batch]) {
        for batch in batches {
            let frame = frame::Batch::new(batch.clone(), None);
            self.room.receive(self.clock, MemberId(id), frame.into()).expect("the lane stays open");
        }
    }

    fn write(&mut self, id: u64, text: &str) {
        let batches = self.edit(id, text);
        self.send(id, &batches);
    }

    /// Gives the store what there is.
    fn give(&mut self) -> Option<RecordNumber> {
        let given = self.room.take_records(&mut self.records);
        self.given = given.or(self.given);
        given
    }

    /// The store has everything.
    fn store(&mut self) {
        self.give();
        if let Some(number) = self.given {
            self.room.stored(self.clock, number);
        }
    }

    fn wait(&mut self, millis: u64) {
        self.clock.monotonic += Duration::from_millis(millis);
        self.clock.unix_millis += millis;
        self.room.handle_timeout(self.clock);
    }

    fn fold(&mut self) -> bool {
        let Some(input) = self.room.fold_now() else { return false };
        let bytes = fold(input.snapshot.as_ref(), &input.batches).expect("it folds");
        self.room.folded(Snapshot::parse(bytes).expect("a snapshot"))
    }

    fn text(&self, id: u64) -> String {
        self.documents[&id].text("body").to_string()
    }

    fn ready(&mut self) -> Vec<u64> {
        let mut ready = Vec::new();
        self.room.take_ready(&mut ready);
        let mut ready: Vec<_> = ready.into_iter().map(|member| member.0).collect();
        ready.sort_unstable();
        ready
    }
}

fn batches(frames: &[Frame]) -> Vec<frame::Batch> {
    let batch = |frame: &Frame| match frame {
        Frame::Batch(batch) => Some(batch.clone()),
        _ => None,
    };
    frames.iter().filter_map(batch).collect()
}

fn refusal(frames: &[Frame]) -> Option<Code> {
    frames.iter().find_map(|frame| match frame {
        Frame::Refused(refused) => Some(refused.code),
        _ => None,
    })
}

#[test]
fn a_batch_reaches_everybody_else_as_the_same_bytes() {
    let mut hall = Hall::editors(&[1, 2, 3]);
    hall.ready();
    hall.write(1, "hello");
    assert_eq!(hall.ready(), [1, 2, 3], "the author for its acknowledgement");
    let mut frames = [Vec::new(), Vec::new()];
    for (id, frames) in [2, 3].into_iter().zip(&mut frames) {
        hall.room.poll_transmit(hall.clock, MemberId(id), 1 << 20, frames);
    }
    assert_eq!(frames[0], frames[1]);
    assert_eq!(frames[0][0].as_ptr(), frames[1][0].as_ptr(), "encoded once");
    assert_eq!(hall.numbers(1), [frame::Received::NUMBER]);
    assert_eq!(hall.ready(), [0u64; 0], "nothing is left for anybody");
}

#[test]
fn a_reader_that_is_busy_gets_everything_at_once_and_is_woken_once() {
    let mut hall = Hall::editors(&[1, 2]);
    hall.ready();
    for number in 0..5 {
        hall.write(1, &number.to_string());
        assert_eq!(hall.ready(), if number == 0 { vec![1, 2] } else { vec![] });
    }
    let mut frames = Vec::new();
    let taken = hall.room.poll_transmit(hall.clock, MemberId(2), 1, &mut frames);
    assert_eq!((frames.len(), frames[0].len()), (1, taken), "at least one frame, and no more than fits");
    assert_eq!(batches(&hall.read(2)).len(), 4);
    assert_eq!(hall.numbers(1), [frame::Received::NUMBER], "acknowledgements are coalesced");
}

#[test]
fn presence_is_encoded_once_and_the_newest_wins() {
    let mut hall = Hall::editors(&[1, 2, 3]);
    hall.wait(1_000);
    let set = |hall: &mut Hall, sequence, state: &'static [u8]| {
        let frame = frame::Presence { sequence, state: Some(Bytes::from_static(state)) };
        hall.room.receive_datagram(hall.clock, MemberId(1), frame.into());
    };
    let poll = |hall: &mut Hall, id| {
        let frame = hall.room.poll_datagram(hall.clock, MemberId(id))?;
        assert!(frame.len() <= crate::limits::MAX_DATAGRAM_BYTES - 5);
        match Frame::decode(&frame) {
            Ok(Frame::PresenceUpdate(update)) => {
                Some(update.entries.into_iter().map(|entry| (entry.session, entry.state)).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        }
    };
    set(&mut hall, 2, b"second");
    set(&mut hall, 1, b"first");
    assert_eq!(poll(&mut hall, 2), Some(vec![(1_001, Some(Bytes::from_static(b"second")))]));
    set(&mut hall, 3, b"third");
    set(&mut hall, 4, b"fourth");
    assert_eq!(poll(&mut hall, 2), None, "not more than 30 times a second");
    hall.wait(40);
    assert_eq!(poll(&mut hall, 2), Some(vec![(1_001, Some(Bytes::from_static(b"fourth")))]));
    hall.wait(1_000);
    assert!(poll(&mut hall, 2).is_some(), "once more, for datagrams that were lost");
    hall.wait(1_000);
    assert_eq!(poll(&mut hall, 2), None);
    hall.room.leave(hall.clock, MemberId(1));
    hall.wait(40);
    assert_eq!(poll(&mut hall, 2), Some(vec![(1_001, None)]));
    assert_eq!(poll(&mut hall, 3).map(|entries| entries.len()), Some(1), "who reads late gets what is kept");

    let large = frame::Presence { sequence: 1, state: Some(vec![0; crate::limits::MAX_PRESENCE_BYTES + 1].into()) };
    let refused = hall.room.receive(hall.clock, MemberId(2), large.into());
    assert_eq!(refused.map_err(|(code, _)| code), Err(Code::BadPresence));
}

#[test]
fn presence_of_a_crowd_takes_turns_within_its_budget() {
    let mut hall = Hall::new(RoomConfig::default());
    for id in 1..=100 {
        hall.join(id, Role::Viewer);
    }
    hall.wait(1_000);
    let mut heard: BTreeMap<u64, u32> = BTreeMap::new();
    for round in 0..50 {
        for id in 1..=100 {
            let state = Some(Bytes::from(vec![round as u8; 100]));
            hall.room.receive_datagram(hall.clock, MemberId(id), frame::Presence { sequence: round, state }.into());
        }
        hall.wait(34);
        let mut bytes = 0;
        while let Some(frame) = hall.room.poll_datagram(hall.clock, MemberId(1)) {
            bytes += frame.len();
            if let Ok(Frame::PresenceUpdate(update)) = Frame::decode(&frame) {
                update.entries.into_iter().for_each(|entry| *heard.entry(entry.session).or_default() += 1);
            }
        }
        assert!(bytes <= 2 * 2_048 + 512, "{bytes} bytes in one interval");
    }
    let (least, most) = (heard.values().min(), heard.values().max());
    assert_eq!(heard.len(), 100);
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 2), "from {least:?} to {most:?} times");
}

fn map_batch(hall: &mut Hall, id: u64, millis: u64) -> Vec<Batch> {
    let document = hall.documents.get_mut(&id).expect("it joined");
    document.map_set("meta", "title", Value::Bool(true), HybridTime::from_millis(millis)).expect("an edit");
    document.take_batches()
}

/// Not a limit that is checked, but figures to look at: `cargo test --release -- --ignored --nocapture costs`.
#[test]
#[ignore = "measures; run it by hand"]
fn costs_of_a_batch_in_a_crowd() {
    const MEMBERS: u64 = 400;
    const BATCHES: usize = 20_000;
    let mut hall = Hall::new(RoomConfig { tail_bytes: usize::MAX, ..RoomConfig::default() });
    for id in 1..=MEMBERS {
        hall.join(id, if id == 1 { Role::Editor } else { Role::Viewer });
    }
    let batches: Vec<_> = (0..BATCHES).flat_map(|_| hall.edit(1, "x")).collect();
    let (mut ready, mut out) = (Vec::new(), Vec::new());
    let mut spent = [Duration::ZERO; 4];
    for batch in batches {
        let frame = Frame::from(frame::Batch::new(batch, None));
        let mut mark = std::time::Instant::now();
        let mut lap = |spent: &mut Duration| {
            *spent += mark.elapsed();
            mark = std::time::Instant::now();
        };
        hall.room.receive(hall.clock, MemberId(1), frame).expect("it is taken");
        lap(&mut spent[0]);
        hall.room.take_ready(&mut ready);
        lap(&mut spent[1]);
        for member in ready.drain(..) {
            while hall.room.poll_transmit(hall.clock, member, 16 << 10, &mut out) > 0 {}
        }
        out.clear();
        lap(&mut spent[2]);
        hall.records.clear();
        hall.store();
        lap(&mut spent[3]);
    }
    for (what, spent) in ["accept", "take_ready", "poll all", "store"].iter().zip(spent) {
        println!("{what}: {} ns for a batch", spent.as_nanos() / BATCHES as u128);
    }
}
