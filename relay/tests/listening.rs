//! Addresses, certificates, and what the two transports do at their edges.

mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use inkwire_protocol::{Code, Frame};
use support::{CONTROL, Peer, TestRelay, Transport, http, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn localhost_is_both_of_its_addresses_on_one_port() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let port = relay.relay.port();
    assert_eq!(relay.relay.url(), format!("http://localhost:{port}"));
    let hashes = relay.certificate_hashes().await;
    assert_eq!(hashes.len(), 2, "current and next");
    for host in ["127.0.0.1", "[::1]"] {
        let address: std::net::SocketAddr = format!("{host}:{port}").parse().unwrap();
        let Ok(mut stream) = TcpStream::connect(address).await else {
            assert_eq!(host, "[::1]", "IPv4 is always there");
            continue;
        };
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // The current certificate is the first of the two.
        let client =
            web_transport_quinn::ClientBuilder::new().with_server_certificate_hashes(vec![hashes[0].clone()]).unwrap();
        let url: url::Url = format!("https://{host}:{port}/session").parse().unwrap();
        soon("a session", client.connect(url)).await.unwrap();
        let elsewhere: url::Url = format!("https://{host}:{port}/elsewhere").parse().unwrap();
        assert!(soon("a refusal", client.connect(elsewhere)).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_certificate_serves_both_transports() {
    let files = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let arguments =
        ["--store", "memory", "--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let relay = TestRelay::start(&arguments).await;
    let port = relay.relay.port();
    assert_eq!(relay.relay.url(), format!("https://localhost:{port}"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(inkwire_relay::listen::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream
        .write_all(b"GET /certificate-hashes HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // The end may come without TLS's own goodbye.
    let _ = soon("the answer", stream.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));

    let client =
        web_transport_quinn::ClientBuilder::new().with_server_certificates(vec![pair.cert.der().clone()]).unwrap();
    let url: url::Url = format!("https://localhost:{port}/session").parse().unwrap();
    soon("a session", client.connect(url)).await.unwrap();
    // Plain HTTP gets nowhere.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_may_have_an_address_of_their_own() {
    let relay = TestRelay::start(&["--store", "memory", "--metrics-listen", "127.0.0.1:0"]).await;
    assert!(relay.http("GET /metrics HTTP/1.1", "").await.starts_with("HTTP/1.1 404"));
    let port = relay.relay.metrics_port().unwrap();
    for (path, status) in [("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/", 404), ("/dev/token", 404)] {
        let answer = http(port, &format!("GET {path} HTTP/1.1"), "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_that_breaks_rules_is_told_in_its_own_codes() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let token = relay.token("ada", "**", "editor");
    for (what, code) in [("text", 4001), ("oversized", 1009), ("garbage", 4001), ("empty", 4001)] {
        let mut peer = relay.welcomed(Transport::WebSocket, &token).await;
        let Peer::WebSocket { socket, .. } = &mut peer else { unreachable!() };
        let message = match what {
            "text" => Message::text("hello"),
            "oversized" => Message::binary(vec![0; 200_000]),
            "garbage" => Message::binary(vec![0xc1; 10]),
            _ => Message::binary(Vec::new()),
        };
        let _ = socket.send(message).await;
        let closed = soon("a close frame", async {
            loop {
                match socket.next().await {
                    Some(Ok(Message::Close(close))) => return close,
                    Some(Ok(_)) => {}
                    other => panic!("{what}: {other:?}"),
                }
            }
        })
        .await;
        assert_eq!(u16::from(closed.unwrap().code), code, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_over_the_limit_are_told_to_come_back() {
    let relay = TestRelay::start(&["--store", "memory", "--max-sessions", "1", "--max-documents", "1"]).await;
    let token = relay.token("ada", "**", "editor");
    let mut first = relay.welcomed(Transport::WebTransport, &token).await;
    for transport in support::TRANSPORTS {
        let mut second = relay.peer(transport).await;
        second.hello(&token).await;
        assert_eq!(second.find_close(CONTROL).await, Code::Overloaded, "{transport:?}");
    }
    first.edit(inkwire_protocol::Channel(1), "a").await;
    let relay = TestRelay::start(&["--store", "memory", "--max-documents", "1"]).await;
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    peer.edit(inkwire_protocol::Channel(1), "a").await;
    peer.open(inkwire_protocol::Channel(2), "b", inkwire_protocol::Role::Viewer).await;
    assert_eq!(peer.find_close(inkwire_protocol::Channel(2)).await, Code::TooManyDocuments);
}

/// The one test that takes as long as the rule it checks: six seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_a_lost_connection_while_a_document_is_open() {
    let relay = TestRelay::start(&["--store", "memory"]).await;
    let token = relay.token("ada", "**", "editor");
    let silent = support::TRANSPORTS.map(|transport| {
        let (relay, token) = (&relay, &token);
        async move {
            let mut peer = relay.welcomed(transport, token).await;
            peer.edit(inkwire_protocol::Channel(1), "a").await;
            let mut pings = 0;
            loop {
                match peer.next(CONTROL).await {
                    Some(Frame::Ping(_)) => pings += 1,
                    Some(Frame::Close(close)) => {
                        assert_eq!(close.code, Code::LivenessTimeout);
                        break;
                    }
                    other => panic!("{transport:?}: {other:?}"),
                }
            }
            assert!((2..=3).contains(&pings), "{transport:?}: {pings} pings");
        }
    });
    futures_util::future::join_all(silent).await;
}
