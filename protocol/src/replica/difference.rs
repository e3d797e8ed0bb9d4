//! What changed between two documents, for observers that must follow a replica that was rebuilt.

use std::collections::BTreeSet;

use inkwire_document::{Change, Delta, Document, Origin, TextDelta, Unit};

/// The changes that turn what `old` shows into what `new` shows: for each text one replacement of its middle.
pub(super) fn changes(old: &Document, new: &Document, unit: Unit) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |root: &str, delta| {
        changes.push(Change { root: root.to_owned(), origin: Origin::Remote, delta });
    };
    for name in old.text_names().chain(new.text_names()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.text(name).to_string(), new.text(name).to_string());
        if before != after {
            add(name, Delta::Text(replace_middle(&before, &after, unit)));
        }
    }
    for name in old.map_names().chain(new.map_names()).collect::<BTreeSet<_>>() {
        for (key, value) in new.map_entries(name) {
            if old.map_get(name, key) != Some(value) {
                add(name, Delta::Map { key: key.to_owned(), value: Some(value.clone()) });
            }
        }
        for (key, _) in old.map_entries(name) {
            if new.map_get(name, key).is_none() {
                add(name, Delta::Map { key: key.to_owned(), value: None });
            }
        }
    }
    changes
}

/// Keeps the common start and end, replaces what lies between.
fn replace_middle(before: &str, after: &str, unit: Unit) -> Vec<TextDelta> {
    let length = |text: &str| match unit {
        Unit::Scalar => text.chars().count(),
        Unit::Utf16 => text.encode_utf16().count(),
    };
    let same_start = before.chars().zip(after.chars()).take_while(|(a, b)| a == b);
    let start: usize = same_start.map(|(a, _)| a.len_utf8()).sum();
    let (old_rest, new_rest) = (&before[start..], &after[start..]);
    let same_end = old_rest.chars().rev().zip(new_rest.chars().rev()).take_while(|(a, b)| a == b);
    let end: usize = same_end.map(|(a, _)| a.len_utf8()).sum();
    let deleted = &old_rest[..old_rest.len() - end];
    let inserted = &new_rest[..new_rest.len() - end];
    let mut delta = Vec::with_capacity(3);
    if start > 0 {
        delta.push(TextDelta::Retain(length(&before[..start])));
    }
    if !deleted.is_empty() {
        delta.push(TextDelta::Delete(length(deleted)));
    }
    if !inserted.is_empty() {
        delta.push(TextDelta::Insert(inserted.to_owned()));
    }
    delta
}

#[cfg(test)]
mod tests {
    use super::*;
    use TextDelta::{Delete, Insert, Retain};

    #[test]
    fn the_middle_is_replaced_on_character_boundaries() {
        let cases: [(&str, &str, Vec<TextDelta>); 5] = [
            ("abc", "abXc", vec![Retain(2), Insert("X".into())]),
            ("aaa", "aa", vec![Retain(2), Delete(1)]),
            ("", "new", vec![Insert("new".into())]),
            ("x😀y", "x😁y", vec![Retain(1), Delete(2), Insert("😁".into())]),
            ("é", "è", vec![Delete(1), Insert("è".into())]),
        ];
        for (before, after, expected) in cases {
            assert_eq!(replace_middle(before, after, Unit::Utf16), expected, "{before} → {after}");
        }
    }
}
