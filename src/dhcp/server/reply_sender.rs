//! Sends replies: as a datagram, or as a frame to a client that has no address yet.
//!
//! Datagrams wait for the end of the turn that made them. Those for one peer, a relay, are sent by one system
//! call, and each is a packet of its own: relays read frames, so segmentation is not left to the kernel
//! ([`datagrams::send_each`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io;
use std::net::SocketAddrV4;
use std::time::Instant;

use socket2::Socket;
use tracing::{info, warn};

use crate::datagrams::{self, DATAGRAMS_MAX, DatagramRoute, SendOutcome};
use crate::dhcp::decide::frame::{FrameEnds, encode_frame};
use crate::dhcp::decide::{ReplyDatagram, ReplyDestination};
use crate::dhcp::server::interfaces::{self, LinkPort};
use crate::dhcp::server::socket::{self, DhcpListener};
use crate::model::Mac;
use crate::rate_limit::{RateLimiter, warn_limited};

/// The interfaces that are served, and the socket for frames.
pub(super) struct ReplySender {
    frames: Option<Socket>,
    names: Vec<String>,
    ports: BTreeMap<u32, LinkPort>,
    /// Interfaces for which the lack of frames was logged.
    reported_fallbacks: BTreeSet<u32>,
    waiting: Vec<QueuedReply>,
    /// The bytes of the queued replies, one after the other.
    bytes: Vec<u8>,
    lost: LostReplies,
}

/// A datagram that waits to be sent, from a port as the protocol numbers it.
struct QueuedReply {
    port: u16,
    route: DatagramRoute,
    bytes: usize,
}

impl QueuedReply {
    /// Whether the other reply can be sent by the same system call.
    fn goes_with(&self, other: &QueuedReply) -> bool {
        (self.port, self.route) == (other.port, other.route)
    }
}

impl ReplySender {
    pub fn new(names: Vec<String>) -> io::Result<Self> {
        let frames = socket::frames()
            .inspect_err(
                |error| warn!(%error, "no raw socket: clients without an address are sent broadcasts"),
            )
            .ok();
        let ports = interfaces::read(&names)?;
        let missing = names.iter().filter(|name| ports.values().all(|port| port.facts.name != **name));
        missing.for_each(|name| warn!(interface = name, "there is no such interface yet"));
        Ok(ReplySender {
            reported_fallbacks: BTreeSet::new(),
            frames,
            names,
            ports,
            waiting: Vec::new(),
            bytes: Vec::new(),
            lost: LostReplies::default(),
        })
    }

    /// The interface with this index, if it is served.
    pub fn port(&self, index: u32) -> Option<&LinkPort> {
        self.ports.get(&index)
    }

    /// Reads the interfaces again: they and their addresses change.
    pub fn refresh(&mut self) {
        match interfaces::read(&self.names) {
            Ok(ports) => {
                for port in ports.values().filter(|port| !self.ports.contains_key(&port.facts.index)) {
                    info!(interface = port.facts.name, "serving DHCP");
                }
                self.ports = ports;
                self.reported_fallbacks.retain(|interface| self.ports.contains_key(interface));
            }
            Err(error) => warn_limited!(%error, "the network interfaces cannot be read"),
        }
    }

    /// Sends a reply from the port that its request came to, at once or with [`ReplySender::flush`].
    pub fn send(&mut self, listener: &DhcpListener, reply: &ReplyDatagram) -> io::Result<SendTime> {
        let port = self.ports.get(&reply.interface);
        let port = port.ok_or_else(|| io::Error::other("its interface is gone"))?;
        if let Some((mac, to)) = framed(&reply.destination) {
            let from = SocketAddrV4::new(reply.source, listener.local_port());
            let ends = port.mac().map(|from_mac| FrameEnds { from_mac, to_mac: mac, from, to });
            match self.send_frame(port, ends, &reply.bytes) {
                Ok(()) => return Ok(SendTime::Now),
                // The missing socket for frames was logged at the start.
                Err(error) if self.frames.is_some() && self.reported_fallbacks.insert(reply.interface) => {
                    warn!(%error, interface = port.facts.name, "no frame can be sent: broadcasting instead");
                }
                Err(_) => {}
            }
        }
        let to = match reply.destination {
            ReplyDestination::Unicast(to) => to,
            ReplyDestination::Broadcast | ReplyDestination::Frame { .. } => {
                ReplyDestination::Broadcast.socket_address()
            }
        };
        let Some(port) = self.ports.get(&reply.interface) else { return Ok(SendTime::Now) };
        // Routing finds addresses behind a router; with a fixed interface the kernel would search on the
        // link.
        let direct = to.ip().is_broadcast() || port.facts.is_on_link(*to.ip());
        let interface = if direct { reply.interface } else { 0 };
        let route = DatagramRoute { peer: to, source: Some(reply.source), interface };
        let (port, bytes) = (listener.port, reply.bytes.len());
        self.waiting.push(QueuedReply { port, route, bytes });
        self.bytes.extend_from_slice(&reply.bytes);
        Ok(SendTime::AtTheEnd)
    }

    /// Whether so many replies wait that one system call is full.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= DATAGRAMS_MAX
    }

    /// Sends the waiting replies; returns how many were sent, and how many were not.
    pub fn flush(&mut self, listeners: &[DhcpListener]) -> (u64, u64) {
        let (mut sent, mut lost) = (0, 0);
        let mut rest = self.bytes.as_slice();
        for letters in self.waiting.chunk_by(QueuedReply::goes_with) {
            let Some(first) = letters.first() else { continue };
            let mut replies = Vec::with_capacity(letters.len());
            for queued in letters {
                let (reply, behind) = rest.split_at_checked(queued.bytes).unwrap_or_default();
                replies.push(reply);
                rest = behind;
            }
            let listener = listeners.iter().find(|listener| listener.port == first.port);
            let outcome = match listener {
                Some(listener) => datagrams::send_each(listener.socket(), first.route, &replies),
                None => SendOutcome { left: 0, error: Some(io::ErrorKind::NotConnected.into()) },
            };
            let left_out = replies.len().saturating_sub(outcome.left) as u64;
            if let Some(error) = outcome.error {
                self.lost.tell(left_out, &error, &first.route.peer);
            }
            lost += left_out;
            sent += outcome.left as u64;
        }
        self.waiting.clear();
        self.bytes.clear();
        (sent, lost)
    }

    /// Counts a reply that was lost before it was queued.
    pub fn lost(&mut self, error: &io::Error, reply: &ReplyDatagram) {
        self.lost.tell(1, error, &reply.destination);
    }

    fn send_frame(&self, port: &LinkPort, ends: Option<FrameEnds>, payload: &[u8]) -> io::Result<()> {
        let (link, ends) = port.link.as_ref().zip(ends).ok_or_else(no_frame_error)?;
        let frames = self.frames.as_ref().ok_or_else(no_frame_error)?;
        let frame = encode_frame(&ends, payload).ok_or_else(no_frame_error)?;
        socket::send_frame(frames, link, &frame)
    }
}

fn no_frame_error() -> io::Error {
    io::Error::other("the interface has no Ethernet address, or there is no raw socket")
}

/// Lost replies: under load a dead interface loses thousands of them each second.
#[derive(Debug, Default)]
struct LostReplies(RateLimiter);

impl LostReplies {
    fn tell(&mut self, replies: u64, error: &io::Error, destination: &impl Display) {
        if let Some(replies) = self.0.count(replies, Instant::now()) {
            warn!(%error, %destination, replies, "DHCP replies could not be sent");
        }
    }
}

/// When a reply is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendTime {
    Now,
    AtTheEnd,
}

/// The destination of a reply that is sent as a frame. On virtual links the kernel leaves out the checksums
/// of its own broadcasts, and clients that read frames drop those.
fn framed(destination: &ReplyDestination) -> Option<(Mac, SocketAddrV4)> {
    match destination {
        ReplyDestination::Unicast(_) => None,
        ReplyDestination::Frame { mac, to } => Some((*mac, *to)),
        ReplyDestination::Broadcast => Some((Mac([0xff; 6]), destination.socket_address())),
    }
}
