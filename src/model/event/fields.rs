//! Fields that several kinds of events share.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::model::{ArtifactState, ArtifactStatus, Job, Lease, LeaseState, Mac, StepKind, Verdict};

/// An event of a kind that says everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// Which part of a boot a DHCP client is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientStage {
    /// A PXE ROM or UEFI PXE.
    Firmware,
    /// UEFI HTTP boot.
    HttpFirmware,
    Ipxe,
    /// An operating system, or anything else that only wants an address.
    #[default]
    System,
}

/// A DHCP packet and what was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketAnswer {
    pub reason: String,
    pub address: Option<Ipv4Addr>,
    pub mac: Option<Mac>,
    /// The client as leases name it: `1/52:54:00:aa:00:01`.
    pub client: Option<String>,
    pub hostname: Option<String>,
    /// When its lease ends, where it has one.
    pub expires_at: Option<Timestamp>,
    pub stage: ClientStage,
    /// The vendor class that it sent (option 60).
    pub vendor: Option<String>,
    /// The client classes that it belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_classes: Vec<String>,
    /// The architecture that it sent (option 93); this and what follows: of one that boots from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<u16>,
    /// The boot file that it was given, with the capability hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_file: Option<String>,
    /// What it may boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// How its loader was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
}

/// A lease with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseNow {
    pub reason: String,
    pub address: Ipv4Addr,
    pub mac: Option<Mac>,
    /// The client as leases name it: `1/52:54:00:aa:00:01`.
    pub client: String,
    pub subnet: String,
    pub hostname: Option<String>,
    pub machine: Option<Uuid>,
    pub bound_at: Timestamp,
    pub expires_at: Timestamp,
    /// Of `dhcp.released`: the address that its client has taken instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Ipv4Addr>,
    /// Of `lease.imported`: how the other server had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<LeaseState>,
    /// Of `lease.deleted`: the name of the record, its revision, and all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
}

impl LeaseNow {
    pub fn new(lease: &Lease, reason: impl Into<String>) -> Self {
        LeaseNow {
            reason: reason.into(),
            address: lease.address,
            mac: lease.mac,
            client: lease.client.clone(),
            subnet: lease.subnet.clone(),
            hostname: lease.hostname.clone(),
            machine: lease.machine,
            bound_at: lease.bound_at,
            expires_at: lease.expires_at,
            moved_to: None,
            state: None,
            name: None,
            revision: None,
            object: None,
        }
    }
}

/// How a lease came to be released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DhcpRelease {
    /// Its client gave it back.
    Packet(PacketAnswer),
    /// An operator ended it, or its client has another address.
    Lease(LeaseNow),
}

/// What no subnet fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnservedPacket {
    /// A packet of a known machine.
    Packet(PacketAnswer),
    /// Packets of others.
    Clients(UnservedClients),
}

/// Clients that no subnet fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnservedClients {
    pub reason: String,
    /// The client seen last.
    pub mac: Option<Mac>,
    pub relay: Option<Ipv4Addr>,
    pub interface: String,
    /// How many packets since the start.
    pub packets: u64,
}

/// Which protocol a boot file is asked for over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootProtocol {
    Tftp,
    Http,
}

/// How an address was looked for before it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressProbe {
    Arp,
    Icmp,
}

/// What an operator does to one step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorStep {
    /// The id of the run; absent in an older event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    /// Index of the step, from 0.
    pub step: u32,
    pub kind: Option<StepKind>,
    /// The stage, bootenv or task of the step.
    pub name: Option<String>,
    pub by: String,
    /// Empty where none was given.
    pub reason: String,
    pub workflow: Option<String>,
    pub stage: Option<String>,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobNow {
    /// The id of the job.
    pub job: String,
    /// The id of the run; absent in an older event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Uuid>,
    pub task: String,
    pub stage: String,
    /// Counts the runs of its step, from 1.
    pub attempt: u32,
    /// The exit code of the script that ended it.
    pub exit: Option<i32>,
    pub reason: String,
}

impl JobNow {
    pub fn new(job: &Job, key: &str) -> Self {
        JobNow {
            job: key.to_owned(),
            run: Some(job.run),
            task: job.task.clone(),
            stage: job.stage.clone(),
            attempt: job.attempt,
            exit: job.exit,
            reason: job.reason.clone(),
        }
    }
}

/// An artifact as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactNow {
    pub state: ArtifactState,
    pub reason: String,
    /// 0 to 100 while it is being fetched, unpacked or read.
    pub percent: Option<u8>,
    pub sha256: Option<String>,
    /// The first files that are not what they were.
    pub damaged: Vec<String>,
    /// Kernels and initrds that bootenvs name and that are not in it.
    pub absent: Vec<String>,
}

impl From<&ArtifactStatus> for ArtifactNow {
    fn from(status: &ArtifactStatus) -> Self {
        ArtifactNow {
            state: status.state,
            reason: status.reason.clone(),
            percent: status.percent,
            sha256: status.sha256.clone(),
            damaged: status.damaged.clone(),
            absent: status.absent.clone(),
        }
    }
}

/// An object that was created or deleted. Secrets are sealed, and a long text is its digest and length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectSnapshot {
    pub name: String,
    pub revision: u64,
    /// What its writer wrote, and the status.
    pub object: Value,
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectDiff {
    pub name: String,
    /// The revision that the object has now.
    pub revision: u64,
    /// The JSON Patch (RFC 6902) from the revision before. A long text is its digest and length.
    pub diff: Value,
    /// Secret params that have another value; the patch cannot show them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// An event whose kind or fields this version does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherEvent {
    pub kind: String,
    pub data: Value,
}
