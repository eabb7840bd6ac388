//! The sources of a rendered document: templates and params.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The level that the value of a param came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamLevel {
    Machine,
    Profile(String),
    Stage(String),
    /// A profile of the machine's current stage.
    StageProfile(String),
    Global,
    /// The default of the param's declaration.
    Default,
}

impl fmt::Display for ParamLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamLevel::Machine => f.write_str("machine"),
            ParamLevel::Profile(name) => write!(f, "profile `{name}`"),
            ParamLevel::Stage(name) => write!(f, "stage `{name}`"),
            ParamLevel::StageProfile(name) => write!(f, "stage profile `{name}`"),
            ParamLevel::Global => f.write_str("profile `global`"),
            ParamLevel::Default => f.write_str("defaults"),
        }
    }
}

/// A param that a template read. `level` is absent if no level had a value and the template used its own
/// fallback.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ParamRead {
    pub name: String,
    pub level: Option<ParamLevel>,
}

/// A template as it was compiled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TemplateUse {
    pub name: String,
    /// SHA-256 of the template's body, in lower-case hex.
    pub sha256: String,
}

/// The sources of a document, besides the variables that were its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The template and all templates that it can include, by name; then those that it included by a name
    /// from a value that was expanded.
    pub templates: Vec<TemplateUse>,
    /// The params that were read, by name. A param composed from several levels is listed once per level.
    pub params: Vec<ParamRead>,
    /// Whether a secret was read: then only the machine that the text was rendered for may get it.
    pub secret: bool,
    /// The time that `now()` gave, if a template called it: when the machine's run began, or else when the
    /// document was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Timestamp>,
}
