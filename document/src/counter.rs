//! A counter: `crdts::PNCounter`, and per actor the dot of its last change, so that differences are exact.

use crdts::pncounter::{Dir, Op};
use crdts::{CmRDT, Dot, PNCounter};

use crate::ids::Actor;
use crate::ordered::OrderedMap;

/// What one actor added up to a dot of its own: the sum of what it added, and of what it took away. Both stop at
/// `u64::MAX`, on every replica alike, for an actor's operations have one order.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(crate) struct Share {
    pub(crate) last: u32,
    pub(crate) plus: u64,
    pub(crate) minus: u64,
}

impl Share {
    fn net(self) -> i128 {
        i128::from(self.plus) - i128::from(self.minus)
    }
}

/// A counter's whole state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    state: PNCounter<Actor>,
    last: OrderedMap<Actor, u32>,
    /// The sum of all shares: at most 2³² actors with less than 2⁶⁵ each.
    total: i128,
}

impl Counter {
    /// Stops at the least and the greatest `i64`.
    pub(crate) fn value(&self) -> i64 {
        self.total.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    pub(crate) fn state(&self) -> &PNCounter<Actor> {
        &self.state
    }

    pub(crate) fn share(&self, actor: Actor) -> Share {
        // Adding nothing says how much there is.
        let (plus, minus) = (self.state.inc_many(actor, 0), self.state.dec_many(actor, 0));
        Share { last: self.last.get(&actor).copied().unwrap_or(0), plus: plus.dot.counter, minus: minus.dot.counter }
    }

    pub(crate) fn shares(&self) -> impl ExactSizeIterator<Item = (Actor, Share)> {
        self.last.keys().map(|&actor| (actor, self.share(actor)))
    }

    /// Adds an amount, with the actor's dot of that counter.
    pub(crate) fn add(&mut self, actor: Actor, counter: u32, amount: i64) {
        let mut share = self.share(actor);
        share.last = counter;
        let side = if amount < 0 { &mut share.minus } else { &mut share.plus };
        *side = side.saturating_add(amount.unsigned_abs());
        self.replace(actor, share);
    }

    /// Takes in what an actor added up to a later dot than is held.
    pub(crate) fn replace(&mut self, actor: Actor, share: Share) {
        let before = self.share(actor).net();
        self.state.apply(Op { dot: Dot::new(actor, share.plus), dir: Dir::Pos });
        self.state.apply(Op { dot: Dot::new(actor, share.minus), dir: Dir::Neg });
        self.last.insert(actor, share.last);
        self.total += self.share(actor).net() - before;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stop_at_their_ends() {
        let mut counter = Counter::default();
        let (one, two) = (Actor(1), Actor(2));
        counter.add(one, 1, i64::MAX);
        assert_eq!(counter.value(), i64::MAX);
        counter.add(two, 1, 5);
        assert_eq!(counter.value(), i64::MAX, "the value stops");
        counter.add(two, 2, -6);
        assert_eq!(counter.value(), i64::MAX - 1, "what is beyond its end still counts");
        for at in 2..5 {
            counter.add(one, at, i64::MIN);
        }
        assert_eq!(counter.share(one), Share { last: 4, plus: i64::MAX as u64, minus: u64::MAX });
        assert_eq!(counter.value(), i64::MIN);
    }
}
