//! Every frame, wrong in every way: its sender is told the code that the protocol's page names, and nobody else notices.

use bytes::{BufMut as _, Bytes, BytesMut};
use inkwire_document::{Actor, Batch, Document, HybridTime, Position, Value};
use inkwire_protocol::limits::{MAX_FRAME_BYTES, MAX_PRESENCE_BYTES};
use inkwire_protocol::wire::{encode_length, encode_message, encode_stream};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};

use crate::peer::{BOTH, Over, Peer, open};
use crate::scene::{DOCUMENT, Scene, samples};

/// What the relay's memory may grow by while frames are refused: far less than what they claim.
const GROWTH: u64 = 64 << 20;

const ONE: Channel = Channel(1);

/// A way to be wrong, as it goes over the wire, and what its sender is told.
struct Wrong {
    what: &'static str,
    wire: Bytes,
    code: Code,
    /// The bytes cannot be split into frames: a WebSocket message then ends the session, as nobody knows whose lane it was for.
    unsplittable: bool,
}

fn wrongs(over: Over, channel: Channel, number: u8, sample: &Bytes) -> Vec<Wrong> {
    let wire = |frame: Vec<u8>| {
        let frame = Bytes::from(frame);
        match over {
            Over::WebTransport => encode_stream(&[frame]),
            Over::WebSocket => encode_message(channel, &[frame]),
        }
    };
    let large = match over {
        // The length alone: the frame never comes.
        Over::WebTransport => {
            let mut bytes = Vec::new();
            encode_length(MAX_FRAME_BYTES + 1, &mut bytes);
            bytes.extend_from_slice(&[0x92, number]);
            Bytes::from(bytes)
        }
        Over::WebSocket => {
            let mut frame = BytesMut::from(&[0x92, number, 0xc6][..]);
            frame.put_u32(MAX_FRAME_BYTES as u32);
            frame.put_bytes(0, MAX_FRAME_BYTES);
            encode_message(channel, &[frame.freeze()])
        }
    };
    let of = |what, frame, code, unsplittable| Wrong { what, wire: wire(frame), code, unsplittable };
    let truncated = sample[..sample.len() - 1].to_vec();
    let number_as_text = [&sample[..1], &[0xa1, b'x'], &sample[2..]].concat();
    let deep = [&[0x92, number][..], &[0x91; 33], &[0xc0]].concat();
    let claims = [&[0x92, number][..], &[0xdd, 0xff, 0xff, 0xff, 0xff]].concat();
    let mut wrongs = vec![
        of("truncated", truncated, Code::BadFrame, true),
        of("with a text for its number", number_as_text, Code::BadFrame, false),
        of("nested too deep", deep, Code::TooDeep, true),
        of("with a count beyond its end", claims, Code::BadFrame, true),
        Wrong { what: "oversized", wire: large, code: Code::FrameTooLarge, unsplittable: true },
    ];
    // A frame without elements ignores what a later version may add.
    if sample[0] != 0x91 {
        let fraction = [&[0x92, number][..], &[0xca, 0, 0, 0, 0]].concat();
        wrongs.push(of("with a fraction for its first element", fraction, Code::BadFrame, false));
    }
    wrongs
}

/// What a good frame of this number leads to where it does not belong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Closed(Code),
    Refused(Code),
    /// It is taken, or passed over.
    Nothing,
    /// The lane ends, as asked for.
    Left,
}

fn on_control(number: u8) -> Answer {
    match number {
        frame::Token::NUMBER => Answer::Closed(Code::Unauthorized),
        frame::Close::NUMBER => Answer::Left,
        frame::Ping::NUMBER | frame::Pong::NUMBER => Answer::Nothing,
        _ => Answer::Closed(Code::UnexpectedFrame),
    }
}

fn on_document(number: u8) -> Answer {
    match number {
        // The golden ones are of actors and with receipts that nobody here has.
        frame::Batch::NUMBER => Answer::Refused(Code::ForeignActor),
        frame::Offer::NUMBER => Answer::Refused(Code::BadReceipt),
        frame::Release::NUMBER | frame::Presence::NUMBER => Answer::Nothing,
        frame::Close::NUMBER | frame::CloseDocument::NUMBER => Answer::Left,
        _ => Answer::Closed(Code::UnexpectedFrame),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_told_and_goes_nowhere() {
    let mut scene = Scene::start("hostile-wrong", &[]).await;
    let token = scene.place.token("mallory", Role::Editor).await;
    scene.serves().await;
    let before = scene.memory();
    let samples = samples();
    for over in BOTH {
        let next = samples.keys().max().expect("there are samples") + 1;
        let unknown = [next, 100, 127].map(|number| (number, Bytes::from(vec![0x92, number, 0xc0])));
        for (number, sample) in samples.clone().into_iter().chain(unknown) {
            let known = samples.contains_key(&number);
            let name = format!("{over:?} frame {number}");
            for wrong in wrongs(over, Channel::CONTROL, number, &sample) {
                let mut peer = scene.place.welcomed(over, &token).await.expect("a session");
                peer.say_wire(Channel::CONTROL, &wrong.wire).await.expect("it is sent");
                assert_eq!(
                    peer.closed(Channel::CONTROL).await,
                    Some(told(&wrong, known)),
                    "{name} {}, control",
                    wrong.what
                );
            }
            for wrong in wrongs(over, ONE, number, &sample) {
                let mut peer = scene.place.welcomed(over, &token).await.expect("a session");
                peer.enter(ONE, DOCUMENT, Role::Editor).await;
                peer.say_wire(ONE, &wrong.wire).await.expect("it is sent");
                let ends = over == Over::WebSocket && wrong.unsplittable;
                let lane = if ends { Channel::CONTROL } else { ONE };
                assert_eq!(peer.closed(lane).await, Some(told(&wrong, known)), "{name} {}", wrong.what);
                assert!(ends || peer.lives().await, "{name} {}: the session goes on", wrong.what);
            }
            let (control, document) = if known {
                (on_control(number), on_document(number))
            } else {
                (Answer::Closed(Code::UnknownFrame), Answer::Closed(Code::UnknownFrame))
            };
            let mut peer = scene.place.welcomed(over, &token).await.expect("a session");
            peer.say_bytes(Channel::CONTROL, &sample).await.expect("it is sent");
            assert_answer(&mut peer, over, Channel::CONTROL, control, &format!("{name}, control")).await;
            let mut peer = scene.place.welcomed(over, &token).await.expect("a session");
            peer.enter(ONE, DOCUMENT, Role::Editor).await;
            peer.say_bytes(ONE, &sample).await.expect("it is sent");
            assert_answer(&mut peer, over, ONE, document, &name).await;
            assert!(peer.lives().await, "{name}: the session goes on");
            // Before anybody was welcomed, everything but `Hello` ends it.
            if number != frame::Hello::NUMBER && known {
                let mut peer = scene.place.peer(over).await.expect("a connection");
                peer.say_bytes(Channel::CONTROL, &sample).await.expect("it is sent");
                assert_eq!(peer.closed(Channel::CONTROL).await, Some(Code::UnexpectedFrame), "{name}, before Hello");
            }
        }
        scene.serves().await;
    }
    scene.is_untouched().await;
    let after = scene.memory();
    println!("hostile: {} KiB before, {} KiB after every frame was wrong", before >> 10, after >> 10);
    scene.memory_returns_to(before + GROWTH).await;
}

/// A number that is unknown is told before its elements are looked at.
fn told(wrong: &Wrong, known: bool) -> Code {
    if wrong.what == "with a fraction for its first element" && !known { Code::UnknownFrame } else { wrong.code }
}

async fn assert_answer(peer: &mut Peer, over: Over, channel: Channel, answer: Answer, name: &str) {
    match answer {
        Answer::Closed(code) => assert_eq!(peer.closed(channel).await, Some(code), "{name}"),
        Answer::Refused(code) => assert_eq!(peer.refused(channel).await, Some(code), "{name}"),
        Answer::Nothing => assert!(peer.lives().await, "{name}"),
        // A WebSocket's lane is closed in words; a stream, or a session, just ends.
        Answer::Left if over == Over::WebSocket && channel != Channel::CONTROL => {
            assert_eq!(peer.closed(channel).await, Some(Code::None), "{name}");
        }
        Answer::Left => assert_eq!(peer.closed(channel).await, None, "{name}"),
    }
}

/// One honest batch of `actor`: what is then changed about it.
fn batch_of(actor: Actor, text: &str) -> Batch {
    let mut document = Document::new();
    document.set_actor(actor, 1);
    document.insert("body", Position::Scalar(0), text).expect("an edit");
    document.take_batches().remove(0)
}

/// A batch of `actor` that refers to one that nobody has.
fn dangling(actor: Actor) -> Batch {
    let mut document = Document::new();
    document.apply(&batch_of(Actor(99), "nobody has this")).expect("it applies");
    document.set_actor(actor, 1);
    document.insert("body", Position::Scalar(4), "x").expect("an edit");
    document.take_batches().remove(0)
}

fn ahead(actor: Actor) -> Batch {
    let mut document = Document::new();
    document.set_actor(actor, 1);
    let time = HybridTime::from_millis(1 << 44);
    document.map_set("meta", "title", Value::Bool(true), time).expect("an edit");
    document.take_batches().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_and_goes_nowhere() {
    type Make = fn(Actor, Actor) -> Batch;
    let cases: [(&str, Role, Code, Make); 9] = [
        ("a viewer's", Role::Viewer, Code::ReadOnly, |_, _| batch_of(Actor(7), "x")),
        ("another's actor", Role::Editor, Code::ForeignActor, |_, other| batch_of(other, "x")),
        ("an actor that nobody was leased", Role::Editor, Code::ForeignActor, |_, _| batch_of(Actor(7), "x")),
        ("a reference to what does not exist", Role::Editor, Code::MissingDependency, |own, _| dangling(own)),
        ("a time far ahead", Role::Editor, Code::ClockAhead, |own, _| ahead(own)),
        ("operations that are none", Role::Editor, Code::BadBatch, |own, _| Batch {
            operations: Bytes::from_static(b"\x93nothing"),
            ..batch_of(own, "x")
        }),
        ("too few counters", Role::Editor, Code::BadBatch, |own, _| Batch { count: 1, ..batch_of(own, "abc") }),
        ("no counters", Role::Editor, Code::BadBatch, |own, _| Batch { count: 0, ..batch_of(own, "abc") }),
        ("a first counter of 0", Role::Editor, Code::BadBatch, |own, _| Batch { first: 0, ..batch_of(own, "abc") }),
    ];
    let mut scene = Scene::start("hostile-sense", &[]).await;
    scene.serves().await;
    let honest = scene.writer.document.read(|replica| replica.document().actor()).expect("open").expect("it writes");
    let tokens = [scene.place.token("mallory", Role::Viewer).await, scene.place.token("mallory", Role::Editor).await];
    for over in BOTH {
        for (what, role, code, make) in cases {
            let mut peer = scene.place.welcomed(over, &tokens[usize::from(role.may_write())]).await.expect("a session");
            let lease = peer.enter(ONE, DOCUMENT, role).await;
            let own = lease.map_or(Actor(7), |lease| lease.actor);
            peer.say(ONE, frame::Batch::new(make(own, honest), None)).await.expect("it is sent");
            assert_eq!(peer.refused(ONE).await, Some(code), "{over:?}: {what}");
            assert!(peer.lives().await);
        }
        receipts(&scene, over, &tokens[1]).await;
        closings(&scene, over, &tokens[1]).await;
        scene.serves().await;
    }
    scene.is_untouched().await;
}

/// Receipts that are forged, and one that is good for another document.
async fn receipts(scene: &Scene, over: Over, token: &str) {
    let elsewhere = format!("hostile/other-{over:?}");
    let mut author = scene.place.welcomed(over, token).await.expect("a session");
    let lease = author.enter(ONE, &elsewhere, Role::Editor).await.expect("a lease");
    let mut reader = scene.place.welcomed(over, token).await.expect("a session");
    reader.enter(ONE, &elsewhere, Role::Viewer).await;
    author.say(ONE, frame::Batch::new(batch_of(lease.actor, "elsewhere"), None)).await.expect("it is sent");
    let came = |frame| if let Frame::Batch(batch) = frame { Some(batch.into_parts()) } else { None };
    let (batch, receipt) = reader.find(ONE, came).await.expect("the batch");
    let receipt = receipt.expect("a receipt");
    let changed = |at: usize| {
        let mut bytes = receipt.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let mut peer = scene.place.welcomed(over, token).await.expect("a session");
    peer.enter(ONE, DOCUMENT, Role::Viewer).await;
    let last = receipt.len() - 1;
    let forged = [receipt.clone(), changed(0), changed(4), changed(last), receipt.slice(..19), Bytes::new()];
    for (index, receipt) in forged.into_iter().enumerate() {
        peer.say(ONE, frame::Offer::new(batch.clone(), receipt)).await.expect("it is sent");
        assert_eq!(peer.refused(ONE).await, Some(Code::BadReceipt), "{over:?}: receipt {index}");
    }
}

/// What closes a lane, and not the session.
async fn closings(scene: &Scene, over: Over, token: &str) {
    let mut peer = scene.place.welcomed(over, token).await.expect("a session");
    let lease = peer.enter(ONE, DOCUMENT, Role::Editor).await.expect("a lease");
    // A gap is asked for; a jump within one lane is none.
    let at = |first| Batch { first, ..batch_of(lease.actor, "abc") };
    peer.say(ONE, frame::Batch::new(at(10), None)).await.expect("it is sent");
    let asked = |frame| if let Frame::ResendFrom(resend) = frame { Some(resend.counter) } else { None };
    assert_eq!(peer.find(ONE, asked).await, Some(lease.next), "{over:?}");
    peer.say(ONE, frame::Batch::new(at(100), None)).await.expect("it is sent");
    assert_eq!(peer.closed(ONE).await, Some(Code::CounterGap), "{over:?}");

    let state = Some(Bytes::from(vec![0; MAX_PRESENCE_BYTES + 1]));
    peer.enter(Channel(2), DOCUMENT, Role::Editor).await;
    peer.say(Channel(2), frame::Presence { sequence: 1, state }).await.expect("it is sent");
    assert_eq!(peer.closed(Channel(2)).await, Some(Code::BadPresence), "{over:?}");

    let mut durable = open(Channel(3), DOCUMENT, Role::Editor);
    durable.durable.dots.insert(Actor(99), 5);
    let incarnation = frame::Open { incarnation: Some(9), ..open(Channel(4), DOCUMENT, Role::Editor) };
    let opens = [
        (durable, Code::StoreRolledBack),
        (incarnation, Code::IncarnationMismatch),
        (open(Channel(5), "hostile//plan", Role::Editor), Code::BadDocumentName),
        (open(Channel(6), &"n".repeat(300), Role::Editor), Code::BadDocumentName),
    ];
    for (open, code) in opens {
        let channel = open.channel;
        peer.say(channel, open).await.expect("it is sent");
        assert_eq!(peer.closed(channel).await, Some(code), "{over:?} {channel:?}");
    }
    assert!(peer.lives().await);
}
