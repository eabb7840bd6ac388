//! Machines: computers, metal or virtual, and the state of their workflows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::name::check_host_name;
use super::{
    Arch, Environment, Kind, Mac, Noun, Object, ObjectReference, OptionSet, Problem, RefusalCode, Stored,
};

/// Most network interfaces of one machine.
pub const MACS_MAX: usize = 64;

/// One computer. Each of its MAC addresses identifies it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The host name; unique.
    pub name: String,
    /// The MAC addresses of all network interfaces. A MAC address belongs to one machine only.
    #[serde(default)]
    pub macs: Vec<Mac>,
    /// The SMBIOS system UUID. Both byte orders match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smbios_uuid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default = "default_arch")]
    pub arch: Arch,
    /// The workflow that `start` runs if the request names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The channel whose content the machine gets when a run begins. Without one it is that of the first of
    /// its profiles that has one, or `prod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The machine's profiles in order: an earlier one wins.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Values of params for this machine alone.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// DHCP options for this machine on every network. They win over its reservation's.
    #[serde(default, skip_serializing_if = "OptionSet::is_empty")]
    pub options: OptionSet,
    /// A locked machine cannot be started, resumed, retried, armed, changed or deleted until it is unlocked.
    #[serde(default)]
    pub locked: bool,
}

fn default_arch() -> Arch {
    Arch::Amd64
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// No workflow was started, or the last one was cancelled.
    #[default]
    Registered,
    /// The workflow waits for something outside: a power-on, or a request of an agent.
    Waiting,
    /// The machine is booting into a bootenv.
    Booting,
    /// An installer or a task is running.
    Running,
    /// The workflow stopped, by the server or by an operator, until an operator looks at it.
    Held,
    /// A step failed; `retry` continues there.
    Failed,
    /// The workflow ended well.
    Complete,
}

impl MachineState {
    /// In the order of their declaration.
    pub const ALL: [MachineState; 7] = [
        MachineState::Registered,
        MachineState::Waiting,
        MachineState::Booting,
        MachineState::Running,
        MachineState::Held,
        MachineState::Failed,
        MachineState::Complete,
    ];

    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            MachineState::Registered => "registered",
            MachineState::Waiting => "waiting",
            MachineState::Booting => "booting",
            MachineState::Running => "running",
            MachineState::Held => "held",
            MachineState::Failed => "failed",
            MachineState::Complete => "complete",
        }
    }
}

/// The status of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineStatus {
    pub state: MachineState,
    /// Why the machine is in this state, in words for a person.
    #[serde(default)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The bootenv of the present step. Without one the machine boots the bootenv of the setting
    /// `default_bootenv`, by default the local disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootenv: Option<String>,
    /// The machine's address, from its lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The open run, or the last one. `GET /runs/{id}` has its steps and its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<PresentRun>,
    /// Index of the step that is next or running.
    #[serde(default)]
    pub cursor: u32,
    /// Number of steps of the run.
    #[serde(default)]
    pub steps_total: u32,
    /// The running job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<MachineWait>,
    /// Until when the machine may boot a destructive bootenv. Unset as soon as the kernel was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_until: Option<Timestamp>,
    /// What the boot that the machine is armed for erases, in words: `the disk /dev/sda`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub erases: String,
    /// When the machine last sent a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_attempt: Option<BootAttempt>,
    /// The id of the last boot attempt that fetched the kernel of an installer, until something tells how it
    /// ended. A late report counts for this attempt only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreported_boot: Option<Uuid>,
    /// Boot attempts at this step that did not get anywhere.
    #[serde(default)]
    pub fruitless_attempts: u32,
    /// Counters and times of the present step.
    #[serde(default)]
    pub tries: StepTries,
    /// Tasks that are still to be run because the step has failed for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<String>,
    /// The agent that last asked for work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSeen>,
    /// What happened to the live system that runs the run's tasks.
    #[serde(default, skip_serializing_if = "LiveSystem::is_new")]
    pub live_system: LiveSystem,
}

/// What happened to a live system, which runs from memory, during its tasks. Each boot step resets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveSystem {
    /// How often the live system was booted again because the machine lost power.
    #[serde(default)]
    pub restarts: u32,
    /// The machine lost power while the run was stopped, so the run continues with another boot.
    #[serde(default)]
    pub lost: bool,
    /// When somebody fetched a boot script in the machine's name from an address that is not known to be the
    /// machine's. The live system counts as lost unless its agent is heard of again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted_at: Option<Timestamp>,
}

impl LiveSystem {
    fn is_new(&self) -> bool {
        *self == LiveSystem::default()
    }
}

/// Counters and times of the present step. Each step resets them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepTries {
    /// Jobs handed out.
    #[serde(default)]
    pub jobs: u32,
    /// Jobs that failed or were lost.
    #[serde(default)]
    pub failures: u32,
    /// How often the server asked an agent to reboot.
    #[serde(default)]
    pub reboots: u32,
    /// Time before which the task is not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// One process of an agent, as the agent reported itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSeen {
    pub environment: Environment,
    /// The boot id, which changes with each boot of the machine.
    pub boot: String,
    /// Whether the server asked this agent to reboot.
    #[serde(default)]
    pub leaving: bool,
}

/// A machine's summary of its run. The run itself is an object of its own, with this id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresentRun {
    pub id: Uuid,
    pub workflow: String,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Whether the run is paused: no further job and no further boot begins.
    #[serde(default)]
    pub paused: bool,
    /// Why the run is paused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pause_reason: String,
    /// The step before which the run pauses by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_before: Option<StopBefore>,
    /// A rehearsal: the installer is run up to its answer file and no disk is touched.
    #[serde(default)]
    pub rehearse: bool,
    /// Index of the step that `restart` was told to begin at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_step: Option<u32>,
}

/// The step before which a run pauses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopBefore {
    /// Index of the step in the run.
    pub step: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What the machine waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineWait {
    pub reason: String,
    pub since: Timestamp,
    /// The kind of event that ends the wait: `boot.kernel_fetched`.
    pub expected: String,
    /// When the wait has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
    /// When the event has usually happened; what is heard from the machine puts it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_by: Option<Timestamp>,
    /// Whether the usual time has passed. Something may be wrong; the wait goes on until `overdue_at`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overdue: bool,
}

impl MachineWait {
    /// When the wait becomes overdue; none if it is already, or has no usual time.
    pub fn becomes_overdue_at(&self) -> Option<Timestamp> {
        self.expected_by.filter(|_| !self.overdue)
    }
}

/// How far a boot attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootProgress {
    /// The firmware asked for an address.
    Firmware,
    /// A network boot loader asked for an address.
    Loader,
    /// The boot script was fetched.
    Script,
    /// The kernel was fetched.
    Kernel,
    /// The answer file was fetched, or an agent called.
    System,
    /// The attempt ended; `result` says how.
    Ended,
}

/// How a boot attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootResult {
    Done,
    Failed,
    TimedOut,
    /// The machine was powered on again before the attempt ended.
    Superseded,
}

impl BootResult {
    /// `timed_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            BootResult::Done => "done",
            BootResult::Failed => "failed",
            BootResult::TimedOut => "timed_out",
            BootResult::Superseded => "superseded",
        }
    }
}

/// One boot attempt: from the machine's first DISCOVER or first fetch of a script after a power-on to the
/// end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BootAttempt {
    pub id: Uuid,
    /// Counts the machine's attempts, from 1.
    pub number: u64,
    pub started_at: Timestamp,
    /// When the machine last sent a request in the attempt.
    pub seen_at: Timestamp,
    pub progress: BootProgress,
    /// The interface that the machine boots from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The architecture code that the firmware sent (DHCP option 93); 0 is BIOS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_arch: Option<u16>,
    /// The code that it sent for its other protocol, if it tried both PXE and HTTP boot in this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_arch: Option<u16>,
    /// The server's address that faces the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// The bootenv that the machine was told to boot; none for the local disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootenv: Option<String>,
    /// The step of the run that the attempt belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// When the kernel was first fetched. For a destructive bootenv this used up the arming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_fetched_at: Option<Timestamp>,
    /// When the attempt times out if it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// When the next sign of life usually has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_by: Option<Timestamp>,
    /// What the installer asks at its console, where it waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BootResult>,
}

impl Noun for Machine {
    const KIND: Kind = Kind::Machine;
    const REFERS_TO: &'static [Kind] = &[Kind::Profile, Kind::Workflow, Kind::Channel];
    const INDEXES: &'static [&'static str] =
        &["name", "mac", "smbios_uuid", "address", "attempt", "unreported_boot"];
    const HAS_STATUS: bool = true;
    type Status = MachineStatus;

    fn key(&self) -> Option<String> {
        None
    }

    fn unique(&self, status: &MachineStatus) -> Vec<(&'static str, String)> {
        let macs = self.macs.iter().map(|mac| ("mac", mac.to_string()));
        let address = status.address.iter().map(|address| ("address", address.to_string()));
        let attempt = status.boot_attempt.iter().map(|attempt| ("attempt", attempt.id.to_string()));
        let uuid = self.smbios_uuid.iter().map(|uuid| ("smbios_uuid", uuid.to_string()));
        let unreported = status.unreported_boot.iter().map(|id| ("unreported_boot", id.to_string()));
        let name = [("name", self.name.clone())];
        let of_status = address.chain(attempt).chain(unreported);
        name.into_iter().chain(macs).chain(uuid).chain(of_status).collect()
    }

    fn references(&self) -> Vec<ObjectReference> {
        let mut references = ObjectReference::list(Kind::Profile, &self.profiles, "/profiles");
        references
            .extend(self.workflow.iter().map(|name| ObjectReference::new(Kind::Workflow, name, "/workflow")));
        references
            .extend(self.channel.iter().map(|name| ObjectReference::new(Kind::Channel, name, "/channel")));
        references
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_host_name(&self.name, "/name");
        if self.macs.len() > MACS_MAX {
            problems.push(
                Problem::new("/macs", format!("a machine has at most {MACS_MAX} MAC addresses"))
                    .coded(RefusalCode::TooLarge),
            );
        }
        for (i, mac) in self.macs.iter().enumerate().take(MACS_MAX) {
            if !mac.is_unicast() {
                let why = "not the address of one interface (all zero, or a multicast address)";
                problems.push(
                    Problem::new(format!("/macs/{i}"), format!("{mac} is {why}"))
                        .coded(RefusalCode::Malformed),
                );
            }
            if self.macs.iter().take(i).any(|earlier| earlier == mac) {
                problems.push(
                    Problem::new(format!("/macs/{i}"), format!("{mac} is listed twice"))
                        .coded(RefusalCode::Duplicate),
                );
            }
        }
        problems.extend(super::repeated(&self.profiles, "/profiles"));
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Machine(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_in_the_status_is_the_same_text_as_ever() {
        for text in ["10.0.0.5", "fd00::5"] {
            let mut status = serde_json::to_value(MachineStatus::default()).unwrap();
            status["address"] = json!(text);
            let read: MachineStatus = serde_json::from_value(status).unwrap();
            assert_eq!(read.address.map(|address| address.to_string()).as_deref(), Some(text));
            assert_eq!(serde_json::to_value(&read).unwrap()["address"], text);
        }
    }
}
