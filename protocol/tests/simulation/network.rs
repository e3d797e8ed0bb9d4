//! What lies between: lanes that keep their order, datagrams that do not, and connections that end at any moment, noticed by
//! either side when it happens to be.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::random::Random;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Connection(pub u64);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum To {
    Relay,
    Client,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet {
    /// Bytes of a lane (WebTransport).
    Lane(u32, Bytes),
    /// A message (WebSocket).
    Message(Bytes),
    Datagram(Bytes),
    /// The sender finished the lane.
    Finish(u32),
    /// The sender ended the connection.
    End,
}

#[derive(Debug, Eq, PartialEq)]
pub struct Arrival {
    pub connection: Connection,
    pub to: To,
    pub packet: Packet,
}

/// How a network treats what it is given.
#[derive(Clone, Debug)]
pub struct Weather {
    pub delay: Duration,
    pub jitter: Duration,
    /// One datagram in so many is lost; 0 for none.
    pub loss: u64,
    /// One datagram in so many comes twice.
    pub duplicates: u64,
}

impl Weather {
    pub fn fair() -> Self {
        Self { delay: Duration::from_millis(5), jitter: Duration::from_millis(2), loss: 0, duplicates: 0 }
    }

    pub fn draw(random: &mut Random) -> Self {
        let millis = |random: &mut Random, bound| Duration::from_millis(random.below(bound));
        Self {
            delay: millis(random, 200),
            jitter: millis(random, 300),
            loss: random.below(6),
            duplicates: random.below(6),
        }
    }
}

#[derive(Default)]
struct Pipe {
    /// When the last thing of each lane arrives: nothing of it overtakes.
    ordered: BTreeMap<Option<u32>, Duration>,
    cut: bool,
    /// When the last datagram arrives.
    datagram: Duration,
    /// Nothing is sent on after this.
    ended: bool,
}

pub struct Network {
    pub weather: Weather,
    arrivals: BTreeMap<(Duration, u64), Arrival>,
    pipes: BTreeMap<(Connection, To), Pipe>,
    sequence: u64,
    pub count: Count,
}

/// What was done to packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub lost: u64,
    pub doubled: u64,
    /// A datagram that arrives before one that was sent earlier.
    pub reordered: u64,
    /// What arrives although its connection was cut, after a while.
    pub late: u64,
    /// What is lost with its connection.
    pub cut: u64,
}

impl Network {
    pub fn new(weather: Weather) -> Self {
        Self { weather, arrivals: BTreeMap::new(), pipes: BTreeMap::new(), sequence: 0, count: Count::default() }
    }

    fn latency(&self, random: &mut Random) -> Duration {
        self.weather.delay + Duration::from_micros(random.below(self.weather.jitter.as_micros() as u64 + 1))
    }

    fn schedule(&mut self, at: Duration, arrival: Arrival) {
        self.sequence += 1;
        self.arrivals.insert((at, self.sequence), arrival);
    }

    pub fn send(&mut self, now: Duration, random: &mut Random, connection: Connection, to: To, packet: Packet) {
        let mut at = now + self.latency(random);
        let pipe = self.pipes.entry((connection, to)).or_default();
        if pipe.cut || pipe.ended {
            self.count.cut += 1;
            return;
        }
        match &packet {
            Packet::Datagram(_) => {
                if random.one_in(self.weather.loss) {
                    self.count.lost += 1;
                    return;
                }
                self.count.reordered += u64::from(at < pipe.datagram);
                pipe.datagram = pipe.datagram.max(at);
                if random.one_in(self.weather.duplicates) {
                    self.count.doubled += 1;
                    let again = at + self.latency(random);
                    self.schedule(again, Arrival { connection, to, packet: packet.clone() });
                }
            }
            Packet::Lane(..) | Packet::Message(_) | Packet::Finish(_) => {
                let lane = match &packet {
                    Packet::Lane(lane, _) | Packet::Finish(lane) => Some(*lane),
                    _ => None,
                };
                let last = pipe.ordered.entry(lane).or_default();
                at = at.max(*last);
                *last = at;
            }
            Packet::End => {
                at = pipe.ordered.values().copied().max().unwrap_or_default().max(at);
                pipe.ended = true;
            }
        }
        self.schedule(at, Arrival { connection, to, packet });
    }

    /// Nothing more gets through in either direction. What was on its way may still come, and late: after its client has
    /// connected again.
    pub fn cut(&mut self, random: &mut Random, connection: Connection) {
        for to in [To::Relay, To::Client] {
            self.pipes.entry((connection, to)).or_default().cut = true;
            let late = Duration::from_millis(if random.one_in(2) { random.below(12_000) } else { 0 });
            let same = |arrival: &Arrival| arrival.connection == connection && arrival.to == to;
            let moved: Vec<_> = self.arrivals.extract_if(.., |_, arrival| same(arrival)).collect();
            self.count.late += if late.is_zero() { 0 } else { moved.len() as u64 };
            for ((at, _), arrival) in moved {
                self.schedule(at + late, arrival);
            }
        }
    }

    pub fn next(&self) -> Option<Duration> {
        self.arrivals.keys().next().map(|(at, _)| *at)
    }

    pub fn take(&mut self, now: Duration) -> Option<Arrival> {
        let entry = self.arrivals.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}
