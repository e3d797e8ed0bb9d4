//! What was left and right of each inserted run when it was typed.

use super::span::Id;

/// A run of one actor's characters. All but the first have the one before them as left origin, and all have one right
/// origin. It reaches up to the next run's first counter, or less: what lies between is not in this text.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) left: Id,
    pub(crate) right: Id,
}

/// One actor's runs, by their first counters.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    runs: Vec<Run>,
    /// From these counters on, a character's rank is its counter and so much more.
    jumps: Vec<(u32, u64)>,
}

impl Origins {
    /// The run that a character belongs to. Only for characters that are in the text.
    pub(super) fn run(&self, counter: u32) -> Run {
        if let Some(last) = self.runs.last()
            && last.first <= counter
        {
            return *last;
        }
        let after = self.runs.partition_point(|run| run.first <= counter);
        match after.checked_sub(1) {
            Some(index) => self.runs[index],
            // No character is without a run; a text's start and end is as good an answer as any.
            None => Run { first: counter, left: Id::NONE, right: Id::NONE },
        }
    }

    /// Adds a run; counters only grow. One that goes on as the last one did needs no entry: says whether it does.
    pub(super) fn push(&mut self, run: Run, left_is_before: bool) -> bool {
        if left_is_before
            && let Some(last) = self.runs.last()
            && last.right == run.right
        {
            return true;
        }
        if self.runs.len() == self.runs.capacity() {
            // Grown by a quarter, not doubled: these lists are a good part of a document's memory.
            self.runs.reserve_exact(self.runs.len() / 4 + 4);
        }
        self.runs.push(run);
        false
    }

    /// A character's rank: more than that of everything that its author had seen of this text where it was typed. It
    /// follows from the operations alone.
    pub(super) fn rank(&self, counter: u32) -> u64 {
        let after = self.jumps.partition_point(|&(from, _)| from <= counter);
        u64::from(counter) + after.checked_sub(1).map_or(0, |index| self.jumps[index].1)
    }

    /// Says that the characters from `counter` on rank at least so high.
    pub(super) fn raise(&mut self, counter: u32, rank: u64) {
        if self.rank(counter) < rank {
            self.jumps.push((counter, rank - u64::from(counter)));
        }
    }

    /// Where the ranks go ahead of the counters, and how far.
    pub(super) fn jumps(&self) -> &[(u32, u64)] {
        &self.jumps
    }

    /// From what a snapshot has: runs and jumps in order of their counters.
    pub(super) fn from_parts(runs: Vec<Run>, jumps: Vec<(u32, u64)>) -> Self {
        Self { runs, jumps }
    }

    /// The runs from the one that holds `counter` on.
    pub(super) fn from(&self, counter: u32) -> &[Run] {
        let after = self.runs.partition_point(|run| run.first <= counter);
        &self.runs[after.saturating_sub(1)..]
    }
}
