//! The steps, the same for every library.

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::heap;
use crate::report::Row;
use crate::trace::{Edit, Sees, Trace};

/// A step that takes longer is stopped.
const LIMIT: Duration = Duration::from_secs(60);
/// Runs of a step, at most, and when no further one begins.
const RUNS: usize = 7;
const LOADS: usize = 100;
const ENOUGH: Duration = Duration::from_secs(3);

/// One replica of a library.
pub trait Replica: Sized {
    /// An empty one that edits as an author, from 1 on.
    fn new(author: u64) -> Self;

    /// Its text in scalars.
    fn len(&self) -> usize;

    /// Makes edits and encodes them as one update.
    fn edit(&mut self, edits: &[Edit]) -> Vec<u8>;

    /// Applies an update of another replica.
    fn apply(&mut self, update: &[u8]);

    /// The text.
    fn text(&self) -> String;

    /// The whole state.
    fn save(&mut self) -> Vec<u8>;

    /// A replica of a saved state.
    fn load(bytes: &[u8]) -> Self;

    /// Two saved states as one, without a replica; `None` where the library cannot.
    fn merge(_: &[u8], _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// What one at the other saved state lacks of the first, without a replica; the clock counts only what follows from the
    /// version of the other.
    fn difference(_: &[u8], _: &[u8]) -> Option<(Vec<u8>, Duration)> {
        None
    }
}

/// What the authors did.
struct Written {
    updates: Vec<Vec<u8>>,
    took: Duration,
    edits: usize,
    is_all: bool,
}

/// A generated position is any number, and concurrent edits may have left less than the trace had.
fn fit(replica: &impl Replica, edit: &Edit) -> Edit {
    let length = replica.len();
    let position =
        if edit.position > u32::MAX as usize { edit.position % (length + 1) } else { edit.position.min(length) };
    Edit { position, deleted: edit.deleted.min(length - position), inserted: edit.inserted.clone() }
}

fn write<R: Replica>(trace: &Trace, group: usize) -> Written {
    let mut replicas: Vec<R> = (0..trace.authors).map(|author| R::new(author as u64 + 1)).collect();
    // Of each author, the turns whose updates are applied: all before one, and some after it.
    let mut applied: Vec<Vec<bool>> = vec![vec![false; trace.turns.len()]; trace.authors];
    let mut next = vec![0; trace.authors];
    let mut turns: Vec<(usize, usize)> = Vec::new();
    let mut written =
        Written { updates: Vec::with_capacity(trace.edits), took: Duration::ZERO, edits: 0, is_all: false };
    let began = Instant::now();
    for (index, turn) in trace.turns.iter().enumerate() {
        let replica = &mut replicas[turn.author];
        let lacked: Vec<usize> = match &turn.sees {
            Sees::First(end) => (next[turn.author]..*end).filter(|&at| !applied[turn.author][at]).collect(),
            Sees::Only(seen) => seen.iter().copied().filter(|&at| !applied[turn.author][at]).collect(),
        };
        if let Sees::First(end) = turn.sees {
            next[turn.author] = end;
        }
        for at in lacked {
            applied[turn.author][at] = true;
            let (from, to) = turns[at];
            written.updates[from..to].iter().for_each(|update| replica.apply(update));
        }
        let from = written.updates.len();
        let is_alone = trace.authors == 1;
        // What is not the library's work is not on the clock; with one author nothing needs to fit.
        let mut start = Instant::now();
        for edits in turn.edits.chunks(group) {
            if is_alone {
                written.updates.push(replica.edit(edits));
            } else {
                let fitting: Vec<Edit> = if group == 1 {
                    vec![fit(replica, &edits[0])]
                } else {
                    edits.iter().map(|edit| fit(replica, edit)).collect()
                };
                start = Instant::now();
                written.updates.push(replica.edit(&fitting));
                written.took += start.elapsed();
            }
            written.edits += edits.len();
            if written.edits % 64 < edits.len() && began.elapsed() > LIMIT {
                written.took += if is_alone { start.elapsed() } else { Duration::ZERO };
                return written;
            }
        }
        if is_alone {
            written.took += start.elapsed();
        }
        applied[turn.author][index] = true;
        turns.push((from, written.updates.len()));
    }
    written.is_all = true;
    written
}

fn read<R: Replica>(updates: &[Vec<u8>]) -> (R, Duration, usize) {
    let mut replica = R::new(u64::from(u16::MAX));
    let start = Instant::now();
    for (index, update) in updates.iter().enumerate() {
        replica.apply(update);
        if index % 64 == 63 && start.elapsed() > LIMIT {
            return (replica, start.elapsed(), index + 1);
        }
    }
    (replica, start.elapsed(), updates.len())
}

/// The shortest time of several runs.
fn best(runs: usize, mut run: impl FnMut() -> Duration) -> Duration {
    let began = Instant::now();
    let mut best = run();
    for _ in 1..runs {
        if began.elapsed() > ENOUGH {
            break;
        }
        best = best.min(run());
    }
    best
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Measures a library; a panic of it ends its row.
pub fn run<R: Replica>(name: &str, version: &str, trace: &Trace) -> Row {
    let mut row = Row { library: name.into(), version: version.into(), trace: trace.name.clone(), ..Row::default() };
    if catch_unwind(AssertUnwindSafe(|| steps::<R>(trace, &mut row))).is_err() {
        eprintln!("{name} panicked on {}", trace.name);
    }
    row
}

fn steps<R: Replica>(trace: &Trace, row: &mut Row) {
    let say = |step: &str| eprintln!("{}: {} {step}", trace.name, row.library);
    say("edits and encodes");
    let began = Instant::now();
    let written = write::<R>(trace, 1);
    let mut took = written.took;
    // What the replicas apply of each other counts here too: with many authors that is most of it.
    if written.is_all && began.elapsed() < ENOUGH {
        took = took.min(best(RUNS - 1, || write::<R>(trace, 1).took));
    }
    row.ops = written.edits;
    row.apply_encode_ms = written.is_all.then(|| ms(took));
    let bytes: usize = written.updates.iter().map(Vec::len).sum();
    row.bytes_per_op = Some(bytes as f64 / written.edits as f64);
    if written.is_all {
        eprintln!("{}: {} encodes up to eight edits together", trace.name, row.library);
        let eights = write::<R>(trace, 8);
        let bytes: usize = eights.updates.iter().map(Vec::len).sum();
        row.bytes_per_op_coalesced = Some(bytes as f64 / eights.edits as f64);
    }
    eprintln!("{}: {} applies others' edits", trace.name, row.library);
    let before = heap::bytes();
    let (mut replica, first, count) = read::<R>(&written.updates);
    let heap = heap::bytes().saturating_sub(before);
    if count < written.updates.len() {
        row.ops = count;
        row.remote_us_per_op = Some(first.as_secs_f64() * 1e6 / count as f64);
        return;
    }
    let remote = first.min(best(RUNS - 1, || read::<R>(&written.updates).1));
    row.remote_us_per_op = Some(remote.as_secs_f64() * 1e6 / count as f64);
    row.heap_bytes = Some(heap);
    let text = replica.text();
    if written.is_all
        && let Some(end) = &trace.end
    {
        assert!(text == *end, "the text is the trace's");
    }
    eprintln!("{}: {} saves and loads", trace.name, row.library);
    let saved = replica.save();
    row.snapshot_bytes = Some(saved.len());
    let load = best(LOADS, || {
        let start = Instant::now();
        let loaded = R::load(&saved);
        let loaded_text = black_box(loaded.text());
        let took = start.elapsed();
        assert!(loaded_text == text, "the loaded text is the saved one");
        took
    });
    row.load_ms = Some(ms(load));
    drop(replica);
    states::<R>(&written.updates, &saved, &text, row);
}

/// Steps on encoded states.
fn states<R: Replica>(updates: &[Vec<u8>], saved: &[u8], text: &str, row: &mut Row) {
    let (mut earlier, ..) = read::<R>(&updates[..updates.len() / 10 * 9]);
    let nine_tenths = earlier.save();
    if R::difference(saved, &nine_tenths).is_some() {
        let took = best(LOADS, || R::difference(saved, &nine_tenths).map_or(Duration::ZERO, |(_, took)| took));
        row.diff_ms = Some(ms(took));
        if let Some((difference, _)) = R::difference(saved, &nine_tenths) {
            eprintln!("{}: a difference of {} bytes", row.trace, difference.len());
            earlier.apply(&difference);
            assert!(earlier.text() == text, "the difference brings what is lacked");
        }
    }
    // One state lacks the last hundredth, and has a sentence that the other lacks.
    let (mut other, ..) = read::<R>(&updates[..updates.len() / 100 * 99]);
    let place = other.len() / 2;
    let sentence = "Two nodes took a snapshot each, and neither has all. ";
    for (index, letter) in sentence.chars().enumerate() {
        other.edit(&[Edit { position: place + index, deleted: 0, inserted: letter.into() }]);
    }
    let other = other.save();
    if let Some(merged) = R::merge(saved, &other) {
        row.merge_ms = Some(ms(best(LOADS, || {
            let start = Instant::now();
            black_box(R::merge(saved, &other));
            start.elapsed()
        })));
        assert!(R::load(&merged).text().contains(sentence), "what both have is in the merged state");
    }
}
