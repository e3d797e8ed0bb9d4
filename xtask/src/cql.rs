//! A real CQL cluster on loopback, for tests and for development.
//!
//! Whoever names a cluster with `INKWIRE_CQL` gets that one; else ScyllaDB's image runs where Docker answers, else Apache
//! Cassandra runs from its jars on the machine's JDK. Node I of N is 127.0.0.I, port 9042. Everything is kept under
//! `target/cql`, and [`down`] deletes what the nodes stored.
//!
//! - [`cluster`]: which cluster there is, and its parts' common actions;
//! - [`cassandra`]: a node from jars; [`jars`] and [`java`]: what it runs on; [`process`]: its process;
//! - [`docker`]: a node in a container;
//! - [`probe`]: as much CQL as it takes to know that a ring is usable.

mod cassandra;
mod cluster;
mod docker;
mod jars;
mod java;
mod probe;
mod process;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use self::cluster::Cluster;
use crate::progress;

/// The environment variable that names a cluster which is there already.
pub(crate) const NAMED: &str = "INKWIRE_CQL";

/// The keyspace in the addresses that are printed.
const KEYSPACE: &str = "inkwire";

/// When a node's commit log is synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Sync {
    /// Before a write is acknowledged, as often as there is one
    Batch,
    /// Before a write is acknowledged, every 5 ms
    Group,
    /// Every 10 s, whatever was acknowledged: the servers' default
    Periodic,
}

impl Sync {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Group => "group",
            Self::Periodic => "periodic",
        }
    }
}

/// What a new cluster is like.
#[derive(Args, Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shape {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) nodes: u8,
    /// When the commit log is synced
    #[arg(long, value_enum, default_value_t = Sync::Batch)]
    pub(crate) sync: Sync,
    /// Compile less: nodes of Cassandra start sooner, and take half the writes
    #[arg(long)]
    pub(crate) quick: bool,
}

/// What can be done with the cluster.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Start a cluster and print the store's address once it is usable; does nothing when it runs
    Up(Shape),
    /// End a node at once, as a power failure does (SIGKILL)
    Kill(Node),
    /// Start a node that was killed, and wait until it serves
    Start(Node),
    /// Stop a node in its tracks, its connections open (SIGSTOP)
    Pause(Node),
    /// Let a paused node go on
    Resume(Node),
    /// End all nodes and delete what they stored
    Down,
}

/// Which node.
#[derive(Args)]
pub(crate) struct Node {
    /// Its number, from 1; node I is 127.0.0.I
    #[arg(value_name = "I")]
    number: u8,
}

/// Does what the command line asks for.
///
/// # Errors
///
/// One line that says what is missing or what to do.
pub(crate) fn run(action: Action) -> Result<()> {
    match action {
        Action::Up(shape) => println!("{}", up(shape)?),
        Action::Kill(node) => Cluster::present()?.kill(node.number)?,
        Action::Start(node) => Cluster::present()?.start(node.number)?,
        Action::Pause(node) => Cluster::present()?.pause(node.number)?,
        Action::Resume(node) => Cluster::present()?.resume(node.number)?,
        Action::Down => down()?,
    }
    Ok(())
}

/// The address of a usable cluster: the one that the environment names, the one that runs, or a new one.
///
/// # Errors
///
/// When one of another shape runs, something else has the ports, or a node does not start.
pub(crate) fn up(shape: Shape) -> Result<String> {
    if let Some(hosts) = named() {
        progress::note(&format!("{NAMED} names a cluster: nothing is started"));
        return Ok(format!("scylla://{hosts}/{KEYSPACE}"));
    }
    Cluster::up(shape).map(|cluster| cluster.address())
}

/// Ends our cluster, if there is one, and deletes what it stored.
///
/// # Errors
///
/// When a file cannot be deleted.
pub(crate) fn down() -> Result<()> {
    match Cluster::find()? {
        Some(cluster) => cluster.down(),
        None => {
            progress::note("no cluster of ours runs");
            Ok(())
        }
    }
}

/// The cluster that the environment names, as `host[:port],…`.
pub(crate) fn named() -> Option<String> {
    std::env::var(NAMED).ok().filter(|hosts| !hosts.trim().is_empty())
}
