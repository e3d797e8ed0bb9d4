//! One port number for all of an address's sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::settings::ListenAddress;

/// How often a port that was free for one socket may be taken for another before `port 0` gives up.
const PORT_ATTEMPTS: usize = 100;

/// The accept queue of a TCP listener: as many connections as the system lets wait (Linux caps it at `somaxconn`).
const BACKLOG: i32 = 4096;

/// Sockets that are bound and listen, all on one port.
#[derive(Debug)]
pub struct Sockets {
    /// The port of all of them.
    pub port: u16,
    /// One for each of the address's IPs.
    pub tcp: Vec<TcpListener>,
    /// One for each of the address's IPs; none where only TCP was asked for.
    pub udp: Vec<UdpSocket>,
}

/// Binds TCP, and UDP where `udp_buffer` says how large its buffers should be, on each IP of `address`.
///
/// Where `localhost` has no IPv6 on this machine, IPv4 alone is used and a log line says so.
pub fn bind(address: ListenAddress, udp_buffer: Option<usize>) -> io::Result<Sockets> {
    let attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..attempts {
        match bind_once(address, udp_buffer) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            outcome => return outcome,
        }
    }
    Err(last)
}

fn bind_once(address: ListenAddress, udp_buffer: Option<usize>) -> io::Result<Sockets> {
    let mut sockets = Sockets { port: address.port(), tcp: Vec::new(), udp: Vec::new() };
    for (index, ip) in address.ips().into_iter().enumerate() {
        let tcp = match bind_tcp(SocketAddr::new(ip, sockets.port)) {
            Err(error) if index > 0 && ip.is_ipv6() && is_missing_family(&error) => {
                tracing::warn!(%error, "no IPv6 on this machine: listening on 127.0.0.1 alone");
                continue;
            }
            outcome => outcome?,
        };
        // From the first socket on, port 0 has become the port that the system picked.
        sockets.port = tcp.local_addr()?.port();
        sockets.tcp.push(tcp);
        if let Some(buffer) = udp_buffer {
            sockets.udp.push(bind_udp(SocketAddr::new(ip, sockets.port), buffer)?);
        }
    }
    Ok(sockets)
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address.ip(), Type::STREAM, Protocol::TCP)?;
    // A restarted relay must get its port back while connections of the last one linger.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    let socket = socket(address.ip(), Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    // The default of 208 KiB drops bursts of a few hundred packets. The system may give less than asked for: it says so in
    // what it reports back, not by an error.
    socket.set_recv_buffer_size(buffer)?;
    socket.set_send_buffer_size(buffer)?;
    let (receive, send) = (socket.recv_buffer_size()?, socket.send_buffer_size()?);
    if receive < buffer || send < buffer {
        tracing::info!(
            asked = buffer,
            receive,
            send,
            "the system gives smaller UDP buffers; raise net.core.rmem_max and net.core.wmem_max for bursts"
        );
    }
    Ok(socket.into())
}

fn socket(ip: IpAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, kind, Some(protocol))?;
    if ip.is_ipv6() {
        // `[::]` takes IPv4 too; a literal address means itself alone.
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether the machine has no such addresses at all, as opposed to the port being taken.
fn is_missing_family(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        // EAFNOSUPPORT on Linux, which has no kind of its own.
        || error.raw_os_error() == Some(97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_has_all_its_sockets_on_one_port() {
        let sockets = bind("localhost:0".parse().unwrap(), Some(1 << 16)).unwrap();
        assert_ne!(sockets.port, 0);
        assert_eq!(sockets.tcp.len(), sockets.udp.len());
        for address in sockets
            .tcp
            .iter()
            .map(|socket| socket.local_addr())
            .chain(sockets.udp.iter().map(|socket| socket.local_addr()))
        {
            let address = address.unwrap();
            assert!(address.ip().is_loopback());
            assert_eq!(address.port(), sockets.port);
        }
        let taken = ListenAddress::Localhost { port: sockets.port };
        assert_eq!(bind(taken, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn port_0_goes_on_when_a_port_is_taken_for_udp() {
        // Many at once: whatever the system hands out, no two share a port.
        let all: Vec<_> = (0..20).map(|_| bind("localhost:0".parse().unwrap(), Some(1 << 16)).unwrap()).collect();
        let ports: std::collections::BTreeSet<_> = all.iter().map(|sockets| sockets.port).collect();
        assert_eq!(ports.len(), all.len());
    }

    #[test]
    fn all_interfaces_take_ipv4_too() {
        let Ok(sockets) = bind("[::]:0".parse().unwrap(), None) else {
            return; // No IPv6 here.
        };
        std::net::TcpStream::connect(("127.0.0.1", sockets.port)).unwrap();
    }
}
