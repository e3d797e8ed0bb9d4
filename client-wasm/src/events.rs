//! What the client tells its shell.

use inkwire_protocol::client::{DocumentId, Event};
use inkwire_protocol::replica::RefusedEdit;
use wasm_bindgen::prelude::*;

use crate::core::Core;

/// What [`Core::poll_event`] found.
#[wasm_bindgen]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EventKind {
    /// No event.
    #[default]
    Nothing,
    /// The session is there.
    Welcomed,
    /// The session was ended, with a code and a reason; for good unless a number of 0 says otherwise.
    Closed,
    /// Connect again after a number of milliseconds; a text says where to, if that is another place.
    Reconnect,
    /// A fresh token is wanted.
    TokenWanted,
    /// A document has all that the relay held.
    Synced,
    /// A document's content changed from elsewhere.
    Changed,
    /// A document's counts or role changed.
    Status,
    /// Others' presence changed.
    Presence,
    /// A number of edits were refused, with a code and a reason; `event_refused` says what they were.
    Refused,
    /// A document was closed, with a code and a reason.
    DocumentClosed,
    /// Something that a shell need not act on.
    Other,
}

/// What was polled, to be asked for piece by piece.
#[derive(Default)]
pub(crate) struct Incident {
    document: u32,
    code: &'static str,
    text: String,
    number: f64,
    /// What was refused, and how much more.
    pub(crate) refused: (Vec<RefusedEdit>, u64),
}

#[wasm_bindgen]
impl Core {
    /// The next event.
    pub fn poll_event(&mut self) -> EventKind {
        let Some(event) = self.client.poll_event() else { return EventKind::Nothing };
        let (kind, incident) = describe(event);
        self.incident = incident;
        kind
    }

    /// The event's document.
    pub fn event_document(&self) -> u32 {
        self.incident.document
    }

    /// The event's code, by name.
    pub fn event_code(&self) -> String {
        self.incident.code.to_owned()
    }

    /// The event's reason.
    pub fn event_text(&mut self) -> String {
        std::mem::take(&mut self.incident.text)
    }

    /// The event's number.
    pub fn event_number(&self) -> f64 {
        self.incident.number
    }
}

fn describe(event: Event) -> (EventKind, Incident) {
    let of = |DocumentId(document)| Incident { document, ..Incident::default() };
    match event {
        Event::Welcomed { .. } => (EventKind::Welcomed, Incident::default()),
        Event::TokenWanted => (EventKind::TokenWanted, Incident::default()),
        Event::Closed { code, reason, fatal } => {
            let number = f64::from(u8::from(fatal));
            (EventKind::Closed, Incident { code: code.name(), text: reason, number, ..Incident::default() })
        }
        Event::Reconnect { after, url } => {
            let (number, text) = (after.as_secs_f64() * 1000.0, url.unwrap_or_default());
            (EventKind::Reconnect, Incident { number, text, ..Incident::default() })
        }
        Event::Synced(document) => (EventKind::Synced, of(document)),
        Event::Changed(document) => (EventKind::Changed, of(document)),
        Event::Opened(document) | Event::Status(document) | Event::Durable(document) => {
            (EventKind::Status, of(document))
        }
        Event::Presence(document) => (EventKind::Presence, of(document)),
        Event::Refused { document, refusal } => {
            let incident = of(document);
            let number = refusal.edits as f64;
            let refused = (refusal.content, refusal.omitted);
            (
                EventKind::Refused,
                Incident { code: refusal.code.name(), text: refusal.reason, number, refused, ..incident },
            )
        }
        Event::DocumentClosed { document, code, reason } => {
            (EventKind::DocumentClosed, Incident { code: code.name(), text: reason, ..of(document) })
        }
        _ => (EventKind::Other, Incident::default()),
    }
}
