//! Previews of a boot: the files that a machine may fetch now, and the documents that it would get. `explain`
//! has the decision and its reasons.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::catalog::channel_content::channel_of;
use crate::catalog::extra_initrds::{EXTRA_INITRDS, extra_initrds};
use crate::catalog::params::{self, ParamSubject, SecretMode};
use crate::catalog::rendering::{BootContext, RenderPurpose};
use crate::catalog::usable;
use crate::insight::Insight;
use crate::insight::param_levels::LevelValue;
use crate::insight::preflight::document_faults;
use crate::insight::template_sources::sources_of;
use crate::insight::unsaved::UnsavedContent;
use crate::kernel::scope::RequiredScope;
use crate::kernel::{Caller, Error};
use crate::model::{
    BootTemplate, Bootenv, ContentView, LineOrigin, Machine, PROD_CHANNEL, Problem, RefusalCode, Stored,
    Template, World, is_path_template,
};
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::decision::{BootGrant, BootQuestion, MachineFile};
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::documents::{BootDocument, base_name};
use crate::netboot::joined_initrds::JOINED_INITRDS;
use crate::render::{ParamLevel, ProblemKind, Provenance, RenderProblem, RenderedText, ResolvedParam};

/// The scripts of the loaders, by the names that a preview has for them.
const SCRIPTS: [(&str, ScriptKind); 3] =
    [("boot.ipxe", ScriptKind::Ipxe), ("grub.cfg", ScriptKind::Grub), ("pxelinux.cfg", ScriptKind::Pxelinux)];

/// The levels of params that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamScope {
    Machine,
    AllLevels,
}

/// A path that a machine may fetch, or may not, and why.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FileRow {
    /// The path, with the capability hidden: `m/…/preseed.cfg`.
    pub path: String,
    /// `script`, `kernel`, `initrd` or `rendered`.
    pub what: &'static str,
    /// Whether it is served now.
    pub allowed: bool,
    /// Why it is not served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The value of a param for a machine, and the level that it comes from.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ParamRow {
    /// `{"sealed": true}` for a secret.
    pub value: Value,
    /// `machine`, `profile `base``, `defaults` …
    pub level: String,
    pub secret: bool,
    /// All levels that have a value, highest first, if they were asked for. The first is the one that counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<LevelValue>,
}

/// The document to render, and its machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// The machine, by id or `name:web1`.
    pub machine: String,
    /// Path of a file of the machine's bootenv: `preseed.cfg`; or a loader's script: `boot.ipxe`, `grub.cfg`.
    #[serde(default)]
    pub file: Option<String>,
    /// Name of a template to render instead.
    #[serde(default)]
    pub template: Option<String>,
    /// A text to render instead, which need not be saved. It requires the scope `templates:write`, because a
    /// template is a program.
    #[serde(default)]
    pub inline: Option<String>,
    /// The bootenv to render for, if the machine is not in it now.
    #[serde(default)]
    pub bootenv: Option<String>,
    /// Objects that are not saved, in place of those of their names. With them the document is made from the
    /// present content, whatever the machine's run kept.
    #[serde(default)]
    pub content: UnsavedContent,
    /// Whether `lines` is wanted.
    #[serde(default = "wanted")]
    pub lines: bool,
}

fn wanted() -> bool {
    true
}

/// A rendered document. Secret params are shown as `(sealed)`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PreviewResult {
    pub text: String,
    /// SHA-256 of the text, in hex.
    pub sha256: String,
    pub provenance: Provenance,
    /// Where each line of the text comes from: at most 20,000 lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineOrigin>,
    /// The sources of the templates and of the bootenv, by name: `site`, `pack NAME@VERSION`, `not saved`, or
    /// `kept by the run`, if a run kept a text that is not the present one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
    /// What in the text would stop the installer or the shell that reads it.
    pub problems: Vec<Problem>,
}

impl PreviewRequest {
    /// A pointer to the field that says what is rendered.
    fn asked(&self) -> &'static str {
        match (&self.file, &self.template) {
            (Some(_), _) => "/file",
            (None, Some(_)) => "/template",
            (None, None) => "/inline",
        }
    }
}

impl Insight {
    /// Whether the content of a machine's channel is that of the tables.
    fn is_on_prod(&self, machine: &Machine) -> bool {
        self.kernel.read(|world| channel_of(world, machine) == PROD_CHANNEL)
    }

    /// The content of a machine's channel, where it differs from that of the tables. A channel without
    /// content is a problem of the machine, which then is shown with that of the tables. Blocks.
    pub(super) fn derived_content(&self, machine: &Machine) -> Option<Arc<World>> {
        if self.is_on_prod(machine) {
            return None;
        }
        self.catalog.content_for(machine).ok().filter(|content| content.is_derived())
    }

    /// The params of a machine by name, in the content of its channel: its own, or those of all levels.
    /// Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`], or a sealed value is damaged.
    pub fn params(
        &self,
        caller: &Caller,
        reference: &str,
        scope: ParamScope,
    ) -> Result<BTreeMap<String, ParamRow>, Error> {
        let machine = self.kernel.find::<Machine>(caller, reference)?;
        let content = self.derived_content(&machine.spec);
        self.kernel.read(|world| {
            let content = content.as_deref().unwrap_or(world);
            let stage = machine.status.stage.as_ref().and_then(|name| content.stages.get(name));
            let of = ParamSubject { machine: Some(&machine), stage: stage.map(|stage| &stage.spec) };
            let params =
                params::resolve(ContentView::from(content), of, &self.kernel.secrets, SecretMode::Redacted)
                    .map_err(Error::Failed)?;
            let rows = params.aggregate().into_iter().filter(|(_, resolved)| {
                scope == ParamScope::AllLevels || *resolved.level == ParamLevel::Machine
            });
            Ok(rows
                .map(|(name, resolved): (&str, ResolvedParam<'_>)| {
                    let value =
                        if resolved.secret { json!({"sealed": true}) } else { resolved.value.clone() };
                    (
                        name.to_owned(),
                        ParamRow {
                            value,
                            level: resolved.level.to_string(),
                            secret: resolved.secret,
                            levels: Vec::new(),
                        },
                    )
                })
                .collect())
        })
    }

    /// Every path that a machine may fetch under its capability, and whether it may now. Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn files(&self, caller: &Caller, reference: &str) -> Result<Vec<FileRow>, Error> {
        let machine = self.kernel.find::<Machine>(caller, reference)?;
        let content = self.derived_content(&machine.spec);
        let gathered = self.kernel.read(|world| BootFacts::of(world, &self.netboot.loaders, Some(&machine)));
        let boot = self.preview_boot(&gathered);
        let attempt = gathered.attempt().map_or(Uuid::nil(), |attempt| attempt.id);
        let row = |path: &str, what, file| {
            let decision = gathered.decide(&BootQuestion::MachineFile { attempt, file }, self.kernel.now());
            let allowed = !matches!(decision.answer, BootGrant::Deny);
            let reason = match decision.verdict.reason() {
                "" => "no boot attempt is under way",
                reason => reason,
            };
            let reason = if allowed { "" } else { reason };
            FileRow { path: format!("m/…/{path}"), what, allowed, reason: reason.to_owned() }
        };
        let mut rows = vec![row("boot.ipxe", "script", MachineFile::Script)];
        if let Some(files) = boot.files() {
            rows.push(row(base_name(&files.kernel), "kernel", MachineFile::Kernel));
            let initrds = files.initrds.iter();
            rows.extend(initrds.map(|path| row(base_name(path), "initrd", MachineFile::Kernel)));
            let stage = boot.stage.as_ref().map(|stage| &stage.spec);
            let params = self.kernel.read(|world| {
                let content = content.as_deref().unwrap_or(world);
                usable::params(content, (&machine.spec, stage), EXTRA_INITRDS)
            });
            // Everybody may fetch these. What is wrong with them, `start` and the machine's screen tell.
            let extra = extra_initrds(&params).unwrap_or_default();
            let is_joined = !files.initrds.is_empty() && files.initrds.len() + extra.len() > 1;
            rows.extend(extra.into_iter().map(|extra| FileRow {
                path: format!("artifacts/{}/{}", extra.artifact, extra.path),
                what: "initrd",
                allowed: true,
                reason: String::new(),
            }));
            if is_joined {
                rows.push(row(JOINED_INITRDS, "initrd", MachineFile::Kernel));
            }
        }
        // A path that cannot be rendered is shown as it is written; `start` says what is wrong with it.
        let paths: Vec<String> = match self.netboot.rendered_files(&boot) {
            Ok(files) => files.into_iter().map(|(path, _)| path).collect(),
            Err(_) => boot.templates().iter().map(|file| file.path.clone()).collect(),
        };
        rows.extend(paths.iter().map(|path| row(path, "rendered", MachineFile::Answer)));
        Ok(rows)
    }

    /// Renders a document as the machine would get it. In its URLs a word that opens nothing replaces the
    /// machine's capability. The caller must be allowed to read a template or bootenv that the request names;
    /// the sources of the machine's own files are not checked.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a text of the caller's own without the scope `templates:write`,
    /// [`Error::NotFound`], [`Error::Invalid`] with template, line and column if the render fails or exceeds
    /// a limit, [`Error::Busy`].
    pub async fn preview(
        self: &Arc<Self>,
        caller: &Caller,
        preview: PreviewRequest,
    ) -> Result<PreviewResult, Error> {
        if preview.inline.is_some() {
            caller.needs(RequiredScope::Write("templates"))?;
        }
        preview.content.check(caller)?;
        let machine = self.kernel.find::<Machine>(caller, &preview.machine)?;
        let machine = preview.content.machine(machine);
        let content = match self.is_on_prod(&machine.spec) && preview.content.is_empty() {
            true => None,
            false => {
                let (insight, of) = (Arc::clone(self), Arc::clone(&machine));
                let (caller, unsaved) = (caller.clone(), preview.content.clone());
                self.preflights.run(move || insight.content_with(&caller, (&of.spec, &unsaved))).await?
            }
        };
        let boot = self.asked_boot(caller, (&machine, content), &preview)?;
        let document = document(self.files_by_path(&boot, &preview).await?, &preview)?;
        let asked = preview.asked();
        let place = preview.file.or(preview.template).unwrap_or_default();
        let (netboot, of) = (Arc::clone(&self.netboot), boot.clone());
        let rendered = self
            .catalog
            .render_preview(move || netboot.render_document(&of, &document, SecretMode::Redacted))
            .await?;
        let rendered = rendered.map_err(|problem| not_rendered(&problem, asked))?;
        let problems = document_faults(&place, &rendered.text).collect();
        let sources = sources_of(&self.kernel, &boot, &rendered);
        let RenderedText { text, sha256, provenance, lines } = rendered;
        Ok(PreviewResult { text, sha256, provenance, lines, sources, problems })
    }

    /// The content of a machine's channel with what is not saved; none if it is that of the tables. Blocks.
    fn content_with(
        &self,
        caller: &Caller,
        (machine, unsaved): (&Machine, &UnsavedContent),
    ) -> Option<Arc<World>> {
        let derived = self.derived_content(machine);
        if unsaved.is_empty() {
            return derived;
        }
        let content = derived.unwrap_or_else(|| self.catalog.content());
        Some(Arc::new(unsaved.over(&content, caller)))
    }

    /// The boot that a preview is of: the present one with what the machine's run kept, or one with what
    /// the machine's channel has, which a run that begins now would get.
    fn asked_boot(
        &self,
        caller: &Caller,
        (machine, content): (&Arc<Stored<Machine>>, Option<Arc<World>>),
        preview: &PreviewRequest,
    ) -> Result<BootContext, Error> {
        self.kernel.read(|world| {
            let present = content.as_deref().unwrap_or(world);
            if let Some(name) = &preview.template {
                caller.find::<Template>(present, name)?;
            }
            let mut gathered = BootFacts::of(world, &self.netboot.loaders, Some(machine));
            let is_text = preview.template.is_some() || preview.inline.is_some();
            let is_now = !is_text
                && preview.bootenv.is_none()
                && preview.content.is_empty()
                && gathered.bootenv.is_some();
            if let Some(name) = &preview.bootenv {
                // A named bootenv is used in its present form, whatever the machine's run kept.
                gathered.bootenv = Some(Arc::clone(caller.find(present, name)?));
            } else if gathered.bootenv.is_none() {
                gathered.bootenv = first_bootenv(present, machine);
            }
            if !is_now {
                gathered.run = None;
                take_present(&mut gathered, present);
            }
            let boot = self.preview_boot(&gathered);
            let purpose = if preview.lines { RenderPurpose::TracedPreview } else { RenderPurpose::Preview };
            Ok(BootContext { channel_content: content.clone().filter(|_| !is_now), purpose, ..boot })
        })
    }

    /// The files of the boot by their paths, for a request for one of them.
    async fn files_by_path(
        &self,
        boot: &BootContext,
        preview: &PreviewRequest,
    ) -> Result<Vec<(String, BootTemplate)>, Error> {
        if preview.file.as_deref().is_none_or(|file| SCRIPTS.iter().any(|(name, _)| *name == file)) {
            return Ok(Vec::new());
        }
        if !boot.templates().iter().any(|file| is_path_template(&file.path)) {
            return Ok(boot.templates().iter().map(|file| (file.path.clone(), file.clone())).collect());
        }
        let (netboot, boot) = (Arc::clone(&self.netboot), boot.clone());
        let found: Result<_, RenderProblem> = self
            .catalog
            .render_preview(move || {
                let files = netboot.rendered_files(&boot)?;
                Ok(files.into_iter().map(|(path, file)| (path, file.clone())).collect())
            })
            .await?;
        found.map_err(|problem| not_rendered(&problem, preview.asked()))
    }

    /// The facts of a hypothetical boot: the present attempt, or none, seen from the server's own address.
    pub(super) fn preview_boot(&self, gathered: &BootFacts) -> BootContext {
        let attempt = gathered.attempt().cloned();
        let server =
            attempt.as_ref().and_then(|attempt| attempt.server).unwrap_or(Ipv4Addr::LOCALHOST.into());
        let facing = self.catalog.facing(server);
        let boot = gathered.boot(Some(attempt.unwrap_or_else(no_attempt)), facing);
        BootContext { purpose: RenderPurpose::Preview, ..boot }
    }
}

/// Takes bootenv and stage in their present forms, where they exist.
fn take_present(gathered: &mut BootFacts, present: &World) {
    if let Some(bootenv) = gathered.bootenv.as_ref().and_then(|row| present.bootenvs.get(&row.key)) {
        gathered.bootenv = Some(Arc::clone(bootenv));
    }
    if let Some(stage) = gathered.stage.as_ref().and_then(|row| present.stages.get(&row.key)) {
        gathered.stage = Some(Arc::clone(stage));
    }
}

/// The first bootenv of the machine's workflow that is not the local disk.
fn first_bootenv(world: &World, machine: &Stored<Machine>) -> Option<Arc<Stored<Bootenv>>> {
    let workflow = world.workflows.get(machine.spec.workflow.as_ref()?)?;
    let stages = workflow.spec.stages.iter().filter_map(|name| world.stages.get(name));
    let mut bootenvs = stages.filter_map(|stage| world.bootenvs.get(stage.spec.bootenv.as_ref()?));
    bootenvs.find(|bootenv| !bootenv.spec.arches.is_empty()).cloned()
}

/// An attempt for what is rendered without a boot.
pub fn no_attempt() -> crate::model::BootAttempt {
    crate::model::BootAttempt {
        id: Uuid::nil(),
        number: 0,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        seen_at: jiff::Timestamp::UNIX_EPOCH,
        progress: crate::model::BootProgress::Firmware,
        mac: None,
        client_arch: None,
        other_arch: None,
        server: None,
        bootenv: None,
        step: None,
        kernel_fetched_at: None,
        deadline: None,
        expected_by: None,
        asks: None,
        result: None,
    }
}

/// Why a preview cannot be shown; `asked` is the field that named it.
fn not_rendered(problem: &RenderProblem, asked: &str) -> Error {
    match problem.kind {
        ProblemKind::Busy => Error::Busy(problem.to_string()),
        _ => Problem::from(problem).at(asked).into(),
    }
}

fn document(files: Vec<(String, BootTemplate)>, preview: &PreviewRequest) -> Result<BootDocument, Error> {
    match (&preview.file, &preview.template, &preview.inline) {
        (None, Some(template), None) => Ok(preview_document(Some(template.clone()), None)),
        (None, None, Some(inline)) => Ok(preview_document(None, Some(inline.clone()))),
        (Some(file), None, None) => match SCRIPTS.iter().find(|(name, _)| *name == file) {
            Some((_, kind)) => Ok(BootDocument::BootScript(*kind)),
            None => file_of(files, file),
        },
        _ => {
            let what = "say what to render: one of `file`, `template` or `inline`";
            Err(Problem::new("", what).coded(RefusalCode::Exclusive).into())
        }
    }
}

fn preview_document(template: Option<String>, inline: Option<String>) -> BootDocument {
    let name = template.clone().unwrap_or_else(|| "preview".to_owned());
    BootDocument::File(BootTemplate { path: name.clone(), name, template, inline, verbatim: false })
}

fn file_of(files: Vec<(String, BootTemplate)>, path: &str) -> Result<BootDocument, Error> {
    let paths: Vec<String> = files.iter().map(|(path, _)| path.clone()).collect();
    if let Some((_, file)) = files.into_iter().find(|(of, _)| of == path) {
        return Ok(BootDocument::File(file));
    }
    let known = format!(
        "{}{}{}",
        SCRIPTS.map(|(name, _)| name).join(", "),
        if paths.is_empty() { "" } else { ", " },
        paths.join(", ")
    );
    let what = format!("there is no file `{path}`; there are: {known}");
    Err(Problem::new("/file", what).coded(RefusalCode::NotFound).into())
}
