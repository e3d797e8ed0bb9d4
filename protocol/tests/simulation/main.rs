//! The simulator: pages and a relay on virtual time, from one seed, through everything that a network, a crash or a reload can
//! do to them.
//!
//! `INKWIRE_SEEDS=N` runs the seeds 0 to N - 1 (1,000 without it); `INKWIRE_SEED=n` runs that one alone and prints what happens.

mod host;
mod network;
mod relay;
mod store;
mod world;

use inkwire_protocol::room::Sabotage;

const SEEDS: u64 = 1_000;

/// How many seeds a rule that is taken out may survive.
const SABOTAGED_SEEDS: u64 = 300;

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

#[test]
fn each_rule_that_is_taken_out_is_missed() {
    let rules: [(&str, fn(&mut Sabotage) -> &mut bool); 4] = [
        ("offers are taken", |rules| &mut rules.ignore_offers),
        ("durable means stored", |rules| &mut rules.durable_early),
        ("what was dropped is asked for again", |rules| &mut rules.never_resend),
        ("durable is said in order of arrival", |rules| &mut rules.durable_out_of_order),
    ];
    for (rule, switch) in rules {
        let mut sabotage = Sabotage::default();
        *switch(&mut sabotage) = true;
        let problem = (0..SABOTAGED_SEEDS).find_map(|seed| world::run(seed, sabotage, false).err());
        let problem =
            problem.unwrap_or_else(|| panic!("without the rule that {rule}, {SABOTAGED_SEEDS} seeds end well"));
        println!("without the rule that {rule}: {}", problem.chars().take(200).collect::<String>());
    }
}
