//! Clients in other languages, written from the protocol's pages alone, and Autobahn's cases for the WebSocket.

use std::path::Path;

use anyhow::Result;

use crate::build::{self, Profile};
use crate::command::{cargo, command, execute};
use crate::install::{node, python};
use crate::{progress, workspace};

pub(super) fn run() -> Result<()> {
    node::require()?;
    let python = python::environment(&workspace::interop().join("python/requirements.txt"))?;
    let javascript = workspace::interop().join("node");
    build::npm_packages("JavaScript packages", javascript.clone())?;
    let binaries = build::binaries(Profile::Debug)?;
    progress::step("WebSocket echo", || {
        // Of the whole workspace, so that dependencies have the features they have in every other build here.
        execute(cargo().args(["build", "--workspace", "--example", "websocket_echo"]))
    })?;

    let script = |name: &str| workspace::interop().join("python").join(name);
    let golden = workspace::root().join("protocol/golden");
    progress::step("golden files", || {
        execute(command(&python).arg(script("golden.py")).arg(&golden))?;
        execute(command("node").arg(javascript.join("golden.mjs")).arg(&golden))
    })?;
    progress::step("Autobahn's cases", || {
        let echo = workspace::target().join(Path::new("debug/examples/websocket_echo"));
        let echo = echo.with_extension(std::env::consts::EXE_EXTENSION);
        execute(
            command(&python).arg(script("autobahn.py")).env("INKWIRE_ECHO", echo).env("INKWIRE_BIN", &binaries.relay),
        )
    })?;
    progress::step("clients that share no code", || {
        execute(
            cargo()
                .args(["test", "--package", "inkwire-xtask", "--test", "interop", "--", "--nocapture"])
                .env("INKWIRE_BIN", &binaries.relay)
                .env("INKWIRE_PYTHON", &python),
        )
    })
}
