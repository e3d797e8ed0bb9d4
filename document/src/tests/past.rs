//! A document as it was, against the plain model.

use super::model::Model;
use super::random::{Random, for_seeds};
use crate::{
    Actor, Attributes, Batch, Delta, Document, Dot, History, HistoryError, HybridTime, ListDelta, Position, Snapshot,
    TextDelta, Unit, Value, VersionVector, fold,
};

/// Two authors who see of each other now and then; batches in an order in which each comes after what it refers to.
fn batches(random: &mut Random) -> Vec<Batch> {
    let mut log: Vec<Batch> = Vec::new();
    let mut replicas = [Document::new(), Document::new()];
    replicas[0].set_actor(Actor(9), 1);
    replicas[1].set_actor(Actor(4), 1);
    for step in 0..30 {
        let document = &mut replicas[random.below(2)];
        if random.chance(50) {
            for batch in &log {
                document.apply(batch).unwrap();
            }
        }
        for _ in 0..1 + random.below(3) {
            let length = document.text("t").len_scalars();
            let place = random.below(length + 1);
            let now = HybridTime::from_millis(step as u64);
            match random.below(10) {
                8 => {
                    let length = random.below(6).min(length - place);
                    let value = if random.chance(70) { Value::Bool(true) } else { Value::Null };
                    document.mark("t", Position::Scalar(place), length, "bold", value, now).unwrap();
                }
                9 => document.set_block("t", Position::Scalar(place), 0, "header", Value::Int(step), now).unwrap(),
                0..=3 => document.insert("t", Position::Scalar(place), &random.text(6)).unwrap(),
                4 => document.delete("t", Position::Scalar(place), random.below(4).min(length - place)).unwrap(),
                5 => document.map_set("m", "k", Value::Int(step), HybridTime::from_millis(step as u64)).unwrap(),
                6 => {
                    let values = (0..1 + random.below(4)).map(|value| Value::Int(value as i64)).collect();
                    document.list_insert("l", random.below(document.list_len("l") + 1), values).unwrap();
                }
                _ => {
                    document.set_add("s", &Value::Int(random.below(3) as i64)).unwrap();
                    document.counter_add("c", 2).unwrap();
                }
            }
        }
        log.extend(document.take_batches());
    }
    log
}

/// So many batches, and of one more some operations: the vector, and what of the log it covers.
fn prefix(log: &[Batch], random: &mut Random) -> (VersionVector, Vec<Batch>) {
    let count = random.below(log.len());
    let mut part: Vec<Batch> = log[..count].to_vec();
    let next = &log[count];
    part.extend(next.up_to(next.first + random.below(next.count as usize) as u64));
    (part.iter().map(|batch| Dot::new(batch.actor, batch.last())).collect(), part)
}

fn list(document: &Document) -> Vec<Value> {
    document.list_values("l", 0).cloned().collect()
}

#[test]
fn a_document_as_it_was() {
    for_seeds(150, |seed| {
        let mut random = Random(seed);
        let log = batches(&mut random);
        let ((one, one_part), (other, _)) = (prefix(&log, &mut random), prefix(&log, &mut random));
        let whole = History::new(None, &log);
        let mut model = Model::default();
        one_part.iter().for_each(|batch| model.apply(batch));
        let document = whole.at(&one).unwrap();
        assert_eq!(document.text("t").to_string(), model.texts.get("t").map_or_else(String::new, |text| text.items()));
        assert_eq!(list(&document), model.lists.get("l").map_or_else(Vec::new, |list| list.items()));
        assert_eq!(document.snapshot(), fold(None, &one_part).unwrap());

        // From a snapshot on, what it covers can not be told apart any more.
        let folded = Snapshot::parse(fold(None, &one_part).unwrap()).unwrap();
        let later = History::new(Some(&folded), &log);
        assert_eq!(later.first(), one);
        assert_eq!(later.last(), whole.last());
        assert_eq!(later.at(&whole.last()).unwrap().snapshot(), fold(None, &log).unwrap());
        if let Some(actor) = [Actor(4), Actor(9)].into_iter().find(|actor| other.get(actor) < one.get(actor)) {
            let (from, to, wanted) = (one.get(&actor), whole.last().get(&actor), other.get(&actor));
            assert_eq!(later.at(&other).unwrap_err(), HistoryError::NotCovered { actor, from, to, wanted });
        }

        let after = whole.at(&other).unwrap();
        let (mut text, mut values) = (document.text("t").to_string(), list(&document));
        let mut count = document.counter_value("c");
        let mut shown = shown_by(&document);
        for change in whole.diff(&one, &other, Unit::Scalar).unwrap() {
            match change.delta {
                Delta::Text(steps) => {
                    text = changed(&text, &steps);
                    shown = shown_after(&shown, &steps);
                }
                Delta::List(steps) => {
                    let mut rest = values.into_iter();
                    values = Vec::new();
                    for step in steps {
                        match step {
                            ListDelta::Retain(count) => values.extend(rest.by_ref().take(count)),
                            ListDelta::Delete(count) => rest.by_ref().take(count).for_each(drop),
                            ListDelta::Insert(new) => values.extend(new),
                        }
                    }
                    values.extend(rest);
                }
                Delta::Map { key, value } => assert_eq!(after.map_get("m", &key), value.as_ref()),
                Delta::Set { member, is_in } => assert_eq!(after.set_contains("s", &member), is_in),
                Delta::Counter { value } => count = value,
            }
        }
        assert_eq!((text, values, count), (after.text("t").to_string(), list(&after), after.counter_value("c")));

        assert_eq!(shown, shown_by(&after));

        let authors = after.authors("t");
        assert_eq!(authors.iter().map(|written| written.length).sum::<usize>(), after.text("t").len_scalars());
        let nodes = model_authors(&log, &other);
        let flat: Vec<Actor> =
            authors.iter().flat_map(|written| std::iter::repeat_n(written.actor, written.length)).collect();
        assert_eq!(flat, nodes);
    });
}

fn changed(text: &str, steps: &[TextDelta]) -> String {
    let (mut rest, mut out) = (text.chars(), String::new());
    for step in steps {
        match step {
            TextDelta::Retain(count, _) => out.extend(rest.by_ref().take(*count)),
            TextDelta::Delete(count) => rest.by_ref().take(*count).for_each(drop),
            TextDelta::Insert(text, _) => out.push_str(text),
        }
    }
    out.extend(rest);
    out
}

/// Each character, the last line's break too, and what it shows.
type Shown = Vec<(char, Attributes)>;

fn shown_by(document: &Document) -> Shown {
    shown_after(&Vec::new(), &document.text("t").to_delta())
}

fn shown_after(shown: &Shown, steps: &[TextDelta]) -> Shown {
    let (mut rest, mut after) = (shown.iter().cloned(), Vec::new());
    for step in steps {
        match step {
            TextDelta::Retain(count, attributes) => {
                for (character, mut shows) in rest.by_ref().take(*count) {
                    for (key, value) in attributes {
                        match value {
                            Value::Null => drop(shows.remove(key)),
                            value => drop(shows.insert(key.clone(), value.clone())),
                        }
                    }
                    after.push((character, shows));
                }
            }
            TextDelta::Insert(text, attributes) => {
                after.extend(text.chars().map(|character| (character, attributes.clone())));
            }
            TextDelta::Delete(count) => rest.by_ref().take(*count).for_each(drop),
        }
    }
    after.extend(rest);
    after
}

/// By the model, whose each visible character is.
fn model_authors(log: &[Batch], version: &VersionVector) -> Vec<Actor> {
    let mut model = Model::default();
    for batch in log {
        if let Some(part) = batch.up_to(version.get(&batch.actor)) {
            model.apply(&part);
        }
    }
    model.texts.get("t").map_or_else(Vec::new, |text| text.visible().into_iter().map(|id| id.0).collect())
}

#[test]
fn a_batch_is_cut_anywhere() {
    for_seeds(50, |seed| {
        let log = batches(&mut Random(seed));
        for batch in &log {
            for last in batch.first..=batch.last() {
                let part = batch.up_to(last).unwrap();
                part.check(&crate::Limits::STANDARD).unwrap();
                assert_eq!((part.first, part.last()), (batch.first, last));
            }
            assert_eq!(batch.up_to(batch.first - 1), None);
        }
    });
}

#[test]
fn an_earlier_state_comes_back_as_an_edit() {
    for_seeds(100, |seed| {
        let mut random = Random(seed);
        let log = batches(&mut random);
        let (one, _) = prefix(&log, &mut random);
        let target = History::new(None, &log).at(&one).unwrap();
        let mut document = Document::new();
        let mut other = Document::new();
        for batch in &log {
            document.apply(batch).unwrap();
            other.apply(batch).unwrap();
        }
        document.set_actor(Actor(77), 1);
        document.restore(&target, HybridTime::from_millis(1_000)).unwrap();
        for batch in document.take_batches() {
            other.apply(&batch).unwrap();
        }
        for shown in [&document, &other] {
            assert_eq!(shown.text("t").to_string(), target.text("t").to_string());
            assert_eq!(shown.text("t").to_delta(), target.text("t").to_delta());
            assert_eq!(shown.map_get("m", "k"), target.map_get("m", "k"));
            assert_eq!(list(shown), list(&target));
            assert_eq!(shown.counter_value("c"), target.counter_value("c"));
            let members = |of: &Document| of.set_members("s").collect::<Vec<_>>();
            assert_eq!(members(shown), members(&target));
        }
        // Once more is nothing.
        document.restore(&target, HybridTime::from_millis(1_001)).unwrap();
        assert_eq!(document.take_batches(), []);
    });
}
