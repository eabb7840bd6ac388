//! Renders what a machine is served: boot scripts, screens and answer files, from the content and params that
//! its run kept, or from the present ones. `document_cache` avoids repeated renders.

use serde_json::{Value, json};

use crate::catalog::artifact_faults::served;
use crate::catalog::extra_initrds::{EXTRA_INITRDS, extra_initrds};
use crate::catalog::params::SecretMode;
use crate::catalog::reach::{any_template, text_of};
use crate::catalog::rendering::{BootContext, problem};
use crate::model::{BootTemplate, LineOrigin, Provenance};
use crate::netboot::Netboot;
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::joined_initrds::JOINED_INITRDS;
use crate::render::{InlineText, RenderInput, RenderLimits, RenderProblem, RenderedText};

/// The call by which a template asks for the agent's token.
const CALL: &str = "agent_token(";

/// A document to render.
#[derive(Clone, Debug, PartialEq)]
pub enum BootDocument {
    /// The script that makes a loader boot the bootenv.
    BootScript(ScriptKind),
    LocalScript(ScriptKind),
    /// The same for a client that is not registered, whose console says so first.
    UnknownScript {
        kind: ScriptKind,
        reason: String,
    },
    /// The script that makes a loader show a message and try again.
    Screen {
        kind: ScriptKind,
        message: String,
    },
    /// The menu of an unknown machine.
    Menu(ScriptKind),
    /// The script that makes an unknown iPXE identify itself.
    Identify,
    /// The configuration on the disk image of a GRUB that is fetched over HTTP. It is the same for all
    /// machines.
    DiskStart,
    /// A file of the bootenv.
    File(BootTemplate),
}

/// The last part of a path: the name of a kernel or initrd below the capability.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Netboot {
    /// Whether a file of a bootenv contains the agent's token.
    pub fn hands_out_token(&self, boot: &BootContext, file: &BootTemplate) -> bool {
        self.kernel.read(|world| {
            let content = boot.content(world);
            any_template(content, text_of(content, file), (usize::MAX, calls_agent_token))
        })
    }

    /// Renders a document. Blocks for the duration of the render.
    ///
    /// # Errors
    /// The fault of the template or its input, with template, line and column.
    pub fn render_document(
        &self,
        boot: &BootContext,
        document: &BootDocument,
        mode: SecretMode,
    ) -> Result<RenderedText, RenderProblem> {
        let engine = match document {
            BootDocument::BootScript(_) | BootDocument::File(_) => self.catalog.engine_for(boot),
            // These documents are the server's own, whatever content a run has.
            _ => self.catalog.present_engine_for(boot.purpose),
        };
        let mut input = self.catalog.input(boot, mode)?;
        // What the command line was made from is part of the script's provenance.
        let mut of_cmdline = None;
        let name = match document {
            BootDocument::BootScript(kind) => {
                let rendered = self.rendered_command_line(boot, &input)?;
                let cmdline = on_one_line(&rendered.text);
                of_cmdline = Some(rendered);
                let mut variable = self.boot_variable(boot, &cmdline, "");
                self.add_initrds(boot, &input, &mut variable)?;
                self.add_only_initrd(boot, &mut variable);
                input.variables.insert("boot".into(), variable);
                kind.template("boot")
            }
            BootDocument::LocalScript(kind) => {
                input.variables.insert("boot".into(), self.boot_variable(boot, "", ""));
                kind.template("local")
            }
            BootDocument::UnknownScript { kind, reason } => {
                input.variables.insert("boot".into(), self.boot_variable(boot, "", reason));
                kind.template("unknown")
            }
            BootDocument::Screen { kind, message } => {
                input.variables.insert("boot".into(), self.boot_variable(boot, "", message));
                kind.template("screen")
            }
            BootDocument::Menu(kind) => {
                input.variables.insert("menu".into(), json!({"entries": self.menu_entries()}));
                kind.template("menu")
            }
            BootDocument::Identify => "ipxe/identify.ipxe".to_owned(),
            BootDocument::DiskStart => "grub/disk.cfg".to_owned(),
            BootDocument::File(file) => match (&file.template, &file.inline) {
                (Some(name), _) => name.clone(),
                (None, Some(body)) => {
                    let verbatim = file.verbatim;
                    let text = InlineText { place: &place(boot, &file.path), body, verbatim };
                    return engine.render_inline(text, input, RenderLimits::default());
                }
                (None, None) => {
                    let message = format!("the file {} has neither `template` nor `inline`", file.path);
                    return Err(problem(&file.name, message));
                }
            },
        };
        let mut rendered = engine.render(&name, input, RenderLimits::default())?;
        if let Some(cmdline) = of_cmdline {
            let provenance = &mut rendered.provenance;
            provenance.secret |= cmdline.provenance.secret;
            provenance.now = provenance.now.or(cmdline.provenance.now);
            add_command_line(&mut rendered.lines, &cmdline.lines);
        }
        Ok(rendered)
    }

    /// Opens the kernel and its initrds and renders every file of the bootenv, so that a fault is shown on
    /// the console before the kernel runs.
    pub fn rehearse_files(&self, boot: &BootContext) -> Result<(), RenderProblem> {
        self.find_files(boot)?;
        self.rendered_files(boot)?;
        for file in boot.templates() {
            self.page(boot, &BootDocument::File(file.clone()), SecretMode::Revealed)?;
        }
        Ok(())
    }

    /// Whether `rehearse_files` was done with the same input before. Renders nothing.
    pub fn is_rehearsed(&self, boot: &BootContext) -> bool {
        let mut files = boot.templates().iter().map(|file| BootDocument::File(file.clone()));
        let are_kept = files.all(|file| self.kept_page(boot, &file, SecretMode::Revealed).is_some());
        are_kept && self.find_files(boot).is_ok()
    }

    /// Opens the kernel and its initrds.
    fn find_files(&self, boot: &BootContext) -> Result<(), RenderProblem> {
        let Some(bootenv) = &boot.bootenv else { return Ok(()) };
        match self.absent_files(boot).into_iter().next() {
            None => Ok(()),
            Some(message) => Err(problem(&bootenv.spec.name, message)),
        }
    }

    /// What is said of each file of the boot that is not there.
    pub fn absent_files(&self, boot: &BootContext) -> Vec<String> {
        let Some(files) = boot.files() else { return Vec::new() };
        let named = std::iter::once(&files.kernel).chain(&files.initrds);
        let absent = named.filter(|path| !self.has_file(&files.artifact, path));
        absent
            .map(|path| format!("the artifact {} has no file {path} that can be read", files.artifact))
            .collect()
    }

    /// Adds the initrds of the param to those of the bootenv. Everybody may fetch them, as firmware is no
    /// secret. Their names differ from those of the bootenv's: loaders give initrds to the kernel by name.
    fn add_initrds(
        &self,
        boot: &BootContext,
        input: &RenderInput,
        variable: &mut Value,
    ) -> Result<(), RenderProblem> {
        let refused = |message: String| problem(EXTRA_INITRDS, message);
        let own = variable.get_mut("initrds").and_then(Value::as_array_mut);
        let Some(initrds) = own.filter(|own| !own.is_empty()) else { return Ok(()) };
        for (i, extra) in extra_initrds(&input.params).map_err(refused)?.iter().enumerate() {
            let (artifact, file) = (&extra.artifact, &extra.path);
            self.kernel.read(|world| served(world, artifact).map(|_| ())).map_err(refused)?;
            if !self.has_file(artifact, file) {
                return Err(refused(format!("the artifact {artifact} has no file {file} that can be read")));
            }
            let name = format!("extra{}-{}", i + 1, base_name(file));
            let path = format!("artifacts/{artifact}/{file}");
            initrds.push(json!({"name": name, "url": format!("{}/{path}", boot.facing.http), "path": path}));
        }
        Ok(())
    }

    /// Adds the one file that has all initrds: the only one, or the joined file below the capability. An
    /// unknown machine has no capability, and gets the first.
    fn add_only_initrd(&self, boot: &BootContext, variable: &mut Value) {
        let initrds = variable.get("initrds").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let joined = boot.attempt.as_ref().filter(|_| initrds.len() > 1).map(|attempt| {
            let path = format!("m/{}/{JOINED_INITRDS}", self.catalog.capability_of(boot, attempt));
            json!({"name": JOINED_INITRDS, "url": format!("{}/{path}", boot.facing.http), "path": path})
        });
        let only = joined.or_else(|| initrds.first().cloned());
        if let Some(fields) = variable.as_object_mut() {
            fields.insert("initrd".to_owned(), only.unwrap_or(Value::Null));
        }
    }

    /// Whether a file of an artifact can be read. A mirror's files that bootenvs name were looked for when
    /// the bootenvs were written; others are looked for when they are fetched.
    fn has_file(&self, artifact: &str, file: &str) -> bool {
        if let Some(mirrored) = self.artifacts.mirrored(artifact) {
            return !mirrored.status.absent.iter().any(|absent| absent == file);
        }
        matches!(self.artifacts.place_named(artifact), Some(Ok(place)) if place.open_file(file).is_ok())
    }

    /// The kernel's command line, on one line, and its sources.
    ///
    /// # Errors
    /// What is wrong with the `boot_params` of the bootenv.
    pub fn command_line(
        &self,
        boot: &BootContext,
        input: &RenderInput,
    ) -> Result<(String, Provenance), RenderProblem> {
        let rendered = self.rendered_command_line(boot, input)?;
        Ok((on_one_line(&rendered.text), rendered.provenance))
    }

    /// The same, as it was rendered.
    fn rendered_command_line(
        &self,
        boot: &BootContext,
        input: &RenderInput,
    ) -> Result<RenderedText, RenderProblem> {
        let body = boot.bootenv.as_ref().map_or("", |bootenv| bootenv.spec.boot_params.as_str());
        let mut input = input.clone();
        input.variables.insert("boot".into(), self.boot_variable(boot, "", ""));
        let text = InlineText { place: &place(boot, "boot_params"), body, verbatim: false };
        self.catalog.engine_for(boot).render_inline(text, input, RenderLimits::default())
    }

    fn boot_variable(&self, boot: &BootContext, cmdline: &str, message: &str) -> Value {
        let attempt = boot.attempt.as_ref();
        let base = attempt.map(|attempt| self.catalog.base_url(boot, attempt)).unwrap_or_default();
        let files = boot.files();
        let shim = files.and_then(|files| self.kernel_shim(boot, files));
        let http = &boot.facing.http;
        let file = |path: &str| {
            let name = base_name(path);
            // An unknown machine has no capability, and boots only files that everybody may fetch.
            let path = match (attempt, files) {
                (Some(attempt), _) => format!("m/{}/{name}", self.catalog.capability_of(boot, attempt)),
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
            "run": boot.run.as_ref().map(|run| &run.key),
            "attempt": attempt.map_or(0, |attempt| attempt.number),
            "firmware": firmware,
            "base_url": base,
            "shim": shim.map(|name| format!("{http}/{name}")),
            "kernel": files.map(|files| file(&files.kernel)),
            "initrds": files.map(|files| files.initrds.iter().map(|path| file(path)).collect::<Vec<_>>()),
        })
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The variable that scripts write the command line from.
const COMMAND_LINE: &str = "boot.cmdline";

/// Tells of the lines that show the command line what that was made from.
fn add_command_line(lines: &mut [LineOrigin], made_from: &[LineOrigin]) {
    for line in lines.iter_mut().filter(|line| line.variables.iter().any(|name| name == COMMAND_LINE)) {
        for origin in made_from {
            let new = origin.params.iter().filter(|param| !line.params.contains(param));
            let new: Vec<_> = new.cloned().collect();
            line.params.extend(new);
            if !line.also.contains(&origin.place) && line.also.len() < MADE_FROM_MAX {
                line.also.push(origin.place.clone());
            }
        }
    }
}

/// Most lines of the command line's template that are told of a line of a script.
const MADE_FROM_MAX: usize = 16;

fn calls_agent_token(body: &str) -> bool {
    body.contains(CALL)
}

/// The place of a text that is not a stored template: `debian-12-install/boot_params`.
pub(super) fn place(boot: &BootContext, name: &str) -> String {
    format!("{}/{name}", boot.bootenv.as_ref().map_or("", |bootenv| bootenv.spec.name.as_str()))
}
