//! The command line.

mod doc;
mod store;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

use crate::logs;
use crate::relay::{Relay, development_tokens};
use crate::settings::{Flags, Settings};
use crate::token::TokenRequest;

/// A relay for real-time collaborative documents.
#[derive(Debug, Parser)]
#[command(name = "inkwire", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the relay until SIGTERM.
    ///
    /// Every setting is a flag, an environment variable and a key of the settings file (the flag without its dashes); a flag goes
    /// over a variable, a variable over the file. When the relay can serve it prints one line, `inkwire is ready: URL`.
    Serve(Box<Serve>),
    /// Prints a development token, signed with the key in the data directory.
    ///
    /// A relay accepts it if it runs on that directory, listens on loopback alone and has no --token-key.
    Token(Token),
    #[command(subcommand_required = true)]
    Doc(doc::Doc),
    /// Prepares a store that is not in the data directory, or copies one store into another.
    #[command(subcommand)]
    Store(store::StoreCommand),
}

#[derive(Args, Debug)]
struct Serve {
    /// A settings file in TOML
    #[arg(long, env = "INKWIRE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args, Debug)]
struct Token {
    /// A settings file in TOML, read for the data directory
    #[arg(long, env = "INKWIRE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The relay's data directory [default: inkwire-data]
    #[arg(long, env = "INKWIRE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Who holds the token [default: a fresh dev-…]
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// The documents: a pattern with * for one segment and ** for any [default: **]
    #[arg(long, value_name = "PATTERN")]
    document: Option<String>,
    /// viewer or editor [default: editor]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// How long it is good, in seconds [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
}

type Failure = Box<dyn std::error::Error>;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(arguments) => serve(*arguments).map(done),
        Command::Token(arguments) => token(arguments).map(done),
        Command::Doc(arguments) => doc::main(arguments),
        Command::Store(arguments) => store::main(arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("inkwire: {error}");
            ExitCode::FAILURE
        }
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn serve(arguments: Serve) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(Flags::from_file).transpose()?.unwrap_or_default();
    let settings = Settings::resolve(arguments.flags.or(file))?;
    logs::init(&settings.log, settings.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(run(settings));
    // Nothing that still blocks, such as a fold, keeps a drained relay from ending.
    runtime.shutdown_background();
    outcome
}

async fn run(settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let drain_timeout = settings.drain_timeout;
    let relay = Relay::start(settings).await?;
    let mut output = std::io::stdout();
    writeln!(output, "inkwire is ready: {}", relay.url())?;
    output.flush()?;
    signals.next().await;
    tokio::select! {
        () = relay.drain(drain_timeout) => Ok(()),
        () = signals.next() => Err("a second signal came: ended without draining".into()),
    }
}

/// What asks the process to end.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        let terminate = async {
            self.terminate.recv().await;
        };
        #[cfg(not(unix))]
        let terminate = std::future::pending::<()>();
        tokio::select! {
            () = terminate => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

fn token(arguments: Token) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(Flags::from_file).transpose()?.unwrap_or_default();
    let data = arguments.data.or(file.data).unwrap_or_else(|| PathBuf::from("inkwire-data"));
    let request = TokenRequest {
        subject: arguments.subject,
        document: arguments.document,
        role: arguments.role,
        ttl: arguments.ttl,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    println!("{}", development_tokens(&data)?.issue(&request, now)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
