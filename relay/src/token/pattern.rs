//! Which documents a grant names: `*` for one segment, `**` for any number of them.

use std::fmt;
use std::str::FromStr;

/// The longest pattern a grant may hold, in bytes: a document's name has at most 256.
pub const MAX_PATTERN_BYTES: usize = 512;

/// A pattern of document names.
///
/// Names and patterns are paths split at `/`. A segment of `*` stands for exactly one segment and `**` for any number of
/// them, also none; at the end of a pattern `**` stands for at least one, so that `acme/**` names what is inside `acme` and
/// not `acme` itself. Everything else stands for itself: a `*` beside other characters has no special meaning, which can
/// only make a grant smaller than its author hoped, never larger.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Literal(String),
    One,
    Any,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// It has no characters.
    #[error("a document pattern is empty")]
    Empty,
    /// It is longer than [`MAX_PATTERN_BYTES`].
    #[error("a document pattern has {bytes} bytes, at most {MAX_PATTERN_BYTES} are allowed")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// One of its segments is empty, which no document's name can match.
    #[error("the document pattern {pattern:?} has an empty segment")]
    EmptySegment {
        /// The pattern as given.
        pattern: String,
    },
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong { bytes: text.len() });
        }
        let mut segments = Vec::new();
        for segment in text.split('/') {
            segments.push(match segment {
                "" => {
                    return Err(PatternError::EmptySegment { pattern: text.to_owned() });
                }
                "*" => Segment::One,
                "**" => Segment::Any,
                literal => Segment::Literal(literal.to_owned()),
            });
        }
        // `**/**` names what one of them does, except at the end, where the last one asks for a segment of its own: what is
        // left of the others there is `*` for none of them.
        segments.dedup_by(|next, previous| *next == Segment::Any && *previous == Segment::Any);
        Ok(Self { segments })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                formatter.write_str("/")?;
            }
            formatter.write_str(match segment {
                Segment::Literal(literal) => literal,
                Segment::One => "*",
                Segment::Any => "**",
            })?;
        }
        Ok(())
    }
}

impl Pattern {
    /// Whether the pattern names `document`. Takes time in proportion to the product of both lengths at most, whatever the
    /// pattern.
    pub fn matches(&self, document: &str) -> bool {
        let names: Vec<&str> = document.split('/').collect();
        // The usual matching with one point to return to: when a later part fails, only the last `**` may take more.
        let (mut pattern, mut name) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while name < names.len() {
            let matched = match self.segments.get(pattern) {
                Some(Segment::Literal(literal)) => literal == names[name],
                Some(Segment::One) => true,
                Some(Segment::Any) if pattern + 1 == self.segments.len() => return true,
                Some(Segment::Any) => {
                    retry = Some((pattern, name));
                    pattern += 1;
                    continue;
                }
                None => false,
            };
            if matched {
                pattern += 1;
                name += 1;
            } else if let Some((any, taken)) = retry {
                retry = Some((any, taken + 1));
                pattern = any + 1;
                name = taken + 1;
            } else {
                return false;
            }
        }
        // A trailing `**` asks for one more segment, and there is none.
        pattern == self.segments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_the_documents_of_the_table() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("**", &["a", "a/b", "a/b/c", "*", "**"], &[]),
            ("*", &["a", "ä"], &["a/b"]),
            ("acme/**", &["acme/a", "acme/a/b"], &["acme", "acmé/a", "other/a", "acmes/a"]),
            ("acme/*", &["acme/a"], &["acme", "acme/a/b", "other/a"]),
            ("acme/*/plan", &["acme/x/plan"], &["acme/plan", "acme/x/y/plan", "acme/x/plans"]),
            ("**/plan", &["plan", "a/plan", "a/b/plan", "plan/plan"], &["plan/a", "aplan"]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/c/z", "a/z/z"], &["a", "z", "a/z/y", "ab/z"]),
            ("**/m/**", &["m/a", "a/m/b", "a/b/m/c/d", "m/m"], &["m", "a/m", "a/b"]),
            ("**/a/*/b", &["a/x/b", "a/a/x/b", "a/x/a/y/b"], &["a/b", "a/x/y/b"]),
            ("ac*e", &["ac*e"], &["acme", "ace"]),
            ("exact/name", &["exact/name"], &["exact/names", "exact", "exact/name/more"]),
            ("a/**/**/z", &["a/z", "a/b/c/z"], &["a"]),
        ];
        for (pattern, named, others) in table {
            let parsed: Pattern = pattern.parse().unwrap();
            for document in *named {
                assert!(parsed.matches(document), "{pattern} names {document}");
            }
            for document in *others {
                assert!(!parsed.matches(document), "{pattern} does not name {document}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "/", "a//b", "/a", "a/"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
        assert!(matches!("a".repeat(MAX_PATTERN_BYTES + 1).parse::<Pattern>(), Err(PatternError::TooLong { .. })));
    }

    #[test]
    fn a_hostile_pattern_costs_no_exponential_time() {
        let pattern: Pattern = vec!["**/a"; 60].join("/").parse().unwrap();
        let document = vec!["a"; 59].join("/");
        assert!(!pattern.matches(&document));
    }
}
