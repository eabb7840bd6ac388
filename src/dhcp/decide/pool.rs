//! Chooses an address for a client, and checks whether it may have the one that it asks for.
//!
//! A client gets the address that it had before, if possible; else one that was never used; else the one that
//! has been free the longest; else one that was offered to another client, which does not take it. The rules
//! of [`AddressPicker::refuse`] are the same for offers, requests and renewals, so that an offered address is
//! not refused a moment later.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::dhcp::decide::index::ReservationTarget;
use crate::dhcp::decide::{AddressOffer, ClientKey, Link, OpenOffers, servers_named};
use crate::model::{
    AddressKey, Lease, LeaseState, Machine, Octets, Pool, Reservation, Stored, Subnet, SubnetMode, World,
};
use crate::proto::dhcp4::DhcpPacket;

/// Most addresses that one client keeps from being given out by declining them.
pub const DECLINES_MAX: usize = 3;

/// Everything that decides about the addresses of a link for one client.
#[derive(Debug, Clone, Copy)]
pub struct AddressPicker<'a> {
    pub link: &'a Link<'a>,
    pub world: &'a World,
    pub offers: &'a OpenOffers,
    pub client: &'a ClientKey,
    /// The request: reservations may match other fields than the client's address.
    pub packet: &'a DhcpPacket,
    pub machine: Option<&'a Stored<Machine>>,
    /// Addresses of this server's interface and of the relay.
    pub taken: &'a [Ipv4Addr],
    pub now: Timestamp,
}

/// A chosen address, and the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PickedAddress {
    pub address: Ipv4Addr,
    pub why: &'static str,
    /// Whether the client had no claim to it before: such an address may be probed first.
    pub fresh: bool,
}

/// Why a client cannot have an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    #[error("{0} is not on this link")]
    WrongLink(Ipv4Addr),
    #[error("{0} is not an address of a host")]
    NotAHost(Ipv4Addr),
    #[error("{0} is our own or the relay's")]
    Taken(Ipv4Addr),
    #[error("{0} is a router's or server's that its subnet names: reserve it for the host that has it")]
    Server(Ipv4Addr),
    #[error("{0} is reserved for another client")]
    Reserved(Ipv4Addr),
    #[error("{0} is leased to another client")]
    Leased(Ipv4Addr),
    #[error("{0} is on offer to another client")]
    Held(Ipv4Addr),
    #[error("{0} was found in use and is not given out until {1}")]
    Quarantined(Ipv4Addr, Timestamp),
    #[error("{0} is in no pool")]
    NotInPool(Ipv4Addr),
    #[error("this client's address is {0}")]
    Elsewhere(Ipv4Addr),
}

/// Why there is no address for a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    #[error("network {0} is for reservations only and has none for this client")]
    ReservationsOnly(String),
    #[error("no address of network {0} is free")]
    Empty(String),
}

impl<'a> AddressPicker<'a> {
    /// Chooses the address to offer. `requested` is the client's wish (option 50).
    pub fn pick(&self, requested: Option<Ipv4Addr>) -> Result<PickedAddress, NoAddress> {
        let free = |address: &Ipv4Addr| self.refuse(*address).is_none();
        let picked = |why, fresh| move |address| PickedAddress { address, why, fresh };
        let known = self
            .reservation()
            .map(|reservation| reservation.address)
            .filter(free)
            .map(picked("it is reserved for this client", false))
            .or_else(|| self.held().filter(free).map(picked("it is on offer to this client", false)))
            .or_else(|| {
                let lease = self.own_lease().map(|lease| lease.address).filter(free);
                lease.map(picked("this client had it before", false))
            });
        if let Some(picked) = known {
            return Ok(picked);
        }
        if self.pools().next().is_none() && self.link.subnets.iter().any(|subnet| subnet.reservations_only) {
            return Err(NoAddress::ReservationsOnly(self.link.network().to_owned()));
        }
        requested
            .filter(free)
            .map(picked("it asked for it and it is free", true))
            .or_else(|| self.never_used().map(picked("it was never used", true)))
            .or_else(|| self.longest_free().map(picked("it is free the longest", true)))
            .or_else(|| {
                self.not_taken().map(picked("nothing else is free, and another did not take it", true))
            })
            .ok_or_else(|| NoAddress::Empty(self.link.network().to_owned()))
    }

    /// Why the client may not have `address`; `None` if it may.
    pub fn refuse(&self, address: Ipv4Addr) -> Option<AddressRefusal> {
        self.refuse_unless(address, |hold| hold.is_of(self.link.network(), self.client))
    }

    /// The same, where an offer of the address to which `gives_way` applies is no obstacle.
    fn refuse_unless(
        &self,
        address: Ipv4Addr,
        gives_way: impl Fn(&AddressOffer) -> bool,
    ) -> Option<AddressRefusal> {
        let Some(subnet) = self.link.subnet_of(address) else {
            return Some(AddressRefusal::WrongLink(address));
        };
        if !subnet.cidr.has_host(address) {
            return Some(AddressRefusal::NotAHost(address));
        }
        if self.taken.contains(&address) || self.offers.is_own(address) {
            return Some(AddressRefusal::Taken(address));
        }
        let reserved = match self.world.reservations.get(&AddressKey::from(address)) {
            Some(row) if self.is_for_us(&row.spec) => true,
            Some(_) => return Some(AddressRefusal::Reserved(address)),
            None => false,
        };
        let lease = self.lease_at(address);
        if let Some(refusal) = lease.and_then(|lease| self.refuse_leased(lease, reserved)) {
            return Some(refusal);
        }
        // An address that is reserved for a machine may be on offer to another of its interfaces.
        let held = self.offers.at(address, self.now).filter(|_| !reserved);
        if held.is_some_and(|hold| !gives_way(hold)) {
            return Some(AddressRefusal::Held(address));
        }
        // A renewing client may be that router or server itself.
        let is_new = lease.is_none_or(|lease| lease.expires_at <= self.now || !self.is_our_lease(lease));
        if !reserved
            && is_new
            && self.link.subnets.iter().any(|subnet| servers_named(subnet).any(|it| it == address))
        {
            return Some(AddressRefusal::Server(address));
        }
        let is_given_out = reserved
            || self.pools().any(|pool| pool.contains(address))
                && !subnet.excluded.iter().any(|range| range.contains(address));
        (!is_given_out).then_some(AddressRefusal::NotInPool(address))
    }

    fn refuse_leased(&self, lease: &Lease, reserved: bool) -> Option<AddressRefusal> {
        if lease.expires_at <= self.now {
            return None;
        }
        match lease.state {
            LeaseState::Declined => Some(AddressRefusal::Quarantined(lease.address, lease.expires_at)),
            LeaseState::Released | LeaseState::Expired => None,
            LeaseState::Offered | LeaseState::Bound if self.is_our_lease(lease) => None,
            // An address reserved for a machine moves from one of its interfaces to another.
            LeaseState::Offered | LeaseState::Bound if reserved && self.is_of_our_machine(lease) => None,
            LeaseState::Offered | LeaseState::Bound => Some(AddressRefusal::Leased(lease.address)),
        }
    }

    /// The client's reservation on this link: by MAC first, then by client identifier, by machine, and by the
    /// relay's ids.
    pub fn reservation(&self) -> Option<&'a Reservation> {
        if self.world.reservations.is_empty() {
            return None;
        }
        let index = self.offers.free(self.world, self.now);
        let agent = self.packet.relay_agent().filter(|_| self.packet.is_relayed());
        let ways = [
            self.client.mac().map(ReservationTarget::Mac),
            self.packet.client_identifier().map(ReservationTarget::ClientId),
            self.machine.map(|machine| ReservationTarget::Machine(&machine.spec.name)),
            agent.as_ref().and_then(|agent| agent.circuit_id()).map(ReservationTarget::Circuit),
            agent.as_ref().and_then(|agent| agent.remote_id()).map(ReservationTarget::Remote),
        ];
        let found = ways.iter().flatten().flat_map(|way| index.reserved(way));
        let mut found = found.filter_map(|address| self.world.reservations.get(&AddressKey::from(*address)));
        found.find(|row| self.is_for_us(&row.spec)).map(|row| &row.spec)
    }

    /// The record of this client on this link, whether it is in effect or not.
    pub fn own_lease(&self) -> Option<&'a Lease> {
        let key = format!("{} {}", self.link.network(), self.client);
        self.world.leases.find("client", &key).map(|row| &row.spec)
    }

    /// The lease on record for `address`.
    pub fn lease_at(&self, address: Ipv4Addr) -> Option<&'a Lease> {
        self.world.leases.get(&AddressKey::from(address)).map(|row| &row.spec)
    }

    pub fn is_our_lease(&self, lease: &Lease) -> bool {
        lease.network == self.link.network() && lease.client == self.client.as_str()
    }

    fn held(&self) -> Option<Ipv4Addr> {
        self.offers.of(self.link.network(), self.client, self.now)
    }

    fn is_for_us(&self, reservation: &Reservation) -> bool {
        let here = self
            .link
            .subnet_of(reservation.address)
            .is_some_and(|subnet| reservation.subnet.as_deref().is_none_or(|name| name == subnet.name));
        here && self.is_client_of(reservation)
    }

    fn is_client_of(&self, reservation: &Reservation) -> bool {
        let name = self.machine.map(|machine| machine.spec.name.as_str());
        let relay = self.packet.relay_agent().filter(|_| self.packet.is_relayed());
        if reservation.circuit_id.is_some() || reservation.remote_id.is_some() {
            return is_wanted(&reservation.circuit_id, relay.and_then(|agent| agent.circuit_id()))
                && is_wanted(&reservation.remote_id, relay.and_then(|agent| agent.remote_id()));
        }
        if reservation.client_id.is_some() {
            return is_wanted(&reservation.client_id, self.packet.client_identifier());
        }
        let by_mac = reservation.mac.is_some() && reservation.mac == self.client.mac();
        by_mac || (name.is_some() && reservation.machine.as_deref() == name)
    }

    fn is_of_our_machine(&self, lease: &Lease) -> bool {
        let id = self.machine.map(|machine| machine.key.as_str());
        id.is_some() && lease.machine.map(|id| id.to_string()).as_deref() == id
    }

    fn pools(&self) -> impl Iterator<Item = &'a Pool> {
        self.link
            .subnets
            .iter()
            .copied()
            .filter(|subnet: &&Subnet| !subnet.reservations_only && subnet.mode != SubnetMode::Proxy)
            .flat_map(|subnet| &subnet.pools)
    }

    fn never_used(&self) -> Option<Ipv4Addr> {
        let index = self.offers.free(self.world, self.now);
        index.never_used(self.link.network()).find(|address| self.refuse(*address).is_none())
    }

    /// An address that is on offer to another client for some time already. A client that asks for offers and
    /// takes none must not keep the others from an address.
    fn not_taken(&self) -> Option<Ipv4Addr> {
        let mut offers = self.offers.not_taken(self.link.network(), self.now);
        offers.find(|address| self.refuse_unless(*address, |_| true).is_none())
    }

    /// The quarantine of this client's that ends first, if it has as many as one client may have.
    pub fn surplus_decline(&self) -> Option<&'a Lease> {
        let client = self.client.mac()?;
        let index = self.offers.free(self.world, self.now);
        let declined = index.declined(client).iter().filter_map(|address| self.lease_at(*address));
        let in_force: Vec<&Lease> = declined.filter(|lease| lease.expires_at > self.now).collect();
        let oldest = in_force.iter().min_by_key(|lease| lease.expires_at);
        oldest.copied().filter(|_| in_force.len() >= DECLINES_MAX)
    }

    fn longest_free(&self) -> Option<Ipv4Addr> {
        let index = self.offers.free(self.world, self.now);
        index.ended(self.link.network(), self.now).find(|address| self.refuse(*address).is_none())
    }
}

fn is_wanted(wanted: &Option<Octets>, got: Option<&[u8]>) -> bool {
    wanted.as_ref().is_none_or(|wanted| got == Some(wanted.as_bytes()))
}
