//! One entry point for people and CI: build, run, test.
//!
//! `cargo xtask --help` lists what there is. What each command does, in the order of the path a build takes:
//!
//! - [`install`]: what a machine may lack (the wasm target, browsers) and how it gets it;
//! - [`build`]: wasm, bindings, client and page, then the binaries with them embedded;
//! - [`run`]: the relay with the demo;
//! - [`bench`]: comparisons with other libraries;
//! - [`suite`]: the test suites;
//! - [`cql`]: a real cluster on loopback;
//! - [`script`]: the documentation's pictures and figures.
//!
//! [`progress`] says which step runs and how long it took, [`command`] starts other programs, [`fingerprint`] tells
//! whether a step's inputs changed, and [`workspace`] knows where things are.

mod bench;
mod build;
mod cli;
mod command;
mod cql;
mod fingerprint;
mod install;
mod progress;
mod run;
mod script;
mod suite;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
