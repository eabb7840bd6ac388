//! The sockets: UDP on all addresses, and one to put frames on a link.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use nix::libc::in_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, LinkAddr, MsgFlags, SockaddrIn, recvmsg, sendmsg, sendto,
    setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::proto::dhcp4::DATAGRAM_BYTES_MAX;

/// A storm of machines powered on together must fit, in and out.
const BUFFER_BYTES: usize = 4 << 20;

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub source: SocketAddrV4,
    pub interface: u32,
    /// The address of ours it was sent to; `None` when it was broadcast.
    pub local: Option<Ipv4Addr>,
    pub bytes: usize,
    /// How long it waited in the kernel.
    pub age: Duration,
}

/// Where a datagram leaves from: the address, and the interface where it must not be left to routing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub source: Ipv4Addr,
    pub interface: u32,
}

/// Whether others may have the port as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Shared,
    Alone,
}

/// A port of ours.
pub(super) struct Listener {
    udp: UdpSocket,
    local_port: u16,
    /// The port in the protocol's terms, whatever was bound.
    pub port: u16,
    buffer: Vec<u8>,
}

impl Listener {
    /// Binds the wildcard address: a socket bound to one of ours would not see broadcasts. With `bound` 0 the
    /// kernel chooses.
    pub fn bind(bound: u16, (port, sharing): (u16, Sharing)) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_reuse_address(sharing == Sharing::Shared)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        enlarge(&socket);
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, bound).into())?;
        let udp = UdpSocket::from_std(socket.into())?;
        let local_port = udp.local_addr()?.port();
        Ok(Listener { udp, local_port, port, buffer: vec![0; DATAGRAM_BYTES_MAX + 1] })
    }

    pub fn local_port(&self) -> u16 {
        self.local_port
    }

    /// Ready when there is something to [`Listener::receive`].
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.udp.poll_recv_ready(context)
    }

    /// The next datagram, if there is one.
    pub fn receive(&mut self) -> io::Result<Option<(Arrival, &[u8])>> {
        let (udp, buffer) = (&self.udp, &mut self.buffer);
        match udp.try_io(Interest::READABLE, || receive_now(udp, buffer)) {
            Ok(arrival) => Ok(Some((arrival, self.buffer.get(..arrival.bytes).unwrap_or_default()))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn send(&self, departure: Departure, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        let info = in_pktinfo {
            ipi_ifindex: i32::try_from(departure.interface).unwrap_or(0),
            ipi_spec_dst: address(departure.source),
            ipi_addr: address(Ipv4Addr::UNSPECIFIED),
        };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let slices = [IoSlice::new(payload)];
        let to = SockaddrIn::from(to);
        sendmsg(self.udp.as_raw_fd(), &slices, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }
}

/// The kernel may grant less without CAP_NET_ADMIN; that is no reason not to serve.
fn enlarge(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_recv_buffer_size(BUFFER_BYTES)
    {
        tracing::debug!(%error, "the receive buffer of DHCP could not be enlarged");
    }
    if setsockopt(socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_send_buffer_size(BUFFER_BYTES)
    {
        tracing::debug!(%error, "the send buffer of DHCP could not be enlarged");
    }
}

/// A socket that sends frames and receives none (protocol 0). Needs CAP_NET_RAW.
pub(super) fn frames() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(in_pktinfo, TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let (mut info, mut age) = (None, Duration::ZERO);
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(found) => info = Some(found),
            ControlMessageOwned::ScmTimestampns(stamp) => age = since(stamp),
            _ => {}
        }
    }
    let (Some(source), Some(info)) = (message.address, info) else {
        return Err(io::Error::other("a datagram came without its addresses"));
    };
    // The two differ for a broadcast: there `spec_dst` is what the interface would answer from.
    let addressed = u32::from_be(info.ipi_addr.s_addr);
    let local = (addressed == u32::from_be(info.ipi_spec_dst.s_addr)).then(|| Ipv4Addr::from_bits(addressed));
    Ok(Arrival {
        source: SocketAddrV4::new(source.ip(), source.port()),
        interface: u32::try_from(info.ipi_ifindex).unwrap_or(0),
        local,
        bytes: message.bytes,
        age,
    })
}

/// The kernel stamps with the wall clock. When that is set meanwhile, what waits may count as too old, and
/// its client asks again.
fn since(stamp: TimeSpec) -> Duration {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from(stamp))
        .and_then(|stamp| SystemTime::now().duration_since(stamp).ok())
        .unwrap_or_default()
}

/// Puts a complete Ethernet frame on the link of `interface`, whose own address names it.
pub(super) fn send_frame(socket: &Socket, interface: &LinkAddr, frame: &[u8]) -> io::Result<()> {
    sendto(socket.as_raw_fd(), frame, interface, MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}

fn address(ip: Ipv4Addr) -> nix::libc::in_addr {
    nix::libc::in_addr { s_addr: u32::from(ip).to_be() }
}
