//! Copies of batches that come as datagrams.

use super::*;
use crate::copies::CopyFate::{self, First, Late, Passed};

fn copy(hall: &mut Hall, id: u64, batch: &Batch) -> Option<CopyFate> {
    let frame = frame::Batch::new(batch.clone(), None);
    hall.room.receive_datagram(hall.clock, MemberId(id), frame.into())
}

#[test]
fn a_copy_goes_to_everybody_and_its_batch_is_dropped() {
    let mut hall = Hall::editors(&[1, 2]);
    let one = hall.edit(1, "one");
    let two = hall.edit(1, "two ");
    assert_eq!(copy(&mut hall, 1, &two[0]), Some(Passed), "what goes before it is not there");
    assert_eq!(copy(&mut hall, 1, &one[0]), Some(First));
    assert_eq!((hall.numbers(2), hall.text(2)), (vec![frame::Batch::NUMBER], "one".into()));
    assert_eq!(hall.numbers(1), [frame::Received::NUMBER]);
    assert_eq!(copy(&mut hall, 1, &one[0]), Some(Late));
    hall.send(1, &one);
    hall.send(1, &two);
    assert_eq!((hall.numbers(2), hall.text(2)), (vec![frame::Batch::NUMBER], "two one".into()));
    assert_eq!(copy(&mut hall, 1, &two[0]), Some(Late));
    hall.give();
    assert_eq!(hall.records.len(), 2, "each is stored once");
}

#[test]
fn a_lane_whose_batches_came_as_copies_still_may_not_jump() {
    let mut hall = Hall::editors(&[1]);
    let batches: Vec<_> = ["a", "b", "c"].iter().flat_map(|text| hall.edit(1, text)).collect();
    hall.send(1, &batches[..1]);
    assert_eq!(copy(&mut hall, 1, &batches[1]), Some(First));
    let third = frame::Batch::new(batches[2].clone(), None);
    let jumped = hall.room.receive(hall.clock, MemberId(1), third.into());
    assert_eq!(jumped.map_err(|(code, _)| code), Err(Code::CounterGap));
}

#[test]
fn a_copy_that_may_not_be_taken_is_passed_over_without_a_word() {
    let mut hall = Hall::editors(&[1, 2]);
    hall.join(3, Role::Viewer);
    let good = hall.edit(1, "one").remove(0);
    let mut bad = good.clone();
    bad.operations = Bytes::from_static(b"no operations");
    let mut stranger = good.clone();
    stranger.actor = Actor(77);
    for (what, id, batch) in [
        ("malformed", 1, &bad),
        ("of another's actor", 2, &good),
        ("of nobody's actor", 1, &stranger),
        ("of a viewer", 3, &good),
        ("of who is not there", 9, &good),
    ] {
        assert_eq!(copy(&mut hall, id, batch), Some(Passed), "{what}");
    }
    for id in 1..=3 {
        assert_eq!(hall.numbers(id), [0u8; 0], "member {id} hears nothing");
    }
    hall.send(1, &[bad]);
    assert_eq!(refusal(&hall.read(1)), Some(Code::BadBatch), "the lane is answered");
    assert_eq!(copy(&mut hall, 1, &good), Some(Passed), "the actor is retired");
}

#[test]
fn a_full_room_takes_no_copies() {
    let config = RoomConfig { undurable_bytes: 700, ..RoomConfig::default() };
    let mut hall = Hall::new(config);
    hall.join(1, Role::Editor);
    let batches: Vec<_> = (0..4).flat_map(|_| hall.edit(1, "x")).collect();
    let fates: Vec<_> = batches.iter().map(|batch| copy(&mut hall, 1, batch)).collect();
    assert_eq!(fates, [Some(First), Some(First), Some(Passed), Some(Passed)]);
    hall.send(1, &batches);
    hall.read(1);
    hall.give();
    hall.store();
    let asked = hall.read(1).into_iter().any(|frame| frame == frame::ResendFrom { counter: batches[2].first }.into());
    assert!(asked, "what was dropped is asked for once there is room");
    hall.room.set_paused(true);
    assert_eq!(copy(&mut hall, 1, &batches[2]), Some(Passed), "nor does one that is short of memory");
    hall.room.set_paused(false);
    assert_eq!(copy(&mut hall, 1, &batches[2]), Some(First));
}
