//! `inkwire doc`: its flags, whom it asks, and what it prints.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use inkwire_storage::Store;

use super::Failure;
use crate::doc::SOCKET;
use crate::doc::content::Format;
use crate::doc::desk::Desk;
use crate::doc::editor::Editor;
use crate::doc::point::{Point, time_text};
use crate::doc::request::{Answer, Blob, Entry, Request};
use crate::relay::open_store_alone;
use crate::settings::{Flags, StoreKind};

/// Looks at documents and their past, restores, brings in and out, deletes, checks.
///
/// Where a relay runs on the data directory, it is asked over DIR/admin.sock: edits go through the document's room, and whoever has
/// it open sees them. Else the store itself is opened, which must then be nobody's. A point of the past, --at, is a time
/// (2026-11-24T10:00:00Z, or a date), a snapshot's name (`draft`, or `name:2026` where it looks like something else), a snapshot's
/// number as `log` shows it (#12), or a version vector as `log` and `show` show it (1f:20,2a:7).
#[derive(Args, Debug)]
pub(super) struct Doc {
    #[command(subcommand)]
    command: Command,
}

/// Which relay or store.
#[derive(Args, Debug)]
struct Where {
    /// A settings file in TOML, read for the data directory and the store
    #[arg(long, env = "INKWIRE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The relay's data directory [default: inkwire-data]
    #[arg(long, env = "INKWIRE_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Work on this store itself, not through a relay: embedded (in the data directory, while no relay runs on it) or a cluster,
    /// scylla://host[:port],…/keyspace, while no relay writes to the document [default: the relay's]
    #[arg(long, value_name = "STORE")]
    store: Option<StoreKind>,
}

/// What is asked of it.
#[derive(Args, Debug)]
struct Which {
    /// The document's name
    #[arg(value_name = "DOCUMENT")]
    document: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the names of documents, one a line
    List {
        /// Only names after this one
        #[arg(long, value_name = "DOCUMENT")]
        after: Option<String>,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 1000)]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Prints what happened: who edited when, and which snapshots are kept; the latest first
    Log {
        #[command(flatten)]
        which: Which,
        /// At most so many entries
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the document as it is, or as it was
    Show {
        #[command(flatten)]
        which: Which,
        /// When [default: now]
        #[arg(long, value_name = "POINT")]
        at: Option<Point>,
        /// As what
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Which text, where there are several
        #[arg(long, value_name = "NAME")]
        text: Option<String>,
    },
    /// Prints what changed from one point to another, as JSON: texts and lists as deltas
    Diff {
        #[command(flatten)]
        which: Which,
        /// From when
        #[arg(value_name = "FROM")]
        from: Point,
        /// Until when [default: now]
        #[arg(value_name = "TO")]
        to: Option<Point>,
    },
    /// Makes the document what it was, by an edit: nothing of its past is lost, and who has it open sees it happen
    Restore {
        #[command(flatten)]
        which: Which,
        /// When
        #[arg(long, value_name = "POINT")]
        at: Point,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keeps a state for ever, under a name
    Name {
        #[command(flatten)]
        which: Which,
        /// The state's name
        #[arg(value_name = "NAME")]
        name: String,
        /// When [default: now]
        #[arg(long, value_name = "POINT")]
        at: Option<Point>,
    },
    /// Writes the document to a file: as a snapshot, which holds all of it, unless another form is asked for
    Export {
        #[command(flatten)]
        which: Which,
        /// The file; - for standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// When [default: now]
        #[arg(long, value_name = "POINT")]
        at: Option<Point>,
        /// As what
        #[arg(long, value_enum, default_value_t = Format::Snapshot)]
        format: Format,
        /// Which text, where there are several
        #[arg(long, value_name = "NAME")]
        text: Option<String>,
    },
    /// Makes the document what a file says, by an edit; it is made if it is not there
    Import {
        #[command(flatten)]
        which: Which,
        /// The file; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What the file is
        #[arg(long, value_enum, default_value_t = Format::Snapshot)]
        format: Format,
        /// Which text, where the file is one [default: the only one, or body]
        #[arg(long, value_name = "NAME")]
        text: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Deletes the document with all its past, for ever; a client that still has it is told so
    Delete {
        #[command(flatten)]
        which: Which,
        /// Do it: nothing brings it back but a backup
        #[arg(long)]
        yes: bool,
    },
    /// Reads everything and says what is wrong: checksums, missing counters, what nothing refers to. Ends with 1 when data is damaged
    /// or missing
    Fsck {
        /// One document [default: all]
        #[arg(value_name = "DOCUMENT")]
        document: Option<String>,
        #[command(flatten)]
        place: Where,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub(super) fn main(arguments: Doc) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments.command))
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::List { after, limit, json, place } => {
            let Answer::Names(names) = place.ask(Request::List { after, limit }).await? else { return Err(odd()) };
            if json {
                print(serde_json::to_string(&names)?)?;
            } else {
                names.into_iter().try_for_each(print)?;
            }
        }
        Command::Log { which: Which { document, place }, limit, json } => {
            let Answer::Log(entries) = place.ask(Request::Log { document, limit }).await? else { return Err(odd()) };
            if json {
                print(serde_json::to_string_pretty(&entries)?)?;
            } else {
                entries.iter().map(line).try_for_each(print)?;
            }
        }
        Command::Show { which: Which { document, place }, at, format, text } => {
            let at = at.map(|at| at.to_string());
            let content = shown(place.ask(Request::Show { document, at, format, text }).await?)?;
            let mut output = std::io::stdout().lock();
            output.write_all(&content)?;
            if !matches!(format, Format::Snapshot) && !content.ends_with(b"\n") {
                output.write_all(b"\n")?;
            }
        }
        Command::Diff { which: Which { document, place }, from, to } => {
            let (from, to) = (from.to_string(), to.map(|to| to.to_string()));
            let Answer::Changes(json) = place.ask(Request::Diff { document, from, to }).await? else {
                return Err(odd());
            };
            print(json)?;
        }
        Command::Restore { which: Which { document, place }, at, json } => {
            edited(&place.ask(Request::Restore { document, at: at.to_string() }).await?, json)?;
        }
        Command::Name { which: Which { document, place }, name, at } => {
            let at = at.map(|at| at.to_string());
            let Answer::Named { number, older_millis } = place.ask(Request::Name { document, name, at }).await? else {
                return Err(odd());
            };
            note_age(older_millis);
            print(format!("#{number}"))?;
        }
        Command::Export { which: Which { document, place }, file, at, format, text } => {
            let at = at.map(|at| at.to_string());
            let content = shown(place.ask(Request::Show { document, at, format, text }).await?)?;
            write_file(&file, &content)?;
        }
        Command::Import { which: Which { document, place }, file, format, text, json } => {
            let content = Blob(read_file(&file)?);
            edited(&place.ask(Request::Import { document, format, text, content }).await?, json)?;
        }
        Command::Delete { which: Which { document, place }, yes } => {
            if !yes {
                let what =
                    "deletes a document with all its past, for ever: say --yes to do it, after `inkwire doc export`";
                return Err(format!("this {what} if you may want it back").into());
            }
            let Answer::Deleted(_) = place.ask(Request::Delete { document: document.clone() }).await? else {
                return Err(odd());
            };
            print(format!("{document} is deleted"))?;
        }
        Command::Fsck { document, place, json } => {
            return checked(&place.ask(Request::Check { document }).await?, json);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Where {
    /// Asks the relay, or does it on the store.
    async fn ask(self, request: Request) -> Result<Answer, Failure> {
        let file = self.config.as_deref().map(Flags::from_file).transpose()?.unwrap_or_default();
        let data = self.data.or(file.data).unwrap_or_else(|| PathBuf::from("inkwire-data"));
        let path = data.join(SOCKET);
        let answer = match &self.store {
            None => ask_relay(&path, request.clone()).await?,
            // Even an empty request tells whether a relay is there.
            Some(StoreKind::Embedded) => match ask_relay(&path, Request::List { after: None, limit: 0 }).await? {
                Some(_) => {
                    return Err(
                        format!("a relay runs on {}: leave --store away, so that it is asked", data.display()).into()
                    );
                }
                None => None,
            },
            Some(_) => None,
        };
        let answer = match answer {
            Some(answer) => answer,
            None => {
                let kind = self.store.or(file.store).unwrap_or(StoreKind::Embedded);
                alone(&data, &kind, request).await?
            }
        };
        match answer {
            Answer::Refused(reason) => Err(reason.into()),
            answer => Ok(answer),
        }
    }
}

/// Asks the relay that listens on `path`; nothing when none does.
#[cfg(unix)]
async fn ask_relay(path: &Path, request: Request) -> Result<Option<Answer>, Failure> {
    crate::doc::socket::ask(path, request)
        .await
        .map_err(|error| format!("the relay at {} did not answer: {error}", path.display()).into())
}

/// There are no such sockets here: a running relay's store is locked, which says so.
#[cfg(not(unix))]
async fn ask_relay(_: &Path, _: Request) -> Result<Option<Answer>, Failure> {
    Ok(None)
}

/// Does it on the store, which is opened for this alone.
async fn alone(data: &Path, kind: &StoreKind, request: Request) -> Result<Answer, Failure> {
    let store: Arc<dyn Store> = open_store_alone(data, kind).await?;
    let desk = Desk::new(Arc::clone(&store), Editor::Store(Arc::clone(&store)));
    let answer = desk.carry_out(request).await;
    store.close().await;
    Ok(answer)
}

/// An answer to another question: a fault of ours.
fn odd() -> Failure {
    "the relay answered something else than what was asked".into()
}

fn print(line: String) -> Result<(), Failure> {
    // A reader that has seen enough is no error.
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn note_age(older_millis: Option<u64>) {
    if let Some(millis) = older_millis {
        eprintln!(
            "inkwire: this is the state of {}: what was edited between it and the asked time is in a later snapshot, and its log \
             was not kept (--keep-log of `inkwire serve` keeps it)",
            time_text(millis)
        );
    }
}

fn shown(answer: Answer) -> Result<Vec<u8>, Failure> {
    let Answer::Shown { content: Blob(content), older_millis, .. } = answer else { return Err(odd()) };
    note_age(older_millis);
    Ok(content)
}

fn edited(answer: &Answer, json: bool) -> Result<(), Failure> {
    let Answer::Edited { batches, bytes, older_millis, .. } = answer else { return Err(odd()) };
    note_age(*older_millis);
    if json {
        return print(serde_json::to_string(answer)?);
    }
    print(match batches {
        0 => "nothing had to change".to_owned(),
        _ => format!("edited: {batches} batches, {bytes} bytes, durable"),
    })
}

fn line(entry: &Entry) -> String {
    match entry {
        Entry::Snapshot { number, taken_millis, name, bytes, is_current } => {
            let name = name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
            let current = if *is_current { ", the newest" } else { "" };
            format!("{}  snapshot #{number}{name}, {bytes} bytes{current}", time_text(*taken_millis))
        }
        Entry::Edits { to_millis, subject, actor, first, last, batches, bytes, .. } => {
            format!("{}  {subject}: {actor}:{first}–{last}, {batches} batches, {bytes} bytes", time_text(*to_millis))
        }
    }
}

fn checked(answer: &Answer, json: bool) -> Result<ExitCode, Failure> {
    let Answer::Checked { documents, rows, snapshots, bytes, findings } = answer else { return Err(odd()) };
    let is_damaged = findings.iter().any(|found| found.is_damage);
    if json {
        print(serde_json::to_string_pretty(answer)?)?;
    } else {
        for found in findings {
            let kind = if found.is_damage { "damaged" } else { "left over" };
            print(format!("{kind}: {}: {}", found.place, found.reason))?;
        }
        print(format!(
            "{documents} documents, {rows} rows, {snapshots} snapshots, {bytes} bytes read: {}",
            if is_damaged {
                "damage was found: restore what is named from a backup"
            } else if findings.is_empty() {
                "all is well"
            } else {
                "nothing is damaged"
            }
        ))?;
    }
    Ok(if is_damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read_file(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut content)?;
        return Ok(content);
    }
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}

/// Writes beside the file and renames, so that a file of that name is whole.
fn write_file(file: &Path, content: &[u8]) -> Result<(), Failure> {
    if file == Path::new("-") {
        std::io::stdout().write_all(content)?;
        return Ok(());
    }
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", file.display());
    let written = fs::File::create(&temporary).and_then(|mut out| out.write_all(content).and_then(|()| out.sync_all()));
    written.and_then(|()| fs::rename(&temporary, file)).map_err(failed)?;
    Ok(())
}
