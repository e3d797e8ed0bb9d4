//! What a client gives to its shell.

use std::time::Duration;

use bytes::Bytes;

use super::{DocumentId, Lanes};
use crate::replica::{News, Refusal};
use crate::{Channel, Code};

/// Something for the transport, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transmit {
    /// Open a bidirectional stream for the lane. Only for [`Lanes::Streams`].
    OpenLane(Channel),
    /// Write to the lane's stream. Only for [`Lanes::Streams`].
    Stream {
        /// The lane.
        channel: Channel,
        /// Frames, each with its length before it.
        bytes: Bytes,
    },
    /// Finish the lane's stream; what still comes on it may be dropped. Only for [`Lanes::Streams`].
    FinishLane(Channel),
    /// Send a binary message. Only for [`Lanes::Messages`].
    Message(Bytes),
    /// Send a datagram, or drop it if there is no room. Only for [`Lanes::Streams`].
    Datagram(Bytes),
    /// End the connection, once what was given before is written. The client regards it as ended.
    Disconnect {
        /// The code for the transport's close, where it has one.
        code: Code,
        /// For people.
        reason: String,
    },
}

/// Something that the shell or the application should know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The session is there.
    Welcomed {
        /// Its id; presence carries it.
        session: u64,
        /// The authenticated subject.
        subject: String,
        /// The node's name.
        node: String,
        /// What it runs over.
        lanes: Lanes,
    },
    /// A fresh token is wanted: give it with [`super::Client::refresh_token`]. Repeated while none is accepted.
    TokenWanted,
    /// The relay is about to leave; [`Event::Reconnect`] follows when it has.
    GoAway {
        /// For people.
        reason: String,
    },
    /// The relay or the client ended the session. If it is not fatal, [`Event::Reconnect`] follows.
    Closed {
        /// Why.
        code: Code,
        /// For people.
        reason: String,
        /// Whether the client gives up: connecting again would change nothing.
        fatal: bool,
    },
    /// Connect again after this pause, with [`super::Client::token`] or a fresh one, then call
    /// [`super::Client::connected`] or [`super::Client::connect_failed`].
    Reconnect {
        /// How long to wait.
        after: Duration,
        /// Where to, when the relay said another place than before.
        url: Option<String>,
    },
    /// The relay answered: the role is known, or it has changed.
    Opened(DocumentId),
    /// Everything that the relay held has come in. Again after every reconnect.
    Synced(DocumentId),
    /// The document changed from elsewhere: take its changes.
    Changed(DocumentId),
    /// The numbers of local, sent and durable edits, or the connection's state, have changed.
    Status(DocumentId),
    /// More own edits are durable, or refused.
    Durable(DocumentId),
    /// Others' presence has changed.
    Presence(DocumentId),
    /// Edits were refused and are not made again; the document is rebuilt without them.
    Refused {
        /// The document.
        document: DocumentId,
        /// What was refused, and why.
        refusal: Refusal,
    },
    /// The relay closed the document for good, or it is closed because the application asked for it.
    DocumentClosed {
        /// The document.
        document: DocumentId,
        /// Why.
        code: Code,
        /// For people.
        reason: String,
    },
}

impl Event {
    /// The next event of a document's news.
    pub(super) fn from_news(id: DocumentId, news: &mut News) -> Option<Event> {
        if let Some(refusal) = news.refused.take() {
            return Some(Event::Refused { document: id, refusal });
        }
        if let Some((code, reason)) = news.closed.take() {
            return Some(Event::DocumentClosed { document: id, code, reason });
        }
        let mut next = |flag: fn(&mut News) -> &mut bool| std::mem::take(flag(news));
        if next(|news| &mut news.opened) {
            Some(Event::Opened(id))
        } else if next(|news| &mut news.changed) {
            Some(Event::Changed(id))
        } else if next(|news| &mut news.synced) {
            Some(Event::Synced(id))
        } else if next(|news| &mut news.durable) {
            Some(Event::Durable(id))
        } else if next(|news| &mut news.status) {
            Some(Event::Status(id))
        } else {
            next(|news| &mut news.presence).then_some(Event::Presence(id))
        }
    }
}
