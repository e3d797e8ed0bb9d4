//! Undo and redo: own edits taken back by edits that do the opposite, so that others see nothing new.
//!
//! What others did is never taken back. An insert's undo deletes what is still there of it. A deletion's undo inserts the
//! content again, right after where each run of it was, unless another deleted it too. A key gets back what it held before
//! only while the own write is its last; a member is removed only by the own addition; formatting goes back where the own
//! still holds.

mod formatting;

use crate::ordered::OrderedMap;
use std::ops::Range;

use super::lists::member;
use super::{Document, EditError, Position};
use crate::batch::RootType;
use crate::change::{Origin, Unit};
use crate::ids::{Dot, HybridTime};
use crate::text::Text;
use crate::text::span::Id;
use crate::undo::{Content, Deed, Doing, Piece, Step, Undo, UndoOptions};

/// What an undo or redo changed.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct Undone {
    /// Places of texts and lists, in the order in which they were changed; empty ranges where something was deleted. For an
    /// editor to put its selection there.
    pub places: Vec<UndonePlace>,
}

/// A place that an undo or redo changed.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct UndonePlace {
    /// Whether it is in a text or a list.
    pub root_type: RootType,
    /// The root's name.
    pub root: String,
    /// Where, in the unit of [`Document::set_change_unit`] for a text, once all is done.
    pub range: Range<usize>,
}

/// A touched place by its first and last characters; deleted ones stand for where they were.
type Touched = (RootType, Box<str>, Id, Id);

impl Document {
    /// Notes own edits from now on, so that they can be undone; `None` forgets them all, and that is how a document begins.
    /// A call with other options keeps what there is.
    pub fn track_undo(&mut self, options: Option<UndoOptions>) {
        match (options, &mut self.undo) {
            (Some(options), Some(undo)) => undo.set_options(options),
            (Some(options), undo) => *undo = Some(Box::new(Undo::new(options))),
            (None, undo) => *undo = None,
        }
    }

    /// Says when the edits that follow are made, in milliseconds of any clock that does not go back: those that are near one
    /// another are undone together. Where it is never said, only [`undo_break`](Self::undo_break) parts them.
    pub fn undo_time(&mut self, millis: u64) {
        if let Some(undo) = &mut self.undo {
            undo.set_time(millis);
        }
    }

    /// The next edit begins a new group.
    pub fn undo_break(&mut self) {
        if let Some(undo) = &mut self.undo {
            undo.close();
        }
    }

    /// While paused, own edits are not noted: those that a program makes and a person would not want to undo.
    pub fn undo_pause(&mut self, is_paused: bool) {
        if let Some(undo) = &mut self.undo {
            undo.is_paused = is_paused;
        }
    }

    /// How many groups can be undone.
    pub fn undo_len(&self) -> usize {
        self.undo.as_ref().map_or(0, |undo| undo.lengths().0)
    }

    /// How many groups can be redone; none after an edit of another kind.
    pub fn redo_len(&self) -> usize {
        self.undo.as_ref().map_or(0, |undo| undo.lengths().1)
    }

    /// Takes over what another document noted: one that this one replaces, of the same content.
    pub fn adopt_undo(&mut self, from: &mut Document) {
        let Some(mut undo) = from.undo.take() else { return };
        let moved: Vec<u32> = from.actors.iter().map(|&actor| self.intern(actor)).collect();
        undo.renumber(|actor| moved.get(actor as usize).copied().unwrap_or(actor));
        if let Some(local) = self.local {
            undo.add_own(local.index);
        }
        self.undo = Some(undo);
    }

    /// Says that what an own edit brought in, from a dot on, came in again as another's: of a text, a list or a set.
    pub fn undo_moved(&mut self, old: Dot, length: u32, new: Dot) {
        let (Some(old), Some(new)) = (self.id_of(old), self.id_of(new)) else { return };
        if let Some(undo) = &mut self.undo {
            undo.replace(old, length, new);
        }
    }

    /// Takes back the last group of own edits that was not, by new edits; `None` where there is none. Groups of which there
    /// is nothing left to take back are passed over. `now` is the time of edits of maps. Changes that it makes have the origin [`Origin::Undo`].
    ///
    /// # Errors
    /// When the document cannot be edited; see [`EditError`].
    pub fn undo(&mut self, now: HybridTime) -> Result<Option<Undone>, EditError> {
        self.take_back(Doing::Undo, now)
    }

    /// Takes back the last undo, if no edit came after it; `None` where there is none.
    ///
    /// # Errors
    /// When the document cannot be edited; see [`EditError`].
    pub fn redo(&mut self, now: HybridTime) -> Result<Option<Undone>, EditError> {
        self.take_back(Doing::Redo, now)
    }

    /// Where own edits' changes come from.
    pub(super) fn own_origin(&self) -> Origin {
        match &self.undo {
            Some(undo) if undo.doing != Doing::Edit => Origin::Undo,
            _ => Origin::Local,
        }
    }

    /// Notes what an own edit did.
    pub(super) fn note(&mut self, dot: Id, root_type: RootType, root: &str, deed: impl FnOnce() -> Deed) {
        if let Some(undo) = &mut self.undo {
            undo.note(dot.actor, root_type, root, deed());
        }
    }

    /// What an own deletion is about to take away, where that is noted.
    pub(super) fn pieces(&self, root_type: RootType, root: &str, index: usize, count: usize) -> Option<Vec<Piece>> {
        self.undo.as_ref().filter(|undo| !undo.is_paused)?;
        let piece = |(id, length): (Id, u32), content: Content| Piece { id, length, content };
        Some(match root_type {
            RootType::List => {
                let list = self.lists.get(root)?;
                let mut values = list.values_from(index).cloned();
                list.order
                    .runs(index, count)
                    .map(|run| piece(run, Content::Values(values.by_ref().take(run.1 as usize).collect())))
                    .collect()
            }
            _ => {
                let text = self.texts.get(root)?;
                let content = text.slice(index..index + count);
                let mut characters = content.chars();
                let pieces = text.runs(index, count).map(|run| {
                    let part: String = characters.by_ref().take(run.1 as usize).collect();
                    let lines = if text.is_formatted() { Self::had(text, run.0, &part) } else { Vec::new() };
                    piece(run, Content::Text(part, lines))
                });
                pieces.collect()
            }
        })
    }

    fn take_back(&mut self, doing: Doing, now: HybridTime) -> Result<Option<Undone>, EditError> {
        self.next_dot("", 0)?;
        let was_paused = self.undo.as_mut().is_some_and(|undo| std::mem::take(&mut undo.is_paused));
        let mut touched = Vec::new();
        let mut outcome = Ok(false);
        // What others left nothing of is passed over.
        while outcome == Ok(false) && self.undo.as_mut().is_some_and(|undo| undo.begin(doing)) {
            while let Some(step) = self.undo.as_mut().and_then(|undo| undo.current.steps.pop()) {
                if outcome.is_ok() {
                    outcome = self.invert(step, now, &mut touched).map(|()| false);
                }
            }
            let did = self.undo.as_mut().is_some_and(|undo| undo.end());
            outcome = outcome.map(|_| did);
        }
        if let Some(undo) = &mut self.undo {
            undo.is_paused = was_paused;
        }
        if !outcome? {
            return Ok(None);
        }
        let places = touched.into_iter().filter_map(|touched| self.place(touched)).collect();
        Ok(Some(Undone { places }))
    }

    fn invert(&mut self, step: Step, now: HybridTime, touched: &mut Vec<Touched>) -> Result<(), EditError> {
        let Step { root_type, root, deed } = step;
        match deed {
            Deed::Inserted { runs } => {
                runs.into_iter().rev().try_for_each(|run| self.delete_run(root_type, &root, run, touched))
            }
            Deed::Deleted { pieces, guard } => {
                if guard.is_some_and(|guard| self.deleted_by_another(root_type, &root, guard)) {
                    return Ok(());
                }
                self.bring_back(root_type, &root, pieces, touched)
            }
            Deed::Wrote { key, written, before, replaced } => {
                let Some(last) = self.key_dot(&root, &key).filter(|&last| last == written) else { return Ok(()) };
                let is_there = self.map_get(&root, &key).is_some();
                if before.is_some() || is_there {
                    self.map_write(&root, &key, before, now)?;
                }
                let new = self.key_dot(&root, &key).unwrap_or(last);
                if let (Some(undo), Some(replaced)) = (&mut self.undo, replaced) {
                    undo.replace(replaced, 1, new);
                }
                Ok(())
            }
            Deed::Added { id, replaced } => match replaced {
                // It was in the set by an own addition before as well, which is this one now.
                Some(replaced) => {
                    if let Some(undo) = &mut self.undo {
                        undo.replace(replaced, 1, id);
                    }
                    Ok(())
                }
                None => {
                    let is_there = self.sets.get(&root).is_some_and(|set| set.member_of(id).is_some());
                    if is_there { self.remove_additions(&root, &[id]) } else { Ok(()) }
                }
            },
            Deed::Removed { member: encoded, additions } => {
                let set = self.sets.get(&root);
                let is_there = set.is_some_and(|set| set.contains(&encoded));
                let stays_out = additions.iter().all(|&id| self.removed_by_another(&root, id));
                if is_there || stays_out {
                    return Ok(());
                }
                self.set_add(&root, &member(&encoded))?;
                let new = self.sets.get(&root).and_then(|set| set.additions_of(&encoded).last().copied());
                if let (Some(undo), Some(new)) = (&mut self.undo, new) {
                    additions.into_iter().for_each(|old| undo.replace(old, 1, new));
                }
                Ok(())
            }
            Deed::Marked { key, written, before } => self.unmark_again(&root, &key, (&written, before), touched),
            Deed::Lined { key, written, before } => self.unline(&root, &key, (&written, before)),
            Deed::Counted { amount } => match amount.checked_neg() {
                Some(opposite) => self.counter_add(&root, opposite),
                None => self.counter_add(&root, i64::MAX).and_then(|()| self.counter_add(&root, 1)),
            },
        }
    }

    fn sequence(&self, root_type: RootType, root: &str) -> Option<&Text> {
        match root_type {
            RootType::List => self.lists.get(root).map(|list| &list.order),
            _ => self.texts.get(root),
        }
    }

    fn deleted_by_another(&self, root_type: RootType, root: &str, id: Id) -> bool {
        let stretch = self.sequence(root_type, root).and_then(|text| text.stretch(id));
        let (Some((_, deletion)), Some(undo)) = (stretch, &self.undo) else { return false };
        !deletion.dot.is_none() && (!undo.is_own(deletion.dot.actor) || undo.by_others(id, 1).1)
    }

    /// The dot of a key's last write.
    fn key_dot(&self, root: &str, key: &str) -> Option<Id> {
        let marker = self.maps.get(root)?.marker(key)?;
        Some(Id { actor: *self.index.get(&marker.actor)?, counter: marker.counter })
    }

    fn removed_by_another(&self, root: &str, id: Id) -> bool {
        let by = self.sets.get(root).and_then(|set| set.gone_by(id));
        let Some(undo) = &self.undo else { return false };
        by.is_some_and(|by| !undo.is_own(by.actor)) || undo.by_others(id, 1).1
    }

    /// Deletes what is visible of a run.
    fn delete_run(
        &mut self,
        root_type: RootType,
        root: &str,
        (id, length): (Id, u32),
        touched: &mut Vec<Touched>,
    ) -> Result<(), EditError> {
        let mut at = 0;
        while at < length {
            let from = id.plus(at);
            let Some(text) = self.sequence(root_type, root) else { return Ok(()) };
            let Some((reach, deletion)) = text.stretch(from) else {
                at += 1;
                continue;
            };
            let reach = reach.min(length - at);
            at += reach;
            if deletion.dot.is_none()
                && let Some(index) = text.index_of(from)
            {
                match root_type {
                    RootType::List => self.list_delete(root, index, reach as usize)?,
                    _ => self.delete(root, Position::Scalar(index), reach as usize)?,
                }
                touched.push((root_type, root.into(), from, from.plus(reach - 1)));
            }
        }
        Ok(())
    }

    /// Inserts again what was deleted and nobody else deleted, each run that lies together right after its last character.
    fn bring_back(
        &mut self,
        root_type: RootType,
        root: &str,
        pieces: Vec<Piece>,
        touched: &mut Vec<Touched>,
    ) -> Result<(), EditError> {
        let parts: Vec<Piece> = pieces.iter().flat_map(|piece| self.parts(root_type, root, piece)).collect();
        let firsts: OrderedMap<Id, usize> = parts.iter().enumerate().map(|(index, part)| (part.id, index)).collect();
        // What lies together, in order: each part with the one that follows it.
        let followers: Vec<Option<usize>> = parts
            .iter()
            .map(|part| {
                let text = self.sequence(root_type, root)?;
                firsts.get(&text.follower(part.id.plus(part.length - 1))?).copied()
            })
            .collect();
        let mut is_first = vec![true; parts.len()];
        followers.iter().flatten().for_each(|&index| is_first[index] = false);
        let mut parts: Vec<Option<Piece>> = parts.into_iter().map(Some).collect();
        for first in (0..parts.len()).filter(|&index| is_first[index]) {
            let mut chain = Vec::new();
            let mut next = Some(first);
            while let Some(index) = next {
                chain.extend(parts[index].take());
                next = followers[index];
            }
            self.insert_again(root_type, root, chain, touched)?;
        }
        Ok(())
    }

    /// The parts of a piece that nobody else deleted, each in one stretch.
    fn parts(&self, root_type: RootType, root: &str, piece: &Piece) -> Vec<Piece> {
        let (Some(text), Some(undo)) = (self.sequence(root_type, root), &self.undo) else { return Vec::new() };
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < piece.length {
            let id = piece.id.plus(at);
            let Some((reach, deletion)) = text.stretch(id) else {
                at += 1;
                continue;
            };
            let (reach, by_others) = undo.by_others(id, reach.min(piece.length - at));
            // What came in by the same group goes with it.
            let (reach, is_in_group) = undo.in_current(id, reach);
            let is_visible = deletion.dot.is_none();
            if !is_visible && !by_others && !is_in_group && undo.is_own(deletion.dot.actor) {
                parts.push(Piece { id, length: reach, content: piece.content.part(at as usize, reach as usize) });
            }
            at += reach;
        }
        parts
    }

    /// Inserts parts that lie together again, after the last of them.
    fn insert_again(
        &mut self,
        root_type: RootType,
        root: &str,
        chain: Vec<Piece>,
        touched: &mut Vec<Touched>,
    ) -> Result<(), EditError> {
        let runs: Vec<(Id, u32)> = chain.iter().map(|part| (part.id, part.length)).collect();
        let Some(&(last, length)) = runs.last() else { return Ok(()) };
        let count: u32 = runs.iter().map(|&(_, length)| length).sum();
        let mut contents = chain.into_iter().map(|part| part.content);
        let Some(mut content) = contents.next() else { return Ok(()) };
        contents.for_each(|more| content.append(more));
        let left = last.plus(length - 1);
        let id = self.next_dot(root, count as usize)?;
        let mut lines = Vec::new();
        let is_text = matches!(content, Content::Text(..));
        match content {
            Content::Text(text, had) => {
                self.insert_text_after(root, left, id, &text, count);
                lines = had;
            }
            Content::Values(values) => self.insert_values_after(root, left, id, values),
        }
        let mut at = id;
        if let Some(undo) = &mut self.undo {
            for &(old, length) in &runs {
                undo.replace(old, length, at);
                at = at.plus(length);
            }
        }
        touched.push((root_type, root.into(), id, id.plus(count - 1)));
        if is_text { self.show_again(root, (&runs, id), lines) } else { Ok(()) }
    }

    fn place(&self, (root_type, root, first, last): Touched) -> Option<UndonePlace> {
        let text = self.sequence(root_type, &root)?;
        let (from, to) = (text.index_of(first)?, text.scalars_through(last)?);
        let unit = |scalar| match self.unit {
            Unit::Utf16 if root_type == RootType::Text => text.utf16_at(scalar),
            _ => scalar,
        };
        Some(UndonePlace { root_type, root: root.into(), range: unit(from)..unit(to.max(from)) })
    }
}
