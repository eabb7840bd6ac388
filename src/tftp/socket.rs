//! UDP sockets that know which of our addresses a packet came to, answer from it, and send a window in one
//! call.

use nix::errno::Errno;
use nix::libc::in_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmsg, sendmmsg, sendmsg,
    setsockopt, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Largest datagram taken in. Requests have at most 512 bytes (RFC 2347), and all else we hear is shorter.
pub(super) const DATAGRAM_BYTES_MAX: usize = 2048;
/// What the listening socket may hold: a rack that powers on asks within a second.
const LISTEN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes given to the kernel at once to be cut into datagrams; it takes 65,507.
const SEGMENTED_BYTES_MAX: usize = 65_000;
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

/// Datagrams one after the other, all of `each` bytes but the last, which may be shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frames<'a> {
    pub bytes: &'a [u8],
    pub each: usize,
}

impl<'a> Frames<'a> {
    pub(super) fn one(bytes: &'a [u8]) -> Self {
        Self { bytes, each: bytes.len() }
    }

    fn is_one(&self) -> bool {
        self.bytes.len() <= self.each
    }
}

/// Who cuts a window into datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Cutting {
    /// The kernel, at the very end (UDP_SEGMENT): a window costs little more than a datagram.
    #[default]
    Kernel,
    /// We do: this kernel or interface cannot.
    Us,
}

/// Binds the listening socket, with packet information on.
pub(super) fn listen(address: SocketAddrV4) -> io::Result<StdUdpSocket> {
    let socket = StdUdpSocket::bind(address)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    // As much as the host allows (`net.core.rmem_max`), and more where we may.
    if setsockopt(&socket, sockopt::RcvBufForce, &LISTEN_BYTES_MAX).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &LISTEN_BYTES_MAX)?;
    }
    Ok(socket)
}

/// A socket with a new port on `local`, for one transfer. It does not block.
pub(super) fn transfer(local: Ipv4Addr) -> io::Result<StdUdpSocket> {
    let socket = StdUdpSocket::bind(SocketAddrV4::new(local, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket of the runtime that this is called in.
pub(super) fn adopt(socket: StdUdpSocket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Waits for a datagram on the listening socket.
pub(super) async fn recv(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket.async_io(Interest::READABLE, || recv_now(socket, buffer)).await
}

/// The next datagram if one is there already.
pub(super) fn recv_waiting(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket.try_io(Interest::READABLE, || recv_now(socket, buffer))
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

/// Sends `frames` from the listening socket, and waits where there is no room. `cutting` falls back by
/// itself.
pub(super) async fn send(
    socket: &UdpSocket,
    route: Route,
    frames: Frames<'_>,
    cutting: &mut Cutting,
) -> io::Result<()> {
    let mut rest = frames;
    socket.async_io(Interest::WRITABLE, || push(socket, route, &mut rest, cutting)).await
}

/// Sends `frames` if that can be done at once, as many as possible in one system call. `cutting` falls back
/// by itself. What is left, if the socket has no room, stays in `frames`.
pub(super) fn push(
    socket: &impl AsRawFd,
    route: Route,
    frames: &mut Frames<'_>,
    cutting: &mut Cutting,
) -> io::Result<()> {
    while !frames.bytes.is_empty() {
        let sent = match send_now(socket, route, *frames, *cutting) {
            Err(error) if *cutting == Cutting::Kernel && cannot_cut(&error) && !frames.is_one() => {
                *cutting = Cutting::Us;
                continue;
            }
            sent => sent?,
        };
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        frames.bytes = frames.bytes.get(sent..).unwrap_or_default();
    }
    Ok(())
}

/// Sends one datagram if that can be done at once, and drops it if not: for refusals, which nobody waits for.
pub(super) fn send_or_drop(socket: &UdpSocket, route: Route, datagram: &[u8]) -> io::Result<()> {
    let send = || send_now(socket, route, Frames::one(datagram), Cutting::Us);
    match socket.try_io(Interest::WRITABLE, send) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        sent => sent.map(drop),
    }
}

/// Returns how many bytes left.
fn send_now(socket: &impl AsRawFd, route: Route, frames: Frames<'_>, cutting: Cutting) -> io::Result<usize> {
    let info = in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: address(route.source.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    };
    let from = route.source.map(|_| ControlMessage::Ipv4PacketInfo(&info));
    if cutting == Cutting::Us && !frames.is_one() {
        return send_each(socket, route, frames, from.as_slice());
    }
    let at_once = SEGMENTED_BYTES_MAX / frames.each.max(1) * frames.each.max(1);
    let part = frames.bytes.get(..at_once.max(frames.each)).unwrap_or(frames.bytes);
    let each = u16::try_from(frames.each).unwrap_or(u16::MAX);
    let cut = (part.len() > frames.each).then_some(ControlMessage::UdpGsoSegments(&each));
    let control: Vec<_> = from.into_iter().chain(cut).collect();
    let (slices, flags) = ([IoSlice::new(part)], MsgFlags::MSG_DONTWAIT);
    let peer = SockaddrIn::from(route.peer);
    Ok(sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(&peer))?)
}

fn send_each(
    socket: &impl AsRawFd,
    route: Route,
    frames: Frames<'_>,
    control: &[ControlMessage<'_>],
) -> io::Result<usize> {
    let slices: Vec<_> = frames.bytes.chunks(frames.each.max(1)).map(|frame| [IoSlice::new(frame)]).collect();
    let addresses = vec![Some(SockaddrIn::from(route.peer)); slices.len()];
    let space = route.source.map(|_| nix::cmsg_space!(in_pktinfo));
    let mut headers = MultiHeaders::preallocate(slices.len(), space);
    let flags = MsgFlags::MSG_DONTWAIT;
    let results = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, &addresses, control, flags)?;
    Ok(results.map(|sent| sent.bytes).sum())
}

/// Whether the kernel, or the interface the packets would leave by, does not know UDP_SEGMENT, or would have
/// to fragment.
fn cannot_cut(error: &io::Error) -> bool {
    let refusals = [Errno::EINVAL, Errno::EIO, Errno::EMSGSIZE, Errno::EOPNOTSUPP, Errno::ENOPROTOOPT];
    error.raw_os_error().is_some_and(|code| refusals.contains(&Errno::from_raw(code)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;

    /// The datagrams that arrive when `frames` are sent.
    async fn arrived(frames: Frames<'_>, source: Option<Ipv4Addr>, cutting: Cutting) -> Vec<Vec<u8>> {
        let there = StdUdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let SocketAddr::V4(peer) = there.local_addr().unwrap() else { panic!("not IPv4") };
        let here = transfer(Ipv4Addr::LOCALHOST).unwrap();
        push(&here, Route { peer, source }, &mut { frames }, &mut cutting.clone()).unwrap();
        let mut buffer = vec![0; 70_000];
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        while datagrams.iter().map(Vec::len).sum::<usize>() < frames.bytes.len() {
            let length = there.recv(&mut buffer).unwrap();
            datagrams.push(buffer[..length].to_vec());
        }
        datagrams
    }

    #[tokio::test]
    async fn a_window_arrives_as_the_same_datagrams_whoever_cuts_it() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at ^ (at >> 8)) as u8).collect();
        for (length, each) in
            [(1, 1), (1472, 1472), (1473, 1472), (16 * 1472, 1472), (20_000, 1472), (80_000, 9004)]
        {
            let frames = Frames { bytes: &bytes[..length], each };
            let expected: Vec<Vec<u8>> = frames.bytes.chunks(each).map(<[u8]>::to_vec).collect();
            for source in [None, Some(Ipv4Addr::new(127, 0, 0, 7))] {
                for cutting in [Cutting::Kernel, Cutting::Us] {
                    let came = arrived(frames, source, cutting).await;
                    assert!(came == expected, "{length} by {each}, {source:?}, {cutting:?}");
                }
            }
        }
    }
}
