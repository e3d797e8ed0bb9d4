//! Sessions over a WebSocket: the frames of all lanes in messages that begin with their channel.
//!
//! One task moves everything. It writes only when the last of what it wrote has left, so that what waits meanwhile goes in
//! one piece, and presence goes only when nothing else does.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, Sink, Stream as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use inkwire_protocol::limits::MAX_MESSAGE_BYTES;
use inkwire_protocol::room::Reason;
use inkwire_protocol::wire::{encode_message, split_message};
use inkwire_protocol::{Channel, Code, Frame};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::Instrument as _;

use super::lane::{Flow, Lane, OpenLane, Opening};
use super::socket::{self, FILL_BYTES, Socket};
use super::{LAST_WORDS, MAX_WAITING, SessionHandle, WRITE_BYTES, close_frame, no_open, sleep_until};
use crate::core::Core;
use crate::drain::Phase;
use crate::metrics::Transport;
use crate::rooms::{Ready, Waiting};

/// The most messages, and about the most bytes, that are taken from the socket at once.
const READ_MESSAGES: usize = 256;
const READ_BYTES: usize = 64 << 10;

/// The fewest bytes that are written at once.
const FEWEST_BYTES: usize = 4 << 10;

/// A write that leaves in so short a time may be followed by a larger one, and after one that takes longer than the second,
/// smaller ones follow.
const QUICK: Duration = Duration::from_millis(50);
const SLOW: Duration = Duration::from_millis(200);

/// Where the application's own close codes begin (RFC 6455 section 7.4.2); ours are 4000 and the protocol's code.
const CLOSE_CODES: u16 = 4000;

/// Runs a session on an upgraded connection to its end.
pub async fn serve(core: Arc<Core>, connection: Upgraded, peer: SocketAddr, origin_refused: bool) {
    let handle = SessionHandle::new(core, Transport::WebSocket, origin_refused);
    let span = tracing::info_span!("session", id = handle.id, transport = "websocket", %peer);
    async {
        let socket = socket::accept(connection, MAX_MESSAGE_BYTES).await;
        let mut connection = Connection::new(socket, handle);
        let end = connection.run().await;
        connection.finish(end).await;
    }
    .instrument(span)
    .await;
}

/// Why a connection's loop ended.
enum End {
    /// The session is over; its client is told.
    Closed(Reason),
    /// The client broke WebSocket's own rules, and is told so in WebSocket's own codes.
    Violation(CloseCode),
    /// The client sent a message of so many bytes, more than it may. It is told in both ways.
    TooLong(usize),
    /// There is nobody to tell.
    Lost,
    /// What was written does not leave, and nothing else would.
    Stuck,
}

/// How much is written at once: less to a slow reader, so that no ping waits behind what takes seconds to read.
struct Pace {
    bytes: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes: FILL_BYTES }
    }
}

impl Pace {
    /// The last of it took so long to leave.
    fn flushed(&mut self, took: Duration) {
        self.bytes = if took < QUICK {
            self.bytes * 2
        } else if took > SLOW {
            self.bytes / 4
        } else {
            self.bytes
        };
        self.bytes = self.bytes.clamp(FEWEST_BYTES, FILL_BYTES);
    }
}

/// The channels that have something to send.
#[derive(Default)]
struct ReadySet {
    channels: Mutex<Vec<Channel>>,
    notify: Notify,
}

/// Notes one channel in the set.
struct ChannelReady {
    channel: Channel,
    set: Arc<ReadySet>,
}

impl Ready for ChannelReady {
    fn ready(&self) {
        self.set.channels.lock().push(self.channel);
        self.set.notify.notify_one();
    }
}

type Opened = (Channel, Result<OpenLane, Reason>);

/// A message that waits until its document is open.
struct Held {
    channel: Channel,
    frames: Vec<Bytes>,
}

struct Connection {
    socket: Socket,
    handle: Arc<SessionHandle>,
    lanes: HashMap<Channel, OpenLane>,
    /// Lanes whose first frames have come, but not yet `Open`, and until when it may.
    beginning: HashMap<Channel, (Opening, Instant)>,
    opening: FuturesUnordered<BoxFuture<'static, Opened>>,
    /// The highest channel that the client has used: lower ones that are not open have been closed, and what still comes for
    /// them was on its way.
    highest: Channel,
    ready: Arc<ReadySet>,
    /// Lanes with something to send, next first.
    turn: VecDeque<Channel>,
    /// Whether something was written since the last flush completed.
    dirty: bool,
    /// How much is written at once, and when that was begun.
    pace: Pace,
    filled: Instant,
    /// In order; nothing more is read while there are any, so they are what came at once.
    held: VecDeque<Held>,
    /// What clients of closed lanes are told.
    last_words: VecDeque<Bytes>,
    /// The lane whose store is behind; nothing is read meanwhile.
    behind: Option<Channel>,
}

/// What a step of the socket brought.
enum Step {
    /// Messages that were there already, and why there will be no more, if so.
    Messages(Vec<Message>, Option<End>),
    Flushed,
    End(End),
}

impl Connection {
    fn new(socket: Socket, handle: Arc<SessionHandle>) -> Self {
        Self {
            socket,
            handle,
            lanes: HashMap::new(),
            beginning: HashMap::new(),
            opening: FuturesUnordered::new(),
            highest: Channel::CONTROL,
            ready: Arc::default(),
            turn: VecDeque::new(),
            dirty: false,
            pace: Pace::default(),
            filled: Instant::now(),
            held: VecDeque::new(),
            last_words: VecDeque::new(),
            behind: None,
        }
    }

    async fn run(&mut self) -> End {
        let mut phases = self.handle.core.phases.watch();
        let mut told_to_go = false;
        let mut last_words = None;
        loop {
            let phase = phases.current();
            if phase > Phase::Running && !told_to_go {
                told_to_go = true;
                self.handle.go_away();
            }
            if phase == Phase::Closing && self.is_drained() {
                self.handle.close(Code::GoingAway, "the relay is shutting down");
            }
            if let Err(error) = self.fill() {
                return end_of(&error);
            }
            if let Some(reason) = self.handle.closed() {
                if !self.dirty {
                    return End::Closed(reason);
                }
                last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
            }
            let willing = self.held.is_empty()
                && self.behind.is_none()
                && phase == Phase::Running
                && self.handle.closed().is_none();
            if !willing {
                // Silence that is the relay's own doing is not the client's.
                self.handle.heard();
            }
            // Nor is a client read that does not take its answers; but that is the client's doing.
            let answers = self.handle.waiting() + self.last_words.len();
            let reading = willing && !(self.dirty && answers > MAX_WAITING);
            let no_open = self.beginning.values().map(|(_, until)| *until).min();
            let ready = Arc::clone(&self.ready);
            let handle = Arc::clone(&self.handle);
            let behind = self.behind.and_then(|channel| self.lanes.get(&channel));
            let (socket, dirty) = (&mut self.socket, self.dirty);
            tokio::select! {
                step = std::future::poll_fn(|context| poll_socket(socket, context, dirty, reading)) => match step {
                    Step::Messages(messages, end) => {
                        if let Some(end) = self.receive(messages).or(end) {
                            return end;
                        }
                    }
                    Step::Flushed => {
                        self.dirty = false;
                        self.pace.flushed(self.filled.elapsed());
                    }
                    Step::End(end) => return end,
                },
                Some((channel, outcome)) = self.opening.next() => self.opened(channel, outcome),
                () = caught_up(behind) => self.behind = None,
                () = ready.notify.notified(), if !self.dirty => {}
                () = sleep_until(handle.deadline()) => handle.tick(),
                () = sleep_until(no_open) => self.give_up_openings(),
                // What is being written is stuck, and so would be the reason.
                () = sleep_until(last_words) => return End::Stuck,
                () = handle.wake.notified() => {}
                () = phases.changed() => {}
            }
        }
    }

    /// Takes messages. An answer ends the connection.
    ///
    /// Frames of one lane that came together go to its room in one step, however many messages they came in.
    fn receive(&mut self, messages: Vec<Message>) -> Option<End> {
        self.handle.heard();
        let mut together: Option<(Channel, Vec<Bytes>)> = None;
        let mut end = None;
        for message in messages {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(_) => {
                    self.handle.close(Code::BadFrame, "messages are binary");
                    break;
                }
                Message::Close(_) => {
                    end = Some(End::Lost);
                    break;
                }
                // WebSocket's own pings are answered below us.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            match split_message(&bytes) {
                Ok((channel, frames)) => match &mut together {
                    Some((last, gathered)) if *last == channel => gathered.extend(frames),
                    _ => {
                        if let Some((channel, frames)) = together.replace((channel, frames)) {
                            self.receive_frames(channel, frames);
                        }
                    }
                },
                // Which lane it was for cannot be known.
                Err(error) => {
                    self.handle.close(error.code(), &error.to_string());
                    break;
                }
            }
        }
        if let Some((channel, frames)) = together {
            self.receive_frames(channel, frames);
        }
        end
    }

    fn receive_frames(&mut self, channel: Channel, frames: Vec<Bytes>) {
        if channel != Channel::CONTROL {
            return self.receive_document(channel, frames);
        }
        for frame in frames {
            self.handle.receive(&frame);
        }
    }

    fn receive_document(&mut self, channel: Channel, mut frames: Vec<Bytes>) {
        if let Some(lane) = self.lanes.get(&channel) {
            let outcome = lane.receive(&frames);
            if lane.is_behind() {
                self.behind = Some(channel);
            }
            match outcome {
                Ok(Flow::Continue) => {}
                Ok(Flow::Leave) => self.close_lane(channel, Code::None, ""),
                Err((code, reason)) => self.close_lane(channel, code, &reason),
            }
            return;
        }
        if channel <= self.highest && !self.beginning.contains_key(&channel) {
            if !self.opening.is_empty() {
                // Perhaps of the lane that is being opened.
                self.held.push_back(Held { channel, frames });
            } else if frames.iter().any(|frame| matches!(Frame::decode(frame), Ok(Frame::Open(_)))) {
                let reason = format!("channel {} after {}: numbers rise within a session", channel.0, self.highest.0);
                self.close_lane(channel, Code::UnexpectedFrame, &reason);
            }
            // Else of a lane that was closed meanwhile, which its client hears of.
            return;
        }
        self.highest = self.highest.max(channel);
        let (mut opening, until) = match self.beginning.remove(&channel) {
            Some(begun) => begun,
            None => match Opening::begin(&self.handle) {
                Ok(opening) => (opening, Instant::now() + self.handle.core.bounds.handshake_timeout),
                Err((code, reason)) => return self.close_lane(channel, code, &reason),
            },
        };
        let mut open = None;
        let mut taken = 0;
        while open.is_none() && taken < frames.len() {
            match opening.receive(&frames[taken]) {
                Ok(outcome) => open = outcome,
                Err((code, reason)) => return self.close_lane(channel, code, &reason),
            }
            taken += 1;
        }
        let Some(open) = open else {
            self.beginning.insert(channel, (opening, until));
            if self.beginning.len() > self.handle.core.bounds.max_documents as usize {
                self.handle.close(Code::TooManyDocuments, "too many lanes begin without an Open");
            }
            return;
        };
        if open.channel != channel {
            let reason = format!("Open names channel {} on channel {}", open.channel.0, channel.0);
            return self.close_lane(channel, Code::UnexpectedFrame, &reason);
        }
        let frames = frames.split_off(taken);
        if !frames.is_empty() {
            self.held.push_back(Held { channel, frames });
        }
        let ready = Arc::new(ChannelReady { channel, set: Arc::clone(&self.ready) });
        let handle = Arc::clone(&self.handle);
        let open = async move {
            let opened = Lane::open(&handle, open, opening.take_seen(), ready).await;
            drop(opening);
            (channel, opened)
        };
        self.opening.push(open.in_current_span().boxed());
    }

    /// Closes the lanes whose `Open` has not come in time.
    fn give_up_openings(&mut self) {
        let now = Instant::now();
        let late: Vec<_> =
            self.beginning.extract_if(|_, (_, until)| *until <= now).map(|(channel, _)| channel).collect();
        let (code, reason) = no_open(self.handle.core.bounds.handshake_timeout);
        for channel in late {
            self.close_lane(channel, code, &reason);
        }
    }

    fn opened(&mut self, channel: Channel, outcome: Result<OpenLane, Reason>) {
        match outcome {
            Ok(lane) => {
                self.lanes.insert(channel, lane);
                self.turn.push_back(channel);
            }
            Err((code, reason)) => self.close_lane(channel, code, &reason),
        }
        for held in std::mem::take(&mut self.held) {
            // What is for another lane that is still being opened is held again.
            self.receive_document(held.channel, held.frames);
        }
    }

    /// Ends a lane; its client is told with the next write.
    fn close_lane(&mut self, channel: Channel, code: Code, reason: &str) {
        tracing::debug!(%code, reason, channel = channel.0, "a document's lane is closed");
        self.lanes.remove(&channel);
        if self.behind == Some(channel) {
            self.behind = None;
        }
        self.last_words.push_back(encode_message(channel, &[close_frame(code, reason)]));
    }

    /// Hands what waits to the socket, a turn for each lane, unless the last of it has not left yet.
    fn fill(&mut self) -> Result<(), Error> {
        if self.dirty {
            return Ok(());
        }
        let control: Vec<Bytes> = std::iter::from_fn(|| self.handle.poll_transmit()).collect();
        for frame in control {
            self.write(encode_message(Channel::CONTROL, &[frame]))?;
        }
        while let Some(message) = self.last_words.pop_front() {
            self.write(message)?;
        }
        if self.handle.closed().is_some() {
            return Ok(());
        }
        let noted = std::mem::take(&mut *self.ready.channels.lock());
        for channel in noted {
            if !self.turn.contains(&channel) {
                self.turn.push_back(channel);
            }
        }
        self.filled = Instant::now();
        let mut left = self.pace.bytes;
        let mut frames = Vec::new();
        while left > 0
            && let Some(channel) = self.turn.pop_front()
        {
            let Some(lane) = self.lanes.get(&channel) else { continue };
            if let Err((code, reason)) = lane.check_revoked() {
                self.close_lane(channel, code, &reason);
                continue;
            }
            match lane.transmit(WRITE_BYTES.min(left), &mut frames) {
                Waiting::Bytes(_) => {}
                Waiting::Nothing => match lane.datagram() {
                    Some(presence) => frames.push(presence),
                    None => continue,
                },
                Waiting::Over => {
                    self.lanes.remove(&channel);
                    continue;
                }
            }
            // There may be more; it has its turn after the others.
            self.turn.push_back(channel);
            let message = encode_message(channel, &frames);
            frames.clear();
            left = left.saturating_sub(message.len());
            self.write(message)?;
        }
        Ok(())
    }

    /// Whether everything that waited for the client has left.
    fn is_drained(&self) -> bool {
        !self.dirty && self.turn.is_empty() && self.opening.is_empty() && self.ready.channels.lock().is_empty()
    }

    fn write(&mut self, message: Bytes) -> Result<(), Error> {
        self.dirty = true;
        Pin::new(&mut self.socket).start_send(Message::Binary(message))
    }

    /// Says the last words and ends the connection.
    async fn finish(&mut self, end: End) {
        let frame = match end {
            End::Closed((code, reason)) => Some(CloseFrame {
                code: CloseCode::Library(CLOSE_CODES + code.number().min(999)),
                reason: cut(&reason, 120).into(),
            }),
            End::Violation(code) => Some(CloseFrame { code, reason: "".into() }),
            End::TooLong(length) => {
                let reason = format!("a message of {length} bytes is over the limit of {MAX_MESSAGE_BYTES}");
                self.handle.close(Code::FrameTooLarge, &reason);
                while let Some(frame) = self.handle.poll_transmit() {
                    // The close frame comes in any case.
                    let _ = self.write(encode_message(Channel::CONTROL, &[frame]));
                }
                Some(CloseFrame { code: CloseCode::Size, reason: reason.into() })
            }
            End::Lost => None,
            End::Stuck => return,
        };
        socket::close(&mut self.socket, frame).await;
    }
}

fn poll_socket(socket: &mut Socket, context: &mut Context<'_>, dirty: bool, reading: bool) -> Poll<Step> {
    let mut socket = Pin::new(socket);
    if dirty {
        match socket.as_mut().poll_flush(context) {
            Poll::Ready(Ok(())) => return Poll::Ready(Step::Flushed),
            Poll::Ready(Err(error)) => return Poll::Ready(Step::End(end_of(&error))),
            Poll::Pending => {}
        }
    }
    let mut messages = Vec::new();
    let mut bytes = 0;
    let mut end = None;
    while reading && end.is_none() && messages.len() < READ_MESSAGES && bytes < READ_BYTES {
        match socket.as_mut().poll_next(context) {
            Poll::Ready(Some(Ok(message))) => {
                bytes += message.len();
                messages.push(message);
            }
            Poll::Ready(Some(Err(error))) => end = Some(end_of(&error)),
            Poll::Ready(None) => end = Some(End::Lost),
            Poll::Pending => break,
        }
    }
    if messages.is_empty() && end.is_none() { Poll::Pending } else { Poll::Ready(Step::Messages(messages, end)) }
}

fn end_of(error: &Error) -> End {
    tracing::debug!(%error, "the WebSocket ended");
    if let Error::Capacity(CapacityError::MessageTooLong { size, .. }) = error {
        return End::TooLong(*size);
    }
    socket::violation(error).map_or(End::Lost, End::Violation)
}

async fn caught_up(behind: Option<&OpenLane>) {
    match behind {
        Some(lane) => lane.caught_up().await,
        None => std::future::pending().await,
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
