//! Clients that ask and do not listen, that never begin what they open, and that say nothing: what they cost is bounded.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use inkwire_document::{Actor, Dot};
use inkwire_protocol::frame::Extends;
use inkwire_protocol::wire::{encode_message, split_message};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};
use inkwire_relay::session::MAX_OPENING_BYTES;
use support::{CONTROL, Peer, TRANSPORTS, TestRelay, Transport, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const ONE: Channel = Channel(1);

fn vector(entries: u64) -> frame::Vector {
    let part = (0..entries).map(|actor| Dot::new(Actor(actor + (1 << 40)), 1)).collect();
    frame::Vector { part, more: true, extends: Extends::Vector }
}

/// A welcomed WebSocket whose kernel takes little that its client does not read.
async fn narrow(relay: &TestRelay) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = format!("127.0.0.1:{}", relay.relay.port()).parse().unwrap();
    let stream = socket.connect(address).await.unwrap();
    let request = format!("ws://localhost:{}/session", relay.relay.port());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let token = relay.token("ada", "**", "editor");
    let hello = Frame::from(frame::Hello { versions: vec![1], token, agent: "test".to_owned() }).encode();
    socket.send(Message::Binary(encode_message(CONTROL, &[hello]))).await.unwrap();
    soon("Welcome", socket.next()).await.unwrap().unwrap();
    soon("TokenAccepted", socket.next()).await.unwrap().unwrap();
    socket
}

/// A document with more text than any buffer on the way to a client holds.
async fn large_document(relay: &TestRelay, name: &str) {
    let mut writer = relay.welcomed(Transport::WebTransport, &relay.token("bob", "**", "editor")).await;
    let (mut editor, _) = writer.edit(ONE, name).await;
    for round in 0..20_u32 {
        let text: String = (0..100_000_u32).map(|at| char::from(b'a' + (at * 7 + round) as u8 % 26)).collect();
        editor.write_durably(&mut writer, &text).await;
    }
}

/// More than all kernel buffers between two sockets of one machine hold together.
const MORE_THAN_BUFFERS: usize = 64 << 20;

/// A write that nobody takes for so long is not taken at all. A machine that stalls for as long makes the test blind, not red.
const STUCK: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_never_reads_is_read_no_further() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let ping = Frame::from(frame::Ping { nonce: u64::MAX }).encode();
    let nothing = Frame::from(frame::CloseDocument {}).encode();
    for refused in [false, true] {
        let mut raw = narrow(&relay).await.into_inner();
        let (mut sent, mut channel) = (0, 0);
        let stopped = loop {
            // Many messages in one write: what the relay still reads, it reads at once.
            let messages: Vec<u8> = std::iter::repeat_with(|| {
                channel += 1;
                let (channel, frame) = if refused { (Channel(channel), &nothing) } else { (CONTROL, &ping) };
                masked(&encode_message(channel, std::slice::from_ref(frame)))
            })
            .take(4_000)
            .flatten()
            .collect();
            // The relay stops taking long before the limit; what it took is then in the kernel's buffers.
            match tokio::time::timeout(STUCK, raw.write_all(&messages)).await {
                Ok(Ok(())) => sent += messages.len(),
                Ok(Err(_)) | Err(_) => break true,
            }
            if sent > MORE_THAN_BUFFERS {
                break false;
            }
        };
        assert!(stopped, "{sent} bytes were taken, refused: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_documents_is_held_before_welcome() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    for transport in TRANSPORTS {
        let mut peer = relay.peer(transport).await;
        // The first stream is the control lane; this is half a length on it.
        let mut control = None;
        if let Peer::WebTransport { session, .. } = &peer {
            control = Some(session.open_bi().await.unwrap());
        }
        if let Some((send, _)) = &mut control {
            send.write_all(&[0x40]).await.unwrap();
        }
        peer.send(ONE, vector(1_000)).await;
        assert_eq!(peer.find_close(ONE).await, Code::UnexpectedFrame, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_that_wait_for_their_open_are_bounded_together() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    for transport in TRANSPORTS {
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        let frames = MAX_OPENING_BYTES.div_ceil(3_000 * 18);
        for frame in 0..frames {
            // Streams have no order among each other: there one alone takes it all.
            let lane = if transport == Transport::WebSocket { 1 + frame as u32 / 10 } else { 8 };
            peer.send(Channel(lane), vector(3_000)).await;
        }
        assert_eq!(peer.find_close(Channel(8)).await, Code::Overloaded, "{transport:?}");
        // What is opened, or closed, counts no more.
        peer.open(ONE, "a", Role::Viewer).await;
        peer.find(ONE, |frame| matches!(frame, Frame::Opened(_)).then_some(())).await;
        for _ in 0..10 {
            peer.send(Channel(9), vector(3_000)).await;
        }
        peer.open(Channel(9), "b", Role::Viewer).await;
        peer.find(Channel(9), |frame| matches!(frame, Frame::Opened(_)).then_some(())).await;
    }
}

/// As long as the setting, which also bounds the handshakes and must be enough for them on a slow machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_must_open_its_document_in_time() {
    let relay = TestRelay::start(&["--store", "memory", "--handshake-timeout", "5s"]).await;
    let sessions = TRANSPORTS.map(async |transport| {
        let mut peer = relay.welcomed(transport, &relay.token("ada", "**", "editor")).await;
        peer.send(ONE, vector(1)).await;
        assert_eq!(peer.find_close(ONE).await, Code::LivenessTimeout, "{transport:?}");
        peer.edit(Channel(2), "a").await;
    });
    futures_util::future::join_all(sessions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_on_a_number_from_before_is_answered() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    peer.edit(Channel(5), "a").await;
    for channel in [3, 4] {
        peer.open(Channel(channel), "b", Role::Viewer).await;
        assert_eq!(peer.find_close(Channel(channel)).await, Code::UnexpectedFrame);
    }
    peer.send(Channel(5), frame::CloseDocument {}).await;
    assert_eq!(peer.find_close(Channel(5)).await, Code::None);
    // A late frame is passed over; the number is used up.
    peer.send(Channel(5), frame::Presence { sequence: 1, state: None }).await;
    peer.open(Channel(5), "a", Role::Viewer).await;
    assert_eq!(peer.find_close(Channel(5)).await, Code::UnexpectedFrame);
    peer.edit(Channel(6), "a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_the_limit_is_told_in_band() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    let Peer::WebSocket { socket, .. } = &mut peer else { unreachable!() };
    let _ = socket.send(Message::binary(vec![0; 200_000])).await;
    let Frame::Close(close) = peer.expect(CONTROL).await else { panic!("no Close") };
    assert_eq!(close.code, Code::FrameTooLarge);
    assert!(close.reason.contains("200000 bytes") && close.reason.contains("131072"), "{}", close.reason);
}

/// As long as the rule: six seconds of silence, and a second for last words that nobody takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_a_session_whose_writes_are_stuck() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    large_document(&relay, "large").await;
    soon("the writer's end", relay.relay.core().no_sessions()).await;
    let open = |channel| Frame::from(support::open(channel, "large", Role::Viewer)).encode();

    let mut socket = narrow(&relay).await;
    socket.send(Message::Binary(encode_message(ONE, &[open(ONE)]))).await.unwrap();
    let mut peer = relay.welcomed(Transport::WebTransport, &relay.token("ada", "**", "viewer")).await;
    // More lanes than the connection's window takes, none of them read.
    for channel in 1..=8 {
        peer.send_raw(Channel(channel), &open(Channel(channel))).await;
    }
    soon("both sessions' end", relay.relay.core().no_sessions()).await;
}

/// Longer than the rule: the relay asks every two seconds, and gives up after six.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_that_answers_is_not_lost() {
    const PINGS: usize = 4;
    let relay = TestRelay::start(&["--store", "memory"]).await;
    large_document(&relay, "large").await;
    let socket = narrow(&relay).await;
    let mut raw = socket.into_inner();
    let opens = (1..=8).map(|channel| (Channel(channel), support::open(Channel(channel), "large", Role::Viewer)));
    for (channel, open) in opens {
        raw.write_all(&masked(&encode_message(channel, &[Frame::from(open).encode()]))).await.unwrap();
    }
    // At most 40 kB/s of 16 MB: it ends with the pings, never with the documents.
    let mut pings = 0;
    let mut taken = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while pings < PINGS {
        ticks.tick().await;
        let mut chunk = [0; 4_000];
        let count = soon("more", raw.read(&mut chunk)).await.unwrap();
        assert!(count > 0, "the relay ended the session, {pings} pings");
        taken.extend_from_slice(&chunk[..count]);
        while let Some(message) = take_message(&mut taken) {
            let (channel, frames) = split_message(&message).unwrap();
            for frame in frames.iter().filter(|_| channel == CONTROL) {
                match Frame::decode(frame).unwrap() {
                    Frame::Ping(ping) => {
                        pings += 1;
                        let pong = Frame::from(frame::Pong { nonce: ping.nonce }).encode();
                        raw.write_all(&masked(&encode_message(CONTROL, &[pong]))).await.unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// A binary message as a client sends it, with a mask of zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x82];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0xfe);
            out.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// The first whole message of what came.
fn take_message(taken: &mut Vec<u8>) -> Option<bytes::Bytes> {
    let (head, length) = match *taken.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(taken.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(taken.get(2..10)?.try_into().unwrap()) as usize),
        length => (2, usize::from(length)),
    };
    if taken.len() < head + length {
        return None;
    }
    let rest = taken.split_off(head + length);
    let message = std::mem::replace(taken, rest);
    Some(bytes::Bytes::from(message).slice(head..))
}

/// Handshakes at a time, and how many are begun and never finished.
const HANDSHAKES: usize = 4;
const UNFINISHED: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_are_never_finished_keep_nobody_out() {
    let files = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let most = HANDSHAKES.to_string();
    // None of them ends because its time is over.
    let relay = TestRelay::start(&[
        "--store",
        "memory",
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
        "--max-handshakes",
        &most,
        "--handshake-timeout",
        "1h",
    ])
    .await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], relay.relay.port()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(inkwire_relay::listen::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = std::sync::Arc::new(config);

    // TLS over TCP: some say half of their first message, some all of it and nothing more.
    let mut unfinished = tokio::task::JoinSet::new();
    for number in 0..UNFINISHED {
        let mut tls = rustls::ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        tls.write_tls(&mut hello).unwrap();
        hello.truncate(if number % 2 == 0 { hello.len() / 2 } else { hello.len() });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        unfinished.spawn(async move {
            let mut answer = Vec::new();
            let _reset = stream.read_to_end(&mut answer).await;
        });
    }
    for _ in 0..UNFINISHED - HANDSHAKES {
        soon("an end of the oldest", unfinished.join_next()).await.unwrap().unwrap();
    }
    for _ in 0..2 * HANDSHAKES {
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        let mut stream = soon("TLS", connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _no_goodbye = soon("the answer", stream.read_to_end(&mut answer)).await;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }

    // QUIC: first packets of real clients, from ports on which nobody answers.
    let client =
        web_transport_quinn::ClientBuilder::new().with_server_certificates(vec![pair.cert.der().clone()]).unwrap();
    let sink = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let elsewhere: url::Url = format!("https://{}/session", sink.local_addr().unwrap()).parse().unwrap();
    let mut packet = vec![0; 2_048];
    let mut sockets = Vec::new();
    for _ in 0..UNFINISHED {
        let attempt = client.connect(elsewhere.clone());
        let (length, _) = tokio::select! {
            received = sink.recv_from(&mut packet) => received.unwrap(),
            _ = attempt => panic!("nobody answers"),
        };
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&packet[..length], address).await.unwrap();
        sockets.push(socket);
    }
    let url: url::Url = format!("https://localhost:{}/session", relay.relay.port()).parse().unwrap();
    for _ in 0..2 * HANDSHAKES {
        soon("a session", client.connect(url.clone())).await.unwrap();
    }
}
