use inkwire_document::Actor;

use super::*;

/// What a member does wrong, and what it is told.
struct Case {
    what: &'static str,
    role: Role,
    batch: fn(&mut Hall) -> Batch,
    code: Code,
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_code_and_goes_nowhere() {
    let cases = [
        Case { what: "a viewer writes", role: Role::Viewer, batch: |_| forged(Actor(77)), code: Code::ReadOnly },
        Case {
            what: "an actor nobody leased",
            role: Role::Editor,
            batch: |_| forged(Actor(77)),
            code: Code::ForeignActor,
        },
        Case {
            what: "another's actor",
            role: Role::Editor,
            batch: |hall| forged(hall.documents[&1].actor().expect("it writes")),
            code: Code::ForeignActor,
        },
        Case {
            what: "operations that are none",
            role: Role::Editor,
            batch: |hall| Batch { operations: Bytes::from_static(&[0xc1]), ..hall.edit(2, "x")[0].clone() },
            code: Code::BadBatch,
        },
        Case {
            what: "no counters",
            role: Role::Editor,
            batch: |hall| Batch { count: 0, ..hall.edit(2, "x")[0].clone() },
            code: Code::BadBatch,
        },
        Case {
            what: "counters beyond all numbers",
            role: Role::Editor,
            batch: |hall| Batch { count: u32::MAX, ..hall.edit(2, "x")[0].clone() },
            code: Code::BadBatch,
        },
        Case {
            what: "more bytes than a batch may have",
            role: Role::Editor,
            batch: |hall| Batch { operations: vec![0; 61_441].into(), ..hall.edit(2, "x")[0].clone() },
            code: Code::BatchTooLarge,
        },
        Case {
            what: "a reference to what is not there",
            role: Role::Editor,
            batch: |hall| {
                let unsent = hall.edit(1, "unsent");
                let document = hall.documents.get_mut(&2).expect("it joined");
                document.apply(&unsent[0]).expect("it applies");
                document.insert("body", Position::Scalar(3), "x").expect("an insert");
                document.take_batches().remove(0)
            },
            code: Code::MissingDependency,
        },
        Case {
            what: "a time that is too far ahead",
            role: Role::Editor,
            batch: |hall| map_batch(hall, 2, START_MILLIS + 60_001).remove(0),
            code: Code::ClockAhead,
        },
    ];
    for Case { what, role, batch, code } in cases {
        let mut hall = Hall::editors(&[1]);
        hall.write(1, "before");
        hall.store();
        hall.join(2, role);
        hall.read(1);
        hall.records.clear();
        let batch = batch(&mut hall);
        hall.send(2, &[batch]);
        let frames = hall.read(2);
        assert_eq!(refusal(&frames), Some(code), "{what}");
        assert_eq!(hall.give(), None, "{what}: nothing to store");
        assert_eq!(batches(&hall.read(1)), [], "{what}: nothing to forward");
        // The sender goes on.
        if role.may_write() {
            let lease = frames.iter().any(|frame| matches!(frame, Frame::Leased(_)));
            assert_eq!(lease, code != Code::ForeignActor, "{what}: its actor is retired if it was its own");
        }
    }
}

fn forged(actor: Actor) -> Batch {
    let mut document = Document::new();
    document.set_actor(actor, 1);
    document.insert("body", Position::Scalar(0), "forged").expect("an insert");
    document.take_batches().remove(0)
}

#[test]
fn a_time_is_measured_by_the_later_of_clock_and_room() {
    let mut hall = Hall::editors(&[1, 2]);
    let batch = map_batch(&mut hall, 1, START_MILLIS + 60_000);
    hall.send(1, &batch);
    let batch = map_batch(&mut hall, 2, START_MILLIS + 120_000);
    hall.send(2, &batch);
    assert_eq!((refusal(&hall.read(1)), refusal(&hall.read(2))), (None, None));
}

#[test]
fn what_has_times_comes_back_to_its_author_who_offers_it_to_a_relay_whose_clock_is_behind() {
    let mut hall = Hall::editors(&[1, 2]);
    let typed = hall.edit(1, "typed ");
    hall.send(1, &typed);
    let timed = map_batch(&mut hall, 1, START_MILLIS);
    hall.send(1, &timed);
    let back = hall.read(1).into_iter().filter_map(|frame| match frame {
        Frame::Batch(batch) => Some(batch.into_parts()),
        _ => None,
    });
    let back: Vec<_> = back.collect();
    assert_eq!(back.len(), 1, "typing costs nothing");
    let (batch, receipt) = back[0].clone();
    assert_eq!(batch, timed[0]);
    let offer = frame::Offer::new(batch, receipt.expect("a receipt"));

    // Another room, which has nothing, a day before.
    for (offered, code) in [(false, Some(Code::ClockAhead)), (true, None)] {
        let mut after = Hall::new(RoomConfig::default());
        after.clock.unix_millis -= 86_400_000;
        after.documents.insert(1, hall.documents[&1].clone());
        after.tickets = hall.tickets.clone();
        after.join(1, Role::Editor);
        after.join(2, Role::Viewer);
        after.send(1, &typed);
        if offered {
            after.room.receive(after.clock, MemberId(1), offer.clone().into()).expect("its own");
        } else {
            after.send(1, &timed);
        }
        let frames = after.read(1);
        assert_eq!(refusal(&frames), code);
        let received = frames.iter().find_map(|frame| match frame {
            Frame::Received(received) => Some(received.counter),
            _ => None,
        });
        assert_eq!(received, offered.then_some(timed[0].last()));
        assert!(!frames.iter().any(|frame| matches!(frame, Frame::Batch(_))), "it has its receipt");
        if offered {
            let next = after.edit(1, "and on");
            after.send(1, &next);
            assert_eq!(refusal(&after.read(1)), None, "it goes on as the same actor, in the same lane");
            after.read(2);
            assert_eq!(after.text(2), after.text(1));
        }
    }
}

#[test]
fn after_a_refusal_the_old_actor_is_over_and_the_new_one_writes() {
    let mut hall = Hall::editors(&[1, 2]);
    let bad = map_batch(&mut hall, 1, START_MILLIS + 3_600_000);
    let late = hall.edit(1, "on its way");
    hall.send(1, &bad);
    hall.send(1, &late);
    let frames = hall.read(1);
    assert_eq!(refusal(&frames), Some(Code::ClockAhead));
    assert_eq!(frames.iter().filter(|frame| matches!(frame, Frame::Refused(_))).count(), 1, "it is told once");
    hall.documents.insert(2, Document::new());
    let mut fresh = Document::new();
    let Some(Frame::Leased(lease)) = frames.iter().find(|frame| matches!(frame, Frame::Leased(_))) else { panic!() };
    fresh.set_actor(lease.actor, lease.next);
    hall.documents.insert(1, fresh);
    hall.write(1, "again");
    hall.read(2);
    assert_eq!(hall.text(2), "again");
}

#[test]
fn duplicates_are_dropped_and_other_bytes_refused() {
    let mut hall = Hall::editors(&[1, 2]);
    let batch = hall.edit(1, "once");
    hall.send(1, &batch);
    hall.send(1, &batch);
    assert_eq!(hall.numbers(1), [frame::Received::NUMBER]);
    assert_eq!(batches(&hall.read(2)).len(), 1);
    let mut other = Document::new();
    other.set_actor(batch[0].actor, 1);
    other.insert("body", Position::Scalar(0), "ecno").expect("an insert");
    let other = other.take_batches();
    hall.send(1, &other);
    assert_eq!(refusal(&hall.read(1)), Some(Code::ActorReused));
}

#[test]
fn a_jump_within_a_lane_closes_it_and_a_gap_before_it_is_asked_for() {
    let mut hall = Hall::editors(&[1]);
    let all: Vec<_> = (0..3).flat_map(|number| hall.edit(1, &number.to_string())).collect();
    // The first on the lane: perhaps an earlier lane had more.
    hall.send(1, &all[1..]);
    let asked = hall.read(1);
    assert_eq!(asked, [Frame::from(frame::ResendFrom { counter: 1 })], "asked once");
    hall.send(1, &all);
    assert_eq!(hall.numbers(1), [frame::Received::NUMBER]);

    let next = hall.edit(1, "lost");
    let after = hall.edit(1, "after");
    drop(next);
    let jump = frame::Batch::new(after[0].clone(), None);
    let closed = hall.room.receive(hall.clock, MemberId(1), jump.into());
    assert_eq!(closed.map_err(|(code, _)| code), Err(Code::CounterGap));
}

#[test]
fn frames_that_a_client_may_not_send_close_the_lane() {
    let mut hall = Hall::editors(&[1]);
    let frames: [Frame; 3] = [
        frame::Received { counter: 1, paused: None }.into(),
        frame::Ping { nonce: 1 }.into(),
        frame::CloseDocument {}.into(),
    ];
    for frame in frames {
        let closed = hall.room.receive(hall.clock, MemberId(1), frame);
        assert_eq!(closed.map_err(|(code, _)| code), Err(Code::UnexpectedFrame));
    }
}

#[test]
fn a_newer_session_takes_the_actor_over_and_an_older_one_does_not() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "mine");
    let open = hall.open(1);
    let join = |hall: &mut Hall, member, since| {
        let join = Join {
            member: MemberId(member),
            session: member,
            since: Duration::from_secs(since),
            subject: "user-1".into(),
            role: Role::Editor,
            open: open.clone(),
            seen: Vec::new(),
        };
        hall.room.join(hall.clock, join).expect("it is let in");
        let Some(Frame::Opened(opened)) = hall.read(member).into_iter().next() else { panic!("Opened comes first") };
        opened.lease.expect("an editor's lease")
    };
    let actor = open.claim.as_ref().expect("a claim").actor;
    let lease = join(&mut hall, 11, 200);
    assert_eq!((lease.actor, lease.next), (actor, 5));
    assert_ne!(join(&mut hall, 12, 50).actor, actor, "its client has given that connection up");
    hall.write(1, "late");
    assert_eq!(refusal(&hall.read(1)), Some(Code::ActorReused), "the old lane may not write any more");
}

#[test]
fn a_claim_is_granted_to_its_subject_that_lacks_nothing() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "four");
    hall.room.leave(hall.clock, MemberId(1));
    let claim = hall.open(1).claim.expect("a claim");
    let cases = [
        ("its own", "user-1", 4, Some(5)),
        ("with edits that were not sent", "user-1", 9, Some(5)),
        ("another's", "user-2", 4, None),
        ("with less than the room holds", "user-1", 3, None),
    ];
    for (number, (what, subject, last, next)) in cases.into_iter().enumerate() {
        let member = MemberId(100 + number as u64);
        let open = Open { claim: Some(Claim { last, ..claim.clone() }), ..hall.open(100) };
        let (session, since) = (1, hall.clock.monotonic);
        let (subject, role, seen) = (subject.into(), Role::Editor, Vec::new());
        let join = Join { member, session, since, subject, role, open, seen };
        hall.room.join(hall.clock, join).expect("it is let in");
        let Some(Frame::Opened(opened)) = hall.read(member.0).into_iter().next() else { panic!("Opened comes first") };
        let lease = opened.lease.expect("an editor's lease");
        assert_eq!((lease.actor == claim.actor).then_some(lease.next), next, "{what}");
        hall.room.leave(hall.clock, member);
    }
}
