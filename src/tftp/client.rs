//! A plain TFTP client for tests: it requests files, counts windows as RFC 7440 says, and keeps the body.

use crate::proto::tftp::{ErrorCode, OptionField, TftpPacket, TftpRequest, TransferMode, packet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Longest wait for an expected packet.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct TftpClient {
    pub socket: UdpSocket,
}

#[derive(Debug, PartialEq, Eq)]
pub struct TftpDownload {
    pub body: Vec<u8>,
    pub options: Vec<(String, String)>,
    /// The address that sent the blocks.
    pub server: SocketAddr,
}

impl TftpClient {
    pub async fn new() -> Self {
        Self { socket: UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap() }
    }

    pub async fn ask(&self, server: SocketAddr, path: &str, options: &[(&str, &str)]) {
        self.ask_in(TransferMode::Octet, server, path, options).await;
    }

    async fn ask_in(&self, mode: TransferMode, server: SocketAddr, path: &str, options: &[(&str, &str)]) {
        let options = options.iter().map(|(name, value)| OptionField { name, value }).collect();
        self.send(server, &TftpPacket::Read(TftpRequest { path: path.into(), mode, options })).await;
    }

    pub async fn send(&self, server: SocketAddr, packet: &TftpPacket<'_>) {
        let mut out = Vec::new();
        packet.encode(&mut out);
        self.socket.send_to(&out, server).await.unwrap();
    }

    pub async fn recv(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 70_000];
        let (bytes, from) = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await.unwrap().unwrap();
        buffer.truncate(bytes);
        (buffer, from)
    }

    /// The code of the ERROR, which must be the next packet.
    pub async fn error(&self) -> ErrorCode {
        let (bytes, _) = self.recv().await;
        match packet::parse(&bytes) {
            Ok(TftpPacket::Error { code, .. }) => code,
            other => panic!("not an ERROR: {other:?}"),
        }
    }

    pub async fn read(&self, server: SocketAddr, path: &str, options: &[(&str, &str)]) -> TftpDownload {
        self.read_in(TransferMode::Octet, server, path, options).await
    }

    pub async fn read_in(
        &self,
        mode: TransferMode,
        server: SocketAddr,
        path: &str,
        options: &[(&str, &str)],
    ) -> TftpDownload {
        self.ask_in(mode, server, path, options).await;
        self.download().await
    }

    /// Follows a requested read to its last block.
    pub async fn download(&self) -> TftpDownload {
        let mut options = Vec::new();
        let (mut body, mut got, mut counted) = (Vec::new(), 0u64, 0);
        loop {
            let (bytes, server) = self.recv().await;
            let value = |name: &str| {
                options.iter().find(|(key, _)| key == name).map(|(_, value): &(_, String)| value)
            };
            let number = |name, default| value(name).map_or(default, |value| value.parse::<usize>().unwrap());
            match packet::parse(&bytes).unwrap() {
                TftpPacket::OptionsAck(fields) => {
                    options = fields.iter().map(|field| (field.name.into(), field.value.into())).collect();
                    self.send(server, &TftpPacket::Ack { block: 0 }).await;
                }
                TftpPacket::Data { block, payload } if block == (got + 1) as u16 => {
                    got += 1;
                    counted += 1;
                    body.extend_from_slice(payload);
                    let last = payload.len() < number("blksize", 512);
                    if last || counted == number("windowsize", 1) {
                        counted = 0;
                        self.send(server, &TftpPacket::Ack { block }).await;
                    }
                    if last {
                        return TftpDownload { body, options, server };
                    }
                }
                TftpPacket::Data { .. } => {
                    counted = 0;
                    self.send(server, &TftpPacket::Ack { block: got as u16 }).await;
                }
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}
