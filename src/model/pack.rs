//! The noun `pack`: a bundle of content with a name and a version, as it was loaded. It never changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::{Kind, NoStatus, Noun, Object, Problem, RefusalCode, Stored, check_name};

/// The pack of the program.
pub const CORE_PACK: &str = "core";
/// The priority of a pack that names none. The pack with the higher number wins.
pub const PACK_PRIORITY_DEFAULT: u32 = 100;
/// Most packs that one pack requires.
const REQUIRES_MAX: usize = 64;
/// Longest version and longest range of versions, in bytes.
const VERSION_BYTES_MAX: usize = 128;

/// `pack.yaml`: what a pack says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackManifest {
    /// One word: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// A semantic version (semver.org): `1.2.0`.
    pub version: String,
    /// Packs that it needs, each with the versions that it works with: `core: ">=0.1, <0.3"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// An SPDX expression, such as `Apache-2.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    /// Of packs that have the same object, the one with the higher number wins.
    #[serde(default = "priority_default")]
    pub priority: u32,
}

fn priority_default() -> u32 {
    PACK_PRIORITY_DEFAULT
}

impl PackManifest {
    /// `NAME@VERSION`, the key of the pack.
    pub fn key(&self) -> String {
        pack_key(&self.name, &self.version)
    }

    /// As [`Pack::unmet`].
    pub fn unmet(&self, versions: &BTreeMap<String, String>) -> Vec<Problem> {
        unmet_of((self.key(), &self.requires), versions)
    }

    /// The faults that it shows by itself.
    pub fn faults(&self) -> Vec<Problem> {
        let mut faults = name_faults(&self.name, "/name");
        if self.version.len() > VERSION_BYTES_MAX || Version::parse(&self.version).is_err() {
            let what = format!("`{}` is not a semantic version: write it like 1.2.0", self.version);
            faults.push(Problem::new("/version", what).coded(RefusalCode::Malformed));
        }
        if self.requires.len() > REQUIRES_MAX {
            let what = format!("{} packs are required, at most {REQUIRES_MAX}", self.requires.len());
            faults.push(Problem::new("/requires", what).coded(RefusalCode::TooLarge));
        }
        for (name, range) in &self.requires {
            let at = format!("/requires/{name}");
            faults.extend(name_faults(name, &at));
            if range.len() > VERSION_BYTES_MAX || VersionReq::parse(range).is_err() {
                let what = format!("`{range}` is not a range of versions: write it like >=1.2, <2");
                faults.push(Problem::new(at, what).coded(RefusalCode::Malformed));
            }
        }
        faults
    }
}

/// The key of a pack.
pub fn pack_key(name: &str, version: impl std::fmt::Display) -> String {
    format!("{name}@{version}")
}

fn name_faults(name: &str, pointer: &str) -> Vec<Problem> {
    if name.contains('/') {
        let what = format!("`{name}` cannot be the name of a pack, which has no `/`");
        return vec![Problem::new(pointer, what).coded(RefusalCode::Malformed)];
    }
    check_name(name, pointer)
}

/// A pack that was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// `NAME@VERSION`: `site@1.2.0`.
    pub name: String,
    /// The name alone, which all versions have.
    pub pack: String,
    pub version: String,
    /// Packs that it needs, each with the versions that it works with.
    #[serde(default)]
    pub requires: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub licence: String,
    #[serde(default = "priority_default")]
    pub priority: u32,
    /// SHA-256 of the list of its files, in hex: each with its path, size and SHA-256.
    pub digest: String,
    /// The id of the content that has its files.
    pub files: String,
    pub file_count: u64,
    /// Size of all files, in bytes.
    pub bytes: u64,
    /// The name, in the server's configuration, of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

impl Pack {
    /// The `source` of objects that come from it: `pack core@0.1.0`.
    pub fn source(&self) -> String {
        format!("pack {}", self.name)
    }

    /// The required packs that are not among these versions, or are there in a version that does not fit.
    /// `versions` has the version of each pack by its name.
    pub fn unmet(&self, versions: &BTreeMap<String, String>) -> Vec<Problem> {
        unmet_of((self.name.clone(), &self.requires), versions)
    }
}

/// What the pack of a key requires and does not have.
fn unmet_of(
    (key, requires): (String, &BTreeMap<String, String>),
    versions: &BTreeMap<String, String>,
) -> Vec<Problem> {
    let unmet = requires.iter().filter_map(|(name, range)| {
        let wanted = format!("pack {key} requires {name} {range}");
        let what = match versions.get(name) {
            None => format!("{wanted}, and there is none: add a version of it"),
            Some(version) if !version_fits((version, range)) => {
                format!("{wanted}, and there is {version}: choose another version of one of them")
            }
            Some(_) => return None,
        };
        Some(Problem::new(format!("/packs/{name}"), what).coded(RefusalCode::NotFound))
    });
    unmet.collect()
}

/// Whether a version is within a range. A pre-release fits where its release does: a build of the next
/// version is tried with the packs for that version.
pub fn version_fits((version, range): (&str, &str)) -> bool {
    let (Ok(version), Ok(range)) = (Version::parse(version), VersionReq::parse(range)) else { return false };
    let release = Version::new(version.major, version.minor, version.patch);
    range.matches(&version) || range.matches(&release)
}

impl Noun for Pack {
    const KIND: Kind = Kind::Pack;
    type Status = NoStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Pack(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(fields: serde_json::Value) -> PackManifest {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn a_manifest_has_a_plain_name_a_semantic_version_and_ranges() {
        let good =
            manifest(json!({"name": "site", "version": "1.2.0-rc.1+b7", "requires": {"core": ">=0.1"}}));
        assert_eq!((good.faults(), good.key()), (vec![], "site@1.2.0-rc.1+b7".to_owned()));
        let bad = manifest(json!({"name": "a/b", "version": "1.2", "requires": {"co@re": "newest"}}));
        let places: Vec<String> = bad.faults().into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(places, ["/name", "/version", "/requires/co@re", "/requires/co@re"]);
    }

    #[test]
    fn what_a_pack_requires_is_compared_with_the_versions_that_are_there() {
        let pack: Pack = serde_json::from_value(json!({
            "name": "site@1.0.0", "pack": "site", "version": "1.0.0",
            "digest": "", "files": "", "file_count": 0, "bytes": 0,
            "requires": {"core": ">=0.2, <0.3", "base": "^1"},
        }))
        .unwrap();
        let with = |core: &str, base: &str| {
            let versions = [("core", core), ("base", base)].map(|(k, v)| (k.to_owned(), v.to_owned()));
            pack.unmet(&versions.into()).into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        };
        assert_eq!(with("0.2.4", "1.9.0"), [""; 0]);
        assert_eq!(with("0.2.0-dev.1", "1.0.0+abc"), [""; 0]);
        let found = with("0.3.0", "2.0.0");
        assert!(found[0].contains("requires base ^1, and there is 2.0.0"), "{found:?}");
        assert!(found[1].contains("requires core >=0.2, <0.3, and there is 0.3.0"), "{found:?}");
        assert!(pack.unmet(&BTreeMap::new())[0].message.contains("there is none"));
    }
}
