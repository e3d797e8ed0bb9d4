//! Speculative copies of small batches over WebTransport: whether a session's path is worth them, and sending them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::copies::{CopyMode, CopyQueue, LOOK_INTERVAL, LossMeter, PacketCounts, WANTED_FOR};
use inkwire_protocol::wire::encode_datagram;
use inkwire_protocol::{Channel, Frame, frame};
use parking_lot::Mutex;
use web_transport_quinn::Session;

use crate::metrics::Metrics;

/// One session's path, shared by its lanes. It is looked at when something is sent, once a second at most: an idle session costs
/// nothing.
pub(super) struct Path {
    mode: CopyMode,
    meter: Mutex<LossMeter>,
    /// On the monotonic clock, in milliseconds.
    next_look: AtomicU64,
    copying: AtomicBool,
}

impl Path {
    pub(super) fn new(mode: CopyMode) -> Self {
        Self { mode, meter: Mutex::default(), next_look: AtomicU64::new(0), copying: AtomicBool::new(false) }
    }

    /// Whether what is sent now is to be copied. While it is, the client is asked to do the same: only this end counts packets
    /// where the other one is a page.
    pub(super) fn is_copied(&self, now: Duration, session: &Session) -> bool {
        if self.mode == CopyMode::Off {
            return false;
        }
        let millis = now.as_millis() as u64;
        let due = self.next_look.load(Ordering::Relaxed);
        let next = millis + LOOK_INTERVAL.as_millis() as u64;
        // Whichever lane comes first looks for all.
        if millis >= due && self.next_look.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let path = quinn::Connection::stats(session).path;
            let counts = PacketCounts { sent: path.sent_packets, lost: path.lost_packets };
            let lossy = self.meter.lock().look(now, counts);
            let copying = lossy || self.mode == CopyMode::On;
            if self.copying.swap(copying, Ordering::Relaxed) != copying {
                tracing::debug!(copying, sent = counts.sent, lost = counts.lost, "copies of batches");
            }
            if copying {
                ask(session);
            }
        }
        self.copying.load(Ordering::Relaxed)
    }

    /// Whether copies that come are looked at.
    pub(super) fn takes_copies(&self) -> bool {
        self.mode != CopyMode::Off
    }
}

/// Asks the client for copies. It may be lost: the next look asks again.
fn ask(session: &Session) {
    let want = frame::WantCopies { millis: WANTED_FOR.as_millis() as u64 };
    if let Some(datagram) = encode_datagram(Channel::CONTROL, &Frame::from(want).encode()) {
        send(session, datagram);
    }
}

/// Sends the copies that are due.
pub(super) fn send_due(session: &Session, metrics: &Metrics, queue: &mut CopyQueue, now: Duration) {
    while let Some(copy) = queue.poll(now) {
        if send(session, copy) {
            metrics.copies_sent.increment(1);
        } else {
            metrics.datagrams_dropped.increment(1);
        }
    }
}

/// quinn would drop older datagrams for newer ones without a word, so what does not fit is not sent.
fn send(session: &Session, datagram: Bytes) -> bool {
    datagram.len() <= session.max_datagram_size()
        && datagram.len() <= session.datagram_send_buffer_space()
        && session.send_datagram(datagram).is_ok()
}
