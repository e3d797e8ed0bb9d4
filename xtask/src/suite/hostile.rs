//! A real relay among clients that break every rule.

use anyhow::Result;

use crate::build::{self, Profile};
use crate::command::{cargo, execute};

pub(super) fn run(seed: Option<u64>) -> Result<()> {
    let binaries = build::binaries(Profile::Debug)?;
    let mut test = cargo();
    // One after the other: each looks at the memory of a relay of its own, and floods take the processor.
    test.args(["test", "--package", "inkwire-xtask", "--test", "hostile", "--", "--nocapture", "--test-threads", "1"])
        .env("INKWIRE_BIN", &binaries.relay);
    if let Some(seed) = seed {
        test.env("INKWIRE_HOSTILE_SEED", seed.to_string());
    }
    execute(&mut test)
}
