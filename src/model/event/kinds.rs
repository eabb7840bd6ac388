//! The table of events: one row a kind.
//!
//! To add a kind, add a row. `openapi.yaml` and `docs/operating/events.md` are made from the rows. A field
//! that events of today do not have is optional and left out where it has no value; a field is never renamed.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::fields::{
    AddressProbe, ArtifactNow, BootProtocol, DhcpRelease, JobNow, LeaseNow, NoFields, ObjectDiff,
    ObjectSnapshot, OperatorStep, OtherEvent, PacketAnswer, UnservedPacket,
};
use super::table::{EventRow, event_kinds, fields_struct, fields_type};
use super::{CREATED, DELETED, UPDATED, parse_object_kind};
use crate::model::{
    ArtifactWork, BootResult, Kind, Mac, Provenance, RenderProblem, RunResult, StepKind, StepState, Verdict,
};

event_kinds! {
    /// A machine was powered on and a boot attempt begins.
    "boot.attempt_started" BootAttemptStarted about machine => {
        /// Counts the machine's attempts, from 1.
        number: u64,
        /// The bootenv it is sent into; null for the local disk.
        bootenv: Option<String>,
    }

    /// A boot attempt came to its end.
    "boot.attempt_ended" BootAttemptEnded about machine => {
        /// Counts the machine's attempts, from 1.
        number: u64,
        result: BootResult,
    }

    /// The server decided what the machine boots.
    "boot.decided" BootDecided about machine => (Verdict)

    /// The machine fetched its boot script.
    "boot.script_fetched" BootScriptFetched about machine, server => (NoFields)

    /// The machine fetched the kernel. For a bootenv that erases disks this used up the arming.
    "boot.kernel_fetched" BootKernelFetched about machine => {
        /// The bootenv that the kernel belongs to.
        bootenv: Option<String>,
    }

    /// The installer fetched its answer file.
    "boot.answer_fetched" BootAnswerFetched about machine => (NoFields)

    /// A file was sent over TFTP or HTTP.
    "boot.file_served" BootFileServed about machine, server => {
        /// The path that was asked for, with the capability hidden.
        path: String,
        /// What it stood for: `artifact:debian-12/linux`, `rendered:ipxe/boot.ipxe`.
        label: String,
        protocol: BootProtocol,
        peer: IpAddr,
        /// Bytes of the whole file.
        size: u64,
        /// Bytes that were sent.
        bytes: u64,
        duration_ms: u64,
        /// Whether the client took all of it.
        complete: bool,
    }

    /// A document was rendered for a machine.
    "boot.rendered" BootRendered about machine, server => {
        /// Which document: `rendered:preseed.cfg`.
        label: String,
        /// SHA-256 of the text, in hex.
        sha256: String,
        bytes: u64,
        provenance: Provenance,
    }

    /// A document of a machine could not be rendered.
    "boot.render_failed" BootRenderFailed about machine => {
        /// Which document: `rendered:preseed.cfg`.
        label: String,
        problem: RenderProblem,
    }

    /// A file, or a report of an installer, was refused.
    "boot.denied" BootDenied about machine => {
        /// The path that was asked for, with the capability hidden.
        path: String,
        peer: IpAddr,
        /// Absent for a report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<BootProtocol>,
        reason: String,
    }

    /// The machine's console shows why the boot does not go on.
    "boot.screen" BootScreen about machine, server => {
        message: String,
    }

    /// The installer sent a piece of its log.
    "boot.log" BootLog about machine => {
        text: String,
    }

    /// The installer reported that it is done.
    "boot.done" BootDone about machine => {
        /// Who reported.
        peer: IpAddr,
    }

    /// The installer reported that it has failed.
    "boot.failed" BootFailed about machine => {
        /// Who reported.
        peer: IpAddr,
        /// What it said; may be empty.
        reason: String,
    }

    /// A boot stopped where firmware or a loader gives no sign of its own.
    "boot.stopped" BootStopped about machine => {
        /// The last thing that it fetched: `loader:NAME` or `kernel`.
        after: Option<String>,
        reason: String,
    }

    /// A boot went round between loaders and was stopped.
    "boot.loop_stopped" BootLoopStopped about machine, server => {
        mac: Mac,
        reason: String,
    }

    /// There is no loader for a machine that is to boot, or it cannot be read.
    "boot.no_loader" BootNoLoader about machine, server => {
        /// Absent where the loader was asked for by its path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
        reason: String,
    }

    /// A TFTP request from outside every enabled subnet was not answered.
    "boot.stranger_ignored" BootStrangerIgnored about server => {
        peer: IpAddr,
        /// The address of the server that was asked.
        local: IpAddr,
        path: String,
        reason: String,
    }

    /// An address was offered.
    "dhcp.offered" DhcpOffered about machine, lease, server => (PacketAnswer)

    /// A client took an address.
    "dhcp.leased" DhcpLeased about machine, lease, server => (PacketAnswer)

    /// A client renewed its lease.
    "dhcp.renewed" DhcpRenewed about machine, lease, server => (PacketAnswer)

    /// A request was refused with a NAK.
    "dhcp.refused" DhcpRefused about machine, lease, server => (PacketAnswer)

    /// A lease ended before its time: the client gave it back or took another address, or an operator ended
    /// it. One that the client gave back has the fields of a packet, any other those of the lease.
    "dhcp.released" DhcpReleased about machine, lease, server => (DhcpRelease)

    /// A client found its address in use by another; nobody is given it for a while.
    "dhcp.declined" DhcpDeclined about machine, lease, server => (PacketAnswer)

    /// A client that has its address otherwise was given options.
    "dhcp.informed" DhcpInformed about machine, lease, server => (PacketAnswer)

    /// A client that has its address from another server was given boot data.
    "dhcp.boot_served" DhcpBootServed about machine, lease, server => (PacketAnswer)

    /// A packet was left without an answer.
    "dhcp.ignored" DhcpIgnored about machine, lease, server => (PacketAnswer)

    /// A packet was left without an answer because no subnet fits. One of a known machine has the fields of a
    /// packet, the others are counted together.
    "dhcp.no_subnet" DhcpNoSubnet about machine, lease, server => (UnservedPacket)

    /// A packet was left without an answer because no address is free.
    "dhcp.pool_empty" DhcpPoolEmpty about machine, lease, server => (PacketAnswer)

    /// A packet could not be understood.
    "dhcp.malformed" DhcpMalformed about machine, lease, server => (PacketAnswer)

    /// A lease ran out, or an operator had it run out.
    "dhcp.expired" DhcpExpired about machine, lease => (LeaseNow)

    /// Another host answers for an address that is free or leased here.
    "dhcp.address_in_use" DhcpAddressInUse about lease => {
        reason: String,
        address: Ipv4Addr,
        /// Who answered; null where its name is not known.
        mac: Option<Mac>,
        probe: AddressProbe,
        subnet: String,
        /// Until when nobody is given the address; null where it is leased.
        kept_back_until: Option<Timestamp>,
        /// The client that was to have the address, or has it.
        wanted_by: Option<Mac>,
    }

    /// Another DHCP server answers in a network of this one.
    "dhcp.rival_server" DhcpRivalServer about subnet, server => {
        reason: String,
        server: Ipv4Addr,
        mac: Option<Mac>,
        interface: String,
        subnet: Option<String>,
        /// An address that it gave.
        offered: Option<Ipv4Addr>,
        /// Whether it told what to boot.
        boot_data: bool,
    }

    /// The clock of the server was set and the leases were moved along with it.
    "dhcp.clock_set" DhcpClockSet about server => {
        /// By how much, in seconds; negative where it was put back.
        seconds: i64,
        /// Leases that were moved.
        leases: u64,
    }

    /// A lease of another server was taken over.
    "lease.imported" LeaseImported about machine, lease => (LeaseNow)

    /// An operator deleted the record of a lease.
    "lease.deleted" LeaseDeleted about machine, lease => (LeaseNow)

    /// The address that is on record for a machine changed.
    "machine.address_changed" MachineAddressChanged about machine => {
        /// Null where it has none any more.
        address: Option<IpAddr>,
        /// The address that it had, where a lease has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<IpAddr>,
    }

    /// The next network boot of the machine may erase its disks.
    "machine.armed" MachineArmed about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        bootenv: String,
        until: Timestamp,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The machine is not armed any more.
    "machine.disarmed" MachineDisarmed about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The agent was told to reboot the machine.
    "machine.told_to_reboot" MachineToldToReboot about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        reason: String,
    }

    /// A run of a workflow began.
    "run.started" RunStarted about machine => {
        run: Uuid,
        /// Whether it is a rehearsal, which touches no disk.
        rehearse: bool,
        /// The step that it began at, from 0; null for the first one.
        #[serde(default)]
        from_step: Option<u32>,
        /// Why, in the words of who started it; absent where none was given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A step of the run is over.
    "run.step_done" RunStepDone about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        /// Index of the step, from 0.
        step: u32,
        kind: StepKind,
        name: String,
        state: StepState,
    }

    /// The run was paused.
    "run.paused" RunPaused about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        /// Absent where it paused by itself before a step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Empty where none was given.
        #[serde(default)]
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A paused run goes on.
    "run.resumed" RunResumed about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run goes on at the step that failed or was held.
    "run.retried" RunRetried about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        /// Index of the step, from 0.
        step: u32,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run stopped because a step failed.
    "run.failed" RunFailed about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        /// Index of the step, from 0.
        step: u32,
        /// The stage, bootenv or task of the step.
        name: Option<String>,
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run waits for an operator.
    "run.held" RunHeld about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        /// Index of the step, from 0.
        step: u32,
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// An operator passed over a step.
    "run.step_skipped" RunStepSkipped about machine => (OperatorStep)

    /// An operator said that a step is done.
    "run.step_marked_done" RunStepMarkedDone about machine => (OperatorStep)

    /// An operator told the run to pause before a step.
    "run.pause_planned" RunPausePlanned about machine => (OperatorStep)

    /// A live system lost power in the middle of its tasks.
    "run.live_system_lost" RunLiveSystemLost about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        bootenv: String,
        /// How far it was.
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run was cancelled.
    "run.cancelled" RunCancelled about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        by: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run came to its end.
    "run.completed" RunCompleted about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A run ended, in whatever way.
    "run.ended" RunEnded about machine => {
        run: Uuid,
        result: RunResult,
        /// From its start to its end.
        seconds: Option<i64>,
        workflow: Option<String>,
    }

    /// The run goes on with the content and the params of now.
    "run.refreshed" RunRefreshed about machine => {
        /// The id of the run; absent in an older event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<Uuid>,
        /// The digest of the content that it had; null for none.
        before: Option<String>,
        /// The digest of the content that it has.
        content: Option<String>,
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A task was handed out to the agent of a machine.
    "job.created" JobCreated about machine => (JobNow)

    /// The agent began a job.
    "job.started" JobStarted about machine => (JobNow)

    /// A job ended well.
    "job.finished" JobFinished about machine => (JobNow)

    /// A job failed.
    "job.failed" JobFailed about machine => (JobNow)

    /// A job ended and wants to be run again.
    "job.incomplete" JobIncomplete about machine => (JobNow)

    /// A job was cancelled.
    "job.cancelled" JobCancelled about machine => (JobNow)

    /// The agent came back without its job.
    "job.lost" JobLost about machine => (JobNow)

    /// An operator asked for something to be done with an artifact.
    "artifact.asked" ArtifactAsked about artifact => {
        work: ArtifactWork,
    }

    /// An artifact is in another state, or for another reason, or lacks other files.
    "artifact.state_changed" ArtifactStateChanged about artifact => (ArtifactNow)

    /// The work on an artifact is further on.
    "artifact.progress" ArtifactProgress about artifact => (ArtifactNow)

    /// Files that no artifact refers to were deleted.
    "artifact.pruned" ArtifactPruned about server => {
        /// How many files and trees.
        items: u64,
        bytes: u64,
    }

    /// A pack was installed.
    "pack.installed" PackInstalled about pack => {
        version: String,
        /// How many objects are new.
        created: u64,
        /// How many objects were changed.
        updated: u64,
        /// How many objects went.
        removed: u64,
    }

    /// Whoever owns the data directory made a token that may do everything.
    "token.recovered" TokenRecovered about token => {
        name: String,
        scopes: Vec<String>,
    }

    /// History that is older than the settings allow was deleted.
    "server.pruned" ServerPruned about server => {
        runs: u64,
        /// Pieces of content that no run needed any more.
        contents: u64,
        jobs: u64,
        /// Jobs that stay without their logs.
        logs: u64,
        documents: u64,
        events: u64,
    }

    /// The database takes writes again.
    "server.store_recovered" ServerStoreRecovered about server => {
        /// Why it took none.
        reason: String,
        since: Timestamp,
    }
}
