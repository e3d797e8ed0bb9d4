//! The test suites. One that could not run has failed.

pub(crate) mod browser;
mod cql;
mod crash;
mod hostile;
mod interop;
mod lossy;
mod simulation;
mod unit;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::progress;

/// A suite by name, in the order in which they run: what is quick to fail comes first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Suite {
    /// Formatting, lints, every crate's tests and examples, the client's types and tests
    Unit,
    /// Many replicas and one room on virtual time over a hostile network, from at least 1,000 seeds
    Simulation,
    /// Real relay processes killed at random moments under writers, checked against a ledger
    Crash,
    /// The store on a real CQL cluster of three, whose nodes are killed and stopped
    Cql,
    /// Clients in Python and JavaScript that know only the protocol's pages, and Autobahn's cases for the WebSocket
    Interop,
    /// Native clients and a real relay over a path that loses one packet in twenty; the seed says which
    Lossy,
    /// A real relay among clients that break every rule, floods and half-open handshakes, with an honest pair beside them
    Hostile,
    /// Chromium, Firefox and WebKitGTK against a real relay
    Browser,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Simulation => "simulation",
            Self::Crash => "crash",
            Self::Cql => "cql",
            Self::Interop => "interop",
            Self::Lossy => "lossy",
            Self::Hostile => "hostile",
            Self::Browser => "browser",
        }
    }

    fn run(self, seed: Option<u64>) -> Result<()> {
        match self {
            Self::Unit => unit::run(),
            Self::Simulation => simulation::run(seed),
            Self::Crash => crash::run(),
            Self::Cql => cql::run(),
            Self::Interop => interop::run(),
            Self::Lossy => lossy::run(seed),
            Self::Hostile => hostile::run(seed),
            Self::Browser => browser::run(),
        }
    }
}

struct Outcome {
    suite: Suite,
    took: Duration,
    failure: Option<anyhow::Error>,
}

/// Runs the suites, all of them where none is named, each to its end whatever the others did.
///
/// # Errors
///
/// When one failed or could not run.
pub(crate) fn run(suites: &[Suite], seed: Option<u64>) -> Result<()> {
    let chosen: &[Suite] = if suites.is_empty() { Suite::value_variants() } else { suites };
    if seed.is_some() && !matches!(chosen, [Suite::Simulation | Suite::Lossy | Suite::Hostile]) {
        bail!("--seed goes with one suite, simulation, lossy or hostile: cargo xtask test simulation --seed N");
    }
    let outcomes: Vec<Outcome> = chosen
        .iter()
        .map(|&suite| {
            let started = Instant::now();
            let result = progress::step(&format!("suite {}", suite.name()), || suite.run(seed));
            let failure = result.err().inspect(|error| eprintln!("error: {error:#}"));
            Outcome { suite, took: started.elapsed(), failure }
        })
        .collect();
    report(&outcomes)
}

fn report(outcomes: &[Outcome]) -> Result<()> {
    println!();
    for Outcome { suite, took, failure } in outcomes {
        let word = if failure.is_some() { "FAILED" } else { "passed" };
        println!("{word}  {:<10}  {}", suite.name(), progress::seconds(*took));
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| outcome.failure.is_some()).map(|outcome| outcome.suite.name()).collect();
    println!("suites: {} passed, {} failed", outcomes.len() - failed.len(), failed.len());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
