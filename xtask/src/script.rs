//! What is done with real pages besides testing them: the documentation's pictures and figures.

use std::path::Path;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::command::{command, execute};
use crate::install::browser;
use crate::suite::browser::node;
use crate::{progress, workspace};

/// Takes the pictures of the editor into docs/src/images.
///
/// # Errors
///
/// When the build fails, there is no browser, or the page does not show what it should.
pub(crate) fn screenshots() -> Result<()> {
    run("screenshots", Profile::Debug, Some(&workspace::root().join("docs/src/images")))
}

/// Measures replays, natively and from page to page, and prints them as a table in Markdown.
///
/// # Errors
///
/// When the build fails, there is no browser, or a replay does not end.
pub(crate) fn measure() -> Result<()> {
    run("measure", Profile::Release, None)
}

/// Measures seen-latency over a path that loses packets, and prints it as a table in Markdown.
///
/// # Errors
///
/// When the build fails, or this is not root on Linux.
pub(crate) fn measure_lossy(flags: &[String]) -> Result<()> {
    // What is waited for are packets: the tests' profile optimises enough.
    let binaries = build::binaries(Profile::Debug)?;
    let script = workspace::root().join("xtask/lossy/measure.py");
    execute(
        command("python3")
            .arg(script)
            .args(flags)
            .env("INKWIRE_BIN", &binaries.relay)
            .env("INKWIRE_LOADTEST", &binaries.loadtest)
            .env("INKWIRE_SCRATCH", workspace::target().join("lossy")),
    )
}

fn run(name: &str, profile: Profile, argument: Option<&Path>) -> Result<()> {
    let chromium = browser::chromium()?;
    let binaries = build::everything(profile)?;
    build::npm_packages("browser driver", workspace::e2e())?;
    progress::step(name, || {
        execute(node(&binaries).arg(format!("{name}.mjs")).args(argument).env("INKWIRE_CHROMIUM", chromium))
    })
}
