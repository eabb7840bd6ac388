//! Reservations: addresses that are kept for one client each.

use std::net::Ipv4Addr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Kind, Mac, NoStatus, Noun, Object, ObjectReference, Octets, OptionSet, Problem, RefusalCode, Stored,
    World,
};

/// A fixed address for one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    pub address: Ipv4Addr,
    /// The client, by MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The client, by its client identifier (option 61): all bytes, including the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Octets>,
    /// The client on this port of a relay or switch (option 82.1). Together with `remote_id` both must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_id: Option<Octets>,
    /// The client behind this relay or switch (option 82.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<Octets>,
    /// Name of the machine that gets the address, whichever of its MAC addresses asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The subnet in which the reservation holds; without it, every subnet that contains the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// DHCP options of the reservation. They win over the subnet's.
    #[serde(default)]
    pub options: OptionSet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
}

impl Noun for Reservation {
    const KIND: Kind = Kind::Reservation;
    const REFERS_TO: &'static [Kind] = &[Kind::Subnet, Kind::Machine];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn references(&self) -> Vec<ObjectReference> {
        let subnet = self.subnet.iter().map(|name| ObjectReference::new(Kind::Subnet, name, "/subnet"));
        let machine = self
            .machine
            .iter()
            .map(|name| ObjectReference::new(Kind::Machine, &format!("name:{name}"), "/machine"));
        subnet.chain(machine).collect()
    }

    fn check(&self) -> Vec<Problem> {
        let relay = self.circuit_id.is_some() || self.remote_id.is_some();
        let ways = [self.mac.is_some(), self.machine.is_some(), self.client_id.is_some(), relay];
        match ways.into_iter().filter(|given| *given).count() {
            1 => Vec::new(),
            0 => vec![
                Problem::new(
                    "",
                    "name the client: `mac`, `machine`, `client_id`, or `circuit_id` and `remote_id`",
                )
                .coded(RefusalCode::Exclusive),
            ],
            _ => vec![
                Problem::new(
                    "",
                    "name the client in one way only: `mac`, `machine`, `client_id`, or the relay's ids",
                )
                .coded(RefusalCode::Exclusive),
            ],
        }
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Reservation(stored)
    }
}

impl World {
    /// The reservations of a client: those of its MAC addresses, then those that name its machine. In this
    /// order DHCP looks (`AddressPicker::reservation`).
    pub fn reservations_of<'w, 'c>(
        &'w self,
        macs: &'c [Mac],
        machine: Option<&'c str>,
    ) -> impl Iterator<Item = &'w Reservation> {
        let all = || self.reservations.iter().map(|row| &row.spec);
        let of_mac = all().filter(move |of| of.mac.is_some_and(|mac| macs.contains(&mac)));
        of_mac.chain(all().filter(move |of| machine.is_some() && of.machine.as_deref() == machine))
    }
}
