//! What booting clients said in their DISCOVER, kept until their REQUEST: some firmware says less there, and
//! its ACK must not contradict its OFFER (RFC 2131 4.3.1). Start at [`DhcpConversations::complete`].

use std::collections::VecDeque;

use foldhash::HashMap;
use jiff::Timestamp;

use crate::dhcp::decide::ClientKey;
use crate::dhcp::decide::offers::later;
use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// Most DISCOVERs that are remembered, repetitions included; beyond that the oldest is forgotten.
pub const CONVERSATIONS_MAX: usize = 8192;
/// Most bytes of one client's statements; a client that says more is not remembered.
const STATEMENT_BYTES_MAX: usize = 512;
/// How long a REQUEST may follow a DISCOVER; longer than an offer is held.
const REMEMBERED_SECONDS: i64 = 120;
/// How long firmware repeats a DISCOVER (PXE 2.1, 2.2.4: 4, 8, 16 and 32 seconds).
const REPEATED_SECONDS: i64 = 70;
/// The options by which a client says what it is.
const STATEMENTS: [u8; 5] = [
    codes::VENDOR_CLASS,
    codes::USER_CLASS,
    codes::CLIENT_ARCHITECTURES,
    codes::CLIENT_MACHINE_ID,
    codes::IPXE,
];

/// A conversation: the client and its transaction (RFC 2131 2, `xid`).
type ConversationKey = (ClientKey, u32);

/// What a client said in its DISCOVER.
#[derive(Debug)]
struct ClientStatement {
    options: Vec<(u8, Vec<u8>)>,
    until: Timestamp,
    /// When the DISCOVER came for the first time, and whether it came again.
    first: Timestamp,
    is_repeated: bool,
}

/// The conversations that are under way, bounded in number and in bytes.
#[derive(Debug, Default)]
pub struct DhcpConversations {
    by_key: HashMap<ConversationKey, ClientStatement>,
    /// The conversations in the order in which they end.
    ending: VecDeque<(Timestamp, ConversationKey)>,
}

impl DhcpConversations {
    /// Remembers what a DISCOVER says. Returns a REQUEST of the same conversation with what it leaves out;
    /// `None` if the packet is complete as it is.
    pub fn complete(&mut self, packet: &DhcpPacket, now: Timestamp) -> Option<Box<DhcpPacket>> {
        match packet.message_type()? {
            MessageType::Discover => {
                self.remember(packet, now);
                None
            }
            MessageType::Request => self.completed(packet, now),
            _ => None,
        }
    }

    /// When the DISCOVER came for the first time that this one repeats: the same client says the same in the
    /// same transaction. A copy may be overtaken by what the client did since.
    pub fn repeated_since(&self, packet: &DhcpPacket) -> Option<Timestamp> {
        let key = (ClientKey::of(packet)?, packet.xid);
        self.by_key.get(&key).filter(|statement| statement.is_repeated).map(|statement| statement.first)
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn remember(&mut self, packet: &DhcpPacket, now: Timestamp) {
        let said = || STATEMENTS.into_iter().filter_map(|code| Some((code, packet.options.get(code)?)));
        let bytes: usize = said().map(|(_, value)| value.len()).sum();
        if bytes == 0 && self.by_key.is_empty() {
            return;
        }
        let Some(client) = ClientKey::of(packet) else { return };
        let key = (client, packet.xid);
        if bytes == 0 || bytes > STATEMENT_BYTES_MAX {
            // A loader may have the transaction number of the firmware that started it.
            self.by_key.remove(&key);
            return;
        }
        self.make_room(now);
        let options: Vec<_> = said().map(|(code, value)| (code, value.to_vec())).collect();
        let before = self.by_key.get(&key).filter(|before| before.options == options);
        let first = before.map(|before| before.first).filter(|first| now < later(*first, REPEATED_SECONDS));
        let until = later(now, REMEMBERED_SECONDS);
        self.ending.push_back((until, key.clone()));
        let (is_repeated, first) = (first.is_some(), first.unwrap_or(now));
        self.by_key.insert(key, ClientStatement { options, until, first, is_repeated });
    }

    fn completed(&self, packet: &DhcpPacket, now: Timestamp) -> Option<Box<DhcpPacket>> {
        if self.by_key.is_empty() || STATEMENTS.into_iter().all(|code| packet.options.contains(code)) {
            return None;
        }
        let key = (ClientKey::of(packet)?, packet.xid);
        let statement = self.by_key.get(&key).filter(|statement| statement.until > now)?;
        let mut lacking =
            statement.options.iter().filter(|(code, _)| !packet.options.contains(*code)).peekable();
        lacking.peek()?;
        let mut whole = Box::new(packet.clone());
        lacking.for_each(|(code, value)| whole.options.set(*code, value.as_slice()));
        Some(whole)
    }

    /// Forgets conversations that have ended, and the oldest if there are too many.
    fn make_room(&mut self, now: Timestamp) {
        while let Some((until, key)) = self.ending.front() {
            if *until > now && self.ending.len() < CONVERSATIONS_MAX {
                return;
            }
            // A later DISCOVER of the conversation has a place of its own.
            if self.by_key.get(key).is_some_and(|statement| statement.until == *until) {
                self.by_key.remove(key);
            }
            self.ending.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn packet(kind: &str, client: u32, more: &str) -> DhcpPacket {
        let [a, b, c, d] = client.to_be_bytes();
        let mac = format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
        from_text(&format!("xid 7\nchaddr {mac}\nmessage_type {kind}\n{more}")).unwrap()
    }

    const FIRMWARE: &str = "vendor_class_identifier \"PXEClient:Arch:00000\"\nclient_architectures 0";

    #[test]
    fn a_request_says_what_its_discover_said_and_what_it_says_itself_counts() {
        let mut known = DhcpConversations::default();
        assert!(known.complete(&packet("discover", 1, FIRMWARE), NOW).is_none());
        let whole = known.complete(&packet("request", 1, "client_architectures 7"), NOW).unwrap();
        assert_eq!(whole.vendor_class(), Some(&b"PXEClient:Arch:00000"[..]));
        assert_eq!(whole.architectures(), [7]);
        let mut other = packet("request", 1, "");
        other.xid = 8;
        for stranger in [other, packet("request", 2, ""), packet("inform", 1, "")] {
            assert!(known.complete(&stranger, NOW).is_none());
        }
        assert!(known.complete(&packet("request", 1, ""), later(NOW, REMEMBERED_SECONDS)).is_none());
    }

    #[test]
    fn a_discover_is_a_copy_if_it_says_the_same_within_the_time_that_firmware_repeats_it() {
        let mut known = DhcpConversations::default();
        let mut since = |more: &str, seconds| {
            let discover = packet("discover", 1, more);
            known.complete(&discover, later(NOW, seconds));
            known.repeated_since(&discover)
        };
        assert_eq!(
            [since(FIRMWARE, 0), since(FIRMWARE, 4), since(FIRMWARE, 60)],
            [None, Some(NOW), Some(NOW)]
        );
        assert_eq!(since(FIRMWARE, REPEATED_SECONDS), None, "it is powered on again");
        assert_eq!(
            since("user_class \"iPXE\"", REPEATED_SECONDS + 1),
            None,
            "its loader has the same number"
        );
    }

    #[test]
    fn the_last_discover_of_a_conversation_counts() {
        let mut known = DhcpConversations::default();
        known.complete(&packet("discover", 1, FIRMWARE), NOW);
        known.complete(&packet("discover", 1, "host_name \"web1\""), NOW);
        assert!(known.complete(&packet("request", 1, ""), NOW).is_none() && known.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut known = DhcpConversations::default();
        for client in 0..CONVERSATIONS_MAX as u32 + 100 {
            known.complete(&packet("discover", client, FIRMWARE), NOW);
            known.complete(&packet("discover", client, FIRMWARE), NOW);
        }
        assert!(known.len() <= CONVERSATIONS_MAX && known.ending.len() <= CONVERSATIONS_MAX);
        assert!(known.complete(&packet("request", 0, ""), NOW).is_none());
        assert!(known.complete(&packet("request", CONVERSATIONS_MAX as u32, ""), NOW).is_some());
        let long = format!("option 60 {}", "41".repeat(STATEMENT_BYTES_MAX + 1));
        known.complete(&packet("discover", 9_999_999, &long), NOW);
        assert!(known.complete(&packet("request", 9_999_999, ""), NOW).is_none());
    }
}
