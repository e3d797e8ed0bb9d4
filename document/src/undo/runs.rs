//! A set of dots as runs of consecutive counters.

use crate::ordered::OrderedMap;

use crate::text::span::Id;

/// Runs that neither overlap nor touch: the first dot of each, and how many.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(OrderedMap<Id, u32>);

impl Runs {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The run that begins at or before a dot and reaches up to it or touches it.
    fn before(&self, id: Id) -> Option<(Id, u32)> {
        let (&run, &count) = self.0.range(..=id).next_back()?;
        (run.actor == id.actor && id.counter - run.counter <= count).then_some((run, count))
    }

    pub(super) fn add(&mut self, from: Id, length: u32) {
        let (mut start, mut end) = (from, from.counter.saturating_add(length));
        if let Some((run, count)) = self.before(from) {
            (start, end) = (run, end.max(run.counter + count));
        }
        let last = Id { counter: end, ..from };
        let overlapped: Vec<(Id, u32)> = self.0.range(start..=last).map(|(&run, &count)| (run, count)).collect();
        for (run, count) in overlapped {
            end = end.max(run.counter + count);
            self.0.remove(&run);
        }
        self.0.insert(start, end - start.counter);
    }

    /// How much of a run from `id` on is in the set, or is not, and which of both.
    pub(super) fn stretch(&self, id: Id, length: u32) -> (u32, bool) {
        if let Some((run, count)) = self.before(id).filter(|&(run, count)| id.counter - run.counter < count) {
            return (length.min(run.counter + count - id.counter), true);
        }
        let next = self.0.range(id..).next().filter(|(run, _)| run.actor == id.actor);
        (next.map_or(length, |(run, _)| length.min(run.counter - id.counter)), false)
    }

    /// Keeps the runs that have a dot in common with others.
    pub(super) fn retain_overlapping(&mut self, others: &Self) {
        self.0.retain(|&run, &mut count| {
            let (reach, is_in) = others.stretch(run, count);
            is_in || reach < count
        });
    }

    /// Gives actors other indices.
    pub(super) fn renumber(&mut self, moved: impl Fn(u32) -> u32) {
        let runs = std::mem::take(&mut self.0).into_iter();
        self.0 = runs.map(|(run, count)| (Id { actor: moved(run.actor), ..run }, count)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_and_are_found() {
        let id = |counter| Id { actor: 1, counter };
        let mut runs = Runs::default();
        // (from, length, how many runs there are then)
        for (from, length, count) in [(10, 2, 1), (14, 2, 2), (12, 1, 2), (20, 5, 3), (13, 1, 2), (1, 30, 1), (5, 1, 1)]
        {
            runs.add(id(from), length);
            assert_eq!(runs.len(), count, "after {from}+{length}");
        }
        runs.add(Id { actor: 2, counter: 31 }, 1);
        assert_eq!((runs.len(), runs.stretch(id(3), 100), runs.stretch(id(31), 7)), (2, (28, true), (7, false)));
        let mut few = Runs::default();
        few.add(id(40), 3);
        few.add(id(30), 5);
        few.add(id(50), 1);
        assert_eq!(few.stretch(id(36), 9), (4, false));
        few.retain_overlapping(&runs);
        assert_eq!((few.len(), few.stretch(id(34), 1)), (1, (1, true)));
    }
}
