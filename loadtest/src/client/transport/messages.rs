//! The link over a WebSocket: a writer task and a reader task.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream::SplitSink, stream::SplitStream};
use inkwire_protocol::Channel;
use inkwire_protocol::client::{Lanes, Transmit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::queued::Queued;
use super::{FLUSH_TIMEOUT, Inbox, Link, QUEUE_BYTES};

/// Any byte stream under a WebSocket.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A [`Link`] over a WebSocket.
pub(super) struct MessageLink {
    /// Bounded by `queued`, in bytes rather than in messages.
    outgoing: mpsc::UnboundedSender<Message>,
    queued: Arc<Queued>,
    /// Until the start.
    unread: Option<SplitStream<Stream>>,
    tasks: JoinSet<()>,
}

impl MessageLink {
    /// A link that has sent and received nothing yet.
    pub(super) fn new(socket: WebSocketStream<Box<dyn Socket>>) -> Self {
        let (outgoing, waiting) = mpsc::unbounded_channel();
        let queued = Arc::new(Queued::default());
        let (sink, stream) = socket.split();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(sink, waiting, Arc::clone(&queued)));
        Self { outgoing, queued, unread: Some(stream), tasks }
    }
}

type Stream = WebSocketStream<Box<dyn Socket>>;

/// Buffers whatever waits and flushes when nothing more does: many small messages become one write. Ends with `Close`.
async fn write(
    mut sink: SplitSink<Stream, Message>,
    mut waiting: mpsc::UnboundedReceiver<Message>,
    queued: Arc<Queued>,
) {
    let mut closing = false;
    while !closing {
        let Some(first) = waiting.recv().await else {
            return;
        };
        let mut next = Some(first);
        let mut taken = 0;
        let written = async {
            while let Some(message) = next.take().or_else(|| waiting.try_recv().ok()) {
                // A close is not counted by those who wait for room.
                match message.is_close() {
                    true => closing = true,
                    false => taken += message.len(),
                }
                sink.feed(message).await?;
            }
            sink.flush().await
        }
        .await;
        queued.remove(taken);
        // The reader meets the same end and reports it.
        closing |= written.is_err();
    }
}

async fn read(mut stream: SplitStream<Stream>, inbox: Arc<dyn Inbox>) {
    let reason = loop {
        match stream.next().await {
            Some(Ok(Message::Binary(message))) => {
                if !inbox.message(message) {
                    return;
                }
            }
            Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => break format!("closed: {code} {reason}"),
            Some(Ok(Message::Close(None))) | None => break "closed".to_owned(),
            // Text means nothing here; pings are answered by the library.
            Some(Ok(_)) => {}
            Some(Err(Error::ConnectionClosed)) => break "closed".to_owned(),
            Some(Err(error)) => break error.to_string(),
        }
    };
    inbox.ended(reason);
}

#[async_trait]
impl Link for MessageLink {
    fn lanes(&self) -> Lanes {
        Lanes::Messages
    }

    fn start(&mut self, inbox: Arc<dyn Inbox>) {
        if let Some(stream) = self.unread.take() {
            self.tasks.spawn(read(stream, inbox));
        }
    }

    fn put(&mut self, transmit: Transmit) -> Option<Channel> {
        // A link with messages is sent neither streams nor datagrams, and whoever owns it disconnects it.
        if let Transmit::Message(message) = transmit {
            send(self, message);
        }
        None
    }

    fn flush(&mut self) {}

    async fn ready(&mut self) {
        self.queued.below(QUEUE_BYTES).await;
    }

    async fn close(&mut self, code: u16, reason: &str) {
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.queued.below(1)).await;
        // RFC 6455 §7.4.2: codes from 4000 on are an application's own.
        let code = CloseCode::from(4_000 + code.min(999));
        let _ = self.outgoing.send(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
        let gone = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, gone).await;
        self.tasks.shutdown().await;
    }
}

fn send(link: &MessageLink, message: Bytes) {
    link.queued.add(message.len());
    // Without a writer the connection is gone, which the reader reports.
    let _ = link.outgoing.send(Message::Binary(message));
}
