//! Leaves of spans with their text, and counts of what is visible above them.

use super::Text;
use super::span::Span;
use crate::snapshot::state::char_end;

/// Spans of one leaf, at most.
const MAX_SPANS: usize = 64;
/// Bytes of one leaf's text, at most, after an edit.
const MAX_BYTES: usize = 2048;
/// Children of one node, at most.
const MAX_CHILDREN: usize = 32;

/// No leaf, no node.
pub(super) const NOWHERE: u32 = u32::MAX;

/// Spans that follow one another, and the visible characters of all of them.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) spans: Vec<Span>,
    pub(super) text: String,
    /// Visible characters, and the same in UTF-16 units.
    pub(super) scalars: u32,
    pub(super) utf16: u32,
    pub(super) parent: u32,
    pub(super) next: u32,
    pub(super) previous: u32,
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            spans: Vec::new(),
            text: String::new(),
            scalars: 0,
            utf16: 0,
            parent: 0,
            next: NOWHERE,
            previous: NOWHERE,
        }
    }
}

/// Leaves, or nodes, that follow one another.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) children: Vec<Child>,
    pub(super) parent: u32,
    /// Whether the children are leaves.
    pub(super) is_bottom: bool,
}

#[derive(Copy, Clone, Debug)]
pub(super) struct Child {
    pub(super) index: u32,
    pub(super) scalars: usize,
    pub(super) utf16: usize,
}

impl Node {
    pub(super) fn bottom(leaf: u32) -> Self {
        Self { children: vec![Child { index: leaf, scalars: 0, utf16: 0 }], parent: NOWHERE, is_bottom: true }
    }
}

/// UTF-16 units of a text.
pub(super) fn utf16_len(text: &str) -> usize {
    // Every byte that begins a character counts one, and once more where the character takes four bytes.
    text.bytes().map(|byte| usize::from((byte as i8) >= -0x40) + usize::from(byte >= 0xf0)).sum()
}

impl Leaf {
    pub(super) fn byte_of(&self, index: usize) -> usize {
        char_end(&self.text, self.text.len() == self.scalars as usize, index)
    }

    /// Visible characters before a character.
    #[inline]
    pub(super) fn visible_before(&self, span: usize, offset: u32) -> usize {
        let before: u32 = self.spans[..span].iter().map(Span::visible).sum();
        let within = self.spans.get(span).is_some_and(Span::is_visible);
        (before + if within { offset } else { 0 }) as usize
    }

    /// The visible character of that index: its span and the offset in it.
    #[inline]
    pub(super) fn visible_at(&self, index: usize) -> (usize, u32) {
        let mut left = index as u32;
        for (at, span) in self.spans.iter().enumerate() {
            let visible = span.visible();
            if left < visible {
                return (at, left);
            }
            left -= visible;
        }
        (self.spans.len(), 0)
    }
}

impl Text {
    fn slot(&self, node: u32, child: u32) -> usize {
        // A child is always among its parent's.
        self.nodes[node as usize].children.iter().position(|slot| slot.index == child).unwrap_or(0)
    }

    /// Visible characters, and UTF-16 units, before a leaf.
    pub(super) fn before(&self, leaf: u32) -> (usize, usize) {
        let (mut child, mut node) = (leaf, self.leaves[leaf as usize].parent);
        let (mut scalars, mut utf16) = (0, 0);
        while node != NOWHERE {
            for slot in &self.nodes[node as usize].children {
                if slot.index == child {
                    break;
                }
                scalars += slot.scalars;
                utf16 += slot.utf16;
            }
            (child, node) = (node, self.nodes[node as usize].parent);
        }
        (scalars, utf16)
    }

    /// The leaf with the visible character of that index, and the visible characters before the leaf.
    pub(super) fn descend(&self, index: usize) -> (u32, usize) {
        let (mut at, mut before) = (self.root, 0);
        loop {
            let node = &self.nodes[at as usize];
            let mut within = NOWHERE;
            for slot in &node.children {
                within = slot.index;
                if index - before < slot.scalars {
                    break;
                }
                before += slot.scalars;
            }
            if node.is_bottom {
                return (within, before);
            }
            at = within;
        }
    }

    /// The visible characters before a UTF-16 position. Within a pair it is the pair's start.
    pub(super) fn scalar_of_utf16(&self, position: usize) -> usize {
        if self.utf16 == self.scalars {
            return position;
        }
        let (mut at, mut before, mut left) = (self.root, 0, position);
        loop {
            let node = &self.nodes[at as usize];
            let mut within = NOWHERE;
            for slot in &node.children {
                within = slot.index;
                if left < slot.utf16 {
                    break;
                }
                before += slot.scalars;
                left -= slot.utf16;
            }
            if node.is_bottom {
                if left == 0 {
                    return before;
                }
                for character in self.leaves[within as usize].text.chars() {
                    let units = character.len_utf16();
                    if left < units {
                        break;
                    }
                    left -= units;
                    before += 1;
                }
                return before;
            }
            at = within;
        }
    }

    /// Which of two leaves comes first.
    pub(super) fn compare_leaves(&self, a: u32, b: u32) -> std::cmp::Ordering {
        let (mut a, mut b) = ((a, self.leaves[a as usize].parent), (b, self.leaves[b as usize].parent));
        while a.1 != b.1 {
            a = (a.1, self.nodes[a.1 as usize].parent);
            b = (b.1, self.nodes[b.1 as usize].parent);
        }
        self.slot(a.1, a.0).cmp(&self.slot(a.1, b.0))
    }

    /// Changes the counts of a leaf and of all above it.
    pub(super) fn count(&mut self, leaf: u32, scalars: isize, utf16: isize) {
        let state = &mut self.leaves[leaf as usize];
        state.scalars = state.scalars.wrapping_add_signed(scalars as i32);
        state.utf16 = state.utf16.wrapping_add_signed(utf16 as i32);
        self.scalars = self.scalars.wrapping_add_signed(scalars);
        self.utf16 = self.utf16.wrapping_add_signed(utf16);
        let (mut child, mut node) = (leaf, state.parent);
        while node != NOWHERE {
            let state = &mut self.nodes[node as usize];
            if let Some(slot) = state.children.iter_mut().find(|slot| slot.index == child) {
                slot.scalars = slot.scalars.wrapping_add_signed(scalars);
                slot.utf16 = slot.utf16.wrapping_add_signed(utf16);
            }
            (child, node) = (node, state.parent);
        }
    }

    /// Divides a leaf for as long as it, or what came off it, holds too much.
    pub(super) fn settle(&mut self, leaf: u32) {
        let state = &self.leaves[leaf as usize];
        if state.spans.len() <= MAX_SPANS && state.text.len() <= MAX_BYTES {
            return;
        }
        self.hint = None;
        let mut overfull = vec![leaf];
        while let Some(leaf) = overfull.pop() {
            let state = &self.leaves[leaf as usize];
            if state.spans.len() > MAX_SPANS || state.text.len() > MAX_BYTES {
                let upper = self.divide(leaf);
                overfull.extend([leaf, upper]);
            }
        }
    }

    /// Moves the upper half of a leaf into a new one behind it.
    fn divide(&mut self, leaf: u32) -> u32 {
        let upper = self.leaves.len() as u32;
        let state = &mut self.leaves[leaf as usize];
        let (mut at, mut byte, mut kept) = (0, 0, 0);
        if state.spans.len() > MAX_SPANS {
            at = state.spans.len() / 2;
            kept = state.visible_before(at, 0);
            byte = state.byte_of(kept);
        } else {
            // Few spans and much text: in the middle of the text, within a span if need be.
            byte += state.text.len() / 2;
            while !state.text.is_char_boundary(byte) {
                byte += 1;
            }
            kept += state.text[..byte].chars().count();
            let (span, offset) = state.visible_at(kept);
            at += span;
            if offset > 0 {
                let whole = state.spans[span];
                state.spans[span] = whole.part(0, offset);
                at += 1;
                state.spans.insert(at, whole.part(offset, whole.len()));
            }
        }
        let spans = state.spans.split_off(at);
        let text = state.text.split_off(byte);
        state.spans.shrink_to(at + 8);
        state.text.shrink_to(byte + 64);
        let scalars = state.scalars - kept as u32;
        let utf16 = if state.utf16 == state.scalars { scalars } else { utf16_len(&text) as u32 };
        let (next, parent) = (state.next, state.parent);
        state.next = upper;
        state.scalars -= scalars;
        state.utf16 -= utf16;
        for span in &spans {
            self.actors[span.id.actor as usize].places.set(span.id.counter, span.len(), upper);
        }
        if next != NOWHERE {
            self.leaves[next as usize].previous = upper;
        }
        self.leaves.push(Leaf { spans, text, scalars, utf16, parent, next, previous: leaf });
        let slot = self.slot(parent, leaf);
        let child = Child { index: upper, scalars: scalars as usize, utf16: utf16 as usize };
        let children = &mut self.nodes[parent as usize].children;
        children[slot].scalars -= child.scalars;
        children[slot].utf16 -= child.utf16;
        children.insert(slot + 1, child);
        self.divide_node(parent);
        upper
    }

    fn divide_node(&mut self, mut node: u32) {
        while self.nodes[node as usize].children.len() > MAX_CHILDREN {
            let upper = self.nodes.len() as u32;
            let state = &mut self.nodes[node as usize];
            let children = state.children.split_off(MAX_CHILDREN / 2);
            let is_bottom = state.is_bottom;
            if state.parent == NOWHERE {
                // The root: one more level above it.
                let root = upper + 1;
                state.parent = root;
                self.root = root;
            }
            let parent = state.parent;
            for child in &children {
                if is_bottom {
                    self.leaves[child.index as usize].parent = upper;
                } else {
                    self.nodes[child.index as usize].parent = upper;
                }
            }
            self.nodes.push(Node { children, parent, is_bottom });
            let above = self.child_of(upper);
            if parent as usize == self.nodes.len() {
                let below = self.child_of(node);
                self.nodes.push(Node { children: vec![below, above], parent: NOWHERE, is_bottom: false });
                return;
            }
            let slot = self.slot(parent, node);
            self.nodes[parent as usize].children[slot] = self.child_of(node);
            self.nodes[parent as usize].children.insert(slot + 1, above);
            node = parent;
        }
    }

    pub(super) fn child_of(&self, node: u32) -> Child {
        let children = &self.nodes[node as usize].children;
        Child {
            index: node,
            scalars: children.iter().map(|child| child.scalars).sum(),
            utf16: children.iter().map(|child| child.utf16).sum(),
        }
    }
}
