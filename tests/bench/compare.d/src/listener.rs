//! What the two proxies over hyper are told, and where they listen.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::{TcpListener, TcpSocket};

const BACKLOG: u32 = 4096;

/// The argument with this number as a port.
pub fn port(number: usize) -> io::Result<u16> {
    let port = std::env::args().nth(number).and_then(|port| port.parse().ok());
    port.ok_or_else(|| io::Error::other("usage: PROGRAM PORT UPSTREAM_PORT"))
}

/// Listens on loopback, at the port of the first argument.
pub fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port(1)?).into())?;
    socket.listen(BACKLOG)
}
