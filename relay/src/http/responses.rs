//! How answers are built, so that each states how it may be cached.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// An answer with its whole body.
pub type Reply = Response<Full<Bytes>>;

/// How an answer may be cached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caching {
    /// Kept, but asked about before each use.
    Revalidate,
    /// Kept for a year and never asked about: its name holds a hash of its content.
    Immutable,
    /// Never kept.
    Never,
}

impl Caching {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Caching::Revalidate => "no-cache",
            Caching::Immutable => "public, max-age=31536000, immutable",
            Caching::Never => "no-store",
        })
    }
}

/// An answer with this status, type and body.
pub(super) fn reply(status: StatusCode, content_type: &'static str, caching: Caching, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, caching.header());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A line of text that is never kept.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Reply {
    let mut body = body.into();
    body.push('\n');
    reply(status, "text/plain; charset=utf-8", Caching::Never, body)
}

/// 405, naming what is allowed.
pub(super) fn wrong_method(allowed: &'static str) -> Reply {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} is allowed here"));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Whether `If-None-Match` holds `etag` (RFC 9110 section 13.1.2: weak comparison).
pub(super) fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag)
}
