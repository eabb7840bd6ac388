//! Kernels, initrds and trees that machines fetch.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::check_name;
use super::{Kind, Noun, Object, Problem, Stored};

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

/// Files of the server that machines may fetch, at `artifacts/<name>/…` over TFTP and HTTP alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The name bootenvs use: `debian-12-amd64`.
    pub name: String,
    #[serde(default)]
    pub kind: ArtifactKind,
    /// Where the files are on the server: an absolute path.
    pub path: String,
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
    Fetching,
    /// Its files are being read.
    Extracting,
    /// Its files are served.
    Ready,
    /// Its files cannot be read.
    Failed,
}

/// What was found at the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactStatus {
    pub state: ArtifactState,
    /// The path that was read; another `path` than this one has still to be.
    #[serde(default)]
    pub read_path: String,
    /// 0 to 100 while it is being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub percent: Option<u8>,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// SHA-256 over the sorted list of paths and their digests.
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
}

impl Noun for Artifact {
    const KIND: Kind = Kind::Artifact;
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
        if !self.path.starts_with('/') {
            problems.push(Problem::new("/path", "an absolute path on the server"));
        }
        problems
    }

    fn object(stored: Arc<Stored<Self>>) -> Object {
        Object::Artifact(stored)
    }
}
