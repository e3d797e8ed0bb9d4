//! Real relay processes, killed at random moments under writers.
//!
//! Twenty writers and four viewers work on four documents over all transports. Each round the relay is killed with
//! SIGKILL in the middle of it, and some writers lose their memory with it. Then
//! - a relay that is started for the purpose, where no client can help it, must have everything that was ever called
//!   durable;
//! - the real one comes back on its port and everybody finds it again by themselves;
//! - every few rounds writers pause, and once all are back everything that any of the living has seen must be there,
//!   once, and all replicas must be equal.
//!
//! `INKWIRE_CRASH_ROUNDS` says how many rounds (50), `INKWIRE_CRASH_SEED` which run: the seed decides what people do and
//! when the relay dies, as far as the operating system's timing lets it.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use inkwire_document::VersionVector;
use inkwire_loadtest::client::{Client, Connection, DevelopmentToken, Options, TokenSource, Transport};
use inkwire_loadtest::replay::{self, Plan, fresh_document};
use inkwire_loadtest::trace::{Random, typist};
use inkwire_protocol::replica::Replica;
use support::ledger::Ledger;
use support::people::{Person, read_all};
use support::relay::{Folder, Relay};
use tokio::sync::watch;
use url::Url;

const WRITERS: usize = 20;
const DOCUMENTS: usize = 4;
/// Writers that lose their memory each round.
const VICTIMS: usize = 3;
/// Rounds between two pauses.
const STRETCH: usize = 5;
/// Nothing here takes longer on a slow machine; what does is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_durable_and_nothing_seen_is_lost() {
    let rounds = number("INKWIRE_CRASH_ROUNDS").unwrap_or(50) as usize;
    let seed = number("INKWIRE_CRASH_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64)
    });
    println!("crash: {rounds} rounds, seed {seed}");
    let begin = Instant::now();
    let mut run = Run::start(seed).await;
    for round in 1..=rounds {
        run.round().await;
        if round % STRETCH == 0 || round == rounds {
            run.settle().await;
            let totals = run.ledger.totals();
            let (made, durable) = (totals.made, totals.durable);
            let seconds = begin.elapsed().as_secs();
            let only_seen = run.only_seen;
            println!(
                "crash: round {round}: {made} edits made, {durable} durable, {only_seen} brought back by readers, {seconds} s"
            );
        }
    }
    // A run that never came near the edge would show nothing.
    assert!(run.ledger.totals().durable > rounds * WRITERS, "hardly anything was written between the crashes");
    assert!(rounds < 50 || run.only_seen > 0, "no crash hit an edit that was seen and not yet durable");
}

/// A replay whose relay dies in the middle waits for it and ends with the trace's text, over every pair of transports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_after_its_relay_has_died() {
    let folder = Folder::new("replay");
    let (mut relay, listen) = first(&folder, &mut Random::new(u64::from(std::process::id()))).await;
    for (run, (writer, observer)) in pairs().enumerate() {
        let trace = typist(run as u64, 20_000);
        let plan = Plan {
            writer: options(&relay.url, writer),
            observer: options(&relay.url, observer),
            observer_first: run % 2 == 1,
            document: fresh_document(writer, observer),
            batch: 1,
            rate: None,
            wait: PATIENCE,
        };
        let watcher = Client::connect(options(&relay.url, observer)).await.expect("the relay is there");
        let watched = watcher.open(&plan.document).expect("a good name");
        let bar = ProgressBar::hidden();
        let replaying = replay::run(plan, &trace, &bar);
        let killing = async {
            let some = |replica: &Replica| replica.document().text(replay::TEXT).len_scalars() > 2_000;
            in_time("some of the text", watched.wait(some)).await.expect("it is open");
            relay.kill().await;
            Relay::start(&folder.path("data"), &listen, &folder.path("relay.log")).await.expect("the relay comes back")
        };
        let (report, restarted) = tokio::join!(in_time("the replay", replaying), killing);
        relay = restarted;
        let report = report.unwrap_or_else(|error| panic!("{writer} to {observer}: {error}"));
        assert!(report.text_equal, "{writer} to {observer}: {report:?}");
        println!("crash: a replay from {writer} to {observer} went on after {:.1} s", report.seconds);
    }
}

fn pairs() -> impl Iterator<Item = (Transport, Transport)> {
    Transport::ALL.into_iter().flat_map(|writer| Transport::ALL.map(|observer| (writer, observer)))
}

fn options(url: &Url, transport: Transport) -> Options {
    let subject = Some(format!("replay-{transport}"));
    let mut options = Options::new(url.clone(), transport);
    options.token = TokenSource::Development(DevelopmentToken { subject, ..DevelopmentToken::default() });
    options
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

struct Run {
    random: Random,
    folder: Folder,
    relay: Option<Relay>,
    /// Where the relay comes back.
    listen: String,
    url: Url,
    ledger: Arc<Ledger>,
    people: Vec<Person>,
    /// Lines of the dead that the store did not have after a crash and only their readers could bring back.
    only_seen: usize,
    pause: watch::Sender<bool>,
}

impl Run {
    async fn start(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let folder = Folder::new("crash");
        let (relay, listen) = first(&folder, &mut random).await;
        let url = relay.url.clone();
        let ledger = Arc::new(Ledger::new());
        let pause = watch::Sender::new(false);
        let mut people = Vec::new();
        for document in 0..DOCUMENTS {
            people.push(Person::viewer(&url, WRITERS + document, document, &mut random).await);
        }
        for number in 0..WRITERS {
            let document = number % DOCUMENTS;
            people.push(Person::writer(&url, number, document, &mut random, &ledger, pause.subscribe()).await);
        }
        Self { random, folder, relay: Some(relay), listen, url, ledger, people, only_seen: 0, pause }
    }

    fn data(&self) -> PathBuf {
        self.folder.path("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path("relay.log")
    }

    async fn round(&mut self) {
        self.moment().await;
        let relay = self.relay.take().expect("a round begins with a relay");
        // Some die with the relay, some just before.
        let victims = if self.random.chance(50) {
            let victims = self.lose_memory();
            relay.kill().await;
            victims
        } else {
            relay.kill().await;
            self.lose_memory()
        };
        for person in &mut self.people {
            person.seen.push(person.version());
        }
        self.check_durable().await;
        let listen = self.listen.clone();
        let relay = Relay::start(&self.data(), &listen, &self.log()).await.expect("the relay comes back");
        assert_eq!(relay.url.port(), self.url.port());
        self.relay = Some(relay);
        for (number, document) in victims {
            let pause = self.pause.subscribe();
            let writer = Person::writer(&self.url, number, document, &mut self.random, &self.ledger, pause);
            let writer = in_time("a new writer", writer).await;
            self.people.push(writer);
        }
        assert!(self.people.iter().all(Person::is_well), "a writer has failed");
    }

    /// Waits for the moment to strike: an event in the work, one in the rush after a restart, or a time.
    async fn moment(&mut self) {
        let mut progress = self.ledger.progress();
        let now = self.ledger.totals();
        let random = &mut self.random;
        match random.below(4) {
            0 => {
                let goal = now.durable + random.between(1, 300);
                let reached = progress.wait_for(|progress| progress.durable >= goal);
                in_time("durable edits", reached).await.map(drop).expect("the ledger lives");
            }
            1 => {
                let goal = now.made + random.between(1, 300);
                let reached = progress.wait_for(|progress| progress.made >= goal);
                in_time("edits", reached).await.map(drop).expect("the ledger lives");
            }
            2 => {
                for _ in 0..random.between(1, 6) {
                    let mut connection = self.people[random.below(self.people.len())].connection();
                    let connected = connection.wait_for(|connection| *connection == Connection::Connected);
                    in_time("a reconnect", connected).await.map(drop).expect("the client lives");
                }
            }
            _ => {
                let time = Duration::from_micros(random.between(0, 300_000) as u64);
                // The work goes on meanwhile; whatever it is doing then is the moment.
                let _ = tokio::time::timeout(time, progress.wait_for(|_| false)).await;
            }
        }
    }

    /// Some writers are gone, with everything that only they had.
    fn lose_memory(&mut self) -> Vec<(usize, usize)> {
        let mut victims = Vec::new();
        while victims.len() < VICTIMS {
            let at = self.random.below(self.people.len());
            if self.people[at].author.is_some() {
                let person = self.people.swap_remove(at);
                victims.push((person.number, person.document));
                person.die(&self.ledger);
            }
        }
        victims
    }

    /// What the store alone has. The relay that shows it is at an address that no client knows, and dies again.
    async fn check_durable(&mut self) {
        let relay =
            Relay::start(&self.data(), "localhost:0", &self.log()).await.expect("the store opens after a crash");
        let transport = *self.random.pick(&Transport::ALL);
        let seed = self.random.bits();
        let views = in_time("a reader", read_all(&relay.url, transport, DOCUMENTS, seed)).await;
        for (document, view) in views.iter().enumerate() {
            if let Err(error) = self.ledger.check_durable(document, view) {
                panic!("called durable, and after the crash: {error}");
            }
            let there = self.people.iter().filter(|person| person.document == document);
            let seen: Vec<&VersionVector> = there.filter_map(|person| person.seen.last()).collect();
            self.only_seen += self.ledger.only_seen(document, view, &seen);
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
        // Now everybody's edits are at the relay; what the slowest lacks is on its way.
        let mut goals: BTreeMap<usize, VersionVector> = BTreeMap::new();
        for person in &self.people {
            join(goals.entry(person.document).or_default(), person.version());
        }
        for person in &self.people {
            let (who, goal) = (format!("person {} to have everything", person.number), &goals[&person.document]);
            in_time(&who, person.opened.wait(|replica| replica.document().version() == goal))
                .await
                .expect("it is open");
        }
        let transport = *self.random.pick(&Transport::ALL);
        let fresh = in_time("a reader", read_all(&self.url, transport, DOCUMENTS, self.random.bits())).await;
        for person in &self.people {
            let Person { number, document, .. } = person;
            assert!(person.view() == fresh[*document], "person {number} sees another document {document}");
        }
        for (document, view) in fresh.iter().enumerate() {
            let there = self.people.iter().filter(|person| person.document == document);
            let seen: Vec<VersionVector> = there.flat_map(|person| person.seen.iter().cloned()).collect();
            if let Err(error) = self.ledger.check_seen(document, view, &seen) {
                panic!("seen, or written by somebody who is back: {error}");
            }
        }
        for person in &mut self.people {
            person.seen.clear();
        }
        self.pause.send_replace(false);
    }
}

/// A relay on a port that comes back: below those that outgoing connections get, or one of them might take it while the
/// relay is away.
async fn first(folder: &Folder, random: &mut Random) -> (Relay, String) {
    for _ in 0..50 {
        let listen = format!("localhost:{}", random.between(10_000, 32_000));
        match Relay::start(&folder.path("data"), &listen, &folder.path("relay.log")).await {
            Ok(relay) => return (relay, listen),
            Err(error) => println!("crash: not on {listen}: {error}"),
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

/// `vector` then covers what `other` does, too.
fn join(vector: &mut VersionVector, other: VersionVector) {
    for (actor, counter) in other.dots {
        let known = vector.dots.entry(actor).or_default();
        *known = counter.max(*known);
    }
}
