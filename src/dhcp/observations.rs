//! Observations of the networks while DHCP is served: other servers, relays, clients that no subnet fits.
//! They are recorded here and shown by `dhcp_status`. The world is never read while the table is locked.
//! Start at `Dhcp::record_notes`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::dhcp::Dhcp;
use crate::dhcp::decide::{DhcpQuery, NetworkInterface, NetworkObservations, PacketEvent, ServerSighting};
use crate::dhcp::exchange::DecidedPacket;
use crate::dhcp::packet::PacketNote;
use crate::model::event::{DhcpRivalServer, SERVER, UnservedClients, UnservedPacket};
use crate::model::{Cidr, EventBody, Kind, Mac, NewEvent, SubnetMode, UnservedStatus, World};
use crate::netboot::decide::second_stage::OtherBootServer;
use crate::netboot::unknown_clients::{DHCP, UnknownRequest};

/// The observations, and the number of packets that no subnet fits.
#[derive(Debug, Default)]
pub struct ObservationTable {
    table: Mutex<NetworkObservations>,
    /// Number of DHCP packets that no subnet fits.
    pub unserved_packets: AtomicU64,
}

impl Dhcp {
    /// Sets the interfaces that DHCP is served on.
    pub fn dhcp_interfaces(&self, interfaces: Vec<Arc<NetworkInterface>>) {
        let own = interfaces.iter().flat_map(|interface| &interface.addresses).map(|own| own.address);
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).keep_own(own.collect());
        self.sights().interfaces = interfaces;
    }

    /// Records a reply of another DHCP server that was heard on a served interface.
    pub fn record_dhcp_server(&self, heard: ServerSighting) {
        let interfaces = self.sights().interfaces.clone();
        let here = interfaces.iter().find(|interface| interface.name == heard.interface);
        let mut addresses = here.into_iter().flat_map(|interface| &interface.addresses);
        let subnet = self.kernel.read(|world| addresses.find_map(|own| subnet_at(world, own.address)));
        self.note_rival(heard, subnet, self.kernel.now());
    }

    /// Records what a packet shows, each note in the house that keeps it. This empties the notes of the
    /// outcome.
    pub(super) async fn record_notes(&self, query: &DhcpQuery<'_>, decided: &mut DecidedPacket) {
        let now = decided.outcome.decided_at;
        for note in std::mem::take(&mut decided.outcome.notes) {
            let gathered = &decided.gathered;
            match note {
                PacketNote::AddressElsewhere { address, mac } => {
                    self.netboot.record_foreign_address((address.into(), mac), gathered).await;
                }
                PacketNote::BootSign(sign) => {
                    gathered
                        .machine
                        .iter()
                        .for_each(|machine| self.netboot.record_sign(machine, sign.clone()));
                }
                PacketNote::LoaderAsk(asked) => self.netboot.record_loader_ask(asked, gathered),
                PacketNote::MissingLoader { mac, reason } => {
                    self.netboot.record_missing_loader((mac, &reason), gathered);
                }
                PacketNote::Relay { relay, subnet } => {
                    self.sights().relayed(relay, &query.interface.name, subnet.as_deref(), now);
                }
                PacketNote::Unserved(client) => self.note_unserved(client, now),
                PacketNote::OtherServer { heard, subnet } => self.note_rival(heard, Some(subnet), now),
                PacketNote::UnknownClient { mac, subnet } => {
                    self.record_unknown_client(query, decided, (mac, subnet.as_deref()));
                }
            }
        }
    }

    fn note_rival(&self, heard: ServerSighting, subnet: Option<String>, now: Timestamp) {
        let network = subnet.as_ref().and_then(|name| self.kernel.read(|world| proxy_network(world, name)));
        let told = {
            let mut sights = self.sights();
            if sights.is_no_rival(heard.server) {
                return;
            }
            sights.record_server(heard.clone(), subnet.clone(), now)
        };
        // Only a reply of its own tells which boot server it names.
        if let Some(network) = network.filter(|_| heard.mac.is_some()) {
            let other = OtherBootServer { server: heard.server, next_server: heard.next_server };
            self.netboot.record_other_boot_server(network, other);
        }
        if !told || network.is_some() {
            return;
        }
        let (server, interface) = (heard.server, &heard.interface);
        let known = heard.mac.map(|mac| format!(" ({mac})")).unwrap_or_default();
        tracing::warn!(%server, interface, mac = ?heard.mac, "another DHCP server answers on this network");
        let reason = format!("another DHCP server, {server}{known}, answers on {interface}");
        let about = subnet.as_ref().map(|name| Kind::Subnet.subject(name));
        let ServerSighting { server, mac, interface, offered, boots: boot_data, .. } = heard;
        let event = DhcpRivalServer { reason, server, mac, interface, subnet, offered, boot_data };
        self.kernel.note(NewEvent::new(now, event).about(about.unwrap_or_else(|| SERVER.to_owned())));
    }

    fn note_unserved(&self, client: UnservedStatus, now: Timestamp) {
        let Some(packets) = self.sights().unserved.count(client.clone(), now) else { return };
        let UnservedStatus { reason, mac, relay, interface, .. } = client;
        let clients = UnservedClients { reason, mac, relay, interface, packets };
        let body = EventBody::DhcpNoSubnet(UnservedPacket::Clients(clients));
        self.kernel.note(NewEvent::new(now, body));
    }

    /// Records a client that is not a machine here.
    fn record_unknown_client(
        &self,
        query: &DhcpQuery<'_>,
        decided: &DecidedPacket,
        (mac, subnet): (Mac, Option<&str>),
    ) {
        let DecidedPacket { sender, outcome, decision, .. } = decided;
        let reason = match decision {
            Some(decision) if outcome.kind != PacketEvent::NoSubnet => decision.verdict.reason(),
            _ => outcome.reason.as_str(),
        };
        let agent = query.packet.relay_agent();
        let request = UnknownRequest {
            mac: Some(mac),
            address: outcome.address.map(IpAddr::V4),
            vendor: sender.client.vendor.as_deref(),
            arch: sender.client.arches.first().copied(),
            circuit: agent.as_ref().and_then(|agent| agent.circuit_id()),
            relay: query.packet.is_relayed().then_some(query.packet.giaddr),
            subnet,
            interface: Some(&query.interface.name),
            asked: DHCP,
            reason,
        };
        self.netboot.record_unknown_client(&request, outcome.decided_at);
    }

    pub fn sights(&self) -> MutexGuard<'_, NetworkObservations> {
        self.observations.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the enabled subnet that contains an address.
pub fn subnet_at(world: &World, address: Ipv4Addr) -> Option<String> {
    let mut subnets = world.subnets.iter().map(|row| &row.spec);
    subnets.find(|subnet| subnet.enabled && subnet.cidr.contains(address)).map(|subnet| subnet.name.clone())
}

fn proxy_network(world: &World, subnet: &str) -> Option<Cidr> {
    let row = world.subnets.get(subnet)?;
    Some(row.spec.cidr).filter(|_| row.spec.mode == SubnetMode::Proxy)
}

/// Whether another server gives the addresses of a subnet. That server is expected, not a rival.
pub fn is_proxy(world: &World, subnet: Option<&str>) -> bool {
    let row = subnet.and_then(|name| world.subnets.get(name));
    row.is_some_and(|row| row.spec.mode == SubnetMode::Proxy)
}
