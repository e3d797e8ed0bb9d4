//! Spans: characters that follow one another and have consecutive counters.

/// A dot with the actor as the document's index; counter 0 means none: the text's start or end, or not deleted.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug, Hash)]
pub(crate) struct Id {
    pub(crate) actor: u32,
    pub(crate) counter: u32,
}

impl Id {
    pub(crate) const NONE: Self = Self { actor: 0, counter: 0 };

    pub(crate) fn is_none(self) -> bool {
        self.counter == 0
    }

    pub(crate) fn plus(self, offset: u32) -> Self {
        Self { actor: self.actor, counter: self.counter + offset }
    }
}

/// How the dots of deletions go on along a deleted span: all deleted at once, one by one forwards, or one by one
/// backwards.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Step {
    Same,
    Up,
    Down,
}

/// The dots that deleted a run of characters.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Deletion {
    /// Of the first character; none where they are visible.
    pub(crate) dot: Id,
    pub(crate) step: Step,
}

impl Deletion {
    pub(crate) const NONE: Self = Self { dot: Id::NONE, step: Step::Same };

    /// Of the character at `offset`.
    pub(crate) fn at(self, offset: u32) -> Id {
        let counter = self.dot.counter;
        let counter = match self.step {
            Step::Same => counter,
            Step::Up => counter.wrapping_add(offset),
            Step::Down => counter.wrapping_sub(offset),
        };
        Id { actor: self.dot.actor, counter }
    }

    /// Of the characters from `offset` on.
    pub(crate) fn from(self, offset: u32) -> Self {
        Self { dot: self.at(offset), step: self.step }
    }

    /// The step with which `self`, over `length` characters, goes on as `next` over `next_length` ones.
    fn join(self, length: u32, next: Self, next_length: u32) -> Option<Step> {
        if self.dot.actor != next.dot.actor || self.dot.is_none() != next.dot.is_none() {
            return None;
        }
        [Step::Same, Step::Up, Step::Down].into_iter().find(|&step| {
            (length == 1 || self.step == step)
                && (next_length == 1 || next.step == step)
                && Self { dot: self.dot, step }.at(length) == next.dot
        })
    }
}

/// Characters that follow one another with consecutive counters; each one's left origin is the one before it, except for
/// the first, whose origins `Origins` has.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Span {
    pub(crate) id: Id,
    /// Characters in the lower 30 bits, the step in the upper two.
    length_and_step: u32,
    deleted: Id,
}

impl Span {
    /// Characters that one span may hold.
    pub(crate) const MAX_LENGTH: u32 = (1 << 30) - 1;

    pub(crate) fn new(id: Id, length: u32, deletion: Deletion) -> Self {
        let step = match deletion.step {
            _ if length == 1 => 0,
            Step::Same => 0,
            Step::Up => 1,
            Step::Down => 2,
        };
        Self { id, length_and_step: length | step << 30, deleted: deletion.dot }
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.length_and_step & Self::MAX_LENGTH
    }

    #[inline]
    pub(crate) fn is_visible(&self) -> bool {
        self.deleted.is_none()
    }

    /// Its characters that are visible: all or none.
    #[inline]
    pub(crate) fn visible(&self) -> u32 {
        if self.is_visible() { self.len() } else { 0 }
    }

    #[inline]
    pub(crate) fn contains(&self, id: Id) -> bool {
        id.actor == self.id.actor && id.counter.wrapping_sub(self.id.counter) < self.len()
    }

    pub(crate) fn last(&self) -> Id {
        self.id.plus(self.len() - 1)
    }

    pub(crate) fn deletion(&self) -> Deletion {
        let step = match self.length_and_step >> 30 {
            0 => Step::Same,
            1 => Step::Up,
            _ => Step::Down,
        };
        Deletion { dot: self.deleted, step }
    }

    /// The characters `from..to` of it.
    pub(crate) fn part(&self, from: u32, to: u32) -> Self {
        Self::new(self.id.plus(from), to - from, self.deletion().from(from))
    }

    /// Both as one, when their counters and deletions go on. Origins are the caller's to compare.
    pub(crate) fn joined(&self, next: &Self) -> Option<Self> {
        let (length, next_length) = (self.len(), next.len());
        if self.id.actor != next.id.actor
            || self.id.counter + length != next.id.counter
            || next_length > Self::MAX_LENGTH - length
        {
            return None;
        }
        let step = self.deletion().join(length, next.deletion(), next_length)?;
        Some(Self::new(self.id, length + next_length, Deletion { dot: self.deleted, step }))
    }

    /// Takes in the characters that follow, of the same visibility and just inserted.
    pub(crate) fn extend_visible(&mut self, by: u32) -> bool {
        let fits = self.is_visible() && by <= Self::MAX_LENGTH - self.len();
        if fits {
            self.length_and_step += by;
        }
        fits
    }
}
