//! Additions that are gone, as runs: what a removal of a thousand leaves is one of them.

use crate::ids::Actor;
use crate::ordered::OrderedMap;
use crate::text::span::{Deletion, Id, Span, Step};

/// Additions with consecutive counters, what took them away, and whether that is their authors' next additions.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct GoneRun {
    pub(crate) span: Span,
    pub(crate) is_replaced: bool,
}

impl GoneRun {
    pub(crate) fn new(id: Id, length: u32, by: Deletion, is_replaced: bool) -> Self {
        Self { span: Span::new(id, length, by), is_replaced }
    }

    pub(crate) fn part(self, from: u32, to: u32) -> Self {
        Self { span: self.span.part(from, to), ..self }
    }

    /// By other indices of actors.
    pub(crate) fn renumbered(self, moved: impl Fn(Id) -> Id) -> Self {
        let by = self.span.deletion();
        Self::new(moved(self.span.id), self.span.len(), Deletion { dot: moved(by.dot), ..by }, self.is_replaced)
    }

    /// Both as one, where they go on.
    pub(crate) fn joined(&self, next: &Self) -> Option<Self> {
        let span = self.span.joined(&next.span).filter(|_| self.is_replaced == next.is_replaced)?;
        Some(Self { span, ..*self })
    }
}

/// Runs by their first dots; they do not overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct GoneRuns(OrderedMap<Id, GoneRun>);

impl GoneRuns {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = GoneRun> {
        self.0.values().copied()
    }

    /// The run that holds a dot.
    pub(super) fn find(&self, id: Id) -> Option<GoneRun> {
        self.0.range(..=id).next_back().map(|(_, &run)| run).filter(|run| run.span.contains(id))
    }

    /// What is there of a run of dots.
    pub(super) fn within(&self, from: Id, length: u32) -> Vec<GoneRun> {
        let to = Id { counter: from.counter.saturating_add(length), ..from };
        let first = self.find(from).map(|run| run.span.id).unwrap_or(from);
        let clipped = self.0.range(first..to).map(|(&id, run)| {
            let skipped = from.counter.saturating_sub(id.counter);
            run.part(skipped, run.span.len().min(to.counter - id.counter))
        });
        clipped.collect()
    }

    /// Puts a run where there is none, or over a part of one.
    pub(super) fn put(&mut self, mut run: GoneRun) {
        let id = run.span.id;
        if let Some(held) = self.find(id) {
            let (from, to) = (id.counter - held.span.id.counter, id.counter - held.span.id.counter + run.span.len());
            self.0.remove(&held.span.id);
            if from > 0 {
                self.0.insert(held.span.id, held.part(0, from));
            }
            if to < held.span.len() {
                let rest = held.part(to, held.span.len());
                self.0.insert(rest.span.id, rest);
            }
        }
        if let Some(before) = id.counter.checked_sub(1).and_then(|counter| self.find(Id { counter, ..id }))
            && let Some(joined) = before.joined(&run)
        {
            run = joined;
        }
        if let Some(&next) = self.0.get(&run.span.last().plus(1))
            && let Some(joined) = run.joined(&next)
        {
            self.0.remove(&next.span.id);
            run = joined;
        }
        self.0.insert(run.span.id, run);
    }

    /// Keeps for each of what is there already the lesser of both; `new` lies within one run.
    pub(super) fn lessen(&mut self, actors: &[Actor], new: GoneRun) {
        let Some(held) = self.find(new.span.id) else { return };
        let skipped = new.span.id.counter - held.span.id.counter;
        let held = held.part(skipped, skipped + new.span.len());
        let (mut from, length) = (0, new.span.len());
        while from < length {
            let (old, by) = (held.part(from, length), new.part(from, length));
            let (reach, is_less) = lesser(actors, by, old);
            if is_less {
                self.put(by.part(0, reach));
            }
            from += reach;
        }
    }
}

/// Whether `new` is less than `old`, and for how many from the first on that holds.
fn lesser(actors: &[Actor], new: GoneRun, old: GoneRun) -> (u32, bool) {
    let (by, was, length) = (new.span.deletion(), old.span.deletion(), new.span.len());
    let key = |run: GoneRun, dot: Id| (run.is_replaced, actors[dot.actor as usize], dot.counter);
    let is_less = key(new, by.dot) < key(old, was.dot);
    if new.is_replaced != old.is_replaced || by.dot.actor != was.dot.actor {
        return (length, is_less);
    }
    let slope = |step| match step {
        _ if length == 1 => 0,
        Step::Same => 0i64,
        Step::Up => 1,
        Step::Down => -1,
    };
    // Both go on in steps, so their difference does: where it comes to or goes below 0, the answer changes.
    let difference = i64::from(by.dot.counter) - i64::from(was.dot.counter);
    let slope = slope(by.step) - slope(was.step);
    let reach = match (is_less, slope) {
        (true, 1..) => (-difference + slope - 1) / slope,
        (false, ..=-1) => difference / -slope + 1,
        _ => i64::from(length),
    };
    (reach.clamp(1, length.into()) as u32, is_less)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::random::{Random, for_seeds};

    /// One by one, as a map would have it.
    #[test]
    fn runs_are_as_their_dots_one_by_one() {
        let actors = [Actor(7), Actor(3)];
        for_seeds(300, |seed| {
            let mut random = Random(seed);
            let (mut runs, mut plain) = (GoneRuns::default(), OrderedMap::<Id, (bool, Actor, u32, Id)>::new());
            for _ in 0..40 {
                let id = Id { actor: 0, counter: 1 + random.below(20) as u32 };
                let step = *random.pick(&[Step::Same, Step::Up, Step::Down]);
                let dot = Id { actor: random.below(2) as u32, counter: 30 + random.below(12) as u32 };
                let new = GoneRun::new(id, 1 + random.below(6) as u32, Deletion { dot, step }, random.chance(30));
                let key = |offset| {
                    let by = new.span.deletion().at(offset);
                    (new.is_replaced, actors[by.actor as usize], by.counter, by)
                };
                // What is there first, then the gaps.
                for held in runs.within(id, new.span.len()) {
                    let from = held.span.id.counter - id.counter;
                    runs.lessen(&actors, new.part(from, from + held.span.len()));
                }
                for offset in 0..new.span.len() {
                    if runs.find(id.plus(offset)).is_none() {
                        runs.put(new.part(offset, offset + 1));
                    }
                    let held = plain.entry(id.plus(offset)).or_insert(key(offset));
                    *held = key(offset).min(*held);
                }
                let found = runs.iter().flat_map(|run| {
                    (0..run.span.len())
                        .map(move |at| (run.span.id.plus(at), run.span.deletion().at(at), run.is_replaced))
                });
                let expected = plain.iter().map(|(&id, &(is_replaced, _, _, by))| (id, by, is_replaced));
                assert!(found.eq(expected));
            }
        });
    }
}
