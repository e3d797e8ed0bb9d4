//! What was seen of an actor that was used twice, where the relay means the other.

use inkwire_document::{Actor, fold};
use inkwire_protocol::client::{DocumentId, Lanes};
use inkwire_protocol::frame::{Batch, Durable, Lease, Opened, Refused, Snapshot, Synced};
use inkwire_protocol::record::Digest;
use inkwire_protocol::replica::{RefusedContent, RefusedEdit};
use inkwire_protocol::{Chain, Channel, Code, Frame};

use crate::peer::{Author, BOTH, Peer, fresh, opened, vector};

const TWIN: Actor = Actor(8);

/// A page that has seen "seen" of the twin, and opens the document anew at a relay that holds the twin up to `held`.
fn reopened(lanes: Lanes, held: u64) -> (Peer, DocumentId, Channel) {
    let (mut peer, id, channel) = Peer::editor(lanes);
    let seen = Author::new(TWIN).insert(0, "seen");
    peer.say(channel, fresh(&seen));
    peer.reconnect();
    let (channel, open) = peer.take_open();
    assert_eq!(open.vector, vector(&[(TWIN, 4)]));
    let named: Vec<_> = peer.seen.iter().map(|seen| (seen.actor, seen.first, seen.count, seen.digest)).collect();
    assert_eq!(named, [(TWIN, 1, 4, Chain::of(1, 4, &Digest::of(&seen.operations)))], "what the relay is to compare");
    peer.say(channel, opened(Some((Actor(5), 1)), &[(TWIN, held)]));
    (peer, id, channel)
}

#[test]
fn a_page_that_saw_the_other_of_two_twins_is_shown_what_the_relay_means() {
    let other = || Author::new(TWIN).insert(0, "other");
    type Tell = fn(&mut Peer, Channel, &inkwire_document::Batch);
    let told: [(&str, u64, Tell); 4] = [
        ("by the relay, which has compared", 5, |peer, channel, _| {
            peer.say(channel, Refused { actor: TWIN, first: 1, code: Code::ActorReused, reason: String::new() });
        }),
        ("by the batch, which comes later", 0, |peer, channel, other| peer.say(channel, fresh(other))),
        ("by the durable batch", 0, |peer, channel, other| peer.say(channel, Batch::new(other.clone(), None))),
        ("by a snapshot, that may have either", 0, |peer, channel, other| {
            let bytes = fold(None, std::slice::from_ref(other)).expect("it folds");
            peer.say(channel, Snapshot { index: 0, last: true, bytes });
        }),
    ];
    for lanes in BOTH {
        for (how, held, tell) in &told {
            let (mut peer, id, channel) = reopened(lanes, *held);
            tell(&mut peer, channel, &other());
            assert_eq!(peer.text(id), "seen", "{how}: until the truth is there");
            let (channel, open) = peer.take_open();
            assert_eq!((open.vector, peer.seen.len()), (vector(&[]), 0), "{how}");
            peer.say(channel, opened(Some((Actor(6), 1)), &[(TWIN, 5)]));
            peer.say(channel, fresh(&other()));
            peer.say(channel, Synced { vector: vector(&[(TWIN, 5)]) });
            assert_eq!(peer.text(id), "other", "{how}");
            assert_eq!(peer.client.replica(id).expect("open").retained().0, 1, "{how}");
        }
    }
}

#[test]
fn what_is_the_same_costs_nothing() {
    let same = || Author::new(TWIN).insert(0, "seen");
    for held in [4, 0] {
        let (mut peer, id, channel) = reopened(Lanes::Streams, held);
        if held == 0 {
            assert!(matches!(peer.take(channel), Frame::Offer(_)));
            peer.say(channel, fresh(&same()));
        }
        let bytes = fold(None, &[same()]).expect("it folds");
        peer.say(channel, Snapshot { index: 0, last: true, bytes });
        peer.say(channel, Synced { vector: vector(&[(TWIN, 4)]) });
        peer.say(channel, Durable { vector: vector(&[(TWIN, 4)]) });
        assert_eq!((peer.text(id).as_str(), peer.client.replica(id).expect("open").synced()), ("seen", true));
        assert_eq!(peer.client.replica(id).expect("open").retained().0, 0);
    }
}

#[test]
fn what_is_refused_for_good_goes_back() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "mine").expect("an editor");
    let now = peer.at();
    peer.client
        .edit(now, id, |document, time| document.map_set("meta", "title", "Plan".into(), time))
        .expect("an editor");
    peer.client.edit(now, id, |document, time| document.map_delete("meta", "title", time)).expect("an editor");
    peer.client.flush(now, id);
    peer.pump();
    peer.say(channel, Refused { actor: Actor(5), first: 1, code: Code::BadBatch, reason: "no".into() });
    let refusal = peer.events().into_iter().find_map(|event| match event {
        inkwire_protocol::client::Event::Refused { refusal, .. } => Some(refusal),
        _ => None,
    });
    let refusal = refusal.expect("the application is told");
    assert_eq!((refusal.code, refusal.edits, refusal.omitted), (Code::BadBatch, 3, 0));
    let edit = |root: &str, what| RefusedEdit { root: root.into(), what };
    let set = |key: &str, value| RefusedContent::Set { key: key.into(), value };
    assert_eq!(
        refusal.content,
        [
            edit("body", RefusedContent::Text("mine".into())),
            edit("meta", set("title", Some("Plan".into()))),
            edit("meta", set("title", None)),
        ]
    );
}

#[test]
fn who_goes_on_as_an_actor_knows_from_its_lease_what_was_written_as_it_before() {
    for (told, kept) in [(1, true), (5, false)] {
        let mut peer = Peer::welcomed(Lanes::Streams);
        let id = peer.open();
        let (channel, _) = peer.take_open();
        let before = Author::new(TWIN).insert(0, "seen");
        let digest = Some(Chain::default().then(1, 4, &Digest::of(&before.operations)));
        let lease = || Some(Lease { actor: TWIN, next: 5, ticket: None, digest });
        let opens = || Opened { lease: lease(), ..opened(Some((TWIN, 5)), &[(TWIN, 4)]) };
        peer.say(channel, opens());
        peer.say(channel, fresh(&before));
        peer.say(channel, Synced { vector: vector(&[(TWIN, 4)]) });
        peer.insert(id, 4, " own").expect("an editor may");
        assert_eq!(peer.take_batches().len(), 1);
        // The relay was restarted, and knows of what is in its snapshot no more than the digest.
        peer.reconnect();
        let (channel, open) = peer.take_open();
        assert_eq!((open.claim.map(|claim| claim.actor), peer.seen.len()), (Some(TWIN), 1));
        peer.say(channel, opens());
        peer.say(channel, Refused { actor: TWIN, first: told, code: Code::ActorReused, reason: String::new() });
        peer.say(channel, Synced { vector: vector(&[(TWIN, 4)]) });
        let replica = peer.client.replica(id).expect("open");
        assert_eq!((replica.synced(), replica.rebuilding().is_none()), (kept, kept), "refused from {told} on");
        assert_eq!(peer.take_batches().len(), usize::from(kept), "what is lacking is sent");
    }
}
