//! Floods: mutated frames, datagrams, streams, sessions, and handshakes that are never finished. An honest pair is served
//! meanwhile, and the relay's memory returns.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use inkwire_protocol::random::Random;
use inkwire_protocol::wire::{check_frame, encode_message, encode_stream};
use inkwire_protocol::{Channel, Frame, Role, frame};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::peer::{Over, PATIENCE, Place, hello, open, soon};
use crate::scene::{DOCUMENT, Scene, number, samples};

/// The most that the relay's own memory may grow by under all floods at once. By its settings far more would be allowed (20,000
/// sessions of 1.4 MiB); these floods have some 400 connections at a time.
const FLOODED: u64 = 256 << 20;

/// The most that it may have more than before, once the floods are over: what the allocator keeps.
const RETURNED: u64 = 64 << 20;

/// Frames on one lane or in one message, before the next one is opened.
const TOGETHER: usize = 40;

/// What all floods share.
struct Flood {
    place: Place,
    token: String,
    samples: Vec<Bytes>,
    sent: AtomicU64,
    sessions: AtomicU64,
}

impl Flood {
    /// A frame that was one: mostly still well-formed, so that it gets as far as it can.
    fn frame(&self, random: &mut Random) -> Bytes {
        loop {
            let sample = &self.samples[random.below(self.samples.len() as u64) as usize];
            let mut bytes = sample.to_vec();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len() as u64) as usize;
                match random.below(4) {
                    0 => bytes[at] = random.next_u64() as u8,
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes.insert(at, random.next_u64() as u8),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            if check_frame(&bytes).is_ok() || random.one_in(50) {
                return bytes.into();
            }
        }
    }

    async fn frames(self: Arc<Self>, over: Over, seed: u64, frames: u64) {
        let mut random = Random::new(seed);
        let mut left = frames;
        while left > 0 {
            self.sessions.fetch_add(1, Ordering::Relaxed);
            let sent = match over {
                Over::WebSocket => self.frames_by_socket(&mut random, left).await,
                Over::WebTransport => self.frames_by_session(&mut random, left).await,
            };
            left = left.saturating_sub(sent);
            self.sent.fetch_add(sent, Ordering::Relaxed);
        }
    }

    /// Until the relay ends the session, or all is sent.
    async fn frames_by_socket(&self, random: &mut Random, frames: u64) -> u64 {
        let Some(peer) = self.place.welcomed(Over::WebSocket, &self.token).await else { return 0 };
        let Some(socket) = peer.into_socket() else { return 0 };
        let (mut sink, mut answers) = socket.split();
        let mut reading = JoinSet::new();
        reading.spawn(async move { while let Some(Ok(_)) = answers.next().await {} });
        let (mut sent, mut channel) = (0, Channel(0));
        while sent < frames {
            channel.0 += 1;
            let mut together = vec![Frame::from(open(channel, DOCUMENT, Role::Editor)).encode()];
            together.extend((0..TOGETHER).map(|_| self.frame(random)));
            // Now and then the control lane, which ends the session.
            let to = if random.one_in(40) { Channel::CONTROL } else { channel };
            let message = Message::Binary(encode_message(to, &together));
            match tokio::time::timeout(PATIENCE, sink.send(message)).await {
                Ok(Ok(())) => sent += TOGETHER as u64,
                Ok(Err(_)) => break,
                Err(_) => panic!("the relay neither reads nor ends a session"),
            }
        }
        sent
    }

    async fn frames_by_session(&self, random: &mut Random, frames: u64) -> u64 {
        let Some(mut peer) = self.place.welcomed(Over::WebTransport, &self.token).await else { return 0 };
        let Some(session) = peer.session().cloned() else { return 0 };
        let (mut sent, mut channel) = (0, Channel(0));
        while sent < frames {
            channel.0 += 1;
            if random.one_in(40) {
                let _ended = peer.say_bytes(Channel::CONTROL, &self.frame(random)).await;
            }
            // Datagrams beside it: nothing that is wrong with one has a consequence.
            let _full = session.send_datagram(self.frame(random));
            let mut together = vec![Frame::from(open(channel, DOCUMENT, Role::Editor)).encode()];
            together.extend((0..TOGETHER).map(|_| self.frame(random)));
            let bytes = encode_stream(&together);
            let written = tokio::time::timeout(PATIENCE, async {
                let (mut send, _answers) = session.open_bi().await.ok()?;
                // The relay may have closed the lane at one of the first already; the next one is another lane.
                let _stopped = send.write_all(&bytes).await;
                let _ = send.finish();
                Some(())
            });
            match written.await {
                Ok(Some(())) => sent += TOGETHER as u64,
                Ok(None) => break,
                Err(_) => panic!("the relay neither reads nor ends a session"),
            }
        }
        sent
    }

    /// Sessions that are opened and dropped at once, in every state.
    async fn sessions(self: Arc<Self>, over: Over, count: u32) {
        for number in 0..count {
            let Some(mut peer) = self.place.peer(over).await else { continue };
            self.sessions.fetch_add(1, Ordering::Relaxed);
            if number % 3 > 0 {
                let _gone = peer.say(Channel::CONTROL, hello(&self.token)).await;
            }
            if number % 3 > 1 {
                let _gone = peer.say(Channel(1), open(Channel(1), DOCUMENT, Role::Editor)).await;
            }
        }
    }

    /// More datagrams than anybody could want, of presence and of noise.
    async fn datagrams(self: Arc<Self>, seed: u64, count: u32) {
        let mut random = Random::new(seed);
        let Some(mut peer) = self.place.welcomed(Over::WebTransport, &self.token).await else { return };
        peer.enter(Channel(1), DOCUMENT, Role::Viewer).await;
        let Some(session) = peer.session() else { return };
        for sequence in 0..count {
            let state = Some(Bytes::from(vec![random.next_u64() as u8; 100]));
            let presence = Frame::from(frame::Presence { sequence, state }).encode();
            let datagram =
                if random.one_in(2) { encode_message(Channel(1), &[presence]) } else { self.frame(&mut random) };
            let _full = session.send_datagram(datagram);
            if sequence % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Connections that send nothing, half a request, or a byte now and then.
    async fn half_open(self: Arc<Self>, count: usize) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for number in 0..count {
            let Ok(mut stream) = TcpStream::connect(self.place.address()).await else { continue };
            let begun: &[u8] = match number % 3 {
                0 => b"",
                1 => b"GET /session HTTP/1.1\r\nHost: localhost\r\nUpgrade: webso",
                // The first bytes of TLS, where none is spoken.
                _ => &[0x16, 3, 1, 2, 0, 1, 0],
            };
            let _refused = stream.write_all(begun).await;
            streams.push(stream);
        }
        streams
    }

    /// First packets of QUIC connections, from as many ports, after which nothing comes.
    async fn initials(self: Arc<Self>, count: usize) {
        let sink = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let to: SocketAddr = sink.local_addr().expect("an address");
        // Real ones: a client sends them to a socket that does not answer.
        let client = web_transport_quinn::ClientBuilder::new().with_server_certificate_hashes(Vec::new());
        let client = Arc::new(client.expect("a client"));
        let mut attempts = JoinSet::new();
        let mut packet = vec![0; 2_048];
        let mut sockets = Vec::new();
        for _ in 0..count {
            let (client, url) = (Arc::clone(&client), format!("https://{to}/session"));
            attempts.spawn(async move { client.connect(url::Url::parse(&url).expect("a URL")).await.is_ok() });
            let (length, _) = soon("an Initial", sink.recv_from(&mut packet)).await.expect("a packet");
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
            socket.send_to(&packet[..length], self.place.address()).await.expect("it is sent");
            sockets.push(socket);
        }
        attempts.abort_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_pair_is_served_through_all_floods_and_memory_returns() {
    let seed = number("INKWIRE_HOSTILE_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64)
    });
    let frames = number("INKWIRE_HOSTILE_FRAMES").unwrap_or(1_000_000);
    println!("hostile: {frames} mutated frames, seed {seed}");
    let mut scene = Scene::start("hostile-floods", &["--log", "warn"]).await;
    scene.serves().await;
    let flood = Arc::new(Flood {
        place: scene.place.clone(),
        token: scene.place.token("mallory", Role::Viewer).await,
        samples: samples().into_values().collect(),
        sent: AtomicU64::new(0),
        sessions: AtomicU64::new(0),
    });
    // Once through everything: what is allocated for good has been then.
    for over in [Over::WebSocket, Over::WebTransport] {
        Arc::clone(&flood).frames(over, seed ^ 1, 2_000).await;
    }
    let before = scene.memory();
    let mut floods = JoinSet::new();
    for (index, over) in [Over::WebSocket, Over::WebTransport].into_iter().enumerate() {
        floods.spawn(Arc::clone(&flood).frames(over, seed.wrapping_add(index as u64), frames / 2));
        floods.spawn(Arc::clone(&flood).sessions(over, 300));
    }
    floods.spawn(Arc::clone(&flood).datagrams(seed, 100_000));
    floods.spawn(Arc::clone(&flood).initials(300));
    let half_open = soon("connections", Arc::clone(&flood).half_open(300)).await;
    let mut most = 0;
    let mut slow = half_open;
    while !floods.is_empty() {
        scene.serves().await;
        most = most.max(scene.memory());
        // Slow handshakes: a byte at a time.
        for stream in &mut slow {
            let _closed = stream.try_write(b"x");
        }
        while let Some(ended) = floods.try_join_next() {
            ended.expect("a flood that failed has shown nothing");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(slow);
    let (sent, sessions) = (flood.sent.load(Ordering::Relaxed), flood.sessions.load(Ordering::Relaxed));
    println!(
        "hostile: {sent} mutated frames in {sessions} sessions, {} honest edits meanwhile; {} KiB before, {} KiB at most",
        scene.edits,
        before >> 10,
        most >> 10
    );
    assert!(sent >= frames, "{sent}");
    assert!(most <= before + FLOODED, "{most} bytes, {before} before");
    scene.memory_returns_to(before + RETURNED).await;
    println!("hostile: {} KiB afterwards", scene.memory() >> 10);
    scene.serves().await;
    scene.is_untouched().await;
}
