//! The text in memory that a trace is checked against.

use std::fmt;

/// A text as code points with a gap where the last edit was: edits near each other, as people make them, move nothing.
///
/// It is deliberately nothing like the relay's documents: a replay's result is compared with it.
#[derive(Clone, Default, Debug)]
pub struct GapBuffer {
    before: Vec<char>,
    /// What comes after the gap, last code point first.
    after: Vec<char>,
}

impl GapBuffer {
    /// A buffer that holds `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { before: text.chars().collect(), after: Vec::new() }
    }

    /// How many code points it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The code points from `from` up to, not including, `to`; what lies outside is left out.
    pub fn slice(&self, from: usize, to: usize) -> impl Iterator<Item = char> {
        let count = to.min(self.len()).saturating_sub(from);
        self.before.iter().chain(self.after.iter().rev()).copied().skip(from).take(count)
    }

    /// Deletes `delete` code points at `at` and inserts `insert` there. What lies past the end is clamped to it.
    pub fn replace(&mut self, at: usize, delete: usize, insert: &str) {
        self.move_gap(at.min(self.len()));
        let rest = self.after.len().saturating_sub(delete);
        self.after.truncate(rest);
        self.before.extend(insert.chars());
    }

    fn move_gap(&mut self, at: usize) {
        if at <= self.before.len() {
            self.after.extend(self.before.drain(at..).rev());
        } else {
            let keep = self.after.len() - (at - self.before.len());
            self.before.extend(self.after.drain(keep..).rev());
        }
    }
}

impl fmt::Display for GapBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.slice(0, self.len()).collect();
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_like_a_plain_string() {
        let mut buffer = GapBuffer::new("héllo");
        for (at, delete, insert, text) in [
            (5, 0, " wörld", "héllo wörld"),
            (0, 1, "H", "Héllo wörld"),
            (6, 5, "😀", "Héllo 😀"),
            (1, 1, "", "Hllo 😀"),
            (6, 0, "!", "Hllo 😀!"),
            (0, 99, "", ""),
        ] {
            buffer.replace(at, delete, insert);
            assert_eq!(buffer.to_string(), text);
            assert_eq!(buffer.len(), text.chars().count());
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn slices_across_the_gap() {
        let mut buffer = GapBuffer::new("abcdef");
        buffer.replace(3, 0, "-");
        assert_eq!(buffer.slice(2, 5).collect::<String>(), "c-d");
        assert_eq!(buffer.slice(6, 99).collect::<String>(), "f");
        assert_eq!(buffer.slice(9, 4).count(), 0);
    }
}
