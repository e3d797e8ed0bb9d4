//! One or more examples of every frame.

use bytes::Bytes;
use inkwire_document::{Actor, VersionVector};
use inkwire_protocol::frame::*;
use inkwire_protocol::{Chain, Channel, Code, Frame, Role};

pub(crate) fn vector(entries: &[(u64, u64)]) -> VersionVector {
    VersionVector { dots: entries.iter().map(|(actor, counter)| (Actor(*actor), *counter)).collect() }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// A large actor: most are 64 random bits.
const ACTOR: Actor = Actor(0x1122_3344_5566_7788);

/// Every sample with the name of its file.
pub(crate) fn samples() -> Vec<(&'static str, Frame)> {
    let limits = [("documents", 64), ("frame_bytes", 65_536), ("presence_bytes", 512)];
    let limits = limits.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect();
    vec![
        (
            "hello",
            Hello { versions: vec![1], token: "header.claims.signature".into(), agent: "example/1.0".into() }.into(),
        ),
        (
            "welcome",
            Welcome {
                version: 1,
                session: 0xfedc_ba98_7654_3210,
                node: "node-1".into(),
                time_millis: 1_764_000_000_000,
                limits,
                subject: "ada".into(),
            }
            .into(),
        ),
        ("token", Token { token: "header.claims.signature".into() }.into()),
        ("token_accepted", TokenAccepted { expires_in_millis: 3_600_000 }.into()),
        ("go_away", GoAway { reason: "a new version".into(), reconnect_after_millis: 250, url: None }.into()),
        (
            "go_away_elsewhere",
            GoAway { reason: "a new version".into(), reconnect_after_millis: 0, url: Some("https://b.example".into()) }
                .into(),
        ),
        ("close", Close { code: Code::Forbidden, reason: "no grant on acme/plan".into() }.into()),
        ("close_normal", Close { code: Code::None, reason: String::new() }.into()),
        ("ping", Ping { nonce: 7 }.into()),
        ("pong", Pong { nonce: u64::MAX }.into()),
        ("want_copies", WantCopies { millis: 5_000 }.into()),
        (
            "open_new",
            Open {
                channel: Channel(1),
                document: "acme/specs/roadmap".into(),
                incarnation: None,
                vector: vector(&[]),
                durable: vector(&[]),
                role: Role::Editor,
                claim: None,
                options: Options::default(),
            }
            .into(),
        ),
        (
            "open_again",
            Open {
                channel: Channel(300),
                document: "entwürfe/größe".into(),
                incarnation: Some(0),
                vector: vector(&[(5, 12), (ACTOR.0, 70_000)]),
                durable: vector(&[(5, 10), (ACTOR.0, 69_000)]),
                role: Role::Editor,
                claim: Some(Claim { actor: ACTOR, last: 70_000, ticket: Some(bytes("ticket")) }),
                options: Options::default(),
            }
            .into(),
        ),
        (
            "opened_editor",
            Opened {
                incarnation: 0,
                role: Role::Editor,
                lease: Some(Lease { actor: ACTOR, next: 70_001, ticket: None, digest: None }),
                vector: vector(&[(5, 15), (ACTOR.0, 70_000)]),
                base: Some(Base { bytes: 100_000 }),
            }
            .into(),
        ),
        (
            "opened_viewer",
            Opened { incarnation: 9, role: Role::Viewer, lease: None, vector: vector(&[]), base: None }.into(),
        ),
        ("vector", Vector { part: vector(&[(1, 1), (2, 300)]), more: true, extends: Extends::Vector }.into()),
        ("vector_of_both", Vector { part: vector(&[(3, 7)]), more: false, extends: Extends::Both }.into()),
        ("snapshot", Snapshot { index: 1, last: true, bytes: bytes("the snapshot's second half") }.into()),
        (
            "batch_from_client",
            Batch { actor: ACTOR, first: 70_001, count: 5, operations: bytes("operations"), receipt: None }.into(),
        ),
        (
            "batch_from_relay",
            Batch {
                actor: Actor(5),
                first: 13,
                count: 1,
                operations: bytes("operations"),
                receipt: Some(bytes("receipt")),
            }
            .into(),
        ),
        ("synced", Synced { vector: vector(&[(5, 15), (ACTOR.0, 70_000)]) }.into()),
        ("received", Received { counter: 70_005, paused: None }.into()),
        ("received_paused", Received { counter: 70_005, paused: Some(Code::Overloaded) }.into()),
        ("durable", Durable { vector: vector(&[(5, 15)]) }.into()),
        ("resend_from", ResendFrom { counter: 70_001 }.into()),
        (
            "offer",
            Offer { actor: Actor(5), first: 13, count: 1, operations: bytes("operations"), receipt: bytes("receipt") }
                .into(),
        ),
        (
            "refused",
            Refused { actor: ACTOR, first: 70_001, code: Code::BadBatch, reason: "byte 3: not MessagePack".into() }
                .into(),
        ),
        ("release", Release { actor: ACTOR, last: 70_005 }.into()),
        ("released", Released { actor: ACTOR }.into()),
        (
            "leased",
            Leased { actor: Actor(9), next: 1, ticket: Some(bytes("ticket")), digest: Some(Chain([7; 16])) }.into(),
        ),
        ("role_changed", RoleChanged { role: Role::Viewer }.into()),
        ("presence", Presence { sequence: 3, state: Some(bytes("cursor")) }.into()),
        ("presence_gone", Presence { sequence: 4, state: None }.into()),
        (
            "presence_update",
            PresenceUpdate {
                entries: vec![
                    PresenceEntry { session: 1, sequence: 3, subject: "ada".into(), state: Some(bytes("cursor")) },
                    PresenceEntry { session: u64::MAX, sequence: 9, subject: "grace".into(), state: None },
                ],
            }
            .into(),
        ),
        ("close_document", CloseDocument {}.into()),
        (
            "seen",
            Seen {
                batches: vec![
                    SeenBatch { actor: Actor(5), first: 13, count: 1, digest: Chain([7; 16]) },
                    SeenBatch { actor: ACTOR, first: 70_001, count: 300, digest: Chain([9; 16]) },
                ],
            }
            .into(),
        ),
    ]
}
