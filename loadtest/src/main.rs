//! The load-test command line.

use std::process::ExitCode;

use clap::Parser as _;
use inkwire_loadtest::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    cli::run(Cli::parse()).await
}
