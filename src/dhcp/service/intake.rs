//! Which packets are taken on: no repeat of one that is being answered, and no flood by one client.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::proto::dhcp4::{MessageType, Packet};

/// Packets of one client per second, and how many may come at once.
const RATE_PER_SECOND: f64 = 10.0;
const BURST: f64 = 20.0;
/// Clients whose rate is remembered; beyond that the ones at rest are forgotten.
const CLIENTS_MAX: usize = 16_384;
/// How long a bucket takes to fill up.
const REST: Duration = Duration::from_secs(2);

/// What makes two packets the same question (RFC 2131 4.1: a retransmission keeps its xid).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question {
    xid: u32,
    chaddr: [u8; 16],
    message: Option<MessageType>,
    interface: u32,
}

impl Question {
    pub fn of(packet: &Packet, interface: u32) -> Self {
        Question { xid: packet.xid, chaddr: packet.chaddr, message: packet.message_type(), interface }
    }
}

/// The verdict on a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intake {
    Take,
    /// The same question is being answered.
    Repeated,
    /// The client asks too often.
    Flood,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Questions under way, and how much each client has asked.
#[derive(Debug, Default)]
pub(super) struct Door {
    open: HashSet<Question>,
    buckets: HashMap<[u8; 16], Bucket>,
}

impl Door {
    /// Decides on a packet; one that is taken stays open until [`Door::close`].
    pub fn admit(&mut self, question: Question, now: Instant) -> Intake {
        if self.open.contains(&question) {
            return Intake::Repeated;
        }
        if !self.has_token(question.chaddr, now) {
            return Intake::Flood;
        }
        self.open.insert(question);
        Intake::Take
    }

    pub fn close(&mut self, question: &Question) {
        self.open.remove(question);
    }

    fn has_token(&mut self, client: [u8; 16], now: Instant) -> bool {
        if self.buckets.len() >= CLIENTS_MAX && !self.buckets.contains_key(&client) {
            self.buckets.retain(|_, bucket| now.duration_since(bucket.at) < REST);
            if self.buckets.len() >= CLIENTS_MAX {
                return false;
            }
        }
        let bucket = self.buckets.entry(client).or_insert(Bucket { tokens: BURST, at: now });
        let earned = now.duration_since(bucket.at).as_secs_f64() * RATE_PER_SECOND;
        bucket.tokens = (bucket.tokens + earned).min(BURST);
        bucket.at = now;
        let has_token = bucket.tokens >= 1.0;
        bucket.tokens -= f64::from(u8::from(has_token));
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    fn question(xid: u32) -> Question {
        let text = format!("xid {xid}\nchaddr 02:00:00:00:00:01\nmessage_type discover");
        Question::of(&from_text(&text).unwrap(), 2)
    }

    #[test]
    fn a_retransmission_waits_for_the_answer_under_way() {
        let (mut door, now) = (Door::default(), Instant::now());
        assert_eq!(door.admit(question(1), now), Intake::Take);
        assert_eq!(door.admit(question(1), now), Intake::Repeated);
        assert_eq!(door.admit(question(2), now), Intake::Take);
        door.close(&question(1));
        assert_eq!(door.admit(question(1), now), Intake::Take);
    }

    #[test]
    fn a_client_that_floods_is_slowed_down_and_forgiven() {
        let (mut door, now) = (Door::default(), Instant::now());
        let taken = (0..100).filter(|xid| door.admit(question(*xid), now) == Intake::Take).count();
        assert_eq!(taken, 20);
        assert_eq!(door.admit(question(200), now + Duration::from_secs(1)), Intake::Take);
    }
}
