//! What changed between two documents, for observers that must follow a replica that was rebuilt.

use inkwire_document::ordered::OrderedMap;
use inkwire_document::{Attributes, Change, Delta, Document, ListDelta, Origin, TextDelta, Unit, Value};

/// The changes that turn what `old` shows into what `new` shows: for each text one replacement of its middle.
pub(super) fn changes(old: &Document, new: &Document, unit: Unit) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut add = |root: &str, delta| {
        changes.push(Change { root: root.to_owned(), origin: Origin::Remote, delta });
    };
    for (name, ()) in each_once(old.text_names().chain(new.text_names())) {
        let (before, after) = (old.text(name).to_delta(), new.text(name).to_delta());
        if before != after {
            add(name, Delta::Text(replace_middle(&before, &after, unit)));
        }
    }
    for (name, ()) in each_once(old.map_names().chain(new.map_names())) {
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
    for (name, ()) in each_once(old.list_names().chain(new.list_names())) {
        let values = |document: &Document| document.list_values(name, 0).cloned().collect::<Vec<_>>();
        let (before, after) = (values(old), values(new));
        if before != after {
            add(name, Delta::List(replace_values(&before, &after)));
        }
    }
    for (name, ()) in each_once(old.set_names().chain(new.set_names())) {
        for member in old.set_members(name).filter(|member| !new.set_contains(name, member)) {
            add(name, Delta::Set { member, is_in: false });
        }
        for member in new.set_members(name).filter(|member| !old.set_contains(name, member)) {
            add(name, Delta::Set { member, is_in: true });
        }
    }
    for (name, ()) in each_once(old.counter_names().chain(new.counter_names())) {
        let value = new.counter_value(name);
        if value != old.counter_value(name) {
            add(name, Delta::Counter { value });
        }
    }
    changes
}

/// Names in order, each once.
fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> OrderedMap<&'a str, ()> {
    names.map(|name| (name, ())).collect()
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

/// A text's characters with what each shows.
fn characters(delta: &[TextDelta]) -> Vec<(char, &Attributes)> {
    let inserts = delta.iter().filter_map(|step| match step {
        TextDelta::Insert(text, attributes) => Some(text.chars().map(move |character| (character, attributes))),
        _ => None,
    });
    inserts.flatten().collect()
}

/// Keeps the common start and end, replaces what lies between. Of the last line's break, which is not in the text, only
/// what it shows changes.
fn replace_middle(before: &[TextDelta], after: &[TextDelta], unit: Unit) -> Vec<TextDelta> {
    let length = |characters: &[(char, &Attributes)]| match unit {
        Unit::Scalar => characters.len(),
        Unit::Utf16 => characters.iter().map(|(character, _)| character.len_utf16()).sum(),
    };
    let (mut old, mut new) = (characters(before), characters(after));
    let (old_end, new_end) = (old.pop(), new.pop());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let deleted = &old_rest[..old_rest.len() - end];
    let inserted = &new_rest[..new_rest.len() - end];
    let mut delta = Vec::with_capacity(3);
    if start > 0 {
        delta.push(TextDelta::retain(length(&old[..start])));
    }
    if !deleted.is_empty() {
        delta.push(TextDelta::Delete(length(deleted)));
    }
    for &(character, attributes) in inserted {
        match delta.last_mut() {
            Some(TextDelta::Insert(text, shown)) if shown == attributes => text.push(character),
            _ => delta.push(TextDelta::Insert(character.to_string(), attributes.clone())),
        }
    }
    if let (Some((_, old)), Some((_, new))) = (old_end, new_end)
        && old != new
    {
        let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let written = new.iter().filter(|(key, value)| old.get(*key) != Some(value));
        let shown = removed.chain(written.map(|(key, value)| (key.clone(), value.clone()))).collect();
        if end > 0 {
            delta.push(TextDelta::retain(length(&new_rest[new_rest.len() - end..])));
        }
        delta.push(TextDelta::Retain(1, shown));
    }
    delta
}

#[cfg(test)]
mod tests {
    use super::*;
    use TextDelta::{Delete, Retain};

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
        let (insert, retain) = (|text: &str| TextDelta::insert(text), TextDelta::retain);
        let cases: [(&str, &str, Vec<TextDelta>); 5] = [
            ("abc", "abXc", vec![retain(2), insert("X")]),
            ("aaa", "aa", vec![retain(2), Delete(1)]),
            ("", "new", vec![insert("new")]),
            ("x😀y", "x😁y", vec![retain(1), Delete(2), insert("😁")]),
            ("é", "è", vec![Delete(1), insert("è")]),
        ];
        let whole = |text: &str| [TextDelta::insert(format!("{text}\n"))];
        for (before, after, expected) in cases {
            assert_eq!(replace_middle(&whole(before), &whole(after), Unit::Utf16), expected, "{before} → {after}");
        }
    }

    #[test]
    fn what_is_shown_is_part_of_it() {
        let shows = |key: &str| Attributes::from([(key.to_owned(), Value::Bool(true))]);
        let plain = [TextDelta::insert("ab😀\n")];
        let formatted = [
            TextDelta::insert("a"),
            TextDelta::Insert("b".into(), shows("bold")),
            TextDelta::insert("😀"),
            TextDelta::Insert("\n".into(), shows("header")),
        ];
        let middle = [TextDelta::retain(1), Delete(1), TextDelta::Insert("b".into(), shows("bold"))];
        let end = |value| [TextDelta::retain(2), Retain(1, Attributes::from([("header".to_owned(), value)]))];
        let expected = middle.iter().cloned().chain(end(Value::Bool(true))).collect::<Vec<_>>();
        assert_eq!(replace_middle(&plain, &formatted, Unit::Utf16), expected);
        let back = [TextDelta::retain(1), Delete(1), TextDelta::insert("b")].into_iter().chain(end(Value::Null));
        assert_eq!(replace_middle(&formatted, &plain, Unit::Utf16), back.collect::<Vec<_>>());
    }
}
