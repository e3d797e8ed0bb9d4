//! The command line: flags in, a report out.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use inkwire_protocol::copies::CopyMode;
use url::Url;

use crate::client::{DevelopmentToken, Options, TokenSource, Transport};
use crate::replay::{self, Plan, Report, fresh_document, stalled};
use crate::trace::{self, typist};

/// Load tests for an Inkwire relay.
#[derive(Debug, Parser)]
#[command(name = "inkwire-loadtest", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Replay(Replay),
    Stalled(Stalled),
    Typist(Typist),
}

/// Replays an editing trace through one session, watches it from another and compares both texts with the trace's.
///
/// Exit status: 0 if both texts are exactly the trace's and everything is durable, 1 if not, 2 for a wrong command line.
#[derive(Debug, Args)]
struct Replay {
    /// The relay's address, as it prints it.
    #[arg(long, value_name = "URL", default_value = "http://localhost:4433")]
    url: Url,
    /// The trace, plain or gzip JSON: {startContent, endContent, txns: [{patches: [[position, deleted, inserted]]}]}.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// How the writing session reaches the relay: webtransport, wtransport (an independent library) or websocket.
    #[arg(long, value_name = "TRANSPORT")]
    writer: Transport,
    /// How the watching session does.
    #[arg(long, value_name = "TRANSPORT")]
    observer: Transport,
    /// The document; it must be empty [default: a fresh name].
    #[arg(long, value_name = "NAME")]
    document: Option<String>,
    /// At most N edits a batch.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Edits a second [default: as fast as the relay takes them].
    #[arg(long, value_name = "N", value_parser = positive)]
    rate: Option<f64>,
    /// The access token of both sessions [default: one from /dev/token, which a relay on loopback gives].
    #[arg(long, value_name = "TOKEN", env = "INKWIRE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// How many seconds a relay that dies in the middle is waited for.
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = seconds)]
    wait: f64,
    /// When both sessions send small batches once more as datagrams, over WebTransport: auto (where packets are lost), on or off,
    /// which also passes over the relay's.
    #[arg(long, value_name = "WHEN", default_value_t)]
    datagram_copies: CopyMode,
    /// Which session opens the document first.
    #[arg(long, value_name = "SESSION", default_value = "writer")]
    first: First,
    /// Print the figures as one JSON object, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
enum First {
    Writer,
    Observer,
}

/// Measures what readers that stall cost the others: a typist's edits in a document of 2 MB, seen by another session, now without
/// such readers and now with them, in turn.
///
/// Over WebTransport. Exit status: 0 if both texts end equal, whatever the latencies are.
#[derive(Debug, Args)]
struct Stalled {
    /// The relay's address, as it prints it.
    #[arg(long, value_name = "URL", default_value = "http://localhost:4433")]
    url: Url,
    /// How many readers open the document and read nothing of it.
    #[arg(long, value_name = "N", default_value_t = 100)]
    readers: usize,
    /// How often it is measured without them and then with them.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Edits each time.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    edits: u32,
    /// Edits a second.
    #[arg(long, value_name = "N", default_value_t = 200.0, value_parser = positive)]
    rate: f64,
    /// The access token of all sessions [default: one from /dev/token, which a relay on loopback gives].
    #[arg(long, value_name = "TOKEN", env = "INKWIRE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the figures as one JSON object, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

/// Prints a trace made by a model of a typist: bursts, corrections, moves, pastes, several scripts.
#[derive(Debug, Args)]
struct Typist {
    /// Which trace; the same number is the same trace.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many edits.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    edits: usize,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("must be a number above 0".to_owned()),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
        _ => Err("must be a number of seconds, 0 or more".to_owned()),
    }
}

/// Does what the command line says, prints the result, and gives the exit status.
pub async fn run(cli: Cli) -> ExitCode {
    let result = match cli.command {
        Command::Replay(replay) => replay.run().await,
        Command::Stalled(stalled) => stalled.run().await,
        Command::Typist(typist) => typist.run(),
    };
    match result {
        Ok(status) => status,
        Err(error) => {
            eprintln!("inkwire-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

impl Typist {
    fn run(self) -> Outcome {
        let mut out = io::BufWriter::new(io::stdout().lock());
        typist(self.seed, self.edits).write(&mut out)?;
        writeln!(out)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A token that was given, or each person's own.
fn token_source(given: Option<&String>, role: &str) -> TokenSource {
    match given {
        Some(token) => TokenSource::Given(token.clone()),
        None => TokenSource::Development(DevelopmentToken {
            // It is asked for again at a reconnect, and must then be the same person.
            subject: Some(format!("loadtest-{role}-{}", std::process::id())),
            ..DevelopmentToken::default()
        }),
    }
}

impl Stalled {
    async fn run(self) -> Outcome {
        let options = |role: &str| {
            let token = token_source(self.token.as_ref(), role);
            Options { token, ..Options::new(self.url.clone(), Transport::WebTransport) }
        };
        let report = stalled::run(stalled::Plan {
            writer: options("writer"),
            observer: options("observer"),
            reader: options("reader"),
            readers: self.readers,
            rounds: self.rounds as usize,
            edits: self.edits as usize,
            rate: self.rate,
        })
        .await?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            let stalled::Report { readers, without_ms, with_ms, ratio_p50, ratio_p99, text_equal } = &report;
            println!(
                "seen without readers that stall after {:.2} ms (p50), {:.2} ms (p99)",
                without_ms.p50, without_ms.p99
            );
            println!("seen with {readers} of them after {:.2} ms (p50), {:.2} ms (p99)", with_ms.p50, with_ms.p99);
            println!("{ratio_p50:.2} times (p50), {ratio_p99:.2} times (p99)");
            println!("{}", if *text_equal { "both texts are equal" } else { "THE TEXTS DIFFER" });
        }
        Ok(if report.text_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Replay {
    async fn run(self) -> Outcome {
        let trace = trace::load(&self.trace)?;
        // Drawn on standard error, and only where that is a terminal.
        let bar = ProgressBar::new(trace.edits.len() as u64).with_style(ProgressStyle::with_template(
            "{bar:40} {human_pos}/{human_len} edits, {per_sec}, {elapsed} {msg}",
        )?);
        let report = replay::run(self.plan(), &trace, &bar).await;
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{}", Lines(&report));
        }
        Ok(if report.text_equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn plan(&self) -> Plan {
        let options = |transport, role: &str| {
            let token = token_source(self.token.as_ref(), role);
            let mut options = Options { token, ..Options::new(self.url.clone(), transport) };
            options.config.copies = self.datagram_copies;
            options
        };
        Plan {
            writer: options(self.writer, "writer"),
            observer: options(self.observer, "observer"),
            observer_first: self.first == First::Observer,
            document: self.document.clone().unwrap_or_else(|| fresh_document(self.writer, self.observer)),
            batch: self.batch as usize,
            rate: self.rate,
            wait: Duration::from_secs_f64(self.wait),
        }
    }
}

/// A report for people.
struct Lines<'a>(&'a Report);

impl std::fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Report { edits, seconds, edits_per_second, seen_ms, durable_ms, bytes_per_edit, text_equal } = self.0;
        writeln!(f, "{edits} edits in {seconds:.2} s: {edits_per_second:.0} edits/s")?;
        writeln!(f, "seen by the observer after {:.1} ms (p50), {:.1} ms (p99)", seen_ms.p50, seen_ms.p99)?;
        writeln!(f, "durable after {:.1} ms (p50), {:.1} ms (p99)", durable_ms.p50, durable_ms.p99)?;
        writeln!(f, "{bytes_per_edit:.1} bytes of frames an edit")?;
        let equal =
            if *text_equal { "both texts are exactly the trace's" } else { "THE TEXTS DIFFER FROM THE TRACE'S" };
        writeln!(f, "{equal}")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let line =
            "inkwire-loadtest replay --url http://localhost:1 --trace t --writer wtransport --observer websocket";
        let Command::Replay(replay) = parse(line).unwrap().command else { panic!("not a replay") };
        let plan = replay.plan();
        assert_eq!((plan.batch, plan.rate, plan.wait, plan.observer_first), (1, None, Duration::from_secs(60), false));
        assert_eq!((plan.writer.transport, plan.observer.transport), (Transport::Wtransport, Transport::WebSocket));
        assert!(plan.document.starts_with("replay/wtransport-websocket-"));
        for wrong in ["--batch 0", "--rate 0", "--datagram-copies yes", "--rate nan", "--wait -1", "--first both"] {
            assert!(parse(&format!("{line} {wrong}")).is_err(), "{wrong}");
        }
        assert!(parse("inkwire-loadtest stalled --readers 10 --rounds 1 --rate 50").is_ok());
        assert!(parse("inkwire-loadtest stalled --rounds 0").is_err());
        let error = parse(&line.replace("websocket", "carrier-pigeon")).unwrap_err();
        assert!(error.contains("there is no transport \"carrier-pigeon\""), "{error}");
    }

    #[test]
    fn a_report_is_one_json_object() {
        let report = Report {
            edits: 2,
            seconds: 0.5,
            edits_per_second: 4.0,
            seen_ms: Default::default(),
            durable_ms: Default::default(),
            bytes_per_edit: 30.5,
            text_equal: true,
        };
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            concat!(
                r#"{"edits":2,"seconds":0.5,"edits_per_second":4.0,"seen_ms":{"p50":0.0,"p99":0.0},"#,
                r#""durable_ms":{"p50":0.0,"p99":0.0},"bytes_per_edit":30.5,"text_equal":true}"#
            )
        );
        assert!(Lines(&report).to_string().contains("4 edits/s"));
    }
}
