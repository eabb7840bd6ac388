//! DHCPv4 packets (RFC 2131, RFC 2132): a tolerant reader, a strict writer and a text form.
//!
//! For: turning any datagram into a [`DhcpPacket`] or a reason to drop it, and a reply into bytes that
//! old ROMs and relays accept. Leaves to others: what a message means (`dhcp::decide::classify`), what to
//! answer (`dhcp::decide::answer`), what a PXE client is (`netboot::decide::client`).
//!
//! The reader does not lean on a typed decoder: one bad option must not hide the ones after it
//! and no packet may panic the process. `dhcproto` gives the message types, and is the second
//! opinion in the tests. Start reading at [`parse()`] and [`DhcpPacket`].

pub mod codes;
mod encode;
mod packet;
mod parse;
mod relay;
mod text;
mod value_type;

pub use dhcproto::v4::MessageType;
pub use encode::{EncodedPacket, REPLY_BYTES_MIN, encode_listed, encode_reply, payload_bytes_max};
pub use packet::{DhcpOptions, DhcpPacket, PacketFault};
pub use parse::{DATAGRAM_BYTES_MAX, MalformedPacket, parse};
pub use relay::RelayAgent;
pub use text::{TextError, from_text, quote, to_text, words};
pub use value_type::ValueType;
