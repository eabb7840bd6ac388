//! Classifies a client's message by its fields (RFC 2131 table 4).
//!
//! The destination of the packet does not count: relays and raw sockets change it.

use std::net::Ipv4Addr;

use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// A client's message, with the addresses that its answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientMessage {
    Discover,
    /// A REQUEST that accepts a server's offer.
    Selecting {
        server: Ipv4Addr,
        address: Ipv4Addr,
    },
    /// A REQUEST for an address that the client remembers.
    InitReboot {
        address: Ipv4Addr,
    },
    /// A REQUEST to keep the address in use, in RENEWING or REBINDING.
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
    /// A message without a message type: BOOTP (RFC 951, RFC 1534).
    Bootp,
    /// A request for boot data at the boot server's port.
    BootRequest,
}

/// Why a packet gets no answer, whatever the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnanswerablePacket {
    #[error("it is a reply, not a request")]
    NotARequest,
    #[error("option {0} cannot be read")]
    BadOption(u8),
    #[error("message type {0} is not for a server")]
    Type(u8),
    #[error("it names no address to take or give back")]
    NoAddress,
}

/// Determines what a packet asks for.
pub fn classify(packet: &DhcpPacket) -> Result<ClientMessage, UnanswerablePacket> {
    if packet.op != 1 {
        return Err(UnanswerablePacket::NotARequest);
    }
    // If the server identifier could not be read, SELECTING would look like INIT-REBOOT.
    for code in [codes::MESSAGE_TYPE, codes::SERVER_IDENTIFIER] {
        if packet.has_fault(code) {
            return Err(UnanswerablePacket::BadOption(code));
        }
    }
    let server = packet.server_identifier();
    let in_use = Some(packet.ciaddr).filter(|address| !address.is_unspecified());
    let requested = packet.requested_address().ok_or(UnanswerablePacket::NoAddress);
    let Some(message) = packet.message_type() else { return Ok(ClientMessage::Bootp) };
    match message {
        MessageType::Discover => Ok(ClientMessage::Discover),
        MessageType::Request => match (server, in_use) {
            (Some(server), in_use) => {
                // It takes the address of an offer, whatever address it still uses (RFC 2131 4.3.2).
                let address = requested.ok().or(in_use).ok_or(UnanswerablePacket::NoAddress)?;
                Ok(ClientMessage::Selecting { server, address })
            }
            // Some clients also send option 50; the address in use counts.
            (None, Some(address)) => Ok(ClientMessage::Renewing { address }),
            (None, None) => Ok(ClientMessage::InitReboot { address: requested? }),
        },
        MessageType::Decline => Ok(ClientMessage::Decline { server, address: requested? }),
        MessageType::Release => {
            Ok(ClientMessage::Release { server, address: in_use.ok_or(UnanswerablePacket::NoAddress)? })
        }
        MessageType::Inform => Ok(ClientMessage::Inform),
        other => Err(UnanswerablePacket::Type(u8::from(other))),
    }
}

/// Classifies a message at the boot server's port, where the port says what is wanted: clients send a REQUEST
/// with or without option 54, and some a DISCOVER or INFORM (PXE 2.1, 2.2.6).
pub fn classify_at_boot_server(packet: &DhcpPacket) -> Result<ClientMessage, UnanswerablePacket> {
    if packet.op != 1 {
        return Err(UnanswerablePacket::NotARequest);
    }
    match packet.message_type().ok_or(UnanswerablePacket::BadOption(codes::MESSAGE_TYPE))? {
        MessageType::Discover | MessageType::Request | MessageType::Inform => Ok(ClientMessage::BootRequest),
        other => Err(UnanswerablePacket::Type(u8::from(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::dhcp4::from_text;

    fn of(text: &str) -> Result<ClientMessage, UnanswerablePacket> {
        classify(&from_text(text).unwrap())
    }

    #[test]
    fn requests_are_told_apart_by_54_and_ciaddr() {
        let address = Ipv4Addr::new(10, 0, 0, 100);
        let server = Ipv4Addr::new(10, 0, 0, 1);
        let selecting = "message_type request\nserver_identifier 10.0.0.1\nrequested_address 10.0.0.100";
        assert_eq!(of(selecting), Ok(ClientMessage::Selecting { server, address }));
        let with_another = format!("{selecting}\nciaddr 10.0.0.7");
        assert_eq!(of(&with_another), Ok(ClientMessage::Selecting { server, address }));
        let without_50 = "message_type request\nserver_identifier 10.0.0.1\nciaddr 10.0.0.100";
        assert_eq!(of(without_50), Ok(ClientMessage::Selecting { server, address }));
        let reboot = "message_type request\nrequested_address 10.0.0.100";
        assert_eq!(of(reboot), Ok(ClientMessage::InitReboot { address }));
        let renewing = "message_type request\nciaddr 10.0.0.100\nrequested_address 10.0.0.7";
        assert_eq!(of(renewing), Ok(ClientMessage::Renewing { address }));
    }

    #[test]
    fn a_message_without_a_type_is_bootp() {
        assert_eq!(of("xid 1"), Ok(ClientMessage::Bootp));
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        assert_eq!(of("op reply\nmessage_type offer"), Err(UnanswerablePacket::NotARequest));
        assert_eq!(of("message_type request\noption 54 0a0000"), Err(UnanswerablePacket::BadOption(54)));
        assert_eq!(of("option 53"), Err(UnanswerablePacket::BadOption(53)));
        assert_eq!(of("message_type ack"), Err(UnanswerablePacket::Type(5)));
        assert_eq!(of("message_type decline"), Err(UnanswerablePacket::NoAddress));
    }
}
