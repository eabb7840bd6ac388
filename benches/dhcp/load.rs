//! The client: keeps a number of exchanges open, and reports the results.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::dhcp_reply::{ACK, COOKIE, DISCOVER, OFFER, OPTIONS_OFFSET, REQUEST, Reply};
use crate::net;

/// Clients that the pool has addresses for.
const CLIENTS_MAX: u32 = 60_000;
/// Clients that have a lease before renewals are measured.
const HOLDERS: u32 = 2_000;
/// An exchange without an answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    Dora,
    Renewal,
}

#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub exchange: Exchange,
    /// Exchanges that are open at the same time.
    pub open: usize,
    /// For how long; 0 for one exchange only.
    pub seconds: u64,
    pub first_client: u32,
}

#[derive(Debug, Default)]
pub struct Figures {
    pub done: u64,
    /// Exchanges before the measurement: a renewal needs a lease.
    pub prepared: u64,
    pub unanswered: u64,
    pub elapsed_us: u64,
    pub p50_us: u32,
    pub p99_us: u32,
}

impl Load {
    /// As the words after `client`.
    pub fn to_words(self) -> [String; 4] {
        let exchange = if self.exchange == Exchange::Dora { "dora" } else { "renewal" };
        let numbers = [self.open as u64, self.seconds, u64::from(self.first_client)];
        let [open, seconds, first] = numbers.map(|number| number.to_string());
        [exchange.to_owned(), open, seconds, first]
    }

    pub fn from_words(words: &[String]) -> io::Result<Load> {
        let bad = || io::Error::other("client dora|renewal OPEN SECONDS FIRST_CLIENT");
        let [exchange, open, seconds, first] = words else { return Err(bad()) };
        Ok(Load {
            exchange: if exchange == "dora" { Exchange::Dora } else { Exchange::Renewal },
            open: open.parse().map_err(|_| bad())?,
            seconds: seconds.parse().map_err(|_| bad())?,
            first_client: first.parse().map_err(|_| bad())?,
        })
    }

    /// Runs it in this program's namespace.
    pub fn run(&self) -> io::Result<Figures> {
        let mut client = Client::new()?;
        let until = |seconds| Instant::now() + Duration::from_secs(seconds);
        let first = self.first_client;
        if self.seconds == 0 {
            return client.drive(&mut Turns::of(first..first + 1, Exchange::Dora), self.open, until(1));
        }
        if self.exchange == Exchange::Dora {
            let mut turns = Turns::of(first..first + CLIENTS_MAX, Exchange::Dora);
            return client.drive(&mut turns, self.open, until(self.seconds));
        }
        let mut turns = Turns::of(first..first + HOLDERS, Exchange::Dora);
        let prepared = client.drive(&mut turns, self.open, until(60))?.done;
        let mut turns = Turns::of(first..first + HOLDERS, Exchange::Renewal);
        turns.again = true;
        let figures = client.drive(&mut turns, self.open, until(self.seconds))?;
        Ok(Figures { prepared, ..figures })
    }
}

impl Figures {
    pub fn per_second(&self) -> f64 {
        self.done as f64 * 1e6 / self.elapsed_us.max(1) as f64
    }

    pub fn to_words(&self) -> String {
        let Figures { done, prepared, unanswered, elapsed_us, p50_us, p99_us } = self;
        format!("{done} {prepared} {unanswered} {elapsed_us} {p50_us} {p99_us}")
    }

    pub fn from_words(text: &str) -> io::Result<Figures> {
        let numbers: Result<Vec<u64>, _> = text.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(io::Error::other)?;
        let [done, prepared, unanswered, elapsed_us, p50, p99] = numbers[..] else {
            return Err(io::Error::other(format!("the client said: {text}")));
        };
        let [p50_us, p99_us] = [p50, p99].map(|us| u32::try_from(us).unwrap_or(u32::MAX));
        Ok(Figures { done, prepared, unanswered, elapsed_us, p50_us, p99_us })
    }
}

/// The client whose turn it is.
struct Turns {
    clients: std::ops::Range<u32>,
    next: u32,
    exchange: Exchange,
    /// After the last comes the first.
    again: bool,
}

impl Turns {
    fn of(clients: std::ops::Range<u32>, exchange: Exchange) -> Turns {
        Turns { next: clients.start, clients, exchange, again: false }
    }

    fn next(&mut self) -> Option<u32> {
        if self.again && self.next == self.clients.end {
            self.next = self.clients.start;
        }
        let client = Some(self.next).filter(|client| self.clients.contains(client))?;
        self.next += 1;
        Some(client)
    }
}

/// An exchange that is open.
struct Open {
    client: u32,
    begun: Instant,
    asked: Instant,
    waits_for: u8,
}

struct Client {
    socket: UdpSocket,
    relay: Ipv4Addr,
    leases: HashMap<u32, Ipv4Addr>,
    xid: u32,
}

impl Client {
    fn new() -> io::Result<Client> {
        let socket = UdpSocket::bind((net::CLIENT, 67))?;
        socket.connect((net::SERVER, 67))?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let relay = net::CLIENT.parse().map_err(io::Error::other)?;
        Ok(Client { socket, relay, leases: HashMap::new(), xid: std::process::id() << 8 })
    }

    fn drive(&mut self, turns: &mut Turns, open_max: usize, until: Instant) -> io::Result<Figures> {
        let begun = Instant::now();
        let mut open: HashMap<u32, Open> = HashMap::new();
        let (mut took_us, mut figures) = (Vec::new(), Figures::default());
        let mut looked = begun;
        loop {
            while open.len() < open_max && Instant::now() < until {
                let Some(client) = turns.next() else { break };
                self.begin(turns.exchange, client, &mut open)?;
            }
            if open.is_empty() {
                break;
            }
            if let Some(reply) = self.receive()
                && let Some(done) = self.go_on(&reply, &mut open)?
            {
                took_us.push(u32::try_from(done.as_micros()).unwrap_or(u32::MAX));
            }
            if looked.elapsed() > PATIENCE / 10 {
                looked = Instant::now();
                let before = open.len();
                open.retain(|_, exchange| exchange.asked.elapsed() < PATIENCE);
                figures.unanswered += (before - open.len()) as u64;
            }
        }
        took_us.sort_unstable();
        let part = |of: usize| took_us.get((took_us.len() * of / 100).min(took_us.len().max(1) - 1)).copied();
        figures.done = took_us.len() as u64;
        figures.elapsed_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        (figures.p50_us, figures.p99_us) = (part(50).unwrap_or(0), part(99).unwrap_or(0));
        Ok(figures)
    }

    fn begin(&mut self, exchange: Exchange, client: u32, open: &mut HashMap<u32, Open>) -> io::Result<()> {
        self.xid = self.xid.wrapping_add(1);
        let now = Instant::now();
        let lease = self.leases.get(&client).copied().filter(|_| exchange == Exchange::Renewal);
        let waits_for = if lease.is_some() { ACK } else { OFFER };
        let packet = match lease {
            Some(address) => self.packet((REQUEST, client), address, &[]),
            None => self.packet((DISCOVER, client), Ipv4Addr::UNSPECIFIED, &[]),
        };
        open.insert(self.xid, Open { client, begun: now, asked: now, waits_for });
        self.socket.send(&packet).map(drop)
    }

    /// The next step of an exchange; returns the duration of the whole exchange when it is done.
    fn go_on(&mut self, reply: &Reply, open: &mut HashMap<u32, Open>) -> io::Result<Option<Duration>> {
        let Some(exchange) = open.get_mut(&reply.xid).filter(|open| open.waits_for == reply.kind) else {
            return Ok(None);
        };
        if reply.kind == ACK {
            self.leases.insert(exchange.client, reply.address);
            return Ok(open.remove(&reply.xid).map(|exchange| exchange.begun.elapsed()));
        }
        (exchange.waits_for, exchange.asked) = (ACK, Instant::now());
        let client = exchange.client;
        let mut options = vec![50, 4];
        options.extend(reply.address.octets());
        options.extend([54, 4]);
        options.extend(reply.server);
        let next = self.xid;
        self.xid = reply.xid;
        let packet = self.packet((REQUEST, client), Ipv4Addr::UNSPECIFIED, &options);
        self.xid = next;
        self.socket.send(&packet)?;
        Ok(None)
    }

    /// A message of a client behind the relay, with the present `xid`.
    fn packet(&self, (kind, client): (u8, u32), in_use: Ipv4Addr, options: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; OPTIONS_OFFSET];
        packet[..4].copy_from_slice(&[1, 1, 6, 1]);
        packet[4..8].copy_from_slice(&self.xid.to_be_bytes());
        packet[12..16].copy_from_slice(&in_use.octets());
        packet[24..28].copy_from_slice(&self.relay.octets());
        packet[28..30].copy_from_slice(&[2, 0]);
        packet[30..34].copy_from_slice(&client.to_be_bytes());
        packet[236..240].copy_from_slice(&COOKIE);
        packet.extend([53, 1, kind]);
        packet.extend(options);
        packet.extend([55, 9, 1, 3, 6, 15, 28, 51, 54, 66, 67, 255]);
        packet.resize(packet.len().max(300), 0);
        packet
    }

    fn receive(&self) -> Option<Reply> {
        let mut buffer = [0; 1500];
        let bytes = self.socket.recv(&mut buffer).ok()?;
        Reply::parse(buffer.get(..bytes)?, |_, _| {})
    }
}
