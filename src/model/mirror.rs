//! A remote tree that is passed on file by file: what an operator says of it, and how it stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_file_path;
use super::{ArtifactSource, Problem, RefusalCode};

/// Bytes that are kept of a remote tree where nothing is said.
pub const MIRROR_BYTES_DEFAULT: u64 = 20 << 30;
/// Least and most bytes that may be kept of one.
const BYTES_MIN: u64 = 1 << 20;
const BYTES_MAX: u64 = 1 << 44;
/// Most repositories that are declared in one.
const REPOSITORIES_MAX: usize = 32;

/// What is kept of a remote tree, and the package repositories in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorTerms {
    /// Most bytes of its files that are kept on the server's disk, from 1 MiB; the least recently used go
    /// first. 20 GiB unless it is said.
    #[serde(default = "bytes_default")]
    #[schemars(range(min = 1_048_576, max = 17_592_186_044_416_u64))]
    pub bytes_max: u64,
    /// Package repositories in it. Without any the server looks whether the tree itself is one of yum.
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

/// A package repository in a remote tree. The server reads the rest from its index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorRepository {
    /// Where it is below the URL: `BaseOS/x86_64/os`; empty for the URL itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Of apt, the suite: `bookworm`. Without one it is a repository of yum.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub distribution: String,
}

/// How a remote tree and what is kept of it stand. Requests are counted from the start of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorStatus {
    /// Whether the upstream gave an answer when it was last asked.
    pub upstream_answers: bool,
    /// Bytes and files that are kept now.
    pub cached_bytes: u64,
    pub cached_files: u64,
    pub bytes_max: u64,
    /// Requests that were answered from what is kept or just being fetched.
    pub hits: u64,
    /// Files that had to be fetched.
    pub misses: u64,
    /// Hits for which the upstream said that nothing has changed.
    pub revalidated: u64,
    /// Hits that are perhaps out of date, because the upstream gave no answer.
    pub stale: u64,
    /// Files that went to make room.
    pub evicted: u64,
    /// Files that could not be had from the upstream, or found no place here.
    #[serde(default)]
    pub failures: u64,
    /// Bytes of files that came from the upstream.
    #[serde(default)]
    pub fetched_bytes: u64,
    /// Bytes of files that went to clients.
    #[serde(default)]
    pub served_bytes: u64,
}

impl MirrorTerms {
    /// What is wrong with them, in a source that has them.
    pub(super) fn problems(&self, source: &ArtifactSource) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |code, pointer: String, what: String| {
            problems.push(Problem::new(pointer, what).coded(code));
        };
        if source.local_path().is_some() || source.url.contains(['?', '#']) {
            let what = "a tree that is passed on has the URL of a folder: https://… or http://…, without `?`";
            let field = if source.path.is_empty() { "url" } else { "path" };
            add(RefusalCode::Exclusive, format!("/fetch/{field}"), what.into());
        }
        if source.checksum.is_some() || !source.files.is_empty() {
            let field = if source.checksum.is_some() { "checksum" } else { "files" };
            let what = "a tree that is passed on has neither checksum nor files";
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
