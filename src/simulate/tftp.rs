//! TFTP as firmware uses it: a probe for the size that is aborted, then the file in windows.
//!
//! The bytes are counted and discarded. Start at [`load`].

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::proto::tftp::{ErrorCode, OptionField, TftpPacket, TftpRequest, TransferMode, packet};
use crate::simulate::console::MachineConsole;
use crate::simulate::failure::StepFailure;
use crate::simulate::firmware::FirmwareKind;

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// How often a packet is sent before the firmware gives up.
const TRIES: u32 = 6;
/// Largest datagram: the requested blocks fit into Ethernet.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Most packets that do not continue the transfer and are skipped.
const STRAY_PACKETS_MAX: u32 = 10_000;
const BLOCK_BYTES_DEFAULT: u64 = 512;

/// The place of a file, and how the machine requests it.
#[derive(Debug, Clone)]
pub struct TftpSource {
    pub server: SocketAddr,
    pub path: String,
    /// The machine's own address.
    pub from: Ipv4Addr,
    pub firmware: FirmwareKind,
    /// The wait for the first answer; it doubles with each try.
    pub first_wait: Duration,
}

/// Reads a loader as firmware does, and returns its size in bytes.
///
/// # Errors
/// The server refused, stopped answering, or sent something that the firmware did not request.
pub async fn load(source: &TftpSource, console: &mut MachineConsole) -> Result<u64, StepFailure> {
    let began = Instant::now();
    let block = if source.firmware.is_efi() { "1468" } else { "1456" };
    let probed = TftpReading::open(source).await?.probe(&[("tsize", "0"), ("blksize", block)]).await?;
    let path = &source.path;
    console.step("tftp.probe", began, format!("{path} has {probed} bytes")).await;
    let began = Instant::now();
    let options: &[(&str, &str)] = if source.firmware.is_efi() {
        &[("blksize", block), ("windowsize", "4")]
    } else {
        &[("blksize", block)]
    };
    let mut reading = TftpReading::open(source).await?;
    let bytes = reading.read(options).await?;
    if bytes != probed {
        let came = format!("{bytes} bytes came, although the probe said {probed}");
        return Err(StepFailure::new("tftp", format!("as many bytes of {path} as were announced"), came));
    }
    let granted = reading.granted;
    console.step("tftp.read", began, format!("{path}, {bytes} bytes, {granted}")).await;
    Ok(bytes)
}

/// One read request, and the transfer that follows.
struct TftpReading<'a> {
    source: &'a TftpSource,
    socket: UdpSocket,
    /// The sender of answers; the request's destination until the first answer arrived.
    peer: SocketAddr,
    answered: bool,
    buffer: Vec<u8>,
    block_bytes: u64,
    window: u64,
    granted: String,
}

impl<'a> TftpReading<'a> {
    async fn open(source: &'a TftpSource) -> Result<Self, StepFailure> {
        let socket = UdpSocket::bind((source.from, 0)).await.map_err(|error| {
            let expected = format!("to send from the machine's address {}", source.from);
            StepFailure::new("tftp", expected, format!("the system says: {error}"))
        })?;
        Ok(TftpReading {
            source,
            socket,
            peer: source.server,
            answered: false,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
            block_bytes: BLOCK_BYTES_DEFAULT,
            window: 1,
            granted: String::new(),
        })
    }

    fn failure(&self, expected: &str, came: impl std::fmt::Display) -> StepFailure {
        StepFailure::new(
            "tftp",
            format!("{expected} of {} from {}", self.source.path, self.source.server),
            came,
        )
    }

    fn request(&self, options: &[(&str, &str)]) -> Vec<u8> {
        let options = options.iter().map(|(name, value)| OptionField { name, value }).collect();
        let mut bytes = Vec::new();
        TftpPacket::Read(TftpRequest {
            path: self.source.path.as_str().into(),
            mode: TransferMode::Octet,
            options,
        })
        .encode(&mut bytes);
        bytes
    }

    /// Requests the size, and aborts as EDK2 (error 8) and PXE ROMs (error 0) do.
    async fn probe(mut self, options: &[(&str, &str)]) -> Result<u64, StepFailure> {
        let request = self.request(options);
        let length = self.ask(&request).await?;
        let parsed = packet::parse(self.buffer.get(..length).unwrap_or_default());
        let Ok(TftpPacket::OptionsAck(fields)) = parsed else {
            return Err(self.failure("the size", "the server did not answer with options"));
        };
        self.check_asked(&fields, options)?;
        let size = fields.iter().find(|field| field.name.eq_ignore_ascii_case("tsize"));
        let size = size.and_then(|field| field.value.parse::<u64>().ok());
        let Some(size) = size else { return Err(self.failure("the size", "no `tsize` was granted")) };
        if size > FILE_BYTES_MAX {
            return Err(self.failure("a loader", format!("{size} bytes are too many for one")));
        }
        let (code, message) = if self.source.firmware.is_efi() {
            (ErrorCode::OPTIONS, "User aborted the transfer")
        } else {
            (ErrorCode::OTHER, "TFTP Aborted")
        };
        self.send(&TftpPacket::error_bytes(code, message)).await?;
        Ok(size)
    }

    /// EFI clients drop an OACK with an option that they did not request.
    fn check_asked(&self, fields: &[OptionField<'_>], options: &[(&str, &str)]) -> Result<(), StepFailure> {
        match fields
            .iter()
            .find(|field| !options.iter().any(|(asked, _)| asked.eq_ignore_ascii_case(field.name)))
        {
            Some(field) => {
                Err(self.failure("only options that were asked for", format!("`{}` came", field.name)))
            }
            None => Ok(()),
        }
    }

    /// Reads to the end and returns the number of bytes.
    async fn read(&mut self, options: &[(&str, &str)]) -> Result<u64, StepFailure> {
        let mut last_sent = self.request(options);
        let mut length = self.ask(&last_sent).await?;
        let (mut bytes, mut blocks, mut in_window) = (0u64, 0u64, 0u64);
        for _ in 0..=FILE_BYTES_MAX {
            match self.take(length, blocks, options)? {
                TakenPacket::Options if blocks == 0 => {
                    last_sent = ack(0);
                    self.send(&last_sent).await?;
                }
                TakenPacket::Data(payload) => {
                    (bytes, blocks, in_window) = (bytes + payload, blocks + 1, in_window + 1);
                    if bytes > FILE_BYTES_MAX {
                        return Err(self.failure("an end", format!("more than {FILE_BYTES_MAX} bytes came")));
                    }
                    let is_last = payload < self.block_bytes;
                    if is_last || in_window >= self.window {
                        in_window = 0;
                        last_sent = ack(blocks);
                        self.send(&last_sent).await?;
                    }
                    if is_last {
                        return Ok(bytes);
                    }
                }
                TakenPacket::OutOfOrder => {
                    in_window = 0;
                    last_sent = ack(blocks);
                    self.send(&last_sent).await?;
                }
                TakenPacket::Options | TakenPacket::Repeated => {}
            }
            // If nothing arrives the last packet is sent again: it or its answer may be lost.
            length = match self.receive(self.source.first_wait).await? {
                Some(length) => length,
                None => {
                    last_sent = if blocks == 0 { last_sent } else { ack(blocks) };
                    in_window = 0;
                    self.ask(&last_sent.clone()).await?
                }
            };
        }
        Err(self.failure("an end", "the transfer does not end"))
    }

    fn take(
        &mut self,
        length: usize,
        blocks: u64,
        options: &[(&str, &str)],
    ) -> Result<TakenPacket, StepFailure> {
        let datagram = self.buffer.get(..length).unwrap_or_default();
        match packet::parse(datagram) {
            Ok(TftpPacket::OptionsAck(fields)) => {
                self.check_asked(&fields, options)?;
                let (block_bytes, window) = (
                    option_value(&fields, "blksize", BLOCK_BYTES_DEFAULT),
                    option_value(&fields, "windowsize", 1),
                );
                let granted = fields.iter().map(|field| format!("{} {}", field.name, field.value));
                let granted = granted.collect::<Vec<_>>().join(" ");
                (self.block_bytes, self.window, self.granted) = (block_bytes.max(8), window.max(1), granted);
                Ok(TakenPacket::Options)
            }
            Ok(TftpPacket::Data { block, payload }) if block == on_wire(blocks + 1) => {
                Ok(TakenPacket::Data(payload.len() as u64))
            }
            Ok(TftpPacket::Data { block, .. }) if block == on_wire(blocks) => Ok(TakenPacket::Repeated),
            Ok(TftpPacket::Data { .. }) => Ok(TakenPacket::OutOfOrder),
            Ok(other) => Err(self.failure("data", format!("{other:?} came"))),
            Err(error) => Err(self.failure("data", error.to_string())),
        }
    }

    /// Sends until an answer arrives; returns its length.
    async fn ask(&mut self, bytes: &[u8]) -> Result<usize, StepFailure> {
        let mut wait = self.source.first_wait;
        for _ in 0..TRIES {
            self.send(bytes).await?;
            if let Some(length) = self.receive(wait).await? {
                return Ok(length);
            }
            wait *= 2;
        }
        Err(self.failure("an answer", format!("nothing came in {TRIES} tries")))
    }

    async fn send(&self, bytes: &[u8]) -> Result<(), StepFailure> {
        let sent = self.socket.send_to(bytes, self.peer).await;
        sent.map(drop).map_err(|error| self.failure("to ask", format!("the system says: {error}")))
    }

    /// The next packet of this transfer. The first answer determines the server's port (RFC 1350 4).
    async fn receive(&mut self, wait: Duration) -> Result<Option<usize>, StepFailure> {
        for _ in 0..STRAY_PACKETS_MAX {
            let received = timeout(wait, self.socket.recv_from(&mut self.buffer)).await;
            let Ok(received) = received else { return Ok(None) };
            let (length, from) = match received {
                Ok(received) => received,
                Err(error) => return Err(self.failure("an answer", format!("the system says: {error}"))),
            };
            if from.ip() != self.peer.ip() || self.answered && from.port() != self.peer.port() {
                continue;
            }
            (self.peer, self.answered) = (from, true);
            if let Ok(TftpPacket::Error { code, message }) =
                packet::parse(self.buffer.get(..length).unwrap_or_default())
            {
                return Err(self.failure("the file", format!("the server said error {}: {message}", code.0)));
            }
            return Ok(Some(length));
        }
        Ok(None)
    }
}

fn option_value(fields: &[OptionField<'_>], name: &str, default: u64) -> u64 {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
    field.and_then(|field| field.value.parse().ok()).unwrap_or(default)
}

enum TakenPacket {
    Options,
    /// The next block, with so many bytes.
    Data(u64),
    Repeated,
    OutOfOrder,
}

/// Block numbers wrap from 65535 to 0.
fn on_wire(block: u64) -> u16 {
    (block & 0xffff) as u16
}

fn ack(block: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    TftpPacket::Ack { block: on_wire(block) }.encode(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
