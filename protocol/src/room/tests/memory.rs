//! What a room gives back, and what its writers are told meanwhile.

use super::*;

fn paused(frames: &[Frame]) -> Vec<(u64, Option<Code>)> {
    let received = |frame: &Frame| match frame {
        Frame::Received(received) => Some((received.counter, received.paused)),
        _ => None,
    };
    frames.iter().filter_map(received).collect()
}

fn resend(frames: &[Frame]) -> Option<u64> {
    frames.iter().find_map(|frame| match frame {
        Frame::ResendFrom(resend) => Some(resend.counter),
        _ => None,
    })
}

#[test]
fn writers_of_a_full_room_are_told_that_it_is_and_that_it_no_longer_is() {
    for by_hand in [false, true] {
        let undurable_bytes = if by_hand { 8 << 20 } else { 400 };
        let mut hall = Hall::new(RoomConfig { undurable_bytes, ..RoomConfig::default() });
        hall.join(1, Role::Editor);
        hall.write(1, "abc");
        assert_eq!(paused(&hall.read(1)), [(3, None)]);
        if by_hand {
            hall.room.set_paused(true);
        }
        let late: Vec<_> = (0..3).flat_map(|_| hall.edit(1, "def")).collect();
        hall.send(1, &late);
        let held = if by_hand { 3 } else { late[0].last() - 3 };
        assert_eq!(paused(&hall.read(1)), [(held, Some(Code::Overloaded))], "once, by hand: {by_hand}");
        assert!(hall.room.take_drops().batches > 0);
        hall.store();
        if by_hand {
            assert_eq!(paused(&hall.read(1)), [], "what is stored changes nothing");
            hall.room.set_paused(false);
        }
        let told = hall.read(1);
        assert_eq!((paused(&told), resend(&told)), (vec![(held, None)], Some(held + 1)));
    }
}

/// A room whose snapshot has several frames, and member 3 in the middle of being sent it.
fn mid_transfer() -> Hall {
    let mut hall = Hall::new(RoomConfig { member_bytes: 1 << 30, ..RoomConfig::default() });
    hall.join(1, Role::Editor);
    // Nothing that a snapshot could compress to one frame.
    let mut random = Random::new(1);
    let letters = std::iter::repeat_with(|| char::from_u32(0x4e00 + random.below(20_000) as u32).expect("a letter"));
    let long: String = letters.take(100_000).collect();
    hall.write(1, &long);
    hall.store();
    assert!(hall.fold());
    let open = hall.open(3);
    hall.try_join(3, Role::Viewer, open).expect("it is let in");
    hall
}

#[test]
fn readers_give_back_what_is_kept_for_them_alone_and_miss_nothing() {
    let mut hall = mid_transfer();
    hall.join(2, Role::Viewer);
    let mut begun = Vec::new();
    hall.room.poll_transmit(hall.clock, MemberId(3), 70_000, &mut begun);
    assert_eq!(hall.room.shed_readers(), 0, "nothing is kept for anybody alone");
    assert_eq!(hall.room.take_drops().readers, 0);

    // Member 2 lags in what is folded, member 3 is sent a snapshot that a fold has replaced.
    for _ in 0..50 {
        hall.write(1, "more ");
    }
    hall.store();
    assert!(hall.fold());
    hall.read(1);
    let usage = hall.room.usage();
    assert!(usage.kept_bytes > 10_000 && usage.pinned_bytes > 100_000, "{usage:?}");
    let freed = hall.room.shed_readers();
    assert_eq!(freed, usage.kept_bytes + usage.pinned_bytes);
    assert_eq!(hall.room.take_drops().readers, 2);
    let usage = hall.room.usage();
    assert_eq!((usage.kept_bytes, usage.pinned_bytes), (0, 0), "{usage:?}");
    assert_eq!(hall.room.shed_readers(), 0);

    let frames = hall.read(3);
    assert!(frames.iter().any(|frame| matches!(frame, Frame::Snapshot(chunk) if chunk.index == 0)));
    hall.read(2);
    hall.write(1, "last ");
    hall.read(2);
    hall.read(3);
    assert_eq!((hall.text(2), hall.text(3)), (hall.text(1), hall.text(1)));
}
