//! A TFTP client that reads the same file repeatedly, several at the same time, and compares every block with
//! the file (RFC 1350, 2347, 2348, 7440). It simulates delay and loss itself, so they are the same for every
//! server.

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::net;

/// The options that firmware on Ethernet requests.
pub const BLOCK_BYTES: usize = 1468;
/// How long the client waits before it repeats its last packet, and how often in a row.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES_MAX: u32 = 10;
const DATA: u8 = 3;
const ERROR: u8 = 5;
const OPTIONS_ACK: u8 = 6;

#[derive(Debug, Clone)]
pub struct Load {
    pub path: String,
    pub window: u16,
    pub sessions: u32,
    /// For how long; 0 for one file only.
    pub seconds: u64,
    /// The client's delay before it sends.
    pub delay_us: u64,
    /// Packets in a thousand that are lost, in each direction.
    pub lost: u32,
}

#[derive(Debug, Default)]
pub struct Figures {
    pub bytes: u64,
    pub done: u64,
    pub failed: u64,
    pub elapsed_us: u64,
    pub p50_us: u32,
    pub p99_us: u32,
}

impl Load {
    /// As words, in the order of the fields.
    pub fn to_words(&self) -> [String; 6] {
        let numbers =
            [self.window.into(), self.sessions.into(), self.seconds, self.delay_us, self.lost.into()];
        let [window, sessions, seconds, delay, lost] = numbers.map(|number: u64| number.to_string());
        [self.path.clone(), window, sessions, seconds, delay, lost]
    }

    fn from_words(words: &[String]) -> Option<Load> {
        let [path, window, sessions, seconds, delay_us, lost] = words else { return None };
        Some(Load {
            path: path.clone(),
            window: window.parse().ok()?,
            sessions: sessions.parse().ok()?,
            seconds: seconds.parse().ok()?,
            delay_us: delay_us.parse().ok()?,
            lost: lost.parse().ok()?,
        })
    }
}

impl Figures {
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.elapsed_us.max(1) as f64
    }

    fn to_words(&self) -> String {
        let Figures { bytes, done, failed, elapsed_us, p50_us, p99_us } = self;
        format!("{bytes} {done} {failed} {elapsed_us} {p50_us} {p99_us}")
    }

    pub fn from_words(text: &str) -> io::Result<Figures> {
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(io::Error::other)?;
        let [bytes, done, failed, elapsed_us, p50, p99] = numbers[..] else {
            return Err(io::Error::other(format!("the client said: {text}")));
        };
        let [p50_us, p99_us] = [p50, p99].map(|us| u32::try_from(us).unwrap_or(u32::MAX));
        Ok(Figures { bytes, done, failed, elapsed_us, p50_us, p99_us })
    }
}

/// Runs the words' request and prints the figures as words; the last word is the file to compare with.
pub fn run(words: &[String]) -> io::Result<String> {
    let bad = || io::Error::other("tftp-client PATH WINDOW SESSIONS SECONDS DELAY_US LOST FILE");
    let (file, rest) = words.split_last().ok_or_else(bad)?;
    let load = Load::from_words(rest).ok_or_else(bad)?;
    let expected = fs::read(file)?;
    let begun = Instant::now();
    let until = begun + Duration::from_secs(if load.seconds == 0 { 10 } else { load.seconds });
    let total = Mutex::new((Figures::default(), Vec::new()));
    thread::scope(|scope| {
        for session in 0..load.sessions {
            let (load, expected, total) = (&load, &expected, &total);
            scope.spawn(move || {
                let mut reader = Reader::new((load, expected), until, session);
                let times = reader.run();
                let mut total = total.lock().expect("no reader panics");
                total.0.bytes += reader.bytes;
                total.0.done += times.len() as u64;
                total.0.failed += reader.failed;
                total.1.extend(times);
            });
        }
    });
    let (figures, mut times) = total.into_inner().expect("no reader panics");
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or(0);
    let elapsed_us = begun.elapsed().as_micros() as u64;
    Ok(Figures { elapsed_us, p50_us: at(50), p99_us: at(99), ..figures }.to_words())
}

/// How one read ended.
enum End {
    Done,
    /// The time of the measurement was over.
    Over,
    Failed,
}

/// One of the simultaneous readers.
struct Reader<'a> {
    load: &'a Load,
    expected: &'a [u8],
    until: Instant,
    dice: u64,
    bytes: u64,
    failed: u64,
}

/// One read: the source of the blocks, the granted options, and the progress.
struct Read {
    socket: UdpSocket,
    server: SocketAddr,
    answered: bool,
    block_bytes: usize,
    window: u16,
    got: u64,
    counted: u16,
    said: Vec<u8>,
    /// The block whose absence was reported.
    missed: Option<u64>,
}

impl<'a> Reader<'a> {
    fn new((load, expected): (&'a Load, &'a [u8]), until: Instant, session: u32) -> Self {
        let dice = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::from(session) + 1) | 1;
        Reader { load, expected, until, dice, bytes: 0, failed: 0 }
    }

    /// Reads until the time is over; how long each file took, in microseconds.
    fn run(&mut self) -> Vec<u32> {
        let mut times = Vec::new();
        while Instant::now() < self.until {
            let begun = Instant::now();
            match self.read() {
                Ok(End::Done) => times.push(begun.elapsed().as_micros() as u32),
                Ok(End::Over) => {}
                Ok(End::Failed) | Err(_) => self.failed += 1,
            }
            if self.load.seconds == 0 {
                break;
            }
        }
        times
    }

    fn read(&mut self) -> io::Result<End> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let server = SocketAddr::new(net::SERVER.parse().map_err(io::Error::other)?, 69);
        let said = request(self.load);
        let mut read = Read {
            socket,
            server,
            answered: false,
            block_bytes: 512,
            window: 1,
            got: 0,
            counted: 0,
            said,
            missed: None,
        };
        self.say(&read);
        let (mut tries, mut buffer) = (0, [0; 2048]);
        loop {
            if Instant::now() >= self.until {
                let _told_in_vain = read.socket.send_to(b"\0\x05\0\0over\0", read.server);
                return Ok(End::Over);
            }
            let Ok((length, from)) = read.socket.recv_from(&mut buffer) else {
                tries += 1;
                if tries > TRIES_MAX {
                    return Ok(End::Failed);
                }
                read.counted = 0;
                self.say(&read);
                continue;
            };
            let packet = &buffer[..length];
            if self.is_lost() || length < 4 || (read.answered && from != read.server) {
                continue;
            }
            (read.server, read.answered) = (from, true);
            match self.take(&mut read, packet) {
                Some(end) => return Ok(end),
                None => tries = 0,
            }
        }
    }

    fn take(&mut self, read: &mut Read, packet: &[u8]) -> Option<End> {
        match packet[1] {
            OPTIONS_ACK if read.got == 0 => {
                read.heed(packet);
                read.said = vec![0, 4, 0, 0];
                self.say(read);
            }
            DATA => return self.take_data(read, packet),
            ERROR => return Some(End::Failed),
            _ => {}
        }
        None
    }

    fn take_data(&mut self, read: &mut Read, packet: &[u8]) -> Option<End> {
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let ahead = number.wrapping_sub((read.got + 1) as u16);
        if ahead != 0 {
            let is_last_again = read.got > 0 && ahead == u16::MAX && read.counted == 0;
            let is_gap = read.window > 1 && ahead < read.window && read.missed != Some(read.got);
            if is_gap {
                read.missed = Some(read.got);
                read.counted = 0;
                read.said = ack(read.got);
            }
            if is_gap || is_last_again {
                self.say(read);
            }
            return None;
        }
        let payload = &packet[4..];
        let start = read.got as usize * read.block_bytes;
        let end = (start + read.block_bytes).min(self.expected.len());
        if self.expected.get(start..end) != Some(payload) {
            return Some(End::Failed);
        }
        self.bytes += payload.len() as u64;
        read.got += 1;
        read.counted += 1;
        let is_last = payload.len() < read.block_bytes;
        if is_last || read.counted == read.window {
            read.counted = 0;
            read.said = ack(read.got);
            self.say(read);
        }
        is_last.then_some(End::Done)
    }

    fn say(&mut self, read: &Read) {
        if self.load.delay_us > 0 {
            thread::sleep(Duration::from_micros(self.load.delay_us));
        }
        if !self.is_lost() {
            let _lost_when_refused = read.socket.send_to(&read.said, read.server);
        }
    }

    fn is_lost(&mut self) -> bool {
        if self.load.lost == 0 {
            return false;
        }
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 20) % 1000 < u64::from(self.load.lost)
    }
}

impl Read {
    /// Notes what was granted.
    fn heed(&mut self, packet: &[u8]) {
        let mut words =
            packet[2..].split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok());
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "blksize" => self.block_bytes = value.parse().unwrap_or(512),
                "windowsize" => self.window = value.parse().unwrap_or(1),
                _ => {}
            }
        }
    }
}

fn request(load: &Load) -> Vec<u8> {
    let mut out = vec![0, 1];
    let (block, window) = (BLOCK_BYTES.to_string(), load.window.to_string());
    let mut words = vec![load.path.as_str(), "octet", "tsize", "0", "blksize", &block];
    if load.window > 1 {
        words.extend(["windowsize", &window]);
    }
    for word in words {
        out.extend_from_slice(word.as_bytes());
        out.push(0);
    }
    out
}

fn ack(block: u64) -> Vec<u8> {
    let [high, low] = (block as u16).to_be_bytes();
    vec![0, 4, high, low]
}
