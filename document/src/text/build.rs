//! Out to a snapshot's state and in from one.

use super::origins::{Origins, Run};
use super::places::Places;
use super::span::{Deletion, Id, Span};
use super::tree::{Child, Leaf, NOWHERE, Node, utf16_len};
use super::{ActorState, Text};
use crate::snapshot::state::{Head, TextState, char_end};
use crate::sorted::sort_by_key;

/// Spans and bytes of a leaf that is built at once: room is left for edits.
const SPANS: usize = 48;
const BYTES: usize = 1536;
/// Children of a node that is built at once.
const CHILDREN: usize = 24;

/// Where spans are.
struct SpanLeaves {
    /// The leaf of each span's first part.
    of_spans: Vec<u32>,
    /// Further parts of those that were divided, in order: their first dots, lengths and leaves.
    further: Vec<(Id, u32, u32)>,
}

impl Text {
    /// All of it, with the document's indices of actors.
    pub(crate) fn state(&self, name: &str) -> TextState {
        let mut state = TextState { name: name.into(), ..TextState::default() };
        state.text.reserve_exact(self.bytes);
        let mut leaf = 0;
        while let Some(at) = self.leaves.get(leaf as usize).filter(|_| leaf != NOWHERE) {
            state.text.push_str(&at.text);
            for &span in &at.spans {
                self.push_parts(span, &mut state);
            }
            leaf = at.next;
        }
        state.jumps = self.actors.iter().map(|actor| actor.origins.jumps().to_vec()).collect();
        state
    }

    /// Adds a span in parts with one right origin each.
    fn push_parts(&self, span: Span, state: &mut TextState) {
        let runs = self.actors[span.id.actor as usize].origins.from(span.id.counter);
        let mut from = 0;
        for (index, run) in runs.iter().enumerate() {
            let to = runs.get(index + 1).map_or(span.len(), |next| span.len().min(next.first - span.id.counter));
            let id = span.id.plus(from);
            let left = if run.first == id.counter { run.left } else { Id { counter: id.counter - 1, ..id } };
            state.push(span.part(from, to), Head { left, right: run.right });
            from = to;
            if from == span.len() {
                break;
            }
        }
    }

    /// From a whole state, whose actors have the document's indices.
    pub(crate) fn from_state(state: &mut TextState) -> Self {
        let mut text = Text::new();
        let actors = state.spans.iter().map(|span| span.id.actor as usize + 1).max().unwrap_or(0);
        text.actors.resize_with(actors, ActorState::default);
        let leaves = text.build_leaves(state);
        text.build_actors(state, &leaves);
        text
    }

    /// What is known of each actor's characters: where they are, and what they were typed between.
    fn build_actors(&mut self, state: &mut TextState, leaves: &SpanLeaves) {
        let (mut places, mut runs, mut actor): (Places, Vec<Run>, _) = Default::default();
        let mut end = |actor: u32, places: &mut Places, runs: &mut Vec<Run>| {
            if runs.is_empty() {
                return;
            }
            let jumps = state.jumps.get_mut(actor as usize).map(std::mem::take).unwrap_or_default();
            let origins = Origins::from_parts(runs.to_vec(), jumps);
            self.actors[actor as usize] = ActorState { places: std::mem::take(places), origins };
            runs.clear();
        };
        // One actor's spans follow one another; the actors may be in any order.
        for &index in &state.order {
            let (span, head) = (state.spans[index as usize], state.heads[index as usize]);
            if span.id.actor != actor {
                end(actor, &mut places, &mut runs);
                actor = span.id.actor;
            }
            // What was split goes on as it did before.
            let before = Id { actor, counter: span.id.counter - 1 };
            if runs.last().is_none_or(|run| head.left != before || head.right != run.right) {
                runs.push(Run { first: span.id.counter, left: head.left, right: head.right });
            }
            let turns = state.turns.partition_point(|turn| turn.0 < index);
            for &(_, offset, right) in state.turns[turns..].iter().take_while(|turn| turn.0 == index) {
                let left = span.id.plus(offset - 1);
                runs.push(Run { first: left.counter + 1, left, right });
            }
            let first = span.len().min(if span.is_visible() { BYTES as u32 } else { u32::MAX });
            places.set(span.id.counter, first, leaves.of_spans[index as usize]);
            if first < span.len() {
                let parts = leaves.further.partition_point(|&(part, ..)| part < span.id);
                for &(part, length, leaf) in
                    leaves.further[parts..].iter().take_while(|(part, ..)| span.contains(*part))
                {
                    places.set(part.counter, length, leaf);
                }
            }
        }
        end(actor, &mut places, &mut runs);
    }

    /// Builds leaves and what is above them.
    fn build_leaves(&mut self, state: &TextState) -> SpanLeaves {
        let (mut rest, is_ascii) = (&*state.text, state.text.is_ascii());
        self.leaves.clear();
        let mut leaves = SpanLeaves { of_spans: Vec::with_capacity(state.spans.len()), further: Vec::new() };
        let mut spans = &*state.spans;
        while let Some(&first) = spans.first() {
            let leaf = self.leaves.len() as u32;
            if first.visible() > BYTES as u32 {
                // More than a leaf holds: in parts, a leaf for each.
                leaves.of_spans.push(leaf);
                let mut from = 0;
                while from < first.len() {
                    let part = first.part(from, first.len().min(from + BYTES as u32));
                    let (text, after) = rest.split_at(char_end(rest, is_ascii, part.len() as usize));
                    rest = after;
                    if from > 0 {
                        leaves.further.push((part.id, part.len(), self.leaves.len() as u32));
                    }
                    self.add_leaf(vec![part], text, part.len());
                    from += part.len();
                }
                spans = &spans[1..];
                continue;
            }
            // As many whole spans as fit.
            let (mut count, mut scalars) = (0, 0);
            for span in spans.iter().take(SPANS) {
                if scalars + span.visible() > BYTES as u32 {
                    break;
                }
                scalars += span.visible();
                count += 1;
            }
            let (text, after) = rest.split_at(char_end(rest, is_ascii, scalars as usize));
            rest = after;
            let (taken, left) = spans.split_at(count);
            leaves.of_spans.resize(leaves.of_spans.len() + count, leaf);
            self.add_leaf(taken.to_vec(), text, scalars);
            spans = left;
        }
        if self.leaves.is_empty() {
            self.leaves.push(Leaf::default());
        }
        self.raise_nodes();
        sort_by_key(&mut leaves.further, |&(id, ..)| id);
        leaves
    }

    fn add_leaf(&mut self, spans: Vec<Span>, text: &str, scalars: u32) {
        let utf16 = if text.len() == scalars as usize { scalars } else { utf16_len(text) as u32 };
        self.scalars += scalars as usize;
        self.utf16 += utf16 as usize;
        self.bytes += text.len();
        let index = self.leaves.len() as u32;
        let previous = index.checked_sub(1).unwrap_or(NOWHERE);
        if let Some(before) = self.leaves.last_mut() {
            before.next = index;
        }
        self.leaves.push(Leaf { spans, text: text.to_owned(), scalars, utf16, previous, ..Leaf::default() });
    }

    fn raise_nodes(&mut self) {
        self.nodes.clear();
        let leaves = self.leaves.iter().enumerate();
        let mut level: Vec<Child> = leaves
            .map(|(index, leaf)| Child {
                index: index as u32,
                scalars: leaf.scalars as usize,
                utf16: leaf.utf16 as usize,
            })
            .collect();
        let mut is_bottom = true;
        loop {
            let mut above = Vec::new();
            for children in level.chunks(CHILDREN) {
                let node = self.nodes.len() as u32;
                for child in children {
                    if is_bottom {
                        self.leaves[child.index as usize].parent = node;
                    } else {
                        self.nodes[child.index as usize].parent = node;
                    }
                }
                self.nodes.push(Node { children: children.to_vec(), parent: NOWHERE, is_bottom });
                above.push(self.child_of(node));
            }
            if let [root] = above[..] {
                self.root = root.index;
                return;
            }
            (level, is_bottom) = (above, false);
        }
    }

    /// Takes in deletions that a snapshot has beside its spans.
    pub(crate) fn delete_all(&mut self, actors: &[crate::ids::Actor], deletions: &[(Id, u32, Deletion)]) {
        for &(id, length, deletion) in deletions {
            self.delete(actors, id, length, deletion);
        }
    }
}
