//! Tests of reading from the real service, and from a faulty server.

use std::net::SocketAddrV4;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::Mac;
use crate::simulate::console::ConsoleLine;
use crate::tftp::{
    OpenedRead, ReadBody, ReadOpener, ReadRefusal, ReadRequest, TftpService, TftpSettings, TransferOutcome,
};

/// Serves files whose names are their lengths: `20000` has so many bytes.
struct Shelf;

impl ReadOpener for Shelf {
    fn open(&self, request: ReadRequest) -> BoxFuture<'_, Result<OpenedRead, ReadRefusal>> {
        let refused = ReadRefusal::Error { code: ErrorCode::NOT_FOUND, message: "not found".into() };
        let body = request.path.parse().map(|length| ReadBody::Bytes(Bytes::from(vec![7; length])));
        let opened = body
            .map(|body| OpenedRead {
                body,
                label: "shelf".into(),
                block_bytes_max: None,
                about: Default::default(),
            })
            .map_err(|_| refused);
        Box::pin(std::future::ready(opened))
    }

    fn is_served(&self, _: &ReadRequest) -> bool {
        true
    }

    fn finished(&self, _: TransferOutcome) {}
}

fn source(server: SocketAddr, path: &str, firmware: FirmwareKind) -> TftpSource {
    let from = Ipv4Addr::new(127, 0, 0, 9);
    TftpSource { server, path: path.into(), from, firmware, first_wait: Duration::from_millis(500) }
}

async fn load_from(
    server: SocketAddr,
    path: &str,
    firmware: FirmwareKind,
) -> (Result<u64, StepFailure>, Vec<ConsoleLine>) {
    let (sender, mut lines) = tokio::sync::mpsc::channel(64);
    let mut console = MachineConsole::new(Mac([2, 0, 0, 0, 0, 1]), sender);
    let loaded = load(&source(server, path, firmware), &mut console).await;
    drop(console);
    let mut said = Vec::new();
    while let Some(line) = lines.recv().await {
        said.push(line);
    }
    (loaded, said)
}

fn serve() -> (SocketAddr, CancellationToken) {
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    let service = TftpService::bind(any, TftpSettings::default(), Arc::new(Shelf)).unwrap();
    let port = service.local_addr().port();
    let stop = CancellationToken::new();
    tokio::spawn(service.run(stop.clone()));
    (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), stop)
}

#[tokio::test]
async fn a_loader_is_probed_broken_off_and_read_whole() {
    let (server, stop) = serve();
    for bytes in [0, 1468, 1468 * 8, 300_001] {
        for firmware in [FirmwareKind::Bios, FirmwareKind::Uefi] {
            let (loaded, said) = load_from(server, &bytes.to_string(), firmware).await;
            assert_eq!(loaded, Ok(bytes), "{firmware:?}");
            assert_eq!(said[0].step, "tftp.probe");
            assert_eq!(said[1].text.contains("windowsize 4"), firmware.is_efi(), "{said:?}");
        }
    }
    stop.cancel();
}

#[tokio::test]
async fn a_refusal_is_told_as_the_server_said_it() {
    let (server, stop) = serve();
    let (loaded, _) = load_from(server, "absent", FirmwareKind::Bios).await;
    let said = loaded.unwrap_err().to_string();
    assert!(said.ends_with("the server said error 1: not found"), "{said}");
    stop.cancel();
}

#[tokio::test]
async fn an_option_that_was_not_asked_for_is_refused_as_efi_does() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 600];
        let (_, from) = server.recv_from(&mut buffer).await.unwrap();
        server.send_to(b"\0\x06tsize\x005\0timeout\x001\0", from).await.unwrap();
    });
    let (loaded, _) = load_from(address, "x", FirmwareKind::Uefi).await;
    assert!(loaded.unwrap_err().came.contains("`timeout` came"));
}

/// The server loses a block of the window: the client acknowledges the blocks it has, and gets the rest.
#[tokio::test]
async fn a_lost_block_is_asked_for_again() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 600];
        let (_, from) = server.recv_from(&mut buffer).await.unwrap();
        let data = |block: u16, bytes: usize| {
            let payload = vec![1; bytes];
            let mut out = Vec::new();
            TftpPacket::Data { block, payload: &payload }.encode(&mut out);
            out
        };
        server.send_to(b"\0\x06blksize\x0016\0windowsize\x004\0", from).await.unwrap();
        let mut acked = Vec::new();
        for blocks in [[1, 3].as_slice(), &[2, 3, 4, 5], &[]] {
            let (length, _) = server.recv_from(&mut buffer).await.unwrap();
            let Ok(TftpPacket::Ack { block }) = packet::parse(&buffer[..length]) else { panic!("an ACK") };
            acked.push(block);
            for block in blocks {
                server.send_to(&data(*block, if *block == 5 { 3 } else { 16 }), from).await.unwrap();
            }
        }
        acked
    });
    let source = source(address, "x", FirmwareKind::Uefi);
    let mut reading = TftpReading::open(&source).await.unwrap();
    let bytes = reading.read(&[("blksize", "16"), ("windowsize", "4")]).await.unwrap();
    assert_eq!(bytes, 4 * 16 + 3);
    assert_eq!(serving.await.unwrap(), [0, 1, 5]);
}
