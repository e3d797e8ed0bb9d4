//! A relay on a cluster of three, killed with its nodes under writers: the relay, one node, two, all.
//!
//! Twenty writers work on four documents over all transports. In each round something is killed with SIGKILL in the middle of
//! it and comes back. While two nodes or all are away nothing becomes durable, and editing goes on; in some of these rounds the
//! relay is killed too and serves its documents from its spool. After each round a relay that knows nothing but the cluster
//! must show everything that was ever called durable, once. In the end everybody must have the same.
//!
//! `INKWIRE_CQL_STORE` names the store, `INKWIRE_CQL_HURT` the program whose `cql` hurts nodes. `INKWIRE_CRASH_ROUNDS` says how
//! many rounds, `INKWIRE_CRASH_SEED` which run.

mod support;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inkwire_document::VersionVector;
use inkwire_loadtest::client::Transport;
use inkwire_loadtest::trace::Random;
use support::ledger::Ledger;
use support::people::{Person, read_all};
use support::relay::{Folder, Relay, binary};
use tokio::process::Command;
use tokio::sync::watch;
use url::Url;

const WRITERS: usize = 20;
const DOCUMENTS: usize = 4;
/// A node of Cassandra takes up to a minute to start where everything else runs too; what takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(240);

/// What a round kills.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Strike {
    Relay,
    OneNode,
    TwoNodes,
    /// Two nodes, and the relay while they are away.
    TwoNodesAndRelay,
    AllNodes,
}

/// In this order, again and again.
const STRIKES: [Strike; 6] =
    [Strike::Relay, Strike::TwoNodesAndRelay, Strike::OneNode, Strike::AllNodes, Strike::Relay, Strike::TwoNodes];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_durable_is_lost_whatever_is_killed() {
    let rounds = number("INKWIRE_CRASH_ROUNDS").unwrap_or(STRIKES.len() as u64) as usize;
    let seed = number("INKWIRE_CRASH_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64)
    });
    println!("crash on a cluster: {rounds} rounds, seed {seed}");
    let begin = Instant::now();
    let mut run = Run::start(seed).await;
    for round in 0..rounds {
        let strike = STRIKES[round % STRIKES.len()];
        run.round(strike).await;
        let totals = run.ledger.totals();
        let seconds = begin.elapsed().as_secs();
        println!(
            "crash on a cluster: round {}, {strike:?}: {} edits made, {} durable, {seconds} s",
            round + 1,
            totals.made,
            totals.durable
        );
    }
    run.settle().await;
    assert!(run.ledger.totals().durable > rounds * WRITERS, "hardly anything was written between the crashes");
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

/// Does something to the cluster's nodes.
async fn hurt(arguments: &[&str]) {
    let program = std::env::var_os("INKWIRE_CQL_HURT").expect("INKWIRE_CQL_HURT names what hurts nodes");
    let status = Command::new(program).arg("cql").args(arguments).stdout(Stdio::null()).status().await;
    assert!(status.expect("it starts").success(), "cql {arguments:?}");
}

struct Run {
    random: Random,
    folder: Folder,
    store: String,
    relay: Option<Relay>,
    listen: String,
    url: Url,
    ledger: Arc<Ledger>,
    people: Vec<Person>,
    pause: watch::Sender<bool>,
}

impl Run {
    async fn start(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let folder = Folder::new("crash-cluster");
        let store = std::env::var("INKWIRE_CQL_STORE").expect("INKWIRE_CQL_STORE names the store");
        let made = Command::new(binary()).args(["store", "init", "--store", &store]).status().await;
        assert!(made.expect("it starts").success(), "the tables are not made");
        let (relay, listen) = first(&folder, &store, &mut random).await;
        let url = relay.url.clone();
        let ledger = Arc::new(Ledger::new());
        let pause = watch::Sender::new(false);
        let mut people = Vec::new();
        for number in 0..WRITERS {
            let document = number % DOCUMENTS;
            people.push(Person::writer(&url, number, document, &mut random, &ledger, pause.subscribe()).await);
        }
        Self { random, folder, store, relay: Some(relay), listen, url, ledger, people, pause }
    }

    async fn round(&mut self, strike: Strike) {
        self.durable(1, 200).await;
        match strike {
            Strike::Relay => self.kill_relay().await,
            Strike::OneNode => {
                let node = self.random.between(1, 3).to_string();
                hurt(&["kill", &node]).await;
                // One is not felt.
                self.durable(100, 200).await;
                hurt(&["start", &node]).await;
            }
            Strike::TwoNodes | Strike::TwoNodesAndRelay => {
                let spared = self.random.between(1, 3);
                let killed: Vec<String> = (1..=3).filter(|node| *node != spared).map(|node| node.to_string()).collect();
                for node in &killed {
                    hurt(&["kill", node]).await;
                }
                self.go_on().await;
                if strike == Strike::TwoNodesAndRelay {
                    self.kill_relay().await;
                    self.start_relay().await;
                    self.go_on().await;
                }
                for node in &killed {
                    hurt(&["start", node]).await;
                }
            }
            Strike::AllNodes => {
                for node in ["1", "2", "3"] {
                    hurt(&["kill", node]).await;
                }
                self.go_on().await;
                hurt(&["up", "--nodes", "3", "--sync", "batch", "--quick"]).await;
            }
        }
        if self.relay.is_none() {
            self.start_relay().await;
        }
        // Everybody is back, and what waited is durable.
        self.durable(1, 100).await;
        self.kill_relay().await;
        self.check_durable().await;
        self.start_relay().await;
        assert!(self.people.iter().all(Person::is_well), "a writer has failed");
    }

    async fn kill_relay(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.kill().await;
        }
    }

    async fn start_relay(&mut self) {
        let relay = start(&self.folder, "data", &self.store, &self.listen).await.expect("the relay comes back");
        assert_eq!(relay.url.port(), self.url.port());
        self.relay = Some(relay);
    }

    /// Waits for so many more edits to be durable.
    async fn durable(&mut self, least: usize, most: usize) {
        let goal = self.ledger.totals().durable + self.random.between(least, most);
        let mut progress = self.ledger.progress();
        in_time("durable edits", progress.wait_for(|progress| progress.durable >= goal))
            .await
            .map(drop)
            .expect("the ledger lives");
    }

    /// Editing goes on though nothing becomes durable: somebody comes, opens a document and writes. (Those who were there may
    /// have as many edits that are not durable as they allow themselves.)
    async fn go_on(&mut self) {
        let goal = self.ledger.totals().made + 1;
        let (number, document) = (self.people.len(), self.random.below(DOCUMENTS));
        let pause = self.pause.subscribe();
        let writer = Person::writer(&self.url, number, document, &mut self.random, &self.ledger, pause);
        let writer = in_time("somebody who comes", writer).await;
        self.people.push(writer);
        let mut progress = self.ledger.progress();
        in_time("edits", progress.wait_for(|progress| progress.made >= goal))
            .await
            .map(drop)
            .expect("the ledger lives");
    }

    /// What the cluster alone has: the relay that shows it has an empty directory.
    async fn check_durable(&mut self) {
        let fresh = format!("reader-{}", self.random.bits());
        let relay = start(&self.folder, &fresh, &self.store, "localhost:0").await.expect("a reader starts");
        let transport = *self.random.pick(&Transport::ALL);
        let views = in_time("a reader", read_all(&relay.url, transport, DOCUMENTS, self.random.bits())).await;
        for (document, view) in views.iter().enumerate() {
            if let Err(error) = self.ledger.check_durable(document, view) {
                panic!("called durable, and after the crash: {error}");
            }
        }
        relay.kill().await;
    }

    /// Everybody comes back and rests; then all must have the same, and it must be everything.
    async fn settle(&mut self) {
        self.pause.send_replace(true);
        for person in &self.people {
            let who = format!("person {} to be back, with everything durable", person.number);
            let back = person.opened.wait(|replica| replica.synced() && replica.all_durable());
            in_time(&who, back).await.expect("it is open");
        }
        let mut goals: BTreeMap<usize, VersionVector> = BTreeMap::new();
        for person in &self.people {
            let goal = goals.entry(person.document).or_default();
            for (actor, counter) in person.version().dots {
                let known = goal.dots.entry(actor).or_default();
                *known = counter.max(*known);
            }
        }
        for person in &self.people {
            let (who, goal) = (format!("person {} to have everything", person.number), &goals[&person.document]);
            let everything = person.opened.wait(|replica| replica.document().version() == goal);
            in_time(&who, everything).await.expect("it is open");
        }
        let fresh = in_time("a reader", read_all(&self.url, Transport::ALL[0], DOCUMENTS, self.random.bits())).await;
        for person in &self.people {
            let Person { number, document, .. } = person;
            assert!(person.view() == fresh[*document], "person {number} sees another document {document}");
        }
        for (document, view) in fresh.iter().enumerate() {
            if let Err(error) = self.ledger.check_seen(document, view, &[]) {
                panic!("written by somebody who is back: {error}");
            }
        }
    }
}

async fn start(folder: &Folder, data: &str, store: &str, listen: &str) -> Result<Relay, String> {
    Relay::start_with(&folder.path(data), listen, &folder.path("relay.log"), &["--store", store]).await
}

/// A relay on a port that comes back: below those that outgoing connections get.
async fn first(folder: &Folder, store: &str, random: &mut Random) -> (Relay, String) {
    for _ in 0..50 {
        let listen = format!("localhost:{}", random.between(10_000, 32_000));
        match start(folder, "data", store, &listen).await {
            Ok(relay) => return (relay, listen),
            Err(error) => println!("crash on a cluster: not on {listen}: {error}"),
        }
    }
    panic!("the relay does not start");
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(result) => result,
        Err(_) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}
