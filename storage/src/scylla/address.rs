//! A cluster's address: `scylla://[user[:password]@]host[:port],…/keyspace[?option=value&…]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of CQL.
const PORT: u16 = 9042;

/// The longest keyspace that servers take.
const MAX_KEYSPACE_BYTES: usize = 48;

/// How to reach a cluster, and what to know about it.
#[derive(Clone, Eq, PartialEq)]
pub struct Address {
    /// Nodes to begin with, as host and port; the cluster tells of the others.
    pub nodes: Vec<(String, u16)>,
    /// The keyspace that the tables are in.
    pub keyspace: String,
    /// User and password, where the cluster asks for them.
    pub login: Option<(String, String)>,
    /// `datacenter=NAME`: the one whose nodes are spoken to; else any.
    pub datacenter: Option<String>,
    /// `ca=FILE`: TLS, with the certificates in FILE (PEM) as the authorities of the nodes' own.
    pub authorities: Option<PathBuf>,
    /// `commitlog=batch|group|periodic`: when nodes sync their commit logs, where they do not tell.
    pub commit_log: Option<CommitLogSetting>,
    /// `unsynced=accept`: with nodes that acknowledge before they sync, call durable what a quorum has in memory.
    pub accepts_unsynced: bool,
}

/// What a person says about the commit log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommitLogSetting {
    /// Synced before a write is acknowledged.
    Synced,
    /// Synced from time to time.
    Periodic,
}

/// Why an address is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// It begins otherwise.
    #[error("a cluster's address begins with scylla://")]
    Scheme,
    /// There is no host.
    #[error("a cluster's address needs a host: scylla://host[:port],…/keyspace")]
    Host,
    /// A port is not a number from 1 to 65535.
    #[error("{0:?} is no port")]
    Port(String),
    /// The keyspace is missing or has other characters.
    #[error("a cluster's address ends with a keyspace of at most 48 letters, digits and underscores, a letter first")]
    Keyspace,
    /// A user without a password.
    #[error("a user needs a password: scylla://user:password@host/keyspace")]
    Login,
    /// An escape is not one of `%20` and the like.
    #[error("a percent sign in user or password must be written %25")]
    Escape,
    /// An option is unknown or has a value that it does not take.
    #[error(
        "{0:?} is no option of a cluster's address; there are datacenter, ca, commitlog=batch|group|periodic, unsynced=accept"
    )]
    Option(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("scylla://").ok_or(AddressError::Scheme)?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, keyspace) = rest.split_once('/').ok_or(AddressError::Keyspace)?;
        let (login, hosts) = match hosts.rsplit_once('@') {
            Some((login, hosts)) => {
                let (user, password) = login.split_once(':').ok_or(AddressError::Login)?;
                (Some((unescaped(user)?, unescaped(password)?)), hosts)
            }
            None => (None, hosts),
        };
        let nodes = hosts.split(',').map(node).collect::<Result<_, _>>()?;
        let is_name = keyspace.starts_with(|first: char| first.is_ascii_alphabetic())
            && keyspace.len() <= MAX_KEYSPACE_BYTES
            && keyspace.chars().all(|other| other.is_ascii_alphanumeric() || other == '_');
        if !is_name {
            return Err(AddressError::Keyspace);
        }
        let mut address = Self {
            nodes,
            keyspace: keyspace.to_owned(),
            login,
            datacenter: None,
            authorities: None,
            commit_log: None,
            accepts_unsynced: false,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("datacenter", name) if !name.is_empty() => address.datacenter = Some(name.to_owned()),
                ("ca", path) if !path.is_empty() => address.authorities = Some(path.into()),
                ("commitlog", "batch" | "group") => address.commit_log = Some(CommitLogSetting::Synced),
                ("commitlog", "periodic") => address.commit_log = Some(CommitLogSetting::Periodic),
                ("unsynced", "accept") => address.accepts_unsynced = true,
                _ => return Err(AddressError::Option(option.to_owned())),
            }
        }
        Ok(address)
    }
}

fn node(text: &str) -> Result<(String, u16), AddressError> {
    let port =
        |text: &str| text.parse().ok().filter(|port| *port != 0).ok_or_else(|| AddressError::Port(text.to_owned()));
    // An IPv6 address has colons of its own, and brackets around it.
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, PORT),
        Some((host, rest)) => (host, port(rest.trim_start_matches(':'))?),
        None => match text.split_once(':') {
            Some((host, rest)) => (host, port(rest)?),
            None => (text, PORT),
        },
    };
    if host.is_empty() { Err(AddressError::Host) } else { Ok((host.to_owned(), port)) }
}

fn unescaped(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.split_first_chunk::<2>().ok_or(AddressError::Escape)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(AddressError::Escape);
        bytes.push((digit(digits.0[0])? * 16 + digit(digits.0[1])?) as u8);
        rest = digits.1;
    }
    String::from_utf8(bytes).map_err(|_| AddressError::Escape)
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("scylla://")?;
        for (at, (host, port)) in self.nodes.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            let [open, close] = if host.contains(':') { ["[", "]"] } else { ["", ""] };
            write!(formatter, "{comma}{open}{host}{close}")?;
            if *port != PORT {
                write!(formatter, ":{port}")?;
            }
        }
        write!(formatter, "/{}", self.keyspace)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let cases = [
            ("scylla://h1,h2:9043/ink", "scylla://h1,h2:9043/ink"),
            ("scylla://[::1],[fe80::1]:99/ink_2", "scylla://[::1],[fe80::1]:99/ink_2"),
            ("scylla://ada:p%40ss%2F%25@h1:9042/ink", "scylla://h1/ink"),
        ];
        for (text, shown) in cases {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), shown);
        }
        let address: Address =
            "scylla://ada:p%40ss@h/ink?datacenter=dc1&ca=/etc/ca.pem&commitlog=batch".parse().expect("whole");
        assert_eq!(address.login, Some(("ada".into(), "p@ss".into())));
        assert_eq!(address.datacenter.as_deref(), Some("dc1"));
        assert_eq!(address.authorities, Some("/etc/ca.pem".into()));
        assert_eq!(address.commit_log, Some(CommitLogSetting::Synced));
        assert!(!address.accepts_unsynced && !format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_address_says_why() {
        use AddressError::*;
        let cases = [
            ("cassandra://h/ink", Scheme),
            ("scylla://h", Keyspace),
            ("scylla://h/", Keyspace),
            ("scylla://h/1k", Keyspace),
            ("scylla://h/a-b", Keyspace),
            ("scylla:///ink", Host),
            ("scylla://h,/ink", Host),
            ("scylla://h:0/ink", Port("0".into())),
            ("scylla://h:x/ink", Port("x".into())),
            ("scylla://ada@h/ink", Login),
            ("scylla://ada:%4@h/ink", Escape),
            ("scylla://h/ink?tls=yes", Option("tls=yes".into())),
            ("scylla://h/ink?commitlog=never", Option("commitlog=never".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Address>().err(), Some(expected), "{text}");
        }
    }
}
