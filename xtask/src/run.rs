//! The relay with the demo editor, for a first look and for development.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build::{self, Profile};
use crate::command::command;
use crate::{progress, workspace};

/// Builds what is missing and runs the relay until it is ended. `flags` go to `inkwire serve`, after our own.
///
/// # Errors
///
/// When the build fails, or the relay cannot be started. Otherwise the relay's exit status is ours.
pub(crate) fn serve(profile: Profile, flags: &[String]) -> Result<()> {
    let binaries = build::everything(profile)?;
    let data = workspace::target().join("inkwire-data");
    progress::note(&format!("starting the relay; its store is {}", data.display()));
    let mut relay = command(&binaries.relay);
    relay.arg("serve");
    if !flags.iter().any(|flag| flag == "--data" || flag.starts_with("--data=")) {
        relay.arg("--data").arg(&data);
    }
    relay.args(flags);
    become_it(relay)
}

/// Replaces this process, as `cargo run` did to start it: a Ctrl-C then ends the relay alone, which drains before the
/// prompt comes back.
#[cfg(unix)]
fn become_it(mut relay: Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let error = relay.exec();
    Err(error).with_context(|| format!("cannot start {}", Path::new(relay.get_program()).display()))
}

#[cfg(not(unix))]
fn become_it(mut relay: Command) -> Result<()> {
    let status =
        relay.status().with_context(|| format!("cannot start {}", Path::new(relay.get_program()).display()))?;
    anyhow::ensure!(status.success(), "the relay ended with {status}");
    Ok(())
}
