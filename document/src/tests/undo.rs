//! Undo and redo: one's own edits, and nobody else's.

use super::encodings::{apply_all, writer};
use super::histories::edit_containers;
use super::random::{Random, for_seeds};
use crate::{
    Attributes, Document, HybridTime, Origin, Position, RootType, Snapshot, TextDelta, UndoOptions, Undone,
    UndonePlace, Unit, Value,
};

const NOW: HybridTime = HybridTime::from_millis(7);

fn tracking(actor: u64) -> Document {
    let mut document = writer(actor);
    document.track_undo(Some(UndoOptions::default()));
    document
}

fn undo(document: &mut Document) -> bool {
    document.undo(NOW).unwrap().is_some()
}

fn redo(document: &mut Document) -> bool {
    document.redo(NOW).unwrap().is_some()
}

/// What a document shows.
#[derive(Clone, PartialEq, Debug)]
struct Shown {
    text: Vec<TextDelta>,
    list: Vec<Value>,
    map: Vec<(String, Value)>,
    set: Vec<Value>,
    counter: i64,
}

fn shown(document: &Document) -> Shown {
    Shown {
        text: document.text("body").to_delta(),
        list: document.list_values("items", 0).cloned().collect(),
        map: document.map_entries("meta").map(|(key, value)| (key.to_owned(), value.clone())).collect(),
        set: document.set_members("tags").collect(),
        counter: document.counter_value("count"),
    }
}

/// One of few kinds, and one of few values or none.
fn formatting<'a>(random: &mut Random, kinds: &[&'a str]) -> (&'a str, Value) {
    (*random.pick(kinds), [Value::Null, Value::Int(1), Value::Int(2)][random.below(3)].clone())
}

fn edit(random: &mut Random, document: &mut Document) {
    let length = document.text("body").len_scalars();
    let key = *random.pick(&["a", "b"]);
    match random.below(14) {
        9..=11 => {
            let (kind, value) = formatting(random, &["bold", "link", "color"]);
            let at = random.below(length + 1);
            document.mark("body", Position::Scalar(at), random.below(6).min(length - at), kind, value, NOW).unwrap();
        }
        12 | 13 => {
            let (key, value) = formatting(random, &["header", "list"]);
            let at = random.below(length + 1);
            document
                .set_block("body", Position::Scalar(at), random.below(6).min(length - at), key, value, NOW)
                .unwrap();
        }
        0..=2 => {
            let at = if random.chance(50) { length } else { random.below(length + 1) };
            document.insert("body", Position::Scalar(at), &random.text(4)).unwrap();
        }
        3 | 4 => {
            let at = random.below(length + 1);
            document.delete("body", Position::Scalar(at), random.below(4).min(length - at)).unwrap();
        }
        5 => document.map_set("meta", key, Value::Int(random.below(9) as i64), NOW).unwrap(),
        6 => document.map_delete("meta", key, NOW).unwrap(),
        _ => edit_containers(random, document),
    }
}

/// What nobody else takes part in goes back to what it was, and forth again, as often as one likes.
#[test]
fn back_and_forth_alone() {
    for_seeds(300, |seed| {
        let mut random = Random(seed);
        let mut document = tracking(3);
        let mut states = vec![shown(&document)];
        let mut at = 0;
        for _ in 0..60 {
            match random.below(8) {
                0..=4 => {
                    document.undo_break();
                    let before = document.undo_len();
                    (0..1 + random.below(4)).for_each(|_| edit(&mut random, &mut document));
                    if document.undo_len() > before {
                        at += 1;
                        states.truncate(at);
                        states.push(shown(&document));
                    }
                }
                5 | 6 => at = moved(&states, at, undo(&mut document), &shown(&document), |at| at - 1),
                _ => at = moved(&states, at, redo(&mut document), &shown(&document), |at| at + 1),
            }
            assert_eq!(shown(&document), states[at]);
            if random.chance(20) {
                document.take_batches();
            }
        }
        while undo(&mut document) {
            at = moved(&states, at, true, &shown(&document), |at| at - 1);
        }
        assert_eq!(shown(&document), states[0], "all the way back");
        while redo(&mut document) {
            at = moved(&states, at, true, &shown(&document), |at| at + 1);
        }
        assert_eq!(shown(&document), states[states.len() - 1], "and forth");
    });
}

/// Which state follows: the next one, or where that changed nothing the one after it.
fn moved(states: &[Shown], at: usize, did: bool, now: &Shown, next: impl Fn(usize) -> usize) -> usize {
    let mut found = at;
    while did && (found == at || *now != states[found]) {
        assert_eq!(states[found], states[at], "one group at a time, not {now:?}");
        found = next(found);
    }
    found
}

/// Each types letters of its own, and deletes its own alone: then an undo changes no letter of another.
#[test]
fn others_stay_as_they_are() {
    for_seeds(200, |seed| {
        let mut random = Random(seed);
        let mut documents: Vec<Document> = (1..=3).map(tracking).collect();
        let letters = |document: &Document, of: usize| -> String {
            let letter = ['a', 'b', 'c'][of];
            document.text("body").to_string().chars().filter(|&character| character == letter).collect()
        };
        let mut log = Vec::new();
        for _ in 0..80 {
            let at = random.below(3);
            let document = &mut documents[at];
            let text: Vec<char> = document.text("body").to_string().chars().collect();
            match random.below(8) {
                0..=2 => {
                    let letters = ["a", "b", "c"][at].repeat(1 + random.below(3));
                    document.insert("body", Position::Scalar(random.below(text.len() + 1)), &letters).unwrap();
                }
                3 => {
                    let own = (0..text.len()).filter(|&index| text[index] == ['a', 'b', 'c'][at]);
                    let own: Vec<usize> = own.collect();
                    if !own.is_empty() {
                        document.delete("body", Position::Scalar(*random.pick(&own)), 1).unwrap();
                    }
                }
                action @ 4..=6 => {
                    let before = [letters(document, (at + 1) % 3), letters(document, (at + 2) % 3)];
                    let _ = if action == 6 { redo(document) } else { undo(document) };
                    assert_eq!([letters(document, (at + 1) % 3), letters(document, (at + 2) % 3)], before);
                }
                _ => log.iter().for_each(|batch| assert!(document.apply(batch).is_ok())),
            }
            document.undo_break();
            log.extend(document.take_batches());
        }
        for document in &mut documents {
            log.iter().for_each(|batch| assert!(document.apply(batch).is_ok()));
        }
        // Whoever undoes all leaves no letter of its own.
        let document = &mut documents[0];
        let before = [letters(document, 1), letters(document, 2)];
        while undo(document) {}
        assert_eq!(
            [letters(document, 0), letters(document, 1), letters(document, 2)],
            [String::new(), before[0].clone(), before[1].clone()]
        );
        let snapshot = {
            log.extend(documents[0].take_batches());
            documents[0].snapshot()
        };
        for document in &mut documents {
            log.iter().for_each(|batch| assert!(document.apply(batch).is_ok()));
            assert_eq!(document.snapshot(), snapshot);
        }
    });
}

/// Two who have the same, where the first undoes.
fn pair() -> (Document, Document) {
    (tracking(1), writer(2))
}

fn exchange(one: &mut Document, two: &mut Document) {
    let (ours, theirs) = (one.take_batches(), two.take_batches());
    apply_all(one, &theirs);
    apply_all(two, &ours);
    one.undo_break();
}

fn at(scalar: usize) -> Position {
    Position::Scalar(scalar)
}

#[test]
fn an_insert_goes_as_far_as_it_is_still_there() {
    let (mut one, mut two) = pair();
    one.insert("body", at(0), "hello world").unwrap();
    exchange(&mut one, &mut two);
    two.insert("body", at(5), " big").unwrap();
    two.delete("body", at(0), 1).unwrap();
    exchange(&mut one, &mut two);
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert_eq!(two.text("body").to_string(), " big");
    assert!(redo(&mut one));
    exchange(&mut one, &mut two);
    assert_eq!(
        (one.text("body").to_string(), two.text("body").to_string().as_str()),
        ("ello big world".into(), "ello big world")
    );
}

#[test]
fn a_deletion_comes_back_where_it_was_and_not_what_another_deleted() {
    let (mut one, mut two) = pair();
    one.insert("body", at(0), "abcdef").unwrap();
    exchange(&mut one, &mut two);
    one.delete("body", at(1), 4).unwrap();
    // At the same time: within what goes, and one of the same characters.
    two.insert("body", at(3), "X").unwrap();
    two.delete("body", at(1), 1).unwrap();
    exchange(&mut one, &mut two);
    assert_eq!(one.text("body").to_string(), "aXf");
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert_eq!((one.text("body").to_string().as_str(), two.text("body").to_string().as_str()), ("acXdef", "acXdef"));
    // The insert before it goes with the characters that came back.
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert_eq!(two.text("body").to_string(), "X");
}

#[test]
fn neighbours_that_went_one_after_the_other_come_back_in_order() {
    for order in [[1, 1], [2, 1]] {
        let mut document = tracking(1);
        document.insert("body", at(0), "abcd").unwrap();
        for index in order {
            document.undo_break();
            document.delete("body", at(index), 1).unwrap();
        }
        assert_eq!(document.text("body").to_string(), "ad");
        (0..2).for_each(|_| assert!(undo(&mut document)));
        assert_eq!(document.text("body").to_string(), "abcd", "{order:?}");
    }
}

#[test]
fn a_key_is_given_back_only_while_it_is_ones_own() {
    let (mut one, mut two) = pair();
    two.map_set("meta", "k", Value::from("theirs"), NOW).unwrap();
    exchange(&mut one, &mut two);
    one.map_set("meta", "k", Value::from("mine"), NOW).unwrap();
    exchange(&mut one, &mut two);
    assert!(undo(&mut one));
    assert_eq!(one.map_get("meta", "k"), Some(&Value::from("theirs")));
    assert!(redo(&mut one));
    assert_eq!(one.map_get("meta", "k"), Some(&Value::from("mine")));
    exchange(&mut one, &mut two);
    two.map_set("meta", "k", Value::from("after"), NOW).unwrap();
    exchange(&mut one, &mut two);
    assert!(!undo(&mut one), "another wrote it since");
    assert_eq!(one.map_get("meta", "k"), Some(&Value::from("after")));
    assert_eq!(one.take_batches(), []);
}

#[test]
fn members_go_and_come_back_by_ones_own_additions() {
    let (mut one, mut two) = pair();
    let tag = Value::from("tag");
    one.set_add("tags", &tag).unwrap();
    two.set_add("tags", &tag).unwrap();
    exchange(&mut one, &mut two);
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert!(one.set_contains("tags", &tag), "another added it as well");
    one.set_remove("tags", &tag).unwrap();
    exchange(&mut one, &mut two);
    assert!(!two.set_contains("tags", &tag));
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert!(two.set_contains("tags", &tag));
    // Both remove it at once: then it stays out.
    one.set_remove("tags", &tag).unwrap();
    two.set_remove("tags", &tag).unwrap();
    exchange(&mut one, &mut two);
    assert!(!undo(&mut one));
    assert!(!one.set_contains("tags", &tag));
}

#[test]
fn a_replaced_element_comes_back_unless_another_deleted_what_replaced_it() {
    for theirs in [false, true] {
        let (mut one, mut two) = pair();
        one.list_insert("items", 0, vec![Value::Int(1), Value::Int(2), Value::Int(3)]).unwrap();
        exchange(&mut one, &mut two);
        one.list_set("items", 1, Value::from("new")).unwrap();
        one.counter_add("count", 1).unwrap();
        exchange(&mut one, &mut two);
        if theirs {
            two.list_delete("items", 1, 1).unwrap();
            exchange(&mut one, &mut two);
        }
        assert!(undo(&mut one));
        exchange(&mut one, &mut two);
        assert_eq!(one.counter_value("count"), 0);
        let expected: &[i64] = if theirs { &[1, 3] } else { &[1, 2, 3] };
        assert!(
            two.list_values("items", 0).eq(expected
                .iter()
                .map(|&number| Value::Int(number))
                .collect::<Vec<_>>()
                .iter())
        );
    }
}

#[test]
fn counters_go_back_by_what_one_added() {
    let (mut one, mut two) = pair();
    one.counter_add("count", 5).unwrap();
    one.counter_add("count", -2).unwrap();
    two.counter_add("count", 100).unwrap();
    exchange(&mut one, &mut two);
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert_eq!((one.counter_value("count"), two.counter_value("count")), (100, 100));
    one.counter_add("count", i64::MIN).unwrap();
    one.undo_break();
    assert!(undo(&mut one));
    assert_eq!(one.counter_value("count"), 100);
}

#[test]
fn groups_by_time_and_by_hand() {
    let mut document = tracking(1);
    for (millis, text) in [(1000, "a"), (1400, "b"), (1900, "c"), (2401, "d")] {
        document.undo_time(millis);
        let end = document.text("body").len_scalars();
        document.insert("body", at(end), text).unwrap();
    }
    document.undo_break();
    document.insert("body", at(4), "e").unwrap();
    assert_eq!(document.undo_len(), 3);
    for left in ["abcd", "abc", ""] {
        assert!(undo(&mut document));
        assert_eq!(document.text("body").to_string(), left);
    }
    assert_eq!((document.undo_len(), document.redo_len()), (0, 3));
    assert!(redo(&mut document));
    // Another edit: what was undone is not redone any more.
    document.insert("body", at(3), "x").unwrap();
    assert_eq!((document.undo_len(), document.redo_len()), (2, 0));
    document.undo_pause(true);
    document.insert("body", at(0), ">").unwrap();
    document.undo_pause(false);
    assert!(undo(&mut document));
    assert_eq!(document.text("body").to_string(), ">abc");
    document.track_undo(None);
    assert!(!undo(&mut document));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut document = tracking(1);
    document.track_undo(Some(UndoOptions { max_bytes: 2000, ..UndoOptions::default() }));
    for _ in 0..10 {
        document.insert("body", at(0), &"x".repeat(500)).unwrap();
        document.undo_break();
        document.delete("body", at(0), 500).unwrap();
        document.undo_break();
    }
    assert!((3..=7).contains(&document.undo_len()), "{}", document.undo_len());
    while undo(&mut document) {}
    document.insert("body", at(0), &"x".repeat(5000)).unwrap();
    document.undo_break();
    document.delete("body", at(0), 5000).unwrap();
    assert_eq!(document.undo_len(), 0, "one that takes more alone cannot be undone, nor what was before it");
}

#[test]
fn an_undo_says_what_it_changed() {
    let mut document = tracking(1);
    document.insert("body", at(0), "🙂abc").unwrap();
    document.undo_break();
    document.delete("body", at(1), 2).unwrap();
    document.observe_changes(true);
    let place = |range| UndonePlace { root_type: RootType::Text, root: "body".into(), range };
    assert_eq!(document.undo(NOW), Ok(Some(Undone { places: vec![place(2..4)] })));
    let changes = document.take_changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].origin, Origin::Undo);
    let steps = vec![TextDelta::Retain(2, Attributes::new()), TextDelta::Insert("ab".into(), Attributes::new())];
    assert_eq!(changes[0].delta, crate::Delta::Text(steps));
    document.set_change_unit(Unit::Scalar);
    assert_eq!(document.redo(NOW), Ok(Some(Undone { places: vec![place(1..1)] })));
    assert_eq!(document.undo(NOW).unwrap().unwrap().places, [place(1..3)]);
    assert_eq!(document.undo(NOW).unwrap().unwrap().places.last(), Some(&place(0..0)));
    assert_eq!(document.undo(NOW), Ok(None));
}

#[test]
fn what_was_noted_goes_over_to_another_document() {
    let mut old = tracking(5);
    old.insert("body", at(0), "kept").unwrap();
    old.undo_break();
    old.delete("body", at(1), 2).unwrap();
    let mut other = writer(1);
    other.insert("body", at(0), "theirs ").unwrap();
    let mut new = Document::new();
    for snapshot in [other.snapshot(), old.snapshot()] {
        new.merge(&Snapshot::parse(snapshot).unwrap()).unwrap();
    }
    new.set_actor(crate::Actor(6), 1);
    new.adopt_undo(&mut old);
    // One of the characters was made again.
    let next = new.next_counter().unwrap();
    new.undo_pause(true);
    new.insert("body", at(7), "!").unwrap();
    new.undo_pause(false);
    new.undo_moved(crate::Dot::new(crate::Actor(5), 1), 1, crate::Dot::new(crate::Actor(6), next));
    assert!(undo(&mut new));
    assert_eq!(new.text("body").to_string(), "theirs !kept");
    assert!(undo(&mut new));
    assert_eq!(new.text("body").to_string(), "theirs k");
    assert!(!undo(&mut old));
}

/// The text's pieces, as `text{kinds}`.
fn formatted(document: &Document) -> String {
    let piece = |step: TextDelta| match step {
        TextDelta::Insert(text, attributes) => {
            let kinds: Vec<String> = attributes.iter().map(|(key, _)| key.clone()).collect();
            if kinds.is_empty() { text } else { format!("{text}{{{}}}", kinds.join(",")) }
        }
        other => panic!("{other:?} in a text's own delta"),
    };
    document.text("body").to_delta().into_iter().map(piece).collect()
}

#[test]
fn formatting_goes_back_where_it_is_ones_own() {
    let (mut one, mut two) = pair();
    let mark = |document: &mut Document, from, length, kind: &str, value: Value| {
        document.mark("body", at(from), length, kind, value, NOW).unwrap();
    };
    one.insert("body", at(0), "abcdef").unwrap();
    exchange(&mut one, &mut two);
    mark(&mut two, 2, 2, "bold", Value::Bool(true));
    exchange(&mut one, &mut two);
    mark(&mut one, 0, 6, "bold", Value::Null);
    exchange(&mut one, &mut two);
    assert_eq!(formatted(&one), "abcdef\n");
    assert!(undo(&mut one));
    assert!(one.text("body").attributes_at(at(1)).is_empty());
    assert_eq!(one.text("body").attributes_at(at(2)).get("bold"), Some(&Value::Bool(true)), "theirs again");
    assert!(one.text("body").attributes_at(at(4)).is_empty());
    assert!(redo(&mut one));
    assert_eq!(formatted(&one), "abcdef\n");
    exchange(&mut one, &mut two);
    // Another writes over a part of it: that part stays.
    mark(&mut one, 0, 4, "link", Value::from("mine"));
    exchange(&mut one, &mut two);
    mark(&mut two, 2, 1, "link", Value::from("theirs"));
    exchange(&mut one, &mut two);
    assert!(undo(&mut one));
    exchange(&mut one, &mut two);
    assert_eq!((formatted(&one).as_str(), formatted(&two).as_str()), ("abc{link}def\n", "abc{link}def\n"));
    assert_eq!(two.text("body").attributes_at(at(2)).get("link"), Some(&Value::from("theirs")));
    assert!(two.text("body").attributes_at(at(1)).is_empty());
    // Lines.
    one.set_block("body", at(0), 1, "header", Value::Int(1), NOW).unwrap();
    one.undo_break();
    one.set_block("body", at(0), 1, "header", Value::Int(2), NOW).unwrap();
    exchange(&mut one, &mut two);
    assert!(undo(&mut one));
    assert_eq!(one.text("body").attributes_at(at(6)).get("header"), Some(&Value::Int(1)));
    assert!(undo(&mut one));
    assert!(one.text("body").attributes_at(at(6)).is_empty());
    assert!(redo(&mut one) && redo(&mut one));
    assert_eq!(one.text("body").attributes_at(at(6)).get("header"), Some(&Value::Int(2)));
    exchange(&mut one, &mut two);
    two.set_block("body", at(0), 1, "header", Value::Int(3), NOW).unwrap();
    exchange(&mut one, &mut two);
    assert!(undo(&mut one), "what was before it");
    assert_eq!(one.text("body").attributes_at(at(6)).get("header"), Some(&Value::Int(3)));
}

#[test]
fn what_comes_back_shows_what_it_showed() {
    let mut document = tracking(1);
    document.insert("body", at(0), "a link\nand more\n").unwrap();
    document.mark("body", at(2), 4, "link", Value::from("/"), NOW).unwrap();
    document.mark("body", at(3), 7, "bold", Value::Bool(true), NOW).unwrap();
    document.set_block("body", at(0), 1, "header", Value::Int(1), NOW).unwrap();
    document.undo_break();
    let before = document.text("body").to_delta();
    for (from, length) in [(0, 16), (2, 4), (1, 8), (3, 1), (6, 1)] {
        document.delete("body", at(from), length).unwrap();
        document.undo_break();
        let after = document.text("body").to_delta();
        for _ in 0..2 {
            assert!(undo(&mut document));
            assert_eq!(document.text("body").to_delta(), before, "{from}+{length}");
            assert!(redo(&mut document));
            assert_eq!(document.text("body").to_delta(), after, "{from}+{length}");
        }
        assert!(undo(&mut document));
    }
    assert!(undo(&mut document));
    assert_eq!(formatted(&document), "\n");
}
