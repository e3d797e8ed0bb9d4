//! Python and the packages of the client in it, in an environment of their own under `target`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{capture, command, execute};
use crate::fingerprint::Step;
use crate::workspace;

/// The oldest minor version of Python 3 that the client runs on.
const OLDEST: u32 = 11;

/// The interpreter of an environment that holds exactly what `requirements` names, with its hashes.
///
/// Python itself is not installed by us, as Node.js is not.
///
/// # Errors
///
/// One line that says what to install, or pip's own.
pub(crate) fn environment(requirements: &Path) -> Result<PathBuf> {
    let hint =
        || format!("Python 3.{OLDEST} or newer with its module venv is needed: install python3 and python3-venv");
    let version =
        capture(command("python3").args(["-c", "import ensurepip, sys, venv; print(sys.version_info.minor)"]))
            .with_context(hint)?;
    if version.parse::<u32>().ok().is_none_or(|minor| minor < OLDEST) {
        bail!("{} (found 3.{version})", hint());
    }
    // Named after the version: an environment belongs to the interpreter that made it.
    let folder = workspace::target().join(format!("interop-python-3.{version}"));
    let interpreter = if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") };
    Step { name: "Python packages", inputs: &[requirements.to_path_buf()], output: &folder }.run(|| {
        execute(command("python3").args(["-m", "venv", "--clear"]).arg(&folder)).with_context(hint)?;
        execute(
            command(&interpreter)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"])
                .arg(requirements),
        )
        .context("the Python packages could not be installed")
    })?;
    Ok(interpreter)
}
