//! UDP sockets that know which of our addresses a packet came to, answer from it, and send a window in one
//! call.

use nix::libc::in_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmsg, sendmmsg, setsockopt,
    sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Largest datagram taken in. Requests have at most 512 bytes (RFC 2347), and all else we hear is shorter.
pub(super) const DATAGRAM_BYTES_MAX: usize = 2048;
/// The MTU where the interface does not tell its own.
const MTU_DEFAULT: u32 = 1500;

/// Where a datagram came from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub peer: SocketAddrV4,
    /// The unicast address of ours to answer from, also when the packet went to a broadcast address.
    pub local: Ipv4Addr,
    pub interface: u32,
    pub bytes: usize,
}

/// Where frames go, and the source address where the socket is bound to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub peer: SocketAddrV4,
    pub source: Option<Ipv4Addr>,
}

/// Binds the listening socket, with packet information on.
pub(super) fn listen(address: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = StdUdpSocket::bind(address)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    adopt(socket)
}

/// A socket with a new port on `local`, for one transfer.
pub(super) fn transfer(local: Ipv4Addr) -> io::Result<UdpSocket> {
    adopt(StdUdpSocket::bind(SocketAddrV4::new(local, 0))?)
}

fn adopt(socket: StdUdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Waits for a datagram on the listening socket.
pub(super) async fn recv(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket.async_io(Interest::READABLE, || recv_now(socket, buffer)).await
}

fn recv_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut control = nix::cmsg_space!(in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let info = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
        _ => None,
    });
    let (Some(peer), Some(info)) = (message.address, info) else {
        return Err(io::Error::other("a datagram without its addresses"));
    };
    Ok(Arrival {
        peer: SocketAddrV4::new(peer.ip(), peer.port()),
        local: Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)),
        interface: u32::try_from(info.ipi_ifindex).unwrap_or(0),
        bytes: message.bytes,
    })
}

/// Sends the datagrams `frames.chunks(frame_bytes)`, as many as possible in one system call.
pub(super) async fn send(
    socket: &UdpSocket,
    route: Route,
    frames: &[u8],
    frame_bytes: usize,
) -> io::Result<()> {
    if let (None, true) = (route.source, frames.len() <= frame_bytes) {
        return socket.send_to(frames, SocketAddr::V4(route.peer)).await.map(drop);
    }
    let mut rest = frames;
    while !rest.is_empty() {
        let sent = socket.async_io(Interest::WRITABLE, || send_now(socket, route, rest, frame_bytes)).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = rest.get(sent.saturating_mul(frame_bytes)..).unwrap_or_default();
    }
    Ok(())
}

/// Sends one datagram if that can be done at once, and drops it if not: for refusals, which nobody waits for.
pub(super) fn send_or_drop(socket: &UdpSocket, route: Route, datagram: &[u8]) -> io::Result<()> {
    match socket.try_io(Interest::WRITABLE, || send_now(socket, route, datagram, datagram.len())) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        sent => sent.map(drop),
    }
}

/// Returns how many datagrams left.
fn send_now(socket: &UdpSocket, route: Route, frames: &[u8], frame_bytes: usize) -> io::Result<usize> {
    let slices: Vec<[IoSlice<'_>; 1]> =
        frames.chunks(frame_bytes.max(1)).map(|frame| [IoSlice::new(frame)]).collect();
    let addresses = vec![Some(SockaddrIn::from(route.peer)); slices.len()];
    let info = in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: address(route.source.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    };
    let (control, space) = match route.source {
        Some(_) => (vec![ControlMessage::Ipv4PacketInfo(&info)], Some(nix::cmsg_space!(in_pktinfo))),
        None => (Vec::new(), None),
    };
    let mut headers = MultiHeaders::preallocate(slices.len(), space);
    let flags = MsgFlags::MSG_DONTWAIT;
    let results = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, &addresses, &control, flags)?;
    Ok(results.count())
}

fn address(ip: Ipv4Addr) -> nix::libc::in_addr {
    nix::libc::in_addr { s_addr: u32::from(ip).to_be() }
}

/// The MTU of an interface, in bytes.
pub(super) fn interface_mtu(index: u32) -> u32 {
    let name = nix::net::if_::if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    name.and_then(|name| std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(MTU_DEFAULT)
}
