//! The fuzz targets of `protocol/fuzz`, run for seconds on any toolchain: on every input that is kept in `fuzz/seeds`, on the
//! golden frames, and on seeded mutations of both.
//!
//! `INKWIRE_FUZZ_RUNS` says how many mutations of each, `INKWIRE_SEED` which. An input that fails is printed in hexadecimal: keep
//! it in the target's folder of seeds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own for the fuzzer")]
mod targets;

use std::path::{Path, PathBuf};

use inkwire_protocol::random::Random;

/// The longest input: a mutation is small, so that there are many.
const MAX_BYTES: usize = 4_096;

/// Runs a target on what is kept, and on `runs` mutations.
fn run(name: &str, target: fn(&[u8]), runs: u64) {
    let number = |variable| std::env::var(variable).ok().map(|text: String| text.parse().unwrap());
    let runs = number("INKWIRE_FUZZ_RUNS").unwrap_or(runs);
    let seed = number("INKWIRE_SEED").unwrap_or(1);
    let mut seeds = kept(name);
    for input in &seeds {
        attempt(target, input);
    }
    // A place to start from where nothing was kept.
    seeds.push(vec![0x92, 0x06, 0x07]);
    let mut random = Random::new(seed);
    for _ in 0..runs {
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

fn kept(name: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("fuzz/seeds").join(name)];
    // What stands in for a frame in the golden files does so here.
    if ["frames", "messages", "datagrams", "streams"].contains(&name) {
        folders.extend(["golden", "golden/refused", "golden/wire"].map(|folder| root.join(folder)));
    }
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    fn below(random: &mut Random, bound: usize) -> usize {
        random.below(bound as u64) as usize
    }
    // Lengths and counts at the ends of their ranges.
    const INTERESTING: [u8; 12] = [0, 1, 0x7f, 0x80, 0x90, 0xc0, 0xc4, 0xcc, 0xcf, 0xdc, 0xdd, 0xff];
    let mut input = seeds[below(random, seeds.len())].clone();
    if random.one_in(3) {
        input.extend((0..random.below(600)).map(|_| random.next_u64() as u8));
    }
    for _ in 0..=random.below(4) {
        let at = below(random, input.len() + 1);
        match random.below(6) {
            0 if at < input.len() => input[at] = random.next_u64() as u8,
            1 if at < input.len() => input[at] = INTERESTING[below(random, INTERESTING.len())],
            2 if at < input.len() => {
                input.remove(at);
            }
            3 => input.insert(at, INTERESTING[below(random, INTERESTING.len())]),
            4 => input.truncate(at),
            _ => {
                let other = &seeds[below(random, seeds.len())];
                let from = below(random, other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
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

// What parses is quick; a run of a state machine is many steps.
targets! {
    frames 50_000
    streams 50_000
    messages 50_000
    datagrams 50_000
    vectors 20_000
    receipts 5_000
    session 5_000
    room 3_000
    client 2_000
}
