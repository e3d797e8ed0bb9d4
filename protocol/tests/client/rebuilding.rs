//! Refused edits are taken back, and nothing of them lingers.

use inkwire_document::{Actor, Change, Delta, TextDelta};
use inkwire_protocol::client::{DocumentId, Event, Lanes};
use inkwire_protocol::frame::{Batch, Close, Durable, Leased, Received, Refused, RoleChanged, Synced};
use inkwire_protocol::replica::EditRefused;
use inkwire_protocol::{Channel, Code, Frame, Role};

use crate::peer::{Author, BOTH, Peer, fresh, opened, vector};

/// Follows a text by changes alone, as an editor does.
fn follow(text: &mut Vec<u16>, changes: Vec<Change>) {
    for change in changes {
        let Delta::Text(steps) = change.delta else { continue };
        let mut at = 0;
        for step in steps {
            match step {
                TextDelta::Retain(count, _) => at += count,
                TextDelta::Insert(inserted, _) => {
                    let units: Vec<u16> = inserted.encode_utf16().collect();
                    let count = units.len();
                    text.splice(at..at, units);
                    at += count;
                }
                TextDelta::Delete(count) => {
                    text.drain(at..at + count);
                }
            }
        }
    }
}

fn refusals(events: &[Event]) -> Vec<(Code, u64)> {
    let refusals = events.iter().filter_map(|event| match event {
        Event::Refused { refusal, .. } => Some((refusal.code, refusal.edits)),
        _ => None,
    });
    refusals.collect()
}

/// After a refusal: the document is opened anew with nothing, and comes in again with `batches`.
fn rebuild(peer: &mut Peer, old: Channel, batches: &[inkwire_document::Batch]) -> Channel {
    let (channel, open) = peer.take_open();
    assert!(channel > old);
    assert_eq!((open.vector, open.durable, open.claim), (vector(&[]), vector(&[]), None));
    let held: Vec<_> = batches.iter().map(|batch| (batch.actor, batch.last())).collect();
    peer.say(channel, opened(Some((Actor(6), 1)), &held));
    for batch in batches {
        peer.say(channel, Batch::new(batch.clone(), None));
    }
    peer.say(channel, Synced { vector: vector(&held) });
    channel
}

#[test]
fn a_refused_batch_goes_with_its_actors_later_ones() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        peer.client.observe_changes(id, true);
        let mut editor = Vec::new();
        let theirs = Author::new(Actor(8)).insert(0, "theirs 😀");
        peer.say(channel, fresh(&theirs));
        peer.insert(id, 0, "refused ").expect("an editor");
        peer.insert(id, 0, "later ").expect("an editor");
        assert_eq!(peer.take_batches().len(), 2);
        peer.insert(id, 0, "unsent ").expect("an editor");
        follow(&mut editor, peer.client.take_changes(id));

        let refused = Refused { actor: Actor(5), first: 1, code: Code::ClockAhead, reason: "ahead".into() };
        peer.say(channel, refused);
        peer.say(channel, Leased { actor: Actor(99), next: 1, ticket: None, digest: None });
        let events = peer.events();
        assert_eq!(refusals(&events), [], "they are made again");
        assert_eq!(peer.text(id), "unsent later refused theirs 😀", "the view stays until the truth is there");
        assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::NotReady));
        assert_eq!(peer.status(id), (3, 0, 0));
        assert!(peer.client.replica(id).expect("open").rebuilding().is_some());

        let channel = rebuild(&mut peer, channel, &[theirs]);
        assert_eq!(peer.text(id), "unsent later refused theirs 😀");
        assert!(peer.events().contains(&Event::Changed(id)));
        follow(&mut editor, peer.client.take_changes(id));
        assert_eq!(String::from_utf16_lossy(&editor), "unsent later refused theirs 😀");
        peer.insert(id, 0, "and ").expect("an editor, as another actor");
        follow(&mut editor, peer.client.take_changes(id));
        assert_eq!(String::from_utf16_lossy(&editor), "and unsent later refused theirs 😀");
        let batches = peer.take_batches();
        assert!(batches.len() == 4 && batches.iter().all(|batch| batch.actor == Actor(6)));
        peer.say(channel, Durable { vector: vector(&[(Actor(6), 25)]) });
        assert_eq!(peer.status(id), (0, 0, 4));
    }
}

#[test]
fn what_stood_in_a_text_that_is_made_again_elsewhere_goes_beside_what_is_left() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        let (mut ada, mut bob) = (Author::new(Actor(8)), Author::new(Actor(9)));
        let kept = ada.insert(0, "kept|end");
        peer.say(channel, fresh(&kept));
        bob.0.apply(&kept).expect("it applies");
        peer.say(channel, fresh(&bob.insert(5, "lost ")));
        peer.insert(id, 7, "<one>").expect("an editor");
        peer.insert(id, 9, "<two>").expect("an editor");
        let now = peer.at();
        let list = |document: &mut inkwire_document::Document, _| {
            document.list_insert("rows", 0, vec!["a".into(), "b".into()])
        };
        peer.client.edit(now, id, list).expect("an editor");
        peer.client.flush(now, id);
        peer.pump();
        assert_eq!(peer.text(id), "kept|lo<o<two>ne>st end");
        // The relay has lost what Bob wrote, and refused it to him: he has made it again as another actor.
        let refused = |actor, first| Refused { actor, first, code: Code::MissingDependency, reason: String::new() };
        peer.say(channel, refused(Actor(9), 1));
        let (channel, _) = peer.take_open();
        peer.say(channel, opened(Some((Actor(5), 1)), &[]));
        peer.pump();
        peer.say(channel, refused(Actor(5), 1));
        let again = Author::new(Actor(10)).insert(0, "lost ");
        rebuild(&mut peer, channel, &[kept, again]);
        assert_eq!(refusals(&peer.events()), [], "nothing is given back");
        assert_eq!(peer.text(id), "kept|<o<two>ne>endlost ");
        let rows = peer.client.replica(id).expect("open").document().list_values("rows", 0).cloned();
        assert_eq!(rows.collect::<Vec<_>>(), ["a".into(), "b".into()]);
        assert_eq!(peer.status(id), (0, 3, 0));
    }
}

#[test]
fn what_came_before_a_refused_batch_stays_what_it_is() {
    for lanes in BOTH {
        let (mut peer, id, channel) = Peer::editor(lanes);
        peer.insert(id, 0, "kept ").expect("an editor");
        peer.insert(id, 5, "refused").expect("an editor");
        let sent = peer.take_batches();
        peer.say(channel, Received { counter: 5, paused: None });
        peer.say(channel, Refused { actor: Actor(5), first: 6, code: Code::ClockAhead, reason: "ahead".into() });
        assert_eq!(peer.status(id), (2, 0, 0));
        // The relay comes back without what it had taken, time and again.
        let mut last = channel;
        for known in [vector(&[]), vector(&[(Actor(5), 5)])] {
            peer.reconnect();
            let (channel, open) = peer.take_open();
            let claim = open.claim.expect("the old actor, for what is not durable of it");
            assert_eq!((open.vector, claim.actor, claim.last), (known, Actor(5), 5));
            peer.say(channel, opened(Some((Actor(5), 1)), &[]));
            assert_eq!(peer.take_batches(), sent[..1], "as it was");
            peer.say(channel, Synced { vector: vector(&[]) });
            assert_eq!((peer.text(id).as_str(), peer.status(id)), ("kept refused", (1, 1, 0)));
            assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::NotReady));
            last = channel;
        }
        peer.say(last, Durable { vector: vector(&[(Actor(5), 5)]) });
        let (last, open) = peer.take_open();
        assert_eq!((open.vector, open.claim), (vector(&[(Actor(5), 5)]), None), "a new actor, nothing twice");
        peer.say(last, opened(Some((Actor(6), 1)), &[(Actor(5), 5)]));
        peer.say(last, Synced { vector: vector(&[(Actor(5), 5)]) });
        assert_eq!((peer.text(id).as_str(), peer.status(id)), ("kept refused", (1, 0, 1)));
        peer.insert(id, 0, "x").expect("an editor");
        assert!(peer.take_batches().iter().all(|batch| batch.actor == Actor(6)));
        peer.say(last, Durable { vector: vector(&[(Actor(6), 8)]) });
        assert_eq!(peer.status(id), (0, 0, 3));
    }
}

#[test]
fn a_refusal_for_good_is_told_once_what_came_before_is_durable() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "kept").expect("an editor");
    peer.insert(id, 4, "bad").expect("an editor");
    peer.pump();
    peer.say(channel, Refused { actor: Actor(5), first: 5, code: Code::BadBatch, reason: String::new() });
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(Some((Actor(5), 1)), &[]));
    peer.say(channel, Synced { vector: vector(&[]) });
    assert_eq!(refusals(&peer.events()), [], "edits are decided in order");
    peer.say(channel, Durable { vector: vector(&[(Actor(5), 4)]) });
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(Some((Actor(6), 1)), &[(Actor(5), 4)]));
    peer.say(channel, Synced { vector: vector(&[(Actor(5), 4)]) });
    assert_eq!(refusals(&peer.events()), [(Code::BadBatch, 1)]);
    assert_eq!((peer.text(id).as_str(), peer.status(id)), ("kept", (0, 0, 1)));
}

#[test]
fn the_old_lane_is_left_before_the_new_one_begins() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Messages);
    peer.insert(id, 0, "x").expect("an editor");
    peer.pump();
    peer.sent.clear();
    peer.say(channel, Refused { actor: Actor(5), first: 1, code: Code::BadBatch, reason: String::new() });
    assert!(matches!(peer.take(channel), Frame::CloseDocument(_)));
    let late = Author::new(Actor(8)).insert(0, "late");
    peer.say(channel, fresh(&late));
    rebuild(&mut peer, channel, &[]);
    assert_eq!(peer.text(id), "", "what came late on the old lane does not count");
}

#[test]
fn a_viewers_edits_do_not_linger() {
    for lanes in BOTH {
        let mut peer = Peer::welcomed(lanes);
        let id = peer.open();
        peer.insert(id, 0, "before the role is known").expect("editing begins at once");
        let (channel, _) = peer.take_open();
        peer.say(channel, opened(None, &[]));
        assert_eq!(refusals(&peer.events()), [(Code::ReadOnly, 1)]);
        let (channel, open) = peer.take_open();
        assert_eq!((open.vector, open.claim), (vector(&[]), None));
        peer.say(channel, opened(None, &[]));
        peer.say(channel, Synced { vector: vector(&[]) });
        assert_eq!((peer.text(id).as_str(), peer.insert(id, 0, "x")), ("", Err(EditRefused::ReadOnly)));
    }
}

#[test]
fn an_editor_who_becomes_a_viewer_loses_what_was_not_taken() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    peer.pump();
    peer.say(channel, RoleChanged { role: Role::Viewer });
    assert_eq!(refusals(&peer.events()), [(Code::ReadOnly, 1)]);
    let (peer_channel, _) = peer.take_open();
    peer.say(peer_channel, opened(None, &[]));
    peer.say(peer_channel, Synced { vector: vector(&[]) });
    assert_eq!(peer.text(id), "");

    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.say(channel, RoleChanged { role: Role::Viewer });
    assert_eq!(refusals(&peer.events()), [], "nothing was at stake");
    assert_eq!(peer.insert(id, 0, "x"), Err(EditRefused::ReadOnly));
}

/// Reconnects with an edit that is not durable, and answers with `answer`.
fn resume_with(answer: impl FnOnce(&mut Peer, Channel)) -> (Peer, DocumentId, Channel) {
    let (mut peer, id, _) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    peer.pump();
    peer.reconnect();
    let (channel, _) = peer.take_open();
    answer(&mut peer, channel);
    (peer, id, channel)
}

#[test]
fn an_actor_that_cannot_be_resumed_is_retired() {
    type Answer = fn(&mut Peer, Channel);
    let cases: [(&str, Code, Answer); 4] = [
        ("another actor", Code::ForeignActor, |peer, channel| {
            peer.say(channel, opened(Some((Actor(7), 1)), &[]));
        }),
        ("used elsewhere", Code::ActorReused, |peer, channel| {
            peer.say(channel, opened(Some((Actor(5), 9)), &[(Actor(5), 8)]));
        }),
        ("closed for it", Code::ActorReused, |peer, channel| {
            peer.say(channel, Close { code: Code::ActorReused, reason: String::new() });
        }),
        ("another life", Code::IncarnationMismatch, |peer, channel| {
            peer.say(channel, Close { code: Code::IncarnationMismatch, reason: String::new() });
        }),
    ];
    for (name, code, answer) in cases {
        let (mut peer, id, channel) = resume_with(answer);
        // What another life held is not merged into this one; the rest is made again.
        let gone = code == Code::IncarnationMismatch;
        let shown = peer.text(id);
        assert_eq!(refusals(&peer.events()), if gone { vec![(code, 1)] } else { vec![] }, "{name}");
        rebuild(&mut peer, channel, &[]);
        assert_eq!(peer.text(id), if gone { String::new() } else { shown }, "{name}");
        peer.insert(id, 0, "y").expect("an editor, as another actor");
    }
}

#[test]
fn a_batch_that_ends_lane_after_lane_is_taken_for_refused() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    assert_eq!(peer.take_batches().len(), 1);
    let gap = || Close { code: Code::CounterGap, reason: "a gap".into() };
    peer.say(channel, gap());
    assert_eq!(refusals(&peer.events()), [], "opening anew may cure it");
    let (channel, open) = peer.take_open();
    assert!(open.claim.is_some());
    peer.say(channel, opened(Some((Actor(5), 1)), &[]));
    assert_eq!(peer.take_batches().len(), 1);
    peer.say(channel, gap());
    assert_eq!(refusals(&peer.events()), []);
    rebuild(&mut peer, channel, &[]);
    assert_eq!((peer.text(id).as_str(), peer.status(id)), ("x", (1, 0, 0)), "it is made again");
}

#[test]
fn a_refused_offer_does_not_stay_in_the_view() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.say(channel, fresh(&Author::new(Actor(8)).insert(0, "theirs")));
    peer.reconnect();
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(Some((Actor(5), 1)), &[]));
    assert!(matches!(peer.take(channel), Frame::Offer(_)));
    peer.say(channel, Refused { actor: Actor(8), first: 1, code: Code::BadReceipt, reason: String::new() });
    rebuild(&mut peer, channel, &[]);
    assert_eq!(peer.text(id), "");
    assert_eq!(peer.client.replica(id).expect("open").retained(), (0, 0));
}

#[test]
fn a_rebuilding_survives_a_lost_connection() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    peer.insert(id, 0, "x").expect("an editor");
    peer.pump();
    peer.say(channel, Refused { actor: Actor(5), first: 1, code: Code::BadBatch, reason: String::new() });
    peer.reconnect();
    assert_eq!(peer.text(id), "x");
    rebuild(&mut peer, Channel(0), &[]);
    assert_eq!(peer.text(id), "");
}

#[test]
fn what_only_a_rebuilt_replica_can_bring_back_is_in_its_view_too() {
    let (mut peer, id, channel) = Peer::editor(Lanes::Streams);
    let theirs = Author::new(Actor(8)).insert(0, "theirs");
    peer.say(channel, fresh(&theirs));
    peer.insert(id, 0, "own ").expect("an editor");
    peer.pump();
    // The relay comes back without either, and refuses the own batch: its state is taken back, the other's is not lost.
    peer.reconnect();
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(Some((Actor(5), 1)), &[]));
    assert!(matches!(peer.take(channel), Frame::Offer(_)));
    peer.say(channel, Refused { actor: Actor(5), first: 1, code: Code::BadBatch, reason: String::new() });
    let (channel, _) = peer.take_open();
    peer.say(channel, opened(Some((Actor(6), 1)), &[]));
    assert!(matches!(peer.take(channel), Frame::Offer(offer) if offer.actor == Actor(8)));
    // The relay does not send an offer to the one who made it.
    peer.say(channel, Synced { vector: vector(&[(Actor(8), 6)]) });
    assert_eq!(peer.text(id), "theirs");
}
