//! `POST /dev/token`: development tokens for whoever is on this machine, and for nobody else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;

use super::forwarding::was_forwarded;
use super::origin::{Origins, is_local_authority};
use super::responses::{Caching, Reply, reply, text, wrong_method};
use crate::token::{DevelopmentTokens, RequestError, TokenRequest};

/// The longest body, in bytes.
const MAX_BODY_BYTES: usize = 4096;

/// How long the body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers a request for a token.
pub(super) async fn answer<B>(
    tokens: &DevelopmentTokens,
    origins: &Origins,
    parts: &Parts,
    authority: Option<&str>,
    body: B,
) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Some(reason) = refusal(origins, &parts.headers, authority) {
        return text(StatusCode::FORBIDDEN, reason);
    }
    let mut response = match parts.method {
        Method::POST => issue(tokens, body).await,
        Method::OPTIONS => reply(StatusCode::NO_CONTENT, "text/plain", Caching::Never, ""),
        _ => wrong_method("POST"),
    };
    allow_origin(origins, &parts.headers, &mut response);
    response
}

/// Why a request is not from this machine's user, if it is not.
fn refusal(origins: &Origins, headers: &HeaderMap, authority: Option<&str>) -> Option<&'static str> {
    if !authority.is_some_and(is_local_authority) {
        // A foreign name that resolves to this machine makes its pages' requests look local in every other way.
        return Some("development tokens are given only under the names localhost, 127.0.0.1 and [::1]");
    }
    if was_forwarded(headers) {
        return Some("development tokens are not given through a proxy");
    }
    if !origins.allows(headers, authority) {
        return Some("development tokens are not given to pages of this origin");
    }
    None
}

async fn issue<B>(tokens: &DevelopmentTokens, body: B) -> Reply
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = Box::pin(Limited::new(body, MAX_BODY_BYTES)).collect();
    let body = match tokio::time::timeout(PATIENCE, collected).await {
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return text(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MAX_BODY_BYTES} bytes are read"));
        }
        Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body did not arrive"),
    };
    let request = if body.iter().all(u8::is_ascii_whitespace) {
        TokenRequest::default()
    } else {
        match serde_json::from_slice(&body) {
            Ok(request) => request,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("the body is no request for a token: {error}")),
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match tokens.issue(&request, now) {
        Ok(token) => reply(StatusCode::OK, "text/plain; charset=utf-8", Caching::Never, token),
        Err(error @ RequestError::Field(_)) => text(StatusCode::BAD_REQUEST, error.to_string()),
        Err(error @ RequestError::Sign(_)) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// An allowed origin's page may read the answer.
fn allow_origin(origins: &Origins, headers: &HeaderMap, response: &mut Reply) {
    let Some(origin) = headers.get(header::ORIGIN) else { return };
    if !origin.to_str().is_ok_and(|origin| origins.is_allowed(origin)) {
        return;
    }
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
}
