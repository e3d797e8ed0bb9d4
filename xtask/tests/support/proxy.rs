//! A bad path to a relay: everything is late by a fixed time, and of the UDP packets some are lost, as a seed decides.
//!
//! TCP passes on the same port, unharmed: a client asks there for the relay's certificate.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use inkwire_loadtest::trace::Random;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
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
    random: std::sync::Mutex<Random>,
    passed: AtomicU64,
    lost: AtomicU64,
}

impl Weather {
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
        let port = relay.port().expect("a test's relay has a port");
        let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().expect("it is bound");
        let weather = Arc::new(Weather {
            loss_per_mille: AtomicU32::new(0),
            delay,
            random: std::sync::Mutex::new(Random::new(seed)),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_tcp(tcp, relay));
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

async fn pass_tcp(listener: TcpListener, relay: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            // Whoever is left sees the other's end.
            if let Ok(mut server) = TcpStream::connect(relay).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
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
    weather: Arc<Weather>,
}

impl Line {
    fn new(tasks: &mut JoinSet<()>, socket: Arc<UdpSocket>, to: SocketAddr, weather: Arc<Weather>) -> Self {
        let (queue, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(CAPACITY);
        tasks.spawn(async move {
            while let Some((due, packet)) = waiting.recv().await {
                tokio::time::sleep_until(due).await;
                // A receiver that is gone is as good as a lost packet.
                let _ = socket.send_to(&packet, to).await;
            }
        });
        Self { queue, weather }
    }

    fn send(&self, packet: &[u8]) {
        if !self.weather.loses() {
            let _full = self.queue.try_send((Instant::now() + self.weather.delay, packet.to_vec()));
        }
    }
}
