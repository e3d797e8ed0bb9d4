//! What readers that stall cost everybody else.

use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use tokio::sync::watch as channel;

use super::measure::{self, Percentiles};
use super::{Plan as ReplayPlan, ReplayError, TEXT, fresh_document, watch, write};
use crate::client::{Client, Document, Options, Transport};
use crate::trace::{Random, Trace, typist};

/// Characters of the document: far more than anything on the way to a reader holds for it.
const DOCUMENT_CHARACTERS: usize = 2_000_000;

/// How long the relay has to hand to new readers what it hands to one that does not read, before measuring goes on.
const SETTLING: Duration = Duration::from_secs(3);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who types.
    pub writer: Options,
    /// Who sees it.
    pub observer: Options,
    /// Those who stall.
    pub reader: Options,
    /// How many of them.
    pub readers: usize,
    /// How often it is measured without and with them.
    pub rounds: usize,
    /// Edits each time.
    pub edits: usize,
    /// Edits a second.
    pub rate: f64,
}

/// What was seen.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Readers that stalled.
    pub readers: usize,
    /// From an edit until the observer had it, in milliseconds, without them: over all rounds.
    pub without_ms: Percentiles,
    /// With them.
    pub with_ms: Percentiles,
    /// The second over the first.
    pub ratio_p50: f64,
    /// Likewise.
    pub ratio_p99: f64,
    /// Whether both replicas ended with the same text, all of it.
    pub text_equal: bool,
}

/// Measures.
///
/// # Errors
///
/// When a session cannot be had or is lost for good.
pub async fn run(plan: Plan) -> Result<Report, ReplayError> {
    let connect = async |options: &Options, role| {
        Client::connect(options.clone()).await.map_err(|error| ReplayError::Connect(role, error))
    };
    let writer = connect(&plan.writer, "writer").await?;
    let observer = connect(&plan.observer, "observer").await?;
    let name = fresh_document(Transport::WebTransport, Transport::WebTransport);
    let (source, copy) = (writer.open(&name)?, observer.open(&name)?);
    source.synced().await?;
    copy.synced().await?;
    let mut random = Random::new(1);
    let body: String =
        std::iter::repeat_with(|| char::from(b'a' + random.below(26) as u8)).take(DOCUMENT_CHARACTERS).collect();
    write::start(&source, &body).await?;

    // What is typed stands before what was there.
    let trace = typist(1, 2 * plan.rounds * plan.edits);
    let mut phases = trace.edits.chunks(plan.edits);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let mut phase = async |samples: &mut Vec<_>| {
            let edits = phases.next().unwrap_or_default().to_vec();
            let part = Trace { start: String::new(), edits, end: String::new() };
            samples.extend(type_and_see(&plan, &name, &source, &copy, &part).await?);
            Ok::<_, ReplayError>(())
        };
        phase(&mut without).await?;
        let mut readers = Vec::with_capacity(plan.readers);
        for _ in 0..plan.readers {
            let reader = connect(&Options { stalled: true, ..plan.reader.clone() }, "reader").await?;
            reader.open(&name)?;
            readers.push(reader);
        }
        tokio::time::sleep(SETTLING).await;
        phase(&mut with).await?;
        for reader in readers {
            reader.close().await;
        }
        tokio::time::sleep(SETTLING).await;
    }
    let expected = format!("{}{body}", trace.end);
    let text_equal = source.text(TEXT)? == expected && copy.text(TEXT)? == expected;
    tokio::join!(writer.close(), observer.close());
    let (without_ms, with_ms) = (measure::percentiles(without), measure::percentiles(with));
    Ok(Report {
        readers: plan.readers,
        without_ms,
        with_ms,
        ratio_p50: with_ms.p50 / without_ms.p50,
        ratio_p99: with_ms.p99 / without_ms.p99,
        text_equal,
    })
}

/// Types a part of the trace at the plan's rate; how long each edit took to be seen.
async fn type_and_see(
    plan: &Plan,
    name: &str,
    source: &Document,
    copy: &Document,
    part: &Trace,
) -> Result<Vec<(f64, usize)>, ReplayError> {
    let replay = ReplayPlan {
        writer: plan.writer.clone(),
        observer: plan.observer.clone(),
        observer_first: false,
        document: name.to_owned(),
        batch: 1,
        rate: Some(plan.rate),
        wait: Duration::MAX,
    };
    // Nothing to put in: who writes.
    let actor = write::start(source, "").await?;
    let progress = watch::Progress::new();
    let (last, goal) = channel::channel(None);
    let bar = ProgressBar::hidden();
    let writing = async {
        let written = write::edits(source, actor, part, &replay, &progress, &bar).await?;
        let _ = last.send(Some(written.last().map_or(0, |written| written.counter)));
        Ok(written)
    };
    let (written, seen) = tokio::try_join!(writing, watch::seen(copy, actor, goal.clone(), &progress))?;
    Ok(measure::samples(&written, &seen))
}
