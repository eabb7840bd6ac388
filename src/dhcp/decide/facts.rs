//! The facts that the answer to one packet depends on, gathered in one read of the world: the sender, its
//! shared network, its machine, and what that machine should boot. Start at [`PacketFacts::gather`].

use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::dhcp::decide::{ClientKey, DhcpClient, DhcpQuery, Link, NoLink};
use crate::model::{Machine, Stored, World};
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::{BootData, BootDecision};
use crate::proto::dhcp4::MessageType;

/// The facts of one packet. They are valid as long as the world does not change; a repeated decision gathers
/// them again.
#[derive(Debug, Clone)]
pub struct PacketFacts<'a> {
    pub query: DhcpQuery<'a>,
    pub world: &'a World,
    /// The shared network of the client, selected once.
    pub link: Result<Link<'a>, NoLink>,
    /// The client, with its classes.
    pub sender: DhcpClient,
    /// The client's machine, if it is known.
    pub machine: Option<&'a Stored<Machine>>,
    pub boot: BootAnswer,
}

/// The boot decision for a client.
#[derive(Debug, Clone, Default)]
pub struct BootAnswer {
    pub data: BootData,
    /// The decision that `data` comes from; `None` if none was made.
    pub decision: Option<BootDecision>,
    /// The loaders that the client requested before.
    pub asks: Vec<LoaderRequest>,
    /// Whether the packet's boot attempt is on record and must not begin again.
    pub is_attempt_recorded: bool,
    /// When the DISCOVER came for the first time that the packet repeats.
    pub repeated_since: Option<Timestamp>,
}

impl From<BootData> for BootAnswer {
    fn from(data: BootData) -> Self {
        BootAnswer { data, ..BootAnswer::default() }
    }
}

impl<'a> PacketFacts<'a> {
    /// Gathers the facts of a packet, without a boot answer.
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

    /// The name of the selected subnet.
    pub fn subnet(&self) -> Option<&'a str> {
        self.link.as_ref().ok().map(|link| link.selected.name.as_str())
    }

    /// Whether a client class denies the client every answer.
    pub fn is_denied(&self) -> bool {
        self.sender.classes.denying().is_some()
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
