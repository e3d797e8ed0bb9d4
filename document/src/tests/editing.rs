//! Edits, what they become on the wire, and what is bounded.

use super::encodings::{apply_all, writer};
use super::random::{Random, for_seeds};
use crate::{
    Actor, Applied, ApplyError, Batch, Change, Delta, Document, EditError, HybridTime, Limits, Origin, Position,
    Snapshot, TextDelta, Unit, Value,
};

fn count_operations(batches: &[Batch]) -> u32 {
    batches.iter().map(|batch| batch.count).sum()
}

#[test]
fn positions_in_utf16() {
    let at = Position::Utf16;
    // (text, start, length, what is left): pairs stand at 1..3 and 4..6.
    let cases = [
        (0, 1, "🙂b🙂c"),
        (1, 2, "ab🙂c"),
        (1, 1, "ab🙂c"),
        (2, 1, "ab🙂c"),
        (2, 2, "a🙂c"),
        (0, 2, "b🙂c"),
        (3, 2, "a🙂c"),
        (2, 3, "ac"),
        (6, 1, "a🙂b🙂"),
        (2, 0, "a🙂b🙂c"),
        (7, 0, "a🙂b🙂c"),
    ];
    for (start, length, left) in cases {
        let mut document = writer(1);
        document.insert("t", at(0), "a🙂b🙂c").unwrap();
        document.delete("t", at(start), length).unwrap();
        assert_eq!(document.text("t").to_string(), left, "{start}+{length}");
    }
    let mut document = writer(1);
    document.insert("t", at(0), "a🙂b").unwrap();
    document.insert("t", at(2), "x").unwrap();
    assert_eq!(document.text("t").to_string(), "ax🙂b", "within a pair is its start");
    assert_eq!(document.text("t").len_utf16(), 5);
    assert_eq!(document.text("t").slice(1..3), "x🙂");
}

#[test]
fn edits_that_are_not_made() {
    let mut document = Document::new();
    assert_eq!(document.insert("t", Position::Scalar(0), "x"), Err(EditError::NoActor));
    document.set_actor(Actor(1), 5);
    assert_eq!(document.insert("t", Position::Scalar(0), "x"), Err(EditError::Behind { wrote: 4, holds: 0 }));
    let mut document = writer(1);
    document.insert("t", Position::Scalar(0), "🙂").unwrap();
    let out_of_range = |position, length| Err(EditError::OutOfRange { position, length });
    assert_eq!(document.insert("t", Position::Scalar(2), "x"), out_of_range(2, 1));
    assert_eq!(document.insert("t", Position::Utf16(3), "x"), out_of_range(3, 2));
    assert_eq!(document.delete("t", Position::Scalar(0), 2), out_of_range(2, 1));
    assert_eq!(document.delete("t", Position::Utf16(1), usize::MAX), out_of_range(usize::MAX, 2));
    assert_eq!(document.delete("other", Position::Scalar(0), 1), out_of_range(1, 0));
    let too_large = |what, size, limit| Err(EditError::TooLarge { what, size, limit });
    let (name, now) = ("n".repeat(257), HybridTime::from_millis(5));
    assert_eq!(document.insert(&name, Position::Scalar(0), "x"), too_large("a root's name", 257, 256));
    assert_eq!(document.map_set("m", &name, Value::Null, now), too_large("a key", 257, 256));
    let large = Value::String("v".repeat(32 * 1024));
    assert_eq!(document.map_set("m", "k", large, now), too_large("a value", 32 * 1024 + 5, 32 * 1024));
    document.take_batches();
    let before = document.snapshot();
    document.insert("t", Position::Scalar(1), "").unwrap();
    document.delete("t", Position::Scalar(1), 0).unwrap();
    document.map_delete("m", "k", now).unwrap();
    assert_eq!((document.pending_edits(), document.take_batches()), (0, vec![]));
    assert_eq!(document.snapshot(), before);
}

#[test]
fn typing_is_one_operation_and_so_is_erasing() {
    let mut document = writer(1);
    for (at, character) in "typed".chars().enumerate() {
        document.insert("t", Position::Scalar(at), &character.to_string()).unwrap();
    }
    assert_eq!(document.pending_edits(), 5);
    let batches = document.take_batches();
    assert_eq!((batches.len(), batches[0].count, batches[0].operations.len()), (1, 5, 12));
    for at in (2..5).rev() {
        document.delete("t", Position::Scalar(at), 1).unwrap();
    }
    let batches = document.take_batches();
    assert_eq!((batches.len(), batches[0].count, batches[0].operations.len()), (1, 1, 6));
    document.insert("t", Position::Scalar(2), "xyz").unwrap();
    document.take_batches();
    for _ in 0..3 {
        document.delete("t", Position::Scalar(1), 1).unwrap();
    }
    // Two runs of characters, still one operation.
    let batches = document.take_batches();
    assert_eq!((batches.len(), batches[0].count), (1, 1));
    assert_eq!(document.text("t").to_string(), "tz");
    // What a snapshot showed is not added to afterwards.
    document.insert("t", Position::Scalar(2), "ab").unwrap();
    document.delete("t", Position::Scalar(0), 1).unwrap();
    let shown = document.snapshot();
    document.delete("t", Position::Scalar(0), 1).unwrap();
    let batches = document.take_batches();
    assert_eq!(count_operations(&batches), 4);
    let mut reader = Document::new();
    reader.merge(&Snapshot::parse(shown).unwrap()).unwrap();
    apply_all(&mut reader, &batches);
    assert_eq!(reader.text("t").to_string(), "ab");
}

#[test]
fn batches_stay_within_their_limits() {
    let mut document = writer(1);
    let mut reader = Document::new();
    let mut deliver = |document: &mut Document| {
        for batch in document.take_batches() {
            batch.check(&Limits::STANDARD).unwrap();
            assert_eq!(reader.apply(&batch), Ok(Applied::New));
        }
        assert_eq!(reader.snapshot(), document.snapshot());
    };
    document.insert("t", Position::Scalar(0), &"a long paste, wide: 漢🙂 ".repeat(20_000)).unwrap();
    deliver(&mut document);
    // Every second character goes: as many ranges.
    for at in 0..20_000 {
        document.delete("t", Position::Scalar(at), 1).unwrap();
        document.map_set("m", &format!("{at}"), Value::Int(at as i64), HybridTime::default()).unwrap();
    }
    deliver(&mut document);
    document.delete("t", Position::Scalar(0), document.text("t").len_scalars()).unwrap();
    document.map_set("m", "large", Value::String("v".repeat(32 * 1024 - 5)), HybridTime::default()).unwrap();
    document.map_set("m", "larger", Value::String("v".repeat(32 * 1024 - 5)), HybridTime::default()).unwrap();
    deliver(&mut document);
    assert_eq!(document.text("t").len_bytes(), 0);
}

#[test]
fn many_authors_in_one_delete() {
    let mut document = Document::new();
    for actor in 1..=3000 {
        document.set_actor(Actor(actor << 40), 1);
        document.insert("t", Position::Scalar(actor as usize / 2), "x").unwrap();
        document.take_batches();
    }
    let everything = document.snapshot();
    document.set_actor(Actor(5), 1);
    document.delete("t", Position::Scalar(0), 3000).unwrap();
    let batches = document.take_batches();
    let mut reader = Document::new();
    reader.merge(&Snapshot::parse(everything).unwrap()).unwrap();
    for batch in &batches {
        batch.check(&Limits::STANDARD).unwrap();
        assert_eq!(reader.apply(batch), Ok(Applied::New));
    }
    assert!(reader.text("t").is_empty());
    assert_eq!(reader.snapshot(), document.snapshot());
}

#[test]
fn what_waits_is_bounded() {
    let mut document = writer(1);
    let mut batches = Vec::new();
    for at in 0..100 {
        document.insert("t", Position::Scalar(at), "x").unwrap();
        batches.extend(document.take_batches());
    }
    let mut reader = Document::new();
    reader.set_early_limit(1000);
    let mut refused = 0;
    for batch in batches.iter().skip(1).rev() {
        match reader.apply(batch) {
            Ok(Applied::Buffered) => {}
            Err(ApplyError::EarlyBufferFull { limit: 1000, .. }) => refused += 1,
            other => panic!("{other:?}"),
        }
        assert!(reader.early_bytes() <= 1000);
    }
    assert!(refused > 80);
    // Once more of what waits takes no more room.
    assert_eq!(reader.apply(&batches[99]), Ok(Applied::Buffered));
    for batch in &batches {
        reader.apply(batch).unwrap();
    }
    assert_eq!((reader.text("t").len_scalars(), reader.early_bytes()), (100, 0));
}

#[test]
fn the_later_write_wins_and_time_goes_on() {
    let (mut one, mut two) = (writer(1), writer(2));
    let time = HybridTime::from_millis;
    one.map_set("m", "k", Value::from("early"), time(10)).unwrap();
    two.map_set("m", "k", Value::from("late"), time(20)).unwrap();
    let (first, second) = (one.take_batches(), two.take_batches());
    one.apply(&second[0]).unwrap();
    two.apply(&first[0]).unwrap();
    assert_eq!(
        (one.map_get("m", "k"), two.map_get("m", "k")),
        (Some(&Value::from("late")), Some(&Value::from("late")))
    );
    // A clock that is behind still writes after what it saw.
    one.map_set("m", "k", Value::from("after"), time(1)).unwrap();
    assert_eq!(one.take_batches()[0].check(&Limits::STANDARD).unwrap().latest_time, Some(time(20).next()));
    assert_eq!(one.map_get("m", "k"), Some(&Value::from("after")));
    one.map_delete("m", "k", time(1)).unwrap();
    assert_eq!((one.map_get("m", "k"), one.map_entries("m").count()), (None, 0));
}

#[test]
fn two_who_type_at_one_place_do_not_interleave() {
    for backwards in [false, true] {
        let mut start = writer(9);
        start.insert("t", Position::Scalar(0), "()").unwrap();
        let shared = start.take_batches();
        let write = |actor: u64, word: &str| {
            let mut document = writer(actor);
            document.apply(&shared[0]).unwrap();
            let mut batches = Vec::new();
            for (at, character) in word.chars().enumerate() {
                let at = if backwards { 1 } else { 1 + at };
                document.insert("t", Position::Scalar(at), &character.to_string()).unwrap();
                batches.extend(document.take_batches());
            }
            (document, batches)
        };
        let ((mut one, ours), (mut two, theirs)) = (write(1, "abcdef"), write(2, "uvwxyz"));
        apply_all(&mut one, &theirs);
        apply_all(&mut two, &ours);
        let expected = if backwards { "(fedcbazyxwvu)" } else { "(abcdefuvwxyz)" };
        assert_eq!((one.text("t").to_string().as_str(), two.text("t").to_string().as_str()), (expected, expected));
    }
}

#[test]
fn changes_say_what_changed() {
    let mut one = writer(1);
    one.insert("t", Position::Scalar(0), "a🙂bcd").unwrap();
    let mut two = writer(2);
    two.observe_changes(true);
    apply_all(&mut two, &one.take_batches());
    two.insert("t", Position::Scalar(2), "x").unwrap();
    two.insert("t", Position::Scalar(3), "y").unwrap();
    two.delete("t", Position::Scalar(5), 1).unwrap();
    two.delete("t", Position::Scalar(4), 1).unwrap();
    two.map_set("m", "k", Value::Null, HybridTime::default()).unwrap();
    let text = |origin, steps: &[TextDelta]| Change { root: "t".into(), origin, delta: Delta::Text(steps.to_vec()) };
    use TextDelta::Delete;
    let (insert, retain) = (|text: &str| TextDelta::insert(text), TextDelta::retain);
    let expected = [
        text(Origin::Remote, &[insert("a🙂bcd")]),
        text(Origin::Local, &[retain(3), insert("xy")]),
        text(Origin::Local, &[retain(5), Delete(2)]),
        Change {
            root: "m".into(),
            origin: Origin::Local,
            delta: Delta::Map { key: "k".into(), value: Some(Value::Null) },
        },
    ];
    assert_eq!(two.take_changes(), expected);
    two.set_change_unit(Unit::Scalar);
    two.delete("t", Position::Scalar(4), 1).unwrap();
    assert_eq!(two.take_changes(), [text(Origin::Local, &[retain(4), Delete(1)])]);
    let mut loaded = Document::new();
    loaded.observe_changes(true);
    loaded.merge(&Snapshot::parse(two.snapshot()).unwrap()).unwrap();
    assert_eq!(loaded.take_changes().first(), Some(&text(Origin::Remote, &[insert("a🙂xy")])));
}

#[test]
fn an_actor_goes_on_after_a_snapshot() {
    for_seeds(30, |seed| {
        let mut random = Random(seed);
        let mut document = writer(1);
        for _ in 0..40 {
            let length = document.text("t").len_scalars();
            document.insert("t", Position::Scalar(random.below(length + 1)), &random.text(3)).unwrap();
            document.delete("t", Position::Scalar(random.below(length + 1)), 1).unwrap();
            document.take_batches();
            if random.chance(20) {
                let mut loaded = Document::new();
                loaded.merge(&Snapshot::parse(document.snapshot()).unwrap()).unwrap();
                loaded.set_actor(Actor(1), 1);
                assert_eq!(loaded.next_counter(), document.next_counter());
                document = loaded;
            }
        }
    });
}

#[test]
fn a_large_text_stays_quick_to_divide_and_read() {
    let mut document = writer(1);
    document.insert("t", Position::Scalar(0), &"0123456789".repeat(30_000)).unwrap();
    let mut random = Random(1);
    let mut expected: Vec<u8> = b"0123456789".repeat(30_000);
    for _ in 0..2000 {
        let at = random.below(expected.len() - 10);
        document.insert("t", Position::Scalar(at), "ab").unwrap();
        expected.splice(at..at, *b"ab");
        document.delete("t", Position::Scalar(at / 2), 3).unwrap();
        expected.drain(at / 2..at / 2 + 3);
    }
    assert_eq!(document.text("t").to_string().as_bytes(), expected);
    let mut loaded = Document::new();
    loaded.merge(&Snapshot::parse(document.snapshot()).unwrap()).unwrap();
    assert_eq!(loaded.snapshot(), document.snapshot());
    assert_eq!(loaded.text("t").slice(1000..1100).as_bytes(), &expected[1000..1100]);
}
