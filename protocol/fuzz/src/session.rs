use std::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use inkwire_protocol::session::{Event, MAX_WAITING_FRAMES, Session, SessionConfig, Welcome};
use inkwire_protocol::{Clock, Code, Frame};

use super::choose::{self, Pool};

/// The control lane under whatever comes: it ends once, says why last, and owes no more than it may.
pub fn session(data: &[u8]) {
    let _out_of_bytes = run(&mut Unstructured::new(data));
}

fn run(choices: &mut Unstructured<'_>) -> Result<()> {
    let mut clock = Clock { monotonic: Duration::from_secs(100), unix_millis: 1_764_000_000_000 };
    let mut session = Session::new(SessionConfig::default(), clock);
    let pool = Pool::default();
    let (mut ended, mut said_close) = (false, false);
    for _ in 0..200 {
        match choices.int_in_range(0..=9)? {
            0 => clock.monotonic += Duration::from_millis(choices.arbitrary::<u16>()?.into()),
            1 => session.handle_timeout(clock),
            2 => {
                let _counted = session.document_opened(clock);
            }
            3 => session.document_closed(),
            4 => session.close(Code::from(choices.arbitrary::<u16>()? % 40), choices.arbitrary()?),
            5 => session.go_away(choices.arbitrary()?, Duration::from_millis(250), None),
            6 => session.heard(clock),
            7 => {
                let length = choices.int_in_range(0..=32)?.min(choices.len());
                if let Ok(frame) = Frame::decode(&Bytes::copy_from_slice(choices.bytes(length)?)) {
                    session.receive(clock, frame);
                }
            }
            _ => session.receive(clock, choose::frame(choices, &pool)?),
        }
        assert!(session.waiting() <= MAX_WAITING_FRAMES + 4, "{} frames wait", session.waiting());
        while let Some(event) = session.poll_event() {
            assert!(!ended, "{event:?} after the end");
            match event {
                Event::Authenticate { refresh: false, .. } if choices.arbitrary().unwrap_or(false) => {
                    let welcome = Welcome {
                        session: 1,
                        node: "n".to_owned(),
                        subject: "ada".to_owned(),
                        limits: Default::default(),
                        expires_in: Duration::from_secs(60),
                    };
                    session.welcome(clock, welcome);
                }
                Event::Authenticate { refresh: true, .. } if choices.arbitrary().unwrap_or(false) => {
                    session.token_accepted(clock, Duration::from_secs(choices.arbitrary::<u8>().unwrap_or(1).into()));
                }
                Event::Closed { .. } => ended = true,
                _ => {}
            }
        }
        if choices.arbitrary().unwrap_or(true) {
            while let Some(frame) = session.poll_transmit() {
                assert!(!said_close, "Close is the last frame");
                said_close = matches!(Frame::decode(&frame).expect("a frame of ours"), Frame::Close(_));
            }
        }
        assert!(!ended || !session.is_open());
    }
    Ok(())
}
