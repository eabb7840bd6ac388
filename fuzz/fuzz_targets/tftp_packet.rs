//! Any datagram is parsed without a panic and encoded back with the same meaning; any sequence of datagrams
//! leaves the transfer machine within its file and its window.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metalwright::proto::tftp::{TransferLimits, TransferMode, ServerOffer, TftpPacket, TransferTerms, Transfer, TransmitOrder, negotiate, packet};
use std::time::Duration;

/// Longest datagram of the sequence, in bytes; its length is one byte of the input.
const DATAGRAM_BYTES_MAX: usize = 255;
const BODY_BYTES: u64 = 300_000;

fuzz_target!(|input: &[u8]| {
    check_codec(input);
    drive(input);
});

fn check_codec(datagram: &[u8]) {
    let Ok(packet) = packet::parse(datagram) else { return };
    let mut out = Vec::new();
    packet.encode(&mut out);
    match (packet::parse(&out), &packet) {
        // Text that is not UTF-8 grows when it is repaired, and may then be cut.
        (Ok(TftpPacket::Error { code, .. }), TftpPacket::Error { code: meant, .. }) => assert_eq!(code, *meant),
        (again, _) => assert_eq!(again.as_ref(), Ok(&packet)),
    }
}

fn terms(datagram: &[u8]) -> TransferTerms {
    let options = match packet::parse(datagram) {
        Ok(TftpPacket::Read(request)) => request.options,
        _ => Vec::new(),
    };
    negotiate(&options, &ServerOffer { limits: TransferLimits::default(), mode: TransferMode::Octet, body_bytes: BODY_BYTES })
}

/// Reads the input as (wait in 100 ms, length, datagram)*.
fn drive(input: &[u8]) {
    let mut now = Duration::ZERO;
    let mut transfer: Option<Transfer> = None;
    let mut rest = input;
    while let [wait, length, after @ ..] = rest {
        let (datagram, next) = after.split_at(usize::from(*length).min(DATAGRAM_BYTES_MAX).min(after.len()));
        rest = next;
        now += Duration::from_millis(u64::from(*wait) * 100);
        let transfer = transfer.get_or_insert_with(|| Transfer::new(now, terms(datagram), BODY_BYTES));
        if let Ok(packet) = packet::parse(datagram) {
            transfer.handle(now, &packet);
        }
        transfer.handle_timeout(now);
        let ended = transfer.ended().is_some();
        while let Some(transmit) = transfer.poll_transmit(now) {
            assert!(!ended, "nothing is sent after the end");
            if let TransmitOrder::Data(span) = transmit {
                assert!(span.blocks >= 1 && span.blocks <= 16);
                assert!(span.offset + span.body_bytes as u64 <= BODY_BYTES);
            }
        }
        assert!(transfer.acked_bytes() <= BODY_BYTES);
    }
}
