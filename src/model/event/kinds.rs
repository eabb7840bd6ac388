//! The events: a kind is a row, and `openapi.yaml` and `docs/operating/events.md` are made from the rows. A
//! field that older events lack is optional and left out when it has no value; a field is never renamed.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use uuid::Uuid;

use super::access_fields::*;
use super::fields::*;
use super::table::{EventRow, event_kinds, fields_struct, fields_type};
use super::{CREATED, DELETED, UPDATED, parse_object_kind};
use crate::model::{
    ArtifactWork, BootResult, Kind, Mac, Provenance, RenderProblem, RunResult, StepKind, StepState, Verdict,
};

event_kinds! {
    /// A machine was powered on and a boot attempt began.
    "boot.attempt_started" BootAttemptStarted about machine => {
        /// Counts the machine's attempts, from 1.
        number: u64,
        /// The bootenv that the machine is told to boot; null for the local disk.
        bootenv: Option<String>,
    }

    /// A boot attempt ended.
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
    "boot.file_served" BootFileServed about machine, server => (BootFileServed)

    /// A document was rendered for a machine.
    "boot.rendered" BootRendered about machine, server => {
        /// The document: `rendered:preseed.cfg`.
        label: String,
        /// SHA-256 of the text, in hex.
        sha256: String,
        bytes: u64,
        provenance: Provenance,
    }

    /// A document of a machine could not be rendered.
    "boot.render_failed" BootRenderFailed about machine => {
        /// The document: `rendered:preseed.cfg`.
        label: String,
        problem: RenderProblem,
    }

    /// A file, or a report of an installer, was refused.
    "boot.denied" BootDenied about machine => {
        /// The requested path, with the capability hidden.
        path: String,
        peer: IpAddr,
        /// Absent for a report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        protocol: Option<BootProtocol>,
        reason: String,
    }

    /// A machine that has no kernel yet asked for a file that there is not. The first names of a boot attempt
    /// are kept, without those that loaders always look for.
    "boot.file_absent" BootFileAbsent about machine => (BootFileAbsent)

    /// The machine's console shows why the boot stopped.
    "boot.screen" BootScreen about machine, server => {
        message: String,
    }

    /// The installer sent a piece of its log.
    "boot.log" BootLog about machine => {
        text: String,
    }

    /// The installer asks something at its console, or shows an error there, and waits for a person.
    "boot.installer_asks" BootInstallerAsks about machine => (InstallerQuestion)

    /// The installer sends more of its log than is kept; said once for a spell of it.
    "boot.log_limited" BootLogLimited about machine => {
        reason: String,
    }

    /// The installer sent the ends of its logs, which the run keeps.
    "boot.installer_log" BootInstallerLog about machine => {
        /// The path of the document.
        document: String,
        bytes: u64,
    }

    /// The installer reported that it is done.
    "boot.done" BootDone about machine => {
        /// The address that sent the report.
        peer: IpAddr,
    }

    /// The installer reported that it has failed.
    "boot.failed" BootFailed about machine => {
        /// The address that sent the report.
        peer: IpAddr,
        /// The installer's message; may be empty.
        reason: String,
    }

    /// A boot stopped at a point where neither firmware nor loader reports anything.
    "boot.stopped" BootStopped about machine => {
        /// The last thing that the machine fetched: `loader:NAME` or `kernel`.
        after: Option<String>,
        reason: String,
    }

    /// Loaders started each other in a circle, and the server stopped the boot.
    "boot.loop_stopped" BootLoopStopped about machine, server => {
        mac: Mac,
        reason: String,
    }

    /// A machine that should boot got no loader: there is none, or it cannot be read.
    "boot.no_loader" BootNoLoader about machine, server => {
        /// Absent if the loader was requested by its path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mac: Option<Mac>,
        reason: String,
    }

    /// A TFTP request came from outside every enabled subnet and was not answered.
    "boot.stranger_ignored" BootStrangerIgnored about server => {
        peer: IpAddr,
        /// The address of the server that the request was sent to.
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

    /// A lease ended early: the client released it or took another address, or an operator ended it. If the
    /// client released it, the fields are those of a packet, otherwise those of the lease.
    "dhcp.released" DhcpReleased about machine, lease, server => (DhcpRelease)

    /// A client reported that another host uses its address. The address is not given out for a while.
    "dhcp.declined" DhcpDeclined about machine, lease, server => (PacketAnswer)

    /// A client that has an address from elsewhere got options.
    "dhcp.informed" DhcpInformed about machine, lease, server => (PacketAnswer)

    /// A client with an address from another server got boot data.
    "dhcp.boot_served" DhcpBootServed about machine, lease, server => (PacketAnswer)

    /// A packet was not answered.
    "dhcp.ignored" DhcpIgnored about machine, lease, server => (PacketAnswer)

    /// A packet was not answered because no subnet fits. For a known machine the fields are those of a
    /// packet; packets of other clients are counted together.
    "dhcp.no_subnet" DhcpNoSubnet about machine, lease, server => (UnservedPacket)

    /// A packet was not answered because no address is free.
    "dhcp.pool_empty" DhcpPoolEmpty about machine, lease, server => (PacketAnswer)

    /// A packet could not be parsed.
    "dhcp.malformed" DhcpMalformed about machine, lease, server => (PacketAnswer)

    /// A lease ran out, or an operator made it run out.
    "dhcp.expired" DhcpExpired about machine, lease => (LeaseNow)

    /// Another host answers for an address that is free or leased here.
    "dhcp.address_in_use" DhcpAddressInUse about lease => {
        reason: String,
        address: Ipv4Addr,
        /// The MAC address of the host that answered; null if unknown.
        mac: Option<Mac>,
        probe: AddressProbe,
        subnet: String,
        /// Until when the address is not given out; null if it is leased.
        kept_back_until: Option<Timestamp>,
        /// The client that has the address, or was about to get it.
        wanted_by: Option<Mac>,
    }

    /// Another DHCP server answers in a network of this server.
    "dhcp.rival_server" DhcpRivalServer about subnet, server => {
        reason: String,
        server: Ipv4Addr,
        mac: Option<Mac>,
        interface: String,
        subnet: Option<String>,
        /// An address that the other server offered.
        offered: Option<Ipv4Addr>,
        /// Whether its reply contains boot data.
        boot_data: bool,
    }

    /// The clock of the server was set, and the leases were moved with it.
    "dhcp.clock_set" DhcpClockSet about server => {
        /// By how many seconds; negative if the clock was set back.
        seconds: i64,
        /// Number of leases that were moved.
        leases: u64,
    }

    /// A lease was imported from another server.
    "lease.imported" LeaseImported about machine, lease => (LeaseNow)

    /// An operator deleted the record of a lease.
    "lease.deleted" LeaseDeleted about machine, lease => (LeaseNow)

    /// The address on record for a machine changed.
    "machine.address_changed" MachineAddressChanged about machine => {
        /// The new address; null if the machine has none now.
        address: Option<IpAddr>,
        /// The previous address, if a lease has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<IpAddr>,
    }

    /// The next network boot of the machine may erase its disks.
    "machine.armed" MachineArmed about machine of run => {
        bootenv: String,
        until: Timestamp,
        /// What the boot erases, in words: `the disk /dev/sda`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        erases: Option<String>,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A client that is not registered asked, and its MAC is one of this machine's but for one digit or two
    /// swapped ones, while the machine waits.
    "machine.similar_mac" MachineSimilarMac about machine => (MachineSimilarMac)

    /// A run was begun in spite of faults that its check found.
    "run.faults_accepted" RunFaultsAccepted about machine => (FaultsAcceptance)

    /// The machine is no longer armed.
    "machine.disarmed" MachineDisarmed about machine of run => {
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The agent was told to reboot the machine.
    "machine.told_to_reboot" MachineToldToReboot about machine of run => {
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
        /// The reason that the caller of `start` gave; absent if there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A step of the run ended.
    "run.step_done" RunStepDone about machine of run => {
        /// Index of the step, from 0.
        step: u32,
        kind: StepKind,
        name: String,
        state: StepState,
    }

    /// An installation counts as done although its installer did not report that in time.
    "run.installation_confirmed" RunInstallationConfirmed about machine => (RunInstallationConfirmed)

    /// The run was paused.
    "run.paused" RunPaused about machine of run => {
        /// Who paused it; absent if the run paused by itself before a step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// Empty if none was given.
        #[serde(default)]
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A paused run continues.
    "run.resumed" RunResumed about machine of run => {
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run continues at the step that failed or was held.
    "run.retried" RunRetried about machine of run => {
        /// Index of the step, from 0.
        step: u32,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run stopped because a step failed.
    "run.failed" RunFailed about machine of run => {
        /// Index of the step, from 0.
        step: u32,
        /// The stage, bootenv or task of the step.
        name: Option<String>,
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A boot or an agent takes longer than usual. The run goes on.
    "run.overdue" RunOverdue about machine => (OverdueStep)

    /// The run waits for an operator.
    "run.held" RunHeld about machine of run => {
        /// Index of the step, from 0.
        step: u32,
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// An operator passed over a step.
    "run.step_skipped" RunStepSkipped about machine => (OperatorStep)

    /// An operator marked a step as done.
    "run.step_marked_done" RunStepMarkedDone about machine => (OperatorStep)

    /// An operator told the run to pause before a step.
    "run.pause_planned" RunPausePlanned about machine => (OperatorStep)

    /// A live system lost power during its tasks.
    "run.live_system_lost" RunLiveSystemLost about machine of run => {
        bootenv: String,
        /// How far the live system had come.
        reason: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run was cancelled.
    "run.cancelled" RunCancelled about machine of run => {
        by: String,
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// The run completed.
    "run.completed" RunCompleted about machine of run => {
        workflow: Option<String>,
        stage: Option<String>,
    }

    /// A run ended, in any way.
    "run.ended" RunEnded about machine => {
        run: Uuid,
        result: RunResult,
        /// Seconds from the start of the run to its end.
        seconds: Option<i64>,
        workflow: Option<String>,
    }

    /// The run continues with the present content and params.
    "run.refreshed" RunRefreshed about machine of run => {
        /// The digest of the previous content; null if there was none.
        before: Option<String>,
        /// The digest of the new content.
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

    /// A job ended and asks to be run again.
    "job.incomplete" JobIncomplete about machine => (JobNow)

    /// A job was cancelled.
    "job.cancelled" JobCancelled about machine => (JobNow)

    /// The agent called again without its job.
    "job.lost" JobLost about machine => (JobNow)

    /// An operator asked for work on an artifact.
    "artifact.asked" ArtifactAsked about artifact => {
        work: ArtifactWork,
    }

    /// An artifact's state, its reason, or the list of files it lacks changed.
    "artifact.state_changed" ArtifactStateChanged about artifact => (ArtifactNow)

    /// The work on an artifact progressed.
    "artifact.progress" ArtifactProgress about artifact => (ArtifactNow)

    /// Files that no artifact refers to were deleted.
    "artifact.pruned" ArtifactPruned about server => {
        /// Number of files and trees.
        items: u64,
        bytes: u64,
    }

    /// A pack was installed.
    "pack.installed" PackInstalled about pack => {
        version: String,
        /// Number of objects that were created.
        created: u64,
        /// Number of objects that were changed.
        updated: u64,
        /// Number of objects that were deleted.
        removed: u64,
    }

    /// A channel got another version of a pack, or lost a pack.
    "channel.promoted" ChannelPromoted about channel => (ChannelMoved)

    /// The latest move of a channel was undone.
    "channel.rolled_back" ChannelRolledBack about channel => (ChannelMoved)

    /// The owner of the data directory made a token that may do everything.
    "token.recovered" TokenRecovered about token => (TokenRecovered)

    /// A new token was made for a machine's agent, and the tokens that it had were ended.
    "machine.agent_token_reissued" MachineAgentTokenReissued about machine => (MachineAgentTokenReissued)

    /// A browser logged in with a token.
    "session.began" SessionBegan about session => (SessionBegan)

    /// A session of a browser ended.
    "session.ended" SessionEnded about session => (SessionEnded)

    /// Params were made for a machine, as they are declared with `generate`.
    "machine.params_generated" MachineParamsGenerated about machine => (MachineParamsGenerated)

    /// History that is older than the settings allow was deleted.
    "server.pruned" ServerPruned about server => (ServerPruned)

    /// A backup of the running server was made, with all of its secrets.
    "server.backed_up" ServerBackedUp about server => (ServerBackedUp)

    /// The data directory was made from a backup. What happened since the backup is not known here.
    "server.restored" ServerRestored about server => (ServerRestored)

    /// Rows of the database that could not be read were moved to a file by an operator.
    "server.rows_set_aside" ServerRowsSetAside about server => {
        rows: u64,
        /// The file, in the data directory.
        file: String,
    }

    /// All secret values were sealed with a new key.
    "server.key_rotated" ServerKeyRotated about server => (ServerKeyRotated)

    /// The database accepts writes again.
    "server.store_recovered" ServerStoreRecovered about server => {
        /// Why the database accepted no writes.
        reason: String,
        since: Timestamp,
    }
}
