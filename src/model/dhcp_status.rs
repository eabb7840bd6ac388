//! The status of DHCP, as the API shows it.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mac, SubnetMode};

/// The status of DHCP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DhcpStatus {
    /// What an operator has to look at, one sentence each; empty if there is nothing.
    pub warnings: Vec<String>,
    /// Whether DHCP is served, and which abilities the service has.
    pub service: ServiceStatus,
    /// Whether the database keeps what the server promises.
    #[serde(default)]
    pub store: StoreStatus,
    pub interfaces: Vec<InterfaceStatus>,
    pub subnets: Vec<SubnetStatus>,
    /// Relays from which packets came.
    pub relays: Vec<RelayStatus>,
    /// Other DHCP servers whose packets were heard.
    pub servers: Vec<RivalStatus>,
    /// Packets that no subnet fits, by reason; the newest are last.
    pub unserved: Vec<UnservedStatus>,
    /// Number of packets that no subnet fits, since the start.
    pub unserved_packets: u64,
}

/// The state of the database. The server promises no address that the database does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreStatus {
    /// Whether the last write succeeded.
    pub takes_writes: bool,
    /// Since when writes fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why writes fail.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Free bytes on the disk of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// The server warns when fewer bytes are free.
    pub free_bytes_min: u64,
    /// Whether fewer bytes are free than `free_bytes_min`.
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
    /// The warning that the disk is almost full, with what to do.
    pub fn space_warning(&self) -> Option<String> {
        let free = self.free_bytes.filter(|_| self.is_short_of_space)?;
        Some(format!(
            "the disk of the database is almost full: {} MiB are free, below {} MiB; when it is full nothing \
             is promised to any machine: make room, or delete artifacts",
            mebibytes(free),
            mebibytes(self.free_bytes_min)
        ))
    }

    /// The reason why the server promises nothing, if the database takes no writes.
    pub fn outage(&self) -> Option<String> {
        let since = self.since.filter(|_| !self.takes_writes)?;
        Some(format!("the database takes no writes since {since}: {}", self.reason))
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// The present state of the sockets of the DHCP service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    pub enabled: bool,
    /// Whether the sockets can be read; false while a failed socket is being opened again.
    pub receives: bool,
    /// The UDP port.
    pub port: u16,
    /// Why UDP port 4011 could not be bound at the start, and which process has it if that is known. UEFI
    /// clients in subnets of mode `proxy` send their boot request to this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_server_fault: Option<String>,
    /// The port of the boot files over HTTP.
    pub boot_http_port: Option<u16>,
    /// Whether the packets of other servers can be heard.
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
    /// The interface's IPv4 addresses with their prefix lengths.
    pub addresses: Vec<String>,
    pub mtu: u32,
    /// The subnet of the clients on this link.
    pub subnet: Option<String>,
    /// The answer that an unknown machine would get at present.
    pub example: ExampleAnswer,
}

/// The answer to a DISCOVER of a made-up client.
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
    /// The subnet's shared network, or the subnet's name.
    pub network: String,
    pub cidr: String,
    pub mode: SubnetMode,
    pub enabled: bool,
    /// Addresses in the pools that may be given out.
    pub pool_addresses: u64,
    /// Addresses of the pools that are leased at present.
    pub leased: u64,
    /// Addresses of the pools that were found in use by another host.
    pub quarantined: u64,
    /// Addresses of the pools that are reserved and not leased at present.
    pub reserved: u64,
    pub free: u64,
}

/// A relay from which packets came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RelayStatus {
    pub address: Ipv4Addr,
    pub interface: String,
    /// The subnet that fits the relay; none is a fault.
    pub subnet: Option<String>,
    pub packets: u64,
    pub last_seen: Timestamp,
}

/// Another DHCP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RivalStatus {
    /// The server identifier that it sends.
    pub address: Ipv4Addr,
    /// The source MAC address of its packets; unknown if only clients named the server.
    pub mac: Option<Mac>,
    pub interface: String,
    pub subnet: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub packets: u64,
    /// An address that it offered.
    pub offered: Option<Ipv4Addr>,
    /// The boot server that its reply names (`siaddr`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_server: Option<Ipv4Addr>,
    /// Why a GRUB that was loaded over TFTP looks for its files elsewhere, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub misleads: Option<String>,
    /// Whether its reply contains boot data.
    pub boot_data: bool,
    /// Whether another server is expected: the subnet has mode `proxy`.
    pub expected: bool,
}

/// Clients that got no answer, for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnservedStatus {
    pub reason: String,
    pub packets: u64,
    pub last_seen: Timestamp,
    /// The client that was seen last.
    pub mac: Option<Mac>,
    pub relay: Option<Ipv4Addr>,
    pub interface: String,
}
