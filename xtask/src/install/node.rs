//! Node.js and npm, which build the page and drive the browsers.

use anyhow::{Context, Result, bail};

use crate::command::{capture, command};

/// The oldest major version whose test runner and `fetch` the suites use.
const OLDEST: u32 = 20;

/// Checks that Node.js and npm are there and new enough.
///
/// Not installed by us: versions of Node.js are a matter of taste (a version manager, a distribution, a package).
///
/// # Errors
///
/// One line that says what to install.
pub(crate) fn require() -> Result<()> {
    let hint = || format!("Node.js {OLDEST} or newer with npm is needed: install it from https://nodejs.org");
    let version = capture(command("node").arg("--version")).with_context(hint)?;
    capture(command("npm").arg("--version")).with_context(hint)?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        bail!("{} (found {version})", hint());
    }
    Ok(())
}
