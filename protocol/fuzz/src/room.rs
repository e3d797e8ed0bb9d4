use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use inkwire_document::{Applied, Document, Position, Snapshot, VersionVector};
use inkwire_protocol::limits::MAX_FRAME_BYTES;
use inkwire_protocol::receipt::ReceiptKeys;
use inkwire_protocol::record::{ActorRecord, Digest, LogRecord};
use inkwire_protocol::room::{Clock, Join, Loaded, MemberId, RecordNumber, Room, RoomConfig};
use inkwire_protocol::{Frame, frame};

use super::choose::{self, Pool};

const MEMBERS: u64 = 4;
const SUBJECTS: [&str; 2] = ["ada", "bob"];

/// A room whose members say whatever, in whatever order: what it takes to be stored makes a document, its author's subject
/// never changes, what it says are frames, and what it keeps is bounded.
pub fn room(data: &[u8]) {
    let mut world = World::new();
    let _out_of_bytes = world.run(&mut Unstructured::new(data));
}

struct World {
    clock: Clock,
    config: RoomConfig,
    room: Room,
    pool: Pool,
    /// Honest replicas of members, as far as they follow: what makes batches that hold together.
    writers: BTreeMap<MemberId, Document>,
    /// What was taken to be stored since the last start, and its number.
    records: Vec<LogRecord>,
    taken: RecordNumber,
    /// What the store has.
    stored: Vec<LogRecord>,
    snapshot: Option<Snapshot>,
    fold: bool,
    last_member: u64,
}

impl World {
    fn new() -> Self {
        let config = RoomConfig {
            tail_bytes: 4_000,
            member_bytes: 2_000,
            undurable_bytes: 6_000,
            waiting_bytes: 2_000,
            vector_entries: 3,
            ..RoomConfig::default()
        };
        Self {
            clock: Clock { monotonic: Duration::from_secs(100), unix_millis: 1_764_000_000_000 },
            room: Room::new(config.clone(), "d".into(), 0, Loaded::default(), keys(), 1),
            config,
            pool: Pool::default(),
            writers: BTreeMap::new(),
            records: Vec::new(),
            taken: RecordNumber(0),
            stored: Vec::new(),
            snapshot: None,
            fold: false,
            last_member: 0,
        }
    }

    fn run(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..120 {
            self.act(choices)?;
            self.look();
        }
        Ok(())
    }

    fn member(&self, choices: &mut Unstructured<'_>) -> Result<MemberId> {
        let newest = self.last_member;
        Ok(MemberId(newest.saturating_sub(choices.arbitrary::<u64>()? % MEMBERS).max(1)))
    }

    fn act(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let id = self.member(choices)?;
        match choices.int_in_range(0..=17)? {
            0 => self.join(choices)?,
            1 => {
                self.room.leave(self.clock, id);
                self.writers.remove(&id);
            }
            2..=4 => self.write(choices, id)?,
            5..=7 => {
                let frame = choose::frame(choices, &self.pool)?;
                self.receive(id, frame);
            }
            8 => {
                let length = choices.int_in_range(0..=64)?.min(choices.len());
                if let Ok(frame) = Frame::decode(&Bytes::copy_from_slice(choices.bytes(length)?)) {
                    self.receive(id, frame);
                }
            }
            9 => {
                let frame = choose::frame(choices, &self.pool)?;
                self.room.receive_datagram(self.clock, id, frame);
            }
            10 => self.room.set_role(id, choose::role(choices)?),
            11 => self.store(choices)?,
            12 => self.fold(choices)?,
            13 => {
                self.clock.monotonic += Duration::from_millis(choices.arbitrary::<u16>()?.into());
                if self.room.poll_timeout().is_some_and(|due| due <= self.clock.monotonic) {
                    self.room.handle_timeout(self.clock);
                }
            }
            14 => self.transmit(id, choices.arbitrary::<u16>()?.into()),
            15 => {
                self.room.shed_readers();
                let usage = self.room.usage();
                assert_eq!((usage.kept_bytes, usage.pinned_bytes), (0, 0));
            }
            16 => self.room.set_paused(choices.arbitrary()?),
            _ if choices.ratio(1_u8, 8_u8)? => self.restart(choices)?,
            _ => self.transmit(id, 1 << 16),
        }
        Ok(())
    }

    fn join(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        self.last_member += 1;
        let member = MemberId(self.last_member);
        let mut open = choose::open(choices, &self.pool)?;
        if choices.ratio(3_u8, 4_u8)? {
            (open.incarnation, open.vector, open.durable) = (None, VersionVector::new(), VersionVector::new());
        }
        let join = Join {
            member,
            session: choices.arbitrary::<u8>()?.into(),
            since: Duration::from_millis(choices.arbitrary::<u8>()?.into()),
            subject: Arc::from(*choices.choose(&SUBJECTS)?),
            role: choose::role(choices)?,
            open,
            seen: choose::seen(choices, &self.pool)?,
        };
        if self.room.join(self.clock, join).is_ok() {
            self.writers.insert(member, Document::new());
        }
        Ok(())
    }

    /// A batch as an honest client makes it, sent once or more.
    fn write(&mut self, choices: &mut Unstructured<'_>, id: MemberId) -> Result<()> {
        let Some(document) = self.writers.get_mut(&id) else { return Ok(()) };
        let length = document.text("t").len_scalars();
        let at = usize::from(choices.arbitrary::<u8>()?) % (length + 1);
        let _not_an_actor_yet = if choices.ratio(1_u8, 4_u8)? {
            document.delete("t", Position::Scalar(at), (length - at).min(2))
        } else {
            let text = if choices.ratio(1_u8, 16_u8)? { "long ".repeat(200) } else { "abc".to_owned() };
            document.insert("t", Position::Scalar(at), &text)
        };
        for batch in document.take_batches() {
            self.pool.note_batch(batch.clone());
            self.receive(id, frame::Batch::new(batch, None).into());
        }
        Ok(())
    }

    fn receive(&mut self, id: MemberId, frame: Frame) {
        if self.room.receive(self.clock, id, frame).is_err() {
            // The shell then closes the lane.
            self.room.leave(self.clock, id);
            self.writers.remove(&id);
        }
    }

    fn transmit(&mut self, id: MemberId, max_bytes: usize) {
        let mut out = Vec::new();
        self.room.poll_transmit(self.clock, id, max_bytes, &mut out);
        out.extend(self.room.poll_datagram(self.clock, id));
        let (mut writer, pool) = (self.writers.get_mut(&id), &mut self.pool);
        for bytes in out {
            assert!(bytes.len() <= MAX_FRAME_BYTES);
            let frame = Frame::decode(&bytes).expect("a frame of ours");
            pool.note(&frame);
            let Some(document) = writer.as_mut() else { continue };
            let lease = match frame {
                Frame::Batch(batch) => {
                    document.apply(&batch.into_parts().0).expect("what a room sends applies");
                    continue;
                }
                Frame::Opened(opened) => opened.lease,
                Frame::Leased(leased) => Some(leased.into()),
                _ => continue,
            };
            if let Some(lease) = lease {
                document.set_actor(lease.actor, lease.next);
            }
        }
    }

    /// The store takes some of what waits.
    fn store(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        self.take();
        let count = choices.int_in_range(0..=self.records.len())?;
        let before = self.taken.0 - self.records.len() as u64;
        self.stored.extend(self.records.drain(..count));
        self.room.stored(self.clock, RecordNumber(before + count as u64));
        Ok(())
    }

    fn take(&mut self) {
        let mut records = Vec::new();
        if let Some(last) = self.room.take_records(&mut records) {
            assert_eq!(last.0, self.taken.0 + records.len() as u64);
            self.taken = last;
        }
        for record in &records {
            assert_eq!(record.digest, Digest::of(&record.batch.operations));
        }
        self.records.extend(records);
    }

    fn fold(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let input = if choices.arbitrary()? { self.room.fold_now() } else { self.room.fold_wanted() };
        if let Some(input) = input {
            let bytes = inkwire_document::fold(input.snapshot.as_ref(), &input.batches).expect("durable batches fold");
            let snapshot = Snapshot::parse(bytes).expect("what was folded parses");
            if choices.ratio(1_u8, 8_u8)? {
                self.room.fold_failed();
            } else {
                assert!(self.room.folded(snapshot.clone()));
                self.snapshot = Some(snapshot);
                self.fold = true;
            }
        }
        Ok(())
    }

    /// The relay dies and comes back with what is stored.
    fn restart(&mut self, choices: &mut Unstructured<'_>) -> Result<()> {
        let subjects: BTreeMap<_, _> =
            self.stored.iter().map(|record| (record.batch.actor, record.subject.clone())).collect();
        let loaded = Loaded {
            snapshot: self.snapshot.clone(),
            actors: subjects.into_iter().map(|(actor, subject)| ActorRecord { actor, subject, chain: None }).collect(),
            batches: self.stored.clone(),
        };
        self.room = Room::new(self.config.clone(), "d".into(), 0, loaded, keys(), choices.arbitrary()?);
        assert_eq!(self.room.unusable_records(), 0);
        self.writers.clear();
        self.records.clear();
        self.taken = RecordNumber(0);
        Ok(())
    }

    fn look(&mut self) {
        self.take();
        let mut ready = Vec::new();
        self.room.take_ready(&mut ready);
        let usage = self.room.usage();
        // A first batch always fits, and offers have as much again.
        assert!(usage.undurable_bytes <= 2 * self.config.undurable_bytes + MAX_FRAME_BYTES, "{usage:?}");
        assert!(usage.waiting_bytes <= self.config.waiting_bytes, "{usage:?}");
    }
}

impl Drop for World {
    /// Everything that was taken, in its order, is a document.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut document = Document::new();
        let mut subjects = BTreeMap::new();
        for record in self.stored.iter().chain(&self.records) {
            let owner = subjects.entry(record.batch.actor).or_insert_with(|| record.subject.clone());
            assert_eq!(*owner, record.subject, "an actor belongs to one subject");
            let applied = document.apply(&record.batch).expect("what is stored applies");
            assert!(!matches!(applied, Applied::Buffered), "what is stored refers to what was stored before");
        }
    }
}

fn keys() -> ReceiptKeys {
    ReceiptKeys::new(1, [7; 32])
}
