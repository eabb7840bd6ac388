//! The status of DHCP: interfaces, the answer that an unknown machine would get, pools, other servers. Start
//! at [`Dhcp::dhcp_status`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};

use crate::dhcp;
use crate::dhcp::Dhcp;
use crate::dhcp::decide::{
    DhcpAnswer, DhcpQuery, NetworkInterface, NetworkObservations, OtherServer, PacketFacts, answer,
    own_boot_server, pool_parts,
};
use crate::dhcp::observations::{is_proxy, subnet_at};
use crate::kernel::Caller;
use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::model::{
    AddressKey, DhcpStatus, ExampleAnswer, InterfaceStatus, Lease, LeaseState, Machine, RivalStatus,
    ServiceStatus, Stored, Subnet, SubnetMode, SubnetStatus, World,
};
use crate::netboot::decide::second_stage::OtherBootServer;
use jiff::Timestamp;

impl Dhcp {
    /// Sets the function that tells the state of the DHCP service's sockets.
    pub fn set_dhcp_service(&self, service: impl Fn() -> ServiceStatus + Send + Sync + 'static) {
        // Called once, at the start.
        let _ = self.service_status.set(Box::new(service));
    }

    fn dhcp_service(&self) -> ServiceStatus {
        self.service_status.get().map(|service| service()).unwrap_or_default()
    }

    /// The present status of DHCP, with the subnets that the caller may see.
    pub fn dhcp_status(&self, caller: &Caller) -> DhcpStatus {
        let now = self.kernel.now();
        let sights = self.sights().clone();
        let service = self.dhcp_service();
        let interfaces = sights.interfaces.iter().map(|interface| self.interface_status(interface)).collect();
        let own = sights.interfaces.iter().flat_map(|interface| &interface.addresses);
        let mut own: Vec<Ipv4Addr> = own.map(|own| own.address).collect();
        own.sort_unstable();
        own.dedup();
        self.kernel.read(|world| {
            let mut status = DhcpStatus {
                warnings: Vec::new(),
                service,
                store: self.kernel.store_status(),
                interfaces,
                subnets: subnets(caller, world, (&own, now)),
                relays: sights.relays().cloned().collect(),
                servers: sights.rivals().map(|seen| rival((seen, &sights.interfaces), world)).collect(),
                unserved: sights.unserved.recent.iter().cloned().collect(),
                unserved_packets: sights.unserved.packets,
            };
            status.warnings = warnings(&status, &sights, now);
            status
        })
    }

    /// How full the subnets are.
    pub fn subnet_counts(&self) -> Vec<SubnetStatus> {
        let now = self.kernel.now();
        let mut own: Vec<Ipv4Addr> = {
            let sights = self.sights();
            let own = sights.interfaces.iter().flat_map(|interface| &interface.addresses);
            own.map(|own| own.address).collect()
        };
        own.sort_unstable();
        own.dedup();
        self.kernel.read(|world| subnets(&Caller::server(now), world, (&own, now)))
    }

    /// Warnings for a page that everybody may read, without addresses: interfaces with another DHCP server,
    /// and a service that cannot receive packets.
    pub fn dhcp_warnings(&self) -> Vec<String> {
        let now = self.kernel.now();
        let sights = self.sights().clone();
        self.kernel.read(|world| {
            let rivals = sights.rivals().filter(|seen| seen.is_present(now));
            let unexpected = rivals.filter(|seen| !is_proxy(world, seen.subnet.as_deref()));
            let interfaces: BTreeSet<&str> = unexpected.map(|seen| seen.heard.interface.as_str()).collect();
            deaf(&self.dhcp_service())
                .into_iter()
                .chain(interfaces.into_iter().map(|name| {
                    format!("another DHCP server answers on {name}: see metalwright doctor dhcp {name}")
                }))
                .collect()
        })
    }

    fn interface_status(&self, interface: &Arc<NetworkInterface>) -> InterfaceStatus {
        let addresses = interface.addresses.iter().map(|own| format!("{}/{}", own.address, own.prefix));
        let mut own = interface.addresses.iter().map(|own| own.address);
        let subnet = self.kernel.read(|world| own.find_map(|address| subnet_at(world, address)));
        InterfaceStatus {
            name: interface.name.clone(),
            addresses: addresses.collect(),
            mtu: interface.mtu,
            subnet,
            example: self.example(interface),
        }
    }

    /// The answer to an unknown machine. Nothing is held or written.
    fn example(&self, interface: &NetworkInterface) -> ExampleAnswer {
        let packet = dhcp::decide::example_discover();
        let query = dhcp::decide::example_query(&packet, interface);
        self.kernel.read(|world| self.would_answer(world, &query, None))
    }

    /// The answer that a packet of a machine with nothing to boot would get. Nothing is held or written.
    pub fn would_answer(
        &self,
        world: &World,
        query: &DhcpQuery<'_>,
        machine: Option<&Stored<Machine>>,
    ) -> ExampleAnswer {
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = PacketFacts { machine, ..PacketFacts::gather(*query, world) };
        answer(&facts, &offers, self.kernel.now()).into()
    }

    /// The served interfaces of a subnet, and a relay that its packets came through.
    pub fn seen_at(&self, subnet: &str) -> (Vec<Arc<NetworkInterface>>, Option<Ipv4Addr>) {
        let sights = self.sights();
        let relay = sights.relays().find(|relay| relay.subnet.as_deref() == Some(subnet));
        (sights.interfaces.clone(), relay.map(|relay| relay.address))
    }
}

impl From<DhcpAnswer> for ExampleAnswer {
    fn from(outcome: DhcpAnswer) -> Self {
        ExampleAnswer {
            event: outcome.event.as_str().to_owned(),
            reason: outcome.reason,
            address: outcome.address,
        }
    }
}

fn subnets(caller: &Caller, world: &World, (own, now): (&[Ipv4Addr], Timestamp)) -> Vec<SubnetStatus> {
    let subnets = world
        .subnets
        .iter()
        .filter(|row: &&Arc<Stored<Subnet>>| caller.may(AccessVerb::Monitor, ObjectRef::of(row)))
        .map(|row| &row.spec);
    let mut all: Vec<SubnetCount> = subnets.map(|subnet| SubnetCount::of(subnet, own)).collect();
    let leases = world.leases.iter().map(|row| &row.spec).filter(|lease| lease.expires_at > now);
    for lease in leases {
        let of = all.iter_mut().find(|one| one.status.name == lease.subnet && one.has(lease.address));
        let Some(SubnetCount { status, .. }) = of else { continue };
        match lease.state {
            LeaseState::Bound | LeaseState::Offered => status.leased += 1,
            LeaseState::Declined => status.quarantined += 1,
            LeaseState::Released | LeaseState::Expired => {}
        }
    }
    for address in world.reservations.iter().map(|row| row.spec.address) {
        let lease = world.leases.get(&AddressKey::from(address)).map(|row| &row.spec);
        let of = all.iter_mut().find(|one| one.has(address)).filter(|_| {
            lease.is_none_or(|lease: &Lease| {
                lease.expires_at <= now || matches!(lease.state, LeaseState::Released | LeaseState::Expired)
            })
        });
        of.into_iter().for_each(|one| one.status.reserved += 1);
    }
    all.into_iter().map(SubnetCount::counted).collect()
}

/// A subnet whose addresses are being counted.
struct SubnetCount<'a> {
    status: SubnetStatus,
    parts: Vec<(u32, u32)>,
    /// The addresses of this host, which are in no pool.
    own: &'a [Ipv4Addr],
}

impl<'a> SubnetCount<'a> {
    fn of(subnet: &Subnet, own: &'a [Ipv4Addr]) -> Self {
        let status = SubnetStatus {
            name: subnet.name.clone(),
            network: subnet.network().to_owned(),
            cidr: subnet.cidr.to_string(),
            mode: subnet.mode,
            enabled: subnet.enabled,
            pool_addresses: 0,
            leased: 0,
            quarantined: 0,
            reserved: 0,
            free: 0,
        };
        SubnetCount { status, parts: pool_parts(subnet), own }
    }

    fn has(&self, address: Ipv4Addr) -> bool {
        self.in_parts(address) && !self.own.contains(&address)
    }

    fn in_parts(&self, address: Ipv4Addr) -> bool {
        self.parts.iter().any(|(first, last)| (first..=last).contains(&&address.to_bits()))
    }

    fn counted(self) -> SubnetStatus {
        let all: u64 = self.parts.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
        let own = self.own.iter().filter(|own| self.in_parts(**own)).count() as u64;
        let SubnetStatus { leased, quarantined, reserved, .. } = self.status;
        let pool_addresses = all.saturating_sub(own);
        let free = pool_addresses.saturating_sub(leased + quarantined + reserved);
        SubnetStatus { pool_addresses, free, ..self.status }
    }
}

fn rival((seen, interfaces): (&OtherServer, &[Arc<NetworkInterface>]), world: &World) -> RivalStatus {
    let expected = is_proxy(world, seen.subnet.as_deref());
    let here = interfaces.iter().find(|interface| interface.name == seen.heard.interface);
    let subnet = seen.subnet.as_deref().and_then(|name| world.subnets.get(name));
    let ours = subnet.and_then(|subnet| own_boot_server(&subnet.spec, here.map(AsRef::as_ref)));
    let other = OtherBootServer { server: seen.heard.server, next_server: seen.heard.next_server };
    // Only a reply of its own tells what it names.
    let misleads = ours.filter(|_| expected && seen.heard.mac.is_some()).and_then(|own| other.misleads(own));
    RivalStatus {
        address: seen.heard.server,
        mac: seen.heard.mac,
        interface: seen.heard.interface.clone(),
        subnet: seen.subnet.clone(),
        first_seen: seen.first_seen,
        last_seen: seen.last_seen,
        packets: seen.packets,
        offered: seen.heard.offered,
        next_server: seen.heard.next_server,
        misleads,
        boot_data: seen.heard.boots,
        expected,
    }
}

/// The warning about another server, unless it is expected.
fn rival_warning(server: &RivalStatus) -> Option<String> {
    let RivalStatus { address, interface, last_seen, .. } = server;
    let mac = server.mac.map(|mac| format!(" ({mac})")).unwrap_or_default();
    let boots = if server.boot_data { " and tells machines what to boot" } else { "" };
    (!server.expected).then(|| {
        format!("another DHCP server, {address}{mac}, answers on {interface}{boots}; last heard {last_seen}")
    })
}

fn warnings(status: &DhcpStatus, sights: &NetworkObservations, now: Timestamp) -> Vec<String> {
    let rivals = status
        .servers
        .iter()
        .filter(|server: &&RivalStatus| {
            let seen = sights
                .rivals()
                .find(|seen| seen.heard.server == server.address && seen.heard.interface == server.interface);
            seen.is_some_and(|seen| seen.is_present(now))
        })
        .filter_map(rival_warning);
    let alone = status.interfaces.iter().filter_map(|interface| {
        let subnet = status.subnets.iter().find(|subnet| interface.subnet.as_ref() == Some(&subnet.name))?;
        let others = status.servers.iter().any(|server| server.interface == interface.name);
        (subnet.mode == SubnetMode::Proxy && !others).then(|| {
            let (name, interface) = (&subnet.name, &interface.name);
            format!(
                "subnet {name} gets its addresses from another server, but none was heard on {interface} yet"
            )
        })
    });
    let relays = status.relays.iter().filter(|relay| relay.subnet.is_none()).map(|relay| {
        format!("no enabled subnet contains the relay {}, or names it in `relays`", relay.address)
    });
    let full = status
        .subnets
        .iter()
        .filter(|subnet| subnet.enabled && subnet.free == 0 && subnet.pool_addresses > 0);
    let full = full.map(|subnet| format!("subnet {} has no free address", subnet.name));
    let mute = no_boot_server(status);
    deaf(&status.service)
        .into_iter()
        .chain(mute)
        .chain(rivals)
        .chain(alone)
        .chain(relays)
        .chain(full)
        .collect()
}

/// The warning about a service that cannot receive packets.
fn deaf(service: &ServiceStatus) -> Option<String> {
    let ServiceStatus { enabled, receives, port, .. } = service;
    let why = "its socket fails and is opened again every few seconds, see the server's log";
    (*enabled && !receives).then(|| format!("DHCP requests to port {port} cannot be read: {why}"))
}

/// The warning about a port that another program has, if a subnet of this host needs it.
fn no_boot_server(status: &DhcpStatus) -> Option<String> {
    let why = status.service.boot_server_fault.as_ref()?;
    let names: Vec<&str> = status
        .subnets
        .iter()
        .filter(|subnet: &&SubnetStatus| subnet.enabled && subnet.mode == SubnetMode::Proxy)
        .map(|subnet| &*subnet.name)
        .collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("UEFI firmware in {names} (mode `proxy`) is not told what to boot: {why}; then restart")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dhcp::decide::InterfaceAddress;
    use crate::houses::testing;
    use crate::model::Reservation;

    #[tokio::test]
    async fn what_is_reserved_or_a_servers_or_our_own_is_not_free() {
        let (houses, caller) = (testing::houses(), testing::caller());
        let own = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
        let eth1 = NetworkInterface { name: "eth1".into(), index: 1, addresses: vec![own], mtu: 1500 };
        houses.dhcp.dhcp_interfaces(vec![Arc::new(eth1)]);
        let pools = json!([{"start": "10.0.0.0", "end": "10.0.0.9"}]);
        let lan = json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools,
            "options": {"routers": ["10.0.0.9"]}});
        houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
        for last in [5, 6, 200] {
            let address = format!("10.0.0.{last}");
            let kept = json!({"address": address, "client_id": address});
            houses.objects.create::<Reservation>(&caller, kept).await.unwrap();
        }
        let status = houses.dhcp.dhcp_status(&caller);
        let lan = &status.subnets[0];
        assert_eq!((lan.pool_addresses, lan.leased, lan.reserved, lan.free), (7, 0, 2, 5));
    }
}
