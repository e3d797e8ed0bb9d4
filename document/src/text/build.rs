//! Out to a snapshot's state and in from one.

use super::origins::{Origins, Run};
use super::span::{Deletion, Id, Span};
use super::tree::{Child, Leaf, NOWHERE, Node, utf16_len};
use super::{ActorState, Text};
use crate::snapshot::state::{Head, TextState, char_end};

/// Spans and bytes of a leaf that is built at once: room is left for edits.
const SPANS: usize = 48;
const BYTES: usize = 1536;
/// Children of a node that is built at once.
const CHILDREN: usize = 24;

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
    pub(crate) fn from_state(state: &TextState) -> Self {
        let mut text = Text::new();
        let actors = state.spans.iter().map(|span| span.id.actor as usize + 1).max().unwrap_or(0);
        let mut runs: Vec<Vec<Run>> = Vec::new();
        runs.resize_with(actors, Vec::new);
        for (span, head) in state.parts() {
            runs[span.id.actor as usize].push(Run { first: span.id.counter, left: head.left, right: head.right });
        }
        for (actor, mut runs) in runs.into_iter().enumerate() {
            runs.sort_unstable_by_key(|run| run.first);
            // What was split goes on as it did before.
            runs.dedup_by(|run, before| {
                run.left == Id { actor: actor as u32, counter: run.first - 1 } && run.right == before.right
            });
            runs.shrink_to_fit();
            let jumps = state.jumps.get(actor).cloned().unwrap_or_default();
            text.actors.push(ActorState { origins: Origins::from_parts(runs, jumps), ..ActorState::default() });
        }
        text.fill(&state.spans, &state.text);
        text
    }

    /// Builds leaves and what is above them.
    fn fill(&mut self, spans: &[Span], text: &str) {
        let mut rest = text;
        let mut leaf = Leaf::default();
        self.leaves.clear();
        for &whole in spans {
            let mut span = whole;
            while span.len() > 0 {
                if leaf.spans.len() == SPANS || leaf.text.len() >= BYTES {
                    self.seal(&mut leaf);
                }
                let visible = span.visible() as usize;
                let end = if visible == 0 { 0 } else { char_end(rest, visible.min(BYTES)) };
                let taken = if visible == 0 { span.len() } else { span.len().min(BYTES as u32) };
                leaf.text.push_str(&rest[..end]);
                rest = &rest[end..];
                leaf.scalars += if visible == 0 { 0 } else { taken };
                leaf.spans.push(span.part(0, taken));
                if taken == span.len() {
                    break;
                }
                span = span.part(taken, span.len());
            }
        }
        self.seal(&mut leaf);
        self.raise_nodes();
        self.place_all();
    }

    fn seal(&mut self, leaf: &mut Leaf) {
        let mut full = std::mem::take(leaf);
        full.spans.shrink_to_fit();
        full.text.shrink_to_fit();
        full.utf16 = if full.text.len() == full.scalars as usize { full.scalars } else { utf16_len(&full.text) as u32 };
        self.scalars += full.scalars as usize;
        self.utf16 += full.utf16 as usize;
        self.bytes += full.text.len();
        let index = self.leaves.len() as u32;
        if let Some(before) = self.leaves.last_mut() {
            before.next = index;
            full.previous = index - 1;
        }
        self.leaves.push(full);
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

    fn place_all(&mut self) {
        let mut places: Vec<(Id, u32, u32)> = Vec::new();
        for (index, leaf) in self.leaves.iter().enumerate() {
            places.extend(leaf.spans.iter().map(|span| (span.id, span.len(), index as u32)));
        }
        places.sort_unstable_by_key(|place| place.0);
        for (id, length, leaf) in places {
            self.actor(id.actor).places.set(id.counter, length, leaf);
        }
    }

    /// Takes in deletions that a snapshot has beside its spans.
    pub(crate) fn delete_all(&mut self, actors: &[crate::ids::Actor], deletions: &[(Id, u32, Deletion)]) {
        for &(id, length, deletion) in deletions {
            self.delete(actors, id, length, deletion);
        }
    }
}
