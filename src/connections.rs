//! TCP connections for the listeners of the boot side and of the API: how a port is bound, limits on
//! connections, and TLS handshakes on a thread of their own.
//!
//! This module does not know what is sent over a connection. Start at [`listen`] and
//! [`ConnectionLimiter::accept`]; TLS begins at [`Handshakes::start`].

mod handshakes;
mod limiter;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use handshakes::{HandshakeError, HandshakeLimits, Handshakes};
pub use limiter::{
    AcceptedConnection, ConnectionCounters, ConnectionLimiter, ConnectionLimits, ConnectionPermit,
    LimitReason,
};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long a peer may be silent before the kernel checks that it is there, and how long it may leave data
/// unacknowledged.
const KEEPALIVE: Duration = Duration::from_secs(60);
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(180);

/// Binds a listener. Its connections inherit the options that are set here.
///
/// # Errors
/// Those of the system.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // The last piece of an answer must not wait until the client has acknowledged the others.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
