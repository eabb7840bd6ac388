//! Where a packet came from: the interface, and the subnets of the client's wire.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::dhcp::decide::BOOT_SERVER_PORT;
use crate::dhcp::decide::destination::{SERVER_PORT, relay_answers_at};
use crate::model::{Cidr, Octets, Subnet, World};
use crate::proto::dhcp4::{DhcpPacket, MessageType, RelayVrf};

/// Most bytes of a VRF's name that people are shown.
const VRF_SHOWN_MAX: usize = 64;

/// A network interface, as the operating system reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterface {
    pub name: String,
    pub index: u32,
    pub addresses: Vec<InterfaceAddress>,
    /// Largest IP datagram, in bytes.
    pub mtu: u32,
}

/// An address of an interface, and the prefix length of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl NetworkInterface {
    pub fn has_address(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|own| own.address == address)
    }

    /// Whether `address` can be reached without a router.
    pub fn is_on_link(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|own| {
            let network = Cidr { address: Ipv4Addr::UNSPECIFIED, prefix: own.prefix };
            let mask = network.mask().to_bits();
            own.address.to_bits() & mask == address.to_bits() & mask
        })
    }
}

/// The address that clients of a subnet get for this server, which has these interfaces.
pub fn own_boot_server<'a>(
    subnet: &Subnet,
    interfaces: impl IntoIterator<Item = &'a NetworkInterface>,
) -> Option<Ipv4Addr> {
    let mut own = interfaces.into_iter().flat_map(|interface| &interface.addresses).map(|own| own.address);
    subnet.next_server.or_else(|| own.find(|own| subnet.cidr.contains(*own)))
}

/// A request and how it arrived.
#[derive(Debug, Clone, Copy)]
pub struct DhcpQuery<'a> {
    pub packet: &'a DhcpPacket,
    pub interface: &'a NetworkInterface,
    pub source: SocketAddrV4,
    /// The server's address that the request was sent to; `None` if it was broadcast.
    pub local: Option<Ipv4Addr>,
    /// The server's port that the request was sent to: 67, or 4011 for the boot server of PXE. Replies leave
    /// from it.
    pub port: u16,
}

impl DhcpQuery<'_> {
    /// The source address of replies: the address that the request was sent to, else the interface's address
    /// in `link`, else its first address. `None` if the interface has no IPv4 address.
    pub fn source_address(&self, link: &Link<'_>) -> Option<Ipv4Addr> {
        self.local.filter(|local| !local.is_broadcast()).or_else(|| {
            self.interface
                .addresses
                .iter()
                .find(|own| link.subnet_of(own.address).is_some())
                .or(self.interface.addresses.first())
                .map(|own| own.address)
        })
    }

    /// Whether the packet was sent on the interface's own wire: it was broadcast there. A unicast packet may
    /// have come through routers.
    pub fn is_from_here(&self) -> bool {
        let was_broadcast = self.local.is_none_or(|local| local.is_broadcast());
        was_broadcast && !self.packet.is_relayed()
    }

    /// The address that the client says it uses. For an INFORM without one it is the source address; at the
    /// boot server's port the source address comes first. A DISCOVER has none, whatever it says (RFC 2131
    /// table 5).
    pub fn address_in_use(&self) -> Option<Ipv4Addr> {
        let (said, source) = (specified(self.packet.ciaddr), specified(*self.source.ip()));
        match self.packet.message_type() {
            _ if self.port == BOOT_SERVER_PORT => source.or(said),
            Some(MessageType::Discover) => None,
            Some(MessageType::Inform) if !self.packet.is_relayed() => said.or(source),
            _ => said,
        }
    }

    /// Whether `server` names this server: its identifier in `link`, or an address of the interface.
    pub fn is_to(&self, link: &Link<'_>, server: Ipv4Addr) -> bool {
        let ours = [server_identifier(self, link), self.source_address(link)];
        ours.contains(&Some(server)) || self.interface.has_address(server)
    }
}

fn specified(address: Ipv4Addr) -> Option<Ipv4Addr> {
    Some(address).filter(|address| !address.is_unspecified())
}

/// The server identifier (option 54) of replies: the one that the relay asks for (RFC 5107), else the source
/// address.
pub fn server_identifier(query: &DhcpQuery<'_>, link: &Link<'_>) -> Option<Ipv4Addr> {
    let relay = query.packet.relay_agent().filter(|_| query.packet.is_relayed());
    relay.and_then(|agent| agent.server_id_override()).or_else(|| query.source_address(link))
}

/// The subnets that a client can get an address of: the selected one, then those on the same wire.
#[derive(Debug, Clone)]
pub struct Link<'a> {
    pub selected: &'a Subnet,
    pub subnets: Vec<&'a Subnet>,
    /// Whether the relay names a VRF, and the selected subnet is in it (RFC 6607).
    pub is_in_vrf: bool,
}

/// Why no subnet was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLink {
    #[error("no subnet contains {address}, which is the {what}")]
    NoSubnet { address: Ipv4Addr, what: &'static str },
    #[error("no subnet contains an address of interface {0}")]
    NoInterfaceSubnet(String),
    #[error("the packet names {0} as its relay, which cannot be the address of a relay")]
    NoRelay(Ipv4Addr),
    #[error("the relay names {told}, and subnet {subnet} is not in it: check the subnet's `vrf`")]
    OtherVrf { told: String, subnet: String },
    #[error("subnet {0} is not enabled")]
    Disabled(String),
}

impl<'a> Link<'a> {
    /// Selects the subnet. The first of these that fits counts: link selection of the relay (RFC 3527),
    /// subnet selection (RFC 3011), the relay's address, the address in use, an address of the interface. The
    /// first two are ignored if the subnet that the others lead to says so. A relay that names a VRF (RFC
    /// 6607) leads to no subnet of another VRF.
    pub fn select(query: &DhcpQuery<'_>, world: &'a World) -> Result<Link<'a>, NoLink> {
        let packet = query.packet;
        let relay = packet.relay_agent().filter(|_| packet.is_relayed());
        let told = [
            (relay.and_then(|agent| agent.link_selection()), "relay's link selection"),
            (packet.subnet_selection(), "client's subnet selection"),
        ];
        let told = told.into_iter().find_map(|(address, what)| Some((address?, what)));
        let vrf = relay.and_then(|agent| agent.vrf());
        let by_place = Link::by_place(query, (world, vrf));
        check_relay(query, by_place.as_ref().ok().copied())?;
        let heeded = told.filter(|_| !by_place.as_ref().is_ok_and(|subnet| subnet.ignore_link_selection));
        let subnet = match heeded {
            Some((address, what)) => {
                containing((world, vrf), address).ok_or(NoLink::NoSubnet { address, what })?
            }
            None => by_place?,
        };
        Ok(Link { is_in_vrf: is_in_vrf(subnet, vrf)?, ..Link::of(subnet, world)? })
    }

    /// The subnet by where the packet came from: the relay, the address in use, the interface. A broadcast
    /// came from the interface's wire, whatever address the client has (RFC 2131 4.3.2).
    fn by_place(
        query: &DhcpQuery<'_>,
        (world, vrf): (&'a World, Option<RelayVrf<'_>>),
    ) -> Result<&'a Subnet, NoLink> {
        let packet = query.packet;
        if packet.is_relayed() {
            let no_subnet = NoLink::NoSubnet { address: packet.giaddr, what: "relay's address" };
            let found = containing((world, vrf), packet.giaddr).or_else(|| only_one_of(world, vrf?));
            return found.ok_or(no_subnet);
        }
        let at = |address| containing((world, vrf), address);
        let own = || query.interface.addresses.iter().filter_map(|own| at(own.address));
        let in_use = query.address_in_use().and_then(at);
        let in_use = in_use
            .filter(|subnet| !query.is_from_here() || own().any(|own| own.network() == subnet.network()));
        let subnet = in_use.or_else(|| own().next());
        subnet.ok_or_else(|| NoLink::NoInterfaceSubnet(query.interface.name.clone()))
    }

    fn of(selected: &'a Subnet, world: &'a World) -> Result<Link<'a>, NoLink> {
        if !selected.enabled {
            return Err(NoLink::Disabled(selected.name.clone()));
        }
        let mut subnets = vec![selected];
        let network = selected.network();
        let others = world.subnets.iter().map(|row| &row.spec);
        subnets.extend(
            others.filter(|other| other.enabled && other.name != selected.name && other.network() == network),
        );
        Ok(Link { selected, subnets, is_in_vrf: false })
    }

    /// The name of the network within which leases are unique.
    pub fn network(&self) -> &'a str {
        self.selected.network()
    }

    /// Whether `address` can be a client's address on this link.
    pub fn has_host(&self, address: Ipv4Addr) -> bool {
        self.subnet_of(address).is_some_and(|subnet| subnet.cidr.has_host(address))
    }

    /// The subnet of this link that contains `address`.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&'a Subnet> {
        self.subnets.iter().copied().find(|subnet| subnet.cidr.contains(address))
    }
}

/// Checks the relay's address of a packet: replies must not go to this server itself or to all hosts of a
/// network. `subnet` is the one that the relay is in or relays for.
fn check_relay(query: &DhcpQuery<'_>, subnet: Option<&Subnet>) -> Result<(), NoLink> {
    let giaddr = query.packet.giaddr;
    let of_many = giaddr.is_broadcast() || giaddr.is_multicast();
    let of_no_host =
        subnet.is_some_and(|subnet| subnet.cidr.contains(giaddr) && !subnet.cidr.has_host(giaddr));
    let elsewhere = giaddr.is_loopback() && !query.interface.is_on_link(giaddr);
    // Another program on this computer may relay, from another port.
    let answer = relay_answers_at(query);
    let to_us = query.interface.has_address(*answer.ip()) && answer.port() == SERVER_PORT;
    let is_none = query.packet.is_relayed() && (of_many || of_no_host || elsewhere || to_us);
    if is_none { Err(NoLink::NoRelay(giaddr)) } else { Ok(()) }
}

/// The subnet of an address or of a relay. Several subnets may list a relay that names VRFs.
fn containing<'a>((world, vrf): (&'a World, Option<RelayVrf<'_>>), address: Ipv4Addr) -> Option<&'a Subnet> {
    let all = || world.subnets.iter().map(|row| &row.spec);
    let mut relayed = all().filter(|subnet| subnet.relays.contains(&address));
    all().find(|subnet| subnet.cidr.contains(address)).or_else(|| {
        let first = relayed.next()?;
        let of_vrf =
            vrf.and_then(|vrf| std::iter::once(first).chain(relayed).find(|subnet| is_named(subnet, vrf)));
        of_vrf.or(Some(first))
    })
}

/// The name of a VRF for people; a relay may send a long one.
pub(super) fn vrf_text(name: &[u8]) -> Octets {
    Octets::new(name.get(..VRF_SHOWN_MAX).unwrap_or(name))
}

/// The enabled subnet of a VRF, if no other network is in that VRF.
fn only_one_of<'a>(world: &'a World, vrf: RelayVrf<'_>) -> Option<&'a Subnet> {
    let all = world.subnets.iter().map(|row| &row.spec);
    let mut of_vrf = all.filter(|subnet| subnet.enabled && subnet.vrf.is_some() && is_named(subnet, vrf));
    let first = of_vrf.next()?;
    of_vrf.all(|other| other.network() == first.network()).then_some(first)
}

/// Whether a relay's VRF is that of the subnet.
fn is_named(subnet: &Subnet, vrf: RelayVrf<'_>) -> bool {
    match vrf {
        RelayVrf::Named(name) => subnet.vrf.as_ref().is_some_and(|own: &Octets| own.as_bytes() == name),
        RelayVrf::Global => subnet.vrf.is_none(),
    }
}

/// Whether the subnet was selected with the VRF that the relay names. A subnet without a VRF serves clients
/// of all, but the relay is not told that its VRF was understood.
fn is_in_vrf(subnet: &Subnet, vrf: Option<RelayVrf<'_>>) -> Result<bool, NoLink> {
    let Some(vrf) = vrf else { return Ok(false) };
    if subnet.vrf.is_none() || is_named(subnet, vrf) {
        return Ok(is_named(subnet, vrf));
    }
    let told = match vrf {
        RelayVrf::Named(name) => format!("the VRF `{}`", vrf_text(name)),
        RelayVrf::Global => "the network without a VRF".to_owned(),
    };
    Err(NoLink::OtherVrf { told, subnet: subnet.name.clone() })
}
