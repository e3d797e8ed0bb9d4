//! A document's presence: this session's own state and others'.

use std::time::Duration;

use bytes::Bytes;
use inkwire_document::ordered::OrderedMap;

use crate::frame::{self, PresenceEntry};
use crate::limits::{MAX_PRESENCE_BYTES, PRESENCE_REFRESH, PRESENCE_TTL};

/// Own states are sent at most 30 times a second, the newest each time: a relay fans them out no faster.
const MIN_INTERVAL: Duration = Duration::from_millis(33);

/// Sessions whose presence is kept; further ones are not shown. With 512 bytes each the worst case is about 2.5 MB.
const MAX_PEERS: usize = 4_096;

/// Another session's presence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The session's authenticated subject.
    pub subject: String,
    /// The state, as the other application encoded it.
    pub state: Bytes,
    sequence: u32,
    heard: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    own: Option<Bytes>,
    unsent: bool,
    last_sent: Option<Duration>,
    peers: OrderedMap<u64, Peer>,
    /// The present moment, as of the last poll.
    now: Duration,
    /// Sessions whose state was taken away, with the sequence of that: a late datagram must not bring it back.
    gone: OrderedMap<u64, u32>,
}

/// How `gone` is kept small; whoever is forgotten may at worst be shown once more until the relay says again that it went.
const MAX_GONE: usize = 256;

impl Presence {
    pub(super) fn set(&mut self, state: Option<Bytes>) {
        if self.own != state {
            self.own = state;
            self.unsent = true;
        }
    }

    pub(super) fn own(&self) -> Option<&Bytes> {
        self.own.as_ref()
    }

    pub(super) fn peers(&self) -> &OrderedMap<u64, Peer> {
        &self.peers
    }

    /// A new session knows nothing of the own state.
    pub(super) fn restart(&mut self) {
        self.unsent = self.own.is_some();
        self.last_sent = None;
    }

    /// Forgets others; says whether there were any.
    pub(super) fn clear_peers(&mut self) -> bool {
        self.gone.clear();
        !std::mem::take(&mut self.peers).is_empty()
    }

    /// When something is due, on the monotonic clock: the own state, or the end of another's.
    pub(super) fn due(&self) -> Option<Duration> {
        let end = self.peers.values().map(|peer| peer.heard).min().map(|heard| heard + PRESENCE_TTL);
        self.own_due().into_iter().chain(end).min()
    }

    fn own_due(&self) -> Option<Duration> {
        match (self.unsent, self.last_sent) {
            (true, None) => Some(Duration::ZERO),
            (true, Some(last)) => Some(last + MIN_INTERVAL),
            (false, Some(last)) if self.own.is_some() => Some(last + PRESENCE_REFRESH),
            (false, _) => None,
        }
    }

    /// Forgets those that were not heard of for as long as a relay keeps them: the news that they went may have been lost.
    /// Says whether there were any.
    pub(super) fn expire(&mut self, now: Duration) -> bool {
        self.now = now;
        let before = self.peers.len();
        self.peers.retain(|_, peer| peer.heard + PRESENCE_TTL > now);
        self.peers.len() != before
    }

    /// The state to send now, if one is due.
    pub(super) fn poll(&mut self, now: Duration, sequence: &mut u32) -> Option<frame::Presence> {
        self.own_due().filter(|due| *due <= now)?;
        self.unsent = false;
        self.last_sent = Some(now);
        *sequence = sequence.wrapping_add(1);
        Some(frame::Presence { sequence: *sequence, state: self.own.clone() })
    }

    /// Takes in others' states, the latest of each session; says whether anything changed.
    pub(super) fn receive(&mut self, own_session: u64, entries: Vec<PresenceEntry>) -> bool {
        let mut changed = false;
        for PresenceEntry { session, sequence, subject, state } in entries {
            let known = self.peers.get(&session);
            // Datagrams and the lane may overtake each other.
            let ahead = |latest: u32| latest.wrapping_sub(sequence) as i32;
            let older = known.is_some_and(|peer| ahead(peer.sequence) > 0);
            let past = self.gone.get(&session).is_some_and(|latest| ahead(*latest) >= 0);
            if session == own_session || older || past {
                continue;
            }
            match state {
                Some(state) if state.len() <= MAX_PRESENCE_BYTES => {
                    if known.is_none() && self.peers.len() >= MAX_PEERS {
                        continue;
                    }
                    changed |= known.is_none_or(|peer| peer.state != state);
                    // A copy: the entry is a slice of a read buffer.
                    let state = Bytes::copy_from_slice(&state);
                    self.gone.remove(&session);
                    self.peers.insert(session, Peer { subject, state, sequence, heard: self.now });
                }
                Some(_) => {}
                None => {
                    changed |= self.peers.remove(&session).is_some();
                    if self.gone.len() >= MAX_GONE {
                        self.gone.pop_first();
                    }
                    self.gone.insert(session, sequence);
                }
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(session: u64, sequence: u32, state: Option<&'static [u8]>) -> PresenceEntry {
        let state = state.map(Bytes::from_static);
        PresenceEntry { session, sequence, subject: "ada".into(), state }
    }

    #[test]
    fn the_own_state_is_paced_repeated_and_taken_away() {
        let at = Duration::from_millis;
        let (mut presence, mut last) = (Presence::default(), 0);
        let mut poll = |presence: &mut Presence, now| presence.poll(now, &mut last);
        assert_eq!(poll(&mut presence, at(0)), None, "nothing was set");
        presence.set(Some(Bytes::from_static(b"1")));
        assert_eq!(poll(&mut presence, at(0)).map(|frame| frame.sequence), Some(1));
        presence.set(Some(Bytes::from_static(b"2")));
        presence.set(Some(Bytes::from_static(b"3")));
        assert_eq!(poll(&mut presence, at(32)), None);
        assert_eq!(poll(&mut presence, at(33)).and_then(|frame| frame.state), Some(Bytes::from_static(b"3")));
        assert_eq!(presence.due(), Some(at(33) + PRESENCE_REFRESH));
        assert!(poll(&mut presence, at(33) + PRESENCE_REFRESH).is_some());
        presence.set(None);
        let gone = poll(&mut presence, at(60_000));
        assert_eq!(gone.map(|frame| (frame.sequence, frame.state)), Some((4, None)));
        assert_eq!(presence.due(), None);
        presence.restart();
        assert_eq!(presence.due(), None, "a new session never saw a state");
    }

    #[test]
    fn the_latest_state_of_each_session_wins() {
        let mut presence = Presence::default();
        assert!(presence.receive(9, vec![entry(1, 5, Some(b"a")), entry(9, 1, Some(b"own"))]));
        assert!(!presence.receive(9, vec![entry(1, 4, Some(b"old"))]));
        assert!(!presence.receive(9, vec![entry(1, 6, Some(b"a"))]), "a repetition changes nothing");
        assert_eq!(presence.peers().len(), 1);
        assert!(!presence.expire(PRESENCE_TTL - Duration::from_secs(1)));
        assert!(presence.receive(9, vec![entry(1, 7, None)]));
        assert!(presence.peers().is_empty());
        assert!(!presence.receive(9, vec![entry(1, 6, Some(b"late"))]), "it does not come back");
        assert!(presence.receive(9, vec![entry(1, 8, Some(b"new"))]));
        let crowd = (0..5_000).map(|session| entry(100 + session, 1, Some(b"x"))).collect();
        presence.receive(9, crowd);
        assert_eq!(presence.peers().len(), MAX_PEERS);
    }
}
