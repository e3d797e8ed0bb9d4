//! What changed between two documents, for observers that must follow a replica that was rebuilt.

use std::collections::BTreeSet;

use inkwire_document::{Change, Delta, Document, ListDelta, Origin, TextDelta, Unit, Value};

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
    for name in old.list_names().chain(new.list_names()).collect::<BTreeSet<_>>() {
        let values = |document: &Document| document.list_values(name, 0).cloned().collect::<Vec<_>>();
        let (before, after) = (values(old), values(new));
        if before != after {
            add(name, Delta::List(replace_values(&before, &after)));
        }
    }
    for name in old.set_names().chain(new.set_names()).collect::<BTreeSet<_>>() {
        for member in old.set_members(name).filter(|member| !new.set_contains(name, member)) {
            add(name, Delta::Set { member, is_in: false });
        }
        for member in new.set_members(name).filter(|member| !old.set_contains(name, member)) {
            add(name, Delta::Set { member, is_in: true });
        }
    }
    for name in old.counter_names().chain(new.counter_names()).collect::<BTreeSet<_>>() {
        let value = new.counter_value(name);
        if value != old.counter_value(name) {
            add(name, Delta::Counter { value });
        }
    }
    changes
}

/// Keeps the common start and end, replaces what lies between.
fn replace_values(before: &[Value], after: &[Value]) -> Vec<ListDelta> {
    let start = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&before[start..], &after[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let deleted = old_rest.len() - end;
    let inserted = &new_rest[..new_rest.len() - end];
    let mut delta = Vec::with_capacity(3);
    if start > 0 {
        delta.push(ListDelta::Retain(start));
    }
    if deleted > 0 {
        delta.push(ListDelta::Delete(deleted));
    }
    if !inserted.is_empty() {
        delta.push(ListDelta::Insert(inserted.to_vec()));
    }
    delta
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
    fn the_middle_of_lists_and_what_sets_and_counters_became() {
        use ListDelta as L;
        let ints = |numbers: &[i64]| numbers.iter().copied().map(Value::Int).collect::<Vec<_>>();
        let delta = replace_values(&ints(&[1, 2, 3]), &ints(&[1, 4, 5, 3]));
        assert_eq!(delta, [L::Retain(1), L::Delete(1), L::Insert(ints(&[4, 5]))]);
        let document = |tag: &str, amount| {
            let mut document = Document::new();
            document.set_actor(inkwire_document::Actor(1), 1);
            document.set_add("tags", &Value::from(tag)).expect("an edit");
            document.counter_add("count", amount).expect("an edit");
            document
        };
        let found = changes(&document("a", 2), &document("b", 3), Unit::Utf16);
        let deltas: Vec<Delta> = found.into_iter().map(|change| change.delta).collect();
        let set = |member: &str, is_in| Delta::Set { member: Value::from(member), is_in };
        assert_eq!(deltas, [set("a", false), set("b", true), Delta::Counter { value: 3 }]);
    }

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
