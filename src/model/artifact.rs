//! Kernels, initrds and trees that machines fetch.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::{check_file_path, check_name};
use super::{Checksum, Kind, MirrorStatus, MirrorTerms, Noun, Object, Problem, Stored, sha256_hex};

/// Most files of a source that lists them.
const SOURCE_FILES_MAX: usize = 256;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
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
    /// An absolute path on the server, served as it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is fetched, checked and unpacked, and served from the server's own directory.
    /// It is `fetch` to the outside: `source` is where every object says what pack it came in.
    #[serde(default, rename = "fetch", skip_serializing_if = "Option::is_none")]
    pub source: Option<ArtifactSource>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Where the server brings an artifact's files from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSource {
    /// `https://…`, `http://…`, or `file:///…` for one on the server. For a tree it is an ISO image or a
    /// tarball (plain, gzip, xz, zstd), for a file anything; with `files` it is the folder that they are in.
    pub url: String,
    /// What the file at `url` must hash to. Needed for what comes over the network, unless it is
    /// `unverified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// Whether what has no checksum is taken all the same.
    #[serde(default)]
    pub unverified: bool,
    /// The HTTP proxy to fetch through, `http://HOST:PORT`; without one the setting `artifact_proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Single files below `url`, instead of an image or a tarball: a distribution's netboot files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub files: Vec<SourceFile>,
    /// Nothing is fetched as a whole: the tree below `url` is passed on file by file as machines ask for it,
    /// and what was fetched is kept within a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorTerms>,
}

/// A file below the `url` of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Where it is below the URL, and in the artifact: `images/pxeboot/vmlinuz`.
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
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
    /// Of a tree that is passed on: whether its upstream answers, and what is kept of it.
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
        let from = self.source.as_ref().map_or(self.path.as_str(), |source| &source.url);
        let from = from.split(['?', '#']).next().unwrap_or(from);
        from.rsplit('/').next().filter(|name| check_file_path(name, "").is_empty())
    }
}

impl ArtifactSource {
    fn origin(&self) -> String {
        if let Some(mirror) = &self.mirror {
            let declared = mirror.repositories.iter().map(|it| format!("{} {}\n", it.path, it.distribution));
            let declared: String = declared.collect();
            let sum = if declared.is_empty() { declared } else { format!("#{}", sha256_hex(declared)) };
            return format!("{}{sum}", self.url);
        }
        if !self.files.is_empty() {
            let list: Vec<String> = self.files.iter().map(SourceFile::line).collect();
            return format!("{}#sha256:{}", self.url, sha256_hex(list.concat()));
        }
        match &self.checksum {
            Some(checksum) => format!("{}#{checksum}", self.url),
            None => self.url.clone(),
        }
    }

    /// The URL of everything there is to fetch, with its checksum.
    pub fn downloads(&self) -> impl Iterator<Item = (String, Option<&Checksum>)> {
        let base = self.url.trim_end_matches('/');
        let whole = self.files.is_empty().then(|| (self.url.clone(), self.checksum.as_ref()));
        let listed = self.files.iter().map(move |file| {
            let path = file.path.replace('+', "%2B");
            (format!("{base}/{path}"), file.checksum.as_ref())
        });
        whole.into_iter().chain(listed)
    }

    /// The path of a source that is on the server already.
    pub fn local_path(&self) -> Option<&str> {
        self.url.strip_prefix("file://")
    }

    fn problems(&self, kind: ArtifactKind) -> Vec<Problem> {
        let mut problems: Vec<Problem> = url_fault(&self.url)
            .into_iter()
            .map(|fault| Problem::new("/fetch/url", fault))
            .chain(
                self.proxy
                    .iter()
                    .filter(|proxy| !is_proxy(proxy))
                    .map(|_| Problem::new("/fetch/proxy", "a proxy is written like http://10.0.0.4:3128")),
            )
            .collect();
        if self.files.len() > SOURCE_FILES_MAX {
            problems.push(Problem::new("/fetch/files", format!("more than {SOURCE_FILES_MAX} files")));
        }
        if !self.files.is_empty() && kind == ArtifactKind::File {
            problems.push(Problem::new("/fetch/files", "an artifact of kind `file` has one file: its URL's"));
        }
        for (i, file) in self.files.iter().enumerate() {
            problems.extend(check_file_path(&file.path, &format!("/fetch/files/{i}/path")));
            if self.files.iter().take(i).any(|earlier| earlier.path == file.path) {
                let what = format!("`{}` is listed twice", file.path);
                problems.push(Problem::new(format!("/fetch/files/{i}/path"), what));
            }
        }
        problems.extend(self.mirror.iter().flat_map(|mirror| mirror.problems(self)));
        if self.mirror.is_some() && kind == ArtifactKind::File {
            problems.push(Problem::new("/fetch/mirror", "only a tree is passed on file by file"));
        }
        problems.extend(self.without_checksum());
        problems
    }

    fn without_checksum(&self) -> Vec<Problem> {
        if self.unverified || self.mirror.is_some() || self.local_path().is_some() {
            return Vec::new();
        }
        let needed = |pointer: String| {
            let what = "what comes over the network needs a checksum, `sha256:HEX` or `sha512:HEX`; \
                        `unverified: true` does without";
            Problem::new(pointer, what)
        };
        let listed = self.files.iter().enumerate().filter(|(_, file)| file.checksum.is_none());
        let listed = listed.map(|(i, _)| needed(format!("/fetch/files/{i}/checksum")));
        let whole = self.files.is_empty() && self.checksum.is_none();
        listed.chain(whole.then(|| needed("/fetch/checksum".to_owned()))).collect()
    }
}

impl SourceFile {
    fn line(&self) -> String {
        let checksum = self.checksum.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {checksum}\n", self.path)
    }
}

/// Why a text is not the URL of a source.
fn url_fault(url: &str) -> Option<&'static str> {
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    if url.len() > URL_BYTES_MAX || !printable {
        return Some("a URL is printable ASCII without blanks, of at most 2048 bytes: write others as %20");
    }
    if let Some(path) = url.strip_prefix("file://") {
        let inside = path.starts_with('/') && !path.split('/').any(|part| part == "..");
        return (!inside).then_some("a file of the server is written like file:///srv/isos/debian.iso");
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Some("it begins with https://, http:// or file:///") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Some("there is no host in it");
    }
    host.contains('@')
        .then_some("a URL carries no user and password: everybody who may read artifacts sees it")
}

fn is_proxy(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic())
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
            problems.push(Problem::new("/name", "an artifact's name is one part of a path: no `/`"));
        }
        match &self.source {
            Some(_) if !self.path.is_empty() => {
                problems.push(Problem::new("/path", "give `path` or `fetch`, not both"));
            }
            Some(source) => problems.extend(source.problems(self.kind)),
            None if !self.path.starts_with('/') => {
                let what = "an absolute path on the server, or `fetch`, what the server fetches";
                problems.push(Problem::new("/path", what));
            }
            None => {}
        }
        if self.kind == ArtifactKind::File && self.source.is_some() && self.file_name().is_none() {
            problems.push(Problem::new("/fetch/url", "it ends in the name of a file"));
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
        assert!(of(json!({"url": "file:///srv/a.iso"})).is_empty());
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
        let file = json!({"name": "a", "kind": "file", "fetch": {"url": "file:///"}});
        assert_eq!(faults(file), ["/fetch/url"]);
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
