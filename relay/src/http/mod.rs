//! HTTP: pages, tokens, health, metrics, and where a WebSocket begins.

mod assets;
mod forwarding;
mod origin;
mod page_policy;
mod responses;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Body;
use serde_json::json;

pub use assets::Assets;
pub use origin::Origins;
pub use responses::{Caching, Reply};

use self::forwarding::was_forwarded;
use self::origin::is_local_authority;
use self::responses::{reply, text, wrong_method};
use crate::certificate::Hashes;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::token::DevelopmentTokens;

/// Where sessions are opened, on both transports.
pub const SESSION_PATH: &str = "/session";

/// Everything that HTTP requests are answered from.
pub struct Site {
    /// Pages and the client.
    pub assets: Assets,
    /// Whose pages may open sessions.
    pub origins: Origins,
    /// Signs development tokens, where they are given at all.
    pub tokens: Option<DevelopmentTokens>,
    /// Hashes of the certificate, where it is one that browsers must be told.
    pub hashes: Option<Arc<Hashes>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether edits are accepted.
    pub readiness: Arc<Readiness>,
    /// Whether `/metrics` is answered here, to loopback.
    pub metrics_here: bool,
}

impl Site {
    /// Answers every request but that of a WebSocket.
    pub async fn answer<B>(&self, request: Request<B>, peer: SocketAddr) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD;
        let mut response = self.route(&parts, body, peer).await;
        if head {
            // HTTP/1.1 keeps the length of the body that is not sent; hyper leaves it out for HEAD.
            let length = hyper::body::Body::size_hint(response.body()).exact();
            if let Some(length) = length {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            }
            *response.body_mut() = Bytes::new().into();
        }
        response
    }

    async fn route<B>(&self, parts: &Parts, body: B, peer: SocketAddr) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = parts.uri.path();
        let authority = authority(parts);
        match path {
            "/dev/token" => match &self.tokens {
                Some(tokens) => tokens::answer(tokens, &self.origins, parts, authority, body).await,
                None => text(StatusCode::NOT_FOUND, "this relay gives no development tokens"),
            },
            SESSION_PATH => {
                let mut response =
                    text(StatusCode::UPGRADE_REQUIRED, "sessions are opened with WebTransport or a WebSocket");
                response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                response
            }
            "/metrics" => {
                if !self.metrics_here
                    || !peer.ip().to_canonical().is_loopback()
                    || !authority.is_some_and(is_local_authority)
                    || was_forwarded(&parts.headers)
                {
                    return text(
                        StatusCode::NOT_FOUND,
                        "metrics are served on loopback, or where --metrics-listen says",
                    );
                }
                metrics(&self.metrics, &parts.method)
            }
            "/healthz" => healthz(&parts.method),
            "/readyz" => readyz(&self.readiness, &parts.method).await,
            "/certificate-hashes" => self.certificate_hashes(parts),
            _ => match self.assets.answer(&parts.method, path, &parts.headers) {
                Some(mut response) => {
                    page_policy::add(response.headers_mut(), authority);
                    response
                }
                None => text(StatusCode::NOT_FOUND, "there is nothing here"),
            },
        }
    }

    fn certificate_hashes(&self, parts: &Parts) -> Reply {
        let Some(hashes) = &self.hashes else {
            return text(StatusCode::NOT_FOUND, "the certificate was given: browsers check it as they check any");
        };
        if let Some(refusal) = only_get(&parts.method) {
            return refusal;
        }
        let entries: Vec<_> = hashes
            .current()
            .iter()
            .map(|hash| {
                let value = base64::engine::general_purpose::STANDARD.encode(hash);
                json!({"algorithm": "sha-256", "value": value})
            })
            .collect();
        let mut response = reply(StatusCode::OK, "application/json", Caching::Never, json!(entries).to_string());
        // Public, and pages of allowed origins need it before they can open a session.
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }
}

/// What a separate metrics address answers.
pub struct Monitoring {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether edits are accepted.
    pub readiness: Arc<Readiness>,
}

impl Monitoring {
    /// Answers a request.
    pub async fn answer<B>(&self, request: &Request<B>) -> Reply {
        match request.uri().path() {
            "/metrics" => metrics(&self.metrics, request.method()),
            "/healthz" => healthz(request.method()),
            "/readyz" => readyz(&self.readiness, request.method()).await,
            _ => text(StatusCode::NOT_FOUND, "only /metrics, /healthz and /readyz are here"),
        }
    }
}

fn metrics(metrics: &Metrics, method: &Method) -> Reply {
    only_get(method).unwrap_or_else(|| {
        reply(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Caching::Never, metrics.render())
    })
}

fn healthz(method: &Method) -> Reply {
    only_get(method).unwrap_or_else(|| text(StatusCode::OK, "ok"))
}

async fn readyz(readiness: &Readiness, method: &Method) -> Reply {
    if let Some(refusal) = only_get(method) {
        return refusal;
    }
    match readiness.check().await {
        Ok(()) => text(StatusCode::OK, "ready"),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn only_get(method: &Method) -> Option<Reply> {
    (method != Method::GET && method != Method::HEAD).then(|| wrong_method("GET, HEAD"))
}

/// To whom a request was sent: its target's authority, else `Host`.
pub fn authority(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => {
            let mut hosts = parts.headers.get_all(header::HOST).iter();
            let host = hosts.next()?.to_str().ok()?;
            hosts.next().is_none().then_some(host)
        }
    }
}

/// Answers a request for a WebSocket with 101; nothing for any other request.
///
/// The connection is then to be had from [`hyper::upgrade::on`].
pub fn switch_to_websocket<B>(request: &Request<B>) -> Option<Reply> {
    let key = websocket_key(request.method(), request.headers())?;
    let accept = HeaderValue::try_from(tokio_tungstenite::tungstenite::handshake::derive_accept_key(key)).ok()?;
    let mut response = Reply::new(http_body_util::Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

/// Whether the headers ask for a WebSocket of the one version that there is (RFC 6455 section 4.2.1), and with what key.
pub fn websocket_key<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let has = |name: header::HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let asks = method == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    (asks && key.len() == 24).then_some(key)
}
