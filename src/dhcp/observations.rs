//! What is seen of the networks while DHCP is served: other servers, relays, clients that no subnet fits.
//! Noted here, shown by `dhcp_status`. The world is never asked while the table is locked. Start reading at
//! [`Dhcp::saw_dhcp`].

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dhcp::Dhcp;
use crate::dhcp::decide::{ClientKey, EventKind, Heard, Interface, Link, Outcome, Query, Sender, Sights};
use crate::model::{Kind, NewEvent, SubnetMode, UnservedStatus, World};
use crate::netboot::decide::decision::Decision;
use crate::proto::dhcp4::MessageType;

/// What was seen, and how many packets no subnet fits.
#[derive(Debug, Default)]
pub struct Observations {
    table: Mutex<Sights>,
    /// DHCP packets that no subnet fits.
    pub unserved_packets: AtomicU64,
}

impl Dhcp {
    /// The interfaces that DHCP is served on, as they are now.
    pub fn dhcp_interfaces(&self, interfaces: Vec<Arc<Interface>>) {
        let own = interfaces.iter().flat_map(|interface| &interface.addresses).map(|own| own.address);
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).keep_own(own.collect());
        self.sights().interfaces = interfaces;
    }

    /// A reply of some DHCP server was heard on an interface that is served.
    pub fn heard_dhcp_server(&self, heard: Heard) {
        let interfaces = self.sights().interfaces.clone();
        let here = interfaces.iter().find(|interface| interface.name == heard.interface);
        let mut addresses = here.into_iter().flat_map(|interface| &interface.addresses);
        let subnet = {
            let world = self.kernel.world();
            addresses.find_map(|own| subnet_at(&world, own.address))
        };
        self.note_rival(heard, subnet, self.kernel.now());
    }

    /// What a packet, and what was decided for it, tell of the network it came from.
    pub fn saw_dhcp(&self, query: &Query<'_>, outcome: &Outcome, now: Timestamp) {
        let packet = query.packet;
        if packet.is_relayed() {
            let subnet =
                Link::select(query, &self.kernel.world()).ok().map(|link| link.selected.name.clone());
            self.sights().relayed(packet.giaddr, &query.interface.name, subnet.as_deref(), now);
        }
        if outcome.event == EventKind::NoSubnet {
            self.note_unserved(query, outcome, now);
        }
        let named =
            packet.server_identifier().filter(|_| packet.message_type() == Some(MessageType::Request));
        if let Some(server) = named.filter(|server| !query.interface.has_address(*server)) {
            self.chose_rival(query, server, now);
        }
    }

    /// A client asks another server for its address (RFC 2131 3.1, step 3): that one exists, wherever it is.
    fn chose_rival(&self, query: &Query<'_>, server: Ipv4Addr, now: Timestamp) {
        let subnet = {
            let world = self.kernel.world();
            let Ok(link) = Link::select(query, &world) else { return };
            if query.is_to(&link, server) {
                return;
            }
            link.selected.name.clone()
        };
        let interface = query.interface.name.clone();
        let offered = query.packet.requested_address();
        self.note_rival(Heard { server, mac: None, interface, offered, boots: false }, Some(subnet), now);
    }

    fn note_rival(&self, heard: Heard, subnet: Option<String>, now: Timestamp) {
        let told = {
            let mut sights = self.sights();
            !sights.is_no_rival(heard.server) && sights.hear(heard.clone(), subnet.clone(), now)
        };
        if !told || is_proxy(&self.kernel.world(), subnet.as_deref()) {
            return;
        }
        let (server, interface) = (heard.server, &heard.interface);
        let known = heard.mac.map(|mac| format!(" ({mac})")).unwrap_or_default();
        tracing::warn!(%server, interface, mac = ?heard.mac, "another DHCP server answers on this network");
        let data = json!({
            "reason": format!("another DHCP server, {server}{known}, answers on {interface}"),
            "server": heard.server,
            "mac": heard.mac,
            "interface": heard.interface,
            "subnet": subnet,
            "offered": heard.offered,
            "boot_data": heard.boots,
        });
        self.kernel.note(noticed(now, ("dhcp.rival_server", subnet.as_deref()), data));
    }

    fn note_unserved(&self, query: &Query<'_>, outcome: &Outcome, now: Timestamp) {
        let packet = query.packet;
        let client = UnservedStatus {
            reason: outcome.reason.clone(),
            packets: 0,
            last_seen: now,
            mac: ClientKey::mac_of(packet),
            relay: packet.is_relayed().then_some(packet.giaddr),
            interface: query.interface.name.clone(),
        };
        self.observations.unserved_packets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let Some(packets) = self.sights().unserved.count(client.clone(), now) else { return };
        let data = json!({
            "reason": client.reason,
            "mac": client.mac,
            "relay": client.relay,
            "interface": client.interface,
            "packets": packets,
        });
        self.kernel.note(noticed(now, (EventKind::NoSubnet.as_str(), None), data));
    }

    /// A DHCP packet of a client that is no machine here, and what was decided for it. Only who wants to boot
    /// is told of, and who no subnet fits.
    pub(super) fn saw_unknown_client(
        &self,
        (query, sender): (&Query<'_>, &Sender),
        (outcome, decision): (&Outcome, &Decision),
        now: Timestamp,
    ) {
        let is_unserved = outcome.event == EventKind::NoSubnet;
        if !(sender.client.is_netboot() || is_unserved) {
            return;
        }
        let Some(mac) = ClientKey::mac_of(query.packet) else { return };
        if !self.netboot.is_unknown_client_due(mac, now) {
            return;
        }
        let subnet = {
            let world = self.kernel.world();
            let link = Link::select(query, &world);
            link.ok().map(|link| link.selected.name.clone())
        };
        let relay = query.packet.is_relayed().then(|| query.packet.giaddr.to_string());
        let reason = if is_unserved { outcome.reason.as_str() } else { decision.verdict.reason() };
        tracing::info!(
            mac = mac.to_string(),
            vendor_class = sender.client.vendor,
            arch = sender.client.arches.first(),
            address = outcome.address.map(|address| address.to_string()),
            subnet,
            interface = query.interface.name,
            relay,
            reason,
            "an unknown client asks over DHCP: no machine has its MAC"
        );
    }

    pub fn sights(&self) -> MutexGuard<'_, Sights> {
        self.observations.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the enabled subnet that contains an address.
pub fn subnet_at(world: &World, address: Ipv4Addr) -> Option<String> {
    let mut subnets = world.subnets.iter().map(|row| &row.spec);
    subnets.find(|subnet| subnet.enabled && subnet.cidr.contains(address)).map(|subnet| subnet.name.clone())
}

/// Whether a subnet has its addresses from another server, which is then no rival.
pub fn is_proxy(world: &World, subnet: Option<&str>) -> bool {
    let row = subnet.and_then(|name| world.subnets.get(name));
    row.is_some_and(|row| row.spec.mode == SubnetMode::Proxy)
}

/// An event that the server noticed by itself.
fn noticed(time: Timestamp, (kind, subnet): (&str, Option<&str>), data: Value) -> NewEvent {
    NewEvent {
        time,
        kind: kind.to_owned(),
        subject: subnet.map_or_else(|| "server".to_owned(), |name| Kind::Subnet.subject(name)),
        actor: "server".to_owned(),
        attempt: None,
        data,
    }
}
