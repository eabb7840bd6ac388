//! Sockets that are read beside the DHCP port. A socket that fails repeatedly is opened again. Start at
//! [`ReopeningSocket::hear`].

use std::io;
use std::net::UdpSocket as StdUdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use nix::libc;
use nix::sys::socket::{SockaddrLike, recvfrom};
use socket2::{SockFilter, SockRef, Socket};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::{debug, warn};

use crate::datagrams::SocketHealth;

/// A packet filter that consists of this instruction alone drops everything.
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A socket that is read here; others may send on it.
pub(super) struct ReopeningSocket {
    open: fn() -> io::Result<StdUdpSocket>,
    socket: ArcSwapOption<UdpSocket>,
    health: Arc<SocketHealth>,
}

impl ReopeningSocket {
    /// Opens the socket, if the process may do that. Tokio only registers it, whatever kind of socket it is;
    /// reads and writes are system calls.
    pub fn open(what: &'static str, open: fn() -> io::Result<StdUdpSocket>) -> Self {
        let health = Arc::new(SocketHealth::new(what));
        let reopening = ReopeningSocket { open, socket: ArcSwapOption::empty(), health };
        if let Err(error) = reopening.reopen() {
            warn!(%error, "{what} cannot be opened: is CAP_NET_RAW there?");
            reopening.health.was_not_had();
        }
        reopening
    }

    fn reopen(&self) -> io::Result<()> {
        let socket = (self.open)()?;
        socket.set_nonblocking(true)?;
        self.socket.store(Some(Arc::new(UdpSocket::from_std(socket)?)));
        Ok(())
    }

    /// Health of the socket, for the status page.
    pub fn health(&self) -> &Arc<SocketHealth> {
        &self.health
    }

    /// The socket, for sending.
    pub fn socket(&self) -> Option<Arc<UdpSocket>> {
        self.socket.load_full()
    }

    /// Opens the socket again if it failed, or could not be opened before.
    pub fn check(&self) {
        self.health.check(|| {
            let reopened = self.reopen().inspect_err(|error| debug!(%error, "it cannot be opened again"));
            reopened.is_ok() || self.socket.load().is_some()
        });
    }

    /// Makes the kernel drop all packets, so that they wake no task.
    pub fn close(&self) {
        self.filter(|socket| socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]));
    }

    /// Ends [`ReopeningSocket::close`]. A socket that was opened again meanwhile was not closed.
    pub fn listen(&self) {
        self.filter(|socket| socket.detach_filter().or_else(ignore_absent));
    }

    fn filter(&self, change: impl Fn(&Socket) -> io::Result<()>) {
        let Some(socket) = self.socket() else { return };
        if let Err(error) = change(&SockRef::from(&*socket)) {
            debug!(%error, "the packet filter of {} cannot be changed", self.health.what());
        }
    }

    /// Receives the next packet: its length and sender. Pending while there is no working socket; cancel
    /// safe.
    pub async fn hear<A: SockaddrLike>(&self, buffer: &mut [u8]) -> (usize, A) {
        loop {
            let socket = self.socket().filter(|_| !self.health.is_suspended());
            let Some(socket) = socket else { return std::future::pending().await };
            let received =
                socket.async_io(Interest::READABLE, || Ok(recvfrom::<A>(socket.as_raw_fd(), buffer)?));
            match received.await {
                Ok((bytes, Some(from))) => {
                    self.health.succeeded();
                    return (bytes, from);
                }
                Ok((_, None)) => self.health.failed(&io::Error::other("a packet came without its sender")),
                Err(error) => self.health.failed(&error),
            }
        }
    }
}

fn ignore_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::SockaddrIn;
    use socket2::{Domain, Type};

    use super::*;
    use crate::datagrams::FAILURES_MAX;

    /// A socket that cannot be read but is always readable: TCP without a peer.
    fn broken() -> io::Result<StdUdpSocket> {
        Ok(Socket::new(Domain::IPV4, Type::STREAM, None)?.into())
    }

    fn sound() -> io::Result<StdUdpSocket> {
        StdUdpSocket::bind("127.0.0.1:0")
    }

    fn absent() -> io::Result<StdUdpSocket> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    /// Reads until the socket is given up.
    async fn until_deaf(reopening: &ReopeningSocket) {
        let mut buffer = [0; 64];
        tokio::select! {
            biased;
            _ = reopening.hear::<SockaddrIn>(&mut buffer) => panic!("something was heard"),
            () = async { while !reopening.health.is_suspended() { tokio::task::yield_now().await } } => {}
        }
    }

    #[tokio::test]
    async fn a_socket_that_keeps_failing_is_left_alone_and_told_of_until_a_new_one_does_well() {
        let mut reopening = ReopeningSocket::open("the test", broken);
        assert!(reopening.health.is_well());
        until_deaf(&reopening).await;
        assert!(!reopening.health.is_well(), "told of as soon as it is left alone");
        reopening.check();
        assert!(!reopening.health.is_well(), "a new one has to do well first");
        until_deaf(&reopening).await;
        reopening.check();
        assert!(!reopening.health.is_well());
        until_deaf(&reopening).await;
        reopening.open = sound;
        reopening.check();
        let to = reopening.socket().unwrap().local_addr().unwrap();
        sound().unwrap().send_to(b"hello", to).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(reopening.hear::<SockaddrIn>(&mut buffer).await.0, 5);
        reopening.check();
        assert!(reopening.health.is_well());
    }

    #[tokio::test]
    async fn where_no_new_one_can_be_had_the_old_one_is_tried_again() {
        let mut reopening = ReopeningSocket::open("the test", sound);
        reopening.open = absent;
        for _ in 0..FAILURES_MAX {
            reopening.health.failed(&io::ErrorKind::Other.into());
        }
        reopening.check();
        let to = reopening.socket().unwrap().local_addr().unwrap();
        sound().unwrap().send_to(b"hello", to).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(reopening.hear::<SockaddrIn>(&mut buffer).await.0, 5);
    }

    #[tokio::test]
    async fn one_that_was_never_there_is_not_well_until_it_can_be_had() {
        let mut reopening = ReopeningSocket::open("the test", absent);
        for _ in 0..3 {
            assert!(!reopening.health.is_well() && reopening.socket().is_none());
            reopening.check();
        }
        reopening.open = sound;
        reopening.check();
        reopening.check();
        assert!(reopening.health.is_well());
    }
}
