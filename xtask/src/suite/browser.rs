//! Chromium, Firefox and WebKitGTK against a real relay: the tests in xtask/e2e, run by Node's test runner.

use std::process::Command;

use anyhow::Result;

use crate::build::{self, Binaries, Profile};
use crate::command::execute;
use crate::install::browser::{self, Browsers};
use crate::workspace;

pub(super) fn run() -> Result<()> {
    let browsers = browser::require()?;
    let binaries = build::everything(Profile::Debug)?;
    build::npm_packages("browser driver", workspace::e2e())?;
    // One file after the other: each has browsers of its own, and two at once take each other's processor.
    let mut test = node(&binaries);
    test.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]);
    for file in test_files()? {
        test.arg(file);
    }
    let Browsers { chromium, firefox, webkit_driver, webkit_browser } = browsers;
    test.env("INKWIRE_CHROMIUM", chromium)
        .env("INKWIRE_FIREFOX", firefox)
        .env("INKWIRE_WEBKIT_DRIVER", webkit_driver)
        .env("INKWIRE_WEBKIT_BROWSER", webkit_browser);
    execute(&mut test)
}

/// Node in the folder of the suite, told where the binaries and the traces are.
pub(crate) fn node(binaries: &Binaries) -> Command {
    let mut node = Command::new("node");
    node.current_dir(workspace::e2e())
        .env("INKWIRE_BIN", &binaries.relay)
        .env("INKWIRE_LOADTEST", &binaries.loadtest)
        .env("INKWIRE_SCRATCH", workspace::target().join("e2e"));
    if let Some(traces) = workspace::traces() {
        node.env("INKWIRE_TRACES", traces);
    }
    node
}

fn test_files() -> Result<Vec<std::path::PathBuf>> {
    let mut files: Vec<_> = std::fs::read_dir(workspace::e2e())?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
}
