//! Real relay processes, killed at random moments under writers.

use anyhow::Result;

use crate::build::{self, Profile};
use crate::command::{cargo, execute};

pub(super) fn run() -> Result<()> {
    let binaries = build::binaries(Profile::Debug)?;
    execute(
        cargo()
            .args(["test", "--package", "inkwire-xtask", "--test", "crash", "--", "--nocapture"])
            .env("INKWIRE_BIN", &binaries.relay),
    )
}
