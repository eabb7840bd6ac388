//! The pack `core`, a machine to render it for, and the documents of that machine.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use metalwright::catalog::content;
use metalwright::model::{Arch, Bootenv, BootenvKind, Stored, World};
use metalwright::render::{
    CallbackUrls, InlineText, LaneCounts, LayeredParams, PackageRepository, ParamLayer, ParamLevel, PoolUse,
    RenderEngine, RenderInput, RenderLimits, RenderPool, SecretAccess, WorkerProgram,
};
use serde_json::{Map, Value, json};

use crate::world::PROGRAM;

/// Plain texts of the secrets below: no document may contain them.
pub const SECRETS: [&str; 2] = ["root's secret", "ada's secret"];

const CAPABILITY: &str = "http://10.0.0.1:8080/m/3q2-7wAAAAAAAAAAAAAAAA";

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World::default();
    for object in content::core(Timestamp::UNIX_EPOCH).unwrap().objects {
        world.put(object);
    }
    world
});

static ENGINE: LazyLock<RenderEngine> = LazyLock::new(|| {
    let pool = Arc::new(RenderPool::new(
        WorkerProgram::at(PROGRAM),
        LaneCounts { usual: 2, most: 2 },
        PoolUse::Boots,
    ));
    let templates = WORLD.templates.iter().map(|row| (row.key.clone(), row.spec.body.clone()));
    let (engine, broken) = RenderEngine::compile(&pool, templates);
    assert!(broken.is_empty(), "templates that do not compile: {broken:#?}");
    engine
});

/// One machine that boots one bootenv.
pub struct Case {
    pub bootenv: String,
    /// `bios`, `uefi`, and a variant: `bios-rehearsal`, `uefi-site`.
    pub variant: String,
    firmware: &'static str,
    params: Value,
}

/// Every bootenv with both kinds of firmware, by default and in rehearsal, and once with every param that a
/// site may set.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for bootenv in WORLD.bootenvs.iter() {
        for firmware in ["bios", "uefi"] {
            let mut case = |suffix: &str, params: Value| {
                let variant = format!("{firmware}{suffix}");
                cases.push(Case { bootenv: bootenv.key.clone(), variant, firmware, params });
            };
            case("", json!({}));
            if bootenv.spec.kind == BootenvKind::Install {
                case("-rehearsal", json!({"rehearse": true, "kernel_console": "ttyS0"}));
            }
            if bootenv.spec.kind == BootenvKind::Install && firmware == "uefi" {
                case("-site", site());
                case("-tree", json!({}));
            }
        }
    }
    cases
}

/// Everything that a site may set, with texts that are hard to quote.
fn site() -> Value {
    json!({
        "install_disk": "/dev/disk/by-id/nvme-eui.0025385b71b0a1c2",
        "partitioning": "multi",
        "filesystem": "xfs",
        "uefi_boot_order": "unchanged",
        "locale": "de_DE.UTF-8",
        "keyboard": "de",
        "timezone": "Europe/Berlin",
        "ntp_servers": ["10.0.0.2", "ntp.example.org"],
        "network": {"mode": "static", "address": "10.0.0.50", "prefix_length": 24, "gateway": "10.0.0.1"},
        "dns_servers": ["10.0.0.2", "10.0.0.3"],
        "dns_search": ["example.org"],
        "proxy": "http://10.0.0.4:3128/",
        "users": [
            {"name": "ada", "full_name": "Ada's account", "sudo": true, "groups": ["adm"],
             "ssh_keys": ["ssh-ed25519 AAAAada ada's key"]},
            {"name": "guest"}
        ],
        "user_passwords": {"ada": "ada's secret"},
        "root_password": "root's secret",
        "ssh_keys": ["ssh-ed25519 AAAAops ops@example.org"],
        "packages": ["vim", "tmux"],
        "debian_mirror": {"protocol": "https", "host": "mirror.example.org", "directory": "/debian"},
        "debian_services": ["updates"],
        "rocky_mirror": "http://mirror.example.org/rocky/",
        "kernel_console": "tty0 ttyS0,115200n8",
        "kernel_options": "mitigations=off quiet",
        "late_script": "echo 'it is done' >/etc/motd",
    })
}

fn params(own: &Value) -> LayeredParams {
    let own = own.as_object().unwrap().clone();
    for (name, value) in &own {
        let declared = WORLD.params.get(name).unwrap_or_else(|| panic!("param {name} is declared"));
        assert_eq!(metalwright::model::check_schema(&declared.spec.schema, value, name), []);
    }
    let defaults: Map<String, Value> =
        WORLD.params.iter().filter_map(|row| Some((row.key.clone(), row.spec.default.clone()?))).collect();
    let secrets: BTreeSet<String> =
        WORLD.params.iter().filter(|row| row.spec.secret).map(|row| row.key.clone()).collect();
    let layers =
        vec![ParamLayer::new(ParamLevel::Machine, own), ParamLayer::new(ParamLevel::Default, defaults)];
    LayeredParams::new(layers, secrets, SecretAccess::Open)
}

fn artifact_of(bootenv: &Bootenv) -> String {
    bootenv.arches.get(&Arch::Amd64).map(|files| files.artifact.clone()).unwrap_or_default()
}

fn variables(bootenv: &Bootenv) -> Map<String, Value> {
    let artifact = artifact_of(bootenv);
    let all = json!({
        "machine": {
            "id": "0192d6a0-0000-7000-8000-000000000001", "name": "web1.example.org", "short_name": "web1",
            "domain": "example.org", "arch": "amd64", "kernel_arch": "x86_64",
            "macs": ["52:54:00:aa:00:01"], "mac": "52:54:00:aa:00:01", "address": "10.0.0.50",
            "smbios_uuid": "b8945908-d6a6-41a9-611d-74a6ab80b83d", "serial": "ABC123", "labels": {},
        },
        "bootenv": {
            "name": bootenv.name, "kind": bootenv.kind, "os": bootenv.os,
            "artifact_url": format!("http://10.0.0.1:8080/artifacts/{artifact}"),
        },
        "stage": {"name": "install"},
        "server": {
            "address": "10.0.0.1", "http": "http://10.0.0.1:8080", "tftp": "10.0.0.1",
            "api": "https://10.0.0.1:8443", "api_fingerprint": "sha256:00ff",
        },
    });
    all.as_object().unwrap().clone()
}

/// What the server finds in the tree of a medium, and a repository of the site.
fn tree_repositories(artifact: &str) -> Vec<PackageRepository> {
    let tree = |package_type: &str| PackageRepository {
        tag: "medium".to_owned(),
        url: format!("http://10.0.0.1:8080/artifacts/{artifact}"),
        artifact: artifact.to_owned(),
        package_type: package_type.to_owned(),
        distribution: "bookworm".to_owned(),
        components: vec!["contrib".to_owned(), "main".to_owned()],
        install_source: true,
        unsigned: true,
        ..PackageRepository::default()
    };
    let kind = if artifact.starts_with("rocky") { "yum" } else { "apt" };
    [vec![tree(kind)], repositories()].concat()
}

fn repositories() -> Vec<PackageRepository> {
    let repository = |tag: &str, package_type: &str| PackageRepository {
        tag: tag.to_owned(),
        url: format!("http://10.0.0.4/{tag}"),
        package_type: package_type.to_owned(),
        components: vec!["main".to_owned()],
        key_url: format!("http://10.0.0.4/{tag}.asc"),
        ..PackageRepository::default()
    };
    vec![repository("tools-deb", "apt"), repository("tools-rpm", "yum")]
}

/// A render of one template with its own variables.
pub fn render(template: &str, variables: &Value) -> String {
    let input = RenderInput {
        variables: variables.as_object().unwrap().clone(),
        params: params(&json!({})),
        callbacks: None,
        repositories: Vec::new(),
        agent_token: None,
        salt_seed: String::new(),
    };
    ENGINE
        .render(template, input, RenderLimits::default())
        .unwrap_or_else(|problem| panic!("{problem:#?}"))
        .text
}

/// The names of the templates that are whole scripts for iPXE.
pub fn ipxe_templates() -> Vec<String> {
    let is_script = |body: &str| body.lines().any(|line| line.trim_end() == "#!ipxe");
    WORLD.templates.iter().filter(|row| is_script(&row.spec.body)).map(|row| row.key.clone()).collect()
}

/// The `apt` section of an autoinstall file, with and without repositories.
pub fn autoinstall_apt() -> [String; 2] {
    ["uefi-tree", "uefi"].map(|variant| {
        let (bootenv, variant) = ("debian-12-install".to_owned(), variant.to_owned());
        Case { bootenv, variant, firmware: "uefi", params: json!({}) }.render("autoinstall/apt.yaml")
    })
}

/// The scripts of tasks, rendered with every param that a site may set.
pub fn task_scripts() -> Vec<(String, String)> {
    let case = Case { bootenv: "local".into(), variant: "task".into(), firmware: "bios", params: site() };
    let templates = WORLD.tasks.iter().flat_map(|row| row.spec.templates.iter());
    templates
        .map(|template| (template.name.clone(), case.render(template.template.as_ref().unwrap())))
        .collect()
}

impl Case {
    fn spec(&self) -> Arc<Stored<Bootenv>> {
        Arc::clone(WORLD.bootenvs.get(&self.bootenv).unwrap())
    }

    pub fn is_install(&self) -> bool {
        self.spec().spec.kind == BootenvKind::Install
    }

    pub fn rehearses(&self) -> bool {
        self.params.get("rehearse") == Some(&json!(true))
    }

    fn input(&self, boot: Option<Value>) -> RenderInput {
        let mut variables = variables(&self.spec().spec);
        variables.extend(boot.map(|boot| ("boot".to_owned(), boot)));
        RenderInput {
            variables,
            params: params(&self.params),
            callbacks: Some(CallbackUrls { base: CAPABILITY.to_owned() }),
            repositories: match self.variant.split_once('-') {
                Some((_, "site")) => repositories(),
                Some((_, "tree")) => tree_repositories(&artifact_of(&self.spec().spec)),
                _ => Vec::new(),
            },
            agent_token: Some("agent-token".to_owned()),
            salt_seed: "0192d6a0-0000-7000-8000-000000000001".to_owned(),
        }
    }

    fn render(&self, template: &str) -> String {
        self.checked(template, ENGINE.render(template, self.input(None), RenderLimits::default()))
    }

    fn checked<E: std::fmt::Debug>(
        &self,
        what: &str,
        done: Result<metalwright::render::RenderedText, E>,
    ) -> String {
        done.unwrap_or_else(|problem| panic!("{} {} {what}: {problem:#?}", self.bootenv, self.variant)).text
    }

    /// The kernel's command line, on one line as the program makes it.
    pub fn cmdline(&self) -> String {
        let body = &self.spec().spec.boot_params;
        let text = self.checked(
            "boot_params",
            ENGINE.render_inline(
                InlineText { place: "boot_params", body },
                self.input(None),
                RenderLimits::default(),
            ),
        );
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn boot(&self) -> Value {
        let spec = self.spec();
        let Some(files) = spec.spec.arches.get(&Arch::Amd64) else {
            return json!({"firmware": self.firmware, "loader": "ipxe"});
        };
        let file = |path: &String| {
            let name = path.rsplit('/').next().unwrap();
            let path = format!("m/3q2-7wAAAAAAAAAAAAAAAA/{name}");
            json!({"name": name, "url": format!("{CAPABILITY}/{name}"), "path": path})
        };
        json!({
            "cmdline": self.cmdline(), "kernel": file(&files.kernel),
            "initrds": files.initrds.iter().map(file).collect::<Vec<_>>(),
            "attempt": 1, "firmware": self.firmware, "loader": "ipxe",
        })
    }

    /// The documents of each loader.
    pub fn loader_scripts(&self) -> Vec<(String, String)> {
        let what = if self.is_install() { "boot" } else { "local" };
        let names = [format!("ipxe/{what}.ipxe"), format!("grub/{what}.cfg"), format!("pxelinux/{what}.cfg")];
        let render = |name: String| {
            let done = ENGINE.render(&name, self.input(Some(self.boot())), RenderLimits::default());
            (name.clone(), self.checked(&name, done))
        };
        names.into_iter().map(render).collect()
    }

    /// The documents of the loaders and the installer, by name.
    pub fn documents(&self) -> Vec<(String, String)> {
        let mut documents = self.loader_scripts();
        if self.is_install() {
            documents.push(("cmdline".to_owned(), self.cmdline() + "\n"));
        }
        for template in &self.spec().spec.templates {
            documents.push((template.path.clone(), self.render(template.template.as_ref().unwrap())));
        }
        documents
    }

    /// The answer file of the installer: the first file of the bootenv.
    pub fn answer_file(&self) -> (String, String) {
        let spec = self.spec();
        let first = spec.spec.templates.first().unwrap();
        let name = format!("{}/{}/{}", self.bootenv, self.variant, first.path);
        (name, self.render(first.template.as_ref().unwrap()))
    }
}
