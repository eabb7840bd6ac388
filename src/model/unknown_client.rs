//! Clients that want to boot and are not a machine here, as the API shows them.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Arch, Mac, Machine, Stored};

/// A client that no machine stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownClient {
    /// Absent if only its address is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its last address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The vendor class that it sent (option 60).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The architecture of its firmware (option 93), as bootenvs name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// The registry's name of its firmware: `x64 UEFI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The port of the switch or relay (sub-option 1 of option 82): text, or hex behind `0x`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// The relay through which it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// The server's interface that it was heard on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// How often it asked.
    pub requests: u64,
    /// What it asked last: `dhcp`, or the path of a boot script.
    pub asked: String,
    /// What it was answered, and why.
    pub reason: String,
    /// The machine with almost the same MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<SimilarMachine>,
}

/// A machine one of whose MACs differs from an unknown client's by one digit, or by two that are swapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SimilarMachine {
    /// The machine's id.
    pub id: String,
    pub name: String,
    /// The MAC that the machine has.
    pub mac: Mac,
}

impl SimilarMachine {
    pub fn of(machine: &Stored<Machine>, mac: Mac) -> Self {
        SimilarMachine { id: machine.key.clone(), name: machine.spec.name.clone(), mac }
    }
}

/// An unknown client whose MAC is almost that of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SimilarClient {
    /// The client's MAC, which no machine has.
    pub mac: Mac,
    pub last_seen: Timestamp,
    /// The machine, and the MAC that it has.
    pub machine: SimilarMachine,
}

impl std::fmt::Display for SimilarClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SimilarMachine { name, mac, .. } = &self.machine;
        let seconds = self.last_seen.as_second();
        let at = Timestamp::from_second(seconds).unwrap_or(self.last_seen);
        write!(f, "{} asked at {at} and no machine has this MAC; {name} has {mac}", self.mac)
    }
}
