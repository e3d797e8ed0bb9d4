//! Replays an editing trace through one session while another watches it.

mod measure;
mod pace;
pub mod stalled;
mod watch;
mod write;

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use inkwire_document::Actor;
use inkwire_protocol::replica::EditRefused;
use serde::Serialize;
use tokio::sync::watch as channel;

use crate::client::{Client, Closed, ConnectError, Connection, Options, Transport};
use crate::trace::Trace;

pub use measure::Percentiles;

/// The container that is typed into, the one that the demo editor shows.
pub const TEXT: &str = "body";

/// What to replay and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the writing session reaches the relay.
    pub writer: Options,
    /// How the watching session does.
    pub observer: Options,
    /// Whether the observer opens the document first.
    pub observer_first: bool,
    /// The document; it should be empty.
    pub document: String,
    /// At most so many edits a batch, at least 1.
    pub batch: usize,
    /// Edits a second; as fast as they are taken if `None`.
    pub rate: Option<f64>,
    /// How long a session may be without a relay before the replay fails.
    pub wait: Duration,
}

/// What a replay has shown.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// How many edits were replayed.
    pub edits: usize,
    /// From the first edit until the observer had all of them and all were durable.
    pub seconds: f64,
    /// `edits / seconds`.
    pub edits_per_second: f64,
    /// From an edit until the observer had it, in milliseconds.
    pub seen_ms: Percentiles,
    /// From an edit until the writer knew it to be durable, in milliseconds.
    pub durable_ms: Percentiles,
    /// Bytes of frames that the writer sent meanwhile, over the number of edits.
    pub bytes_per_edit: f64,
    /// Whether both replicas ended with exactly the trace's text.
    pub text_equal: bool,
}

/// Why a replay came to no end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A session could not be set up.
    #[error("the {0} cannot connect: {1}")]
    Connect(&'static str, #[source] ConnectError),
    /// The document could not be opened.
    #[error("the document cannot be opened: {0}")]
    Open(#[from] inkwire_protocol::client::OpenError),
    /// A session or its document was closed.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The relay does not let the writer write, or an edit did not fit the document.
    #[error("an edit was refused: {0}")]
    Refused(EditRefused),
    /// The document is in use.
    #[error("the document {0:?} is not empty; give a fresh name")]
    NotEmpty(String),
    /// The relay refused a batch, and with it the actor that the edits are counted by.
    #[error("the relay refused a batch of the writer")]
    Retired,
    /// The relay was away for too long.
    #[error("the {role} has had no relay for {waited:?}")]
    Away {
        /// Which session.
        role: &'static str,
        /// How long it waited.
        waited: Duration,
    },
}

/// Runs a replay and moves `bar` along with the edits that are written.
///
/// # Errors
///
/// See [`ReplayError`]. A wrong text is not an error but [`Report::text_equal`].
pub async fn run(plan: Plan, trace: &Trace, bar: &ProgressBar) -> Result<Report, ReplayError> {
    let wait = plan.wait;
    let writer = Client::connect(plan.writer.clone()).await.map_err(|error| ReplayError::Connect("writer", error))?;
    let observer =
        Client::connect(plan.observer.clone()).await.map_err(|error| ReplayError::Connect("observer", error))?;
    let report = tokio::select! {
        report = replay(&plan, trace, &writer, &observer, bar) => report,
        error = away(&writer, "writer", wait) => Err(error),
        error = away(&observer, "observer", wait) => Err(error),
    };
    tokio::join!(writer.close(), observer.close());
    report
}

async fn replay(
    plan: &Plan,
    trace: &Trace,
    writer: &Client,
    observer: &Client,
    bar: &ProgressBar,
) -> Result<Report, ReplayError> {
    let (source, copy) = if plan.observer_first {
        let copy = observer.open(&plan.document)?;
        copy.synced().await?;
        (writer.open(&plan.document)?, copy)
    } else {
        let source = writer.open(&plan.document)?;
        source.synced().await?;
        (source, observer.open(&plan.document)?)
    };
    source.synced().await?;
    copy.synced().await?;
    if !source.text(TEXT)?.is_empty() || !copy.text(TEXT)?.is_empty() {
        return Err(ReplayError::NotEmpty(plan.document.clone()));
    }
    let actor = write::start(&source, &trace.start).await?;
    let begun = source.read(|replica| replica.document().version().clone())?;
    copy.wait(|replica| *replica.document().version() >= begun).await?;

    // From here on it counts.
    let before = writer.traffic();
    let begin = Instant::now();
    let progress = watch::Progress::new();
    let (last, goal) = channel::channel(None);
    let writing = async {
        let written = write::edits(&source, actor, trace, plan, &progress, bar).await?;
        let _ = last.send(Some(written.last().map_or(0, |written| written.counter)));
        Ok(written)
    };
    let (written, seen, durable) = tokio::try_join!(
        writing,
        watch::seen(&copy, actor, goal.clone(), &progress),
        watch::durable(&source, actor, goal.clone()),
    )?;
    let seconds = begin.elapsed().as_secs_f64();
    let sent_bytes = writer.traffic().sent_bytes - before.sent_bytes;

    let edits = trace.edits.len();
    Ok(Report {
        edits,
        seconds,
        edits_per_second: edits as f64 / seconds,
        seen_ms: measure::latencies(&written, &seen),
        durable_ms: measure::latencies(&written, &durable),
        bytes_per_edit: sent_bytes as f64 / edits.max(1) as f64,
        text_equal: source.text(TEXT)? == trace.end && copy.text(TEXT)? == trace.end,
    })
}

/// Ends when the client has been without a relay for `wait` at a stretch.
async fn away(client: &Client, role: &'static str, wait: Duration) -> ReplayError {
    let mut connection = client.connection();
    let gone = |connection: &Connection| matches!(connection, Connection::Reconnecting);
    loop {
        if connection.wait_for(gone).await.is_err() {
            break;
        }
        if tokio::time::timeout(wait, connection.wait_for(|connection| !gone(connection))).await.is_err() {
            return ReplayError::Away { role, waited: wait };
        }
        // Closed for good: whoever waits for the document says why.
        if matches!(&*connection.borrow(), Connection::Closed(_)) {
            break;
        }
    }
    std::future::pending().await
}

/// A document name that no other run uses.
#[must_use]
pub fn fresh_document(writer: Transport, observer: Transport) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("replay/{writer}-{observer}-{:x}-{:x}", now.as_micros(), std::process::id())
}

/// The actor that writes, and the counter up to which it has.
fn position(document: &inkwire_document::Document, actor: Actor) -> u64 {
    document.version().get(&actor)
}
