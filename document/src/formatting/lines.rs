//! A delta's inserts as lines, for formats that are made of blocks; and what links and styles may say.

use super::Attributes;
use crate::change::TextDelta;
use crate::value::Value;

/// Levels that lists are nested in, at most; what is deeper counts as the deepest.
pub(super) const MAX_INDENT: usize = 16;

/// One line: what is in it, and its attributes.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Line {
    pub(super) pieces: Vec<(String, Attributes)>,
    pub(super) attributes: Attributes,
}

impl Line {
    pub(super) fn push(&mut self, text: &str, attributes: &Attributes) {
        match self.pieces.last_mut() {
            Some((last, shown)) if shown == attributes => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.pieces.push((text.to_owned(), attributes.clone())),
        }
    }

    /// Its text without formatting.
    pub(super) fn text(&self) -> String {
        self.pieces.iter().map(|(text, _)| text.as_str()).collect()
    }

    pub(super) fn string(&self, key: &str) -> Option<&str> {
        string(&self.attributes, key)
    }

    /// Levels of a heading, from 1 to 6.
    pub(super) fn header(&self) -> Option<i64> {
        match self.attributes.get("header") {
            Some(Value::Int(level)) => Some((*level).clamp(1, 6)),
            _ => None,
        }
    }

    pub(super) fn indent(&self) -> usize {
        match self.attributes.get("indent") {
            Some(Value::Int(indent)) => usize::try_from(*indent).unwrap_or(0).min(MAX_INDENT),
            _ => 0,
        }
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.attributes.get(key).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    }
}

pub(super) fn string<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a str> {
    match attributes.get(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Whether a mark that is there or not is there.
pub(super) fn has(attributes: &Attributes, key: &str) -> bool {
    attributes.get(key).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

/// The lines of a delta; what it retains or deletes is passed over.
pub(super) fn lines(delta: &[TextDelta]) -> Vec<Line> {
    let (mut lines, mut line) = (Vec::new(), Line::default());
    for step in delta {
        let TextDelta::Insert(text, attributes) = step else { continue };
        for part in text.split_inclusive('\n') {
            let content = part.strip_suffix('\n').unwrap_or(part);
            line.push(content, attributes);
            if content.len() < part.len() {
                line.attributes = attributes.clone();
                lines.push(std::mem::take(&mut line));
            }
        }
    }
    if !line.pieces.is_empty() {
        lines.push(line);
    }
    lines
}

/// The delta of lines; without any it is one empty line.
pub(super) fn delta(lines: Vec<Line>) -> Vec<TextDelta> {
    let mut delta: Vec<TextDelta> = Vec::new();
    let mut push = |text: &str, attributes: &Attributes| match delta.last_mut() {
        Some(TextDelta::Insert(last, shown)) if shown == attributes => last.push_str(text),
        _ => delta.push(TextDelta::Insert(text.to_owned(), attributes.clone())),
    };
    for line in &lines {
        line.pieces.iter().for_each(|(text, attributes)| push(text, attributes));
        push("\n", &line.attributes);
    }
    if lines.is_empty() {
        push("\n", &Attributes::new());
    }
    delta
}

/// Bytes of a link's target, at most.
const MAX_URL: usize = 8 * 1024;

/// A link's target if it is one that runs nothing: `http`, `https`, `mailto`, `tel`, or relative to the page. Browsers
/// pass over control characters and spaces where they look for the scheme, so targets with any are none.
pub fn safe_url(url: &str) -> Option<&str> {
    let url = url.trim_matches(|character: char| character <= ' ');
    if url.is_empty() || url.len() > MAX_URL || url.chars().any(|character| character.is_control()) {
        return None;
    }
    let scheme = url.find([':', '/', '?', '#']).filter(|&at| url.as_bytes()[at] == b':').map(|at| &url[..at]);
    let is_allowed =
        |scheme: &str| ["http", "https", "mailto", "tel"].iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed));
    if scheme.is_none_or(is_allowed) { Some(url) } else { None }
}

/// A style's value if it is a plain one: a colour, a size, a font's name. No strings, no functions but of colours.
pub(super) fn safe_style(value: &str) -> Option<&str> {
    let value = value.trim();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "#,.%() -".contains(character);
    let colour = ["rgb(", "rgba(", "hsl(", "hsla("].iter().any(|name| value.starts_with(name));
    let is_safe = !value.is_empty()
        && value.len() <= 64
        && value.chars().all(is_plain)
        && value.matches('(').count() <= usize::from(colour);
    is_safe.then_some(value)
}
