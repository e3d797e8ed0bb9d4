//! The relay's WebSocket with an echo instead of sessions, for conformance tests such as Autobahn's, which drive echoes.
//!
//! HTTP, the upgrade, the WebSocket's configuration, its codes for those who break its rules and its ending are the relay's
//! own; what is left out is the session on top.
//!
//! Prints two addresses, `ws://127.0.0.1:PORT` each: one with the relay's bound on a message, and one that allows 16 MiB,
//! because cases about throughput send as much. Runs until its standard input ends.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use inkwire_protocol::limits::MAX_MESSAGE_BYTES;
use inkwire_relay::http::{Reply, switch_to_websocket};
use inkwire_relay::listen::tcp::{self, Answer, Http, Service, Upgrade};
use inkwire_relay::session::socket;
use inkwire_relay::settings::{Flags, Settings};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

const LARGE_MESSAGE_BYTES: usize = 16 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bounds = Settings::resolve(Flags::default())?.bounds;
    let mut servers = tokio::task::JoinSet::new();
    for max_message_bytes in [MAX_MESSAGE_BYTES, LARGE_MESSAGE_BYTES] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("ws://{}", listener.local_addr()?);
        servers.spawn(tcp::accept(listener, Http::new(Arc::new(Echo { max_message_bytes }), None, bounds.clone())));
    }
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(())
}

struct Echo {
    max_message_bytes: usize,
}

impl Service for Echo {
    async fn answer(&self, mut request: Request<Incoming>, _: SocketAddr) -> Answer {
        match switch_to_websocket(&request) {
            Some(response) => {
                let connection = hyper::upgrade::on(&mut request);
                Answer { response, upgrade: Some(Upgrade { connection, origin_refused: false }) }
            }
            None => {
                let mut response = Reply::default();
                *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
                Answer { response, upgrade: None }
            }
        }
    }

    async fn upgraded(&self, connection: Upgraded, _: SocketAddr, _: bool) {
        let mut socket = socket::accept(connection, self.max_message_bytes).await;
        let end = loop {
            let outcome = match socket.next().await {
                Some(Ok(message @ (Message::Binary(_) | Message::Text(_)))) => socket.send(message).await,
                // Pings are answered below us.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
                Some(Ok(Message::Close(_))) | None => break None,
                Some(Err(error)) => Err(error),
            };
            if let Err(error) = outcome {
                break socket::violation(&error).map(|code| CloseFrame { code, reason: "".into() });
            }
        };
        socket::close(&mut socket, end).await;
    }
}
