//! Formatting case by case: those that Peritext publishes, lines, deltas, what is refused.

use super::encodings::{apply_all, writer};
use crate::formatting::json;
use crate::{
    Actor, Anchor, Attributes, Batch, BatchError, Change, Delta, Document, EditError, Growth, HybridTime, Limits,
    Origin, Position, Side, Snapshot, TextDelta, Unit, Value,
};

const NOW: HybridTime = HybridTime::from_millis(1_790_000_000_000);

fn shows(list: &[(&str, Value)]) -> Attributes {
    list.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn on(kind: &str) -> Attributes {
    shows(&[(kind, Value::Bool(true))])
}

/// Two who have the same text and do not see each other's edits yet.
fn pair(text: &str) -> (Document, Document) {
    let mut one = writer(1);
    one.insert("t", Position::Scalar(0), text).unwrap();
    let shared = one.take_batches();
    let mut two = writer(2);
    apply_all(&mut two, &shared);
    (one, two)
}

/// Exchanges what both wrote; says what both show then.
fn exchange(one: &mut Document, two: &mut Document) -> String {
    let (ours, theirs) = (one.take_batches(), two.take_batches());
    apply_all(one, &theirs);
    apply_all(two, &ours);
    assert_eq!(one.text("t").to_delta(), two.text("t").to_delta());
    assert_eq!(one.snapshot(), two.snapshot());
    shown(one)
}

/// What is shown, marks in brackets: `[bold:The] fox`.
fn shown(document: &Document) -> String {
    let mut out = String::new();
    for step in document.text("t").to_delta() {
        let TextDelta::Insert(text, attributes) = step else { panic!("contents are inserts") };
        let names: Vec<String> = attributes
            .iter()
            .map(|(key, value)| match value {
                Value::String(value) => format!("{key}={value}"),
                _ => key.clone(),
            })
            .collect();
        out += &if names.is_empty() { text } else { format!("[{}:{text}]", names.join(",")) };
    }
    out.strip_suffix('\n').map_or(out.clone(), str::to_owned)
}

fn mark(document: &mut Document, of: &str, kind: &str, value: impl Into<Value>) {
    let text = document.text("t").to_string();
    let byte = text.find(of).unwrap();
    let at = Position::Scalar(text[..byte].chars().count());
    document.mark("t", at, of.chars().count(), kind, value.into(), NOW).unwrap();
}

fn insert_after(document: &mut Document, of: &str, text: &str) {
    let whole = document.text("t").to_string();
    let byte = whole.find(of).unwrap() + of.len();
    document.insert("t", Position::Scalar(whole[..byte].chars().count()), text).unwrap();
}

fn delete(document: &mut Document, of: &str) {
    let whole = document.text("t").to_string();
    let at = whole[..whole.find(of).unwrap()].chars().count();
    document.delete("t", Position::Scalar(at), of.chars().count()).unwrap();
}

#[test]
fn peritext_1_concurrent_insertions_of_plain_text() {
    let (mut one, mut two) = pair("The fox jumped.");
    insert_after(&mut one, "The", " quick");
    insert_after(&mut two, "jumped", " over the dog");
    assert_eq!(exchange(&mut one, &mut two), "The quick fox jumped over the dog.");
}

#[test]
fn peritext_2_an_insertion_into_what_is_made_bold() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox jumped.", "bold", true);
    insert_after(&mut two, "The", " brown");
    assert_eq!(exchange(&mut one, &mut two), "[bold:The brown fox jumped.]");
}

#[test]
fn peritext_3_overlapping_bold() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox", "bold", true);
    mark(&mut two, "fox jumped.", "bold", true);
    assert_eq!(exchange(&mut one, &mut two), "[bold:The fox jumped.]");
}

#[test]
fn peritext_4_overlapping_bold_and_italic() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox", "bold", true);
    mark(&mut two, "fox jumped.", "italic", true);
    assert_eq!(exchange(&mut one, &mut two), "[bold:The ][bold,italic:fox][italic: jumped.]");
}

#[test]
fn peritext_5_two_colours() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox", "color", "red");
    mark(&mut two, "fox jumped.", "color", "blue");
    // At the same time the greater actor is the later one.
    assert_eq!(exchange(&mut one, &mut two), "[color=red:The ][color=blue:fox jumped.]");
}

#[test]
fn peritext_6_bold_and_not_bold() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox jumped.", "bold", true);
    exchange(&mut one, &mut two);
    mark(&mut one, "The", "bold", Value::Null);
    mark(&mut two, "fox", "bold", Value::Null);
    assert_eq!(exchange(&mut one, &mut two), "The[bold: ]fox[bold: jumped.]");
    // What somebody says who has seen the other's word is later, whoever it is.
    mark(&mut one, "fox", "bold", true);
    assert_eq!(exchange(&mut one, &mut two), "The[bold: fox jumped.]");
}

#[test]
fn peritext_6_bold_against_bold_taken_away() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox jumped.", "bold", true);
    mark(&mut one, "fox jumped", "bold", Value::Null);
    mark(&mut two, "jumped", "bold", true);
    // The one who said more said the last of it later: either is right, as long as it is the same for both.
    assert_eq!(exchange(&mut one, &mut two), "[bold:The ]fox jumped[bold:.]");
}

#[test]
fn peritext_7_comments_overlap() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "The fox", "comment:1", "one");
    mark(&mut two, "fox jumped.", "comment:2", "two");
    let expected = "[comment:1=one:The ][comment:1=one,comment:2=two:fox][comment:2=two: jumped.]";
    assert_eq!(exchange(&mut one, &mut two), expected);
    mark(&mut two, "The fox jumped.", "comment:1", Value::Null);
    assert_eq!(exchange(&mut one, &mut two), "The [comment:2=two:fox jumped.]");
}

#[test]
fn peritext_8_bold_grows_at_its_end_and_not_at_its_start() {
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "fox", "bold", true);
    insert_after(&mut two, "The ", "quick ");
    insert_after(&mut two, "fox", "es");
    assert_eq!(exchange(&mut one, &mut two), "The quick [bold:foxes] jumped.");
    // As it is published.
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "fox jumped", "bold", true);
    exchange(&mut one, &mut two);
    insert_after(&mut one, "The ", "quick ");
    insert_after(&mut one, "jumped", " over the dog");
    assert_eq!(exchange(&mut one, &mut two), "The quick [bold:fox jumped over the dog].");
    // The end of the text is an edge like any other.
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "fox", "bold", true);
    mark(&mut one, "jumped.", "bold", true);
    insert_after(&mut one, "jumped.", "!");
    insert_after(&mut two, "jumped.", "?");
    assert_eq!(exchange(&mut one, &mut two), "The [bold:fox] [bold:jumped.!?]");
}

#[test]
fn peritext_9_links_do_not_grow() {
    for kind in ["link", "comment:9"] {
        let (mut one, mut two) = pair("The fox jumped.");
        mark(&mut one, "fox", kind, "u");
        insert_after(&mut two, "The ", "quick ");
        insert_after(&mut two, "fox", "es");
        insert_after(&mut two, "f", "_");
        assert_eq!(exchange(&mut one, &mut two), format!("The quick [{kind}=u:f_ox]es jumped."));
        // As it is published.
        let (mut one, mut two) = pair("The fox jumped.");
        mark(&mut one, "fox jumped", kind, "u");
        exchange(&mut one, &mut two);
        insert_after(&mut one, "The ", "quick ");
        insert_after(&mut one, "jumped", " over the dog");
        assert_eq!(exchange(&mut one, &mut two), format!("The quick [{kind}=u:fox jumped] over the dog."));
    }
}

#[test]
fn peritext_text_at_an_edge_of_deleted_characters() {
    // The link's last letters are deleted: what is typed behind it is not in it.
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "fox", "link", "u");
    exchange(&mut one, &mut two);
    delete(&mut one, "ox");
    insert_after(&mut one, "f", "ine");
    assert_eq!(exchange(&mut one, &mut two), "The [link=u:f]ine jumped.");
    // What another typed into it meanwhile is.
    delete(&mut one, "f");
    insert_after(&mut two, "The ", "a ");
    insert_after(&mut two, "f", "ab");
    assert_eq!(exchange(&mut one, &mut two), "The a abine jumped.");
    // Bold ends before the next character: it takes in what is typed where its last letters were.
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "fox", "bold", true);
    exchange(&mut one, &mut two);
    delete(&mut one, "ox");
    insert_after(&mut one, "f", "ine");
    assert_eq!(exchange(&mut one, &mut two), "The [bold:fine] jumped.");
    // Of a mark whose characters are all deleted, what others type between them still has it.
    let (mut one, mut two) = pair("The fox jumped.");
    mark(&mut one, "fox", "bold", true);
    exchange(&mut one, &mut two);
    delete(&mut one, "fox");
    insert_after(&mut two, "fo", "_");
    assert_eq!(exchange(&mut one, &mut two), "The [bold:_] jumped.");
}

#[test]
fn a_mark_grows_as_it_is_told() {
    let table = [
        (Growth::None, "<[x:ab]>"),
        (Growth::End, "<[x:ab>]"),
        (Growth::Start, "[x:<ab]>"),
        (Growth::Both, "[x:<ab>]"),
    ];
    for (growth, expected) in table {
        let (mut one, mut two) = pair("-ab-");
        one.mark_growing("t", Position::Utf16(1), 2, "x", Value::Bool(true), growth, NOW).unwrap();
        exchange(&mut one, &mut two);
        two.insert("t", Position::Scalar(3), ">").unwrap();
        two.insert("t", Position::Scalar(1), "<").unwrap();
        assert_eq!(exchange(&mut one, &mut two), format!("-{expected}-"));
    }
}

#[test]
fn lines_keep_what_they_are() {
    let (mut one, mut two) = pair("Title\nitem\nrest");
    one.set_block("t", Position::Scalar(2), 0, "header", Value::Int(1), NOW).unwrap();
    two.set_block("t", Position::Scalar(6), 2, "list", Value::from("bullet"), NOW).unwrap();
    two.set_block("t", Position::Scalar(15), 0, "blockquote", Value::Bool(true), NOW).unwrap();
    let expected = "Title[header:\n]item[list=bullet:\n]rest[blockquote:\n]";
    assert_eq!(exchange(&mut one, &mut two), expected);
    // Both change one line: the later one holds, per attribute.
    one.set_block("t", Position::Scalar(0), 0, "header", Value::Null, NOW).unwrap();
    one.set_block("t", Position::Scalar(0), 0, "align", Value::from("right"), NOW).unwrap();
    two.set_block("t", Position::Scalar(0), 0, "header", Value::Int(2), NOW).unwrap();
    let expected = "Title[align=right,header:\n]item[list=bullet:\n]rest[blockquote:\n]";
    assert_eq!(exchange(&mut one, &mut two), expected);
    // A line that is joined to the next one is as that is, and nothing of it is left behind.
    let before = one.snapshot().len();
    one.delete("t", Position::Scalar(5), 1).unwrap();
    two.set_block("t", Position::Scalar(0), 0, "indent", Value::Int(3), NOW).unwrap();
    assert_eq!(exchange(&mut one, &mut two), "Titleitem[list=bullet:\n]rest[blockquote:\n]");
    assert!(one.snapshot().len() < before);
    // All lines that a range touches.
    one.set_block("t", Position::Scalar(3), 9, "code-block", Value::Bool(true), NOW).unwrap();
    let expected = "Titleitem[code-block,list=bullet:\n]rest[blockquote,code-block:\n]";
    assert_eq!(exchange(&mut one, &mut two), expected);
}

#[test]
fn an_empty_text_has_a_line() {
    let mut one = writer(1);
    one.set_block("t", Position::Scalar(0), 0, "header", Value::Int(1), NOW).unwrap();
    assert_eq!(one.text("t").to_delta(), [TextDelta::Insert("\n".into(), shows(&[("header", Value::Int(1))]))]);
    assert_eq!(one.text_names().collect::<Vec<_>>(), ["t"]);
    let mut two = Document::new();
    two.merge(&Snapshot::parse(one.snapshot()).unwrap()).unwrap();
    assert_eq!(two.snapshot(), one.snapshot());
    one.insert("t", Position::Scalar(0), "Title").unwrap();
    two.merge(&Snapshot::parse(one.snapshot()).unwrap()).unwrap();
    assert_eq!((two.text("t").to_delta(), two.snapshot()), (one.text("t").to_delta(), one.snapshot()));
}

#[test]
fn what_a_later_mark_covers_is_dropped() {
    let (mut one, mut two) = pair("The fox jumped over the lazy dog.");
    mark(&mut one, "The fox jumped over the lazy dog.", "bold", true);
    exchange(&mut one, &mut two);
    let once = one.snapshot().len();
    for round in 0..200 {
        mark(&mut one, "fox jumped", "bold", round % 2 == 0);
        mark(&mut two, "lazy", "bold", round % 2 == 1);
    }
    mark(&mut one, "The fox jumped over the lazy dog.", "bold", Value::Null);
    mark(&mut two, "The fox jumped over the lazy dog.", "bold", Value::Null);
    exchange(&mut one, &mut two);
    // The two that are left came at once; times and counters take a few bytes more.
    assert!(one.snapshot().len() <= once + 24, "{} after {once}", one.snapshot().len());
}

#[test]
fn deltas_of_an_editor() {
    let mut one = writer(1);
    let apply = |one: &mut Document, json: &str| {
        one.apply_delta("t", &json::read(json).unwrap(), Unit::Utf16, NOW).unwrap();
        shown(one)
    };
    assert_eq!(apply(&mut one, r#"[{"insert":"a😀b","attributes":{"bold":true}}]"#), "[bold:a😀b]");
    // Typed at the end of bold as not bold.
    assert_eq!(apply(&mut one, r#"[{"retain":4},{"insert":"c"}]"#), "[bold:a😀b]c");
    assert_eq!(apply(&mut one, r#"[{"retain":5},{"insert":"d"}]"#), "[bold:a😀b]cd");
    // The heading of the last line, then Enter at its end.
    assert_eq!(apply(&mut one, r#"[{"retain":6},{"retain":1,"attributes":{"header":1}}]"#), "[bold:a😀b]cd[header:\n]");
    let enter = r#"[{"retain":6},{"insert":"\n","attributes":{"header":1}},{"retain":1,"attributes":{"header":null}}]"#;
    assert_eq!(apply(&mut one, enter), "[bold:a😀b]cd[header:\n]");
    assert_eq!(one.text("t").to_string(), "a😀bcd\n");
    let lists = r#"[{"retain":7},{"insert":"x"},{"retain":1,"attributes":{"list":"bullet"}}]"#;
    assert_eq!(apply(&mut one, lists), "[bold:a😀b]cd[header:\n]x[list=bullet:\n]");
    assert_eq!(apply(&mut one, r#"{"ops":[{"delete":4}]}"#), "cd[header:\n]x[list=bullet:\n]");
    // Contents that are set: the line break that the editor inserts takes the last one's place.
    let contents = r#"[{"insert":"new"},{"insert":"\n","attributes":{"blockquote":true}},{"delete":5}]"#;
    assert_eq!(apply(&mut one, contents), "new[blockquote:\n]");
    assert_eq!(one.text("t").to_string(), "new");
    let delta = one.text("t").to_delta();
    let mut two = writer(2);
    two.insert("t", Position::Scalar(0), "old\n\n").unwrap();
    two.set_block("t", Position::Scalar(5), 0, "header", Value::Int(1), NOW).unwrap();
    two.set_contents("t", &delta, NOW).unwrap();
    assert_eq!(two.text("t").to_delta(), delta);
}

#[test]
fn a_delta_that_does_not_fit_changes_nothing() {
    let mut one = writer(1);
    one.insert("t", Position::Scalar(0), "a😀b").unwrap();
    one.mark("t", Position::Scalar(0), 2, "bold", Value::Bool(true), NOW).unwrap();
    let before = (one.snapshot(), one.pending_edits());
    let long = Attributes::from([("k".repeat(257), Value::Bool(true))]);
    let large = Attributes::from([("k".to_owned(), Value::String("v".repeat(32 * 1024)))]);
    let table = [
        (vec![TextDelta::insert("x"), TextDelta::retain(6)], Some((1, "it reaches beyond the end"))),
        (vec![TextDelta::Delete(usize::MAX)], Some((0, "it reaches beyond the end"))),
        (vec![TextDelta::retain(2), TextDelta::insert("x")], Some((0, "it divides a surrogate pair"))),
        (vec![TextDelta::retain(5), TextDelta::insert("x")], Some((1, "it inserts behind the last line break"))),
        (vec![TextDelta::insert("x"), TextDelta::Retain(1, long)], None),
        (vec![TextDelta::insert("x"), TextDelta::Insert("y".into(), large)], None),
    ];
    for (delta, expected) in table {
        let error = one.apply_delta("t", &delta, Unit::Utf16, NOW).unwrap_err();
        if let Some((step, problem)) = expected {
            assert_eq!(error, EditError::Delta { step, problem });
        }
        assert_eq!((one.snapshot(), one.pending_edits()), before, "{delta:?}");
    }
    let contents = one.set_contents("t", &[TextDelta::retain(1)], NOW);
    assert!(matches!(contents, Err(EditError::Delta { step: 0, .. })));
    let nobody = Document::new().apply_delta("t", &[TextDelta::insert("x")], Unit::Utf16, NOW);
    assert_eq!(nobody, Err(EditError::NoActor));
}

#[test]
fn changes_say_what_is_shown() {
    let (mut one, mut two) = pair("a😀bc\nd");
    two.observe_changes(true);
    let text = |origin, steps: &[TextDelta]| Change { root: "t".into(), origin, delta: Delta::Text(steps.to_vec()) };
    let retain = TextDelta::retain;
    one.mark("t", Position::Scalar(1), 5, "bold", Value::Bool(true), NOW).unwrap();
    apply_all(&mut two, &one.take_batches());
    // Line breaks show no marks.
    let steps = [retain(1), TextDelta::Retain(4, on("bold")), retain(1), TextDelta::Retain(1, on("bold"))];
    assert_eq!(two.take_changes(), [text(Origin::Remote, &steps)]);
    one.set_block("t", Position::Scalar(0), 0, "header", Value::Int(2), NOW).unwrap();
    apply_all(&mut two, &one.take_batches());
    let header = TextDelta::Retain(1, shows(&[("header", Value::Int(2))]));
    assert_eq!(two.take_changes(), [text(Origin::Remote, &[retain(5), header])]);
    // The end of the last line, in scalars.
    two.set_change_unit(Unit::Scalar);
    two.set_block("t", Position::Scalar(6), 0, "list", Value::from("ordered"), NOW).unwrap();
    let list = TextDelta::Retain(1, shows(&[("list", Value::from("ordered"))]));
    assert_eq!(two.take_changes(), [text(Origin::Local, &[retain(6), list])]);
    // Text within the mark comes with it; line breaks without.
    two.insert("t", Position::Scalar(3), "x\ny").unwrap();
    let bold = |text: &str| TextDelta::Insert(text.into(), on("bold"));
    assert_eq!(two.take_changes(), [text(Origin::Local, &[retain(3), bold("x"), TextDelta::insert("\n"), bold("y")])]);
    two.unmark("t", Position::Scalar(3), 3, "bold", NOW).unwrap();
    let off = || TextDelta::Retain(1, shows(&[("bold", Value::Null)]));
    assert_eq!(two.take_changes(), [text(Origin::Local, &[retain(3), off(), retain(1), off()])]);
    // What changes nothing that is shown is no change.
    two.unmark("t", Position::Scalar(3), 1, "bold", NOW).unwrap();
    assert_eq!(two.take_changes(), []);
    // Loaded at once.
    let mut loaded = Document::new();
    loaded.observe_changes(true);
    loaded.merge(&Snapshot::parse(two.snapshot()).unwrap()).unwrap();
    let mut expected = two.text("t").to_delta();
    expected.pop();
    expected.push(TextDelta::Retain(1, shows(&[("list", Value::from("ordered"))])));
    assert_eq!(loaded.take_changes(), [text(Origin::Remote, &expected)]);
}

#[test]
fn golden_bytes_of_formatting() {
    let mut one = writer(1);
    one.insert("t", Position::Scalar(0), "ab\n").unwrap();
    one.take_batches();
    one.mark("t", Position::Scalar(0), 1, "bold", Value::Bool(true), HybridTime(5)).unwrap();
    one.mark("t", Position::Scalar(1), 1, "link", Value::from("u"), HybridTime(5)).unwrap();
    one.mark("t", Position::Scalar(0), 3, "bold", Value::Null, HybridTime(5)).unwrap();
    one.set_block("t", Position::Scalar(0), 4, "list", Value::Int(1), HybridTime(5)).unwrap_err();
    one.set_block("t", Position::Scalar(0), 3, "list", Value::Int(1), HybridTime(5)).unwrap();
    one.set_block("t", Position::Scalar(3), 0, "list", Value::Null, HybridTime(99)).unwrap();
    let batches = one.take_batches();
    let bytes: String = batches[0].operations.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = "a174".to_owned()
        + "980a01000302a4626f6c64c305" // bold from before 4 − 3 to before 4 − 2
        + "980a01020303a46c696e6ba17506" // a link from before 5 − 3 to after 5 − 3, a moment later
        + "980a010005c0a4626f6c64c007" // not bold from before 6 − 5 to the end
        + "960b01a46c697374010804" // list of the line that 7 − 4 ends
        + "960b01a46c697374c063c0"; // none any more of the last line
    assert_eq!(bytes, expected);
    assert_eq!(batches[0].check(&Limits::STANDARD).unwrap().latest_time, Some(HybridTime(99)));
}

#[test]
fn formatting_that_is_refused() {
    let batch = |operations: &[u8]| Batch {
        actor: Actor(2),
        first: 3,
        count: 1,
        operations: [b"\xa1t", operations].concat().into(),
    };
    let shape = |kind| Err(BatchError::Shape { at: 2, kind });
    let reference = || Err(BatchError::Reference { at: 2 });
    let malformed = || Err(BatchError::Malformed { at: 2, problem: crate::batch::Malformed::Type });
    let table: [(&[u8], Result<(), BatchError>); 13] = [
        (b"\x98\x0a\x01\x00\x01\xc0\xa1b\xc3\x05", Ok(())),
        (b"\x98\x0a\x02\x00\x01\xc0\xa1b\xc3\x05", shape(10)),
        (b"\x98\x0a\x01\x04\x01\xc0\xa1b\xc3\x05", shape(10)),
        (b"\x97\x0a\x01\x00\x01\xc0\xa1b\xc3", shape(10)),
        (b"\x98\x0a\x01\x00\x03\xc0\xa1b\xc3\x05", reference()),
        (b"\x98\x0a\x01\x00\x01\x92\x01\x01\xa1b\xc3\x05", reference()),
        (b"\x96\x0b\x01\xa1h\x01\x05\xc0", Ok(())),
        (b"\x97\x0b\x01\xa1h\x01\x05\x01\xc0", Ok(())),
        (b"\x95\x0b\x01\xa1h\x01\x05", shape(11)),
        (b"\x96\x0b\x01\xa1h\x01\x05\x09", reference()),
        (b"\x96\x0b\x02\xa1h\x01\x05\xc0", shape(11)),
        (b"\x96\x0b\x01\xa1h\x90\x05\xc0", Ok(())),
        (b"\x96\x0b\x01\xa1h\xd4\x01\x00\x05\xc0", malformed()),
    ];
    for (operations, expected) in table {
        let checked = batch(operations).check(&Limits::STANDARD).map(drop);
        assert_eq!(checked, expected, "{operations:02x?}");
    }
}

#[test]
fn json_of_deltas() {
    let delta = vec![
        TextDelta::Insert(
            "a\"\\\n\u{1}\u{2028}</script>😀".into(),
            shows(&[
                ("bold", Value::Bool(true)),
                ("color", Value::from("#f00")),
                ("header", Value::Int(-3)),
                ("size", Value::Float(1.5)),
                ("x", Value::Null),
                ("y", Value::Array(vec![Value::Int(1), Value::Map([("z".into(), Value::Bool(false))].into())])),
            ]),
        ),
        TextDelta::Retain(7, on("italic")),
        TextDelta::retain(1),
        TextDelta::Delete(2),
    ];
    let text = json::write(&delta);
    assert!(!text.contains('<') && !text.contains('\n'));
    assert_eq!(json::read(&text), Ok(delta));
    let read = json::read(r#" { "x" : [ { } , [ ] , -1e3 ] , "ops" : [ {"insert":"\u00e9\ud83d\ude00\/"} ] } "#);
    assert_eq!(read, Ok(vec![TextDelta::insert("é😀/")]));
    let deep = format!(r#"{{"x":{}"#, "[".repeat(100_000));
    let nested = format!("[{{\"insert\":\"a\",\"attributes\":{{\"b\":{}", "[".repeat(100_000));
    let refused = [
        "",
        "[",
        "[{}]",
        "[{\"insert\":1}]",
        "[{\"insert\":{\"image\":\"u\"}}]",
        "[{\"retain\":-1}]",
        "[{\"retain\":1.5}]",
        "[{\"insert\":\"a\",\"delete\":1}]",
        "[{\"insert\":\"a\",\"attributes\":{\"b\":[1}}]",
        &nested,
        "[{\"insert\":\"\\ud800\"}]",
        "[{\"insert\":\"\\ud800\\u0041\"}]",
        "[{\"insert\":\"\\x\"}]",
        "[{\"insert\":\"a\"}",
        "[] 1",
        "{}",
        "[{\"insert\":\"a\n\"}]",
        "[{\"insert\":\"\\u12\"}]",
        "[{\"insert\":\"\\",
        "[{\"retain\":1}{\"retain\":1}]",
        "[{\"insert\":\"a\",\"attributes\":{\"b\":1e999}}]",
        &deep,
    ];
    for text in refused {
        assert!(json::read(text).is_err(), "{:.60}", text);
    }
}

#[test]
fn marks_by_anchors() {
    let (mut one, mut two) = pair("abcd");
    let start = one.anchor_beside("t", Position::Scalar(1), Side::Before).unwrap();
    let end = one.anchor_beside("t", Position::Scalar(3), Side::After).unwrap();
    one.mark_between("t", start, end, "bold", Value::Bool(true), NOW).unwrap();
    two.mark_between("t", end, start, "italic", Value::Bool(true), NOW).unwrap();
    two.mark_between("t", Anchor::End, Anchor::Start, "italic", Value::Bool(true), NOW).unwrap();
    assert_eq!(exchange(&mut one, &mut two), "a[bold:bc]d", "what lies over nothing has no effect");
    one.mark_between("t", Anchor::Start, Anchor::End, "italic", Value::Bool(true), NOW).unwrap();
    exchange(&mut one, &mut two);
    insert_after(&mut two, "d", "e");
    assert_eq!(exchange(&mut one, &mut two), "[italic:a][bold,italic:bc][italic:de]");
    assert_eq!(one.text("t").attributes_at(Position::Utf16(0)), on("italic"));
}
