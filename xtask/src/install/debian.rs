//! Debian's packages.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{capture, execute, find};
use crate::progress;

/// Whether this is a Debian, or one of its children, whose packages we know by name.
pub(super) fn is_here() -> bool {
    find("dpkg-query").is_some() && find("apt-get").is_some()
}

/// Installs those of the packages that are missing.
///
/// # Errors
///
/// When one is missing and cannot be installed: with the one line that a person with the rights can run.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("sudo apt-get install --no-install-recommends {}", missing.join(" "));
    if !root() {
        bail!("missing; install with: {by_hand}");
    }
    progress::step(&format!("apt-get install {}", missing.join(" ")), || {
        let install = || execute(apt("install").args(["--yes", "--no-install-recommends"]).args(&missing));
        // The lists of a fresh machine or image are absent or old.
        install().or_else(|_| execute(&mut apt("update")).and_then(|()| install()))
    })
    .map_err(|error| error.context(format!("not installed; try: {by_hand}")))
}

/// As `install`, on a Debian; elsewhere nothing is known of packages.
///
/// # Errors
///
/// As for `install`, and when this is no Debian.
pub(crate) fn install_where_known(packages: &[&str]) -> Result<()> {
    if !is_here() {
        bail!("this is no Debian, whose packages are known here");
    }
    install(packages)
}

fn apt(action: &str) -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["-qq", "-o", "Dpkg::Use-Pty=0", action]).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn installed(package: &str) -> bool {
    // `${Status}` is three words: what is wanted, whether the last action went well, and the state.
    capture(Command::new("dpkg-query").args(["--show", "--showformat=${Status}", package]))
        .is_ok_and(|status| status.ends_with(" installed"))
}

fn root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}
