//! `inkwire store`: making a cluster's tables, and moving from one store to another.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use inkwire_storage::copy::{Progress, compare, copy, count};
use inkwire_storage::scylla::driver::{self, Replication};
use inkwire_storage::{DocumentKey, Store};

use super::Failure;
use crate::relay::{open_store_to_copy, store_directory};
use crate::settings::StoreKind;

/// The most differences that are printed.
const MAX_DIFFERENCES: usize = 100;

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Makes keyspace and tables in a CQL cluster, where they are missing.
    ///
    /// May be repeated, by one process at a time. A keyspace that is there keeps its replication.
    Init(Init),
    /// Copies everything from one store into another, and compares the two at the end.
    ///
    /// A store is a relay's data directory or a cluster. No relay may run on either meanwhile. What the target has already is not
    /// written again: a copy that was cut off goes on when it is started anew. Ends with 1 when the stores differ.
    Copy(Copy),
}

#[derive(Args, Debug)]
pub(super) struct Init {
    /// The cluster, as for `inkwire serve`: scylla://host[:port],…/keyspace
    #[arg(long, env = "INKWIRE_STORE", value_name = "STORE", hide_env_values = true)]
    store: StoreKind,
    /// How many copies of each row a new keyspace has
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    replication: u8,
    /// The datacentre that has them [default: each that there is]
    #[arg(long, value_name = "NAME")]
    datacenter: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Copy {
    /// Where from: a data directory, or scylla://host[:port],…/keyspace
    #[arg(value_name = "FROM")]
    from: Place,
    /// Where to: a data directory, made if missing, or scylla://host[:port],…/keyspace after `inkwire store init`
    #[arg(value_name = "TO")]
    to: Place,
}

/// A store as the command line names it.
#[derive(Clone, Debug)]
struct Place {
    data: PathBuf,
    kind: StoreKind,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("scylla:") {
            return Ok(Self { data: PathBuf::new(), kind: text.parse()? });
        }
        Ok(Self { data: text.into(), kind: StoreKind::Embedded })
    }
}

/// Runs the command.
pub(super) fn main(command: StoreCommand) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        StoreCommand::Init(arguments) => runtime.block_on(init(arguments)).map(|()| ExitCode::SUCCESS),
        StoreCommand::Copy(arguments) => runtime.block_on(run_copy(arguments)),
    }
}

async fn init(arguments: Init) -> Result<(), Failure> {
    let StoreKind::Cluster(mut address) = arguments.store else {
        return Err(
            "a store in the data directory needs no preparation: --store names a cluster, scylla://host/keyspace"
                .into(),
        );
    };
    if arguments.datacenter.is_some() {
        address.datacenter = arguments.datacenter;
    }
    driver::init(&address, Replication(arguments.replication)).await?;
    println!("{address} is ready");
    Ok(())
}

async fn run_copy(arguments: Copy) -> Result<ExitCode, Failure> {
    let Copy { from, to } = arguments;
    if from.kind == StoreKind::Embedded && !store_directory(&from.data).is_dir() {
        return Err(format!("{} is no data directory of a relay", from.data.display()).into());
    }
    let source = open_store_to_copy(&from.data, &from.kind).await.map_err(|error| format!("FROM: {error}"))?;
    let target = open_store_to_copy(&to.data, &to.kind).await.map_err(|error| format!("TO: {error}"))?;
    let outcome = copy_and_compare(&*source, &*target).await;
    source.close().await;
    target.close().await;
    outcome
}

async fn copy_and_compare(source: &dyn Store, target: &dyn Store) -> Result<ExitCode, Failure> {
    let bar = ProgressBar::new(count(source).await?);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} documents, {msg}, {eta} left")?);
    let told = bar.clone();
    let done = copy(source, target, move |progress| {
        let Progress { documents, rows, snapshots, bytes, .. } = progress;
        told.set_position(documents);
        told.set_message(format!("{rows} rows, {snapshots} snapshots, {bytes} bytes written"));
    });
    let done = done.await.map_err(|error| format!("{error}; what was copied stays: start it again to go on"))?;
    bar.finish_and_clear();
    let mut differences = 0;
    let compared = compare(source, target, |document: &DocumentKey, what| {
        differences += 1;
        if differences <= MAX_DIFFERENCES {
            println!("different: {document}: {what}");
        }
    });
    let compared = compared.await?;
    let Progress { rows, snapshots, bytes, left_out, .. } = done;
    if left_out > 0 {
        println!("{left_out} older or named snapshots were left out: the target's engine keeps none");
    }
    println!(
        "{compared} documents compared, {differences} differences; {rows} rows, {snapshots} snapshots, {bytes} bytes written"
    );
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
