//! The exported class: a client and its documents.

use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::Role;
use inkwire_protocol::client::{Client, ClientConfig, DocumentId, Now};
use inkwire_protocol::replica::Replica;
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::connection::Outgoing;
use crate::events::Incident;
use crate::panics;
use crate::refusal::{Refused, refusal};

/// One client. Times are milliseconds of the page's monotonic clock; documents are the numbers that [`Core::open`] gives.
///
/// A method that refuses throws the string `code message`. Anything else that it throws is a trap after a panic, and the
/// object must not be used any more.
#[wasm_bindgen]
pub struct Core {
    pub(crate) client: Client,
    pub(crate) outgoing: Outgoing,
    pub(crate) incident: Incident,
}

#[wasm_bindgen]
impl Core {
    /// A client without a connection. `seed` must be random and never used twice.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: u64, agent: String) -> Core {
        panics::listen();
        let config = ClientConfig { agent, ..ClientConfig::default() };
        Core { client: Client::new(config, seed), outgoing: Outgoing::default(), incident: Incident::default() }
    }

    /// When small batches go out once more as datagrams: `auto`, `on` or `off`. Any other word changes nothing.
    pub fn set_datagram_copies(&mut self, mode: &str) {
        if let Ok(mode) = mode.parse() {
            self.client.set_copies(mode);
        }
    }

    /// What the last panic of any client said, once there was one.
    pub fn last_panic() -> Option<String> {
        panics::last()
    }

    /// Opens a document and gives its number.
    pub fn open(&mut self, now: f64, name: &str) -> Result<u32, JsValue> {
        let opened = self.client.open(moment(now), name);
        opened.map(|DocumentId(number)| number).map_err(|error| Refused::from(error).into())
    }

    /// Leaves a document; its edits still go out.
    pub fn close_document(&mut self, now: f64, document: u32) {
        self.client.close_document(moment(now), DocumentId(document));
    }

    /// Ends the session for good.
    pub fn close(&mut self, now: f64) {
        self.client.close(moment(now));
    }

    /// Ends the transaction of the edits since the last time: they go out.
    pub fn flush(&mut self, now: f64, document: u32) {
        self.client.flush(moment(now), DocumentId(document));
    }

    /// Says something of this session to the others, or takes it back.
    pub fn set_presence(&mut self, now: f64, document: u32, state: Option<Vec<u8>>) -> Result<(), JsValue> {
        let set = self.client.set_presence(moment(now), DocumentId(document), state.map(Bytes::from));
        set.map_err(|error| refusal("presence_too_large", &error))
    }

    /// The others' presence, flat: session, subject and state of each.
    pub fn presence(&self, document: u32) -> Array {
        let flat = Array::new();
        let peers = self.replica(document).map(Replica::presence);
        for (session, peer) in peers.into_iter().flatten() {
            flat.push(&JsValue::from_str(&session.to_string()));
            flat.push(&JsValue::from_str(&peer.subject));
            flat.push(&Uint8Array::from(&peer.state[..]));
        }
        flat
    }

    /// How many edits are local, sent, durable and refused, the role (0 not known yet, 1 viewer, 2 editor), and whether
    /// [`paused`](Self::paused) has a reason.
    pub fn status(&self, document: u32) -> Vec<f64> {
        let Some(replica) = self.replica(document) else { return Vec::new() };
        let status = replica.status();
        let role = match replica.role() {
            None => 0.0,
            Some(Role::Viewer) => 1.0,
            Some(_) => 2.0,
        };
        let paused = f64::from(u8::from(replica.paused().is_some()));
        vec![status.local as f64, status.sent as f64, status.durable as f64, status.refused as f64, role, paused]
    }

    /// Why the relay takes no edits for now, as a code's name.
    pub fn paused(&self, document: u32) -> Option<String> {
        self.replica(document)?.paused().map(|code| code.name().to_owned())
    }

    pub(crate) fn replica(&self, document: u32) -> Option<&Replica> {
        self.client.replica(DocumentId(document))
    }
}

/// The shell's clock as the client takes it. Not a number, or one before the origin, is the origin.
pub(crate) fn moment(now: f64) -> Now {
    Now::new(Duration::from_secs_f64((now / 1000.0).clamp(0.0, 1e12)))
}
