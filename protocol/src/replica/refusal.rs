//! What goes back to the application: edits that were refused and could not be made again.

use inkwire_document::batch::Edit;
use inkwire_document::{Batch, Limits, Value};

use crate::Code;

/// The most bytes of texts, keys and values that one [`Refusal`] gives back, and about what each edit costs beside them.
pub const MAX_REFUSED_BYTES: usize = 1 << 20;
const OVERHEAD_BYTES: usize = 64;

/// Edits that the relay refused, and that were taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// For people.
    pub reason: String,
    /// How many edits were taken back and are not made again.
    pub edits: u64,
    /// What they were, in order, up to [`MAX_REFUSED_BYTES`]: to be shown to whoever wrote it, or to be made again in a way that
    /// only the application knows. One edit may be several of these.
    pub content: Vec<RefusedEdit>,
    /// How many more there were than fit into `content`.
    pub omitted: u64,
}

/// A part of an edit that was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedEdit {
    /// The name of the text, map, list, set or counter.
    pub root: String,
    /// What was done there.
    pub what: RefusedContent,
}

/// What a refused edit did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RefusedContent {
    /// Text was inserted. Where is not said: what it stood beside may be gone.
    Text(String),
    /// So many characters of a text, elements of a list or additions to a set were deleted.
    Deleted(u64),
    /// A map's key was set, or removed where there is no value.
    Set {
        /// The key.
        key: String,
        /// Its value.
        value: Option<Value>,
    },
    /// Values were inserted into a list.
    Values(Vec<Value>),
    /// Members were added to a set.
    Members(Vec<Value>),
    /// An amount was added to a counter.
    Amount(i64),
    /// Text or lines were formatted; the null value takes the format away.
    Formatted {
        /// The format's name.
        key: String,
        /// Its value.
        value: Value,
    },
    /// Something of a later version.
    Unknown,
}

/// What is collected for the next [`Refusal`].
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    content: Vec<RefusedEdit>,
    bytes: usize,
    omitted: u64,
}

impl Refused {
    /// All of the batch.
    pub(super) fn push_batch(&mut self, batch: &Batch) {
        match batch.edits(&Limits::STANDARD) {
            Ok(edits) => edits.into_iter().for_each(|(root, edit)| self.push(&root, edit)),
            Err(_) => self.omitted += 1,
        }
    }

    pub(super) fn push(&mut self, root: &str, edit: Edit) {
        let deleted = |ranges: &[(_, u32)]| ranges.iter().map(|(_, length)| u64::from(*length)).sum();
        let what = match edit {
            Edit::Insert { text, .. } => RefusedContent::Text(text),
            Edit::Delete { ranges } | Edit::ListDelete { ranges } | Edit::SetRemove { ranges } => {
                RefusedContent::Deleted(deleted(&ranges))
            }
            Edit::Set { key, value, .. } => RefusedContent::Set { key, value },
            Edit::ListInsert { values, .. } => RefusedContent::Values(values),
            Edit::SetAdd { members, .. } => RefusedContent::Members(members),
            Edit::Mark { key, value, .. } | Edit::Block { key, value, .. } => RefusedContent::Formatted { key, value },
            Edit::Count { amount } => RefusedContent::Amount(amount),
            _ => RefusedContent::Unknown,
        };
        let bytes = OVERHEAD_BYTES + root.len() + what.bytes();
        if self.omitted > 0 || self.bytes + bytes > MAX_REFUSED_BYTES {
            self.omitted += 1;
            return;
        }
        self.bytes += bytes;
        self.content.push(RefusedEdit { root: root.to_owned(), what });
    }

    /// What was collected, with what `earlier` has already.
    pub(super) fn take(&mut self, (code, reason): (Code, String), edits: u64, earlier: Option<Refusal>) -> Refusal {
        let Self { content, omitted, .. } = std::mem::take(self);
        let mut refusal = Refusal { code, reason, edits, content: Vec::new(), omitted: 0 };
        if let Some(earlier) = earlier {
            refusal.edits += earlier.edits;
            (refusal.content, refusal.omitted) = (earlier.content, earlier.omitted);
        }
        let mut bytes: usize = refusal.content.iter().map(RefusedEdit::bytes).sum();
        for edit in content {
            bytes += edit.bytes();
            if refusal.omitted > 0 || bytes > MAX_REFUSED_BYTES {
                refusal.omitted += 1;
            } else {
                refusal.content.push(edit);
            }
        }
        refusal.omitted += omitted;
        refusal
    }
}

impl RefusedEdit {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.root.len() + self.what.bytes()
    }
}

impl RefusedContent {
    fn bytes(&self) -> usize {
        let values = |values: &[Value]| values.iter().map(size).sum();
        match self {
            Self::Text(text) => text.len(),
            Self::Set { key, value } => key.len() + value.as_ref().map_or(0, size),
            Self::Formatted { key, value } => key.len() + size(value),
            Self::Values(list) | Self::Members(list) => values(list),
            Self::Deleted(_) | Self::Amount(_) | Self::Unknown => 0,
        }
    }
}

/// About how many bytes a value takes.
fn size(value: &Value) -> usize {
    const ELEMENT: usize = 32;
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) => values.iter().map(|value| ELEMENT + size(value)).sum(),
        Value::Map(entries) => entries.iter().map(|(key, value)| ELEMENT + key.len() + size(value)).sum(),
        _ => ELEMENT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_back_is_bounded() {
        let insert = |text: String| Edit::Insert { first: 1, left: None, text };
        let mut refused = Refused::default();
        for _ in 0..20 {
            refused.push("body", insert("x".repeat(100_000)));
        }
        refused.push("body", insert("short".into()));
        let cause = (Code::ClockAhead, "ahead".to_owned());
        let first = refused.take(cause.clone(), 3, None);
        assert_eq!((first.edits, first.content.len(), first.omitted), (3, 10, 11), "in order, from the first on");
        refused.push("body", insert("later".into()));
        let both = refused.take(cause.clone(), 1, Some(first));
        assert_eq!((both.edits, both.content.len(), both.omitted), (4, 10, 12));
        refused.push("body", Edit::Delete { ranges: vec![] });
        let alone = refused.take(cause, 1, None);
        assert_eq!(alone.content, [RefusedEdit { root: "body".into(), what: RefusedContent::Deleted(0) }]);
    }
}
