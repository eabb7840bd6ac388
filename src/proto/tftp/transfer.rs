//! One read as a state machine without I/O and without a clock (RFC 1350, windows as in RFC 7440).
//!
//! The caller passes the time (a `Duration` since a fixed moment) and the packets to `handle`, calls
//! `handle_timeout` at `poll_timeout`, and sends what `poll_transmit` returns until it returns none. The
//! machine never holds the file: a `BlockSpan` says which bytes belong into which blocks. A whole window is
//! one span, so that one system call can send it.
//!
//! Rules for option ROMs: an old or repeated ACK never causes DATA (the Sorcerer's Apprentice), an OACK is
//! repeated only by timeout and never within a second, and after an ERROR or the last ACK nothing is sent at
//! all. `patience` decides when a packet counts as lost. After a loss the window stays as granted, because
//! clients count blocks before they acknowledge. But it is sent in bursts of half the size with a pause
//! between them, and the bursts grow by a block with each window that arrives. A client that lets a repeated
//! window pass in silence too gets one block per retry, until it is heard of.

use crate::proto::tftp::options::TransferTerms;
use crate::proto::tftp::packet::{DATA_HEADER_BYTES, ErrorCode, OptionField, TftpPacket, data_header};
use crate::proto::tftp::patience::{Patience, SLOW_FIRST, TimeoutVerdict};
use crate::proto::tftp::rollover::BlockRollover;
use std::time::Duration;

/// Silence of the client after which the transfer is given up, whatever interval it requested.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// Pause between the bursts of one window after a loss.
pub const BURST_PAUSE: Duration = Duration::from_millis(2);
/// How often a window is sent in all to a client that is silent; after that each retry is one block.
pub const SILENT_WINDOWS_MAX: u8 = 2;

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEnd {
    /// The last block was acknowledged.
    Complete,
    /// Everything was sent, but the ACK of the last window never came. Some ROMs start the file without
    /// sending it.
    Unconfirmed,
    /// The client sent an ERROR. EDK2 does so on purpose (code 8) after it has read `tsize`.
    Aborted { code: ErrorCode, message: String },
    /// The client stopped answering.
    Silent,
}

/// The effect of a client's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketEffect {
    /// New blocks, or the options, were acknowledged.
    Progress,
    /// An ACK that was seen before, or of a block that was never sent. It causes no packet.
    Repeated,
    /// The packet does not fit this state.
    Ignored,
    /// The transfer has ended.
    Ended,
}

/// What to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransmitOrder {
    /// The OACK; `Transfer::frame_options` writes it.
    OptionsAck,
    Data(BlockSpan),
}

/// Consecutive blocks to send at once: `body_bytes` bytes of the file from `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSpan {
    /// Absolute number of the first block, from 1.
    pub first: u64,
    pub blocks: u16,
    /// The number after block 65535.
    pub rollover: BlockRollover,
    pub offset: u64,
    pub body_bytes: usize,
    pub block_bytes: u16,
}

impl BlockSpan {
    /// Length of every DATA packet except the last one of the file.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.block_bytes) + DATA_HEADER_BYTES
    }

    /// The header of the DATA packet of block `first + at`, which may be beyond the span.
    pub fn header(&self, at: u64) -> [u8; DATA_HEADER_BYTES] {
        data_header(self.rollover.on_wire(self.first.saturating_add(at)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TransferPhase {
    /// The OACK was sent, or is about to be; the client must answer with ACK 0.
    Options {
        unsent: bool,
    },
    Sending,
    Ended(TransferEnd),
}

/// One read, from the accepted request to the last ACK.
#[derive(Debug, Clone)]
pub struct Transfer {
    terms: TransferTerms,
    body_bytes: u64,
    /// Absolute number of the last block, which is shorter than the others and may be empty.
    last: u64,
    phase: TransferPhase,
    /// The highest acknowledged and the highest sent block; `acked <= sent <= last`.
    acked: u64,
    sent: u64,
    /// The highest block ever sent; it exceeds `sent` after going back. An ACK up to here is valid, however
    /// late.
    highest: u64,
    /// Blocks that are sent at once; fewer than the window after a loss.
    burst: u16,
    /// Blocks that may be under way: the window, or one when the client is silent.
    in_flight_max: u16,
    /// Timeouts since the client was heard of.
    silent_tries: u8,
    /// When the next burst of this window may be sent.
    resume: Duration,
    deadline: Duration,
    patience: Patience,
    /// The block whose round trip is being measured, and when it was sent. It was sent only once.
    timed: Option<(u64, Duration)>,
    retransmissions: u32,
    heard: Duration,
    gap_noted: bool,
}

impl Transfer {
    /// Starts a transfer of `body_bytes` bytes under `terms`.
    pub fn new(now: Duration, terms: TransferTerms, body_bytes: u64) -> Self {
        let phase = if terms.granted.is_empty() {
            TransferPhase::Sending
        } else {
            TransferPhase::Options { unsent: true }
        };
        Self {
            last: body_bytes / u64::from(terms.block_bytes.max(1)) + 1,
            body_bytes,
            phase,
            acked: 0,
            sent: 0,
            highest: 0,
            burst: terms.window_blocks.max(1),
            in_flight_max: terms.window_blocks.max(1),
            silent_tries: 0,
            resume: now,
            deadline: now.saturating_add(SLOW_FIRST),
            patience: Patience::new(terms.retry),
            timed: None,
            retransmissions: 0,
            heard: now,
            gap_noted: false,
            terms,
        }
    }

    /// Adds jitter, so that its intervals differ from those of transfers with another seed.
    pub fn with_jitter(self, seed: u64) -> Self {
        Self { patience: self.patience.with_jitter(seed), ..self }
    }

    /// Handles a packet of this client. It sends nothing itself: call `poll_transmit` afterwards.
    pub fn handle(&mut self, now: Duration, packet: &TftpPacket<'_>) -> PacketEffect {
        if matches!(self.phase, TransferPhase::Ended(_)) {
            return PacketEffect::Ended;
        }
        match packet {
            TftpPacket::Ack { block } => self.handle_ack(now, *block),
            TftpPacket::Error { code, message } => {
                self.phase =
                    TransferPhase::Ended(TransferEnd::Aborted { code: *code, message: message.to_string() });
                PacketEffect::Ended
            }
            _ => PacketEffect::Ignored,
        }
    }

    /// Call it at or after `poll_timeout`; a late call counts as one timeout, not as several.
    pub fn handle_timeout(&mut self, now: Duration) {
        if matches!(self.phase, TransferPhase::Ended(_)) {
            return;
        }
        let idle = now.saturating_sub(self.heard) >= IDLE_MAX;
        if !idle && now < self.deadline {
            return;
        }
        if idle || self.patience.passed() == TimeoutVerdict::GiveUp {
            let all_sent = self.phase == TransferPhase::Sending && self.sent == self.last;
            self.phase =
                TransferPhase::Ended(if all_sent { TransferEnd::Unconfirmed } else { TransferEnd::Silent });
            return;
        }
        self.retransmissions = self.retransmissions.saturating_add(1);
        self.silent_tries = self.silent_tries.saturating_add(1);
        let is_silent = self.silent_tries >= SILENT_WINDOWS_MAX;
        self.in_flight_max = if is_silent { 1 } else { self.terms.window_blocks.max(1) };
        self.go_back(now);
    }

    /// What to send next, if anything; call it until it returns none.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<TransmitOrder> {
        match self.phase {
            TransferPhase::Options { unsent: true } => {
                self.phase = TransferPhase::Options { unsent: false };
                self.deadline = now.saturating_add(self.patience.interval());
                self.timed = (self.retransmissions == 0).then_some((0, now));
                Some(TransmitOrder::OptionsAck)
            }
            TransferPhase::Sending if self.room() > 0 && now >= self.resume => {
                Some(TransmitOrder::Data(self.advance(now)))
            }
            _ => None,
        }
    }

    /// The latest time for the next call of `handle_timeout` and `poll_transmit`; none once ended.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let waits = match self.phase {
            TransferPhase::Ended(_) => return None,
            TransferPhase::Sending if self.room() > 0 => self.deadline.min(self.resume),
            _ => self.deadline,
        };
        Some(waits.min(self.heard.saturating_add(IDLE_MAX)))
    }

    /// How the transfer ended; none while it runs.
    pub fn ended(&self) -> Option<&TransferEnd> {
        match &self.phase {
            TransferPhase::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Number of bytes that the client has acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.acked.saturating_mul(self.terms.block_bytes.into()).min(self.body_bytes)
    }

    /// Retransmissions by timeout so far.
    pub fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    /// Writes the OACK to `out`, replacing its content.
    pub fn frame_options(&self, out: &mut Vec<u8>) {
        let values = self.terms.granted_values();
        let names = self.terms.granted.iter().map(|granted| granted.name.as_str());
        let fields = names.zip(&values).map(|(name, value)| OptionField { name, value }).collect();
        out.clear();
        TftpPacket::OptionsAck(fields).encode(out);
    }

    fn handle_ack(&mut self, now: Duration, block: u16) -> PacketEffect {
        if let TransferPhase::Options { .. } = self.phase {
            if block != 0 {
                return PacketEffect::Ignored;
            }
            self.phase = TransferPhase::Sending;
            self.progress(now);
            return PacketEffect::Progress;
        }
        let ahead = self.terms.rollover.ahead(block, self.acked);
        if ahead == 0 {
            self.heard = now;
            self.silent_tries = 0;
            self.note_gap(now);
            return PacketEffect::Repeated;
        }
        if ahead > self.highest.saturating_sub(self.acked) {
            return PacketEffect::Repeated;
        }
        self.acked += ahead;
        self.sent = self.sent.max(self.acked);
        self.progress(now);
        if self.acked == self.last {
            self.phase = TransferPhase::Ended(TransferEnd::Complete);
            return PacketEffect::Ended;
        }
        if self.sent > self.acked {
            // An ACK inside of the window: the blocks after it were lost (RFC 7440 section 4).
            self.go_back(now);
        } else {
            self.burst = self.burst.saturating_add(1).min(self.terms.window_blocks);
        }
        PacketEffect::Progress
    }

    fn progress(&mut self, now: Duration) {
        if let Some((block, left)) = self.timed
            && block <= self.acked
        {
            self.patience.measured(now.saturating_sub(left));
            self.timed = None;
        }
        self.heard = now;
        self.silent_tries = 0;
        self.in_flight_max = self.terms.window_blocks.max(1);
        self.patience.progress();
        self.resume = now;
        self.gap_noted = false;
    }

    /// Continues after the last acknowledged block, in smaller bursts.
    fn go_back(&mut self, now: Duration) {
        self.deadline = now.saturating_add(self.patience.interval());
        self.resume = now;
        self.timed = None;
        if let TransferPhase::Options { .. } = self.phase {
            self.phase = TransferPhase::Options { unsent: true };
            return;
        }
        self.sent = self.acked;
        self.burst = (self.burst / 2).max(1);
    }

    /// Moves the timeout forward, once per block: answering a duplicated ACK would double every window after
    /// it.
    fn note_gap(&mut self, now: Duration) {
        if self.terms.window_blocks > 1 && !self.gap_noted {
            self.gap_noted = true;
            self.deadline = self.deadline.min(now.saturating_add(self.patience.gap()));
        }
    }

    /// Number of blocks that may be sent now.
    fn room(&self) -> u64 {
        let end = self.acked.saturating_add(self.in_flight_max.into()).min(self.last);
        end.saturating_sub(self.sent)
    }

    /// The next burst; it is recorded as sent.
    fn advance(&mut self, now: Duration) -> BlockSpan {
        let count = self.room().min(self.burst.into());
        let block_bytes = u64::from(self.terms.block_bytes);
        let offset = self.sent.saturating_mul(block_bytes);
        let end = offset.saturating_add(count.saturating_mul(block_bytes)).min(self.body_bytes);
        let span = BlockSpan {
            first: self.sent + 1,
            // At most a window, which fits.
            blocks: count as u16,
            rollover: self.terms.rollover,
            offset,
            body_bytes: usize::try_from(end.saturating_sub(offset)).unwrap_or(0),
            block_bytes: self.terms.block_bytes,
        };
        let is_new = self.sent >= self.highest;
        self.sent += count;
        self.highest = self.highest.max(self.sent);
        self.timed = is_new.then_some((self.sent, now)).or(self.timed);
        self.deadline = now.saturating_add(self.patience.interval());
        self.resume = now.saturating_add(BURST_PAUSE);
        span
    }
}
