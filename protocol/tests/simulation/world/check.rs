//! What must hold: at every moment, and when everything has come to rest.

use inkwire_document::{Document, Snapshot};

use super::World;
use crate::host::{MAP, TEXT, tokens};

impl World {
    /// What must hold at every moment.
    pub(super) fn check_always(&mut self) -> Result<(), String> {
        for (actor, counter) in &self.promised.dots {
            // Looked up only where something was promised that was not checked before.
            if self.checked.get(actor) < *counter {
                let stored = self.relay.store.version().get(actor);
                if stored < *counter {
                    return Err(format!(
                        "counter {counter} of actor {actor} was called durable, the store has {stored}"
                    ));
                }
            }
        }
        self.checked.clone_from(&self.promised);
        if let Some(room) = self.relay.room() {
            let (usage, config) = (room.usage(), &self.relay.config);
            // A batch may pass a bound that it does not fit into; with as much again for what is offered.
            let slack = 70 << 10;
            for (what, bytes, bound) in [
                ("undurable", usage.undurable_bytes, 2 * config.undurable_bytes + slack),
                ("waiting", usage.waiting_bytes, config.waiting_bytes),
                (
                    "tail",
                    usage.tail_bytes,
                    2 * config.undurable_bytes + config.tail_bytes + config.member_bytes + (1 << 20),
                ),
                ("presence", usage.presence_bytes, 64 * 1_024 + usage.members * 2_048 + 8_192),
                ("queued", usage.queued_bytes, usage.members * (256 << 10)),
            ] {
                if bytes > bound {
                    return Err(format!("{bytes} {what} bytes are over the bound of {bound}"));
                }
            }
        }
        for (index, host) in self.present() {
            let status = host.replica().status();
            if status.made() != host.edits {
                return Err(format!("page {index} made {} edits, its status says {status:?}", host.edits));
            }
        }
        Ok(())
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        let loaded = self.relay.store.loaded();
        let shown = |document: &Document| {
            let entries =
                document.map_entries(MAP).map(|(key, value)| (key.to_owned(), value.clone())).collect::<Vec<_>>();
            (document.text(TEXT).to_string(), entries)
        };
        let expected = shown(&loaded);
        let again = Snapshot::parse(loaded.snapshot()).map_err(|error| format!("the final snapshot: {error}"))?;
        let mut from_snapshot = Document::new();
        from_snapshot.merge(&again).map_err(|error| format!("the final snapshot: {error}"))?;
        if shown(&from_snapshot) != expected {
            return Err("the final snapshot shows something else".into());
        }
        for (index, host) in self.present() {
            let replica = host.replica();
            let found = shown(replica.document());
            if found != expected {
                return Err(format!("page {index} shows {found:?}, the store {expected:?}"));
            }
            for (actor, counter) in &host.seen.dots {
                let there = loaded.version().get(actor);
                if there < *counter {
                    return Err(format!("page {index} saw counter {counter} of actor {actor}, {there} are there"));
                }
            }
            // Nobody was refused anything, so all that was left behind is there as it was written.
            let (left, refusals) = (&host.left, self.roles_change || self.copies || self.clocks_jump);
            let missing = left.iter().find(|(actor, last)| loaded.version().get(actor) < *last);
            if let Some((actor, last)) = missing.filter(|_| !refusals) {
                return Err(format!("page {index} left counter {last} of actor {actor} behind, it is not there"));
            }
            let status = replica.status();
            if !self.roles_change && !self.copies && status.refused > 0 {
                return Err(format!("page {index}: {} edits were refused for nothing", status.refused));
            }
            if status.durable + status.refused != host.edits || status.local + status.sent != 0 {
                return Err(format!("page {index} made {} edits, its status says {status:?}", host.edits));
            }
        }
        let mut tokens: Vec<_> = tokens(&expected.0).collect();
        tokens.sort_unstable();
        // What a page had not sent when it was copied, both copies may make again.
        if let Some(pair) = tokens.windows(2).find(|pair| pair[0] == pair[1] && !self.copies) {
            return Err(format!("{} is there twice in {}", pair[0], expected.0));
        }
        Ok(())
    }

    pub(super) fn check_presence(&self) -> Result<(), String> {
        for (index, host) in self.present() {
            let mut found: Vec<_> =
                host.replica().presence().values().map(|peer| (peer.subject.clone(), peer.state.clone())).collect();
            let others = self.present().filter(|(other, _)| *other != index);
            let mut expected: Vec<_> =
                others.filter_map(|(_, other)| Some((other.name.clone(), other.presence.clone()?))).collect();
            found.sort();
            expected.sort();
            if found != expected {
                return Err(format!("page {index} sees presence {found:?}, there is {expected:?}"));
            }
        }
        Ok(())
    }
}
