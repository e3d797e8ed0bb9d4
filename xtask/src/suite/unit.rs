//! Formatting, lints, every crate's tests and examples, and the client's types and tests.

use anyhow::Result;

use crate::command::{cargo, execute, npm};
use crate::{build, progress, workspace};

pub(super) fn run() -> Result<()> {
    progress::step("formatting", || execute(cargo().args(["fmt", "--all", "--check"])))?;
    // The tests look into the built wasm, and the client's own tests load it.
    build::client()?;
    progress::step("client types", || execute(npm(&workspace::client()).args(["run", "check", "--silent"])))?;
    progress::step("client tests", || execute(npm(&workspace::client()).args(["test", "--silent"])))?;
    progress::step("crates: tests and examples", || execute(cargo().args(["test", "--workspace", "--no-fail-fast"])))?;
    progress::step("lints", || {
        execute(cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    })
}
