//! The site of a test: the packs, and the sample objects in the folder `tests` of the pack.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use uuid::Uuid;

use super::sample_faults;
use crate::artifacts::MediaFolder;
use crate::artifacts::roots::ArtifactRoots;
use crate::catalog::content::ContentPack;
use crate::catalog::pools::RenderPools;
use crate::houses::{Houses, HousesSetup};
use crate::kernel::secrets::{SecretKey, SecretPlace, param_pointer};
use crate::kernel::{Caller, Changeset, Error, Kernel, ServerEndpoints};
use crate::model::{Kind, Machine, Noun, Problem, Stored, parse_input, sha256_hex, with_noun};
use crate::netboot::loaders::InstalledLoaders;
use crate::pack_files::{PackFile, parse_yaml};
use crate::server::offline::{WorkFolder, new_folder};
use crate::store::{SqliteStore, Store};

/// Where the server of a test is: an address of documentation (RFC 5737).
pub(super) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const API_PORT: u16 = 8443;
const BOOT_PORT: u16 = 8080;
/// Most sample objects.
const SAMPLES_MAX: usize = 1000;
/// The folder of sample machines.
const MACHINES: &str = "machines/";
/// The folder of the rendered texts.
const GOLDEN: &str = "golden/";

/// A site with the packs and the samples, on a store in a temporary folder.
pub(super) struct TestSite {
    pub(super) houses: Arc<Houses>,
    /// In the order of their names.
    pub(super) machines: Vec<Arc<Stored<Machine>>>,
    store: Arc<SqliteStore>,
    _folder: WorkFolder,
}

impl TestSite {
    /// Installs the packs and writes the samples.
    ///
    /// # Errors
    /// A sample is faulty, or there is no sample machine.
    pub(super) async fn start(packs: &[ContentPack], tests: &[PackFile]) -> Result<Self> {
        let folder = new_folder(std::env::temp_dir().join(format!("metalwright-{}", Uuid::new_v4())))?;
        let store = SqliteStore::open(&folder.0).await.context("the store of the test")?;
        let kernel = kernel(&store);
        let houses = Houses::new(HousesSetup {
            kernel: Arc::clone(&kernel),
            loaders: InstalledLoaders::default(),
            pools: RenderPools::of_this_program(),
            media: MediaFolder::default(),
            roots: ArtifactRoots::default(),
            case: Default::default(),
            data: Default::default(),
        });
        let caller = Caller::server(super::now()?);
        let packs: Vec<Arc<ContentPack>> = packs.iter().cloned().map(Arc::new).collect();
        houses.catalog.materialize(&caller, &packs).await.context("the packs")?;
        let machines = write_samples(&houses, &caller, tests).await?;
        Ok(TestSite { houses, machines, store, _folder: folder })
    }

    /// Closes the store.
    pub(super) async fn stop(self) {
        self.store.close().await;
    }
}

fn kernel(store: &Arc<SqliteStore>) -> Arc<Kernel> {
    let endpoints = ServerEndpoints {
        api: Some(SocketAddr::new(SERVER, API_PORT)),
        api_fingerprint: "0".repeat(64),
        boot_http_port: Some(BOOT_PORT),
        ..ServerEndpoints::default()
    };
    // Nothing that is sealed with it leaves the temporary folder.
    let key = SecretKey::from_key([7; 32]);
    Kernel::new(Arc::clone(store) as Arc<dyn Store>, key, endpoints).0
}

/// A sample: its kind, and its fields.
struct SampleObject {
    kind: Kind,
    path: String,
    fields: Value,
}

fn samples_in(tests: &[PackFile]) -> Result<Vec<SampleObject>> {
    let mut samples = Vec::new();
    for file in tests.iter().filter(|file| file.path.ends_with(".yaml") && !file.path.starts_with(GOLDEN)) {
        let folder = file.path.split('/').next().unwrap_or_default();
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.plural() == folder) else {
            bail!(
                "tests/{}: a sample is in a folder with the name of its noun, like tests/machines or \
                 tests/profiles",
                file.path
            );
        };
        let text = String::from_utf8_lossy(&file.body);
        let value = parse_yaml(&text).map_err(|fault| sample_faults(&file.path, vec![fault]))?;
        let items = match value {
            Value::Array(items) => items,
            item => vec![item],
        };
        samples.extend(items.into_iter().map(|fields| SampleObject {
            kind,
            path: file.path.clone(),
            fields,
        }));
    }
    if samples.len() > SAMPLES_MAX {
        bail!("tests: there are {} samples, and {SAMPLES_MAX} at most", samples.len());
    }
    samples.sort_by_key(|sample| (sample.kind.row().apply_order, sample.path.clone()));
    Ok(samples)
}

async fn write_samples(
    houses: &Houses,
    caller: &Caller,
    tests: &[PackFile],
) -> Result<Vec<Arc<Stored<Machine>>>> {
    let mut machines = Vec::new();
    for SampleObject { kind, path, fields } in samples_in(tests)? {
        if kind == Kind::Machine {
            let machine = machine(houses, caller, fields).map_err(|faults| sample_faults(&path, faults))?;
            let changeset = Changeset::default().create(Machine::object(Arc::clone(&machine)));
            houses.kernel.commit(changeset).await.with_context(|| format!("tests/{path}"))?;
            machines.push(machine);
            continue;
        }
        let written = with_noun!(kind, T => houses.objects.create::<T>(caller, fields).await.map(|_| ()));
        match written {
            Ok(()) => {}
            Err(Error::Invalid(faults)) => return Err(sample_faults(&path, faults)),
            Err(other) => return Err(anyhow::Error::new(other).context(format!("tests/{path}"))),
        }
    }
    if machines.is_empty() {
        bail!(
            "the pack has no sample machine: write one to tests/{MACHINES}NAME.yaml, as `metalwright \
             machines create -f` takes it, with a workflow"
        );
    }
    machines.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    Ok(machines)
}

/// A machine whose id follows from its name, so that texts with the id stay the same.
fn machine(houses: &Houses, caller: &Caller, fields: Value) -> Result<Arc<Stored<Machine>>, Vec<Problem>> {
    let mut input = parse_input::<Machine>(fields)?;
    let digest = sha256_hex(&input.spec.name);
    let id = u128::from_str_radix(digest.get(..32).unwrap_or_default(), 16).unwrap_or_default();
    let key = Uuid::from_u128(id).to_string();
    for (param, value) in &mut input.spec.params {
        let is_secret =
            houses.kernel.read(|world| world.params.get(param).is_some_and(|declared| declared.spec.secret));
        if is_secret {
            let pointer = param_pointer(param);
            let place = SecretPlace { kind: Kind::Machine, key: &key, pointer: &pointer };
            *value = houses
                .kernel
                .secrets
                .seal(place, value)
                .map_err(|error| vec![Problem::new(format!("/params/{param}"), error.to_string())])?;
        }
    }
    let mut stored = Stored::new(key, input.spec, caller.now);
    stored.labels = input.labels;
    Ok(Arc::new(stored))
}
