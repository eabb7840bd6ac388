//! The queue of received datagrams. The sockets are emptied into it, so that outdated datagrams are dropped
//! and more important ones are answered first.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::dhcp::server::socket::DatagramArrival;
use crate::proto::dhcp4::{MessageType, codes};

/// Most datagrams in the queue.
pub(super) const WAITING_MAX: usize = 16_384;
/// A datagram that waited so long is not answered any more: the client has given up or asked again.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// Above this length the newest datagram is answered first: the oldest would be answered too late, and then
/// all would.
const FIRST_COME_MAX: usize = 256;
/// One answer in so many goes to a DISCOVER, if one waits: if all machines of a hall renew at once, machines
/// that are powered on are served too.
const DISCOVERS_SHARE: u32 = 8;
/// DISCOVERs that keep their place when requests fill the queue.
const DISCOVERS_KEPT: usize = FIRST_COME_MAX;
/// Offset of the options (RFC 2131 2: the fixed fields and the cookie).
const OPTIONS_OFFSET: usize = 240;
/// Most options that are searched for the message type.
const OPTIONS_MAX: usize = 32;

/// A datagram and how it arrived.
#[derive(Debug)]
pub(super) struct QueuedDatagram {
    pub datagram: Box<[u8]>,
    pub arrival: DatagramArrival,
    /// The server's port that it was sent to, as the protocol numbers it.
    pub port: u16,
    pub since: Instant,
}

impl QueuedDatagram {
    /// Its client has given up on an answer.
    fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PATIENCE
    }
}

#[derive(Debug, Default)]
pub(super) struct DatagramQueue {
    /// Datagrams of clients that have an address or an offer here: dropping these would waste the work done
    /// for them.
    requests: VecDeque<QueuedDatagram>,
    discovers: VecDeque<QueuedDatagram>,
    /// Requests that were answered before a waiting DISCOVER.
    ahead: u32,
}

impl DatagramQueue {
    /// Appends a datagram. If the queue is full, returns the datagram that has to be dropped for it.
    pub fn push(&mut self, waiting: QueuedDatagram) -> Option<QueuedDatagram> {
        let goes = match self.len() >= WAITING_MAX {
            true if self.discovers.len() > DISCOVERS_KEPT => self.discovers.pop_front(),
            true => self.requests.pop_front(),
            false => None,
        };
        let queue = if is_discover(&waiting.datagram) { &mut self.discovers } else { &mut self.requests };
        queue.push_back(waiting);
        goes
    }

    /// Takes the datagram to be answered next.
    pub fn pop(&mut self) -> Option<QueuedDatagram> {
        if (self.discovers.is_empty() || self.ahead + 1 < DISCOVERS_SHARE)
            && let Some(request) = self.requests.pop_front()
        {
            self.ahead += u32::from(!self.discovers.is_empty());
            return Some(request);
        }
        self.ahead = 0;
        if self.discovers.len() > FIRST_COME_MAX {
            return self.discovers.pop_back();
        }
        self.discovers.pop_front()
    }

    /// Drops datagrams that waited too long; returns how many.
    pub fn drop_stale(&mut self, now: Instant) -> usize {
        let before = self.len();
        for queue in [&mut self.requests, &mut self.discovers] {
            while queue.front().is_some_and(|waiting| waiting.is_stale(now)) {
                queue.pop_front();
            }
        }
        before - self.len()
    }

    pub fn len(&self) -> usize {
        self.requests.len() + self.discovers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Whether a datagram is from a client that has nothing yet: a DISCOVER, or BOOTP. It is not fully parsed.
fn is_discover(datagram: &[u8]) -> bool {
    let mut options = datagram.get(OPTIONS_OFFSET..).unwrap_or_default();
    for _ in 0..OPTIONS_MAX {
        match options {
            [0, rest @ ..] => options = rest,
            [codes::MESSAGE_TYPE, 1, kind, ..] => return MessageType::from(*kind) == MessageType::Discover,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..).unwrap_or_default(),
            _ => return true,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::*;
    use crate::proto::dhcp4::{encode_listed, from_text};

    fn waiting(kind: &str, xid: u32, since: Instant) -> QueuedDatagram {
        let text = format!("xid {xid}\nchaddr 02:00:00:00:00:01\nmessage_type {kind}");
        let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
        QueuedDatagram {
            datagram: encode_listed(&from_text(&text).unwrap()).into(),
            arrival: DatagramArrival { source, interface: 1, local: None, bytes: 300, age: Duration::ZERO },
            port: 67,
            since,
        }
    }

    fn xids(queue: &mut DatagramQueue) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop()).map(|waiting| waiting.datagram[7]).collect()
    }

    #[test]
    fn requests_go_before_discovers_and_each_in_turn() {
        let (mut queue, now) = (DatagramQueue::default(), Instant::now());
        for (xid, kind) in (1..).zip(["discover", "request", "discover", "release", "request"]) {
            assert!(queue.push(waiting(kind, xid, now)).is_none());
        }
        assert_eq!(xids(&mut queue), [2, 4, 5, 1, 3]);
    }

    #[test]
    fn requests_without_end_leave_a_share_to_discovers() {
        let (mut queue, now) = (DatagramQueue::default(), Instant::now());
        (0..10).for_each(|_| drop(queue.push(waiting("discover", 1, now))));
        let served: Vec<QueuedDatagram> = (0..80)
            .map(|_| {
                queue.push(waiting("request", 2, now));
                queue.pop().unwrap()
            })
            .collect();
        let discovers = served.iter().filter(|waiting| waiting.datagram[7] == 1).count();
        assert_eq!(discovers, 10, "one in eight");
        queue.pop();
        assert_eq!(queue.ahead, 0, "nobody waits");
    }

    #[test]
    fn requests_that_fill_the_queue_leave_discovers_their_place() {
        let (mut queue, now) = (DatagramQueue::default(), Instant::now());
        let all = u32::try_from(WAITING_MAX).unwrap();
        (0..all).for_each(|xid| drop(queue.push(waiting("request", xid, now))));
        let gone = queue.push(waiting("discover", 200, now)).unwrap();
        assert_eq!(gone.datagram[4..8], [0, 0, 0, 0], "the oldest request");
        (0..all).for_each(|_| drop(queue.push(waiting("request", 100, now))));
        assert_eq!((queue.len(), queue.discovers.len()), (WAITING_MAX, 1));
    }

    #[test]
    fn what_waited_too_long_is_taken_out() {
        let (mut queue, now) = (DatagramQueue::default(), Instant::now());
        for (xid, kind) in (1..).zip(["discover", "request"]) {
            queue.push(waiting(kind, xid, now));
            queue.push(waiting(kind, xid + 10, now + PATIENCE / 2));
        }
        assert_eq!(queue.drop_stale(now + PATIENCE), 2);
        assert_eq!(xids(&mut queue), [12, 11]);
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest_discover_and_serves_the_newest() {
        let (mut queue, now) = (DatagramQueue::default(), Instant::now());
        let all = u32::try_from(WAITING_MAX).unwrap();
        (0..all).for_each(|xid| drop(queue.push(waiting("discover", xid, now))));
        let gone = queue.push(waiting("request", 200, now)).unwrap();
        assert_eq!(gone.datagram[4..8], [0, 0, 0, 0]);
        assert_eq!(queue.len(), WAITING_MAX);
        assert_eq!(queue.pop().unwrap().datagram[7], 200);
        assert_eq!(queue.pop().unwrap().datagram[4..8], (all - 1).to_be_bytes());
    }

    #[test]
    fn what_is_no_message_waits_like_a_discover() {
        for odd in [&[][..], &[1; 240], &[0; 700], &[255; 300]] {
            assert!(is_discover(odd));
        }
    }
}
