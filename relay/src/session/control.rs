//! The control lane of a session, whatever carries it: tokens, liveness, and the list of its open documents.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::room::Reason;
use inkwire_protocol::session::{Event, Session, SessionConfig, Welcome};
use inkwire_protocol::{Channel, Code, Frame};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Lane;
use crate::clock::unix_millis;
use crate::core::Core;
use crate::drain::reconnect_after;
use crate::metrics::{OpenSession, Transport};
use crate::token::{Access, TokenError};

/// One session.
pub struct SessionHandle {
    /// The relay.
    pub core: Arc<Core>,
    /// Its id: random, and exact in every client's numbers.
    pub id: u64,
    /// When it began, on the monotonic clock.
    pub since: Duration,
    /// Told when the control lane has something to do that nothing on the control lane itself caused.
    pub wake: Notify,
    control: Mutex<Session>,
    closed: Mutex<Option<Reason>>,
    pub(super) access: Mutex<Option<Access>>,
    pub(super) lanes: Mutex<HashMap<Channel, Weak<Lane>>>,
    /// Bytes of vectors of lanes that are being opened.
    pub(super) opening_bytes: AtomicUsize,
    _open: OpenSession,
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.core.sessions.fetch_sub(1, Ordering::Relaxed);
        self.core.sessions_changed.notify_waiters();
        let closed = self.closed.get_mut().take();
        let code = closed.map_or("lost", |(code, _)| code.name());
        self.core.metrics.session_closed(code);
        tracing::info!(id = self.id, code, "a session ended");
    }
}

impl SessionHandle {
    /// A session whose connection was just accepted. What speaks against it is said in-band: a page cannot see why a
    /// connection was refused, and would try again for ever.
    pub fn new(core: Arc<Core>, transport: Transport, origin_refused: bool) -> Arc<Self> {
        let clock = core.clock.now();
        let config = SessionConfig {
            hello_timeout: core.bounds.handshake_timeout,
            max_documents: core.bounds.max_documents,
            ..SessionConfig::default()
        };
        let mut control = Session::new(config, clock);
        let count = core.sessions.fetch_add(1, Ordering::Relaxed);
        if origin_refused {
            control.close(Code::OriginRefused, "pages of this origin may not open sessions here");
        } else if core.readiness.is_draining() {
            control.close(Code::GoingAway, "the relay is shutting down");
        } else if count >= core.bounds.max_sessions {
            control.close(Code::Overloaded, "the relay has as many sessions as it may");
        }
        Arc::new(Self {
            // Fits the numbers of every client's language, 53 bits. Without randomness ids would only be less hard to guess,
            // and nothing depends on that.
            id: getrandom::u64().unwrap_or(count as u64) >> 11,
            since: clock.monotonic,
            wake: Notify::new(),
            control: Mutex::new(control),
            closed: Mutex::default(),
            access: Mutex::default(),
            lanes: Mutex::default(),
            opening_bytes: AtomicUsize::new(0),
            _open: core.metrics.session(transport),
            core,
        })
    }

    /// Takes a frame of the control lane.
    pub fn receive(&self, frame: &Bytes) {
        let clock = self.core.clock.now();
        match Frame::decode(frame) {
            Ok(frame) => self.control.lock().receive(clock, frame),
            Err(error) => self.close(error.code(), &error.to_string()),
        }
        self.act();
    }

    /// Ends the session with a reason that its client is told.
    pub fn close(&self, code: Code, reason: &str) {
        self.control.lock().close(code, reason);
        self.act();
        self.wake.notify_one();
    }

    /// The client's transport ended with this code, perhaps before its `Close` frame was read.
    pub fn ended_by_client(&self, code: u32) {
        let code = u16::try_from(code).map_or(Code::None, Code::from);
        self.closed.lock().get_or_insert((code, String::new()));
    }

    /// Tells the client that the relay is about to leave.
    pub fn go_away(&self) {
        let after = reconnect_after(self.id);
        self.control.lock().go_away("the relay is shutting down", after, None);
    }

    /// Bytes came on any lane, or may not come because the relay does not read.
    pub fn heard(&self) {
        self.control.lock().heard(self.core.clock.now());
    }

    /// Whether `Welcome` was sent and nothing has ended the session: only then do documents have lanes.
    pub fn is_open(&self) -> bool {
        self.control.lock().is_open()
    }

    /// How many frames wait for the control lane.
    pub fn waiting(&self) -> usize {
        self.control.lock().waiting()
    }

    /// When [`tick`](Self::tick) is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.control.lock().poll_timeout().map(|due| self.core.clock.instant(due))
    }

    /// Does what is due.
    pub fn tick(&self) {
        self.control.lock().handle_timeout(self.core.clock.now());
        self.act();
    }

    /// The next frame for the control lane.
    pub fn poll_transmit(&self) -> Option<Bytes> {
        self.control.lock().poll_transmit()
    }

    /// Why the session is over, once it is.
    pub fn closed(&self) -> Option<Reason> {
        self.act();
        self.closed.lock().clone()
    }

    pub(super) fn document_opened(&self) -> Result<(), Reason> {
        self.control.lock().document_opened(self.core.clock.now())?;
        // From now on silence counts: whoever waits for the deadline must look at it again.
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn document_closed(&self) {
        self.control.lock().document_closed();
    }

    /// The lane of a channel, while it is open.
    pub fn lane(&self, channel: Channel) -> Option<Arc<Lane>> {
        self.lanes.lock().get(&channel)?.upgrade()
    }

    fn act(&self) {
        loop {
            let event = self.control.lock().poll_event();
            match event {
                Some(Event::Authenticate { token, agent, refresh }) => self.authenticate(&token, &agent, refresh),
                Some(Event::Closed { code, reason }) => {
                    tracing::debug!(%code, reason, "the session is over");
                    self.closed.lock().get_or_insert((code, reason));
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn authenticate(&self, token: &str, agent: &str, refresh: bool) {
        let now = unix_millis();
        let access = match self.core.verifier.verify(token, now) {
            Ok(access) => access,
            Err(error) => {
                let code = match error {
                    TokenError::Expired => Code::TokenExpired,
                    TokenError::Invalid(_) => Code::Unauthorized,
                };
                tracing::info!(%error, "a token is refused");
                self.control.lock().close(code, &error.to_string());
                return;
            }
        };
        let expires_in = Duration::from_millis(access.expires_unix_millis.saturating_sub(now));
        let clock = self.core.clock.now();
        if refresh {
            let mut current = self.access.lock();
            if current.as_ref().is_none_or(|current| current.subject != access.subject) {
                drop(current);
                self.control.lock().close(Code::Unauthorized, "a refreshed token must be of the same subject");
                return;
            }
            *current = Some(access);
            drop(current);
            self.control.lock().token_accepted(clock, expires_in);
            self.review_roles();
        } else {
            tracing::info!(subject = &*access.subject, agent, "a session begins");
            let welcome = Welcome {
                session: self.id,
                node: self.core.node.clone(),
                subject: access.subject.to_string(),
                limits: self.core.limits(),
                expires_in,
            };
            *self.access.lock() = Some(access);
            self.control.lock().welcome(clock, welcome);
        }
    }

    /// A new token may allow more or less: every open document is told.
    fn review_roles(&self) {
        let lanes: Vec<_> = self.lanes.lock().values().filter_map(Weak::upgrade).collect();
        let access = self.access.lock();
        for lane in lanes {
            lane.review_role(access.as_ref());
        }
    }
}
