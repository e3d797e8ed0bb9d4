//! Native clients and a real relay, with a proxy in between that loses packets.

use anyhow::Result;

use crate::build::{self, Profile};
use crate::command::{cargo, execute};

pub(super) fn run(seed: Option<u64>) -> Result<()> {
    let binaries = build::binaries(Profile::Debug)?;
    let mut test = cargo();
    // One after the other: what is lost and when is then the seed's doing as far as can be.
    test.args(["test", "--package", "inkwire-xtask", "--test", "lossy", "--", "--nocapture", "--test-threads", "1"])
        .env("INKWIRE_BIN", &binaries.relay);
    if let Some(seed) = seed {
        test.env("INKWIRE_LOSSY_SEED", seed.to_string());
    }
    execute(&mut test)
}
