//! Whether a request was passed on by something in front of the relay.

use http::HeaderMap;

/// Whether any header shows that the request was passed on: then its sender need not be on this machine, whatever its
/// address says.
///
/// Proxies agree on no name, so families are looked for; a request that is refused for a header of another meaning costs
/// little.
pub(super) fn was_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.contains("forwarded")
            || ["via", "x-original-", "x-real-ip"].iter().any(|start| name.starts_with(start))
            || ["client-ip", "connecting-ip"].iter().any(|end| name.ends_with(end))
    })
}
