//! What each request does.

use std::sync::Arc;

use inkwire_document::{Document, Unit, changes_between};
use inkwire_protocol::limits::MAX_DOCUMENT_NAME_BYTES;
use inkwire_storage::check::{archive, check};
use inkwire_storage::{DocumentKey, Finding, Store, StoredSnapshot};

use super::content;
use super::editor::{Edited, Editor};
use super::log;
use super::past::{Past, PastError, State};
use super::point::{Point, vector_text};
use super::request::{Answer, Blob, Found, Request};
use crate::clock::unix_millis;

/// The most findings that a check tells.
const MAX_FINDINGS: usize = 1000;

/// Where requests are carried out.
pub struct Desk {
    store: Arc<dyn Store>,
    editor: Editor,
}

impl Desk {
    /// A desk that reads `store` and edits through `editor`.
    pub fn new(store: Arc<dyn Store>, editor: Editor) -> Self {
        Self { store, editor }
    }

    /// Carries a request out; what cannot be done is answered with the reason.
    pub async fn carry_out(&self, request: Request) -> Answer {
        self.answer(request).await.unwrap_or_else(|error| Answer::Refused(error.0))
    }

    async fn answer(&self, request: Request) -> Result<Answer, PastError> {
        match request {
            Request::List { after, limit } => self.list(after, limit).await,
            Request::Log { document, limit } => {
                let past = self.past(&document).await?;
                Ok(Answer::Log(log::entries(&past.snapshots().await?, &past.log().await?, limit)))
            }
            Request::Show { document, at, format, text } => {
                let state = self.past(&document).await?.at(point(at)?.as_ref()).await?;
                let content = content::write(&state.document, format, text.as_deref()).map_err(PastError)?;
                let version = vector_text(state.document.version());
                Ok(Answer::Shown { content: Blob(content), version, older_millis: state.older_millis })
            }
            Request::Diff { document, from, to } => {
                let past = self.past(&document).await?;
                let (from, to) = (past.at(point(Some(from))?.as_ref()).await?, past.at(point(to)?.as_ref()).await?);
                let changes = changes_between(&from.document, &to.document, Unit::Scalar)
                    .map_err(|error| PastError(error.to_string()))?;
                Ok(Answer::Changes(content::changes(&changes).to_string()))
            }
            Request::Restore { document, at } => {
                let state = self.past(&document).await?.at(point(Some(at))?.as_ref()).await?;
                self.restore(&document, state).await
            }
            Request::Import { document, format, text, content } => {
                check_name(&document)?;
                let content = content::read(content.0, format, text.as_deref()).map_err(PastError)?;
                let edit = self.editor.edit(&document, Box::new(move |target, now| content.put(target, now)));
                let Edited { batches, bytes } = edit.await.map_err(PastError)?;
                Ok(Answer::Edited { batches, bytes, version: String::new(), older_millis: None })
            }
            Request::Name { document, name, at } => {
                let past = self.past(&document).await?;
                let state = past.at(point(at)?.as_ref()).await?;
                let older_millis = state.older_millis;
                let version = state.document.version().clone();
                let stored = StoredSnapshot { snapshot: state.document.snapshot(), version, actors: state.actors };
                let taken = older_millis.unwrap_or_else(unix_millis);
                let number = archive(&*self.store)?.keep(&past.key, stored, taken, Some(&name)).await?;
                Ok(Answer::Named { number: number.0, older_millis })
            }
            Request::Delete { document } => self.delete(&document).await,
            Request::Check { document } => self.check(document).await,
        }
    }

    async fn past(&self, name: &str) -> Result<Past<'_>, PastError> {
        check_name(name)?;
        Past::of(&*self.store, name).await
    }

    async fn list(&self, after: Option<String>, limit: usize) -> Result<Answer, PastError> {
        let archive = archive(&*self.store)?;
        let after = after.map(|name| DocumentKey::new(name, u64::MAX));
        let documents = archive.documents(after.as_ref(), limit).await?;
        let mut names: Vec<String> = documents.into_iter().map(|key| key.name.to_string()).collect();
        names.dedup();
        Ok(Answer::Names(names))
    }

    async fn restore(&self, name: &str, state: State) -> Result<Answer, PastError> {
        let State { document: target, older_millis, .. } = state;
        let version = vector_text(target.version());
        let edit = self.editor.edit(
            name,
            Box::new(move |document: &mut Document, now| {
                document.restore(&target, now).map_err(|error| error.to_string())
            }),
        );
        let Edited { batches, bytes } = edit.await.map_err(PastError)?;
        Ok(Answer::Edited { batches, bytes, version, older_millis })
    }

    async fn delete(&self, name: &str) -> Result<Answer, PastError> {
        let past = self.past(name).await?;
        let next = loop {
            let next = getrandom::u64().map_err(|error| PastError(error.to_string()))?;
            if next != 0 && next != past.key.incarnation {
                break next;
            }
        };
        archive(&*self.store)?.delete(&past.key, next).await?;
        if let Editor::Rooms(core) = &self.editor {
            core.rooms.deleted(&past.key);
        }
        tracing::info!(document = %past.key, next, "a document was deleted");
        Ok(Answer::Deleted(next))
    }

    async fn check(&self, document: Option<String>) -> Result<Answer, PastError> {
        let only = match document {
            Some(name) => Some(self.past(&name).await?.key),
            None => None,
        };
        let mut findings = Vec::new();
        let checked = check(&*self.store, only.as_ref(), |finding: Finding| {
            if findings.len() < MAX_FINDINGS {
                let Finding { is_damage, place, reason } = finding;
                findings.push(Found { is_damage, place, reason });
            }
        });
        let checked = checked.await?;
        Ok(Answer::Checked {
            documents: checked.documents,
            rows: checked.rows,
            snapshots: checked.snapshots,
            bytes: checked.bytes,
            findings,
        })
    }
}

fn point(text: Option<String>) -> Result<Option<Point>, PastError> {
    text.map(|text| text.parse().map_err(PastError)).transpose()
}

fn check_name(name: &str) -> Result<(), PastError> {
    if name.is_empty() || name.len() > MAX_DOCUMENT_NAME_BYTES {
        return Err(PastError(format!("a document's name has 1 to {MAX_DOCUMENT_NAME_BYTES} bytes")));
    }
    Ok(())
}
