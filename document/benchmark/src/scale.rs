//! What an edit costs as a document of this project's own grows: whether the cost per edit stays near what it was.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, Position, Snapshot};

use crate::trace::Random;

const ROOT: &str = "t";
/// Visible text into which is inserted.
const LARGE: usize = 10_000_000;
const INSERTS: usize = 20_000;

fn author(actor: u64) -> Document {
    let mut document = Document::new();
    document.set_actor(Actor(actor), 1);
    document
}

fn per(took: Duration, count: usize) -> f64 {
    took.as_secs_f64() * 1e6 / count.max(1) as f64
}

fn load(snapshot: &Bytes) -> Document {
    let snapshot = Snapshot::parse(snapshot.clone()).expect("what was encoded");
    let mut document = Document::new();
    document.merge(&snapshot).expect("what was encoded");
    document
}

/// One author edits at random places, a few letters at a time, up to so many edits; another replica applies each.
pub fn growth(most: usize) {
    println!("\n**edits at random places, up to {most}**\n");
    println!("| edits | local + encode µs | remote µs | save µs/edit | load µs/edit | snapshot KB | text KB |");
    println!("|---|---|---|---|---|---|---|");
    let (mut random, mut author, mut reader) = (Random::new(3), author(1), Document::new());
    let (mut edits, mut before, mut next) = (0, 0, most / 64);
    let (mut local, mut remote) = (Duration::ZERO, Duration::ZERO);
    while edits < most {
        let mut batches: Vec<Batch> = Vec::new();
        let start = Instant::now();
        while batches.len() < 5_000 {
            let length = author.text(ROOT).len_scalars();
            let place = random.below(length + 1);
            if length > place + 3 && random.below(4) == 0 {
                author.delete(ROOT, Position::Scalar(place), 1 + random.below(3)).expect("the edit fits the text");
                batches.append(&mut author.take_batches());
            }
            for index in 0..1 + random.below(6) {
                author.insert(ROOT, Position::Scalar(place + index), "e").expect("the edit fits the text");
                batches.append(&mut author.take_batches());
            }
        }
        local += start.elapsed();
        let start = Instant::now();
        for batch in &batches {
            reader.apply(batch).expect("what was encoded");
        }
        remote += start.elapsed();
        edits += batches.len();
        if edits < next {
            continue;
        }
        let start = Instant::now();
        let snapshot = author.snapshot();
        let save = start.elapsed();
        let start = Instant::now();
        black_box(load(&snapshot));
        let took = start.elapsed();
        println!(
            "| {edits} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} |",
            per(local, edits - before),
            per(remote, edits - before),
            per(save, edits),
            per(took, edits),
            snapshot.len() / 1000,
            author.text(ROOT).len_bytes() / 1000,
        );
        (before, next, local, remote) = (edits, next * 2, Duration::ZERO, Duration::ZERO);
    }
}

/// Inserts of one letter into a large text: one after another in the middle, and each elsewhere.
pub fn large_text() {
    println!("\n**an insert into a text of {} MB**\n", LARGE / 1_000_000);
    println!("| | in the middle µs | elsewhere each time µs |");
    println!("|---|---|---|");
    let mut written = author(1);
    let passage = "The quick brown fox jumps over the lazy dog. ".repeat(700);
    while written.text(ROOT).len_bytes() < LARGE {
        written.insert(ROOT, Position::Scalar(0), &passage).expect("the edit fits the text");
        written.take_batches();
    }
    let mut loaded = load(&written.snapshot());
    loaded.set_actor(Actor(2), 1);
    for (name, document) in [("as written", &mut written), ("loaded", &mut loaded)] {
        let mut random = Random::new(4);
        let mut inserts = |mut place: Box<dyn FnMut(usize) -> usize>| {
            let start = Instant::now();
            for index in 0..INSERTS {
                document.insert(ROOT, Position::Scalar(place(index)), "x").expect("the edit fits the text");
                black_box(document.take_batches());
            }
            per(start.elapsed(), INSERTS)
        };
        let middle = inserts(Box::new(|index| LARGE / 2 + index));
        let elsewhere = inserts(Box::new(move |_| random.below(LARGE)));
        println!("| {name} | {middle:.2} | {elsewhere:.2} |");
    }
}

/// So many authors insert a word each at one place, none having seen another's.
pub fn one_place(most: usize) {
    println!("\n**a word of each author at one place, applied by one replica**\n");
    println!("| authors | at the start µs | between two letters of one author µs |");
    println!("|---|---|---|");
    for authors in [most / 16, most / 4, most] {
        let took = [0, 1].map(|place| {
            let mut first = author(1);
            first.insert(ROOT, Position::Scalar(0), "ab").expect("the edit fits the text");
            let base = first.take_batches();
            let (mut random, mut reader) = (Random::new(5), load(&first.snapshot()));
            let words: Vec<Batch> = (0..authors)
                .flat_map(|_| {
                    let mut document = author(random.next() >> 2);
                    for batch in &base {
                        document.apply(batch).expect("what was encoded");
                    }
                    document.insert(ROOT, Position::Scalar(place), "word ").expect("the edit fits the text");
                    document.take_batches()
                })
                .collect();
            let start = Instant::now();
            for batch in &words {
                reader.apply(batch).expect("what was encoded");
            }
            per(start.elapsed(), authors)
        });
        println!("| {authors} | {:.2} | {:.2} |", took[0], took[1]);
    }
}
