//! Taking a snapshot apart allocates no more than four times what it is and what it says that it comes to, and reading and
//! checking a batch no more than four times what it is, whatever their bytes are.
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, HybridTime, Limits, Position, Snapshot, Value, snapshot};

struct Counting;

thread_local! {
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn grow(size: usize) {
    let (held, most) = HELD.get();
    HELD.set((held + size, most.max(held + size)));
}

fn shrink(size: usize) {
    let (held, most) = HELD.get();
    HELD.set((held.saturating_sub(size), most));
}

// SAFETY: every call goes to the system's allocator as it is; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there for a moment.
        grow(size);
        shrink(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that are allocated at once meanwhile.
fn peak<T>(decode: impl FnOnce() -> T) -> usize {
    let before = HELD.get().0;
    HELD.set((before, before));
    let decoded = decode();
    let most = HELD.get().1 - before;
    drop(decoded);
    most
}

/// Numbers below a bound, without a pattern.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 1u64;
    move |below: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % below.max(1)
    }
}

/// For what does not grow with the input: tables of codes, and lists' first steps.
const BESIDE: usize = 16 << 10;

#[test]
fn decoding_is_bounded() {
    let mut document = Document::new();
    let mut random = numbers();
    for actor in 1..=3 {
        document.set_actor(Actor(actor), 1);
        for step in 0..700 {
            let length = document.text("t").len_scalars();
            let text = ["a word ", "é", "and so on and so on and so on "][random(3)];
            document.insert("t", Position::Scalar(random(length + 1)), text).expect("within the text");
            document
                .delete("t", Position::Scalar(random(length / 2)), random(9).min(length / 2))
                .expect("within the text");
            let value = Value::Int(step);
            document
                .list_insert("l", random(document.list_len("l") + 1), vec![value.clone()])
                .expect("within the list");
            document.map_set("m", text, value, HybridTime(step as u64 + 1)).expect("a small value");
        }
        document.insert("t", Position::Scalar(0), &"all the same ".repeat(3000)).expect("within the text");
    }
    let whole = document.snapshot();
    let undamaged = Snapshot::parse(whole.clone()).and_then(|whole| whole.declared_bytes()).expect("what was encoded");
    let content = &whole[13..];
    for case in 0..1500 {
        let mut content = content.to_vec();
        for _ in 0..if case == 0 { 0 } else { 1 + random(3) } {
            // Mostly near the start, where counts and lengths are.
            let bound = if random(2) == 0 { 400 } else { content.len() };
            let at = random(bound.min(content.len()));
            content[at] = if random(2) == 0 { random(256) as u8 } else { content[at] ^ 1 << random(8) };
        }
        let Ok(damaged) = Snapshot::parse(Bytes::from(snapshot::with_header(&content))) else { continue };
        // Where the damage hides what it says, what is read before that says no more than it did.
        let declared = damaged.declared_bytes().unwrap_or(undamaged);
        let (peak, limit) = (peak(|| damaged.latest_time()), 4 * (damaged.bytes().len() + declared) + BESIDE);
        assert!(peak <= limit, "case {case}: {peak} bytes for {} that say {declared}", damaged.bytes().len());
        assert!(case > 0 || damaged.latest_time().is_some(), "what was encoded holds together");
    }
}

#[test]
fn reading_a_batch_is_bounded() {
    let (mut document, mut random) = (Document::new(), numbers());
    let mut batches = Vec::new();
    for actor in 1..=40 {
        document.set_actor(Actor(actor << 40), 1);
        for step in 0..6 {
            let (length, now) = (document.text("t").len_scalars(), HybridTime(step as u64 + 1));
            document.insert("t", Position::Scalar(random(length + 1)), "some words").expect("within the text");
            document.delete("t", Position::Scalar(0), random(9)).expect("within the text");
            document.mark("t", Position::Scalar(0), length / 2 + 1, "bold", Value::Bool(true), now).expect("within");
            document.list_insert("l", 0, vec![Value::Null; 1 + random(20)]).expect("within the list");
            document.map_set("m", "key", Value::Array(vec![Value::Int(step); 9]), now).expect("a small value");
            document.set_add("s", &Value::Int(step)).expect("a small value");
        }
        for batch in document.take_batches() {
            let mut bytes = Vec::new();
            batch.encode(&mut bytes);
            batches.push(bytes);
        }
    }
    for case in 0..4000 {
        let mut bytes = batches[random(batches.len())].clone();
        for _ in 0..if case < 40 { 0 } else { 1 + random(4) } {
            let at = random(bytes.len());
            // Lengths that claim much, and whatever else.
            bytes[at] = [0xdd, 0xdf, 0xdb, 0xc6, 0xcf, random(256) as u8][random(6)];
        }
        let bytes = Bytes::from(bytes);
        let peak = peak(|| Batch::decode(&bytes).map(|batch| batch.check(&Limits::STANDARD).is_ok()));
        let limit = 4 * bytes.len() + 1024;
        assert!(peak <= limit, "case {case}: {peak} bytes for {}", bytes.len());
    }
}
