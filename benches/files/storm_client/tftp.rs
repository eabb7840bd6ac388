//! A read over TFTP as firmware makes it: `tsize`, `blksize`, and one block after the other (RFC 1350, 2347,
//! 2348, 2349), each compared with the file.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::tftp_client::BLOCK_BYTES;

/// How long the client waits before it repeats its last packet, and how often in a row.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES_MAX: u32 = 10;
const DATA: u8 = 3;
const ERROR: u8 = 5;
const OPTIONS_ACK: u8 = 6;

/// Reads `path` of `server` from a port of the address `from`.
pub async fn read(from: Ipv4Addr, (server, path): (Ipv4Addr, &str), expected: &[u8]) -> Result<(), String> {
    let socket = UdpSocket::bind((from, 0)).await.map_err(told)?;
    let mut packet = [0; 2048];
    let (mut length, peer) = begin(&socket, (server, path), &mut packet).await?;
    socket.connect(peer).await.map_err(told)?;
    let mut read = Read { expected, block_bytes: 512, got: 0 };
    loop {
        if read.take(&packet[..length])? {
            let said = read.ack();
            socket.send(&said).await.map_err(told)?;
        }
        if read.is_over() {
            return Ok(());
        }
        length = next(&socket, &read, &mut packet).await?;
    }
}

/// Requests the file until something arrives; returns its length and source.
async fn begin(
    socket: &UdpSocket,
    (server, path): (Ipv4Addr, &str),
    packet: &mut [u8],
) -> Result<(usize, SocketAddr), String> {
    let request = format!("\0\x01{path}\0octet\0tsize\x000\0blksize\0{BLOCK_BYTES}\0");
    for _ in 0..TRIES_MAX {
        socket.send_to(request.as_bytes(), (server, 69)).await.map_err(told)?;
        if let Ok(received) = timeout(PATIENCE, socket.recv_from(packet)).await {
            return received.map_err(told);
        }
    }
    Err("silence".to_owned())
}

/// The next packet of the server, which is asked again if none arrives.
async fn next(socket: &UdpSocket, read: &Read<'_>, packet: &mut [u8]) -> Result<usize, String> {
    for _ in 0..TRIES_MAX {
        if let Ok(received) = timeout(PATIENCE, socket.recv(packet)).await {
            return received.map_err(told);
        }
        socket.send(&read.ack()).await.map_err(told)?;
    }
    Err(format!("silence after block {}", read.got))
}

fn told(error: io::Error) -> String {
    error.to_string()
}

struct Read<'a> {
    expected: &'a [u8],
    block_bytes: usize,
    /// Blocks that have come.
    got: usize,
}

impl Read<'_> {
    /// Whether it has to be acknowledged.
    fn take(&mut self, packet: &[u8]) -> Result<bool, String> {
        match packet {
            [0, OPTIONS_ACK, options @ ..] if self.got == 0 => {
                self.heed(options);
                Ok(true)
            }
            [0, DATA, high, low, payload @ ..] => {
                let ahead = u16::from_be_bytes([*high, *low]).wrapping_sub(self.got as u16);
                if ahead == 1 {
                    self.compare(payload)?;
                    self.got += 1;
                }
                // The last block again: its ACK was lost.
                Ok(ahead < 2)
            }
            [0, ERROR, _, code, text @ ..] => {
                Err(format!("error {code}, {}", String::from_utf8_lossy(text).trim_end_matches('\0')))
            }
            _ => Ok(false),
        }
    }

    fn compare(&self, payload: &[u8]) -> Result<(), String> {
        let start = self.got * self.block_bytes;
        let end = self.expected.len().min(start + self.block_bytes);
        if self.expected.get(start..end) == Some(payload) {
            return Ok(());
        }
        Err(format!("block {} is not that of the file", self.got + 1))
    }

    fn heed(&mut self, options: &[u8]) {
        let mut words = options.split(|byte| *byte == 0);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name.eq_ignore_ascii_case(b"blksize") {
                let value = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                self.block_bytes = value.unwrap_or(self.block_bytes);
            }
        }
    }

    fn ack(&self) -> [u8; 4] {
        let [high, low] = (self.got as u16).to_be_bytes();
        [0, 4, high, low]
    }

    /// A block that is not full is the last.
    fn is_over(&self) -> bool {
        self.got * self.block_bytes > self.expected.len()
    }
}
