//! Artifacts: the kernels, initrds and trees that machines fetch.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact_mount::{ArtifactMount, MOUNTS_MAX};
use super::artifact_source::{ArtifactSource, path_fault};
use super::name::{check_file_path, check_name};
use super::{Kind, MirrorStatus, Noun, Object, Problem, RefusalCode, Stored, UnlistedPlace};

/// Most paths that the status lists as damaged, and most that it lists as absent.
pub const FILES_LISTED_MAX: usize = 64;

/// What an artifact is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    /// A directory of boot files or an install tree.
    #[default]
    Tree,
    /// A single file.
    File,
}

/// Files that machines may fetch at `artifacts/<name>/…` over TFTP and HTTP. Either `path` says where the
/// files are on the server, or `fetch` says where the server gets them from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The name that bootenvs refer to: `debian-12-amd64`.
    pub name: String,
    #[serde(default)]
    pub kind: ArtifactKind,
    /// An absolute path on the server. The files are served from there as they are. The path is below a
    /// directory of the setting `artifacts.roots` of the server's configuration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The source that the server fetches, checks and unpacks into its own directory. The API calls this
    /// field `fetch`, because `source` of every object names the pack that the object came in.
    #[serde(default, rename = "fetch", skip_serializing_if = "Option::is_none")]
    pub source: Option<ArtifactSource>,
    /// Further places in the boot namespace where machines find the files, for firmware that chooses the
    /// names of its files itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<ArtifactMount>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The state of an artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactState {
    /// There is nothing at the artifact's path.
    #[default]
    Missing,
    /// The server is fetching and checking the source.
    Fetching,
    /// The server is unpacking or reading the files.
    Extracting,
    /// The files are served.
    Ready,
    /// The files cannot be had, cannot be read, or are not what they were.
    Failed,
}

/// Work on an artifact that was asked for and is not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactWork {
    /// Fetch the source again.
    Fetch,
    /// Hash the files again.
    Verify,
}

/// The result of comparing an artifact's local path with `artifacts.roots`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootsCheck {
    /// Not compared yet: the artifact is older than the setting.
    #[default]
    Unchecked,
    /// The path is below a directory of the setting. Its files are served from there only.
    Within,
    /// The path is outside of the setting's directories. The artifact is older than the setting, and its
    /// files are still served.
    Outside,
}

impl RootsCheck {
    fn is_unchecked(&self) -> bool {
        *self == RootsCheck::Unchecked
    }
}

/// A package repository that the server found in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeRepository {
    /// `apt` or `yum`.
    pub package_type: String,
    /// Its path in the tree; empty for the tree itself.
    #[serde(default)]
    pub path: String,
    /// For `apt`, the suite: `bookworm`.
    #[serde(default)]
    pub distribution: String,
    #[serde(default)]
    pub components: Vec<String>,
    /// Whether an installer can use this URL as its source: an apt suite, or a tree with `.treeinfo`.
    #[serde(default)]
    pub install_source: bool,
    /// Whether the repository's index is signed.
    #[serde(default)]
    pub signed: bool,
}

/// The state of an artifact and what the server found in its files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactStatus {
    pub state: ArtifactState,
    /// The path or source that this status is about. If it differs from the artifact's, the server has not
    /// acted on the artifact's present path or source yet.
    #[serde(default)]
    pub origin: String,
    /// The path or source of the files that are served now.
    #[serde(default)]
    pub served_origin: String,
    /// For an artifact with a local path: whether the path is below a directory of `artifacts.roots`.
    #[serde(default, skip_serializing_if = "RootsCheck::is_unchecked")]
    pub roots: RootsCheck,
    /// For a source that is fetched: the source and proxy that were stored before there was `fetch.allow`, as
    /// one text; empty where there were none. While it says what the artifact says, private addresses are
    /// connected to for it. Without it an earlier version wrote this, and nothing has looked at it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_before: Option<String>,
    /// Where it was fetched from although `fetch.allow` did not list the place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<UnlistedPlace>,
    /// Progress of fetching, unpacking or reading, from 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u8>,
    /// Why the artifact is not ready, or what failed while it was ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// SHA-256 over the sorted list of paths and their digests. It is that of the served files, also while
    /// the artifact is being fetched again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Size of all files, in bytes.
    #[serde(default)]
    pub size: u64,
    /// Number of files.
    #[serde(default)]
    pub files: u64,
    /// The path at which the files are served: `artifacts/debian-12-amd64/`.
    #[serde(default)]
    pub boot_path: String,
    /// Work that was asked for and is not done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<ArtifactWork>,
    /// When all files were last hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// The first files whose content has changed, as of the last time they were hashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// Kernels and initrds that bootenvs name and the artifact lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Package repositories in the artifact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<TreeRepository>,
    /// For a mirrored tree: whether the upstream answers, and how much is cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
}

impl ArtifactStatus {
    /// Whether machines can fetch the files. The old files stay available while new ones are being fetched.
    pub fn is_served(&self) -> bool {
        let renewing = matches!(self.state, ArtifactState::Fetching | ArtifactState::Extracting);
        self.state == ArtifactState::Ready || renewing && self.sha256.is_some()
    }
}

impl Artifact {
    /// The artifact's path or source as one text: the text changes when the path or source does.
    pub fn origin(&self) -> String {
        match &self.source {
            None => self.path.clone(),
            Some(source) => source.origin(),
        }
    }

    /// Whether the artifact is a mirror: the server passes files on from another server when machines ask for
    /// them.
    pub fn is_mirror(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.mirror.is_some())
    }

    /// The name of the file of a source of kind `file`.
    pub fn file_name(&self) -> Option<&str> {
        let from = match &self.source {
            None => self.path.as_str(),
            Some(source) if !source.path.is_empty() => source.path.as_str(),
            Some(source) => source.url.split(['?', '#']).next().unwrap_or_default(),
        };
        from.rsplit('/').next().filter(|name| check_file_path(name, "").is_empty())
    }

    /// The path on the server that the files are read from, with the pointer to the field that names it.
    pub fn local_path(&self) -> Option<(&'static str, String)> {
        match &self.source {
            None => Some(("/path", self.path.clone())),
            Some(source) if source.path.is_empty() => Some(("/fetch/url", source.local_path()?)),
            Some(source) => Some(("/fetch/path", source.path.clone())),
        }
    }
}

impl Noun for Artifact {
    const KIND: Kind = Kind::Artifact;
    const BYTES_MAX: usize = super::bounds::CONTENT_BYTES_MAX;
    const HAS_STATUS: bool = true;
    type Status = ArtifactStatus;

    fn key(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn check(&self) -> Vec<Problem> {
        let mut problems = check_name(&self.name, "/name");
        if self.name.contains('/') {
            problems.push(
                Problem::new("/name", "an artifact's name is one part of a path: no `/`")
                    .coded(RefusalCode::Malformed),
            );
        }
        match &self.source {
            Some(_) if !self.path.is_empty() => {
                problems.push(
                    Problem::new("/path", "give `path` or `fetch`, not both").coded(RefusalCode::Exclusive),
                );
            }
            Some(source) => problems.extend(source.problems(self.kind)),
            None if !self.path.starts_with('/') => {
                let what = "give `path`, an absolute path on the server, or `fetch`, a source";
                problems.push(Problem::new("/path", what).coded(RefusalCode::Malformed));
            }
            None => problems.extend(
                path_fault(&self.path)
                    .map(|fault| Problem::new("/path", fault).coded(RefusalCode::Malformed)),
            ),
        }
        if self.mounts.len() > MOUNTS_MAX {
            let what = format!("an artifact has at most {MOUNTS_MAX} mounts");
            problems.push(Problem::new("/mounts", what).coded(RefusalCode::Malformed));
        }
        let mounts = self.mounts.iter().enumerate();
        problems.extend(mounts.flat_map(|(i, mount)| mount.problems(&format!("/mounts/{i}"))));
        if self.kind == ArtifactKind::File && self.source.is_some() && self.file_name().is_none() {
            let field = self.source.as_ref().is_some_and(|source| source.path.is_empty());
            let pointer = if field { "/fetch/url" } else { "/fetch/path" };
            problems
                .push(Problem::new(pointer, "must end in the name of a file").coded(RefusalCode::Malformed));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Artifact(stored)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(artifact: serde_json::Value) -> Vec<String> {
        let artifact: Artifact = serde_json::from_value(artifact).unwrap();
        artifact.check().into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn a_source_over_the_network_has_checksums_or_says_that_it_has_none() {
        let sum = format!("sha256:{}", "0".repeat(64));
        let of = |source: serde_json::Value| faults(json!({"name": "a", "fetch": source}));
        let url = "https://example.org/a.iso";
        assert_eq!(of(json!({"url": url})), ["/fetch/checksum"]);
        assert!(of(json!({"url": url, "checksum": sum})).is_empty());
        assert!(of(json!({"url": url, "unverified": true})).is_empty());
        assert!(of(json!({"path": "/srv/a.iso"})).is_empty());
        assert_eq!(of(json!({})), ["/fetch/url", "/fetch/checksum"]);
        assert_eq!(of(json!({"path": "/srv/a.iso", "url": url, "unverified": true})), ["/fetch/path"]);
        for wrong in ["srv/a.iso", "/srv/../etc/shadow", "file:///srv/a.iso"] {
            assert_eq!(of(json!({"path": wrong})), ["/fetch/path"], "{wrong}");
        }
        let files = json!([{"path": "linux", "checksum": sum}, {"path": "initrd.gz"}]);
        assert_eq!(of(json!({"url": "https://example.org/x/", "files": files})), ["/fetch/files/1/checksum"]);
    }

    #[test]
    fn a_url_is_one_that_can_be_fetched_and_shown() {
        let of = |url: &str| faults(json!({"name": "a", "fetch": {"url": url, "unverified": true}}));
        for wrong in ["ftp://x/y", "https://", "https://u:p@h/x", "file://relative", "file:///a/../b", "x y"]
        {
            assert_eq!(of(wrong), ["/fetch/url"], "{wrong}");
        }
        assert_eq!(faults(json!({"name": "a"})), ["/path"]);
        assert_eq!(faults(json!({"name": "a", "path": "/x", "fetch": {"url": "file:///y"}})), ["/path"]);
        let file = json!({"name": "a", "kind": "file", "fetch": {"path": "/srv/"}});
        assert_eq!(faults(file), ["/fetch/path"]);
        assert_eq!(faults(json!({"name": "a", "path": "/srv/../etc"})), ["/path"]);
    }

    #[test]
    fn the_origin_is_another_when_what_is_fetched_is() {
        let of = |value: serde_json::Value| serde_json::from_value::<Artifact>(value).unwrap().origin();
        let sum = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let files = |digit: &str| {
            let files = json!([{"path": "linux", "checksum": sum(digit)}]);
            of(json!({"name": "a", "fetch": {"url": "https://h/x/", "files": files}}))
        };
        assert_ne!(files("0"), files("1"));
        assert_eq!(of(json!({"name": "a", "path": "/x"})), "/x");
        let proxied = json!({"url": "https://h/x", "checksum": sum("0"), "proxy": "http://p:1"});
        assert_eq!(of(json!({"name": "a", "fetch": proxied})), format!("https://h/x#{}", sum("0")));
    }
}
