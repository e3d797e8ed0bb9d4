//! Actors that were used twice, and batches that their authors make again.

use super::*;
use crate::frame::SeenBatch;
use crate::receipt;
use crate::record::{ActorRecord, Digest};

/// What a client says to have seen of `batch`.
fn seen(batch: &Batch) -> SeenBatch {
    let digest = Chain::of(batch.first, batch.count, &Digest::of(&batch.operations));
    SeenBatch { actor: batch.actor, first: batch.first, count: batch.count, digest }
}

fn refused(frames: &[Frame]) -> Vec<(Actor, u64, Code)> {
    let refused = |frame: &Frame| match frame {
        Frame::Refused(refused) => Some((refused.actor, refused.first, refused.code)),
        _ => None,
    };
    frames.iter().filter_map(refused).collect()
}

/// What the room answers a viewer that says to have seen these.
fn look(hall: &mut Hall, id: u64, batches: &[SeenBatch]) -> Vec<Frame> {
    let vector = batches.iter().map(|batch| (batch.actor, batch.first + u64::from(batch.count) - 1)).collect();
    let open = Open { vector: VersionVector { dots: vector }, claim: None, ..hall.open(id) };
    let join = Join {
        member: MemberId(id),
        session: id,
        since: hall.clock.monotonic,
        subject: format!("user-{id}").into(),
        role: Role::Viewer,
        open,
        seen: batches.to_vec(),
    };
    hall.room.join(hall.clock, join).expect("it is let in");
    let mut bytes = Vec::new();
    while hall.room.poll_transmit(hall.clock, MemberId(id), 1 << 20, &mut bytes) > 0 {}
    bytes.iter().map(|frame| Frame::decode(frame).expect("a frame")).collect()
}

#[test]
fn what_was_seen_is_compared_as_long_as_it_is_known() {
    let mut hall = Hall::editors(&[1]);
    let batches: Vec<Batch> = ["one ", "two ", "three "].iter().flat_map(|text| hall.edit(1, text)).collect();
    hall.send(1, &batches);
    hall.read(1);
    let actor = batches[0].actor;
    let other = |batch: &Batch| seen(&Batch { operations: Bytes::from_static(b"other"), ..batch.clone() });
    let later = seen(&Batch { first: 100, ..batches[0].clone() });
    let torn = SeenBatch { count: 100, ..seen(&batches[2]) };
    let cases: [(&str, Vec<SeenBatch>, Vec<u64>); 6] = [
        ("the same", batches.iter().map(seen).collect(), vec![]),
        ("another", vec![seen(&batches[0]), other(&batches[1])], vec![batches[1].first]),
        ("several, of which the first is named", vec![other(&batches[1]), other(&batches[2])], vec![batches[1].first]),
        ("what the room lacks", vec![later], vec![]),
        ("one that is partly there", vec![torn.clone()], vec![torn.first]),
        ("an actor that nobody knows", vec![SeenBatch { actor: Actor(77), ..torn }], vec![]),
    ];
    let mut id = 10;
    for folded in [false, true] {
        for (what, seen, first) in &cases {
            id += 1;
            let frames = look(&mut hall, id, seen);
            let expected: Vec<_> = first.iter().map(|first| (actor, *first, Code::ActorReused)).collect();
            assert_eq!(refused(&frames), expected, "{what}, folded {folded}");
            assert!(matches!(frames[0], Frame::Opened(_)), "Opened comes first");
            hall.room.leave(hall.clock, MemberId(id));
        }
        hall.store();
        assert!(folded || hall.fold());
    }
    assert_eq!(hall.room.usage().tail_bytes, 0, "it is all folded and gone");
    // A room that was loaded with a snapshot does not know what is in it.
    let base = hall.room.base.as_ref().map(|base| base.snapshot.clone());
    let mut again = Hall::load(RoomConfig::default(), Loaded { snapshot: base, ..Loaded::default() });
    let frames = look(&mut again, 2, &[seen(&batches[1])]);
    assert_eq!(refused(&frames), [(actor, batches[1].first, Code::ActorReused)]);
}

#[test]
fn what_comes_instead_of_what_was_seen_is_sent() {
    let mut hall = Hall::editors(&[1]);
    let lost = hall.edit(1, "lost").remove(0);
    // It was seen, the room lacks it, and before the reader has caught up the other one's comes.
    let open =
        Open { vector: VersionVector::from(inkwire_document::Dot::new(lost.actor, lost.last())), ..hall.open(2) };
    let join = Join {
        member: MemberId(2),
        session: 2,
        since: hall.clock.monotonic,
        subject: "user-2".into(),
        role: Role::Viewer,
        open,
        seen: vec![seen(&lost)],
    };
    hall.room.join(hall.clock, join).expect("it is let in");
    let mut twin = Document::new();
    twin.set_actor(lost.actor, 1);
    twin.insert("body", Position::Scalar(0), "other").expect("an insert");
    hall.send(1, &twin.take_batches());
    hall.store();
    let frames = hall.read(2);
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Batch(batch) if batch.actor == lost.actor)), "{frames:?}");
}

#[test]
fn running_digests_outlive_a_fold_and_a_load() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "one ");
    hall.store();
    assert!(hall.fold());
    hall.write(1, "two ");
    hall.store();
    let input = hall.room.fold_now().expect("there is something");
    // What comes while it is folded is not in it.
    hall.write(1, "three ");
    hall.give();
    let snapshot =
        Snapshot::parse(fold(input.snapshot.as_ref(), &input.batches).expect("it folds")).expect("a snapshot");
    let records = std::mem::take(&mut hall.records);
    let chain = |records: &[LogRecord]| {
        records
            .iter()
            .fold(Chain::default(), |chain, record| chain.then(record.batch.first, record.batch.count, &record.digest))
    };
    assert_eq!(input.actors.len(), 1);
    assert_eq!(input.actors[0].chain, Some(chain(&records[..2])), "up to what the snapshot covers");
    let loaded = Loaded { snapshot: Some(snapshot), actors: input.actors, batches: records.clone() };
    let mut again = Hall::load(RoomConfig::default(), loaded);
    let claim = hall.open(1).claim;
    let open = Open { claim, ..again.open(1) };
    again.try_join(1, Role::Editor, open).expect("it is let in");
    let frames = again.read(1);
    let Frame::Opened(opened) = &frames[0] else { panic!("Opened comes first") };
    assert_eq!(opened.lease.as_ref().and_then(|lease| lease.digest), Some(chain(&records)));
}

#[test]
fn what_was_refused_to_its_author_is_refused_to_all() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "kept ");
    let ahead = map_batch(&mut hall, 1, START_MILLIS + 3_600_000);
    let offer = |hall: &mut Hall, batch: &Batch| {
        let digest = Digest::of(&batch.operations);
        let receipt = receipt::issue(&keys(), hall.room.scope(), batch, &digest, "user-1", None);
        let offer = frame::Offer::new(batch.clone(), receipt);
        hall.room.receive(hall.clock, MemberId(2), offer.into()).expect("it may offer");
        refused(&hall.read(2))
    };
    hall.join(2, Role::Viewer);
    // It was taken by a room whose clock was ahead, seen, and lost.
    let beyond = Batch { first: ahead[0].first + 50, ..ahead[0].clone() };
    assert_eq!(offer(&mut hall, &beyond), [], "it waits for what comes before it");
    hall.send(1, &ahead);
    assert_eq!(refused(&hall.read(1)), [(ahead[0].actor, ahead[0].first, Code::ClockAhead)]);
    let told = refused(&hall.read(2));
    assert_eq!(told, [(ahead[0].actor, beyond.first, Code::ClockAhead)], "nor may what waits come any more");
    let again = [(ahead[0].actor, ahead[0].first, Code::ClockAhead)];
    assert_eq!(offer(&mut hall, &ahead[0]), again);
    assert_eq!(hall.room.usage().waiting_bytes, 0);
    // Its author, who did not hear of it, is told why and no more: nobody else wrote as its actor.
    let (actor, last) = (ahead[0].actor, ahead[0].last());
    let claim = Some(Claim { actor, last, ticket: hall.tickets.get(&(1, actor)).cloned() });
    // A copy of it comes with another batch.
    let other = Batch { operations: Bytes::from_static(b"other"), ..ahead[0].clone() };
    for (batch, code) in [(&ahead[0], Code::ClockAhead), (&other, Code::ActorReused)] {
        hall.room.leave(hall.clock, MemberId(1));
        let open = Open { claim: claim.clone(), ..hall.open(1) };
        hall.try_join(1, Role::Editor, open).expect("it is let in");
        hall.read(1);
        hall.send(1, std::slice::from_ref(batch));
        assert_eq!(refused(&hall.read(1)), [(actor, batch.first, code)]);
    }
}

#[test]
fn an_offer_follows_what_it_followed() {
    // One was folded by a relay of which no reader heard, and the next one's was not stored.
    let mut hall = Hall::editors(&[1]);
    hall.join(2, Role::Viewer);
    let [one, two, three] = ["one ", "two ", "three "].map(|text| {
        hall.write(1, text);
        let mut batches = hall.read(2).into_iter().filter_map(|frame| match frame {
            Frame::Batch(batch) => Some(batch.into_parts()),
            _ => None,
        });
        let (batch, receipt) = batches.next().expect("it is fanned out");
        (batch, receipt.expect("with its receipt"))
    });
    let chain = |batch: &Batch| Chain::of(batch.first, batch.count, &Digest::of(&batch.operations));
    let copy = Batch { operations: Bytes::from_static(b"a copy's"), ..one.0.clone() };
    for (what, first, may) in [("the same", &one.0, true), ("a copy's", &copy, false)] {
        let mut author = Document::new();
        author.apply(&one.0).expect("it applies");
        let snapshot = Snapshot::parse(author.snapshot()).expect("a snapshot");
        let actors = vec![ActorRecord { actor: first.actor, subject: "user-1".into(), chain: Some(chain(first)) }];
        let loaded = Loaded { snapshot: Some(snapshot), actors, ..Loaded::default() };
        let mut again = Hall::load(RoomConfig::default(), loaded);
        again.join(2, Role::Viewer);
        // In the wrong order: the later one waits, and is examined when its turn comes.
        for (batch, receipt) in [&three, &two] {
            let offer = frame::Offer::new(batch.clone(), receipt.clone());
            again.room.receive(again.clock, MemberId(2), offer.into()).expect("it may offer");
        }
        let told = refused(&again.read(2));
        if may {
            assert_eq!(told, [], "{what}");
            assert_eq!(again.room.actors.held(three.0.actor), three.0.last(), "{what}");
        } else {
            assert_eq!(told, [(two.0.actor, two.0.first, Code::ActorReused)], "{what}");
            assert_eq!(again.room.actors.held(three.0.actor), one.0.last(), "{what}");
        }
    }
}

#[test]
fn nobody_else_is_given_an_actor_of_which_everything_was_refused() {
    let mut hall = Hall::editors(&[1]);
    let ahead = map_batch(&mut hall, 1, START_MILLIS + 3_600_000);
    let actor = ahead[0].actor;
    hall.send(1, &ahead);
    hall.read(1);
    hall.room.leave(hall.clock, MemberId(1));
    let claim = Some(Claim { actor, last: u64::MAX, ticket: None });
    let open = Open { claim, ..hall.open(2) };
    hall.try_join(2, Role::Editor, open).expect("it is let in");
    hall.read(2);
    assert!(!hall.tickets.contains_key(&(2, actor)), "others may have seen what was written as it");
}
