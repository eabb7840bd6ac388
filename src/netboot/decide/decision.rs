//! The boot decision.
//!
//! [`decide`] first determines what the machine may boot now (its [`Verdict`]) by applying the rules in
//! order, then what follows for the requested thing (its [`BootGrant`]). In doubt the verdict is the local
//! disk; it is a destructive bootenv only for an armed machine. `first_file` chooses the loader for firmware,
//! `menu` decides on menus.

mod first_file;
mod menu;

pub use first_file::HTTPS_IS_OFF;

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

pub use crate::model::Verdict;
use crate::model::settings::UnknownMachine;
use crate::model::{
    Arch, BootAttempt, BootProgress, Bootenv, BootenvKind, Machine, MachineState, Stored, SubnetMode,
};
use crate::netboot::decide::chainload::LoaderRequest;
use crate::netboot::decide::client::{BootProgram, NetbootClient};
use crate::netboot::decide::loader::{LoaderTransport, client_arch, is_uefi};
use crate::netboot::decide::signed::SecureBoot;

/// What was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootQuestion {
    /// Boot data in a DHCP reply to this client.
    BootData(NetbootClient),
    /// A loader binary.
    Loader,
    /// The script or menu of a loader, without a capability.
    Script,
    /// A file below a capability of this attempt.
    MachineFile { attempt: Uuid, file: MachineFile },
    /// The kernel of a destructive bootenv, by its artifact path.
    InstallKernel(ArtifactOwners),
    /// An initrd of a destructive bootenv, by its artifact path.
    InstallInitrd(ArtifactOwners),
}

/// The bootenvs that a file of an artifact belongs to, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactOwners {
    pub destructive: Vec<String>,
    /// Bootenvs that boot the same file and erase nothing, such as a rescue system with an installer's
    /// kernel.
    pub harmless: Vec<String>,
}

/// The kinds of files of one machine that the decision distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineFile {
    /// A boot script of a loader.
    Script,
    /// The kernel or an initrd.
    Kernel,
    /// A rendered answer file, or a callback.
    Answer,
}

/// The facts that a decision depends on.
#[derive(Clone, Debug, Default)]
pub struct DecisionFacts<'a> {
    pub machine: Option<&'a Stored<Machine>>,
    /// The bootenv that the machine should boot: its workflow's, or the default one.
    pub bootenv: Option<&'a Stored<Bootenv>>,
    /// The name of that bootenv, even if it does not exist.
    pub bootenv_name: Option<&'a str>,
    /// Why the bootenv cannot be booted now: an artifact is not ready, a param is missing.
    pub unusable: Option<String>,
    pub unknown_machine: UnknownMachine,
    pub subnet_mode: Option<SubnetMode>,
    /// The architecture that the client named, if it did.
    pub client_arch: Option<Arch>,
    /// Names of the loaders that can be served.
    pub loaders: Option<&'a BTreeSet<String>>,
    /// The loaders that the client requested before.
    pub asks: &'a [LoaderRequest],
    /// Whether the machine must be started with signed loaders.
    pub secure_boot: SecureBoot,
    /// Whether files can be fetched over HTTPS.
    pub serves_https: bool,
    /// The setting `leave_by_loader`.
    pub leave_by_loader: bool,
}

/// The answer to the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum BootGrant {
    /// DHCP: an address without boot data.
    NoBootData,
    /// DHCP: a loader over TFTP.
    Loader { name: String },
    /// DHCP: the URL of a loader: HTTP or HTTPS for HTTP boot firmware, TFTP for an iPXE without HTTP.
    LoaderUrl { name: String, over: LoaderTransport },
    /// DHCP: the file or URL of a client class; an HTTP client gets a path as a URL.
    BootFile { file: String, over: LoaderTransport },
    /// DHCP: only the boot server's address, perhaps with a menu, for firmware that knows its files.
    BootServer {
        #[serde(skip_serializing_if = "Option::is_none")]
        menu: Option<String>,
    },
    /// DHCP: the URL of the script.
    ScriptUrl,
    /// The script that boots the bootenv.
    BootScript,
    /// The script that boots the local disk.
    LocalScript,
    /// The script that shows why the boot stops.
    ScreenScript,
    /// The script that shows a menu.
    MenuScript,
    /// The requested file.
    Serve,
    /// A refusal: the file is not for this machine now.
    Deny,
}

impl BootGrant {
    /// The loader that firmware fetches, and how.
    pub fn loader(&self) -> Option<(&str, LoaderTransport)> {
        match self {
            BootGrant::Loader { name } => Some((name, LoaderTransport::Tftp)),
            BootGrant::LoaderUrl { name, over } => Some((name, *over)),
            _ => None,
        }
    }
}

impl std::fmt::Display for BootGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BootGrant::NoBootData => f.write_str("an address without boot data"),
            BootGrant::Loader { name } => write!(f, "the loader {name} over TFTP"),
            BootGrant::LoaderUrl { name, over: LoaderTransport::Tftp } => {
                write!(f, "the loader {name} by a TFTP URL")
            }
            BootGrant::LoaderUrl { name, over } => write!(f, "the loader {name} over {}", over.name()),
            BootGrant::BootFile { file, .. } => write!(f, "{file}, by a client class"),
            BootGrant::BootServer { menu: None } => f.write_str("the boot server's address"),
            BootGrant::BootServer { menu: Some(menu) } => {
                write!(f, "the boot menu `{menu}`, by a client class")
            }
            BootGrant::ScriptUrl => f.write_str("the URL of the boot script"),
            BootGrant::BootScript => f.write_str("the script that boots the bootenv"),
            BootGrant::LocalScript => f.write_str("the script that leaves to the disk"),
            BootGrant::ScreenScript => f.write_str("a screen that says why it does not go on"),
            BootGrant::MenuScript => f.write_str("a menu of what it may boot"),
            BootGrant::Serve => f.write_str("the file"),
            BootGrant::Deny => f.write_str("nothing: it is not for this machine now"),
        }
    }
}

/// One rule that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DecisionRule {
    pub rule: &'static str,
    /// Whether the rule decided.
    pub matched: bool,
    pub detail: String,
}

/// The verdict, the answer that follows, and the rules in the order in which they were checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BootDecision {
    #[serde(flatten)]
    pub verdict: Verdict,
    #[serde(flatten)]
    pub answer: BootGrant,
    pub trace: Vec<DecisionRule>,
}

/// Decides on a question. Pure: the same question, facts and time give the same answer.
pub fn decide(asked: &BootQuestion, facts: &DecisionFacts<'_>, now: Timestamp) -> BootDecision {
    let mut trace = RuleTrace::default();
    let verdict = trace.verdict(asked, facts, now);
    let answer = match asked {
        BootQuestion::BootData(client) => trace.boot_data(client, (&verdict, facts), now),
        other => file_answer(other, &verdict, facts),
    };
    BootDecision { verdict, answer, trace: trace.rules }
}

#[derive(Default)]
struct RuleTrace {
    rules: Vec<DecisionRule>,
}

impl RuleTrace {
    fn passed(&mut self, rule: &'static str, detail: impl Into<String>) {
        self.rules.push(DecisionRule { rule, matched: false, detail: detail.into() });
    }

    fn settled(&mut self, rule: &'static str, verdict: Verdict) -> Verdict {
        let detail = match &verdict {
            Verdict::Netboot { bootenv } => format!("boot {bootenv}"),
            other => other.reason().to_owned(),
        };
        self.rules.push(DecisionRule { rule, matched: true, detail });
        verdict
    }

    /// Applies the rules in order; the first that matches decides.
    fn verdict(&mut self, asked: &BootQuestion, facts: &DecisionFacts<'_>, now: Timestamp) -> Verdict {
        if facts.subnet_mode == Some(SubnetMode::AddressOnly) {
            let reason = "its subnet gives addresses only".to_owned();
            return self.settled("subnet_mode", Verdict::Ignore { reason });
        }
        self.passed(
            "subnet_mode",
            match facts.subnet_mode {
                Some(_) => "the subnet may give boot data",
                None => "its subnet is not known here, and is assumed to give boot data",
            },
        );
        let Some(machine) = facts.machine else { return self.unknown(facts) };
        self.passed("known_machine", format!("it is {}", machine.spec.name));
        if let Some(reason) = not_at_work(machine, under_way(asked, machine)) {
            return self.settled("machine_state", Verdict::LocalDisk { reason });
        }
        let Some(name) = facts.bootenv_name else {
            let reason = match &machine.status.run {
                Some(run) if run.ended_at.is_none() => {
                    "its workflow is not at a step that boots from the network"
                }
                _ => "no workflow is under way",
            };
            return self.settled("bootenv", Verdict::LocalDisk { reason: reason.to_owned() });
        };
        let Some(bootenv) = facts.bootenv else {
            let reason = format!("the bootenv {name} does not exist");
            return self.settled("bootenv", Verdict::Screen { reason });
        };
        if bootenv.spec.kind == BootenvKind::Local {
            let reason = format!("its bootenv {name} is the local disk");
            return self.settled("bootenv", Verdict::LocalDisk { reason });
        }
        self.passed("bootenv", format!("it is to boot {name}"));
        if bootenv.spec.is_destructive()
            && let Some(reason) = self.disarmed(asked, machine, now)
        {
            return self.settled("armed", Verdict::LocalDisk { reason });
        }
        self.bootable(asked, facts, (machine, bootenv))
    }

    fn unknown(&mut self, facts: &DecisionFacts<'_>) -> Verdict {
        let verdict = match facts.unknown_machine {
            UnknownMachine::Ignore => {
                Verdict::Ignore { reason: "unknown machine, and unknown_machine is `ignore`".to_owned() }
            }
            UnknownMachine::Local => {
                Verdict::LocalDisk { reason: "unknown machine, and unknown_machine is `local`".to_owned() }
            }
            UnknownMachine::Menu => menu::verdict(facts),
            UnknownMachine::Discover => match (facts.bootenv, &facts.unusable) {
                (Some(bootenv), None) if !bootenv.spec.is_destructive() => {
                    Verdict::Netboot { bootenv: bootenv.spec.name.clone() }
                }
                (_, why) => {
                    let why = why.as_deref().unwrap_or("there is no usable bootenv `discovery`");
                    Verdict::LocalDisk { reason: format!("unknown machine; it cannot be discovered: {why}") }
                }
            },
        };
        self.settled("known_machine", verdict)
    }

    /// Why a destructive bootenv is refused; `None` if the machine is armed, or if the file belongs to the
    /// attempt that used up the arming.
    fn disarmed(
        &mut self,
        asked: &BootQuestion,
        machine: &Stored<Machine>,
        now: Timestamp,
    ) -> Option<String> {
        if let Some(until) = machine.status.armed_until
            && now < until
        {
            self.passed("armed", format!("armed until {until}"));
            return None;
        }
        if let Some(current) = under_way(asked, machine) {
            let number = current.number;
            self.passed("armed", format!("attempt {number} used the arming and is still under way"));
            return None;
        }
        let attempt = machine.status.boot_attempt.as_ref();
        Some(match attempt.and_then(|attempt| attempt.kernel_fetched_at.map(|at| (attempt.number, at))) {
            Some((number, at)) => {
                format!(
                    "not armed: attempt {number} fetched the kernel at {at}; `retry` or `arm` allows another"
                )
            }
            None => {
                "not armed: `start`, `retry` or `arm` allows one boot of a destructive bootenv".to_owned()
            }
        })
    }

    fn bootable(
        &mut self,
        asked: &BootQuestion,
        facts: &DecisionFacts<'_>,
        (machine, bootenv): (&Stored<Machine>, &Stored<Bootenv>),
    ) -> Verdict {
        let name = &bootenv.spec.name;
        if !bootenv.spec.arches.contains_key(&machine.spec.arch) {
            let reason = format!("{name} has no kernel for {}", machine.spec.arch);
            return self.settled("arch", Verdict::Screen { reason });
        }
        if let Some(arch) = facts.client_arch
            && !fits(arch, machine.spec.arch)
        {
            let reason =
                format!("its firmware is {arch}, but the machine is recorded as {}", machine.spec.arch);
            return self.settled("arch", Verdict::Screen { reason });
        }
        self.passed("arch", machine.spec.arch.to_string());
        if let Some(reason) = &facts.unusable {
            return self.settled("usable", Verdict::Screen { reason: reason.clone() });
        }
        self.passed("usable", "its files are ready and its params are set");
        if let Some(reason) = first_file::fault(asked, facts, (machine, bootenv)) {
            return self.settled("loader_files", Verdict::Screen { reason });
        }
        self.settled("netboot", Verdict::Netboot { bootenv: name.clone() })
    }
}

impl RuleTrace {
    /// The answer in a DHCP reply that follows from the verdict.
    fn boot_data(
        &mut self,
        client: &NetbootClient,
        (verdict, facts): (&Verdict, &DecisionFacts<'_>),
        now: Timestamp,
    ) -> BootGrant {
        let is_proxy = facts.subnet_mode == Some(SubnetMode::Proxy);
        match (client.stage, verdict) {
            (_, Verdict::Ignore { .. }) => BootGrant::NoBootData,
            // Some firmware does not say what it is. A system takes no notice of the boot server's address.
            (BootProgram::Other, Verdict::Netboot { .. }) if facts.machine.is_some() => {
                self.passed(
                    "loader",
                    "it does not say that it boots: the boot server's address, in case it does",
                );
                BootGrant::BootServer { menu: None }
            }
            (BootProgram::Other, _) => BootGrant::NoBootData,
            // A BIOS without boot data boots its disk soon. An unknown machine's iPXE gets a script that does
            // the same and says so on the console, except in a network with another DHCP server.
            (BootProgram::Ipxe(_), Verdict::LocalDisk { .. }) if facts.machine.is_none() && !is_proxy => {
                BootGrant::ScriptUrl
            }
            // UEFI takes silence for a lost packet and waits a minute for each of its ways to boot: a loader
            // that leaves for the disk is quicker. Any loader does, whatever the bootenv names.
            (_, Verdict::LocalDisk { .. }) if leaves_by_loader(facts) && is_uefi(client) => {
                self.passed("leave_by_loader", "UEFI leaves for the disk by a loader");
                self.first_file(client, &DecisionFacts { bootenv: None, ..facts.clone() }, now)
            }
            (_, Verdict::LocalDisk { .. }) => BootGrant::NoBootData,
            _ => self.first_file(client, facts, now),
        }
    }
}

/// Whether the machine gets a loader although it is to boot its disk: the loader leaves for the disk.
fn leaves_by_loader(facts: &DecisionFacts<'_>) -> bool {
    facts.leave_by_loader && facts.machine.is_some()
}

/// The architecture that a client names, in the words of bootenvs.
pub fn arch_of(client: &NetbootClient) -> Option<Arch> {
    client.arches.iter().find_map(|code| client_arch(*code)?.arch)
}

/// A 64-bit processor may have 32-bit UEFI or BIOS.
fn fits(client: Arch, machine: Arch) -> bool {
    client == machine || (client == Arch::I386 && machine == Arch::Amd64)
}

/// The attempt that sent the request, if it is the machine's present attempt, has fetched its kernel and has
/// not ended. A loader whose download was interrupted requests its script again: nothing is lost by that
/// until the installer has read its answer file.
fn under_way<'a>(asked: &BootQuestion, machine: &'a Stored<Machine>) -> Option<&'a BootAttempt> {
    let current = machine.status.boot_attempt.as_ref()?;
    let fits = match asked {
        BootQuestion::MachineFile { attempt, .. } => {
            current.id == *attempt && current.progress != BootProgress::Ended
        }
        BootQuestion::Script | BootQuestion::InstallInitrd(_) => current.progress == BootProgress::Kernel,
        _ => false,
    };
    let same = current.bootenv.is_some() && current.bootenv == machine.status.bootenv;
    (fits && same && current.kernel_fetched_at.is_some()).then_some(current)
}

/// Why a machine does not continue its run. A pause does not stop a boot that has begun.
fn not_at_work(machine: &Stored<Machine>, under_way: Option<&BootAttempt>) -> Option<String> {
    let status = &machine.status;
    let is_paused = status.run.as_ref().is_some_and(|run| run.paused);
    match status.state {
        MachineState::Held if is_paused && under_way.is_some() => None,
        MachineState::Held => Some(format!("the machine is held: {}", status.reason)),
        MachineState::Failed => Some(format!("its workflow failed: {}", status.reason)),
        _ if under_way.is_none() && is_paused => Some("its workflow is paused".to_owned()),
        _ => None,
    }
}

/// The answer to a request for a file that follows from the verdict.
fn file_answer(asked: &BootQuestion, verdict: &Verdict, facts: &DecisionFacts<'_>) -> BootGrant {
    match (asked, verdict) {
        (BootQuestion::BootData(_), _) => BootGrant::NoBootData,
        (BootQuestion::Loader, Verdict::Netboot { .. } | Verdict::Screen { .. } | Verdict::Menu { .. }) => {
            BootGrant::Serve
        }
        // An unknown machine may be the client of a proxy or of another server: a loader does no harm.
        (BootQuestion::Loader, Verdict::LocalDisk { .. })
            if facts.machine.is_none() || leaves_by_loader(facts) =>
        {
            BootGrant::Serve
        }
        (BootQuestion::Loader, _) => BootGrant::Deny,
        (BootQuestion::Script, Verdict::Ignore { .. }) => BootGrant::Deny,
        (BootQuestion::Script, verdict) => script(verdict),
        (BootQuestion::MachineFile { attempt, file }, verdict) => {
            machine_file(*file, verdict, current_attempt(facts, *attempt))
        }
        (BootQuestion::InstallKernel(owners) | BootQuestion::InstallInitrd(owners), verdict) => match verdict
        {
            Verdict::Netboot { bootenv }
                if owners.destructive.contains(bootenv) || owners.harmless.contains(bootenv) =>
            {
                BootGrant::Serve
            }
            // The choice at the console is not remembered, so every harmless file is served.
            Verdict::Menu { .. } if !owners.harmless.is_empty() => BootGrant::Serve,
            _ => BootGrant::Deny,
        },
    }
}

fn script(verdict: &Verdict) -> BootGrant {
    match verdict {
        Verdict::Netboot { .. } => BootGrant::BootScript,
        Verdict::Screen { .. } => BootGrant::ScreenScript,
        Verdict::Menu { .. } => BootGrant::MenuScript,
        Verdict::LocalDisk { .. } | Verdict::Ignore { .. } => BootGrant::LocalScript,
    }
}

/// The machine's attempt, if the capability belongs to it and it has not ended.
fn current_attempt<'a>(facts: &DecisionFacts<'a>, id: Uuid) -> Option<&'a BootAttempt> {
    let attempt = facts.machine?.status.boot_attempt.as_ref()?;
    (attempt.id == id && attempt.progress != BootProgress::Ended).then_some(attempt)
}

fn machine_file(file: MachineFile, verdict: &Verdict, attempt: Option<&BootAttempt>) -> BootGrant {
    let Some(attempt) = attempt else { return BootGrant::Deny };
    match (file, verdict) {
        (MachineFile::Script, verdict) => script(verdict),
        (_, Verdict::Netboot { bootenv }) if attempt.bootenv.as_ref() == Some(bootenv) => BootGrant::Serve,
        _ => BootGrant::Deny,
    }
}

#[cfg(test)]
mod tests;
