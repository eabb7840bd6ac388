//! Fields that several kinds of events share.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::model::{
    ArtifactState, ArtifactStatus, EventBody, Job, Lease, LeaseState, Mac, Problem, StepKind, Verdict,
};

/// An event without fields: the kind says everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

/// The software that sends a DHCP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientStage {
    /// A PXE ROM or UEFI PXE.
    Firmware,
    /// UEFI HTTP boot.
    HttpFirmware,
    Ipxe,
    /// An operating system, or another client that only wants an address.
    #[default]
    System,
}

/// A DHCP packet and its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketAnswer {
    pub reason: String,
    pub address: Option<Ipv4Addr>,
    pub mac: Option<Mac>,
    /// The client as leases name it: `1/52:54:00:aa:00:01`.
    pub client: Option<String>,
    pub hostname: Option<String>,
    /// When the client's lease ends, if it has one.
    pub expires_at: Option<Timestamp>,
    pub stage: ClientStage,
    /// The vendor class of the client (option 60).
    pub vendor: Option<String>,
    /// The client classes that the client belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_classes: Vec<String>,
    /// The architecture of the client (option 93). This field and those below: only for a client that boots
    /// from the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<u16>,
    /// The boot file for the client, with the capability hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_file: Option<String>,
    /// What the machine may boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// How the server chose the loader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
}

/// A lease after the change.
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
    /// For `dhcp.released`: the address that the client took instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<Ipv4Addr>,
    /// For `lease.imported`: the state of the lease at the other server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<LeaseState>,
    /// For `lease.deleted`: the name of the record, its revision, and the whole record.
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

/// How a lease was released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DhcpRelease {
    /// The client released it.
    Packet(PacketAnswer),
    /// An operator ended it, or the client has another address now.
    Lease(LeaseNow),
}

/// A client whose MAC is almost that of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineSimilarMac {
    /// The MAC of the client.
    pub mac: Mac,
    /// The MAC that the machine has.
    pub own: Mac,
    /// The address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    pub reason: String,
}

/// A packet that no subnet fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnservedPacket {
    /// A packet of a known machine.
    Packet(PacketAnswer),
    /// Packets of other clients.
    Clients(UnservedClients),
}

/// Clients that no subnet fits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnservedClients {
    pub reason: String,
    /// The client that was seen last.
    pub mac: Option<Mac>,
    pub relay: Option<Ipv4Addr>,
    pub interface: String,
    /// Number of packets since the start.
    pub packets: u64,
}

/// The protocol of a request for a boot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootProtocol {
    Tftp,
    Http,
}

/// How the server checked whether an address is in use, before giving it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressProbe {
    Arp,
    Icmp,
}

/// The faults in spite of which a run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultsAcceptance {
    /// The id of the run.
    pub run: Option<Uuid>,
    /// Why, as the operator said.
    pub reason: String,
    pub faults: Vec<Problem>,
    pub workflow: Option<String>,
    pub stage: Option<String>,
}

/// An operator's action on one step of a run.
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
    /// Empty if none was given.
    pub reason: String,
    pub workflow: Option<String>,
    pub stage: Option<String>,
}

/// What an installer asks at its console.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallerQuestion {
    /// The question or error as the console shows it, on one line.
    pub question: String,
    /// The address that sent the report.
    pub peer: IpAddr,
}

/// A step of a run that takes longer than usual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverdueStep {
    /// The id of the run.
    pub run: Option<Uuid>,
    /// Index of the step, from 0.
    pub step: u32,
    /// The stage, bootenv or task of the step.
    pub name: Option<String>,
    /// What is waited for, and where to look.
    pub reason: String,
    /// When the wait fails.
    pub until: Option<Timestamp>,
    pub workflow: Option<String>,
    pub stage: Option<String>,
}

/// A job after the change.
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
    /// Which attempt of its step the job is, from 1.
    pub attempt: u32,
    /// The exit code of the script that ended the job.
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

/// An artifact after the change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactNow {
    pub state: ArtifactState,
    pub reason: String,
    /// Progress of fetching, unpacking or reading, from 0 to 100.
    pub percent: Option<u8>,
    pub sha256: Option<String>,
    /// The first files whose content has changed.
    pub damaged: Vec<String>,
    /// Kernels and initrds that bootenvs name and the artifact lacks.
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

/// An object that was created or deleted. Secrets are sealed; a long text is replaced by its digest and
/// length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectSnapshot {
    pub name: String,
    pub revision: u64,
    /// The fields that the writer set, and the status.
    pub object: Value,
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectDiff {
    pub name: String,
    /// The revision of the object after the change.
    pub revision: u64,
    /// The JSON Patch (RFC 6902) from the previous revision. A long text is replaced by its digest and
    /// length.
    pub diff: Value,
    /// Secret params whose values changed; the patch cannot show them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// An event whose kind or fields this version does not know.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherEvent {
    pub kind: String,
    pub data: Value,
}

/// A machine asked for a file that there is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootFileAbsent {
    /// The requested path, with the capability hidden.
    pub path: String,
    pub peer: IpAddr,
    pub protocol: BootProtocol,
    pub reason: String,
}

/// A file was sent over TFTP or HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootFileServed {
    /// The requested path, with the capability hidden.
    pub path: String,
    /// What the path resolved to: `artifact:debian-12/linux`, `rendered:ipxe/boot.ipxe`.
    pub label: String,
    pub protocol: BootProtocol,
    pub peer: IpAddr,
    /// Size of the whole file, in bytes.
    pub size: u64,
    /// Number of bytes that were sent.
    pub bytes: u64,
    pub duration_ms: u64,
    /// Whether the client received the whole file.
    pub complete: bool,
}

/// An installation counts as done although its installer did not report that in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunInstallationConfirmed {
    /// The id of the run.
    pub run: Option<Uuid>,
    /// Index of the step, from 0.
    pub step: u32,
    /// The bootenv of the installer.
    pub name: Option<String>,
    /// What shows it, and why the run had failed, if it had.
    pub reason: String,
    pub workflow: Option<String>,
    pub stage: Option<String>,
}

/// A new token was made for a machine's agent, and the tokens that it had were ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineAgentTokenReissued {
    /// The name of the new token.
    pub name: String,
    /// The names of the tokens that were ended.
    pub ended: Vec<String>,
    /// When the new token ends if it is not used.
    pub first_use_by: Timestamp,
}

/// A backup of the running server was made, with all of its secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerBackedUp {
    /// How many files and links it has.
    pub members: u64,
    /// Its bytes before it is encrypted.
    pub bytes: u64,
    /// Whether the files of artifacts are in it.
    pub artifacts: bool,
}

/// The data directory was made from a backup. What happened since the backup is not known here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerRestored {
    /// When the backup was made.
    pub backup_at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
}

/// All secret values were sealed with a new key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerKeyRotated {
    /// Number of values of objects.
    pub values: u64,
    /// Number of values that runs have kept.
    pub kept: u64,
    /// Number of values that did not open with the old key either, and stay as they are.
    pub shut: u64,
}

/// Params were made for a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineParamsGenerated {
    /// Their names.
    pub params: Vec<String>,
}

/// History that is older than the settings allow was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerPruned {
    pub runs: u64,
    /// Pieces of content that no run needed any more.
    pub contents: u64,
    pub jobs: u64,
    /// Jobs whose logs were deleted.
    pub logs: u64,
    pub documents: u64,
    pub events: u64,
    /// Audit events that had outlived the other events of their time.
    #[serde(default)]
    pub audit: u64,
}

/// A move of a channel, and what it wrote of the tables of content, which show what `prod` has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelMoved {
    pub pack: String,
    /// The version before; null if the channel did not have the pack.
    pub from: Option<String>,
    /// The version since; null if the channel does not have the pack any more.
    pub to: Option<String>,
    /// Number of objects that were created.
    pub created: u64,
    /// Number of objects that were changed.
    pub updated: u64,
    /// Number of objects that were deleted.
    pub removed: u64,
}

/// Makes the event of the fields that one kind alone has.
macro_rules! own_fields {
    ($($variant:ident),+) => {
        $(impl From<$variant> for EventBody {
            fn from(fields: $variant) -> Self {
                EventBody::$variant(fields)
            }
        })+
    };
}

own_fields!(
    BootFileAbsent,
    BootFileServed,
    MachineAgentTokenReissued,
    MachineParamsGenerated,
    MachineSimilarMac,
    RunInstallationConfirmed,
    ServerBackedUp,
    ServerKeyRotated,
    ServerPruned,
    ServerRestored
);
