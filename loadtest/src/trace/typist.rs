//! A seeded model of a person who types, for when no recorded trace is at hand.

use super::{Edit, GapBuffer, Random, Trace};

/// Words of several scripts, some with code points outside the Basic Multilingual Plane, where UTF-16 and code points
/// differ, and some with combining marks.
const WORDS: &[&str] = &[
    "the",
    "and",
    "relay",
    "document",
    "of",
    "a",
    "in",
    "every",
    "writes",
    "durable",
    "to",
    "is",
    "that",
    "operation",
    "merge",
    "for",
    "on",
    "with",
    "snapshot",
    "which",
    "naïve",
    "façade",
    "Übergröße",
    "écrit",
    "niño",
    "žluťoučký",
    "λόγος",
    "привет",
    "документ",
    "日本語",
    "文書を",
    "编辑",
    "텍스트",
    "שלום",
    "e\u{301}te\u{301}",
    "🦀",
    "👩\u{200d}💻",
    "𝒳",
    "🇪🇺",
];

/// Makes a trace of `edits` edits: bursts of typing, one code point an edit, with corrections by backspace, jumps to
/// other places, selections typed over, passages moved and passages pasted. The same seed gives the same trace.
///
/// The text starts empty and reaches some tens of kilobytes for 100,000 edits.
#[must_use]
pub fn typist(seed: u64, edits: usize) -> Trace {
    let mut typist =
        Typist { random: Random::new(seed), text: GapBuffer::default(), cursor: 0, edits, done: Vec::new() };
    while !typist.is_done() {
        typist.act();
    }
    Trace { start: String::new(), end: typist.text.to_string(), edits: typist.done }
}

struct Typist {
    random: Random,
    text: GapBuffer,
    cursor: usize,
    edits: usize,
    done: Vec<Edit>,
}

impl Typist {
    fn is_done(&self) -> bool {
        self.done.len() >= self.edits
    }

    /// What people do between two thoughts. Typing dominates, as in recorded traces.
    fn act(&mut self) {
        match self.random.below(100) {
            0..=63 => self.burst(),
            64..=74 => self.correct(),
            75..=88 => self.jump(),
            89..=92 => self.type_over(),
            93..=95 => self.move_passage(),
            96..=97 => self.paste(),
            _ => self.cut(),
        }
    }

    fn burst(&mut self) {
        for _ in 0..self.random.between(1, 8) {
            let word = *self.random.pick(WORDS);
            for letter in word.chars() {
                self.key(letter);
                if self.random.chance(3) {
                    self.typo();
                }
            }
            let after = *self.random.pick(&[" ", " ", " ", " ", " ", ", ", ". ", "\n", "\n\n"]);
            after.chars().for_each(|letter| self.key(letter));
        }
    }

    fn key(&mut self, letter: char) {
        self.edit(self.cursor, 0, letter.encode_utf8(&mut [0; 4]));
    }

    /// Wrong letters, then backspace over each.
    fn typo(&mut self) {
        let count = self.random.between(1, 3);
        for _ in 0..count {
            let letter = *self.random.pick(&['e', 'r', 't', 'ñ', 'ß', '字', '🙈']);
            self.key(letter);
        }
        (0..count).for_each(|_| self.backspace());
    }

    fn correct(&mut self) {
        for _ in 0..self.random.between(1, 15) {
            self.backspace();
        }
    }

    fn backspace(&mut self) {
        if self.cursor > 0 {
            self.edit(self.cursor - 1, 1, "");
        }
    }

    /// Mostly to somewhere near, now and then anywhere, often back to the end.
    fn jump(&mut self) {
        self.cursor = match self.random.below(10) {
            0..=3 => self.text.len(),
            4..=7 => (self.cursor + self.random.below(200)).saturating_sub(100).min(self.text.len()),
            _ => self.random.below(self.text.len() + 1),
        };
    }

    /// One edit that both deletes and inserts.
    fn type_over(&mut self) {
        let (from, to) = self.selection(40);
        let word = *self.random.pick(WORDS);
        self.edit(from, to - from, word);
    }

    fn move_passage(&mut self) {
        let (from, to) = self.selection(120);
        let passage: String = self.text.slice(from, to).collect();
        self.edit(from, to - from, "");
        self.cursor = self.random.below(self.text.len() + 1);
        self.edit(self.cursor, 0, &passage);
    }

    fn paste(&mut self) {
        let words = self.random.between(20, 120);
        let mut passage = String::new();
        for _ in 0..words {
            let word = *self.random.pick(WORDS);
            passage.push_str(word);
            passage.push(' ');
        }
        self.edit(self.cursor, 0, &passage);
    }

    fn cut(&mut self) {
        let (from, to) = self.selection(60);
        self.edit(from, to - from, "");
    }

    /// A range before the cursor of at most `length` code points.
    fn selection(&mut self, length: usize) -> (usize, usize) {
        (self.cursor.saturating_sub(self.random.between(1, length)), self.cursor)
    }

    /// An edit without effect is none.
    fn edit(&mut self, at: usize, delete: usize, insert: &str) {
        if self.is_done() || (delete == 0 && insert.is_empty()) {
            return;
        }
        self.text.replace(at, delete, insert);
        self.cursor = at + insert.chars().count();
        self.done.push(Edit { at, delete, insert: insert.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_valid_and_have_everything_in_them() {
        for seed in 0..20 {
            let trace = typist(seed, 20_000);
            trace.check().unwrap();
            assert_eq!(trace.edits.len(), 20_000, "seed {seed}");
            let any = |what: fn(&Edit) -> bool| trace.edits.iter().any(what);
            assert!(any(|edit| edit.delete == 1 && edit.insert.is_empty()), "seed {seed} never corrects");
            assert!(any(|edit| edit.delete > 1 && !edit.insert.is_empty()), "seed {seed} never types over");
            assert!(any(|edit| edit.insert.len() > 100), "seed {seed} never pastes");
            assert!(trace.end.chars().any(|letter| letter.len_utf16() == 2), "seed {seed} has no astral code point");
        }
    }

    #[test]
    fn seeds_name_traces() {
        assert_eq!(typist(3, 500), typist(3, 500));
        assert_ne!(typist(3, 500), typist(4, 500));
        assert!(typist(3, 0).edits.is_empty());
        // A prefix stays a prefix: more edits continue the same story.
        assert_eq!(typist(3, 500).edits, typist(3, 700).edits[..500]);
    }
}
