//! The client's documents: opening, editing, closing, and the lanes that they have.

use bytes::Bytes;
use inkwire_document::{Change, Document, EditError, HybridTime};

use super::reconnect::Backoff;
use super::transmit::pack_one;
use super::{Client, Lane, Lanes, Now, OpenDocument, Transmit};
use crate::Channel;
use crate::copies::CopyQueue;
use crate::frame::{CloseDocument, Frame};
use crate::limits::{MAX_DOCUMENT_NAME_BYTES, MAX_PRESENCE_BYTES};
use crate::replica::{EditRefused, Replica, ReplicaConfig, Want};
use crate::wire::StreamDecoder;

/// One document that was opened with a client. Unlike a [`Channel`] it stays the same through reconnects.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DocumentId(pub u32);

/// Why a document cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is empty or over [`MAX_DOCUMENT_NAME_BYTES`].
    #[error("a document's name has 1 to {MAX_DOCUMENT_NAME_BYTES} bytes, this one {0}")]
    BadName(usize),
    /// The client was closed or has given up.
    #[error("the client is closed")]
    Closed,
}

/// A presence state over [`MAX_PRESENCE_BYTES`]; the old one stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a presence state of {0} bytes is over the limit of {MAX_PRESENCE_BYTES}")]
pub struct PresenceTooLarge(pub usize);

impl Client {
    /// Opens a document; the connection may come later. Opening a name twice gives two replicas.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&mut self, now: Now, name: &str) -> Result<DocumentId, OpenError> {
        let config = self.config.replica.clone();
        self.open_with(now, name, config)
    }

    /// [`open`](Self::open) with bounds and a role of its own.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with(&mut self, now: Now, name: &str, config: ReplicaConfig) -> Result<DocumentId, OpenError> {
        self.advance(now);
        if name.is_empty() || name.len() > MAX_DOCUMENT_NAME_BYTES {
            return Err(OpenError::BadName(name.len()));
        }
        if self.is_finished() {
            return Err(OpenError::Closed);
        }
        let id = DocumentId(self.next_document);
        self.next_document += 1;
        let replica = Replica::new(name, config, self.random.next_u64());
        let backoff = Backoff::default();
        self.documents.insert(
            id,
            OpenDocument {
                replica,
                lane: None,
                leaving: false,
                backoff,
                reopen_at: None,
                full: false,
                copies: CopyQueue::default(),
            },
        );
        self.open_lanes();
        Ok(id)
    }

    /// Closes a document. Its edits are still sent, and the relay is told once all are durable; the application sees it
    /// no more.
    pub fn close_document(&mut self, now: Now, id: DocumentId) {
        self.advance(now);
        if let Some(document) = self.documents.get_mut(&id) {
            document.leaving = true;
            document.replica.set_presence(None);
            document.replica.flush();
        }
        self.close_if_settled(id);
    }

    /// A document's replica.
    pub fn replica(&self, id: DocumentId) -> Option<&Replica> {
        self.documents.get(&id).filter(|document| !document.leaving).map(|document| &document.replica)
    }

    /// The documents that are open.
    pub fn documents(&self) -> impl Iterator<Item = DocumentId> {
        self.documents.iter().filter(|(_, document)| !document.leaving).map(|(id, _)| *id)
    }

    /// Edits a document: `edit` calls the document's own methods, with the time that its map edits take. Goes out at the
    /// next [`flush`](Self::flush).
    ///
    /// # Errors
    /// See [`EditRefused`]; then nothing has changed, unless `edit` did several things and returned an error after some.
    pub fn edit<R>(
        &mut self,
        now: Now,
        id: DocumentId,
        edit: impl FnOnce(&mut Document, HybridTime) -> Result<R, EditError>,
    ) -> Result<R, EditRefused> {
        self.advance(now);
        let time = self.clock.read(self.now);
        match self.documents.get_mut(&id) {
            Some(document) if !document.leaving => document.replica.edit(time, edit),
            _ => Err(EditRefused::Closed),
        }
    }

    /// Ends the transaction of the edits since the last flush: one batch, usually, ready to be polled. While the document
    /// is not open at the relay, edits go on being collected, so that typing is coalesced.
    pub fn flush(&mut self, now: Now, id: DocumentId) {
        self.advance(now);
        if let Some(document) = self.documents.get_mut(&id) {
            document.replica.flush();
        }
    }

    /// Whether to collect changes for [`take_changes`](Self::take_changes); off at first.
    pub fn observe_changes(&mut self, id: DocumentId, observe: bool) {
        if let Some(document) = self.documents.get_mut(&id) {
            document.replica.observe_changes(observe);
        }
    }

    /// The changes of the document since the last call, local ones too, in order.
    pub fn take_changes(&mut self, id: DocumentId) -> Vec<Change> {
        self.documents.get_mut(&id).map_or_else(Vec::new, |document| document.replica.take_changes())
    }

    /// Sets this session's presence in the document, `None` takes it away. Only the latest is sent, at most 30 a second,
    /// and it is repeated so that it does not expire.
    ///
    /// # Errors
    /// When it is too large.
    pub fn set_presence(&mut self, now: Now, id: DocumentId, state: Option<Bytes>) -> Result<(), PresenceTooLarge> {
        self.advance(now);
        if let Some(state) = state.as_ref().filter(|state| state.len() > MAX_PRESENCE_BYTES) {
            return Err(PresenceTooLarge(state.len()));
        }
        if let Some(document) = self.documents.get_mut(&id) {
            document.replica.set_presence(state);
        }
        Ok(())
    }

    /// Gives a lane to every document that should have one by now.
    pub(super) fn open_lanes(&mut self) {
        let Some(session) = self.connection.session() else { return };
        let (session, lanes) = (session.id, session.lanes);
        let now = self.now;
        for (id, document) in &mut self.documents {
            if document.lane.is_some() || document.replica.closed() || document.reopen_at.is_some_and(|at| at > now) {
                continue;
            }
            document.reopen_at = None;
            let channel = Channel(self.next_channel);
            self.next_channel += 1;
            document.lane = Some(channel);
            document.replica.start(session);
            self.lanes.insert(channel, Lane { document: *id, decoder: StreamDecoder::new() });
            if lanes == Lanes::Streams {
                self.lane_changes.push_back(Transmit::OpenLane(channel));
            }
        }
    }

    /// Does what the document's replica asks for after it received something.
    pub(super) fn settle(&mut self, id: DocumentId) {
        let Some(document) = self.documents.get_mut(&id) else { return };
        if document.replica.synced() {
            document.backoff.reset();
        }
        match document.replica.take_want() {
            Some(Want::Reopen { pause }) => {
                if pause {
                    let (base, cap) = (self.config.backoff_base, self.config.backoff_cap);
                    let pause = document.backoff.pause(&mut self.random, base, cap);
                    document.reopen_at = Some(self.now + pause);
                }
                self.give_up_lane(id);
                if let Some(document) = self.documents.get_mut(&id) {
                    document.replica.stop();
                }
                self.open_lanes();
            }
            Some(Want::Close) => {
                self.give_up_lane(id);
                self.close_if_settled(id);
            }
            None => self.close_if_settled(id),
        }
        self.leave_if_settled();
    }

    /// A document that the application closed goes when nothing of it is left to send.
    fn close_if_settled(&mut self, id: DocumentId) {
        let settled = |replica: &Replica| replica.settled() || replica.closed();
        let done = |document: &OpenDocument| document.leaving && settled(&document.replica);
        if self.documents.get(&id).is_some_and(done) {
            self.give_up_lane(id);
            self.documents.remove(&id);
        }
    }

    /// Leaves the document's lane: the relay is told, and what still comes is dropped.
    fn give_up_lane(&mut self, id: DocumentId) {
        let Some(document) = self.documents.get_mut(&id) else { return };
        let Some(channel) = document.lane.take() else { return };
        document.copies.clear();
        document.full = false;
        self.lanes.remove(&channel);
        let Some(lanes) = self.connection.lanes() else { return };
        let unopened = Transmit::OpenLane(channel);
        if let Some(index) = self.lane_changes.iter().position(|change| *change == unopened) {
            // The shell never heard of it.
            self.lane_changes.remove(index);
            return;
        }
        if document.replica.is_open_at_relay() {
            if let Some(release) = document.replica.release(document.leaving) {
                self.lane_changes.push_back(pack_one(lanes, channel, &Frame::from(release).encode()));
            }
            let farewell = Frame::from(CloseDocument {}).encode();
            self.lane_changes.push_back(pack_one(lanes, channel, &farewell));
        }
        if lanes == Lanes::Streams {
            self.lane_changes.push_back(Transmit::FinishLane(channel));
        }
    }

    /// No document has a lane any more.
    pub(super) fn stop_documents(&mut self) {
        for document in self.documents.values_mut() {
            document.lane = None;
            document.copies.clear();
            document.full = false;
            document.reopen_at = None;
            document.replica.stop();
        }
        self.lanes.clear();
        self.lane_changes.clear();
        self.next_channel = 1;
        self.documents.retain(|_, document| !(document.leaving && document.replica.all_durable()));
    }
}
