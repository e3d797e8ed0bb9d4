//! The relay with the demo editor, for a first look and for development.

use anyhow::{Context, Result, bail};

use crate::build::{self, Profile};
use crate::command::command;
use crate::{progress, workspace};

/// Builds what is missing and runs the relay until it is ended. `flags` go to `inkwire serve`, after our own.
///
/// # Errors
///
/// When the build fails, or the relay ends with an error.
pub(crate) fn serve(profile: Profile, flags: &[String]) -> Result<()> {
    let binaries = build::everything(profile)?;
    let data = workspace::target().join("inkwire-data");
    progress::note(&format!("starting the relay; its store is {}", data.display()));
    let mut relay = command(&binaries.relay);
    relay.arg("serve");
    if !flags.iter().any(|flag| flag == "--data" || flag.starts_with("--data=")) {
        relay.arg("--data").arg(&data);
    }
    let status = relay.args(flags).status().with_context(|| format!("cannot start {}", binaries.relay.display()))?;
    // Ctrl-C reaches the relay too, which drains and exits with 0.
    if !status.success() {
        bail!("the relay ended with {status}");
    }
    Ok(())
}
