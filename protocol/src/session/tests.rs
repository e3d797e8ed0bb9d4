use super::*;

const START: Duration = Duration::from_secs(1_000);

fn at(millis: u64) -> Clock {
    Clock { monotonic: START + Duration::from_millis(millis), unix_millis: 1_700_000_000_000 + millis }
}

fn hello(versions: &[u64]) -> Frame {
    frame::Hello { versions: versions.to_vec(), token: "token".into(), agent: "test".into() }.into()
}

fn opened() -> Session {
    let mut session = Session::new(SessionConfig::default(), at(0));
    session.receive(at(0), hello(&[VERSION]));
    let authenticate = Event::Authenticate { token: "token".into(), agent: "test".into(), refresh: false };
    assert_eq!(session.poll_event(), Some(authenticate));
    let welcome = Welcome {
        session: 7,
        node: "node".into(),
        subject: "alice".into(),
        limits: OrderedMap::new(),
        expires_in: Duration::from_secs(60),
    };
    session.welcome(at(0), welcome);
    assert_eq!(numbers(&mut session), [frame::Welcome::NUMBER, frame::TokenAccepted::NUMBER]);
    session
}

fn frames(session: &mut Session) -> Vec<Frame> {
    std::iter::from_fn(|| session.poll_transmit()).map(|bytes| Frame::decode(&bytes).expect("a frame")).collect()
}

fn numbers(session: &mut Session) -> Vec<u8> {
    frames(session).iter().map(Frame::number).collect()
}

/// The code that the session ended with, as the client is told and as the shell is.
fn ended(session: &mut Session) -> Option<Code> {
    let told = frames(session).into_iter().find_map(|frame| match frame {
        Frame::Close(close) => Some(close.code),
        _ => None,
    });
    let event = std::iter::from_fn(|| session.poll_event()).find_map(|event| match event {
        Event::Closed { code, .. } => Some(code),
        _ => None,
    });
    assert_eq!(told, event);
    assert_eq!(told.is_some(), session.is_closed());
    told
}

#[test]
fn frames_out_of_place_close_the_session_with_their_code() {
    type Case = (&'static str, fn() -> Session, Frame, Code);
    let cases: [Case; 6] = [
        ("a first frame that is not Hello", fresh, frame::Ping { nonce: 1 }.into(), Code::UnexpectedFrame),
        ("no version in common", fresh, hello(&[99]), Code::UnsupportedVersion),
        ("a second Hello", opened, hello(&[VERSION]), Code::UnexpectedFrame),
        ("a document's frame", opened, frame::CloseDocument {}.into(), Code::UnexpectedFrame),
        ("a frame before Welcome", checking, frame::Ping { nonce: 1 }.into(), Code::UnexpectedFrame),
        (
            "a token over its limit",
            opened,
            frame::Token { token: "x".repeat(MAX_TOKEN_BYTES + 1) }.into(),
            Code::Unauthorized,
        ),
    ];
    for (what, session, frame, code) in cases {
        let mut session = session();
        session.receive(at(1), frame);
        assert_eq!(ended(&mut session), Some(code), "{what}");
        session.receive(at(2), frame::Ping { nonce: 2 }.into());
        assert_eq!(session.poll_transmit(), None, "{what}: nothing is said after Close");
    }
}

fn fresh() -> Session {
    Session::new(SessionConfig::default(), at(0))
}

fn checking() -> Session {
    let mut session = fresh();
    session.receive(at(0), hello(&[VERSION]));
    session
}

#[test]
fn the_first_token_is_checked_in_time_or_not_at_all() {
    for (make, code) in [(fresh as fn() -> Session, Code::LivenessTimeout), (checking, Code::Overloaded)] {
        let mut session = make();
        assert_eq!(session.poll_timeout(), Some(START + Duration::from_secs(10)));
        session.handle_timeout(at(9_999));
        assert_eq!(ended(&mut session), None);
        session.handle_timeout(at(10_000));
        assert_eq!(ended(&mut session), Some(code));
        assert_eq!(session.poll_timeout(), None);
    }
}

#[test]
fn silence_matters_only_while_a_document_is_open() {
    let mut session = opened();
    session.handle_timeout(at(30_000));
    assert_eq!((numbers(&mut session), session.is_open()), (vec![], true));

    session.document_opened(at(30_000)).expect("the first document");
    session.handle_timeout(at(31_999));
    assert_eq!(numbers(&mut session), []);
    session.handle_timeout(at(32_000));
    assert_eq!(numbers(&mut session), [frame::Ping::NUMBER], "however much was written meanwhile");
    session.handle_timeout(at(33_000));
    assert_eq!(numbers(&mut session), [], "one ping in two seconds");
    session.heard(at(33_000));
    assert_eq!(session.poll_timeout(), Some(START + Duration::from_millis(35_000)));
    session.handle_timeout(at(34_900));
    assert_eq!(numbers(&mut session), [], "something was heard");
    session.handle_timeout(at(35_000));
    session.handle_timeout(at(37_000));
    assert_eq!(numbers(&mut session), [frame::Ping::NUMBER; 2]);
    session.handle_timeout(at(39_000));
    assert_eq!(ended(&mut session), Some(Code::LivenessTimeout));
}

#[test]
fn a_ping_is_answered_and_a_goodbye_is_not() {
    let mut session = opened();
    session.receive(at(1), frame::Ping { nonce: 9 }.into());
    assert_eq!(frames(&mut session), [frame::Pong { nonce: 9 }.into()]);
    session.receive(at(2), frame::Close { code: Code::None, reason: "bye".into() }.into());
    assert_eq!(numbers(&mut session), []);
    assert_eq!(session.poll_event(), Some(Event::Closed { code: Code::None, reason: "bye".into() }));
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let mut session = opened();
    for _ in 0..MAX_WAITING_FRAMES {
        session.receive(at(1), frame::Ping { nonce: 9 }.into());
    }
    assert_eq!((session.waiting(), session.is_open()), (MAX_WAITING_FRAMES, true));
    for _ in 0..10 {
        session.receive(at(1), frame::Ping { nonce: 9 }.into());
    }
    assert_eq!(session.waiting(), MAX_WAITING_FRAMES + 1, "and Close");
    assert_eq!(ended(&mut session), Some(Code::Overloaded));
}

#[test]
fn a_token_is_refreshed_or_its_session_ends() {
    let mut session = opened();
    session.receive(at(30_000), frame::Token { token: "second".into() }.into());
    let refresh = Event::Authenticate { token: "second".into(), agent: String::new(), refresh: true };
    assert_eq!(session.poll_event(), Some(refresh));
    session.token_accepted(at(30_000), Duration::from_secs(60));
    assert_eq!(frames(&mut session), [frame::TokenAccepted { expires_in_millis: 60_000 }.into()]);
    session.handle_timeout(at(94_999));
    assert!(session.is_open(), "60 s and the grace of 5 s are not over");
    session.handle_timeout(at(95_000));
    assert_eq!(ended(&mut session), Some(Code::TokenExpired));
}

#[test]
fn documents_are_counted() {
    let mut session = Session::new(SessionConfig { max_documents: 1, ..SessionConfig::default() }, at(0));
    assert_eq!(session.document_opened(at(0)).map_err(|(code, _)| code), Err(Code::UnexpectedFrame));
    session = opened();
    session.config.max_documents = 1;
    assert_eq!(session.document_opened(at(0)), Ok(()));
    assert_eq!(session.document_opened(at(0)).map_err(|(code, _)| code), Err(Code::TooManyDocuments));
    session.document_closed();
    assert_eq!(session.document_opened(at(0)), Ok(()));
}

#[test]
fn the_relay_says_that_it_leaves() {
    let mut session = opened();
    session.go_away(&"é".repeat(MAX_REASON_BYTES), Duration::from_millis(1_500), None);
    let [Frame::GoAway(leave)] = &frames(&mut session)[..] else { panic!("one GoAway") };
    assert_eq!((leave.reason.len(), leave.reconnect_after_millis), (MAX_REASON_BYTES, 1_500));
    assert!(session.is_open(), "until the client or the shell ends it");
}
