//! What a path gives to whom: the one way to a file, for TFTP and HTTP alike.
//!
//! [`App::open`] cleans the path, finds out who asks, asks for the decision and carries it out: a loader, a
//! rendered document, a kernel. What the boot comes to by it (the script was fetched, the kernel was) is on
//! disk before the first byte leaves.

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::boot::{Gathered, install_file};
use super::callers::about;
use super::documents::{Boot, Document, base_name};
use super::params::Sealed;
use super::renders::Page;
use super::statics::{static_file, unreadable};
use super::{App, Error};
use crate::boot::capability;
use crate::boot::decide::{Answer, Asked, Decision, MachineFile};
use crate::boot::namespace::{self, Entry, Hint, ScriptKind};
use crate::boot::stops::Sign;
pub use crate::media::Coming;
use crate::model::{Arch, BootProgress, Kind, Machine, NewEvent, Stored};
use crate::render::RenderProblem;

/// Which protocol a file is asked for over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Tftp,
    Http,
}

/// A request for a path.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// As it came, percent-decoded.
    pub path: String,
    pub peer: IpAddr,
    /// Our address that faces the peer.
    pub local: IpAddr,
    pub protocol: Protocol,
    /// What the URL says of who asks.
    pub hint: Hint,
    /// Whether the URL has a part after `?`.
    pub has_query: bool,
}

/// The bytes of a file.
#[derive(Debug)]
pub enum Body {
    Bytes(Bytes),
    File {
        file: File,
        bytes: u64,
        /// Of one that is not whole yet: how far it is.
        coming: Option<Coming>,
    },
}

impl Body {
    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { bytes, .. } => *bytes,
        }
    }
}

/// Whom a file is about, for its events and for figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub machine: Option<String>,
    pub attempt: Option<Uuid>,
    /// The artifact, where it is one that is passed on from another server.
    pub mirror: Option<String>,
}

impl About {
    /// Whether it is to be recorded that the file was sent: what is nobody's is on no timeline.
    pub fn is_recorded(&self) -> bool {
        self.machine.is_some() || self.mirror.is_some()
    }
}

/// A file that may be sent.
#[derive(Debug)]
pub struct Opened {
    pub body: Body,
    /// What it is: `loader:snponly.efi`, `artifact:debian-12-amd64/linux`, `rendered:preseed.cfg`.
    pub label: String,
    pub content_type: &'static str,
    /// Of a file on disk; rendered files have none and are not to be cached.
    pub version: Option<Version>,
    pub about: About,
}

/// Which bytes a file on disk has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// A strong entity tag with its quotes (RFC 9110 §8.8.3).
    pub tag: String,
    /// When its content was last changed, in seconds since 1970.
    pub modified: i64,
}

/// Why a path gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    Absent,
    /// The path itself cannot be: it leaves the tree, or has control characters.
    BadPath(&'static str),
    /// There is such a file, and not for this machine now.
    Denied(String),
    /// It should be there, and cannot be given: a failed render, a file that cannot be read.
    Failed(String),
}

/// What was sent of a file.
#[derive(Debug, Clone)]
pub struct Served {
    pub path: String,
    pub label: String,
    pub peer: IpAddr,
    pub protocol: Protocol,
    pub about: About,
    pub size: u64,
    pub bytes: u64,
    pub duration: Duration,
    /// Whether the client took all of it.
    pub complete: bool,
}

impl Served {
    /// The record of a transfer that is about to begin.
    pub fn of(fetch: &Fetch, opened: &Opened) -> Self {
        Served {
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

impl App {
    /// Opens a path for a client.
    ///
    /// # Errors
    /// Why it gives nothing; see [`Refused`].
    pub async fn open(self: &Arc<Self>, fetch: &Fetch) -> Result<Opened, Refused> {
        let path = namespace::clean(&fetch.path).map_err(Refused::BadPath)?;
        // What is rendered waits for much, and would make the future of a plain file ten times as large.
        match namespace::resolve(&path, |name| self.loaders.contains(name)) {
            Entry::Absent => Err(Refused::Absent),
            Entry::Loader(name) => self.open_loader(fetch, &name).await,
            Entry::Script(kind, hint) => Box::pin(self.open_script(fetch, kind, &hint)).await,
            Entry::Choice { kind, bootenv } => Box::pin(self.open_choice(fetch, kind, &bootenv)).await,
            Entry::Machine { capability, file } => {
                Box::pin(self.open_machine_file(fetch, &capability, &file)).await
            }
            Entry::Artifact { name, file } => self.open_artifact(fetch, (&name, &file)).await,
            Entry::Agent(arch) => self.open_agent(fetch, &arch),
        }
    }

    /// Records what was sent.
    pub fn served(self: &Arc<Self>, served: Served) {
        self.saw_file(&served);
        if let Some(mirror) = &served.about.mirror {
            self.mirrors.served(mirror, served.bytes);
        }
        if !self.is_news("boot.file_served", &served.about, &served.label) {
            return;
        }
        let data = json!({
            "path": served.path,
            "label": served.label,
            "protocol": served.protocol,
            "peer": served.peer,
            "size": served.size,
            "bytes": served.bytes,
            "duration_ms": u64::try_from(served.duration.as_millis()).unwrap_or(u64::MAX),
            "complete": served.complete,
        });
        self.note(self.boot_event("boot.file_served", &served.about, data));
    }

    pub(super) fn boot_event(&self, kind: &str, about: &About, data: serde_json::Value) -> NewEvent {
        let subject =
            about.machine.as_ref().map_or_else(|| "server".to_owned(), |id| Kind::Machine.subject(id));
        NewEvent {
            time: self.now(),
            kind: kind.to_owned(),
            actor: subject.clone(),
            subject,
            attempt: about.attempt,
            data,
        }
    }

    /// A file that is not for this machine now; the machine's timeline says so too.
    pub(super) fn deny(&self, fetch: &Fetch, gathered: &Gathered, decision: &Decision) -> Refused {
        let reason = decision.verdict.reason();
        let reason = if reason.is_empty() { "it belongs to another boot attempt" } else { reason };
        match &gathered.machine {
            Some(machine) => self.deny_because(fetch, machine, reason),
            None => Refused::Denied(reason.to_owned()),
        }
    }

    pub(super) fn deny_because(&self, fetch: &Fetch, machine: &Stored<Machine>, reason: &str) -> Refused {
        let about = about(Some(machine));
        let (path, protocol) = (capability::hide(&fetch.path), fetch.protocol);
        let data = json!({"path": path, "peer": fetch.peer, "protocol": protocol, "reason": reason});
        self.note(self.boot_event("boot.denied", &about, data));
        Refused::Denied(reason.to_owned())
    }

    async fn open_script(
        self: &Arc<Self>,
        fetch: &Fetch,
        kind: ScriptKind,
        named: &Hint,
    ) -> Result<Opened, Refused> {
        let hint = Hint { mac: named.mac.or(fetch.hint.mac), address: named.address };
        let gathered = self.who(fetch, &hint)?;
        if gathered.machine.is_none() && self.is_stranger(fetch, &hint) && kind == ScriptKind::Ipxe {
            return self.send_document(fetch, &gathered, Document::Identify).await;
        }
        self.answer_script(fetch, gathered, kind, Asked::Script).await
    }

    /// Decides about a loader's script and carries it out.
    pub(super) async fn answer_script(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: Gathered,
        kind: ScriptKind,
        asked: Asked,
    ) -> Result<Opened, Refused> {
        let (gathered, decision) = self.script_fetched(fetch, gathered, &asked).await.map_err(failed)?;
        if let Some(machine) = &gathered.machine {
            self.saw_sign(machine, Sign::Script(kind));
        }
        match decision.answer {
            Answer::BootScript => {
                let boot = self.boot_of(fetch, &gathered);
                if let Err(problem) = self.check_files(&boot).await {
                    return self.show_problem(fetch, &gathered, kind, &problem).await;
                }
                self.mended(&gathered, None).await;
                match self.send_document(fetch, &gathered, Document::BootScript(kind)).await {
                    Err(Refused::Failed(message)) => self.show(fetch, &gathered, kind, message).await,
                    other => other,
                }
            }
            Answer::LocalScript => self.send_document(fetch, &gathered, Document::LocalScript(kind)).await,
            Answer::MenuScript => self.send_document(fetch, &gathered, Document::Menu(kind)).await,
            Answer::ScreenScript => {
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
    ) -> Result<Opened, Refused> {
        let (attempt, gathered) = self.holder(capability).ok_or(Refused::Absent)?;
        if let Some(machine) = &gathered.machine
            && let Some(why) = self.why_not_from(machine, fetch.peer)
        {
            return Err(self.deny_because(fetch, machine, &why));
        }
        let script = match namespace::resolve(file, |_| false) {
            Entry::Script(kind, _) => Some(kind),
            _ => None,
        };
        let boot = self.boot_of(fetch, &gathered);
        let kernel = boot.files().and_then(|files| {
            std::iter::once(&files.kernel).chain(&files.initrds).find(|path| base_name(path) == file).cloned()
        });
        let what = match (script, &kernel) {
            (Some(_), _) => MachineFile::Script,
            (None, Some(_)) => MachineFile::Kernel,
            (None, None) => MachineFile::Answer,
        };
        let asked = Asked::MachineFile { attempt, file: what };
        let is_over = gathered.attempt().is_none_or(|attempt| attempt.progress == BootProgress::Ended);
        if let (Some(kind), false) = (script, is_over) {
            return self.answer_script(fetch, gathered, kind, asked).await;
        }
        let decision = gathered.decide(&asked, self.now());
        if decision.answer != Answer::Serve {
            return Err(self.deny(fetch, &gathered, &decision));
        }
        if let (Some(path), Some(files)) = (kernel, boot.files()) {
            if let Some(machine) = gathered.machine.as_ref().filter(|_| path != files.kernel) {
                self.saw_sign(machine, Sign::Initrd);
            }
            self.progress(&gathered, BootProgress::Kernel).await.map_err(failed)?;
            return self.static_artifact(fetch, (&files.artifact, &path), &gathered).await;
        }
        let templates = boot.bootenv.iter().flat_map(|bootenv| &bootenv.spec.templates);
        let template = templates.into_iter().find(|template| template.path == file).cloned();
        let document = Document::File(template.ok_or(Refused::Absent)?);
        self.progress(&gathered, BootProgress::System).await.map_err(failed)?;
        self.send_document(fetch, &gathered, document).await
    }

    async fn open_artifact(
        self: &Arc<Self>,
        fetch: &Fetch,
        (name, file): (&str, &str),
    ) -> Result<Opened, Refused> {
        let mut gathered = self.who(fetch, &Hint::default())?;
        // What installs is for the machine that is to be installed, by whatever path it asks, and the kernel
        // uses up the arming as it does below the capability.
        let asked = install_file(&self.world(), self.case, (name, file));
        if let Some(asked) = asked {
            let fetched = Box::pin(self.script_fetched(fetch, gathered, &asked)).await;
            let (found, decision) = fetched.map_err(failed)?;
            if decision.answer != Answer::Serve {
                return Err(self.deny(fetch, &found, &decision));
            }
            if matches!(asked, Asked::InstallKernel(_)) {
                self.progress(&found, BootProgress::Kernel).await.map_err(failed)?;
            } else if let Some(machine) = &found.machine {
                self.saw_sign(machine, Sign::Initrd);
            }
            gathered = found;
        }
        self.static_artifact(fetch, (name, file), &gathered).await
    }

    /// This very program, for machines of the server's own architecture.
    fn open_agent(&self, fetch: &Fetch, arch: &str) -> Result<Opened, Refused> {
        if arch.parse() != Ok(host_arch()) {
            return Err(Refused::Absent);
        }
        let gathered = self.who(fetch, &Hint::default())?;
        let opened = File::open("/proc/self/exe")
            .and_then(|file| static_file(file, format!("agent:{arch}"), "application/octet-stream"));
        let opened = opened.map_err(|error| unreadable(arch, &error))?;
        Ok(Opened { about: about(gathered.machine.as_deref()), ..opened })
    }

    fn boot_of(&self, fetch: &Fetch, gathered: &Gathered) -> Boot {
        let attempt = gathered.machine.as_ref().and_then(|machine| machine.status.boot_attempt.clone());
        Boot::new(gathered, attempt, self.facing(fetch.local))
    }

    /// On a thread that may take its time, if anything has to be rendered.
    async fn check_files(self: &Arc<Self>, boot: &Boot) -> Result<(), RenderProblem> {
        if self.is_rehearsed(boot) {
            return Ok(());
        }
        let boot = boot.clone();
        let checked = self.render_aside(move |app| app.rehearse_files(&boot)).await;
        checked.unwrap_or_else(|error| Err(super::documents::problem("", error.to_string())))
    }

    /// Renders and sends. A render that fails is an event and a fault of the machine.
    async fn send_document(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &Gathered,
        document: Document,
    ) -> Result<Opened, Refused> {
        let mut boot = self.boot_of(fetch, gathered);
        let label = label(&document);
        // Only a file of the machine's own attempt may hold what is secret.
        let sealed = match &document {
            Document::File(_) => Sealed::Open,
            _ => Sealed::Closed,
        };
        if let Some(page) = self.kept_page(&boot, &document, sealed) {
            return Ok(self.send_page(gathered, label, &page).await);
        }
        if let (Document::File(file), Some(machine)) = (&document, &gathered.machine)
            && self.hands_out_token(file)
        {
            boot.agent_token = Some(self.agent_token(machine).await.map_err(failed)?);
        }
        match self.render_aside(move |app| app.page(&boot, &document, sealed)).await {
            Ok(Ok(page)) => Ok(self.send_page(gathered, label, &page).await),
            Ok(Err(problem)) => {
                self.render_failed(gathered, &label, &problem).await;
                Err(Refused::Failed(problem.to_string()))
            }
            Err(error) => Err(Refused::Failed(error.to_string())),
        }
    }

    async fn send_page(&self, gathered: &Gathered, label: String, page: &Page) -> Opened {
        let about = about(gathered.machine.as_deref());
        if self.is_news("boot.rendered", &about, &label) {
            let mut data = page.facts.clone();
            data["label"] = json!(label);
            self.note(self.boot_event("boot.rendered", &about, data));
        }
        self.mended(gathered, Some(&label)).await;
        Opened {
            body: Body::Bytes(page.text.clone()),
            label,
            content_type: "text/plain",
            version: None,
            about,
        }
    }

    async fn show_problem(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &Gathered,
        kind: ScriptKind,
        problem: &RenderProblem,
    ) -> Result<Opened, Refused> {
        self.render_failed(gathered, &format!("rendered:{}", problem.template), problem).await;
        self.show(fetch, gathered, kind, problem.to_string()).await
    }

    /// A screen on the machine's console that says why it does not go on.
    async fn show(
        self: &Arc<Self>,
        fetch: &Fetch,
        gathered: &Gathered,
        kind: ScriptKind,
        message: String,
    ) -> Result<Opened, Refused> {
        let about = about(gathered.machine.as_deref());
        self.note(self.boot_event("boot.screen", &about, json!({"message": message})));
        let document = Document::Screen { kind, message: message.clone() };
        match self.send_document(fetch, gathered, document).await {
            Err(Refused::Failed(_)) => Ok(last_resort(kind, about)),
            other => other,
        }
    }
}

/// The screen where even the template of the screen fails.
fn last_resort(kind: ScriptKind, about: About) -> Opened {
    let text = match kind {
        ScriptKind::Ipxe => {
            "#!ipxe\nisset ${netX/ip} || ifconf || goto failed\n:failed\n\
             echo Metalwright: the boot cannot go on and its screen cannot be rendered;\n\
             echo see the machine's timeline\nsleep 30\nexit 1\n"
        }
        ScriptKind::Grub => "echo 'Metalwright: the boot cannot go on; see the timeline'\nsleep 30\nexit\n",
        ScriptKind::Pxelinux => {
            "SAY Metalwright: the boot cannot go on; see the timeline\nPROMPT 1\nTIMEOUT 300\n"
        }
    };
    Opened {
        body: Body::Bytes(Bytes::from_static(text.as_bytes())),
        label: "screen".to_owned(),
        content_type: "text/plain",
        version: None,
        about,
    }
}

fn label(document: &Document) -> String {
    match document {
        Document::BootScript(kind) => format!("rendered:{}", kind.template("boot")),
        Document::LocalScript(kind) => format!("rendered:{}", kind.template("local")),
        Document::Menu(kind) => format!("rendered:{}", kind.template("menu")),
        Document::Screen { kind, .. } => format!("rendered:{}", kind.template("screen")),
        Document::Identify => "rendered:ipxe/identify.ipxe".to_owned(),
        Document::DiskStart => "rendered:grub/disk.cfg".to_owned(),
        Document::File(file) => format!("rendered:{}", file.path),
    }
}

fn failed(error: Error) -> Refused {
    Refused::Failed(error.to_string())
}

fn host_arch() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 }
}
