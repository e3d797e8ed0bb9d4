//! One request over plain HTTP.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// The whole answer, head included.
pub(crate) async fn get(base: &Url, path: &str) -> String {
    let address = (base.host_str().expect("a host"), base.port().expect("a port"));
    let mut stream = TcpStream::connect(address).await.expect("the relay is there");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}:{}\r\nConnection: close\r\n\r\n", address.0, address.1);
    stream.write_all(request.as_bytes()).await.expect("the relay reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the relay answers");
    answer
}
