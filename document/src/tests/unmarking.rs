//! Undo of formatting beside another who formats: what is shown is as if what was taken back had never been.

use super::encodings::{apply_all, writer};
use super::random::{Random, for_seeds};
use crate::batch::Edit;
use crate::{Batch, Document, HybridTime, Limits, Position, UndoOptions, Value};

/// A mark that somebody laid.
struct Laid {
    order: (HybridTime, u64, u64),
    from: usize,
    to: usize,
    value: Value,
    is_undone: bool,
}

const LENGTH: usize = 10;

/// Two over one text, of whom the first undoes and redoes.
struct Pair {
    random: Random,
    documents: [Document; 2],
    /// What the other has not been given yet.
    waiting: [Vec<Batch>; 2],
    laid: Vec<Laid>,
    /// Which of those the first can undo and redo.
    undo: Vec<usize>,
    redo: Vec<usize>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut documents = [writer(1), writer(2)];
        documents[0].insert("body", Position::Scalar(0), "abcdefghij").unwrap();
        let text = documents[0].take_batches();
        apply_all(&mut documents[1], &text);
        documents[0].track_undo(Some(UndoOptions::default()));
        let (waiting, laid) = Default::default();
        Self { random: Random(seed), documents, waiting, laid, undo: Vec::new(), redo: Vec::new() }
    }

    fn mark(&mut self, who: usize) {
        let document = &mut self.documents[who];
        let from = self.random.below(LENGTH);
        let to = from + 1 + self.random.below(LENGTH - from);
        let value = [Value::Null, Value::Int(1), Value::Int(2)][self.random.below(3)].clone();
        let counter = document.next_counter().unwrap();
        let now = HybridTime(self.random.below(40) as u64);
        document.undo_break();
        document.mark("body", Position::Scalar(from), to - from, "link", value.clone(), now).unwrap();
        let batches = document.take_batches();
        let edits = batches.iter().flat_map(|batch| batch.edits(&Limits::STANDARD).unwrap());
        let time = edits.filter_map(|(_, edit)| if let Edit::Mark { time, .. } = edit { Some(time) } else { None });
        let order = (time.last().unwrap(), who as u64 + 1, counter);
        if who == 0 {
            self.undo.push(self.laid.len());
            self.redo.clear();
        }
        self.laid.push(Laid { order, from, to, value, is_undone: false });
        self.waiting[who].extend(batches);
    }

    fn give(&mut self, from: usize) {
        let waiting = std::mem::take(&mut self.waiting[from]);
        apply_all(&mut self.documents[1 - from], &waiting);
    }

    fn take_back(&mut self, is_redo: bool) {
        let now = HybridTime(self.random.below(90) as u64);
        let document = &mut self.documents[0];
        let did = if is_redo { document.redo(now) } else { document.undo(now) }.unwrap().is_some();
        self.waiting[0].extend(document.take_batches());
        let (left, from, to) = if is_redo {
            (document.redo_len(), &mut self.redo, &mut self.undo)
        } else {
            (document.undo_len(), &mut self.undo, &mut self.redo)
        };
        // Those of which nothing is shown are passed over.
        let taken = from.split_off(left);
        taken.iter().for_each(|&index| self.laid[index].is_undone = !is_redo);
        to.extend(taken.first().filter(|_| did));
    }

    fn check(&self, who: usize) {
        for at in 0..LENGTH {
            let over = self.laid.iter().filter(|laid| !laid.is_undone && (laid.from..laid.to).contains(&at));
            let expected = over.max_by_key(|laid| laid.order).map(|laid| &laid.value);
            let shown = self.documents[who].text("body").attributes_at(Position::Scalar(at));
            assert_eq!(shown.get("link"), expected.filter(|value| **value != Value::Null), "at {at} for {who}");
        }
    }
}

#[test]
fn it_is_as_if_what_is_undone_had_never_been() {
    for_seeds(400, |seed| {
        let mut pair = Pair::new(seed);
        for _ in 0..40 {
            match pair.random.below(12) {
                0..=3 => pair.mark(0),
                4 | 5 => pair.mark(1),
                6 => pair.give(0),
                7 => pair.give(1),
                action => {
                    pair.give(1);
                    pair.take_back(action > 9);
                    pair.check(0);
                    // What the other lays at the same time, by an earlier time, an undo cannot show: it is later.
                    pair.give(0);
                }
            }
        }
        pair.give(0);
        pair.give(1);
        (0..2).for_each(|who| pair.check(who));
        assert_eq!(pair.documents[0].snapshot(), pair.documents[1].snapshot());
    });
}

/// The other's mark comes late and lies under the own one: nobody else has it any more but who noted it.
#[test]
fn anothers_mark_under_the_own_one_shows_again() {
    for through_snapshot in [false, true] {
        let mut pair = Pair::new(0);
        let [one, two] = &mut pair.documents;
        two.mark("body", Position::Scalar(2), 3, "bold", Value::Bool(true), HybridTime(5)).unwrap();
        two.set_block("body", Position::Scalar(0), 1, "header", Value::Int(2), HybridTime(5)).unwrap();
        one.mark("body", Position::Scalar(0), 10, "bold", Value::Bool(true), HybridTime(9)).unwrap();
        one.set_block("body", Position::Scalar(0), 1, "header", Value::Int(1), HybridTime(9)).unwrap();
        if through_snapshot {
            let theirs = crate::Snapshot::parse(two.snapshot()).unwrap();
            one.merge(&theirs).unwrap();
        } else {
            apply_all(one, &two.take_batches());
        }
        assert!(one.undo(HybridTime(20)).unwrap().is_some());
        apply_all(two, &one.take_batches());
        for document in [&*one, &*two] {
            let shows = |at, kind| document.text("body").attributes_at(Position::Scalar(at)).get(kind).cloned();
            let bold: Vec<usize> = (0..LENGTH).filter(|&at| shows(at, "bold").is_some()).collect();
            assert_eq!((bold, shows(LENGTH, "header")), (vec![2, 3, 4], Some(Value::Int(2))));
        }
    }
}

/// Undo writes with the time of what it takes back: what another wrote since stays, though it was not known here.
#[test]
fn what_another_wrote_since_stays() {
    let mut pair = Pair::new(0);
    let [one, two] = &mut pair.documents;
    one.mark("body", Position::Scalar(0), 10, "color", Value::Int(1), HybridTime(5)).unwrap();
    one.set_block("body", Position::Scalar(0), 1, "header", Value::Int(1), HybridTime(5)).unwrap();
    let ours = one.take_batches();
    apply_all(two, &ours);
    two.mark("body", Position::Scalar(4), 3, "color", Value::Int(2), HybridTime(7)).unwrap();
    two.set_block("body", Position::Scalar(0), 1, "header", Value::Int(2), HybridTime(7)).unwrap();
    assert!(one.undo(HybridTime(20)).unwrap().is_some());
    let (ours, theirs) = (one.take_batches(), two.take_batches());
    apply_all(one, &theirs);
    apply_all(two, &ours);
    for document in [&*one, &*two] {
        let shows = |at, kind| document.text("body").attributes_at(Position::Scalar(at)).get(kind).cloned();
        let colours: Vec<usize> = (0..LENGTH).filter(|&at| shows(at, "color") == Some(Value::Int(2))).collect();
        assert_eq!((colours, shows(0, "color")), (vec![4, 5, 6], None));
        assert_eq!(shows(LENGTH, "header"), Some(Value::Int(2)));
    }
}
