//! Durable batches a second and latency of the candidate engines and of the embedded store, with group commit: one
//! commit for all that wait.
//!
//! The load is a closed loop: N documents write, each with one batch in flight; a document's next batch comes when its
//! last one is durable. The candidates stand behind one queue and one thread; the embedded store has its own. `bare`
//! is the floor: one append of the same bytes to one file and one `fdatasync` for each group.
//!
//! `cargo run --release -- [--seconds S] [--rounds R] [--directory DIR] [ENGINE…]`, or with `--opening MIB` how long it
//! takes to open an embedded store with snapshots of that size together.

mod candidates;
mod counting;
mod group;
mod opening;
mod row;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use inkwire_storage::embedded::Options;
use inkwire_storage::{EmbeddedStore, Store};

use counting::CountingDisk;
use group::GroupCommit;
use row::Row;

const NAMES: [&str; 6] = ["bare", "redb", "redb-2pc", "redb-arrival", "fjall", "embedded"];

/// What one run of one engine with one number of documents gave.
struct Figures {
    batches_per_second: f64,
    group: f64,
    p50: Duration,
    p99: Duration,
}

/// Where batches go.
enum Target {
    Candidate(GroupCommit),
    Embedded(Box<EmbeddedStore>, Arc<AtomicU64>),
}

impl Target {
    fn open(name: &str, directory: &Path) -> Self {
        match name {
            "embedded" => {
                let disk = CountingDisk::open(directory);
                let commits = disk.commits.clone();
                let store = EmbeddedStore::open_on(Arc::new(disk), &Options::default()).expect("the store opens");
                Self::Embedded(Box::new(store), commits)
            }
            name => Self::Candidate(GroupCommit::new(candidates::open(name, directory))),
        }
    }

    async fn append(&self, row: Row) {
        match self {
            Self::Candidate(group) => group.append(row).await,
            Self::Embedded(store, _) => store.append(vec![row.to_append()]).await.expect("it is durable"),
        }
    }
}

fn main() {
    let mut seconds = 5.0_f64;
    let mut rounds = 3_usize;
    let mut directory = PathBuf::from(".");
    let mut mebibytes: Option<u64> = None;
    let mut names: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("the option takes a value");
        match argument.as_str() {
            "--seconds" => seconds = value().parse().expect("--seconds takes a number"),
            "--rounds" => rounds = value().parse().expect("--rounds takes a number"),
            "--opening" => mebibytes = Some(value().parse().expect("--opening takes a number")),
            "--directory" => directory = PathBuf::from(value()),
            name if NAMES.contains(&name) => names.push(name.to_owned()),
            other => panic!("unknown engine {other}, one of {NAMES:?}"),
        }
    }
    if let Some(mebibytes) = mebibytes {
        return opening::run(&directory, mebibytes);
    }
    if names.is_empty() {
        names = NAMES.map(str::to_owned).to_vec();
    }

    println!("| engine | documents | batches/s | of bare | batches a commit | p50 ms | p99 ms |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for documents in [1, 64, 1000] {
        // The engines take turns in every round, so that a disk that slows down slows all of them.
        let mut runs: Vec<Vec<Figures>> = names.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (name, runs) in names.iter().zip(&mut runs) {
                runs.push(run(name, documents, Duration::from_secs_f64(seconds), &directory));
            }
        }
        let medians: Vec<Figures> = runs.into_iter().map(median).collect();
        let bare = names.iter().position(|name| name == "bare").map(|index| medians[index].batches_per_second);
        for (name, figures) in names.iter().zip(&medians) {
            println!(
                "| {name} | {documents} | {:.0} | {} | {} | {:.2} | {:.2} |",
                figures.batches_per_second,
                bare.map_or_else(|| "–".to_owned(), |bare| format!("{:.2}", figures.batches_per_second / bare)),
                format_args!("{:.0}", figures.group),
                figures.p50.as_secs_f64() * 1e3,
                figures.p99.as_secs_f64() * 1e3,
            );
        }
    }
}

fn run(name: &str, documents: u64, time: Duration, directory: &Path) -> Figures {
    let scratch = tempfile::tempdir_in(directory).expect("a scratch directory");
    let target = Rc::new(Target::open(name, scratch.path()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let started = Instant::now();
    let mut latencies: Vec<Duration> = local.block_on(&runtime, async {
        let names: Vec<Arc<str>> = (0..documents).map(row::document_name).collect();
        let writers = names.into_iter().enumerate().map(|(document, name)| {
            let target = target.clone();
            tokio::task::spawn_local(async move {
                let mut latencies = Vec::new();
                for counter in 1.. {
                    let row = Row::new(document as u64, name.clone(), counter);
                    let before = Instant::now();
                    target.append(row).await;
                    latencies.push(before.elapsed());
                    if started.elapsed() > time {
                        break;
                    }
                }
                latencies
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut all = Vec::new();
        for writer in writers {
            all.extend(writer.await.expect("the writer does not panic"));
        }
        all
    });
    let elapsed = started.elapsed();
    let commits = match &*target {
        Target::Candidate(group) => group.commits(),
        Target::Embedded(_, commits) => commits.load(Ordering::Relaxed),
    };
    latencies.sort_unstable();
    let quantile = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    Figures {
        batches_per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        group: latencies.len() as f64 / commits.max(1) as f64,
        p50: quantile(50),
        p99: quantile(99),
    }
}

fn median(mut runs: Vec<Figures>) -> Figures {
    runs.sort_by(|a, b| a.batches_per_second.total_cmp(&b.batches_per_second));
    runs.swap_remove(runs.len() / 2)
}
