//! A document that a client has open.

use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Document as Contents, EditError, HybridTime};
use inkwire_protocol::Code;
use inkwire_protocol::client::{DocumentId, OpenError, PresenceTooLarge};
use inkwire_protocol::replica::{EditRefused, Replica};
use tokio::sync::watch;

use super::shared::Shared;
use super::{Closed, Connection};

/// One open document. Clones are the same document; it stays open until [`Document::close`] or the client's end.
#[derive(Clone, Debug)]
pub struct Document {
    shared: Arc<Shared>,
    id: DocumentId,
    changes: watch::Receiver<u64>,
    connection: watch::Receiver<Connection>,
}

impl Document {
    pub(super) fn open(
        shared: Arc<Shared>,
        connection: watch::Receiver<Connection>,
        name: &str,
    ) -> Result<Self, OpenError> {
        let (id, changes) = shared.with(|state, now| {
            let id = state.core.open(now, name)?;
            Ok((id, state.watch(id)))
        })?;
        Ok(Self { shared, id, changes, connection })
    }

    /// Edits, and sends what `edit` did as one transaction at once. Edits of one transaction that touch each other
    /// travel as one operation.
    ///
    /// # Errors
    ///
    /// See [`EditRefused`]: read-only, the outbox is full (wait for [`Document::changed`] and try again), or out of
    /// range. What an edit did before it failed stays.
    pub fn edit<R>(
        &self,
        edit: impl FnOnce(&mut Contents, HybridTime) -> Result<R, EditError>,
    ) -> Result<R, EditRefused> {
        self.shared.with(|state, now| {
            let result = state.core.edit(now, self.id, edit);
            state.core.flush(now, self.id);
            result
        })
    }

    /// Looks at the replica: its contents, what of it is durable, who is present.
    ///
    /// # Errors
    ///
    /// If the document is closed.
    pub fn read<R>(&self, read: impl FnOnce(&Replica) -> R) -> Result<R, Closed> {
        self.shared.look(|core| core.replica(self.id).map(read)).ok_or_else(|| self.closed())
    }

    /// The text of that name as it is here and now; empty if there is none.
    ///
    /// # Errors
    ///
    /// If the document is closed.
    pub fn text(&self, name: &str) -> Result<String, Closed> {
        self.read(|replica| replica.document().text(name).to_string())
    }

    /// Shows everybody who has the document open this state, until another one, or nothing with `None`.
    ///
    /// # Errors
    ///
    /// If the state is larger than the protocol allows.
    pub fn set_presence(&self, state: Option<Bytes>) -> Result<(), PresenceTooLarge> {
        self.shared.with(|shared, now| shared.core.set_presence(now, self.id, state))
    }

    /// Waits until something has happened to the document since this was last asked of this handle: a change, an
    /// acknowledgement, a state.
    ///
    /// # Errors
    ///
    /// If the document is closed.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let closed = async |connection: &mut watch::Receiver<Connection>| {
            let over = connection.wait_for(|connection| matches!(connection, Connection::Closed(_))).await;
            match over.map(|connection| connection.clone()) {
                Ok(Connection::Closed(closed)) => closed,
                _ => gone(),
            }
        };
        tokio::select! {
            biased;
            changed = self.changes.changed() => changed.map_err(|_| gone()),
            closed = closed(&mut self.connection) => Err(closed),
        }
    }

    /// Waits until `until` holds of the replica.
    ///
    /// # Errors
    ///
    /// If the document or the client is closed before.
    pub async fn wait(&self, mut until: impl FnMut(&Replica) -> bool) -> Result<(), Closed> {
        let mut document = self.clone();
        loop {
            document.changes.mark_unchanged();
            if self.read(&mut until)? {
                return Ok(());
            }
            document.changed().await?;
        }
    }

    /// Waits until everything that the relay held when it was opened is here.
    ///
    /// # Errors
    ///
    /// If the document or the client is closed before.
    pub async fn synced(&self) -> Result<(), Closed> {
        self.wait(Replica::synced).await
    }

    /// Waits until everything edited here so far is durable, through reconnects.
    ///
    /// # Errors
    ///
    /// If the document or the client is closed before.
    pub async fn durable(&self) -> Result<(), Closed> {
        self.wait(Replica::all_durable).await
    }

    /// Leaves the document. What is not durable by then is lost to this client.
    pub fn close(&self) {
        self.shared.with(|state, now| {
            state.core.close_document(now, self.id);
            state.forget(self.id);
        });
    }

    fn closed(&self) -> Closed {
        match &*self.connection.borrow() {
            Connection::Closed(closed) => closed.clone(),
            _ => gone(),
        }
    }
}

fn gone() -> Closed {
    Closed { code: Code::None, reason: "the document is closed".to_owned() }
}
