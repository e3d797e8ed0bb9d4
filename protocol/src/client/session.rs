//! The session as a whole: handshake, token, the end, and the way back.

use std::time::Duration;

use super::liveness::{Liveness, Verdict};
use super::{Client, Event, Lanes, MAX_CONTROL_FRAMES, Now, Transmit};
use crate::frame::{self, Frame};
use crate::limits::{LIVENESS_TIMEOUT, MAX_REASON_BYTES, VERSION};
use crate::wire::StreamDecoder;
use crate::{Channel, Code};

/// A session that lasted so long counts as a success: the next pause is short again.
const STABLE_SESSION: Duration = Duration::from_secs(10);

/// A token is refreshed when a fifth of its life is left, and at most this long before it ends.
const MAX_TOKEN_LEAD: Duration = Duration::from_secs(60);

/// Where the client stands with a relay.
#[derive(Clone, Debug)]
pub(super) enum Connection {
    /// None; the shell was told when to connect, or is connecting.
    Waiting,
    /// `Hello` was sent.
    Greeting { lanes: Lanes, until: Duration },
    /// `Welcome` came.
    Established(Session),
    /// The client wants to end it: what is in the control lane goes out, then the transport's end.
    Ending { lanes: Lanes, code: Code, reason: String, again: bool },
    /// For good.
    Finished,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) lanes: Lanes,
    since: Duration,
    liveness: Liveness,
    /// When to ask for a token, and when the present one ends.
    token: Option<(Duration, Duration)>,
    away: Option<Away>,
}

/// The token that was sent last, and the one that was accepted last with the time until which it is used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    said: String,
    accepted: Option<(String, Duration)>,
}

/// What `GoAway` said.
#[derive(Clone, Debug)]
struct Away {
    after: Duration,
    url: Option<String>,
}

impl Connection {
    pub(super) fn lanes(&self) -> Option<Lanes> {
        match self {
            Connection::Greeting { lanes, .. } | Connection::Ending { lanes, .. } => Some(*lanes),
            Connection::Established(session) => Some(session.lanes),
            Connection::Waiting | Connection::Finished => None,
        }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Connection::Established(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self, has_lanes: bool) -> Option<Duration> {
        match self {
            Connection::Greeting { until, .. } => Some(*until),
            Connection::Established(session) => {
                let alive = has_lanes.then(|| session.liveness.due());
                alive.into_iter().chain(session.token.map(|(ask, _)| ask)).min()
            }
            _ => None,
        }
    }
}

impl Client {
    /// A transport is there, and the client may send on it. An older connection counts as lost; what a shell still hears
    /// from its transport must not reach the client.
    pub fn connected(&mut self, now: Now, token: String, lanes: Lanes) {
        self.advance(now);
        if self.is_finished() {
            return;
        }
        self.drop_connection();
        self.connection = Connection::Greeting { lanes, until: self.now + LIVENESS_TIMEOUT };
        self.control_decoder = StreamDecoder::new();
        self.copies.start();
        if lanes == Lanes::Streams {
            self.lane_changes.push_back(Transmit::OpenLane(Channel::CONTROL));
        }
        self.token.said = token.clone();
        let hello = frame::Hello { versions: vec![VERSION], token, agent: self.config.agent.clone() };
        self.send_control(hello.into());
    }

    /// The shell could not connect.
    pub fn connect_failed(&mut self, now: Now) {
        self.advance(now);
        // A shell may let go of a transport that ends before it was handed `Disconnect`: now it is certain that there is none.
        if matches!(self.connection, Connection::Ending { again: true, .. }) {
            self.ended(true);
        }
        if matches!(self.connection, Connection::Waiting) {
            self.schedule_reconnect(None);
        }
    }

    /// The transport is gone. Nothing happens if the client already knows.
    pub fn disconnected(&mut self, now: Now) {
        self.advance(now);
        self.lose();
    }

    /// A fresh token, in answer to [`Event::TokenWanted`].
    pub fn refresh_token(&mut self, now: Now, token: String) {
        self.advance(now);
        if self.connection.session().is_some() {
            self.token.said = token.clone();
            self.send_control(frame::Token { token }.into());
        }
    }

    /// The token that the relay accepted last, while it needs no refreshing: use it for the next connection before asking
    /// the application for another. An application's tokens may each be for another subject, and only the one who began
    /// to write as an actor may go on as it.
    pub fn token(&self, now: Now) -> Option<&str> {
        let (token, until) = self.token.accepted.as_ref()?;
        (now.monotonic.max(self.now) < *until).then_some(token)
    }

    /// Ends the session for good. Edits that are not durable are lost with the client: see
    /// [`crate::replica::Replica::all_durable`].
    pub fn close(&mut self, now: Now) {
        self.advance(now);
        self.end(Code::None, "the client is done", false, true);
    }

    /// Whether the session is there, or about to be.
    pub(super) fn is_greeting_or_established(&self) -> bool {
        matches!(self.connection, Connection::Greeting { .. } | Connection::Established(_))
    }

    /// Whether a session is there.
    pub fn is_connected(&self) -> bool {
        self.connection.session().is_some()
    }

    /// Whether the client has given up for good, or was closed.
    pub fn is_finished(&self) -> bool {
        matches!(self.connection, Connection::Finished | Connection::Ending { again: false, .. })
    }

    /// The present session's id.
    pub fn session(&self) -> Option<u64> {
        self.connection.session().map(|session| session.id)
    }

    pub(super) fn heard(&mut self) {
        if let Connection::Established(session) = &mut self.connection {
            session.liveness.hear(self.now);
        }
    }

    pub(super) fn send_control(&mut self, frame: Frame) {
        if self.control.len() >= MAX_CONTROL_FRAMES {
            // Only answers to pings can be so many: a relay that asks faster than it reads needs no answer to each.
            self.control.pop_front();
        }
        self.control.push_back(frame.encode());
    }

    pub(super) fn receive_control(&mut self, frame: Frame) {
        match frame {
            Frame::Welcome(welcome) => self.on_welcome(welcome),
            Frame::TokenAccepted(accepted) => self.on_token_accepted(accepted.expires_in_millis),
            Frame::GoAway(away) => self.on_go_away(away),
            Frame::Close(close) => {
                let fatal = close.code.is_fatal() && !self.disown_token(close.code);
                self.events.push_back(Event::Closed { code: close.code, reason: close.reason, fatal });
                self.finish_connection(Code::None, "the relay closed the session", !fatal);
            }
            Frame::Ping(ping) => self.send_control(frame::Pong { nonce: ping.nonce }.into()),
            Frame::Pong(_) => {}
            Frame::WantCopies(want) => self.on_want_copies(&want),
            _ => self.violated(Code::UnexpectedFrame, "a frame that a relay does not send on the control lane"),
        }
    }

    fn on_welcome(&mut self, welcome: frame::Welcome) {
        let Connection::Greeting { lanes, .. } = self.connection else {
            return self.violated(Code::UnexpectedFrame, "a second Welcome");
        };
        if welcome.version != VERSION {
            return self.end(Code::UnsupportedVersion, "the relay chose a version that was not offered", true, true);
        }
        let fast = if self.config.replica.sabotage().wall_clock { 86_400_000 } else { 0 };
        self.clock.set(self.now, welcome.time_millis + fast);
        self.connection = Connection::Established(Session {
            id: welcome.session,
            lanes,
            since: self.now,
            liveness: Liveness::new(self.now),
            token: None,
            away: None,
        });
        let frame::Welcome { session, subject, node, .. } = welcome;
        self.events.push_back(Event::Welcomed { session, subject, node, lanes });
        self.open_lanes();
    }

    fn on_token_accepted(&mut self, expires_in_millis: u64) {
        let now = self.now;
        if let Connection::Established(session) = &mut self.connection {
            // A token without an end in sight needs no refreshing; the cap keeps the sum in range.
            let life = Duration::from_millis(expires_in_millis.min(1 << 40));
            let ask = now + life - (life / 5).min(MAX_TOKEN_LEAD);
            session.token = Some((ask, now + life));
            self.token.accepted = Some((self.token.said.clone(), ask));
        }
    }

    /// A token that the relay will not have (any more) is not used again. Returns whether it had been accepted before, so
    /// that another may do.
    fn disown_token(&mut self, code: Code) -> bool {
        if !matches!(code, Code::Unauthorized | Code::TokenExpired) {
            return false;
        }
        self.token.accepted.take().is_some_and(|(token, _)| token == self.token.said)
    }

    pub(super) fn check_token(&mut self) {
        let now = self.now;
        let Connection::Established(session) = &mut self.connection else { return };
        let Some((ask, end)) = session.token else { return };
        if now >= ask {
            // Asked again at half of what is left, so that one failed request does not end the session.
            let left = end.saturating_sub(now);
            session.token = Some((now + (left / 2).max(Duration::from_secs(1)), end));
            self.events.push_back(Event::TokenWanted);
        }
    }

    fn on_go_away(&mut self, away: frame::GoAway) {
        let frame::GoAway { reason, reconnect_after_millis, url } = away;
        let after = Duration::from_millis(reconnect_after_millis.min(3_600_000));
        if let Connection::Established(session) = &mut self.connection {
            session.away = Some(Away { after, url });
            self.events.push_back(Event::GoAway { reason });
        }
        self.leave_if_settled();
    }

    /// After `GoAway`: leaves as soon as nothing is left that the relay could still make durable.
    pub(super) fn leave_if_settled(&mut self) {
        let leaving = self.connection.session().is_some_and(|session| session.away.is_some());
        let settled = || self.documents.values().all(|document| document.replica.all_durable());
        if leaving && settled() {
            self.end(Code::GoingAway, "the relay goes away", true, false);
        }
    }

    pub(super) fn check_liveness(&mut self) {
        let (now, has_lanes) = (self.now, !self.lanes.is_empty());
        match &mut self.connection {
            Connection::Greeting { until, .. } if now >= *until => {
                self.end(Code::LivenessTimeout, "the relay did not answer", true, false);
            }
            Connection::Established(session) if has_lanes => match session.liveness.look(now) {
                Verdict::Fine => {}
                Verdict::Ping => {
                    let nonce = now.as_millis() as u64;
                    self.send_control(frame::Ping { nonce }.into());
                }
                Verdict::Lost => self.end(Code::LivenessTimeout, "the relay is silent", true, false),
            },
            _ => {}
        }
    }

    /// The relay broke the protocol.
    pub(super) fn violated(&mut self, code: Code, reason: &str) {
        self.end(code, reason, true, true);
    }

    /// Ends the session from this side. `again`: connect again; `tell`: say why on the control lane and in an event.
    fn end(&mut self, code: Code, reason: &str, again: bool, tell: bool) {
        let again = again && code != Code::UnsupportedVersion;
        if tell && !matches!(self.connection, Connection::Ending { .. } | Connection::Finished) {
            let reason = truncate(reason, MAX_REASON_BYTES).to_owned();
            self.events.push_back(Event::Closed { code, reason: reason.clone(), fatal: !again });
            if self.connection.lanes().is_some() {
                self.send_control(frame::Close { code, reason }.into());
            }
        }
        self.finish_connection(code, reason, again);
    }

    /// Lets the control lane run dry, then ends the transport.
    fn finish_connection(&mut self, code: Code, reason: &str, again: bool) {
        let away = match &self.connection {
            Connection::Established(session) => session.away.clone(),
            _ => None,
        };
        let reason = reason.to_owned();
        match (&mut self.connection, again) {
            // What was begun goes on; only whether to come back can still change.
            (Connection::Ending { again, .. }, false) => *again = false,
            (Connection::Ending { .. } | Connection::Waiting | Connection::Finished, true) => {}
            (Connection::Waiting | Connection::Finished, false) => self.connection = Connection::Finished,
            (Connection::Greeting { lanes, .. } | Connection::Established(Session { lanes, .. }), _) => {
                let lanes = *lanes;
                self.note_stability();
                self.stop_documents();
                self.connection = Connection::Ending { lanes, code, reason, again };
                if again {
                    self.schedule_reconnect(away);
                }
            }
        }
        if !again {
            for document in self.documents.values_mut() {
                document.replica.finish();
                document.replica.news().status = true;
            }
        }
    }

    /// The transport's end was handed out.
    pub(super) fn ended(&mut self, again: bool) {
        self.connection = if again { Connection::Waiting } else { Connection::Finished };
        self.control.clear();
    }

    fn lose(&mut self) {
        match &self.connection {
            Connection::Waiting | Connection::Finished => {}
            Connection::Ending { again, .. } => {
                let again = *again;
                self.ended(again);
            }
            Connection::Greeting { .. } | Connection::Established(_) => {
                let away = self.connection.session().and_then(|session| session.away.clone());
                self.note_stability();
                self.drop_connection();
                self.schedule_reconnect(away);
            }
        }
    }

    fn note_stability(&mut self) {
        if self.connection.session().is_some_and(|session| self.now >= session.since + STABLE_SESSION) {
            self.backoff.reset();
        }
    }

    fn drop_connection(&mut self) {
        self.stop_documents();
        self.connection = Connection::Waiting;
        self.control.clear();
    }

    fn schedule_reconnect(&mut self, away: Option<Away>) {
        let pause = self.backoff.pause(&mut self.random, self.config.backoff_base, self.config.backoff_cap);
        let (after, url) = match away {
            // The relay chose when; jitter keeps its clients apart.
            Some(Away { after, url }) => (after + pause, url),
            None => (pause, None),
        };
        self.events.push_back(Event::Reconnect { after, url });
    }
}

/// The start of `text`, at most `max_bytes` of it.
fn truncate(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}
