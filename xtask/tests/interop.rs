//! Three clients that share no code work on one document.
//!
//! - Python over WebTransport with aioquic, and
//! - JavaScript over a WebSocket, both written from the protocol's pages alone with stock MessagePack libraries
//!   (`xtask/interop`), and
//! - ours over WebTransport with `wtransport`, which shares no WebTransport code with the relay.
//!
//! Each edits text and maps and shows its presence; after each step every one of them must see exactly the same. The foreign
//! ones are processes that take orders as lines of JSON and answer each. `cargo xtask test interop` installs what they need
//! and names it in `INKWIRE_PYTHON`.

#[path = "support/relay.rs"]
mod relay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use inkwire_document::{Document as Contents, Position, Value};
use inkwire_loadtest::client::{Client, DevelopmentToken, Document, Options, TokenSource, Transport};
use inkwire_loadtest::trace::Random;
use inkwire_protocol::replica::Replica;
use relay::{Folder, Relay};
use serde_json::{Map, Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const DOCUMENT: &str = "interop/shared";
/// How often two writers edit before a snapshot is read.
const ROUNDS: usize = 60;
/// Nothing here takes longer on a slow machine; what does is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody with the document open, who does what an order says.
enum Peer {
    /// A process that knows only the protocol's pages.
    Foreign(Foreign),
    /// Our own client.
    Ours(Ours),
}

impl Peer {
    fn subject(&self) -> &str {
        match self {
            Self::Foreign(foreign) => &foreign.subject,
            Self::Ours(ours) => &ours.subject,
        }
    }

    /// Has an order carried out. The answer is what `view` asks for, or what else the peer has to say.
    async fn order(&mut self, order: &Json) -> Json {
        let subject = self.subject().to_owned();
        let carried_out = async {
            match self {
                Self::Foreign(foreign) => foreign.order(order).await,
                Self::Ours(ours) => ours.order(order).await,
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, carried_out).await;
        outcome
            .unwrap_or_else(|_| Err("no answer".to_owned()))
            .unwrap_or_else(|error| panic!("{subject}: {order}: {error}"))
    }

    /// Lets it take its leave of the relay.
    async fn end(self) {
        match self {
            Self::Foreign(foreign) => foreign.end().await,
            Self::Ours(ours) => ours.client.close().await,
        }
    }
}

struct Foreign {
    subject: String,
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Foreign {
    async fn start(program: &Path, script: &str, relay: &Relay, subject: &str) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(script);
        let mut process = Command::new(program)
            .arg(script)
            .args([relay.url.origin().ascii_serialization().as_str(), subject])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut foreign = Self { subject: subject.to_owned(), process, orders, answers };
        let ready = tokio::time::timeout(PATIENCE, foreign.answer()).await;
        let ready = ready.expect("it is ready in time").expect("it has a session");
        assert_eq!(ready, json!({"ready": subject}));
        Peer::Foreign(foreign)
    }

    async fn order(&mut self, order: &Json) -> Result<Json, String> {
        let line = format!("{order}\n");
        self.orders.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
        let answer = self.answer().await?;
        if answer.get("error").is_some() { Err(answer.to_string()) } else { Ok(answer) }
    }

    async fn answer(&mut self) -> Result<Json, String> {
        match self.answers.next_line().await {
            Ok(Some(line)) => serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}")),
            Ok(None) => Err("it has ended".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn end(mut self) {
        drop(self.orders);
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let status = status.expect("it ends in time").expect("it was started");
        assert!(status.success(), "{} ended with {status}", self.subject);
    }
}

struct Ours {
    subject: String,
    client: Client,
    document: Document,
}

impl Ours {
    async fn start(relay: &Relay, transport: Transport, subject: &str) -> Self {
        let mut options = Options::new(relay.url.clone(), transport);
        let token = DevelopmentToken { subject: Some(subject.to_owned()), ..DevelopmentToken::default() };
        options.token = TokenSource::Development(token);
        let client = Client::connect(options).await.expect("the relay is there");
        let document = client.open(DOCUMENT).expect("a good name");
        document.synced().await.expect("it is open");
        Self { subject: subject.to_owned(), client, document }
    }

    async fn order(&self, order: &Json) -> Result<Json, String> {
        let (name, argument) = order.as_object().and_then(|order| order.iter().next()).ok_or("an empty order")?;
        let text = |index: usize| argument[index].as_str().unwrap_or_default();
        let document = &self.document;
        match name.as_str() {
            "append" => document.edit(|contents, _| {
                let end = contents.text(text(0)).len_scalars();
                contents.insert(text(0), Position::Scalar(end), text(1))
            }),
            "delete_first" => document
                .edit(|contents, _| contents.delete(argument.as_str().unwrap_or_default(), Position::Scalar(0), 1)),
            "set" => document.edit(|contents, now| contents.map_set(text(0), text(1), value(&argument[2]), now)),
            "remove" => document.edit(|contents, now| contents.map_delete(text(0), text(1), now)),
            "presence" => {
                let state = argument.as_str().map(|state| state.to_owned().into());
                document.set_presence(state).map_err(|error| error.to_string())?;
                Ok(())
            }
            "await" => {
                let seen = document.wait(|replica| view(replica) == *argument);
                if tokio::time::timeout(PATIENCE / 2, seen).await.is_err() {
                    return Err(format!("sees {}", self.view()));
                }
                Ok(())
            }
            "await_entries" => {
                let entries = |replica: &Replica| replica.document().map_entries(text(0)).count() as u64;
                let seen = document.wait(|replica| Some(entries(replica)) == argument[1].as_u64());
                if tokio::time::timeout(PATIENCE / 2, seen).await.is_err() {
                    return Err(format!("sees {}", self.view()));
                }
                Ok(())
            }
            "durable" => {
                document.durable().await.map_err(|error| error.to_string())?;
                Ok(())
            }
            "view" => return Ok(self.view()),
            _ => return Err("unknown".to_owned()),
        }
        .map_err(|error| error.to_string())?;
        Ok(json!({}))
    }

    fn view(&self) -> Json {
        self.document.read(view).expect("it is open")
    }
}

/// What a replica shows, in the form in which every peer says it.
fn view(replica: &Replica) -> Json {
    let contents: &Contents = replica.document();
    let texts = contents.text_names().map(|name| (name.to_owned(), json!(contents.text(name).to_string())));
    let texts: Map<String, Json> = texts.filter(|(_, text)| text != "").collect();
    let maps = contents.map_names().map(|name| {
        let entries: Map<String, Json> =
            contents.map_entries(name).map(|(key, value)| (key.to_owned(), plain(value))).collect();
        (name.to_owned(), entries)
    });
    let maps: BTreeMap<String, Map<String, Json>> = maps.filter(|(_, entries)| !entries.is_empty()).collect();
    let presence: BTreeMap<&str, String> = replica
        .presence()
        .values()
        .map(|peer| (peer.subject.as_str(), String::from_utf8_lossy(&peer.state).into_owned()))
        .collect();
    json!({"texts": texts, "maps": maps, "presence": presence})
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::String(text) => json!(text),
        Value::Bytes(bytes) => json!({"bytes": bytes.len()}),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
        }
        Json::String(text) => Value::String(text.clone()),
        _ => Value::Null,
    }
}

fn python() -> PathBuf {
    std::env::var_os("INKWIRE_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

/// Starts a relay and everybody, with the document open.
async fn everybody(folder: &Folder, python: &Path) -> (Relay, Vec<Peer>) {
    let relay = start(folder).await;
    let mut peers = vec![
        Foreign::start(python, "python/peer.py", &relay, "ada-python").await,
        Foreign::start(Path::new("node"), "node/peer.mjs", &relay, "bob-node").await,
    ];
    for peer in &mut peers {
        peer.order(&json!({"open": DOCUMENT})).await;
    }
    peers.push(Peer::Ours(Ours::start(&relay, Transport::Wtransport, "cleo-wtransport").await));
    (relay, peers)
}

async fn start(folder: &Folder) -> Relay {
    Relay::start(&folder.path("data"), "localhost:0", &folder.path("relay.log")).await.expect("the relay starts")
}

/// Waits until everybody sees this; of presence each sees the others'.
async fn all_see(peers: &mut [Peer], texts: Json, maps: Json, presence: &[(usize, &str)]) {
    let subjects: Vec<String> = peers.iter().map(|peer| peer.subject().to_owned()).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        let others = presence.iter().filter(|(whose, _)| *whose != index);
        let others: BTreeMap<&str, &str> = others.map(|(whose, state)| (subjects[*whose].as_str(), *state)).collect();
        peer.order(&json!({"await": {"texts": &texts, "maps": &maps, "presence": others}})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_share_no_code_see_each_others_edits() {
    let folder = Folder::new("interop");
    let program = python();
    let (relay, mut peers) = everybody(&folder, &program).await;
    let [python, node, ours] = [0, 1, 2];

    // Text: each goes on where another stopped, and deletes what another wrote.
    let steps = [
        (python, json!({"append": ["body", "¡Hello"]}), "¡Hello"),
        (node, json!({"append": ["body", ", wörld"]}), "¡Hello, wörld"),
        (ours, json!({"append": ["body", " 🙂"]}), "¡Hello, wörld 🙂"),
        (python, json!({"append": ["body", " and 你好"]}), "¡Hello, wörld 🙂 and 你好"),
        (ours, json!({"delete_first": "body"}), "Hello, wörld 🙂 and 你好"),
        (node, json!({"delete_first": "body"}), "ello, wörld 🙂 and 你好"),
        (python, json!({"delete_first": "body"}), "llo, wörld 🙂 and 你好"),
        (node, json!({"append": ["body", "."]}), "llo, wörld 🙂 and 你好."),
    ];
    for (who, order, body) in &steps {
        peers[*who].order(order).await;
        all_see(&mut peers, json!({"body": body}), json!({}), &[]).await;
    }
    let body = json!({"body": steps[steps.len() - 1].2});

    // Maps: each writes over what another wrote, with values of every type, and removes it.
    let steps = [
        (python, json!({"set": ["meta", "title", "Plan"]}), json!({"title": "Plan"})),
        (node, json!({"set": ["meta", "title", "Größe"]}), json!({"title": "Größe"})),
        (ours, json!({"set": ["meta", "title", "🙂"]}), json!({"title": "🙂"})),
        (python, json!({"set": ["meta", "count", -7]}), json!({"title": "🙂", "count": -7})),
        (
            node,
            json!({"set": ["meta", "count", 1_000_000_000_000_u64]}),
            json!({"title": "🙂", "count": 1_000_000_000_000_u64}),
        ),
        (ours, json!({"set": ["meta", "count", 0.5]}), json!({"title": "🙂", "count": 0.5})),
        (python, json!({"remove": ["meta", "title"]}), json!({"count": 0.5})),
        (node, json!({"set": ["meta", "done", true]}), json!({"count": 0.5, "done": true})),
        (ours, json!({"remove": ["meta", "count"]}), json!({"done": true})),
        (python, json!({"set": ["meta", "nothing", null]}), json!({"done": true, "nothing": null})),
    ];
    for (who, order, meta) in &steps {
        peers[*who].order(order).await;
        all_see(&mut peers, body.clone(), json!({"meta": meta}), &[]).await;
    }
    let maps = json!({"meta": steps[steps.len() - 1].2});

    // Presence: each is seen by the others, moves, and goes.
    peers[python].order(&json!({"presence": "5"})).await;
    all_see(&mut peers, body.clone(), maps.clone(), &[(python, "5")]).await;
    peers[node].order(&json!({"presence": "über"})).await;
    peers[ours].order(&json!({"presence": "7"})).await;
    all_see(&mut peers, body.clone(), maps.clone(), &[(python, "5"), (node, "über"), (ours, "7")]).await;
    peers[python].order(&json!({"presence": "6"})).await;
    peers[node].order(&json!({"presence": null})).await;
    all_see(&mut peers, body.clone(), maps.clone(), &[(python, "6"), (ours, "7")]).await;

    // All at once: whatever order it comes to, it is the same for everybody, and what is durable survives the relay.
    for round in 0..20 {
        for peer in &mut peers {
            let said = format!(" {}{round}", &peer.subject()[..3]);
            peer.order(&json!({"append": ["body", said]})).await;
            peer.order(&json!({"set": ["meta", "round", said]})).await;
        }
    }
    for peer in &mut peers {
        let subject = peer.subject().to_owned();
        peer.order(&json!({"set": ["finished", subject, true]})).await;
    }
    for peer in &mut peers {
        peer.order(&json!({"await_entries": ["finished", 3]})).await;
        peer.order(&json!({"durable": true})).await;
    }
    let Json::Object(mut seen) = peers[ours].order(&json!({"view": true})).await else { panic!("a view is an object") };
    let (texts, maps) = (seen.remove("texts").expect("texts"), seen.remove("maps").expect("maps"));
    let text = texts["body"].as_str().expect("a body");
    for peer in &peers {
        for round in 0..20 {
            let said = format!(" {}{round}", &peer.subject()[..3]);
            assert!(text.contains(&said), "{}: {said:?} is not in {text:?}", peer.subject());
        }
    }
    all_see(&mut peers, texts.clone(), maps.clone(), &[(python, "6"), (ours, "7")]).await;

    for peer in peers {
        peer.end().await;
    }
    relay.kill().await;
    let relay = start(&folder).await;
    let mut again = Foreign::start(&program, "python/peer.py", &relay, "dora-python").await;
    again.order(&json!({"open": DOCUMENT})).await;
    again.order(&json!({"await": {"texts": texts, "maps": maps, "presence": {}}})).await;
    again.end().await;
}

/// A whole snapshot, and then a difference to what the reader had, read by a client that knows only their page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_client_reads_snapshots_and_differences() {
    let folder = Folder::new("interop-snapshots");
    let relay = start(&folder).await;
    let writers = [
        Ours::start(&relay, Transport::Wtransport, "cleo-wtransport").await,
        Ours::start(&relay, Transport::WebSocket, "emil-websocket").await,
    ];
    let mut reader = Foreign::start(&python(), "python/peer.py", &relay, "ada-python").await;

    write_and_fill(&writers, "one").await;
    until_some(&mut reader, &writers[0], "snapshots").await;

    // What the reader holds grows into something else, meanwhile, by both of them.
    for word in ["¿", "quoi", "?"] {
        reader.order(&json!({"append": ["body", word]})).await;
    }
    reader.order(&json!({"durable": true})).await;
    for writer in &writers {
        let seen = |replica: &Replica| replica.document().text("body").to_string().ends_with("¿quoi?");
        tokio::time::timeout(PATIENCE, writer.document.wait(seen)).await.expect("in time").expect("it is open");
    }
    reader.order(&json!({"leave": true})).await;
    write_and_fill(&writers, "two").await;
    let difference = until_some(&mut reader, &writers[0], "differences").await;
    assert_eq!(difference["snapshots"], 0, "a reader with something gets a difference: {difference}");
    reader.end().await;
    for writer in writers {
        Peer::Ours(writer).end().await;
    }
}

/// Two people edit one text at once, mostly at the same places, in runs and letter by letter, with deletions in the middle,
/// and see each other's edits now and then; then one writes enough that nothing stays for the relay to fold all of it into
/// a snapshot.
async fn write_and_fill(writers: &[Ours; 2], name: &str) {
    let mut random = Random::new(name.len() as u64);
    for round in 1..=ROUNDS {
        for (index, writer) in writers.iter().enumerate() {
            let mut place = |contents: &Contents, near: usize| {
                Position::Scalar(random.between(0, contents.text("body").len_scalars().min(near)))
            };
            // One writes more, so that the other's edits refer to what has higher counters.
            let written = format!("{name} {round}: wörter über 🙂{}\n", [" and more and more of them", ""][index]);
            let edit = |contents: &mut Contents, now| {
                contents.insert("body", place(contents, 2_000), &written)?;
                contents.map_set("meta", &format!("{name} {round}"), Value::Int(round as i64 - 20), now)
            };
            writer.document.edit(edit).expect("it is written");
            // Letters of one word, each an edit of its own, and one that is deleted.
            let Position::Scalar(start) =
                writer.document.read(|replica| place(replica.document(), 40)).expect("it is open")
            else {
                unreachable!("it was made so")
            };
            for (offset, letter) in ["s", "l", "o", "w"].into_iter().enumerate() {
                let typed = writer
                    .document
                    .edit(|contents, _| contents.insert("body", Position::Scalar(start + offset), letter));
                typed.expect("it is written");
            }
            writer.document.edit(|contents, _| contents.delete("body", place(contents, 30), 1)).expect("it is written");
        }
        if round % 4 == 0 {
            meet(writers, &format!("{name} {round}")).await;
        }
    }
    let document = &writers[0].document;
    for filling in 0..40_u8 {
        let filling = Value::Bytes(vec![filling; 30_000].into());
        document.edit(|contents, now| contents.map_set("filler", "same", filling, now)).expect("it is written");
    }
    document.edit(|contents, now| contents.map_delete("filler", "same", now)).expect("it is written");
    tokio::time::timeout(PATIENCE, document.durable()).await.expect("in time").expect("it is open");
}

/// Waits until each has what the other has written.
async fn meet(writers: &[Ours; 2], place: &str) {
    for writer in writers {
        let there = |contents: &mut Contents, now| contents.map_set(place, &writer.subject, Value::Null, now);
        writer.document.edit(there).expect("it is written");
    }
    for writer in writers {
        let both = |replica: &Replica| replica.document().map_entries(place).count() == writers.len();
        tokio::time::timeout(PATIENCE, writer.document.wait(both)).await.expect("in time").expect("it is open");
    }
    assert_eq!(writers[0].view(), writers[1].view());
}

/// Opens and leaves until the relay has folded and sends what is asked for, whole snapshots or differences; then the reader
/// must see what the writer does.
async fn until_some(reader: &mut Peer, writer: &Ours, what: &str) -> Json {
    let opened = async {
        loop {
            let answer = reader.order(&json!({"reopen": DOCUMENT})).await;
            if answer[what] != 0 {
                return answer;
            }
            // It was not folded yet, or while it was on its way; what came instead is forgotten again.
            reader.order(&json!({"forget": true})).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, opened).await.expect("the relay folds in time");
    reader.order(&json!({"await": writer.view()})).await;
    answer
}
