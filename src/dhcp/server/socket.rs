//! The sockets: UDP on all addresses, and one that sends frames on a link.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use nix::sys::socket::{LinkAddr, MsgFlags, sendto, setsockopt, sockopt};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tracing::debug;

use crate::datagrams::{self, SocketHealth};
use crate::proto::dhcp4::DATAGRAM_BYTES_MAX;

/// Large enough, in both directions, for many machines that are powered on together.
const BUFFER_BYTES: usize = 4 << 20;

/// A received datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct DatagramArrival {
    pub source: SocketAddrV4,
    pub interface: u32,
    /// The server's address that it was sent to; `None` if it was broadcast.
    pub local: Option<Ipv4Addr>,
    pub bytes: usize,
    /// How long it waited in the kernel.
    pub age: Duration,
}

/// Whether other sockets may bind the port as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortSharing {
    Shared,
    Alone,
}

/// A port of the server.
pub(super) struct DhcpListener {
    pub(super) udp: UdpSocket,
    local_port: u16,
    /// The port as the protocol numbers it, whichever was bound.
    pub port: u16,
    sharing: PortSharing,
    health: Arc<SocketHealth>,
    buffer: Vec<u8>,
}

impl DhcpListener {
    /// Binds the wildcard address, because a socket bound to one address would not receive broadcasts. If
    /// `bound` is 0, the kernel chooses the port.
    pub fn bind(bound: u16, (port, sharing): (u16, PortSharing)) -> io::Result<Self> {
        let udp = UdpSocket::from_std(open(bound, sharing)?.into())?;
        let local_port = udp.local_addr()?.port();
        let health = Arc::new(SocketHealth::new("the DHCP socket"));
        Ok(DhcpListener { udp, local_port, port, sharing, health, buffer: vec![0; DATAGRAM_BYTES_MAX + 1] })
    }

    /// Replaces a failed socket.
    pub fn check(&mut self) {
        let health = Arc::clone(&self.health);
        health.check(|| {
            let reopened = self.reopen();
            reopened.inspect_err(|error| debug!(%error, "the DHCP socket cannot be opened again")).ok();
            true
        });
    }

    fn reopen(&mut self) -> io::Result<()> {
        // For a moment both sockets have the port.
        SockRef::from(&self.udp).set_reuse_address(true)?;
        let socket = open(self.local_port, PortSharing::Shared)?;
        socket.set_reuse_address(self.sharing == PortSharing::Shared)?;
        self.udp = UdpSocket::from_std(socket.into())?;
        Ok(())
    }

    /// Health of the socket, for the status page.
    pub fn health(&self) -> &Arc<SocketHealth> {
        &self.health
    }

    pub fn local_port(&self) -> u16 {
        self.local_port
    }

    pub fn socket(&self) -> &UdpSocket {
        &self.udp
    }

    /// Ready when [`DhcpListener::receive`] has something.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.health.is_suspended() { Poll::Pending } else { self.udp.poll_recv_ready(context) }
    }

    /// The next datagram, if there is one. Errors do not end the socket: one that fails repeatedly returns
    /// nothing until it has been replaced.
    pub fn receive(&mut self) -> io::Result<Option<(DatagramArrival, &[u8])>> {
        if self.health.is_suspended() {
            return Ok(None);
        }
        let (udp, buffer) = (&self.udp, &mut self.buffer);
        match udp.try_io(Interest::READABLE, || receive_now(udp, buffer)) {
            Ok(arrival) => {
                self.health.succeeded();
                Ok(Some((arrival, self.buffer.get(..arrival.bytes).unwrap_or_default())))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.health.succeeded();
                Ok(None)
            }
            Err(error) => {
                self.health.failed(&error);
                Err(error)
            }
        }
    }
}

fn open(bound: u16, sharing: PortSharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(sharing == PortSharing::Shared)?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    enlarge(&socket);
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, bound).into())?;
    Ok(socket)
}

/// Enlarges the buffers. The kernel may grant less without CAP_NET_ADMIN, which does not prevent service.
fn enlarge(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_recv_buffer_size(BUFFER_BYTES)
    {
        debug!(%error, "the receive buffer of DHCP could not be enlarged");
    }
    if setsockopt(socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_send_buffer_size(BUFFER_BYTES)
    {
        debug!(%error, "the send buffer of DHCP could not be enlarged");
    }
}

/// A socket that sends frames and receives none (protocol 0). Needs CAP_NET_RAW.
pub(super) fn frames() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<DatagramArrival> {
    let received = datagrams::receive(socket, buffer)?;
    // The two addresses differ for a broadcast: `local` is the one that the interface would answer from.
    let local = Some(received.addressed).filter(|addressed| *addressed == received.local);
    // The kernel stamps with the wall clock. If the clock is set meanwhile, waiting datagrams may seem too
    // old, and their clients ask again.
    let age = received.stamp.and_then(|stamp| SystemTime::now().duration_since(stamp).ok());
    Ok(DatagramArrival {
        source: received.peer,
        interface: received.interface,
        local,
        bytes: received.bytes,
        age: age.unwrap_or_default(),
    })
}

/// Sends a complete Ethernet frame on the link of `interface`, whose address selects it.
pub(super) fn send_frame(socket: &Socket, interface: &LinkAddr, frame: &[u8]) -> io::Result<()> {
    sendto(socket.as_raw_fd(), frame, interface, MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}
