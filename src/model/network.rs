//! Subnets, reservations and leases.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::name::check_name;
use super::{Kind, Mac, NoStatus, Noun, Object, Problem, Reference, Stored};

/// An IPv4 network: address and prefix length, host bits zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    pub address: Ipv4Addr,
    pub prefix: u8,
}

impl Cidr {
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0))
    }

    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask().to_bits())
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask().to_bits() == self.address.to_bits()
    }

    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not an IPv4 network: write it like 10.0.0.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(refused)?;
        let address: Ipv4Addr = address.parse().map_err(|_| refused())?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32).ok_or_else(refused)?;
        let cidr = Cidr { address, prefix };
        let network = Ipv4Addr::from_bits(address.to_bits() & cidr.mask().to_bits());
        if network != address {
            return Err(format!("`{text}` has host bits set: the network is {network}/{prefix}"));
        }
        Ok(cidr)
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An IPv4 network, like 10.0.0.0/24.",
            "pattern": "^[0-9]{1,3}(\\.[0-9]{1,3}){3}/[0-9]{1,2}$",
        })
    }
}

/// A range of addresses, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub start: Ipv4Addr,
    pub end: Ipv4Addr,
}

impl Pool {
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

/// What we do on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubnetMode {
    /// Addresses and boot data.
    #[default]
    Managed,
    /// Boot data beside another DHCP server. This version refuses it.
    Proxy,
    /// Addresses, never boot data.
    AddressOnly,
}

/// How a fresh address is checked for being in use. This version takes `none` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    Arp,
    Icmp,
    #[default]
    None,
}

/// An IPv4 network that is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    pub name: String,
    pub cidr: Cidr,
    /// The addresses that are given out.
    #[serde(default)]
    pub pools: Vec<Pool>,
    #[serde(default)]
    pub mode: SubnetMode,
    /// Whether clients we do not know are told NAK, instead of silence.
    #[serde(default)]
    pub authoritative: bool,
    /// Only reservations are answered.
    #[serde(default)]
    pub reservations_only: bool,
    #[serde(default)]
    pub probe: Probe,
    #[serde(default = "default_lease_seconds")]
    #[schemars(range(min = 60))]
    pub lease_seconds: u32,
    /// DHCP options by IANA name in snake_case (`routers`, `domain_name_servers`), or `{code, hex}`.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
    /// Addresses of relays of this network that are not inside it.
    #[serde(default)]
    pub relays: Vec<Ipv4Addr>,
    /// Subnets with the same shared network are on one wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_network: Option<String>,
    /// The boot server, where it is not the address that faces the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn default_lease_seconds() -> u32 {
    3600
}

fn enabled() -> bool {
    true
}

impl Subnet {
    /// What a lease is unique within: the wire.
    pub fn network(&self) -> &str {
        self.shared_network.as_deref().unwrap_or(&self.name)
    }
}

/// A fixed address for one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    pub address: Ipv4Addr,
    /// The client, by MAC; or by `machine`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Name of the machine that gets the address through whichever of its MACs asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The subnet it holds in; without it, wherever the address fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// DHCP options that win over the subnet's.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
}

/// How a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    Offered,
    Bound,
    Released,
    Expired,
    /// Somebody else was found on the address: it is not given out until `expires_at`.
    Declined,
}

/// An address in use, or last used. `expires_at` decides; a bound lease past it is as good as expired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// The client: `1/52:54:00:aa:00:01` (hardware type and address), or `id/…` (client identifier in hex)
    /// where it has no hardware address.
    pub client: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    pub state: LeaseState,
    pub subnet: String,
    /// The wire the lease is unique in: the subnet's shared network, or its name.
    pub network: String,
    pub bound_at: Timestamp,
    pub expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

impl Noun for Subnet {
    const KIND: Kind = Kind::Subnet;
    const INDEXES: &'static [&'static str] = &["cidr"];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn unique(&self, _: &NoStatus) -> Vec<(&'static str, String)> {
        vec![("cidr", self.cidr.to_string())]
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        for (i, pool) in self.pools.iter().enumerate() {
            let pointer = format!("/pools/{i}");
            for end in [pool.start, pool.end] {
                if !self.cidr.contains(end) {
                    problems.push(Problem::new(&pointer, format!("{end} is not in {}", self.cidr)));
                }
            }
            if pool.start > pool.end {
                problems.push(Problem::new(&pointer, "`start` is after `end`"));
            }
            let overlaps = |other: &&Pool| pool.start <= other.end && other.start <= pool.end;
            if let Some(other) = self.pools.iter().take(i).find(overlaps) {
                let what = format!("overlaps the pool {} - {}", other.start, other.end);
                problems.push(Problem::new(&pointer, what));
            }
        }
        if self.lease_seconds < 60 {
            problems.push(Problem::new("/lease_seconds", "at least 60 seconds"));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Subnet(stored)
    }
}

impl Noun for Reservation {
    const KIND: Kind = Kind::Reservation;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn references(&self) -> Vec<Reference> {
        let subnet = self.subnet.iter().map(|name| Reference::new(Kind::Subnet, name, "/subnet"));
        let machine = self
            .machine
            .iter()
            .map(|name| Reference::new(Kind::Machine, &format!("name:{name}"), "/machine"));
        subnet.chain(machine).collect()
    }

    fn check(&self) -> Vec<Problem> {
        match (&self.mac, &self.machine) {
            (None, None) => vec![Problem::new("", "say for whom: `mac` or `machine`")],
            (Some(_), Some(_)) => vec![Problem::new("", "give `mac` or `machine`, not both")],
            _ => Vec::new(),
        }
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Reservation(stored)
    }
}

impl Noun for Lease {
    const KIND: Kind = Kind::Lease;
    const INDEXES: &'static [&'static str] = &["client"];
    const WRITABLE: bool = false;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn unique(&self, _: &NoStatus) -> Vec<(&'static str, String)> {
        vec![("client", format!("{} {}", self.network, self.client))]
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Lease(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_host_bits_is_told_its_network() {
        let error = "10.0.0.5/24".parse::<Cidr>().unwrap_err();
        assert!(error.contains("10.0.0.0/24"), "{error}");
    }

    #[test]
    fn networks_overlap_in_both_directions() {
        let wide: Cidr = "10.0.0.0/16".parse().unwrap();
        let narrow: Cidr = "10.0.3.0/24".parse().unwrap();
        let other: Cidr = "10.1.0.0/24".parse().unwrap();
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide) && !wide.overlaps(&other));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains(Ipv4Addr::new(1, 2, 3, 4)));
    }
}
