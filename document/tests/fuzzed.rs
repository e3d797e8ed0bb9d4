//! The fuzz targets of `document/fuzz`, run for seconds on any toolchain: on every input that is kept in `fuzz/seeds`, on what a
//! real document comes to, and on seeded mutations of both.
//!
//! `INKWIRE_FUZZ_RUNS` says how many mutations of each, `INKWIRE_SEED` which. An input that fails is printed in hexadecimal: keep
//! it in the target's folder of seeds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own for the fuzzer")]
mod targets;

use std::path::Path;

use inkwire_document::{Actor, Anchor, Document, Dot, HybridTime, Position, Side, Value, formatting};

/// The longest input: a mutation is small, so that there are many.
const MAX_BYTES: usize = 2_048;

/// Whole numbers without a pattern: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A document with every container that two actors wrote, and its batches.
fn written() -> (Document, Vec<Vec<u8>>) {
    let (mut document, mut batches) = (Document::new(), Vec::new());
    for (round, actor) in [1, 2, 1].into_iter().enumerate() {
        let (at, number) = (HybridTime(round as u64 + 1), Value::Int(round as i64));
        document.set_actor(Actor(actor), document.version().get(&Actor(actor)) + 1);
        let length = document.text("t").len_scalars();
        document.insert("t", Position::Scalar(length / 2), "abc🙂\ndef").unwrap();
        document.delete("t", Position::Scalar(length / 3), 3).unwrap();
        document.mark("t", Position::Scalar(1), length / 2 + 2, "bold", Value::Bool(round != 1), at).unwrap();
        document.set_block("t", Position::Scalar(0), 2, "header", number.clone(), at).unwrap();
        document.list_insert("l", 0, vec![number.clone(), Value::Null]).unwrap();
        document.list_delete("l", 1, 1).unwrap();
        document.map_set("m", "key", number.clone(), at).unwrap();
        document.set_add("s", &number).unwrap();
        document.set_remove("s", &Value::Int(round as i64 - 1)).unwrap();
        document.counter_add("c", 5 - round as i64).unwrap();
        for batch in document.take_batches() {
            let mut bytes = Vec::new();
            batch.encode(&mut bytes);
            batches.push(bytes);
        }
    }
    (document, batches)
}

/// What a target reads when nothing is wrong.
fn starts(name: &str) -> Vec<Vec<u8>> {
    let (document, batches) = written();
    match name {
        "batch" => {
            let framed = |batch: &Vec<u8>| [&[u8::try_from(batch.len()).unwrap()], &batch[..]].concat();
            let mut starts: Vec<Vec<u8>> = batches.iter().map(framed).collect();
            starts.push(starts.concat());
            starts
        }
        "snapshot" => vec![document.snapshot()[13..].to_vec(), Document::new().snapshot()[13..].to_vec()],
        "anchor" => {
            let dot = Dot::new(Actor(1), 3);
            let beside = document.anchor_beside("t", Position::Scalar(2), Side::After).unwrap();
            [Anchor::Start, Anchor::End, Anchor::Before(dot), beside].map(Anchor::to_bytes).into()
        }
        "delta" => {
            let shown = formatting::json::write(&document.text("t").to_delta());
            let edits = "\n[{\"retain\":2,\"attributes\":{\"bold\":null,\"link\":\"x\"}},{\"delete\":2},{\"insert\":\"é\\n\"}]";
            vec![(shown + edits).into_bytes()]
        }
        "html" => [
            "<h2>a &amp; <b>b<i>c</i></b></h2><ul><li class=ql-indent-1>d</ul><blockquote>e<br>f</blockquote><pre>g\nh</pre>",
            "<p><a href=\"https://x\">y</a><s style='color:red'>z</s><script>1</script><!-- c --></p>",
            "# a\n\n- b *c* **d**\n  1. e\n\n> f `g` [h](i)\n\n```\nj\n```\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into(),
        _ => vec![vec![1, 3, 2, 5], vec![1, 255, 2, 0, 3, 40]],
    }
}

/// Runs a target on what is kept, and on `runs` mutations.
fn run(name: &str, target: fn(&[u8]), runs: usize) {
    let number = |variable| std::env::var(variable).ok().map(|text: String| text.parse::<u64>().unwrap());
    let mut random = Random(number("INKWIRE_SEED").unwrap_or(1));
    let mut seeds = starts(name);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<_> = std::fs::read_dir(kept).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    seeds.extend(files.iter().map(|path| std::fs::read(path).unwrap()));
    seeds.iter().for_each(|input| attempt(target, input));
    for _ in 0..number("INKWIRE_FUZZ_RUNS").map_or(runs, |runs| runs as usize) {
        attempt(target, &mutated(&seeds, &mut random));
    }
}

fn attempt(target: fn(&[u8]), input: &[u8]) {
    struct Witness<'a>(&'a [u8]);
    impl Drop for Witness<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
                eprintln!("the input was {hex}");
            }
        }
    }
    let _witness = Witness(input);
    target(input);
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    // Lengths and counts at the ends of their ranges.
    const INTERESTING: [u8; 12] = [0, 1, 0x7f, 0x80, 0x90, 0xc0, 0xc4, 0xcc, 0xcf, 0xdc, 0xdd, 0xff];
    let mut input = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(5) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 | 1 if at < input.len() => input[at] = random.next() as u8,
            2 if at < input.len() => input[at] = INTERESTING[random.below(INTERESTING.len())],
            3 if at < input.len() => {
                input.remove(at);
            }
            4 => input.insert(at, INTERESTING[random.below(INTERESTING.len())]),
            5 => input.truncate(at),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() + 1 - from);
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    input.truncate(MAX_BYTES);
    input
}

macro_rules! targets {
    ($( $name:ident $runs:literal )*) => {$(
        #[test]
        fn $name() {
            run(stringify!($name), targets::$name, $runs);
        }
    )*};
}

targets! {
    anchor 50_000
    batch 10_000
    delta 10_000
    html 10_000
    snapshot 10_000
    vector 5_000
}
