//! Many replicas and one room on virtual time.

use anyhow::Result;

use crate::command::{cargo, execute};

/// Seeds of a run without `--seed`.
const SEEDS: &str = "2000";

pub(super) fn run(seed: Option<u64>) -> Result<()> {
    let mut test = cargo();
    // The whole workspace is selected so that dependencies have the features they have in every other build here.
    test.args(["test", "--workspace", "--test", "simulation", "--"]).arg("--nocapture");
    match seed {
        Some(seed) => test.env("INKWIRE_SEED", seed.to_string()),
        None => test.env("INKWIRE_SEEDS", std::env::var("INKWIRE_SEEDS").unwrap_or_else(|_| SEEDS.to_owned())),
    };
    execute(&mut test)
}
