//! Where to listen, as people write it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

/// An address to listen on: `localhost:PORT`, `IPV4:PORT` or `[IPV6]:PORT`.
///
/// `localhost` is never asked of a resolver, which may know only one of its addresses: it means the literal 127.0.0.1 and ::1,
/// both on the one port. Port 0 picks one that is free on all of them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub enum ListenAddress {
    /// 127.0.0.1 and ::1.
    Localhost {
        /// The port of both.
        port: u16,
    },
    /// One address.
    Literal(SocketAddr),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("{text:?} is no address to listen on: localhost:PORT, IPV4:PORT or [IPV6]:PORT is expected");
        if let Some(port) = text.strip_prefix("localhost:") {
            let port = port.parse().map_err(|_| expected())?;
            return Ok(Self::Localhost { port });
        }
        text.parse().map(Self::Literal).map_err(|_| expected())
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost { port } => write!(formatter, "localhost:{port}"),
            Self::Literal(address) => address.fmt(formatter),
        }
    }
}

impl ListenAddress {
    /// The port as asked for; 0 for any.
    pub fn port(&self) -> u16 {
        match self {
            Self::Localhost { port } => *port,
            Self::Literal(address) => address.port(),
        }
    }

    /// The same with another port.
    pub fn with_port(self, port: u16) -> Self {
        match self {
            Self::Localhost { .. } => Self::Localhost { port },
            Self::Literal(address) => Self::Literal(SocketAddr::new(address.ip(), port)),
        }
    }

    /// The addresses to bind, the one that must be had first.
    pub fn ips(&self) -> Vec<IpAddr> {
        match self {
            Self::Localhost { .. } => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Self::Literal(address) => vec![address.ip()],
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.ips().iter().all(IpAddr::is_loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse() {
        for (text, loopback, count) in [
            ("localhost:4433", true, 2),
            ("localhost:0", true, 2),
            ("127.0.0.1:4433", true, 1),
            ("127.1.2.3:1", true, 1),
            ("[::1]:4433", true, 1),
            ("[::]:4433", false, 1),
            ("0.0.0.0:443", false, 1),
            ("192.0.2.7:443", false, 1),
            ("[2001:db8::7]:443", false, 1),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_loopback(), loopback, "{text}");
            assert_eq!(address.ips().len(), count, "{text}");
            assert_eq!(address.with_port(9).port(), 9);
        }
        for text in [
            "",
            "localhost",
            "localhost:",
            "localhost:65536",
            ":4433",
            "4433",
            "::1:4433",
            "[::1]",
            "example.com:443",
            "127.0.0.1",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
