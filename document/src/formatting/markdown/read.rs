//! Markdown as deltas.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::change::TextDelta;
use crate::formatting::lines::{Line, MAX_INDENT, delta};
use crate::formatting::{Attributes, safe_url};
use crate::value::Value;

/// Bytes of Markdown that are read, at most: 2 MiB.
pub const MAX_BYTES: usize = 2 << 20;

/// Marks that are open at once; what is nested deeper has no more.
const MAX_OPEN: usize = 128;

/// Why Markdown is not read.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarkdownError {
    /// More than [`MAX_BYTES`].
    #[error("{bytes} bytes of Markdown, the limit is {MAX_BYTES}")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
}

/// Reads Markdown as inserts, with the last line's break at the end. Of HTML within it only the tags that
/// [`write`](super::write) writes mean something; all else of it is left out.
///
/// # Errors
/// When it is larger than [`MAX_BYTES`].
pub fn read(markdown: &str) -> Result<Vec<TextDelta>, MarkdownError> {
    if markdown.len() > MAX_BYTES {
        return Err(MarkdownError::TooLarge { bytes: markdown.len() });
    }
    let mut reader = Reader::default();
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    for event in Parser::new_ext(markdown, options) {
        reader.event(event);
    }
    reader.end_line(false);
    Ok(delta(reader.lines))
}

#[derive(Default)]
struct Reader {
    lines: Vec<Line>,
    line: Line,
    /// Open marks: the tag that ends each, and its kind and value.
    marks: Vec<(String, String, Value)>,
    deeper: usize,
    lists: Vec<&'static str>,
    /// Lines at the start of each open item, and what it is.
    items: Vec<(usize, &'static str)>,
    quotes: usize,
    header: Option<i64>,
    code: Option<Value>,
}

impl Reader {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code.is_some() => {
                for part in text.split_inclusive('\n') {
                    let content = part.strip_suffix('\n').unwrap_or(part);
                    self.line.push(content, &Attributes::new());
                    if content.len() < part.len() {
                        self.end_line(true);
                    }
                }
            }
            Event::Text(text) => self.text(&text),
            Event::Code(text) => {
                let mut marks = self.shown();
                marks.insert("code".to_owned(), Value::Bool(true));
                self.line.push(&text, &marks);
            }
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.end_line(true),
            Event::InlineHtml(tag) => self.tag(&tag),
            Event::Html(html) => {
                let lines = html.lines().filter(|line| line.trim() == "<br>").count();
                (0..lines).for_each(|_| self.end_line(true));
            }
            Event::TaskListMarker(is_done) => {
                if let Some((_, kind)) = self.items.last_mut() {
                    *kind = if is_done { "checked" } else { "unchecked" };
                }
            }
            Event::Rule | Event::InlineMath(_) | Event::DisplayMath(_) | Event::FootnoteReference(_) => {}
        }
    }

    fn shown(&self) -> Attributes {
        let marks = self.marks.iter().filter(|(_, key, _)| !key.is_empty());
        marks.map(|(_, key, value)| (key.clone(), value.clone())).collect()
    }

    fn text(&mut self, text: &str) {
        // A line is one line, whatever an entity says.
        let text = text.replace('\n', " ");
        let marks = self.shown();
        self.line.push(&text, &marks);
    }

    fn open(&mut self, end: &str, key: &str, value: Value) {
        if self.marks.len() < MAX_OPEN {
            self.marks.push((end.to_owned(), key.to_owned(), value));
        } else {
            self.deeper += 1;
        }
    }

    fn close(&mut self, end: &str) {
        if self.deeper > 0 {
            self.deeper -= 1;
        } else if let Some(at) = self.marks.iter().rposition(|mark| mark.0 == end) {
            self.marks.remove(at);
        }
    }

    fn tag(&mut self, tag: &str) {
        let on = Value::Bool(true);
        match tag {
            "<strong>" => self.open("</strong>", "bold", on),
            "<em>" => self.open("</em>", "italic", on),
            "<u>" => self.open("</u>", "underline", on),
            "<s>" => self.open("</s>", "strike", on),
            "<sub>" => self.open("</sub>", "script", Value::from("sub")),
            "<sup>" => self.open("</sup>", "script", Value::from("super")),
            "</strong>" | "</em>" | "</u>" | "</s>" | "</sub>" | "</sup>" => self.close(tag),
            "<br>" => self.end_line(true),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        let on = Value::Bool(true);
        match tag {
            Tag::Heading { level, .. } => {
                self.end_line(false);
                self.header = Some(level as i64);
            }
            Tag::BlockQuote(_) => {
                self.end_line(false);
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.end_line(false);
                self.code = Some(match kind {
                    CodeBlockKind::Fenced(language) if !language.is_empty() && language.len() <= 64 => {
                        Value::from(&*language)
                    }
                    _ => on,
                });
            }
            Tag::List(number) => {
                // An item that has nothing but items is a line all the same.
                let is_empty = self.items.last().is_some_and(|item| item.0 == self.lines.len());
                self.end_line(is_empty);
                self.lists.push(if number.is_some() { "ordered" } else { "bullet" });
            }
            Tag::Item => {
                self.end_line(false);
                self.items.push((self.lines.len(), self.lists.last().copied().unwrap_or("bullet")));
            }
            Tag::Paragraph => self.end_line(false),
            Tag::Emphasis => self.open("*", "italic", on),
            Tag::Strong => self.open("**", "bold", on),
            Tag::Strikethrough => self.open("~~", "strike", on),
            // Without a target that may be gone to, it is a mark of no kind, for its end to take away.
            Tag::Link { dest_url, .. } => match safe_url(&dest_url) {
                Some(url) => self.open("]", "link", Value::from(url)),
                None => self.open("]", "", Value::Null),
            },
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.end_line(true);
                self.header = None;
            }
            TagEnd::Paragraph => self.end_line(false),
            TagEnd::BlockQuote(_) => {
                self.end_line(false);
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::CodeBlock => {
                self.end_line(false);
                self.code = None;
            }
            TagEnd::List(_) => {
                self.end_line(false);
                self.lists.pop();
            }
            TagEnd::Item => {
                let is_empty = self.items.last().is_some_and(|item| item.0 == self.lines.len());
                self.end_line(is_empty);
                self.items.pop();
            }
            TagEnd::Emphasis => self.close("*"),
            TagEnd::Strong => self.close("**"),
            TagEnd::Strikethrough => self.close("~~"),
            TagEnd::Link => self.close("]"),
            _ => {}
        }
    }

    /// Ends the present line if there is anything in it, or if it must be.
    fn end_line(&mut self, must: bool) {
        if !must && self.line.pieces.is_empty() {
            return;
        }
        let attributes = &mut self.line.attributes;
        if self.quotes > 0 {
            attributes.insert("blockquote".to_owned(), Value::Bool(true));
        }
        if let Some(level) = self.header {
            attributes.insert("header".to_owned(), Value::Int(level));
        }
        if let Some(code) = &self.code {
            attributes.insert("code-block".to_owned(), code.clone());
        } else if let Some((_, kind)) = self.items.last() {
            attributes.insert("list".to_owned(), Value::from(*kind));
            let indent = self.items.len().saturating_sub(1).min(MAX_INDENT);
            if indent > 0 {
                attributes.insert("indent".to_owned(), Value::Int(indent as i64));
            }
        }
        self.lines.push(std::mem::take(&mut self.line));
    }
}
