//! A bad path to a relay: everything is late by a fixed time, of the UDP packets some are lost, as a seed decides, or the link to each
//! client is narrow.
//!
//! TCP passes on the same port, no packet of it lost: a client asks there for the relay's certificate.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use inkwire_loadtest::trace::Random;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

/// Packets on their way in one direction; what comes on top is lost.
const CAPACITY: usize = 8_192;

/// Clients; what others send is lost.
const MAX_CLIENTS: usize = 32;

/// The longest UDP packet.
const PACKET_BYTES: usize = 65_536;

/// Bytes that wait in front of a narrow link, in each direction; what comes on top is lost. Half a second of a megabit.
const NARROW_QUEUE_BYTES: usize = 64 << 10;

/// A running proxy; gone with the value.
pub(crate) struct Proxy {
    pub(crate) url: Url,
    weather: Arc<Weather>,
    _tasks: JoinSet<()>,
}

/// What happens to packets, and how often it did.
struct Weather {
    loss_per_mille: AtomicU32,
    delay: Duration,
    /// Bits a second, each way, of each client's link.
    narrow: Option<u32>,
    random: std::sync::Mutex<Random>,
    passed: AtomicU64,
    lost: AtomicU64,
}

impl Weather {
    /// How long so many bytes take on the link.
    fn takes(&self, bytes: usize) -> Duration {
        self.narrow.map_or(Duration::ZERO, |bits| Duration::from_secs_f64(bytes as f64 * 8.0 / f64::from(bits)))
    }

    fn loses(&self) -> bool {
        let loss = self.loss_per_mille.load(Ordering::Relaxed);
        let draw = self.random.lock().expect("drawing does not panic").below(1_000);
        let lost = draw < loss as usize;
        let counter = if lost { &self.lost } else { &self.passed };
        counter.fetch_add(1, Ordering::Relaxed);
        lost
    }
}

impl Proxy {
    /// One in front of `relay`, on a port of its own, which delays everything by `delay` each way and loses nothing yet.
    pub(crate) async fn start(relay: &Url, delay: Duration, seed: u64) -> Self {
        Self::start_with(relay, delay, None, seed).await
    }

    /// One that loses nothing but what does not fit: so many bits a second go to each client, and so many from it.
    pub(crate) async fn narrow(relay: &Url, delay: Duration, bits_per_second: u32) -> Self {
        Self::start_with(relay, delay, Some(bits_per_second), 0).await
    }

    async fn start_with(relay: &Url, delay: Duration, narrow: Option<u32>, seed: u64) -> Self {
        let port = relay.port().expect("a test's relay has a port");
        let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().expect("it is bound");
        let weather = Arc::new(Weather {
            loss_per_mille: AtomicU32::new(0),
            delay,
            narrow,
            random: std::sync::Mutex::new(Random::new(seed)),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_tcp(tcp, relay, Arc::clone(&weather)));
        tasks.spawn(carry(Arc::new(udp), relay, Arc::clone(&weather)));
        let url = Url::parse(&format!("http://{address}")).expect("an address");
        Self { url, weather, _tasks: tasks }
    }

    /// From now on so many of a thousand packets are lost, in each direction.
    pub(crate) fn lose(&self, per_mille: u32) {
        self.weather.loss_per_mille.store(per_mille, Ordering::Relaxed);
    }

    /// Packets that passed and that were lost so far.
    pub(crate) fn packets(&self) -> (u64, u64) {
        (self.weather.passed.load(Ordering::Relaxed), self.weather.lost.load(Ordering::Relaxed))
    }
}

/// Both kinds of socket on one free port.
async fn sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = tcp.local_addr().expect("it is bound");
        if let Ok(udp) = UdpSocket::bind(address).await {
            return (udp, tcp);
        }
    }
    panic!("of 100 ports none was free for TCP and UDP")
}

async fn pass_tcp(listener: TcpListener, relay: SocketAddr, weather: Arc<Weather>) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let weather = Arc::clone(&weather);
        connections.spawn(async move {
            // Whoever is left sees the other's end.
            if weather.narrow.is_some() {
                let _ = pass_narrow(client, relay, &weather).await;
            } else if let Ok(mut server) = TcpStream::connect(relay).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

/// One TCP connection over a narrow link.
async fn pass_narrow(mut client: TcpStream, relay: SocketAddr, weather: &Weather) -> std::io::Result<()> {
    let server = TcpSocket::new_v4()?;
    // What the kernel holds in front of the link is as bounded as a router's queue.
    server.set_recv_buffer_size(NARROW_QUEUE_BYTES as u32)?;
    let mut server = server.connect(relay).await?;
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::try_join!(trickle(from_client, to_server, weather), trickle(from_server, to_client, weather))?;
    Ok(())
}

/// A packet's worth at a time.
async fn trickle(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    weather: &Weather,
) -> std::io::Result<()> {
    let mut bytes = [0; 1_400];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        tokio::time::sleep(weather.takes(count)).await;
        to.write_all(&bytes[..count]).await?;
    }
}

/// Carries packets: a socket of its own towards the relay for each client, so that answers find back.
async fn carry(front: Arc<UdpSocket>, relay: SocketAddr, weather: Arc<Weather>) {
    let mut clients: HashMap<SocketAddr, Line> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut packet = vec![0; PACKET_BYTES];
    loop {
        let Ok((length, from)) = front.recv_from(&mut packet).await else { return };
        if !clients.contains_key(&from) {
            if clients.len() == MAX_CLIENTS {
                continue;
            }
            let Ok(back) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await else { return };
            let back = Arc::new(back);
            clients.insert(from, Line::new(&mut tasks, Arc::clone(&back), relay, Arc::clone(&weather)));
            let answers = Line::new(&mut tasks, Arc::clone(&front), from, Arc::clone(&weather));
            tasks.spawn(async move {
                let mut packet = vec![0; PACKET_BYTES];
                while let Ok((length, _)) = back.recv_from(&mut packet).await {
                    answers.send(&packet[..length]);
                }
            });
        }
        clients[&from].send(&packet[..length]);
    }
}

/// One direction of one client: in order, each packet late by the same time.
struct Line {
    queue: mpsc::Sender<(Instant, Vec<u8>)>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
    weather: Arc<Weather>,
}

impl Line {
    fn new(tasks: &mut JoinSet<()>, socket: Arc<UdpSocket>, to: SocketAddr, weather: Arc<Weather>) -> Self {
        let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(CAPACITY);
        let bytes = Arc::new(AtomicUsize::new(0));
        let (left, link) = (Arc::clone(&bytes), Arc::clone(&weather));
        tasks.spawn(async move {
            while let Some((due, packet)) = waiting.recv().await {
                tokio::time::sleep_until(due).await;
                tokio::time::sleep(link.takes(packet.len())).await;
                left.fetch_sub(packet.len(), Ordering::Relaxed);
                // A receiver that is gone is as good as a lost packet.
                let _ = socket.send_to(&packet, to).await;
            }
        });
        Self { queue, waiting: bytes, weather }
    }

    fn send(&self, packet: &[u8]) {
        let is_full =
            self.weather.narrow.is_some() && self.waiting.load(Ordering::Relaxed) + packet.len() > NARROW_QUEUE_BYTES;
        if is_full || self.weather.loses() {
            return;
        }
        if self.queue.try_send((Instant::now() + self.weather.delay, packet.to_vec())).is_ok() {
            self.waiting.fetch_add(packet.len(), Ordering::Relaxed);
        }
    }
}
