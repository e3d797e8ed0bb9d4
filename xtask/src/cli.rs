//! The command line: what can be asked for, and who answers.

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::build::{self, Profile};
use crate::suite::{self, Suite};
use crate::{bench, cql, run, script};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Builds, runs and tests Inkwire.",
    long_about = "Builds, runs and tests Inkwire.\n\n\
        Every command installs what it lacks where it can (the wasm target with rustup, or Debian's packages as root; \
        browsers on Debian as root) and otherwise says in one line what to install. Steps whose inputs did not change \
        are skipped.",
    after_help = "ENVIRONMENT:\n  \
        INKWIRE_TRACES          folder with the editing traces; without it the tests make their own\n  \
        INKWIRE_CHROMIUM        Chromium or Chrome to test with (else looked for on PATH)\n  \
        INKWIRE_FIREFOX         Firefox to test with (else looked for on PATH)\n  \
        INKWIRE_CQL             host[:port],… of a CQL cluster to test with (else one is started)\n  \
        INKWIRE_WASM_TOOLCHAIN  `rustup` or `debian`: the only one to try for wasm (else both, in turn)"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build wasm, client and page, and the binaries with them embedded
    ///
    /// Leaves `inkwire` and `inkwire-loadtest` in target/debug, or in target/release with --release. Each runs alone
    /// from any folder.
    Build(Optimised),
    /// Build what is missing and start the relay with the demo editor on an embedded store
    ///
    /// The store is kept in target/inkwire-data. End it with Ctrl-C.
    Run(Run),
    /// Run the test suites; all of them without an argument
    Test(Test),
    /// Start a real CQL cluster on loopback for tests, and hurt it
    ///
    /// ScyllaDB where Docker answers, else Apache Cassandra from Maven Central on a JDK 17; about 0.6 GB of memory a node.
    /// Files are kept under target/cql. With INKWIRE_CQL set, `up` starts nothing and the others refuse.
    #[command(subcommand)]
    Cql(cql::Action),
    /// Compare with other libraries
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Take the pictures of the editor in docs/src/images from the real page
    Screenshots,
    /// Measure replays of traces, natively and in Chromium pages, and print the figures as a Markdown table
    ///
    /// Builds for release. Takes the traces in INKWIRE_TRACES, else made ones; about ten minutes on two quiet cores.
    Measure(Measure),
}

#[derive(Args)]
struct Optimised {
    /// With optimisations, for use and for measurements
    #[arg(long)]
    release: bool,
}

#[derive(Args)]
struct Measure {
    #[command(subcommand)]
    what: Option<Measured>,
}

#[derive(Subcommand)]
enum Measured {
    /// Seen-latency over a path that loses packets: WebTransport with copies and without, and WebSocket, through the same loss
    ///
    /// Two network namespaces with a pair of TUN devices between them: needs Linux, root, iproute2 and Python 3.
    Lossy {
        /// Flags for xtask/lossy/measure.py, after `--`; `-- --help` lists them
        #[arg(last = true, value_name = "FLAG")]
        flags: Vec<String>,
    },
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    optimised: Optimised,
    /// Flags for `inkwire serve`, after `--`
    #[arg(last = true, value_name = "FLAG")]
    flags: Vec<String>,
}

#[derive(Args)]
struct Test {
    /// The suites to run
    #[arg(value_enum, value_name = "SUITE")]
    suites: Vec<Suite>,
    /// Run the simulation with this one seed only, and print what it does; or have the suite lossy lose packets by it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Does what the command line asks for.
pub(crate) fn dispatch() -> Result<()> {
    match Cli::parse().command {
        Command::Build(optimised) => build::everything(Profile::of(optimised.release)).map(drop),
        Command::Run(run) => run::serve(Profile::of(run.optimised.release), &run.flags),
        Command::Test(test) => suite::run(&test.suites, test.seed),
        Command::Cql(action) => cql::run(action),
        Command::Bench(bench) => bench::run(bench),
        Command::Screenshots => script::screenshots(),
        Command::Measure(Measure { what: None }) => script::measure(),
        Command::Measure(Measure { what: Some(Measured::Lossy { flags }) }) => script::measure_lossy(&flags),
    }
}
