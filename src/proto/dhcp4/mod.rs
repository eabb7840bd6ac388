//! DHCPv4 packets (RFC 2131, RFC 2132): a tolerant parser, a strict encoder and a text form.
//!
//! It turns any datagram into a [`DhcpPacket`] or a reason to drop it, and a reply into bytes that old ROMs
//! and relays accept. Other modules decide what a message means (`dhcp::decide::classify`), what to answer
//! (`dhcp::decide::answer`), and what a PXE client is (`netboot::decide::client`).
//!
//! The parser does not use a typed decoder: one bad option must not hide the options after it, and no packet
//! may panic the process. `dhcproto` provides the message types, and is the reference in the tests. Start at
//! [`parse()`] and [`DhcpPacket`].

mod capture;
pub mod codes;
mod encode;
mod packet;
mod parse;
mod relay;
mod text;
mod value_type;

pub use capture::{CAPTURE_BYTES_MAX, CapturedPacket, read_capture};
pub use dhcproto::v4::MessageType;
pub use encode::{EncodedPacket, REPLY_BYTES_MIN, encode_listed, encode_reply, payload_bytes_max};
pub use packet::{DhcpOptions, DhcpPacket, PacketFault};
pub use parse::{DATAGRAM_BYTES_MAX, MalformedPacket, parse};
pub use relay::{RelayAgent, RelayVrf};
pub use text::{TextError, from_text, quote, to_text, words};
pub use value_type::ValueType;
