//! Which cluster there is, and what is done to its nodes, whatever they run on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::{KEYSPACE, NAMED, Shape, Sync, cassandra, docker, named, probe};
use crate::{progress, workspace};

/// The port that nodes serve CQL on.
pub(super) const PORT: u16 = 9042;

/// How long a ring may take until it is usable. On a machine that compiles at the same time 30 s are usual for three.
const PATIENCE: Duration = Duration::from_secs(240);

/// How often a node that starts is asked whether it serves.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);

/// What nodes run on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Engine {
    Docker,
    Cassandra,
}

/// A cluster that this started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    engine: Engine,
    shape: Shape,
}

/// Where everything is kept.
pub(super) fn folder() -> PathBuf {
    workspace::target().join("cql")
}

/// Where node `number` listens.
pub(super) fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

impl Cluster {
    /// The cluster that was started and not taken down since; its nodes may run or not.
    pub(super) fn find() -> Result<Option<Self>> {
        let path = folder().join("cluster");
        let Ok(kept) = std::fs::read_to_string(&path) else { return Ok(None) };
        Self::parse(&kept)
            .with_context(|| format!("{} says nothing that makes sense: delete {}", path.display(), folder().display()))
            .map(Some)
    }

    /// The cluster that nodes are to be killed or started in.
    pub(super) fn present() -> Result<Self> {
        if named().is_some() {
            bail!("{NAMED} names a cluster that this did not start: its nodes are left alone");
        }
        Self::find()?.context("no cluster of ours runs: start one with cargo xtask cql up")
    }

    fn parse(kept: &str) -> Option<Self> {
        let mut words = kept.split_whitespace();
        let engine = match words.next()? {
            "docker" => Engine::Docker,
            "cassandra" => Engine::Cassandra,
            _ => return None,
        };
        let nodes = words.next()?.parse().ok()?;
        let sync = Sync::from_str(words.next()?, false).ok()?;
        let quick = words.next()? == "quick";
        Some(Self { engine, shape: Shape { nodes, sync, quick } })
    }

    fn keep(&self) -> Result<()> {
        let Shape { nodes, sync, quick } = self.shape;
        let engine = match self.engine {
            Engine::Docker => "docker",
            Engine::Cassandra => "cassandra",
        };
        let speed = if quick { "quick" } else { "full" };
        std::fs::create_dir_all(folder()).with_context(|| format!("cannot create {}", folder().display()))?;
        let path = folder().join("cluster");
        std::fs::write(&path, format!("{engine} {nodes} {} {speed}\n", sync.name()))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// A usable cluster of this shape.
    pub(super) fn up(shape: Shape) -> Result<Self> {
        let cluster = match Self::find()? {
            Some(found) if found.shape == shape => found,
            Some(found) => bail!(
                "a cluster of {} nodes with sync {} is there: end it with cargo xtask cql down",
                found.shape.nodes,
                found.shape.sync.name()
            ),
            None => {
                let engine = if docker::answers() { Engine::Docker } else { Engine::Cassandra };
                let cluster = Self { engine, shape };
                cluster.prepare()?;
                cluster.keep()?;
                cluster
            }
        };
        progress::step(&format!("{} of {} nodes", cluster.what(), shape.nodes), || {
            for number in 1..=shape.nodes {
                cluster.launch(number)?;
            }
            for number in 1..=shape.nodes {
                cluster.wait(number)?;
            }
            cluster.wait_for_ring()
        })?;
        Ok(cluster)
    }

    /// The store's address on this cluster.
    pub(super) fn address(&self) -> String {
        let hosts: Vec<String> = (1..=self.shape.nodes).map(|number| address(number).to_string()).collect();
        format!("scylla://{}/{KEYSPACE}", hosts.join(","))
    }

    pub(super) fn kill(&self, number: u8) -> Result<()> {
        match self.check(number)? {
            Engine::Docker => docker::signal(number, "KILL"),
            Engine::Cassandra => cassandra::kill(number),
        }?;
        // A process with many threads keeps its sockets for a moment after it is gone.
        let start = Instant::now();
        while let Err(error) = TcpListener::bind(SocketAddr::new(address(number), PORT)) {
            if start.elapsed() > PATIENCE {
                return Err(error).with_context(|| format!("node {number} was killed and its port is still in use"));
            }
            std::thread::sleep(PROBE_INTERVAL);
        }
        Ok(())
    }

    pub(super) fn pause(&self, number: u8) -> Result<()> {
        match self.check(number)? {
            Engine::Docker => docker::run(&["pause", &docker::name(number)]).map(drop),
            Engine::Cassandra => cassandra::signal(number, "STOP"),
        }
    }

    pub(super) fn resume(&self, number: u8) -> Result<()> {
        match self.check(number)? {
            Engine::Docker => docker::run(&["unpause", &docker::name(number)]).map(drop),
            Engine::Cassandra => cassandra::signal(number, "CONT"),
        }
    }

    pub(super) fn start(&self, number: u8) -> Result<()> {
        self.check(number)?;
        self.prepare()?;
        progress::step(&format!("node {number}"), || {
            self.launch(number)?;
            self.wait(number)
        })
    }

    pub(super) fn down(&self) -> Result<()> {
        progress::step("cluster down", || {
            for number in 1..=self.shape.nodes {
                match self.engine {
                    Engine::Docker => docker::remove(number)?,
                    Engine::Cassandra => {
                        cassandra::kill(number)?;
                        cassandra::wipe(number)?;
                    }
                }
            }
            if self.engine == Engine::Docker {
                docker::remove_network();
            }
            let path = folder().join("cluster");
            std::fs::remove_file(&path).with_context(|| format!("cannot delete {}", path.display()))
        })
    }

    fn what(&self) -> &'static str {
        match self.engine {
            Engine::Docker => "ScyllaDB",
            Engine::Cassandra => "Apache Cassandra",
        }
    }

    fn check(&self, number: u8) -> Result<Engine> {
        if !(1..=self.shape.nodes).contains(&number) {
            bail!("there is no node {number}: the cluster has nodes 1 to {}", self.shape.nodes);
        }
        Ok(self.engine)
    }

    fn prepare(&self) -> Result<()> {
        match self.engine {
            Engine::Docker => docker::prepare(),
            Engine::Cassandra => cassandra::prepare(),
        }
    }

    fn launch(&self, number: u8) -> Result<()> {
        if self.lives(number) {
            return Ok(());
        }
        let place = SocketAddr::new(address(number), PORT);
        if let Err(error) = TcpListener::bind(place) {
            bail!(
                "{place} cannot be listened on ({error}): end what has it, or name that cluster with {NAMED}=host:port"
            );
        }
        match self.engine {
            Engine::Docker => docker::launch(number, self.shape),
            Engine::Cassandra => cassandra::launch(number, self.shape),
        }
    }

    fn lives(&self, number: u8) -> bool {
        match self.engine {
            Engine::Docker => docker::lives(number),
            Engine::Cassandra => cassandra::lives(number),
        }
    }

    /// Waits until node `number` serves CQL.
    fn wait(&self, number: u8) -> Result<()> {
        self.wait_until(number, "does not serve CQL", || probe::serves(SocketAddr::new(address(number), PORT)))
    }

    /// Waits until every node knows every other.
    fn wait_for_ring(&self) -> Result<()> {
        let others = i64::from(self.shape.nodes) - 1;
        for number in 1..=self.shape.nodes {
            let place = SocketAddr::new(address(number), PORT);
            self.wait_until(number, "does not know the whole ring", || probe::peers(place) == Some(others))?;
        }
        Ok(())
    }

    fn wait_until(&self, number: u8, otherwise: &str, mut done: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !done() {
            if !self.lives(number) {
                bail!("node {number} ended while it started{}", self.last_words(number));
            }
            if start.elapsed() > PATIENCE {
                let waited = progress::seconds(PATIENCE);
                bail!("node {number} {otherwise} after {waited}{}", self.last_words(number));
            }
            std::thread::sleep(PROBE_INTERVAL);
        }
        Ok(())
    }

    fn last_words(&self, number: u8) -> String {
        match self.engine {
            Engine::Docker => format!("; see docker logs {}", docker::name(number)),
            Engine::Cassandra => cassandra::last_words(number),
        }
    }
}
