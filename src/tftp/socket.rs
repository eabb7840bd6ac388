//! The sockets of TFTP: the listening socket, and one for each read.

use crate::datagrams::{self, DatagramBatch, DatagramEnds, DatagramRoute, SegmentationMode};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket as StdUdpSocket};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Largest datagram that is received. Requests have at most 512 bytes (RFC 2347); all other packets are
/// shorter.
pub(super) const DATAGRAM_BYTES_MAX: usize = 2048;
/// Receive buffer of the listening socket: a rack that powers on sends its requests within a second.
const LISTEN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The MTU if the interface does not report one.
const MTU_DEFAULT: u32 = 1500;

/// Binds the listening socket, with packet information.
pub(super) fn listen(address: SocketAddrV4) -> io::Result<StdUdpSocket> {
    prepared(StdUdpSocket::bind(address)?)
}

fn prepared(socket: StdUdpSocket) -> io::Result<StdUdpSocket> {
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    // As much as the host allows (`net.core.rmem_max`), and more if this process may.
    if setsockopt(&socket, sockopt::RcvBufForce, &LISTEN_BYTES_MAX).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &LISTEN_BYTES_MAX)?;
    }
    Ok(socket)
}

/// A new listening socket that replaces a failed one; for a moment both have the port.
pub(super) fn reopen(failed: &UdpSocket, address: SocketAddrV4) -> io::Result<UdpSocket> {
    setsockopt(failed, sockopt::ReuseAddr, &true)?;
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.set_reuse_address(false)?;
    adopt(prepared(socket.into())?)
}

/// A non-blocking socket with a new port on `local`, for one transfer.
pub(super) fn transfer(local: Ipv4Addr) -> io::Result<StdUdpSocket> {
    let socket = StdUdpSocket::bind(SocketAddrV4::new(local, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Registers a socket with the caller's runtime.
pub(super) fn adopt(socket: StdUdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Waits for a datagram on the listening socket.
pub(super) async fn recv(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<DatagramEnds> {
    socket.async_io(Interest::READABLE, || datagrams::receive(socket, buffer)).await
}

/// The next datagram, if one has arrived already.
pub(super) fn recv_waiting(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<DatagramEnds> {
    socket.try_io(Interest::READABLE, || datagrams::receive(socket, buffer))
}

/// Sends `frames` from the listening socket, and waits if there is no room. `cutting` falls back by itself.
pub(super) async fn send(
    socket: &UdpSocket,
    route: DatagramRoute,
    frames: DatagramBatch<'_>,
    cutting: &mut SegmentationMode,
) -> io::Result<()> {
    let mut rest = frames;
    socket.async_io(Interest::WRITABLE, || datagrams::push(socket, route, &mut rest, cutting)).await
}

/// Sends one datagram if that is possible at once, and drops it otherwise: for refusals, which nothing waits
/// for.
pub(super) fn send_or_drop(socket: &UdpSocket, route: DatagramRoute, datagram: &[u8]) -> io::Result<()> {
    match socket.try_io(Interest::WRITABLE, || {
        datagrams::push(socket, route, &mut DatagramBatch::one(datagram), &mut SegmentationMode::Us)
    }) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        sent => sent,
    }
}

/// The MTU of an interface, in bytes.
pub(super) fn interface_mtu(index: u32) -> u32 {
    let name = nix::net::if_::if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    name.and_then(|name| std::fs::read_to_string(format!("/sys/class/net/{name}/mtu")).ok())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(MTU_DEFAULT)
}
