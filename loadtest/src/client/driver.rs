//! The task that keeps a client connected: it connects, carries what the core transmits, and connects again when the
//! core says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use inkwire_protocol::Code;
use inkwire_protocol::client::Transmit;
use tokio::time::sleep_until;
use url::Url;

use super::shared::{Generation, Order, Shared};
use super::transport::{self, Link, TransportError};
use super::{Closed, Connection, Options, TokenError, TokenSource};

/// How many bytes the core is asked for under one hold of its lock, so that others come in between.
const TURN_BYTES: usize = 64 * 1024;

/// Why a connection could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No session came up.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// There is no token to say hello with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The relay ended the session for good, or the client did.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl ConnectError {
    /// Whether another attempt may succeed without anything being changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_transient(),
            Self::Token(TokenError(error)) => error.is_transient(),
            Self::Closed(_) => false,
        }
    }
}

/// Runs until the client is closed for good.
pub(super) struct Driver {
    shared: Arc<Shared>,
    options: Arc<Options>,
    url: Url,
    link: Option<Box<dyn Link>>,
    generation: u64,
    retry: Option<Instant>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, options: Arc<Options>) -> Self {
        let url = options.url.clone();
        Self { shared, options, url, link: None, generation: 0, retry: None }
    }

    /// One attempt. On failure the core is told, and says when to try again.
    pub(super) async fn connect(&mut self) -> Result<(), ConnectError> {
        self.retry = None;
        let link = match self.establish().await {
            Ok(link) => link,
            Err(error) => {
                self.shared.drive(|state, now| state.core.connect_failed(now));
                return Err(error);
            }
        };
        self.link = Some(link);
        Ok(())
    }

    async fn establish(&mut self) -> Result<Box<dyn Link>, ConnectError> {
        self.generation += 1;
        let (shared, options, number) = (&self.shared, &self.options, self.generation);
        let token = options.token.fetch(&self.url).await?;
        let mut link = transport::connect(options.transport, &self.url).await?;
        shared.drive(|state, now| {
            state.generation = number;
            state.core.connected(now, token, link.lanes());
        });
        link.start(Arc::new(Generation { shared: Arc::clone(shared), number, stalled: options.stalled }));
        Ok(link)
    }

    /// Carries on until the client closes.
    pub(super) async fn run(mut self) {
        loop {
            if !self.obey().await {
                break;
            }
            self.transmit().await;
            let timeout = self.shared.look(|core| core.poll_timeout()).map(|at| self.shared.instant(at));
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = at(timeout) => self.shared.drive(|state, now| state.core.handle_timeout(now)),
                () = at(self.retry) => {
                    // A failure is not lost: the core orders the next attempt, or there is no hope and all who wait
                    // are told.
                    if let Err(error) = self.connect().await
                        && !error.is_transient()
                    {
                        self.give_up(&error);
                    }
                }
            }
        }
    }

    /// Does what the core and the transport asked for; `false` if that is to stop.
    async fn obey(&mut self) -> bool {
        while let Some(order) = self.shared.drive(|state, _| state.orders.pop_front()) {
            match order {
                Order::Reconnect { after, url } => {
                    self.link = None;
                    // A relay that leaves may say who takes over; what is no URL is as good as nothing said.
                    if let Some(url) = url.and_then(|url| Url::parse(&url).ok()) {
                        self.url = url;
                    }
                    self.retry = Some(Instant::now() + after);
                }
                Order::Lost { generation } if generation == self.generation && self.link.is_some() => {
                    self.link = None;
                    self.shared.drive(|state, now| state.core.disconnected(now));
                }
                Order::Lost { .. } => {}
                // The old token is good for a while yet: a failure here is met again at the next connection.
                Order::Token => {
                    if let Ok(token) = self.options.token.fetch(&self.url).await {
                        self.shared.drive(|state, now| state.core.refresh_token(now, token));
                    }
                }
                Order::Stop => {
                    self.transmit().await;
                    if let Some(mut link) = self.link.take() {
                        link.close(0, "").await;
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Hands the link what the core has, as fast as it takes it.
    async fn transmit(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        loop {
            let mut bytes = 0;
            let mut disconnect = None;
            let more = self.shared.drive(|state, now| {
                if state.core.wants_look_at_path(now)
                    && let Some(packets) = link.packets()
                {
                    state.core.look_at_path(now, packets);
                }
                while bytes < TURN_BYTES {
                    match state.core.poll_transmit(now) {
                        None => return false,
                        Some(Transmit::Disconnect { code, reason }) => {
                            disconnect = Some((code, reason));
                            return false;
                        }
                        Some(transmit) => {
                            bytes += length(&transmit);
                            if let Some(full) = link.put(transmit) {
                                state.core.set_lane_full(full, true);
                            }
                        }
                    }
                }
                true
            });
            self.shared.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            link.flush();
            if let Some((code, reason)) = disconnect {
                link.close(code.number(), &reason).await;
                self.link = None;
                return;
            }
            if !more {
                return;
            }
            // The core's own timers go on meanwhile: a relay that takes nothing for too long is a lost connection.
            let timeout = self.shared.look(|core| core.poll_timeout()).map(|at| self.shared.instant(at));
            tokio::select! {
                () = link.ready() => {}
                () = at(timeout) => {
                    self.shared.drive(|state, now| state.core.handle_timeout(now));
                    return;
                }
            }
        }
    }

    fn give_up(&self, error: &ConnectError) {
        let closed = Closed { code: Code::None, reason: error.to_string() };
        self.shared.drive(|state, _| {
            state.set_connection(Connection::Closed(closed));
            state.orders.push_back(Order::Stop);
        });
    }
}

impl Drop for Driver {
    /// Whoever still holds a document learns that nothing comes any more.
    fn drop(&mut self) {
        let closed = Closed { code: Code::None, reason: "the client was dropped".to_owned() };
        self.shared.drive(|state, _| {
            state.generation = u64::MAX;
            state.set_connection(Connection::Closed(closed));
        });
    }
}

fn length(transmit: &Transmit) -> usize {
    match transmit {
        Transmit::Stream { bytes, .. } | Transmit::Message(bytes) | Transmit::Datagram(bytes) => bytes.len(),
        _ => 0,
    }
}

/// Waits until then, or for ever.
async fn at(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then.into()).await,
        None => std::future::pending().await,
    }
}

impl TokenSource {
    pub(super) async fn fetch(&self, base: &Url) -> Result<String, TokenError> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::Development(wanted) => super::http::development_token(base, wanted).await.map_err(TokenError),
        }
    }
}
