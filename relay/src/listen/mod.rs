//! Listening: sockets on one port number, certificates, QUIC endpoints and TCP accept loops.

pub mod handshakes;
pub mod quic;
pub mod sockets;
pub mod tcp;
pub mod tls;
