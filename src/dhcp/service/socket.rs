//! The sockets: one for UDP on all addresses, one to put frames on a link.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::libc::in_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, LinkAddr, MsgFlags, SockaddrIn, recvmsg, sendmsg, sendto,
    setsockopt, sockopt,
};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A storm of machines powered on together must fit.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub source: SocketAddrV4,
    pub interface: u32,
    /// The address of ours it was sent to; `None` when it was broadcast.
    pub local: Option<Ipv4Addr>,
    pub bytes: usize,
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

/// Binds the wildcard address: a socket bound to one of ours would not see broadcasts.
pub(super) fn listen(port: u16, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(sharing == Sharing::Shared)?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    enlarge(&socket);
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    UdpSocket::from_std(socket.into())
}

/// The kernel may grant less without CAP_NET_ADMIN; that is no reason not to serve.
fn enlarge(socket: &Socket) {
    if setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err()
        && let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)
    {
        tracing::debug!(%error, "the receive buffer of DHCP could not be enlarged");
    }
}

/// A socket that sends frames and receives none (protocol 0). Needs CAP_NET_RAW.
pub(super) fn frames() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(super) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket.async_io(Interest::READABLE, || receive_now(socket, buffer)).await
}

/// A datagram of a socket that was said to have one; `None` when it has none after all.
pub(super) fn receive_ready(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<Arrival>> {
    match socket.try_io(Interest::READABLE, || receive_now(socket, buffer)) {
        Ok(arrival) => Ok(Some(arrival)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let info = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
        _ => None,
    });
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
    })
}

pub(super) async fn send(
    socket: &UdpSocket,
    departure: Departure,
    to: SocketAddrV4,
    payload: &[u8],
) -> io::Result<()> {
    let info = in_pktinfo {
        ipi_ifindex: i32::try_from(departure.interface).unwrap_or(0),
        ipi_spec_dst: address(departure.source),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    };
    let send_now = || {
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let slices = [IoSlice::new(payload)];
        let flags = MsgFlags::MSG_DONTWAIT;
        Ok(sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(&SockaddrIn::from(to)))?)
    };
    socket.async_io(Interest::WRITABLE, send_now).await.map(drop)
}

/// Puts a complete Ethernet frame on the link of `interface`, whose own address names it.
pub(super) fn send_frame(socket: &Socket, interface: &LinkAddr, frame: &[u8]) -> io::Result<()> {
    sendto(socket.as_raw_fd(), frame, interface, MsgFlags::MSG_DONTWAIT)?;
    Ok(())
}

fn address(ip: Ipv4Addr) -> nix::libc::in_addr {
    nix::libc::in_addr { s_addr: u32::from(ip).to_be() }
}
