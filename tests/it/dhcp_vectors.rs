//! DHCP decisions as text: every folder of `tests/vectors/dhcp` is a case.
//!
//! `world.yaml` overrides `base.yaml`. `N.request` is a packet in text form, with lines of its own for how it
//! arrived (`interface`, `from`, `to`, `port`, `after SECONDS`, or `datagram HEX` for the whole packet).
//! `N.reply` and `N.log` are the expected results. Leases and offers carry over from one request to the next.
//! `N.effects`, if a case has it, has every effect of the request besides the reply (`effects`). With
//! `UPDATE_VECTORS=1` the expected files are written again.

mod effects;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use metalwright::dhcp::decide::{
    BootAnswer, DhcpQuery, DhcpReply, InterfaceAddress, Link, NetworkInterface, OpenOffers, PacketFacts,
    quarantine,
};
use metalwright::dhcp::packet::{OfferChange, PacketOutcome, decide};
use metalwright::model::{
    ClientClass, Kind, Lease, LeaseState, Mac, Machine, Object, ProbeMode, Reservation, Setting, Stored,
    Subnet, World, parse_hex,
};
use metalwright::netboot::boot_facts::BootFacts;
use metalwright::netboot::decide::chainload::LoaderRequests;
use metalwright::netboot::decide::loader::{LoaderTransport, NextStage, next_stage};
use metalwright::netboot::decide::{BootData, BootQuestion};
use metalwright::netboot::loaders::InstalledLoaders;
use metalwright::proto::dhcp4::{
    DhcpPacket, encode_listed, from_text, parse, payload_bytes_max, to_text, words,
};
use serde::Deserialize;

/// Most probes of one DISCOVER.
const PROBES_MAX: usize = 3;
/// The default destination of packets.
const DHCP_PORT: u16 = 67;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    interfaces: Vec<InterfaceFile>,
    subnets: Vec<Subnet>,
    #[serde(default)]
    reservations: Vec<Reservation>,
    #[serde(default)]
    machines: Vec<Machine>,
    /// Besides the built-in ones.
    #[serde(default)]
    client_classes: Vec<ClientClass>,
    #[serde(default)]
    leases: Vec<LeaseFile>,
    boot: Boot,
    /// Names of the loaders on the server.
    #[serde(default)]
    loaders: BTreeSet<String>,
    #[serde(default)]
    settings: BTreeMap<String, serde_json::Value>,
    /// Hosts that answer probes.
    #[serde(default)]
    answering: Vec<Ipv4Addr>,
    #[serde(default)]
    store_fails: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterfaceFile {
    name: String,
    addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseFile {
    address: Ipv4Addr,
    mac: Mac,
    network: String,
    state: LeaseState,
    /// Seconds since the first request.
    expires: i64,
}

/// The boot data for the clients of a case.
#[derive(Deserialize, Clone)]
#[serde(rename_all = "snake_case")]
enum Boot {
    /// The local disk.
    Local,
    /// The loader or script that fits the client.
    Network,
    /// This URL for every client.
    Url(String),
}

/// A running case.
struct Case {
    name: String,
    world: World,
    offers: OpenOffers,
    file: WorldFile,
    interfaces: Vec<NetworkInterface>,
    loaders: InstalledLoaders,
    /// The loaders that clients requested.
    asks: LoaderRequests,
    now: Timestamp,
}

/// The result of a request, as in the files of a case.
struct Served {
    reply: String,
    log: String,
    effects: String,
}

/// A request and how it arrived.
struct Arrival {
    datagram: Vec<u8>,
    interface: Option<String>,
    from: Option<SocketAddrV4>,
    to: Option<Ipv4Addr>,
    port: u16,
    after: i64,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/dhcp")
}

#[test]
fn every_vector_gets_the_reply_and_the_reason_on_file() {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let mut failures = Vec::new();
    for path in &cases {
        let differences = run(path);
        let name = path.file_name().unwrap().to_string_lossy();
        println!("{} {}", name.replacen('-', " ", 1), if differences.is_empty() { "pass" } else { "FAIL" });
        failures.extend(differences);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run(path: &Path) -> Vec<String> {
    let mut case = Case::load(path);
    let mut failures = Vec::new();
    for step in 0.. {
        let Ok(text) = std::fs::read_to_string(path.join(format!("{step}.request"))) else { break };
        let arrival = read_arrival(&text).unwrap_or_else(|why| panic!("{} {step}: {why}", case.name));
        let Served { reply, log, effects } = case.serve(&arrival);
        failures.extend(compare(&path.join(format!("{step}.reply")), &reply));
        failures.extend(compare(&path.join(format!("{step}.log")), &log));
        let stated = path.join(format!("{step}.effects"));
        failures.extend(stated.exists().then(|| compare(&stated, &effects)).flatten());
    }
    failures
}

fn compare(path: &Path, got: &str) -> Option<String> {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(path, got).unwrap();
    }
    let want = std::fs::read_to_string(path).unwrap_or_default();
    if want == got {
        return None;
    }
    let mut text = format!("--- {}\n", path.strip_prefix(root()).unwrap().display());
    let (wanted, gotten): (Vec<_>, Vec<_>) = (want.lines().collect(), got.lines().collect());
    for line in &wanted {
        let sign = if gotten.contains(line) { ' ' } else { '-' };
        writeln!(text, "{sign} {line}").unwrap();
    }
    gotten.iter().filter(|line| !wanted.contains(line)).for_each(|line| writeln!(text, "+ {line}").unwrap());
    Some(text)
}

fn read_arrival(text: &str) -> Result<Arrival, String> {
    let mut arrival =
        Arrival { datagram: Vec::new(), interface: None, from: None, to: None, port: DHCP_PORT, after: 0 };
    let mut packet = String::new();
    for line in text.lines() {
        let words: Vec<String> =
            words(line)?.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["interface", name] => arrival.interface = Some((*name).to_owned()),
            ["from", from] => arrival.from = Some(from.parse().map_err(|_| line)?),
            ["to", to] => arrival.to = Some(to.parse().map_err(|_| line)?),
            ["port", port] => arrival.port = port.parse().map_err(|_| line)?,
            ["after", seconds] => arrival.after = seconds.parse().map_err(|_| line)?,
            ["datagram"] => arrival.datagram = Vec::new(),
            ["datagram", hex @ ..] => arrival.datagram.extend(parse_hex(&hex.concat()).ok_or(line)?),
            _ => packet.push_str(line),
        }
        packet.push('\n');
    }
    if !packet.trim().is_empty() {
        arrival.datagram = encode_listed(&from_text(&packet).map_err(|why| why.to_string())?);
    }
    Ok(arrival)
}

impl Case {
    fn load(path: &Path) -> Case {
        let read = |path: &Path| -> serde_json::Map<String, serde_json::Value> {
            let text =
                std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            if text.trim().is_empty() {
                return serde_json::Map::new();
            }
            serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
        };
        let mut merged = read(&root().join("base.yaml"));
        merged.extend(read(&path.join("world.yaml")));
        let file: WorldFile =
            serde_json::from_value(merged.into()).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut world = World::default();
        for subnet in &file.subnets {
            let stored = Stored::new(subnet.name.clone(), subnet.clone(), now);
            world.put(Object::Subnet(stored.into()));
        }
        for reservation in &file.reservations {
            let stored = Stored::new(reservation.address.to_string(), reservation.clone(), now);
            world.put(Object::Reservation(stored.into()));
        }
        for (at, machine) in file.machines.iter().enumerate() {
            let id = format!("00000000-0000-7000-8000-{at:012}");
            world.put(Object::Machine(Stored::new(id, machine.clone(), now).into()));
        }
        let shipped = metalwright::catalog::content::core(now).unwrap().objects;
        for class in shipped.into_iter().filter(|object| object.kind() == Kind::ClientClass) {
            world.put(class);
        }
        for class in &file.client_classes {
            world.put(Object::ClientClass(Stored::new(class.name.clone(), class.clone(), now).into()));
        }
        for (name, value) in &file.settings {
            let setting = Setting { name: name.clone(), value: value.clone() };
            world.put(Object::Setting(Stored::new(name.clone(), setting, now).into()));
        }
        for lease in &file.leases {
            put_lease(&mut world, lease.load(now), now);
        }
        let interfaces: Vec<NetworkInterface> =
            file.interfaces.iter().enumerate().map(|(at, file)| file.load(at)).collect();
        let mut offers = OpenOffers::default();
        let own = interfaces.iter().flat_map(|interface| &interface.addresses).map(|own| own.address);
        offers.keep_own(own.collect());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut loaders = InstalledLoaders::default();
        loaders.names = Arc::new(file.loaders.clone());
        Case { name, world, offers, file, interfaces, loaders, asks: LoaderRequests::default(), now }
    }

    fn serve(&mut self, arrival: &Arrival) -> Served {
        self.now += SignedDuration::from_secs(arrival.after);
        let packet = match parse(&arrival.datagram) {
            Ok(packet) => packet,
            Err(why) => {
                let log = format!("event dhcp.malformed\nreason {why}\n");
                return Served { reply: "none\n".into(), log, effects: String::new() };
            }
        };
        let packet = self.offers.conversations.complete(&packet, self.now).map_or(packet, |whole| *whole);
        let (outcome, mut log, effects) = self.decide(&packet, arrival);
        let reply = if self.file.store_fails && !outcome.changeset.writes.is_empty() {
            log.push_str("the store failed, so nothing is sent\n");
            "none\n".to_owned()
        } else {
            self.apply(&outcome);
            outcome
                .reply
                .as_ref()
                .map_or_else(|| "none\n".into(), |reply| self.sent((reply, &packet), arrival))
        };
        Served { reply, log, effects }
    }

    fn sent(&self, (reply, packet): (&DhcpReply, &DhcpPacket), arrival: &Arrival) -> String {
        self.check_wire(reply, packet);
        let interface = self.interfaces.iter().find(|known| known.index == reply.interface).unwrap();
        let sent = to_text(&parse(&reply.bytes).unwrap());
        let port = if arrival.port == DHCP_PORT { String::new() } else { format!(":{}", arrival.port) };
        let (to, from) = (reply.destination, reply.source);
        format!("send {to}\nfrom {from}{port}\ninterface {}\n{sent}", interface.name)
    }

    /// Asks, records a boot attempt and probes if necessary, and asks again.
    fn decide(&mut self, packet: &DhcpPacket, arrival: &Arrival) -> (PacketOutcome, String, String) {
        let interface = match &arrival.interface {
            Some(name) => {
                self.interfaces.iter().find(|known| known.name == *name).expect("a known interface")
            }
            None => &self.interfaces[0],
        }
        .clone();
        let (source, local) = self.addresses(packet, arrival, &interface);
        let query = DhcpQuery { packet, interface: &interface, source, local, port: arrival.port };
        let mut effects = String::new();
        for _ in 0..PROBES_MAX {
            let (outcome, log, asked) = self.ask(query, !effects.is_empty());
            if outcome.attempt.is_some() {
                effects = asked;
                self.record_attempt(&query, &outcome);
                continue;
            }
            let probed = outcome.address.filter(|_| outcome.probe != ProbeMode::None);
            let Some(hit) = probed.filter(|address| self.file.answering.contains(address)) else {
                return (outcome, log, effects + &asked);
            };
            let lease = quarantine(Link::select(&query, &self.world).unwrap().selected, hit, self.now);
            put_lease(&mut self.world, lease, self.now);
        }
        panic!("{}: every probe was answered", self.name);
    }

    /// The outcome of one decision, with its log and its effects as text.
    fn ask(&self, query: DhcpQuery<'_>, is_attempt_recorded: bool) -> (PacketOutcome, String, String) {
        let mut facts = PacketFacts::gather(query, &self.world);
        let machine = facts.machine.and_then(|machine| self.world.machines.get(&machine.key));
        let mut gathered = BootFacts::of(&self.world, &self.loaders, machine);
        gathered.subnet_mode = facts.sender.subnet_mode;
        let mac = facts.sender.key.as_ref().and_then(|key| key.mac());
        gathered.asks =
            mac.map_or_else(Vec::new, |mac| self.asks.before_discover(mac, query.packet.xid).to_vec());
        let decision = gathered.decide(&BootQuestion::BootData(facts.sender.client.clone()), self.now);
        let (data, asks) = (self.boot(&facts), std::mem::take(&mut gathered.asks));
        let repeated_since = self.offers.conversations.repeated_since(query.packet);
        facts.boot = BootAnswer { data, decision: Some(decision), asks, is_attempt_recorded, repeated_since };
        let mut outcome = decide(&facts, &self.offers, self.now);
        let log = self.log(&outcome, query.packet);
        let effects = effects::text(&mut outcome, &facts);
        (outcome, log, effects)
    }

    /// A simple replacement for the boot decision.
    fn boot(&self, facts: &PacketFacts<'_>) -> BootData {
        let Ok(link) = &facts.link else { return BootData::None };
        let Some(us) = facts.query.source_address(link) else { return BootData::None };
        let next_server = link.selected.next_server.unwrap_or(us);
        match (&self.file.boot, next_stage(&facts.sender.client)) {
            (Boot::Local, _) | (_, Err(_)) => BootData::None,
            (Boot::Url(url), _) => BootData::Url { url: url.clone() },
            (_, Ok(NextStage::Script)) => BootData::Script { url: format!("http://{us}:8080/boot.ipxe") },
            (_, Ok(NextStage::FullIpxe(name))) => BootData::Url { url: format!("tftp://{us}/{name}") },
            (_, Ok(NextStage::Server { menu })) => BootData::Server { next_server, menu },
            (_, Ok(NextStage::File(url))) if url.contains("://") => BootData::Url { url },
            (_, Ok(NextStage::File(file))) => BootData::Tftp { next_server, file },
            (_, Ok(NextStage::Loader { name, transport: LoaderTransport::Http })) => {
                BootData::Url { url: format!("http://{us}:8080/{name}") }
            }
            (_, Ok(NextStage::Loader { name, transport: LoaderTransport::Https })) => {
                BootData::Url { url: format!("https://{us}:8444/{name}") }
            }
            (_, Ok(NextStage::Loader { name, transport: LoaderTransport::Tftp })) => {
                BootData::Tftp { next_server, file: name.to_owned() }
            }
        }
    }

    fn addresses(
        &self,
        packet: &DhcpPacket,
        arrival: &Arrival,
        interface: &NetworkInterface,
    ) -> (SocketAddrV4, Option<Ipv4Addr>) {
        let own = interface.addresses.first().map(|own| own.address);
        let (source, local) = if packet.is_relayed() {
            (SocketAddrV4::new(packet.giaddr, 67), own)
        } else {
            (SocketAddrV4::new(packet.ciaddr, 68), None)
        };
        (arrival.from.unwrap_or(source), arrival.to.or(local))
    }

    fn apply(&mut self, outcome: &PacketOutcome) {
        effects::write(&mut self.world, &outcome.changeset);
        effects::remember(&mut self.asks, &outcome.notes);
        match &outcome.offer {
            OfferChange::None => {}
            OfferChange::Keep { address, hold } => {
                assert!(self.offers.hold(*address, hold.clone(), self.now));
            }
            OfferChange::Withdraw { network, client } => self.offers.release(network, client),
            OfferChange::Settle { address } => {
                if let Some(hold) = self.offers.at(*address, self.now).cloned() {
                    self.offers.release(&hold.network, &hold.client);
                }
            }
        }
    }

    /// Gives the packet's machine the boot attempt that begins with the packet.
    fn record_attempt(&mut self, query: &DhcpQuery<'_>, outcome: &PacketOutcome) {
        let machine = PacketFacts::gather(*query, &self.world).machine.expect("a machine");
        let next = effects::with_attempt(machine, outcome, self.now);
        self.world.put(Object::Machine(next.into()));
    }

    fn log(&self, outcome: &PacketOutcome, packet: &DhcpPacket) -> String {
        let mut text = format!("event {}\nreason {}\n", outcome.kind.as_str(), outcome.reason);
        for fault in &packet.faults {
            writeln!(text, "fault {fault}").unwrap();
        }
        let until = |time: Timestamp| (time.as_second() - self.now.as_second()).to_string();
        match &outcome.offer {
            OfferChange::Keep { address, hold } => {
                let (client, network) = (&hold.client, &hold.network);
                writeln!(text, "hold {address} for {client} in {network} {}s", until(hold.until)).unwrap();
            }
            OfferChange::Withdraw { network, client } => {
                writeln!(text, "forget the hold of {client} in {network}").unwrap();
            }
            OfferChange::None | OfferChange::Settle { .. } => {}
        }
        for lease in effects::leases(&outcome.changeset) {
            let state = serde_json::to_value(lease.state).unwrap();
            let state = state.as_str().unwrap();
            let (address, client, network) = (lease.address, &lease.client, &lease.network);
            writeln!(text, "lease {address} {state} {client} in {network} {}s", until(lease.expires_at))
                .unwrap();
        }
        text
    }

    /// Checks that apply to every reply.
    fn check_wire(&self, reply: &DhcpReply, request: &DhcpPacket) {
        let name = &self.name;
        let bytes = &reply.bytes;
        assert!(bytes.len() >= 300, "{name}: shorter than BOOTP");
        assert!(bytes.len() <= payload_bytes_max(request.max_message_bytes(), 1500), "{name}: too long");
        let (mut codes, mut rest) = (Vec::new(), &bytes[240..]);
        while rest[0] != 255 {
            codes.push(rest[0]);
            rest = &rest[2 + usize::from(rest[1])..];
        }
        let is_bootp = request.message_type().is_none();
        assert!(is_bootp || codes.first() == Some(&53), "{name}: 53 is first");
        assert!(
            codes.iter().position(|code| *code == 82).is_none_or(|at| at + 1 == codes.len()),
            "{name}: 82 is last"
        );
        assert!(!codes.contains(&52), "{name}: no overload");
        for code in [17, 66, 67, 209, 210].into_iter().filter(|_| reply.for_firmware) {
            let text = reply.packet.options.get(code).unwrap_or(&[0]);
            assert!(text.iter().position(|byte| *byte == 0) == Some(text.len() - 1), "{name}: {code}");
        }
        let mut unique = codes.clone();
        unique.dedup();
        assert_eq!(unique.len(), codes.len(), "{name}: a code twice in {codes:?}");
        use dhcproto::{Decodable, Decoder, v4};
        let other = v4::Message::decode(&mut Decoder::new(bytes)).unwrap();
        assert_eq!(other.opts().iter().count(), codes.len(), "{name}: another decoder sees all options");
    }
}

impl InterfaceFile {
    fn load(&self, at: usize) -> NetworkInterface {
        let addresses = self.addresses.iter().map(|text| {
            let (address, prefix) = text.split_once('/').unwrap();
            InterfaceAddress { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
        });
        NetworkInterface {
            name: self.name.clone(),
            index: at as u32 + 2,
            addresses: addresses.collect(),
            mtu: 1500,
        }
    }
}

impl LeaseFile {
    fn load(&self, now: Timestamp) -> Lease {
        Lease {
            address: self.address,
            client: format!("1/{}", self.mac),
            mac: Some(self.mac),
            state: self.state,
            subnet: self.network.clone(),
            network: self.network.clone(),
            bound_at: now,
            expires_at: now + SignedDuration::from_secs(self.expires),
            machine: None,
            hostname: None,
        }
    }
}

fn put_lease(world: &mut World, lease: Lease, now: Timestamp) {
    world.put(Object::Lease(Stored::new(lease.address.to_string(), lease, now).into()));
}
