//! Admission of packets: no repetition of a packet that is being answered, no second answer if the first can
//! be sent again, and no flood by one client.

use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use foldhash::HashSet;

use crate::dhcp::decide::ReplyDatagram;
use crate::proto::dhcp4::DhcpPacket;

/// Packets per second of one client, and how many may come at once.
const RATE_PER_SECOND: f64 = 20.0;
const BURST: f64 = 40.0;
/// Most clients whose rate is remembered.
const CLIENTS_MAX: usize = 16_384;
/// How long a reply may be sent again.
const RESEND: Duration = Duration::from_secs(10);
/// Most replies that are kept for that.
const REPLIES_MAX: usize = 4096;

/// The identity of a request: everything in the packet except the time that the client has waited and the
/// relays that it came through (RFC 2131 4.1: a retransmission keeps its xid).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RequestKey {
    xid: u32,
    client: u64,
    interface: u32,
    /// The server's port that it came to: iPXE keeps its xid from 67 to 4011.
    port: u16,
    content: u64,
}

impl RequestKey {
    pub fn of(packet: &DhcpPacket, interface: u32, port: u16) -> Self {
        let mut content = DefaultHasher::new();
        (packet.flags, packet.ciaddr, packet.giaddr).hash(&mut content);
        packet.options.iter().for_each(|option| option.hash(&mut content));
        let client = client_of(packet);
        RequestKey { xid: packet.xid, client, interface, port, content: content.finish() }
    }
}

/// The client of a packet, as in `ClientKey`: if there is no hardware address, as on InfiniBand (RFC 4390),
/// the client identifier counts.
fn client_of(packet: &DhcpPacket) -> u64 {
    let mut client = DefaultHasher::new();
    match packet.hardware_address() {
        [] => packet.client_identifier().hash(&mut client),
        address => (packet.htype, address).hash(&mut client),
    }
    client.finish()
}

/// The result of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketAdmission {
    Take,
    /// The same request is being answered already.
    Repeated,
    /// The client sends too many packets.
    Flood,
    /// All clients together send more packets than this server is allowed to answer.
    Limited,
}

/// Requests in progress, recent replies, and the rates of clients.
#[derive(Debug, Default)]
pub(super) struct AdmissionControl {
    open: HashSet<RequestKey>,
    sent: SentReplies,
    rates: ClientRates,
    all: Option<OverallRate>,
}

impl AdmissionControl {
    /// Admits at most so many packets per second from all clients together.
    pub fn limit(&mut self, per_second: NonZeroU32) {
        self.all = Some(OverallRate { rate: f64::from(per_second.get()), tokens: None });
    }

    /// Decides on a packet. An admitted packet stays in progress until [`AdmissionControl::close`].
    pub fn admit(&mut self, question: RequestKey, now: Instant) -> PacketAdmission {
        if self.open.contains(&question) {
            return PacketAdmission::Repeated;
        }
        if !self.rates.has_token(question.client, now) {
            return PacketAdmission::Flood;
        }
        if self.all.as_mut().is_some_and(|all| !all.has_token(now)) {
            return PacketAdmission::Limited;
        }
        self.open.insert(question);
        PacketAdmission::Take
    }

    pub fn close(&mut self, question: &RequestKey) {
        self.open.remove(question);
    }

    /// Keeps a reply for the case that it gets lost.
    pub fn keep(&mut self, question: RequestKey, reply: ReplyDatagram, now: Instant) {
        self.sent.keep(question, reply, now);
    }

    /// The reply that this request got a moment ago.
    pub fn reply_to(&self, question: &RequestKey, now: Instant) -> Option<&ReplyDatagram> {
        self.sent.find(question, now)
    }
}

/// A table of fixed size in which each key has one slot that an attacker cannot predict. If two keys share a
/// slot, the newer one stays. The table never grows and is never searched, so no packet waits for it.
#[derive(Debug)]
struct SlotTable<K, V> {
    places: Vec<Option<(K, V)>>,
    hasher: RandomState,
}

impl<K: Hash + Eq, V> SlotTable<K, V> {
    fn new(places: usize) -> Self {
        SlotTable {
            places: std::iter::repeat_with(|| None).take(places).collect(),
            hasher: RandomState::new(),
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        let (found, value) = self.places.get(self.place(key))?.as_ref()?;
        (found == key).then_some(value)
    }

    fn put(&mut self, key: K, value: V) {
        let place = self.place(&key);
        if let Some(place) = self.places.get_mut(place) {
            *place = Some((key, value));
        }
    }

    fn place(&self, key: &K) -> usize {
        usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % self.places.len()
    }
}

/// Replies, and when they were sent.
#[derive(Debug)]
struct SentReplies(SlotTable<RequestKey, (Instant, ReplyDatagram)>);

impl Default for SentReplies {
    fn default() -> Self {
        SentReplies(SlotTable::new(REPLIES_MAX))
    }
}

impl SentReplies {
    fn keep(&mut self, question: RequestKey, reply: ReplyDatagram, now: Instant) {
        self.0.put(question, (now, reply));
    }

    fn find(&self, question: &RequestKey, now: Instant) -> Option<&ReplyDatagram> {
        let (sent, reply) = self.0.get(question)?;
        (now.duration_since(*sent) < RESEND).then_some(reply)
    }
}

/// A token bucket: tokens are added at a rate, up to a bound.
#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    left: f64,
    at: Instant,
}

impl TokenBucket {
    fn take(&mut self, (rate, bound): (f64, f64), now: Instant) -> bool {
        let earned = now.duration_since(self.at).as_secs_f64() * rate;
        self.left = (self.left + earned).min(bound);
        self.at = now;
        let has_token = self.left >= 1.0;
        self.left -= f64::from(u8::from(has_token));
        has_token
    }
}

/// The rate of all clients together; unused tokens are kept for a second.
#[derive(Debug)]
struct OverallRate {
    rate: f64,
    /// `None` before the first packet.
    tokens: Option<TokenBucket>,
}

impl OverallRate {
    fn has_token(&mut self, now: Instant) -> bool {
        let tokens = self.tokens.get_or_insert(TokenBucket { left: self.rate, at: now });
        tokens.take((self.rate, self.rate), now)
    }
}

/// The rate of each client.
#[derive(Debug)]
struct ClientRates(SlotTable<u64, TokenBucket>);

impl Default for ClientRates {
    fn default() -> Self {
        ClientRates(SlotTable::new(CLIENTS_MAX))
    }
}

impl ClientRates {
    fn has_token(&mut self, client: u64, now: Instant) -> bool {
        let mut tokens = self.0.get(&client).copied().unwrap_or(TokenBucket { left: BURST, at: now });
        let has_token = tokens.take((RATE_PER_SECOND, BURST), now);
        self.0.put(client, tokens);
        has_token
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::dhcp::decide::ReplyDestination;
    use crate::proto::dhcp4::from_text;

    fn question(xid: u32) -> RequestKey {
        let text = format!("xid {xid}\nchaddr 02:00:00:00:00:01\nmessage_type discover");
        RequestKey::of(&from_text(&text).unwrap(), 2, 67)
    }

    fn reply(bytes: &[u8]) -> ReplyDatagram {
        ReplyDatagram {
            bytes: bytes.to_vec(),
            destination: ReplyDestination::Broadcast,
            source: Ipv4Addr::LOCALHOST,
            interface: 2,
            durable: false,
        }
    }

    #[test]
    fn a_retransmission_waits_for_the_answer_under_way() {
        let (mut door, now) = (AdmissionControl::default(), Instant::now());
        assert_eq!(door.admit(question(1), now), PacketAdmission::Take);
        assert_eq!(door.admit(question(1), now), PacketAdmission::Repeated);
        assert_eq!(door.admit(question(2), now), PacketAdmission::Take);
        door.close(&question(1));
        assert_eq!(door.admit(question(1), now), PacketAdmission::Take);
    }

    #[test]
    fn only_secs_and_hops_may_differ_in_a_retransmission() {
        let base = "xid 7\nchaddr 02:00:00:00:00:01\nmessage_type request\nrequested_address 10.0.0.5";
        let of = |text: &str| RequestKey::of(&from_text(text).unwrap(), 2, 67);
        assert_eq!(of(base), of(&format!("secs 4\n{base}")));
        assert_ne!(of(base), of(&base.replace("10.0.0.5", "10.0.0.6")));
        assert_ne!(of(base), of(&format!("ciaddr 10.0.0.5\n{base}")));
    }

    #[test]
    fn a_client_that_floods_is_slowed_down_and_forgiven() {
        let (mut door, now) = (AdmissionControl::default(), Instant::now());
        let taken = (0..100).filter(|xid| door.admit(question(*xid), now) == PacketAdmission::Take).count();
        assert_eq!(taken, 40);
        assert_eq!(door.admit(question(200), now + Duration::from_secs(1)), PacketAdmission::Take);
    }

    #[test]
    fn clients_without_a_hardware_address_are_told_apart_by_their_identifier() {
        let (mut door, now) = (AdmissionControl::default(), Instant::now());
        let mut ask = |xid: u32, id: &str| {
            let text = format!("xid {xid}\nhtype 32\nhlen 0\nmessage_type discover\nclient_identifier {id}");
            door.admit(RequestKey::of(&from_text(&text).unwrap(), 2, 67), now)
        };
        let taken = (0..100).filter(|xid| ask(*xid, "ff00000001") == PacketAdmission::Take).count();
        assert_eq!(taken, 40);
        assert_eq!(ask(200, "ff00000002"), PacketAdmission::Take, "another client on the same wire");
    }

    #[test]
    fn all_clients_together_ask_no_more_than_is_allowed() {
        let (mut door, now) = (AdmissionControl::default(), Instant::now());
        door.limit(NonZeroU32::new(30).unwrap());
        let mut taken = |clients: std::ops::Range<u32>, now| {
            let asked = clients.map(|client| {
                let [.., a, b] = client.to_be_bytes();
                let text = format!("xid 1\nchaddr 02:00:00:00:{a:02x}:{b:02x}\nmessage_type discover");
                door.admit(RequestKey::of(&from_text(&text).unwrap(), 2, 67), now)
            });
            asked.filter(|intake| *intake == PacketAdmission::Take).count()
        };
        assert_eq!(taken(0..100, now), 30);
        assert_eq!(taken(100..200, now + Duration::from_millis(500)), 15);
        assert_eq!(taken(200..300, now + Duration::from_secs(60)), 30);
    }

    #[test]
    fn any_number_of_clients_may_ask_at_once() {
        let (mut rates, now) = (ClientRates::default(), Instant::now());
        for number in 0..100_000 {
            assert!(rates.has_token(number, now));
        }
        assert_eq!(rates.0.places.len(), CLIENTS_MAX);
    }

    #[test]
    fn a_reply_is_kept_for_a_while_and_the_newest_ones_only() {
        let (mut sent, now) = (SentReplies::default(), Instant::now());
        sent.keep(question(1), reply(b"first"), now);
        sent.keep(question(1), reply(b"second"), now + RESEND / 2);
        sent.keep(question(2), reply(b"other"), now + RESEND);
        let bytes = |at| sent.find(&question(1), at).map(|reply| reply.bytes.as_slice());
        assert_eq!(bytes(now + RESEND), Some(&b"second"[..]));
        assert_eq!(bytes(now + RESEND + RESEND / 2), None);
        for xid in 0..100_000 {
            sent.keep(question(xid), reply(b""), now);
            assert!(sent.find(&question(xid), now).is_some());
        }
        assert_eq!(sent.0.places.len(), REPLIES_MAX);
    }
}
