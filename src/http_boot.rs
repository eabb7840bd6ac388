//! The boot side over HTTP and HTTPS: read-only, without the API. Its clients are firmware, boot loaders and
//! installers, so it never redirects, compresses or sends chunks, and it answers HEAD like GET.
//!
//! Paths have the same meaning as over TFTP: both use `Netboot::open`. Installers report with `POST
//! m/<capability>/done|failed|log`.
//!
//! It implements HTTP/1 itself (`docs/adr/0013`), because the kernel can then send files and because its
//! clients are old. Start at [`BootHttpService::run`]. `connection` serves one client, `request` and `ranges`
//! parse what it asks for, `answer` makes the answer, `client_socket` sends it; `replay` parses requests
//! without a socket. `crate::connections` limits the number of clients and has TLS.

mod answer;
pub mod body;
mod client_socket;
mod connection;
mod ranges;
pub mod replay;
pub mod request;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{SendFlags, send};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connections::{
    AcceptedConnection, ConnectionCounters, ConnectionLimiter, ConnectionLimits, HandshakeError,
    HandshakeLimits, Handshakes, LimitReason,
};
use crate::netboot::Netboot;
use crate::netboot::decide::stops::TlsFailure;
use crate::rate_limit::warn_limited;
use client_socket::ClientSocket;
use connection::BootClient;

/// Default bounds on simultaneous connections.
pub const LIMITS: ConnectionLimits = ConnectionLimits { connections_max: 4096, of_one_address_max: 1024 };
/// Longest time of a TLS handshake, including the wait for earlier ones.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long running transfers may take at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// Most reports of installers that are read at the same time.
const REPORTS_MAX: usize = 64;
/// How long nothing is accepted after the system had no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Answer to a client whose address has too many connections.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 43\r\nContent-Type: text/plain\r\n\
    Retry-After: 5\r\nConnection: close\r\n\r\ntoo many connections from this one address\n";

/// The state that all connections share.
#[derive(Debug)]
pub struct BootHttpState {
    netboot: Arc<Netboot>,
    limiter: Arc<ConnectionLimiter>,
    limits: ConnectionLimits,
    reports: Semaphore,
    stop: CancellationToken,
}

/// The boot side, for one or two listeners.
#[derive(Clone, Debug)]
pub struct BootHttpService(Arc<BootHttpState>);

impl BootHttpService {
    pub fn new(netboot: Arc<Netboot>, limits: ConnectionLimits, stop: CancellationToken) -> Self {
        let (limiter, reports) = (ConnectionLimiter::new(limits), Semaphore::new(REPORTS_MAX));
        BootHttpService(Arc::new(BootHttpState { netboot, limiter, limits, reports, stop }))
    }

    pub fn counters(&self) -> Arc<ConnectionCounters> {
        Arc::clone(&self.0.limiter.counters)
    }

    /// Serves a listener until the server stops; with a certificate, over TLS.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<()> {
        let limits = HandshakeLimits {
            time_max: HANDSHAKE_MAX,
            handshakes_max: self.0.limits.connections_max,
            of_one_address_max: self.0.limits.of_one_address_max,
        };
        let tls = tls.map(|tls| Handshakes::start("handshakes", tls, limits)).transpose()?;
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
        let AcceptedConnection { stream, peer, permit } = match self.0.limiter.accept(listener).await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn_limited!(%error, "no connection can be accepted on the boot side's HTTP port");
                return tokio::time::sleep(PAUSE).await;
            }
        };
        let Some(permit) = permit else {
            // The answer is sent only if that does not block.
            let _ = send(&stream, TOO_MANY, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
            return;
        };
        let Ok(local) = stream.local_addr().map(|local| local.ip().to_canonical()) else { return };
        let client = BootClient { shared: Arc::clone(&self.0), permit, peer, local };
        match tls.cloned() {
            None => tasks.spawn(connection::serve(ClientSocket::Plain(stream), client)),
            Some(tls) => tasks.spawn(over_tls(tls, stream, client)),
        };
    }
}

async fn over_tls(tls: Handshakes, stream: TcpStream, client: BootClient) {
    let (error, why) = match tls.shake(stream, client.peer).await {
        Ok(stream) => return connection::serve(ClientSocket::Tls(Box::new(stream)), client).await,
        Err(HandshakeError::TooSlow) => return client.permit.counters().count(LimitReason::SlowRequest),
        Err(HandshakeError::Hello(error)) => {
            let why = no_tls(&error);
            (error, why)
        }
        Err(HandshakeError::Broken(error)) => {
            // A client that began the handshake and closed the connection was shown the certificate.
            let left = error.get_ref().is_none().then_some(TlsFailure::Left(None));
            let why = no_tls(&error).or(left);
            (error, why)
        }
    };
    client.permit.counters().count(LimitReason::Malformed);
    tracing::debug!(peer = %client.peer, %error, "no TLS");
    if let Some(why) = why {
        client.shared.netboot.record_tls_failure(client.peer, why);
    }
}

/// What a failed handshake tells about the client, if anything: other peers send something else than TLS, or
/// only check whether the port is open.
fn no_tls(error: &io::Error) -> Option<TlsFailure> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::PeerIncompatible(_) => Some(TlsFailure::NothingInCommon),
        rustls::Error::AlertReceived(alert) => Some(TlsFailure::Left(Some(format!("{alert:?}")))),
        _ => None,
    }
}
