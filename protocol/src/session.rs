//! The relay's half of a session's control lane: who is there, for how long, and whether it still is.
//!
//! The shell feeds the frames of the control lane to [`Session::receive`] and says that bytes came on any lane with
//! [`Session::heard`]; it writes what [`Session::poll_transmit`] gives to the control lane and acts on
//! [`Session::poll_event`]. The order of a good session:
//!
//! 1. `Hello` comes in: [`Event::Authenticate`] with the token. The shell checks it and calls [`Session::welcome`], or
//!    [`Session::close`] with the reason.
//! 2. Documents are opened: [`Session::document_opened`] counts them, [`Session::document_closed`] when they end.
//! 3. `Token` comes in: [`Event::Authenticate`] again; the shell calls [`Session::token_accepted`], or closes.
//! 4. The session ends: [`Event::Closed`], after what [`Session::poll_transmit`] still has was written.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::ordered::OrderedMap;

use crate::clock::Clock;
use crate::limits::{LIVENESS_TIMEOUT, MAX_OPEN_DOCUMENTS, MAX_REASON_BYTES, MAX_TOKEN_BYTES, PING_INTERVAL, VERSION};
use crate::room::Reason;
use crate::{Code, Frame, frame};

#[cfg(test)]
mod tests;

/// The most frames that wait for the control lane. Each of them was asked for by the client, who has to read the answers.
pub const MAX_WAITING_FRAMES: usize = 1_024;

/// The bounds of a session.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// How long a connection may take to say `Hello`, and the shell to check its token. Default 10 s.
    pub hello_timeout: Duration,
    /// How long after its token's end a session is closed: time for a refresh that is on its way. Default 5 s.
    pub token_grace: Duration,
    /// The most documents that are open at once. Default [`MAX_OPEN_DOCUMENTS`].
    pub max_documents: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(10),
            token_grace: Duration::from_secs(5),
            max_documents: MAX_OPEN_DOCUMENTS,
        }
    }
}

/// What the shell answers a good token with.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The session's id.
    pub session: u64,
    /// The node's name.
    pub node: String,
    /// The authenticated subject.
    pub subject: String,
    /// Limits by name, as [`frame::Welcome`] carries them.
    pub limits: OrderedMap<String, u64>,
    /// How long the token is still good.
    pub expires_in: Duration,
}

/// What the shell is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Check this token, then call [`Session::welcome`] for the first and [`Session::token_accepted`] for later ones, or
    /// [`Session::close`].
    Authenticate {
        /// The token.
        token: String,
        /// The client's name and version; empty for a refresh.
        agent: String,
        /// Whether the session was welcomed before.
        refresh: bool,
    },
    /// The session is over: write what is left, then end the connection.
    Closed {
        /// Why; 0 when the client said goodbye.
        code: Code,
        /// For people.
        reason: String,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Waits for `Hello` until then.
    Greeting(Duration),
    /// Waits for the shell's word on the first token until then.
    Checking(Duration),
    /// Welcomed; the token ends then.
    Open(Duration),
    Closed,
}

/// The relay's half of one session's control lane. See the [module](self).
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    documents: u32,
    /// When bytes last came, on any lane.
    heard: Duration,
    /// When the last ping was sent.
    pinged: Duration,
    /// A refreshed token that the shell has not answered yet.
    refreshing: bool,
    nonce: u64,
    frames: VecDeque<Bytes>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session whose connection was just accepted.
    pub fn new(config: SessionConfig, clock: Clock) -> Self {
        let now = clock.monotonic;
        Self {
            state: State::Greeting(now + config.hello_timeout),
            config,
            documents: 0,
            heard: now,
            pinged: now,
            refreshing: false,
            nonce: 0,
            frames: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A frame of the control lane. What is wrong with it closes the session.
    pub fn receive(&mut self, clock: Clock, frame: Frame) {
        if self.is_closed() {
            return;
        }
        self.heard(clock);
        match (self.state, frame) {
            (State::Greeting(_), Frame::Hello(hello)) => self.hello(clock, hello),
            (State::Greeting(_), _) => self.close(Code::UnexpectedFrame, "the first frame must be Hello"),
            (_, Frame::Close(close)) => {
                self.state = State::Closed;
                self.events.push_back(Event::Closed { code: close.code, reason: close.reason });
            }
            (State::Open(_), Frame::Token(frame::Token { token })) => self.authenticate(token, String::new(), true),
            (State::Open(_), Frame::Ping(frame::Ping { nonce })) => self.say(frame::Pong { nonce }),
            (State::Open(_), Frame::Pong(_)) => {}
            (State::Checking(_), other) => {
                self.close(Code::UnexpectedFrame, &format!("{} came before Welcome was sent", other.name()));
            }
            (_, other) => {
                self.close(Code::UnexpectedFrame, &format!("{} may not come on the control lane", other.name()))
            }
        }
    }

    fn hello(&mut self, clock: Clock, hello: frame::Hello) {
        if !hello.versions.contains(&VERSION) {
            let text = format!("this relay speaks version {VERSION}, the client {:?}", first(&hello.versions));
            return self.close(Code::UnsupportedVersion, &text);
        }
        self.state = State::Checking(clock.monotonic + self.config.hello_timeout);
        let mut agent = hello.agent;
        cut(&mut agent);
        self.authenticate(hello.token, agent, false);
    }

    fn authenticate(&mut self, token: String, agent: String, refresh: bool) {
        if token.len() > MAX_TOKEN_BYTES {
            let text = format!("a token of {} bytes is over the limit of {MAX_TOKEN_BYTES}", token.len());
            return self.close(Code::Unauthorized, &text);
        }
        // One at a time: the shell's check may be slow, and its answers must belong to the right token.
        if refresh && std::mem::replace(&mut self.refreshing, true) {
            return self.close(Code::UnexpectedFrame, "a token while the last one is being checked");
        }
        self.events.push_back(Event::Authenticate { token, agent, refresh });
    }

    /// The first token is good: the session begins.
    pub fn welcome(&mut self, clock: Clock, welcome: Welcome) {
        if !matches!(self.state, State::Checking(_)) {
            return;
        }
        let Welcome { session, node, subject, limits, expires_in } = welcome;
        self.say(frame::Welcome { version: VERSION, session, node, time_millis: clock.unix_millis, limits, subject });
        self.state = State::Open(clock.monotonic);
        self.token_accepted(clock, expires_in);
    }

    /// A token is good for `expires_in`.
    pub fn token_accepted(&mut self, clock: Clock, expires_in: Duration) {
        if let State::Open(ends) = &mut self.state {
            *ends = clock.monotonic.saturating_add(expires_in);
            self.refreshing = false;
            let expires_in_millis = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
            self.say(frame::TokenAccepted { expires_in_millis });
        }
    }

    /// A document is about to be opened on a lane of this session.
    ///
    /// # Errors
    /// The reason to close that lane with, when as many are open as may be, or the session is not open.
    pub fn document_opened(&mut self, clock: Clock) -> Result<(), Reason> {
        if !self.is_open() {
            return Err((Code::UnexpectedFrame, "a document before Welcome".into()));
        }
        if self.documents >= self.config.max_documents {
            return Err((
                Code::TooManyDocuments,
                format!("{} documents are open, the limit", self.config.max_documents),
            ));
        }
        self.documents += 1;
        if self.documents == 1 {
            // Silence was allowed until now.
            self.heard = self.heard.max(clock.monotonic);
        }
        Ok(())
    }

    /// A document's lane has ended.
    pub fn document_closed(&mut self) {
        self.documents = self.documents.saturating_sub(1);
    }

    /// How many documents are open.
    pub fn documents(&self) -> u32 {
        self.documents
    }

    /// Bytes came, on any lane or as a datagram.
    pub fn heard(&mut self, clock: Clock) {
        self.heard = clock.monotonic;
    }

    /// Tells the client that this relay is about to leave.
    pub fn go_away(&mut self, reason: &str, reconnect_after: Duration, url: Option<String>) {
        if self.is_open() {
            let reconnect_after_millis = u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX);
            let mut reason = reason.to_owned();
            cut(&mut reason);
            self.say(frame::GoAway { reason, reconnect_after_millis, url });
        }
    }

    /// Ends the session: `Close` is the last frame, then comes [`Event::Closed`].
    pub fn close(&mut self, code: Code, reason: &str) {
        if self.is_closed() {
            return;
        }
        self.state = State::Closed;
        let mut reason = reason.to_owned();
        cut(&mut reason);
        self.say(frame::Close { code, reason: reason.clone() });
        self.events.push_back(Event::Closed { code, reason });
    }

    /// Whether `Welcome` was sent and nothing has ended the session.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The next frame for the control lane, encoded, without a length before it.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.frames.pop_front()
    }

    /// What to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Greeting(ends) | State::Checking(ends) => Some(ends),
            State::Open(ends) => {
                let ends = ends.saturating_add(self.config.token_grace);
                let live = (self.documents > 0).then(|| self.next_ping().min(self.heard + LIVENESS_TIMEOUT));
                Some(live.map_or(ends, |live| live.min(ends)))
            }
            State::Closed => None,
        }
    }

    /// What was written to the client does not count: one that only reads is asked all the same, for it says nothing else.
    fn next_ping(&self) -> Duration {
        self.heard.max(self.pinged) + PING_INTERVAL
    }

    /// Pings, and ends what has ended.
    pub fn handle_timeout(&mut self, clock: Clock) {
        let now = clock.monotonic;
        match self.state {
            State::Greeting(ends) if now >= ends => self.close(Code::LivenessTimeout, "no Hello came"),
            State::Checking(ends) if now >= ends => {
                self.close(Code::Overloaded, "the token could not be checked in time")
            }
            State::Open(ends) if now >= ends.saturating_add(self.config.token_grace) => {
                self.close(Code::TokenExpired, "the token has expired");
            }
            State::Open(_) if self.documents > 0 => {
                let silence = now.saturating_sub(self.heard);
                if silence >= LIVENESS_TIMEOUT {
                    self.close(Code::LivenessTimeout, &format!("nothing came for {} ms", silence.as_millis()));
                } else if now >= self.next_ping() {
                    self.pinged = now;
                    self.nonce += 1;
                    self.say(frame::Ping { nonce: self.nonce });
                }
            }
            _ => {}
        }
    }

    /// How many frames wait for the control lane. The shell should read no more while it cannot write them.
    pub fn waiting(&self) -> usize {
        self.frames.len()
    }

    fn say(&mut self, frame: impl Into<Frame>) {
        if self.frames.len() >= MAX_WAITING_FRAMES && !self.is_closed() {
            let text =
                format!("{} frames wait for the control lane, the limit: read before asking more", self.frames.len());
            return self.close(Code::Overloaded, &text);
        }
        self.frames.push_back(frame.into().encode());
    }
}

/// What a log can take of a list that a client made.
fn first(versions: &[u64]) -> &[u64] {
    &versions[..versions.len().min(8)]
}

/// Cuts a text to [`MAX_REASON_BYTES`].
fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
}
