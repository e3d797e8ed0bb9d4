//! Requests against a whole site: routes, caching rules, and who gets development tokens.

use http_body_util::{BodyExt as _, Full};
use inkwire_storage::{MemoryStore, Store};

use super::*;

const LOCAL_PEER: &str = "127.0.0.1:50000";

fn site() -> Site {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    Site {
        assets: Assets::embedded(),
        origins: Origins::new(vec!["https://app.example".to_owned()], true, 4433),
        tokens: Some(DevelopmentTokens::new([1; 32])),
        hashes: Some(Arc::new(Hashes::new([[1; 32], [2; 32]]))),
        metrics: Arc::new(Metrics::new()),
        readiness: Arc::new(Readiness::new(store)),
        metrics_here: true,
    }
}

/// `METHOD PATH`, headers as pairs, a body: status, headers and body of the answer.
async fn ask_from(
    site: &Site,
    peer: &str,
    line: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> (StatusCode, HeaderMap, String) {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
    let (parts, body) = site.answer(request, peer.parse().unwrap()).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(site: &Site, line: &str, headers: &[(&str, &str)], body: &'static str) -> (StatusCode, HeaderMap, String) {
    ask_from(site, LOCAL_PEER, line, headers, body).await
}

/// Names by which proxies say that they passed a request on.
const FORWARDING: [&str; 14] = [
    "forwarded",
    "x-forwarded",
    "X-Forwarded-For",
    "x-forwarded-proto",
    "forwarded-for",
    "x-vendor-forwarded-for",
    "via",
    "x-real-ip",
    "x-original-host",
    "x-original-forwarded-for",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "cf-connecting-ip",
];

const HOST: (&str, &str) = ("host", "localhost:4433");

#[tokio::test]
async fn every_route_states_how_it_is_cached() {
    let site = site();
    for (line, status, caching) in [
        ("GET /", 200, "no-cache"),
        ("GET /?document=a&transport=auto", 200, "no-cache"),
        ("HEAD /", 200, "no-cache"),
        ("POST /", 405, "no-store"),
        ("GET /healthz", 200, "no-store"),
        ("GET /readyz", 200, "no-store"),
        ("GET /metrics", 200, "no-store"),
        ("GET /certificate-hashes", 200, "no-store"),
        ("POST /certificate-hashes", 405, "no-store"),
        ("GET /dev/token", 405, "no-store"),
        ("POST /dev/token", 200, "no-store"),
        ("GET /session", 426, "no-store"),
        ("GET /nothing", 404, "no-store"),
        ("GET /../etc/passwd", 404, "no-store"),
        ("GET /assets/none-12345678.js", 404, "no-store"),
    ] {
        let (got, headers, body) = ask(&site, line, &[HOST], "").await;
        assert_eq!(got.as_u16(), status, "{line}: {body}");
        assert_eq!(headers[header::CACHE_CONTROL], caching, "{line}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{line}");
        assert_eq!(headers.contains_key(header::ETAG), caching == "no-cache", "{line}");
    }
}

#[tokio::test]
async fn the_page_may_load_and_reach_only_its_relay() {
    let site = site();
    for (host, sessions) in [
        ("localhost:4433", " https://localhost:4433 wss://localhost:4433 ws://localhost:4433"),
        ("[::1]:4433", " https://[::1]:4433 wss://[::1]:4433 ws://[::1]:4433"),
        ("evil.example; script-src *", ""),
        ("a b", ""),
    ] {
        let (_, headers, _) = ask(&site, "GET /", &[("host", host)], "").await;
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
        assert!(policy.contains(&format!("connect-src 'self'{sessions}; base-uri")), "{host}: {policy}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
    }
}

#[tokio::test]
async fn certificate_hashes_are_published() {
    let mut site = site();
    let (_, headers, body) = ask(&site, "GET /certificate-hashes", &[HOST], "").await;
    let value = |byte: u8| base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&body).unwrap(),
        json!([{"algorithm": "sha-256", "value": value(1)}, {"algorithm": "sha-256", "value": value(2)}])
    );
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    site.hashes = None;
    assert_eq!(ask(&site, "GET /certificate-hashes", &[HOST], "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn development_tokens_are_for_this_machine_alone() {
    let site = site();
    let refused: &[&[(&str, &str)]] = &[
        &[],
        &[("host", "evil.example:4433")],
        &[("host", "localhost.evil.example")],
        &[("host", "127.0.0.2:4433")],
        &[HOST, ("host", "evil.example")],
        &[HOST, ("origin", "https://evil.example")],
        &[HOST, ("origin", "http://localhost:3000")],
        &[HOST, ("origin", "null")],
    ];
    let forwarded: Vec<[(&str, &str); 2]> = FORWARDING.iter().map(|name| [HOST, (*name, "192.0.2.1")]).collect();
    for headers in refused.iter().copied().chain(forwarded.iter().map(|headers| &headers[..])) {
        let (status, _, body) = ask(&site, "POST /dev/token", headers, "").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}: {body}");
        assert!(!body.contains("eyJ"));
    }
    let verifier = DevelopmentTokens::new([1; 32]).verifier();
    type Granted<'a> = (&'a [(&'a str, &'a str)], &'static str, &'a str);
    let granted: &[Granted<'_>] = &[
        (&[HOST], "", "**"),
        (&[HOST], " \n", "**"),
        (&[HOST], "{}", "**"),
        (&[("host", "127.0.0.1:4433")], "{\"document\":\"a/*\"}", "a/*"),
        (&[("host", "[::1]:4433"), ("origin", "http://[::1]:4433")], "{\"document\":\"a/*\",\"ttl\":5}", "a/*"),
        (&[HOST, ("origin", "http://localhost:4433")], "{\"role\":\"viewer\",\"subject\":\"ada\"}", "**"),
        (&[HOST, ("origin", "https://app.example")], "", "**"),
    ];
    for (headers, body, pattern) in granted {
        let (status, answered, token) = ask(&site, "POST /dev/token", headers, body).await;
        assert_eq!(status, StatusCode::OK, "{headers:?} {body}: {token}");
        assert!(answered[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/plain"));
        let foreign = headers.iter().any(|(_, value)| *value == "https://app.example");
        assert_eq!(answered.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), foreign);
        let access = verifier.verify(&token, 0).unwrap();
        assert_eq!(access.grants[0].documents.to_string(), *pattern);
    }
    for body in ["[]", "{\"subject\":7}", "{\"other\":1}", "{\"role\":\"owner\"}", "{\"ttl\":-1}", "nonsense"] {
        assert_eq!(ask(&site, "POST /dev/token", &[HOST], body).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    let (status, headers, _) = ask(&site, "OPTIONS /dev/token", &[HOST, ("origin", "https://app.example")], "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
}

#[tokio::test]
async fn a_relay_with_keys_gives_no_development_tokens() {
    let site = Site { tokens: None, ..site() };
    assert_eq!(ask(&site, "POST /dev/token", &[HOST], "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn metrics_are_for_loopback() {
    let mut site = site();
    assert!(ask(&site, "GET /metrics", &[HOST], "").await.2.contains("inkwire_rooms 0"));
    for (peer, headers) in [
        ("192.0.2.1:5", &[HOST][..]),
        ("[2001:db8::1]:5", &[HOST][..]),
        (LOCAL_PEER, &[("host", "evil.example")][..]),
        (LOCAL_PEER, &[][..]),
    ] {
        assert_eq!(ask_from(&site, peer, "GET /metrics", headers, "").await.0, StatusCode::NOT_FOUND, "{peer}");
    }
    assert_eq!(ask_from(&site, "[::ffff:127.0.0.1]:5", "GET /metrics", &[HOST], "").await.0, StatusCode::OK);
    for name in FORWARDING {
        let headers = [HOST, (name, "192.0.2.1")];
        assert_eq!(ask(&site, "GET /metrics", &headers, "").await.0, StatusCode::NOT_FOUND, "{name}");
    }
    site.metrics_here = false;
    assert_eq!(ask(&site, "GET /metrics", &[HOST], "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_draining_relay_is_healthy_and_not_ready() {
    let site = site();
    site.readiness.start_draining();
    assert_eq!(ask(&site, "GET /healthz", &[HOST], "").await.0, StatusCode::OK);
    assert_eq!(ask(&site, "GET /readyz", &[HOST], "").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let site = site();
    let (_, get, body) = ask(&site, "GET /", &[HOST], "").await;
    let (_, head, nothing) = ask(&site, "HEAD /", &[HOST], "").await;
    assert_eq!(nothing, "");
    assert_eq!(head[header::CONTENT_LENGTH], body.len().to_string());
    assert_eq!(get[header::ETAG], head[header::ETAG]);
}

#[test]
fn a_websocket_is_asked_for_by_its_headers() {
    let sound = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    };
    assert!(websocket_key(&Method::GET, &headers(&sound)).is_some());
    assert!(websocket_key(&Method::POST, &headers(&sound)).is_none());
    for index in 0..sound.len() {
        let mut without = sound.to_vec();
        without.remove(index);
        assert!(websocket_key(&Method::GET, &headers(&without)).is_none());
        let mut wrong = sound.to_vec();
        wrong[index].1 = "other";
        assert!(websocket_key(&Method::GET, &headers(&wrong)).is_none());
    }
}
