//! The loader binaries on the server, and the disk images that are made of signed loaders.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use crate::artifacts::contained_path::RegularFile;
use crate::artifacts::opened::{FetchRefusal, FileBody, FileVersion, OpenedFile};
use crate::artifacts::static_files::{static_file, unreadable};
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::BootContext;
use crate::model::event::BootNoLoader;
use crate::model::{Arch, BootFiles, sha256_hex};
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::decide::decision::{BootGrant, BootQuestion};
use crate::netboot::decide::loader;
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::decide::signed::{self, ChainRole};
use crate::netboot::decide::stops::BootSign;
use crate::netboot::documents::BootDocument;
use crate::netboot::files::Fetch;
use crate::netboot::identify::about;
use crate::netboot::loaders::InstalledLoaders;
use crate::proto::fat;
use crate::rate_limit::warn_limited;

/// Most images that are kept: one for each chain and each address of the server.
const IMAGES_MAX: usize = 16;
/// Size of the largest loader that fits into an image.
const LOADER_BYTES_MAX: u64 = 32 << 20;

/// An image, and the templates that it was made with.
#[derive(Debug, Clone)]
struct LoaderImage {
    generation: u64,
    bytes: Bytes,
    version: FileVersion,
}

/// The images that were requested.
#[derive(Debug, Default)]
pub struct LoaderImages {
    made: BTreeMap<(String, IpAddr), LoaderImage>,
}

impl Netboot {
    pub async fn open_loader(
        self: &Arc<Self>,
        fetch: &Fetch,
        name: &str,
    ) -> Result<OpenedFile, FetchRefusal> {
        let gathered = self.who(fetch, &ClientHint::default())?;
        let decision = gathered.decide(&BootQuestion::Loader, self.kernel.now());
        if decision.answer != BootGrant::Serve {
            return Err(self.deny(fetch, &gathered, &decision));
        }
        if let Some(machine) = &gathered.machine {
            self.record_sign(machine, BootSign::Fetches(name.to_owned()));
        }
        let about = about(gathered.machine.as_deref());
        let label = format!("loader:{name}");
        if let Some(chain) = signed::image_of(name) {
            let image = self.image(chain, fetch.local).await;
            let image = image.map_err(|refused| self.loader_lost(&gathered, refused))?;
            let (body, version) = (FileBody::Bytes(image.bytes), Some(image.version));
            return Ok(OpenedFile { body, label, content_type: "application/vnd.efi-img", version, about });
        }
        let file = self.loaders.open(name).map_err(|error| {
            let way_out = "put it back, or restart the server to search for it elsewhere";
            let why = format!("the loader {name} cannot be read: {error}; {way_out}");
            self.loader_lost(&gathered, FetchRefusal::Failed(why))
        })?;
        let content_type =
            if name.ends_with(".efi") { "application/efi" } else { "application/octet-stream" };
        let file = RegularFile::of(file).map_err(|error| unreadable(name, &error))?;
        Ok(OpenedFile { about, ..static_file(file, label, content_type) })
    }

    /// A loader that was found at the start and cannot be read now. "Not found" on a machine's screen would
    /// not tell anybody why.
    fn loader_lost(&self, gathered: &BootFacts, refused: FetchRefusal) -> FetchRefusal {
        if let FetchRefusal::Failed(reason) = &refused {
            warn_limited!(reason, "a loader cannot be served");
            let about = about(gathered.machine.as_deref());
            self.note_boot_event(&about, BootNoLoader { mac: None, reason: reason.clone() });
        }
        refused
    }

    /// Missing loaders that machines could be told to boot: the usual ones, and those that bootenvs name.
    /// They are logged at the start, and each machine that needs one is told as well.
    pub fn missing_loaders(&self) -> Vec<String> {
        let usual = loader::advertised().filter(|(name, _)| !self.loaders.contains(name));
        let mut missing: Vec<String> = usual.map(|(name, arch)| format!("{name} for {arch}")).collect();
        self.kernel.read(|world| {
            for bootenv in world.bootenvs.iter() {
                let name = &bootenv.spec.name;
                for (arch, files) in &bootenv.spec.arches {
                    let chosen = files.loader.iter().filter(|loader| !self.loaders.contains(loader));
                    missing.extend(chosen.map(|loader| format!("{loader} for the bootenv {name}")));
                    let chain = files.secure_boot.iter();
                    let faults =
                        chain.filter_map(|chain| signed::start(chain, *arch, &self.loaders.names).err());
                    missing
                        .extend(faults.map(|why| format!("for the bootenv {name} under Secure Boot: {why}")));
                }
            }
        });
        missing
    }

    /// The name in the boot namespace of the shim with which a signed iPXE starts the kernel.
    pub fn kernel_shim(&self, boot: &BootContext, files: &BootFiles) -> Option<String> {
        let arch = boot.machine.as_ref().map_or(Arch::Amd64, |machine| machine.spec.arch);
        signed::kernel_shim(files.secure_boot.as_deref()?, arch, &self.loaders.names)
    }

    /// The disk image of a chain for machines that reach the server at `local`; made once, then kept.
    async fn image(self: &Arc<Self>, chain: &str, local: IpAddr) -> Result<LoaderImage, FetchRefusal> {
        let key = (chain.to_owned(), local);
        let generation = self.kernel.read(|world| world.templates.generation());
        let made = self.memory.images.lock().unwrap_or_else(PoisonError::into_inner).made.get(&key).cloned();
        if let Some(image) = made.filter(|image| image.generation == generation) {
            return Ok(image);
        }
        let (netboot, chain) = (Arc::clone(self), chain.to_owned());
        let made = tokio::task::spawn_blocking(move || netboot.make_image(&chain, local)).await;
        let bytes = made.map_err(|error| FetchRefusal::Failed(error.to_string()))??;
        let tag = format!("\"{}\"", sha256_hex(&bytes));
        let version = FileVersion { tag, modified: self.kernel.now().as_second() };
        let image = LoaderImage { generation, version, bytes };
        let mut images = self.memory.images.lock().unwrap_or_else(PoisonError::into_inner);
        if images.made.len() >= IMAGES_MAX {
            images.made.pop_first();
        }
        images.made.insert(key, image.clone());
        Ok(image)
    }

    fn make_image(&self, chain: &str, local: IpAddr) -> Result<Bytes, FetchRefusal> {
        let boot = BootFacts::default().boot(None, self.catalog.facing(local));
        let config = self.render_document(&boot, &BootDocument::DiskStart, SecretMode::Withheld);
        let config = config.map_err(|problem| FetchRefusal::Failed(problem.to_string()))?;
        let image = build(&self.loaders, chain, config.text.as_bytes());
        image.map(Bytes::from).map_err(|why| FetchRefusal::Failed(format!("the image of `{chain}`: {why}")))
    }
}

/// Builds the disk: shim at the path where firmware looks for a program (UEFI 3.5.1.1), the files that it
/// starts beside it, and the configuration in every folder that a distribution's GRUB uses as its prefix.
fn build(loaders: &InstalledLoaders, chain: &str, config: &[u8]) -> Result<Vec<u8>, String> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (file, path) in loaders.chain(chain) {
        let name = match (signed::role(&format!("{chain}/{file}")), file) {
            (Some(ChainRole::Shim), "shimx64.efi") => "BOOTX64.EFI",
            (Some(ChainRole::Shim), "shimaa64.efi") => "BOOTAA64.EFI",
            (Some(ChainRole::Second | ChainRole::MokManager), name) => name,
            _ => continue,
        };
        let size = std::fs::metadata(path).map(|metadata| metadata.len());
        if size.as_ref().is_ok_and(|size| *size > LOADER_BYTES_MAX) {
            return Err(format!("{} is larger than a loader", path.display()));
        }
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        files.push((format!("EFI/BOOT/{name}"), bytes));
    }
    for folder in ["grub", "boot/grub", "EFI/BOOT", &format!("EFI/{chain}")] {
        let fits = folder.split('/').all(|part| part.len() <= 8);
        if fits && !files.iter().any(|(path, _)| *path == format!("{folder}/grub.cfg")) {
            files.push((format!("{folder}/grub.cfg"), config.to_vec()));
        }
    }
    let files: Vec<fat::FatFile<'_>> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    fat::image(&files).map_err(|error| error.to_string())
}
