//! The link over a transport with streams: one bidirectional stream per lane, a reader and a writer task for each.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_protocol::Channel;
use inkwire_protocol::client::{Lanes, Transmit};
use inkwire_protocol::copies::PacketCounts;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::queued::Queued;
use super::{FLUSH_TIMEOUT, Inbox, Link, QUEUE_BYTES, READ_BYTES};

/// The sending half of a lane's stream.
pub(super) type LaneWrite = Pin<Box<dyn AsyncWrite + Send>>;
/// The receiving half of a lane's stream.
pub(super) type LaneRead = Pin<Box<dyn AsyncRead + Send>>;

/// What a WebTransport library must be able to do.
#[async_trait]
pub(super) trait StreamSession: Send + Sync + 'static {
    async fn open_lane(&self) -> io::Result<(LaneWrite, LaneRead)>;
    fn send_datagram(&self, datagram: Bytes);
    /// What the library has counted of packets from this end.
    fn packets(&self) -> PacketCounts;
    async fn receive_datagram(&self) -> io::Result<Bytes>;
    /// Waits for the session's end and says why it came.
    async fn closed(&self) -> String;
    /// Closes and waits until the peer has been told.
    async fn close(&self, code: u16, reason: &str);
}

/// A [`Link`] over a [`StreamSession`].
pub(super) struct StreamLink<S> {
    session: Arc<S>,
    /// From the start on.
    inbox: Option<Arc<dyn Inbox>>,
    lanes: HashMap<Channel, Arc<Lane>>,
    queued: Arc<Queued>,
    tasks: JoinSet<()>,
}

/// What waits for one lane. The writer takes all of it at once, so a busy stream is written to in large pieces.
#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Bytes that the stream has not taken: those above and those that are being written.
    waiting: usize,
    /// The core was told to send nothing more on this lane.
    full: bool,
    /// We send nothing more.
    finished: bool,
    /// The stream takes nothing more; what is put is dropped, so that a lane that is gone holds up no other.
    gone: bool,
}

impl<S: StreamSession> StreamLink<S> {
    /// A link that has sent and received nothing yet.
    pub(super) fn new(session: S) -> Self {
        let (session, queued) = (Arc::new(session), Arc::default());
        Self { session, inbox: None, lanes: HashMap::new(), queued, tasks: JoinSet::new() }
    }

    fn open(&mut self, channel: Channel) {
        let Some(inbox) = self.inbox.clone() else {
            return;
        };
        let lane = Arc::new(Lane::default());
        self.lanes.insert(channel, Arc::clone(&lane));
        let (session, queued) = (Arc::clone(&self.session), Arc::clone(&self.queued));
        self.tasks.spawn(async move {
            // A failure here is the session's end, which its own task reports, or the lane's, which the relay has
            // explained in a frame of the lane.
            let Ok((write, read)) = session.open_lane().await else {
                return lane.give_up(&queued);
            };
            let write = async {
                let _ = write_lane(write, &lane, &queued, || inbox.drained(channel)).await;
                lane.give_up(&queued);
                // What is still put is dropped, so nobody need wait for it.
                inbox.drained(channel);
            };
            // Both halves run to their own end: a lane that we have finished may still be read.
            let read = async {
                if inbox.reads(channel) {
                    let _ = read_lane(read, channel, &*inbox).await;
                } else {
                    // Held, for a stream that is dropped tells its sender to stop.
                    let _held = read;
                    std::future::pending::<()>().await;
                }
            };
            tokio::join!(read, write);
        });
    }
}

impl Lane {
    /// Adds to what waits. Returns whether that makes the lane full.
    fn add(&self, bytes: &[u8], queued: &Queued) -> bool {
        let mut queue = self.queue.lock();
        if queue.gone {
            return false;
        }
        queued.add(bytes.len());
        queue.bytes.extend_from_slice(bytes);
        queue.waiting += bytes.len();
        queue.waiting >= QUEUE_BYTES && !std::mem::replace(&mut queue.full, true)
    }

    /// The stream has taken so many bytes. Returns whether a lane that was full takes more again.
    fn taken(&self, bytes: usize) -> bool {
        let mut queue = self.queue.lock();
        queue.waiting -= bytes;
        queue.waiting < QUEUE_BYTES / 2 && std::mem::take(&mut queue.full)
    }

    fn give_up(&self, queued: &Queued) {
        let mut queue = self.queue.lock();
        (queue.gone, queue.full, queue.waiting) = (true, false, 0);
        queued.remove(std::mem::take(&mut queue.bytes).len());
    }
}

async fn read_lane(mut read: LaneRead, channel: Channel, inbox: &dyn Inbox) -> io::Result<()> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = read.read(&mut bytes).await?;
        if count == 0 || !inbox.stream(channel, &bytes[..count]) {
            return Ok(());
        }
    }
}

async fn write_lane(mut write: LaneWrite, lane: &Lane, queued: &Queued, drained: impl Fn()) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let finished = {
            let mut queue = lane.queue.lock();
            std::mem::swap(&mut queue.bytes, &mut bytes);
            queue.finished
        };
        if !bytes.is_empty() {
            let written = write.write_all(&bytes).await;
            queued.remove(bytes.len());
            if lane.taken(bytes.len()) {
                drained();
            }
            written?;
            bytes.clear();
        } else if finished {
            return write.shutdown().await;
        } else {
            lane.filled.notified().await;
        }
    }
}

#[async_trait]
impl<S: StreamSession> Link for StreamLink<S> {
    fn lanes(&self) -> Lanes {
        Lanes::Streams
    }

    fn start(&mut self, inbox: Arc<dyn Inbox>) {
        self.inbox = Some(Arc::clone(&inbox));
        self.tasks.spawn({
            let (session, inbox) = (Arc::clone(&self.session), Arc::clone(&inbox));
            async move { inbox.ended(session.closed().await) }
        });
        let session = Arc::clone(&self.session);
        self.tasks.spawn(async move {
            while let Ok(datagram) = session.receive_datagram().await {
                if !inbox.datagram(datagram) {
                    break;
                }
            }
        });
    }

    fn put(&mut self, transmit: Transmit) -> Option<Channel> {
        match transmit {
            Transmit::OpenLane(channel) => self.open(channel),
            Transmit::Stream { channel, bytes } => {
                let full = self.lanes.get(&channel).is_some_and(|lane| lane.add(&bytes, &self.queued));
                return full.then_some(channel);
            }
            Transmit::FinishLane(channel) => {
                if let Some(lane) = self.lanes.remove(&channel) {
                    lane.queue.lock().finished = true;
                    lane.filled.notify_one();
                }
            }
            Transmit::Datagram(datagram) => self.session.send_datagram(datagram),
            // A link with lanes is sent no messages, and whoever owns it disconnects it.
            _ => {}
        }
        None
    }

    fn packets(&self) -> Option<PacketCounts> {
        Some(self.session.packets())
    }

    fn flush(&mut self) {
        for lane in self.lanes.values() {
            if !lane.queue.lock().bytes.is_empty() {
                lane.filled.notify_one();
            }
        }
    }

    async fn ready(&mut self) {
        // Each lane says for itself that it is full; the writers only have their turn.
        tokio::task::yield_now().await;
    }

    async fn close(&mut self, code: u16, reason: &str) {
        self.flush();
        let handed_over = self.queued.below(1);
        // What the stream has not taken by then is lost with the session; the core knows what was not acknowledged.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, handed_over).await;
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, self.session.close(code, reason)).await;
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;

    use super::*;

    /// Streams whose other ends the test holds, in the order in which they are opened.
    #[derive(Default)]
    struct Pipes(Mutex<Vec<DuplexStream>>);

    #[async_trait]
    impl StreamSession for Pipes {
        async fn open_lane(&self) -> io::Result<(LaneWrite, LaneRead)> {
            let (near, far) = tokio::io::duplex(1024);
            self.0.lock().push(far);
            let (read, write) = tokio::io::split(near);
            Ok((Box::pin(write), Box::pin(read)))
        }

        fn send_datagram(&self, _: Bytes) {}

        fn packets(&self) -> PacketCounts {
            PacketCounts::default()
        }

        async fn receive_datagram(&self) -> io::Result<Bytes> {
            std::future::pending().await
        }

        async fn closed(&self) -> String {
            std::future::pending().await
        }

        async fn close(&self, _: u16, _: &str) {}
    }

    #[derive(Default)]
    struct Drained(Mutex<Vec<Channel>>, Notify);

    impl Inbox for Drained {
        fn reads(&self, _: Channel) -> bool {
            true
        }

        fn stream(&self, _: Channel, _: &[u8]) -> bool {
            true
        }

        fn message(&self, _: Bytes) -> bool {
            true
        }

        fn datagram(&self, _: Bytes) -> bool {
            true
        }

        fn drained(&self, channel: Channel) {
            self.0.lock().push(channel);
            self.1.notify_one();
        }

        fn ended(&self, _: String) {}
    }

    async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("{what} did not come"))
    }

    #[tokio::test]
    async fn a_lane_that_is_not_read_holds_up_no_other() {
        let inbox = Arc::new(Drained::default());
        let mut link = StreamLink::new(Pipes::default());
        link.start(Arc::clone(&inbox) as _);
        let (stuck, other) = (Channel(1), Channel(2));
        for channel in [stuck, other] {
            link.put(Transmit::OpenLane(channel));
            // Opened one after the other, so that the far ends come in this order.
            soon("the lane", async {
                while link.session.0.lock().len() < channel.0 as usize {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        let bytes = Bytes::from(vec![7; QUEUE_BYTES / 4]);
        let full: Vec<_> =
            (0..6).map(|_| link.put(Transmit::Stream { channel: stuck, bytes: bytes.clone() })).collect();
        assert_eq!(full, [None, None, None, Some(stuck), None, None], "told once");
        link.flush();
        soon("room for others", link.ready()).await;
        assert_eq!(link.put(Transmit::Stream { channel: other, bytes: Bytes::from_static(b"ping") }), None);
        link.flush();
        let mut far: Vec<_> = link.session.0.lock().drain(..).collect();
        let mut ping = [0; 4];
        soon("the other lane's bytes", far[1].read_exact(&mut ping)).await.expect("it is open");
        assert_eq!((&ping, inbox.0.lock().len()), (b"ping", 0));
        let mut all = vec![0; 6 * bytes.len()];
        soon("the stuck lane's bytes", far[0].read_exact(&mut all)).await.expect("it is open");
        soon("its word", inbox.1.notified()).await;
        assert_eq!(*inbox.0.lock(), [stuck], "it takes more again");
        assert_eq!(link.put(Transmit::Stream { channel: stuck, bytes }), None);
    }
}
