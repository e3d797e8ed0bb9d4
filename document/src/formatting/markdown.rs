//! Texts as Markdown (CommonMark with struck text and tasks), and Markdown as deltas.
//!
//! What is written is safe to be made HTML of: text is escaped, links go only where [`safe_url`](super::safe_url) allows, and of HTML
//! there are only the tags that this module writes where Markdown has no form of its own (`<u>`, `<sub>`, `<sup>`, `<br>`, and
//! `<strong>`, `<em>`, `<s>` where a delimiter would not be read as one). Colours, fonts, alignment and own kinds are left out.

mod read;

use std::fmt::Write as _;

use super::Attributes;
use super::lines::{Line, has, lines, string};
use super::safe_url;
use crate::change::TextDelta;
use crate::value::Value;

pub use read::{MAX_BYTES, MarkdownError, read};

/// Marks that are tags where they are not delimiters, from the outermost in.
const TAGS: [(&str, &str); 4] = [("bold", "strong"), ("italic", "em"), ("underline", "u"), ("strike", "s")];

/// A delta's inserts as Markdown.
pub fn write(delta: &[TextDelta]) -> String {
    let mut writer = Writer::default();
    let lines = lines(delta);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        if line.is("code-block") {
            let count = lines[at..].iter().take_while(|next| same_code(line, next)).count();
            writer.code(&lines[at..at + count]);
            at += count;
        } else {
            writer.line(line);
            at += 1;
        }
    }
    writer.out
}

fn same_code(a: &Line, b: &Line) -> bool {
    a.attributes.get("code-block") == b.attributes.get("code-block") && a.is("blockquote") == b.is("blockquote")
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Levels of lists that are open, and whether the line before is quoted.
    lists: usize,
    was_quoted: bool,
}

impl Writer {
    /// Begins a line that is of no list, apart from what is before it.
    fn begin(&mut self, is_quoted: bool) {
        if !self.out.is_empty() {
            self.out.push_str(if is_quoted && self.was_quoted { ">\n" } else { "\n" });
        }
        (self.lists, self.was_quoted) = (0, is_quoted);
        self.prefix(is_quoted);
    }

    fn prefix(&mut self, is_quoted: bool) {
        self.out.push_str(if is_quoted { "> " } else { "" });
    }

    fn code(&mut self, lines: &[Line]) {
        let is_quoted = lines.first().is_some_and(|line| line.is("blockquote"));
        let longest = lines.iter().map(|line| longest_run(&line.text(), '`')).max().unwrap_or(0);
        let fence = "`".repeat(3.max(longest + 1));
        self.begin(is_quoted);
        self.out.push_str(&fence);
        if let Some(Value::String(language)) = lines.first().and_then(|line| line.attributes.get("code-block"))
            && language.chars().all(|character| character.is_ascii_alphanumeric() || "+-#.".contains(character))
        {
            self.out.push_str(language);
        }
        self.out.push('\n');
        for line in lines {
            self.prefix(is_quoted);
            self.out.push_str(&line.text().replace('\r', " "));
            self.out.push('\n');
        }
        self.prefix(is_quoted);
        let _ = writeln!(self.out, "{fence}");
    }

    fn line(&mut self, line: &Line) {
        let is_quoted = line.is("blockquote");
        if let Some(kind) = line.string("list") {
            let depth = line.indent().min(self.lists);
            if self.lists == 0 || self.was_quoted != is_quoted {
                self.begin(is_quoted);
            } else {
                self.prefix(is_quoted);
            }
            let depth = if self.lists == 0 { 0 } else { depth };
            self.lists = depth + 1;
            self.out.push_str(&"    ".repeat(depth));
            self.out.push_str(match kind {
                "ordered" => "1. ",
                "checked" => "- [x] ",
                "unchecked" => "- [ ] ",
                _ => "- ",
            });
        } else {
            self.begin(is_quoted);
        }
        if line.pieces.is_empty() && line.header().is_none() {
            // An empty item below text would make a heading of it, and a break alone would take in what follows.
            self.out.push_str(if self.lists > 0 { "<u></u>" } else { "<br>" });
        }
        if let Some(level) = line.header() {
            let _ = write!(self.out, "{} ", "#".repeat(level as usize));
        }
        self.content(line);
        self.out.push('\n');
    }

    fn content(&mut self, line: &Line) {
        let start = self.out.len();
        for (index, (text, attributes)) in line.pieces.iter().enumerate() {
            let next = line.pieces.get(index + 1).map(|next| &next.1);
            self.piece(text, attributes, start, next);
        }
        // Spaces at the ends of a line are none of its content.
        let line = &self.out[start..];
        let leading = line.len() - line.trim_start_matches([' ', '\t']).len();
        let trailing = line.len() - line.trim_end_matches([' ', '\t']).len();
        let entity = |spaces: &str| spaces.replace(' ', "&#32;").replace('\t', "&#9;");
        if leading == line.len() {
            let all = entity(line);
            self.out.replace_range(start.., &all);
        } else {
            let end = self.out.len() - trailing;
            let after = entity(&self.out[end..]);
            self.out.replace_range(end.., &after);
            let before = entity(&self.out[start..start + leading]);
            self.out.replace_range(start..start + leading, &before);
        }
    }

    fn piece(&mut self, text: &str, attributes: &Attributes, start: usize, next: Option<&Attributes>) {
        let link = string(attributes, "link").and_then(safe_url);
        if link.is_some() {
            self.out.push('[');
        }
        let marks: Vec<&(&str, &str)> = TAGS.iter().filter(|(key, _)| has(attributes, key)).collect();
        let script = match string(attributes, "script") {
            Some("sub") => Some("sub"),
            Some("super") => Some("sup"),
            _ => None,
        };
        let is_code = has(attributes, "code");
        let delimiter = match marks[..] {
            [("bold", _)] => "**",
            [("italic", _)] => "*",
            [("strike", _)] => "~~",
            [("bold", _), ("italic", _)] => "***",
            _ => "",
        };
        // Delimiters are read as such where a word begins and ends, and where no other delimiter is beside them.
        let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        let before = self.out[start..].chars().next_back();
        let is_apart = before.is_none_or(|before| before == ' ' || is_word(Some(before)) && delimiter != "~~");
        let is_free = next.is_none_or(|next| next.is_empty());
        let is_delimited = !delimiter.is_empty()
            && !is_code
            && script.is_none()
            && link.is_none()
            && is_apart
            && is_free
            && is_word(text.chars().next())
            && is_word(text.chars().next_back())
            && (delimiter != "~~" || before.is_none_or(|before| before == ' '));
        let tags: Vec<&str> = marks.iter().map(|(_, tag)| *tag).chain(script).collect();
        if is_delimited {
            self.out.push_str(delimiter);
        } else {
            for tag in &tags {
                let _ = write!(self.out, "<{tag}>");
            }
        }
        if is_code {
            self.code_span(text);
        } else {
            self.text(text, start);
        }
        if is_delimited {
            self.out.push_str(delimiter);
        } else {
            for tag in tags.iter().rev() {
                let _ = write!(self.out, "</{tag}>");
            }
        }
        if let Some(url) = link {
            self.out.push_str("](<");
            for character in url.chars() {
                match character {
                    '<' => self.out.push_str("%3C"),
                    '>' => self.out.push_str("%3E"),
                    '\\' => self.out.push_str("%5C"),
                    '&' => self.out.push_str("&amp;"),
                    _ => self.out.push(character),
                }
            }
            self.out.push_str(">)");
        }
    }

    fn code_span(&mut self, text: &str) {
        let fence = "`".repeat(longest_run(text, '`') + 1);
        let text = text.replace('\r', " ");
        let is_padded = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
        let pad = if is_padded && !text.chars().all(|character| character == ' ') { " " } else { "" };
        let _ = write!(self.out, "{fence}{pad}{text}{pad}{fence}");
    }

    fn text(&mut self, text: &str, start: usize) {
        // Of an item's number at most nine digits count.
        let before = &self.out.as_bytes()[start..];
        let mut is_first = before.len() < 10 && before.iter().all(u8::is_ascii_digit);
        for character in text.chars() {
            let is_start = is_first;
            is_first &= character.is_ascii_digit();
            match character {
                '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|' | '$' | '!' => {
                    self.out.push('\\');
                    self.out.push(character);
                }
                // What would begin a heading, an item, a rule, or an underline that makes a heading of the line before.
                '#' | '+' | '-' | '=' | '.' | ')' | ':' if is_start => {
                    self.out.push('\\');
                    self.out.push(character);
                }
                // The last of a heading's line would be taken for its end.
                '#' => self.out.push_str("\\#"),
                '\r' => self.out.push_str("&#13;"),
                '\t' => self.out.push_str("&#9;"),
                _ => self.out.push(character),
            }
        }
    }
}

fn longest_run(text: &str, of: char) -> usize {
    text.split(|character| character != of).map(str::len).max().unwrap_or(0)
}
