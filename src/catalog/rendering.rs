//! The input of renders: a machine in a boot, the server's addresses as the machine sees them, its params,
//! and the variables of templates. Boot documents, files of tasks and DHCP options all use it. Start at
//! [`Catalog::input`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::catalog::network_variables::network_variables;
use crate::catalog::params::{self, ParamSubject, SecretMode};
use crate::catalog::repositories::repositories;
use crate::kernel::ServerEndpoints;
use crate::model::{
    Arch, BootAttempt, BootFiles, BootTemplate, Bootenv, ContentView, Machine, Run, Stage, Stored,
    TaskTemplate, World,
};
use crate::netboot::decide::loader::LoaderTransport;
use crate::netboot::decide::{BootData, capability};
use crate::render::{
    CallbackUrls, InlineText, ProblemKind, RenderEngine, RenderInput, RenderLimits, RenderProblem,
    RenderedText, rendered_path,
};

/// The server's addresses, as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEndpoints {
    pub address: IpAddr,
    /// Empty if the listener is off; so is `https`.
    pub http: String,
    pub https: String,
}

impl ClientEndpoints {
    /// The base of TFTP URLs (RFC 3617); an IPv6 address is written in brackets (RFC 3986 §3.2.2).
    pub fn tftp(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("tftp://{address}"),
            IpAddr::V6(address) => format!("tftp://[{address}]"),
        }
    }

    /// The boot data for a file of this server, over this protocol; none if that is not possible.
    pub fn url(&self, over: LoaderTransport, file: &str) -> BootData {
        let base = match over {
            LoaderTransport::Tftp => &self.tftp(),
            LoaderTransport::Http => &self.http,
            LoaderTransport::Https => &self.https,
        };
        if base.is_empty() { BootData::None } else { BootData::Url { url: format!("{base}/{file}") } }
    }
}

/// The purpose of a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenderPurpose {
    /// For the machine: its URLs work.
    Serve,
    /// For an operator: its URLs do not work, and boots do not wait for it.
    Preview,
    /// The same, and each line is to be told where it comes from.
    TracedPreview,
    /// For the check of an upgrade: as a preview, with the workers for renders of many machines.
    Check,
}

/// A machine in a boot: the input for its documents.
#[derive(Clone)]
pub struct BootContext {
    pub machine: Option<Arc<Stored<Machine>>>,
    pub bootenv: Option<Arc<Stored<Bootenv>>>,
    pub stage: Option<Arc<Stored<Stage>>>,
    /// The run whose content is used; without one it is the present content.
    pub run: Option<Arc<Stored<Run>>>,
    /// The content of the machine's channel, for what is no boot of a run; none for that of the tables.
    pub channel_content: Option<Arc<World>>,
    pub attempt: Option<BootAttempt>,
    pub facing: ClientEndpoints,
    /// The agent's token, for a document that contains it.
    pub agent_token: Option<String>,
    pub purpose: RenderPurpose,
}

impl BootContext {
    /// The files of the bootenv that are rendered.
    pub fn templates(&self) -> &[BootTemplate] {
        self.bootenv.as_ref().map_or(&[], |bootenv| &bootenv.spec.templates)
    }

    /// The content for this boot.
    pub fn content<'w>(&'w self, world: &'w World) -> ContentView<'w> {
        let kept = ContentView::of_run(world, self.run.as_ref().map(|run| &run.spec));
        match &self.channel_content {
            Some(content) if !kept.is_kept() => ContentView::from(&**content),
            _ => kept,
        }
    }

    /// Kernel and initrds for the machine's architecture.
    pub fn files(&self) -> Option<&BootFiles> {
        // An unknown machine that chose from the menu is a PC.
        let arch = self.machine.as_ref().map_or(Arch::Amd64, |machine| machine.spec.arch);
        self.bootenv.as_ref()?.spec.arches.get(&arch)
    }
}

impl Catalog {
    /// The server's addresses for a client that reached it at `address`.
    pub fn facing(&self, address: IpAddr) -> ClientEndpoints {
        let ServerEndpoints { boot_http_port, boot_https_port, .. } = self.kernel.endpoints;
        ClientEndpoints {
            address,
            http: listener_url(address, "http", boot_http_port),
            https: listener_url(address, "https", boot_https_port),
        }
    }

    pub fn input(&self, boot: &BootContext, mode: SecretMode) -> Result<RenderInput, RenderProblem> {
        let of = ParamSubject {
            machine: boot.machine.as_deref(),
            stage: boot.stage.as_ref().map(|stage| &stage.spec),
        };
        let params =
            self.kernel.read(|world| params::resolve(boot.content(world), of, &self.kernel.secrets, mode));
        let mut params = params.map_err(|message| problem("params", message))?;
        self.read_outside(&mut params);
        let repositories = self.kernel.read(|world| repositories(world, boot, &params))?;
        let callbacks =
            boot.attempt.as_ref().map(|attempt| CallbackUrls { base: self.base_url(boot, attempt) });
        let salt_seed = boot.machine.as_ref().map(|machine| machine.key.clone()).unwrap_or_default();
        Ok(RenderInput {
            variables: self.variables(boot),
            params,
            callbacks,
            repositories,
            agent_token: boot.agent_token.clone(),
            salt_seed,
            now: self.render_time(boot),
        })
    }

    /// The time that documents may show, to the second: when the run began, or else the present.
    fn render_time(&self, boot: &BootContext) -> Timestamp {
        let time = boot.run.as_ref().map_or_else(|| self.kernel.now(), |run| run.spec.started_at);
        Timestamp::from_second(time.as_second()).unwrap_or(time)
    }

    pub fn base_url(&self, boot: &BootContext, attempt: &BootAttempt) -> String {
        format!("{}/m/{}", boot.facing.http, self.capability_of(boot, attempt))
    }

    /// The capability of an attempt in the URLs of a document; in a preview, a word that opens nothing.
    pub fn capability_of(&self, boot: &BootContext, attempt: &BootAttempt) -> String {
        match boot.purpose {
            RenderPurpose::Serve => self.capability(attempt),
            RenderPurpose::Preview | RenderPurpose::TracedPreview | RenderPurpose::Check => {
                capability::PREVIEW.to_owned()
            }
        }
    }

    /// The capability of an attempt's URLs.
    pub fn capability(&self, attempt: &BootAttempt) -> String {
        capability::issue(&self.secrets.boot_key, attempt.id)
    }

    /// Replaces an attempt's capability by the placeholder of previews, for a text that is kept.
    pub fn capability_cover(
        &self,
        attempt: Option<&BootAttempt>,
    ) -> impl FnOnce(&str) -> String + Send + use<> {
        let capability = attempt.map(|attempt| self.capability(attempt));
        move |text| match capability {
            Some(capability) => text.replace(&capability, capability::PREVIEW),
            None => text.to_owned(),
        }
    }

    fn variables(&self, boot: &BootContext) -> Map<String, Value> {
        let mut variables = Map::new();
        if let Some(machine) = &boot.machine {
            let profiles = self.kernel.read(|world| boot.content(world).values_of(&machine.spec).1.to_vec());
            variables.insert("machine".into(), machine_variable(machine, boot.attempt.as_ref(), &profiles));
        }
        let networks = self.kernel.read(|world| network_variables(world, boot.machine.as_deref()));
        variables.extend(networks.map(|(name, value)| (name.to_owned(), value)));
        // What is known of the machine's hardware; nothing yet.
        variables.insert("inventory".into(), json!({}));
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

    fn server_variable(&self, facing: &ClientEndpoints) -> Value {
        json!({
            "address": facing.address,
            "http": facing.http,
            "https": facing.https,
            "tftp": facing.tftp(),
            "api": self.kernel.endpoints.api_url(facing.address),
            "api_fingerprint": self.kernel.endpoints.api_fingerprint,
        })
    }

    /// The attempt that a capability was issued for.
    pub fn attempt_of(&self, capability: &str) -> Option<Uuid> {
        capability::open(&self.secrets.boot_key, capability)
    }
}

fn listener_url(address: IpAddr, scheme: &str, port: Option<u16>) -> String {
    let listener = port.map(|port| SocketAddr::new(address, port));
    listener.map_or_else(String::new, |listener| format!("{scheme}://{listener}"))
}

fn machine_variable(machine: &Stored<Machine>, attempt: Option<&BootAttempt>, profiles: &[String]) -> Value {
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
        "profiles": profiles,
    })
}

pub fn problem(template: &str, message: String) -> RenderProblem {
    RenderProblem::new(ProblemKind::Template, template, message)
}

/// Where the agent writes the file of a task.
///
/// # Errors
/// Its path is a template that fails.
pub fn task_file_path(
    engine: &RenderEngine,
    (task, template): (&str, &TaskTemplate),
    input: &RenderInput,
) -> Result<Option<String>, RenderProblem> {
    let place = format!("{task}/{}/path", template.name);
    template.path.as_deref().map(|path| rendered_path(engine, (&place, path), input)).transpose()
}

/// The text of a file or script of a task.
///
/// # Errors
/// As [`RenderEngine::render`].
pub fn task_file_text(
    engine: &RenderEngine,
    (task, template): (&str, &TaskTemplate),
    input: &RenderInput,
) -> Result<RenderedText, RenderProblem> {
    match (&template.template, &template.inline) {
        (Some(name), _) => engine.render(name, input, RenderLimits::default()),
        (None, Some(body)) => {
            let place = format!("{task}/{}", template.name);
            let text = InlineText { place: &place, body, verbatim: template.verbatim };
            engine.render_inline(text, input, RenderLimits::default())
        }
        (None, None) => Err(problem(&template.name, "it has neither `template` nor `inline`".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets_in_a_url() {
        let facing = |address: &str| ClientEndpoints {
            address: address.parse().unwrap(),
            http: String::new(),
            https: String::new(),
        };
        assert_eq!(facing("10.0.0.1").tftp(), "tftp://10.0.0.1");
        assert_eq!(facing("fd00::1").tftp(), "tftp://[fd00::1]");
    }
}
