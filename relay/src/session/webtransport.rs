//! Sessions over WebTransport: the control lane is the client's first bidirectional stream, each document has one of its own,
//! and presence goes in datagrams.

use std::sync::Arc;

use bytes::Bytes;
use inkwire_protocol::copies::CopyQueue;
use inkwire_protocol::room::Reason;
use inkwire_protocol::wire::{StreamDecoder, encode_datagram, encode_stream, split_datagram};
use inkwire_protocol::{Code, Frame};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;
use web_transport_quinn::{RecvStream, Request, SendStream, Session, SessionError, WebTransportError};

use super::copies::{self, Path};
use super::credit::Credit;
use super::lane::{Flow, Lane, OpenLane, Opening};
use super::{LAST_WORDS, MAX_WAITING, SessionHandle, WRITE_BYTES, close_frame, no_open, sleep_until};
use crate::core::Core;
use crate::drain::Phase;
use crate::http::SESSION_PATH;
use crate::metrics::Transport;
use crate::rooms::Waiting;

/// Chunks taken from a stream at once. A chunk is what one packet brought, so this is about the largest frame.
const READ_CHUNKS: usize = 48;

/// The most bytes taken from the control lane at once: it then holds fewer answers than a session may owe.
const CONTROL_CHUNK_BYTES: usize = 2 << 10;

/// The control lane goes before everything else on a connection.
const CONTROL_PRIORITY: i32 = 1;

/// Runs a session from its request to its end.
pub async fn serve(core: Arc<Core>, request: Request) {
    let peer = request.conn().remote_address();
    if request.url.path() != SESSION_PATH {
        tracing::debug!(path = request.url.path(), "a WebTransport request for another path");
        let _ = request.reject(http::StatusCode::NOT_FOUND).await;
        return;
    }
    let authority = request.url.authority();
    let origin_refused = !core.origins.allows(&request.headers, Some(authority));
    let Ok(session) = request.ok().await else { return };
    let handle = SessionHandle::new(core, Transport::WebTransport, origin_refused);
    let span = tracing::info_span!("session", id = handle.id, transport = "webtransport", %peer);
    run(session, handle).instrument(span).await;
}

async fn run(session: Session, handle: Arc<SessionHandle>) {
    let (code, reason) = match control(&session, &handle).await {
        Some(reason) => reason,
        // The connection is gone: there is nobody to tell.
        None => {
            if let Some(SessionError::WebTransportError(WebTransportError::Closed(code, _))) = session.close_reason() {
                handle.ended_by_client(code);
            }
            return;
        }
    };
    session.close(u32::from(code.number()), reason.as_bytes());
    // `close` sends in the background; the connection, and with it this task's resources, end once it has.
    let _ = tokio::time::timeout(LAST_WORDS, session.closed()).await;
}

/// Serves the control lane and everything that the session opens. `None` when the connection was lost.
async fn control(session: &Session, handle: &Arc<SessionHandle>) -> Option<Reason> {
    let patience = handle.core.bounds.handshake_timeout;
    let (mut send, mut recv) = tokio::time::timeout(patience, session.accept_bi()).await.ok()?.ok()?;
    let _ = send.set_priority(CONTROL_PRIORITY);
    let path = Arc::new(Path::new(handle.core.datagram_copies));
    let credit = Credit::new((**session).clone(), &handle.core.bounds);
    let mut lanes = JoinSet::new();
    let mut phases = handle.core.phases.watch();
    let mut told_to_go = false;
    let mut decoder = StreamDecoder::new();
    let mut outgoing: Vec<Bytes> = Vec::new();
    let mut last_words = None;
    loop {
        if phases.current() > Phase::Running && !told_to_go {
            told_to_go = true;
            handle.go_away();
        }
        if phases.current() == Phase::Closing && lanes.is_empty() {
            handle.close(Code::GoingAway, "the relay is shutting down");
        }
        let over = handle.closed();
        if over.is_some() && last_words.is_none() {
            last_words = Some(Instant::now() + LAST_WORDS);
        }
        if outgoing.is_empty() {
            let frames: Vec<Bytes> = std::iter::from_fn(|| handle.poll_transmit()).collect();
            if !frames.is_empty() {
                outgoing.push(encode_stream(&frames));
            } else if let Some(reason) = over {
                drop(lanes);
                // The client should read why before the connection ends; `stopped` resolves when it has all of it.
                let _ = send.finish();
                let _ = tokio::time::timeout(LAST_WORDS, send.stopped()).await;
                return Some(reason);
            }
        }
        tokio::select! {
            // Who does not take answers is read until a few wait; all of them when it is only slow, for what it says is a sign
            // of life.
            chunk = recv.read_chunk(CONTROL_CHUNK_BYTES, true), if outgoing.is_empty() || handle.waiting() <= MAX_WAITING => match chunk {
                Ok(Some(chunk)) => read_control(handle, &mut decoder, &chunk.bytes),
                // A client that ends its control lane ends its session.
                Ok(None) => handle.close(Code::None, "the control lane has ended"),
                Err(_) => return None,
            },
            written = send.write_chunks(&mut outgoing), if !outgoing.is_empty() => match written {
                Ok(written) => { outgoing.drain(..written.chunks); }
                Err(_) => return None,
            },
            stream = session.accept_bi() => {
                let Ok((send, recv)) = stream else { return None };
                let connection = Shared { session: session.clone(), path: Arc::clone(&path), credit: Arc::clone(&credit) };
                let lane = document(connection, Arc::clone(handle), send, recv);
                lanes.spawn(lane.in_current_span());
            }
            datagram = session.read_datagram() => match datagram {
                Ok(datagram) => read_datagram(handle, &path, &datagram),
                Err(_) => return None,
            },
            Some(_) = lanes.join_next() => {}
            () = sleep_until(handle.deadline()) => handle.tick(),
            // What is being written is stuck, and so would be the reason.
            () = sleep_until(last_words) => return handle.closed(),
            () = handle.wake.notified() => {}
            () = phases.changed() => {}
        }
    }
}

fn read_control(handle: &SessionHandle, decoder: &mut StreamDecoder, bytes: &[u8]) {
    decoder.push(bytes);
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => handle.receive(&frame),
            Ok(None) => return,
            Err(error) => return handle.close(error.code(), &error.to_string()),
        }
    }
}

/// Whatever is wrong with a datagram, it is only dropped.
fn read_datagram(handle: &SessionHandle, path: &Path, datagram: &Bytes) {
    handle.heard();
    let Ok((channel, frame)) = split_datagram(datagram) else { return };
    if let (Some(lane), Ok(frame)) = (handle.lane(channel), Frame::decode(&frame))
        && (path.takes_copies() || !matches!(frame, Frame::Batch(_)))
    {
        lane.receive_datagram(frame);
    }
}

/// What the lanes of a connection share.
struct Shared {
    session: Session,
    path: Arc<Path>,
    credit: Arc<Credit>,
}

/// One document's stream, from its `Open` to its end.
async fn document(shared: Shared, handle: Arc<SessionHandle>, mut send: SendStream, mut recv: RecvStream) {
    let outcome = match open(&handle, &shared.credit, &mut recv).await {
        Ok(Some((lane, decoder, ready))) => {
            let wires = Wires { shared: &shared, send: &mut send, recv: &mut recv };
            serve_document(wires, &handle, &lane, decoder, &ready).await
        }
        Ok(None) => return,
        Err(reason) => Err(reason),
    };
    if let Err((code, reason)) = outcome {
        tracing::debug!(%code, reason, "a document's lane is closed");
        let close = encode_stream(&[close_frame(code, &reason)]);
        let _ = tokio::time::timeout(LAST_WORDS, send.write_chunk(close)).await;
        let _ = recv.stop(u32::from(code.number()));
    }
    let _ = send.finish();
}

/// Reads a lane up to its `Open` and opens the document. `None` when the client has given the lane up.
async fn open(
    handle: &Arc<SessionHandle>,
    credit: &Arc<Credit>,
    recv: &mut RecvStream,
) -> Result<Option<(OpenLane, StreamDecoder, Arc<Notify>)>, Reason> {
    let patience = Instant::now() + handle.core.bounds.handshake_timeout;
    let mut decoder = StreamDecoder::new();
    let mut opening = Opening::begin(handle)?;
    loop {
        while let Some(frame) = decoder.next_frame().map_err(|error| (error.code(), error.to_string()))? {
            if let Some(open) = opening.receive(&frame)? {
                let ready = Arc::new(Notify::new());
                let seen = opening.take_seen();
                let _loan = credit.lend();
                let lane = Lane::open(handle, open, seen, Arc::clone(&ready) as _).await?;
                return Ok(Some((lane, decoder, ready)));
            }
        }
        let chunk = tokio::time::timeout_at(patience, recv.read_chunk(usize::MAX, true))
            .await
            .map_err(|_| no_open(handle.core.bounds.handshake_timeout))?;
        match chunk {
            Ok(Some(chunk)) => {
                handle.heard();
                decoder.push(&chunk.bytes);
            }
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

/// What carries a document's frames.
struct Wires<'a> {
    shared: &'a Shared,
    send: &'a mut SendStream,
    recv: &'a mut RecvStream,
}

/// Moves a document's frames both ways until it is closed. An error is told to the client.
async fn serve_document(
    wires: Wires<'_>,
    handle: &SessionHandle,
    lane: &Lane,
    mut decoder: StreamDecoder,
    ready: &Notify,
) -> Result<(), Reason> {
    let Wires { shared: Shared { session, path, credit }, send, recv } = wires;
    let clock = handle.core.clock;
    let mut copies = CopyQueue::default();
    let mut phases = handle.core.phases.watch();
    let mut chunks: [Bytes; READ_CHUNKS] = std::array::from_fn(|_| Bytes::new());
    let mut encoded = Vec::new();
    let mut outgoing: Vec<Bytes> = Vec::new();
    let mut loan = None;
    // What came in the same packets as `Open`.
    if feed(lane, &mut decoder, &mut encoded)? == Flow::Leave {
        return Ok(());
    }
    loop {
        lane.check_revoked()?;
        if copies.due().is_some() {
            copies::send_due(session, &handle.core.metrics, &mut copies, clock.now().monotonic);
        }
        if outgoing.is_empty() {
            match lane.transmit(WRITE_BYTES, &mut encoded) {
                Waiting::Bytes(_) => {
                    let now = clock.now().monotonic;
                    if path.is_copied(now, session) {
                        encoded.iter().for_each(|frame| copies.note(now, lane.channel, frame));
                    }
                    outgoing.push(encode_stream(&encoded));
                    encoded.clear();
                }
                Waiting::Over => return Ok(()),
                Waiting::Nothing => match send_datagrams(session, handle, lane) {
                    Some(frame) => outgoing.push(encode_stream(&[frame])),
                    None if phases.current() == Phase::Closing => return Ok(()),
                    None => {}
                },
            }
        }
        // Reading slower is all that a rate limit ever does.
        let behind = lane.is_behind();
        if behind != loan.is_some() {
            loan = behind.then(|| credit.lend());
        }
        let reading = !behind && phases.current() == Phase::Running;
        tokio::select! {
            read = recv.read_chunks(&mut chunks), if reading => match read {
                Ok(Some(count)) => {
                    handle.heard();
                    for chunk in &mut chunks[..count] {
                        decoder.push(&std::mem::take(chunk));
                    }
                    if feed(lane, &mut decoder, &mut encoded)? == Flow::Leave {
                        return Ok(());
                    }
                }
                Ok(None) | Err(_) => return Ok(()),
            },
            () = lane.caught_up(), if behind => {}
            written = send.write_chunks(&mut outgoing), if !outgoing.is_empty() => match written {
                Ok(written) => { outgoing.drain(..written.chunks); }
                Err(_) => return Ok(()),
            },
            () = ready.notified(), if outgoing.is_empty() => {}
            () = sleep_until(copies.due().map(|due| clock.instant(due))) => {}
            () = phases.changed() => {}
        }
    }
}

/// Hands every whole frame that has arrived to the room, in one step.
fn feed(lane: &Lane, decoder: &mut StreamDecoder, encoded: &mut Vec<Bytes>) -> Result<Flow, Reason> {
    let broken = loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => encoded.push(frame),
            Ok(None) => break None,
            Err(error) => break Some((error.code(), error.to_string())),
        }
    };
    let flow = if encoded.is_empty() { Ok(Flow::Continue) } else { lane.receive(encoded) };
    encoded.clear();
    match (flow, broken) {
        (Ok(Flow::Continue), Some(reason)) => Err(reason),
        (flow, _) => flow,
    }
}

/// Sends the presence that waits, as long as the connection's buffer takes it: quinn would drop older datagrams for newer ones
/// without a word. Gives back a frame that is too large for a datagram.
fn send_datagrams(session: &Session, handle: &SessionHandle, lane: &Lane) -> Option<Bytes> {
    let metrics = &handle.core.metrics;
    while let Some(frame) = lane.datagram() {
        let Some(datagram) =
            encode_datagram(lane.channel, &frame).filter(|datagram| datagram.len() <= session.max_datagram_size())
        else {
            return Some(frame);
        };
        if session.datagram_send_buffer_space() < datagram.len() {
            metrics.datagrams_dropped.increment(1);
            continue;
        }
        match session.send_datagram(datagram) {
            Ok(()) => metrics.datagrams_sent.increment(1),
            Err(_) => return None,
        }
    }
    None
}
