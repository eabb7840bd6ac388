//! The limit of any TFTP server on this host with window 1: it has the file in memory as prepared frames, and
//! only waits, receives an ACK and sends the next block. It reads no path, counts nothing and repeats nothing
//! itself. So it is a reference and not a server: the ACK alone selects the block, and a client that lost a
//! block asks again.

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, SockaddrIn, recvfrom, sendto};

use crate::net::SERVER;
use crate::tftp_client::BLOCK_BYTES;

/// Threads per processor, as in our server.
const THREADS_PER_PROCESSOR: usize = 2;
const EVENTS_MAX: usize = 64;
const ACK: u8 = 4;

/// Serves this file under every path, until it is killed.
///
/// The file cannot be read or has too many blocks, or there is no port.
/// The file cannot be read or has more blocks than have numbers, or there is no port.
pub fn run(file: &Path) -> io::Result<()> {
    let content = fs::read(file)?;
    let frames: &'static [Vec<u8>] = frames(&content)?.leak();
    let options = format!("\0\x06blksize\0{BLOCK_BYTES}\0tsize\0{}\0", content.len());
    let port = UdpSocket::bind((SERVER, 69))?;
    let threads = thread::available_parallelism().map_or(1, usize::from) * THREADS_PER_PROCESSOR;
    let mut pumps = Vec::new();
    for _ in 0..threads {
        let epoll: &'static Epoll = Box::leak(Box::new(Epoll::new(EpollCreateFlags::empty())?));
        thread::spawn(move || pump(epoll, frames));
        pumps.push(epoll);
    }
    let mut request = [0; 512];
    for epoll in pumps.iter().cycle() {
        let (_, client) = port.recv_from(&mut request)?;
        let socket = UdpSocket::bind((SERVER, 0))?;
        epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, socket.as_raw_fd() as u64))?;
        socket.send_to(options.as_bytes(), client)?;
        // The pump closes it, by its number.
        let _number = socket.into_raw_fd();
    }
    Ok(())
}

/// Every DATA packet, the one after block N at index N.
fn frames(content: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    // A file that ends with a full block has an empty one after it.
    let blocks = content.len() / BLOCK_BYTES + 1;
    let frame = |index: usize| {
        let number = u16::try_from(index + 1).map_err(|_| io::Error::other("more than 65535 blocks"))?;
        let start = index * BLOCK_BYTES;
        let payload = &content[start..content.len().min(start + BLOCK_BYTES)];
        Ok([&[0, 3], number.to_be_bytes().as_slice(), payload].concat())
    };
    (0..blocks).map(frame).collect()
}

fn pump(epoll: &Epoll, frames: &[Vec<u8>]) -> io::Result<()> {
    let mut events = [EpollEvent::empty(); EVENTS_MAX];
    let mut packet = [0; 64];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => 0,
            other => other?,
        };
        for event in &events[..ready] {
            let socket = event.data() as i32;
            let (length, client) = recvfrom::<SockaddrIn>(socket, &mut packet)?;
            let number = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
            match (length, packet[1], frames.get(number), client) {
                (4, ACK, Some(frame), Some(client)) => {
                    sendto(socket, frame, &client, MsgFlags::empty())?;
                }
                // The last ACK, or a client that gives up.
                _ => nix::unistd::close(socket)?,
            }
        }
    }
}
