//! Everything that the answer to one packet is decided from, gathered in one look at the world: who sent the
//! packet, its shared network, its machine, and what that machine is to boot. Start at
//! [`PacketFacts::gather`].

use std::net::Ipv4Addr;

use crate::dhcp::decide::{ClientKey, DhcpClient, DhcpQuery, Link, NoLink};
use crate::model::{Machine, Stored, World};
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::{BootData, BootDecision};
use crate::proto::dhcp4::MessageType;

/// The facts of one packet. They are valid while the world is not changed; an answer that is decided again
/// has new ones.
#[derive(Debug, Clone)]
pub struct PacketFacts<'a> {
    pub query: DhcpQuery<'a>,
    pub world: &'a World,
    /// The shared network of the client, selected once.
    pub link: Result<Link<'a>, NoLink>,
    /// The client, with its classes.
    pub sender: DhcpClient,
    /// The machine the client belongs to, if it is known.
    pub machine: Option<&'a Stored<Machine>>,
    pub boot: BootAnswer,
}

/// What the boot decision has for a client.
#[derive(Debug, Clone, Default)]
pub struct BootAnswer {
    pub data: BootData,
    /// The decision that `data` comes from; `None` where nobody asked for one.
    pub decision: Option<BootDecision>,
    /// The loaders that the client asked for before.
    pub asks: Vec<LoaderRequest>,
    /// The boot attempt that the packet belongs to is on record: it is not to be begun again.
    pub is_attempt_recorded: bool,
}

impl From<BootData> for BootAnswer {
    fn from(data: BootData) -> Self {
        BootAnswer { data, ..BootAnswer::default() }
    }
}

impl<'a> PacketFacts<'a> {
    /// The facts that the world has for a packet, without a boot answer.
    pub fn gather(query: DhcpQuery<'a>, world: &'a World) -> Self {
        let link = Link::select(&query, world);
        let sender = DhcpClient::of(&query, (world, link.as_ref().ok()));
        let machine = find_machine(&query, &sender, world);
        PacketFacts { query, world, link, sender, machine, boot: BootAnswer::default() }
    }

    /// The server address that the client gets for its boot files.
    pub fn boot_server(&self) -> Option<Ipv4Addr> {
        let link = self.link.as_ref().ok()?;
        link.selected.next_server.or_else(|| self.query.source_address(link))
    }

    /// The name of the subnet that was selected.
    pub fn subnet(&self) -> Option<&'a str> {
        self.link.as_ref().ok().map(|link| link.selected.name.as_str())
    }

    pub fn is_discover(&self) -> bool {
        self.query.packet.message_type() == Some(MessageType::Discover)
    }
}

/// The machine that sent a packet: by its hardware address, else by its SMBIOS UUID in either byte order.
fn find_machine<'a>(
    query: &DhcpQuery<'_>,
    sender: &DhcpClient,
    world: &'a World,
) -> Option<&'a Stored<Machine>> {
    let mac = ClientKey::mac_of(query.packet);
    let by_mac = mac.and_then(|mac| world.machines.find("mac", &mac.to_string()));
    by_mac
        .or_else(|| {
            let aliases = sender.client.uuid_aliases()?;
            aliases.iter().find_map(|uuid| world.machines.find("smbios_uuid", &uuid.to_string()))
        })
        .map(|machine| &**machine)
}
