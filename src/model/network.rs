//! Subnets: the IPv4 networks that the server serves.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::{Kind, NoStatus, Noun, Object, Octets, OptionSet, Problem, RefusalCode, Stored};

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

    /// The network of so many leading bits, at most 32, that an address is in.
    pub fn around(address: Ipv4Addr, prefix: u8) -> Cidr {
        let bits = Cidr { address, prefix }.mask().to_bits();
        Cidr { address: Ipv4Addr::from_bits(address.to_bits() & bits), prefix }
    }

    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !self.mask().to_bits())
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask().to_bits() == self.address.to_bits()
    }

    /// Whether a host may have this address: not the network address and not the broadcast address. Networks
    /// of one or two addresses have neither (RFC 3021).
    pub fn has_host(&self, address: Ipv4Addr) -> bool {
        let is_end = address == self.address || address == self.broadcast();
        self.contains(address) && (self.prefix > 30 || !is_end)
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
        let (address, prefix) = text.split_once('/').ok_or_else(|| cidr_error(text))?;
        let address: Ipv4Addr = address.parse().map_err(|_| cidr_error(text))?;
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32).ok_or_else(|| cidr_error(text))?;
        let network = Cidr::around(address, prefix);
        if network.address != address {
            return Err(format!("`{text}` has host bits set: the network is {network}"));
        }
        Ok(network)
    }
}

fn cidr_error(text: &str) -> String {
    format!("`{text}` is not an IPv4 network: write it like 10.0.0.0/24")
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
            "examples": ["10.0.0.0/24"],
            "pattern": "^((25[0-5]|(2[0-4]|1[0-9]|[1-9]?)[0-9])\\.){3}\
                (25[0-5]|(2[0-4]|1[0-9]|[1-9]?)[0-9])/(3[0-2]|[12]?[0-9])$",
        })
    }
}

/// A range of addresses that are given out, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    pub start: Ipv4Addr,
    pub end: Ipv4Addr,
    /// DHCP options for clients of the pool. They win over the subnet's.
    #[serde(default, skip_serializing_if = "OptionSet::is_empty")]
    pub options: OptionSet,
}

/// Addresses that are not given out, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExcludedRange {
    pub start: Ipv4Addr,
    pub end: Ipv4Addr,
}

impl ExcludedRange {
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

impl Pool {
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

/// What the server does on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubnetMode {
    /// Addresses and boot data.
    #[default]
    Managed,
    /// Boot data beside another DHCP server (ProxyDHCP, PXE 2.1).
    Proxy,
    /// Addresses, but never boot data.
    AddressOnly,
}

/// How the server checks whether a fresh address is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeMode {
    /// By ARP on a direct link, by ICMP echo behind a relay, where ARP does not reach.
    Arp,
    Icmp,
    None,
}

/// An IPv4 network that the server serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    pub name: String,
    pub cidr: Cidr,
    /// The addresses that are given out.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// Ranges of addresses in the pools that are not given out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedRange>,
    #[serde(default)]
    pub mode: SubnetMode,
    /// Whether unknown clients get a NAK instead of silence.
    #[serde(default)]
    pub authoritative: bool,
    /// Only clients with a reservation get an answer.
    #[serde(default)]
    pub reservations_only: bool,
    /// Replies are broadcast even to clients that accept unicast: for interfaces and bridges that lose
    /// unicast.
    #[serde(default)]
    pub always_broadcast: bool,
    /// The link that a relay names (option 82.5, RFC 3527; option 118) is ignored: the relay's own address
    /// selects the subnet.
    #[serde(default)]
    pub ignore_link_selection: bool,
    /// BOOTP clients with a reservation get an answer (RFC 951, RFC 1534).
    #[serde(default)]
    pub bootp: bool,
    /// The default is `arp`, which is ICMP echo behind a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeMode>,
    #[serde(default = "default_lease_seconds")]
    #[schemars(range(min = 60, max = 4_294_967_295_u32))]
    pub lease_seconds: u32,
    /// DHCP options by IANA name in snake_case (`routers`, `domain_name_servers`), or `{code, hex}`.
    #[serde(default)]
    pub options: OptionSet,
    /// Addresses of this network's relays that are outside of the network.
    #[serde(default)]
    pub relays: Vec<Ipv4Addr>,
    /// Subnets with the same shared network are on one wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_network: Option<String>,
    /// The VRF that relays name for clients of this network (option 82.151, RFC 6607): its name, or seven
    /// bytes in hex for a VPN identifier of RFC 2685.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<Octets>,
    /// The boot server, if it is not the address of this server that faces the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// Largest block that TFTP sends to this network, in bytes: for tunnels and VLANs that carry less than
    /// the server's interface. By default the bound is the MTU of that interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 65464))]
    pub tftp_block_bytes_max: Option<u16>,
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
    /// The network within which a lease is unique: the shared network, or the subnet itself.
    pub fn network(&self) -> &str {
        self.shared_network.as_deref().unwrap_or(&self.name)
    }

    /// How a fresh address of the subnet is checked.
    pub fn probe_mode(&self) -> ProbeMode {
        self.probe.unwrap_or(ProbeMode::Arp)
    }

    /// Faults of a range, of a pool or an exclusion: both ends must be in the network and in order.
    fn range_problems(&self, (start, end): (Ipv4Addr, Ipv4Addr), pointer: &str) -> Vec<Problem> {
        let outside = [start, end].into_iter().filter(|address| !self.cidr.contains(*address));
        let outside = outside.map(|address| {
            Problem::new(pointer, format!("{address} is not in {}", self.cidr)).coded(RefusalCode::OutOfRange)
        });
        let reversed = (start > end)
            .then(|| Problem::new(pointer, "`start` is after `end`").coded(RefusalCode::OutOfRange));
        outside.chain(reversed).collect()
    }
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
        let wire = self.shared_network.as_deref();
        problems.extend(wire.into_iter().flat_map(|wire| check_name(wire, "/shared_network")));
        for (i, range) in self.excluded.iter().enumerate() {
            problems.extend(self.range_problems((range.start, range.end), &format!("/excluded/{i}")));
        }
        for (i, pool) in self.pools.iter().enumerate() {
            let pointer = format!("/pools/{i}");
            problems.extend(self.range_problems((pool.start, pool.end), &pointer));
            if let Some(other) = self
                .pools
                .iter()
                .take(i)
                .find(|other: &&Pool| pool.start <= other.end && other.start <= pool.end)
            {
                let what = format!("overlaps the pool {} - {}", other.start, other.end);
                problems.push(Problem::new(&pointer, what).coded(RefusalCode::Overlaps));
            }
        }
        if self.lease_seconds < 60 {
            problems
                .push(Problem::new("/lease_seconds", "at least 60 seconds").coded(RefusalCode::OutOfRange));
        }
        if self.tftp_block_bytes_max.is_some_and(|bytes| !(8..=65_464).contains(&bytes)) {
            problems.push(
                Problem::new("/tftp_block_bytes_max", "from 8 to 65464 (RFC 2348)")
                    .coded(RefusalCode::OutOfRange),
            );
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Subnet(stored)
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
    fn a_range_outside_the_network_is_told_whether_it_is_given_out_or_kept_back() {
        let subnet: Subnet = serde_json::from_value(serde_json::json!({
            "name": "lan", "cidr": "10.0.0.0/24", "shared_network": "a b",
            "pools": [{"start": "10.0.0.9", "end": "10.0.1.9"}],
            "excluded": [{"start": "10.0.2.1", "end": "10.0.0.20"}],
        }))
        .unwrap();
        let mut told: Vec<String> = subnet.check().iter().map(ToString::to_string).collect();
        assert!(told.remove(0).starts_with("/shared_network: `a b` cannot be a name"));
        assert_eq!(
            told,
            [
                "/excluded/0: 10.0.2.1 is not in 10.0.0.0/24",
                "/excluded/0: `start` is after `end`",
                "/pools/0: 10.0.1.9 is not in 10.0.0.0/24",
            ]
        );
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
