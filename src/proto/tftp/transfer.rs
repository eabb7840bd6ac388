//! One read as a state machine without I/O and without a clock (RFC 1350, windows after RFC 7440).
//!
//! The caller passes the time in (a `Duration` since any moment that stays the same), gives packets to
//! `handle`, wakes the machine with `handle_timeout` at `poll_timeout`, and sends what `poll_transmit`
//! returns until it returns none. The machine never holds the file: a `BlockSpan` says which bytes go into
//! which blocks, and a whole window is one span, so it can leave in one system call.
//!
//! Rules that keep option ROMs well: an old or repeated ACK never causes DATA (the Sorcerer's
//! Apprentice), an OACK is repeated by timeout only and never within a second, and after an ERROR or the last
//! ACK nothing is sent at all. When something counts as lost is for `patience`. After a loss the window on
//! the wire stays as granted, since clients count blocks before they acknowledge, but it leaves in bursts of
//! half the size with a pause between them, and grows by a block with each window that arrives.

use crate::proto::tftp::options::TransferTerms;
use crate::proto::tftp::packet::{DATA_HEADER_BYTES, ErrorCode, OptionField, TftpPacket, data_header};
use crate::proto::tftp::patience::{Patience, SLOW_FIRST, TimeoutVerdict};
use crate::proto::tftp::rollover::BlockRollover;
use std::time::Duration;

/// Silence from the client after which the transfer is given up, whatever interval it asked for.
pub const IDLE_MAX: Duration = Duration::from_secs(60);
/// Pause between the bursts of one window after a loss.
pub const BURST_PAUSE: Duration = Duration::from_millis(2);

/// How a transfer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEnd {
    /// The last block was acknowledged.
    Complete,
    /// Everything was sent, and the ACK of the last window never came. Some ROMs start the file without it.
    Unconfirmed,
    /// The client sent an ERROR. EDK2 does so on purpose (code 8) after it has read `tsize`.
    Aborted { code: ErrorCode, message: String },
    /// The client fell silent.
    Silent,
}

/// What a packet from the client meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketEffect {
    /// New blocks were acknowledged, or the options were.
    Progress,
    /// An ACK that was seen before, or of a block that was never sent. Nothing is sent for it.
    Repeated,
    /// Not a packet for this state.
    Ignored,
    /// The transfer is over.
    Ended,
}

/// What to send now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransmitOrder {
    /// The OACK; `Transfer::frame_options` writes it.
    OptionsAck,
    Data(BlockSpan),
}

/// Neighbouring blocks to send at once: `body_bytes` bytes of the file from `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSpan {
    /// Absolute number of the first block, from 1.
    pub first: u64,
    pub blocks: u16,
    /// What the wire carries after block 65535.
    pub rollover: BlockRollover,
    pub offset: u64,
    pub body_bytes: usize,
    pub block_bytes: u16,
}

impl BlockSpan {
    /// Length of every framed DATA packet but the last of the file.
    pub fn frame_bytes(&self) -> usize {
        usize::from(self.block_bytes) + DATA_HEADER_BYTES
    }

    /// The first bytes of the DATA packet of block `first + at`, which may be after the span.
    pub fn header(&self, at: u64) -> [u8; DATA_HEADER_BYTES] {
        data_header(self.rollover.on_wire(self.first.saturating_add(at)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TransferPhase {
    /// The OACK is out, or about to be; ACK 0 is awaited.
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
    /// Highest block acknowledged and highest block sent; `acked <= sent <= last`.
    acked: u64,
    sent: u64,
    /// Highest block ever sent; above `sent` after going back. An ACK up to here is honest, however late.
    highest: u64,
    /// Blocks that leave at once; below the window after a loss.
    burst: u16,
    /// When the next burst of this window may leave.
    resume: Duration,
    deadline: Duration,
    patience: Patience,
    /// The block whose round trip is measured, and when it left: one that was sent once.
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

    /// Makes its intervals differ from those of transfers with another seed.
    pub fn with_jitter(self, seed: u64) -> Self {
        Self { patience: self.patience.with_jitter(seed), ..self }
    }

    /// Takes a packet of this client. Sends nothing by itself: ask `poll_transmit` afterwards.
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

    /// To be called at or after `poll_timeout`; a late call counts as one timeout, not as several.
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
        self.go_back(now);
    }

    /// The next thing to send, if any; call until it returns none.
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

    /// When `handle_timeout` and `poll_transmit` want to be called at the latest; none once ended.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let waits = match self.phase {
            TransferPhase::Ended(_) => return None,
            TransferPhase::Sending if self.room() > 0 => self.deadline.min(self.resume),
            _ => self.deadline,
        };
        Some(waits.min(self.heard.saturating_add(IDLE_MAX)))
    }

    /// How the transfer ended, or none while it runs.
    pub fn ended(&self) -> Option<&TransferEnd> {
        match &self.phase {
            TransferPhase::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Bytes the client has acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.acked.saturating_mul(self.terms.block_bytes.into()).min(self.body_bytes)
    }

    /// Retransmissions by timeout so far.
    pub fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    /// Replaces `out` by the OACK.
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
            // An ACK inside the window: what followed it was lost (RFC 7440 section 4).
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
        self.patience.progress();
        self.resume = now;
        self.gap_noted = false;
    }

    /// Starts again after the last acknowledged block, in smaller bursts.
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

    /// Brings the timeout forward, once for a block: an answer to a doubled ACK would double every
    /// window after it.
    fn note_gap(&mut self, now: Duration) {
        if self.terms.window_blocks > 1 && !self.gap_noted {
            self.gap_noted = true;
            self.deadline = self.deadline.min(now.saturating_add(self.patience.gap()));
        }
    }

    /// Blocks that the window still has room for.
    fn room(&self) -> u64 {
        let end = self.acked.saturating_add(self.terms.window_blocks.max(1).into()).min(self.last);
        end.saturating_sub(self.sent)
    }

    /// The next burst, noted as sent.
    fn advance(&mut self, now: Duration) -> BlockSpan {
        let count = self.room().min(self.burst.into());
        let block_bytes = u64::from(self.terms.block_bytes);
        let offset = self.sent.saturating_mul(block_bytes);
        let end = offset.saturating_add(count.saturating_mul(block_bytes)).min(self.body_bytes);
        let span = BlockSpan {
            first: self.sent + 1,
            // At most a window.
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
