//! An index of available addresses, so that no search has to go through all leases. For each network it has
//! the addresses that were never used and those whose leases ended, in order, and the reservations by client.
//!
//! It is a view of the world and of the open offers. [`AddressIndex::catch_up`] updates it from the keys that
//! were written since; if those are no longer known, or the subnets changed, it is built again. It only finds
//! addresses; `AddressPicker::refuse` alone decides whether a client may have one.

mod ranges;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use foldhash::HashMap;
use jiff::Timestamp;

use crate::dhcp::decide::index::ranges::AddressRanges;
use crate::dhcp::decide::{addresses_named, ready_options};
use crate::model::{
    AddressKey, GrowingMap, Lease, LeaseState, Mac, Noun, Reservation, Stored, Subnet, SubnetMode, Table,
    World,
};

/// A part of a pool without excluded addresses, and the number of its network.
#[derive(Debug, Clone, Copy)]
struct PoolPart {
    first: u32,
    last: u32,
    network: usize,
}

/// The addresses of one network that no client holds and that are not reserved.
#[derive(Debug, Default)]
struct FreeAddresses {
    never_used: AddressRanges,
    /// Addresses with a lease on record, by the end of the lease.
    used: BTreeSet<(Timestamp, Ipv4Addr)>,
}

/// The client of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ReservationTarget<'a> {
    Mac(Mac),
    ClientId(&'a [u8]),
    Machine(&'a str),
    Circuit(&'a [u8]),
    Remote(&'a [u8]),
}

/// The generations of the tables that the index was built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct TableGenerations {
    subnets: u64,
    leases: u64,
    reservations: u64,
}

/// The index; see the module.
#[derive(Debug, Default)]
pub(super) struct AddressIndex {
    made_from: Option<TableGenerations>,
    /// Ordered by address.
    parts: Vec<PoolPart>,
    networks: HashMap<String, usize>,
    shelves: Vec<FreeAddresses>,
    /// The key of an address in `FreeAddresses::used`.
    ends: GrowingMap<Ipv4Addr, Timestamp>,
    /// Reserved addresses, by client.
    reserved: HashMap<Vec<u8>, Vec<Ipv4Addr>>,
    reserved_for: HashMap<Ipv4Addr, Vec<u8>>,
    /// Addresses that clients declined, by client.
    declined: HashMap<Mac, Vec<Ipv4Addr>>,
    declined_by: HashMap<Ipv4Addr, Mac>,
}

impl AddressIndex {
    /// Updates the index to the world, and to the offers of the `changed` addresses.
    pub fn catch_up(&mut self, world: &World, changed: &[Ipv4Addr], is_held: &dyn Fn(Ipv4Addr) -> bool) {
        let now = TableGenerations {
            subnets: world.subnets.generation(),
            leases: world.leases.generation(),
            reservations: world.reservations.generation(),
        };
        let written = self.made_from.filter(|then| then.subnets == now.subnets).and_then(|then| {
            let leases = world.leases.written_since(then.leases)?;
            Some((leases, world.reservations.written_since(then.reservations)?))
        });
        self.made_from = Some(now);
        let Some((leases, reservations)) = written else { return self.make(world, is_held) };
        for address in reservations.filter_map(|key| key.parse().ok()) {
            self.file(world, address);
            self.place(world, address, is_held);
        }
        let leases = leases.filter_map(|key| key.parse().ok());
        for address in leases.chain(changed.iter().copied()) {
            self.place(world, address, is_held);
        }
    }

    /// The addresses of a network without a lease on record, lowest first.
    pub fn never_used(&self, network: &str) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.free(network).into_iter().flat_map(|free| free.never_used.iter())
    }

    /// The addresses of a network whose lease has ended, the earliest end first.
    pub fn ended(&self, network: &str, now: Timestamp) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let until = ..=(now, Ipv4Addr::BROADCAST);
        self.free(network).into_iter().flat_map(move |free| free.used.range(until)).map(|(_, at)| *at)
    }

    /// The addresses that are reserved for a client, in order.
    pub fn reserved(&self, whom: &ReservationTarget<'_>) -> &[Ipv4Addr] {
        if self.reserved.is_empty() {
            return &[];
        }
        self.reserved.get(&whom.key()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The addresses with a record that this client declined them, whether that still holds or not.
    pub fn declined(&self, client: Mac) -> &[Ipv4Addr] {
        self.declined.get(&client).map(Vec::as_slice).unwrap_or_default()
    }

    fn free(&self, network: &str) -> Option<&FreeAddresses> {
        self.shelves.get(*self.networks.get(network)?)
    }

    fn make(&mut self, world: &World, is_held: &dyn Fn(Ipv4Addr) -> bool) {
        *self = AddressIndex { made_from: self.made_from, ..AddressIndex::default() };
        for subnet in world.subnets.iter().map(|row| &row.spec).filter(|subnet| gives_any(subnet)) {
            let network = *self.networks.entry(subnet.network().to_owned()).or_insert(self.shelves.len());
            self.shelves.resize_with(self.networks.len(), FreeAddresses::default);
            self.parts.extend(pool_parts(subnet).into_iter().map(|(first, last)| PoolPart {
                first,
                last,
                network,
            }));
        }
        self.parts.sort_by_key(|part| part.first);
        for part in &self.parts {
            if let Some(free) = self.shelves.get_mut(part.network) {
                free.never_used.insert_range(part.first..=part.last);
            }
        }
        for address in addresses(&world.reservations) {
            self.file(world, address);
            self.place(world, address, is_held);
        }
        for address in addresses(&world.leases) {
            self.place(world, address, is_held);
        }
    }

    /// Puts an address where it belongs at present.
    fn place(&mut self, world: &World, address: Ipv4Addr, is_held: &dyn Fn(Ipv4Addr) -> bool) {
        self.follow_declined(world, address);
        let Some(free) = self.network_of(address).and_then(|network| self.shelves.get_mut(network)) else {
            return;
        };
        let key = AddressKey::from(address);
        let is_out = is_held(address) || world.reservations.get(&key).is_some();
        let ends = world.leases.get(&key).map(|row| ends_at(row));
        let (before, after) = (self.ends.get(&address).copied(), ends.filter(|_| !is_out));
        if before.is_some() && before == after {
            return;
        }
        if let Some(before) = before {
            self.ends.remove(&address);
            free.used.remove(&(before, address));
        }
        if let Some(after) = after {
            self.ends.insert(address, after);
            free.used.insert((after, address));
        }
        if ends.is_none() && !is_out {
            free.never_used.insert(address);
        } else {
            free.never_used.remove(address);
        }
    }

    fn follow_declined(&mut self, world: &World, address: Ipv4Addr) {
        if let Some(client) = self.declined_by.remove(&address)
            && let Some(addresses) = self.declined.get_mut(&client)
        {
            addresses.retain(|other| *other != address);
            if addresses.is_empty() {
                self.declined.remove(&client);
            }
        }
        let lease = world.leases.get(&AddressKey::from(address)).map(|row| &row.spec);
        let client = lease.filter(|lease| lease.state == LeaseState::Declined).and_then(|lease| lease.mac);
        if let Some(client) = client {
            self.declined_by.insert(address, client);
            self.declined.entry(client).or_default().push(address);
        }
    }

    fn network_of(&self, address: Ipv4Addr) -> Option<usize> {
        let address = address.to_bits();
        let after = self.parts.partition_point(|part| part.first <= address);
        let part = self.parts.get(after.checked_sub(1)?)?;
        (address <= part.last).then_some(part.network)
    }

    /// Indexes the reservation of an address by its client, and removes the earlier entry.
    fn file(&mut self, world: &World, address: Ipv4Addr) {
        if let Some(whom) = self.reserved_for.remove(&address)
            && let Some(addresses) = self.reserved.get_mut(&whom)
        {
            addresses.retain(|other| *other != address);
            if addresses.is_empty() {
                self.reserved.remove(&whom);
            }
        }
        let reservation = world.reservations.get(&AddressKey::from(address));
        let Some(whom) = reservation.and_then(|row| ReservationTarget::whom(&row.spec)) else { return };
        let addresses = self.reserved.entry(whom.key()).or_default();
        addresses.insert(addresses.partition_point(|other| *other < address), address);
        self.reserved_for.insert(address, whom.key());
    }
}

impl<'a> ReservationTarget<'a> {
    /// The key of a reservation. If both ids of a relay are given, it is the circuit id, which is more
    /// specific.
    fn whom(reservation: &'a Reservation) -> Option<ReservationTarget<'a>> {
        let circuit = reservation.circuit_id.as_ref().map(|id| ReservationTarget::Circuit(id.as_bytes()));
        circuit
            .or_else(|| reservation.remote_id.as_ref().map(|id| ReservationTarget::Remote(id.as_bytes())))
            .or_else(|| reservation.client_id.as_ref().map(|id| ReservationTarget::ClientId(id.as_bytes())))
            .or_else(|| reservation.machine.as_deref().map(ReservationTarget::Machine))
            .or_else(|| reservation.mac.map(ReservationTarget::Mac))
    }

    fn key(&self) -> Vec<u8> {
        let (kind, bytes) = match self {
            ReservationTarget::Mac(mac) => (0, mac.0.as_slice()),
            ReservationTarget::ClientId(id) => (1, *id),
            ReservationTarget::Machine(name) => (2, name.as_bytes()),
            ReservationTarget::Circuit(id) => (3, *id),
            ReservationTarget::Remote(id) => (4, *id),
        };
        [&[kind], bytes].concat()
    }
}

/// Whether clients without a reservation can have an address of a subnet.
fn gives_any(subnet: &Subnet) -> bool {
    subnet.enabled && !subnet.reservations_only && subnet.mode != SubnetMode::Proxy
}

/// The addresses that a subnet names to its clients: routers, servers, the boot server. Hosts use them.
pub fn servers_named(subnet: &Subnet) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let pools = subnet.pools.iter().map(|pool| &pool.options);
    let options = std::iter::once(&subnet.options).chain(pools).flat_map(ready_options);
    options.flat_map(addresses_named).chain(subnet.next_server)
}

/// The ranges of a subnet's pools without excluded addresses, the servers that it names, and its network and
/// broadcast addresses: both ends of each range.
pub fn pool_parts(subnet: &Subnet) -> Vec<(u32, u32)> {
    let cidr = subnet.cidr;
    let mut without: Vec<(u32, u32)> =
        subnet.excluded.iter().map(|range| (range.start.to_bits(), range.end.to_bits())).collect();
    without.extend(servers_named(subnet).map(|address| (address.to_bits(), address.to_bits())));
    if cidr.prefix <= 30 {
        without
            .extend([cidr.address, cidr.broadcast()].map(|address| (address.to_bits(), address.to_bits())));
    }
    without.sort_unstable();
    let mut parts = Vec::new();
    for pool in &subnet.pools {
        let (mut first, last) = (u64::from(pool.start.to_bits()), u64::from(pool.end.to_bits()));
        for (start, end) in without.iter().map(|(start, end)| (u64::from(*start), u64::from(*end))) {
            if end >= first && start <= last {
                parts.push((first, start.saturating_sub(1)));
                first = end + 1;
            }
        }
        parts.push((first, last));
    }
    let whole = parts.into_iter().filter(|(first, last)| first <= last);
    whole.filter_map(|(first, last)| Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?))).collect()
}

/// When an address becomes free; for a released lease that is the time of its release.
fn ends_at(lease: &Stored<Lease>) -> Timestamp {
    match lease.spec.state {
        LeaseState::Released | LeaseState::Expired => lease.spec.expires_at.min(lease.updated_at),
        LeaseState::Offered | LeaseState::Bound | LeaseState::Declined => lease.spec.expires_at,
    }
}

/// The keys of leases and reservations are their addresses.
fn addresses<T: Noun>(table: &Table<T>) -> impl Iterator<Item = Ipv4Addr> + '_ {
    table.iter().filter_map(|row| row.key.parse().ok())
}
