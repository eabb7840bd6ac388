//! A computer, metal or virtual, and where its workflow stands.

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

/// Most network interfaces one machine may have.
pub const MACS_MAX: usize = 64;

/// One computer. Any of its MAC addresses is the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its host name; unique.
    pub name: String,
    /// The addresses of all its network interfaces; each belongs to one machine only.
    #[serde(default)]
    pub macs: Vec<Mac>,
    /// The SMBIOS system UUID; matched in both byte orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smbios_uuid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default = "default_arch")]
    pub arch: Arch,
    /// The workflow that `start` runs when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Profiles in order: an earlier one wins.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Values of params for this machine alone.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// DHCP options for this machine on every network; they win over its reservation's.
    #[serde(default, skip_serializing_if = "OptionSet::is_empty")]
    pub options: OptionSet,
    /// A locked machine is not started, resumed, retried, armed, changed or deleted until it is unlocked.
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
    /// Known; no workflow was started, or the last one was cancelled.
    #[default]
    Registered,
    /// Something outside has to happen next: a power-on, an agent that asks.
    Waiting,
    /// On its way into a bootenv.
    Booting,
    /// An installer or a task is at work.
    Running,
    /// Stopped by us or by an operator until somebody looks.
    Held,
    /// A step failed; `retry` goes on there.
    Failed,
    /// The workflow ended well.
    Complete,
}

/// What is said of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineStatus {
    pub state: MachineState,
    /// Why it is in this state, for a person.
    #[serde(default)]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The bootenv its workflow is at; without one it boots the setting `default_bootenv`, the local disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootenv: Option<String>,
    /// Its address, from its lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The run under way, or the last one. Its steps and its record are in `GET /runs/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<PresentRun>,
    /// Index of the step that is next or under way.
    #[serde(default)]
    pub cursor: u32,
    /// How many steps the run has.
    #[serde(default)]
    pub steps_total: u32,
    /// The job under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<MachineWait>,
    /// Until when the machine may boot a destructive bootenv; unset once the kernel was fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_until: Option<Timestamp>,
    /// When it last asked for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_attempt: Option<BootAttempt>,
    /// Attempts at this step that led nowhere.
    #[serde(default)]
    pub fruitless_attempts: u32,
    /// What was tried at this step otherwise.
    #[serde(default)]
    pub tries: StepTries,
    /// Tasks still to run because the step has failed for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<String>,
    /// The agent that last asked for work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentSeen>,
    /// What became of the live system whose tasks the run is in.
    #[serde(default, skip_serializing_if = "LiveSystem::is_new")]
    pub live_system: LiveSystem,
}

/// What became of a live system, which runs from memory, while the run was in its tasks. Begins anew with
/// each boot step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveSystem {
    /// How often it was booted again because the machine lost power.
    #[serde(default)]
    pub restarts: u32,
    /// The machine lost power while the run was stopped: the run goes on with another boot.
    #[serde(default)]
    pub lost: bool,
}

impl LiveSystem {
    fn is_new(&self) -> bool {
        *self == LiveSystem::default()
    }
}

/// What was tried at the step under way; begins anew with each step.
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
    /// The task is not run again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// One process of an agent, as it reported itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSeen {
    pub environment: Environment,
    /// Changes with each boot of the machine.
    pub boot: String,
    /// The server asked it to reboot.
    #[serde(default)]
    pub leaving: bool,
}

/// What a machine says of its run. The run itself is an object of its own, with this id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PresentRun {
    pub id: Uuid,
    pub workflow: String,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// No further job is handed out and no further boot begun.
    #[serde(default)]
    pub paused: bool,
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pause_reason: String,
    /// Where the run pauses by itself.
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
    /// Its index in the run.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
}

/// How far a power-on came.
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
    /// Done, failed, timed out or superseded; `result` says which.
    Ended,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootResult {
    Done,
    Failed,
    TimedOut,
    /// The machine was powered on again before the attempt came to an end.
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

/// One power-on, from its first DISCOVER, or its first fetch of a script, to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BootAttempt {
    pub id: Uuid,
    /// Counts the machine's attempts, from 1.
    pub number: u64,
    pub started_at: Timestamp,
    /// When it last asked for anything.
    pub seen_at: Timestamp,
    pub progress: BootProgress,
    /// The interface it boots from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The architecture code its firmware sent (DHCP option 93); 0 is BIOS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_arch: Option<u16>,
    /// The address of ours that faces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// The bootenv it was sent into; none means the local disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootenv: Option<String>,
    /// The step of the run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// When the kernel was first fetched; for a destructive bootenv that used up the arming.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_fetched_at: Option<Timestamp>,
    /// When an attempt that has not ended by then ends as timed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<BootResult>,
}

impl Noun for Machine {
    const KIND: Kind = Kind::Machine;
    const REFERS_TO: &'static [Kind] = &[Kind::Profile, Kind::Workflow];
    const INDEXES: &'static [&'static str] = &["name", "mac", "smbios_uuid", "address", "attempt"];
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
        let name = [("name", self.name.clone())];
        name.into_iter().chain(macs).chain(uuid).chain(address).chain(attempt).collect()
    }

    fn references(&self) -> Vec<ObjectReference> {
        let mut references = ObjectReference::list(Kind::Profile, &self.profiles, "/profiles");
        references
            .extend(self.workflow.iter().map(|name| ObjectReference::new(Kind::Workflow, name, "/workflow")));
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
