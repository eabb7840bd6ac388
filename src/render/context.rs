//! What a template sees: named values, params, callback URLs, package repositories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::render::params::LayeredParams;

/// Everything one render may depend on. Two renders of one template set with equal inputs give the
/// same bytes. Has no `Debug`: `params` may hold opened secrets.
#[derive(Clone)]
pub struct RenderInput {
    /// Top-level names: `machine`, `bootenv`, `stage`, `task`, `server`, `boot` and so on. Their names
    /// appear in error messages, so a secret is never a name and never a value here: secrets are params.
    pub variables: Map<String, Value>,
    pub params: LayeredParams,
    /// Absent where the render belongs to no boot attempt.
    pub callbacks: Option<CallbackUrls>,
    pub repositories: Vec<PackageRepository>,
    /// What the machine's agent proves itself with, where this render may hand it out.
    pub agent_token: Option<String>,
    /// What the salts of `password_hash` come from: the machine's id. Need not be secret; must stay
    /// the same for the machine, or its documents change at every render.
    pub salt_seed: String,
}

/// Where the machine reports to, and where its own files are.
#[derive(Clone, Debug)]
pub struct CallbackUrls {
    /// URL of the capability path without a trailing slash: `http://10.0.0.1:8080/m/8f…`.
    pub base: String,
}

/// A package repository as `repos()` shows it to templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageRepository {
    pub tag: String,
    /// Where it is; of one in an artifact, where that is served.
    #[serde(default)]
    pub url: String,
    /// The artifact that it is in, instead of a URL, and where it is in there.
    #[serde(default)]
    pub artifact: String,
    #[serde(default)]
    pub path: String,
    /// `apt`, `yum`, `zypper` and so on.
    #[serde(default)]
    pub package_type: String,
    /// Suite or release: `bookworm`.
    #[serde(default)]
    pub distribution: String,
    #[serde(default)]
    pub components: Vec<String>,
    /// URL of the key it is signed with; empty where the system knows the key already.
    #[serde(default)]
    pub key_url: String,
    /// Whether the operating system is installed from it.
    #[serde(default)]
    pub install_source: bool,
    /// Whether it carries security updates.
    #[serde(default)]
    pub security_source: bool,
    /// Whether it has no signature, and is trusted without one.
    #[serde(default)]
    pub unsigned: bool,
}
