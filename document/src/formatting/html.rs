//! Texts as HTML, and HTML as deltas.
//!
//! What is written is safe to put into a page: text is escaped, links go only where [`safe_url`](super::safe_url) allows, styles are
//! plain values, and no attribute but those named here comes from content. What is read is a sanitised subset: unknown
//! elements are their content, and scripts, styles and the like are nothing.
//!
//! Kinds that HTML has no element for (comments, own kinds) are left out. All others are the same after writing and reading.

mod read;

use std::fmt::Write as _;

use super::Attributes;
use super::lines::{Line, has, lines, safe_style, string};
use super::safe_url;
use crate::change::TextDelta;

pub use read::{HtmlError, MAX_BYTES, read};

/// Marks that are elements, from the outermost in.
const ELEMENTS: [(&str, &str); 5] =
    [("bold", "strong"), ("italic", "em"), ("underline", "u"), ("strike", "s"), ("code", "code")];

/// Marks that are styles.
const STYLES: [(&str, &str); 4] =
    [("color", "color"), ("background", "background-color"), ("font", "font-family"), ("size", "font-size")];

/// A delta's inserts as HTML.
pub fn write(delta: &[TextDelta]) -> String {
    let mut writer = Writer::default();
    for line in lines(delta) {
        writer.line(&line);
    }
    writer.close(0);
    writer.out
}

/// Text as it may stand between tags and in attributes.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push(character),
        }
    }
}

/// What is open around the present line.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Open {
    Quote,
    List(&'static str),
    Item,
    Code,
}

#[derive(Default)]
struct Writer {
    out: String,
    open: Vec<Open>,
}

impl Writer {
    fn push(&mut self, open: Open) {
        self.open.push(open);
        self.out.push_str(match open {
            Open::Quote => "<blockquote>",
            Open::List("ol") => "<ol>",
            Open::List(_) => "<ul>",
            Open::Item => "<li>",
            Open::Code => "<pre>",
        });
    }

    /// Closes what is open down to so many.
    fn close(&mut self, left: usize) {
        while self.open.len() > left {
            self.out.push_str(match self.open.pop() {
                Some(Open::Quote) => "</blockquote>",
                Some(Open::List("ol")) => "</ol>",
                Some(Open::List(_)) => "</ul>",
                Some(Open::Item) => "</li>",
                Some(Open::Code) | None => "</pre>",
            });
        }
    }

    fn line(&mut self, line: &Line) {
        let is_quote = line.is("blockquote");
        if (self.open.first() == Some(&Open::Quote)) != is_quote {
            self.close(0);
            if is_quote {
                self.push(Open::Quote);
            }
        }
        let outside = usize::from(is_quote);
        if line.is("code-block") && line.string("list").is_none() {
            if self.open.last() != Some(&Open::Code) {
                self.close(outside);
                self.push(Open::Code);
                // The first line break in it is no part of it.
                self.out.push('\n');
            }
            escape(&line.text(), &mut self.out);
            self.out.push('\n');
            return;
        }
        match line.string("list") {
            Some(kind) => self.item(line, kind, outside),
            None => {
                self.close(outside);
                let name = line.header().map_or("p".to_owned(), |level| format!("h{level}"));
                self.block(&name, line);
            }
        }
    }

    fn item(&mut self, line: &Line, kind: &str, outside: usize) {
        let tag = if kind == "ordered" { "ol" } else { "ul" };
        let depth = line.indent() + 1;
        if self.open.get(outside) == Some(&Open::Code) {
            self.close(outside);
        }
        // A level is a list and an item in it.
        self.close(self.open.len().min(outside + 2 * depth - 1));
        if self.open.len() == outside + 2 * depth - 1 && self.open.last() != Some(&Open::List(tag)) {
            self.close(outside + 2 * depth - 2);
        }
        while self.open.len() < outside + 2 * depth - 1 {
            let is_list = (self.open.len() - outside).is_multiple_of(2);
            self.push(if is_list { Open::List(tag) } else { Open::Item });
        }
        self.open.push(Open::Item);
        self.out.push_str("<li");
        if let "checked" | "unchecked" = kind {
            let _ = write!(self.out, " data-list=\"{kind}\"");
        }
        let inner = line.header();
        if inner.is_none() {
            self.attributes(line, true);
        }
        self.out.push('>');
        match inner {
            Some(level) => self.block(&format!("h{level}"), line),
            None => self.content(line),
        }
    }

    fn block(&mut self, name: &str, line: &Line) {
        self.out.push('<');
        self.out.push_str(name);
        self.attributes(line, line.string("list").is_some());
        self.out.push('>');
        self.content(line);
        let _ = write!(self.out, "</{name}>");
    }

    fn attributes(&mut self, line: &Line, is_item: bool) {
        let mut style = String::new();
        if let Some(align @ ("left" | "center" | "right" | "justify")) = line.string("align") {
            let _ = write!(style, "text-align:{align};");
        }
        // Spaces that a page would not show otherwise.
        let text = line.text();
        if text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") || text.contains(['\t', '\r', '\x0c']) {
            style.push_str("white-space:pre-wrap;");
        }
        if !style.is_empty() {
            let _ = write!(self.out, " style=\"{style}\"");
        }
        if line.string("direction") == Some("rtl") {
            self.out.push_str(" dir=\"rtl\"");
        }
        if !is_item && line.indent() > 0 {
            let _ = write!(self.out, " data-indent=\"{}\"", line.indent());
        }
    }

    fn content(&mut self, line: &Line) {
        if line.pieces.is_empty() {
            self.out.push_str("<br>");
        }
        line.pieces.iter().for_each(|(text, attributes)| self.piece(text, attributes));
    }

    fn piece(&mut self, text: &str, attributes: &Attributes) {
        let mut ends: Vec<&str> = Vec::new();
        if let Some(url) = string(attributes, "link").and_then(safe_url) {
            self.out.push_str("<a rel=\"noopener noreferrer\" href=\"");
            escape(url, &mut self.out);
            self.out.push_str("\">");
            ends.push("a");
        }
        let mut style = String::new();
        for (key, property) in STYLES {
            if let Some(value) = string(attributes, key).and_then(safe_style) {
                let _ = write!(style, "{property}:{value};");
            }
        }
        if !style.is_empty() {
            let _ = write!(self.out, "<span style=\"{style}\">");
            ends.push("span");
        }
        for (_, tag) in ELEMENTS.iter().filter(|(key, _)| has(attributes, key)) {
            let _ = write!(self.out, "<{tag}>");
            ends.push(tag);
        }
        let script = match string(attributes, "script") {
            Some("sub") => Some("sub"),
            Some("super") => Some("sup"),
            _ => None,
        };
        if let Some(tag) = script {
            let _ = write!(self.out, "<{tag}>");
            ends.push(tag);
        }
        escape(text, &mut self.out);
        for tag in ends.into_iter().rev() {
            let _ = write!(self.out, "</{tag}>");
        }
    }
}
