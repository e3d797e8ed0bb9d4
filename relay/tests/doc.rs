//! `inkwire doc` as a process, beside a relay that runs and without one, with clients that have the document open.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use inkwire_document::{Document, Snapshot};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};
use serde_json::Value;
use support::{Editor, Peer, TestRelay, Transport, open, while_alive};

const ONE: Channel = Channel(1);

/// Runs `inkwire doc` on a data directory.
async fn doc(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inkwire"));
    command.env_clear().stdin(Stdio::null()).arg("doc").args(arguments).arg("--data").arg(data);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn done(data: &Path, arguments: &[&str]) -> String {
    let output = doc(data, arguments).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(data: &Path, arguments: &[&str]) -> String {
    let output = doc(data, arguments).await;
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A client that has opened a document and goes on applying what comes.
struct Reader {
    peer: Peer,
    document: Document,
}

impl Reader {
    async fn open(relay: &TestRelay, name: &str) -> Self {
        let mut peer = relay.welcomed(Transport::WebTransport, &relay.token("bob", "**", "viewer")).await;
        peer.open(ONE, name, Role::Viewer).await;
        let mut reader = Self { peer, document: Document::new() };
        let mut chunks = Vec::new();
        loop {
            match reader.peer.expect(ONE).await {
                Frame::Snapshot(chunk) => {
                    chunks.extend_from_slice(&chunk.bytes);
                    if chunk.last {
                        reader.document.merge(&Snapshot::parse(chunks.clone().into()).unwrap()).unwrap();
                    }
                }
                Frame::Synced(_) => return reader,
                frame => reader.hear(frame),
            }
        }
    }

    fn hear(&mut self, frame: Frame) {
        if let Frame::Batch(batch) = frame {
            self.document.apply(&batch.into_parts().0).unwrap();
        }
    }

    fn text(&self) -> String {
        self.document.text("body").to_string()
    }

    /// Reads on until the text is what it must become.
    async fn becomes(&mut self, text: &str) {
        while self.text() != text {
            let frame = self.peer.expect(ONE).await;
            self.hear(frame);
        }
    }
}

async fn writer(relay: &TestRelay, name: &str) -> (Peer, Editor) {
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    let (editor, _) = peer.edit(ONE, name).await;
    (peer, editor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_shown_named_and_restored_before_the_eyes_of_clients() {
    let relay = TestRelay::start(&[]).await;
    let data = relay.data.path().to_owned();
    let name = "acme/plan";
    let (mut peer, mut editor) = writer(&relay, name).await;
    editor.write_durably(&mut peer, "one").await;
    let mut reader = Reader::open(&relay, name).await;
    let number = while_alive(&mut [&mut peer, &mut reader.peer], done(&data, &["name", name, "first draft"])).await;
    assert!(number.starts_with('#'), "{number}");
    editor.write_durably(&mut peer, " two").await;
    reader.becomes("one two").await;

    let (edited, shown, log, diff) = while_alive(&mut [&mut peer, &mut reader.peer], async {
        assert_eq!(done(&data, &["list"]).await, "acme/plan\n");
        assert_eq!(done(&data, &["show", name]).await, "one two\n");
        assert_eq!(done(&data, &["show", name, "--at", "first draft"]).await, "one\n");
        let diff = done(&data, &["diff", name, "first draft"]).await;
        let edited = done(&data, &["restore", name, "--at", "first draft"]).await;
        let shown = done(&data, &["show", name]).await;
        (edited, shown, done(&data, &["log", name, "--json"]).await, diff)
    })
    .await;
    reader.becomes("one").await;
    assert!(edited.starts_with("edited: 1 batches"), "{edited}");
    assert_eq!(shown, "one\n");
    let diff: Value = serde_json::from_str(&diff).unwrap();
    assert_eq!(diff[0]["delta"], serde_json::json!([{"retain": 3}, {"insert": " two"}]), "{diff}");

    // Every moment that the log holds can be shown, by its vector and by its time.
    let log: Value = serde_json::from_str(&log).unwrap();
    let log = log.as_array().unwrap();
    let edits: Vec<&Value> = log.iter().filter(|entry| entry["kind"] == "edits").collect();
    assert_eq!(edits[0]["subject"], "admin", "{log:?}");
    let ada = edits.iter().find(|entry| entry["subject"] == "ada").unwrap();
    assert_eq!(ada["last"], 7, "{log:?}");
    let snapshot = log.iter().find(|entry| entry["kind"] == "snapshot").unwrap();
    assert_eq!(snapshot["name"], "first draft");
    let vector = format!("{}:5", ada["actor"].as_str().unwrap());
    while_alive(&mut [&mut peer, &mut reader.peer], async {
        assert_eq!(done(&data, &["show", name, "--at", &vector]).await, "one t\n");
        let number = format!("#{}", snapshot["number"]);
        assert_eq!(done(&data, &["show", name, "--at", &number]).await, "one\n");
        let last = inkwire_relay::doc::point::time_text(ada["to_millis"].as_u64().unwrap());
        assert_eq!(done(&data, &["show", name, "--at", &last]).await, "one two\n");
        for (arguments, expected) in [
            (&["show", name, "--at", "2001-01-01"][..], ""),
            (&["show", "acme/other"], "inkwire doc list"),
            (&["show", name, "--at", "no such"], "inkwire doc log"),
            (&["show", name, "--at", "77:1"], "covers"),
            (&["restore", name, "--at", "#999"], "#999"),
            (&["show", name, "--store", "embedded"], "a relay runs on"),
            (&["delete", name], "--yes"),
            (&["name", name, "first draft"], "another name"),
        ] {
            if expected.is_empty() {
                // Before its first edit there was nothing in it.
                assert_eq!(done(&data, arguments).await, "\n");
            } else {
                let error = refused(&data, arguments).await;
                assert!(error.contains(expected), "{arguments:?}: {error}");
            }
        }
        assert!(done(&data, &["fsck"]).await.contains("all is well"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_comes_in_again_with_a_relay_and_without() {
    let relay = TestRelay::start(&[]).await;
    let files = tempfile::tempdir().unwrap();
    let data = Arc::clone(&relay.data);
    let (mut peer, mut editor) = writer(&relay, "acme/plan").await;
    editor.write_durably(&mut peer, "Title\nbody").await;
    let file = |format: &str| files.path().join(format).display().to_string();
    let formats = ["snapshot", "json", "markdown", "html", "text"];
    while_alive(&mut [&mut peer], async {
        for format in formats {
            done(data.path(), &["export", "acme/plan", &file(format), "--format", format]).await;
            let copy = format!("acme/live-{format}");
            let import = ["import", &copy, &file(format), "--format", format, "--text", "body"];
            assert!(done(data.path(), &import).await.starts_with("edited"), "{format}");
            assert_eq!(done(data.path(), &["show", &copy]).await, "Title\nbody\n", "{format}");
            assert_eq!(done(data.path(), &import).await, "nothing had to change\n", "{format}");
        }
    })
    .await;
    drop(peer);
    let Ok(()) = tokio::time::timeout(support::PATIENCE, relay.relay.drain(support::PATIENCE)).await else {
        panic!("the relay did not drain");
    };

    // The relay is gone: the same on the store itself.
    for format in formats {
        let copy = format!("acme/still-{format}");
        let import = ["import", &copy, &file(format), "--format", format];
        assert!(done(data.path(), &import).await.starts_with("edited"), "{format}");
        assert_eq!(done(data.path(), &["show", &copy, "--store", "embedded"]).await, "Title\nbody\n", "{format}");
    }
    done(data.path(), &["name", "acme/plan", "before"]).await;
    let changed = files.path().join("changed");
    std::fs::write(&changed, "Title\nother body").unwrap();
    done(data.path(), &["import", "acme/plan", &changed.display().to_string(), "--format", "text"]).await;
    assert_eq!(done(data.path(), &["show", "acme/plan", "--format", "text"]).await, "Title\nother body\n");
    done(data.path(), &["restore", "acme/plan", "--at", "before"]).await;
    assert!(done(data.path(), &["fsck"]).await.contains("all is well"));
    let nowhere = data.path().join("nowhere");
    let error = refused(&nowhere, &["list"]).await;
    assert!(error.contains("inkwire serve"), "{error}");
    assert!(!nowhere.exists());

    let relay = TestRelay::start_in(data, &[]).await;
    let mut reader = Reader::open(&relay, "acme/plan").await;
    reader.becomes("Title\nbody").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_document_that_was_deleted_is_told() {
    let relay = TestRelay::start(&[]).await;
    let data = relay.data.path().to_owned();
    let name = "acme/plan";
    let (mut peer, mut editor) = writer(&relay, name).await;
    editor.write_durably(&mut peer, "one").await;
    let mut reader = Reader::open(&relay, name).await;
    while_alive(&mut [&mut peer, &mut reader.peer], done(&data, &["delete", name, "--yes"])).await;
    for peer in [&mut peer, &mut reader.peer] {
        assert_eq!(peer.find_close(ONE).await, Code::DocumentDeleted);
    }
    drop(peer);
    drop(reader);
    let error = refused(&data, &["show", name]).await;
    assert!(error.contains("was deleted"), "{error}");

    // A replica of it that comes back.
    let back = || frame::Open { incarnation: Some(0), ..open(ONE, name, Role::Editor) };
    let mut returning = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    returning.send(ONE, back()).await;
    assert_eq!(returning.find_close(ONE).await, Code::DocumentDeleted);
    // Who knows nothing of it begins it anew, and then it is another document.
    let (mut peer, mut editor) = writer(&relay, name).await;
    editor.write_durably(&mut peer, "new").await;
    let mut returning = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    returning.send(ONE, back()).await;
    assert_eq!(returning.find_close(ONE).await, Code::IncarnationMismatch);
    while_alive(&mut [&mut peer], async {
        assert_eq!(done(&data, &["show", name]).await, "new\n");
        assert!(done(&data, &["fsck"]).await.contains("all is well"));
    })
    .await;
}

#[test]
fn help_says_what_points_are() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_inkwire")).args(arguments).arg("--help").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["doc"]);
    for word in ["admin.sock", "--at", "vector", "restore", "fsck", "export", "import", "delete", "diff", "name"] {
        assert!(all.contains(word), "{word}: {all}");
    }
    for command in ["list", "log", "show", "diff", "restore", "name", "export", "import", "delete", "fsck"] {
        let help = help(&["doc", command]);
        assert!(help.contains("--data") && help.contains("--store"), "{command}: {help}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_copied_and_compared() {
    let relay = TestRelay::start(&["--keep-log", "acme/**"]).await;
    let source = Arc::clone(&relay.data);
    let (mut peer, mut editor) = writer(&relay, "acme/plan").await;
    editor.write_durably(&mut peer, "one").await;
    while_alive(&mut [&mut peer], done(source.path(), &["name", "acme/plan", "draft"])).await;
    editor.write_durably(&mut peer, " two").await;
    drop(peer);
    let target = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inkwire"));
        command.env_clear().args(["store", "copy"]).args([from, to]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let locked = copy(source.path(), target.path()).await.unwrap();
    assert!(String::from_utf8(locked.stderr).unwrap().contains("in use by another process"));
    relay.relay.drain(support::PATIENCE).await;
    for rows in ["2 rows", "0 rows"] {
        let copied = copy(source.path(), target.path()).await.unwrap();
        let output = String::from_utf8(copied.stdout).unwrap();
        assert!(copied.status.success(), "{output}{}", String::from_utf8(copied.stderr).unwrap());
        assert!(output.contains("1 documents compared, 0 differences") && output.contains(rows), "{output}");
    }
    assert_eq!(done(target.path(), &["show", "acme/plan"]).await, "one two\n");
    assert_eq!(done(target.path(), &["show", "acme/plan", "--at", "draft"]).await, "one\n");
}
