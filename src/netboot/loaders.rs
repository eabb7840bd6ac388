//! The boot loaders that are installed on the server, searched once at the start: those of the table, and the
//! signed loaders of distributions, each distribution in its own folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::check_name;
use crate::netboot::decide::loader::{LOADERS, companion, loader_named};
use crate::netboot::decide::signed::{IMAGE, STARTS};

/// The file in which a system names its distribution.
const OS_RELEASE: &str = "/etc/os-release";
/// Most folders of signed loaders that are read.
const CHAINS_MAX: usize = 64;
/// Most files of one such folder that are served.
const CHAIN_FILES_MAX: usize = 32;
/// The files that shim asks for besides the one it starts.
const MOK_MANAGERS: [&str; 2] = ["mmx64.efi", "mmaa64.efi"];

/// Loaders by their name in the boot namespace, with the path of each file.
#[derive(Debug, Clone, Default)]
pub struct InstalledLoaders {
    found: BTreeMap<String, PathBuf>,
    /// The names of all loaders that were found, for the boot decision.
    pub names: Arc<BTreeSet<String>>,
}

impl InstalledLoaders {
    /// Searches for every loader: first in `own` (a site's own builds, by name, and its folders of signed
    /// loaders), then where the distribution's packages install it.
    pub fn find(own: &Path) -> Self {
        let host = fs::read_to_string(OS_RELEASE).ok().and_then(|text| os_id(&text));
        Self::find_on(own, host.as_deref())
    }

    /// Like [`InstalledLoaders::find`], on a server that runs the distribution `host`.
    fn find_on(own: &Path, host: Option<&str>) -> Self {
        let mut found = BTreeMap::new();
        for loader in LOADERS {
            let packaged = loader.paths.iter().map(PathBuf::from);
            let place = std::iter::once(own.join(loader.name)).chain(packaged).find(|path| path.is_file());
            found.extend(place.map(|path| (loader.name.to_owned(), path)));
        }
        let mut found = complete(found);
        found.extend(host.into_iter().flat_map(packaged_chain));
        found.extend(own_chains(own));
        let names = Arc::new(with_images(&found));
        InstalledLoaders { found, names }
    }

    /// Whether there is a loader, or the image of a chain, with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The names and paths of the loaders that were found.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.found.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// The files of a chain, by their names in it.
    pub fn chain(&self, chain: &str) -> impl Iterator<Item = (&str, &Path)> {
        self.iter().filter_map(move |(name, path)| Some((name.strip_prefix(chain)?.strip_prefix('/')?, path)))
    }

    /// Opens a loader.
    ///
    /// # Errors
    /// The loader was not found at the start, or is missing now.
    pub fn open(&self, name: &str) -> io::Result<File> {
        let place = self.found.get(name).ok_or(io::ErrorKind::NotFound)?;
        File::open(place)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", place.display())))
    }
}

/// Keeps the loaders whose companion files exist: the others would be offered to firmware and start nothing.
fn complete(found: BTreeMap<String, PathBuf>) -> BTreeMap<String, PathBuf> {
    let lacking: Vec<(String, &str)> = found
        .keys()
        .filter_map(|name| {
            Some((name.clone(), companion(name).filter(|needed| !found.contains_key(*needed))?))
        })
        .collect();
    let mut complete = found;
    for (loader, needed) in lacking {
        tracing::warn!(loader, needed, "a loader is left out because the file that it needs is missing");
        complete.remove(&loader);
    }
    complete
}

/// The signed loaders of the server's own distribution, at the places that the table lists.
fn packaged_chain(host: &str) -> Vec<(String, PathBuf)> {
    let files = STARTS.iter().flat_map(|start| [start.first, start.second]).chain(MOK_MANAGERS);
    let signed = files.filter(|file| !file.contains("pxe") && !file.contains("snp"));
    signed.filter_map(|file| Some((format!("{host}/{file}"), installed_path(file)?))).collect()
}

fn installed_path(file: &str) -> Option<PathBuf> {
    loader_named(file)?.paths.iter().map(PathBuf::from).find(|path| path.is_file())
}

/// The folders that a site put among its loaders: `loaders/rocky/shimx64.efi`.
fn own_chains(own: &Path) -> Vec<(String, PathBuf)> {
    let folders = entries(own).into_iter().filter(|path| path.is_dir()).take(CHAINS_MAX);
    let mut files = Vec::new();
    for folder in folders {
        let Some(chain) = folder.file_name().and_then(|name| name.to_str()) else { continue };
        if !check_name(chain, "").is_empty() {
            tracing::warn!(folder = %folder.display(), "left out: a bootenv cannot refer to this name");
            continue;
        }
        let programs = entries(&folder).into_iter().filter(|path| path.is_file());
        let named = programs.filter_map(|path| {
            let file = path.file_name()?.to_str().filter(|file| file.ends_with(".efi"))?;
            Some((format!("{chain}/{file}"), path.clone()))
        });
        files.extend(named.take(CHAIN_FILES_MAX));
    }
    files
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<PathBuf> = found.collect();
    found.sort();
    found
}

/// All names, including those of the images that can be made of the loaders that were found.
fn with_images(found: &BTreeMap<String, PathBuf>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = found.keys().cloned().collect();
    let chains: BTreeSet<&str> = found.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    for chain in chains {
        let grub = STARTS.iter().filter(|start| start.second.starts_with("grub"));
        if grub
            .into_iter()
            .any(|start| has_file(found, chain, start.first) && has_file(found, chain, start.second))
        {
            names.insert(format!("{chain}/{IMAGE}"));
        }
    }
    names
}

fn has_file(found: &BTreeMap<String, PathBuf>, chain: &str, file: &str) -> bool {
    found.contains_key(&format!("{chain}/{file}"))
}

/// The `ID=` of an os-release file: `debian`, `ubuntu`, `rocky`.
fn os_id(text: &str) -> Option<String> {
    let id = text.lines().find_map(|line| line.strip_prefix("ID="))?;
    let id = id.trim().trim_matches(['"', '\'']);
    check_name(id, "").is_empty().then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_id() {
        assert_eq!(os_id("NAME=x\nID=debian\nVERSION_ID=12\n").as_deref(), Some("debian"));
        assert_eq!(os_id("ID=\"rocky\"\n").as_deref(), Some("rocky"));
        assert_eq!(os_id("ID=../x\n"), None);
        assert_eq!(os_id("ID_LIKE=debian\n"), None);
    }

    #[test]
    fn a_loader_without_what_it_needs_beside_it_is_not_one() {
        let found = |names: &[&str]| -> Vec<String> {
            let found = names.iter().map(|name| ((*name).to_owned(), PathBuf::from(name)));
            complete(found.collect()).into_keys().collect()
        };
        assert_eq!(found(&["lpxelinux.0", "pxelinux.0", "snponly.efi"]), ["snponly.efi"]);
        assert_eq!(found(&["ldlinux.c32", "pxelinux.0"]), ["ldlinux.c32", "pxelinux.0"]);
        assert_eq!(found(&["ldlinux.c32", "syslinux.efi"]), ["ldlinux.c32"]);
    }

    #[test]
    fn a_sites_folder_is_a_chain_and_an_image_where_it_is_complete() {
        let own = tempfile::TempDir::new().unwrap();
        for (folder, files) in [
            ("rocky", &["shimx64.efi", "grubx64.efi", "revocations.efi", "notes.txt"][..]),
            ("half", &["shimx64.efi"]),
            ("bad name", &["shimx64.efi", "grubx64.efi"]),
        ] {
            let folder = own.path().join(folder);
            fs::create_dir(&folder).unwrap();
            files.iter().for_each(|file| fs::write(folder.join(file), file).unwrap());
        }
        let loaders = InstalledLoaders::find_on(own.path(), None);
        for there in ["rocky/shimx64.efi", "rocky/grubx64.efi", "rocky/revocations.efi", "rocky/efi.img"] {
            assert!(loaders.contains(there), "{there}");
        }
        for absent in ["rocky/notes.txt", "half/efi.img", "bad name/shimx64.efi", "bad name/efi.img"] {
            assert!(!loaders.contains(absent), "{absent}");
        }
        let files: Vec<&str> = loaders.chain("rocky").map(|(file, _)| file).collect();
        assert_eq!(files, ["grubx64.efi", "revocations.efi", "shimx64.efi"]);
        assert!(loaders.open("half/shimx64.efi").is_ok() && loaders.open("half/efi.img").is_err());
    }
}
