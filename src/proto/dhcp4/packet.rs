//! One DHCPv4 message as plain values, received or to be sent.

use std::net::Ipv4Addr;

use crate::proto::dhcp4::{MessageType, RelayAgent, codes};

/// RFC 2131 2: the only flag.
const BROADCAST_FLAG: u16 = 0x8000;

/// A message. `sname` and `file` end before their first NUL. They are empty if option 52 says that they
/// contain options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpPacket {
    /// 1 from clients, 2 from servers.
    pub op: u8,
    /// Hardware type, 1 for Ethernet (RFC 1700).
    pub htype: u8,
    /// Length of the address in `chaddr`; at most 16 in a parsed packet.
    pub hlen: u8,
    pub hops: u8,
    pub xid: u32,
    /// Unreliable: some firmware swaps its bytes, and iPXE keeps flags in it.
    pub secs: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub chaddr: [u8; 16],
    pub sname: Vec<u8>,
    pub file: Vec<u8>,
    pub options: DhcpOptions,
    /// Faults that the parser skipped; empty for a well-formed packet.
    pub faults: Vec<PacketFault>,
}

/// A fault in a packet that did not stop the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketFault {
    #[error("option {code} cannot be {length} bytes long with this content")]
    BadOption { code: u8, length: usize },
    #[error("option {code} runs past the end of its field")]
    Truncated { code: u8 },
}

impl Default for DhcpPacket {
    fn default() -> Self {
        DhcpPacket {
            op: 1,
            htype: 1,
            hlen: 6,
            hops: 0,
            xid: 0,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: [0; 16],
            sname: Vec::new(),
            file: Vec::new(),
            options: DhcpOptions::default(),
            faults: Vec::new(),
        }
    }
}

impl DhcpPacket {
    /// The client's hardware address: the first `hlen` bytes of `chaddr`.
    pub fn hardware_address(&self) -> &[u8] {
        self.chaddr.get(..usize::from(self.hlen)).unwrap_or(&self.chaddr)
    }

    /// Whether the client asks for a broadcast reply.
    pub fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST_FLAG != 0
    }

    pub fn set_broadcast(&mut self) {
        self.flags |= BROADCAST_FLAG;
    }

    /// Whether a relay forwarded the packet.
    pub fn is_relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }

    /// Whether option `code` was present but could not be parsed. The test uses the bytes, because `faults`
    /// is bounded.
    pub fn has_fault(&self, code: u8) -> bool {
        self.options
            .get(code)
            .is_some_and(|data| codes::by_code(code).is_some_and(|row| !row.kind.accepts(data)))
            || self.faults.contains(&PacketFault::Truncated { code })
    }

    /// Option 53. `None` for BOOTP, or if option 53 could not be parsed.
    pub fn message_type(&self) -> Option<MessageType> {
        match self.options.get(codes::MESSAGE_TYPE) {
            Some([code]) => Some(MessageType::from(*code)),
            _ => None,
        }
    }

    /// Option 54.
    pub fn server_identifier(&self) -> Option<Ipv4Addr> {
        self.address(codes::SERVER_IDENTIFIER)
    }

    /// Option 50.
    pub fn requested_address(&self) -> Option<Ipv4Addr> {
        self.address(codes::REQUESTED_ADDRESS).filter(|address| !address.is_unspecified())
    }

    /// Option 51, seconds.
    pub fn lease_seconds(&self) -> Option<u32> {
        let bytes: [u8; 4] = self.options.get(codes::LEASE_TIME)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    /// Option 55, in the client's order of preference.
    pub fn parameter_list(&self) -> Option<&[u8]> {
        self.options.get(codes::PARAMETER_REQUEST_LIST)
    }

    /// Option 57, the largest IP datagram that the client accepts, in bytes.
    pub fn max_message_bytes(&self) -> Option<u16> {
        let bytes: [u8; 2] = self.options.get(codes::MAX_MESSAGE_SIZE)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    /// Option 60.
    pub fn vendor_class(&self) -> Option<&[u8]> {
        self.options.get(codes::VENDOR_CLASS)
    }

    /// Option 61.
    pub fn client_identifier(&self) -> Option<&[u8]> {
        self.options.get(codes::CLIENT_IDENTIFIER)
    }

    /// Option 12, if it is text.
    pub fn host_name(&self) -> Option<&str> {
        let bytes = self.options.get(codes::HOST_NAME)?;
        std::str::from_utf8(bytes).ok().map(|name| name.trim_end_matches('\0'))
    }

    /// Option 77: whether `class` is one of the client's user classes. Both forms are understood: that of RFC
    /// 3004, with a length before each class, and the bare text that iPXE sends.
    pub fn has_user_class(&self, class: &str) -> bool {
        let Some(bytes) = self.options.get(codes::USER_CLASS) else { return false };
        bytes == class.as_bytes() || sub_fields(bytes).any(|field| field == class.as_bytes())
    }

    /// Option 77: the client's user classes. A value that fits both forms is read in both.
    pub fn user_classes(&self) -> Vec<&[u8]> {
        let Some(bytes) = self.options.get(codes::USER_CLASS) else { return Vec::new() };
        std::iter::once(bytes).chain(sub_fields(bytes)).collect()
    }

    /// Option 82.
    pub fn relay_agent(&self) -> Option<RelayAgent<'_>> {
        self.options.get(codes::RELAY_AGENT).map(RelayAgent::new)
    }

    /// Option 93: every architecture that the client named, in its order.
    pub fn architectures(&self) -> Vec<u16> {
        let bytes = self.options.get(codes::CLIENT_ARCHITECTURES).unwrap_or_default();
        bytes.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect()
    }

    /// Option 97: its type byte and everything that follows.
    pub fn machine_identifier(&self) -> Option<&[u8]> {
        self.options.get(codes::CLIENT_MACHINE_ID)
    }

    /// Option 118 (RFC 3011).
    pub fn subnet_selection(&self) -> Option<Ipv4Addr> {
        self.address(codes::SUBNET_SELECTION).filter(|address| !address.is_unspecified())
    }

    /// Option 175: iPXE's own options, code and value. `None` when the option is absent.
    pub fn ipxe_options(&self) -> Option<Vec<(u8, &[u8])>> {
        let mut bytes = self.options.get(codes::IPXE)?;
        let mut found = Vec::new();
        while let [code, length, rest @ ..] = bytes {
            let Some((data, after)) = rest.split_at_checked(usize::from(*length)) else { break };
            found.push((*code, data));
            bytes = after;
        }
        Some(found)
    }

    fn address(&self, code: u8) -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = self.options.get(code)?.try_into().ok()?;
        Some(Ipv4Addr::from(bytes))
    }
}

/// Fields that consist of a length byte and that many bytes.
fn sub_fields(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first()?;
        let (field, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        Some(field)
    })
}

/// The options of a message, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DhcpOptions(Vec<(u8, Vec<u8>)>);

impl DhcpOptions {
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| *found == code).map(|(_, data)| data.as_slice())
    }

    pub fn contains(&self, code: u8) -> bool {
        self.get(code).is_some()
    }

    /// Sets option `code`, replacing its value.
    pub fn set(&mut self, code: u8, data: impl Into<Vec<u8>>) {
        match self.0.iter_mut().find(|(found, _)| *found == code) {
            Some((_, old)) => *old = data.into(),
            None => self.0.push((code, data.into())),
        }
    }

    /// Appends to the value of option `code`, as a receiver does with repeated options (RFC 3396 7).
    pub fn join(&mut self, code: u8, data: &[u8]) {
        match self.0.iter_mut().find(|(found, _)| *found == code) {
            Some((_, old)) => old.extend_from_slice(data),
            None => self.0.push((code, data.to_vec())),
        }
    }

    /// Adds another instance of option `code`. Only for writing requests that repeat options.
    pub fn push(&mut self, code: u8, data: Vec<u8>) {
        self.0.push((code, data));
    }

    pub fn remove(&mut self, code: u8) {
        self.0.retain(|(found, _)| *found != code);
    }

    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(code, data)| (*code, data.as_slice()))
    }
}
