//! How DHCP stands, as the API tells it.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mac, SubnetMode};

/// DHCP as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhcpStatus {
    /// What an operator has to look at, one sentence each; empty when all is well.
    pub warnings: Vec<String>,
    /// Whether DHCP is served at all, and with which abilities.
    pub service: ServiceStatus,
    /// Whether what is promised can be kept.
    #[serde(default)]
    pub store: StoreStatus,
    pub interfaces: Vec<InterfaceStatus>,
    pub subnets: Vec<SubnetStatus>,
    /// Relays whose packets came.
    pub relays: Vec<RelayStatus>,
    /// Other DHCP servers that were heard.
    pub servers: Vec<RivalStatus>,
    /// Packets that no subnet fits, by reason; the newest last.
    pub unserved: Vec<UnservedStatus>,
    /// All packets that no subnet fits, since the start.
    pub unserved_packets: u64,
}

/// The database: no address is promised that it does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// Whether it took the last write.
    pub takes_writes: bool,
    /// Since when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Bytes that are free on its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Below so many an operator is warned.
    pub free_bytes_min: u64,
    /// Whether its disk is almost full.
    pub is_short_of_space: bool,
}

impl Default for StoreStatus {
    fn default() -> Self {
        StoreStatus {
            takes_writes: true,
            since: None,
            reason: String::new(),
            free_bytes: None,
            free_bytes_min: 0,
            is_short_of_space: false,
        }
    }
}

impl StoreStatus {
    /// What an operator has to do about the room on its disk.
    pub fn space_warning(&self) -> Option<String> {
        let free = self.free_bytes.filter(|_| self.is_short_of_space)?;
        Some(format!(
            "the disk of the database is almost full: {} MiB are free, below {} MiB; when it is full nothing \
             is promised to any machine: make room, or delete artifacts",
            mebibytes(free),
            mebibytes(self.free_bytes_min)
        ))
    }

    /// Why nothing is promised.
    pub fn outage(&self) -> Option<String> {
        let since = self.since.filter(|_| !self.takes_writes)?;
        Some(format!("the database takes no writes since {since}: {}", self.reason))
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// The sockets that the DHCP service has, as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    pub enabled: bool,
    /// Whether its sockets can be read; false while one fails and is opened anew.
    pub receives: bool,
    /// The UDP port.
    pub port: u16,
    /// Why UDP port 4011, where UEFI in subnets of mode `proxy` asks, could not be bound at the start: who
    /// has it, where that can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_server_fault: Option<String>,
    /// The port of boot files over HTTP.
    pub boot_http_port: Option<u16>,
    /// Whether other servers can be heard.
    pub hears_servers: bool,
    /// Whether addresses can be probed by ARP.
    pub probes_arp: bool,
    /// Whether addresses can be probed by ICMP echo.
    pub probes_icmp: bool,
}

/// An interface that is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceStatus {
    pub name: String,
    /// IPv4 addresses with the length of their prefix.
    pub addresses: Vec<String>,
    pub mtu: u32,
    /// The subnet of clients on this link.
    pub subnet: Option<String>,
    /// The answer that an unknown machine would get now.
    pub example: ExampleAnswer,
}

/// The answer to a DISCOVER that nobody sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExampleAnswer {
    /// `dhcp.offered`, `dhcp.no_subnet`, `dhcp.pool_empty`, `dhcp.ignored`.
    pub event: String,
    pub reason: String,
    pub address: Option<Ipv4Addr>,
}

/// A subnet and how full it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubnetStatus {
    pub name: String,
    /// Its shared network, or its own name.
    pub network: String,
    pub cidr: String,
    pub mode: SubnetMode,
    pub enabled: bool,
    /// Addresses in its pools that may be given out.
    pub pool_addresses: u64,
    /// Of these: leased now.
    pub leased: u64,
    /// Of these: found in use by somebody else.
    pub quarantined: u64,
    /// Of these: reserved, and not leased now.
    pub reserved: u64,
    pub free: u64,
}

/// A relay whose packets came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RelayStatus {
    pub address: Ipv4Addr,
    pub interface: String,
    /// The subnet that fits; none is a fault.
    pub subnet: Option<String>,
    pub packets: u64,
    pub last_seen: Timestamp,
}

/// Another DHCP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalStatus {
    /// What it calls itself.
    pub address: Ipv4Addr,
    /// Where its packets come from; unknown when only clients named it.
    pub mac: Option<Mac>,
    pub interface: String,
    pub subnet: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub packets: u64,
    /// An address it gave.
    pub offered: Option<Ipv4Addr>,
    /// Whether its reply has boot data.
    pub boot_data: bool,
    /// Whether it should be there: the subnet is in mode `proxy`.
    pub expected: bool,
}

/// Clients that were not answered for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnservedStatus {
    pub reason: String,
    pub packets: u64,
    pub last_seen: Timestamp,
    /// The client seen last.
    pub mac: Option<Mac>,
    pub relay: Option<Ipv4Addr>,
    pub interface: String,
}
