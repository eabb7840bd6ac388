//! Mirrors: remote trees whose files the server passes on one by one. What an operator sets, and the status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_file_path;
use super::{ArtifactSource, Problem, RefusalCode};

/// Default for the bytes that are kept of a remote tree.
pub const MIRROR_BYTES_DEFAULT: u64 = 20 << 30;
/// Least and most bytes that may be kept of a remote tree.
const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 1 << 44;
/// Most repositories that one mirror declares.
const REPOSITORIES_MAX: usize = 32;

/// How much is kept of a remote tree, and which package repositories it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorTerms {
    /// Most bytes of the tree's files that the server keeps on its disk, from 1 MiB; the default is 20 GiB.
    /// The least recently used files are deleted first.
    #[serde(default = "bytes_default")]
    #[schemars(range(min = 1_048_576, max = 17_592_186_044_416_u64))]
    pub bytes_max: u64,
    /// Package repositories in the tree. If there are none, the server checks whether the tree itself is a
    /// yum repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub repositories: Vec<MirrorRepository>,
}

impl Default for MirrorTerms {
    fn default() -> Self {
        MirrorTerms { bytes_max: MIRROR_BYTES_DEFAULT, repositories: Vec::new() }
    }
}

fn bytes_default() -> u64 {
    MIRROR_BYTES_DEFAULT
}

/// A package repository in a remote tree. The server reads everything else from the repository's index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorRepository {
    /// The repository's path below the URL: `BaseOS/x86_64/os`; empty for the URL itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// For apt, the suite: `bookworm`. Without a suite it is a yum repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub distribution: String,
}

/// The state of a mirror and its cache. Requests are counted from the start of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorStatus {
    /// Whether the upstream answered its last request.
    pub upstream_answers: bool,
    /// Bytes that are cached.
    pub cached_bytes: u64,
    pub cached_files: u64,
    pub bytes_max: u64,
    /// Requests that were answered from the cache, or from a fetch that was already running.
    pub hits: u64,
    /// Files that had to be fetched.
    pub misses: u64,
    /// Hits for which the upstream said that the file has not changed.
    pub revalidated: u64,
    /// Hits that may be out of date, because the upstream did not answer.
    pub stale: u64,
    /// Files that were deleted to make room.
    pub evicted: u64,
    /// Files that the upstream did not give, or for which there was no room.
    #[serde(default)]
    pub failures: u64,
    /// Bytes that came from the upstream.
    #[serde(default)]
    pub fetched_bytes: u64,
    /// Bytes that were sent to clients.
    #[serde(default)]
    pub served_bytes: u64,
}

impl MirrorTerms {
    /// The faults of these terms, in the source that has them.
    pub(super) fn problems(&self, source: &ArtifactSource) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |code, pointer: String, what: String| {
            problems.push(Problem::new(pointer, what).coded(code));
        };
        if source.local_path().is_some() || source.url.contains(['?', '#']) {
            let what = "a mirror needs the URL of a folder: https://… or http://…, without `?`";
            let field = if source.path.is_empty() { "url" } else { "path" };
            add(RefusalCode::Exclusive, format!("/fetch/{field}"), what.into());
        }
        if source.checksum.is_some() || !source.files.is_empty() {
            let field = if source.checksum.is_some() { "checksum" } else { "files" };
            let what = "a mirror has neither `checksum` nor `files`";
            add(RefusalCode::Exclusive, format!("/fetch/{field}"), what.into());
        }
        if !(BYTES_MIN..=BYTES_MAX).contains(&self.bytes_max) {
            let what = format!("between {BYTES_MIN} (1 MiB) and {BYTES_MAX} (16 TiB)");
            add(RefusalCode::OutOfRange, "/fetch/mirror/bytes_max".into(), what);
        }
        if self.repositories.len() > REPOSITORIES_MAX {
            let what = format!("more than {REPOSITORIES_MAX}");
            add(RefusalCode::TooLarge, "/fetch/mirror/repositories".into(), what);
        }
        for (i, repository) in self.repositories.iter().enumerate() {
            if !repository.path.is_empty() {
                problems.extend(check_file_path(
                    &repository.path,
                    &format!("/fetch/mirror/repositories/{i}/path"),
                ));
            }
            if !repository.distribution.is_empty() {
                problems.extend(check_file_path(
                    &repository.distribution,
                    &format!("/fetch/mirror/repositories/{i}/distribution"),
                ));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::model::{Artifact, Noun};

    fn faults(fetch: Value) -> Vec<String> {
        let artifact: Artifact = serde_json::from_value(json!({"name": "a", "fetch": fetch})).unwrap();
        artifact.check().into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn a_tree_that_is_passed_on_is_a_folder_on_the_network_and_has_a_bound() {
        let of = |mirror: Value| faults(json!({"url": "https://h/debian", "mirror": mirror}));
        assert!(of(json!({})).is_empty());
        assert!(of(json!({"repositories": [{"distribution": "bookworm"}, {"path": "BaseOS"}]})).is_empty());
        assert!(of(json!({"repositories": [{"distribution": "stable/updates"}]})).is_empty());
        for bytes in [0, 1 << 19, 1_u64 << 45] {
            assert_eq!(of(json!({"bytes_max": bytes})), ["/fetch/mirror/bytes_max"]);
        }
        let up = json!({"repositories": [{"path": "../x"}, {"distribution": "/etc"}]});
        let pointers = ["/fetch/mirror/repositories/0/path", "/fetch/mirror/repositories/1/distribution"];
        assert_eq!(of(up), pointers);
        for url in ["file:///srv/debian", "https://h/list?arch=x"] {
            assert_eq!(faults(json!({"url": url, "mirror": {}})), ["/fetch/url"], "{url}");
        }
        let sum = format!("sha256:{}", "0".repeat(64));
        assert_eq!(faults(json!({"url": "http://h/", "mirror": {}, "checksum": sum})), ["/fetch/checksum"]);
    }

    #[test]
    fn a_single_file_is_not_passed_on() {
        let artifact = json!({"name": "a", "kind": "file", "fetch": {"url": "http://h/x", "mirror": {}}});
        let artifact: Artifact = serde_json::from_value(artifact).unwrap();
        let pointers: Vec<_> = artifact.check().into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/fetch/mirror"]);
    }
}
