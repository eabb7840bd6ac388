//! A machine for every bootenv of the pack `core`, and the documents that the code of the server renders for
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use metalwright::catalog::content;
use metalwright::catalog::params::SecretMode;
use metalwright::catalog::pools::RenderPools;
use metalwright::catalog::rendering::{BootContext, RenderPurpose};
use metalwright::houses::{Houses, HousesSetup};
use metalwright::kernel::secrets::SecretKey;
use metalwright::kernel::{Caller, Changeset, Kernel, ServerEndpoints};
use metalwright::model::{
    Arch, Artifact, ArtifactStatus, BootTemplate, Bootenv, BootenvKind, Machine, Noun, Stage, Stored, World,
    parse_input,
};
use metalwright::netboot::decide::namespace::ScriptKind;
use metalwright::netboot::documents::BootDocument;
use metalwright::render::{LaneCounts, PoolUse, RenderEngine, RenderLimits, RenderPool, WorkerProgram};
use metalwright::runs::jobs::{RenderTasks, TaskRender};
use metalwright::store::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::world::PROGRAM;

/// Plain texts of the secrets below: no document may contain them.
pub const SECRETS: [&str; 2] = ["root's secret", "ada's secret"];

pub const LOADERS: [ScriptKind; 3] = [ScriptKind::Ipxe, ScriptKind::Grub, ScriptKind::Pxelinux];

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const MACHINE_ID: &str = "0192d6a0-0000-7000-8000-000000000001";
const ATTEMPT_ID: &str = "0192d6a0-0000-7000-8000-000000000002";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static POOL: LazyLock<Arc<RenderPool>> = LazyLock::new(|| {
    let lanes = LaneCounts { usual: 2, most: 2 };
    Arc::new(RenderPool::new(WorkerProgram::at(PROGRAM), lanes, PoolUse::Boots))
});

/// The workers of previews, so that those for machines keep their templates.
static PREVIEWS: LazyLock<Arc<RenderPool>> = LazyLock::new(|| {
    let lanes = LaneCounts { usual: 1, most: 1 };
    Arc::new(RenderPool::new(WorkerProgram::at(PROGRAM), lanes, PoolUse::Previews))
});

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut world = World::default();
    for object in content::core(Timestamp::UNIX_EPOCH).unwrap().objects {
        world.put(object);
    }
    world
});

/// A server with the pack alone, and one that has looked at the trees of the media too.
static PLAIN: LazyLock<TestHouses> = LazyLock::new(|| TestHouses::new(Vec::new()));
static WITH_TREES: LazyLock<TestHouses> =
    LazyLock::new(|| TestHouses::new(WORLD.bootenvs.iter().filter_map(|row| medium(&row.spec)).collect()));

/// The houses of a server that nothing listens for.
pub struct TestHouses {
    pub houses: Arc<Houses>,
    _data: TempDir,
}

impl TestHouses {
    fn new(artifacts: Vec<Stored<Artifact>>) -> Self {
        let data = TempDir::new().unwrap();
        let houses = RUNTIME.block_on(houses(&data, artifacts));
        TestHouses { houses, _data: data }
    }
}

async fn houses(data: &TempDir, artifacts: Vec<Stored<Artifact>>) -> Arc<Houses> {
    let store = SqliteStore::open(data.path()).await.unwrap();
    let endpoints = ServerEndpoints {
        api: Some((SERVER, 8443).into()),
        api_fingerprint: "sha256:00ff".to_owned(),
        boot_http_port: Some(8080),
        ..ServerEndpoints::default()
    };
    let setup = HousesSetup {
        kernel: Kernel::new(store, SecretKey::from_key([1; 32]), endpoints).0,
        loaders: Default::default(),
        pools: RenderPools {
            serve: Arc::clone(&POOL),
            preview: Arc::clone(&PREVIEWS),
            check: Arc::clone(&POOL),
        },
        media: Default::default(),
        roots: Default::default(),
        case: Default::default(),
        data: Default::default(),
    };
    let houses = Houses::new(setup);
    let caller = Caller::server(Timestamp::UNIX_EPOCH);
    let pack = content::core(caller.now).unwrap();
    houses.catalog.install_pack(&caller, &pack).await.unwrap();
    let changeset = artifacts.into_iter().map(|row| Artifact::object(Arc::new(row)));
    let changeset = changeset.fold(Changeset::default(), Changeset::create);
    houses.kernel.commit(changeset).await.unwrap();
    houses
}

fn stored<T: Noun>(key: &str, body: Value) -> Stored<T> {
    let spec = parse_input::<T>(body).unwrap_or_else(|faults| panic!("{key}: {faults:?}")).spec;
    Stored::new(key.to_owned(), spec, Timestamp::UNIX_EPOCH)
}

/// The medium that a bootenv boots, with what the server found in its tree.
fn medium(bootenv: &Bootenv) -> Option<Stored<Artifact>> {
    let name = &bootenv.arches.get(&Arch::Amd64)?.artifact;
    let package_type = if name.starts_with("rocky") { "yum" } else { "apt" };
    let mut medium: Stored<Artifact> = stored(name, json!({"name": name, "path": format!("/srv/{name}")}));
    let status = json!({"state": "ready", "repositories": [{
        "package_type": package_type, "distribution": "bookworm", "components": ["contrib", "main"],
        "install_source": true, "signed": false,
    }]});
    medium.status = serde_json::from_value::<ArtifactStatus>(status).unwrap();
    Some(medium)
}

fn machine(name: &str, own: &Value) -> Stored<Machine> {
    for (param, value) in own.as_object().unwrap() {
        let declared = WORLD.params.get(param).unwrap_or_else(|| panic!("param {param} is declared"));
        assert_eq!(metalwright::model::check_schema(&declared.spec.schema, value, param), []);
    }
    let body = json!({
        "name": name, "arch": "amd64", "macs": ["52:54:00:aa:00:01"], "serial": "ABC123",
        "smbios_uuid": "b8945908-d6a6-41a9-611d-74a6ab80b83d", "params": own,
    });
    let mut machine = stored::<Machine>(MACHINE_ID, body);
    machine.status.address = Some([10, 0, 0, 50].into());
    machine
}

/// The boot of a machine at its attempt `number`, by BIOS or UEFI.
fn boot_of(mut machine: Stored<Machine>, firmware: &str, number: u64) -> BootContext {
    let attempt = json!({
        "id": ATTEMPT_ID, "number": number, "started_at": Timestamp::UNIX_EPOCH,
        "seen_at": Timestamp::UNIX_EPOCH, "progress": "firmware", "mac": "52:54:00:aa:00:01",
        "client_arch": if firmware == "bios" { 0 } else { 7 }, "server": SERVER,
    });
    let attempt: metalwright::model::BootAttempt = serde_json::from_value(attempt).unwrap();
    machine.status.boot_attempt = Some(attempt.clone());
    BootContext {
        machine: Some(Arc::new(machine)),
        stage: Some(Arc::new(stored::<Stage>("install", json!({"name": "install"})))),
        attempt: Some(attempt),
        agent_token: Some("agent-token".to_owned()),
        ..nobody()
    }
}

/// A boot of which nothing is known.
pub fn nobody() -> BootContext {
    BootContext {
        machine: None,
        bootenv: None,
        stage: None,
        run: None,
        channel_content: None,
        attempt: None,
        facing: PLAIN.houses.catalog.facing(SERVER.into()),
        agent_token: None,
        purpose: RenderPurpose::Serve,
    }
}

/// The third boot of `web1`, into nothing.
pub fn known() -> BootContext {
    boot_of(machine("web1", &json!({})), "uefi", 3)
}

/// The same in a run.
pub fn in_a_run() -> BootContext {
    let run = json!({
        "machine": MACHINE_ID, "machine_name": "web1", "workflow": "w", "started_at": Timestamp::UNIX_EPOCH,
    });
    let run = Stored::new(ATTEMPT_ID.to_owned(), serde_json::from_value(run).unwrap(), Timestamp::UNIX_EPOCH);
    BootContext { run: Some(Arc::new(run)), ..known() }
}

/// A document of a boot with the pack alone.
pub fn render(boot: &BootContext, document: &BootDocument) -> String {
    PLAIN.render(boot, document)
}

/// The menu with these entries, in place of those of the pack.
pub fn menu(kind: ScriptKind, entries: &Value) -> String {
    let catalog = &PLAIN.houses.catalog;
    let mut input = catalog.input(&nobody(), SecretMode::Revealed).unwrap();
    input.variables.insert("menu".to_owned(), json!({ "entries": entries }));
    let rendered = catalog.engine().render(&kind.template("menu"), input, RenderLimits::default());
    rendered.unwrap_or_else(|problem| panic!("{problem:#?}")).text
}

impl TestHouses {
    fn render(&self, boot: &BootContext, document: &BootDocument) -> String {
        let rendered = self.houses.netboot.render_document(boot, document, SecretMode::Revealed);
        rendered.unwrap_or_else(|problem| panic!("{document:?}: {problem:#?}")).text
    }
}

#[test]
fn every_template_that_ships_compiles() {
    let templates = WORLD.templates.iter().map(|row| (row.key.clone(), row.spec.body.clone()));
    let (_, broken) = RenderEngine::compile(&POOL, templates);
    assert!(broken.is_empty(), "templates that do not compile: {broken:#?}");
}

/// One machine that boots one bootenv.
pub struct Case {
    pub bootenv: String,
    /// `bios`, `uefi`, and a variant: `bios-rehearsal`, `uefi-site`.
    pub variant: String,
    firmware: &'static str,
    params: Value,
}

/// Every bootenv with both kinds of firmware, by default and in rehearsal, once with every param that a site
/// may set, and once with all that it puts into documents itself.
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
                case("-hooks", super::hooks::all_hooks());
                case("-tree", json!({"repositories": repositories()}));
            }
        }
    }
    cases
}

/// One machine with these params.
pub fn case(bootenv: &str, params: Value) -> Case {
    Case { bootenv: bootenv.to_owned(), variant: "uefi".to_owned(), firmware: "uefi", params }
}

/// Everything that a site may set, with texts that are hard to quote.
fn site() -> Value {
    json!({
        "disk": {"bus": "nvme", "model": "Dell's *", "least_gb": 400, "path": "/dev/disk/by-id/nvme-eui.00"},
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
        "repositories": repositories(),
    })
}

/// Repositories of the site.
fn repositories() -> Value {
    let repository = |tag: &str, package_type: &str| {
        json!({
            "tag": tag, "url": format!("http://10.0.0.4/{tag}"), "package_type": package_type,
            "components": ["main"], "key_url": format!("http://10.0.0.4/{tag}.asc"),
        })
    };
    json!([repository("tools-deb", "apt"), repository("tools-rpm", "yum")])
}

/// The templates of the pack, by name.
pub fn shipped_templates() -> Vec<(String, String)> {
    WORLD.templates.iter().map(|row| (row.key.clone(), row.spec.body.clone())).collect()
}

/// An engine with templates of a site beside, and in the place of, those that ship.
pub fn engine_with(site: &[(String, String)]) -> RenderEngine {
    let all: BTreeMap<String, String> = shipped_templates().into_iter().chain(site.iter().cloned()).collect();
    let (engine, broken) = RenderEngine::compile(&POOL, all);
    assert!(broken.is_empty(), "{broken:#?}");
    engine
}

/// The templates that are documents: files of bootenvs, scripts of tasks, scripts of loaders.
pub fn document_templates() -> BTreeSet<String> {
    let files =
        WORLD.bootenvs.iter().flat_map(|row| row.spec.templates.iter().filter_map(|f| f.template.clone()));
    let tasks =
        WORLD.tasks.iter().flat_map(|row| row.spec.templates.iter().filter_map(|f| f.template.clone()));
    let is_script = |name: &String| ["grub/", "ipxe/", "pxelinux/"].iter().any(|of| name.starts_with(of));
    let scripts = shipped_templates().into_iter().map(|(name, _)| name).filter(is_script);
    files.chain(tasks).chain(scripts).collect()
}

/// The names of the templates that are whole scripts for iPXE.
pub fn ipxe_templates() -> Vec<String> {
    let is_script = |body: &str| body.lines().any(|line| line.trim_end() == "#!ipxe");
    WORLD.templates.iter().filter(|row| is_script(&row.spec.body)).map(|row| row.key.clone()).collect()
}

/// The `apt` section of an autoinstall file, with and without repositories.
pub fn autoinstall_apt() -> [String; 2] {
    let apt: BootTemplate = serde_json::from_value(
        json!({"name": "apt.yaml", "path": "apt.yaml", "template": "autoinstall/apt.yaml"}),
    )
    .unwrap();
    [("uefi-tree", json!({"repositories": repositories()})), ("uefi", json!({}))].map(|(variant, params)| {
        let (bootenv, variant) = ("debian-12-install".to_owned(), variant.to_owned());
        Case { bootenv, variant, firmware: "uefi", params }.render(&BootDocument::File(apt.clone()))
    })
}

/// The scripts of tasks, rendered with every param a site may set.
pub fn task_scripts() -> Vec<(String, String)> {
    let machine = boot_of(machine("web1.example.org", &site()), "bios", 1).machine.unwrap();
    let scripts = WORLD.tasks.iter().flat_map(|task| {
        let request = TaskRender {
            machine: Arc::clone(&machine),
            run: None,
            stage: "install".to_owned(),
            task: task.key.clone(),
            job: Uuid::nil(),
        };
        let rendered = RUNTIME.block_on(PLAIN.houses.runs.render_task(request));
        rendered.unwrap_or_else(|problems| panic!("{}: {problems:#?}", task.key))
    });
    scripts.map(|file| (file.name, file.body)).collect()
}

impl Case {
    /// A machine with these params, under this firmware: its variant is `uefi-NAME`.
    pub fn booted_by(bootenv: &str, (firmware, name): (&'static str, &str), params: &Value) -> Case {
        let variant = format!("{firmware}-{name}");
        Case { bootenv: bootenv.to_owned(), variant, firmware, params: params.clone() }
    }

    /// A machine with these params that boots a bootenv by UEFI.
    pub fn booting(bootenv: &str, params: Value) -> Self {
        let (bootenv, variant) = (bootenv.to_owned(), "uefi".to_owned());
        Case { bootenv, variant, firmware: "uefi", params }
    }

    /// The same, where the server has looked at the trees of the media.
    pub fn with_trees(bootenv: &str, params: Value) -> Self {
        Case { variant: "uefi-tree".to_owned(), ..Case::booting(bootenv, params) }
    }

    /// A file of the bootenv as an operator sees it before the machine boots.
    pub fn preview(&self, path: &str) -> String {
        let mut machine = machine("web1.example.org", &self.params);
        for (name, value) in &mut machine.spec.params {
            if WORLD.params.get(name).is_some_and(|param| param.spec.secret) {
                *value = json!({"sealed": "AAAA"});
            }
        }
        let boot = BootContext { bootenv: Some(self.spec()), ..boot_of(machine, self.firmware, 1) };
        let document = BootDocument::File(self.file(path));
        let rendered = self.server().houses.netboot.render_document(&boot, &document, SecretMode::Redacted);
        rendered.unwrap_or_else(|problem| panic!("{path}: {problem:#?}")).text
    }

    fn file(&self, path: &str) -> BootTemplate {
        let spec = self.spec();
        spec.spec.templates.iter().find(|file| file.path == path).unwrap().clone()
    }

    /// A template by its name, as part of a document of this machine.
    pub fn template(&self, name: &str) -> String {
        let file = json!({"name": name, "path": name, "template": name});
        self.render(&BootDocument::File(serde_json::from_value(file).unwrap()))
    }

    /// A template of an engine as part of a document of this machine.
    pub fn rendered_by(&self, engine: &RenderEngine, name: &str) -> RenderedText {
        let input = self.server().houses.catalog.input(&self.boot(), SecretMode::Revealed).unwrap();
        let rendered = engine.render(name, input, RenderLimits::default());
        rendered.unwrap_or_else(|problem| panic!("{name}: {problem:#?}"))
    }

    /// Why a file of the bootenv cannot be rendered.
    pub fn refusal(&self, path: &str) -> String {
        let document = BootDocument::File(self.file(path));
        let netboot = &self.server().houses.netboot;
        match netboot.render_document(&self.boot(), &document, SecretMode::Revealed) {
            Ok(rendered) => panic!("{path} is rendered: {}", rendered.text),
            Err(problem) => problem.to_string(),
        }
    }

    pub fn spec(&self) -> Arc<Stored<Bootenv>> {
        Arc::clone(WORLD.bootenvs.get(&self.bootenv).unwrap())
    }

    pub fn is_install(&self) -> bool {
        self.spec().spec.kind == BootenvKind::Install
    }

    pub fn rehearses(&self) -> bool {
        self.params.get("rehearse") == Some(&json!(true))
    }

    pub fn server(&self) -> &'static TestHouses {
        if self.variant.ends_with("-tree") { &WITH_TREES } else { &PLAIN }
    }

    pub fn boot(&self) -> BootContext {
        let machine = machine("web1.example.org", &self.params);
        BootContext { bootenv: Some(self.spec()), ..boot_of(machine, self.firmware, 1) }
    }

    fn render(&self, document: &BootDocument) -> String {
        self.server().render(&self.boot(), document)
    }

    /// The kernel's command line, on one line.
    pub fn cmdline(&self) -> String {
        let (boot, Houses { netboot, catalog, .. }) = (self.boot(), &*self.server().houses);
        let input = catalog.input(&boot, SecretMode::Revealed).unwrap();
        let rendered = netboot.command_line(&boot, &input);
        let (cmdline, _) =
            rendered.unwrap_or_else(|problem| panic!("{} {}: {problem:#?}", self.bootenv, self.variant));
        cmdline
    }

    /// What each loader is given.
    pub fn loader_scripts(&self) -> Vec<(String, String)> {
        let scripts = LOADERS.map(|kind| match self.is_install() {
            true => (kind.template("boot"), self.render(&BootDocument::BootScript(kind))),
            false => (kind.template("local"), self.render(&BootDocument::LocalScript(kind))),
        });
        scripts.to_vec()
    }

    /// What the loaders and the installer are given, by name.
    pub fn documents(&self) -> Vec<(String, String)> {
        let mut documents = self.loader_scripts();
        if self.is_install() {
            documents.push(("cmdline".to_owned(), self.cmdline() + "\n"));
        }
        for file in &self.spec().spec.templates {
            documents.push((file.path.clone(), self.render(&BootDocument::File(file.clone()))));
        }
        documents
    }

    /// A file of the bootenv by its path, if it has one.
    pub fn rendered_file(&self, path: &str) -> Option<String> {
        let spec = self.spec();
        let file = spec.spec.templates.iter().find(|file| file.path == path)?;
        Some(self.render(&BootDocument::File(file.clone())))
    }

    /// The file with the installer's answers: the first of the bootenv.
    pub fn answer_file(&self) -> (String, String) {
        let spec = self.spec();
        let first = spec.spec.templates.first().unwrap();
        let name = format!("{}/{}/{}", self.bootenv, self.variant, first.path);
        (name, self.render(&BootDocument::File(first.clone())))
    }
}
