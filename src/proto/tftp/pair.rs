//! A transfer and a client on a fake link that loses, doubles, delays and reorders; time is a number.

use crate::proto::tftp::*;
use std::collections::BTreeMap;
use std::time::Duration;

pub const MS: Duration = Duration::from_millis(1);

/// Packets after which a test is taken to be in a loop.
const STEPS_MAX: usize = 400_000;

/// What the link does to packets, in percent, with a fixed seed.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub seed: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Delayed by up to 40 ms more than the 1 ms of the others, and so reordered.
    pub late: u64,
}

/// A client after RFC 7440: it counts the blocks of a window, and answers what it did not expect with
/// the last block it has.
pub struct Client {
    window: u16,
    block_bytes: usize,
    got: u64,
    counted: u16,
    pub body: Vec<u8>,
    pub done: bool,
}

pub struct Pair {
    pub now: Duration,
    pub server: Transfer,
    pub client: Client,
    weather: Weather,
    file: Vec<u8>,
    /// (arrival, serial) -> (towards the client, bytes)
    link: BTreeMap<(Duration, u64), (bool, Vec<u8>)>,
    serial: u64,
    pub data_sent: usize,
    /// The client's own timer, after which it repeats its last ACK.
    client_deadline: Duration,
}

impl Pair {
    pub fn new(file: Vec<u8>, options: &[(&str, &str)], weather: Weather) -> Self {
        let terms = terms(options, file.len());
        let client = Client {
            window: terms.window_blocks,
            block_bytes: terms.block_bytes.into(),
            got: 0,
            counted: 0,
            body: Vec::new(),
            done: false,
        };
        let now = Duration::from_secs(1000);
        let server = Transfer::new(now, terms, file.len() as u64);
        let link = BTreeMap::new();
        let client_deadline = now + 4000 * MS;
        Self { now, server, client, weather, file, link, serial: 0, data_sent: 0, client_deadline }
    }

    /// Runs until the server has ended and the link is empty.
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
        let timers = [self.server.poll_timeout(), client_timer];
        let Some(next) = timers.into_iter().flatten().chain(arrival).min() else { return false };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            let ((_, _), (to_client, bytes)) = self.link.pop_first().unwrap();
            self.deliver(to_client, &bytes);
        } else if client_timer == Some(next) {
            self.client_deadline = self.now + 4000 * MS;
            let again = ack(self.client.got);
            self.put(false, again);
        } else {
            self.server.handle_timeout(self.now);
        }
        true
    }

    fn deliver(&mut self, to_client: bool, bytes: &[u8]) {
        let packet = packet::parse(bytes).unwrap();
        if !to_client {
            self.server.handle(self.now, &packet);
            return;
        }
        self.client_deadline = self.now + 4000 * MS;
        if let Some(reply) = self.client.take(&packet) {
            self.put(false, reply);
        }
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        while let Some(transmit) = self.server.poll_transmit(self.now) {
            match transmit {
                Transmit::OptionsAck => {
                    self.server.frame_options(&mut out);
                    self.put(true, out.clone());
                }
                Transmit::Data(span) => {
                    let start = span.offset as usize;
                    span.frame(&self.file[start..start + span.body_bytes], &mut out);
                    assert_eq!(out.chunks(span.frame_bytes()).count(), usize::from(span.blocks));
                    self.data_sent += usize::from(span.blocks);
                    let frames: Vec<_> = out.chunks(span.frame_bytes()).map(<[u8]>::to_vec).collect();
                    frames.into_iter().for_each(|frame| self.put(true, frame));
                }
            }
        }
    }

    fn put(&mut self, to_client: bool, bytes: Vec<u8>) {
        if self.chance(self.weather.lost) {
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

    /// Numerical Recipes' linear congruence: good enough to shuffle packets, and the same on every machine.
    fn dice(&mut self) -> u64 {
        self.weather.seed =
            self.weather.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.weather.seed >> 33
    }
}

impl Client {
    fn take(&mut self, packet: &Packet<'_>) -> Option<Vec<u8>> {
        match packet {
            Packet::OptionsAck(_) => (self.got == 0).then(|| ack(0)),
            Packet::Data { block, payload } => self.take_data(*block, payload),
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn take_data(&mut self, block: u16, payload: &[u8]) -> Option<Vec<u8>> {
        if self.done || block != (self.got + 1) as u16 {
            self.counted = 0;
            return Some(ack(self.got));
        }
        self.got += 1;
        self.counted += 1;
        self.body.extend_from_slice(payload);
        self.done = payload.len() < self.block_bytes;
        if !self.done && self.counted < self.window {
            return None;
        }
        self.counted = 0;
        Some(ack(self.got))
    }
}

pub fn terms(options: &[(&str, &str)], body_bytes: usize) -> Terms {
    let fields: Vec<_> = options.iter().map(|(name, value)| OptionField { name, value }).collect();
    let body_bytes = body_bytes as u64;
    negotiate(&fields, &Offer { limits: Limits::default(), mode: Mode::Octet, body_bytes })
}

/// Bytes that differ from block to block, so that a block out of place shows.
pub fn file(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at ^ (at >> 9) ^ (at >> 17)) as u8).collect()
}

fn ack(block: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Packet::Ack { block: block as u16 }.encode(&mut out);
    out
}
