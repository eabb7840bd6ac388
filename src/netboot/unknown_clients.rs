//! Clients that want to boot and are not a machine here: what each asked last, for the list, the log (each at
//! most once a minute) and those who mistyped a MAC. It is kept in memory, within a bound.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::model::event::MachineSimilarMac;
use crate::model::{
    AddressKey, Kind, Mac, Machine, MachineState, NewEvent, Octets, SimilarClient, SimilarMachine, Stored,
    UnknownClient, World,
};
use crate::netboot::Netboot;
use crate::netboot::decide::decision::BootDecision;
use crate::netboot::decide::loader::client_arch;
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::Fetch;
use crate::rate_limit::warn_limited;

/// Most clients that are kept. Beyond them those that asked once go first, then those that asked longest ago.
const CLIENTS_MAX: usize = 1024;
/// How long a client is kept that no longer asks.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Shortest time between two log lines about one client.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// Most log lines within that time. Further clients are counted.
const LINES_MAX: usize = 256;
/// Shortest time between two events about one client and a machine.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Longest text that is kept of a client, in characters.
const TEXT_CHARS_MAX: usize = 128;

/// The identity of a client: its MAC, or else its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClientIdentity {
    Mac(Mac),
    Address(IpAddr),
}

/// A request of a client that is not a machine here. What it does not say is left as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnknownRequest<'a> {
    pub mac: Option<Mac>,
    pub address: Option<IpAddr>,
    pub vendor: Option<&'a str>,
    /// The code of its architecture (option 93).
    pub arch: Option<u16>,
    pub circuit: Option<&'a [u8]>,
    pub relay: Option<Ipv4Addr>,
    pub subnet: Option<&'a str>,
    pub interface: Option<&'a str>,
    /// `dhcp`, or the path of a boot script.
    pub asked: &'a str,
    pub reason: &'a str,
}

#[derive(Debug)]
struct KeptClient {
    client: UnknownClient,
    logged_at: Option<Timestamp>,
    /// When its machine with almost the same MAC was told.
    told_at: Option<Timestamp>,
}

/// The clients, and the log lines of the present minute.
#[derive(Debug, Default)]
struct ClientTable {
    clients: HashMap<ClientIdentity, KeptClient>,
    minute: Option<Timestamp>,
    lines: usize,
}

/// The clients that asked, each with its last request.
#[derive(Debug, Default)]
pub struct UnknownClients {
    table: Mutex<ClientTable>,
    /// Number of clients that went to make room for others.
    pub forgotten: AtomicU64,
}

impl UnknownClients {
    fn table(&self) -> MutexGuard<'_, ClientTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request. Returns the client if a log line about it is due.
    fn note(&self, request: &UnknownRequest<'_>, now: Timestamp) -> Option<UnknownClient> {
        let who = match (request.mac, request.address) {
            (Some(mac), _) => ClientIdentity::Mac(mac),
            (None, address) => ClientIdentity::Address(address?),
        };
        let mut table = self.table();
        if table.clients.len() >= CLIENTS_MAX && !table.clients.contains_key(&who) {
            self.forgotten.fetch_add(table.make_room(now), Ordering::Relaxed);
        }
        let kept = table.clients.entry(who).or_insert_with(|| KeptClient::new(now));
        update(&mut kept.client, request, now);
        if kept.logged_at.is_some_and(|at| now.duration_since(at).abs() < AGAIN) {
            return None;
        }
        if !table.takes_line(now) {
            drop(table);
            warn_limited!(
                "more than {LINES_MAX} unknown clients asked within a minute; the log lacks the others"
            );
            return None;
        }
        let kept = table.clients.get_mut(&who)?;
        kept.logged_at = Some(now);
        Some(kept.client.clone())
    }

    /// Keeps which machine a client may be. Returns whether an event about it is due.
    fn liken(&self, mac: Mac, machine: Option<&SimilarMachine>, now: Timestamp) -> bool {
        let mut table = self.table();
        let Some(kept) = table.clients.get_mut(&ClientIdentity::Mac(mac)) else { return false };
        let is_other = kept.client.similar.as_ref() != machine;
        kept.client.similar = machine.cloned();
        machine.is_some()
            && (is_other || kept.told_at.is_none_or(|at| now.duration_since(at).abs() >= TOLD_AGAIN))
    }

    fn told(&self, mac: Mac, now: Timestamp) {
        if let Some(kept) = self.table().clients.get_mut(&ClientIdentity::Mac(mac)) {
            kept.told_at = Some(now);
        }
    }

    /// The number of clients that are kept.
    pub fn count(&self) -> u64 {
        self.table().clients.len() as u64
    }
}

impl ClientTable {
    /// Forgets the clients that no longer ask, or else a quarter of all. Returns how many of those that
    /// would have been kept.
    fn make_room(&mut self, now: Timestamp) -> u64 {
        self.clients.retain(|_, kept| now.duration_since(kept.client.last_seen) < KEPT);
        if self.clients.len() < CLIENTS_MAX {
            return 0;
        }
        let before = self.clients.len();
        let mut ranks: Vec<_> = self.clients.values().map(KeptClient::rank).collect();
        let (_, least, _) = ranks.select_nth_unstable(CLIENTS_MAX / 4);
        let least = *least;
        self.clients.retain(|_, kept| kept.rank() > least);
        (before - self.clients.len()) as u64
    }

    /// Takes one of the log lines of the present minute.
    fn takes_line(&mut self, now: Timestamp) -> bool {
        if self.minute.is_none_or(|begun| now.duration_since(begun).abs() >= AGAIN) {
            (self.minute, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        self.lines <= LINES_MAX
    }
}

impl KeptClient {
    fn new(now: Timestamp) -> Self {
        let client = UnknownClient {
            mac: None,
            address: None,
            vendor: None,
            arch: None,
            firmware: None,
            circuit: None,
            relay: None,
            subnet: None,
            interface: None,
            first_seen: now,
            last_seen: now,
            requests: 0,
            asked: String::new(),
            reason: String::new(),
            similar: None,
        };
        KeptClient { client, logged_at: None, told_at: None }
    }

    /// Clients of the lowest rank go first.
    fn rank(&self) -> (bool, Timestamp) {
        (self.client.requests > 1, self.client.last_seen)
    }
}

fn update(client: &mut UnknownClient, request: &UnknownRequest<'_>, now: Timestamp) {
    client.last_seen = now;
    client.requests = client.requests.saturating_add(1);
    client.mac = request.mac.or(client.mac);
    client.address = request.address.or(client.address);
    client.relay = request.relay.or(client.relay);
    put(&mut client.vendor, request.vendor);
    put(&mut client.subnet, request.subnet);
    put(&mut client.interface, request.interface);
    put_text(&mut client.asked, request.asked);
    put_text(&mut client.reason, request.reason);
    if let Some(circuit) = request.circuit {
        put(&mut client.circuit, Some(&Octets::new(circuit).to_string()));
    }
    if let Some(row) = request.arch.and_then(client_arch) {
        client.arch = row.arch;
        put(&mut client.firmware, Some(row.name));
    }
}

/// Keeps a text. The same text again costs no memory.
fn put(kept: &mut Option<String>, text: Option<&str>) {
    if let Some(text) = text {
        put_text(kept.get_or_insert_default(), text);
    }
}

fn put_text(kept: &mut String, text: &str) {
    let end = text.char_indices().nth(TEXT_CHARS_MAX).map_or(text.len(), |(end, _)| end);
    let text = text.get(..end).unwrap_or_default();
    if kept != text {
        text.clone_into(kept);
    }
}

impl Netboot {
    /// Records a request of a client that is not a machine here, and logs it if that is due.
    pub fn record_unknown_client(&self, request: &UnknownRequest<'_>, now: Timestamp) {
        let Some(client) = self.memory.unknown_clients.note(request, now) else { return };
        let message = match request.asked {
            DHCP => "an unknown client asks over DHCP: no machine has its MAC",
            _ => "an unknown client asks for a boot script: no machine has its MAC",
        };
        tracing::info!(
            mac = client.mac.map(|mac| mac.to_string()),
            vendor_class = client.vendor,
            arch = client.firmware,
            address = client.address.map(|address| address.to_string()),
            circuit = client.circuit,
            subnet = client.subnet,
            interface = client.interface,
            relay = client.relay.map(|relay| relay.to_string()),
            first_seen = client.first_seen.strftime(SECONDS).to_string(),
            last_seen = client.last_seen.strftime(SECONDS).to_string(),
            reason = client.reason,
            "{message}"
        );
        self.look_for_similar(&client, now);
    }

    /// Tells a machine that waits of a client whose MAC is almost its own.
    fn look_for_similar(&self, client: &UnknownClient, now: Timestamp) {
        let Some(mac) = client.mac else { return };
        let (similar, waits) = self.kernel.read(|world| match similar_machine(world, mac) {
            None => (None, false),
            Some((machine, own)) => {
                let waits = machine.status.state == MachineState::Waiting;
                (Some(SimilarMachine::of(machine, own)), waits)
            }
        });
        let is_due = self.memory.unknown_clients.liken(mac, similar.as_ref(), now);
        let Some(machine) = similar.filter(|_| is_due && waits) else { return };
        self.memory.unknown_clients.told(mac, now);
        let (own, address) = (machine.mac, client.address);
        let reason = SimilarClient { mac, last_seen: now, machine: machine.clone() }.to_string();
        let event = MachineSimilarMac { mac, own, address, reason };
        self.kernel.note(NewEvent::new(now, event).about(Kind::Machine.subject(&machine.id)));
    }

    /// Records a fetch of a loader's script by a client that is not a machine here.
    pub(super) fn record_unknown_fetch(&self, fetch: &Fetch, hint: &ClientHint, decision: &BootDecision) {
        let mac = hint
            .mac
            .or_else(|| self.kernel.read(|world| world.leases.get(&AddressKey::from(fetch.peer))?.spec.mac));
        let request = UnknownRequest {
            mac,
            address: Some(fetch.peer),
            asked: fetch.path.trim_start_matches('/'),
            reason: decision.verdict.reason(),
            ..UnknownRequest::default()
        };
        self.record_unknown_client(&request, self.kernel.now());
    }

    /// The clients that asked within the last days and are not a machine, by MAC. Those that were registered
    /// since are forgotten.
    pub fn unknown_clients(&self) -> Vec<UnknownClient> {
        let now = self.kernel.now();
        let mut table = self.memory.unknown_clients.table();
        table.clients.retain(|_, kept| now.duration_since(kept.client.last_seen) < KEPT);
        let clients: Vec<UnknownClient> = table.clients.values().map(|kept| kept.client.clone()).collect();
        drop(table);
        // The world is never read while the table is locked.
        let (known, mut clients): (Vec<_>, Vec<_>) = self.kernel.read(|world| {
            let machines = &world.machines;
            clients.into_iter().partition(|client| {
                client.mac.is_some_and(|mac| machines.find("mac", &mac.to_string()).is_some())
            })
        });
        let mut table = self.memory.unknown_clients.table();
        for mac in known.iter().filter_map(|client| client.mac) {
            table.clients.remove(&ClientIdentity::Mac(mac));
        }
        drop(table);
        clients.sort_by_key(|client| (client.mac, client.address));
        clients
    }

    /// The unknown clients whose MACs are almost those of a machine.
    pub fn similar_clients(&self, machine: &Stored<Machine>) -> Vec<SimilarClient> {
        let clients = self.unknown_clients().into_iter();
        let similar = clients.filter_map(|client| {
            let mac = client.mac?;
            let own = machine.spec.macs.iter().copied().find(|own| own.is_near(mac))?;
            let machine = SimilarMachine::of(machine, own);
            Some(SimilarClient { mac, last_seen: client.last_seen, machine })
        });
        similar.collect()
    }
}

/// What a DHCP client asked.
pub const DHCP: &str = "dhcp";
/// A time in UTC without fractions of a second.
const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";

/// The first machine that has a MAC which is almost this one, and that MAC.
fn similar_machine(world: &World, mac: Mac) -> Option<(&Stored<Machine>, Mac)> {
    mac.near().find_map(|near| Some((&**world.machines.find("mac", &near.to_string())?, near)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn mac(last: u16) -> Mac {
        let [high, low] = last.to_be_bytes();
        Mac([0x52, 0x54, 0, 0xaa, high, low])
    }

    fn asks(last: u16) -> UnknownRequest<'static> {
        UnknownRequest { mac: Some(mac(last)), asked: DHCP, ..UnknownRequest::default() }
    }

    #[test]
    fn a_client_is_told_of_once_a_minute_and_others_beside_it() {
        let clients = UnknownClients::default();
        let told = [(1, 0), (1, 1), (2, 1), (1, 59), (1, 60), (1, 61)];
        let told = told.map(|(number, second)| clients.note(&asks(number), at(second)).is_some());
        assert_eq!(told, [true, false, true, false, true, false]);
    }

    #[test]
    fn a_flood_of_clients_is_told_of_up_to_a_bound_and_a_minute_later_again() {
        let clients = UnknownClients::default();
        let due = (0..1000).filter(|number| clients.note(&asks(*number), at(0)).is_some()).count();
        assert_eq!(due, LINES_MAX);
        assert!(clients.note(&asks(999), at(60)).is_some());
    }

    #[test]
    fn a_flood_of_made_up_clients_does_not_push_out_one_that_asks_again() {
        let clients = UnknownClients::default();
        clients.note(&asks(9), at(0));
        clients.note(&asks(9), at(1));
        for number in 0..8000 {
            clients.note(&asks(1000 + number), at(2));
        }
        let table = clients.table();
        assert!(table.clients.len() <= CLIENTS_MAX, "{}", table.clients.len());
        assert!(table.clients.contains_key(&ClientIdentity::Mac(mac(9))));
        assert!(clients.forgotten.load(Ordering::Relaxed) > 6000);
    }

    #[test]
    fn what_a_later_request_does_not_say_stays_and_long_texts_are_cut() {
        let clients = UnknownClients::default();
        let vendor = "PXEClient".repeat(100);
        let asked =
            UnknownRequest { vendor: Some(&vendor), arch: Some(7), circuit: Some(b"Eth1"), ..asks(1) };
        clients.note(&asked, at(0));
        let script = UnknownRequest { asked: "boot.ipxe", ..asks(1) };
        let client = clients.note(&script, at(60)).unwrap();
        assert_eq!(client.vendor.unwrap().chars().count(), TEXT_CHARS_MAX);
        assert_eq!((client.circuit.as_deref(), client.asked.as_str()), (Some("Eth1"), "boot.ipxe"));
        assert_eq!((client.first_seen, client.last_seen, client.requests), (at(0), at(60), 2));
        assert!(client.arch.is_some() && client.firmware.is_some());
    }
}
