//! A client that says whatever it is told to, over both transports.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use inkwire_document::VersionVector;
use inkwire_loadtest::client::{DevelopmentToken, development_token};
use inkwire_protocol::wire::{StreamDecoder, encode_message, encode_stream, split_message};
use inkwire_protocol::{Channel, Code, Frame, Role, frame};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use url::Url;
use web_transport_quinn::{ClientBuilder, RecvStream, SendStream, Session};

use crate::http::get;

/// Nothing here takes longer on a slow machine; what does is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    WebTransport,
    WebSocket,
}

pub(crate) const BOTH: [Over; 2] = [Over::WebTransport, Over::WebSocket];

/// Where the relay is, and what a client needs to get in.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: Url,
    hashes: Vec<Vec<u8>>,
}

impl Place {
    pub(crate) async fn of(url: &Url) -> Self {
        let answer = get(url, "/certificate-hashes").await;
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let entries: Vec<serde_json::Value> = serde_json::from_str(body).expect("JSON");
        let value = |entry: &serde_json::Value| entry["value"].as_str().expect("a hash").to_owned();
        let decode = |text: String| base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        Self { url: url.clone(), hashes: entries.iter().map(value).map(decode).collect() }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, self.url.port().expect("a port")).into()
    }

    pub(crate) async fn token(&self, subject: &str, role: Role) -> String {
        let wanted = DevelopmentToken {
            subject: Some(subject.to_owned()),
            role: Some(role.as_str().to_owned()),
            ..DevelopmentToken::default()
        };
        development_token(&self.url, &wanted).await.expect("a development relay gives tokens")
    }

    pub(crate) async fn session(&self) -> Option<Session> {
        let client = ClientBuilder::new().with_server_certificate_hashes(self.hashes.clone()).expect("a client");
        let url: Url = format!("https://{}/session", self.address()).parse().expect("a URL");
        client.connect(url).await.ok()
    }

    pub(crate) async fn socket(&self) -> Option<WebSocketStream<TcpStream>> {
        let stream = TcpStream::connect(self.address()).await.ok()?;
        let url = format!("ws://localhost:{}/session", self.address().port());
        Some(tokio_tungstenite::client_async(url, stream).await.ok()?.0)
    }

    /// A connection that has said nothing yet.
    pub(crate) async fn peer(&self, over: Over) -> Option<Peer> {
        let (pipe, lanes) = match over {
            Over::WebTransport => (Pipe::Session(Box::new(self.session().await?)), HashMap::new()),
            Over::WebSocket => (Pipe::Socket(Box::new(self.socket().await?)), HashMap::new()),
        };
        Some(Peer { pipe, lanes, inbox: HashMap::new() })
    }

    /// A connection that was welcomed.
    pub(crate) async fn welcomed(&self, over: Over, token: &str) -> Option<Peer> {
        let mut peer = self.peer(over).await?;
        peer.say(Channel::CONTROL, hello(token)).await.ok()?;
        matches!(peer.next(Channel::CONTROL).await?, Frame::Welcome(_)).then_some(())?;
        matches!(peer.next(Channel::CONTROL).await?, Frame::TokenAccepted(_)).then_some(())?;
        Some(peer)
    }
}

pub(crate) fn hello(token: &str) -> frame::Hello {
    frame::Hello { versions: vec![1], token: token.to_owned(), agent: "hostile".to_owned() }
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

enum Pipe {
    Socket(Box<WebSocketStream<TcpStream>>),
    Session(Box<Session>),
}

struct Lane {
    send: SendStream,
    recv: RecvStream,
    decoder: StreamDecoder,
}

/// The connection has ended.
#[derive(Debug)]
pub(crate) struct Gone;

/// One connection.
pub(crate) struct Peer {
    pipe: Pipe,
    lanes: HashMap<Channel, Lane>,
    inbox: HashMap<Channel, VecDeque<Frame>>,
}

impl Peer {
    pub(crate) async fn say(&mut self, channel: Channel, frame: impl Into<Frame>) -> Result<(), Gone> {
        self.say_bytes(channel, &frame.into().encode()).await
    }

    /// Says a frame, or what looks like one.
    pub(crate) async fn say_bytes(&mut self, channel: Channel, frame: &Bytes) -> Result<(), Gone> {
        let wire = match self.pipe {
            Pipe::Socket(_) => encode_message(channel, std::slice::from_ref(frame)),
            Pipe::Session(_) => encode_stream(std::slice::from_ref(frame)),
        };
        self.say_wire(channel, &wire).await
    }

    /// Says bytes as they are: a whole message, or a piece of a stream.
    pub(crate) async fn say_wire(&mut self, channel: Channel, wire: &Bytes) -> Result<(), Gone> {
        match &mut self.pipe {
            Pipe::Socket(socket) => socket.send(Message::Binary(wire.clone())).await.map_err(|_| Gone),
            Pipe::Session(session) => {
                if !self.lanes.contains_key(&channel) {
                    let (send, recv) = soon("a stream", session.open_bi()).await.map_err(|_| Gone)?;
                    self.lanes.insert(channel, Lane { send, recv, decoder: StreamDecoder::new() });
                }
                let lane = self.lanes.get_mut(&channel).ok_or(Gone)?;
                lane.send.write_all(wire).await.map_err(|_| Gone)
            }
        }
    }

    /// The next frame of a lane; `None` when the lane, or the connection, has ended.
    pub(crate) async fn next(&mut self, channel: Channel) -> Option<Frame> {
        soon("a frame", self.next_frame(channel)).await
    }

    async fn next_frame(&mut self, channel: Channel) -> Option<Frame> {
        match &mut self.pipe {
            Pipe::Socket(socket) => loop {
                if let Some(frame) = self.inbox.get_mut(&channel).and_then(VecDeque::pop_front) {
                    return Some(frame);
                }
                match socket.next().await?.ok()? {
                    Message::Binary(message) => {
                        let (channel, frames) = split_message(&message).expect("a relay's message");
                        let frames = frames.iter().map(|frame| Frame::decode(frame).expect("a relay's frame"));
                        self.inbox.entry(channel).or_default().extend(frames);
                    }
                    Message::Close(_) => return None,
                    _ => {}
                }
            },
            Pipe::Session(_) => {
                let lane = self.lanes.get_mut(&channel)?;
                loop {
                    if let Some(frame) = lane.decoder.next_frame().expect("a relay's stream") {
                        return Some(Frame::decode(&frame).expect("a relay's frame"));
                    }
                    let chunk = lane.recv.read_chunk(usize::MAX, true).await.ok()??;
                    lane.decoder.push(&chunk.bytes);
                }
            }
        }
    }

    /// The first frame of a lane that `pick` picks; `None` when the lane has ended.
    pub(crate) async fn find<T>(&mut self, channel: Channel, mut pick: impl FnMut(Frame) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = pick(self.next(channel).await?) {
                return Some(found);
            }
        }
    }

    /// The code that a lane is closed with; `None` if it ends without a word.
    pub(crate) async fn closed(&mut self, channel: Channel) -> Option<Code> {
        self.find(channel, |frame| if let Frame::Close(close) = frame { Some(close.code) } else { None }).await
    }

    /// The code that a batch is refused with.
    pub(crate) async fn refused(&mut self, channel: Channel) -> Option<Code> {
        self.find(channel, |frame| if let Frame::Refused(refused) = frame { Some(refused.code) } else { None }).await
    }

    /// Opens a document and reads up to `Synced`; gives the lease that came.
    pub(crate) async fn enter(&mut self, channel: Channel, document: &str, role: Role) -> Option<frame::Lease> {
        self.say(channel, open(channel, document, role)).await.expect("a session");
        let opened = |frame| if let Frame::Opened(opened) = frame { Some(opened.lease) } else { None };
        let lease = self.find(channel, opened).await.expect("Opened");
        let synced = |frame| matches!(frame, Frame::Synced(_)).then_some(());
        self.find(channel, synced).await.expect("Synced");
        lease
    }

    /// Whether the session still answers.
    pub(crate) async fn lives(&mut self) -> bool {
        let nonce = 4_711;
        let pong = |frame| matches!(frame, Frame::Pong(pong) if pong.nonce == nonce).then_some(());
        self.say(Channel::CONTROL, frame::Ping { nonce }).await.is_ok()
            && self.find(Channel::CONTROL, pong).await.is_some()
    }

    /// The WebTransport session, if it is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.pipe {
            Pipe::Session(session) => Some(session),
            Pipe::Socket(_) => None,
        }
    }

    /// The WebSocket, if it is one.
    pub(crate) fn into_socket(self) -> Option<WebSocketStream<TcpStream>> {
        match self.pipe {
            Pipe::Socket(socket) => Some(*socket),
            Pipe::Session(_) => None,
        }
    }
}
