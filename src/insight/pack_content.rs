//! What is in a pack that is loaded: its files with their texts, and what the lints find in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use semver::Version;
use serde::Serialize;

use crate::insight::Insight;
use crate::insight::lints::packs::{FINDINGS_MAX, LintFinding, LintedPack, findings};
use crate::kernel::{Caller, Error};
use crate::model::{CORE_PACK, Pack, Stored, sha256_hex, version_fits};
use crate::pack_files::PackFile;

/// Most packs that one stands on: as many as a channel can have.
const BASE_MAX: usize = 64;

/// A file of a pack.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PackFileRow {
    pub path: String,
    pub bytes: usize,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
    pub text: String,
}

/// The files of a pack.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PackFileList {
    /// By path.
    pub items: Vec<PackFileRow>,
}

/// What the lints find in a pack.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PackFindings {
    /// By file and line.
    pub items: Vec<LintFinding>,
    /// Whether these are all.
    pub complete: bool,
    /// The packs whose names count as known: of each that is required the newest that fits.
    pub base: Vec<String>,
}

impl Insight {
    /// The files of a pack. Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Failed`] if they are not stored any more.
    pub fn pack_file_list(&self, caller: &Caller, reference: &str) -> Result<PackFileList, Error> {
        let stored = self.kernel.find::<Pack>(caller, reference)?;
        let rows = self.catalog.pack_files(&stored)?.into_iter().map(row);
        Ok(PackFileList { items: rows.collect() })
    }

    /// What the lints find in a pack, which stands on the newest of the packs that it requires. Blocks.
    ///
    /// # Errors
    /// As [`Insight::pack_file_list`].
    pub fn pack_findings(&self, caller: &Caller, reference: &str) -> Result<PackFindings, Error> {
        let stored = self.kernel.find::<Pack>(caller, reference)?;
        let all: Vec<_> = self.kernel.read(|world| caller.visible(&world.packs).cloned().collect());
        let below = base_of(&all, &stored);
        let files = self.catalog.pack_files(&stored)?;
        let mut base_files: Vec<PackFile> = Vec::new();
        for pack in &below {
            base_files.extend(self.catalog.pack_files(pack)?);
        }
        let items = findings(LintedPack { files: &files, base: &base_files });
        let base = below.iter().map(|pack| pack.key.to_string()).collect();
        Ok(PackFindings { complete: items.len() < FINDINGS_MAX, items, base })
    }
}

fn row(file: PackFile) -> PackFileRow {
    let sha256 = sha256_hex(&file.body);
    let text = String::from_utf8_lossy(&file.body).into_owned();
    PackFileRow { bytes: file.body.len(), sha256, text, path: file.path }
}

/// The packs that a pack stands on: `core`, what it requires, and what that requires.
fn base_of(all: &[Arc<Stored<Pack>>], pack: &Stored<Pack>) -> Vec<Arc<Stored<Pack>>> {
    if pack.spec.pack == CORE_PACK {
        return Vec::new();
    }
    let mut wanted: BTreeMap<String, String> = pack.spec.requires.clone();
    wanted.entry(CORE_PACK.to_owned()).or_insert_with(|| "*".to_owned());
    let mut seen: BTreeSet<String> = BTreeSet::from([pack.spec.pack.clone()]);
    let mut base: Vec<Arc<Stored<Pack>>> = Vec::new();
    while let Some((name, range)) = wanted.pop_first() {
        if base.len() >= BASE_MAX || !seen.insert(name.clone()) {
            continue;
        }
        let Some(found) = newest(all, (&name, &range)) else { continue };
        let further = found.spec.requires.iter().map(|(name, range)| (name.clone(), range.clone()));
        wanted.extend(further);
        base.push(found);
    }
    base
}

/// The newest version of a pack that is within a range.
fn newest(all: &[Arc<Stored<Pack>>], (name, range): (&str, &str)) -> Option<Arc<Stored<Pack>>> {
    let fitting = all.iter().filter(|row| row.spec.pack == name);
    let fitting = fitting.filter(|row| version_fits((&row.spec.version, range)));
    fitting.max_by_key(|row| Version::parse(&row.spec.version).ok()).cloned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pack(name: &str, version: &str, requires: &[(&str, &str)]) -> Arc<Stored<Pack>> {
        let spec = serde_json::from_value(serde_json::json!({
            "name": format!("{name}@{version}"), "pack": name, "version": version, "digest": "",
            "files": "", "file_count": 0, "bytes": 0,
            "requires": requires.iter().copied().collect::<BTreeMap<_, _>>(),
        }));
        Arc::new(Stored::new(format!("{name}@{version}"), spec.unwrap(), Timestamp::UNIX_EPOCH))
    }

    fn keys(base: &[Arc<Stored<Pack>>]) -> Vec<String> {
        base.iter().map(|pack| pack.key.to_string()).collect()
    }

    #[test]
    fn a_pack_stands_on_the_newest_versions_that_fit_and_on_what_they_require() {
        let site = pack("site", "1.0.0", &[("disks", "^1")]);
        let disks = [pack("disks", "1.2.0", &[("tools", "*")]), pack("disks", "2.0.0", &[])];
        let cores = [pack("core", "0.9.0", &[]), pack("core", "0.10.0", &[])];
        let tools = pack("tools", "3.0.0", &[("disks", "*")]);
        let all = [vec![site.clone(), tools], disks.to_vec(), cores.to_vec()].concat();
        let found = keys(&base_of(&all, &site));
        assert_eq!(found, ["core@0.10.0", "disks@1.2.0", "tools@3.0.0"]);
    }

    #[test]
    fn core_stands_on_nothing() {
        let core = pack("core", "1.0.0", &[]);
        assert_eq!(keys(&base_of(&[core.clone(), pack("core", "2.0.0", &[])], &core)), [""; 0]);
    }
}
