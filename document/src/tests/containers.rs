//! Lists, sets and counters: their bytes, their limits, and what two make of them at once.

use super::encodings::{apply_all, hex, stored, unhex, writer};
use crate::batch::operation::{Item, Parser};
use crate::batch::{Edit, Malformed};
use crate::kept::{KeptOperation, alone};
use crate::messagepack::{Reader, Token};
use crate::snapshot::encode::encode;
use crate::snapshot::state::{ActorRange, State};
use crate::text::span::Id;
use crate::{
    Actor, Applied, Batch, BatchError, Document, Dot, EditError, HybridTime, Limits, Position, RootType, Snapshot,
    Value,
};

fn ints(numbers: &[i64]) -> Vec<Value> {
    numbers.iter().copied().map(Value::Int).collect()
}

/// Two authors, and every operation of lists, sets and counters.
fn golden_history() -> (Vec<Batch>, Document) {
    let (mut one, mut two) = (writer(1), writer(2));
    let mut batches = Vec::new();
    one.list_insert("l", 0, ints(&[1, 2, 3])).unwrap();
    one.list_insert("l", 3, vec![Value::from("x")]).unwrap();
    one.set_add("s", &Value::from("a")).unwrap();
    one.set_add("s", &Value::from("b")).unwrap();
    one.counter_add("c", 5).unwrap();
    batches.extend(one.take_batches());
    apply_all(&mut two, &batches);
    two.list_insert("l", 1, vec![Value::Array(ints(&[7]))]).unwrap();
    two.list_delete("l", 0, 3).unwrap();
    two.set_add("s", &Value::from("a")).unwrap();
    two.set_remove("s", &Value::from("b")).unwrap();
    two.counter_add("c", -3).unwrap();
    two.counter_add("c", 1).unwrap();
    batches.extend(two.take_batches());
    (batches, two)
}

#[test]
fn golden_batches() {
    let mut one = writer(1);
    one.list_insert("l", 0, ints(&[1, 2, 3])).unwrap();
    one.list_insert("l", 3, vec![Value::from("x")]).unwrap();
    // One insert between start and end, for the second goes on as the first.
    assert_eq!(stored(&mut one), ["010104".to_owned() + "a16c" + "980504c0c0010203a178"]);
    one.list_insert("l", 4, vec![Value::Null]).unwrap();
    // After the element of the counter before.
    assert_eq!(stored(&mut one), ["010501".to_owned() + "a16c" + "930501c0"]);
    one.list_delete("l", 1, 1).unwrap();
    one.list_delete("l", 1, 2).unwrap();
    one.set_add("s", &Value::from("a")).unwrap();
    one.set_add("s", &Value::Int(-1)).unwrap();
    one.counter_add("c", 2).unwrap();
    one.counter_add("c", 3).unwrap();
    one.counter_add("c", -1).unwrap();
    let expected = "010605".to_owned()
        + "a16c" + "9406010403" // three from four before
        + "a173" + "940702a161ff"
        + "a163" + "93090105" + "930901ff";
    assert_eq!(stored(&mut one), [expected]);
    one.set_remove("s", &Value::Int(-1)).unwrap();
    assert_eq!(stored(&mut one), ["010b01".to_owned() + "a173" + "93080103"]);
}

#[test]
fn golden_snapshots() {
    let (batches, document) = golden_history();
    let whole = document.snapshot();
    assert_eq!(hex(&whole), GOLDEN);
    assert_eq!(crate::fold(None, &batches).unwrap(), whole);
    let mut loaded = Document::new();
    loaded.merge(&Snapshot::parse(unhex(GOLDEN).into()).unwrap()).unwrap();
    assert_eq!(hex(&loaded.snapshot()), GOLDEN);
    assert!(loaded.list_values("l", 0).eq(&[Value::Int(3), Value::from("x")]));
    assert!(loaded.set_members("s").eq([Value::from("a")]));
    assert_eq!(loaded.counter_value("c"), 3);
}

const GOLDEN: &str = "494b57530249e1ee375a9f860e0102010007010006042501016c080101010200010402000301040f00010501010301010003000009010400\
    0603a178051501017302080005010308a161a161010a0006002901060c010163020007050001060103";

#[test]
fn what_the_check_refuses_and_learns() {
    use BatchError::{Count, Malformed as Bad, OverLimit, Reference, Shape};
    type Says = fn(&BatchError) -> bool;
    let long = format!("a16c dc040705 cd0405 {}", "c0".repeat(1029));
    let deep = format!("a16c 930501 {}c0", "91".repeat(9));
    let wide = format!("a16c 930501 dc0401 {}", "c0".repeat(1025));
    // Of actor 9, from counter 4 on, with a count of 1.
    let cases: Vec<(&str, Says)> = vec![
        ("a16c 930501c0", |_| false),
        ("a16c 950501c0c0c0", |_| false),
        ("a16c 95050103c0c0", |_| false),
        ("a16c 95050104c0c0", |error| matches!(error, Reference { .. })),
        ("a16c 05 950501c0920102c0", |_| false),
        ("a16c 05 950501c0920202c0", |error| matches!(error, Reference { .. })),
        ("a16c 940501c0c0", |error| matches!(error, Shape { kind: 5, .. })),
        ("a16c 930500c0", |error| matches!(error, Shape { kind: 5, .. })),
        ("a16c 940502c0c0", |error| matches!(error, Count { said: 1, taken: 2 })),
        ("a16c 930501d40000", |error| matches!(error, Bad { .. })),
        ("a16c 93050182a16201a16101", |error| matches!(error, Bad { problem: Malformed::Order, .. })),
        (&deep, |error| matches!(error, OverLimit { size: 9, limit: 8, .. })),
        (&wide, |error| matches!(error, OverLimit { size: 1025, limit: 1024, .. })),
        (&long, |error| matches!(error, Count { .. })),
        ("a16c 93060101", |_| false),
        ("a16c 9406010301", |_| false),
        ("a16c 9406010304", |error| matches!(error, Reference { .. })),
        ("a16c 93060104", |error| matches!(error, Reference { .. })),
        ("a16c 930601c0", |error| matches!(error, Bad { .. })),
        ("a16c 93060201", |error| matches!(error, Shape { kind: 6, .. })),
        ("a16c 95060101 0101", |error| matches!(error, Shape { kind: 6, .. })),
        ("a173 93070101", |_| false),
        ("a173 94070101", |error| matches!(error, Shape { kind: 7, .. })),
        ("a173 93080101", |_| false),
        ("a173 930801c0", |error| matches!(error, Bad { .. })),
        ("a163 930901ff", |_| false),
        ("a163 930901cf7fffffffffffffff", |_| false),
        ("a163 930901cf8000000000000000", |error| matches!(error, Bad { .. })),
        ("a163 930901cb3ff0000000000000", |error| matches!(error, Bad { .. })),
        ("a163 9209ff", |error| matches!(error, Shape { kind: 9, .. })),
        ("a163 93090201", |error| matches!(error, Shape { kind: 9, .. })),
    ];
    for (operations, is_expected) in cases {
        let batch = Batch { actor: Actor(9), first: 4, count: 1, operations: unhex(operations).into() };
        match batch.check(&Limits::STANDARD) {
            Ok(_) => assert!(!is_expected(&Shape { at: 0, kind: 0 }), "{operations} passes"),
            Err(error) => assert!(is_expected(&error), "{operations}: {error:?}"),
        }
    }
    let (batches, _) = golden_history();
    let checked = batches[1].check(&Limits::STANDARD).unwrap();
    assert_eq!(checked.references, [(Actor(1), 6)]);
    let roots = [(RootType::List, "l".into()), (RootType::Set, "s".into()), (RootType::Counter, "c".into())];
    assert_eq!(checked.roots, roots);
    let edits = batches[1].edits(&Limits::STANDARD).unwrap();
    let one = |counter| Dot::new(Actor(1), counter);
    let expected = [
        ("l", Edit::ListInsert { first: 1, left: Some(one(1)), values: vec![Value::Array(ints(&[7]))] }),
        ("l", Edit::ListDelete { ranges: vec![(one(1), 1), (Dot::new(Actor(2), 1), 1), (one(2), 1)] }),
        ("s", Edit::SetAdd { first: 3, members: vec![Value::from("a")] }),
        ("s", Edit::SetRemove { ranges: vec![(one(6), 1)] }),
        ("c", Edit::Count { amount: -3 }),
        ("c", Edit::Count { amount: 1 }),
    ];
    assert!(edits.iter().map(|(root, edit)| (&**root, edit)).eq(expected.iter().map(|(root, edit)| (*root, edit))));
}

#[test]
fn edits_that_are_not_made() {
    let mut document = Document::new();
    assert_eq!(document.list_insert("l", 0, ints(&[1])), Err(EditError::NoActor));
    assert_eq!(document.set_add("s", &Value::Null), Err(EditError::NoActor));
    assert_eq!(document.counter_add("c", 1), Err(EditError::NoActor));
    let mut document = writer(1);
    let out_of_range = |position, length| Err(EditError::OutOfRange { position, length });
    assert_eq!(document.list_insert("l", 1, ints(&[1])), out_of_range(1, 0));
    document.list_insert("l", 0, ints(&[1, 2])).unwrap();
    assert_eq!(document.list_delete("l", 1, 2), out_of_range(3, 2));
    assert_eq!(document.list_delete("l", 1, usize::MAX), out_of_range(usize::MAX, 2));
    assert_eq!(document.list_set("l", 2, Value::Null), out_of_range(2, 2));
    let wide = Value::Array(vec![Value::Null; 1025]);
    let too_wide = Err(EditError::TooLarge { what: "a value's count of items", size: 1025, limit: 1024 });
    assert_eq!(document.list_insert("l", 0, vec![Value::Null, wide.clone()]), too_wide);
    assert_eq!(document.list_set("l", 0, wide.clone()), too_wide);
    assert_eq!(document.set_add("s", &wide), too_wide);
    assert_eq!(document.map_set("m", "k", wide, HybridTime::default()), too_wide);
    document.take_batches();
    let before = document.snapshot();
    document.list_insert("l", 1, Vec::new()).unwrap();
    document.list_delete("l", 1, 0).unwrap();
    document.set_remove("s", &Value::Null).unwrap();
    document.counter_add("c", 0).unwrap();
    assert_eq!((document.pending_edits(), document.take_batches()), (0, vec![]));
    assert_eq!(document.snapshot(), before);
}

#[test]
fn large_edits_are_divided() {
    let mut document = writer(1);
    document.list_insert("l", 0, vec![Value::String("v".repeat(32 * 1024 - 5)); 5]).unwrap();
    document.list_insert("l", 2, (0..30_000).map(Value::Int).collect()).unwrap();
    for member in 0..20_000 {
        document.set_add("s", &Value::Int(member)).unwrap();
    }
    for index in 0..10_000 {
        document.list_delete("l", index, 1).unwrap();
    }
    let mut reader = Document::new();
    for batch in document.take_batches() {
        batch.check(&Limits::STANDARD).unwrap();
        assert_eq!(reader.apply(&batch), Ok(Applied::New));
    }
    assert_eq!((reader.list_len("l"), reader.set_len("s")), (20_005, 20_000));
    assert_eq!(reader.snapshot(), document.snapshot());
}

#[test]
fn what_is_deleted_is_gone() {
    let mut document = writer(1);
    document.list_insert("l", 0, (0..20_000).map(Value::Int).collect()).unwrap();
    for member in 0..5_000 {
        document.set_add("s", &Value::String(format!("member {member}"))).unwrap();
    }
    let members: Vec<Value> = (0..5_000).map(|member| Value::String(format!("member {member}"))).collect();
    members.iter().for_each(|member| document.set_remove("s", member).unwrap());
    document.list_delete("l", 0, 20_000).unwrap();
    let snapshot = document.snapshot();
    assert!(snapshot.len() < 150, "{} bytes", snapshot.len());
    let mut reader = Document::new();
    apply_all(&mut reader, &document.take_batches());
    assert_eq!(reader.snapshot(), snapshot);
    let mut loaded = Document::new();
    loaded.merge(&Snapshot::parse(snapshot.clone()).unwrap()).unwrap();
    assert_eq!(loaded.snapshot(), snapshot);
}

#[test]
fn two_who_insert_at_one_place_do_not_interleave() {
    for backwards in [false, true] {
        let mut start = writer(9);
        start.list_insert("l", 0, ints(&[0, 99])).unwrap();
        let shared = start.take_batches();
        let write = |actor: u64| {
            let mut document = writer(actor);
            apply_all(&mut document, &shared);
            let mut batches = Vec::new();
            for number in 0..5 {
                let at = if backwards { 1 } else { 1 + number };
                document.list_insert("l", at, ints(&[(actor as i64) * 10 + number as i64])).unwrap();
                batches.extend(document.take_batches());
            }
            (document, batches)
        };
        let ((mut one, ours), (mut two, theirs)) = (write(1), write(2));
        apply_all(&mut one, &theirs);
        apply_all(&mut two, &ours);
        let mut expected = [[10, 11, 12, 13, 14], [20, 21, 22, 23, 24]];
        if backwards {
            expected.iter_mut().for_each(|run| run.reverse());
        }
        let expected = ints(&[&[0], &expected[0][..], &expected[1], &[99]].concat());
        assert!(one.list_values("l", 0).eq(&expected) && two.list_values("l", 0).eq(&expected));
    }
}

#[test]
fn adding_wins_over_a_removal_that_did_not_know() {
    let (mut one, mut two) = (writer(1), writer(2));
    let tag = Value::from("tag");
    one.set_add("s", &tag).unwrap();
    apply_all(&mut two, &one.take_batches());
    one.set_add("s", &tag).unwrap();
    two.set_remove("s", &tag).unwrap();
    let (ours, theirs) = (one.take_batches(), two.take_batches());
    apply_all(&mut one, &theirs);
    apply_all(&mut two, &ours);
    assert!(one.set_contains("s", &tag) && two.set_contains("s", &tag));
    assert_eq!(one.snapshot(), two.snapshot());
    // Now both know, and it goes.
    two.set_remove("s", &tag).unwrap();
    apply_all(&mut one, &two.take_batches());
    assert!(!one.set_contains("s", &tag));
}

/// What a version kept that did not know these kinds is applied by one that does.
#[test]
fn what_was_kept_is_revived() {
    let (batches, document) = golden_history();
    let actors = [Actor(1), Actor(2)];
    let mut state = State { is_whole: true, ..State::default() };
    for (index, batch) in batches.iter().enumerate() {
        state.actors.push(ActorRange { actor: actors[index], base: 0, version: batch.last() as u32 });
        let (mut parser, mut table) = (Parser::new(batch, &Limits::STANDARD).unwrap(), Vec::new());
        let mut reader = Reader::new(&batch.operations);
        while !reader.is_empty() {
            let start = reader.position();
            let mut ahead = reader;
            reader.skip().unwrap();
            match ahead.token().unwrap() {
                Token::Uint(actor) => {
                    table.push(Actor(actor));
                    parser.next().unwrap();
                }
                Token::Array(_) => {
                    let Some(Item::Operation(placed)) = parser.next().unwrap() else { panic!("an operation") };
                    let operations = alone(&table, placed.root, reader.since(start));
                    let id = Id { actor: index as u32, counter: placed.first };
                    state.kept.push((id, KeptOperation { count: placed.count, operations }));
                }
                _ => {}
            }
        }
    }
    let snapshot = Snapshot::parse(encode(&state)).unwrap();
    let mut reader = writer(5);
    reader.insert("t", Position::Scalar(0), "here").unwrap();
    reader.merge(&snapshot).unwrap();
    let mut expected = writer(5);
    expected.insert("t", Position::Scalar(0), "here").unwrap();
    expected.merge(&Snapshot::parse(document.snapshot()).unwrap()).unwrap();
    assert_eq!(reader.snapshot(), expected.snapshot());
}
