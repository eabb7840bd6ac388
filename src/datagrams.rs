//! UDP over IPv4 for servers: the address and interface that a datagram came to, answers that leave from
//! there, many datagrams for one peer in one system call, and recovery from socket failures
//! (`socket_health`). DHCP and TFTP use it; it does not parse the datagrams.

mod socket_health;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::libc::in_pktinfo;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmsg, sendmmsg, sendmsg,
};
use nix::sys::time::TimeSpec;

pub use socket_health::{FAILURES_MAX, SocketHealth};

/// Most datagrams per system call. Kernels segment into 64 or 128 (`UDP_MAX_SEGMENTS`), and `sendmmsg`
/// accepts 1024.
pub const DATAGRAMS_MAX: usize = 64;
/// Most bytes that are passed to the kernel for segmentation; it accepts 65,507.
const SEGMENTED_BYTES_MAX: usize = 65_000;

/// Source and destination of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatagramEnds {
    pub peer: SocketAddrV4,
    /// The address that it was sent to, which may be a broadcast address.
    pub addressed: Ipv4Addr,
    /// The server's unicast address to answer from.
    pub local: Ipv4Addr,
    pub interface: u32,
    pub bytes: usize,
    /// When the kernel received it, by the wall clock, if the socket asks for that (`SO_TIMESTAMPNS`).
    pub stamp: Option<SystemTime>,
}

/// Destination and source of outgoing datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatagramRoute {
    pub peer: SocketAddrV4,
    /// The source address, if the socket is not bound to one.
    pub source: Option<Ipv4Addr>,
    /// The interface; 0 leaves the choice to routing.
    pub interface: u32,
}

/// Datagrams one after the other. Each has `each` bytes except the last, which may be shorter.
#[derive(Debug, Clone, Copy)]
pub struct DatagramBatch<'a> {
    pub bytes: &'a [u8],
    pub each: usize,
}

impl<'a> DatagramBatch<'a> {
    pub fn one(bytes: &'a [u8]) -> Self {
        Self { bytes, each: bytes.len() }
    }

    fn is_one(&self) -> bool {
        self.bytes.len() <= self.each
    }
}

/// Who splits a window into datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SegmentationMode {
    /// The kernel, as late as possible (UDP_SEGMENT): a window costs little more than a datagram.
    #[default]
    Kernel,
    /// This module, because the kernel or the interface cannot.
    Us,
}

/// Receives the next datagram from a socket that has `IP_PKTINFO` set, without waiting.
///
/// # Errors
/// `WouldBlock` if there is none; those of the system.
pub fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<DatagramEnds> {
    let mut control = nix::cmsg_space!(in_pktinfo, TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let (mut info, mut stamp) = (None, None);
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(found) => info = Some(found),
            ControlMessageOwned::ScmTimestampns(found) => {
                stamp = SystemTime::UNIX_EPOCH.checked_add(Duration::from(found));
            }
            _ => {}
        }
    }
    let (Some(peer), Some(info)) = (message.address, info) else {
        return Err(io::Error::other("a datagram came without its addresses"));
    };
    Ok(DatagramEnds {
        peer: SocketAddrV4::new(peer.ip(), peer.port()),
        addressed: Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)),
        local: Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)),
        interface: u32::try_from(info.ipi_ifindex).unwrap_or(0),
        bytes: message.bytes,
        stamp,
    })
}

/// The result of [`send_each`].
#[derive(Debug, Default)]
pub struct SendOutcome {
    /// How many were sent.
    pub left: usize,
    /// Why the last unsent one was not sent.
    pub error: Option<io::Error>,
}

/// Sends each of `datagrams` as a packet of its own, as many as possible per system call (`sendmmsg`),
/// without waiting. A datagram that the kernel refuses does not delay those behind it; a socket without room
/// ends the call.
///
/// It is for peers that may read frames instead of a socket (`AF_PACKET`), as DHCP relays do. If no network
/// card is involved, such a reader gets everything that the kernel should have segmented (`UDP_SEGMENT`) as
/// one large packet.
pub fn send_each(socket: &impl AsRawFd, route: DatagramRoute, datagrams: &[&[u8]]) -> SendOutcome {
    let mut sent = SendOutcome::default();
    let mut rest = datagrams;
    while !rest.is_empty() {
        let passed = match send_some(socket, route, rest) {
            Ok(count) if count > 0 => {
                sent.left += count;
                count
            }
            Ok(_) => {
                sent.error = Some(io::ErrorKind::WriteZero.into());
                break;
            }
            Err(error) => {
                let is_full = error.kind() == io::ErrorKind::WouldBlock;
                sent.error = Some(error);
                if is_full {
                    break;
                }
                1
            }
        };
        rest = rest.get(passed..).unwrap_or_default();
    }
    sent
}

/// Sends `frames` if that is possible at once, as many as possible per system call. `cutting` falls back by
/// itself. If the socket has no room, the rest stays in `frames`.
///
/// # Errors
/// `WouldBlock` if there is no room; those of the system.
pub fn push(
    socket: &impl AsRawFd,
    route: DatagramRoute,
    frames: &mut DatagramBatch<'_>,
    cutting: &mut SegmentationMode,
) -> io::Result<()> {
    while !frames.bytes.is_empty() {
        let sent = match send(socket, route, *frames, *cutting) {
            Err(error) if *cutting == SegmentationMode::Kernel && cannot_cut(&error) && !frames.is_one() => {
                *cutting = SegmentationMode::Us;
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

/// Returns how many bytes were sent.
fn send(
    socket: &impl AsRawFd,
    route: DatagramRoute,
    frames: DatagramBatch<'_>,
    cutting: SegmentationMode,
) -> io::Result<usize> {
    if cutting == SegmentationMode::Us && !frames.is_one() {
        let datagrams: Vec<_> = frames.bytes.chunks(frames.each.max(1)).take(DATAGRAMS_MAX).collect();
        let count = send_some(socket, route, &datagrams)?;
        return Ok(datagrams.iter().take(count).map(|datagram| datagram.len()).sum());
    }
    let each = frames.each.max(1);
    let at_once = (SEGMENTED_BYTES_MAX / each).clamp(1, DATAGRAMS_MAX) * each;
    let part = frames.bytes.get(..at_once).unwrap_or(frames.bytes);
    let each = u16::try_from(frames.each).unwrap_or(u16::MAX);
    let cut = (part.len() > frames.each).then_some(ControlMessage::UdpGsoSegments(&each));
    let info = packet_info(route);
    let from = info.as_ref().map(ControlMessage::Ipv4PacketInfo);
    let control: Vec<_> = from.into_iter().chain(cut).collect();
    let (slices, flags) = ([IoSlice::new(part)], MsgFlags::MSG_DONTWAIT);
    let peer = SockaddrIn::from(route.peer);
    Ok(sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(&peer))?)
}

/// Sends by one system call; returns how many datagrams were sent, from the first on.
fn send_some(socket: &impl AsRawFd, route: DatagramRoute, datagrams: &[&[u8]]) -> io::Result<usize> {
    let slices: Vec<_> = datagrams.iter().map(|datagram| [IoSlice::new(datagram)]).collect();
    let addresses = vec![Some(SockaddrIn::from(route.peer)); slices.len()];
    let info = packet_info(route);
    let control = info.as_ref().map(ControlMessage::Ipv4PacketInfo);
    let space = control.is_some().then(|| nix::cmsg_space!(in_pktinfo));
    let mut headers = MultiHeaders::preallocate(slices.len(), space);
    let flags = MsgFlags::MSG_DONTWAIT;
    let results = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, &addresses, control.as_slice(), flags)?;
    Ok(results.count())
}

/// The source address and the interface, if the route has one of them.
fn packet_info(route: DatagramRoute) -> Option<in_pktinfo> {
    (route.source.is_some() || route.interface != 0).then(|| in_pktinfo {
        ipi_ifindex: i32::try_from(route.interface).unwrap_or(0),
        ipi_spec_dst: address(route.source.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        ipi_addr: address(Ipv4Addr::UNSPECIFIED),
    })
}

/// Whether the kernel or the outgoing interface does not support UDP_SEGMENT, or would have to fragment.
fn cannot_cut(error: &io::Error) -> bool {
    let refusals = [Errno::EINVAL, Errno::EIO, Errno::EMSGSIZE, Errno::EOPNOTSUPP, Errno::ENOPROTOOPT];
    error.raw_os_error().is_some_and(|code| refusals.contains(&Errno::from_raw(code)))
}

fn address(ip: Ipv4Addr) -> nix::libc::in_addr {
    nix::libc::in_addr { s_addr: u32::from(ip).to_be() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};

    /// The datagrams that arrive when `frames` are sent.
    fn arrived(
        frames: DatagramBatch<'_>,
        source: Option<Ipv4Addr>,
        cutting: SegmentationMode,
    ) -> Vec<Vec<u8>> {
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let SocketAddr::V4(peer) = there.local_addr().unwrap() else { panic!("not IPv4") };
        let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        push(&here, DatagramRoute { peer, source, interface: 0 }, &mut { frames }, &mut cutting.clone())
            .unwrap();
        let mut buffer = vec![0; 70_000];
        let mut datagrams: Vec<Vec<u8>> = Vec::new();
        while datagrams.iter().map(Vec::len).sum::<usize>() < frames.bytes.len() {
            let length = there.recv(&mut buffer).unwrap();
            datagrams.push(buffer[..length].to_vec());
        }
        datagrams
    }

    #[test]
    fn a_window_arrives_as_the_same_datagrams_whoever_cuts_it() {
        let bytes: Vec<u8> = (0..100_000u32).map(|at| (at ^ (at >> 8)) as u8).collect();
        for (length, each) in
            [(1, 1), (1472, 1472), (1473, 1472), (16 * 1472, 1472), (20_000, 1472), (80_000, 9004)]
        {
            let frames = DatagramBatch { bytes: &bytes[..length], each };
            let expected: Vec<Vec<u8>> = frames.bytes.chunks(each).map(<[u8]>::to_vec).collect();
            for source in [None, Some(Ipv4Addr::new(127, 0, 0, 7))] {
                for cutting in [SegmentationMode::Kernel, SegmentationMode::Us] {
                    let came = arrived(frames, source, cutting);
                    assert!(came == expected, "{length} by {each}, {source:?}, {cutting:?}");
                }
            }
        }
    }

    #[test]
    fn a_datagram_that_is_refused_holds_up_none_behind_it() {
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let SocketAddr::V4(peer) = there.local_addr().unwrap() else { panic!("not IPv4") };
        let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // No UDP datagram can have so many bytes.
        let large = vec![0; 70_000];
        for source in [None, Some(Ipv4Addr::new(127, 0, 0, 7))] {
            let route = DatagramRoute { peer, source, interface: 0 };
            let sent = send_each(&here, route, &[b"first", &large, b"a third", &large, b"5"]);
            assert_eq!(sent.left, 3);
            let code = sent.error.and_then(|error| error.raw_os_error());
            assert_eq!(code, Some(Errno::EMSGSIZE as i32));
            let mut buffer = [0; 64];
            for expected in [&b"first"[..], b"a third", b"5"] {
                let length = there.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..length], expected);
            }
        }
    }
}
