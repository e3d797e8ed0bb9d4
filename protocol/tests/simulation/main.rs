//! The simulator: pages and a relay on virtual time, from one seed, through everything that a network, a crash or a reload can
//! do to them.
//!
//! `INKWIRE_SEEDS=N` runs the seeds 0 to N - 1 (300 without it); `INKWIRE_SEED=n` runs that one alone and prints what happens.

mod host;
mod network;
mod relay;
mod store;
mod world;

use inkwire_protocol::room::Sabotage;

const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

#[test]
fn every_seed_ends_well() {
    if let Some(seed) = number("INKWIRE_SEED") {
        let outcome = world::run(seed, Sabotage::default(), true).unwrap_or_else(|problem| panic!("{problem}"));
        println!("seed {seed}: {outcome:?}");
        return;
    }
    let seeds = number("INKWIRE_SEEDS").unwrap_or(SEEDS);
    let start = number("INKWIRE_FIRST_SEED").unwrap_or(0);
    let (mut events, mut edits, mut problems) = (0, 0, Vec::new());
    for seed in start..start + seeds {
        match world::run(seed, Sabotage::default(), false) {
            Ok(outcome) => {
                events += outcome.events;
                edits += outcome.edits;
            }
            Err(problem) => problems.push(problem),
        }
    }
    println!("{seeds} seeds, {events} events, {edits} edits");
    for problem in problems.iter().take(10) {
        println!("{}", problem.chars().take(600).collect::<String>());
    }
    assert!(problems.is_empty(), "{} of {seeds} seeds failed; INKWIRE_SEED=n replays one", problems.len());
}
