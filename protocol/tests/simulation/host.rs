//! A page: one client with one document, the person who types into it, and what they remember.

use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, HybridTime, Position, Value, VersionVector};
use inkwire_protocol::client::{Client, ClientConfig, DocumentId, Event, Lanes, Now, Transmit};
use inkwire_protocol::random::Random;
use inkwire_protocol::replica::{EditRefused, Replica, ReplicaConfig, Sabotage};
use inkwire_protocol::{Code, Role};

use crate::network::{Connection, Packet};
use crate::relay::DOCUMENT;

pub const TEXT: &str = "body";
pub const MAP: &str = "meta";

pub struct Host {
    pub name: String,
    pub role: Role,
    pub lanes: Lanes,
    /// Entries of a vector in one frame.
    entries: usize,
    sabotage: Sabotage,
    pub client: Client,
    pub document: DocumentId,
    pub connection: Option<Connection>,
    /// Wants to be connected.
    pub online: bool,
    /// A reconnect is scheduled: the client's last word on when.
    pub connect_at: Option<Duration>,
    /// Left for good, with its memory.
    pub gone: bool,
    /// The store lacks what the page knows to be durable.
    pub rolled_back: bool,
    /// All that this page ever showed.
    pub seen: VersionVector,
    /// Edits made since the page was loaded.
    pub edits: u64,
    /// Edits were refused: until the page is synced again it shows what will not stay.
    rebuilding: bool,
    /// What the page has seen before that may be gone when it is synced again.
    seen_may_go: bool,
    /// The world has other causes for that what was seen goes: copies of pages, clocks that jump, roles that change.
    pub may_lose_seen: bool,
    pub presence: Option<Bytes>,
    /// The page as it was some time ago.
    pub backup: Option<Box<Host>>,
    /// What it wrote in documents that it closed: actors and last counters.
    pub left: Vec<(Actor, u64)>,
    /// The relay's start at which it was connected last.
    pub last_start: u64,
    life: u32,
    token_number: u32,
}

/// What the world does for a page.
pub enum Wish {
    Connect(Duration),
    Send(Connection, Packet),
    Ended(Connection),
}

impl Host {
    pub fn new(
        index: usize,
        (role, lanes): (Role, Lanes),
        now: Duration,
        sabotage: Sabotage,
        random: &mut Random,
    ) -> Self {
        let entries = 1 + index % 3;
        let (client, document) = load((role, entries, sabotage), now, random);
        Self {
            name: format!("user-{index}"),
            role,
            lanes,
            entries,
            sabotage,
            client,
            document,
            connection: None,
            online: true,
            connect_at: Some(now),
            gone: false,
            rolled_back: false,
            seen: VersionVector::new(),
            edits: 0,
            rebuilding: false,
            seen_may_go: false,
            may_lose_seen: false,
            presence: None,
            backup: None,
            left: Vec::new(),
            last_start: 0,
            life: 0,
            token_number: 0,
        }
    }

    /// The page is loaded anew: nothing of its memory is left.
    pub fn reload(&mut self, now: Duration, random: &mut Random) {
        (self.client, self.document) = load((self.role, self.entries, self.sabotage), now, random);
        self.left.clear();
        self.connection = None;
        self.connect_at = Some(now);
        (self.seen, self.edits, self.rebuilding, self.presence) = (VersionVector::new(), 0, false, None);
        self.life += 1;
    }

    /// A second page with this one's memory, as a copied or restored tab has it.
    pub fn copy(&self, now: Duration, number: u32) -> Self {
        let mut client = self.client.clone();
        client.disconnected(Now::new(now));
        Self {
            name: self.name.clone(),
            client,
            connection: None,
            connect_at: Some(now),
            seen: self.seen.clone(),
            presence: self.presence.clone(),
            backup: None,
            left: self.left.clone(),
            // What it writes is told apart from what the other writes.
            life: 1_000 * number,
            ..*self
        }
    }

    /// The page closes the document and opens it again. What it wrote goes out as before.
    pub fn reopen(&mut self, now: Duration) {
        let now = Now::new(now);
        let document = self.replica().document();
        if let (None, Some(actor), Some(next)) =
            (self.replica().rebuilding(), document.actor(), document.next_counter())
        {
            self.left.extend((next > 1).then_some((actor, next - 1)));
        }
        self.client.close_document(now, self.document);
        self.document = self.client.open(now, DOCUMENT).expect("the name is good");
        (self.seen, self.edits, self.rebuilding, self.presence) = (VersionVector::new(), 0, false, None);
        self.life += 1;
    }

    pub fn replica(&self) -> &Replica {
        self.client.replica(self.document).expect("it stays open")
    }

    pub fn token(&mut self) -> String {
        self.token_number += 1;
        format!("{} {}", self.name, self.role.as_str())
    }

    /// Polls the client until it has nothing more to say.
    pub fn pump(&mut self, now: Duration, wishes: &mut Vec<Wish>) -> Result<(), String> {
        let now = Now::new(now);
        loop {
            let mut idle = true;
            while let Some(transmit) = self.client.poll_transmit(now) {
                idle = false;
                let Some(connection) = self.connection else { return Err("it sends without a connection".into()) };
                let packet = match transmit {
                    Transmit::OpenLane(_) => continue,
                    Transmit::Stream { channel, bytes } => Packet::Lane(channel.0, bytes),
                    Transmit::FinishLane(channel) => Packet::Finish(channel.0),
                    Transmit::Message(bytes) => Packet::Message(bytes),
                    Transmit::Datagram(bytes) => Packet::Datagram(bytes),
                    Transmit::Disconnect { .. } => {
                        self.connection = None;
                        wishes.push(Wish::Send(connection, Packet::End));
                        wishes.push(Wish::Ended(connection));
                        continue;
                    }
                };
                wishes.push(Wish::Send(connection, packet));
            }
            while let Some(event) = self.client.poll_event() {
                idle = false;
                match event {
                    Event::Reconnect { after, .. } => wishes.push(Wish::Connect(now.monotonic + after)),
                    Event::TokenWanted => {
                        let token = self.token();
                        self.client.refresh_token(now, token);
                    }
                    Event::Closed { code, reason, fatal: true } => return Err(format!("fatal {code}: {reason}")),
                    Event::DocumentClosed { code, reason, .. } => {
                        self.rolled_back |= code == Code::StoreRolledBack;
                        return Err(format!("the document was closed: {code}: {reason}"));
                    }
                    Event::Refused { refusal, .. } => {
                        return Err(format!("{} edits refused: {}: {}", refusal.edits, refusal.code, refusal.reason));
                    }
                    Event::Synced(_) if self.rebuilding => {
                        self.rebuilding = false;
                        if self.seen_may_go {
                            self.seen = VersionVector::new();
                        }
                    }
                    _ => {}
                }
            }
            if idle {
                if let Some((code, reason)) = self.replica().rebuilding()
                    && !self.rebuilding
                {
                    let problem = format!("edits refused: {code}: {reason}");
                    self.rebuilding = true;
                    // A relay that only cannot compare takes back nothing that was written once.
                    self.seen_may_go = self.may_lose_seen || !problem.contains("it is not known any more whether");
                    return Err(problem);
                }
                return Ok(());
            }
        }
    }

    /// What the page shows now is something that it has seen.
    pub fn look(&mut self) {
        if self.rebuilding {
            return;
        }
        let version = self.client.replica(self.document).expect("it stays open").document().version().clone();
        for (actor, counter) in version.dots {
            let seen = self.seen.dots.entry(actor).or_default();
            *seen = (*seen).max(counter);
        }
    }

    /// A burst of edits, as a person makes them. Returns what was done, for the trace.
    pub fn edit(&mut self, now: Duration, random: &mut Random, roles_change: bool) -> Result<String, String> {
        let now = Now::new(now);
        let mut done = String::new();
        for _ in 0..=random.below(4) {
            let length = self.replica().document().text(TEXT).len_scalars();
            let token = token(&self.name, self.life, self.edits);
            let (choice, at, count) =
                (random.below(10), random.below(length as u64 + 1) as usize, random.below(9) as usize);
            let key = format!("key-{}", random.below(6));
            let there = self.replica().document().map_get(MAP, &key).is_some();
            let many =
                if random.one_in(30) { "é😀".repeat(200 + random.below(900) as usize) } else { String::new() };
            let result = self.client.edit(now, self.document, |document, time: HybridTime| {
                match choice {
                    0..5 => document.insert(TEXT, Position::Scalar(at), &format!("{token}{many}"))?,
                    5..7 if at < length => document.delete(TEXT, Position::Scalar(at), (1 + count).min(length - at))?,
                    7 if there => document.map_delete(MAP, &key, time)?,
                    7..10 => document.map_set(MAP, &key, Value::String(token.clone()), time)?,
                    _ => return Ok(false),
                }
                Ok(true)
            });
            match result {
                Ok(made) => self.edits += u64::from(made),
                Err(EditRefused::ReadOnly) if self.role == Role::Viewer || roles_change => {}
                Err(EditRefused::NotReady) => {}
                Err(error) => return Err(format!("an edit failed: {error}")),
            }
            done = format!("{done} {choice}@{at}");
            if random.one_in(2) {
                self.client.flush(now, self.document);
            }
        }
        self.client.flush(now, self.document);
        Ok(done)
    }

    pub fn set_presence(&mut self, now: Duration, random: &mut Random) {
        let state = (!random.one_in(6)).then(|| Bytes::from(vec![random.below(256) as u8; random.below(200) as usize]));
        self.client.set_presence(Now::new(now), self.document, state.clone()).expect("it is small");
        self.presence = state;
    }
}

type Loading = (Role, usize, Sabotage);

fn load((role, vector_entries, sabotage): Loading, now: Duration, random: &mut Random) -> (Client, DocumentId) {
    let replica = ReplicaConfig { role, vector_entries, sabotage, ..ReplicaConfig::default() };
    let config = ClientConfig { replica, backoff_cap: Duration::from_secs(4), ..ClientConfig::default() };
    let mut client = Client::new(config, random.next_u64());
    let document = client.open(Now::new(now), DOCUMENT).expect("the name is good");
    (client, document)
}

/// What one edit inserts: no other has it, and nothing that is left of several after deletions is taken for one.
pub fn token(name: &str, life: u32, edit: u64) -> String {
    let words = format!("{}.{life}.{edit}", name.trim_start_matches("user-"));
    let seed = words.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(257).wrapping_add(byte.into()));
    format!("[{words}.{:04x}]", Random::new(seed).next_u64() & 0xffff)
}

/// The tokens that are whole in a text.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split('[').skip(1).filter_map(|rest| rest.split_once(']')).map(|(words, _)| words);
    words.filter(|words| {
        let parts: Vec<_> = words.split('.').collect();
        let [name, life, edit, _] = parts[..] else { return false };
        let (Ok(life), Ok(edit)) = (life.parse(), edit.parse()) else { return false };
        token(name, life, edit) == format!("[{words}]")
    })
}
