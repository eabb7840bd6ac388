//! Tests of the transfer machine: with the vectors, packet by packet, and with a whole client on a bad link.

use crate::proto::tftp::pair::{LinkConditions, MS, TransferPair, file, terms};
use crate::proto::tftp::patience::{FAST_MIN, FAST_TRIES_MAX, GAP_MIN, SLOW_TRIES_MAX};
use crate::proto::tftp::transfer::{BURST_PAUSE, IDLE_MAX, SILENT_WINDOWS_MAX};
use crate::proto::tftp::*;
use std::time::Duration;

const START: Duration = Duration::from_secs(500);
const NOTHING: [u64; 0] = [];

fn start(options: &[(&str, &str)], body_bytes: usize) -> Transfer {
    Transfer::new(START, terms(options, body_bytes), body_bytes as u64)
}

/// What is sent now: 0 for an OACK, otherwise the absolute block numbers.
fn sent(transfer: &mut Transfer, now: Duration) -> Vec<u64> {
    let mut out = Vec::new();
    while let Some(transmit) = transfer.poll_transmit(now) {
        match transmit {
            TransmitOrder::OptionsAck => out.push(0),
            TransmitOrder::Data(span) => out.extend(span.first..span.first + u64::from(span.blocks)),
        }
    }
    out
}

fn ack(transfer: &mut Transfer, now: Duration, block: u16) -> PacketEffect {
    transfer.handle(now, &TftpPacket::Ack { block })
}

fn abort(transfer: &mut Transfer, now: Duration) -> PacketEffect {
    transfer.handle(now, &TftpPacket::Error { code: ErrorCode::OPTIONS, message: "User aborted".into() })
}

/// Fires the timer when it is due, and returns when that was, since the start.
fn fire(transfer: &mut Transfer) -> Option<Duration> {
    let at = transfer.poll_timeout()?;
    transfer.handle_timeout(at);
    Some(at - START)
}

#[test]
fn vector_71_a_read_without_options_ends_with_an_empty_block() {
    let mut transfer = start(&[], 1024);
    let mut blocks = Vec::new();
    let mut sizes = Vec::new();
    while let Some(TransmitOrder::Data(span)) = transfer.poll_transmit(START) {
        blocks.push((span.first, span.offset));
        sizes.push(span.body_bytes);
        ack(&mut transfer, START, span.first as u16);
    }
    assert_eq!((blocks, sizes), (vec![(1, 0), (2, 512), (3, 1024)], vec![512, 512, 0]));
    assert_eq!(transfer.ended(), Some(&TransferEnd::Complete));
}

#[test]
fn vector_72_a_probe_that_ends_with_error_8_is_met_with_silence() {
    let mut transfer = start(&[("tsize", "0"), ("blksize", "1468")], 1_000_000);
    assert_eq!(sent(&mut transfer, START), [0]);
    let mut oack = Vec::new();
    transfer.frame_options(&mut oack);
    assert_eq!(oack, b"\0\x06tsize\x001000000\0blksize\x001468\0");
    assert_eq!(abort(&mut transfer, START), PacketEffect::Ended);
    assert_eq!(sent(&mut transfer, START + IDLE_MAX), NOTHING);
    assert_eq!(transfer.poll_timeout(), None);
    assert!(matches!(transfer.ended(), Some(TransferEnd::Aborted { code: ErrorCode::OPTIONS, .. })));
}

#[test]
fn an_oack_is_not_repeated_before_its_timeout() {
    let mut transfer = start(&[("blksize", "1024")], 5000);
    assert_eq!(sent(&mut transfer, START), [0]);
    assert_eq!(sent(&mut transfer, START + 999 * MS), NOTHING);
    transfer.handle_timeout(START + 999 * MS);
    assert_eq!(sent(&mut transfer, START + 999 * MS), NOTHING);
    transfer.handle_timeout(START + 1000 * MS);
    assert_eq!(sent(&mut transfer, START + 1000 * MS), [0]);
    assert_eq!(ack(&mut transfer, START + 1001 * MS, 0), PacketEffect::Progress);
    assert_eq!(sent(&mut transfer, START + 1001 * MS), [1]);
}

#[test]
fn vector_76_windowsize_4_resumes_inside_the_window() {
    let mut transfer = start(&[("windowsize", "4")], 512 * 40);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 0);
    assert_eq!(sent(&mut transfer, START), [1, 2, 3, 4]);
    assert_eq!(ack(&mut transfer, START, 2), PacketEffect::Progress);
    // The client waits for a full window from block 3 on; after the loss it is sent in two bursts.
    assert_eq!(sent(&mut transfer, START), [3, 4]);
    assert_eq!(transfer.poll_timeout(), Some(START + BURST_PAUSE));
    assert_eq!(sent(&mut transfer, START + BURST_PAUSE), [5, 6]);
}

#[test]
fn a_full_window_leaves_as_one_span_again_after_clean_windows() {
    let mut transfer = start(&[("windowsize", "4")], 512 * 400);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 0);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 2);
    let mut now = START;
    let mut acked = 2;
    for _ in 0..3 {
        (0..4).for_each(|_| {
            sent(&mut transfer, now);
            now += BURST_PAUSE;
        });
        acked += 4;
        assert_eq!(ack(&mut transfer, now, acked), PacketEffect::Progress);
    }
    let Some(TransmitOrder::Data(span)) = transfer.poll_transmit(now) else { panic!("nothing to send") };
    assert_eq!(span.blocks, 4);
}

#[test]
fn vector_77_a_repeated_ack_causes_no_data() {
    for options in [&[][..], &[("windowsize", "4")]] {
        let mut transfer = start(options, 512 * 40);
        sent(&mut transfer, START);
        ack(&mut transfer, START, 0);
        sent(&mut transfer, START);
        let window = if options.is_empty() { 1 } else { 4 };
        assert_eq!(ack(&mut transfer, START, window), PacketEffect::Progress);
        assert_eq!(sent(&mut transfer, START).len(), usize::from(window));
        for old in [window, window, 0] {
            assert_eq!(ack(&mut transfer, START, old), PacketEffect::Repeated);
            assert_eq!(sent(&mut transfer, START), NOTHING);
        }
    }
}

#[test]
fn an_ack_of_a_block_that_was_never_sent_is_ignored() {
    let mut transfer = start(&[], 5000);
    sent(&mut transfer, START);
    assert_eq!(ack(&mut transfer, START, 2), PacketEffect::Repeated);
    assert_eq!(sent(&mut transfer, START), NOTHING);
    assert_eq!(transfer.acked_bytes(), 0);
}

#[test]
fn a_late_ack_of_a_whole_window_is_honoured_after_going_back() {
    let mut transfer = start(&[("windowsize", "4")], 512 * 40);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 0);
    assert_eq!(sent(&mut transfer, START), [1, 2, 3, 4]);
    let late = START + Duration::from_secs(1);
    transfer.handle_timeout(late);
    assert_eq!(sent(&mut transfer, late), [1, 2]);
    assert_eq!(ack(&mut transfer, late, 4), PacketEffect::Progress);
    assert_eq!(sent(&mut transfer, late)[0], 5);
}

#[test]
fn a_repeated_ack_in_a_windowed_transfer_shortens_the_wait_once() {
    let mut transfer = start(&[("windowsize", "4")], 512 * 40);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 0);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 0);
    assert_eq!(fire(&mut transfer), Some(GAP_MIN));
    assert_eq!(sent(&mut transfer, START + GAP_MIN), [1, 2]);
    ack(&mut transfer, START + GAP_MIN, 0);
    assert!(transfer.poll_timeout() <= Some(START + GAP_MIN + BURST_PAUSE));
    sent(&mut transfer, START + GAP_MIN + BURST_PAUSE);
    assert_eq!(fire(&mut transfer), Some(GAP_MIN + BURST_PAUSE + 2 * FAST_MIN));
}

#[test]
fn a_block_that_is_late_by_far_for_this_client_is_sent_again() {
    let mut transfer = start(&[("blksize", "512")], 5000);
    sent(&mut transfer, START);
    ack(&mut transfer, START + MS, 0);
    assert_eq!(sent(&mut transfer, START + MS), [1]);
    assert_eq!(fire(&mut transfer), Some(MS + FAST_MIN));
    assert_eq!(sent(&mut transfer, START + MS + FAST_MIN), [1]);
    // The answer does not tell which of the two blocks it is for, so the pace stays unknown for one block
    // more.
    let now = START + 2 * MS + FAST_MIN;
    ack(&mut transfer, now, 1);
    assert_eq!(sent(&mut transfer, now), [2]);
    assert_eq!(transfer.poll_timeout(), Some(now + 2 * FAST_MIN));
    ack(&mut transfer, now + MS, 2);
    sent(&mut transfer, now + MS);
    assert_eq!(transfer.poll_timeout(), Some(now + MS + FAST_MIN));
}

#[test]
fn a_quick_client_that_falls_silent_is_not_flooded_and_has_forty_seconds_to_come_back() {
    let mut transfer = start(&[("windowsize", "16")], 512 * 400);
    sent(&mut transfer, START);
    ack(&mut transfer, START + MS, 0);
    let (mut times, mut blocks) = (0, sent(&mut transfer, START + MS).len());
    while let Some(at) = fire(&mut transfer) {
        times += 1;
        blocks += sent(&mut transfer, START + at).len();
        if transfer.ended().is_some() {
            assert!(at > Duration::from_secs(39) && at < Duration::from_secs(41), "{at:?}");
        }
    }
    assert_eq!(transfer.ended(), Some(&TransferEnd::Silent));
    // Two windows, then a block each time; only the first burst of the second window has left when it is cut.
    assert!(times > 0 && blocks <= silent_blocks_max(16), "{blocks} blocks");
}

/// The most blocks that a silent client is sent.
fn silent_blocks_max(window: usize) -> usize {
    window * usize::from(SILENT_WINDOWS_MAX) + usize::from(FAST_TRIES_MAX + SLOW_TRIES_MAX)
}

#[test]
fn a_client_that_is_silent_after_its_window_gets_one_block_per_retry_until_it_is_heard_of() {
    let mut transfer = start(&[("windowsize", "4"), ("timeout", "1")], 512 * 40);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 0);
    let mut now = START;
    let mut retry = |transfer: &mut Transfer| {
        let first = sent(transfer, now);
        let rest = sent(transfer, now + BURST_PAUSE);
        now = transfer.poll_timeout().unwrap();
        transfer.handle_timeout(now);
        (now, [first, rest].concat())
    };
    let retries: Vec<_> = (0..3).map(|_| retry(&mut transfer).1).collect();
    assert_eq!(retries, [vec![1, 2, 3, 4], vec![1, 2, 3, 4], vec![1]]);
    let (at, _) = retry(&mut transfer);
    assert_eq!(sent(&mut transfer, at), [1]);
    // It repeats its last ACK: that causes no block, and the next retry is a window again.
    assert_eq!(ack(&mut transfer, at, 0), PacketEffect::Repeated);
    assert_eq!(sent(&mut transfer, at), NOTHING);
    let gap = transfer.poll_timeout().unwrap();
    transfer.handle_timeout(gap);
    let again = [sent(&mut transfer, gap), sent(&mut transfer, gap + BURST_PAUSE)];
    assert_eq!(again.concat(), [1, 2]);
    // It takes the one block: the window is open at once.
    assert_eq!(ack(&mut transfer, gap + BURST_PAUSE, 1), PacketEffect::Progress);
    assert_eq!(sent(&mut transfer, gap + BURST_PAUSE)[0], 2);
}

#[test]
fn vector_78_lost_data_is_repeated_after_1_2_4_seconds_and_given_up_after_six() {
    let mut transfer = start(&[], 5000);
    assert_eq!(sent(&mut transfer, START), [1]);
    let mut seen = Vec::new();
    while let Some(at) = fire(&mut transfer) {
        let blocks = sent(&mut transfer, START + at);
        seen.push((at.as_secs(), blocks.len()));
    }
    assert_eq!(seen, [(1, 1), (3, 1), (7, 1), (15, 1), (23, 1), (31, 1), (39, 0)]);
    assert_eq!(transfer.ended(), Some(&TransferEnd::Silent));
    assert_eq!(transfer.retransmissions(), u32::from(SLOW_TRIES_MAX));
}

#[test]
fn a_client_that_never_acknowledges_the_last_block_is_unconfirmed() {
    let mut transfer = start(&[], 600);
    sent(&mut transfer, START);
    ack(&mut transfer, START, 1);
    sent(&mut transfer, START);
    while let Some(at) = fire(&mut transfer) {
        sent(&mut transfer, START + at);
    }
    assert_eq!(transfer.ended(), Some(&TransferEnd::Unconfirmed));
}

#[test]
fn the_timeout_option_fixes_the_interval() {
    let mut transfer = start(&[("timeout", "5")], 5000);
    sent(&mut transfer, START);
    let mut seen = Vec::new();
    while let Some(at) = fire(&mut transfer) {
        seen.push(at.as_secs());
        sent(&mut transfer, START + at);
    }
    assert_eq!(seen, [5, 10, 15, 20, 25, 30, 35]);
}

#[test]
fn sixty_seconds_of_silence_end_a_transfer_with_a_long_timeout() {
    let mut transfer = start(&[("timeout", "255")], 5000);
    sent(&mut transfer, START);
    assert_eq!(fire(&mut transfer), Some(IDLE_MAX));
    assert_eq!(transfer.ended(), Some(&TransferEnd::Silent));
}

#[test]
fn a_clock_that_jumps_causes_one_retransmission_and_never_an_underflow() {
    let mut transfer = start(&[], 5000);
    assert_eq!(sent(&mut transfer, START), [1]);
    let late = START + Duration::from_secs(50);
    transfer.handle_timeout(late);
    transfer.handle_timeout(late);
    assert_eq!(sent(&mut transfer, late), [1]);
    // The clock was set back: nothing is due, and an ACK still counts.
    transfer.handle_timeout(Duration::ZERO);
    assert_eq!(sent(&mut transfer, Duration::ZERO), NOTHING);
    assert_eq!(ack(&mut transfer, Duration::ZERO, 1), PacketEffect::Progress);
    assert_eq!(sent(&mut transfer, Duration::ZERO), [2]);
    transfer.handle_timeout(Duration::MAX);
    assert_eq!(transfer.ended(), Some(&TransferEnd::Silent));
}

#[test]
fn packets_of_other_kinds_change_nothing() {
    let mut transfer = start(&[], 5000);
    sent(&mut transfer, START);
    assert_eq!(transfer.handle(START, &TftpPacket::Data { block: 1, payload: b"x" }), PacketEffect::Ignored);
    assert_eq!(transfer.handle(START, &TftpPacket::OptionsAck(Vec::new())), PacketEffect::Ignored);
    assert_eq!(sent(&mut transfer, START), NOTHING);
    assert_eq!(transfer.ended(), None);
}

#[test]
fn an_empty_file_is_one_empty_block() {
    let mut pair = TransferPair::new(Vec::new(), &[("tsize", "0")], LinkConditions::default());
    pair.run();
    assert_eq!((pair.data_sent, pair.server.ended()), (1, Some(&TransferEnd::Complete)));
}

#[test]
fn vector_80_forty_megabytes_at_blksize_512_wrap_to_block_zero_and_arrive_whole() {
    let body = file(40_000_000);
    let mut pair = TransferPair::new(body.clone(), &[("blksize", "512")], LinkConditions::default());
    pair.run();
    assert_eq!(pair.server.ended(), Some(&TransferEnd::Complete));
    assert_eq!(pair.data_sent, 40_000_000 / 512 + 1);
    assert!(pair.client.body == body);
}

#[test]
fn a_window_across_the_wrap_arrives_whole() {
    let body = file(66_000 * 8);
    let mut pair =
        TransferPair::new(body.clone(), &[("blksize", "8"), ("windowsize", "16")], LinkConditions::default());
    pair.run();
    assert!(pair.client.body == body);
    assert_eq!(pair.data_sent, 66_001);
}

#[test]
fn a_client_that_goes_on_with_block_one_gets_it_whole() {
    let body = file(140_000 * 8);
    for window in ["1", "16"] {
        let options = [("blksize", "8"), ("windowsize", window), ("rollover", "1")];
        let mut pair = TransferPair::new(body.clone(), &options, LinkConditions::default());
        pair.run();
        assert!(pair.client.body == body, "window {window}");
        assert_eq!(pair.data_sent, 140_001);
    }
}

/// Every window with losses, duplicates, reordering, slow clients and a clock that is set: 400 cases.
#[test]
fn every_window_survives_every_weather_and_is_never_a_flood() {
    for seed in 0..400u64 {
        let pick =
            |at: u32, of: &[u64]| of[(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> at) as usize % of.len()];
        let weather = LinkConditions {
            seed,
            lost: pick(8, &[0, 0, 1, 3, 8]),
            doubled: pick(12, &[0, 2, 10]),
            late: pick(16, &[0, 5, 30]),
            jumps: pick(20, &[0, 0, 1]),
            slow: MS * pick(24, &[0, 0, 3, 30]) as u32,
            ..LinkConditions::default()
        };
        let window = pick(28, &[1, 2, 4, 16]);
        let body = file(pick(32, &[0, 1, 1467, 1468, 60_000, 150_000]) as usize);
        let options = [("blksize", "1468"), ("windowsize", &window.to_string())];
        let mut pair = TransferPair::new(body.clone(), &options, weather);
        pair.run();
        let what = format!("window {window}, {} bytes, {weather:?}", body.len());
        let ended = pair.server.ended();
        assert!(matches!(ended, Some(TransferEnd::Complete | TransferEnd::Unconfirmed)), "{what}: {ended:?}");
        assert!(pair.client.body == body, "{what}");
        // The number of timeouts bounds what is sent in vain, whatever the link does.
        let tries = usize::from(FAST_TRIES_MAX + SLOW_TRIES_MAX);
        assert!(pair.unanswered_max <= silent_blocks_max(window as usize), "{what}: {}", pair.unanswered_max);
        let blocks = body.len() / 1468 + 1;
        let share = if window == 1 { 2 } else { 4 };
        assert!(pair.data_sent <= blocks * share + tries * window as usize, "{what}: {}", pair.data_sent);
    }
}

#[test]
fn a_link_that_passes_only_small_packets_ends_the_read_and_not_the_world() {
    let weather = LinkConditions { datagram_bytes_max: 1400, ..LinkConditions::default() };
    let mut pair = TransferPair::new(file(100_000), &[("blksize", "1468"), ("windowsize", "8")], weather);
    let began = pair.now;
    pair.run();
    assert_eq!(pair.server.ended(), Some(&TransferEnd::Silent));
    assert!(pair.data_sent < 8 * 40 && pair.now - began < Duration::from_secs(120), "{}", pair.data_sent);
    let weather = LinkConditions { datagram_bytes_max: 1436, ..LinkConditions::default() };
    let mut pair = TransferPair::new(file(100_000), &[("blksize", "1432"), ("windowsize", "8")], weather);
    pair.run();
    assert_eq!(pair.server.ended(), Some(&TransferEnd::Complete));
}

#[test]
fn a_loss_in_a_hundred_costs_a_lockstep_read_hundredths_of_a_second_each() {
    let weather = LinkConditions { seed: 5, lost: 1, ..LinkConditions::default() };
    let mut pair = TransferPair::new(file(1 << 20), &[("blksize", "1468")], weather);
    let began = pair.now;
    pair.run();
    let took = pair.now - began;
    // 715 round trips of 2 ms, and about 14 losses.
    assert!(pair.client.done && took < Duration::from_millis(1430 + 14 * 60), "took {took:?}");
}

#[test]
fn doubled_packets_do_not_double_the_traffic() {
    let body = file(200_000);
    let blocks = 200_000 / 512 + 1;
    // In lockstep nothing is sent twice. In a window a duplicated block makes the client acknowledge early,
    // which looks like a gap, so some blocks are sent again; without the guard their number would grow with
    // every window.
    for (window, sent_max) in [("1", blocks), ("8", blocks * 3 / 2)] {
        let weather = LinkConditions { seed: 7, doubled: 30, ..LinkConditions::default() };
        let mut pair = TransferPair::new(body.clone(), &[("windowsize", window)], weather);
        pair.run();
        assert!(pair.client.body == body);
        assert!(pair.data_sent <= sent_max, "window {window}: {} blocks", pair.data_sent);
    }
}

#[test]
fn a_lossy_windowed_read_does_not_wait_for_the_clients_timer_at_every_loss() {
    let weather = LinkConditions { seed: 3, lost: 1, ..LinkConditions::default() };
    let mut pair = TransferPair::new(file(2_000_000), &[("blksize", "1468"), ("windowsize", "16")], weather);
    let began = pair.now;
    pair.run();
    let took = pair.now - began;
    assert!(pair.client.done && took < Duration::from_secs(2), "took {took:?}");
}
