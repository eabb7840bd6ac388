//! Addresses that another server gives, as overheard from the clients' REQUESTs.

use std::net::Ipv4Addr;

use crate::dhcp::decide::{BOOT_SERVER_PORT, ClientKey, ClientMessage, PacketFacts, classify};
use crate::model::{Mac, SubnetMode};

/// The address that another server gives to the sender, if the packet tells: a REQUEST that accepts another
/// server's offer, or any REQUEST for the present address in a subnet of another server.
pub fn address_elsewhere(facts: &PacketFacts<'_>) -> Option<(Ipv4Addr, Mac)> {
    let query = &facts.query;
    let mac = ClientKey::mac_of(query.packet)?;
    // The message type alone excludes most packets.
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
