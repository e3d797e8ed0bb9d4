//! Counters: reading, editing, and taking in what others did.

use crdts::PNCounter;

use super::{Document, EditError};
use crate::batch::RootType;
use crate::change::{Change, Delta, Origin};
use crate::counter::{Counter, Share};
use crate::ids::Actor;
use crate::text::span::Id;
use crate::undo::Deed;

impl Document {
    /// A counter's value; 0 where nobody wrote it yet. It stops at the least and the greatest 64-bit number, while what was
    /// added beyond still counts.
    pub fn counter_value(&self, name: &str) -> i64 {
        self.counters.get(name).map_or(0, Counter::value)
    }

    /// A counter as the `crdts` crate knows it. What one actor added stops at `u64::MAX`, and so does what it took away.
    pub fn counter_state(&self, name: &str) -> Option<&PNCounter<Actor>> {
        self.counters.get(name).map(Counter::state)
    }

    /// Names of the counters that were ever written, in order.
    pub fn counter_names(&self) -> impl Iterator<Item = &str> {
        self.counters.keys().map(|name| &**name)
    }

    /// Adds an amount to a counter, below zero takes it away. Adding 0 is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn counter_add(&mut self, name: &str, amount: i64) -> Result<(), EditError> {
        let id = self.next_dot(name, 1)?;
        if amount == 0 {
            return Ok(());
        }
        let counter = self.transaction.open_count(name, amount).unwrap_or(id.counter);
        self.transaction.count(name, counter, amount);
        self.count(name, Id { counter, ..id }, amount, self.own_origin());
        if counter == id.counter {
            self.advance(id.actor, 1);
        }
        self.note(id, RootType::Counter, name, || Deed::Counted { amount });
        Ok(())
    }

    pub(super) fn apply_count(&mut self, root: &str, dot: Id, amount: i64) {
        self.count(root, dot, amount, Origin::Remote);
    }

    fn count(&mut self, root: &str, dot: Id, amount: i64, origin: Origin) {
        let actor = self.actors[dot.actor as usize];
        self.change_counter(root, origin, |counter| counter.add(actor, dot.counter, amount));
    }

    /// Takes in what a snapshot has of an actor, whose last change is later than what is held.
    pub(super) fn merge_share(&mut self, root: &str, actor: Actor, share: Share) {
        self.change_counter(root, Origin::Remote, |counter| counter.replace(actor, share));
    }

    fn change_counter(&mut self, root: &str, origin: Origin, change: impl FnOnce(&mut Counter)) {
        let counter = self.counters.entry(root.into()).or_default();
        let before = counter.value();
        change(counter);
        let value = counter.value();
        if self.observes && value != before {
            self.changes.push(Change { root: root.to_owned(), origin, delta: Delta::Counter { value } });
        }
    }
}
