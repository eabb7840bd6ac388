//! What a client wants, told by what its message carries (RFC 2131 table 4).
//!
//! Never by where the packet was sent: relays and raw sockets change that.

use std::net::Ipv4Addr;

use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// A client's message, with the addresses that decide its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Discover,
    /// A REQUEST that takes one server's offer.
    Selecting {
        server: Ipv4Addr,
        address: Ipv4Addr,
    },
    /// A REQUEST for an address the client remembers.
    InitReboot {
        address: Ipv4Addr,
    },
    /// A REQUEST to go on with the address in use: RENEWING and REBINDING alike.
    Renewing {
        address: Ipv4Addr,
    },
    Decline {
        server: Option<Ipv4Addr>,
        address: Ipv4Addr,
    },
    Release {
        server: Option<Ipv4Addr>,
        address: Ipv4Addr,
    },
    Inform,
    /// No message type at all: BOOTP (RFC 951, RFC 1534).
    Bootp,
    /// Boot data, asked for at the boot server's port.
    BootRequest,
}

/// Why a packet gets no answer whatever is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    #[error("it is a reply, not a request")]
    NotARequest,
    #[error("option {0} cannot be read")]
    BadOption(u8),
    #[error("message type {0} is not for a server")]
    Type(u8),
    #[error("it names no address to take or give back")]
    NoAddress,
}

/// Tells what a packet wants.
pub fn classify(packet: &DhcpPacket) -> Result<Message, Unanswerable> {
    if packet.op != 1 {
        return Err(Unanswerable::NotARequest);
    }
    // A server identifier that cannot be read would turn SELECTING into INIT-REBOOT.
    for code in [codes::MESSAGE_TYPE, codes::SERVER_IDENTIFIER] {
        if packet.has_fault(code) {
            return Err(Unanswerable::BadOption(code));
        }
    }
    let server = packet.server_identifier();
    let in_use = Some(packet.ciaddr).filter(|address| !address.is_unspecified());
    let requested = packet.requested_address().ok_or(Unanswerable::NoAddress);
    let Some(message) = packet.message_type() else { return Ok(Message::Bootp) };
    match message {
        MessageType::Discover => Ok(Message::Discover),
        MessageType::Request => match (server, in_use) {
            (Some(server), in_use) => {
                Ok(Message::Selecting { server, address: in_use.map_or(requested, Ok)? })
            }
            // Some clients send option 50 as well; what they use counts.
            (None, Some(address)) => Ok(Message::Renewing { address }),
            (None, None) => Ok(Message::InitReboot { address: requested? }),
        },
        MessageType::Decline => Ok(Message::Decline { server, address: requested? }),
        MessageType::Release => {
            Ok(Message::Release { server, address: in_use.ok_or(Unanswerable::NoAddress)? })
        }
        MessageType::Inform => Ok(Message::Inform),
        other => Err(Unanswerable::Type(u8::from(other))),
    }
}

/// Reads a message that came to the boot server's port. There the port says what is wanted: clients send a
/// REQUEST with or without 54, and some a DISCOVER or INFORM (PXE 2.1, 2.2.6).
pub fn classify_at_boot_server(packet: &DhcpPacket) -> Result<Message, Unanswerable> {
    if packet.op != 1 {
        return Err(Unanswerable::NotARequest);
    }
    match packet.message_type().ok_or(Unanswerable::BadOption(codes::MESSAGE_TYPE))? {
        MessageType::Discover | MessageType::Request | MessageType::Inform => Ok(Message::BootRequest),
        other => Err(Unanswerable::Type(u8::from(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    fn of(text: &str) -> Result<Message, Unanswerable> {
        classify(&from_text(text).unwrap())
    }

    #[test]
    fn requests_are_told_apart_by_54_and_ciaddr() {
        let address = Ipv4Addr::new(10, 0, 0, 100);
        let server = Ipv4Addr::new(10, 0, 0, 1);
        let selecting = "message_type request\nserver_identifier 10.0.0.1\nrequested_address 10.0.0.100";
        assert_eq!(of(selecting), Ok(Message::Selecting { server, address }));
        let reboot = "message_type request\nrequested_address 10.0.0.100";
        assert_eq!(of(reboot), Ok(Message::InitReboot { address }));
        let renewing = "message_type request\nciaddr 10.0.0.100\nrequested_address 10.0.0.7";
        assert_eq!(of(renewing), Ok(Message::Renewing { address }));
    }

    #[test]
    fn a_message_without_a_type_is_bootp() {
        assert_eq!(of("xid 1"), Ok(Message::Bootp));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        assert_eq!(of("op reply\nmessage_type offer"), Err(Unanswerable::NotARequest));
        assert_eq!(of("message_type request\noption 54 0a0000"), Err(Unanswerable::BadOption(54)));
        assert_eq!(of("option 53"), Err(Unanswerable::BadOption(53)));
        assert_eq!(of("message_type ack"), Err(Unanswerable::Type(5)));
        assert_eq!(of("message_type decline"), Err(Unanswerable::NoAddress));
    }
}
