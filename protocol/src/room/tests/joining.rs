use super::*;

const JOIN: [u8; 2] = [frame::Opened::NUMBER, frame::Synced::NUMBER];

#[test]
fn who_joins_gets_what_it_lacks_and_then_everything() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "first ");
    hall.store();
    assert!(hall.fold());
    hall.write(1, "second ");
    let frames = hall.join(2, Role::Viewer);
    let numbers: Vec<_> = frames.iter().map(Frame::number).collect();
    assert_eq!(
        numbers,
        [frame::Opened::NUMBER, frame::Snapshot::NUMBER, frame::Batch::NUMBER, frame::Synced::NUMBER],
        "snapshot, then the tail"
    );
    let Frame::Opened(opened) = &frames[0] else { panic!() };
    assert_eq!((opened.role, &opened.lease), (Role::Viewer, &None));
    let Frame::Snapshot(chunk) = &frames[1] else { panic!() };
    assert_eq!(opened.base.as_ref().map(|base| base.bytes), Some(chunk.bytes.len() as u64));
    assert_eq!(hall.text(2), hall.text(1));
    hall.write(1, "third ");
    hall.read(2);
    assert_eq!(hall.text(2), hall.text(1));
}

#[test]
fn who_comes_back_with_everything_gets_nothing() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "text");
    hall.store();
    hall.join(2, Role::Viewer);
    hall.room.leave(hall.clock, MemberId(2));
    let mut open = hall.open(2);
    open.durable = open.vector.clone();
    hall.try_join(2, Role::Viewer, open).expect("it is let in");
    assert_eq!(hall.numbers(2), JOIN);
    hall.room.leave(hall.clock, MemberId(2));
    assert_eq!(
        hall.join(2, Role::Viewer).iter().map(Frame::number).collect::<Vec<_>>(),
        [frame::Opened::NUMBER, frame::Durable::NUMBER, frame::Synced::NUMBER],
        "what it did not know to be durable"
    );
}

#[test]
fn who_comes_back_after_a_fold_gets_the_difference() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, &"long ".repeat(2_000));
    hall.join(2, Role::Viewer);
    hall.room.leave(hall.clock, MemberId(2));
    hall.write(1, "short ");
    hall.store();
    assert!(hall.fold());
    let frames = hall.join(2, Role::Viewer);
    let Some(Frame::Snapshot(chunk)) = frames.get(1) else { panic!("a difference comes") };
    assert!(chunk.bytes.len() < 1_000, "{} bytes for six", chunk.bytes.len());
    assert_eq!(hall.text(2), hall.text(1));
}

#[test]
fn joiners_share_one_encoding_of_the_snapshot() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "text");
    hall.store();
    assert!(hall.fold());
    let mut chunk = |id| {
        let open = hall.open(id);
        hall.try_join(id, Role::Viewer, open).expect("it is let in");
        let mut frames = Vec::new();
        hall.room.poll_transmit(hall.clock, MemberId(id), 1 << 20, &mut frames);
        frames[1].as_ptr()
    };
    assert_eq!(chunk(2), chunk(3));
}

#[test]
fn a_fold_does_not_start_a_transfer_anew() {
    let mut hall = Hall::editors(&[1]);
    // Nothing that a snapshot could make smaller than a chunk.
    let mut random = Random::new(1);
    let noise: String = (0..60_000).filter_map(|_| char::from_u32(0x4e00 + random.below(0x4000) as u32)).collect();
    hall.write(1, &noise);
    hall.store();
    assert!(hall.fold());
    let open = hall.open(2);
    hall.try_join(2, Role::Viewer, open).expect("it is let in");
    let mut frames = Vec::new();
    // Opened and the first chunk.
    for _ in 0..2 {
        hall.room.poll_transmit(hall.clock, MemberId(2), 1, &mut frames);
    }
    hall.write(1, "meanwhile ");
    hall.store();
    assert!(hall.fold());
    let mut rest = Vec::new();
    while hall.room.poll_transmit(hall.clock, MemberId(2), 1, &mut rest) > 0 {}
    let chunks: Vec<_> = frames
        .iter()
        .chain(&rest)
        .filter_map(|bytes| match Frame::decode(bytes) {
            Ok(Frame::Snapshot(chunk)) => Some((chunk.index, chunk.last, chunk.bytes.len())),
            _ => None,
        })
        .collect();
    assert!(chunks.len() >= 3, "{chunks:?}");
    assert_eq!((chunks[0].0, chunks[1].0), (0, 1), "the transfer goes on: {chunks:?}");
    let (index, last, bytes) = chunks[chunks.len() - 1];
    assert!(index == 0 && last && bytes < 1_000, "and a small difference follows: {chunks:?}");
}

#[test]
fn a_slow_reader_loses_its_place_and_comes_back_whole() {
    let config = RoomConfig { member_bytes: 2_000, ..RoomConfig::default() };
    let mut hall = Hall::new(config);
    (1..=3).for_each(|id| drop(hall.join(id, Role::Editor)));
    for number in 0..50 {
        hall.write(1, &format!("{number} "));
        if number == 45 {
            hall.read(3);
        }
    }
    hall.store();
    assert!(hall.fold());
    assert!(hall.room.usage().tail_bytes <= 2_000, "{:?}", hall.room.usage());
    let near = hall.numbers(3);
    assert_eq!(near, [frame::Batch::NUMBER; 4], "who is near keeps its place");
    let far = hall.numbers(2);
    assert_eq!(far, [frame::Snapshot::NUMBER, frame::Synced::NUMBER]);
    hall.write(1, "after ");
    hall.read(2);
    hall.read(3);
    assert_eq!((hall.text(2), hall.text(3)), (hall.text(1), hall.text(1)));
    hall.store();
    assert!(hall.room.usage().tail_bytes < 1_000, "{:?}", hall.room.usage());
}

#[test]
fn a_room_that_is_loaded_goes_on() {
    let mut hall = Hall::editors(&[1]);
    hall.write(1, "first ");
    hall.store();
    let folded = {
        let input = hall.room.fold_now().expect("there is something");
        let bytes = fold(None, &input.batches).expect("it folds");
        (Snapshot::parse(bytes).expect("a snapshot"), input.actors)
    };
    hall.write(1, "second ");
    hall.write(1, "third ");
    hall.give();
    // As the store may give it: a row that is covered already, the rest in another order, and one beyond a gap.
    let mut batches = hall.records.clone();
    batches.reverse();
    let beyond = hall.edit(1, "lost").last().map(|batch| Batch { first: batch.first + 100, ..batch.clone() });
    batches.extend(beyond.map(|batch| LogRecord::new(batch, "user-1".into(), 0)));
    let loaded = Loaded { snapshot: Some(folded.0), actors: folded.1, batches };
    let mut again = Hall::load(RoomConfig::default(), loaded);
    assert_eq!(again.room.unusable_records(), 1);
    assert!(again.room.is_idle());
    again.join(2, Role::Viewer);
    assert_eq!(again.text(2), "third second first ");
    let text = again
        .room
        .tail
        .range(0, 9)
        .filter(|entry| {
            Frame::decode(&entry.frame)
                .is_ok_and(|frame| matches!(frame, Frame::Batch(batch) if batch.receipt.is_none()))
        })
        .count();
    assert_eq!(text, 2, "what is durable has no receipt");
    // The actor of the snapshot is still its subject's.
    let claim = hall.open(1).claim;
    let open = Open { claim: claim.map(|claim| Claim { last: 500, ..claim }), ..again.open(3) };
    again.try_join(3, Role::Editor, open.clone()).expect("it is let in");
    let foreign = again.read(3);
    let Frame::Opened(opened) = &foreign[0] else { panic!() };
    assert_ne!(opened.lease.as_ref().map(|lease| lease.actor), open.claim.map(|claim| claim.actor));
}

#[test]
fn what_does_not_fit_the_room_is_turned_away() {
    let mut hall = Hall::editors(&[1]);
    let other = Open { incarnation: Some(7), ..hall.open(2) };
    assert_eq!(hall.try_join(2, Role::Viewer, other).map_err(|(code, _)| code), Err(Code::IncarnationMismatch));
    let mut ahead = hall.open(2);
    ahead.durable.dots.insert(inkwire_document::Actor(5), 1);
    assert_eq!(hall.try_join(2, Role::Viewer, ahead).map_err(|(code, _)| code), Err(Code::StoreRolledBack));
    assert_eq!(hall.room.usage().members, 1);
}

#[test]
fn the_latest_time_survives_a_fold_and_a_load() {
    let mut hall = Hall::editors(&[1]);
    hall.clock.unix_millis += 86_400_000;
    let edit = map_batch(&mut hall, 1, START_MILLIS + 86_400_000);
    hall.send(1, &edit);
    hall.store();
    let input = hall.room.fold_now().expect("there is something");
    let snapshot = Snapshot::parse(fold(None, &input.batches).expect("it folds")).expect("a snapshot");
    let loaded = Loaded { snapshot: Some(snapshot), actors: input.actors, batches: Vec::new() };
    // A relay whose clock is a day behind.
    let mut again = Hall::load(RoomConfig::default(), loaded);
    again.join(2, Role::Editor);
    let edit = map_batch(&mut again, 2, START_MILLIS + 86_400_001);
    again.send(2, &edit);
    assert_eq!(refusal(&again.read(2)), None);
}

#[test]
fn a_vector_of_thousands_of_actors_spans_frames() {
    let write = |actor| {
        let mut document = Document::new();
        document.set_actor(inkwire_document::Actor(u64::MAX - actor), 1);
        document.insert("body", Position::Scalar(0), "x").expect("an insert");
        LogRecord::new(document.take_batches().remove(0), "somebody".into(), 0)
    };
    let loaded = Loaded { batches: (0..7_000).map(write).collect(), ..Loaded::default() };
    let mut hall = Hall::load(RoomConfig::default(), loaded);
    let open = hall.open(1);
    hall.try_join(1, Role::Viewer, open).expect("it is let in");
    let mut bytes = Vec::new();
    while hall.room.poll_transmit(hall.clock, MemberId(1), 1 << 20, &mut bytes) > 0 {}
    assert!(bytes.iter().all(|frame| frame.len() <= crate::limits::MAX_FRAME_BYTES));
    let frames: Vec<_> = bytes.iter().map(|frame| Frame::decode(frame).expect("a frame")).collect();
    let mut part = VersionVector::new();
    let mut whole = Vec::new();
    for frame in frames {
        match frame {
            Frame::Vector(vector) => part.dots.extend(vector.part.dots),
            Frame::Opened(frame::Opened { vector, .. }) | Frame::Synced(frame::Synced { vector }) => {
                part.dots.extend(vector.dots);
                whole.push(std::mem::take(&mut part).dots.len());
            }
            _ => {}
        }
    }
    assert_eq!(whole, [7_000, 7_000]);
}

#[test]
fn who_loses_its_actor_to_a_newer_session_is_told_at_once() {
    let mut hall = Hall::editors(&[1]);
    let open = hall.open(1);
    let claimed = open.claim.as_ref().expect("a claim").actor;
    let join = Join {
        member: MemberId(9),
        session: 9,
        since: hall.clock.monotonic,
        subject: "user-1".into(),
        role: Role::Editor,
        open,
        seen: Vec::new(),
    };
    hall.room.join(hall.clock, join).expect("its ticket is good");
    let told = hall.read(1);
    let refused = told.iter().find_map(|frame| match frame {
        Frame::Refused(refused) => Some((refused.actor, refused.first, refused.code)),
        _ => None,
    });
    assert_eq!(refused, Some((claimed, 1, Code::ActorReused)));
}
