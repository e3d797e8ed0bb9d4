//! What one's own edits did, so that they can be undone: groups of steps, bounded in bytes.

mod runs;
pub(crate) mod stretches;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::RootType;
use crate::map::Marker;
use crate::text::marks::{Mark, Slot};
use crate::text::span::Id;
use crate::value::Value;
use runs::Runs;
use stretches::Stretches;

/// Bytes that a step, or a piece of one, costs beside its content.
const OVERHEAD: usize = 64;

/// Bytes of a run.
const RUN: usize = 12;

/// Runs that others deleted, before those that say nothing are looked for.
const OTHERS: usize = 4096;

/// How edits become what one undo takes back, and how much is kept.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct UndoOptions {
    /// An edit that comes at most so long after the one before joins its group, in milliseconds of
    /// [`undo_time`](crate::Document::undo_time). 500: what one types without a pause.
    pub interval_millis: u64,
    /// Bytes that all groups may take, deleted content included. Beyond it the oldest groups are dropped, and a group that
    /// takes more alone cannot be undone. 8 MiB.
    pub max_bytes: usize,
}

impl Default for UndoOptions {
    fn default() -> Self {
        Self { interval_millis: 500, max_bytes: 8 << 20 }
    }
}

/// An attribute of the line that a deleted line break ended, and who wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Had {
    /// Which of the deleted characters.
    pub(crate) offset: usize,
    pub(crate) key: Box<str>,
    pub(crate) value: Option<Arc<Value>>,
    pub(crate) by: Marker,
}

/// What was deleted of a text or a list.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// With what the lines had that it ended, in order.
    Text(String, Vec<Had>),
    Values(Vec<Value>),
}

/// A line that was written to, what it would have otherwise and who wrote that.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) line: Id,
    pub(crate) value: Option<Arc<Value>>,
    pub(crate) by: Option<Marker>,
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Content::Text(text, lines) => text.len() + lines.len() * OVERHEAD,
            Content::Values(values) => values.iter().map(|value| value.encoded_len_bound() + 32).sum(),
        }
    }

    /// Both, in order.
    pub(crate) fn append(&mut self, after: Self) {
        match (self, after) {
            (Content::Text(text, lines), Content::Text(after, more)) => {
                if !more.is_empty() {
                    let length = text.chars().count();
                    lines.extend(more.into_iter().map(|had| Had { offset: had.offset + length, ..had }));
                }
                text.push_str(&after);
            }
            (Content::Values(values), Content::Values(after)) => values.extend(after),
            // A root has one type.
            _ => {}
        }
    }

    /// A part of it, by scalars or elements.
    pub(crate) fn part(&self, from: usize, count: usize) -> Self {
        match self {
            Content::Text(text, lines) => {
                let within = lines.iter().filter(|had| (from..from + count).contains(&had.offset));
                let lines = within.map(|had| Had { offset: had.offset - from, ..had.clone() }).collect();
                Content::Text(text.chars().skip(from).take(count).collect(), lines)
            }
            Content::Values(values) => Content::Values(values.iter().skip(from).take(count).cloned().collect()),
        }
    }
}

/// Characters or elements with consecutive counters that were deleted.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) id: Id,
    pub(crate) length: u32,
    pub(crate) content: Content,
}

/// What was done to one root.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// These runs of a text or list came in.
    Inserted { runs: Vec<(Id, u32)> },
    /// These went. With a `guard` they come back only where no other deleted that element: the one that took their place.
    Deleted { pieces: Vec<Piece>, guard: Option<Id> },
    /// A key was written with a dot, after another write, or none.
    Wrote { key: Box<str>, written: Id, before: Option<Value>, replaced: Option<Id> },
    /// A member was added, in the place of an own addition where there was one.
    Added { id: Id, replaced: Option<Id> },
    /// A member's additions were removed.
    Removed { member: Bytes, additions: Vec<Id> },
    /// A counter was changed.
    Counted { amount: i64 },
    /// A mark was laid, by the first dot; the others say what it said where an undo brought it back.
    Marked { key: Box<str>, written: Vec<Id>, before: Stretches },
    /// Lines were written to, likewise.
    Lined { key: Box<str>, written: Vec<Id>, before: Vec<Line> },
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) root_type: RootType,
    pub(crate) root: Box<str>,
    pub(crate) deed: Deed,
}

impl Step {
    fn bytes(&self) -> usize {
        let deed = match &self.deed {
            Deed::Inserted { runs } => runs.len() * RUN,
            Deed::Deleted { pieces, .. } => pieces.iter().map(|piece| piece.content.bytes() + OVERHEAD).sum(),
            Deed::Wrote { key, before, .. } => key.len() + before.as_ref().map_or(0, Value::encoded_len_bound),
            Deed::Removed { member, additions } => member.len() + additions.len() * 8,
            Deed::Marked { key, before, .. } => key.len() + before.len() * OVERHEAD,
            Deed::Lined { key, before, .. } => key.len() + before.len() * OVERHEAD,
            Deed::Added { .. } | Deed::Counted { .. } => 0,
        };
        OVERHEAD + self.root.len() + deed
    }
}

/// What one undo takes back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) steps: Vec<Step>,
    bytes: usize,
}

/// What is being done: where what it takes to take it back goes.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(crate) enum Doing {
    #[default]
    Edit,
    Undo,
    Redo,
}

/// The groups to undo and to redo.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    options: UndoOptions,
    undo: VecDeque<Group>,
    redo: VecDeque<Group>,
    /// The group whose steps are being taken back.
    pub(crate) current: Group,
    pub(crate) doing: Doing,
    pub(crate) is_paused: bool,
    /// Whether the next edit may join the last group.
    is_open: bool,
    time: u64,
    last: u64,
    bytes: usize,
    /// The own actors since the first edit that was noted.
    own: Vec<u32>,
    /// Runs that others deleted, or removed, as well.
    others: Runs,
    /// At so many of them those that say nothing are dropped.
    others_limit: usize,
}

impl Undo {
    pub(crate) fn new(options: UndoOptions) -> Self {
        Self {
            options,
            undo: VecDeque::new(),
            redo: VecDeque::new(),
            current: Group::default(),
            doing: Doing::Edit,
            is_paused: false,
            is_open: false,
            time: 0,
            last: 0,
            bytes: 0,
            own: Vec::new(),
            others: Runs::default(),
            others_limit: OTHERS,
        }
    }

    pub(crate) fn set_options(&mut self, options: UndoOptions) {
        self.options = options;
        self.trim();
    }

    pub(crate) fn set_time(&mut self, millis: u64) {
        self.time = millis;
    }

    /// The next edit begins a group.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
    }

    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.undo.len(), self.redo.len())
    }

    /// Edits of that actor are own ones.
    pub(crate) fn add_own(&mut self, actor: u32) {
        if !self.own.contains(&actor) {
            self.own.push(actor);
        }
    }

    pub(crate) fn is_own(&self, actor: u32) -> bool {
        self.own.contains(&actor)
    }

    /// Gives the actors of another document's dots the indices that they have here.
    pub(crate) fn renumber(&mut self, moved: impl Fn(u32) -> u32) {
        let id = |id: &mut Id| {
            if !id.is_none() {
                id.actor = moved(id.actor);
            }
        };
        self.own.iter_mut().for_each(|actor| *actor = moved(*actor));
        self.others.renumber(&moved);
        for step in self.undo.iter_mut().chain(&mut self.redo).flat_map(|group| &mut group.steps) {
            match &mut step.deed {
                Deed::Inserted { runs } => runs.iter_mut().for_each(|(run, _)| id(run)),
                Deed::Deleted { pieces, guard } => {
                    pieces.iter_mut().for_each(|piece| id(&mut piece.id));
                    guard.iter_mut().for_each(id);
                }
                Deed::Wrote { written, replaced, .. } => {
                    id(written);
                    replaced.iter_mut().for_each(id);
                }
                Deed::Added { id: addition, replaced } => {
                    id(addition);
                    replaced.iter_mut().for_each(id);
                }
                Deed::Removed { additions, .. } => additions.iter_mut().for_each(id),
                Deed::Counted { .. } => {}
                Deed::Marked { written, before, .. } => {
                    written.iter_mut().for_each(id);
                    before.slots().for_each(|slot| id(&mut slot.id));
                }
                Deed::Lined { written, before, .. } => {
                    written.iter_mut().for_each(id);
                    before.iter_mut().for_each(|line| id(&mut line.line));
                }
            }
        }
    }

    /// Begins to take back the last group; false where there is none.
    pub(crate) fn begin(&mut self, doing: Doing) -> bool {
        let (from, to) = match doing {
            Doing::Redo => (&mut self.redo, &mut self.undo),
            _ => (&mut self.undo, &mut self.redo),
        };
        let Some(group) = from.pop_back() else { return false };
        to.push_back(Group::default());
        self.bytes -= group.bytes;
        self.current = group;
        self.doing = doing;
        true
    }

    /// Ends it; says whether anything was done.
    pub(crate) fn end(&mut self) -> bool {
        let to = if self.doing == Doing::Redo { &mut self.undo } else { &mut self.redo };
        let did = to.back().is_some_and(|group| !group.steps.is_empty());
        if !did {
            to.pop_back();
        }
        self.current = Group::default();
        self.doing = Doing::Edit;
        self.is_open = false;
        self.trim();
        did
    }

    /// The group that takes what is done now.
    fn group(&mut self, actor: u32) -> &mut Group {
        self.add_own(actor);
        match self.doing {
            Doing::Undo => {}
            Doing::Redo => return self.undo.back_mut().unwrap_or(&mut self.current),
            Doing::Edit => {
                self.bytes -= self.redo.drain(..).map(|group| group.bytes).sum::<usize>();
                let is_near = self.time.saturating_sub(self.last) <= self.options.interval_millis;
                if !self.is_open || !is_near || self.undo.is_empty() {
                    self.undo.push_back(Group::default());
                }
                (self.is_open, self.last) = (true, self.time);
                return self.undo.back_mut().unwrap_or(&mut self.current);
            }
        }
        self.redo.back_mut().unwrap_or(&mut self.current)
    }

    /// Notes what an own edit, of that actor, did.
    pub(crate) fn note(&mut self, actor: u32, root_type: RootType, root: &str, deed: Deed) {
        if self.is_paused {
            return;
        }
        let group = self.group(actor);
        let before = group.bytes;
        let last = group.steps.last_mut().filter(|last| last.root_type == root_type && *last.root == *root);
        let (deed, more) = match last {
            Some(last) => join(&mut last.deed, deed),
            None => (Some(deed), 0),
        };
        group.bytes += more;
        if let Some(deed) = deed {
            let step = Step { root_type, root: root.into(), deed };
            group.bytes += step.bytes();
            group.steps.push(step);
        }
        let more = group.bytes as isize - before as isize;
        self.bytes = self.bytes.saturating_add_signed(more);
        if self.bytes > self.options.max_bytes && self.doing == Doing::Edit {
            self.trim();
        }
    }

    /// Drops the oldest groups while all take too much.
    fn trim(&mut self) {
        while self.bytes > self.options.max_bytes {
            let Some(group) = self.undo.pop_front().or_else(|| self.redo.pop_front()) else { break };
            self.bytes -= group.bytes;
        }
        if self.undo.is_empty() && self.redo.is_empty() {
            (self.bytes, self.is_open) = (0, false);
            self.own.clear();
            self.others.clear();
        }
    }

    /// Notes that another deleted or removed a run, be it one that was deleted here as well.
    pub(crate) fn deleted_by_another(&mut self, author: u32, from: Id, length: u32) {
        if self.is_own(author) || self.undo.is_empty() && self.redo.is_empty() {
            return;
        }
        self.others.add(from, length);
        if self.others.len() > self.others_limit {
            let mut deleted = Runs::default();
            for step in self.undo.iter().chain(&self.redo).flat_map(|group| &group.steps) {
                match &step.deed {
                    Deed::Deleted { pieces, .. } => {
                        pieces.iter().for_each(|piece| deleted.add(piece.id, piece.length));
                    }
                    Deed::Removed { additions, .. } => additions.iter().for_each(|&id| deleted.add(id, 1)),
                    _ => {}
                }
            }
            self.others.retain_overlapping(&deleted);
            self.others_limit = OTHERS.max(self.others.len() * 2);
        }
    }

    /// How much of a run from `id` on others deleted as well, or did not, and which of both.
    pub(crate) fn by_others(&self, id: Id, length: u32) -> (u32, bool) {
        self.others.stretch(id, length)
    }

    /// How much of a run from `id` on came in by the group that is being taken back, or did not, and which of both.
    pub(crate) fn in_current(&self, id: Id, length: u32) -> (u32, bool) {
        let mut reach = length;
        for step in &self.current.steps {
            let Deed::Inserted { runs } = &step.deed else { continue };
            for &(run, count) in runs.iter().filter(|(run, _)| run.actor == id.actor) {
                if run.counter <= id.counter && id.counter - run.counter < count {
                    return (length.min(run.counter + count - id.counter), true);
                }
                if run.counter > id.counter {
                    reach = reach.min(run.counter - id.counter);
                }
            }
        }
        (reach, false)
    }

    /// Says that what had a run of dots has another now: characters that came back, a key or member that was written again.
    pub(crate) fn replace(&mut self, old: Id, length: u32, new: Id) {
        let moved = |id: &mut Id| {
            if id.actor == old.actor && id.counter.wrapping_sub(old.counter) < length {
                *id = new.plus(id.counter - old.counter);
            }
        };
        let groups = self.undo.iter_mut().chain(&mut self.redo).chain([&mut self.current]);
        for step in groups.flat_map(|group| &mut group.steps) {
            match &mut step.deed {
                Deed::Inserted { runs } => replace_runs(runs, old, length, new),
                Deed::Deleted { guard, .. } => guard.iter_mut().for_each(moved),
                Deed::Wrote { written, .. } => moved(written),
                Deed::Added { id, .. } => moved(id),
                Deed::Lined { before, .. } => before.iter_mut().for_each(|line| moved(&mut line.line)),
                Deed::Marked { .. } | Deed::Removed { .. } | Deed::Counted { .. } => {}
            }
        }
    }

    /// The own marks of a text that are noted, with the kind of each.
    fn marks<'a>(&'a mut self, root: &'a str) -> impl Iterator<Item = (&'a str, &'a mut Stretches)> {
        let groups = self.undo.iter_mut().chain(&mut self.redo).chain([&mut self.current]);
        let steps = groups.flat_map(|group| &mut group.steps).filter(move |step| *step.root == *root);
        steps.filter_map(|step| match &mut step.deed {
            Deed::Marked { key, before, .. } => Some((&**key, before)),
            _ => None,
        })
    }

    /// Says that a run of characters of a text came back, for what lay under marks over it.
    pub(crate) fn replace_marked(
        &mut self,
        root: &str,
        order: impl Fn(Slot, Slot) -> Ordering,
        (old, length, new): (Id, u32, Id),
    ) {
        self.marks(root).for_each(|(_, before)| before.replace(&order, old, length, new));
    }

    /// Says that another laid a mark.
    pub(crate) fn marked_by_another(
        &mut self,
        root: &str,
        kind: &str,
        order: impl Fn(Slot, Slot) -> Ordering,
        mark: &Mark,
    ) {
        let marks = self.marks(root).filter(|(key, _)| *key == kind);
        marks.for_each(|(_, before)| before.add_theirs(&order, mark));
    }

    /// Says that another wrote an attribute of a line.
    pub(crate) fn lined_by_another(
        &mut self,
        root: &str,
        attribute: &str,
        of: Id,
        write: (&Option<Arc<Value>>, Marker),
    ) {
        let groups = self.undo.iter_mut().chain(&mut self.redo).chain([&mut self.current]);
        for step in groups.flat_map(|group| &mut group.steps).filter(|step| *step.root == *root) {
            let Deed::Lined { key, before, .. } = &mut step.deed else { continue };
            for line in before.iter_mut().filter(|line| **key == *attribute && line.line == of) {
                if line.by < Some(write.1) {
                    (line.value, line.by) = (write.0.clone(), Some(write.1));
                }
            }
        }
    }

    /// Says that formatting of a dot is said by another as well.
    pub(crate) fn also(&mut self, old: Id, new: Id) {
        let groups = self.undo.iter_mut().chain(&mut self.redo).chain([&mut self.current]);
        for step in groups.flat_map(|group| &mut group.steps) {
            if let Deed::Marked { written, .. } | Deed::Lined { written, .. } = &mut step.deed
                && written.contains(&old)
                && !written.contains(&new)
            {
                written.push(new);
            }
        }
    }
}

/// Adds what was done to what was done just before, or gives it back; and the bytes that the addition takes.
fn join(last: &mut Deed, deed: Deed) -> (Option<Deed>, usize) {
    match (last, deed) {
        (Deed::Inserted { runs }, Deed::Inserted { runs: more }) => {
            let before = runs.len();
            for (id, length) in more {
                match runs.last_mut() {
                    Some((last, count)) if last.plus(*count) == id => *count += length,
                    _ => runs.push((id, length)),
                }
            }
            (None, (runs.len() - before) * RUN)
        }
        (Deed::Deleted { pieces, guard: None }, Deed::Deleted { pieces: more, guard: None }) => {
            let before = pieces.len();
            let content: usize = more.iter().map(|piece| piece.content.bytes()).sum();
            more.into_iter().for_each(|piece| push_piece(pieces, piece));
            (None, content + (pieces.len() - before) * OVERHEAD)
        }
        (Deed::Counted { amount }, Deed::Counted { amount: more }) => match amount.checked_add(more) {
            Some(sum) => {
                *amount = sum;
                (None, 0)
            }
            None => (Some(Deed::Counted { amount: more }), 0),
        },
        (_, deed) => (Some(deed), 0),
    }
}

/// Adds a piece, to the last one where it goes on, forwards or backwards.
fn push_piece(pieces: &mut Vec<Piece>, mut piece: Piece) {
    if let Some(last) = pieces.last_mut().filter(|last| last.id.actor == piece.id.actor) {
        if last.id.plus(last.length) == piece.id {
            last.length += piece.length;
            last.content.append(piece.content);
            return;
        }
        if piece.id.plus(piece.length) == last.id {
            std::mem::swap(last, &mut piece);
            last.length += piece.length;
            last.content.append(piece.content);
            return;
        }
    }
    pieces.push(piece);
}

/// Gives a part of runs other dots.
fn replace_runs(runs: &mut Vec<(Id, u32)>, old: Id, length: u32, new: Id) {
    let overlaps = |&(id, count): &(Id, u32)| {
        id.actor == old.actor && id.counter < old.counter + length && old.counter < id.counter + count
    };
    if !runs.iter().any(overlaps) {
        return;
    }
    let mut replaced = Vec::with_capacity(runs.len() + 2);
    for run in runs.drain(..) {
        if !overlaps(&run) {
            replaced.push(run);
            continue;
        }
        let (id, count) = run;
        let from = old.counter.max(id.counter);
        let to = (old.counter + length).min(id.counter + count);
        if from > id.counter {
            replaced.push((id, from - id.counter));
        }
        replaced.push((new.plus(from - old.counter), to - from));
        if to < id.counter + count {
            replaced.push((Id { counter: to, ..id }, id.counter + count - to));
        }
    }
    *runs = replaced;
}
