//! Renders what a machine is served: boot scripts, screens, answer files, from the present content with the
//! present params. What need not be rendered twice is in `renders`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::boot::Gathered;
use super::params::{self, Of, Sealed};
use super::repositories::repositories;
use super::{App, Endpoints};
use crate::boot::loader::Transport;
use crate::boot::namespace::ScriptKind;
use crate::boot::{BootData, capability};
use crate::model::{Arch, BootAttempt, BootFiles, BootTemplate, Bootenv, Machine, Stage, Stored};
use crate::render::{Callbacks, Input, Limits, ProblemKind, RenderProblem, Rendered};

/// Our addresses as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facing {
    pub address: IpAddr,
    /// Empty where the listener is off, like `https`.
    pub http: String,
    pub https: String,
}

impl Facing {
    /// A file of ours, fetched in this way; nothing where it cannot be.
    pub fn url(&self, over: Transport, file: &str) -> BootData {
        let base = match over {
            Transport::Tftp => &format!("tftp://{}", self.address),
            Transport::Http => &self.http,
            Transport::Https => &self.https,
        };
        if base.is_empty() { BootData::None } else { BootData::Url { url: format!("{base}/{file}") } }
    }
}

/// Whom a render is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The machine gets it: its URLs open what they name.
    Serve,
    /// An operator reads it: its URLs open nothing, and boots do not wait for it.
    Preview,
}

/// One machine in one boot: what its documents are rendered from.
#[derive(Clone)]
pub(super) struct Boot {
    pub machine: Option<Arc<Stored<Machine>>>,
    pub bootenv: Option<Arc<Stored<Bootenv>>>,
    pub stage: Option<Arc<Stored<Stage>>>,
    pub attempt: Option<BootAttempt>,
    pub facing: Facing,
    /// For a document that hands the machine's agent its token.
    pub agent_token: Option<String>,
    pub purpose: Purpose,
}

/// What is rendered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Document {
    /// A loader's script that boots the bootenv.
    BootScript(ScriptKind),
    LocalScript(ScriptKind),
    /// A loader's script that shows a message and tries again.
    Screen {
        kind: ScriptKind,
        message: String,
    },
    /// What an unknown machine may boot.
    Menu(ScriptKind),
    /// Asks an unknown iPXE to say who it is.
    Identify,
    /// The configuration on the disk image of a GRUB that came over HTTP: it is the same for all machines.
    DiskStart,
    /// A file of the bootenv.
    File(BootTemplate),
}

impl Boot {
    pub fn new(gathered: &Gathered, attempt: Option<BootAttempt>, facing: Facing) -> Self {
        Boot {
            machine: gathered.machine.clone(),
            bootenv: gathered.bootenv.clone(),
            stage: gathered.stage.clone(),
            attempt,
            facing,
            agent_token: None,
            purpose: Purpose::Serve,
        }
    }

    /// The files of the bootenv that are rendered.
    fn templates(&self) -> &[BootTemplate] {
        self.bootenv.as_ref().map_or(&[], |bootenv| &bootenv.spec.templates)
    }

    /// Kernel and initrds for the machine's architecture.
    pub fn files(&self) -> Option<&BootFiles> {
        // An unknown machine that chose from the menu is a PC.
        let arch = self.machine.as_ref().map_or(Arch::Amd64, |machine| machine.spec.arch);
        self.bootenv.as_ref()?.spec.arches.get(&arch)
    }
}

/// The last part of a path: what a kernel or initrd is called below the capability.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl App {
    /// Our addresses for a client that reached us at `address`.
    pub(super) fn facing(&self, address: IpAddr) -> Facing {
        let url = |scheme: &str, port: Option<u16>| {
            let listener = port.map(|port| SocketAddr::new(address, port));
            listener.map_or_else(String::new, |listener| format!("{scheme}://{listener}"))
        };
        let Endpoints { boot_http_port, boot_https_port, .. } = self.endpoints;
        Facing { address, http: url("http", boot_http_port), https: url("https", boot_https_port) }
    }

    /// Renders a document. Blocks for as long as the render takes.
    ///
    /// # Errors
    /// What is wrong with the template or its input, with template, line and column.
    pub(super) fn render_document(
        &self,
        boot: &Boot,
        document: &Document,
        sealed: Sealed,
    ) -> Result<Rendered, RenderProblem> {
        let engine = self.engine_for(boot.purpose);
        let mut input = self.input(boot, sealed)?;
        let name = match document {
            Document::BootScript(kind) => {
                let cmdline = self.command_line(boot, &input)?;
                input.variables.insert("boot".into(), self.boot_variable(boot, &cmdline, ""));
                kind.template("boot")
            }
            Document::LocalScript(kind) => {
                input.variables.insert("boot".into(), self.boot_variable(boot, "", ""));
                kind.template("local")
            }
            Document::Screen { kind, message } => {
                input.variables.insert("boot".into(), self.boot_variable(boot, "", message));
                kind.template("screen")
            }
            Document::Menu(kind) => {
                input.variables.insert("menu".into(), json!({"entries": self.menu_entries()}));
                kind.template("menu")
            }
            Document::Identify => "ipxe/identify.ipxe".to_owned(),
            Document::DiskStart => "grub/disk.cfg".to_owned(),
            Document::File(file) => match (&file.template, &file.inline) {
                (Some(name), _) => name.clone(),
                (None, Some(body)) => {
                    let rendered = engine.render_inline(body, input, Limits::default());
                    return rendered.map_err(|problem| problem.of_inline(&place(boot, &file.path)));
                }
                (None, None) => {
                    let message = format!("the file {} has neither `template` nor `inline`", file.path);
                    return Err(problem(&file.name, message));
                }
            },
        };
        engine.render(&name, input, Limits::default())
    }

    /// Opens the kernel and its initrds and renders every file of the bootenv, so that a fault is seen on the
    /// console before the kernel runs.
    pub(super) fn rehearse_files(&self, boot: &Boot) -> Result<(), RenderProblem> {
        self.find_files(boot)?;
        for file in boot.templates() {
            self.page(boot, &Document::File(file.clone()), Sealed::Open)?;
        }
        Ok(())
    }

    /// Whether all of that was done before and would come to the same now. Renders nothing.
    pub(super) fn is_rehearsed(&self, boot: &Boot) -> bool {
        let is_kept =
            |file: &BootTemplate| self.kept_page(boot, &Document::File(file.clone()), Sealed::Open).is_some();
        boot.templates().iter().all(is_kept) && self.find_files(boot).is_ok()
    }

    /// Opens the kernel and its initrds.
    fn find_files(&self, boot: &Boot) -> Result<(), RenderProblem> {
        let (Some(bootenv), Some(files)) = (&boot.bootenv, boot.files()) else { return Ok(()) };
        let (place, mirrored) = (self.place_named(&files.artifact), self.mirrored(&files.artifact));
        let missing = std::iter::once(&files.kernel).chain(&files.initrds).find(|path| {
            // What is passed on was looked for when the bootenv was written.
            if let Some(mirrored) = &mirrored {
                return mirrored.status.absent.contains(path);
            }
            !matches!(&place, Some(Ok(place)) if place.open_file(path).is_ok())
        });
        let Some(path) = missing else { return Ok(()) };
        let message = format!("the artifact {} has no file {path} that can be read", files.artifact);
        Err(problem(&bootenv.spec.name, message))
    }

    fn command_line(&self, boot: &Boot, input: &Input) -> Result<String, RenderProblem> {
        let body = boot.bootenv.as_ref().map_or("", |bootenv| bootenv.spec.boot_params.as_str());
        let mut input = input.clone();
        input.variables.insert("boot".into(), self.boot_variable(boot, "", ""));
        let rendered = self.engine_for(boot.purpose).render_inline(body, input, Limits::default());
        let rendered = rendered.map_err(|problem| problem.of_inline(&place(boot, "boot_params")))?;
        Ok(rendered.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(super) fn input(&self, boot: &Boot, sealed: Sealed) -> Result<Input, RenderProblem> {
        let of = Of { machine: boot.machine.as_deref(), stage: boot.stage.as_ref().map(|stage| &stage.spec) };
        let params = params::resolve(&self.world(), of, &self.secrets, sealed);
        let params = params.map_err(|message| problem("params", message))?;
        let repositories = repositories(&self.world(), boot, &params)?;
        let callbacks = boot.attempt.as_ref().map(|attempt| Callbacks { base: self.base_url(boot, attempt) });
        let salt_seed = boot.machine.as_ref().map(|machine| machine.key.clone()).unwrap_or_default();
        Ok(Input {
            variables: self.variables(boot),
            params,
            callbacks,
            repositories,
            agent_token: boot.agent_token.clone(),
            salt_seed,
        })
    }

    fn base_url(&self, boot: &Boot, attempt: &BootAttempt) -> String {
        format!("{}/m/{}", boot.facing.http, self.capability_of(boot, attempt))
    }

    /// What stands for an attempt in the URLs of a document: in a preview, a word that opens nothing.
    fn capability_of(&self, boot: &Boot, attempt: &BootAttempt) -> String {
        match boot.purpose {
            Purpose::Serve => self.capability(attempt),
            Purpose::Preview => capability::PREVIEW.to_owned(),
        }
    }

    /// The unguessable part of an attempt's URLs.
    pub(super) fn capability(&self, attempt: &BootAttempt) -> String {
        capability::issue(&self.boot_key, attempt.id)
    }

    fn variables(&self, boot: &Boot) -> Map<String, Value> {
        let mut variables = Map::new();
        if let Some(machine) = &boot.machine {
            variables.insert("machine".into(), machine_variable(machine, boot.attempt.as_ref()));
        }
        if let Some(bootenv) = &boot.bootenv {
            let artifact = boot.files().map_or_else(String::new, |files| {
                format!("{}/artifacts/{}", boot.facing.http, files.artifact)
            });
            let spec = &bootenv.spec;
            let os = spec.os.as_ref().map(|os| {
                let codename = os.codename.clone().unwrap_or_default();
                json!({"family": os.family, "version": os.version, "codename": codename})
            });
            let bootenv = json!({"name": spec.name, "kind": spec.kind, "os": os, "artifact_url": artifact});
            variables.insert("bootenv".into(), bootenv);
        }
        if let Some(stage) = &boot.stage {
            variables.insert("stage".into(), json!({"name": stage.spec.name}));
        }
        variables.insert("server".into(), self.server_variable(&boot.facing));
        variables
    }

    fn server_variable(&self, facing: &Facing) -> Value {
        json!({
            "address": facing.address,
            "http": facing.http,
            "https": facing.https,
            "tftp": format!("tftp://{}", facing.address),
            "api": self.endpoints.api_url(facing.address),
            "api_fingerprint": self.endpoints.api_fingerprint,
        })
    }

    fn boot_variable(&self, boot: &Boot, cmdline: &str, message: &str) -> Value {
        let attempt = boot.attempt.as_ref();
        let base = attempt.map(|attempt| self.base_url(boot, attempt)).unwrap_or_default();
        let files = boot.files();
        let shim = files.and_then(|files| self.kernel_shim(boot, files));
        let http = &boot.facing.http;
        let file = |path: &str| {
            let name = base_name(path);
            // Who is not known has no capability, and boots only what everybody may have.
            let path = match (attempt, files) {
                (Some(attempt), _) => format!("m/{}/{name}", self.capability_of(boot, attempt)),
                (None, Some(files)) => format!("artifacts/{}/{path}", files.artifact),
                (None, None) => String::new(),
            };
            json!({"name": name, "url": format!("{http}/{path}"), "path": path})
        };
        let firmware = match attempt.and_then(|attempt| attempt.client_arch) {
            None => "unknown",
            Some(0) => "bios",
            Some(_) => "uefi",
        };
        json!({
            "cmdline": cmdline,
            "message": message,
            "attempt": attempt.map_or(0, |attempt| attempt.number),
            "firmware": firmware,
            "base_url": base,
            "shim": shim.map(|name| format!("{http}/{name}")),
            "kernel": files.map(|files| file(&files.kernel)),
            "initrds": files.map(|files| files.initrds.iter().map(|path| file(path)).collect::<Vec<_>>()),
        })
    }
}

fn machine_variable(machine: &Stored<Machine>, attempt: Option<&BootAttempt>) -> Value {
    let spec = &machine.spec;
    let (short_name, domain) = spec.name.split_once('.').unwrap_or((&spec.name, ""));
    let booted_from = attempt.and_then(|attempt| attempt.mac).or_else(|| spec.macs.first().copied());
    json!({
        "id": machine.key,
        "name": spec.name,
        "short_name": short_name,
        "domain": domain,
        "arch": spec.arch,
        "kernel_arch": spec.arch.kernel_name(),
        "mac": booted_from.map(|mac| mac.to_string()).unwrap_or_default(),
        "macs": spec.macs,
        "address": machine.status.address.map(|address| address.to_string()).unwrap_or_default(),
        "smbios_uuid": spec.smbios_uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
        "serial": spec.serial.clone().unwrap_or_default(),
        "labels": machine.labels,
    })
}

/// Where a text that is no template of its own stands: `debian-12-install/boot_params`.
fn place(boot: &Boot, name: &str) -> String {
    format!("{}/{name}", boot.bootenv.as_ref().map_or("", |bootenv| bootenv.spec.name.as_str()))
}

pub(super) fn problem(template: &str, message: String) -> RenderProblem {
    RenderProblem::new(ProblemKind::Template, template, message)
}
