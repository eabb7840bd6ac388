//! Opens the file behind a path for a client. TFTP and HTTP both use it, and there is no other way to a file.
//!
//! [`Netboot::open`] cleans the path, identifies the client, asks for the decision and carries it out: a
//! loader, a rendered document, a kernel. The progress of the boot (the script was fetched, the kernel was
//! fetched) is on disk before the first byte is sent.

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::artifacts::contained_path::RegularFile;
use crate::artifacts::opened::{FetchRefusal, FileBody, FileSubject, OpenedFile, Protocol};
use crate::artifacts::static_files::{static_file, unreadable};
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::BootContext;
use crate::kernel::Error;
use crate::model::event::{BootDenied, BootFileServed, BootRendered, BootScreen};
use crate::model::{Arch, BootProgress, EventBody, EventKind, Kind, Machine, NewEvent, Stored};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::{BootFacts, install_file};
use crate::netboot::decide::capability;
use crate::netboot::decide::decision::{BootDecision, BootGrant, BootQuestion, MachineFile};
use crate::netboot::decide::namespace::{self, ClientHint, NamespaceEntry, ScriptKind};
use crate::netboot::decide::stops::BootSign;
use crate::netboot::document_cache::SentDocument;
use crate::netboot::documents::{BootDocument, base_name};
use crate::netboot::fallbacks::{FallbackScript, IDENTIFY, fallback, last_resort, to_disk};
use crate::netboot::identify::about;
use crate::netboot::joined_initrds::JOINED_INITRDS;
use crate::render::RenderProblem;

/// Longest wait for the render of a script that also exists as a built-in one.
const RENDERED_SOON: Duration = Duration::from_secs(1);

/// A request for a path.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The path as it was sent, percent-decoded.
    pub path: String,
    pub peer: IpAddr,
    /// The server's address that faces the peer.
    pub local: IpAddr,
    pub protocol: Protocol,
    /// What the URL says about the client.
    pub hint: ClientHint,
    /// Whether the URL has a part after `?`.
    pub has_query: bool,
}

/// A file that was sent, or a part of it.
#[derive(Debug, Clone)]
pub struct ServedFile {
    pub path: String,
    pub label: String,
    pub peer: IpAddr,
    pub protocol: Protocol,
    pub about: FileSubject,
    pub size: u64,
    pub bytes: u64,
    pub duration: Duration,
    /// Whether the client received the whole file.
    pub complete: bool,
}

impl ServedFile {
    /// The record of a transfer that is about to begin.
    pub fn of(fetch: &Fetch, opened: &OpenedFile) -> Self {
        ServedFile {
            path: capability::hide(&fetch.path),
            label: opened.label.clone(),
            peer: fetch.peer,
            protocol: fetch.protocol,
            about: opened.about.clone(),
            size: opened.body.bytes(),
            bytes: 0,
            duration: Duration::ZERO,
            complete: false,
        }
    }
}

impl Netboot {
    /// Opens a path for a client.
    ///
    /// # Errors
    /// Why there is no file; see [`FetchRefusal`].
    pub async fn open(self: &Arc<Self>, fetch: &Fetch) -> Result<OpenedFile, FetchRefusal> {
        let begun = Instant::now();
        let opened = match self.find(fetch).await {
            Err(refusal @ (FetchRefusal::Absent | FetchRefusal::BadPath(_))) => {
                Box::pin(self.find_likely(fetch, refusal)).await
            }
            found => found,
        };
        self.memory.opens.record_since(begun);
        if let Err(refusal) = &opened
            && let Some(count) = self.memory.refused.get(refusal.reason_index())
        {
            count.fetch_add(1, Relaxed);
        }
        opened
    }

    pub(super) async fn find(self: &Arc<Self>, fetch: &Fetch) -> Result<OpenedFile, FetchRefusal> {
        let path = namespace::clean(&fetch.path).map_err(FetchRefusal::BadPath)?;
        // Rendering awaits many things and would make the future for a plain file ten times as large.
        match namespace::resolve(&path, |name| self.loaders.contains(name)) {
            NamespaceEntry::Absent => Box::pin(self.open_mounted(fetch, &path)).await,
            NamespaceEntry::Loader(name) => self.open_loader(fetch, &name).await,
            NamespaceEntry::Script(kind, hint) => Box::pin(self.open_script(fetch, kind, &hint)).await,
            NamespaceEntry::Choice { kind, bootenv } => {
                Box::pin(self.open_choice(fetch, kind, &bootenv)).await
            }
            NamespaceEntry::Machine { capability, file } => {
                Box::pin(self.open_machine_file(fetch, &capability, &file)).await
            }
            NamespaceEntry::Artifact { name, file } => self.open_artifact(fetch, (&name, &file)).await,
            NamespaceEntry::Agent(arch) => self.open_agent(fetch, &arch),
        }
    }

    /// Records a transfer.
    pub fn served(self: &Arc<Self>, served: ServedFile) {
        self.record_served_file(&served);
        if let Some(mirror) = &served.about.mirror {
            self.artifacts.count_served(mirror, served.bytes);
        }
        if !self.is_news(EventKind::BootFileServed, &served.about, &served.label) {
            return;
        }
        let body = BootFileServed {
            path: served.path,
            label: served.label,
            protocol: served.protocol,
            peer: served.peer,
            size: served.size,
            bytes: served.bytes,
            duration_ms: u64::try_from(served.duration.as_millis()).unwrap_or(u64::MAX),
            complete: served.complete,
        };
        self.note_boot_event(&served.about, body);
    }

    /// Queues an event about a machine with the machine as actor; if there is no machine, about the server.
    pub fn note_boot_event(&self, about: &FileSubject, body: impl Into<EventBody>) {
        let event = NewEvent::new(self.kernel.now(), body).in_attempt(about.attempt);
        self.kernel.note(match about.machine.as_ref().map(|id| Kind::Machine.subject(id)) {
            Some(subject) => event.by(subject.clone()).about(subject),
            None => event,
        });
    }

    /// The refusal of a file that is not for this machine now; it is also recorded in the machine's timeline.
    pub fn deny(&self, fetch: &Fetch, gathered: &BootFacts, decision: &BootDecision) -> FetchRefusal {
        let reason = decision.verdict.reason();
        let reason = if reason.is_empty() { "it belongs to another boot attempt" } else { reason };
        match &gathered.machine {
            Some(machine) => self.deny_because(fetch, machine, reason),
            None => FetchRefusal::Denied(reason.to_owned()),
        }
    }

    pub fn deny_because(&self, fetch: &Fetch, machine: &Stored<Machine>, reason: &str) -> FetchRefusal {
        let about = about(Some(machine));
        let (path, protocol) = (capability::hide(&fetch.path), Some(fetch.protocol));
        let denied = BootDenied { path, peer: fetch.peer, protocol, reason: reason.to_owned() };
        self.note_boot_event(&about, denied);
        FetchRefusal::Denied(reason.to_owned())
    }

    async fn open_script(
        self: &Arc<Self>,
        fetch: &Fetch,
        kind: ScriptKind,
        named: &ClientHint,
    ) -> Result<OpenedFile, FetchRefusal> {
        let hint = ClientHint { mac: named.mac.or(fetch.hint.mac), address: named.address };
        let gathered = self.who(fetch, &hint)?;
        if gathered.machine.is_none() && self.is_stranger(fetch, &hint) && kind == ScriptKind::Ipxe {
            return Ok(self.send_surely(fetch, &gathered, (BootDocument::Identify, IDENTIFY)).await);
        }
        if gathered.machine.is_none() {
            self.record_unknown_fetch(
                fetch,
                &hint,
                &gathered.decide(&BootQuestion::Script, self.kernel.now()),
            );
        }
        self.answer_script(fetch, gathered, kind, BootQuestion::Script).await
    }

    /// Decides on a loader's script and carries out the decision.
    pub async fn answer_script(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: BootFacts,
        kind: ScriptKind,
        asked: BootQuestion,
    ) -> Result<OpenedFile, FetchRefusal> {
        let (gathered, decision) = self.script_fetched(fetch, gathered, &asked).await.map_err(failed)?;
        if let Some(machine) = &gathered.machine {
            self.record_sign(machine, BootSign::Script(kind));
        }
        match decision.answer {
            BootGrant::BootScript => {
                let boot = self.boot_of(fetch, &gathered);
                if let Err(problem) = self.check_files(&boot).await {
                    return self.show_problem(fetch, &gathered, kind, &problem).await;
                }
                self.mended(&gathered, None).await;
                match self.send_document(fetch, &gathered, BootDocument::BootScript(kind)).await {
                    Err(FetchRefusal::Failed(message)) => self.show(fetch, &gathered, kind, message).await,
                    other => other,
                }
            }
            BootGrant::LocalScript => {
                let document = match &gathered.machine {
                    Some(_) => BootDocument::LocalScript(kind),
                    None => {
                        let reason = decision.verdict.reason().to_owned();
                        BootDocument::UnknownScript { kind, reason }
                    }
                };
                Ok(self.send_surely(fetch, &gathered, (document, to_disk(kind))).await)
            }
            BootGrant::MenuScript => self.send_document(fetch, &gathered, BootDocument::Menu(kind)).await,
            BootGrant::ScreenScript => {
                let message = decision.verdict.reason().to_owned();
                self.show(fetch, &gathered, kind, message).await
            }
            _ => Err(self.deny(fetch, &gathered, &decision)),
        }
    }

    async fn open_machine_file(
        self: &Arc<Self>,
        fetch: &Fetch,
        capability: &str,
        file: &str,
    ) -> Result<OpenedFile, FetchRefusal> {
        let (attempt, gathered) = self.holder(capability).ok_or(FetchRefusal::Absent)?;
        if let Some(machine) = &gathered.machine
            && let Some(why) = self.why_not_from(machine, fetch.peer)
        {
            return Err(self.deny_because(fetch, machine, &why));
        }
        let script = match namespace::resolve(file, |_| false) {
            NamespaceEntry::Script(kind, _) => Some(kind),
            _ => None,
        };
        let boot = self.boot_of(fetch, &gathered);
        let kernel = boot.files().and_then(|files| {
            std::iter::once(&files.kernel).chain(&files.initrds).find(|path| base_name(path) == file).cloned()
        });
        let is_joined = file == JOINED_INITRDS && kernel.is_none() && boot.files().is_some();
        let what = match (script, &kernel) {
            (Some(_), _) => MachineFile::Script,
            (None, Some(_)) => MachineFile::Kernel,
            (None, None) if is_joined => MachineFile::Kernel,
            (None, None) => MachineFile::Answer,
        };
        let asked = BootQuestion::MachineFile { attempt, file: what };
        let is_over = gathered.attempt().is_none_or(|attempt| attempt.progress == BootProgress::Ended);
        if let (Some(kind), false) = (script, is_over) {
            return self.answer_script(fetch, gathered, kind, asked).await;
        }
        let decision = gathered.decide(&asked, self.kernel.now());
        if decision.answer != BootGrant::Serve {
            return Err(self.deny(fetch, &gathered, &decision));
        }
        if let Some(files) = boot.files().filter(|_| kernel.is_some() || is_joined) {
            let is_initrd = kernel.as_ref() != Some(&files.kernel);
            if let Some(machine) = gathered.machine.as_ref().filter(|_| is_initrd) {
                self.record_sign(machine, BootSign::Initrd);
            }
            self.progress(&gathered, BootProgress::Kernel).await.map_err(failed)?;
            return match kernel {
                Some(path) => self.static_artifact(fetch, (&files.artifact, &path), &gathered).await,
                None => self.open_joined(fetch, (&boot, &gathered)).await,
            };
        }
        let template = self.file_fetched((&gathered, boot), file).await?;
        let document = BootDocument::File(template.ok_or(FetchRefusal::Absent)?);
        self.progress(&gathered, BootProgress::System).await.map_err(failed)?;
        self.send_document(fetch, &gathered, document).await
    }

    pub(super) async fn open_artifact(
        self: &Arc<Self>,
        fetch: &Fetch,
        (name, file): (&str, &str),
    ) -> Result<OpenedFile, FetchRefusal> {
        let mut gathered = self.who(fetch, &ClientHint::default())?;
        // An installer's files are for the machine that is being installed, whatever path it uses. The kernel
        // uses up the arming just as it does below the capability.
        let asked = {
            let own = gathered.bootenv.as_ref().map(|bootenv| &bootenv.spec);
            self.kernel.read(|world| install_file((world, own), self.artifacts.case, (name, file)))
        };
        if let Some(asked) = asked {
            let fetched = Box::pin(self.script_fetched(fetch, gathered, &asked)).await;
            let (found, decision) = fetched.map_err(failed)?;
            if decision.answer != BootGrant::Serve {
                return Err(self.deny(fetch, &found, &decision));
            }
            if matches!(asked, BootQuestion::InstallKernel(_)) {
                self.progress(&found, BootProgress::Kernel).await.map_err(failed)?;
            } else if let Some(machine) = &found.machine {
                self.record_sign(machine, BootSign::Initrd);
            }
            gathered = found;
        }
        self.static_artifact(fetch, (name, file), &gathered).await
    }

    /// This program itself, for machines of the server's own architecture.
    fn open_agent(&self, fetch: &Fetch, arch: &str) -> Result<OpenedFile, FetchRefusal> {
        if arch.parse() != Ok(host_arch()) {
            return Err(FetchRefusal::Absent);
        }
        let gathered = self.who(fetch, &ClientHint::default())?;
        let program = File::open("/proc/self/exe").and_then(RegularFile::of);
        let program = program.map_err(|error| unreadable(arch, &error))?;
        let opened = static_file(program, format!("agent:{arch}"), "application/octet-stream");
        Ok(OpenedFile { about: about(gathered.machine.as_deref()), ..opened })
    }

    fn boot_of(&self, fetch: &Fetch, gathered: &BootFacts) -> BootContext {
        let attempt = gathered.machine.as_ref().and_then(|machine| machine.status.boot_attempt.clone());
        gathered.boot(attempt, self.catalog.facing(fetch.local))
    }

    /// Checks the files of a boot, on a thread for blocking work if anything has to be rendered.
    async fn check_files(self: &Arc<Self>, boot: &BootContext) -> Result<(), RenderProblem> {
        if self.is_rehearsed(boot) {
            return Ok(());
        }
        let (netboot, boot) = (Arc::clone(self), boot.clone());
        let checked = self.catalog.render_aside(move || netboot.rehearse_files(&boot)).await;
        checked.unwrap_or_else(|error| Err(crate::catalog::rendering::problem("", error.to_string())))
    }

    /// Renders and sends a document. A failed render is an event and a fault of the machine.
    async fn send_document(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &BootFacts,
        document: BootDocument,
    ) -> Result<OpenedFile, FetchRefusal> {
        let mut boot = self.boot_of(fetch, gathered);
        let label = label(&document);
        // Only a file of the machine's own attempt may contain secrets.
        let mode = match &document {
            BootDocument::File(_) => SecretMode::Revealed,
            _ => SecretMode::Withheld,
        };
        if let Some(page) = self.kept_page(&boot, &document, mode) {
            self.record_served(&fetch.path, (&boot, &document), &page);
            return Ok(self.send_page(gathered, label, &page).await);
        }
        if let (BootDocument::File(file), Some(machine)) = (&document, &gathered.machine)
            && self.hands_out_token(&boot, file)
        {
            boot.agent_token = Some(self.access.agent_token(machine).await.map_err(failed)?);
        }
        let (netboot, path) = (Arc::clone(self), fetch.path.clone());
        match self
            .catalog
            .render_aside(move || {
                let page = netboot.page(&boot, &document, mode)?;
                netboot.record_served(&path, (&boot, &document), &page);
                Ok::<_, RenderProblem>(page)
            })
            .await
        {
            Ok(Ok(page)) => Ok(self.send_page(gathered, label, &page).await),
            Ok(Err(problem)) => {
                self.render_failed(gathered, &label, &problem).await;
                Err(FetchRefusal::Failed(problem.to_string()))
            }
            Err(error) => Err(FetchRefusal::Failed(error.to_string())),
        }
    }

    /// Sends a script that depends on nothing. If the render takes too long, the built-in script is sent.
    async fn send_surely(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &BootFacts,
        (document, built_in): (BootDocument, FallbackScript),
    ) -> OpenedFile {
        let rendered = self.send_document(fetch, gathered, document);
        match tokio::time::timeout(RENDERED_SOON, rendered).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) | Err(_) => fallback(built_in, about(gathered.machine.as_deref())),
        }
    }

    async fn send_page(&self, gathered: &BootFacts, label: String, page: &SentDocument) -> OpenedFile {
        let about = about(gathered.machine.as_deref());
        if self.is_news(EventKind::BootRendered, &about, &label) {
            let (sha256, provenance) = (page.sha256.clone(), page.provenance.clone());
            let bytes = page.text.len() as u64;
            self.note_boot_event(&about, BootRendered { label: label.clone(), sha256, bytes, provenance });
        }
        self.mended(gathered, Some(&label)).await;
        OpenedFile {
            body: FileBody::Bytes(page.text.clone()),
            label,
            content_type: "text/plain",
            version: None,
            about,
        }
    }

    async fn show_problem(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &BootFacts,
        kind: ScriptKind,
        problem: &RenderProblem,
    ) -> Result<OpenedFile, FetchRefusal> {
        self.render_failed(gathered, &format!("rendered:{}", problem.template), problem).await;
        self.show(fetch, gathered, kind, problem.to_string()).await
    }

    /// Sends a screen for the machine's console that says why the boot stops.
    async fn show(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &BootFacts,
        kind: ScriptKind,
        message: String,
    ) -> Result<OpenedFile, FetchRefusal> {
        let about = about(gathered.machine.as_deref());
        self.note_boot_event(&about, BootScreen { message: message.clone() });
        let document = BootDocument::Screen { kind, message: message.clone() };
        match self.send_document(fetch, gathered, document).await {
            Err(FetchRefusal::Failed(_)) => Ok(last_resort(kind, about)),
            other => other,
        }
    }
}

fn label(document: &BootDocument) -> String {
    match document {
        BootDocument::BootScript(kind) => format!("rendered:{}", kind.template("boot")),
        BootDocument::LocalScript(kind) => format!("rendered:{}", kind.template("local")),
        BootDocument::UnknownScript { kind, .. } => format!("rendered:{}", kind.template("unknown")),
        BootDocument::Menu(kind) => format!("rendered:{}", kind.template("menu")),
        BootDocument::Screen { kind, .. } => format!("rendered:{}", kind.template("screen")),
        BootDocument::Identify => "rendered:ipxe/identify.ipxe".to_owned(),
        BootDocument::DiskStart => "rendered:grub/disk.cfg".to_owned(),
        BootDocument::File(file) => format!("rendered:{}", file.path),
    }
}

fn failed(error: Error) -> FetchRefusal {
    FetchRefusal::Failed(error.to_string())
}

fn host_arch() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 }
}
