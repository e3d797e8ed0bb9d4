//! A relay in this process and peers that speak its frames themselves, over both transports.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and a test may panic")]

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args as _, FromArgMatches as _};
use futures_util::{SinkExt as _, StreamExt as _};
use inkwire_document::{Actor, Batch, Document, Position, VersionVector};
use inkwire_protocol::wire::{StreamDecoder, encode_message, encode_stream, split_message};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};
use inkwire_relay::Relay;
use inkwire_relay::relay::development_tokens;
use inkwire_relay::settings::{Flags, Settings};
use inkwire_relay::token::TokenRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Nothing here takes nearly as long; a test that does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CONTROL: Channel = Channel(0);

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Settings as the command line would give them, on a free port.
pub(crate) fn settings(data: &std::path::Path, more: &[&str]) -> Settings {
    let data = data.display().to_string();
    let arguments = ["serve", "--listen", "localhost:0", "--data", &data].into_iter().chain(more.iter().copied());
    let matches = Flags::augment_args(clap::Command::new("serve")).get_matches_from(arguments);
    Settings::resolve(Flags::from_arg_matches(&matches).unwrap()).unwrap()
}

pub(crate) struct TestRelay {
    pub(crate) relay: Relay,
    pub(crate) data: Arc<tempfile::TempDir>,
}

impl TestRelay {
    pub(crate) async fn start(more: &[&str]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), more).await
    }

    pub(crate) async fn start_in(data: Arc<tempfile::TempDir>, more: &[&str]) -> Self {
        let relay = Relay::start(settings(data.path(), more)).await.unwrap();
        Self { relay, data }
    }

    pub(crate) fn token(&self, subject: &str, document: &str, role: &str) -> String {
        self.token_for(subject, document, role, 3600)
    }

    pub(crate) fn token_for(&self, subject: &str, document: &str, role: &str, ttl: u64) -> String {
        let now = inkwire_relay::clock::unix_millis() / 1000;
        let request = TokenRequest {
            subject: Some(subject.to_owned()),
            document: Some(document.to_owned()),
            role: Some(role.to_owned()),
            ttl: Some(ttl),
        };
        development_tokens(self.data.path()).unwrap().issue(&request, now).unwrap()
    }

    /// The value of a metric, with its labels as Prometheus writes them; 0 for one that is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let rendered = self.relay.core().metrics.render();
        let value = rendered.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric is what it must become.
    pub(crate) async fn metric_becomes(&self, name: &str, is: impl Fn(f64) -> bool) {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is(self.metric(name)) {
                ticks.tick().await;
            }
        });
        assert!(waited.await.is_ok(), "{name} stays {}\n{}", self.metric(name), self.relay.core().metrics.render());
    }

    /// How often each of those paid who pay when memory is short, in their order.
    pub(crate) fn relief(&self) -> [f64; 5] {
        ["empty_room", "early_fold", "slow_readers", "writers", "opens"].map(|payer| self.metric(&relief(payer)))
    }

    /// One HTTP request over a connection of its own: the whole answer.
    pub(crate) async fn http(&self, head: &str, body: &str) -> String {
        http(self.relay.port(), head, body).await
    }

    /// The value of a counter or gauge without labels.
    pub(crate) async fn counted(&self, name: &str) -> u64 {
        let answer = self.http("GET /metrics HTTP/1.1", "").await;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
    }

    pub(crate) async fn peer(&self, transport: Transport) -> Peer {
        self.peer_from(transport, None).await
    }

    pub(crate) async fn peer_from(&self, transport: Transport, origin: Option<&str>) -> Peer {
        match transport {
            Transport::WebSocket => {
                let mut request =
                    format!("ws://localhost:{}/session", self.relay.port()).into_client_request().unwrap();
                if let Some(origin) = origin {
                    request.headers_mut().insert("origin", origin.parse().unwrap());
                }
                let stream = TcpStream::connect(("127.0.0.1", self.relay.port())).await.unwrap();
                let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
                Peer::WebSocket { socket: Box::new(socket), inbox: HashMap::new() }
            }
            Transport::WebTransport => {
                let hashes = self.certificate_hashes().await;
                let client = web_transport_quinn::ClientBuilder::new().with_server_certificate_hashes(hashes).unwrap();
                let url: url::Url = format!("https://127.0.0.1:{}/session", self.relay.port()).parse().unwrap();
                let mut request = web_transport_quinn::proto::ConnectRequest::new(url);
                if let Some(origin) = origin {
                    request = request.with_header(http::header::ORIGIN, origin.parse().unwrap());
                }
                let session = client.connect(request).await.unwrap();
                Peer::WebTransport { session: Box::new(session), lanes: HashMap::new() }
            }
        }
    }

    pub(crate) async fn certificate_hashes(&self) -> Vec<Vec<u8>> {
        use base64::Engine as _;
        let answer = self.http("GET /certificate-hashes HTTP/1.1", "").await;
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let entries: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
        entries
            .iter()
            .map(|entry| {
                assert_eq!(entry["algorithm"], "sha-256");
                base64::engine::general_purpose::STANDARD.decode(entry["value"].as_str().unwrap()).unwrap()
            })
            .collect()
    }

    /// A peer that has been welcomed.
    pub(crate) async fn welcomed(&self, transport: Transport, token: &str) -> Peer {
        let mut peer = self.peer(transport).await;
        peer.hello(token).await;
        let Frame::Welcome(welcome) = peer.expect(CONTROL).await else { panic!("no Welcome") };
        assert_eq!(welcome.version, 1);
        let Frame::TokenAccepted(_) = peer.expect(CONTROL).await else { panic!("no TokenAccepted") };
        peer
    }
}

/// Waits for something while the sessions of these peers stay alive: each says something now and then.
pub(crate) async fn while_alive<T>(peers: &mut [&mut Peer], future: impl Future<Output = T>) -> T {
    let alive = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        for nonce in 0.. {
            ticks.tick().await;
            for peer in &mut *peers {
                peer.send(CONTROL, frame::Ping { nonce }).await;
            }
        }
    };
    tokio::select! {
        outcome = future => outcome,
        () = alive => unreachable!("it pings for ever"),
    }
}

/// The metric that counts what a payer paid.
pub(crate) fn relief(payer: &str) -> String {
    format!("inkwire_memory_relief_total{{payer=\"{payer}\"}}")
}

/// Text that no compression makes much shorter: so many letters of three bytes each.
pub(crate) fn noise(seed: u64, letters: usize) -> String {
    let mut random = inkwire_protocol::random::Random::new(seed);
    std::iter::repeat_with(|| char::from_u32(0x4e00 + random.below(20_000) as u32).unwrap()).take(letters).collect()
}

pub(crate) async fn http(port: u16, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "{head}\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    WebTransport,
    WebSocket,
}

pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::WebTransport, Transport::WebSocket];

/// One client connection.
pub(crate) enum Peer {
    WebSocket { socket: Box<WebSocketStream<TcpStream>>, inbox: HashMap<Channel, VecDeque<Frame>> },
    WebTransport { session: Box<web_transport_quinn::Session>, lanes: HashMap<Channel, WebTransportLane> },
}

pub(crate) struct WebTransportLane {
    pub(crate) send: web_transport_quinn::SendStream,
    recv: web_transport_quinn::RecvStream,
    decoder: StreamDecoder,
}

impl Peer {
    pub(crate) async fn send(&mut self, channel: Channel, frame: impl Into<Frame>) {
        self.send_raw(channel, &frame.into().encode()).await;
    }

    pub(crate) async fn send_raw(&mut self, channel: Channel, frame: &Bytes) {
        match self {
            Peer::WebSocket { socket, .. } => {
                let message = encode_message(channel, std::slice::from_ref(frame));
                socket.send(Message::Binary(message)).await.unwrap();
            }
            Peer::WebTransport { session, lanes } => {
                let lane = match lanes.entry(channel) {
                    Entry::Occupied(lane) => lane.into_mut(),
                    Entry::Vacant(place) => {
                        let (send, recv) = soon("a stream", session.open_bi()).await.unwrap();
                        place.insert(WebTransportLane { send, recv, decoder: StreamDecoder::new() })
                    }
                };
                // The relay may have heard enough before it has all; what it says of that is there to be read.
                if let Err(error) = lane.send.write_all(&encode_stream(std::slice::from_ref(frame))).await {
                    assert!(format!("{error:?}").starts_with("Stopped"), "{error:?}");
                }
            }
        }
    }

    /// The next frame of a lane; `None` when the lane, or the connection, has ended.
    pub(crate) async fn next(&mut self, channel: Channel) -> Option<Frame> {
        soon("a frame", self.next_frame(channel)).await
    }

    async fn next_frame(&mut self, channel: Channel) -> Option<Frame> {
        match self {
            Peer::WebSocket { socket, inbox } => loop {
                if let Some(frame) = inbox.get_mut(&channel).and_then(VecDeque::pop_front) {
                    return Some(frame);
                }
                match socket.next().await?.ok()? {
                    Message::Binary(message) => {
                        let (channel, frames) = split_message(&message).unwrap();
                        let frames = frames.iter().map(|frame| Frame::decode(frame).unwrap());
                        inbox.entry(channel).or_default().extend(frames);
                    }
                    Message::Close(_) => return None,
                    _ => {}
                }
            },
            Peer::WebTransport { lanes, .. } => {
                let lane = lanes.get_mut(&channel)?;
                loop {
                    if let Some(frame) = lane.decoder.next_frame().unwrap() {
                        return Some(Frame::decode(&frame).unwrap());
                    }
                    let chunk = lane.recv.read_chunk(usize::MAX, true).await.ok()??;
                    lane.decoder.push(&chunk.bytes);
                }
            }
        }
    }

    /// The next frame of a lane that is no ping.
    pub(crate) async fn expect(&mut self, channel: Channel) -> Frame {
        loop {
            match self.next(channel).await {
                Some(Frame::Ping(_)) => {}
                Some(frame) => return frame,
                None => panic!("the lane {channel:?} ended"),
            }
        }
    }

    /// The next frame of a lane that `pick` picks; others are passed over.
    pub(crate) async fn find<T>(&mut self, channel: Channel, mut pick: impl FnMut(Frame) -> Option<T>) -> T {
        loop {
            let frame = self.expect(channel).await;
            let text = if let Frame::Close(close) = &frame { Some(format!("{close:?}")) } else { None };
            if let Some(found) = pick(frame) {
                return found;
            }
            if let Some(close) = text {
                panic!("the lane {channel:?} was closed: {close}");
            }
        }
    }

    pub(crate) async fn find_close(&mut self, channel: Channel) -> Code {
        self.find(channel, |frame| match frame {
            Frame::Close(close) => Some(close.code),
            _ => None,
        })
        .await
    }

    pub(crate) async fn hello(&mut self, token: &str) {
        self.send(CONTROL, frame::Hello { versions: vec![1], token: token.to_owned(), agent: "test".to_owned() }).await;
    }

    pub(crate) async fn open(&mut self, channel: Channel, document: &str, role: Role) {
        self.send(channel, open(channel, document, role)).await;
    }

    /// Opens a document as an editor and reads up to `Synced`: the lease, and everything that came.
    pub(crate) async fn edit(&mut self, channel: Channel, document: &str) -> (Editor, Vec<Frame>) {
        self.open(channel, document, Role::Editor).await;
        let Frame::Opened(opened) = self.expect(channel).await else { panic!("no Opened") };
        assert_eq!(opened.role, Role::Editor);
        let lease = opened.lease.expect("an editor has a lease");
        let mut came = Vec::new();
        loop {
            match self.expect(channel).await {
                Frame::Synced(_) => break,
                frame => came.push(frame),
            }
        }
        let mut document = Document::new();
        document.set_actor(lease.actor, lease.next);
        for frame in &came {
            if let Frame::Batch(batch) = frame {
                document.apply(&batch.clone().into_parts().0).unwrap();
            }
        }
        (Editor { document, actor: lease.actor, channel }, came)
    }
}

pub(crate) fn open(channel: Channel, document: &str, role: Role) -> frame::Open {
    frame::Open {
        channel,
        document: document.to_owned(),
        incarnation: None,
        vector: VersionVector::new(),
        durable: VersionVector::new(),
        role,
        claim: None,
        options: frame::Options::default(),
    }
}

/// One replica that writes.
pub(crate) struct Editor {
    pub(crate) document: Document,
    pub(crate) actor: Actor,
    pub(crate) channel: Channel,
}

impl Editor {
    /// Appends text: the batches of it.
    pub(crate) fn write(&mut self, text: &str) -> Vec<Batch> {
        let end = self.document.text("body").len_scalars();
        self.document.insert("body", Position::Scalar(end), text).unwrap();
        self.document.take_batches()
    }

    /// Appends text, sends it, and waits until it is durable.
    pub(crate) async fn write_durably(&mut self, peer: &mut Peer, text: &str) {
        let mut last = 0;
        for batch in self.write(text) {
            last = batch.last();
            peer.send(self.channel, frame::Batch::new(batch, None)).await;
        }
        self.durable(peer, last).await;
    }

    pub(crate) async fn durable(&self, peer: &mut Peer, counter: u64) {
        let actor = self.actor;
        peer.find(self.channel, |frame| match frame {
            Frame::Durable(durable) => (durable.vector.get(&actor) >= counter).then_some(()),
            Frame::Refused(refused) => panic!("refused: {refused:?}"),
            _ => None,
        })
        .await;
    }

    pub(crate) fn text(&self) -> String {
        self.document.text("body").to_string()
    }
}
