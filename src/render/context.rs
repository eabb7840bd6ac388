//! The input of a render: named values, params, callback URLs, package repositories.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::render::params::LayeredParams;

/// Everything that a render may depend on. Renders of the same template set with equal inputs give the same
/// bytes. It has no `Debug`, because `params` may hold opened secrets.
#[derive(Clone)]
pub struct RenderInput {
    /// Top-level names: `machine`, `bootenv`, `stage`, `task`, `server`, `boot`, `subnet`, `reservation`,
    /// `inventory` and so on. Error messages show these names, so secrets must never be in them or in their
    /// values: secrets are params.
    pub variables: Map<String, Value>,
    pub params: LayeredParams,
    /// Absent if the render belongs to no boot attempt.
    pub callbacks: Option<CallbackUrls>,
    pub repositories: Vec<PackageRepository>,
    /// The token of the machine's agent, if this render may contain it.
    pub agent_token: Option<String>,
    /// The seed of the salts of `password_hash`: the machine's id. It need not be secret, but it must not
    /// change for a machine; otherwise its documents change with every render.
    pub salt_seed: String,
    /// What `now()` gives, to the second: when the machine's run began; without a run, when the document was
    /// asked for.
    pub now: Timestamp,
}

/// The URLs for the machine's reports and files.
#[derive(Clone, Debug)]
pub struct CallbackUrls {
    /// URL of the capability path without a trailing slash: `http://10.0.0.1:8080/m/8f…`.
    pub base: String,
}

/// A package repository, as `repos()` returns it to templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageRepository {
    pub tag: String,
    /// The URL; for a repository in an artifact, where the server serves it.
    #[serde(default)]
    pub url: String,
    /// The artifact that contains it, instead of a URL, and the path in there.
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
    /// URL of the key that signed it; empty if the system knows the key already.
    #[serde(default)]
    pub key_url: String,
    /// The key itself, ASCII-armoured (RFC 9580 section 6.2); it wins over `key_url`.
    #[serde(default)]
    pub key: String,
    /// Whether the operating system is installed from it.
    #[serde(default)]
    pub install_source: bool,
    /// Whether it carries security updates.
    #[serde(default)]
    pub security_source: bool,
    /// Whether it is unsigned and trusted without a signature.
    #[serde(default)]
    pub unsigned: bool,
}
