//! The answer that a client would get now, and why: the boot decision with its rules, the client classes, and
//! the scope of each DHCP option.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::disk_choice::disk_rule;
use crate::dhcp;
use crate::dhcp::decide::{
    ClassResult, MatchedClasses, NetworkInterface, OptionScope, OptionScopes, examine, own_boot_server,
};
use crate::insight::Insight;
use crate::insight::looked_at::{RuleObject, RuleParties};
use crate::kernel::permissions::{AccessVerb, ObjectRef};
use crate::kernel::{Caller, Error};
use crate::model::{
    BootAttempt, Cidr, ContentView, ExampleAnswer, Mac, Machine, Pool, Problem, ReadyOption, ReadyValue,
    Reservation, SimilarClient, Stored, Subnet, SubnetMode, World, hex,
};
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::client::NetbootClient;
use crate::netboot::decide::decision::{BootDecision, BootGrant, BootQuestion, arch_of};
use crate::netboot::decide::second_stage::leads_to_grub;
use crate::proto::dhcp4::{DhcpPacket, MessageType, codes};

/// The sub-option by which a relay agent takes replies at the port that it sent from (RFC 8357).
const REPLY_TO_SOURCE_PORT: [u8; 2] = [19, 0];

/// The client that is asked about.
#[derive(Clone, Debug)]
pub enum ExplainSubject {
    Machine(String),
    Mac(Mac),
    Address(IpAddr),
}

/// The request that the client would send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplainQuestion {
    /// Firmware that asks for an address and a loader.
    #[default]
    Firmware,
    /// UEFI firmware that boots over HTTP.
    HttpFirmware,
    /// iPXE that asks for an address and a script.
    Ipxe,
    /// The script itself.
    Script,
}

/// What the client would send.
#[derive(Clone, Debug, Default)]
pub struct ExplainRequest {
    pub question: ExplainQuestion,
    /// The architecture code (option 93); the default is x86-64 UEFI.
    pub arch: Option<u16>,
    /// The vendor class (option 60), if it differs from that of the question.
    pub vendor_class: Option<String>,
    /// A user class (option 77).
    pub user_class: Option<String>,
}

/// The decision, and everything else that a DHCP answer depends on.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ExplainResult {
    #[serde(flatten)]
    pub decision: BootDecision,
    /// The objects that the rules looked at.
    pub looked_at: Vec<RuleObject>,
    /// What can stop the boot although the decision is right: a GRUB may ask another server for its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// All client classes, in the order in which they apply.
    pub client_classes: Vec<ClassResult>,
    /// The options for the client by code. Templates are shown as written.
    pub options: Vec<OptionLine>,
    /// The answer to its DISCOVER, and the reason for the address. None if its subnet or its MAC is not
    /// known, or if another server gives the addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<ExampleAnswer>,
    /// The disk that the installer of the machine's bootenv would take: the rule in words, or why it cannot
    /// be carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// The faults for which a start of the machine's workflow would be refused. Absent while a run is open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_faults: Vec<Problem>,
    /// Clients that are not registered and have almost the machine's MAC; or, for such a client, itself with
    /// the machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub similar_clients: Vec<SimilarClient>,
}

/// One DHCP option, and where it comes from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OptionLine {
    pub code: u8,
    pub name: String,
    pub value: String,
    /// `subnet`, `pool`, `reservation`, `machine` or `client_class`.
    pub scope: &'static str,
    /// The object's name; for a pool its range.
    pub from: String,
}

impl Insight {
    /// The answer that the client would get now, with the rules that led to it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a machine that does not exist or that the caller may not read. A MAC or an
    /// address of such a machine is treated as that of an unknown machine.
    pub fn explain(
        &self,
        caller: &Caller,
        who: &ExplainSubject,
        asks: &ExplainRequest,
    ) -> Result<ExplainResult, Error> {
        let machine = match who {
            ExplainSubject::Machine(reference) => Some(self.kernel.find::<Machine>(caller, reference)?),
            ExplainSubject::Mac(mac) => {
                self.kernel.read(|world| world.machines.find("mac", &mac.to_string()).cloned())
            }
            ExplainSubject::Address(address) => {
                self.kernel.read(|world| self.netboot.machine_at(world, *address))
            }
        };
        let machine = machine.filter(|machine| caller.may(AccessVerb::Read, ObjectRef::of(machine)));
        let similar_clients = match who {
            ExplainSubject::Mac(mac) if machine.is_none() => self.similar_machines(caller, *mac),
            _ => self.similar_clients(machine.as_deref()),
        };
        self.kernel.read(|world| {
            let place = ClientPlace::of(world, who, machine.as_deref());
            let packet = packet(place.mac, asks);
            let subnet = place.subnet.map(|subnet| subnet.name.as_str());
            let classes = MatchedClasses::of(world, &packet, subnet);
            let client = classes.apply(NetbootClient::read(&packet));
            let mut gathered = BootFacts::of(world, &self.netboot.loaders, machine.as_ref());
            gathered.subnet_mode = place.subnet.map(|subnet| subnet.mode);
            gathered.asks = self.netboot.asks_of(machine.as_deref(), place.mac);
            gathered.client_arch = asks.arch.and_then(|_| arch_of(&client));
            gathered.serves_https = self.kernel.endpoints.boot_https_port.is_some();
            let asked = match asks.question {
                ExplainQuestion::Script => BootQuestion::Script,
                _ => BootQuestion::BootData(client),
            };
            let offer = self.would_be_offered(world, &place, &packet);
            let address = offer.as_ref().and_then(|offer| offer.address).or(place.address);
            let scopes = OptionScopes {
                subnet: place.subnet,
                pool: place.pool_of(address),
                reservation: place.reservation,
                machine: machine.as_deref(),
                classes: &classes,
            };
            let decision = gathered.decide(&asked, self.kernel.now());
            Ok(ExplainResult {
                warnings: self.misled(&place, &decision, gathered.attempt()).into_iter().collect(),
                looked_at: RuleParties { world, subnet, machine: machine.as_deref(), classes: &classes }
                    .looked_at(&decision.trace),
                decision,
                client_classes: examine(world, &packet, subnet),
                options: scopes.effective().into_values().map(option_line).collect(),
                offer,
                disk: machine.as_deref().and_then(|machine| disk_words(world, machine)),
                start_faults: Vec::new(),
                similar_clients,
            })
        })
    }

    /// Why a GRUB that is loaded over TFTP would look for its files on another server.
    fn misled(
        &self,
        place: &ClientPlace<'_>,
        decision: &BootDecision,
        attempt: Option<&BootAttempt>,
    ) -> Option<String> {
        let BootGrant::Loader { name } = &decision.answer else { return None };
        let subnet = place.subnet.filter(|subnet| subnet.mode == SubnetMode::Proxy && leads_to_grub(name))?;
        let other = self.netboot.other_boot_server(place.address.unwrap_or(subnet.cidr.address))?;
        let (interfaces, _) = self.dhcp.seen_at(&subnet.name);
        let own = own_boot_server(subnet, interfaces.iter().map(AsRef::as_ref));
        other.misleads(own.or_else(|| ipv4(attempt?.server?))?)
    }

    /// The offer that a client at this place would get now. Nothing is held or written.
    fn would_be_offered(
        &self,
        world: &World,
        place: &ClientPlace<'_>,
        asks: &DhcpPacket,
    ) -> Option<ExampleAnswer> {
        let subnet = place.subnet.filter(|subnet| subnet.enabled && subnet.mode != SubnetMode::Proxy)?;
        place.mac?;
        let (interfaces, relay) = self.dhcp.seen_at(&subnet.name);
        let here = interfaces.iter().find(|interface: &&Arc<NetworkInterface>| {
            interface.addresses.iter().any(|own| subnet.cidr.contains(own.address))
        });
        let mut packet = asks.clone();
        packet.options.set(codes::MESSAGE_TYPE, [u8::from(MessageType::Discover)]);
        if here.is_none() {
            packet.giaddr = relay.or(subnet.relays.first().copied()).unwrap_or(first_host(subnet.cidr));
            if interfaces.iter().any(|interface| interface.has_address(packet.giaddr)) {
                // A relay agent on this host has another port than the server.
                packet.options.set(codes::RELAY_AGENT, REPLY_TO_SOURCE_PORT);
            }
        }
        let query = dhcp::decide::example_query(&packet, here.or(interfaces.first())?);
        Some(self.dhcp.would_answer(world, &query, place.machine))
    }
}

/// The first address of a network that a host, such as its relay agent, can have.
fn first_host(network: Cidr) -> Ipv4Addr {
    let next = Ipv4Addr::from_bits(network.address.to_bits().saturating_add(1));
    if network.has_host(next) { next } else { network.address }
}

/// The rule by which the installer of the machine's bootenv would choose its disks.
fn disk_words(world: &World, machine: &Stored<Machine>) -> Option<String> {
    let status = &machine.status;
    let content = ContentView::of_machine(world, status);
    let bootenv = content.bootenv(status.bootenv.as_deref()?)?;
    let stage = status.stage.as_deref().and_then(|name| content.stage(name)).map(|stage| &stage.spec);
    match disk_rule(content, (&machine.spec, stage), &bootenv.spec) {
        Ok(rule) => rule.map(|rule| rule.words()),
        Err(fault) => Some(fault),
    }
}

/// The place of a client, as far as it is known.
struct ClientPlace<'a> {
    machine: Option<&'a Stored<Machine>>,
    mac: Option<Mac>,
    address: Option<Ipv4Addr>,
    subnet: Option<&'a Subnet>,
    reservation: Option<&'a Reservation>,
}

impl<'a> ClientPlace<'a> {
    fn of(world: &'a World, who: &ExplainSubject, machine: Option<&'a Stored<Machine>>) -> Self {
        let asked_mac = match who {
            ExplainSubject::Mac(mac) => Some(*mac),
            _ => None,
        };
        let of_machine = machine.into_iter().flat_map(|machine| machine.spec.macs.iter().copied());
        let macs: Vec<Mac> = asked_mac.map_or_else(|| of_machine.collect(), |mac| vec![mac]);
        let on_record = machine.and_then(|machine| machine.status.address).and_then(ipv4);
        let address = match who {
            ExplainSubject::Address(IpAddr::V4(address)) => Some(*address),
            _ => on_record.or_else(|| last_leased(world, &macs)),
        };
        let mac = asked_mac
            .or_else(|| {
                address.and_then(|address: Ipv4Addr| world.leases.get(&address.to_string())?.spec.mac)
            })
            .or_else(|| machine.and_then(|machine| machine.spec.macs.first().copied()));
        let reserved = reserved_for(world, mac, machine);
        let address = address.or_else(|| reserved.first().map(|kept| kept.address));
        let by_address = address.and_then(|address| world.subnet_of(address));
        // A client that was never seen is in the only subnet, if there is just one.
        let subnet = by_address.or_else(|| {
            world
                .subnets
                .iter()
                .next()
                .filter(|_| address.is_none() && world.subnets.len() == 1)
                .map(|row| &row.spec)
        });
        let wire = subnet.map(Subnet::network);
        let reservation = reserved
            .into_iter()
            .find(|kept: &&Reservation| world.subnet_of(kept.address).map(Subnet::network) == wire);
        ClientPlace { machine, mac, address, subnet, reservation }
    }

    fn pool_of(&self, address: Option<Ipv4Addr>) -> Option<&'a Pool> {
        let address = address?;
        self.subnet?.pools.iter().find(|pool| pool.contains(address))
    }
}

/// The address of a client's last lease. It may have ended: that is where the client was.
fn last_leased(world: &World, macs: &[Mac]) -> Option<Ipv4Addr> {
    let of_client = world.leases.iter().filter(|lease| lease.spec.mac.is_some_and(|mac| macs.contains(&mac)));
    of_client.max_by_key(|lease| lease.updated_at).map(|lease| lease.spec.address)
}

/// Leases, reservations and subnets have IPv4 addresses.
fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The reservations of a client, those of its MAC first, in the order of `AddressPicker::reservation`.
fn reserved_for<'a>(
    world: &'a World,
    mac: Option<Mac>,
    machine: Option<&Stored<Machine>>,
) -> Vec<&'a Reservation> {
    let name = machine.map(|machine| machine.spec.name.as_str());
    let is_served = |kept: &&Reservation| {
        let subnet = world.subnet_of(kept.address);
        subnet.is_some_and(|subnet| kept.subnet.as_ref().is_none_or(|name| *name == subnet.name))
    };
    world.reservations_of(mac.as_slice(), name).filter(is_served).collect()
}

/// The packet that such a client would send.
fn packet(mac: Option<Mac>, asks: &ExplainRequest) -> DhcpPacket {
    let (vendor, default_arch) = match asks.question {
        ExplainQuestion::HttpFirmware => ("HTTPClient", 16),
        ExplainQuestion::Firmware | ExplainQuestion::Ipxe | ExplainQuestion::Script => ("PXEClient", 7),
    };
    let mut packet = DhcpPacket { op: 1, htype: 1, ..DhcpPacket::default() };
    if let Some(Mac(bytes)) = mac {
        packet.hlen = 6;
        packet.chaddr.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
    let named = asks.vendor_class.as_deref();
    let arch = asks.arch.or_else(|| named.is_none().then_some(default_arch));
    if let Some(arch) = arch {
        packet.options.set(codes::CLIENT_ARCHITECTURES, arch.to_be_bytes());
    }
    let vendor = named.map_or_else(
        || format!("{vendor}:Arch:{:05}:UNDI:003016", arch.unwrap_or(default_arch)),
        str::to_owned,
    );
    packet.options.set(codes::VENDOR_CLASS, vendor.as_str());
    if asks.question == ExplainQuestion::Ipxe {
        packet.options.set(codes::USER_CLASS, "iPXE");
        packet.options.set(codes::IPXE, [0x13, 1, 1]);
    }
    if let Some(class) = &asks.user_class {
        packet.options.set(codes::USER_CLASS, class.as_str());
    }
    packet
}

pub(super) fn option_line((origin, option): (OptionScope<'_>, &ReadyOption)) -> OptionLine {
    let known = codes::by_code(option.code);
    let value = match &option.value {
        ReadyValue::Template(text) => text.clone(),
        ReadyValue::Bytes(bytes) => {
            let words = known.and_then(|row| row.kind.decode(bytes));
            words.map_or_else(|| hex(bytes), |words| words.join(" "))
        }
    };
    OptionLine {
        code: option.code,
        name: known.map_or_else(|| option.name.clone(), |row| row.name.to_owned()),
        value,
        scope: origin.scope(),
        from: origin.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::dhcp::decide::InterfaceAddress;
    use crate::houses::{Houses, testing};
    use crate::model::{Lease, LeaseState, Object};

    const MAC: Mac = Mac([0x02, 0, 0, 0, 0, 1]);

    fn served(houses: &Houses) {
        let own = InterfaceAddress { address: Ipv4Addr::new(10, 0, 0, 1), prefix: 24 };
        let eth1 = NetworkInterface { name: "eth1".into(), index: 1, addresses: vec![own], mtu: 1500 };
        houses.dhcp.dhcp_interfaces(vec![Arc::new(eth1)]);
    }

    async fn leased(houses: &Houses, address: [u8; 4], mac: Mac) {
        let now = houses.kernel.now();
        let lease = Lease {
            address: address.into(),
            client: format!("1/{mac}"),
            mac: Some(mac),
            state: LeaseState::Bound,
            subnet: "lan".into(),
            network: "lan".into(),
            bound_at: now,
            expires_at: now + SignedDuration::from_hours(1),
            machine: None,
            hostname: None,
        };
        testing::put(houses, Object::Lease(Stored::new(lease.address.to_string(), lease, now).into())).await;
    }

    fn told(houses: &Houses) -> (String, Vec<String>) {
        let explained = houses
            .insight
            .explain(&testing::caller(), &ExplainSubject::Mac(MAC), &ExplainRequest::default())
            .unwrap();
        let options = explained.options.iter().map(|line| format!("{} {}", line.code, line.from));
        (explained.offer.map(|offer| offer.reason).unwrap_or_default(), options.collect())
    }

    #[tokio::test]
    async fn an_explanation_names_the_address_that_would_be_offered() {
        let (houses, caller) = (testing::houses(), testing::caller());
        served(&houses);
        let pools = json!([
            {"start": "10.0.0.100", "end": "10.0.0.109"},
            {"start": "10.0.0.110", "end": "10.0.0.119", "options": {"interface_mtu": 9000}},
        ]);
        let lan = json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools});
        houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
        assert_eq!(told(&houses), ("offered 10.0.0.100: it was never used".into(), vec![]));
        leased(&houses, [10, 0, 0, 115], MAC).await;
        let expected = "offered 10.0.0.115: this client had it before";
        assert_eq!(told(&houses), (expected.into(), vec!["26 10.0.0.110 - 10.0.0.119".into()]));
        let reserved = json!({"address": "10.0.0.5", "mac": MAC, "options": {"domain_name": "a"}});
        houses.objects.create::<Reservation>(&caller, reserved).await.unwrap();
        let expected = "offered 10.0.0.5: it is reserved for this client";
        assert_eq!(told(&houses), (expected.into(), vec!["15 10.0.0.5".into()]));
        leased(&houses, [10, 0, 0, 5], Mac([0x02, 0, 0, 0, 0, 9])).await;
        assert!(told(&houses).0.contains("has to wait: 10.0.0.5 is leased to another client"));
    }

    #[tokio::test]
    async fn a_client_behind_a_relay_agent_that_was_not_seen_yet_is_told_its_address() {
        let (houses, caller) = (testing::houses(), testing::caller());
        served(&houses);
        let pools = json!([{"start": "10.2.0.100", "end": "10.2.0.109"}]);
        let far = json!({"name": "far", "cidr": "10.2.0.0/24", "pools": pools});
        houses.objects.create::<Subnet>(&caller, far).await.unwrap();
        assert_eq!(told(&houses).0, "offered 10.2.0.100: it was never used");
    }

    #[tokio::test]
    async fn a_reservation_of_another_for_the_address_one_has_is_not_ones_own() {
        let (houses, caller) = (testing::houses(), testing::caller());
        served(&houses);
        let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.109"}]);
        let lan = json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools});
        houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
        leased(&houses, [10, 0, 0, 105], MAC).await;
        let other =
            json!({"address": "10.0.0.105", "mac": "02:00:00:00:00:09", "options": {"domain_name": "a"}});
        houses.objects.create::<Reservation>(&caller, other).await.unwrap();
        assert_eq!(told(&houses), ("offered 10.0.0.100: it was never used".into(), vec![]));
    }

    #[tokio::test]
    async fn a_machine_that_gave_its_address_back_is_where_it_was() {
        let (houses, caller) = (testing::houses(), testing::caller());
        served(&houses);
        let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.109"}]);
        let lan = json!({"name": "lan", "cidr": "10.0.0.0/24", "mode": "address_only", "pools": pools});
        houses.objects.create::<Subnet>(&caller, lan).await.unwrap();
        houses
            .objects
            .create::<Subnet>(&caller, json!({"name": "far", "cidr": "10.2.0.0/24"}))
            .await
            .unwrap();
        houses.objects.create::<Machine>(&caller, json!({"name": "web1", "macs": [MAC]})).await.unwrap();
        let explain = || {
            houses
                .insight
                .explain(
                    &testing::caller(),
                    &ExplainSubject::Machine("name:web1".into()),
                    &ExplainRequest::default(),
                )
                .unwrap()
        };
        assert!(explain().decision.trace[0].detail.contains("its subnet is not known"));
        leased(&houses, [10, 0, 0, 105], MAC).await;
        let explained = explain();
        assert_eq!(explained.decision.trace[0].detail, "its subnet gives addresses only");
        assert_eq!(explained.offer.unwrap().reason, "offered 10.0.0.105: this client had it before");
    }
}
