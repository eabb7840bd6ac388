//! TLS handshakes, on a thread of their own. Each is about a millisecond of arithmetic, which any stranger
//! gets for a hundred bytes: among the workers of the shared runtime, a flood of them would keep plain HTTP
//! and the API waiting. Here it keeps only other handshakes waiting, and those in turn.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;

use crate::netboot::decide::stops::NoTls;
use crate::threads;

/// How long a handshake may take, with the wait for those before it.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The thread, and what it shows to clients.
#[derive(Clone)]
pub struct Handshakes {
    acceptor: TlsAcceptor,
    thread: Handle,
    _end: Arc<DropGuard>,
}

/// Why there is no TLS with a client.
#[derive(Debug)]
pub enum Failed {
    TooSlow,
    /// And what that says of the client, if anything.
    Broken(io::Error, Option<NoTls>),
}

impl Handshakes {
    /// Starts the thread, idle.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn start(acceptor: TlsAcceptor) -> io::Result<Self> {
        let (thread, end) = threads::start("handshakes", 1)?;
        Ok(Handshakes { acceptor, thread, _end: Arc::new(end) })
    }

    /// TLS with a client.
    ///
    /// # Errors
    /// It did not come about.
    pub async fn shake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failed> {
        let shaken = AbortOnDropHandle::new(self.thread.spawn(shake(self.acceptor.clone(), stream)));
        match tokio::time::timeout(HANDSHAKE_MAX, shaken).await {
            Ok(Ok(shaken)) => shaken,
            Ok(Err(error)) => Err(Failed::Broken(io::Error::other(error), None)),
            Err(_) => Err(Failed::TooSlow),
        }
    }
}

async fn shake(acceptor: TlsAcceptor, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failed> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| {
        let why = no_tls(&error);
        Failed::Broken(error, why)
    })?;
    hello.into_stream(acceptor.config().clone()).await.map_err(|error| {
        // Who asked for the certificate and closed the connection was shown it.
        let left = error.get_ref().is_none().then_some(NoTls::Left(None));
        let why = no_tls(&error).or(left);
        Failed::Broken(error, why)
    })
}

/// What a client's failed handshake says of the client, if anything: others send what is no TLS at all, or
/// only look whether the port is open.
fn no_tls(error: &io::Error) -> Option<NoTls> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::PeerIncompatible(_) => Some(NoTls::NothingInCommon),
        rustls::Error::AlertReceived(alert) => Some(NoTls::Left(Some(format!("{alert:?}")))),
        _ => None,
    }
}
