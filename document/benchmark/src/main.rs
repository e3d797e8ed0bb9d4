//! Replays an editing trace and prints what each step costs, one row a trace.
//!
//! `cargo run --release -- automerge-paper.json.gz …`: sequential traces of github.com/josephg/editing-traces, plain or
//! gzip. Positions count Unicode scalars; every patch is one edit. Each figure is the best of `RUNS` runs.

mod heap;
mod trace;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, Limits, Position, Snapshot, VersionVector};

use trace::{Edit, Trace};

const RUNS: usize = 5;
const ROOT: &str = "t";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:24} {:>8} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9}", "trace", "edits", "local ms",
        "remote µs", "B/op", "B/op 8", "snapshot", "load ms", "merge", "diff ms", "heap");
    for path in std::env::args().skip(1) {
        let trace = Trace::read(&path)?;
        row(&path, &trace);
    }
    Ok(())
}

fn edit(document: &mut Document, edit: &Edit) {
    let at = Position::Scalar(edit.position);
    if edit.deleted > 0 {
        document.delete(ROOT, at, edit.deleted).expect("the trace fits its own text");
    }
    if !edit.inserted.is_empty() {
        document.insert(ROOT, at, &edit.inserted).expect("the trace fits its own text");
    }
}

/// Every edit, encoded after each `group` of them: how long it took, and the stored batches one after another.
fn local(trace: &Trace, group: usize) -> (Document, Duration, Vec<Vec<u8>>) {
    let mut document = Document::new();
    document.set_actor(Actor(1), 1);
    let mut stored = Vec::with_capacity(trace.edits.len());
    let start = Instant::now();
    for edits in trace.edits.chunks(group) {
        for one in edits {
            edit(&mut document, one);
        }
        for batch in document.take_batches() {
            let mut bytes = Vec::with_capacity(batch.encoded_len());
            batch.encode(&mut bytes);
            stored.push(bytes);
        }
    }
    (document, start.elapsed(), stored)
}

fn remote(stored: &[Bytes]) -> (Document, Duration) {
    let mut document = Document::new();
    let start = Instant::now();
    for bytes in stored {
        let batch = Batch::decode(bytes).expect("what was encoded");
        document.apply(&batch).expect("what was edited");
    }
    (document, start.elapsed())
}

fn best<T>(mut run: impl FnMut() -> (T, Duration)) -> (T, f64) {
    let mut best = run();
    for _ in 1..RUNS {
        let next = run();
        if next.1 < best.1 {
            best = next;
        }
    }
    (best.0, best.1.as_secs_f64())
}

fn row(path: &str, trace: &Trace) {
    let edits = trace.edits.len();
    let ((document, stored), local_seconds) = best(|| {
        let (document, duration, stored) = local(trace, 1);
        ((document, stored), duration)
    });
    assert_eq!(document.text(ROOT).to_string(), trace.end, "the text is the trace's");
    let one_by_one: usize = stored.iter().map(Vec::len).sum();
    let eight: usize = local(trace, 8).2.iter().map(Vec::len).sum();
    let stored: Vec<Bytes> = stored.into_iter().map(Bytes::from).collect();
    let check = Instant::now();
    for bytes in &stored {
        let batch = Batch::decode(bytes).expect("what was encoded");
        black_box(batch.check(&Limits::STANDARD).expect("what was edited"));
    }
    let check = check.elapsed().as_secs_f64();
    let (_, remote_seconds) = best(|| remote(&stored));
    let before = heap::bytes();
    let (live, _) = remote(&stored);
    let heap = heap::bytes() - before;
    assert_eq!(live.text(ROOT).to_string(), trace.end, "the remote text is the trace's");
    drop(live);
    let snapshot = document.snapshot();
    let (loaded, load_seconds) = best(|| {
        let start = Instant::now();
        let snapshot = Snapshot::parse(snapshot.clone()).expect("what was encoded");
        let mut document = Document::new();
        document.merge(&snapshot).expect("what was encoded");
        let text = document.text(ROOT).to_string();
        ((document, text), start.elapsed())
    });
    assert_eq!(loaded.1, trace.end, "the loaded text is the trace's");
    assert_eq!(loaded.0.snapshot(), snapshot, "equal states have equal snapshots");
    let whole = Snapshot::parse(snapshot.clone()).expect("what was encoded");
    let mut have = VersionVector::new();
    have.dots.insert(Actor(1), document.version().get(&Actor(1)) * 9 / 10);
    let (difference, difference_seconds) = best(|| {
        let start = Instant::now();
        (whole.difference(&have).expect("what was encoded"), start.elapsed())
    });
    let (_, encode_seconds) = best(|| {
        let start = Instant::now();
        (black_box(document.snapshot()), start.elapsed())
    });
    let name = path.rsplit('/').next().unwrap_or(path).split('.').next().unwrap_or(path);
    println!(
        "{name:24} {edits:8} {:9.1} {:9.3} {:7.2} {:7.2} {:9} {:7.2} {:>7} {:7.2} {:9}",
        local_seconds * 1e3,
        remote_seconds * 1e6 / edits as f64,
        one_by_one as f64 / edits as f64,
        eight as f64 / edits as f64,
        snapshot.len(),
        load_seconds * 1e3,
        "",
        difference_seconds * 1e3,
        heap
    );
    println!(
        "{:24} check {:.3} µs/op, difference of the last tenth {} bytes, snapshot encoded in {:.2} ms, text {} bytes",
        "",
        check * 1e6 / edits as f64,
        difference.len(),
        encode_seconds * 1e3,
        trace.end.len()
    );
}
