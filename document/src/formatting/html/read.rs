//! HTML as deltas.

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};

use crate::change::TextDelta;
use crate::formatting::lines::{Line, MAX_INDENT, delta, safe_style};
use crate::formatting::{Attributes, safe_url};
use crate::value::Value;

/// Bytes of HTML that are read, at most: 2 MiB.
pub const MAX_BYTES: usize = 2 << 20;

/// Elements that are open at once; what is nested deeper is taken as if it were not in an element of its own.
const MAX_OPEN: usize = 128;

/// Why HTML is not read.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HtmlError {
    /// More than [`MAX_BYTES`].
    #[error("{bytes} bytes of HTML, the limit is {MAX_BYTES}")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
}

/// Elements whose content is not text to anybody.
const NOTHING: [&str; 17] = [
    "applet", "audio", "canvas", "embed", "frameset", "head", "iframe", "math", "noframes", "noscript", "object",
    "script", "select", "style", "svg", "template", "video",
];

/// Elements that have no end.
const VOID: [&str; 13] =
    ["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];

/// Elements that begin and end a line.
const BLOCKS: [&str; 33] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "html",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "ul",
];

/// More of them: sections and tables.
const MORE_BLOCKS: [&str; 9] = ["caption", "section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr"];

/// Reads HTML as inserts, with the last line's break at the end.
///
/// # Errors
/// When it is larger than [`MAX_BYTES`].
pub fn read(html: &str) -> Result<Vec<TextDelta>, HtmlError> {
    if html.len() > MAX_BYTES {
        return Err(HtmlError::TooLarge { bytes: html.len() });
    }
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(true);
    let mut reader = Reader::default();
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::StartTag(tag) => reader.start(&tag),
            Token::EndTag(tag) => reader.end(&lossy(&tag.name)),
            Token::String(text) => reader.text(&lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    reader.end_line(false);
    Ok(delta(reader.lines))
}

fn lossy(text: &HtmlString) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| lossy(value))
}

/// One open element, with what its content shows.
#[derive(Clone, Default)]
struct Open {
    name: String,
    marks: Attributes,
    line: Attributes,
    /// Lists that it is in.
    lists: usize,
    /// Of the innermost.
    list: &'static str,
    is_pre: bool,
    keeps_space: bool,
}

#[derive(Default)]
struct Reader {
    lines: Vec<Line>,
    line: Line,
    open: Vec<Open>,
    /// The element whose content is nothing, and how often it is open.
    skipped: Option<(String, usize)>,
    /// A space that waits for what comes after it, with what it shows.
    space: Option<Attributes>,
    /// Whether the first line break within `pre` is still to come.
    is_first: bool,
}

impl Reader {
    fn top(&self) -> Open {
        self.open.last().cloned().unwrap_or_default()
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name = lossy(&tag.name);
        if let Some((skipped, times)) = &mut self.skipped {
            *times += usize::from(*skipped == name);
            return;
        }
        if NOTHING.contains(&&*name) {
            self.skipped = Some((name, 1)).filter(|_| !tag.self_closing);
            return;
        }
        if VOID.contains(&&*name) {
            if name == "br" {
                self.end_line(true);
            }
            return;
        }
        let is_block = is_block(&name);
        if is_block {
            self.end_line(false);
            // A paragraph and an item end where the next one begins.
            if name == "p" && self.top().name == "p" || name == "li" && self.top().name == "li" {
                self.open.pop();
            }
        } else if let "td" | "th" = &*name {
            // Cells stand side by side.
            self.space = Some(self.top().marks);
        }
        if self.open.len() >= MAX_OPEN {
            return;
        }
        let mut open = self.top();
        describe(&mut open, &name, tag);
        self.is_first = name == "pre";
        open.name = name;
        self.open.push(open);
    }

    fn end(&mut self, name: &str) {
        if let Some((skipped, times)) = &mut self.skipped {
            *times -= usize::from(skipped == name);
            if *times == 0 {
                self.skipped = None;
            }
            return;
        }
        let Some(at) = self.open.iter().rposition(|open| open.name == name) else { return };
        if is_block(name) {
            self.end_line(false);
        }
        self.open.truncate(at);
    }

    fn text(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        let Open { marks, is_pre, keeps_space, .. } = self.top();
        if is_pre || keeps_space {
            let text = if self.is_first { text.strip_prefix('\n').unwrap_or(text) } else { text };
            self.is_first = false;
            self.space = None;
            for part in text.split_inclusive('\n') {
                let content = part.strip_suffix('\n').unwrap_or(part);
                self.line.push(content, &marks);
                if content.len() < part.len() {
                    self.end_line(true);
                }
            }
            return;
        }
        for (index, word) in text.split([' ', '\t', '\n', '\r', '\x0c']).enumerate() {
            if index > 0 && self.space.is_none() {
                self.space = Some(marks.clone());
            }
            if !word.is_empty() {
                if let Some(space) = self.space.take().filter(|_| !self.line.pieces.is_empty()) {
                    self.line.push(" ", &space);
                }
                self.line.push(word, &marks);
            }
        }
    }

    /// Ends the present line if there is anything in it, or if it must be.
    fn end_line(&mut self, must: bool) {
        self.space = None;
        if must || !self.line.pieces.is_empty() {
            self.line.attributes = self.top().line;
            self.lines.push(std::mem::take(&mut self.line));
        }
    }
}

fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name) || MORE_BLOCKS.contains(&name)
}

/// What an element says of its content.
fn describe(open: &mut Open, name: &str, tag: &StartTag<()>) {
    let mark = |open: &mut Open, key: &str| drop(open.marks.insert(key.to_owned(), Value::Bool(true)));
    match name {
        "b" | "strong" => mark(open, "bold"),
        "i" | "em" | "cite" | "dfn" | "var" => mark(open, "italic"),
        "u" | "ins" => mark(open, "underline"),
        "s" | "strike" | "del" => mark(open, "strike"),
        "code" | "kbd" | "samp" | "tt" if !open.is_pre => mark(open, "code"),
        "sub" | "sup" => {
            let value = if name == "sub" { "sub" } else { "super" };
            open.marks.insert("script".to_owned(), Value::from(value));
        }
        "a" => {
            if let Some(url) = attribute(tag, "href").as_deref().and_then(safe_url) {
                open.marks.insert("link".to_owned(), Value::from(url));
            }
        }
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
            open.line.insert("header".to_owned(), Value::Int(i64::from(name.as_bytes()[1] - b'0')));
        }
        "blockquote" => drop(open.line.insert("blockquote".to_owned(), Value::Bool(true))),
        "pre" => {
            open.is_pre = true;
            open.line.insert("code-block".to_owned(), Value::Bool(true));
        }
        "ul" | "ol" => {
            open.lists += 1;
            open.list = if name == "ul" { "bullet" } else { "ordered" };
        }
        "li" => {
            let said = attribute(tag, "data-list");
            let kind = match said.as_deref() {
                Some(kind @ ("bullet" | "ordered" | "checked" | "unchecked")) => kind,
                _ if open.list.is_empty() => "bullet",
                _ => open.list,
            };
            open.line.insert("list".to_owned(), Value::from(kind));
            let classes = attribute(tag, "class").unwrap_or_default();
            let class = classes.split(' ').find_map(|class| class.strip_prefix("ql-indent-")?.parse::<usize>().ok());
            let indent = class.unwrap_or(0).saturating_add(open.lists.saturating_sub(1)).min(MAX_INDENT);
            if indent > 0 {
                open.line.insert("indent".to_owned(), Value::Int(indent as i64));
            } else {
                open.line.remove("indent");
            }
        }
        _ => {}
    }
    if is_block(name) {
        if attribute(tag, "dir").is_some_and(|dir| dir.eq_ignore_ascii_case("rtl")) {
            open.line.insert("direction".to_owned(), Value::from("rtl"));
        }
        let indent = attribute(tag, "data-indent").and_then(|indent| indent.parse::<usize>().ok());
        if let Some(indent) = indent.filter(|&indent| indent > 0) {
            open.line.insert("indent".to_owned(), Value::Int(indent.min(MAX_INDENT) as i64));
        }
    }
    if let Some(style) = attribute(tag, "style") {
        style.split(';').filter_map(|rule| rule.split_once(':')).for_each(|(name, value)| styled(open, name, value));
    }
}

/// What one rule of a style says.
fn styled(open: &mut Open, property: &str, value: &str) {
    let Some(value) = safe_style(value) else { return };
    let key = match property.trim().to_ascii_lowercase().as_str() {
        "color" => "color",
        "background-color" | "background" => "background",
        "font-family" => "font",
        "font-size" => "size",
        "text-align" => {
            if let "left" | "center" | "right" | "justify" = value {
                open.line.insert("align".to_owned(), Value::from(value));
            }
            return;
        }
        "white-space" => {
            open.keeps_space = value.starts_with("pre");
            return;
        }
        "font-weight" => {
            match value {
                "bold" | "bolder" | "600" | "700" | "800" | "900" => {
                    open.marks.insert("bold".to_owned(), Value::Bool(true));
                }
                // Some editors wrap what they copy in a bold element that says that it is not.
                "normal" | "400" => drop(open.marks.remove("bold")),
                _ => {}
            }
            return;
        }
        "font-style" if value == "italic" => return drop(open.marks.insert("italic".to_owned(), Value::Bool(true))),
        "text-decoration" | "text-decoration-line" => {
            for (word, key) in [("underline", "underline"), ("line-through", "strike")] {
                if value.split(' ').any(|part| part == word) {
                    open.marks.insert(key.to_owned(), Value::Bool(true));
                }
            }
            return;
        }
        _ => return,
    };
    open.marks.insert(key.to_owned(), Value::from(value));
}
