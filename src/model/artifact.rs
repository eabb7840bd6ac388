//! Kernels, initrds and trees that machines fetch.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact_source::{ArtifactSource, path_fault};
use super::name::{check_file_path, check_name};
use super::{Kind, MirrorStatus, Noun, Object, Problem, RefusalCode, Stored};

/// Most paths that a status names: damaged ones, absent ones.
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

/// Files that machines may fetch, at `artifacts/<name>/…` over TFTP and HTTP alike. Either `path` says where
/// they are on the server, or `fetch` where the server brings them from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The name bootenvs use: `debian-12-amd64`.
    pub name: String,
    #[serde(default)]
    pub kind: ArtifactKind,
    /// An absolute path on the server, served as it is. It is below a directory of the setting
    /// `artifacts.roots` of the server's configuration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is fetched, checked and unpacked, and served from the server's own directory.
    /// It is `fetch` to the outside: `source` is where every object says what pack it came in.
    #[serde(default, rename = "fetch", skip_serializing_if = "Option::is_none")]
    pub source: Option<ArtifactSource>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// How an artifact stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactState {
    /// There is nothing at its path.
    #[default]
    Missing,
    /// Its source is being fetched and checked.
    Fetching,
    /// Its files are being unpacked or read.
    Extracting,
    /// Its files are served.
    Ready,
    /// Its files cannot be had, cannot be read, or are not what they were.
    Failed,
}

/// What was asked to be done with an artifact and is not done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactWork {
    /// Fetch its source anew.
    Fetch,
    /// Hash its files again.
    Verify,
}

/// Whether the local path of an artifact was held against `artifacts.roots`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RootsCheck {
    /// It was configured before there was the setting, and nothing has looked at it yet.
    #[default]
    Unchecked,
    /// It is below one of them, and is not served from anywhere else.
    Within,
    /// It was configured before there was the setting, and goes on being served from outside of them.
    Outside,
}

impl RootsCheck {
    fn is_unchecked(&self) -> bool {
        *self == RootsCheck::Unchecked
    }
}

/// A package repository that was found in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeRepository {
    /// `apt` or `yum`.
    pub package_type: String,
    /// Where it is in the tree; empty for the tree itself.
    #[serde(default)]
    pub path: String,
    /// Of apt, the suite: `bookworm`.
    #[serde(default)]
    pub distribution: String,
    #[serde(default)]
    pub components: Vec<String>,
    /// Whether an installer can be given this URL: a suite, a tree with `.treeinfo`.
    #[serde(default)]
    pub install_source: bool,
    /// Whether its index is signed.
    #[serde(default)]
    pub signed: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactStatus {
    pub state: ArtifactState,
    /// The path or source that this is the state of; while it is another than the artifact's, nothing has
    /// been done about that one.
    #[serde(default)]
    pub origin: String,
    /// The path or source that the files come from which are served.
    #[serde(default)]
    pub served_origin: String,
    /// For an artifact with a local path: whether the path is below a directory of `artifacts.roots`.
    #[serde(default, skip_serializing_if = "RootsCheck::is_unchecked")]
    pub roots: RootsCheck,
    /// 0 to 100 while it is being fetched, unpacked or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u8>,
    /// Why it is not ready, or what went wrong while it was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// SHA-256 over the sorted list of paths and their digests. What is served, also while it is being
    /// fetched anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes in all.
    #[serde(default)]
    pub size: u64,
    /// How many files there are.
    #[serde(default)]
    pub files: u64,
    /// Where they are served: `artifacts/debian-12-amd64/`.
    #[serde(default)]
    pub boot_path: String,
    /// What was asked for and has not been done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<ArtifactWork>,
    /// When all its files were last hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// The first files that were not what they had been when they were last hashed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// Kernels and initrds that bootenvs name and that are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
    /// Package repositories in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<TreeRepository>,
    /// For a mirrored tree: whether its upstream answers, and what is cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
}

impl ArtifactStatus {
    /// Whether machines can be given its files: also the old ones while new ones are on their way.
    pub fn is_served(&self) -> bool {
        let renewing = matches!(self.state, ArtifactState::Fetching | ArtifactState::Extracting);
        self.state == ArtifactState::Ready || renewing && self.sha256.is_some()
    }
}

impl Artifact {
    /// What its files come from, as one text that is another when that is another.
    pub fn origin(&self) -> String {
        match &self.source {
            None => self.path.clone(),
            Some(source) => source.origin(),
        }
    }

    /// Whether its files are passed on from another server as machines ask for them.
    pub fn is_mirror(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.mirror.is_some())
    }

    /// What the file of a source of kind `file` is called.
    pub fn file_name(&self) -> Option<&str> {
        let from = match &self.source {
            None => self.path.as_str(),
            Some(source) if !source.path.is_empty() => source.path.as_str(),
            Some(source) => source.url.split(['?', '#']).next().unwrap_or_default(),
        };
        from.rsplit('/').next().filter(|name| check_file_path(name, "").is_empty())
    }

    /// The path on the server that its files are read from, with the pointer to the field that says so.
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
                let what = "an absolute path on the server, or `fetch`, what the server fetches";
                problems.push(Problem::new("/path", what).coded(RefusalCode::Malformed));
            }
            None => problems.extend(
                path_fault(&self.path)
                    .map(|fault| Problem::new("/path", fault).coded(RefusalCode::Malformed)),
            ),
        }
        if self.kind == ArtifactKind::File && self.source.is_some() && self.file_name().is_none() {
            let field = self.source.as_ref().is_some_and(|source| source.path.is_empty());
            let pointer = if field { "/fetch/url" } else { "/fetch/path" };
            problems
                .push(Problem::new(pointer, "it ends in the name of a file").coded(RefusalCode::Malformed));
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
