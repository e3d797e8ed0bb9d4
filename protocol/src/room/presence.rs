//! Ephemeral state of each session: latest wins, never stored, never in the way of an edit.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::tail::Position;
use super::{MemberId, Reason, RoomConfig};
use crate::frame::{self, PresenceEntry};
use crate::limits::{MAX_DATAGRAM_BYTES, MAX_PRESENCE_BYTES};
use crate::{Code, Frame};

/// The most frames that are kept for a subscriber that does not read: older ones are dropped for it.
const KEPT_FRAMES: usize = 64;

/// The frame's two array headers (the inner one for up to 65,535 entries), its number and the channel before it.
const FRAME_OVERHEAD: usize = 1 + 3 + 2 + 5;

/// An entry's header, session, sequence and the lengths of its subject and state.
const ENTRY_OVERHEAD: usize = 1 + 9 + 5 + 3 + 3;

/// A lost datagram would leave a stale state for as long as its owner says nothing: each change is said once more after this.
const REPEAT_AFTER: Duration = Duration::from_millis(700);

#[derive(Debug)]
struct State {
    session: u64,
    subject: Arc<str>,
    sequence: u32,
    state: Option<Bytes>,
    expires: Duration,
    /// When to say it once more.
    repeat: Option<Duration>,
    /// It is in `waiting`.
    waits: bool,
    /// Its session is gone: forgotten when that was said.
    gone: bool,
}

/// All presence of a room.
#[derive(Debug, Default)]
pub(super) struct Presence {
    states: BTreeMap<MemberId, State>,
    /// Whose state is to be encoded, longest wait first; each at most once, which is what makes the rotation fair.
    waiting: VecDeque<MemberId>,
    frames: VecDeque<Bytes>,
    front: Position,
    /// No encoding before this.
    not_before: Duration,
    /// Frames that were dropped for those who had not read them.
    dropped: u64,
}

impl Presence {
    /// Takes a state that a member set. One with a sequence that is not newer changes nothing: datagrams overtake each other.
    pub(super) fn set(
        &mut self,
        config: &RoomConfig,
        now: Duration,
        member: MemberId,
        (session, subject): (u64, &Arc<str>),
        update: frame::Presence,
    ) -> Result<(), Reason> {
        let length = update.state.as_ref().map_or(0, Bytes::len);
        if length > MAX_PRESENCE_BYTES {
            return Err((
                Code::BadPresence,
                format!("a presence state of {length} bytes is over the limit of {MAX_PRESENCE_BYTES}"),
            ));
        }
        let new = State {
            session,
            subject: subject.clone(),
            sequence: update.sequence,
            expires: now + config.presence_ttl,
            repeat: None,
            waits: false,
            gone: update.state.is_none(),
            // A copy: a slice would keep the whole buffer that it came in.
            state: update.state.map(|state| Bytes::copy_from_slice(&state)),
        };
        match self.states.get_mut(&member) {
            None if new.gone => return Ok(()),
            None => drop(self.states.insert(member, new)),
            Some(known) => {
                // Sequences wrap: newer is up to half the range ahead. The same one again only keeps the state alive.
                let ahead = new.sequence.wrapping_sub(known.sequence);
                if ahead > u32::MAX / 2 {
                    return Ok(());
                }
                known.expires = new.expires;
                if ahead == 0 && known.state == new.state {
                    return Ok(());
                }
                let waits = known.waits;
                *known = State { waits, ..new };
            }
        }
        self.announce(now, member, true);
        Ok(())
    }

    /// The member is gone, and its state with it.
    pub(super) fn leave(&mut self, now: Duration, member: MemberId) {
        self.end(now, member);
    }

    /// Says everything again, for one who came in.
    pub(super) fn announce_all(&mut self, now: Duration) {
        let members: Vec<MemberId> = self.states.keys().copied().collect();
        for member in members {
            self.announce(now, member, false);
        }
    }

    fn announce(&mut self, now: Duration, member: MemberId, repeat: bool) {
        let Some(state) = self.states.get_mut(&member) else { return };
        if repeat {
            state.repeat = Some(now + REPEAT_AFTER);
        }
        if !std::mem::replace(&mut state.waits, true) {
            self.waiting.push_back(member);
        }
    }

    fn end(&mut self, now: Duration, member: MemberId) {
        let Some(state) = self.states.get_mut(&member) else { return };
        if !state.gone {
            state.state = None;
            state.gone = true;
            self.announce(now, member, true);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let tick = (!self.waiting.is_empty()).then_some(self.not_before);
        let states = self.states.values();
        let others = states.filter_map(|state| {
            if state.gone {
                state.repeat
            } else {
                Some(state.repeat.map_or(state.expires, |repeat| repeat.min(state.expires)))
            }
        });
        // Nothing is said before `not_before`, so there is nothing to do before it either.
        tick.into_iter().chain(others).min().map(|due| due.max(self.not_before))
    }

    /// Encodes what waits, within the budget of one interval. Returns whether there are new frames.
    pub(super) fn tick(&mut self, config: &RoomConfig, now: Duration) -> bool {
        if now < self.not_before {
            return false;
        }
        self.expire(now);
        if self.waiting.is_empty() {
            return false;
        }
        self.not_before = now + config.presence_interval;
        let mut budget = config.presence_bytes;
        let mut entries = Vec::new();
        let mut room = MAX_DATAGRAM_BYTES - FRAME_OVERHEAD;
        while let Some(member) = self.waiting.front() {
            let Some(state) = self.states.get_mut(member) else {
                self.waiting.pop_front();
                continue;
            };
            let cost = ENTRY_OVERHEAD + state.subject.len() + state.state.as_ref().map_or(0, Bytes::len);
            // The first entry always goes, so that no budget silences a room.
            if cost > budget && budget < config.presence_bytes {
                break;
            }
            if cost > room {
                Self::push(&mut self.frames, &mut entries);
                room = MAX_DATAGRAM_BYTES - FRAME_OVERHEAD;
            }
            budget = budget.saturating_sub(cost);
            room = room.saturating_sub(cost);
            entries.push(PresenceEntry {
                session: state.session,
                sequence: state.sequence,
                subject: state.subject.to_string(),
                state: state.state.clone(),
            });
            state.waits = false;
            self.waiting.pop_front();
        }
        Self::push(&mut self.frames, &mut entries);
        while self.frames.len() > KEPT_FRAMES {
            self.frames.pop_front();
            self.front += 1;
            self.dropped += 1;
        }
        true
    }

    fn push(frames: &mut VecDeque<Bytes>, entries: &mut Vec<PresenceEntry>) {
        if !entries.is_empty() {
            frames.push_back(Frame::from(frame::PresenceUpdate { entries: std::mem::take(entries) }).encode());
        }
    }

    fn expire(&mut self, now: Duration) {
        let due = |state: &State| state.repeat.is_some_and(|at| at <= now) || (!state.gone && state.expires <= now);
        let members: Vec<MemberId> =
            self.states.iter().filter(|(_, state)| due(state)).map(|(member, _)| *member).collect();
        for member in members {
            let Some(state) = self.states.get_mut(&member) else { continue };
            if !state.gone && state.expires <= now {
                self.end(now, member);
            } else {
                state.repeat = None;
                self.announce(now, member, false);
            }
        }
        self.states.retain(|_, state| !state.gone || state.repeat.is_some() || state.waits);
    }

    /// The frame at `cursor`, which moves past it; frames that are no longer kept are passed over.
    pub(super) fn next(&self, cursor: &mut Position) -> Option<Bytes> {
        *cursor = (*cursor).max(self.front);
        let frame = self.frames.get((*cursor - self.front) as usize)?.clone();
        *cursor += 1;
        Some(frame)
    }

    /// How many frames were dropped since the last call. That nobody lacked them is not known.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// The position after the last frame.
    pub(super) fn end_position(&self) -> Position {
        self.front + self.frames.len() as u64
    }

    /// Bytes of what is kept.
    pub(super) fn bytes(&self) -> usize {
        let states =
            self.states.values().map(|state| state.subject.len() + state.state.as_ref().map_or(0, Bytes::len) + 128);
        states.sum::<usize>() + self.frames.iter().map(Bytes::len).sum::<usize>()
    }
}
