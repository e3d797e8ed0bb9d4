//! Which pages may open sessions: the relay's own, and those of allowed origins.

use http::{HeaderMap, Uri, header};

/// The names of this machine that a development token may be asked for under.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What the `Origin` and `Host` of requests are compared with.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<String>,
    /// Only this machine can reach the relay, so only its names are the relay's own: a foreign name that was made to resolve
    /// to 127.0.0.1 is still foreign.
    loopback: bool,
    port: u16,
}

impl Origins {
    /// The rules of a relay on `port` that also allows the pages of `allowed`.
    pub fn new(allowed: Vec<String>, loopback: bool, port: u16) -> Self {
        Self { allowed, loopback, port }
    }

    /// Whether a request with these headers, sent to `authority`, may open a session.
    ///
    /// Without an `Origin` it may: no page sends it, and a native client could claim any. An origin is the relay's own if its
    /// authority is the one that the request was sent to, and on loopback also if it is another name of this machine with the
    /// relay's port.
    pub fn allows(&self, headers: &HeaderMap, authority: Option<&str>) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        if origins.next().is_some() {
            return false;
        }
        let Ok(origin) = origin.to_str() else { return false };
        self.is_allowed(origin) || self.is_own(origin, authority)
    }

    /// Whether the operator allowed this origin.
    pub fn is_allowed(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == origin)
    }

    fn is_own(&self, origin: &str, authority: Option<&str>) -> bool {
        let Some((host, port)) = origin_parts(origin) else { return false };
        let local = is_local_name(host);
        if self.loopback && !local {
            return false;
        }
        if self.loopback && port == self.port {
            return true;
        }
        let default = if origin.starts_with("https:") { 443 } else { 80 };
        authority.is_some_and(|authority| {
            let (name, given) = split_authority(authority);
            name.eq_ignore_ascii_case(host) && given.unwrap_or(default) == port
        })
    }
}

/// Whether `authority`, as in `Host`, names this machine.
pub(super) fn is_local_authority(authority: &str) -> bool {
    is_local_name(split_authority(authority).0)
}

fn is_local_name(host: &str) -> bool {
    LOCAL_NAMES.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Host and port of an origin, the port its scheme's default if it has none.
fn origin_parts(origin: &str) -> Option<(&str, u16)> {
    let (default, authority) = if let Some(rest) = origin.strip_prefix("https://") {
        (443, rest)
    } else {
        (80, origin.strip_prefix("http://")?)
    };
    let uri: Uri = authority.parse().ok()?;
    // Nothing but an authority: no path, no user.
    if uri.authority()?.as_str() != authority || authority.contains('@') {
        return None;
    }
    let (host, port) = split_authority(authority);
    Some((host, port.unwrap_or(default)))
}

fn split_authority(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        // Inside of brackets a colon belongs to the address.
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn origins_are_told_apart() {
        let local = Origins::new(vec!["https://app.example".to_owned()], true, 4433);
        let public = Origins::new(vec!["https://app.example".to_owned()], false, 443);
        let table: &[(&Origins, &str, &str, bool)] = &[
            (&local, "http://localhost:4433", "localhost:4433", true),
            (&local, "https://localhost:4433", "localhost:4433", true),
            (&local, "http://127.0.0.1:4433", "[::1]:4433", true),
            (&local, "http://[::1]:4433", "localhost:4433", true),
            (&local, "http://localhost:9999", "localhost:9999", true),
            (&local, "http://localhost:9999", "localhost:4433", false),
            (&local, "http://localhost", "localhost:4433", false),
            (&local, "http://localhost:4433.evil.example", "localhost:4433", false),
            (&local, "http://evil.example:4433", "evil.example:4433", false),
            (&local, "http://localhost@evil.example:4433", "localhost:4433", false),
            (&local, "null", "localhost:4433", false),
            (&local, "", "localhost:4433", false),
            (&local, "file://", "localhost:4433", false),
            (&local, "https://app.example", "localhost:4433", true),
            (&local, "http://app.example", "localhost:4433", false),
            (&public, "https://relay.example", "relay.example", true),
            (&public, "https://relay.example", "relay.example:443", true),
            (&public, "https://relay.example:8443", "relay.example:8443", true),
            (&public, "https://RELAY.example", "relay.example", true),
            (&public, "https://relay.example", "other.example", false),
            (&public, "https://relay.example:8443", "relay.example", false),
            (&public, "https://evil.example", "relay.example", false),
            (&public, "https://app.example", "relay.example", true),
            (&public, "https://app.example:8443", "relay.example", false),
            (&public, "http://localhost:443", "relay.example", false),
        ];
        for (origins, origin, authority, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
            assert_eq!(origins.allows(&headers, Some(authority)), *expected, "{origin} at {authority}");
        }
        assert!(local.allows(&HeaderMap::new(), None), "a native client sends none");
        let mut twice = HeaderMap::new();
        twice.append(header::ORIGIN, HeaderValue::from_static("https://app.example"));
        twice.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(!local.allows(&twice, None));
    }

    #[test]
    fn local_names_are_known() {
        for (authority, expected) in [
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("127.0.0.1:4433", true),
            ("[::1]:4433", true),
            ("[::1]", true),
            ("127.0.0.2", false),
            ("localhost.evil.example", false),
            ("evil.example:4433", false),
            ("", false),
        ] {
            assert_eq!(is_local_authority(authority), expected, "{authority}");
        }
    }
}
