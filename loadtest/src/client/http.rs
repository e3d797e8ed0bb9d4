//! The two small requests that a client makes over HTTP: the development certificate's hashes and a development token.
//!
//! Both exist only where the relay speaks plain HTTP, on loopback, so this needs no TLS, no redirects and no pool.

use std::net::SocketAddr;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use url::Url;

/// How long one request may take altogether.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes: tokens and hashes are far smaller.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Why a request over HTTP failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL has no host, or is not plain HTTP.
    #[error("{0} is not an http:// address")]
    Address(Url),
    /// Nobody answers there.
    #[error("cannot reach {url}: {source}")]
    Connect {
        /// Where.
        url: Url,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke off, or what came was not HTTP.
    #[error("no answer from {url}: {source}")]
    Broken {
        /// Where.
        url: Url,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer took longer than 5 seconds.
    #[error("no answer from {0} within {TIMEOUT:?}")]
    Timeout(Url),
    /// The relay answered with something other than success.
    #[error("{url} answered {status}: {body}")]
    Status {
        /// Where.
        url: Url,
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said.
        body: String,
    },
    /// The answer is not what it should be.
    #[error("{url} gave something unexpected: {what}")]
    Answer {
        /// Where.
        url: Url,
        /// What is wrong with it.
        what: String,
    },
}

impl HttpError {
    /// Whether the same request may succeed later: the relay is away, not unwilling.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Broken { .. } | Self::Timeout(_) => true,
            Self::Status { status, .. } => *status >= 500,
            Self::Address(_) | Self::Answer { .. } => false,
        }
    }
}

/// What a relay says of its development certificate, and which of its addresses said so.
pub(crate) struct CertificateHashes {
    /// SHA-256 over the certificates in DER, current and next; `None` with a certificate from an authority.
    pub(crate) hashes: Option<Vec<[u8; 32]>>,
    /// The address that answered; QUIC goes to the same one, because UDP would not say that nobody is there.
    pub(crate) peer: SocketAddr,
}

/// Asks `GET /certificate-hashes`.
pub(crate) async fn certificate_hashes(base: &Url) -> Result<CertificateHashes, HttpError> {
    #[derive(Deserialize)]
    struct Hash {
        algorithm: String,
        value: String,
    }
    let url = join(base, "certificate-hashes");
    let Answer { status, body, peer } = request(&url, Method::GET, Bytes::new()).await?;
    if status == StatusCode::NOT_FOUND {
        return Ok(CertificateHashes { hashes: None, peer });
    }
    expect_success(&url, status, &body)?;
    let wrong = |what: String| HttpError::Answer { url: url.clone(), what };
    let hashes: Vec<Hash> = serde_json::from_slice(&body).map_err(|error| wrong(error.to_string()))?;
    let hashes = hashes
        .into_iter()
        .filter(|hash| hash.algorithm == "sha-256")
        .map(|hash| BASE64_STANDARD.decode(&hash.value).ok().and_then(|value| value.try_into().ok()))
        .collect::<Option<Vec<[u8; 32]>>>()
        .ok_or_else(|| wrong("a sha-256 hash is not 32 bytes in base64".to_owned()))?;
    Ok(CertificateHashes { hashes: Some(hashes), peer })
}

/// What a development token is to say; what is `None` is left to the relay.
#[derive(Clone, Default, Debug, serde::Serialize)]
pub struct DevelopmentToken {
    /// The subject, a fresh `dev-…` if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The pattern of the documents that it grants, all if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// `viewer` or `editor`, the latter if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How long it is good for in seconds, an hour if none.
    #[serde(rename = "ttl", skip_serializing_if = "Option::is_none")]
    pub ttl_secs: Option<u64>,
}

/// Asks `POST /dev/token` for a token.
///
/// # Errors
///
/// See [`HttpError`]; a relay that gives no development tokens answers 404 or 403.
pub async fn development_token(base: &Url, wanted: &DevelopmentToken) -> Result<String, HttpError> {
    let url = join(base, "dev/token");
    let body =
        serde_json::to_vec(wanted).map_err(|error| HttpError::Answer { url: url.clone(), what: error.to_string() })?;
    let Answer { status, body, .. } = request(&url, Method::POST, body.into()).await?;
    expect_success(&url, status, &body)?;
    let token = std::str::from_utf8(&body).map(str::trim).unwrap_or_default();
    if token.is_empty() {
        return Err(HttpError::Answer { url, what: "the token is empty or not text".to_owned() });
    }
    Ok(token.to_owned())
}

fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn expect_success(url: &Url, status: StatusCode, body: &Bytes) -> Result<(), HttpError> {
    if status.is_success() {
        return Ok(());
    }
    let body = String::from_utf8_lossy(body).trim().chars().take(200).collect();
    Err(HttpError::Status { url: url.clone(), status: status.as_u16(), body })
}

struct Answer {
    status: StatusCode,
    body: Bytes,
    peer: SocketAddr,
}

async fn request(url: &Url, method: Method, body: Bytes) -> Result<Answer, HttpError> {
    match tokio::time::timeout(TIMEOUT, exchange(url, method, body)).await {
        Ok(answer) => answer,
        Err(_) => Err(HttpError::Timeout(url.clone())),
    }
}

async fn exchange(url: &Url, method: Method, body: Bytes) -> Result<Answer, HttpError> {
    let (host, port) = match (url.scheme(), url.host_str(), url.port_or_known_default()) {
        ("http", Some(host), Some(port)) => (host, port),
        _ => return Err(HttpError::Address(url.clone())),
    };
    let connect = |source| HttpError::Connect { url: url.clone(), source };
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(connect)?;
    let peer = stream.peer_addr().map_err(connect)?;

    let broken = |source: Box<dyn std::error::Error + Send + Sync>| HttpError::Broken { url: url.clone(), source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let request = Request::builder()
        .method(method)
        .uri(url.path())
        .header(header::HOST, format!("{host}:{port}"))
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| broken(error.into()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(broken)?.to_bytes();
        Ok(Answer { status, body, peer })
    };
    tokio::pin!(answer);
    // The connection is driven here rather than by a task: it ends with the answer, or with this future.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            // All of the answer may have come with the connection's end.
            Ok(()) => answer.await,
            Err(error) => Err(broken(error.into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and gives back what was asked.
    async fn serve(answer: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/?x=1", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            let all = |asked: &[u8]| match asked.starts_with(b"GET") {
                true => asked.ends_with(b"\r\n\r\n"),
                false => asked.ends_with(b"}"),
            };
            while !all(&asked) {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    #[tokio::test]
    async fn hashes_are_read() {
        let (url, asked) = serve(concat!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            r#"[{"algorithm":"sha-512","value":"AA=="},{"algorithm":"sha-256","value":"#,
            r#""AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]    "#
        ))
        .await;
        let answer = certificate_hashes(&url).await.unwrap();
        assert_eq!(answer.hashes, Some(vec![[1; 32]]));
        assert_eq!(answer.peer.port(), url.port().unwrap());
        assert!(asked.await.unwrap().starts_with("GET /certificate-hashes HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn a_token_is_asked_for_and_trimmed() {
        let (url, asked) = serve("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\neyJ.x.y\n").await;
        let wanted = DevelopmentToken { subject: Some("ann".into()), ..Default::default() };
        assert_eq!(development_token(&url, &wanted).await.unwrap(), "eyJ.x.y");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("POST /dev/token HTTP/1.1\r\n") && asked.ends_with("\r\n\r\n{\"subject\":\"ann\"}"));
    }

    #[tokio::test]
    async fn failures_are_told_apart() {
        let (url, _asked) = serve("HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n").await;
        let error = development_token(&url, &DevelopmentToken::default()).await.unwrap_err();
        assert!(error.to_string().ends_with("answered 403: no") && !error.is_transient(), "{error}");

        let (url, _asked) = serve("nonsense\r\n\r\n").await;
        let error = certificate_hashes(&url).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }) && error.is_transient(), "{error}");

        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let url = Url::parse(&format!("http://{free}/")).unwrap();
        let error = certificate_hashes(&url).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, HttpError::Connect { .. }) && error.is_transient(), "{error}");
    }
}
