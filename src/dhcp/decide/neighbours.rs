//! Who has which address, where another server gives it, as the clients' own REQUESTs tell.

use std::net::Ipv4Addr;

use crate::dhcp::decide::{BOOT_SERVER_PORT, ClientKey, ClientMessage, PacketFacts, classify};
use crate::model::{Mac, SubnetMode};

/// The address that another server gives to the client that sent this, if the packet tells: the REQUEST that
/// takes another's offer, and any that goes on with an address where all are another's.
pub fn address_elsewhere(facts: &PacketFacts<'_>) -> Option<(Ipv4Addr, Mac)> {
    let query = &facts.query;
    let mac = ClientKey::mac_of(query.packet)?;
    // The message type alone rules out most packets.
    let (address, server) = if query.port == BOOT_SERVER_PORT {
        (query.packet.ciaddr, None)
    } else {
        match classify(query.packet).ok()? {
            ClientMessage::Selecting { server, .. } if query.interface.has_address(server) => return None,
            ClientMessage::Selecting { server, address } => (address, Some(server)),
            ClientMessage::InitReboot { address } | ClientMessage::Renewing { address } => (address, None),
            ClientMessage::Inform => (query.packet.ciaddr, None),
            _ => return None,
        }
    };
    let link = facts.link.as_ref().ok()?;
    let is_anothers = match server {
        Some(server) => !query.is_to(link, server),
        None => link.selected.mode == SubnetMode::Proxy,
    };
    (is_anothers && link.subnet_of(address).is_some()).then_some((address, mac))
}
