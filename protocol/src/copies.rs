//! Speculative copies: small batches once more as datagrams, where a path loses packets.
//!
//! A stream that waits for a lost packet holds back everything behind it. A copy of a batch in a packet of its own comes
//! through meanwhile, as likely as not to be lost as any other. The stream stays the truth: what comes twice is dropped by its
//! dots, and a copy that comes before what it follows is passed over.
//!
//! Both ends use the same three parts: a [`LossMeter`] says whether a path is worth it, a [`CopyQueue`] holds what was just sent
//! for a moment, and a [`CopyFate`] is what became of a copy at its receiver.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::MAX_DATAGRAM_BYTES;
use crate::{Channel, frame, wire};

/// How long after its batch a copy goes out. At once it would share the batch's packet and be lost with it; what is lost together
/// on a radio link mostly is so within a few milliseconds.
pub const COPY_DELAY: Duration = Duration::from_millis(5);

/// The most batches of one lane within [`COPY_DELAY`] that are copied; of more, none is. That is no typing but a transfer, which
/// copies would only slow down.
pub const MAX_COPIES: usize = 16;

/// How often a path is looked at, while something is sent on it.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a relay's wish for copies holds. It is said again at every look, so that lost ones do no harm.
pub const WANTED_FOR: Duration = Duration::from_secs(5);

/// A client believes no longer wish than this.
pub(crate) const MAX_WANTED_FOR: Duration = Duration::from_secs(60);

/// When copies are sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CopyMode {
    /// While the path loses packets.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never; those that come are passed over.
    Off,
}

impl CopyMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Auto, Self::On, Self::Off];

    /// The word for it in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for CopyMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for CopyMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == word);
        found.ok_or_else(|| format!("{word:?} is not auto, on or off"))
    }
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyFate {
    /// It came before its batch did on the lane, and was taken.
    First,
    /// All of it was there.
    Late,
    /// What goes before it is not there, or it may not be taken as things are: the lane brings it, and says what is wrong with it.
    Passed,
}

/// How many copies there were, in one client's life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CopyCounts {
    /// Sent.
    pub sent: u64,
    /// See [`CopyFate::First`].
    pub first: u64,
    /// See [`CopyFate::Late`].
    pub late: u64,
    /// See [`CopyFate::Passed`].
    pub passed: u64,
}

impl CopyCounts {
    pub(crate) fn count(&mut self, fate: CopyFate) {
        match fate {
            CopyFate::First => self.first += 1,
            CopyFate::Late => self.late += 1,
            CopyFate::Passed => self.passed += 1,
        }
    }
}

/// The copies of one lane that are about to go out: at most [`MAX_COPIES`] datagrams.
#[derive(Clone, Debug, Default)]
pub struct CopyQueue {
    waiting: VecDeque<Bytes>,
    /// Batches since `due` was set.
    noted: usize,
    due: Option<Duration>,
}

impl CopyQueue {
    /// A frame was just sent on the lane. Whatever is no batch, or too long for a datagram, is passed over: two bytes are looked
    /// at, nothing is decoded.
    pub fn note(&mut self, now: Duration, channel: Channel, frame: &[u8]) {
        if !is_batch(frame) || frame.len() >= MAX_DATAGRAM_BYTES {
            return;
        }
        if self.waiting.is_empty() && self.due.is_none_or(|due| due <= now) {
            (self.noted, self.due) = (0, Some(now + COPY_DELAY));
        }
        self.noted += 1;
        if self.noted > MAX_COPIES {
            self.waiting.clear();
        } else {
            self.waiting.extend(wire::encode_datagram(channel, frame));
        }
    }

    /// The next datagram that is due.
    pub fn poll(&mut self, now: Duration) -> Option<Bytes> {
        self.due.filter(|due| *due <= now)?;
        self.waiting.pop_front()
    }

    /// When to poll.
    pub fn due(&self) -> Option<Duration> {
        self.due.filter(|_| !self.waiting.is_empty())
    }

    /// The lane is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether these are the bytes of a `Batch` as this crate encodes one: an array of six elements that begins with its number.
fn is_batch(frame: &[u8]) -> bool {
    matches!(frame, [0x96, frame::Batch::NUMBER, ..])
}

/// What a transport counts on a path, since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PacketCounts {
    /// Packets that were sent.
    pub sent: u64,
    /// Those of them that were found to be lost.
    pub lost: u64,
}

/// How long the meter remembers: what was half of that ago counts half.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// Copies begin when of the packets of the last seconds so many were lost, and that is no single accident.
const LOSSY: f64 = 0.02;
const FEWEST_LOST: f64 = 3.0;

/// Copies end below this: between the two things stay as they are.
const CLEAN: f64 = 0.005;

/// Says from a path's counts whether it loses so many packets that copies are worth their bytes.
///
/// On at 2 % of the packets of the last seconds (each counts half after 5 s) if they are 3 at least, off below 0.5 %. A sender that
/// fills a link loses 0.1 to 1 % by its own doing, where copies would only add to the queue, so the first bound is above that.
#[derive(Clone, Debug, Default)]
pub struct LossMeter {
    seen: PacketCounts,
    looked: Option<Duration>,
    sent: f64,
    lost: f64,
    lossy: bool,
}

impl LossMeter {
    /// Whether it is time for another look.
    pub fn is_due(&self, now: Duration) -> bool {
        self.looked.is_none_or(|looked| now >= looked + LOOK_INTERVAL)
    }

    /// Takes the counts of now. Returns whether the path is lossy.
    pub fn look(&mut self, now: Duration, counts: PacketCounts) -> bool {
        let age = now.saturating_sub(self.looked.unwrap_or(now));
        let kept = (-age.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        self.sent = self.sent * kept + counts.sent.saturating_sub(self.seen.sent) as f64;
        self.lost = self.lost * kept + counts.lost.saturating_sub(self.seen.lost) as f64;
        (self.seen, self.looked) = (counts, Some(now));
        let share = self.lost / self.sent.max(1.0);
        self.lossy = if self.lossy { share >= CLEAN } else { share >= LOSSY && self.lost >= FEWEST_LOST };
        self.lossy
    }

    /// What the last look said.
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frame;
    use crate::random::Random;
    use inkwire_document::Actor;

    fn batch(length: usize) -> Bytes {
        let operations = vec![7; length].into();
        Frame::from(frame::Batch { actor: Actor(u64::MAX), first: 1, count: 1, operations, receipt: None }).encode()
    }

    const START: Duration = Duration::from_secs(1);

    #[test]
    fn small_batches_are_copied_a_moment_later() {
        let mut queue = CopyQueue::default();
        queue.note(START, Channel(3), &Frame::from(frame::Received { counter: 7, paused: None }).encode());
        queue.note(START, Channel(3), &batch(MAX_DATAGRAM_BYTES));
        assert_eq!(queue.due(), None);
        let small = batch(900);
        queue.note(START, Channel(3), &small);
        queue.note(START + COPY_DELAY / 2, Channel(3), &small);
        assert_eq!((queue.due(), queue.poll(START)), (Some(START + COPY_DELAY), None));
        let polled: Vec<_> = std::iter::from_fn(|| queue.poll(START + COPY_DELAY)).collect();
        assert_eq!(polled.len(), 2);
        assert_eq!(wire::split_datagram(&polled[0]), Ok((Channel(3), small)));
        assert_eq!(queue.due(), None);
    }

    #[test]
    fn a_transfer_is_not_copied() {
        let mut queue = CopyQueue::default();
        let now = START + COPY_DELAY;
        for (count, copied) in [(MAX_COPIES, MAX_COPIES), (MAX_COPIES + 1, 0), (1, 1)] {
            let at = queue.due.unwrap_or(START).max(now);
            (0..count).for_each(|_| queue.note(at, Channel(1), &batch(9)));
            assert_eq!(std::iter::from_fn(|| queue.poll(at + COPY_DELAY)).count(), copied, "of {count}");
        }
    }

    /// A path of so many packets a second: how many of 60 seconds it was found lossy in.
    fn lossy_seconds(seed: u64, packets: u64, loss_per_mille: u64) -> usize {
        let (mut random, mut meter, mut counts) = (Random::new(seed), LossMeter::default(), PacketCounts::default());
        let mut second = |at| {
            counts.sent += packets;
            counts.lost += (0..packets).filter(|_| random.below(1_000) < loss_per_mille).count() as u64;
            meter.look(Duration::from_secs(at), counts)
        };
        (0..60).filter(|at| second(*at)).count()
    }

    #[test]
    fn loss_turns_copies_on_and_its_end_off() {
        // Packets a second, per mille lost, and the share of seconds that it may be found lossy in.
        let table = [(20, 50, 80..=100), (200, 50, 90..=100), (20, 0, 0..=0), (20, 1, 0..=2), (2_000, 10, 0..=0)];
        for (packets, loss, expected) in table {
            let lossy: usize = (0..50).map(|seed| lossy_seconds(seed, packets, loss)).sum();
            assert!(expected.contains(&(lossy * 100 / 3_000)), "{packets}/s, {loss} per mille: {lossy} of 3,000 s");
        }
        let mut meter = LossMeter::default();
        let at = Duration::from_secs;
        assert!(meter.look(at(1), PacketCounts { sent: 100, lost: 5 }));
        assert!(!meter.is_due(at(1)) && meter.is_due(at(2)));
        assert!(meter.look(at(2), PacketCounts { sent: 300, lost: 7 }), "less, but not gone");
        assert!(!meter.look(at(40), PacketCounts { sent: 400, lost: 7 }));
        assert!(!meter.is_lossy());
    }

    #[test]
    fn a_mode_is_its_word() {
        for mode in CopyMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("yes".parse::<CopyMode>(), Err("\"yes\" is not auto, on or off".into()));
    }
}
