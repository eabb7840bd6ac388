//! The nouns of content, which packs contain and sites write.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bounds::CONTENT_BYTES_MAX;
use super::content_files::{BootTemplate, TaskTemplate, one_body, path_problems, template_references};
use super::name::{check_file_path, check_name};
use super::{Arch, Kind, NoStatus, Noun, Object, ObjectReference, Problem, RefusalCode, Stored, repeated};

/// Largest body of a template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 1 << 20;

/// One Tera snippet or document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// A path-like name: `kickstart/base.ks`. Other templates include the template by this name.
    pub name: String,
    pub body: String,
    /// The body is no template, and is put into documents as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verbatim: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The declaration of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    pub name: String,
    /// JSON Schema 2020-12 that every value must satisfy.
    #[serde(default = "any_schema")]
    pub schema: Value,
    /// The value where no level sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Values are sealed at rest and are never shown.
    #[serde(default)]
    pub secret: bool,
    /// How the server makes a value for each machine whose run begins and that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GeneratedSecret>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What the server makes for a machine, once. It stays with the machine until somebody removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratedSecret {
    /// 24 letters and digits.
    Password,
    /// An Ed25519 key as OpenSSH writes it. Its public half is the param of the same name with `_public`.
    SshHostKey,
    /// 32 random bytes as 43 letters, digits, `-` and `_` (RFC 4648 section 5).
    Token,
}

impl GeneratedSecret {
    /// Whether a second param has what everybody may know.
    pub fn has_public_half(self) -> bool {
        self == GeneratedSecret::SshHostKey
    }
}

/// The name of the param with the public half of a generated key.
pub fn public_half(name: &str) -> String {
    format!("{name}{PUBLIC_HALF}")
}

/// How the name of such a param ends.
pub const PUBLIC_HALF: &str = "_public";

fn any_schema() -> Value {
    Value::Bool(true)
}

/// A named set of param values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub name: String,
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// Profiles that are searched after this one, in order.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The channel of the machines with this profile that name none themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Name of the profile that applies to every machine.
pub const GLOBAL_PROFILE: &str = "global";

/// A step of a workflow: a bootenv to boot, and tasks to run in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootenv: Option<String>,
    #[serde(default)]
    pub tasks: Vec<String>,
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    #[serde(default)]
    pub profiles: Vec<String>,
    #[serde(default)]
    pub required_params: Vec<String>,
    /// Seconds of silence after which its boot, from the kernel on, has failed, and after which a task that
    /// waits for an agent has failed. The default is an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<u32>,
    /// How long the stage usually takes, in seconds. What is silent for longer is overdue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub expected_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Scripts and files that run on a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub name: String,
    /// Rendered in order: one with a path is a file, one without is a script.
    #[serde(default)]
    pub templates: Vec<TaskTemplate>,
    /// The program that runs the scripts.
    #[serde(default = "default_interpreter")]
    pub interpreter: String,
    /// Tasks that must have run before this one in the same boot.
    #[serde(default)]
    pub prerequisites: Vec<String>,
    #[serde(default)]
    pub required_params: Vec<String>,
    #[serde(default = "default_task_timeout")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: u32,
    /// How often the task is run again after a failure.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub retries: u32,
    /// Tasks to run after the task has failed for good.
    #[serde(default)]
    pub on_failure: Vec<String>,
    /// The effect of the task outlasts the memory of a live system: it is in firmware, on a disk or on
    /// another host. If such a system loses power and boots again, the task is not run again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub survives_reboot: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

fn default_interpreter() -> String {
    "/bin/sh".to_owned()
}

fn default_task_timeout() -> u32 {
    3600
}

/// An ordered list of stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    pub name: String,
    pub stages: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// What a bootenv is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootenvKind {
    /// Runs an installer, which reports its end.
    Install,
    /// Runs from memory and contains an agent.
    Live,
    /// Boots the local disk.
    Local,
    /// The image that registers unknown machines.
    Discovery,
}

/// A way to boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bootenv {
    pub name: String,
    pub kind: BootenvKind,
    /// Booting it destroys what is on the disks, so the machine must be armed for it. By default an `install`
    /// bootenv is destructive and every other one is not.
    #[serde(default)]
    pub destructive: Option<bool>,
    /// Why an `install` bootenv is not destructive. It is needed together with `destructive: false`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub not_destructive_reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    /// The files to boot, by architecture.
    #[serde(default)]
    pub arches: BTreeMap<Arch, BootFiles>,
    /// The kernel's command line, a template.
    #[serde(default)]
    pub boot_params: String,
    /// Files that the server renders for each machine.
    #[serde(default)]
    pub templates: Vec<BootTemplate>,
    #[serde(default)]
    pub required_params: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Bootenv {
    /// Whether a machine must be armed to boot this bootenv: by `destructive`, or else by the kind.
    pub fn is_destructive(&self) -> bool {
        self.destructive.unwrap_or(self.kind == BootenvKind::Install)
    }
}

/// The operating system that a bootenv installs or runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Os {
    /// `debian`, `rocky` …
    pub family: String,
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
}

/// The kernel and initrds of one architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BootFiles {
    /// The artifact that holds the files.
    pub artifact: String,
    /// Path of the kernel in the artifact.
    pub kernel: String,
    /// Paths of the initrds in the artifact, in order.
    #[serde(default)]
    pub initrds: Vec<String>,
    /// The loader to serve in place of the usual one, by its name in the boot namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loader: Option<String>,
    /// The signed loaders that may start this kernel under Secure Boot: a folder of the boot namespace, such
    /// as `debian`. A distribution's shim trusts only the files of that distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_boot: Option<String>,
}

impl Noun for Template {
    const KIND: Kind = Kind::Template;
    const BYTES_MAX: usize = CONTENT_BYTES_MAX;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if self.body.len() > TEMPLATE_BYTES_MAX {
            let what = format!("longer than {TEMPLATE_BYTES_MAX} bytes");
            problems.push(Problem::new("/body", what).coded(RefusalCode::TooLarge));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Template(stored)
    }
}

impl Noun for Param {
    const KIND: Kind = Kind::Param;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn check(&self) -> Vec<Problem> {
        check_name(&self.name, "/name")
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Param(stored)
    }
}

impl Noun for Profile {
    const KIND: Kind = Kind::Profile;
    const REFERS_TO: &'static [Kind] = &[Kind::Profile, Kind::Channel];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        let mut references = ObjectReference::list(Kind::Profile, &self.profiles, "/profiles");
        references
            .extend(self.channel.iter().map(|name| ObjectReference::new(Kind::Channel, name, "/channel")));
        references
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        problems.extend(repeated(&self.profiles, "/profiles"));
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Profile(stored)
    }
}

impl Noun for Stage {
    const KIND: Kind = Kind::Stage;
    const REFERS_TO: &'static [Kind] = &[Kind::Task, Kind::Profile, Kind::Bootenv];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        let mut references = ObjectReference::list(Kind::Task, &self.tasks, "/tasks");
        references.extend(ObjectReference::list(Kind::Profile, &self.profiles, "/profiles"));
        references
            .extend(self.bootenv.iter().map(|name| ObjectReference::new(Kind::Bootenv, name, "/bootenv")));
        references
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        problems.extend(repeated(&self.tasks, "/tasks"));
        problems.extend(repeated(&self.profiles, "/profiles"));
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Stage(stored)
    }
}

impl Noun for Task {
    const KIND: Kind = Kind::Task;
    const BYTES_MAX: usize = CONTENT_BYTES_MAX;
    const REFERS_TO: &'static [Kind] = &[Kind::Task, Kind::Template];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        let mut references = ObjectReference::list(Kind::Task, &self.prerequisites, "/prerequisites");
        references.extend(ObjectReference::list(Kind::Task, &self.on_failure, "/on_failure"));
        references.extend(template_references(self.templates.iter().map(|template| &template.template)));
        references
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if !self.interpreter.starts_with('/') {
            let what = "an absolute path, like /bin/sh";
            problems.push(Problem::new("/interpreter", what).coded(RefusalCode::Malformed));
        }
        for (i, template) in self.templates.iter().enumerate() {
            let body = (&template.template, &template.inline);
            problems.extend(one_body(body, (template.verbatim, &format!("/templates/{i}"))));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Task(stored)
    }
}

impl Noun for Workflow {
    const KIND: Kind = Kind::Workflow;
    const REFERS_TO: &'static [Kind] = &[Kind::Stage];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        ObjectReference::list(Kind::Stage, &self.stages, "/stages")
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if self.stages.is_empty() {
            let what = "a workflow has at least one stage";
            problems.push(Problem::new("/stages", what).coded(RefusalCode::Missing));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Workflow(stored)
    }
}

impl Noun for Bootenv {
    const KIND: Kind = Kind::Bootenv;
    const BYTES_MAX: usize = CONTENT_BYTES_MAX;
    const REFERS_TO: &'static [Kind] = &[Kind::Template];
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn references(&self) -> Vec<ObjectReference> {
        template_references(self.templates.iter().map(|template| &template.template)).collect()
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if self.kind != BootenvKind::Local && self.arches.is_empty() {
            let what = "name a kernel for at least one architecture";
            problems.push(Problem::new("/arches", what).coded(RefusalCode::Missing));
        }
        for (arch, files) in &self.arches {
            for (field, path) in std::iter::once(("kernel".to_owned(), &files.kernel))
                .chain(files.initrds.iter().enumerate().map(|(i, path)| (format!("initrds/{i}"), path)))
            {
                problems.extend(check_file_path(path, &format!("/arches/{arch}/{field}")));
            }
            let chain = files.secure_boot.iter();
            problems.extend(chain.flat_map(|name| check_name(name, &format!("/arches/{arch}/secure_boot"))));
        }
        let mut paths = HashSet::new();
        for (i, template) in self.templates.iter().enumerate() {
            problems.extend(path_problems(&template.path, &format!("/templates/{i}/path")));
            let body = (&template.template, &template.inline);
            problems.extend(one_body(body, (template.verbatim, &format!("/templates/{i}"))));
            if !paths.insert(template.path.as_str()) {
                let (at, what) = (format!("/templates/{i}/path"), "the path of an earlier template too");
                problems.push(Problem::new(at, what).coded(RefusalCode::Duplicate));
            }
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Bootenv(stored)
    }
}
