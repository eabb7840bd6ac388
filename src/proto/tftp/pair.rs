//! A transfer and a client on a fake link that loses, duplicates, delays and reorders packets; time is a
//! number.

use crate::proto::tftp::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub const MS: Duration = Duration::from_millis(1);

/// Packets after which a test counts as an endless loop.
const STEPS_MAX: usize = 400_000;

/// What the link does to packets, in percent, with a fixed seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkConditions {
    pub seed: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Delayed by up to 40 ms more than the usual 1 ms, and so reordered.
    pub late: u64,
    /// Datagrams with a larger payload are dropped; 0 means no limit.
    pub datagram_bytes_max: usize,
    /// The server's clock jumps ahead by up to three seconds, or is set back.
    pub jumps: u64,
    /// How long the client takes for each block.
    pub slow: Duration,
}

/// A client that follows RFC 7440: it counts the blocks of a window, and answers unexpected blocks with the
/// number of the last block that it has.
pub struct PairClient {
    window: u16,
    block_bytes: usize,
    rollover: BlockRollover,
    got: u64,
    counted: u16,
    pub body: Vec<u8>,
    pub done: bool,
}

pub struct TransferPair {
    pub now: Duration,
    pub server: Transfer,
    pub client: PairClient,
    weather: LinkConditions,
    file: Vec<u8>,
    /// (arrival, serial) -> (whether it goes to the client, bytes)
    link: BTreeMap<(Duration, u64), (bool, Vec<u8>)>,
    serial: u64,
    pub data_sent: usize,
    /// Length of the longest run of DATA blocks between two packets of the client.
    pub unanswered_max: usize,
    unanswered: usize,
    /// Difference of the server's clock to the link's, in milliseconds.
    skew: i64,
    /// The client's own timer, after which it repeats its last ACK.
    client_deadline: Duration,
}

impl TransferPair {
    pub fn new(file: Vec<u8>, options: &[(&str, &str)], weather: LinkConditions) -> Self {
        let terms = terms(options, file.len());
        let client = PairClient {
            window: terms.window_blocks,
            block_bytes: terms.block_bytes.into(),
            rollover: terms.rollover,
            got: 0,
            counted: 0,
            body: Vec::new(),
            done: false,
        };
        let now = Duration::from_secs(1000);
        let server = Transfer::new(now, terms, file.len() as u64);
        let link = BTreeMap::new();
        let client_deadline = now + 4000 * MS;
        let (serial, data_sent, unanswered_max, unanswered, skew) = (0, 0, 0, 0, 0);
        Self {
            now,
            server,
            client,
            weather,
            file,
            link,
            serial,
            data_sent,
            unanswered_max,
            unanswered,
            skew,
            client_deadline,
        }
    }

    /// The time that the server's clock shows.
    fn clock(&mut self) -> Duration {
        if self.chance(self.weather.jumps) {
            self.skew = (self.dice() % 6000) as i64 - 3000;
        }
        moved(self.now, self.skew)
    }

    /// Runs until the server has ended the transfer and the link is empty.
    pub fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            self.flush();
            if !self.step() {
                return;
            }
        }
        panic!("the transfer does not end");
    }

    fn step(&mut self) -> bool {
        let arrival = self.link.keys().next().map(|key| key.0);
        let running = self.server.ended().is_none();
        let client_timer = (running && !self.client.done).then_some(self.client_deadline);
        let timers = [self.server.poll_timeout().map(|at| moved(at, -self.skew)), client_timer];
        let Some(next) = timers.into_iter().flatten().chain(arrival).min() else { return false };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let ((_, _), (to_client, bytes)) = self.link.pop_first().unwrap();
            self.deliver(to_client, &bytes);
        } else if client_timer == Some(next) {
            self.client_deadline = self.now + 4000 * MS;
            let again = self.client.ack();
            self.put(false, again);
        } else {
            let now = self.clock();
            self.server.handle_timeout(now);
        }
        true
    }

    fn deliver(&mut self, to_client: bool, bytes: &[u8]) {
        let packet = packet::parse(bytes).unwrap();
        if !to_client {
            self.unanswered = 0;
            let now = self.clock();
            self.server.handle(now, &packet);
            return;
        }
        self.client_deadline = self.now + 4000 * MS;
        if let Some(reply) = self.client.take(&packet) {
            self.now += self.weather.slow;
            self.put(false, reply);
        }
    }

    fn flush(&mut self) {
        loop {
            let now = self.clock();
            let Some(transmit) = self.server.poll_transmit(now) else { return };
            match transmit {
                TransmitOrder::OptionsAck => {
                    let mut out = Vec::new();
                    self.server.frame_options(&mut out);
                    self.put(true, out);
                }
                TransmitOrder::Data(span) => {
                    let start = span.offset as usize;
                    let body = &self.file[start..start + span.body_bytes];
                    let mut blocks = body.chunks(span.block_bytes.into());
                    let frame = |at| [&span.header(at), blocks.next().unwrap_or_default()].concat();
                    let frames: Vec<_> = (0..span.blocks.into()).map(frame).collect();
                    self.data_sent += frames.len();
                    self.unanswered += frames.len();
                    self.unanswered_max = self.unanswered_max.max(self.unanswered);
                    frames.into_iter().for_each(|frame| self.put(true, frame));
                }
            }
        }
    }

    fn put(&mut self, to_client: bool, bytes: Vec<u8>) {
        let fits = self.weather.datagram_bytes_max == 0 || bytes.len() <= self.weather.datagram_bytes_max;
        if self.chance(self.weather.lost) || !fits {
            return;
        }
        let copies = if self.chance(self.weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            let extra = if self.chance(self.weather.late) { self.dice() % 40 } else { 0 };
            self.serial += 1;
            let arrival = self.now + MS * (1 + extra as u32);
            self.link.insert((arrival, self.serial), (to_client, bytes.clone()));
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.dice() % 100 < percent
    }

    /// The linear congruential generator of Numerical Recipes: good enough to shuffle packets, and the same
    /// on every machine.
    fn dice(&mut self) -> u64 {
        self.weather.seed =
            self.weather.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.weather.seed >> 33
    }
}

impl PairClient {
    fn take(&mut self, packet: &TftpPacket<'_>) -> Option<Vec<u8>> {
        match packet {
            TftpPacket::OptionsAck(_) => (self.got == 0).then(|| self.ack()),
            TftpPacket::Data { block, payload } => self.take_data(*block, payload),
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn take_data(&mut self, block: u16, payload: &[u8]) -> Option<Vec<u8>> {
        if self.done || block != self.rollover.on_wire(self.got + 1) {
            self.counted = 0;
            return Some(self.ack());
        }
        self.got += 1;
        self.counted += 1;
        self.body.extend_from_slice(payload);
        self.done = payload.len() < self.block_bytes;
        if !self.done && self.counted < self.window {
            return None;
        }
        self.counted = 0;
        Some(self.ack())
    }

    fn ack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        TftpPacket::Ack { block: self.rollover.on_wire(self.got) }.encode(&mut out);
        out
    }
}

fn moved(at: Duration, milliseconds: i64) -> Duration {
    let by = MS * milliseconds.unsigned_abs() as u32;
    if milliseconds < 0 { at.saturating_sub(by) } else { at + by }
}

pub fn terms(options: &[(&str, &str)], body_bytes: usize) -> TransferTerms {
    let fields: Vec<_> = options.iter().map(|(name, value)| OptionField { name, value }).collect();
    let body_bytes = body_bytes as u64;
    negotiate(
        &fields,
        &ServerOffer { limits: TransferLimits::default(), mode: TransferMode::Octet, body_bytes },
    )
}

/// Bytes that differ from block to block, so that a misplaced block is detected.
pub fn file(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at ^ (at >> 9) ^ (at >> 17)) as u8).collect()
}
