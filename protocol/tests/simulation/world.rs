//! One run: pages, a network and a relay, from one seed, on virtual time.

mod check;
mod staged;
mod trace;

use std::collections::BTreeMap;
use std::time::Duration;

use inkwire_document::VersionVector;
use inkwire_protocol::Role;
use inkwire_protocol::client::{Lanes, Now};
use inkwire_protocol::copies::{CopyCounts, CopyMode};
use inkwire_protocol::random::Random;
use inkwire_protocol::replica;
use inkwire_protocol::room::{RoomConfig, Sabotage};

use crate::host::{Host, Wish};
use crate::network::{Connection, Count, Network, Packet, To, Weather};
use crate::relay::Relay;
use crate::store::Store;
pub(crate) use staged::*;
use trace::describe;

/// When everything must have come to rest, from the moment on which nothing is broken any more.
const REST: Duration = Duration::from_secs(120);

pub struct World {
    random: Random,
    now: Duration,
    network: Network,
    relay: Relay,
    hosts: Vec<Host>,
    timers: BTreeMap<(Duration, u64), Timer>,
    sequence: u64,
    connections: u64,
    /// What any page was told is durable.
    promised: VersionVector,
    /// What of it was looked up in the store.
    checked: VersionVector,
    /// The relay's wall clock jumps by up to a day when it starts anew: then times of maps may be refused.
    clocks_jump: bool,
    /// Roles change: then edits may be refused.
    roles_change: bool,
    trace: bool,
    /// Tabs are copied: then the edits of one may be refused.
    copies: bool,
    /// In the end the store is restored from a backup.
    rolls_back: bool,
    /// Decides when a relay that nobody reaches folds; apart from the rest.
    folds: Random,
    /// It was.
    rolling_back: bool,
    rules: Rules,
    visits: Visits,
    /// How often a page was copied or restored.
    twins: u32,
    /// How often the relay was started.
    starts: u64,
    pub events: u64,
}

enum Timer {
    Act,
    RelayStarts,
    RelayEnds,
    /// A page notices that its connection is gone.
    Notice(usize, Connection),
    /// A page comes back.
    Online(usize),
}

/// What happened in a run, in numbers.
#[derive(Debug)]
pub struct Outcome {
    pub events: u64,
    pub edits: u64,
    /// Frames on documents' lanes, by number.
    pub frames: [u64; 64],
    /// Copies that came first, late and too early.
    pub copies: [u64; 3],
    /// What went wrong on the way.
    pub visits: Visits,
}

/// How often a run came to what it is there for.
pub type Visits = BTreeMap<&'static str, u64>;

/// Which rules are taken out, of a room, of a client, and of the page around one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub room: Sabotage,
    pub client: replica::Sabotage,
    /// A page that is loaded goes on as the actor that it was when it was last stored.
    pub go_on_from_disk: bool,
}

impl Rules {
    fn wants_twins(&self) -> bool {
        self.room.lease_without_digest || self.room.ignore_seen || self.client.ignore_twins
    }
}

pub(crate) fn run(seed: u64, rules: Rules, trace: bool) -> Result<Outcome, String> {
    play(World::new(seed, rules, trace), seed)
}

/// Batches travel once more as datagrams, where there are some.
pub(crate) fn run_with_copies(seed: u64, trace: bool) -> Result<Outcome, String> {
    let mut world = World::new(seed, Rules::default(), trace);
    world.relay.copies = Some(CopyCounts::default());
    world.hosts.iter_mut().for_each(|host| host.client.set_copies(CopyMode::On));
    play(world, seed)
}

fn play(mut world: World, seed: u64) -> Result<Outcome, String> {
    let result = world.play();
    let fail = |problem| format!("seed {seed} at {:?}: {problem}", world.now);
    result.map_err(fail)?;
    let edits = world.hosts.iter().map(|host| host.edits).sum();
    let of_hosts = world.hosts.iter().map(|host| host.client.copies());
    let copies = of_hosts.chain(world.relay.copies).fold([0; 3], |[first, late, passed], counts| {
        [first + counts.first, late + counts.late, passed + counts.passed]
    });
    let Count { lost, doubled, reordered, late, cut } = world.network.count;
    let network = [
        ("datagrams lost", lost),
        ("datagrams doubled", doubled),
        ("datagrams overtaken", reordered),
        ("packets that came late", late),
        ("packets lost with a connection", cut),
    ];
    world.visits.extend(network);
    let (events, frames, visits) = (world.events, world.relay.frames, world.visits);
    Ok(Outcome { events, edits, frames, copies, visits })
}

macro_rules! trace {
    ($world:expr, $($words:tt)*) => {
        if $world.trace {
            println!("{:>10.3?} {}", $world.now, format!($($words)*));
        }
    };
}

impl World {
    fn new(seed: u64, rules: Rules, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let small = random.one_in(2);
        // Apart from the rest, so that what is drawn here gives no seed another course.
        let mut apart = Random::new(seed ^ 0x5eed);
        let mut memory = Random::new(seed ^ 0x6b6e_6f77);
        let known_batches = if memory.one_in(4) { memory.below(8) as usize } else { 2_048 };
        let config = RoomConfig {
            known_batches,
            vector_entries: 1 + apart.below(6) as usize,
            tail_bytes: if small { 2_000 + random.below(8_000) as usize } else { 40_000 },
            member_bytes: 1_000 + random.below(6_000) as usize,
            undurable_bytes: if random.one_in(3) { 3_000 + random.below(10_000) as usize } else { 8 << 20 },
            sabotage: rules.room,
            ..RoomConfig::default()
        };
        // Where a rule is taken out that matters only there, all runs go there.
        let copies = apart.one_in(6) | rules.wants_twins();
        let bandwidth = if random.one_in(3) { 4_000 + random.below(50_000) } else { 10_000_000 };
        let network = Network::new(if random.one_in(3) { Weather::fair() } else { Weather::draw(&mut random) });
        let count = 2 + random.below(5) as usize;
        let mut hosts: Vec<Host> = (0..count)
            .map(|index| {
                let role = if index > 0 && random.one_in(4) { Role::Viewer } else { Role::Editor };
                let lanes = if random.one_in(2) { Lanes::Streams } else { Lanes::Messages };
                Host::new(index, (role, lanes), Duration::ZERO, rules.client, &mut random)
            })
            .collect();
        let clocks_jump = random.one_in(5) | rules.room.forget_refusals;
        let (roles_change, rolls_back) = (random.one_in(8), apart.one_in(4));
        for host in &mut hosts {
            host.may_lose_seen = copies || clocks_jump || roles_change || rolls_back;
        }
        Self {
            clocks_jump,
            roles_change,
            random,
            now: Duration::ZERO,
            network,
            relay: Relay::new(config, bandwidth),
            hosts,
            timers: BTreeMap::new(),
            sequence: 0,
            connections: 0,
            promised: VersionVector::new(),
            checked: VersionVector::new(),
            trace,
            rolls_back,
            folds: Random::new(seed ^ 0xf01d),
            copies,
            rolling_back: false,
            rules,
            visits: Visits::default(),
            twins: 0,
            starts: 0,
            events: 0,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let turmoil = Duration::from_secs(4 + self.random.below(26));
        self.after(Duration::from_millis(1), Timer::Act);
        while self.now < turmoil {
            self.step(turmoil)?;
        }
        self.calm();
        let backup = self.rolls_back.then(|| self.relay.store.clone());
        let deadline = self.now + REST;
        let mut look = self.now;
        while !self.at_rest() {
            if self.now >= deadline {
                return Err(format!("no rest after {REST:?}: {}", self.unrest()));
            }
            look += Duration::from_millis(500);
            while self.now < look {
                self.step(look)?;
            }
        }
        if self.random.one_in(4) {
            // Longer than presence lives.
            let until = self.now + Duration::from_secs(45);
            while self.now < until {
                self.step(until)?;
            }
            self.check_presence()?;
        }
        self.check_end()?;
        self.relay.steal(self.now)?;
        backup.map_or(Ok(()), |backup| self.roll_back(backup))
    }

    /// The store is an old one again. Who knows more to be durable must be told, and nobody else.
    fn roll_back(&mut self, mut backup: Store) -> Result<(), String> {
        trace!(self, "the store is restored from a backup");
        backup.crash(&mut self.random);
        let lack = |host: &Host, version: &VersionVector| {
            host.replica().durable().dots.iter().any(|(actor, counter)| version.get(actor) < *counter)
        };
        let version = backup.loaded().version().clone();
        let lacked: Vec<bool> = self.hosts.iter().map(|host| lack(host, &version)).collect();
        self.crash_relay();
        self.relay.store = backup;
        self.promised = VersionVector::new();
        self.rolling_back = true;
        let until = self.now + Duration::from_secs(40);
        while self.now < until {
            self.step(until)?;
        }
        let version = self.relay.store.loaded().version().clone();
        for (index, host) in self.present() {
            // Whoever offers what the store lacks may have come first.
            let lacks = lack(host, &version);
            if lacks && !host.rolled_back || host.rolled_back && !lacked[index] {
                return Err(format!("page {index} lacks {lacks}, was told {}", host.rolled_back));
            }
        }
        Ok(())
    }

    fn after(&mut self, pause: Duration, timer: Timer) {
        self.sequence += 1;
        self.timers.insert((self.now + pause, self.sequence), timer);
    }

    /// Goes to the next moment at which something happens, at most `until`, and lets it happen.
    fn step(&mut self, until: Duration) -> Result<(), String> {
        let clients = self.hosts.iter().filter(|host| !host.gone).filter_map(|host| host.client.poll_timeout());
        let connects = self.hosts.iter().filter(|host| host.online && !host.gone).filter_map(|host| host.connect_at);
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        let times = clients.chain(connects).chain(timer).chain(self.network.next()).chain(self.relay.next());
        let next = times.min().unwrap_or(until).min(until);
        self.now = self.now.max(next);
        self.events += 1;
        if self.events > 400_000 {
            return Err("it goes round in circles".into());
        }
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let timer = entry.remove();
            self.timer(timer)?;
        }
        while let Some(arrival) = self.network.take(self.now) {
            self.arrive(arrival.connection, arrival.to, arrival.packet);
        }
        for index in 0..self.hosts.len() {
            let host = &mut self.hosts[index];
            if host.gone {
                continue;
            }
            if host.client.poll_timeout().is_some_and(|at| at <= self.now) {
                host.client.handle_timeout(Now::new(self.now));
            }
            if host.online && host.connect_at.is_some_and(|at| at <= self.now) {
                self.connect(index);
            }
            self.pump_host(index)?;
        }
        self.pump_relay()?;
        self.check_always()
    }

    fn connect(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        host.connect_at = None;
        let now = Now::new(self.now);
        if !self.relay.is_up() || self.random.one_in(8) {
            trace!(self, "{index} fails to connect");
            return host.client.connect_failed(now);
        }
        self.connections += 1;
        let connection = Connection(self.connections);
        let (status, restarted) = (host.replica().status(), host.last_start < self.starts);
        host.last_start = self.starts;
        if restarted && status.local + status.sent > 0 {
            self.visit("pages with edits that come back after a restart");
        }
        let host = &mut self.hosts[index];
        trace!(self, "{index} connects as {connection:?} over {:?}", host.lanes);
        host.connection = Some(connection);
        let token = host.token();
        host.client.connected(now, token, host.lanes);
        self.relay.accept(self.now, connection, host.lanes);
    }

    fn pump_host(&mut self, index: usize) -> Result<(), String> {
        let mut wishes = Vec::new();
        let host = &mut self.hosts[index];
        let pumped = host.pump(self.now, &mut wishes);
        host.look();
        // What was promised before is gone with the store that had it.
        let promises = host.replica().durable().dots.iter().filter(|_| !self.rolling_back);
        for (actor, counter) in promises {
            let promised = self.promised.dots.entry(*actor).or_default();
            *promised = (*promised).max(*counter);
        }
        for wish in wishes {
            match wish {
                Wish::Connect(at) => {
                    trace!(self, "{index} will connect at {at:?}");
                    self.hosts[index].connect_at = Some(at);
                }
                Wish::Send(connection, packet) => {
                    trace!(self, "{index} → {}", describe(&packet));
                    self.network.send(self.now, &mut self.random, connection, To::Relay, packet);
                }
                Wish::Ended(connection) => trace!(self, "{index} ends {connection:?}"),
            }
        }
        match pumped {
            Err(problem) if self.is_tolerated(&problem) => {
                trace!(self, "{index}: {problem}");
                self.pump_host(index)
            }
            other => other.map_err(|problem| format!("page {index}: {problem}")),
        }
    }

    fn is_tolerated(&self, problem: &str) -> bool {
        let refused = |code: &str| problem.contains("refused") && problem.contains(code);
        self.rolling_back && problem.contains("store_rolled_back")
            // Others' edits, that were seen long ago and are shown anew.
            || problem.contains("it is not known any more whether")
            || problem.starts_with("edits refused: actor_reused") && problem.ends_with("one of them is seen no more")
            || self.copies && (refused("actor_reused") || refused("foreign_actor"))
            || self.clocks_jump && refused("clock_ahead")
            || self.roles_change && (refused("read_only") || refused("foreign_actor"))
    }

    fn pump_relay(&mut self) -> Result<(), String> {
        let mut out = Vec::new();
        self.relay.pump(self.now, &mut self.random, &mut out);
        self.send_all(out);
        self.relay.faults.pop().map_or(Ok(()), Err)
    }

    fn send_all(&mut self, out: Vec<(Connection, Packet)>) {
        for (connection, packet) in out {
            trace!(self, "{connection:?} ← {}", describe(&packet));
            self.network.send(self.now, &mut self.random, connection, To::Client, packet);
        }
    }

    fn arrive(&mut self, connection: Connection, to: To, packet: Packet) {
        if to == To::Relay {
            let mut out = Vec::new();
            self.relay.receive(self.now, &mut self.random, connection, packet, &mut out);
            return self.send_all(out);
        }
        let Some(host) = self.hosts.iter_mut().find(|host| host.connection == Some(connection) && !host.gone) else {
            return;
        };
        let now = Now::new(self.now);
        match packet {
            Packet::Lane(channel, bytes) => {
                // In any split.
                let cut = self.random.below(bytes.len() as u64 + 1) as usize;
                for part in [&bytes[..cut], &bytes[cut..]] {
                    host.client.receive_stream(now, inkwire_protocol::Channel(channel), part);
                }
            }
            Packet::Message(bytes) => host.client.receive_message(now, bytes),
            Packet::Datagram(bytes) => host.client.receive_datagram(now, bytes),
            Packet::Finish(_) => {}
            Packet::End => {
                host.connection = None;
                host.client.disconnected(now);
            }
        }
    }

    fn timer(&mut self, timer: Timer) -> Result<(), String> {
        match timer {
            Timer::Act => {
                if self.rules.go_on_from_disk && self.random.one_in(4) {
                    let index = self.random.below(self.hosts.len() as u64) as usize;
                    self.store_page(index);
                }
                self.act()?;
                let pause = Duration::from_millis(1 + self.random.below(600));
                self.after(pause, Timer::Act);
            }
            Timer::RelayStarts => {
                trace!(self, "the relay starts");
                self.starts += 1;
                if self.clocks_jump {
                    let day = 86_400_000;
                    self.relay.skew_millis = [0, day, -day, 90_000, -90_000][self.random.below(5) as usize];
                    if self.relay.skew_millis.abs() == day {
                        self.visit("clocks off by a day");
                    }
                }
                if self.folds.one_in(3) && self.relay.fold_meanwhile(self.folds.next_u64()) {
                    self.visit("folds that nobody heard of");
                }
                self.relay.start();
            }
            Timer::RelayEnds if self.relay.is_up() => self.crash_relay(),
            Timer::RelayEnds => {}
            Timer::Notice(index, connection) => {
                let host = &mut self.hosts[index];
                if host.connection == Some(connection) {
                    trace!(self, "{index} notices that {connection:?} is gone");
                    host.connection = None;
                    host.client.disconnected(Now::new(self.now));
                }
            }
            Timer::Online(index) => self.hosts[index].online = true,
        }
        Ok(())
    }

    /// One thing that somebody does, or that goes wrong.
    fn act(&mut self) -> Result<(), String> {
        let index = self.random.below(self.hosts.len() as u64) as usize;
        if self.hosts[index].gone {
            return Ok(());
        }
        if self.copies && self.hosts[index].role == Role::Editor {
            self.make_twins(index);
        }
        match self.random.below(100) {
            0..62 => {
                let done = self.hosts[index].edit(self.now, &mut self.random, self.roles_change);
                let done = done.map_err(|problem| format!("page {index}: {problem}"))?;
                trace!(self, "{index} edits{done}");
            }
            62..74 => self.hosts[index].set_presence(self.now, &mut self.random),
            74..80 => self.cut(index, false),
            80..84 => self.cut(index, true),
            84..88 => {
                trace!(self, "{index} is loaded anew");
                self.cut(index, false);
                self.visit("pages loaded anew");
                if self.rules.go_on_from_disk
                    && let Some(stored) = self.hosts[index].backup.take()
                {
                    self.restore(index, &stored);
                    return Ok(());
                }
                self.hosts[index].reload(self.now, &mut self.random);
                if self.relay.copies.is_some() {
                    self.hosts[index].client.set_copies(CopyMode::On);
                }
            }
            88..91 if self.relay.is_up() => self.crash_relay(),
            91..94 => {
                let until = self.now + Duration::from_millis(self.random.below(9_000));
                trace!(self, "a lane takes nothing until {until:?}");
                self.relay.stall(&mut self.random, until);
            }
            94 => {
                trace!(self, "the store fails");
                self.relay.fail_store(self.now, &mut self.random);
            }
            95 => {
                trace!(self, "the relay is about to leave");
                self.relay.go_away();
                let pause = Duration::from_millis(self.random.below(4_000));
                self.after(pause, Timer::RelayEnds);
            }
            96 if self.roles_change => {
                let role = if self.random.one_in(2) { Role::Viewer } else { Role::Editor };
                trace!(self, "somebody becomes {}", role.as_str());
                self.relay.change_role(&mut self.random, role);
            }
            97 => self.network.weather = Weather::draw(&mut self.random),
            98 if index > 1 => {
                trace!(self, "{index} leaves for good");
                self.cut(index, false);
                self.hosts[index].gone = true;
            }
            99 => {
                trace!(self, "{index} closes the document and opens it again");
                self.hosts[index].reopen(self.now);
            }
            _ => {}
        }
        Ok(())
    }

    fn visit(&mut self, what: &'static str) {
        *self.visits.entry(what).or_default() += 1;
    }

    /// Perhaps the page is copied, stored, or becomes what was stored of it.
    fn make_twins(&mut self, index: usize) {
        if self.hosts.len() < 9 && self.random.one_in(30) {
            trace!(self, "{index} is copied");
            self.visit("pages copied");
            self.twins += 1;
            let copy = self.hosts[index].copy(self.now, self.twins);
            self.hosts.push(copy);
        }
        if self.random.one_in(15) {
            self.store_page(index);
        }
        if self.random.one_in(40)
            && let Some(stored) = self.hosts[index].backup.take()
        {
            self.visit("pages restored from a backup");
            self.restore(index, &stored);
        }
    }

    fn store_page(&mut self, index: usize) {
        self.twins += 1;
        let copy = self.hosts[index].copy(self.now, self.twins);
        self.hosts[index].backup = Some(Box::new(copy));
    }

    fn restore(&mut self, index: usize, stored: &Host) {
        trace!(self, "{index} is restored from a backup");
        self.cut(index, false);
        self.twins += 1;
        let mut restored = stored.copy(self.now, self.twins);
        restored.last_start = self.hosts[index].last_start;
        (restored.online, restored.gone) = (true, false);
        self.hosts[index] = restored;
    }

    /// The page's connection is gone; perhaps the page stays away for a while.
    fn cut(&mut self, index: usize, away: bool) {
        if let Some(connection) = self.hosts[index].connection {
            trace!(self, "{connection:?} of {index} is cut");
            self.network.cut(&mut self.random, connection);
            if !self.random.one_in(3) {
                let pause = Duration::from_millis(self.random.below(3_000));
                self.after(pause, Timer::Notice(index, connection));
            }
        }
        if away {
            self.hosts[index].online = false;
            let pause = Duration::from_millis(self.random.below(20_000));
            self.after(pause, Timer::Online(index));
        }
    }

    fn crash_relay(&mut self) {
        trace!(self, "the relay crashes");
        self.visit("crashes of the relay");
        self.relay.crash(&mut self.random);
        for index in 0..self.hosts.len() {
            if let Some(connection) = self.hosts[index].connection {
                self.network.cut(&mut self.random, connection);
                if !self.random.one_in(4) {
                    let pause = Duration::from_millis(self.random.below(500));
                    self.after(pause, Timer::Notice(index, connection));
                }
            }
        }
        let pause = Duration::from_millis(50 + self.random.below(4_000));
        self.after(pause, Timer::RelayStarts);
    }

    /// From now on nothing breaks, and everybody who is not gone is there.
    fn calm(&mut self) {
        trace!(self, "calm");
        self.network.weather = Weather::fair();
        self.timers.retain(|_, timer| !matches!(timer, Timer::Act | Timer::Online(_)));
        for host in &mut self.hosts {
            host.online = true;
        }
    }

    fn present(&self) -> impl Iterator<Item = (usize, &Host)> {
        self.hosts.iter().enumerate().filter(|(_, host)| !host.gone)
    }

    fn at_rest(&self) -> bool {
        let store = self.relay.store.loaded().version().clone();
        // What was closed still sends what was written in it. Where edits may be refused, it may be as another actor.
        let refusals = self.roles_change || self.copies || self.clocks_jump;
        self.relay.store.is_settled()
            && self.present().all(|(_, host)| {
                let replica = host.replica();
                let there = host.left.iter().all(|(actor, last)| store.get(actor) >= *last);
                if !there && !refusals {
                    return false;
                }
                replica.synced()
                    && replica.all_durable()
                    && *replica.document().version() == store
                    // What refers to edits that were refused is offered in vain.
                    && (replica.retained().0 == 0 || replica.status().refused > 0)
            })
    }

    fn unrest(&self) -> String {
        let describe = |(index, host): (usize, &Host)| {
            let replica = host.replica();
            let (version, store) = (replica.document().version(), self.relay.store.loaded().version().clone());
            let missing: Vec<_> = store.dots.iter().filter(|(actor, counter)| version.get(actor) < **counter).collect();
            let more: Vec<_> = version.dots.iter().filter(|(actor, counter)| store.get(actor) < **counter).collect();
            format!(
                "page {index} synced {} status {:?} retained {:?} lacks {missing:?} has more {more:?}",
                replica.synced(),
                replica.status(),
                replica.retained(),
            )
        };
        self.present().map(describe).collect::<Vec<_>>().join("; ")
    }
}
