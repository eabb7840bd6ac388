//! The boot side over HTTP and HTTPS: read-only, no API on it. Firmware, boot loaders and installers are its
//! clients, so it never redirects, compresses or sends chunks, and it answers HEAD as GET.
//!
//! Paths mean what they mean over TFTP: both go through `Netboot::open`. Installers report with
//! `POST m/<capability>/done|failed|log`.
//!
//! It speaks HTTP/1 itself (`docs/adr/0013`), because the kernel can then send files and because its clients
//! are old. Start at [`Service::run`]; `connection` is one client, `request` and `ranges` what it asks for,
//! `answer` what it gets, `wire` how that leaves, `door` how many there may be, `handshakes` TLS.

mod answer;
mod body;
mod connection;
mod door;
mod handshakes;
mod ranges;
mod request;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendFlags, send};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::netboot::Netboot;
use crate::seldom::warn_seldom;
use connection::Client;
use door::Door;
pub use door::{Bounds, Counters, Limit};
use handshakes::{Failed, Handshakes};
use wire::Wire;

/// How long transfers may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Reports of installers that are read at the same time.
const REPORTS_MAX: usize = 64;
/// How long nothing is accepted after the system had no place for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a peer may be silent before the kernel asks whether it is there, and how long it may not
/// acknowledge anything.
const KEEPALIVE: Duration = Duration::from_secs(60);
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(180);
/// What a client beyond the bound of its address is told.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 43\r\nContent-Type: text/plain\r\n\
    Retry-After: 5\r\nConnection: close\r\n\r\ntoo many connections from this one address\n";

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    netboot: Arc<Netboot>,
    door: Arc<Door>,
    reports: Semaphore,
    stop: CancellationToken,
}

/// The boot side, for one listener or two.
#[derive(Clone, Debug)]
pub struct Service(Arc<Shared>);

/// Binds a listener of the boot side. What is set here holds for its connections too.
///
/// # Errors
/// The system's.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Scripts are small and wait for nothing.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4))?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Service {
    pub fn new(netboot: Arc<Netboot>, bounds: Bounds, stop: CancellationToken) -> Self {
        let (door, reports) = (Door::new(bounds), Semaphore::new(REPORTS_MAX));
        Service(Arc::new(Shared { netboot, door, reports, stop }))
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.door.counters)
    }

    /// Serves a listener until the server stops; with a certificate over TLS.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<()> {
        let tls = tls.map(Handshakes::start).transpose()?;
        let tasks = TaskTracker::new();
        let stop = self.0.stop.clone();
        let accepting = async {
            loop {
                self.accept(&listener, tls.as_ref(), &tasks).await;
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop.cancelled() => {}
        }
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "some HTTP transfers did not end in {DRAIN:?}");
        }
        Ok(())
    }

    async fn accept(&self, listener: &TcpListener, tls: Option<&Handshakes>, tasks: &TaskTracker) {
        let Some(place) = self.0.door.place().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return,
            Err(error) => {
                warn_seldom!(%error, "no connection can be accepted on the boot side's HTTP port");
                return tokio::time::sleep(PAUSE).await;
            }
        };
        let peer = peer.ip().to_canonical();
        let Some(guest) = self.0.door.admit(peer, place) else {
            // It is told if that can be done at once.
            let _ = send(&stream, TOO_MANY, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            return;
        };
        let Ok(local) = stream.local_addr().map(|local| local.ip().to_canonical()) else { return };
        let client = Client { shared: Arc::clone(&self.0), guest, peer, local };
        match tls.cloned() {
            None => tasks.spawn(connection::serve(Wire::Plain(stream), client)),
            Some(tls) => tasks.spawn(over_tls(tls, stream, client)),
        };
    }
}

async fn over_tls(tls: Handshakes, stream: TcpStream, client: Client) {
    match tls.shake(stream).await {
        Ok(stream) => connection::serve(Wire::Tls(Box::new(stream)), client).await,
        Err(Failed::TooSlow) => client.shared.door.counters.count(Limit::SlowRequest),
        Err(Failed::Broken(error, why)) => {
            client.shared.door.counters.count(Limit::Malformed);
            tracing::debug!(peer = %client.peer, %error, "no TLS");
            if let Some(why) = why {
                client.shared.netboot.saw_no_tls(client.peer, why);
            }
        }
    }
}
