use super::*;
use crate::frame::Offer;

fn durable(frames: &[Frame]) -> Vec<(u64, u64)> {
    let vectors = frames.iter().filter_map(|frame| match frame {
        Frame::Durable(durable) => Some(&durable.vector),
        _ => None,
    });
    vectors.flat_map(|vector| vector.dots.iter().map(|(actor, counter)| (actor.0, *counter))).collect()
}

#[test]
fn durable_is_said_when_it_is_stored_to_the_author_first() {
    let mut hall = Hall::editors(&[1, 2]);
    hall.write(1, "abc");
    let actor = hall.documents[&1].actor().expect("it writes").0;
    hall.read(1);
    hall.read(2);
    hall.give();
    hall.wait(1_000);
    assert_eq!((durable(&hall.read(1)), durable(&hall.read(2))), (vec![], vec![]), "not before it is");
    hall.store();
    assert_eq!(hall.ready(), [1]);
    assert_eq!((durable(&hall.read(1)), durable(&hall.read(2))), (vec![(actor, 3)], vec![]));
    hall.wait(200);
    assert_eq!(hall.ready(), [1, 2]);
    assert_eq!(durable(&hall.read(2)), [(actor, 3)]);
}

#[test]
fn a_store_that_ends_out_of_order_is_believed_in_order() {
    let mut hall = Hall::editors(&[1, 2]);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        hall.write(1, "x");
        numbers.extend(hall.give());
    }
    hall.read(1);
    hall.room.stored_group(hall.clock, numbers[2], numbers[2]);
    hall.room.stored_group(hall.clock, numbers[1], numbers[1]);
    assert_eq!(durable(&hall.read(1)), []);
    hall.room.stored_group(hall.clock, numbers[0], numbers[0]);
    assert_eq!(durable(&hall.read(1)).last().map(|(_, counter)| *counter), Some(3));
    assert_eq!(hall.room.usage().undurable_bytes, 0);
}

#[test]
fn a_full_room_takes_nothing_loses_nothing_and_asks_again() {
    let mut hall = Hall::new(RoomConfig { undurable_bytes: 2_000, ..RoomConfig::default() });
    hall.join(1, Role::Editor);
    let all: Vec<_> = (0..20).flat_map(|number| hall.edit(1, &format!("{number} "))).collect();
    hall.send(1, &all);
    assert!(hall.room.usage().undurable_bytes <= 2_000);
    for _ in 0..20 {
        hall.store();
        let resend = hall.read(1).into_iter().find_map(|frame| match frame {
            Frame::ResendFrom(resend) => Some(resend.counter),
            _ => None,
        });
        let Some(counter) = resend else { break };
        let rest: Vec<_> = all.iter().filter(|batch| batch.first >= counter).cloned().collect();
        hall.send(1, &rest);
    }
    hall.join(2, Role::Viewer);
    assert_eq!(hall.text(2), hall.text(1));
}

#[test]
fn what_was_seen_and_lost_is_offered_and_taken_in_any_order() {
    let mut hall = Hall::editors(&[1, 2]);
    hall.write(1, "one ");
    hall.read(2);
    hall.write(2, "two ");
    let seen_by_1 = batches(&hall.read(1));
    let own = |hall: &mut Hall| hall.documents[&1].clone();
    let old = own(&mut hall);

    // The relay comes back with nothing. Member 1 offers what refers to its own batch, then sends that.
    let mut after = Hall::new(RoomConfig::default());
    after.documents.insert(1, old);
    after.join(1, Role::Editor);
    after.join(3, Role::Viewer);
    after.join(4, Role::Viewer);
    let offer = |batch: &frame::Batch| {
        let (batch, receipt) = batch.clone().into_parts();
        Offer::new(batch, receipt.expect("what is not durable has a receipt"))
    };
    let offered = offer(&seen_by_1[0]);
    after.room.receive(after.clock, MemberId(3), offered.clone().into()).expect("a viewer may offer");
    assert_eq!(batches(&after.read(4)), [], "it waits");
    assert!(after.room.usage().waiting_bytes > 0);
    let record = hall.give().map(|_| hall.records[0].batch.clone()).expect("what member 1 wrote");
    after.send(1, &[record]);
    after.read(4);
    assert_eq!((after.text(4), after.room.usage().waiting_bytes), (hall.text(1), 0));
    after.give();
    let subjects: Vec<_> = after.records.iter().map(|record| record.subject.to_string()).collect();
    assert_eq!(subjects, ["user-1", "user-2"], "an offer is its author's, not its bearer's");

    // Again, and forged.
    after.room.receive(after.clock, MemberId(3), offered.clone().into()).expect("a duplicate");
    assert_eq!(refusal(&after.read(3)), None);
    let forged = Offer { first: 100, ..offered };
    after.room.receive(after.clock, MemberId(3), forged.into()).expect("the lane stays open");
    assert_eq!(refusal(&after.read(3)), Some(Code::BadReceipt));
    assert_eq!(after.give(), None);
}

#[test]
fn an_offer_waits_as_long_as_one_who_made_it_is_there() {
    let mut hall = Hall::editors(&[1, 2]);
    hall.write(1, "one ");
    hall.read(2);
    hall.write(2, "two ");
    let seen = batches(&hall.read(1));
    let own = hall.give().map(|_| hall.records[0].batch.clone()).expect("what member 1 wrote");

    let mut after = Hall::new(RoomConfig::default());
    after.documents.insert(1, hall.documents[&1].clone());
    after.join(1, Role::Editor);
    let (batch, receipt) = seen[0].clone().into_parts();
    let offer = Offer::new(batch, receipt.expect("a receipt"));
    for id in [3, 4] {
        after.join(id, Role::Viewer);
        after.room.receive(after.clock, MemberId(id), offer.clone().into()).expect("a viewer may offer");
    }
    let waits = after.room.usage().waiting_bytes;
    after.room.leave(after.clock, MemberId(3));
    assert_eq!(after.room.usage().waiting_bytes, waits, "4 believes that it was taken");
    after.send(1, &[own]);
    assert_eq!(after.room.usage().waiting_bytes, 0);
    after.join(5, Role::Viewer);
    assert_eq!(after.text(5), hall.text(1));

    let mut after = Hall::new(RoomConfig::default());
    after.join(3, Role::Viewer);
    after.room.receive(after.clock, MemberId(3), offer.into()).expect("a viewer may offer");
    after.room.leave(after.clock, MemberId(3));
    assert_eq!(after.room.usage().waiting_bytes, 0, "it comes again with who made it");
}

#[test]
fn a_store_that_fails_ends_the_room_for_everybody() {
    let mut hall = Hall::editors(&[1, 2]);
    hall.write(1, "lost");
    hall.read(1);
    hall.room.store_failed(hall.clock, "the disk is full");
    assert_eq!(hall.ready(), [1, 2]);
    for id in [1, 2] {
        let frames = hall.read(id);
        assert!(
            frames.iter().any(|frame| matches!(frame, Frame::Close(close) if close.code == Code::StoreUnavailable))
        );
    }
    let refused = hall.room.receive(hall.clock, MemberId(1), frame::Presence { sequence: 1, state: None }.into());
    assert_eq!(refused.map_err(|(code, _)| code), Err(Code::StoreUnavailable));
    let open = hall.open(3);
    assert_eq!(hall.try_join(3, Role::Viewer, open).map_err(|(code, _)| code), Err(Code::StoreUnavailable));
}

#[test]
fn a_room_is_idle_when_nobody_is_there_and_all_is_stored() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "x");
    hall.room.leave(hall.clock, MemberId(1));
    assert!(!hall.room.is_idle());
    hall.store();
    assert!(hall.room.is_idle());
    let input = hall.room.fold_now().expect("there is something to fold");
    assert_eq!(input.actors.len(), 1);
    assert!(!hall.room.is_idle(), "a fold is under way");
    hall.room.fold_failed();
    assert!(hall.room.is_idle());
}
