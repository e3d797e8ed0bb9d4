//! As much of the CQL protocol (version 4) as it takes to know that a node serves and sees its peers.
//!
//! The byte layouts are those of the [native protocol specification](https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a node may take for an answer before it counts as not serving.
const PATIENCE: Duration = Duration::from_secs(2);

/// Opcodes of what is sent and expected.
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const OPTIONS: u8 = 0x05;
const SUPPORTED: u8 = 0x06;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;

/// No answer to these questions is longer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Whether the node at `place` answers.
pub(super) fn serves(place: SocketAddr) -> bool {
    connect(place).and_then(|mut node| ask(&mut node, OPTIONS, &[])).is_some_and(|(opcode, _)| opcode == SUPPORTED)
}

/// How many other nodes the one at `place` knows.
pub(super) fn peers(place: SocketAddr) -> Option<i64> {
    let mut node = connect(place)?;
    let mut options = vec![0, 1];
    string(&mut options, "CQL_VERSION");
    string(&mut options, "3.0.0");
    ask(&mut node, STARTUP, &options).filter(|(opcode, _)| *opcode == READY)?;
    count(&mut node, "system.peers_v2").or_else(|| count(&mut node, "system.peers"))
}

fn count(node: &mut TcpStream, table: &str) -> Option<i64> {
    let query = format!("SELECT count(*) FROM {table}");
    let mut body = u32::try_from(query.len()).ok()?.to_be_bytes().to_vec();
    body.extend_from_slice(query.as_bytes());
    // Consistency ONE, no flags.
    body.extend_from_slice(&[0, 1, 0]);
    let (_, answer) = ask(node, QUERY, &body).filter(|(opcode, _)| *opcode == RESULT)?;
    // The one cell of the one row comes last: eight bytes.
    let cell = answer.last_chunk::<8>()?;
    Some(i64::from_be_bytes(*cell))
}

fn connect(place: SocketAddr) -> Option<TcpStream> {
    let node = TcpStream::connect_timeout(&place, PATIENCE).ok()?;
    node.set_read_timeout(Some(PATIENCE)).ok()?;
    node.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(node)
}

/// Sends one frame and reads one.
fn ask(node: &mut TcpStream, opcode: u8, body: &[u8]) -> Option<(u8, Vec<u8>)> {
    let mut frame = vec![4, 0, 0, 1, opcode];
    frame.extend_from_slice(&u32::try_from(body.len()).ok()?.to_be_bytes());
    frame.extend_from_slice(body);
    node.write_all(&frame).ok()?;
    let mut head = [0; 9];
    node.read_exact(&mut head).ok()?;
    let [_, _, _, _, opcode, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length <= MAX_ANSWER_BYTES)?;
    let mut answer = vec![0; length];
    node.read_exact(&mut answer).ok()?;
    Some((opcode, answer))
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
