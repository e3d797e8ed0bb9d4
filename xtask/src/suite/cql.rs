//! The cluster's engine on a real cluster of three: the contract of every engine, and nodes that are killed and stopped.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::command::{cargo, execute};
use crate::cql::{self, Shape, Sync};
use crate::progress;

/// What the suite runs on where none is named. Its tests start it anew in this shape.
const SHAPE: Shape = Shape { nodes: 3, sync: Sync::Batch, quick: true };

pub(super) fn run() -> Result<()> {
    progress::step("cluster tests built", || execute(tests().arg("--no-run")))?;
    let is_foreign = cql::named().is_some();
    if is_foreign {
        progress::note("left out: what kills nodes, since the cluster is not ours");
    }
    let store = cql::up(SHAPE)?;
    let outcome = progress::step(&format!("tests on {store}"), || {
        let mut tests = tests();
        tests.args(["--", "--nocapture", "--test-threads", "1"]).env("INKWIRE_CQL_STORE", &store);
        if !is_foreign {
            tests.env("INKWIRE_CQL_HURT", ourselves()?);
        }
        execute(&mut tests)
    });
    // Whatever came of it: the next run begins with an empty one.
    let down = if is_foreign { Ok(()) } else { cql::down() };
    outcome.and(down)
}

/// A path at which this program can be started. Where it was built anew since it began, the one that it has is of a deleted file.
fn ourselves() -> Result<PathBuf> {
    let process = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if process.exists() { Ok(process) } else { std::env::current_exe().context("this program has no path") }
}

fn tests() -> std::process::Command {
    let mut tests = cargo();
    tests.args(["test", "--package", "inkwire-storage", "--test", "contract", "--test", "cluster"]);
    tests
}
